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
TOGETHER = 64
"""Files that are written before they are synced together."""


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
    """Immutable files of one step, below one root; bytes and names become durable in `sync`.

    Files are written together and then synced together: the kernel makes one entry in its journal for all of them.
    """

    def __init__(self, files: Files, root: str, folders: Folders) -> None:
        self._files = files
        self._root = root
        self._made = folders
        self._folders: dict[str, None] = {}
        self._open: list[tuple[int, str, bytes, str]] = []

    def put(self, path: str, stored: bytes, *, kind: str) -> None:
        """Store `path` below the root unless it is there with the same bytes.

        Raises:
            CorruptLedgerError: it is there with other bytes; `kind` names the contradiction. Perhaps only in `sync`.
        """
        target = f"{self._root}/{path}"
        folder = dirname(target)
        if folder not in self._folders:
            self._made.make(dirname(path))
            self._folders[folder] = None
        # What an earlier attempt left under the name is removed, as in `write_synced`.
        with suppress(FileNotFoundError):
            self._files.unlink(target + TEMPORARY)
        handle = self._files.open_append(target + TEMPORARY)
        self._open.append((handle, target, stored, kind))
        self._files.write(handle, stored, 0)
        if len(self._open) >= TOGETHER:
            self._finish()

    def _finish(self) -> None:
        """Make the bytes of open files durable, then give them their names."""
        for handle, *_ in self._open:
            self._files.fdatasync(handle)
        while self._open:
            handle, target, stored, kind = self._open.pop(0)
            self._files.close(handle)
            differs = False
            try:
                self._files.link(target + TEMPORARY, target)
            except FileExistsError:
                differs = self._files.read(target) != stored
            self._files.unlink(target + TEMPORARY)
            if differs:
                raise CorruptLedgerError(kind, f"`{target.removeprefix(f'{self._root}/')}` exists with other bytes")

    def sync(self) -> None:
        """Make everything durable."""
        self._finish()
        for folder in self._folders:
            self._files.fsync_dir(folder)
        self._folders.clear()

    def close(self) -> None:
        """After an error: leave what is not stored; its temporary names are taken again next time."""
        while self._open:
            with suppress(OSError):
                self._files.close(self._open.pop()[0])


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
