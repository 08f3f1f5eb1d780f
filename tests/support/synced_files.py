"""Files that lose every byte not yet synced when the process dies, and that can be told to fail at sync.

For: the crash drills: `kill -9` alone keeps what the kernel has in its cache; a power cut does not.
Run as a program it serves a gate on such files: `python synced_files.py CONFIG`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from pathlib import Path

from lockgate.app import Application
from lockgate.config.build import load_settings
from lockgate.config.load import address
from lockgate.storage.port import RealFiles
from lockgate.transport.plane import DataPlaneLoop


class SyncedOnlyFiles(RealFiles):
    """Writes stay in this process's memory until `fdatasync`; while `trouble` exists, `fdatasync` fails with EIO."""

    def __init__(self, trouble: Path) -> None:
        super().__init__()
        self._pending: dict[int, list[tuple[bytes, int]]] = {}
        self._trouble = trouble

    def write(self, handle: int, stored: bytes, offset: int) -> None:
        """Keep the bytes in memory."""
        self._pending.setdefault(handle, []).append((bytes(stored), offset))

    def fdatasync(self, handle: int) -> None:
        """Write what is pending and sync it, or fail and forget it, as a disk with a lost write would."""
        pending = self._pending.pop(handle, [])
        if self._trouble.exists():
            raise OSError(errno.EIO, "input/output error")
        for stored, offset in pending:
            super().write(handle, stored, offset)
        super().fdatasync(handle)

    def truncate(self, handle: int, length: int) -> None:
        """Truncate; pending bytes behind the new end are forgotten."""
        self._pending[handle] = [(s, o) for s, o in self._pending.get(handle, []) if o < length]
        super().truncate(handle, length)

    def close(self, handle: int) -> None:
        """Close; what was never synced is lost."""
        self._pending.pop(handle, None)
        super().close(handle)


def main() -> None:
    """Serve on a free port."""
    config = Path(sys.argv[1])
    settings = load_settings(config, environment=os.environ)

    async def serve() -> None:
        await Application(settings, files=SyncedOnlyFiles(config.parent / "trouble")).run(address("127.0.0.1:0"))

    with asyncio.Runner(loop_factory=DataPlaneLoop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main()
