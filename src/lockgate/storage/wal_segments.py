"""Segments of the write-ahead log: preallocated files that are written, synced, abandoned and read back.

For: one write and one fdatasync per group of entries, and never trusting a segment after an error.
Not for: which entries are in a group, and what happens to them afterwards (`ledger_log`).
Source: dataplane.md, Audit (a zero-filled segment syncs faster than a growing one); evidence.md 1.4.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from lockgate.errors import CorruptLedgerError
from lockgate.ledger.wal import BLOB_INDEX, scan
from lockgate.storage.durable import remove_quietly
from lockgate.storage.port import Files

_NAME = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")
_PIECE = 64 << 10
"""A segment is filled in pieces: the kernel keeps what is written at once together, and then looks through all of it at every small write."""
_ZEROS = bytes(_PIECE)


def segments(files: Files, root: str) -> list[tuple[int, int, str]]:
    """Every segment as (epoch, number, path), oldest first."""
    found = []
    for name in files.list(f"{root}/wal"):
        match = _NAME.fullmatch(name)
        if match:
            found.append((int(match[1]), int(match[2]), f"{root}/wal/{name}"))
    return sorted(found)


@dataclass(slots=True)
class Tail:
    """What the segments hold: entries from `start` on without a gap, and sealed texts by arrival."""

    start: int
    entries: list[bytes] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)


def read_tail(files: Files, paths: Iterable[str], start: int) -> Tail:
    """The entries from index `start` on that the segments hold.

    A segment was begun because the one before it was full or had failed; where both have an index, the later one is right,
    and what the failed one has from there on was never acknowledged.

    Raises:
        CorruptLedgerError: an index is missing between two segments.
    """
    tail = Tail(start)
    for path in paths:
        frames, _ = scan(files.read(path))
        first = True
        for index, payload in frames:
            if index == BLOB_INDEX:
                tail.blobs.append(payload)
                continue
            if first:
                del tail.entries[max(index - start, 0) :]
            first = False
            if index < start:
                tail.blobs.clear()  # they came with entries that are integrated, and were packed with them
                continue
            if index != start + len(tail.entries):
                raise CorruptLedgerError("entry-missing", f"the write-ahead log goes on at {index} after a gap")
            tail.entries.append(payload)
    return tail


def secure(files: Files, paths: Iterable[str]) -> None:
    """Make the frames of segments durable that were read: a killed process may have left them in the kernel's memory only.

    They are written once more, the same bytes in the same places: a sync that failed before says nothing about a later one.
    """
    for path in paths:
        stored = files.read(path)
        end = scan(stored)[1]
        if end:
            handle = files.open_append(path)
            try:
                files.write(handle, stored[:end], 0)
                files.fdatasync(handle)
            finally:
                files.close(handle)


class Writer:
    """The segment being written, and a spare one.

    Attributes:
        handle, offset, segment_bytes: of the segment being written; compiled code writes there as `write` does.
    """

    def __init__(self, *, files: Files, root: str, epoch: int, segment_bytes: int) -> None:
        self._files = files
        self._root = root
        self._epoch = epoch
        self.segment_bytes = segment_bytes
        self._next = 0
        self.handle: int | None = None
        self._spare: tuple[int, str] | None = None
        self._preparing = threading.Lock()
        self.offset = 0
        self.path = ""

    def write(self, group: bytes) -> None:
        """Write a group of frames and make it durable; after OSError call `abandon`."""
        if self.handle is None or (self.offset and self.offset + len(group) > self.segment_bytes):
            self.begin()
        if self.handle is not None:
            self._files.write(self.handle, group, self.offset)
            self._files.fdatasync(self.handle)
        self.offset += len(group)

    def begin(self) -> None:
        """Go on in a fresh segment."""
        with self._preparing:
            self._prepare()
            spare, self._spare = self._spare, None
        if self.handle is not None:
            with suppress(OSError):
                self._files.close(self.handle)
            self.handle = None
        if spare is not None:
            self.handle, self.path = spare
            self.offset = 0

    def prepare(self) -> None:
        """Have a zero-filled, durable segment ready; another thread than the one that writes may do it."""
        with self._preparing:
            self._prepare()

    def _prepare(self) -> None:
        if self._spare is not None:
            return
        path = f"{self._root}/wal/{self._epoch}-{self._next}"
        self._next += 1
        handle = self._files.open_append(path)
        try:
            for at in range(0, self.segment_bytes, _PIECE):
                self._files.write(handle, _ZEROS[: self.segment_bytes - at], at)
            self._files.fdatasync(handle)
            self._files.fsync_dir(f"{self._root}/wal")
        except OSError:
            with suppress(OSError):
                self._files.close(handle)
            remove_quietly(self._files, path)
            raise
        self._spare = handle, path

    @property
    def wants_spare(self) -> bool:
        """True when the segment is half full and no other is ready."""
        return self.handle is not None and self._spare is None and self.offset * 2 > self.segment_bytes

    def abandon(self) -> None:
        """Leave the segment at its last durable offset: cut off what may or may not have reached the disk, if that works."""
        if self.handle is not None:
            with suppress(OSError):
                self._files.truncate(self.handle, self.offset)
            with suppress(OSError):
                self._files.close(self.handle)
        self.handle = None

    def close(self) -> None:
        """Close both segments."""
        self.abandon()
        if self._spare is not None:
            with suppress(OSError):
                self._files.close(self._spare[0])
            remove_quietly(self._files, self._spare[1])
            self._spare = None

    def remove_others(self, *, keep: Iterable[str] = ()) -> None:
        """Remove every segment but the ones being written and `keep`."""
        kept = {self.path, *keep, *((self._spare[1],) if self._spare else ())}
        for _, _, path in segments(self._files, self._root):
            if path not in kept:
                remove_quietly(self._files, path)

    def remove_before(self, path: str) -> None:
        """Remove every segment that was begun before this one; all that they hold is integrated."""
        paths = [found for _, _, found in segments(self._files, self._root)]
        if path in paths:
            for older in paths[: paths.index(path)]:
                if older != self.path and (self._spare is None or older != self._spare[1]):
                    remove_quietly(self._files, older)
