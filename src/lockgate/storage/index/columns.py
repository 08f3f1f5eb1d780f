"""Entries become columns: bytes of leaves in, blocks for the index out.

For: the one place that knows which field of an entry is which column.
Not for: where entries come from and where blocks go (`indexer`).
Source: docs/reference/entries.md; evidence.md 1.3 and 2.2.

Decoding is column by column, because that is where the time goes: msgspec turns an entry into one struct, lists of tables, columns and
rules stay raw bytes until such bytes are seen for the first time. A field with an unexpected type counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from operator import attrgetter
from typing import Annotated, Any, TypeVar

import msgspec

from lockgate.storage.index import native
from lockgate.storage.index.schema import ENTRY, SHAPE, USED, Column

REMEMBERED_MAX = 100_000
"""Dictionary texts remembered as known to the index; when there are more, it starts over and the index removes duplicates."""
OPEN_MAX = 100_000
"""Intents remembered for their outcome; for an older one its entry is read again."""

_Key = TypeVar("_Key")
_NONE = msgspec.Raw(b"")


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Entry(msgspec.Struct, gc=False):
    """The fields of an entry that the index knows."""

    kind: str = ""
    time: datetime = EPOCH
    event: str = ""
    session: str = ""
    principal: str = ""
    principal_kind: str = ""
    on_behalf_of: str = ""
    binding: str = ""
    run: str = ""
    purpose: str = ""
    token: str = ""
    client: str = ""
    database: str = ""
    environment: str = ""
    statement: str = ""
    shape: str = ""
    tables: msgspec.Raw = _NONE
    columns: msgspec.Raw = _NONE
    decision: str = ""
    rules: msgspec.Raw = _NONE
    rule: str = ""
    policy: str = ""
    intent: Count | None = None
    status: str = ""
    sqlstate: str = ""
    rows: Count = 0
    bytes: Count = 0
    duration_us: Count = 0
    request: str | int = ""
    approver: str = ""
    by: str = ""
    persons: tuple[str, ...] = ()


_DECODER = msgspec.json.Decoder(Entry)
_LOOSE = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read(entry: bytes) -> Entry:
    """The known fields of an entry; one of an unexpected type is left out."""
    try:
        return _DECODER.decode(entry)
    except msgspec.ValidationError:
        found = Entry()
        for name, raw in _LOOSE.decode(entry).items():
            if name in Entry.__struct_fields__:
                _set(found, name, raw)
        return found


def _set(entry: Entry, name: str, raw: msgspec.Raw) -> None:
    try:
        setattr(entry, name, getattr(_DECODER.decode(msgspec.json.encode({name: raw})), name))
    except msgspec.ValidationError:
        return


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one log for one table, as the engine takes them.

    Args:
        end: index behind the last entry.
        month: `2026-11`; a block has one, so that the engine stores all of it or nothing.
        newest: time of the last entry, and no entry of a log is earlier than the one before.
    """

    log: str
    start: int
    end: int
    month: str
    newest: datetime
    stored: bytes


@dataclass(slots=True)
class Batch:
    """What a piece of a log adds to the index: dictionary rows first, then blocks of entries."""

    shapes: bytes | None = None
    used: bytes | None = None
    blocks: list[Block] = field(default_factory=list)


def _identity(kind: str, content: bytes) -> int:
    return int.from_bytes(sha256(kind.encode() + b"\x00" + content).digest()[:8], "big") or 1


class _Dictionary:
    """Ids of texts already in the index, and the rows that are not."""

    def __init__(self) -> None:
        self.known: dict[object, int] = {}
        self.fresh: list[tuple[object, ...]] = []

    def codes(self, keys: Sequence[_Key], row: Callable[[_Key], tuple[object, ...]]) -> list[int]:
        """The id of each key; a key seen for the first time becomes a row."""
        if len(self.known) > REMEMBERED_MAX:
            self.known.clear()
        known = self.known
        for key in set(keys):
            if key not in known:
                made = row(key)
                known[key] = made[0] if isinstance(made[0], int) else 0
                if made[0]:
                    self.fresh.append(made)
        return [known[key] for key in keys]

    def take(self) -> list[tuple[object, ...]]:
        """The new rows, which the caller stores."""
        fresh, self.fresh = self.fresh, []
        return fresh


