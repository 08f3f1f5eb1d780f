"""Pruning: entries older than a policy keeps are removed from the beginning of a log; every proof of what remains still holds.

For: which entries may go, and removing their bundles and sealed texts once the log itself says so.
Not for: the entry that says so (whoever prunes appends it), and not for hash tiles and checkpoints: they stay, 32 bytes an entry.
Source: C2SP tlog-tiles, pruning; evidence.md 1.4, retention and pruning.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from posixpath import dirname

from lockgate.errors import LedgerError
from lockgate.ledger import tiles
from lockgate.ledger.entry import decode
from lockgate.storage.durable import replace
from lockgate.storage.ledger_reader import checkpoint, minimum
from lockgate.storage.port import Files
from lockgate.storage.tile_store import TEXTS, read_bundle


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed: entries, and files of sealed texts."""

    entries: int
    texts: int


def _times(root: str, files: Files, bundle: int) -> tuple[str, str]:
    """The times of the first and the last entry of a full bundle."""
    entries = read_bundle(files, root, bundle, tiles.WIDTH)
    return str(decode(entries[0])["time"]), str(decode(entries[-1])["time"])


def cut(root: str, files: Files, before: str) -> int:
    """The lowest index that must stay so that everything from the time `before` on does; whole bundles go, never the last one.

    Args:
        before: a time as entries have it.

    Raises:
        LedgerError: the log cannot be read.
    """
    root = root.rstrip("/")
    head = checkpoint(root, files)
    low, high = (
        minimum(root, files) // tiles.WIDTH,
        0 if head is None or not head.size else (head.size - 1) // tiles.WIDTH,
    )
    try:
        while low < high:
            middle = (low + high) // 2
            if _times(root, files, middle)[1] < before:
                low = middle + 1
            else:
                high = middle
    except OSError as error:
        raise LedgerError(f"the log cannot be read: error {error.errno}") from error
    return low * tiles.WIDTH


def prune(root: str, files: Files, to: int) -> Pruned:
    """Remove entries below `to`, a multiple of 256 under the checkpoint; repeat it after a crash.

    The log must already hold the entry that says so, under its checkpoint.

    Raises:
        LedgerError: `to` is not such a number, or something cannot be removed.
    """
    root = root.rstrip("/")
    head = checkpoint(root, files)
    if to % tiles.WIDTH or head is None or not 0 <= to < head.size:
        raise LedgerError("only whole bundles under the checkpoint can be pruned")
    try:
        keep_texts = _first_of_day(root, files, to)
        if to > minimum(root, files):
            replace(files, root, "minimum", f"{to}\n".encode())
        texts = _prune_texts(root, files, to, keep_texts)
        return Pruned(_prune_bundles(root, files, to), texts)
    except OSError as error:
        raise LedgerError(f"the log cannot be pruned: error {error.errno}") from error


def _first_of_day(root: str, files: Files, to: int) -> int:
    """The first entry of the day of entry `to - 1`: texts of a day are shared by its entries, so those stay as long as any does."""
    if to == 0:
        return 0
    bundle = (to - 1) // tiles.WIDTH
    try:
        day = _times(root, files, bundle)[1][:10]
        while bundle > 0 and _times(root, files, bundle - 1)[1][:10] == day:
            bundle -= 1
        times = [str(decode(entry)["time"])[:10] for entry in read_bundle(files, root, bundle, tiles.WIDTH)]
    except FileNotFoundError:
        return 0  # gone already: a repetition after a crash leaves texts to the next pruning
    return bundle * tiles.WIDTH + times.index(day)


def _prune_texts(root: str, files: Files, to: int, keep_from: int) -> int:
    """Remove packs and long texts that came with entries below `keep_from`."""
    removed = 0
    for pack in files.list(f"{root}/{TEXTS}"):
        parts = pack.split("-")
        if len(parts) == 3 and parts[1].isdecimal() and int(parts[1]) <= keep_from:
            files.unlink(f"{root}/{TEXTS}/{pack}")
            removed += 1
    long_texts = {
        name
        for prefix in files.list(f"{root}/blob")
        if len(prefix) == 2
        for name in files.list(f"{root}/blob/{prefix}")
    }
    for number in range(minimum_left(root, files, to), -(-keep_from // tiles.WIDTH)) if long_texts else ():
        with suppress(FileNotFoundError):
            for index, entry in enumerate(read_bundle(files, root, number, tiles.WIDTH), number * tiles.WIDTH):
                name = decode(entry).get("text")
                if index < keep_from and isinstance(name, str) and name in long_texts:
                    with suppress(FileNotFoundError):
                        files.unlink(f"{root}/blob/{name[:2]}/{name}")
                        removed += 1
    return removed


def minimum_left(root: str, files: Files, to: int) -> int:
    """The number of the first bundle below `to` that is still there."""
    low, high = 0, to // tiles.WIDTH
    while low < high:
        middle = (low + high) // 2
        path = tiles.entries_path(middle)
        if path.rsplit("/", 1)[1] in files.list(f"{root}/{dirname(path)}"):
            high = middle
        else:
            low = middle + 1
    return low


def _prune_bundles(root: str, files: Files, to: int) -> int:
    """Remove bundles below `to`, from the beginning, so that what is left has no hole."""
    removed = 0
    folders: set[str] = set()
    for number in range(minimum_left(root, files, to), to // tiles.WIDTH):
        path = f"{root}/{tiles.entries_path(number)}"
        with suppress(FileNotFoundError):
            files.unlink(path)
            removed += tiles.WIDTH
        folders.add(dirname(path))
    for folder in folders:
        files.fsync_dir(folder)
    return removed
