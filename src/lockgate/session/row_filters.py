"""Row filters of one statement: which must be put into it, or why it must be denied.

For: the obligation `@row_filter`, for everyone it applies to, whether they see masks or not.
Not for: making conditions (`policy.row_filters`) or putting them in (`masking.substitution`).
Invariant: a statement that touches a filtered table runs with the filter or not at all.
Source: architecture section 5; threats R-01 to R-18.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from lockgate.errors import RefusedStatementError
from lockgate.model.catalog import Catalog
from lockgate.model.decision import Clearance
from lockgate.model.statement import Analysis, Kind, Parsed
from lockgate.session.runs import Run
from lockgate.sql.written import UNFIT, UNFIT_BY

READS = frozenset({Kind.SELECT, Kind.DECLARE, Kind.COPY_OUT})
WRITES = frozenset({Kind.INSERT, Kind.UPDATE, Kind.DELETE})
FILTERED_KINDS = frozenset({"r", "p", "m"})
_UNTOUCHED = frozenset({
    Kind.FETCH, Kind.CLOSE, Kind.DEALLOCATE, Kind.TRANSACTION, Kind.SET, Kind.SHOW, Kind.DISCARD, Kind.EMPTY, Kind.LISTEN,
})  # fmt: skip
"""Kinds that read no table themselves: a cursor's filter was put in when it was declared."""


def filters_on(
    parsed: Parsed, analysis: Analysis, clearance: Clearance, catalog: Catalog
) -> tuple[tuple[int, str], ...]:
    """Tables of a statement of which only some rows may be seen, with their conditions.

    Raises:
        RefusedStatementError: the filter cannot be carried out.
    """
    limited = clearance.filters.keys() | clearance.unreadable
    if not limited or parsed.kind in _UNTOUCHED:
        return ()
    unseen = [part.what for part in analysis.opaque] + [f"function {name}" for name in analysis.vouched]
    if unseen:
        raise _denied(f"`{unseen[0]}` cannot be seen into, and could read rows that a row filter hides from you")
    touched = set(analysis.relations) | {w.relation for w in analysis.writes} | set(_named(parsed, catalog))
    below = {oid for root in touched for oid in _descendants(root, catalog) if _differs(root, oid, clearance)}
    if below:
        raise _denied("a row filter is on a part of the table, and not on the whole of it", catalog, below)
    copied = {oid for oid in touched if _copies(oid, limited, catalog)}
    if copied:
        raise _denied("it was made of rows that a row filter may hide from you", catalog, copied)
    reached = _reached(parsed, analysis, catalog) & limited
    if reached or (parsed.kind is Kind.TRUNCATE and "cascade" in parsed.shape.lower()):
        raise _denied("foreign keys would change rows of it that a row filter may hide from you", catalog, reached)
    found = touched & limited
    if not found:
        return ()
    if found & analysis.inside:
        raise _denied("it is read by a function, in which rows cannot be left out", catalog, found & analysis.inside)
    if found & clearance.unreadable:
        raise _denied("your credential lacks what its row filter asks for", catalog, found & clearance.unreadable)
    if not (parsed.kind in READS and not analysis.writes) and not _writes_alone(parsed, analysis):
        raise _denied(
            f"`{parsed.kind.value}` cannot be limited to the rows that its row filter shows you", catalog, found
        )
    written = {write.relation for write in analysis.writes} & found
    if any(catalog.relations[oid].has_triggers for oid in written if oid in catalog.relations):
        raise _denied("writing it runs code that could reach rows that a row filter hides from you", catalog, written)
    for oid in found:
        relation = catalog.relations.get(oid)
        if relation is None or relation.kind not in FILTERED_KINDS:
            raise _denied("a row filter can be put on tables only", catalog, {oid})
    return tuple(sorted((oid, clearance.filters[oid]) for oid in found))


def _writes_alone(parsed: Parsed, analysis: Analysis) -> bool:
    """Whether a statement is one write of one table, and nothing else writes in it."""
    return parsed.kind in WRITES and [write.kind for write in analysis.writes] == [parsed.kind]


def _reached(parsed: Parsed, analysis: Analysis, catalog: Catalog) -> set[int]:
    """Tables whose rows a write changes by foreign keys; what happens to a row there may be a deletion or an update."""
    found: set[int] = set()
    for write in analysis.writes:
        updates = write.kind in (Kind.UPDATE, Kind.MERGE) or "on conflict" in parsed.shape.lower()
        deletes = write.kind in (Kind.DELETE, Kind.MERGE)
        for oid in (write.relation, *_descendants(write.relation, catalog)):
            relation = catalog.relations.get(oid)
            if relation is not None:
                found |= (relation.updates_reach if updates else set()) | (relation.deletes_reach if deletes else set())
    waiting = list(found)
    while waiting:
        relation = catalog.relations.get(waiting.pop())
        further = (relation.updates_reach | relation.deletes_reach) - found if relation is not None else set()
        found |= further
        waiting += further
    return found


def _named(parsed: Parsed, catalog: Catalog) -> Iterator[int]:
    """Every relation that a name in the text may mean: for kinds without a tree."""
    if parsed.kind in READS | WRITES:
        return
    names = {name for _, name in parsed.tables}
    yield from (relation.oid for relation in catalog.relations.values() if relation.name in names)


def _differs(root: int, part: int, clearance: Clearance) -> bool:
    """Whether a part of a table is filtered in another way than the whole."""
    return clearance.filters.get(part) != clearance.filters.get(root) or (
        part in clearance.unreadable and root not in clearance.unreadable
    )


def _copies(oid: int, limited: AbstractSet[int], catalog: Catalog) -> bool:
    """Whether a materialised view was made of a limited table, or of what is not known."""
    seen: set[int] = set()
    waiting = [oid]
    while waiting:
        relation = catalog.relations.get(waiting.pop())
        for source in relation.made_of if relation is not None else ():
            if source in limited or not source:
                return True
            if source not in seen:
                seen.add(source)
                waiting.append(source)
    return False


def words_of(run: Run | None, fields: Mapping[str, str]) -> Mapping[str, str]:
    """The database's report of a row that its filter would hide, in words; any other report as it is."""
    if run is None or not run.analysis.writes or fields.get("C") != UNFIT or UNFIT_BY in run.analysis.functions:
        return fields
    return {
        "S": "ERROR", "V": "ERROR", "C": "42501",
        "M": "lockgate: the statement would write a row that a row filter hides from you, or change one that is hidden; nothing was written",
        "D": "rule=row-filter",
    }  # fmt: skip


def _descendants(oid: int, catalog: Catalog) -> Iterator[int]:
    waiting = [oid]
    while waiting:
        relation = catalog.relations.get(waiting.pop())
        for child in relation.children if relation is not None else ():
            yield child
            waiting.append(child)


def _denied(
    sentence: str, catalog: Catalog | None = None, tables: set[int] | frozenset[int] = frozenset()
) -> RefusedStatementError:
    name = ""
    if catalog is not None and tables:
        relation = catalog.relations.get(min(tables))
        name = f"`{relation.qualified_name}`: " if relation is not None else ""
    return RefusedStatementError(
        "row-filter", name + sentence, sqlstate="42501", hint="Read the rows you may see with a plain SELECT, or ask whoever keeps the policies.",
    )  # fmt: skip