_ShapeKey = tuple[str, str, bytes]


def _shape_row(key: _ShapeKey) -> tuple[object, ...]:
    statement, sql, tables = key
    if not statement:
        return (0,)
    content = msgspec.json.encode((statement, sql, tables))
    return _identity("shape", content), statement, sql, _names(tables)


def _used_row(raw: bytes) -> tuple[object, ...]:
    try:
        listed = msgspec.json.decode(raw, type=list[dict[str, str]]) if raw else []
    except msgspec.DecodeError:
        listed = []
    if not listed:
        return (0,)
    return (
        _identity("columns", raw),
        *([c.get(name, "") for c in listed] for name in ("name", "label", "disposition")),
    )


def _names(raw: bytes) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(raw, type=tuple[str, ...]) if raw else ()
    except msgspec.DecodeError:
        return ()


class Columns:
    """Turns consecutive entries of one log into blocks."""

    def __init__(self, log: str, entry_at: Callable[[int], bytes | None]) -> None:
        """Args:
        log: its origin.
        entry_at: an earlier entry of the same log, for an outcome whose intent is not remembered.
        """
        self._log = log
        self._entry_at = entry_at
        self._open: dict[int, Entry] = {}
        self._shapes = _Dictionary()
        self._used = _Dictionary()
        self._rules: dict[bytes, tuple[str, ...]] = {}

    def batch(self, start: int, stored: Sequence[bytes]) -> Batch:
        """The blocks of entries `start` and following, one for each month that they are of."""
        try:
            entries = [_DECODER.decode(one) for one in stored]
        except msgspec.ValidationError:
            entries = [read(one) for one in stored]
        found = Batch()
        first = 0
        while first < len(entries):
            month, last = _month(entries[first]), len(entries)
            if _month(entries[-1]) != month:
                last = next(i for i in range(first, last) if _month(entries[i]) != month)
            rows = self._rows(start + first, entries[first:last])
            found.blocks.append(Block(self._log, start + first, start + last, month, entries[last - 1].time, rows))
            first = last
        found.shapes, found.used = self._dictionaries()
        return found

    def _facts(self, start: int, entries: Sequence[Entry]) -> tuple[list[Entry], list[int]]:
        """Entries that say who, where and what, and for each row which of them does: an outcome's intent, else the row's own entry."""
        facts: list[Entry] = []
        where: list[int] = []
        here: dict[int, int] = {}
        for index, entry in enumerate(entries, start):
            fact = entry
            if entry.kind == "outcome" and entry.intent is not None:
                at = here.pop(entry.intent, None)
                if at is not None:
                    where.append(at)
                    continue
                known = self._open.pop(entry.intent) if entry.intent in self._open else self._again(entry.intent)
                fact = entry if known is None else known
            elif entry.kind == "intent":
                here[index] = len(facts)
            where.append(len(facts))
            facts.append(fact)
        self._open |= {index: facts[at] for index, at in here.items()}
        for index in [*self._open][: max(0, len(self._open) - OPEN_MAX)]:
            del self._open[index]
        return facts, where

    def _again(self, index: int) -> Entry | None:
        stored = self._entry_at(index)
        return None if stored is None else read(stored)

    def _rows(self, start: int, entries: Sequence[Entry]) -> bytes:
        count = len(entries)
        facts, where = self._facts(start, entries)
        shapes = self._shapes.codes([(f.statement, f.shape, bytes(f.tables)) for f in facts], _shape_row)
        own = [(e.intent or 0) if e.kind == "outcome" else i for i, e in enumerate(entries, start)]
        rules = self._all_rules(facts)
        requests = [str(f.request) for f in facts]
        stored: dict[str, bytes] = {
            "log": native.coded([self._log], [0] * count),
            "index": native.numbers(range(start, start + count)),
            "time": native.numbers([round(e.time.timestamp() * 1e6) for e in entries]),
            "rules": native.coded_lists([rules[at] for at in where]),
            "shape": native.numbers(map(shapes.__getitem__, where)),
            "columns": native.numbers(self._used_columns(entries, facts, where)),
            "intent": native.numbers(own),
            "request": native.texts([requests[at] for at in where]),
            "persons": native.text_lists([facts[at].persons for at in where]),
            "approver": native.coded([e.approver or e.by for e in entries]),
        }
        for name, get in _OWN_TEXTS.items():
            stored[name] = native.coded(list(map(get, entries)))
        for name, get in _SHARED_TEXTS.items():
            stored[name] = native.coded(list(map(get, facts)), where)
        for name, get in _RARE_TEXTS.items():
            values = list(map(get, facts))
            stored[name] = native.texts([values[at] for at in where])
        for name, get in _NUMBERS.items():
            stored[name] = native.numbers(map(get, entries))
        return _block(ENTRY, count, stored)

    def _used_columns(self, entries: Sequence[Entry], facts: Sequence[Entry], where: Sequence[int]) -> list[int]:
        """The set of columns of each row; an outcome may have its own, which says what was sent."""
        by_fact = self._used.codes([bytes(f.columns) for f in facts], _used_row)
        found = list(map(by_fact.__getitem__, where))
        sent = [i for i, e in enumerate(entries) if e.columns is not _NONE and e.kind == "outcome"]
        for i, code in zip(sent, self._used.codes([bytes(entries[i].columns) for i in sent], _used_row), strict=True):
            found[i] = code
        return found

    def _all_rules(self, facts: Sequence[Entry]) -> list[tuple[str, ...]]:
        raw = [bytes(f.rules) for f in facts]
        if len(self._rules) > REMEMBERED_MAX:
            self._rules.clear()
        for one in set(raw) - self._rules.keys():
            self._rules[one] = _names(one)
        return [self._rules[one] for one in raw]

    def _dictionaries(self) -> tuple[bytes | None, bytes | None]:
        shapes, used = self._shapes.take(), self._used.take()
        return _dictionary(SHAPE, shapes), _dictionary(USED, used)


