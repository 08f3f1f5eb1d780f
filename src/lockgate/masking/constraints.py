"""Constraints that a write would ask about masked values: checks, exclusions and unique indexes that read more than one column.

For: the write of an unmasked column whose success depends on a masked one beside it.
Not for: triggers, whose code nobody sees into, and constraints on masked columns alone, which a write of others leaves as they are.
Source: promise 5; PostgreSQL checks every constraint of a row that it writes anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lockgate.model.catalog import Catalog, ColumnRef, Relation


def told_by(
    oid: int,
    written: frozenset[int],
    catalog: Catalog,
    masked: frozenset[ColumnRef],
    is_comparable: Callable[[ColumnRef], bool],
) -> tuple[ColumnRef, ColumnRef] | None:
    """The first masked column that a constraint reads together with a written one, and that one; None when none does.

    Args:
        written: columns of the relation that the client writes.
        is_comparable: whether a column's masks show which values are equal, so that a unique index tells nothing more.
    """
    for relation in _family(oid, catalog):
        # A partition may number its columns otherwise; names are what they share.
        names = {catalog.relations[oid].columns[n].name for n in written if n in catalog.relations[oid].columns}
        mine = frozenset(number for number, column in relation.columns.items() if column.name in names)
        hidden = frozenset(r.attnum for r in masked if r.relation == relation.oid)
        for columns, always in _read_together(relation, hidden, is_comparable):
            seen = frozenset(relation.columns) if 0 in columns else columns
            told, own = seen & hidden, seen & mine
            if told and (own - hidden or always):
                column = ColumnRef(relation.oid, min(told))
                return column, ColumnRef(relation.oid, min(own - hidden)) if own - hidden else column
    return None


def _read_together(
    relation: Relation, hidden: frozenset[int], is_comparable: Callable[[ColumnRef], bool]
) -> Iterator[tuple[frozenset[int], bool]]:
    """Sets of columns whose values decide together whether a row may be written, and whether they do so whatever is written."""
    for constraint in relation.constraints:
        yield constraint.columns, not constraint.validated
    for index in relation.indexes:
        columns = frozenset(index.columns) - {0} | index.expression_columns
        plain = columns & hidden - index.expression_columns
        if index.unique and (
            columns & hidden - plain or any(not is_comparable(ColumnRef(relation.oid, n)) for n in plain)
        ):
            yield columns, False


def _family(oid: int, catalog: Catalog) -> list[Relation]:
    """A relation and all that are scanned with it."""
    found, left = [], [oid]
    while left:
        relation = catalog.relations.get(left.pop())
        if relation is not None and relation not in found:
            found.append(relation)
            left += relation.children
    return found
