"""What the database contains, as the gate knows it: relations, columns, labels, functions.

A snapshot is immutable and carries its generation; analysis and decisions name the generation they used.
Source: PostgreSQL documentation, chapter 53 (system catalogs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

LABELS: tuple[str, ...] = (
    "person.name", "person.email", "person.phone", "person.address", "person.birth_date", "person.national_id",
    "payment.card", "payment.iban", "finance.salary", "amount.other", "network.address", "network.mac",
    "location.coordinates", "health.code", "secret.credential", "text.free", "derived.embedding", "none", "unknown",
)  # fmt: skip
"""Every label a column may carry; `none` is not sensitive, `unknown` is masked for agents and services."""


class ColumnRef(NamedTuple):
    """A base column by identity: relation OID and attribute number (0 = whole row, negative = system column)."""

    relation: int
    attnum: int


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a relation.

    `json_labels` maps a path of JSON keys to a label. `label_by` says who decided (`name`, `lineage`, `person`, `default`).
    """

    attnum: int
    name: str
    type_oid: int
    type_mod: int
    not_null: bool
    label: str
    label_by: str = "default"
    label_score: float = 0.0
    json_labels: tuple[tuple[tuple[str, ...], str], ...] = ()


@dataclass(frozen=True, slots=True)
class FoundLabel:
    """A label that a column, by its names, should have from now on: `by` is `content` or `lineage`."""

    schema: str
    table: str
    column: str
    label: str
    by: str
    score: float


@dataclass(frozen=True, slots=True)
class OwnTable:
    """A temporary table of one session, and what is in it: labels of its columns, in their order, `none` for those behind.

    `oid` is 0 until the server was asked for it.
    """

    name: str
    labels: tuple[str, ...] = ()
    oid: int = 0


@dataclass(frozen=True, slots=True)
class Index:
    """One index of a relation; `columns` has 0 for an expression, `expression_columns` the columns inside expressions."""

    oid: int
    name: str
    columns: tuple[int, ...]
    expression_columns: frozenset[int]
    unique: bool
    partial: bool
    immediate: bool
    clustered: bool


@dataclass(frozen=True, slots=True)
class Constraint:
    """A check or an exclusion of a relation: the columns that it reads together, 0 for the whole row.

    `validated`: every row is known to hold it.
    """

    columns: frozenset[int]
    validated: bool = True


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view, materialised view, partitioned or foreign table; `kind` is pg_class.relkind.

    `row_security`: which rows there are depends on who asks in a way that cannot be seen. `secured_by` are the columns that row security
    reads where it can be seen, number 0 for a whole row.

    `has_triggers`: a write may run code that users defined: triggers, or functions in checks, defaults and indexes, here or where the write
    reaches by foreign keys. `children` are its partitions or the tables that inherit from it, by OID: scanning it scans them.
    `made_of` are the relations that a materialised view was made of, 0 where its definition cannot be read. `partition_columns` decide into
    which partition a row goes, expressions looked through; `chosen_by` are the columns that decided it for the rows of a partition.
    `generated` are its columns that are computed from others. `deletes_reach` and `updates_reach` are tables whose rows change when rows
    here do, by foreign keys.
    """

    oid: int
    schema: str
    name: str
    kind: str
    columns: Mapping[int, Column]
    indexes: tuple[Index, ...] = ()
    row_security: bool = False
    has_triggers: bool = False
    has_rules: bool = False
    partition_columns: frozenset[int] = frozenset()
    chosen_by: frozenset[int] = frozenset()
    estimated_rows: float = 0.0
    children: tuple[int, ...] = ()
    made_of: frozenset[int] = frozenset()
    secured_by: frozenset[ColumnRef] = frozenset()
    constraints: tuple[Constraint, ...] = ()
    generated: frozenset[int] = frozenset()
    deletes_reach: frozenset[int] = frozenset()
    updates_reach: frozenset[int] = frozenset()

    @property
    def qualified_name(self) -> str:
        """`schema.name`, the Cedar name of the table."""
        return f"{self.schema}.{self.name}"

    @property
    def unique_keys(self) -> tuple[frozenset[int], ...]:
        """Sets of attribute numbers that identify a row: unique, immediate, complete and NOT NULL.

        A table with children has none: each child keeps keys of its own, so a scan of all may find one key twice. A partitioned
        table's keys hold across its partitions.
        """
        if self.children and self.kind != "p":
            return ()
        keys = []
        for index in self.indexes:
            columns = frozenset(index.columns)
            if not index.unique or index.partial or not index.immediate or 0 in columns:
                continue
            if all(c in self.columns and self.columns[c].not_null for c in columns):
                keys.append(columns)
        return tuple(keys)


def is_own(relation: Relation) -> bool:
    """Whether it is a temporary table: of the session that sees it, since nobody sees another's."""
    return relation.schema.startswith("pg_temp_")


