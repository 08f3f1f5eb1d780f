"""Files of exports: how far each receiver is, and events as lines.

For: cursors that survive a crash, and a file that other programs collect.
Not for: what is exported (`telemetry`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lockgate.errors import ConfigError
from lockgate.ledger.entry import decode
from lockgate.storage.index.logs import Logs


class CursorFile:
    """A receiver's position in each log, replaced in one step."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, int] | None:
        """What was stored last; None when nothing was.

        Raises:
            ConfigError: the file is damaged; removing it makes the receiver a new one.
        """
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(f"{self._path}:1: is not a cursor; remove it and the receiver begins anew") from error

    def store(self, positions: Mapping[str, int]) -> None:
        """Replace the file durably."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, msgspec.json.encode(dict(positions)))
            os.fdatasync(handle)
        finally:
            os.close(handle)
        fresh.replace(self._path)


class LineFile:
    """A file that grows by whole lines; it may be moved away at any time, and a new one begins."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, lines: bytes) -> None:
        """Append durably. A line that a crash cut short is closed first, so that it stays alone."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            view = memoryview(b"\n" + lines if torn else lines)
            while view:
                view = view[os.write(handle, view) :]
            os.fdatasync(handle)
        finally:
            os.close(handle)


class LogSource:
    """The logs of a gate as `telemetry.follow.Source`."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    def origins(self) -> list[str]:
        """Every log."""
        return self._logs.origins()

    def minimum(self, origin: str) -> int:
        """The lowest index that was not pruned."""
        return self._logs.minimum(origin)

    def sealed(self, origin: str) -> int:
        """How many entries are under its checkpoint."""
        return self._logs.sealed(origin)

    def decoded(self, origin: str, first: int, last: int) -> list[Mapping[str, object]]:
        """Entries [first, last)."""
        return [decode(stored) for stored in self._logs.sealed_entries(origin, first, last)]
