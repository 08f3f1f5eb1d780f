"""Reading a log: its entries, its statements, and the texts they refer to.

For: search, console and reports; safe beside the running writer, from any process that may read the folder.
Not for: proof. A reader believes the files; who does not runs the verifier.
Source: C2SP tlog-tiles; evidence.md 1.4 and 2.2 (the tail that no index has yet).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import suppress

from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger import wal
from lockgate.ledger.blob import blob_name
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.entry import decode
from lockgate.ledger.tiles import WIDTH
from lockgate.storage.port import Files
from lockgate.storage.text_keys import keys_folder, open_sealed
from lockgate.storage.tile_store import TEXTS, read_bundle
from lockgate.storage.wal_segments import read_tail, segments

_ATTEMPTS = 5
EQUAL_FILTERS = frozenset(
    {
        "log", "index", "kind", "intent", "session", "principal", "on_behalf_of", "run", "purpose", "database", "environment",
        "statement", "decision", "rows", "bytes", "sqlstate", "status", "client",
    }
)  # fmt: skip
MEMBER_FILTERS = frozenset({"tables", "columns", "rules", "persons"})
OTHER_FILTERS = frozenset({"since", "until", "shape"})
ROW_FIELDS = (
    "log", "index", "time", "kind", "intent", "session", "principal", "on_behalf_of", "run", "purpose", "client", "database",
    "environment", "statement", "shape", "tables", "columns", "decision", "rules", "rows", "bytes", "sqlstate", "duration_us",
    "status", "text", "policy", "token", "request", "approver", "persons",
)  # fmt: skip
"""Fields of a row, in this order; one that the entries do not have is None."""

Row = dict[str, object]


def checkpoint(root: str, files: Files) -> Checkpoint | None:
    """What the log's checkpoint states, unverified; None before the first."""
    with suppress(FileNotFoundError):
        text = files.read(f"{root}/checkpoint").rpartition(b"\n\n")[0]
        try:
            return Checkpoint.parse(text.decode() + "\n")
        except UnicodeDecodeError:
            raise CorruptLedgerError("bad-signature", "the checkpoint is not text") from None
    return None


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
    """Every entry from index `start` on, with its index: those under the checkpoint, then those in the write-ahead log.

    Raises:
        CorruptLedgerError: a bundle is missing or malformed.
    """
    root = root.rstrip("/")
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


def _check_filters(filters: Mapping[str, object]) -> None:
    unknown = set(filters) - EQUAL_FILTERS - MEMBER_FILTERS - OTHER_FILTERS
    if unknown:
        raise LedgerError(f"unknown filter: {', '.join(sorted(unknown))}")


def _names(value: object) -> set[str]:
    """The names in a list of texts or of columns."""
    found = set()
    for item in value if isinstance(value, list) else ():
        name = item.get("name") if isinstance(item, dict) else item
        if isinstance(name, str):
            found.add(name)
    return found


def _matches(row: Row, filters: Mapping[str, object]) -> bool:
    for key, wanted in filters.items():
        if key in EQUAL_FILTERS and row.get(key) != wanted:
            return False
        if key in MEMBER_FILTERS:
            members = (
                {wanted} if isinstance(wanted, str) else set(wanted) if isinstance(wanted, list | tuple) else set()
            )
            if not members or not members <= _names(row.get(key)):
                return False
    moment, shape = str(row["time"]), str(row.get("shape") or "")
    if "since" in filters and moment < str(filters["since"]):
        return False
    if "until" in filters and moment >= str(filters["until"]):
        return False
    return "shape" not in filters or str(filters["shape"]).lower() in shape.lower()


def search(root: str, files: Files, filters: Mapping[str, object], *, limit: int | None = None) -> list[Row]:
    """One row per statement: what was intended or denied, joined with what came of it.

    Entries of other kinds are rows only when the filter `kind` asks for them.

    Args:
        filters: equality on `EQUAL_FILTERS`; `tables`, `columns`, `rules`, `persons`: a name or several that must all be there;
            `since` (inclusive) and `until` (exclusive) as in an entry's `time`; `shape`: text inside it, in any case.
        limit: the newest so many rows; oldest first either way.

    Raises:
        LedgerError: a filter is unknown.
    """
    _check_filters(filters)
    root = root.rstrip("/")
    current = checkpoint(root, files)
    log = root.rsplit("/", 1)[-1] if current is None else current.origin
    kinds = {"intent", "deny"} | ({str(filters["kind"])} if "kind" in filters else set())
    rows: dict[int, Row] = {}
    for index, entry in entries(root, files):
        fields = decode(entry)
        if fields["kind"] == "outcome":
            intent = fields.get("intent")
            row = rows.get(intent) if isinstance(intent, int) else None
            if row is not None:
                row.update({key: fields[key] for key in _OUTCOME_FIELDS if fields.get(key) is not None})
        elif fields["kind"] in kinds:
            row = {key: fields.get(key) for key in ROW_FIELDS}
            row["log"], row["index"] = log, index
            row["intent"] = index if fields["kind"] == "intent" else None
            rows[index] = row
    found = [row for row in rows.values() if _matches(row, filters)]
    return found if limit is None else found[len(found) - min(limit, len(found)) :]


_OUTCOME_FIELDS = ("rows", "bytes", "sqlstate", "duration_us", "columns", "status")


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
