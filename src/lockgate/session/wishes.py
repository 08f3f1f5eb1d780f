"""What a session's conversation waits for.

The conversation is a generator: it yields one of these, and whoever drives it sends the answer. It never waits by itself, so the
same conversation runs on sockets and in tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lockgate.model.catalog import Catalog
from lockgate.model.statement import Analysis, Parsed


@dataclass(frozen=True, slots=True)
class NextMessage:
    """The client's next message; answered with a `Frame`, or None when the client is gone."""


@dataclass(frozen=True, slots=True)
class OpenBackend:
    """A backend link with the role that policy chose; answered with `BackendOpened` or `Failed`."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Every message forwarded so far has been answered; `flush` says whether the backend must be asked to flush."""


@dataclass(frozen=True, slots=True)
class Durable:
    """The ledger entry `index` is on disk; answered with the entry's final index, or None when it could not be written."""

    index: int


@dataclass(frozen=True, slots=True)
class Analyse:
    """The target server's own reading of statements; answered with `Analysed` or `Failed`.

    `search_path` is the session's; the driver makes the analysis connection agree before it asks.
    """

    statements: tuple[Parsed, ...]
    whole_text: str
    parameter_types: tuple[int, ...]
    search_path: str


@dataclass(frozen=True, slots=True)
class FreshCatalog:
    """The catalog snapshot, no older than the last DDL this gate has seen; answered with `Catalog`."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The planner's estimate of the rows a write touches; answered with a count or None."""

    text: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A person's decision about a held statement; answered with `HoldEnded`."""

    request_id: str


@dataclass(frozen=True, slots=True)
class BackendOpened:
    """What the gate learned when it opened the link."""

    parameters: Mapping[str, str]
    search_path: str


@dataclass(frozen=True, slots=True)
class Analysed:
    """Analyses in the order of the statements, with the snapshot they were read against."""

    analyses: tuple[Analysis, ...]
    catalog: Catalog


@dataclass(frozen=True, slots=True)
class Failed:
    """A wish that cannot be fulfilled.

    `report` holds the server's own error fields when the server rejected the statement; else `sqlstate` and `sentence` say why.
    """

    sqlstate: str
    sentence: str
    hint: str = ""
    report: Mapping[str, str] = field(default_factory=dict)
    reason: str = "unavailable"


@dataclass(frozen=True, slots=True)
class HoldEnded:
    """How a hold ended: `approved`, `denied`, `expired`, `cancelled`, `gone`."""

    state: str
    approver: str = ""


Wish = NextMessage | OpenBackend | Drain | Durable | Analyse | FreshCatalog | Estimate | Hold
