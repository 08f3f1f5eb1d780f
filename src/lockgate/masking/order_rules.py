"""Whether the order or the choice of rows may depend on masked values, and what the gate does about it.

For: following that taint through query levels to the top, and choosing to keep, sort, or refuse.
Not for: sorting itself (`order`).
Source: architecture promise 5: row order and choice of rows are part of the client's view.
"""

from __future__ import annotations

from dataclasses import replace

from lockgate.errors import RefusedStatementError
from lockgate.model.catalog import Catalog, ColumnRef, Index, is_foreign
from lockgate.model.plan import Order
from lockgate.model.statement import Analysis, Kind, Level

KEPT_ORDER = "kept-order"
"""The refusal of a write that is refused for nothing but the order of what it reads."""
_HINT = "Add an ORDER BY over unmasked columns that leaves no ties, such as the primary key of every table."


def order_of(
    analysis: Analysis, catalog: Catalog, masked: frozenset[ColumnRef], unsafe: frozenset[int], *, streamed: bool
) -> tuple[Order, tuple[int, ...], bool]:
    """What happens to the order of rows, the output positions that SORT_TIES keeps, and whether one error must look like another.

    Args:
        unsafe: relations whose stored order is known to depend on masked values.
        streamed: rows leave before all are there, so that they cannot be sorted.

    Raises:
        RefusedStatementError: masked values would choose rows, or an order that cannot be repaired.
    """
    if not analysis.levels:
        return Order.KEEP, (), False
    reasons = _taints(analysis.levels, catalog, masked, unsafe)
    for level, reason in zip(analysis.levels, reasons, strict=True):
        if reason and level.order_sensitive:
            raise RefusedStatementError(
                "row-choice", f"`{level.order_sensitive[0]}` would depend on the order of rows, which depends on {reason}, masked for you",
                hint=_HINT,
            )  # fmt: skip
    _refuse_unreached_errors(analysis.levels, reasons, catalog, masked)
    kept = _kept_order(analysis, catalog, masked, unsafe)
    if kept:
        raise RefusedStatementError(
            KEPT_ORDER, f"rows would be stored in an order that depends on {kept}, masked for you", hint=_HINT
        )
    order, ties = _order_of_top(analysis, reasons[0], streamed=streamed)
    # Which of two rows fails first would tell their order.
    return order, ties, any(reasons) and any(level.fails for level in analysis.levels)


def is_ordered_by(
    analysis: Analysis, catalog: Catalog, masked: frozenset[ColumnRef], unsafe: frozenset[int] = frozenset()
) -> bool:
    """Whether the order in which rows are read anywhere in a statement may depend on masked values."""
    return any(_taints(analysis.levels, catalog, masked, unsafe))


def _kept_order(analysis: Analysis, catalog: Catalog, masked: frozenset[ColumnRef], unsafe: frozenset[int]) -> str:
    """What the order depends on in which rows are written; where only their own table gives it, that is known of the table already."""
    written = [write for write in analysis.writes if write.kind is not Kind.DELETE]
    if analysis.kind is Kind.CREATE_TABLE_AS and not analysis.writes:
        top = analysis.levels[0]
        return "" if top.single_row or top.total else _taints(analysis.levels, catalog, masked, unsafe)[0]
    if not written:
        return ""
    alone = {write.relation for write in analysis.writes} if len(analysis.writes) == 1 else set()
    if not written[0].one_row:
        alone -= {oid for oid in alone if _goes_by_place(oid, catalog, masked, unsafe)}
    levels = tuple(replace(level, relations=level.relations - alone) for level in analysis.levels)
    reasons = _taints(levels, catalog, masked, unsafe)
    if alone and analysis.kind is written[0].kind:
        return reasons[0]
    pairs = zip(levels, reasons, strict=True)
    return next((reason for level, reason in pairs if reason and not level.single_row and not level.total), "")


def _goes_by_place(oid: int, catalog: Catalog, masked: frozenset[ColumnRef], unsafe: frozenset[int]) -> bool:
    """Whether stand-ins are numbered by where a table's rows are stored, for want of a key, so that no masked value may have put them there."""
    relation = catalog.relations.get(oid)
    hidden = {reference.attnum for reference in masked if reference.relation == oid}
    if relation is None or not hidden or oid in unsafe or relation.partition_columns & hidden:
        return False
    return not any(not key & hidden for key in relation.unique_keys)


def _order_of_top(analysis: Analysis, reason: str, *, streamed: bool) -> tuple[Order, tuple[int, ...]]:
    top = analysis.levels[0]
    if not reason or top.single_row or top.total or not analysis.outputs:
        return Order.KEEP, ()
    if streamed:
        raise RefusedStatementError(
            "row-order",
            f"fetching rows piece by piece would show their order, which depends on {reason}, masked for you",
            hint=_HINT,
        )
    if not top.sort:
        return Order.SORT, ()
    ties = tuple(key.output for key in top.sort if key.output is not None)
    if len(ties) != len(top.sort):
        raise RefusedStatementError(
            "row-order", f"rows that tie in ORDER BY would come in an order that depends on {reason}, masked for you",
            hint="Add the ORDER BY expressions to the select list, or order by a unique key as well.",
        )  # fmt: skip
    return Order.SORT_TIES, ties


