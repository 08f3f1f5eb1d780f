"""Labels that follow data through the shape of a database: partitions, inheritance, generated columns.

For: columns that hold, under whatever name, the same values as a labelled column, or values computed from one, by definition of their table.
Not for: views (`lineage`), and not for names.
Source: PostgreSQL documentation 5.4 (generated columns), 5.10 (inheritance), 5.11 (partitioning).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from lockgate.classification.lineage import mixed, sensitivity
from lockgate.model.catalog import Column, Relation

RENAMED = "renamed"
"""Who decided the label of a column under its new name."""
OPEN = ("none", "unknown")
"""Labels that give way to another: the earlier to the later, both to every real one."""


def follow(
    relations: Mapping[int, Relation], parents: Iterable[tuple[int, int]], generated: Iterable[tuple[int, int, int]]
) -> dict[int, Relation]:
    """The relations with labels carried along.

    A child's rows are its parent's rows too, so a column of one name has one label through the whole family: a label on either
    side reaches the other when that one has none, whoever decided so. A child that nobody decided about, such as a new partition,
    takes all of its parent's labels and gives it none. A generated column gets what a computation from its sources
    gets, unless a person decided its label.

    Args:
        parents: (child, parent), by OID; partitions and plain inheritance alike.
        generated: (relation, generated column, column that it is made from).
    """
    found = dict(relations)
    edges = [(c, p) for c, p in parents if c in found and p in found]
    sources: dict[tuple[int, int], set[int]] = {}
    for relation, column, source in generated:
        sources.setdefault((relation, column), set()).add(source)
    for _ in range(2 + len(edges)):
        changed = [_share(found, child, parent) for child, parent in edges]
        changed += [_generate(found, relation, column, used) for (relation, column), used in sources.items()]
        if not any(changed):
            break
    for child, parent in edges:
        found[parent] = replace(found[parent], children=(*found[parent].children, child))
    above = dict(edges)
    for child, parent in edges:
        found[child] = replace(found[child], chosen_by=_chosen_by(found, child, parent, above))
    return found


def _chosen_by(found: Mapping[int, Relation], child: int, parent: int, above: Mapping[int, int]) -> frozenset[int]:
    """The columns that decide which rows of all its ancestors a partition has."""
    names: set[str] = set()
    at: int | None = parent
    while at is not None:
        names |= {
            found[at].columns[number].name for number in found[at].partition_columns if number in found[at].columns
        }
        at = above.get(at)
    return frozenset(number for number, column in found[child].columns.items() if column.name in names)


def remember(before: Mapping[int, Relation], now: Mapping[int, Relation]) -> dict[int, Relation]:
    """The relations, with the label of each column that was renamed, or whose table was, and that nobody has labelled under its new name.

    Labels are written by name, columns are known by number: a renamed column holds what it held.
    """
    found = dict(now)
    for oid, relation in now.items():
        old = before.get(oid)
        if old is None:
            continue
        for attnum, column in relation.columns.items():
            known = old.columns.get(attnum)
            if known is None or known.label == "none" or column.label_by != "default":
                continue
            renamed = (old.schema, old.name, known.name) != (relation.schema, relation.name, column.name)
            if renamed or known.label_by == RENAMED:
                kept = replace(column, label=known.label, label_by=RENAMED, json_labels=known.json_labels)
                _set(found, oid, kept)
    return found


def _share(found: dict[int, Relation], child: int, parent: int) -> bool:
    by_name = {column.name: column for column in found[parent].columns.values()}
    changed = False
    for column in found[child].columns.values():
        other = by_name.get(column.name)
        if other is None:
            continue
        if _is_undecided(column) and not _is_undecided(other):
            own = replace(column, label=other.label, label_by="lineage", label_score=1.0, json_labels=other.json_labels)
            _set(found, child, own)
            changed = True
            continue
        changed |= _take(found, child, column, other)
        changed |= _take(found, parent, other, column)
    return changed


def _is_undecided(column: Column) -> bool:
    return column.label_by == "default" and column.label == "unknown" and not column.json_labels


def _take(found: dict[int, Relation], owner: int, column: Column, other: Column) -> bool:
    """Give a column the label of its counterpart when it has none of its own; documents share the labels of their keys."""
    label = other.label if _weight(other.label) > _weight(column.label) else column.label
    paths = column.json_labels or other.json_labels
    if (label, paths) == (column.label, column.json_labels):
        return False
    _set(found, owner, replace(column, label=label, label_by="lineage", label_score=1.0, json_labels=paths))
    return True


def _weight(label: str) -> int:
    return OPEN.index(label) if label in OPEN else len(OPEN)


def _generate(found: dict[int, Relation], relation: int, attnum: int, sources: set[int]) -> bool:
    owner = found.get(relation)
    column = owner.columns.get(attnum) if owner is not None else None
    if owner is None or column is None or column.label not in OPEN or column.label_by == "person":
        return False
    labels = {sensitivity(owner.columns[source]) for source in sources if source in owner.columns}
    label = mixed(labels)
    if label in (column.label, "none"):
        return False
    _set(found, relation, replace(column, label=label, label_by="lineage", label_score=0.8))
    return True


def _set(found: dict[int, Relation], owner: int, column: Column) -> None:
    columns = {**found[owner].columns, column.attnum: column}
    found[owner] = replace(found[owner], columns=columns)
