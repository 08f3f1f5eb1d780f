"""Whether a statement may be answered over stand-ins, and the plan of its answer when it is.

For: statements that `plan` refuses because they do more with masked values than show, join, group or count them.
Not for: the rewritten text (`substitution`).
Source: masking.md 2.3 (mode S); docs/adr/0011-stand-ins.md.
"""

from __future__ import annotations

from lockgate.errors import RefusedStatementError
from lockgate.masking.order_rules import lays_out
from lockgate.masking.own_copies import filled
from lockgate.masking.plan import values_sought
from lockgate.masking.stand_ins import stand_in
from lockgate.model.catalog import Catalog, ColumnRef, is_own
from lockgate.model.plan import ColumnPlan, Disposition, Plan, Sought
from lockgate.model.statement import WITH_SETS, Analysis, Kind, Output, UseKind

KINDS = frozenset({Kind.SELECT, Kind.DECLARE, Kind.COPY_OUT})
RULE = "stand-in"


def stand_in_plan(
    analysis: Analysis, *, kind: Kind, catalog: Catalog, masked: frozenset[ColumnRef]
) -> tuple[Plan, tuple[Sought, ...]]:
    """The plan of an answer that is computed from stand-ins, and the values that are looked for among them.

    Nothing is left to mask, and no order depends on a masked value. Parameters are opened when they are bound.

    Raises:
        RefusedStatementError: the statement does not only read, cannot be seen into, or looks for something in a way that cannot be kept.
    """
    if kind not in _kinds(analysis, catalog, masked) or analysis.opaque:
        raise RefusedStatementError(
            "stand-in-kind", "only statements that read, and that can be seen into, run over stand-ins"
        )
    _refuse_merged(analysis, catalog, masked)
    sought = []
    for lookup, columns in values_sought(analysis, catalog, masked):
        known = [column for column in map(catalog.column, columns) if column is not None]
        if len({stand_in(column, catalog) for column in known}) != 1:
            raise RefusedStatementError(
                "stand-in-lookup", "a value is compared with columns that have different stand-ins"
            )
        sought.append(Sought(lookup, min(columns)))
    plan = Plan(
        columns=tuple(_column(output, catalog, masked) for output in analysis.outputs), touches_labelled=True, stand_ins=True,
        lookups=tuple(one.lookup for one in sought if one.lookup.given.parameter),
    )  # fmt: skip
    return plan, tuple(sought)


def _kinds(analysis: Analysis, catalog: Catalog, masked: frozenset[ColumnRef]) -> frozenset[Kind]:
    """Kinds of statement that may run over stand-ins; a write of what is not masked gets nothing from them but its order."""
    if not analysis.writes:
        return KINDS
    if not analysis.reads & masked:
        return KINDS | {Kind.INSERT, Kind.UPDATE}
    return KINDS | {Kind.INSERT} if _fills_own(analysis, catalog) else frozenset()


def _fills_own(analysis: Analysis, catalog: Catalog) -> bool:
    """Whether all that is written is new rows of the session's own temporary tables, which may hold stand-ins."""
    found = [catalog.relations.get(write.relation) for write in analysis.writes if write.kind is Kind.INSERT]
    return len(found) == len(analysis.writes) and all(one is not None and is_own(one) for one in found)


def _refuse_merged(analysis: Analysis, catalog: Catalog, masked: frozenset[ColumnRef]) -> None:
    """Rows must not become one because different values have one stand-in: there would be fewer groups than there are.

    Where a key of their table is among the columns, they do not.
    """
    for what, columns in (pair for level in analysis.levels for pair in level.put_together):
        for reference in columns & masked:
            column, relation = catalog.column(reference), catalog.relations.get(reference.relation)
            if column is None or relation is None or stand_in(column, catalog).family:
                continue
            numbers = {other.attnum for other in columns if other.relation == reference.relation}
            if what.endswith(WITH_SETS) or not any(key <= numbers for key in relation.unique_keys):
                raise RefusedStatementError("stand-in-merged", "rows would be one group whose values only look alike")


def plan_without(
    analysis: Analysis, *, catalog: Catalog, masked: frozenset[ColumnRef], unsafe_order: frozenset[int]
) -> Plan:
    """The plan of an EXPLAIN whose statement only shows masked columns: it is explained as if they were NULL, and not read.

    Raises:
        RefusedStatementError: masked values decide something, so that the database's own plan would say something of them.
    """
    decides = any(use.columns & masked and use.kind is not UseKind.OUTPUT for use in analysis.uses)
    read = {oid: frozenset(r.attnum for r in analysis.reads if r.relation == oid) for oid in analysis.relations}
    placed = any(oid in unsafe_order or lays_out(oid, catalog, masked, read[oid]) for oid in analysis.relations)
    placed = placed or bool(filled(analysis.relations, catalog, masked))
    if decides or placed or analysis.writes or analysis.opaque:
        raise RefusedStatementError("stand-in-explain", "its plan depends on masked values")
    return Plan(touches_labelled=True, stand_ins=True)


def _column(output: Output, catalog: Catalog, masked: frozenset[ColumnRef]) -> ColumnPlan:
    hidden = sorted(output.sources & masked)
    found = [column for column in map(catalog.column, hidden) if column is not None]
    if not hidden:
        return ColumnPlan(output.name, "", "none", Disposition.CLEAR, "", output.type_oid)
    label = found[0].label if found else "unknown"
    return ColumnPlan(output.name, catalog.column_name(hidden[0]), label, Disposition.MASKED, RULE, output.type_oid)
