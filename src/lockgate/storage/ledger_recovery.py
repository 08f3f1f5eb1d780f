"""What a reopened log must know of its past: the last epoch and time, and the intents without an outcome.

For: writing `outcome unknown` for every statement that a crash cut off.
Not for: reading the write-ahead log (`wal_segments`); by the time this runs everything is integrated.
Source: evidence.md 1.4, crash recovery.

The file `open-intents` says which intents were open at some size, so that not the whole log is read again. It is only a
shortcut: when it is missing or malformed everything is read, and the verifier does not believe it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, cast

import msgspec

from lockgate.errors import CorruptLedgerError
from lockgate.ledger.entry import Template, decode
from lockgate.ledger.tiles import WIDTH
from lockgate.storage.durable import replace
from lockgate.storage.ledger_reader import minimum
from lockgate.storage.port import Files
from lockgate.storage.tile_store import read_bundle

_SHORTCUT = "open-intents"


class _Shortcut(msgspec.Struct, forbid_unknown_fields=True):
    """The file's content."""

    size: int
    open: list[int]


@dataclass(slots=True)
class OpenIntents:
    """Indices of intents that have no outcome yet."""

    open: set[int] = field(default_factory=set)

    def follow(self, index: int, fields: Mapping[str, object]) -> None:
        """Take one durable entry into account."""
        kind = fields.get("kind")
        if kind == "intent":
            self.open.add(index)
        elif kind == "outcome":
            intent = fields.get("intent")
            if isinstance(intent, int):
                self.open.discard(intent)

    def copy(self) -> OpenIntents:
        """The same intents, apart from what follows."""
        return OpenIntents(set(self.open))

    def store(self, files: Files, root: str, size: int) -> None:
        """Write the shortcut for a log of `size` entries."""
        replace(files, root, _SHORTCUT, msgspec.json.encode(_Shortcut(size, sorted(self.open))))


class Buffered(Protocol):
    """An entry as a log keeps it until it is durable."""

    encoded: bytes
    template: Template | None

    @property
    def values(self) -> tuple[object, ...]:
        """Values of the template's holes."""
        ...

    @property
    def fields(self) -> dict[str, object]:
        """The entry's fields."""
        ...


def settle(buffer: Iterable[Buffered], first: int, intents: OpenIntents, fresh: list[bytes]) -> None:
    """Take durable entries into account: which intents are open, and what is to be integrated."""
    for index, entry in enumerate(buffer, first):
        template = entry.template
        if template is None:
            intents.follow(index, entry.fields)
        elif template.names_intent:
            intents.open.discard(cast(int, entry.values[template.intent_at]))
        elif template.kind == "intent":
            intents.open.add(index)
        fresh.append(entry.encoded)


_SESSIONS_MAX = 200
DROPPED = "entries-dropped"


@dataclass(slots=True)
class Dropped:
    """Entries that could not be written and were refused: how many, since when, and which numbers of which sessions."""

    count: int = 0
    since: str = ""
    sessions: dict[str, list[int]] = field(default_factory=dict)

    def add(self, fields: Mapping[str, object]) -> None:
        """Count one."""
        self.count += 1
        self.since = self.since or str(fields["time"])
        session, number = fields.get("session"), fields.get("s")
        if isinstance(session, str) and isinstance(number, int):
            first, last = self.sessions.get(session, (number, number))
            if session in self.sessions or len(self.sessions) < _SESSIONS_MAX:
                self.sessions[session] = [min(first, number), max(last, number)]

    def entry(self) -> dict[str, object]:
        """The entry that accounts for them."""
        return {
            "kind": "admin", "event": DROPPED, "since": self.since, "dropped": self.count, "sessions": self.sessions,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class History:
    """Where the log's last epoch ended."""

    epoch: int
    last_time: str
    intents: OpenIntents


def _shortcut(files: Files, root: str, size: int) -> tuple[int, OpenIntents]:
    with suppress(FileNotFoundError, msgspec.DecodeError):
        stored = msgspec.json.decode(files.read(f"{root}/{_SHORTCUT}"), type=_Shortcut)
        if 0 <= stored.size <= size and all(0 <= index < stored.size for index in stored.open):
            return stored.size, OpenIntents(set(stored.open))
    return 0, OpenIntents()


def read_history(files: Files, root: str, size: int) -> History:
    """Read the integrated entries, from the shortcut on.

    Raises:
        CorruptLedgerError: a bundle is missing or an entry malformed.
    """
    start, intents = _shortcut(files, root, size)
    start = max(start, minimum(root, files))
    first = max(0, min(start, size - 1)) // WIDTH
    epoch, last_time = 0, ""
    for number in range(first, (size + WIDTH - 1) // WIDTH):
        try:
            entries = read_bundle(files, root, number, min(WIDTH, size - number * WIDTH))
        except FileNotFoundError:
            raise CorruptLedgerError("entry-missing", f"entry bundle {number} is missing") from None
        for index, entry in enumerate(entries, number * WIDTH):
            fields = decode(entry)
            if index >= start:
                intents.follow(index, fields)
            if isinstance(fields.get("epoch"), int):
                epoch = max(epoch, int(str(fields["epoch"])))
            last_time = str(fields["time"])
    return History(epoch, last_time, intents)
