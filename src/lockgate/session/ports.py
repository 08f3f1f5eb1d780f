"""What a session needs from outside, as small protocols.

For: the seams between the conversation and its surroundings; `app` and `transport` implement them.
Not for: behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from lockgate.ledger.blob import SealedText
from lockgate.ledger.entry import Template
from lockgate.masking.keys import KeyRing
from lockgate.masking.pseudonyms import PseudonymPool
from lockgate.model.catalog import Catalog, ColumnRef, FoundLabel
from lockgate.model.decision import Clearance
from lockgate.model.identity import Identity
from lockgate.model.statement import Access
from lockgate.policy.engine import Engine


class Recorder(Protocol):
    """The ledger as a session sees it: entries are buffered here and made durable by the driver."""

    def append(self, fields: Mapping[str, object], *, keep: bool = False) -> int:
        """Buffer one entry and return its index."""
        ...

    def template(self, fields: Mapping[str, object], holes: Sequence[str]) -> Template:
        """An entry of which only `holes` and what the ledger fills in differ from one time to the next."""
        ...

    def append_filled(
        self, template: Template, low: tuple[object, ...], high: tuple[object, ...], *, keep: bool = False
    ) -> int:
        """Buffer an entry made from a template: values of the holes that sort before `n`, and of those behind it."""
        ...

    def seal_text(self, database: str, text: bytes, classes: tuple[str, ...]) -> SealedText:
        """Buffer one encrypted blob of these dataset classes; its name, and the tokens of values that may name a person."""
        ...


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> datetime:
        """Aware UTC time."""
        ...

    def ticks_us(self) -> int:
        """Monotonic microseconds, for durations."""
        ...


class Counters(Protocol):
    """Facts for metrics; labels never carry statement text."""

    def count(self, name: str, **labels: str) -> None:
        """Count one fact."""
        ...

    def decided_again(self, count: int = 1) -> None:
        """Count permits that were remembered: `decisions_cached` and `decisions`."""
        ...

    def completed_again(self, count: int = 1) -> None:
        """Count complete statements: `statements`."""
        ...


class Holds(Protocol):
    """Held statements, as the session opens them."""

    def open(self, *, identity: Identity, database: str, environment: str, statement: str, digest: str, groups: tuple[str, ...],
             facts: Mapping[str, object], accesses: tuple[Access, ...], context: Mapping[str, object]) -> tuple[str, datetime]:  # fmt: skip
        """Open a request; returns its number and when it expires."""
        ...


class Told(Protocol):
    """Process numbers of backends, and those that clients were told."""

    def get(self, process: int, /) -> int | None:
        """The number that the client of this backend was told; None when it is nobody's of the gate."""
        ...


class Surroundings(Protocol):
    """Everything of the database a session serves that outlives one session."""

    database: str
    environment: str
    key_ring: KeyRing
    pseudonyms: PseudonymPool
    epoch: int
    bounded_rows: int
    order_buffer_bytes_max: int
    unsafe_order: frozenset[int]
    content: str
    looked_at: dict[ColumnRef, int]

    @property
    def known_as(self) -> Told:
        """Process numbers of backends, and those that clients were told."""
        ...

    @property
    def engine(self) -> Engine:
        """The policies in force."""
        ...

    @property
    def catalog(self) -> Catalog:
        """The newest snapshot."""
        ...

    def learn(self, found: Sequence[FoundLabel]) -> None:
        """Labels that were found while statements ran: in force from the next statement on, and recorded."""
        ...

    def clearance(self, identity: Identity, context: Mapping[str, object], now: datetime) -> Clearance:
        """What the chain may not see, over the newest snapshot."""
        ...
