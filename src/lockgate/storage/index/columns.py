"""Entries become columns: bytes of leaves in, blocks for the index out.

For: the one place that knows which field of an entry is which column.
Not for: where entries come from and where blocks go (`indexer`).
Source: docs/reference/entries.md; evidence.md 1.3 and 2.2.

Decoding is column by column, because that is where the time goes: msgspec turns an entry into one struct, lists of tables, columns and
rules stay raw bytes until such bytes are seen for the first time. A field with an unexpected type counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from operator import attrgetter
from typing import Annotated, TypeVar, cast

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
    affected: Count | None = None
    bytes: Count = 0
    duration_us: Count = 0
    request: str | int = ""
    approver: str = ""
    by: str = ""
    persons: tuple[str, ...] = ()


_NOBODY = Entry()
"""Of an outcome whose intent is not there any more: who, where and what is not known."""
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


class _Dictionary(dict[_Key, int]):
    """Ids of texts already in the index, and the rows that are not."""

    def __init__(self, row: Callable[[_Key], tuple[object, ...]]) -> None:
        super().__init__()
        self._row = row
        self._fresh: list[tuple[object, ...]] = []

    def __missing__(self, key: _Key) -> int:
        made = self._row(key)
        if made[0]:
            self._fresh.append(made)
        self[key] = code = made[0] if isinstance(made[0], int) else 0
        return code

    def codes(self, keys: Iterable[_Key]) -> list[int]:
        """The id of each key; a key seen for the first time becomes a row."""
        if len(self) > REMEMBERED_MAX:
            self.clear()
        return list(map(self.__getitem__, keys))

    def take(self) -> list[tuple[object, ...]]:
        """The new rows, which the caller stores."""
        fresh, self._fresh = self._fresh, []
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
    names, labels, dispositions = ([c.get(name, "") for c in listed] for name in ("name", "label", "disposition"))
    treatment = msgspec.json.encode(sorted(set(zip(labels, dispositions, strict=True))))
    return _identity("columns", raw), names, labels, dispositions, _identity("treatment", treatment)


class _Used(_Dictionary[bytes]):
    """Sets of columns, and the treatment of each by its id."""

    def __init__(self) -> None:
        super().__init__(_used_row)
        self.treatments = {0: 0}

    def __missing__(self, key: bytes) -> int:
        code = super().__missing__(key)
        if code:
            self.treatments[code] = cast("int", self._fresh[-1][-1])
        return code


class _Names(dict[bytes, tuple[str, ...]]):
    """Lists of texts by their bytes."""

    def __missing__(self, raw: bytes) -> tuple[str, ...]:
        found = self[raw] = _names(raw)
        return found


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
        self._shapes = _Dictionary(_shape_row)
        self._used = _Used()
        self._rules = _Names()

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
            fact = entry if entry.kind != "outcome" else _NOBODY
            if entry.kind == "outcome" and entry.intent is not None:
                at = here.pop(entry.intent, None)
                if at is not None:
                    where.append(at)
                    continue
                known = self._open.pop(entry.intent) if entry.intent in self._open else self._again(entry.intent)
                fact = _NOBODY if known is None else known
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
        by_fact = native.picker(where)
        shapes = self._shapes.codes([(f.statement, f.shape, bytes(f.tables)) for f in facts])
        used = self._used_columns(entries, facts, where)
        own = [(e.intent or 0) if e.kind == "outcome" else i for i, e in enumerate(entries, start)]
        stored: dict[str, bytes] = {
            "log": native.coded([self._log], native.picker([0] * count)),
            "index": native.numbers(range(start, start + count)),
            "time": native.numbers([round(e.time.timestamp() * 1e6) for e in entries]),
            "rules": native.coded_lists(by_fact(self._all_rules(facts))),
            "shape": native.numbers(by_fact(shapes)),
            "columns": native.numbers(used),
            "treatment": native.numbers(map(self._used.treatments.__getitem__, used)),
            "intent": native.numbers(own),
        }
        stored["affected"] = native.numbers([e.affected or 0 for e in entries])
        for name, get in _NUMBERS.items():
            stored[name] = native.numbers(map(get, entries))
        kinds, at = native.coded_keys(map(_OWN, entries))
        pick = native.picker(at)
        *own_texts, approvers, by = zip(*kinds, strict=True)
        for name, values in zip(_OWN_TEXTS[:-2], own_texts, strict=True):
            stored[name] = native.coded(values, pick)
        stored["approver"] = native.coded([one or other for one, other in zip(approvers, by, strict=True)], pick)
        for get, names in ((_WHO, _WHO_TEXTS), (_RULING, _RULING_TEXTS)):
            keys, of_fact = native.coded_keys(map(get, facts))
            pick = native.picker(by_fact(of_fact))
            for name, values in zip(names, zip(*keys, strict=True), strict=True):
                stored[name] = _ENCODERS.get(name, native.coded)(values, pick)
        return _block(ENTRY, count, stored)

    def _used_columns(self, entries: Sequence[Entry], facts: Sequence[Entry], where: Sequence[int]) -> list[int]:
        """The set of columns of each row; an outcome may have its own, which says what was sent, and counts when its intent is there."""
        by_fact = self._used.codes([bytes(f.columns) for f in facts])
        found = list(map(by_fact.__getitem__, where))
        outcomes = (i for i, e in enumerate(entries) if e.columns is not _NONE and e.kind == "outcome")
        sent = [i for i in outcomes if facts[where[i]] is not _NOBODY]
        for i, code in zip(sent, self._used.codes([bytes(entries[i].columns) for i in sent]), strict=True):
            found[i] = code
        return found

    def _all_rules(self, facts: Sequence[Entry]) -> list[tuple[str, ...]]:
        if len(self._rules) > REMEMBERED_MAX:
            self._rules.clear()
        return [self._rules[bytes(f.rules)] for f in facts]

    def _dictionaries(self) -> tuple[bytes | None, bytes | None]:
        shapes, used = self._shapes.take(), self._used.take()
        return _dictionary(SHAPE, shapes), _dictionary(USED, used)


# Texts that go together are taken as one tuple: there are few different ones, and each is coded once for all its columns.
_OWN_TEXTS = ("kind", "event", "status", "sqlstate", "approver", "by")
_WHO_TEXTS = (
    "principal", "principal_kind", "on_behalf_of", "binding", "run", "purpose", "client", "database", "environment", "session", "token",
)  # fmt: skip
_RULING_TEXTS = ("statement", "decision", "rule", "policy", "request", "persons")
_OWN, _WHO, _RULING = attrgetter(*_OWN_TEXTS), attrgetter(*_WHO_TEXTS), attrgetter(*_RULING_TEXTS)
_NUMBERS = {name: attrgetter(name) for name in ("rows", "bytes", "duration_us")}
_ENCODERS: dict[str, Callable[..., bytes]] = {
    "session": native.texts,
    "token": native.texts,
    "request": lambda values, pick: native.texts([str(value) for value in values], pick),
    "persons": lambda values, pick: native.text_lists(pick(values)),
}


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
