"""Following the ledger: entries under a checkpoint go to a receiver, in order, each at least once.

For: one receiver; a receiver that is slow or away delays itself and nobody else, and gets everything when it is back.
Not for: threads, files and sockets (the composition root brings them), nor what an event looks like.
Invariant: the cursor moves only after the receiver has taken what is before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lockgate.errors import LockgateError
from lockgate.telemetry.ocsf import Entry, event

BATCH = 256
INTENTS_MAX = 10_000


class ReceiverError(LockgateError):
    """A receiver did not take events; they are sent again."""

    exit_status = 3


@dataclass(frozen=True, slots=True)
class Fact:
    """One entry on its way out.

    Args:
        intent: for an outcome, the entry that says who and what.
        event: as OCSF; never None.
    """

    log: str
    index: int
    entry: Entry
    intent: Entry | None
    event: Mapping[str, Any]


class Source(Protocol):
    """Where entries come from."""

    def origins(self) -> list[str]:
        """Every log."""
        ...

    def minimum(self, origin: str) -> int:
        """The lowest index that was not pruned."""
        ...

    def sealed(self, origin: str) -> int:
        """How many entries are under its checkpoint."""
        ...

    def decoded(self, origin: str, first: int, last: int) -> list[Entry]:
        """Entries [first, last) of a log."""
        ...


class Receiver(Protocol):
    """What takes events."""

    def send(self, facts: Sequence[Fact]) -> None:
        """Deliver all, or raise; what was delivered before an error may be delivered again.

        Raises:
            ReceiverError: they were not taken.
        """
        ...


class Cursor(Protocol):
    """How far a receiver is, by log; survives restarts."""

    def load(self) -> dict[str, int] | None:
        """What was stored last; None for a new receiver."""
        ...

    def store(self, positions: Mapping[str, int]) -> None:
        """Keep it, durably."""
        ...


class Follower:
    """One receiver's way through the logs."""

    def __init__(
        self,
        source: Source,
        receiver: Receiver,
        cursor: Cursor,
        *,
        from_start: bool,
        only: frozenset[str] = frozenset(),
    ) -> None:
        """Args:
        from_start: a new receiver gets everything there is; otherwise what comes from now on.
        only: kinds of entries; all when empty.
        """
        self._source, self._receiver, self._cursor, self._only = source, receiver, cursor, only
        self._intents: dict[tuple[str, int], Entry] = {}
        stored = cursor.load()
        if stored is None:
            stored = {} if from_start else {origin: source.sealed(origin) for origin in source.origins()}
            cursor.store(stored)
        self._positions = stored
        self.sent = 0

    @property
    def lag(self) -> int:
        """Entries that the receiver has not got yet."""
        return sum(
            max(0, self._source.sealed(origin) - self._positions.get(origin, 0)) for origin in self._source.origins()
        )

    def step(self) -> int:
        """Send at most one batch of each log; returns how many entries were passed.

        Raises:
            ReceiverError: the receiver did not take them; the next step tries again.
        """
        passed = 0
        for origin in self._source.origins():
            first = max(self._positions.get(origin, 0), self._source.minimum(origin))
            last = min(self._source.sealed(origin), first + BATCH)
            if last <= first:
                continue
            facts = self._facts(origin, first, last)
            if facts:
                self._receiver.send(facts)
                self.sent += len(facts)
            self._positions[origin] = last
            self._cursor.store(self._positions)
            passed += last - first
        return passed

    def _facts(self, origin: str, first: int, last: int) -> list[Fact]:
        found = []
        for index, entry in enumerate(self._source.decoded(origin, first, last), first):
            if entry.get("kind") == "intent":
                self._intents[origin, index] = entry
                while len(self._intents) > INTENTS_MAX:
                    del self._intents[next(iter(self._intents))]
            intent = self._intent(origin, entry)
            made = event(origin, index, entry, intent) if not self._only or entry.get("kind") in self._only else None
            if made is not None:
                found.append(Fact(origin, index, entry, intent, made))
        return found

    def _intent(self, origin: str, entry: Entry) -> Entry | None:
        number = entry.get("intent")
        if entry.get("kind") != "outcome" or not isinstance(number, int):
            return None
        known = self._intents.pop((origin, number), None)
        if known is not None or number < self._source.minimum(origin):
            return known
        return self._source.decoded(origin, number, number + 1)[0]
