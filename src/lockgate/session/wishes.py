"""What a session's conversation waits for.

The conversation is a generator: it yields one of these, and whoever drives it sends the answer. It never waits by itself, so the
same conversation runs on sockets and in tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lockgate.model.catalog import Catalog, ColumnRef, OwnTable, Relation
from lockgate.model.plan import Sought
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
class AnalyseHere:
    """As `Analyse`, on the session's own link, for what only the session can see; answered with `AnalysedHere` or `Failed`.

    Nothing is executed but what puts the link back into the state in which it was.

    Args:
        in_transaction: the client's transaction is open; it must go on as if nothing had been asked.
        tables: temporary tables of the session, newest last.
        changed: definitions that only the session can see may differ from those of the snapshot.
    """

    statements: tuple[Parsed, ...]
    parameter_types: tuple[int, ...]
    search_path: str
    in_transaction: bool
    tables: tuple[OwnTable, ...]
    changed: bool


@dataclass(frozen=True, slots=True)
class Substitute:
    """The statement with stand-ins in the place of masked columns, and only the rows that filters let through.

    Answered with `Substituted`, once the server has analysed the new text and shown that it reads masked columns nowhere else; or
    with `Failed`.

    Args:
        analysis: what the client's own text does.
        masked: columns that may not be read.
        hidden: columns by whose values rows may not be ordered: those masked for the principal, also where masking the answer is enough.
        sought: the client's values that are looked for among stand-ins.
        filters: (relation, condition) for tables of which only some rows may be seen.
        generation: of the catalog snapshot that the analysis was made with.
        here: the catalog as only the session sees it: its own link is asked; None for the analysis connection.
        in_transaction: as in `AnalyseHere`.
    """

    statement: Parsed
    parameter_types: tuple[int, ...]
    search_path: str
    analysis: Analysis
    masked: frozenset[ColumnRef]
    sought: tuple[Sought, ...] = ()
    filters: tuple[tuple[int, str], ...] = ()
    generation: int = 0
    hidden: frozenset[ColumnRef] = frozenset()
    here: Catalog | None = None
    in_transaction: bool = False


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
class AnalysedHere:
    """Analyses, the definitions that only the session sees, and its temporary tables with their numbers."""

    analyses: tuple[Analysis, ...]
    relations: Mapping[int, Relation]
    tables: tuple[OwnTable, ...]


@dataclass(frozen=True, slots=True)
class Substituted:
    """The text to run instead of the client's, and what the server said of it."""

    text: str
    row_description: bytes
    effect_free: bool


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


Wish = NextMessage | OpenBackend | Drain | Durable | Analyse | AnalyseHere | Substitute | FreshCatalog | Estimate | Hold
