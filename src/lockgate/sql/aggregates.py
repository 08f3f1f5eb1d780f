"""Aggregates and window functions: what they show of their arguments, and whether row order can change their result.

For: COUNT as the one aggregate that tells only what a renaming keeps, and the order-sensitive constructs of a level.
Not for: GROUP BY and window definitions themselves (`queries`).
Source: masking.md 2.3; architecture promise 5 (row order and choice of rows are part of the view).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lockgate.model.catalog import Function
from lockgate.model.statement import UseKind
from lockgate.sql.facts import COMPUTED, Facts, Val
from lockgate.sql.functions import (
    CASTS_TO_FLOAT,
    EQUAL_OPERATORS,
    EXACT_TYPES,
    FIRST_USER_OID,
    IDENTITY_RANGES,
    IDENTITY_TYPES,
    ORDER_FREE_AGGREGATES,
    ORDER_FREE_ON_EXACT,
    ORDER_FREE_ON_IDENTITY,
    ORDER_FREE_ON_RANGES,
    RANK_FUNCTIONS,
    is_builtin,
)
from lockgate.sql.scope import QUALIFIER, Scope, Yield
from lockgate.sql.tree import Node, refuse
from lockgate.sql.types import collation_of, type_of

_ROWS = 0x4
_WHOLE = 0x20 | 0x100
"""Frame options: UNBOUNDED PRECEDING to UNBOUNDED FOLLOWING."""


class Aggregates(Facts):
    """Reads AGGREF and WINDOWFUNC nodes."""

    def expression(self, node: Node, scope: Scope, mode: int) -> Val:
        """Read any expression."""
        raise NotImplementedError

    def condition(self, node: Node, scope: Scope, what: str) -> None:
        """Read an expression that decides rows."""
        raise NotImplementedError

    def apply(self, values: Iterable[Val], detail: str, scope: Scope, mode: int) -> Val:
        """Combine values by something that is not pure."""
        raise NotImplementedError

    def operators(self, numbers: Iterable[int]) -> None:
        """Judge operators by number."""
        raise NotImplementedError

    def column(self, scope: Scope, entry: int, number: int) -> Val:
        """Find a column."""
        raise NotImplementedError

    def subquery(self, node: Node, scope: Scope) -> Yield:
        """Read a query inside an expression."""
        raise NotImplementedError

    def is_total(self, scope: Scope, references: frozenset[int], *, output: bool) -> bool:
        """Whether sorting by these select-list entries leaves ties only between rows that look the same."""
        raise NotImplementedError

    def null_sources(self, node: Node, scope: Scope, mode: int) -> frozenset:  # type: ignore[type-arg]
        """Columns whose being NULL is asked."""
        raise NotImplementedError

    def aggregate(self, node: Node, scope: Scope, mode: int) -> Val:
        """An aggregate call; it belongs to the query `agglevelsup` above."""
        function = self.function(node.integer("aggfnoid"))
        owner = scope.up(node.integer("agglevelsup"))
        name = function.name if function is not None else "unknown"
        targets = node.nodes("args")
        arguments = [t.need("expr") for t in targets if not t.flag("resjunk")]
        self._filter(node, scope)
        for clause in (*node.nodes("aggorder"), *node.nodes("aggdistinct")):
            self.operators((clause.integer("eqop"), clause.integer("sortop")))
        if _is(function, "count"):
            self._count(node, arguments, scope, owner)
            values: list[Val] = []
        else:
            values = [self.expression(a, scope, mode) for a in arguments]
            values += [self.expression(d, scope, mode) for d in node.nodes("aggdirectargs")]
        for target in targets:
            if target.flag("resjunk"):
                found = self.expression(target.need("expr"), scope, mode)
                self.use(UseKind.CONTROL, found.sources, "ORDER BY in an aggregate", scope.level)
        if _is(function, "count") and node.items("aggorder"):
            for argument in arguments:
                self.use(
                    UseKind.CONTROL,
                    self.expression(argument, scope, mode).sources,
                    "ORDER BY in an aggregate",
                    scope.level,
                )
        if self._is_order_sensitive(node, function, arguments, scope, owner):
            self.levels[owner.level].order_sensitive[f"aggregate {name}"] = None
        return self.apply(values, f"aggregate {name}", scope, mode)

    def _filter(self, node: Node, scope: Scope) -> None:
        condition = node.node("aggfilter")
        if condition is not None:
            self.condition(condition, scope, "FILTER")

    def _count(self, node: Node, arguments: list[Node], scope: Scope, owner: Scope) -> None:
        """COUNT asks for NULL, COUNT(DISTINCT) for equality, of bare columns."""
        distinct = node.nodes("aggdistinct") if node.has("aggdistinct") else ()
        for argument in arguments:
            if not distinct:
                sources = self.null_sources(argument, scope, QUALIFIER)
                self.use(UseKind.COUNT, sources, "count", scope.level)
                continue
            value = self.expression(argument, scope, QUALIFIER)
            pure = value.plain and collation_of(argument) < FIRST_USER_OID
            if pure and all(d.integer("eqop") in EQUAL_OPERATORS for d in distinct):
                self.use(UseKind.COUNT, value.sources, "count(DISTINCT)", scope.level)
                self.levels[owner.level].distinct_counts.update(value.sources)
            else:
                self.use(UseKind.CONTROL, value.sources, "count(DISTINCT)", scope.level)

    def _is_order_sensitive(
        self, node: Node, function: Function | None, arguments: list[Node], scope: Scope, owner: Scope
    ) -> bool:
        if function is None or not is_builtin(function):
            return True
        name = function.name
        alike = bool(arguments) and all(looks_same(a) for a in arguments)
        if _is_order_free(name, arguments):
            return False
        if node.items("aggdistinct"):
            return not alike
        order = frozenset(c.integer("tleSortGroupRef") for c in node.nodes("aggorder"))
        if not order:
            return True
        targets = node.nodes("args")
        shown = [t for t in targets if not t.flag("resjunk") and t.need("expr").tag not in ("CONST", "PARAM")]
        if alike and all(t.integer("ressortgroupref") in order for t in shown):
            return False
        keys = [t.need("expr") for t in targets if t.integer("ressortgroupref") in order]
        return owner is not scope or not self.covers_keys(scope, keys)

    def covers_keys(self, scope: Scope, keys: list[Node]) -> bool:
        """Whether these expressions contain a unique key of every table at this level."""
        raise NotImplementedError

    def window(self, node: Node, scope: Scope, mode: int) -> Val:
        """A window function call; its window is one of the scope's own."""
        function = self.function(node.integer("winfnoid"))
        name = function.name if function is not None else "unknown"
        self._filter(node, scope)
        arguments = node.nodes("args")
        window = next(
            (w for w in scope.node.nodes("windowClause") if w.integer("winref") == node.integer("winref")), None
        )
        if window is None:
            refuse("tree-window", "a window of its tree is not there")
        if self._window_is_sensitive(node, window, function, scope):
            self.levels[scope.level].order_sensitive[f"window {name}"] = None
        if _is(function, "count"):
            for argument in arguments:
                self.use(UseKind.COUNT, self.null_sources(argument, scope, QUALIFIER), "count", scope.level)
            return COMPUTED
        return self.apply([self.expression(a, scope, mode) for a in arguments], f"window function {name}", scope, mode)

    def _window_is_sensitive(self, node: Node, window: Node, function: Function | None, scope: Scope) -> bool:
        if function is None or not is_builtin(function):
            return True
        references = frozenset(
            clause.integer("tleSortGroupRef")
            for name in ("partitionClause", "orderClause")
            for clause in window.nodes(name)
        )
        if self.is_total(scope, references, output=False):
            return False
        if function.name in RANK_FUNCTIONS:
            return False
        if not node.flag("winagg"):
            return True
        options = window.integer("frameOptions")
        if options & _ROWS and options & _WHOLE != _WHOLE:
            return True
        return not _is_order_free(function.name, node.nodes("args"))


def _is_order_free(name: str, arguments: Sequence[Node]) -> bool:
    """Whether a built-in aggregate gives the same, an error included, in whatever order its rows come."""
    if name in ORDER_FREE_AGGREGATES:
        return True
    if not arguments:
        return False
    if name in ORDER_FREE_ON_EXACT:
        return all(type_of(a) in EXACT_TYPES for a in arguments)
    if name in ORDER_FREE_ON_RANGES:
        return all(type_of(a) in IDENTITY_RANGES for a in arguments)
    return name in ORDER_FREE_ON_IDENTITY and all(looks_same(a) for a in arguments)


def looks_same(node: Node) -> bool:
    """Whether equal values of an expression always look the same."""
    kind = type_of(node)
    if collation_of(node) >= FIRST_USER_OID:
        return False
    if kind in IDENTITY_TYPES or (node.tag == "FUNCEXPR" and node.integer("funcid") in CASTS_TO_FLOAT):
        return True
    return kind == 1700 and node.tag == "VAR" and node.integer("vartypmod") >= 0


def _is(function: Function | None, name: str) -> bool:
    return function is not None and is_builtin(function) and function.name == name
