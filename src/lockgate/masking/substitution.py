"""The subqueries that stand where a statement names tables with masked columns or with filtered rows.

For: for each such table one subquery with the same columns in the same order and of the same types, in which masked columns are
stand-ins, rows outside a filter are absent, and the order of rows depends on nothing that is masked.
Not for: finding the tables in the client's text (`sql.splice`) or checking what the server makes of the result (`sql.reanalysis`).
Invariant: the real value of a masked column is used for three things: whether it is NULL, its public shape, and which rows have equal
ones. Equal ones are numbered by their first row, over all columns of the statement that share a label.
Source: docs/adr/0011-stand-ins.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lockgate.errors import RefusedStatementError
from lockgate.masking.narrowed import Narrowing, narrowing
from lockgate.masking.stand_ins import StandIn, comparable, last_part, mail_domain, shown_domain, stand_in, type_name
from lockgate.model.catalog import Catalog, Column, ColumnRef, Relation, is_foreign
from lockgate.model.plan import Sought
from lockgate.model.statement import Restriction

_INTEGERS = frozenset({20, 21, 23})
_BASE, _ROW = "lockgate_b", "lockgate_r"
_MAIL = "person.email"
_ROOMY = frozenset({"person.name", "person.email"})
"""Labels whose stand-ins hold a number of any size."""
SUBSTITUTED_KINDS = frozenset({"r", "p", "m", "f"})


@dataclass(slots=True)
class Substitution:
    """What one statement's tables are replaced by.

    Args:
        masked: columns that the principal may not see.
        reads: columns whose value the statement uses; other masked columns are not even read.
        filters: table -> condition over its columns, for tables of which only some rows may be seen.
        unsafe_order: relations whose stored order may depend on masked values.
        ordered: rows come in an order that depends on nothing masked; not needed where no row is shown.
        hidden: further columns whose values must not order rows: those that are masked in the answer.
    """

    catalog: Catalog
    masked: frozenset[ColumnRef]
    reads: frozenset[ColumnRef]
    filters: Mapping[int, str]
    unsafe_order: frozenset[int]
    hidden: frozenset[ColumnRef] = frozenset()
    ordered: bool = True
    _narrowings: Mapping[int, Narrowing] = field(default_factory=dict)
    _groups: dict[tuple[str, str], list[ColumnRef]] = field(default_factory=dict)
    _shown: dict[ColumnRef, StandIn] = field(default_factory=dict)
    _made: dict[tuple[int, bool, str], str] = field(default_factory=dict)
    _far: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Find which columns share numbers."""
        self.hidden |= self.masked
        if self.masked:
            self._far = frozenset(oid for oid in self.catalog.relations if is_foreign(oid, self.catalog))
        for reference in sorted(self.masked & self.reads, key=self._place):
            column = self.catalog.column(reference)
            if column is None:
                continue
            shown = stand_in(column, self.catalog)
            self._shown[reference] = shown
            if shown.family:
                self._groups.setdefault((column.label, shown.family), []).append(reference)
        for members in self._groups.values():
            # Numbers come from tables with an order as far as they go.
            members.sort(key=lambda reference: self._has_no_order(self.catalog.relations[reference.relation]))

    @property
    def relations(self) -> frozenset[int]:
        """Relations that must be replaced wherever they are named; views are not among them, their definitions are rewritten."""
        known = self.catalog.relations
        named = {reference.relation for reference in self.masked} | set(self.filters)
        named |= self._far
        return frozenset(oid for oid in named if oid not in known or known[oid].kind != "v")

    def narrowed(self, asked: Mapping[int, tuple[Restriction, ...]], types: tuple[int, ...]) -> Substitution | None:
        """The same for a statement that uses only some rows of some tables; None when that makes no difference.

        Args:
            asked: table -> what every row of it that the statement uses must meet; the statement names each of them once.
            types: of the statement's parameters.
        """
        found = {}
        for oid in asked.keys() & {reference.relation for reference in self._shown}:
            relation = self.catalog.relations[oid]
            if self._has_no_order(relation):
                continue
            one = narrowing(asked[oid], relation, self.hidden, types, _BASE)
            if one is not None:
                found[oid] = one
        if not found or not self.ordered:
            return None
        return Substitution(
            self.catalog, self.masked, self.reads, self.filters, self.unsafe_order, self.hidden, _narrowings=found
        )

    @property
    def narrow(self) -> frozenset[int]:
        """Tables whose subqueries have only the rows that the statement asks for."""
        return frozenset(self._narrowings)

    def subquery(self, oid: int, *, only: bool = False, sample: str = "") -> str:
        """The subquery for one relation, in brackets and without an alias.

        Args:
            only: without the tables that inherit from it.
            sample: a TABLESAMPLE clause, which chooses rows by their place.

        Raises:
            RefusedStatementError: no order or place of its rows is known that depends on nothing masked.
        """
        key = oid, only, sample
        if key not in self._made:
            self._made[key] = self._subquery(oid, only=only, sample=sample)
        return self._made[key]

    def _subquery(self, oid: int, *, only: bool, sample: str) -> str:
        relation = self.catalog.relations[oid]
        if relation.kind not in SUBSTITUTED_KINDS:
            raise RefusedStatementError(
                "stand-in-relation", "a relation with masked columns is neither a table nor a view"
            )
        if sample:
            self._refuse_place(relation)
        sample = f" {sample}" if sample else ""
        joins: list[str] = []
        columns = [self._column(relation, column, joins) for _, column in sorted(relation.columns.items())]
        if oid in self.filters:
            # OFFSET 0 keeps the client's own conditions outside: evaluated first, they could fail on rows that are hidden.
            named = ", ".join(
                f"{_BASE}.{_quoted(c.name)}" for c in relation.columns.values() if self._is_read(relation, c)
            )
            rows = (
                f"(SELECT {_BASE}.tableoid, {_BASE}.ctid, {named} FROM {'ONLY ' if only else ''}{_name(relation)} AS {_BASE}{sample}"  # noqa: S608
                f"{self._condition(oid)} OFFSET 0)"
            )
            sample = condition = ""
        else:
            rows, condition = f"{'ONLY ' if only else ''}{_name(relation)}", self._condition(oid)
        text = f"SELECT {', '.join(columns)} FROM {rows} AS {self._alias(relation)}{sample}{''.join(joins)}{condition}"  # noqa: S608
        is_one = oid in self._narrowings and self._narrowings[oid].one_row
        settled = not any(reference.relation == oid for reference in self.hidden) and not is_foreign(oid, self.catalog)
        if is_one or not self.ordered or settled:
            return f"({text})"
        if self._has_no_order(relation) and self._shows_all(relation):
            # Rows that tie in all of their bytes, as they are shown, cannot be told apart. Where a masked value chooses the partition, what is
            # known of each partition is kept from the planner: what it expects of a condition would choose the plan, and so the order of ties.
            hidden = {reference.attnum for reference in self.hidden if reference.relation == oid}
            apart = " OFFSET 0" if relation.partition_columns & hidden else ""
            return f"(SELECT {_ROW}.* FROM ({text}) AS {_ROW} ORDER BY {_ROW}.* USING OPERATOR(pg_catalog.*<){apart})"  # noqa: S608 - our own pieces
        return f"({text} ORDER BY {', '.join(self._order(relation))})"

    def value(self, sought: Sought) -> str:
        """A value of the client's as its column shows it, in brackets; NULL when no row has it.

        For a parameter the text is `$n`, which is bound to the opened value.
        """
        reference = sought.column
        column = self.catalog.relations[reference.relation].columns[reference.attnum]
        shown = self._shown[reference]
        kind = self._compared_type(column, shown)
        given = sought.lookup.given
        text = f"${given.at}" if given.parameter else sought.text
        key = comparable(column, self.catalog, f"{_BASE}.value")
        expression = shown.write(f"{_BASE}.value", "lockgate_m0.n", shown_domain("lockgate_m0d.w", "lockgate_m0d.n"))
        join = self._numbers(column.label, shown.family, "lockgate_m0", key, inner=True)
        own = type_name(sought.lookup.given_type, -1, self.catalog)
        if own is None:
            raise RefusedStatementError("stand-in-type", "a value has a type that the catalog snapshot does not know")
        for member in self._groups[column.label, shown.family]:
            relation = self.catalog.relations[member.relation]
            if self._has_no_order(relation):
                self._refuse_place(relation)  # which of several values of a kind is looked for would tell their order
        typed = f"{text}::{own}" if given.parameter else text
        if self.is_array(sought):
            several = typed if given.parameter else f"{text}::{own}"
            return f"(SELECT ARRAY(SELECT {expression} FROM pg_catalog.unnest({several}) AS {_BASE}(value) {join}))"  # noqa: S608
        return f"(SELECT {expression} FROM (SELECT {typed}::{kind} AS value) AS {_BASE} {join})"  # noqa: S608 - our own pieces

    def cast(self, sought: Sought) -> str:
        """What stands behind `value` in the statement: an array in brackets would be read as rows otherwise."""
        name = type_name(sought.lookup.given_type, -1, self.catalog)
        return f"::{name}" if self.is_array(sought) else ""

    def value_columns(self, sought: Sought) -> str:
        """A query of the same column as `value`, in brackets, that reads nothing."""
        reference = sought.column
        column = self.catalog.relations[reference.relation].columns[reference.attnum]
        name = type_name(_base_type(column.type_oid, self.catalog), column.type_mod, self.catalog)
        return f"(SELECT NULL::{name}{'[]' if self.is_array(sought) else ''})"

    def is_array(self, sought: Sought) -> bool:
        """Whether several values are given at once."""
        known = self.catalog.types.get(sought.lookup.given_type)
        return known is not None and known.category == "A"

    def _compared_type(self, column: Column, shown: StandIn) -> str:
        if shown.family == "number":
            return "pg_catalog.numeric"
        if shown.family == "text":
            return "pg_catalog.text"
        name = type_name(_base_type(column.type_oid, self.catalog), -1, self.catalog)
        if not shown.family or name is None:
            raise RefusedStatementError("stand-in-lookup", "a value cannot be looked for among stand-ins of this kind")
        return name

    def columns(self, oid: int) -> str:
        """A query of the same columns, in brackets, that reads nothing."""
        relation = self.catalog.relations[oid]
        return f"(SELECT {', '.join(self._nothing(column) for _, column in sorted(relation.columns.items()))})"

    def _nothing(self, column: Column) -> str:
        name = type_name(_base_type(column.type_oid, self.catalog), column.type_mod, self.catalog)
        if name is None:
            raise RefusedStatementError("stand-in-type", "a column has a type that the catalog snapshot does not know")
        return f"NULL::{name} AS {_quoted(column.name)}"

    def _is_read(self, relation: Relation, column: Column) -> bool:
        """Whether the value is used, or nobody said that it must not be."""
        reference = ColumnRef(relation.oid, column.attnum)
        return reference not in self.masked or reference in self._shown

    def _place(self, reference: ColumnRef) -> tuple[str, int]:
        relation = self.catalog.relations.get(reference.relation)
        return ("" if relation is None else relation.qualified_name, reference.attnum)

    def _alias(self, relation: Relation) -> str:
        """Where a plan is shown, the table goes by its own name."""
        return _BASE if self.ordered else _quoted(relation.name)

    def _column(self, relation: Relation, column: Column, joins: list[str]) -> str:
        reference = ColumnRef(relation.oid, column.attnum)
        value = f"{self._alias(relation)}.{_quoted(column.name)}"
        if reference not in self.masked:
            return value
        shown = self._shown.get(reference)
        if shown is None:
            return self._nothing(column)
        number = domain = ""
        if shown.family and self._is_one_value(reference):
            key = comparable(column, self.catalog, value)
            number, domain = self._only_number(relation, column), shown_domain(last_part(key), "1")
        elif shown.family:
            alias = f"lockgate_m{len(joins)}"
            key = comparable(column, self.catalog, value)
            joins.append(self._numbers(column.label, shown.family, alias, key))
            number, domain = f"{alias}.n", shown_domain(f"{alias}d.w", f"{alias}d.n")
        return f"{shown.write(value, number, domain)} AS {_quoted(column.name)}"

    def _is_one_value(self, reference: ColumnRef) -> bool:
        """Whether it is the only value that is numbered: of one row, and with no other column of its class."""
        found = self._narrowings.get(reference.relation)
        label = self.catalog.relations[reference.relation].columns[reference.attnum].label
        alone = len(self._groups[label, self._shown[reference].family]) == 1
        return alone and found is not None and found.one_row

    def _only_number(self, relation: Relation, column: Column) -> str:
        """The number of the only value: that of its row, as `_numbers` gives it, or the first."""
        key = self._key(relation)
        by_key = key is not None and len(key) == 1 and key[0].type_oid in _INTEGERS and column.label in _ROOMY
        return f"{self._order(relation)[0]}::pg_catalog.int8" if by_key else "1::pg_catalog.int8"

    def _condition(self, oid: int) -> str:
        """Which rows of a table there are."""
        parts = [f"({self.filters[oid]})"] if oid in self.filters else []
        if oid in self._narrowings:
            parts.append(self._narrowings[oid].condition)
        return f" WHERE {' AND '.join(parts)}" if parts else ""

    def _numbers(self, label: str, family: str, alias: str, key: str, *, inner: bool = False) -> str:
        """Joins that give a value its number by first appearance, and a mail address its domain.

        Where one table's integer key orders the values and the number need not be small, it is that key itself: ranking costs a sort.

        Args:
            key: the value, as `comparable` writes it.
            inner: values without a number do not come through.
        """
        rows, by_key = self._rows(label, family)
        kind = "JOIN" if inner else "LEFT JOIN"
        if by_key and label in _ROOMY:
            numbers = f"(SELECT u.v, pg_catalog.min(u.o) AS n FROM {rows} GROUP BY u.v)"  # noqa: S608 - our own pieces
        else:
            numbers = (
                "(SELECT g.v, pg_catalog.row_number() OVER (ORDER BY g.o) AS n"  # noqa: S608 - our own pieces
                f" FROM (SELECT u.v, pg_catalog.min(u.o) AS o FROM {rows} GROUP BY u.v) AS g)"
            )
        text = f" {kind} {numbers} AS {alias} ON {alias}.v OPERATOR(pg_catalog.=) {key}"
        if label == _MAIL and family == "text":
            # There is one row for each domain already; DISTINCT ON lets the planner know. Without it the join is taken for one of all
            # addresses with all, estimated at hundreds of times its rows, and compiled at the cost of seconds.
            domain = mail_domain("u.v")
            text += (
                f" LEFT JOIN (SELECT DISTINCT ON (f.w) f.w, f.n FROM (SELECT g.w, pg_catalog.row_number() OVER (ORDER BY g.o) AS n"  # noqa: S608
                f" FROM (SELECT {domain} AS w,"
                f" pg_catalog.min(u.o) AS o FROM {rows} GROUP BY 1) AS g) AS f) AS {alias}d ON {alias}d.w OPERATOR(pg_catalog.=) {mail_domain(key)}"
            )
        return text

    def _rows(self, label: str, family: str) -> tuple[str, bool]:
        """Every value of a class in this statement with the position of its row, and whether positions are one table's integer key."""
        members = self._groups[label, family]
        several = len(members) > 1
        parts = [self._values(reference, place if several else None) for place, reference in enumerate(members)]
        key = self._key(self.catalog.relations[members[0].relation])
        by_key = not several and key is not None and len(key) == 1 and key[0].type_oid in _INTEGERS
        return f"({' UNION ALL '.join(parts)}) AS u WHERE u.v IS NOT NULL", by_key

    def _values(self, reference: ColumnRef, place: int | None) -> str:
        """One column's values with the position of their rows."""
        relation = self.catalog.relations[reference.relation]
        column = relation.columns[reference.attnum]
        if self._has_no_order(relation) and self._is_alone(reference):
            return self._ranked(reference, place)
        order = self._order(relation)
        key = self._key(relation)
        if key is not None and len(key) == 1 and key[0].type_oid in _INTEGERS:
            position = f"{order[0]}::pg_catalog.int8"
        else:
            position = f"pg_catalog.row_number() OVER (ORDER BY {', '.join(order)})"
        if place is not None:
            position = f"ARRAY[{place}::pg_catalog.int8, {position}]"
        value = comparable(column, self.catalog, f"{_BASE}.{_quoted(column.name)}")
        text = f"SELECT {value} AS v, {position} AS o FROM {_name(relation)} AS {_BASE}"  # noqa: S608 - names are quoted
        return text + self._condition(relation.oid)

    def _ranked(self, reference: ColumnRef, place: int | None) -> str:
        """One column's values, ordered by all that is shown of them and of their rows.

        Values of which the same is shown can change places without anything changing, mail domains with all their addresses as well. So it does
        not matter how they are ordered; it is by themselves, to have one order wherever the table stands in the statement.
        """
        relation = self.catalog.relations[reference.relation]
        column = relation.columns[reference.attnum]
        key = comparable(column, self.catalog, f"{_BASE}.{_quoted(column.name)}")
        domain = mail_domain(key) if self._has_domains(reference) else "NULL::pg_catalog.text"
        shape = self._shown[reference].write(
            f"{_BASE}.{_quoted(column.name)}", "0::pg_catalog.int8", shown_domain(domain, "0")
        )
        beside = [self._column(relation, c, []) for _, c in sorted(relation.columns.items()) if c is not column]
        # In binary, which no setting of the session rounds.
        listed = ", ".join(beside) or "NULL"
        row = f"(SELECT pg_catalog.record_send(x) FROM (SELECT {listed}) AS x)"  # noqa: S608 - our own pieces
        rows = f"SELECT {key} AS v, {domain} AS w, {_in_bytes(f'{shape}::pg_catalog.text')} AS h, {row} AS s FROM {_name(relation)} AS {_BASE}"  # noqa: S608
        rows += f" WHERE ({self.filters[relation.oid]})" if relation.oid in self.filters else ""
        values = f"SELECT p.v, p.w, {_in_bytes('ROW(p.h, pg_catalog.array_agg(p.s ORDER BY p.s))::pg_catalog.text')} AS s FROM ({rows}) AS p GROUP BY p.v, p.w, p.h"  # noqa: S608
        whole = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
        domains = f"SELECT q.*, pg_catalog.array_agg(q.s) OVER (PARTITION BY q.w ORDER BY q.s {whole}) AS d FROM ({values}) AS q"  # noqa: S608
        position = "pg_catalog.row_number() OVER (ORDER BY q.s, q.d, q.w, q.v)"
        if place is not None:
            position = f"ARRAY[{place}::pg_catalog.int8, {position}]"
        return f"SELECT q.v, {position} AS o FROM ({domains}) AS q"  # noqa: S608

    def _has_domains(self, reference: ColumnRef) -> bool:
        column = self.catalog.relations[reference.relation].columns[reference.attnum]
        return column.label == _MAIL and self._shown[reference].family == "text"

    def _is_alone(self, reference: ColumnRef) -> bool:
        """Whether no other number is shown in the rows of its table, and its class has no other table without an order, or none that shares domains."""
        numbered = [r for r, shown in self._shown.items() if shown.family and r.relation == reference.relation]
        column = self.catalog.relations[reference.relation].columns[reference.attnum]
        members = self._groups[column.label, self._shown[reference].family]
        others = [
            r for r in members if self._has_domains(reference) or self._has_no_order(self.catalog.relations[r.relation])
        ]
        return numbered == others == [reference] and self._shows_all(self.catalog.relations[reference.relation])

    def _has_no_order(self, relation: Relation) -> bool:
        """Whether it has neither a key nor places that may be known."""
        return self._key(relation) is None and self._has_told_place(relation)

    def _key(self, relation: Relation) -> tuple[Column, ...] | None:
        """The columns of a key without masked ones, one integer if there is one."""
        hidden = {reference.attnum for reference in self.hidden if reference.relation == relation.oid}
        keys = [
            tuple(relation.columns[number] for number in sorted(key))
            for key in relation.unique_keys
            if not key & hidden and key <= relation.columns.keys()
        ]
        return min(keys, key=lambda key: (len(key), key[0].type_oid not in _INTEGERS, key[0].attnum), default=None)

    def _order(self, relation: Relation) -> list[str]:
        key = self._key(relation)
        if key is not None:
            return [f"{_BASE}.{_quoted(column.name)}" for column in key]
        self._refuse_place(relation)
        return [f"{_BASE}.tableoid", f"{_BASE}.ctid"]

    def _refuse_place(self, relation: Relation) -> None:
        """Where rows are stored must not depend on masked values."""
        if self._has_told_place(relation):
            raise RefusedStatementError(
                "stand-in-order", f"the rows of `{relation.qualified_name}` are stored in an order that depends on masked values",
                hint="A unique key over unmasked columns would give them another one.",
            )  # fmt: skip

    def _has_told_place(self, relation: Relation) -> bool:
        """Whether the places of rows may depend on masked values."""
        hidden = {reference.attnum for reference in self.hidden if reference.relation == relation.oid}
        clustered = any(
            index.clustered and (set(index.columns) | index.expression_columns) & hidden for index in relation.indexes
        )
        told = relation.oid in self.unsafe_order or is_foreign(relation.oid, self.catalog)
        return told or bool(relation.partition_columns & hidden) or clustered

    def _shows_all(self, relation: Relation) -> bool:
        """Whether everything in a row of the subquery may be seen."""
        return {reference for reference in self.hidden if reference.relation == relation.oid} <= self.masked


def _in_bytes(text: str) -> str:
    """A text that is compared byte by byte."""
    return f'({text} COLLATE pg_catalog."C")'


def _base_type(oid: int, catalog: Catalog) -> int:
    for _ in range(16):
        known = catalog.types.get(oid)
        if known is None or known.kind != "d" or not known.base:
            break
        oid = known.base
    return oid


def _name(relation: Relation) -> str:
    return f"{_quoted(relation.schema)}.{_quoted(relation.name)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
