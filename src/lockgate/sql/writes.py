"""INSERT, UPDATE, DELETE and MERGE: what flows into which column, and how far the write reaches.

For: write sources and targets, RETURNING-independent facts, and whether a unique key bounds the write.
Not for: reading FROM and WHERE (`queries`).
Source: masking.md 2.3 (writes); architecture section 5 (bounded).
"""

from __future__ import annotations

from lockgate.model.catalog import ColumnRef
from lockgate.model.statement import ON_CONFLICT, Kind, UseKind, WriteFact
from lockgate.sql.bounds import named
from lockgate.sql.clauses import Clauses
from lockgate.sql.keys import conjuncts
from lockgate.sql.scope import VALUE, Scope
from lockgate.sql.tree import Node, refuse

SELECT, UPDATE, INSERT, DELETE, MERGE = 1, 2, 3, 4, 5
KINDS: dict[int, Kind] = {UPDATE: Kind.UPDATE, INSERT: Kind.INSERT, DELETE: Kind.DELETE, MERGE: Kind.MERGE}
_FIRST_ATTRIBUTE = -7
"""Column sets count from the lowest system column."""


class Writes(Clauses):
    """Reads the writing parts of one query."""

    def write(self, scope: Scope, command: int) -> None:
        """Everything that a data-modifying query writes."""
        node = scope.node
        self.has_effects = True
        number = node.integer("resultRelation")
        entry = scope.entry(number)
        if entry.integer("rtekind") != 0:
            refuse("tree-target", "the target of a write is not a table")
        relation = entry.integer("relid")
        self.relation(entry)
        if entry.text("relkind") not in ("r", "p"):
            self.hide(f"relation {self.name_of(relation)}", "rows written through it are handled by code of its own")
        for attribute in sorted(self._written(entry, scope)):
            self.use(
                UseKind.WRITE_TARGET, frozenset({ColumnRef(relation, attribute)}), KINDS[command].value, scope.level
            )
        self._assign(scope.targets, relation, scope)
        self._on_conflict(relation, scope)
        for action in node.nodes("mergeActionList") if node.has("mergeActionList") else ():
            qual = action.node("qual")
            if qual is not None:
                self.condition(qual, scope, "MERGE WHEN")
            self._assign(action.nodes("targetList"), relation, scope)
        join = node.node("mergeJoinCondition") if node.has("mergeJoinCondition") else None
        if join is not None:
            self.condition(join, scope, "MERGE ON")
        for check in node.nodes("withCheckOptions"):
            qual = check.node("qual")
            if qual is not None:
                self.condition(qual, scope, "WITH CHECK OPTION")
        self.writes[self._fact(scope, command, number, relation)] = None

    def relation(self, entry: Node) -> None:
        """Record and judge a relation."""
        raise NotImplementedError

    def name_of(self, oid: int) -> str:
        """A relation's name for messages."""
        found = self.catalog.relations.get(oid)
        return found.qualified_name if found is not None else str(oid)

    def _written(self, entry: Node, scope: Scope) -> set[int]:
        """Columns that the client names as targets: defaults that the server adds are not among them."""
        rights = entry
        if not entry.has("insertedCols"):
            index = entry.integer("perminfoindex")
            infos = scope.node.nodes("rteperminfos")
            if not 1 <= index <= len(infos) or infos[index - 1].integer("relid") != entry.integer("relid"):
                refuse("tree-rights", "the columns of a write cannot be found")
            rights = infos[index - 1]
        return {bit + _FIRST_ATTRIBUTE for name in ("insertedCols", "updatedCols") for bit in rights.integers(name)}

    def _assign(self, targets: tuple[Node, ...], relation: int, scope: Scope) -> None:
        scope.writing = True
        for target in targets:
            found = self.expression(target.need("expr"), scope, VALUE)
            if not target.flag("resjunk"):
                written = ColumnRef(relation, target.integer("resno"))
                self.use(
                    UseKind.WRITE_SOURCE,
                    found.sources,
                    "assignment",
                    scope.level,
                    literal=found.literal,
                    target=written,
                    plain=found.plain and not found.literal,
                )
        scope.writing = False

    def _on_conflict(self, relation: int, scope: Scope) -> None:
        conflict = scope.node.node("onConflict")
        if conflict is None:
            return
        with self.givens.kept():  # matched with the expressions and conditions of indexes
            self._conflict(conflict, relation, scope)

    def _conflict(self, conflict: Node, relation: int, scope: Scope) -> None:
        for element in conflict.nodes("arbiterElems"):
            found = self.expression(element.need("expr"), scope, VALUE)
            self.use(UseKind.CONTROL, found.sources, ON_CONFLICT, scope.level)
        for name in ("arbiterWhere", "onConflictWhere"):
            qual = conflict.node(name)
            if qual is not None:
                self.condition(qual, scope, ON_CONFLICT)
        for target in conflict.nodes("onConflictSet"):
            written = frozenset({ColumnRef(relation, target.integer("resno"))})
            self.use(UseKind.WRITE_TARGET, written, ON_CONFLICT, scope.level)
        self._assign(conflict.nodes("onConflictSet"), relation, scope)

    # how far it reaches

    def _fact(self, scope: Scope, command: int, number: int, relation: int) -> WriteFact:
        kind = KINDS[command]
        if command == INSERT:
            return WriteFact(kind, relation, bounded=True, selective=True)
        if command == MERGE:
            return WriteFact(kind, relation, bounded=False, selective=False)
        quals = scope.node.need("jointree").node("quals")
        if any(part.tag == "CURRENTOFEXPR" for part in conjuncts(quals)):
            return WriteFact(kind, relation, bounded=True, selective=True)
        found = named(quals)
        fixed = {column for table, column in found.equal if table == number}
        known = self.catalog.relations.get(relation)
        keys = known.unique_keys if known is not None else ()
        single = {column for table, column in found.single if table == number}
        one_row = (
            known is not None
            and not known.children
            and any(
                index.unique
                and index.immediate
                and not index.partial
                and 0 not in index.columns
                and set(index.columns) <= single
                for index in known.indexes
            )
        )
        bounded = any(key <= fixed for key in keys)
        return WriteFact(kind, relation, bounded, selective=number in found.tables, one_row=one_row)
