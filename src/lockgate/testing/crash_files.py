"""Files in memory that crash and fail on demand, for the ledger's tests and drills.

For: finding out whether anything acknowledged can be lost: a crash throws away whatever was not synced, partly, from a seed.
Not for: measuring, and not a file system; only what the ledger's port of file operations needs.
Source: fsync(2) and rename(2), taken at their weakest: unsynced writes survive in any combination and torn, and after a failed
sync nothing is known about the bytes it was for, even when a later sync succeeds.
"""

from __future__ import annotations

import copy
import errno
import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import dirname

SECTOR_BYTES = 512
WRITING = frozenset(
    {"lock", "open_append", "write", "fdatasync", "truncate", "fsync_dir", "link", "rename", "unlink", "mkdir", "rmdir"}
)
"""Operations that change something, or make a change durable: the points at which a process can be killed with an effect."""


class Killed(BaseException):
    """The process is gone; no code of it may go on, so this is no Exception."""


@dataclass(slots=True)
class _File:
    """One file: what a reader sees, what is surely on the disk, and what may be."""

    seen: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    pending: list[tuple[int, bytes]] = field(default_factory=list)  # (offset, bytes); offset -n-1 cuts to n bytes
    doubtful: list[tuple[int, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class _Folder:
    """Names of one folder, and changes since the last sync: each a list of (name, file or None) that happens as one."""

    seen: dict[str, _File] = field(default_factory=dict)
    durable: dict[str, _File] = field(default_factory=dict)
    pending: list[list[tuple[str, _File | None]]] = field(default_factory=list)


@dataclass(slots=True)
class _Fault:
    """An error to raise: at the `at`-th call of `operation`, then `times` times (None: for ever)."""

    operation: str
    number: int
    at: int
    times: int | None


def _apply(content: bytearray, offset: int, stored: bytes) -> None:
    if offset < 0:
        del content[-offset - 1 :]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(stored)] = stored


class CrashFiles:
    """Implements the port `lockgate.storage.port.Files`."""

    direct = None

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._folders: dict[str, _Folder] = {}
        self._durable_folders: set[str] = set()
        self._handles: dict[int, _File] = {}
        self._locks: dict[int, str] = {}
        self._next_handle = 1
        self._faults: list[_Fault] = []
        self._killed = False
        self.calls = 0
        self.points = 0
        """Operations of `WRITING` so far."""
        self.kill_at = 0
        """Raise `Killed` at this one of them; 0 = never."""
        self.mkdir_all("")

    def mkdir_all(self, path: str) -> None:
        """Make a folder and those above it, durably."""
        while path not in self._folders:
            self._folders[path] = _Folder()
            self._durable_folders.add(path)
            path = dirname(path)

    # --- faults ---

    def fail(self, operation: str, number: int, *, at: int = 1, times: int | None = 1) -> None:
        """Raise OSError(`number`) at the `at`-th call of `operation` from now, and at further calls until `times` are reached."""
        self._faults.append(_Fault(operation, number, at, times))

    def heal(self) -> None:
        """Forget every fault."""
        self._faults.clear()

    def _begin(self, operation: str) -> OSError | None:
        self._die_if_killed(operation)
        self.calls += 1
        for fault in self._faults:
            if fault.operation not in {operation, "any"} and not (
                fault.operation == "writing" and operation in WRITING
            ):
                continue
            fault.at -= 1
            if fault.at <= 0 and (fault.times is None or fault.times > 0):
                fault.times = None if fault.times is None else fault.times - 1
                return OSError(fault.number, os.strerror(fault.number))
        return None

    def _die_if_killed(self, operation: str) -> None:
        self.points += operation in WRITING
        self._killed = self._killed or (self.points == self.kill_at and operation in WRITING)
        if self._killed:
            raise Killed

    def _check(self, operation: str) -> None:
        error = self._begin(operation)
        if error is not None:
            raise error

    def kill(self) -> None:
        """The process ends: handles and locks are gone; the kernel still has every byte, and may lose it later."""
        self._handles.clear()
        self._locks.clear()
        self._faults.clear()
        self._killed, self.kill_at = False, 0

    def image(self) -> CrashFiles:
        """An independent copy of everything, like a snapshot of the machine's disk."""
        other = copy.deepcopy(self)
        other.kill()
        return other

    def graft(self, image: CrashFiles, path: str) -> None:
        """Put a file, or everything below a folder, back as an image has it."""

        def inside(name: str) -> bool:
            return name == path or name.startswith(f"{path}/")

        old_folders: dict[str, _Folder] = vars(copy.deepcopy(image))["_folders"]
        for folder, mine in self._folders.items():
            theirs = old_folders.get(folder, _Folder())
            for names, old in ((mine.seen, theirs.seen), (mine.durable, theirs.durable)):
                kept = {name: file for name, file in names.items() if not inside(name)}
                names.clear()
                names.update(kept | {name: file for name, file in old.items() if inside(name)})

    def crash(self) -> None:
        """Lose power: handles and locks are gone, and of what was not synced anything may be left."""
        self.kill()
        files: dict[int, _File] = {}
        for path in list(self._folders):
            folder = self._folders[path]
            kept = dict(folder.durable)
            for change in folder.pending:
                if self._random.random() < 0.5:
                    for name, file in change:
                        kept.pop(name, None) if file is None else kept.update({name: file})
            self._folders[path] = _Folder(dict(kept), kept)
            files.update((id(file), file) for file in kept.values())
        for path in [p for p in self._folders if not self._survives(p)]:
            del self._folders[path]
        for file in files.values():
            self._tear(file)

    def _survives(self, path: str) -> bool:
        return path == "" or (path in self._durable_folders and self._survives(dirname(path)))

    def _tear(self, file: _File) -> None:
        content = bytearray(file.durable)
        for offset, stored in file.doubtful + file.pending:
            choice = self._random.random()
            if offset < 0 or choice < 0.3:
                if choice < 0.6:
                    _apply(content, offset, stored)
                continue
            if choice < 0.6:
                continue
            for start in range(0, len(stored), SECTOR_BYTES):
                if self._random.random() < 0.5:
                    _apply(content, offset + start, stored[start : start + SECTOR_BYTES])
        file.seen, file.durable = content, bytes(content)
        file.pending, file.doubtful = [], []

    # --- the port ---

    def _folder(self, path: str) -> _Folder:
        folder = self._folders.get(path)
        if folder is None:
            raise FileNotFoundError(errno.ENOENT, "no such folder")
        return folder

    def _file(self, path: str) -> _File:
        folder = self._folders.get(dirname(path))
        file = None if folder is None else folder.seen.get(path)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, "no such file")
        return file

    def _handle(self, file: _File) -> int:
        self._next_handle += 1
        self._handles[self._next_handle] = file
        return self._next_handle

    def lock(self, path: str) -> int:
        """Take the lock."""
        self._check("lock")
        if path in self._locks.values():
            raise BlockingIOError(errno.EAGAIN, "locked")
        self._folder(dirname(path))
        self._next_handle += 1
        self._locks[self._next_handle] = path
        return self._next_handle

    def open_append(self, path: str) -> int:
        """Open for writing."""
        self._check("open_append")
        folder = self._folder(dirname(path))
        if path not in folder.seen:
            folder.seen[path] = _File()
            folder.pending.append([(path, folder.seen[path])])
        return self._handle(folder.seen[path])

    def write(self, handle: int, stored: bytes, offset: int) -> None:
        """Write; a failing write leaves a random part behind."""
        try:
            error = self._begin("write")
        except Killed:
            if handle in self._handles and self.points == self.kill_at:
                self._put(self._handles[handle], offset, stored[: self._random.randint(0, len(stored))])
            raise
        file = self._handles[handle]
        if error is not None:
            stored = stored[: self._random.randint(0, len(stored))]
        self._put(file, offset, stored)
        if error is not None:
            raise error

    @staticmethod
    def _put(file: _File, offset: int, stored: bytes) -> None:
        _apply(file.seen, offset, stored)
        file.pending.append((offset, bytes(stored)))

    def fdatasync(self, handle: int) -> None:
        """Make bytes durable; a failing sync leaves them in doubt for ever."""
        error = self._begin("fdatasync")
        file = self._handles[handle]
        if error is not None:
            file.doubtful += file.pending
            file.pending = []
            raise error
        content = bytearray(file.durable)
        for offset, stored in file.pending:
            _apply(content, offset, stored)
        file.durable, file.pending = bytes(content), []

    def truncate(self, handle: int, length: int) -> None:
        """Cut."""
        self._check("truncate")
        file = self._handles[handle]
        if len(file.seen) > length:
            _apply(file.seen, -length - 1, b"")
            file.pending.append((-length - 1, b""))

    def close(self, handle: int) -> None:
        """Close a handle or release a lock."""
        if self._killed:
            raise Killed
        if self._locks.pop(handle, None) is None:
            del self._handles[handle]

    def fsync_dir(self, path: str) -> None:
        """Make names durable."""
        self._check("fsync_dir")
        folder = self._folder(path)
        folder.durable = dict(folder.seen)
        folder.pending.clear()
        self._durable_folders.update(p for p in self._folders if p and dirname(p) == path)

    def read(self, path: str) -> bytes:
        """All bytes."""
        self._check("read")
        return bytes(self._file(path).seen)

    def size(self, path: str) -> int:
        """The length."""
        return len(self._file(path).seen)

    def list(self, path: str) -> list[str]:
        """The sorted names."""
        self._check("list")
        folder = self._folders.get(path)
        if folder is None:
            return []
        inside = [p for p in self._folders if p and dirname(p) == path]
        return sorted(p.rsplit("/", 1)[-1] for p in (*folder.seen, *inside))

    def link(self, source: str, target: str) -> None:
        """A second name."""
        self._check("link")
        file, folder = self._file(source), self._folder(dirname(target))
        if target in folder.seen:
            raise FileExistsError(errno.EEXIST, "exists")
        folder.seen[target] = file
        folder.pending.append([(target, file)])

    def rename(self, source: str, target: str) -> None:
        """Rename within one folder."""
        self._check("rename")
        file, folder = self._file(source), self._folder(dirname(target))
        del folder.seen[source]
        folder.seen[target] = file
        folder.pending.append([(source, None), (target, file)])

    def unlink(self, path: str) -> None:
        """Remove a name."""
        self._check("unlink")
        self._file(path)
        folder = self._folder(dirname(path))
        del folder.seen[path]
        folder.pending.append([(path, None)])

    def mkdir(self, path: str) -> bool:
        """Make one folder."""
        self._check("mkdir")
        if path in self._folders:
            return False
        self._folder(dirname(path))
        self._folders[path] = _Folder()
        self._durable_folders.discard(path)
        return True

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        self._check("rmdir")
        if self._folder(path).seen:
            raise OSError(errno.ENOTEMPTY, "not empty")
        del self._folders[path]

    # --- for tests ---

    def dump(self, target: Path) -> None:
        """Write everything that a reader sees below a real folder."""
        for path, folder in self._folders.items():
            (target / path).mkdir(parents=True, exist_ok=True)
            for name, file in folder.seen.items():
                (target / name).write_bytes(file.seen)
