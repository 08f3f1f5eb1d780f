"""What one statement is and does: kind, effects, accesses, provenance of every output.

`Parsed` is what PostgreSQL's grammar says of the text; `Analysis` is what the target server's own tree says of its meaning.
Source: masking.md 2.3 (outputs, control, writes, opaque); architecture section 3, step 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from lockgate.model.catalog import ColumnRef


class Kind(str, Enum):
    """Kinds of statement; a kind that is not here is refused."""

    SELECT = "select"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"
    COPY_OUT = "copy-out"
    COPY_IN = "copy-in"
    COPY_FILE = "copy-file"
    EXPLAIN = "explain"
    DECLARE = "declare"
    FETCH = "fetch"
    CLOSE = "close"
    PREPARE = "prepare"
    EXECUTE = "execute"
    DEALLOCATE = "deallocate"
    TRANSACTION = "transaction"
    SET = "set"
    SHOW = "show"
    DISCARD = "discard"
    TRUNCATE = "truncate"
    DROP = "drop"
    ALTER = "alter"
    CREATE = "create"
    CREATE_TABLE_AS = "create-table-as"
    CREATE_FUNCTION = "create-function"
    GRANT = "grant"
    ROLE = "role"
    DO = "do"
    CALL = "call"
    LOCK = "lock"
    LISTEN = "listen"
    MAINTENANCE = "maintenance"
    COMMENT = "comment"
    REPLICATION = "replication"
    REPLICATION_SLOT = "replication-slot"
    REPLICATION_STREAM = "replication-stream"
    BASE_BACKUP = "base-backup"
    EMPTY = "empty"
    OTHER = "other"


class Action(str, Enum):
    """The closed set of actions that policies speak of."""

    CONNECT = "connect"
    READ = "read"
    UNMASK = "unmask"
    WRITE = "write"
    DEFINE = "define"
    ADMINISTER = "administer"
    EXECUTE = "execute"
    EXPORT = "export"
    REPLICATE = "replicate"
    APPROVE = "approve"


@dataclass(frozen=True, slots=True)
class Access:
    """One action on one resource; `relation` 0 means the database itself, `name` is `schema.table` as far as known."""

    action: Action
    relation: int
    name: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """One statement as PostgreSQL's grammar reads it.

    Args:
        text: exactly the statement's own text inside the client's text.
        kind: what it is.
        inner: text of the statement inside EXPLAIN, DECLARE, PREPARE, COPY (...), CREATE TABLE AS; else empty.
        inner_kind: kind of `inner`.
        tables: names as written, (schema or "", name), in order.
        has_where: UPDATE and DELETE only.
        destructive: drops, truncates, alters, or rewrites what others rely on.
        executes: false for EXPLAIN without ANALYZE, PREPARE.
        name: cursor, prepared statement, setting, savepoint or channel.
        value: SET value when it is one plain constant; transaction operation (`begin`, `commit`, `rollback`, `savepoint`,
            `release`, `rollback-to`, `prepare-transaction`, ...).
        local: SET LOCAL.
        temporary: creates or drops temporary objects.
        columns: COPY column list.
        options: EXPLAIN and COPY option names in lower case with their constant value.
        shape: the text without literals, safe to store in clear.
        parameters: highest $n used.
        row_limit: FETCH count, None for ALL.
        calls: functions and operators named in a definition, in lower case without schema; with one for other schemas.
        at: where `text` begins in the client's text, in bytes.
        inner_at: where `inner` begins in `text`, in bytes; None when it is no piece of it.
        arguments: of EXECUTE, its arguments, and of PREPARE, the types it declares: where each begins in `text`, in bytes, and its text.
    """

    text: str
    kind: Kind
    shape: str
    inner: str = ""
    inner_kind: Kind | None = None
    tables: tuple[tuple[str, str], ...] = ()
    has_where: bool = False
    destructive: bool = False
    executes: bool = True
    name: str = ""
    value: str = ""
    local: bool = False
    temporary: bool = False
    columns: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    parameters: int = 0
    row_limit: int | None = None
    scroll: bool = False
    calls: tuple[str, ...] = ()
    at: int = 0
    inner_at: int | None = None
    arguments: tuple[tuple[int, str], ...] = ()


class UseKind(str, Enum):
    """How a statement uses the value of a base column (masking.md 2.3)."""

    OUTPUT = "output"  # passes through unchanged
    TRANSFORM = "transform"  # reaches an output changed
    EQUAL = "equal"  # compared by the type's own equality with other columns
    GROUP = "group"  # GROUP BY, DISTINCT, UNION, PARTITION BY on the bare column
    COUNT = "count"  # count(column), count(DISTINCT column)
    NULL_TEST = "null-test"
    CONTROL = "control"  # anything else that decides rows, order or counts
    DISTANCE = "distance"  # of an embedding to a vector that is given or another embedding
    WRITE_SOURCE = "write-source"
    WRITE_TARGET = "write-target"


WITH_SETS = " with sets"
"""Behind the name of a construct in `Level.put_together`: some of the groups are by fewer columns."""
ON_CONFLICT = "ON CONFLICT"
"""Detail of the WRITE_TARGET use of a column that is given a value where a row is in conflict."""


class Called(NamedTuple):
    """A function in LANGUAGE sql whose body belongs to a statement, and the search_path that it runs under; empty for the session's."""

    function: int
    search_path: str