def is_foreign(oid: int, catalog: Catalog) -> bool:
    """Whether another server answers for a relation, for a part of it, or for what it was made of: in whatever order it likes."""
    relation = catalog.relations.get(oid)
    if relation is None:
        return False
    return relation.kind == "f" or any(is_foreign(other, catalog) for other in (*relation.children, *relation.made_of))


def has_placed_rows(catalog: Catalog) -> bool:
    """Whether a column that some people may not see decides in which partition of some table a row is, so that sizes of partitions tell of its values."""
    return any(
        relation.columns[number].label != "none"
        for relation in catalog.relations.values()
        for number in relation.partition_columns
        if number in relation.columns
    )


@dataclass(frozen=True, slots=True)
class Function:
    """One pg_proc row, as far as analysis needs it; `volatility` is `i`, `s` or `v`, `kind` is prokind.

    `extension` names the extension that the function belongs to, empty for none. `vouched`: an administrator has said of exactly this
    definition that it computes from its arguments and shows nothing else.
    """

    oid: int
    schema: str
    name: str
    language: str
    volatility: str
    kind: str
    returns_set: bool
    strict: bool = False
    extension: str = ""
    vouched: bool = False


@dataclass(frozen=True, slots=True)
class Type:
    """One pg_type row: `kind` is typtype, `base` the domain's base or the array's element type OID (else 0).

    `extension` names the extension that the type belongs to, empty for none.
    """

    oid: int
    schema: str
    name: str
    kind: str
    base: int
    category: str
    relation: int = 0
    extension: str = ""


@dataclass(frozen=True, slots=True)
class Catalog:
    """A snapshot of one database as the gate sees it.

    `operators` are the functions of operators that the server does not bring itself, by their OIDs.
    """

    database: str
    environment: str
    server_version: int
    generation: int
    relations: Mapping[int, Relation]
    functions: Mapping[int, Function]
    types: Mapping[int, Type]
    default_label: str = "unknown"
    server_settings: Mapping[str, str] = field(default_factory=dict)
    operators: Mapping[int, int] = field(default_factory=dict)

    def column(self, ref: ColumnRef) -> Column | None:
        """The column `ref` names, or None when the snapshot does not have it."""
        relation = self.relations.get(ref.relation)
        return None if relation is None else relation.columns.get(ref.attnum)

    def column_name(self, ref: ColumnRef) -> str:
        """`schema.table.column` for messages and the ledger; OIDs where the snapshot has no name."""
        relation = self.relations.get(ref.relation)
        if relation is None:
            return f"{ref.relation}.{ref.attnum}"
        column = relation.columns.get(ref.attnum)
        # Which of the server's numbered schemas a session's temporary tables are in is chance.
        named = f"pg_temp.{relation.name}" if relation.schema.startswith("pg_temp_") else relation.qualified_name
        return f"{named}.{column.name if column else '*' if ref.attnum == 0 else ref.attnum}"
