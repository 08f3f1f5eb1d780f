"""INSERT, UPDATE, DELETE and MERGE: what flows into which column, and how far the write reaches.

For: write sources and targets, RETURNING-independent facts, and whether a unique key bounds the write.
Not for: reading FROM and WHERE (`queries`).
Source: masking.md 2.3 (writes); architecture section 5 (bounded).
"""

from __future__ import annotations

from lockgate.model.catalog import ColumnRef
from lockgate.model.statement import ON_CONFLICT, Kind, UseKind, WriteFact
from lockgate.sql.clauses import Clauses
from lockgate.sql.functions import EQUAL_OPERATORS, FIRST_USER_OID
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
        fixed: set[int] = set()
        selective = False
        for part in conjuncts(scope.node.need("jointree").node("quals")):
            if part.tag == "CURRENTOFEXPR":
                return WriteFact(kind, relation, bounded=True, selective=True)
            column = self._compared(part, number)
            if column is None:
                continue
            selective = True
            if self._is_equality(part):
                fixed.add(column)
        known = self.catalog.relations.get(relation)
        keys = known.unique_keys if known is not None else ()
        return WriteFact(kind, relation, bounded=any(key <= fixed for key in keys), selective=selective)

    @staticmethod
    def _is_equality(part: Node) -> bool:
        if part.integer("opno") not in EQUAL_OPERATORS or part.integer("inputcollid") >= FIRST_USER_OID:
            return False
        return part.tag == "OPEXPR" or part.flag("useOr")

    @staticmethod
    def _compared(part: Node, number: int) -> int | None:
        """The target's column that a condition compares with a constant or parameter."""
        if part.tag not in ("OPEXPR", "SCALARARRAYOPEXPR"):
            return None
        arguments = part.nodes("args")
        if len(arguments) != 2:
            return None
        for one, other in (arguments, arguments[::-1]):
            column = _bare(one)
            mine = column.tag == "VAR" and not column.integer("varlevelsup") and column.integer("varno") == number
            if mine and column.integer("varattno") > 0 and is_given(other):
                return column.integer("varattno")
        return None


def _bare(node: Node) -> Node:
    while node.tag == "RELABELTYPE":
        node = node.need("arg")
    return node


def is_given(node: Node) -> bool:
    """A constant or parameter, cast or in an ARRAY at most."""
    while True:
        if node.tag in ("RELABELTYPE", "COERCEVIAIO", "COLLATEEXPR", "ARRAYCOERCEEXPR"):
            node = node.need("arg")
        elif node.tag == "FUNCEXPR" and node.integer("funcformat") in (1, 2) and node.items("args"):
            first, *rest = node.nodes("args")
            if any(part.tag != "CONST" for part in rest):
                return False
            node = first
        else:
            break
    if node.tag == "ARRAYEXPR":
        return all(is_given(part) for part in node.nodes("elements"))
    if node.tag == "CONST":
        return not node.flag("constisnull")
    return node.tag == "PARAM" and node.integer("paramkind") == 0