class Given(NamedTuple):
    """A value that the client gives: parameter `$at`, or the constant at byte `at` of the analysed text."""

    parameter: bool
    at: int


class Restriction(NamedTuple):
    """What every row of a table that a statement uses must meet: a column compared with the client's own values.

    Args:
        operator: `=`, `<`, `<=`, `>`, `>=`; `in`: equal to one of several; `any`: equal to an element of one parameter.
        values: a number, a string, or a parameter.
    """

    column: str
    operator: str
    values: tuple[int | str | Given, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """One use of base columns' values.

    Args:
        kind: how.
        columns: base columns involved; for EQUAL all columns on both sides.
        detail: short words for a message (`function upper`, `operator <`, `ORDER BY`), never a literal.
        literal: a constant or parameter is mixed in (compared, coalesced, unioned).
        level: number of the query level in `Analysis.levels`.
        target: WRITE_SOURCE only: the column written.
        givens: EQUAL only: the client's own values that are compared; None when something else is as well.
        plain: WRITE_SOURCE only: the value is written unchanged.
    """

    kind: UseKind
    columns: frozenset[ColumnRef]
    detail: str = ""
    literal: bool = False
    level: int = 0
    target: ColumnRef | None = None
    givens: frozenset[Given] | None = None
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """One column of the result.

    `sources` are all base columns its value depends on; `plain` is true when the value is one of them unchanged (several by
    UNION, CASE or COALESCE); `literal` when a constant other than NULL may also appear. `row_of` is the relation whose whole row it is.
    """

    name: str
    type_oid: int
    sources: frozenset[ColumnRef]
    plain: bool
    literal: bool = False
    row_of: int = 0


@dataclass(frozen=True, slots=True)
class SortKey:
    """One ORDER BY key: its output position (or None), sources, and whether it is one bare column."""

    output: int | None
    sources: frozenset[ColumnRef]
    plain: bool
    type_oid: int


@dataclass(frozen=True, slots=True)
class Level:
    """One query level, with what decides the order and the choice of its rows.

    Args:
        parent: number of the enclosing level, None at the top.
        feeds: levels in FROM, CTEs used, set-operation arms: their row order flows into this one.
        relations: base relations scanned here.
        deciding: columns that equality, grouping, DISTINCT, UNION or PARTITION BY here uses.
        order_sensitive: constructs whose result depends on row order (`LIMIT`, `window row_number`, `aggregate array_agg`).
        single_row: aggregates without GROUP BY: one row whatever the order.
        sort: the ORDER BY.
        grouped: GROUP BY outputs as sources, empty when not grouped.
        distinct: DISTINCT or UNION without ALL at this level.
        total: the ORDER BY leaves ties only between rows that look the same.
        matching: columns whose equality with other columns decides which rows are put together.
        fails: something here that may fail for some rows and not for others; empty when nothing can.
        condition_fails: the same for what decides on rows.
        stops_early: it is read until one row is found, as EXISTS and IN are.
        put_together: bare columns by whose equality rows become one group, for each construct that does it.
    """

    parent: int | None
    feeds: tuple[int, ...] = ()
    relations: frozenset[int] = frozenset()
    deciding: frozenset[ColumnRef] = frozenset()
    order_sensitive: tuple[str, ...] = ()
    single_row: bool = False
    sort: tuple[SortKey, ...] = ()
    grouped: tuple[frozenset[ColumnRef], ...] = ()
    is_grouped: bool = False
    distinct: bool = False
    total: bool = False
    matching: frozenset[ColumnRef] = frozenset()
    fails: str = ""
    condition_fails: str = ""
    stops_early: bool = False
    put_together: tuple[tuple[str, frozenset[ColumnRef]], ...] = ()


UNKNOWN_COLUMN = "it has a column that the catalog snapshot does not know"
"""Why a relation is opaque that was given a column since the last look."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A part we cannot see into: function, operator, type or relation, with why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class WriteFact:
    """A write to one relation.

    `bounded` means: equality or IN with constants or parameters on all columns of a unique key, or no predicate needed (INSERT).
    `selective` means: some predicate compares a column of the target with a constant or parameter (not a tautology).
    `one_row`: equality with one value on all columns of something unique, NULLs or not, so that there is no order of rows.
    """

    kind: Kind
    relation: int
    bounded: bool
    selective: bool
    one_row: bool = False


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the server's own tree says of one statement.

    Args:
        kind: kind of the analysed statement.
        outputs: the result's columns, in order; empty for statements without a result.
        uses: every use of a base column's value, over all levels.
        levels: query levels; 0 is the top.
        reads: every base column whose value is used anywhere.
        relations: every relation named anywhere, views included.
        accesses: what policy is asked.
        writes: relations written.
        opaque: what we cannot see into; empty for most.
        effect_free: a SELECT without locking clause whose every function is immutable or stable and known.
        parameter_types: type OID of each $n.
        row_description: the server's RowDescription body as the analysis connection saw it, empty when none.
        functions: qualified names of functions called, for policy context and records.
        copied: of CREATE TABLE AS: what the new table's columns are made of.
        compared: type OID of each given value that nothing but comparisons with columns uses.
        unread: type OID of each constant that stands only where no analysis looks at its value.
        matched: type OID of each constant that stands only where the server compares expressions with each other, and nothing else looks at it.
        fixed: constants that are looked at before the statement runs, those included; with a negative place, those that no text has.
        vouched: functions that are seen into on an administrator's word only.
        own: everything that it defines or changes is a temporary table of the session's.
        called: functions whose bodies belong to it, with those whose bodies are not known yet.
        inside: relations that are named in bodies of functions.
    """

    kind: Kind
    outputs: tuple[Output, ...] = ()
    uses: tuple[Use, ...] = ()
    levels: tuple[Level, ...] = ()
    reads: frozenset[ColumnRef] = frozenset()
    relations: frozenset[int] = frozenset()
    accesses: tuple[Access, ...] = ()
    writes: tuple[WriteFact, ...] = ()
    opaque: tuple[Opaque, ...] = ()
    effect_free: bool = False
    parameter_types: tuple[int, ...] = ()
    row_description: bytes = b""
    functions: tuple[str, ...] = ()
    compared: tuple[tuple[Given, int], ...] = ()
    unread: tuple[tuple[Given, int], ...] = ()
    matched: tuple[tuple[Given, int], ...] = ()
    fixed: tuple[Given, ...] = ()
    copied: tuple[Output, ...] = ()
    own: bool = False
    vouched: tuple[str, ...] = ()
    called: tuple[Called, ...] = ()
    inside: frozenset[int] = frozenset()
