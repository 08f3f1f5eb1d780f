"""Files in memory: what is synced survives a crash, what is not may go, and errors come when asked for."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from lockgate.storage.port import Files, RealFiles
from lockgate.testing.crash_files import CrashFiles


def content_after_crash(seed: int, *, sync_file: bool, sync_folder: bool) -> bytes | None:
    files = CrashFiles(seed)
    files.mkdir_all("d")
    handle = files.open_append("d/f")
    files.write(handle, b"x" * 2000, 0)
    if sync_file:
        files.fdatasync(handle)
    if sync_folder:
        files.fsync_dir("d")
    files.crash()
    return files.read("d/f") if files.list("d") else None


def test_what_is_synced_survives_and_what_is_not_may_be_torn_or_gone() -> None:
    seeds = range(50)
    assert {content_after_crash(seed, sync_file=True, sync_folder=True) for seed in seeds} == {b"x" * 2000}
    assert {content_after_crash(seed, sync_file=True, sync_folder=False) for seed in seeds} == {b"x" * 2000, None}
    torn = {content_after_crash(seed, sync_file=False, sync_folder=True) for seed in seeds}
    assert None not in torn
    assert len(torn) > 3


def test_a_failed_sync_leaves_bytes_in_doubt_even_after_one_that_works() -> None:
    found = set()
    for seed in range(50):
        files = CrashFiles(seed)
        handle = files.open_append("f")
        files.fsync_dir("")
        files.write(handle, b"x", 0)
        files.fail("fdatasync", errno.EIO)
        with pytest.raises(OSError, match="Input/output"):
            files.fdatasync(handle)
        files.fdatasync(handle)
        files.crash()
        found.add(files.read("f"))
    assert found == {b"", b"x"}


def test_faults_come_at_the_asked_call_and_stop() -> None:
    files = CrashFiles()
    files.fail("mkdir", errno.ENOSPC, at=2, times=2)
    results = []
    for name in "abcd":
        try:
            results.append(files.mkdir(name))
        except OSError as error:
            results.append(error.errno == errno.ENOSPC)
    assert files.list("") == ["a", "d"]
    assert results == [True] * 4


@pytest.mark.parametrize("kind", ["memory", "real"])
def test_both_kinds_of_files_behave_alike(kind: str, tmp_path: Path) -> None:
    files: Files = RealFiles() if kind == "real" else CrashFiles()
    root = str(tmp_path) if kind == "real" else ""
    if isinstance(files, CrashFiles):
        files.mkdir_all(root)
    folder = f"{root}/d" if root else "d"
    assert files.list(folder) == []
    assert (files.mkdir(folder), files.mkdir(folder)) == (True, False)
    handle = files.open_append(f"{folder}/f")
    files.write(handle, b"abc", 2)
    files.truncate(handle, 4)
    files.fdatasync(handle)
    files.close(handle)
    assert (files.read(f"{folder}/f"), files.size(f"{folder}/f")) == (b"\0\0ab", 4)
    files.link(f"{folder}/f", f"{folder}/g")
    with pytest.raises(FileExistsError):
        files.link(f"{folder}/f", f"{folder}/g")
    files.rename(f"{folder}/f", f"{folder}/g2")
    files.fsync_dir(folder)
    assert files.list(folder) == ["g", "g2"]
    with pytest.raises(OSError, match="not empty"):
        files.rmdir(folder)
    for name in ("g", "g2"):
        files.unlink(f"{folder}/{name}")
    with pytest.raises(FileNotFoundError):
        files.read(f"{folder}/g")
    files.rmdir(folder)
    lock = files.lock(f"{root}/lock" if root else "lock")
    with pytest.raises(BlockingIOError):
        files.lock(f"{root}/lock" if root else "lock")
    files.close(lock)
    files.close(files.lock(f"{root}/lock" if root else "lock"))
