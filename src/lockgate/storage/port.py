"""Every file operation that the ledger needs, as a port, and the real files behind it.

For: running the same ledger code on a disk and on files in memory that crash and fail on demand.
Not for: policy about what is written when; `ledger_log` decides that.
Source: fsync(2), fdatasync(2), link(2), flock(2); evidence.md 1.4.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

READ_BYTES_MAX = 1 << 28


class Files(Protocol):
    """File operations; each raises OSError as the operating system would. Paths are text, handles are opaque numbers.

    Attributes:
        direct: handles are the kernel's own, and compiled code may write to them: with sync (true) or without; None when it may not.
    """

    @property
    def direct(self) -> bool | None:
        """See the class."""

    def lock(self, path: str) -> int:
        """Take the exclusive lock that the file at `path` stands for, or raise BlockingIOError; close the handle to release."""

    def open_append(self, path: str) -> int:
        """Open for writing, made when missing; what is in it stays."""

    def write(self, handle: int, stored: bytes, offset: int) -> None:
        """Write all of `stored` at `offset`, or raise having written any part of it."""

    def fdatasync(self, handle: int) -> None:
        """Make the file's bytes durable; after an error nothing is known about bytes written since the last success."""

    def truncate(self, handle: int, length: int) -> None:
        """Cut the file to `length` bytes."""

    def close(self, handle: int) -> None:
        """Close a handle."""

    def fsync_dir(self, path: str) -> None:
        """Make the names in a folder durable."""

    def read(self, path: str) -> bytes:
        """All bytes of a file."""

    def size(self, path: str) -> int:
        """The length of a file."""

    def list(self, path: str) -> list[str]:
        """The sorted names in a folder; empty when there is no such folder."""

    def link(self, source: str, target: str) -> None:
        """Give a file a second name; FileExistsError when `target` exists."""

    def rename(self, source: str, target: str) -> None:
        """Rename, replacing `target` in one step."""

    def unlink(self, path: str) -> None:
        """Remove a name."""

    def mkdir(self, path: str) -> bool:
        """Make one folder; true when it was not there."""

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""


class RealFiles:
    """The operating system's files, readable by their owner only."""

    @property
    def direct(self) -> bool | None:
        """True, but for whoever does something else in the place of a call."""
        return True if type(self) is RealFiles else None

    def lock(self, path: str) -> int:
        """Take an exclusive flock on `path`."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise
        return handle

    def open_append(self, path: str) -> int:
        """Open for writing, made when missing; a symbolic link is refused."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def write(self, handle: int, stored: bytes, offset: int) -> None:
        """Write all of `stored` at `offset`."""
        count = os.pwrite(handle, stored, offset)
        if count == len(stored):
            return
        view, offset = memoryview(stored)[count:], offset + count
        while view:
            count = os.pwrite(handle, view, offset)
            if count <= 0:
                raise OSError(errno.EIO, "nothing was written")
            view, offset = view[count:], offset + count

    def fdatasync(self, handle: int) -> None:
        """Make the file's bytes durable."""
        os.fdatasync(handle)

    def truncate(self, handle: int, length: int) -> None:
        """Cut the file."""
        os.ftruncate(handle, length)

    def close(self, handle: int) -> None:
        """Close a handle."""
        os.close(handle)

    def fsync_dir(self, path: str) -> None:
        """Make the names in a folder durable."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def read(self, path: str) -> bytes:
        """All bytes of a file, at most 256 MiB."""
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if os.fstat(handle).st_size > READ_BYTES_MAX:
                raise OSError(errno.EFBIG, "a ledger file is too long")
            parts = []
            while part := os.read(handle, 1 << 22):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(handle)

    def size(self, path: str) -> int:
        """The length of a file."""
        return Path(path).lstat().st_size

    def list(self, path: str) -> list[str]:
        """The sorted names in a folder."""
        try:
            return sorted(entry.name for entry in Path(path).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def link(self, source: str, target: str) -> None:
        """Give a file a second name."""
        os.link(source, target)

    def rename(self, source: str, target: str) -> None:
        """Rename, replacing `target`."""
        Path(source).rename(target)

    def unlink(self, path: str) -> None:
        """Remove a name."""
        Path(path).unlink()

    def mkdir(self, path: str) -> bool:
        """Make one folder for the owner only."""
        with suppress(FileExistsError):
            Path(path).mkdir(0o700)
            return True
        return False

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        Path(path).rmdir()


class UnsyncedFiles(RealFiles):
    """Real files without sync, for a benchmark that asks what sync costs; a crash loses evidence."""

    @property
    def direct(self) -> bool | None:
        """False, likewise."""
        return False if type(self) is UnsyncedFiles else None

    def fdatasync(self, handle: int) -> None:
        """Do nothing."""

    def fsync_dir(self, path: str) -> None:
        """Do nothing."""