def _taints(
    levels: tuple[Level, ...], catalog: Catalog, masked: frozenset[ColumnRef], unsafe: frozenset[int]
) -> list[str]:
    """For each level the masked column that its row order may depend on, in words; empty when there is none."""
    reasons = [_own_taint(level, catalog, masked, unsafe) for level in levels]
    changed = True
    while changed:
        changed = False
        for at, level in enumerate(levels):
            if reasons[at]:
                continue
            for feed in level.feeds:
                if reasons[feed] and not levels[feed].single_row and not levels[feed].total:
                    reasons[at] = reasons[feed]
                    changed = True
                    break
    return reasons


def _refuse_unreached_errors(
    levels: tuple[Level, ...], reasons: list[str], catalog: Catalog, masked: frozenset[ColumnRef]
) -> None:
    """What may fail for one row must not stand where rows are left unread by their order: a merge of two inputs, or the first match."""
    for at, level in enumerate(levels):
        matching = level.matching & masked
        stops = level.stops_early and bool(reasons[at])
        if not matching and not stops:
            continue
        what = level.condition_fails or (level.fails if stops else "")
        what = what or next((levels[below].fails for below in _below(levels, at) if levels[below].fails), "")
        if what:
            on = f"`{catalog.column_name(min(matching))}`" if matching else reasons[at]
            raise RefusedStatementError(
                "row-error", f"`{what}` may fail for some rows, and whether it comes to them would depend on the order of {on}, masked for you",
                hint="Compute it outside, from the rows that are shown.",
            )  # fmt: skip


def _below(levels: tuple[Level, ...], top: int) -> list[int]:
    """The levels that a level reads or holds."""
    found, left = {top}, [top]
    while left:
        at = left.pop()
        inside = {*levels[at].feeds, *(number for number, level in enumerate(levels) if level.parent == at)}
        left += inside - found
        found |= inside
    return sorted(found - {top})


def placed_by(analysis: Analysis, catalog: Catalog, masked: frozenset[ColumnRef]) -> frozenset[ColumnRef]:
    """The masked columns of scanned relations whose values decide where rows are kept or how they can be found."""
    found = {oid for oid in analysis.relations if is_scanned_by(oid, catalog, masked)}
    return frozenset(r for r in masked if r.relation in found)


def placed_in(oid: int, catalog: Catalog, *, partitions: bool) -> frozenset[int]:
    """The columns of a relation whose values decide where its rows are stored: in which partition, and unless only that is asked, in what order."""
    relation = catalog.relations.get(oid)
    if relation is None:
        return frozenset()
    names: set[str] = set()
    waiting = [relation]
    while waiting:
        one = waiting.pop()
        numbers = set(one.partition_columns)
        for index in () if partitions else one.indexes:
            numbers |= set(index.columns) | index.expression_columns if index.clustered else frozenset()
        names |= {one.columns[number].name for number in numbers if number in one.columns}
        waiting += [catalog.relations[child] for child in one.children if child in catalog.relations]
    return frozenset(number for number, column in relation.columns.items() if column.name in names)


def lays_out(oid: int, catalog: Catalog, masked: frozenset[ColumnRef], read: frozenset[int] | None = None) -> bool:
    """Whether masked values decide in which part of a relation, or in which order of an index, rows are found.

    Args:
        read: the columns of it that a statement uses, where it tests no masked one: a partial index is of use to it only where they meet
            the index's condition. None when that is not known.
    """
    relation = catalog.relations.get(oid)
    if relation is None or is_foreign(oid, catalog):
        return True
    if any(lays_out(child, catalog, masked) for child in relation.children):
        return True
    hidden = {reference.attnum for reference in masked if reference.relation == oid}
    return bool(relation.partition_columns & hidden) or any(
        (index.clustered and set(index.columns) & hidden)
        or (index.expression_columns & hidden and (_may_apply(index, hidden, read) or len(index.columns) > 1))
        or (len(index.columns) > 1 and index.columns[0] in hidden)
        for index in relation.indexes
    )


def _may_apply(index: Index, hidden: set[int], read: frozenset[int] | None) -> bool:
    """Whether a statement that tests no hidden column may meet the condition of a partial index."""
    return index.partial and (
        read is None or not index.expression_columns - hidden or bool((index.expression_columns - hidden) & read)
    )


def _own_taint(level: Level, catalog: Catalog, masked: frozenset[ColumnRef], unsafe: frozenset[int]) -> str:
    deciding = level.deciding & masked
    if deciding:
        return f"`{catalog.column_name(min(deciding))}`"
    for oid in sorted(level.relations):
        if is_foreign(oid, catalog):
            return f"what another server makes of `{catalog.relations[oid].qualified_name}`"
        if oid in unsafe or is_scanned_by(oid, catalog, masked):
            relation = catalog.relations.get(oid)
            return f"masked columns of `{relation.qualified_name if relation is not None else oid}`"
    return ""


def is_scanned_by(oid: int, catalog: Catalog, masked: frozenset[ColumnRef]) -> bool:
    """Whether a scan may return rows in an order made of masked values without the statement naming them.

    A table clustered or partitioned by a masked column, or with an index that can be chosen for other columns' sake or for its
    predicate's, and then yields rows in the order of a masked one. What holds for a child holds for its parent.
    """
    relation = catalog.relations.get(oid)
    if relation is not None and any(is_scanned_by(child, catalog, masked) for child in relation.children):
        return True
    hidden = {reference.attnum for reference in masked if reference.relation == oid}
    if relation is None or not hidden:
        return False
    if relation.partition_columns & hidden:
        return True
    for index in relation.indexes:
        plain = {column for column in index.columns if column}
        inside = index.expression_columns if 0 in index.columns else frozenset()
        keys = plain | inside
        if keys & hidden and (index.clustered or index.partial or keys - hidden or len(index.columns) > 1):
            return True
    return False
