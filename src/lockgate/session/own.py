"""What only one session can see: its temporary tables, and what its open transaction has changed.

For: knowing that there is such a thing, which temporary tables it made and what is in their columns, and the catalog with all of it.
Not for: asking the server (`transport.own_link`) and not for judging.
Invariant: a temporary table that the session was not seen to make stays unknown, so that nothing of it is shown.
Source: architecture section 3, step 4; masking.md 4.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

from lockgate.model.catalog import Catalog, OwnTable, Relation
from lockgate.model.decision import Clearance
from lockgate.model.statement import Action, Analysis, Kind, Parsed
from lockgate.session import texts
from lockgate.session.runs import Run
from lockgate.session.wishes import AnalysedHere

_NUMBERS = count(1)
BY_NAME = -1
"""In the place of a relation's number: policy knows it by its name only."""
_ENDS = frozenset({"commit", "rollback", "rollback-to"})


class OwnObjects:
    """One session's own objects.

    Attributes:
        has_temporary: the session may have temporary objects.
        tables: those that it was seen to make, newest last.
        version: changes with everything that only this session can see; empty while there is nothing of the kind.
    """

    def __init__(self) -> None:
        self.has_temporary = False
        self.tables: tuple[OwnTable, ...] = ()
        self.version: tuple[int, ...] = ()
        self._relations: dict[int, Relation] = {}
        self._seen: tuple[Catalog, Catalog] | None = None
        self.seen_version = 0

    def note(self, parsed: Parsed) -> None:
        """A definition is on its way to the server: from now on the session's own link is asked."""
        if parsed.temporary and parsed.kind in (Kind.CREATE, Kind.CREATE_TABLE_AS):
            self.has_temporary = True
        self._move()

    def follow(self, run: Run) -> None:
        """A statement is complete: what it made is known, what may mean something else is asked again."""
        parsed = run.parsed
        if run.makes is not None:
            self.tables = (*self.tables, run.makes)
        if parsed.kind is Kind.DISCARD and parsed.value in ("all", "temp"):
            self.has_temporary = False
            self.tables = ()
            self._move()
        elif parsed.kind in texts.CHANGES_CATALOG or (parsed.kind is Kind.TRANSACTION and parsed.value in _ENDS):
            self._move()

    def judged(self, analysis: Analysis, parsed: Parsed, catalog: Catalog) -> Analysis:
        """An analysis that asks nothing of policy for the session's own temporary tables: they hold what it could see anyway.

        Policy is asked by name about what is not in the snapshot yet.
        """
        new = {oid for oid in self._relations if oid not in catalog.relations and not self._is_temporary(oid)}
        if new:
            named = (replace(one, relation=BY_NAME) if one.relation in new else one for one in analysis.accesses)
            analysis = replace(analysis, accesses=tuple(named))
        tables = {table.oid for table in self.tables}
        # Operators, types and functions in `pg_temp` have no name in `tables`: they are code, and stay what policy says of it.
        table = parsed.kind is Kind.CREATE and parsed.temporary and bool(parsed.tables)
        made = table and analysis.relations <= tables
        changed = bool(analysis.relations) and analysis.relations <= tables
        if not made and not tables & (analysis.relations | {write.relation for write in analysis.writes}):
            return analysis
        left = [access for access in analysis.accesses if access.relation not in tables]
        if made or changed:
            left = [access for access in left if access.relation or access.action is not Action.DEFINE]
        writes = (replace(w, bounded=True, selective=True) if w.relation in tables else w for w in analysis.writes)
        return replace(analysis, accesses=tuple(left), own=made or changed, writes=tuple(writes))

    def _is_temporary(self, oid: int) -> bool:
        return self._relations[oid].schema.startswith("pg_temp")

    def _move(self) -> None:
        if self.has_temporary or self.version or self._relations:
            self.version = (next(_NUMBERS),)

    def begin(self) -> None:
        """The session's transaction has changed something that no other session sees."""
        if not self.version:
            self.version = (next(_NUMBERS),)

    def end(self) -> None:
        """No transaction is open: what it had changed is in the snapshot by now, or nowhere."""
        left = {oid: one for oid, one in self._relations.items() if one.schema.startswith("pg_temp")}
        if len(left) != len(self._relations):
            self._changed(left)
            self._move()
        if not self.has_temporary:
            self.version = ()
            if self._relations:
                self._changed({})

    def learn(self, found: AnalysedHere) -> None:
        """What an analysis on the session's own link has seen."""
        self.tables = found.tables
        merged = {**self._relations, **found.relations}
        if merged != self._relations:
            self._changed(merged)

    def _changed(self, relations: dict[int, Relation]) -> None:
        self._relations, self._seen = relations, None
        self.seen_version = next(_NUMBERS)

    def seen(self, catalog: Catalog) -> Catalog:
        """The snapshot, with what only this session sees."""
        if not self._relations:
            return catalog
        if self._seen is None or self._seen[0] is not catalog:
            self._seen = (catalog, replace(catalog, relations={**catalog.relations, **self._relations}))
        return self._seen[1]

    def clearance(self, known: Clearance, of: Callable[[Catalog], Clearance], catalog: Catalog) -> Clearance:
        """What the chain may not see, the session's own relations included.

        Args:
            known: over the snapshot.
            of: over another catalog.
        """
        if not self._relations:
            return known
        own = of(replace(catalog, relations=self._relations, generation=-next(_NUMBERS)))
        masked = frozenset(r for r in known.masked if r.relation not in self._relations) | own.masked
        filters = {oid: text for oid, text in known.filters.items() if oid not in self._relations}
        unreadable = known.unreadable - self._relations.keys()
        return replace(known, masked=masked, filters={**filters, **own.filters}, unreadable=unreadable | own.unreadable)
