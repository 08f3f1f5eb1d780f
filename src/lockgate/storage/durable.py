"""Durable files: folders, immutable files and replaced files, each in the order that survives a crash.

For: temporary name, bytes synced, then the name; folders synced before anything relies on them.
Not for: the write-ahead log, whose files grow (`wal_segments`).
Source: evidence.md 1.4 (tiles are hard-linked, so that rewriting one is an error); rename(2), link(2).
"""

from __future__ import annotations

from contextlib import suppress
from posixpath import dirname

from lockgate.errors import CorruptLedgerError
from lockgate.storage.port import Files

TEMPORARY = ".tmp"


class Folders:
    """Folders below one root, made when missing; each name is synced once by this process, whoever made it."""

    def __init__(self, files: Files, root: str) -> None:
        self._files = files
        self._root = root
        self._durable: set[str] = set()

    def make(self, folder: str = "") -> None:
        """Make `folder` below the root, and the root when its parent is there; the names are durable afterwards."""
        self._make(self._root)
        path = self._root
        for part in folder.split("/") if folder else ():
            path = f"{path}/{part}"
            self._make(path)

    def _make(self, path: str) -> None:
        if path in self._durable:
            return
        self._files.mkdir(path)
        # Also when it was there: an earlier sync of its name may have failed.
        self._files.fsync_dir(dirname(path) or ".")
        self._durable.add(path)


def write_synced(files: Files, path: str, stored: bytes) -> None:
    """Write a new file and make its bytes durable; its name is not durable yet.

    What an earlier attempt left under the name is removed, never written again: its sync may have failed, or the file may
    already have its final name as well.
    """
    with suppress(FileNotFoundError):
        files.unlink(path)
    handle = files.open_append(path)
    try:
        files.write(handle, stored, 0)
        files.fdatasync(handle)
    finally:
        files.close(handle)


class Batch:
    """Immutable files of one step, below one root; names become durable in `sync`."""

    def __init__(self, files: Files, root: str, folders: Folders) -> None:
        self._files = files
        self._root = root
        self._made = folders
        self._folders: dict[str, None] = {}

    def put(self, path: str, stored: bytes, *, kind: str) -> None:
        """Store `path` below the root unless it is there with the same bytes.

        Raises:
            CorruptLedgerError: it is there with other bytes; `kind` names the contradiction.
        """
        target = f"{self._root}/{path}"
        folder = dirname(target)
        if folder not in self._folders:
            self._made.make(dirname(path))
            self._folders[folder] = None
        temporary = target + TEMPORARY
        try:
            if self._files.read(target) != stored:
                raise CorruptLedgerError(kind, f"`{path}` exists with other bytes")
        except FileNotFoundError:
            pass
        else:
            return
        write_synced(self._files, temporary, stored)
        self._files.link(temporary, target)
        self._files.unlink(temporary)

    def sync(self) -> None:
        """Make every name durable."""
        for folder in self._folders:
            self._files.fsync_dir(folder)
        self._folders.clear()


def replace(files: Files, root: str, path: str, stored: bytes) -> None:
    """Replace the file `path` below the root in one durable step."""
    target = f"{root}/{path}"
    write_synced(files, target + TEMPORARY, stored)
    files.rename(target + TEMPORARY, target)
    files.fsync_dir(dirname(target))


def remove_quietly(files: Files, path: str) -> None:
    """Remove a file nobody needs any more; a failure is tried again another time."""
    with suppress(OSError):
        files.unlink(path)
