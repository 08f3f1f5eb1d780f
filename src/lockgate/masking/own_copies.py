"""What may be written into columns of a session's own temporary tables that are masked for it.

For: values of the same class, unchanged and by themselves, so that they stay masked as what they are.
Not for: tables that are made from a query (`session.temporary`), and tables that others see.
Source: masking.md 2.3 (writes: a masked source may flow only into a column of the same class).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lockgate.masking.order_rules import is_ordered_by
from lockgate.masking.rules import rule_for
from lockgate.model.catalog import Catalog, Column, ColumnRef, is_own
from lockgate.model.statement import ON_CONFLICT, Analysis, Kind, Use, UseKind

_COLUMNS_MAX = 100
"""So many columns of the widest type without a length of its own, `name`, leave room for values that are moved."""
_UNMOVED = frozenset({22, 30, 194, 3361, 3402, 3615, 5017})
"""int2vector, oidvector, pg_node_tree, pg_ndistinct, pg_dependencies, tsquery, pg_mcv_list: values of any length that stay in their row."""
_MOVED = frozenset({"citext", "hstore", "ltree", "vector"})
"""Extensions whose types the server moves."""


def keeping(
    analysis: Analysis, catalog: Catalog, masked: frozenset[ColumnRef], unsafe: frozenset[int]
) -> frozenset[ColumnRef]:
    """Masked columns of own temporary tables that are given masked values of their own class, and nothing of the client's.

    Rows are kept in the order in which they were written, so that must not come from masked values either.
    """
    written = (catalog.relations.get(w.relation) for w in analysis.writes if w.kind in (Kind.INSERT, Kind.UPDATE))
    own = {relation.oid for relation in written if relation is not None and is_own(relation)}
    sources: dict[ColumnRef, list[Use]] = {}
    for use in analysis.uses:
        if use.kind is UseKind.WRITE_SOURCE and use.target is not None and use.target.relation in own:
            sources.setdefault(use.target, []).append(use)
    if not sources or is_ordered_by(analysis, catalog, masked, unsafe):
        return frozenset()
    given = (u.columns for u in analysis.uses if u.kind is UseKind.WRITE_TARGET and u.detail == ON_CONFLICT)
    left = sources.keys() & masked - frozenset[ColumnRef]().union(*given)
    return frozenset(t for t in left if all(_is_alike(use, t, catalog, masked) for use in sources[t]))


def _is_alike(use: Use, target: ColumnRef, catalog: Catalog, masked: frozenset[ColumnRef]) -> bool:
    """Whether what is written is plainly of the target's class, and shown by the same rule."""
    shown = {_shown(catalog.column(reference), catalog) for reference in (target, *use.columns)}
    return use.plain and use.columns <= masked and len(shown) == 1 and None not in shown


def _shown(column: Column | None, catalog: Catalog) -> tuple[str, str] | None:
    if column is None or column.json_labels:
        return None
    return column.label, rule_for(column.label, column.type_oid, catalog)


def filled(relations: Iterable[int], catalog: Catalog, masked: frozenset[ColumnRef]) -> frozenset[ColumnRef]:
    """Masked columns of the session's own tables among these.

    The session decides what else is on their pages, so where the next row still fits tells how long a value beside it is.
    """
    known = (catalog.relations.get(oid) for oid in relations)
    own = {relation.oid for relation in known if relation is not None and is_own(relation)}
    return frozenset(reference for reference in masked if reference.relation in own)


def tight(analysis: Analysis, catalog: Catalog, masked: frozenset[ColumnRef]) -> frozenset[ColumnRef]:
    """Masked columns that are put into rows of the session's own which may be too large for a page: whether one fits would tell their length.

    The server moves long values elsewhere until a row fits, so only columns that it does not move count: many of them, or one of any length.
    """
    found: frozenset[ColumnRef] = frozenset()
    for oid in {write.relation for write in analysis.writes if write.kind is not Kind.DELETE}:
        relation = catalog.relations.get(oid)
        if relation is not None and is_tight([column.type_oid for column in relation.columns.values()], catalog):
            found |= filled([oid], catalog, masked)
    return found


def is_tight(types: Sequence[int], catalog: Catalog) -> bool:
    """Whether a row of these types may be too large for a page."""
    return len(types) > _COLUMNS_MAX or not all(_is_moved(kind, catalog) for kind in types)


def _is_moved(oid: int, catalog: Catalog) -> bool:
    """Whether the server moves long values of a type out of their row, or there are none."""
    kind = catalog.types.get(oid)
    while kind is not None and kind.kind == "d":
        kind = catalog.types.get(kind.base)
    if kind is None or kind.oid in _UNMOVED:
        return False
    return kind.schema == "pg_catalog" or kind.kind != "b" or kind.category == "A" or kind.extension in _MOVED
