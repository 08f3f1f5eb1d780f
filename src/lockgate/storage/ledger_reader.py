"""Reading a log: its entries, and the texts they refer to.

For: search, console and reports; safe beside the running writer, from any process that may read the folder.
Not for: proof. A reader believes the files; who does not runs the verifier.
Source: C2SP tlog-tiles; evidence.md 1.4 and 2.2 (the tail that no index has yet).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress

from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger import wal
from lockgate.ledger.blob import blob_name
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.tiles import WIDTH
from lockgate.storage.port import Files
from lockgate.storage.text_keys import keys_folder, open_sealed
from lockgate.storage.tile_store import TEXTS, read_bundle
from lockgate.storage.wal_segments import read_tail, segments

_ATTEMPTS = 5


def checkpoint(root: str, files: Files) -> Checkpoint | None:
    """What the log's checkpoint states, unverified; None before the first."""
    with suppress(FileNotFoundError):
        text = files.read(f"{root}/checkpoint").rpartition(b"\n\n")[0]
        try:
            return Checkpoint.parse(text.decode() + "\n")
        except UnicodeDecodeError:
            raise CorruptLedgerError("bad-signature", "the checkpoint is not text") from None
    return None


def minimum(root: str, files: Files) -> int:
    """The lowest index whose entry is stored; more than 0 after pruning."""
    with suppress(FileNotFoundError):
        text = files.read(f"{root}/minimum").decode("ascii", "replace").strip()
        if not text.isdecimal() or len(text) > 19:
            raise CorruptLedgerError("entry-missing", "the file `minimum` is not a number")
        return int(text)
    return 0


def _tail(root: str, files: Files) -> tuple[int, list[bytes]]:
    """The size under the checkpoint, and the entries after it; read again when the writer moved on meanwhile."""
    problem = LedgerError("the log is changing faster than it can be read")
    for _ in range(_ATTEMPTS):
        current = checkpoint(root, files)
        size = 0 if current is None else current.size
        try:
            tail = read_tail(files, [path for _, _, path in segments(files, root)], size)
        except FileNotFoundError:
            continue
        except CorruptLedgerError as error:
            problem = error
            continue
        if checkpoint(root, files) == current:
            return size, tail.entries
    raise problem


def entries(root: str, files: Files, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Every entry from index `start` on that was not pruned: those under the checkpoint, then those in the write-ahead log.

    Raises:
        CorruptLedgerError: a bundle is missing or malformed.
    """
    root = root.rstrip("/")
    start = max(start, minimum(root, files))
    size, tail = _tail(root, files)
    for number in range(start // WIDTH, (size + WIDTH - 1) // WIDTH):
        try:
            stored = read_bundle(files, root, number, min(WIDTH, size - number * WIDTH))
        except FileNotFoundError:
            raise CorruptLedgerError("entry-missing", f"entry bundle {number} is missing") from None
        for index, entry in enumerate(stored, number * WIDTH):
            if index >= start:
                yield index, entry
    for index, entry in enumerate(tail, size):
        if index >= start:
            yield index, entry


def _first_index(pack: str) -> int:
    first = pack.split("-", 1)[0]
    return int(first) if first.isdecimal() and len(first) < 20 else -1


def _sealed(root: str, files: Files, name: str, near: int | None) -> bytes | None:
    with suppress(FileNotFoundError):
        return files.read(f"{root}/blob/{name[:2]}/{name}")
    packs = sorted((p for p in files.list(f"{root}/{TEXTS}") if _first_index(p) >= 0), key=_first_index)
    middle = len(packs) if near is None else bisect_right([_first_index(p) for p in packs], near)
    stored = [f"{root}/{TEXTS}/{pack}" for pack in (*reversed(packs[:middle]), *packs[middle:])]
    for path in [*stored, *(path for _, _, path in segments(files, root))]:
        with suppress(FileNotFoundError):
            for index, payload in wal.scan(files.read(path))[0]:
                if index == wal.BLOB_INDEX and blob_name(payload) == name:
                    return payload
    return None


def open_text(root: str, name: str, text_key: bytes, *, files: Files, near: int | None = None) -> bytes:
    """The text that an entry's `text` names.

    Args:
        near: index of an entry that refers to it, so that the right pack is looked at first.

    Raises:
        LedgerError: it is not there, was erased, or the key is wrong.
    """
    root = root.rstrip("/")
    if len(name) != 64 or set(name) - set("0123456789abcdef"):
        raise LedgerError("a text is named by 64 hex digits")
    sealed = _sealed(root, files, name, near)
    if sealed is None or blob_name(sealed) != name:
        raise LedgerError("the sealed text is not there, or was changed")
    return open_sealed(folder=keys_folder(root), files=files, text_key=text_key, sealed=sealed)
