"""From what a statement does, and what a chain may not see, to a mask plan or a refusal.

For: the one property behind every rule: the client's view does not change when masked values are renamed within their class.
Equality, counts and NULL tests may be seen; everything else about a masked value is refused, row order and choice of rows included.
Not for: making masks (`pseudonyms`, `transforms`), sorting (`order`), or reading SQL.
Source: architecture promise 5; masking.md 2.3.
"""

from __future__ import annotations

from typing import NoReturn

from lockgate.errors import RefusedStatementError
from lockgate.masking.constraints import told_by
from lockgate.masking.order_rules import is_scanned_by, order_of, placed_by, placed_in
from lockgate.masking.own_copies import filled, keeping, tight
from lockgate.masking.rules import (
    INJECTIVE_LABELS,
    INTEGER_TYPES,
    ROW,
    base_type,
    can_look_up,
    is_injective,
    rule_for,
    scalar_type,
)
from lockgate.model.catalog import Catalog, Column, ColumnRef, Relation, is_foreign
from lockgate.model.decision import Clearance
from lockgate.model.plan import ColumnPlan, Disposition, Lookup, Plan
from lockgate.model.statement import Analysis, Given, Kind, Output, Use, UseKind

_TELLING = {UseKind.TRANSFORM, UseKind.CONTROL}
_NUMERIC = 1700
_CTID, _TABLEOID = -1, -6
_VOUCH = " An administrator can vouch for a function with the line that `lockgate catalog functions` prints."


def make_plan(
    analysis: Analysis,
    *,
    catalog: Catalog,
    clearance: Clearance,
    row_limited: bool,
    explain: bool = False,
    cursor: bool = False,
    unsafe_order: frozenset[int] = frozenset(),
    by_pseudonym: bool = False,
) -> Plan:
    """How the answer of an analysed statement is treated.

    Args:
        clearance: the columns that the chain may not see.
        row_limited: the client asked for fewer rows than there may be (Execute with a row count).
        explain: the plan of the statement is shown, not its rows.
        cursor: rows are fetched piece by piece, so they cannot be sorted first.
        unsafe_order: relations whose stored order may depend on masked values, known from outside.
        by_pseudonym: a write may choose rows by equality with pseudonyms.

    Raises:
        RefusedStatementError: the answer would tell more about masked values than which are equal.
    """
    judge = _Judge(analysis, catalog, clearance.masked)
    if clearance.complete:
        return Plan(columns=judge.columns())
    judge.refuse_opaque()
    judge.refuse_places(unsafe_order)
    if explain:
        judge.refuse_explain()
    judge.refuse_writes(unsafe_order, by_pseudonym=by_pseudonym)
    for use in analysis.uses:
        judge.refuse_use(use)
    columns = judge.columns()
    order, ties, alike = order_of(analysis, catalog, clearance.masked, unsafe_order, streamed=row_limited or cursor)
    labelled = {reference.relation for reference in clearance.masked}
    far = any(is_foreign(oid, catalog) for oid in analysis.relations)
    return Plan(
        columns=columns,
        masks=any(column.disposition is Disposition.MASKED for column in columns),
        touches_labelled=far
        or any(oid in labelled for oid in analysis.relations)
        or bool(analysis.reads & clearance.masked)
        or _runs_code(analysis, catalog),
        order=order,
        tie_columns=ties,
        lookups=judge.lookups(),
        errors_alike=alike or far,
    )


def _runs_code(analysis: Analysis, catalog: Catalog) -> bool:
    """Whether a write runs code of users, whose notices and errors may say anything."""
    written = (catalog.relations.get(write.relation) for write in analysis.writes)
    return any(relation is None or relation.has_triggers for relation in written)


