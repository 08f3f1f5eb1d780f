"""GROUP BY, DISTINCT, windows, ORDER BY and LIMIT: what decides the order and the choice of rows.

For: the parts of a level that are not FROM, WHERE or the select list, and the question whether an ORDER BY leaves ties.
Not for: whether that is allowed (masking.plan).
Source: architecture promise 5; masking.md 2.3.
"""

from __future__ import annotations

from lockgate.model.statement import WITH_SETS, SortKey, UseKind
from lockgate.sql.aggregates import looks_same
from lockgate.sql.expressions import Expressions
from lockgate.sql.facts import Columns
from lockgate.sql.functions import EQUAL_OPERATORS, FIRST_USER_OID, UNEQUAL_OPERATORS
from lockgate.sql.keys import Equation, closure, equations, leaves
from lockgate.sql.scope import VALUE, Scope
from lockgate.sql.tree import Node
from lockgate.sql.types import collation_of, type_of

Place = tuple[int, int]
"""A range table entry and a column of it."""


class Clauses(Expressions):
    """Reads the clauses of one query into its level."""

    def clauses(self, scope: Scope) -> None:
        """Everything between WHERE and the select list."""
        node, draft = scope.node, self.levels[scope.level]
        with self.givens.compared_with_others():  # with the select list and each other, constants included
            self._groups(scope)
            having = node.node("havingQual")
            if having is not None:
                self.condition(having, scope, "HAVING")
            for window in node.nodes("windowClause"):
                self._window_clause(window, scope)
            draft.single_row = node.flag("hasAggs") and not draft.is_grouped and not node.flag("hasTargetSRFs")
            self._distinct_clause(scope)
            self._sort(scope)
        self._limit(scope)

    def key(self, clause: Node, scope: Scope, what: str) -> Columns:
        """A grouping key: only the type's own equality on a bare column tells nothing but equality."""
        expression = scope.target(clause.integer("tleSortGroupRef")).need("expr")
        self.operators((clause.integer("eqop"), clause.integer("sortop")))
        found = self.expression(expression, scope, VALUE)
        self.group(found.sources, what, scope, literal=found.literal, pure=(
            found.plain and clause.integer("eqop") in EQUAL_OPERATORS and collation_of(expression) < FIRST_USER_OID
        ))  # fmt: skip
        return found.sources

    def group(self, sources: Columns, what: str, scope: Scope, *, literal: bool, pure: bool) -> None:
        """Record grouping by columns."""
        if pure:
            self.use(UseKind.GROUP, sources, what, scope.level, literal=literal)
            self.levels[scope.level].deciding.update(sources)
            together = f"{what}{WITH_SETS}" if scope.node.items("groupingSets") else what
            self.levels[scope.level].put_together.setdefault(together, set()).update(sources)
        else:
            self.use(UseKind.CONTROL, sources, what, scope.level)

    def _groups(self, scope: Scope) -> None:
        draft = self.levels[scope.level]
        clauses = scope.node.nodes("groupClause")
        draft.grouped = tuple(self.key(clause, scope, "GROUP BY") for clause in clauses)
        draft.is_grouped = bool(clauses or scope.node.items("groupingSets"))

    def _window_clause(self, window: Node, scope: Scope) -> None:
        for clause in window.nodes("partitionClause"):
            self.key(clause, scope, "PARTITION BY")
        for clause in window.nodes("orderClause"):
            self.operators((clause.integer("eqop"), clause.integer("sortop")))
            found = self.expression(scope.target(clause.integer("tleSortGroupRef")).need("expr"), scope, VALUE)
            self.use(UseKind.CONTROL, found.sources, "window ORDER BY", scope.level)
        for name in ("startOffset", "endOffset"):
            self.control(window.node(name), scope, "window frame")
        for name in ("startInRangeFunc", "endInRangeFunc"):
            if window.integer(name):
                self.function(window.integer(name))

    def _distinct_clause(self, scope: Scope) -> None:
        clauses = scope.node.nodes("distinctClause")
        if not clauses:
            return
        self.levels[scope.level].distinct = True
        for clause in clauses:
            self.key(clause, scope, "DISTINCT")

    def _sort(self, scope: Scope) -> None:
        node, draft = scope.node, self.levels[scope.level]
        clauses = node.nodes("sortClause")
        visible = [t for t in scope.targets if not t.flag("resjunk")]
        keys = []
        for clause in clauses:
            target = scope.target(clause.integer("tleSortGroupRef"))
            expression = target.need("expr")
            self.operators((clause.integer("eqop"), clause.integer("sortop")))
            found = self.expression(expression, scope, VALUE)
            self.use(UseKind.CONTROL, found.sources, "ORDER BY", scope.level)
            shown = next((at for at, other in enumerate(visible) if other is target), None)
            if collation_of(expression) >= FIRST_USER_OID:
                shown = None
            keys.append(SortKey(shown, found.sources, found.plain, type_of(expression)))
        draft.sort = tuple(keys)
        references = frozenset(c.integer("tleSortGroupRef") for c in clauses)
        draft.total = draft.single_row or (bool(clauses) and self.is_total(scope, references, output=True))
        if node.flag("hasDistinctOn") and not (bool(clauses) and self._rows_are_total(scope, references)):
            draft.order_sensitive["DISTINCT ON"] = None

    def _limit(self, scope: Scope) -> None:
        draft = self.levels[scope.level]
        for name, words in (("limitCount", "LIMIT"), ("limitOffset", "OFFSET")):
            bound = scope.node.node(name)
            if bound is None or _is_nothing(bound, zero=name == "limitOffset"):
                continue
            with self.givens.kept(unless=name == "limitCount"):
                self.control(bound, scope, words)
            if not draft.total:
                draft.order_sensitive[words] = None

    # ties

    def is_total(self, scope: Scope, references: frozenset[int], *, output: bool) -> bool:
        """Whether sorting by these select-list entries leaves ties only between rows that look the same."""
        node = scope.node
        visible = [t for t in scope.targets if not t.flag("resjunk")]
        if output and all(t.integer("ressortgroupref") in references and looks_same(t.need("expr")) for t in visible):
            return True
        if scope.arms is not None:
            return False
        distinct = frozenset(c.integer("tleSortGroupRef") for c in node.nodes("distinctClause"))
        if output and distinct and not node.flag("hasDistinctOn") and distinct <= references:
            return True
        return self._rows_are_total(scope, references)

    def _rows_are_total(self, scope: Scope, references: frozenset[int]) -> bool:
        """The same for the rows before DISTINCT."""
        node = scope.node
        if node.items("groupingSets") or node.flag("hasTargetSRFs") or scope.arms is not None:
            return False
        grouped = frozenset(c.integer("tleSortGroupRef") for c in node.nodes("groupClause"))
        if grouped:
            return grouped <= references
        if node.flag("hasAggs"):
            return True
        return self.covers_keys(scope, [scope.target(reference).need("expr") for reference in references])

    def covers_keys(self, scope: Scope, keys: list[Node]) -> bool:
        """Whether these expressions fix one row of every table at this level."""
        found = leaves(scope.node.need("jointree"))
        unique: dict[int, tuple[frozenset[int], ...]] = {}
        for leaf in found:
            entry = scope.entry(leaf)
            kind = entry.integer("rtekind")
            if kind == 8:
                continue
            relation = self.catalog.relations.get(entry.integer("relid")) if kind == 0 else None
            if relation is None:
                return False
            unique[leaf] = relation.unique_keys
        known = {place for place in (self.place(key, scope) for key in keys) if place is not None}
        return closure(unique, known, equations(scope.node.need("jointree"), self._equation, scope))

    def _equation(self, node: Node, scope: Scope) -> Equation | None:
        """`a = b` or `a = constant` as places; None for anything else."""
        if node.tag != "OPEXPR" or node.integer("opno") not in EQUAL_OPERATORS - UNEQUAL_OPERATORS:
            return None
        if node.integer("inputcollid") >= FIRST_USER_OID or len(node.items("args")) != 2:
            return None
        left, right = node.nodes("args")
        sides = self.place(left, scope), self.place(right, scope)
        constant = any(side.tag in ("CONST", "PARAM") for side in (left, right))
        if sides[0] is None and sides[1] is None:
            return None
        if (sides[0] is None or sides[1] is None) and not constant:
            return None
        return sides

    def place(self, node: Node, scope: Scope) -> Place | None:
        """The table column that a bare column reference of this very level means."""
        for _ in range(8):
            if node.tag != "VAR" or node.integer("varlevelsup") or node.integer("varattno") <= 0:
                return None
            entry = scope.entry(node.integer("varno"))
            kind = entry.integer("rtekind")
            if kind == 0:
                return node.integer("varno"), node.integer("varattno")
            names = {2: "joinaliasvars", 9: "groupexprs"}
            if kind not in names:
                return None
            inner = entry.items(names[kind])[node.integer("varattno") - 1 : node.integer("varattno")]
            if not inner or not isinstance(inner[0], Node):
                return None
            node = inner[0]
        return None


def _is_nothing(node: Node, *, zero: bool) -> bool:
    """LIMIT NULL, or OFFSET 0."""
    while node.tag in ("RELABELTYPE", "FUNCEXPR"):
        if node.tag == "FUNCEXPR":
            arguments = node.nodes("args")
            if len(arguments) != 1 or node.integer("funcid") not in (481, 482):
                return False
            node = arguments[0]
        else:
            node = node.need("arg")
    if node.tag != "CONST":
        return False
    return node.flag("constisnull") or (zero and not any(node.integers("constvalue")))
