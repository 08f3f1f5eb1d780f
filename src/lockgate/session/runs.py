"""One statement on its way: what was decided about it, and what has come back so far.

For: the state that the conversation makes and the replies fill.
Not for: deciding, parsing or writing bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lockgate.masking.copying import CopyMasker
from lockgate.masking.order import RowSorter
from lockgate.masking.rows import RowMasker
from lockgate.model.catalog import OwnTable
from lockgate.model.plan import Order, Plan
from lockgate.model.statement import Analysis, Kind, Parsed
from lockgate.session.scanning import ContentScan
from lockgate.wire.postgres import tags

_NONE: frozenset[int] = frozenset()
_ROWS = frozenset({tags.DATA_ROW})
_COPIED = frozenset({tags.COPY_DATA})


@dataclass(slots=True)
class Run:
    """One execution: a statement of a simple query, or a portal.

    Args:
        parsed: the statement.
        analysis: what it does.
        plan: what happens to its answer.
        intent: index of its intent entry.
        started_us: monotonic microseconds.
        inner: of a DECLARE: what its cursor will show.
        instead: the text that runs in the place of the client's, empty where it is the client's.
        held: masked rows in their order that the client has not asked for yet: it reads the result in pieces.
        source: of a FETCH: the cursor it was judged by.
        rows_max: most rows that may be shown, from `@row_limit`; None for all.
        whole: a text that could not be read: everything that is answered until ReadyForQuery is its answer.
        named: the prepared statement that it makes or runs.
        makes: the temporary table that it makes.
    """

    parsed: Parsed
    analysis: Analysis
    plan: Plan
    intent: int
    started_us: int
    masker: RowMasker | None = None
    sorter: RowSorter | None = None
    copier: CopyMasker | None = None
    scan: ContentScan | None = None
    rows: int = 0
    row_bytes: int = 0
    rows_max: int | None = None
    failed: str = ""
    failed_rule: str = "drift"
    instead: str = ""
    closed: bool = False
    inner: Run | None = None
    held: list[bytes] = field(default_factory=list)
    source: Portal | None = None
    whole: bool = False
    named: Prepared | None = None
    makes: OwnTable | None = None

    @property
    def streams_rows(self) -> bool:
        """True when rows travel unseen: nothing to mask, to order or to count."""
        return (
            self.scan is None
            and self.rows_max is None
            and not self.plan.masks
            and self.plan.order is Order.KEEP
            and not self.failed
        )

    @property
    def gathers(self) -> frozenset[int]:
        """Tags of the rows that can be treated many at a time: what masks and orders them is known, and nothing has failed."""
        if self.failed:
            return _NONE
        if self.copier is not None:
            return _NONE if self.rows_max is not None else _COPIED
        known = (self.masker is not None or not self.plan.masks) and (
            self.sorter is not None or self.plan.order is Order.KEEP
        )
        return _ROWS if known else _NONE


@dataclass(slots=True)
class Expect:
    """One answer the backend owes us, in order.

    `kind` is `parse`, `bind`, `close`, `describe-statement`, `describe-portal`, `execute`, `sync` or `query`; a `silent` answer is
    the gate's own and is not shown to the client. `rows_max` of an `execute`: how many rows the client asked for of a result that the
    gate reads as a whole to put it in order; 0 for all. `made`: what a `parse` or `bind` puts under its name.
    """

    kind: str
    runs: tuple[Run, ...] = ()
    silent: bool = False
    name: str = ""
    position: int = 0
    rows: list[bytes] = field(default_factory=list)
    error: dict[str, str] = field(default_factory=dict)
    tag: str = ""
    rows_max: int = 0
    made: Prepared | Portal | None = None

    @property
    def run(self) -> Run | None:
        """The run whose answer is arriving."""
        return self.runs[self.position] if self.position < len(self.runs) else None


@dataclass(slots=True)
class Prepared:
    """A prepared statement as the gate knows it, whether made by Parse or by PREPARE: both share one space of names.

    Args:
        text: what was judged: of a PREPARE, the statement in it.
        held: what the server holds, which is the same but for constants that were opened, or for stand-ins.
        relations: what its names meant when the server last analysed it.
        made_under: what it was last judged under.
        row_description: of its result, as the client may have been told.
        pending: the server has not said yet that it has it.
        pipeline: in which pipeline of the session it was made.
    """

    text: str
    parsed: tuple[Parsed, ...]
    parameter_types: tuple[int, ...]
    held: str
    pending: bool = True
    relations: frozenset[int] = frozenset()
    made_under: tuple[object, ...] = ()
    row_description: bytes = b""
    pipeline: int = 0


@dataclass(slots=True)
class Portal:
    """A portal or cursor: which statement it runs and what was decided at Bind or DECLARE, and under which meaning of names.

    Args:
        pending: the server has not said yet that it has it.
        pipeline: in which pipeline of the session it was made.
        displaced: what stood under its name before, and still does if the server rejects this one.
    """

    run: Run
    kind: Kind
    described: bool = False
    made_under: tuple[object, ...] = ()
    bound_under: tuple[object, ...] = ()
    pending: bool = False
    pipeline: int = 0
    displaced: Portal | None = None