def _getters(*names: str) -> dict[str, Callable[[Entry], Any]]:
    return {name: attrgetter(name) for name in names}


_OWN_TEXTS = _getters("kind", "event", "status", "sqlstate")
_SHARED_TEXTS = _getters(
    "principal", "principal_kind", "on_behalf_of", "binding", "run", "purpose", "client", "database", "environment", "statement",
    "decision", "rule", "policy",
)  # fmt: skip
_RARE_TEXTS = _getters("session", "token")
_NUMBERS = _getters("rows", "bytes", "duration_us")


def _month(entry: Entry) -> str:
    return f"{entry.time.year:04}-{entry.time.month:02}"


def _block(columns: Sequence[Column], count: int, stored: Mapping[str, bytes]) -> bytes:
    return native.block(count, [(c.name, c.type, stored[c.name]) for c in columns])


def _dictionary(columns: Sequence[Column], rows: Sequence[tuple[object, ...]]) -> bytes | None:
    """A dictionary's new rows as one block, or None."""
    if not rows:
        return None
    encoders: Mapping[str, Callable[..., bytes]] = {
        "UInt64": native.numbers, "String": native.texts, "LowCardinality(String)": native.coded, "Array(String)": native.text_lists,
    }  # fmt: skip
    by_column = zip(*rows, strict=True)
    stored = {c.name: encoders[c.type](values) for c, values in zip(columns, by_column, strict=True)}
    return _block(columns, len(rows), stored)