class _Judge:
    """The rules, one method each."""

    def __init__(self, analysis: Analysis, catalog: Catalog, masked: frozenset[ColumnRef]) -> None:
        self._analysis = analysis
        self._catalog = catalog
        self._masked = masked
        self._compared = dict(analysis.compared)

    # words

    def _name(self, references: frozenset[ColumnRef]) -> str:
        return self._catalog.column_name(min(references))

    def _label(self, reference: ColumnRef) -> str:
        column = self._catalog.column(reference)
        return column.label if column is not None else "unknown"

    def _refuse(self, reason: str, references: frozenset[ColumnRef], sentence: str, hint: str) -> NoReturn:
        label = self._label(min(references))
        raise RefusedStatementError(
            reason,
            f"`{self._name(references)}` is masked for you and {sentence}",
            hint=f"{hint}, or ask for `unmask` on {label}.",
        )

    # the statement as a whole

    def refuse_opaque(self) -> None:
        """What cannot be seen into may read anything."""
        if self._analysis.opaque:
            part = self._analysis.opaque[0]
            is_theirs = part.what.startswith("function ") and not part.what.startswith("function pg_catalog.")
            raise RefusedStatementError(
                "opaque", f"`{part.what}` cannot be seen into: {part.why}",
                hint="It is refused for principals who see masked data; leave it out, or ask for `unmask` on this database." + _VOUCH * is_theirs,
            )  # fmt: skip

    def refuse_places(self, unsafe_order: frozenset[int]) -> None:
        """Which partition has a row, and where in a table that was put in order it stands, comes from the values that decided it."""
        for oid in self._analysis.relations:
            relation = self._catalog.relations.get(oid)
            chosen = self._hidden(oid, relation.chosen_by) if relation is not None else None
            secured = relation.secured_by if relation is not None else frozenset()
            filtering = frozenset(r for r in self._masked if r in secured or ColumnRef(r.relation, 0) in secured)
            if filtering:
                self._refuse(
                    "row-security",
                    filtering,
                    "its value decides which rows of a table you may see",
                    "Leave that table out",
                )
            if chosen:
                self._refuse(
                    "place", chosen, "its value decides which rows are in this partition", "Use the whole table"
                )
        placed = {r.relation for r in self._analysis.reads if r.attnum == _CTID}
        for level in self._analysis.levels:
            placed |= level.relations if "TABLESAMPLE" in level.order_sensitive else frozenset()
        sized = filled(placed, self._catalog, self._masked)
        if sized:
            self._refuse("place", sized, "its length decides how many rows fit on a page", "Leave `ctid` out")
        for reference in self._analysis.reads:
            if reference.attnum not in (_CTID, _TABLEOID):
                continue
            decided = self._hidden(
                reference.relation,
                placed_in(reference.relation, self._catalog, partitions=reference.attnum == _TABLEOID),
            )
            moved = reference.relation in unsafe_order or is_scanned_by(reference.relation, self._catalog, self._masked)
            if decided or (reference.attnum == _CTID and moved):
                where = decided or frozenset(r for r in self._masked if r.relation == reference.relation)
                if where:
                    self._refuse(
                        "place", where, "its value decides where rows are stored", "Leave `ctid` and `tableoid` out"
                    )

    def _hidden(self, oid: int, columns: frozenset[int]) -> frozenset[ColumnRef]:
        return frozenset(ColumnRef(oid, number) for number in columns) & self._masked

    def refuse_explain(self) -> None:
        """Plans show estimates and, when run, counts that come from real values."""
        used = frozenset(r for use in self._analysis.uses for r in use.columns & self._masked)
        used = used or placed_by(self._analysis, self._catalog, self._masked)
        used = used or filled(self._analysis.relations, self._catalog, self._masked)
        far = sorted(oid for oid in self._analysis.relations if is_foreign(oid, self._catalog))
        if far and not used:
            raise RefusedStatementError(
                "explain", f"EXPLAIN would show what another server says of `{self._catalog.relations[far[0]].qualified_name}`",
                hint="Leave that table out of the statement.",
            )  # fmt: skip
        if used:
            self._refuse("explain", used, "EXPLAIN would show facts about its values", "Leave it out of the statement")

    def refuse_writes(self, unsafe_order: frozenset[int], *, by_pseudonym: bool) -> None:
        """A write must not read, test or set masked values; by policy it may look them up, and own tables may keep them."""
        analysis = self._analysis
        writing = bool(analysis.writes) or analysis.kind is Kind.CREATE_TABLE_AS
        narrow = tight(analysis, self._catalog, self._masked)
        if narrow:
            self._refuse("place", narrow, "its length decides whether such a row fits on a page", "Leave columns out")
        kept = keeping(analysis, self._catalog, self._masked, unsafe_order)
        for use in analysis.uses:
            masked = use.columns & self._masked
            if (use.kind is UseKind.WRITE_TARGET and masked <= kept) or (
                use.kind is UseKind.WRITE_SOURCE and use.target in kept
            ):
                continue
            if use.kind is UseKind.WRITE_TARGET and masked:
                self._refuse(
                    "write-target", masked, "writing it would let you choose its values", "Leave it out of the columns"
                )
            if use.kind is UseKind.WRITE_SOURCE and masked:
                self._refuse(
                    "write-source",
                    masked,
                    "writing it elsewhere would take its values out of their class",
                    "Leave it out",
                )
            if (
                writing
                and masked
                and use.kind is not UseKind.OUTPUT
                and not (by_pseudonym and use.literal and self.is_lookup(use))
            ):
                self._refuse("write-predicate", masked, f"`{use.detail}` in a write would act on its real values",
                             "Choose the rows by other columns, or by what was shown where policy permits `@choose_by_pseudonym`")  # fmt: skip
        for write in analysis.writes:
            written = frozenset(
                reference.attnum
                for use in analysis.uses if use.kind is UseKind.WRITE_TARGET
                for reference in use.columns if reference.relation == write.relation
            )  # fmt: skip
            if written:
                self._refuse_constraints(write.relation, written)

    def _refuse_constraints(self, oid: int, written: frozenset[int]) -> None:
        """Whether a constraint holds that reads a masked column and a written one would tell the masked value, by as many tries as it takes."""
        found = told_by(oid, written, self._catalog, self._masked, self.has_injective_mask)
        if found is not None:
            column, other = found
            what = (
                f"with `{self._catalog.column_name(other)}`, which you write"
                if other != column
                else "for every row that is written"
            )
            self._refuse("write-constraint", frozenset({column}), f"a constraint reads it {what}: whether it holds would show something of its value",
                         "Leave that column as it is")  # fmt: skip

    # uses

    def refuse_use(self, use: Use) -> None:
        """One use of columns' values."""
        masked = use.columns & self._masked
        if not masked:
            return
        if use.kind in _TELLING:
            what = "show something of its value" if use.kind is UseKind.TRANSFORM else "let its value decide the answer"
            self._refuse(use.kind.value, masked, f"`{use.detail}` would {what}", "Select it plainly")
        if use.kind not in (UseKind.EQUAL, UseKind.GROUP):
            return
        label = self._label(min(masked))
        if use.literal and not self.is_lookup(use):
            self._refuse("compared-with-constant", masked, f"`{use.detail}` with a constant or computed value is refused here",
                         f"Compare it with another column of class {label}, or with a plain constant or parameter")  # fmt: skip
        if masked != use.columns:
            self._refuse("mixed-columns", masked, f"`{use.detail}` mixes it with `{self._name(use.columns - masked)}`, which is not",
                         f"Use columns of class {label} only")  # fmt: skip
        if len({self._label(r) for r in masked}) != 1:
            self._refuse("mixed-classes", masked, f"`{use.detail}` mixes classes that have different masks",
                         f"Use columns of class {label} only")  # fmt: skip
        rigid = frozenset(r for r in masked if not self.has_injective_mask(r))
        if rigid:
            self._refuse("not-comparable", rigid, f"`{use.detail}` would show which values are equal, which its mask hides",
                         "Select it without grouping or comparing it")  # fmt: skip

    # values of the client's

    def is_lookup(self, use: Use) -> bool:
        """Whether all that is compared beside columns is the client's own values, each compared with nothing but masked columns."""
        if use.kind is not UseKind.EQUAL or use.givens is None:
            return False
        return all(given in self._compared and self.columns_of(given) <= self._masked for given in use.givens)

    def columns_of(self, given: Given) -> frozenset[ColumnRef]:
        """The columns that a value is compared with."""
        uses = (u.columns for u in self._analysis.uses if u.givens is not None and given in u.givens)
        return frozenset[ColumnRef]().union(*uses)

    def lookups(self) -> tuple[Lookup, ...]:
        """The values to open; their columns must agree in everything that the mask depends on."""
        found = []
        for given, given_type in self._analysis.compared:
            columns = self.columns_of(given) & self._masked
            if not columns:
                continue
            known = [self._catalog.column(reference) for reference in sorted(columns)]
            kinds = {(c.label, scalar_type(c.type_oid, self._catalog)) for c in known if c is not None}
            texts = {kind for _, kind in kinds} <= {25, 1043}
            label, kind = min(kinds)
            if len({name for name, _ in kinds}) != 1 or (len(kinds) != 1 and not texts):
                self._refuse(
                    "mixed-classes",
                    columns,
                    "a value is compared with columns that have different masks",
                    "Compare them apart",
                )
            if not can_look_up(kind, given_type, self._catalog):
                self._refuse(
                    "compared-with-constant",
                    columns,
                    "the value it is compared with has another type",
                    "Give it the column's type",
                )
            exact = base_type(given_type, self._catalog) == kind or texts or kind not in INTEGER_TYPES
            found.append(Lookup(given, label, kind, given_type, exact))
        return tuple(found)

    def has_injective_mask(self, reference: ColumnRef) -> bool:
        """Whether different values of a column have different masks."""
        column = self._catalog.column(reference)
        if (
            column is None
            or column.label not in INJECTIVE_LABELS
            or column.json_labels
            or self._is_array(column.type_oid)
        ):
            return False
        if column.type_oid == _NUMERIC and column.type_mod < 0:
            return False
        return is_injective(rule_for(column.label, column.type_oid, self._catalog))

    def _is_array(self, type_oid: int) -> bool:
        """Arrays, domains over arrays, and types that the snapshot does not know."""
        for _ in range(16):
            known = self._catalog.types.get(type_oid)
            if known is None or known.category == "A" or known.kind in ("c", "r", "m"):
                return True
            if known.kind != "d" or not known.base:
                return False
            type_oid = known.base
        return True

    # outputs

    def columns(self) -> tuple[ColumnPlan, ...]:
        """One plan per output; none when nothing labelled reaches an output."""
        plans = tuple(self._column(output) for output in self._analysis.outputs)
        labelled = any(plan.label != "none" or plan.disposition is Disposition.MASKED for plan in plans)
        return plans if labelled else ()

    def _column(self, output: Output) -> ColumnPlan:
        masked = output.sources & self._masked
        if not masked:
            return self._clear(output)
        relation = self._catalog.relations.get(output.row_of)
        if relation is not None:
            return self._row(output, relation)
        if not output.plain:
            self._refuse("transform", masked, f"the output `{output.name}` is computed from it", "Select it plainly")
        if output.literal or masked != output.sources:
            self._refuse(
                "mixed-output",
                masked,
                f"the output `{output.name}` mixes it with other values",
                "Select it in a column of its own",
            )
        known = [(reference, self._catalog.column(reference)) for reference in sorted(masked)]
        plans = {self._shape(column, output) for _, column in known}
        first = known[0][1]
        if len(plans) != 1 or first is None:
            self._refuse("mixed-output", masked, f"the output `{output.name}` mixes classes that have different masks",
                         "Select each class in a column of its own")  # fmt: skip
        rule = rule_for(first.label, output.type_oid or first.type_oid, self._catalog)
        return ColumnPlan(
            output.name, self._catalog.column_name(known[0][0]), first.label, Disposition.MASKED, rule,
            output.type_oid or first.type_oid, first.json_labels,
        )  # fmt: skip

    def _row(self, output: Output, relation: Relation) -> ColumnPlan:
        """A whole row as one value: each of its columns as if it had been selected."""
        fields, first = [], ""
        for column in sorted(relation.columns.values(), key=lambda c: c.attnum):
            reference = ColumnRef(relation.oid, column.attnum)
            plan = self._column(Output(column.name, column.type_oid, frozenset({reference}), plain=True))
            first = first or (plan.label if plan.disposition is Disposition.MASKED else "")
            fields.append((plan, column.type_mod))
        return ColumnPlan(
            output.name, f"{relation.qualified_name}.*", first, Disposition.MASKED, ROW, output.type_oid, fields=tuple(fields)
        )  # fmt: skip

    def _shape(self, column: Column | None, output: Output) -> tuple[object, ...]:
        """What must agree between all columns that may stand in one output."""
        if column is None:
            return ()
        own = rule_for(column.label, column.type_oid, self._catalog)
        shown = rule_for(column.label, output.type_oid or column.type_oid, self._catalog)
        return column.label, own, own == shown, column.json_labels

    def _clear(self, output: Output) -> ColumnPlan:
        columns = [(reference, self._catalog.column(reference)) for reference in sorted(output.sources)]
        labelled = [(r, c) for r, c in columns if c is not None and (c.label != "none" or c.json_labels)]
        chosen = (labelled or columns)[:1]
        name = self._catalog.column_name(chosen[0][0]) if chosen else ""
        label = labelled[0][1].label if labelled else "none"
        return ColumnPlan(output.name, name, label, Disposition.CLEAR, "", output.type_oid)


def values_sought(
    analysis: Analysis, catalog: Catalog, masked: frozenset[ColumnRef]
) -> tuple[tuple[Lookup, frozenset[ColumnRef]], ...]:
    """The client's own values that are compared with columns whose pseudonyms can be opened, each with its columns.

    Raises:
        RefusedStatementError: such a column is compared with something else, or a value with columns that do not agree.
    """
    every = _Judge(analysis, catalog, masked)
    reversible = frozenset(reference for reference in masked if every.has_injective_mask(reference))
    judge = _Judge(analysis, catalog, reversible)
    for use in analysis.uses:
        if use.kind is UseKind.EQUAL and use.literal and use.columns & reversible and not judge.is_lookup(use):
            raise RefusedStatementError("stand-in-lookup", "a computed value cannot be looked for among pseudonyms")
    return tuple((lookup, judge.columns_of(lookup.given)) for lookup in judge.lookups())
