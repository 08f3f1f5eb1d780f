"""Bodies of functions in LANGUAGE sql: a call of one is read as the queries that the server makes of its body.

For: the values of a call's arguments flowing into the body, and its accesses, uses and provenance into the statement.
Not for: asking the server for bodies (`transport.bodies`); other languages stay closed, and so does everything that is not understood.
Source: masking.md 1.2 and 2.3; PostgreSQL documentation, 38.5 (a function's result is that of its last query, the first row of it
unless it returns a set) and 5.9 (names in a body that is a string are found when it runs).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lockgate.errors import RefusedStatementError
from lockgate.model.catalog import Catalog, Function
from lockgate.model.statement import Called, UseKind
from lockgate.sql.expressions import TEXT_TYPES
from lockgate.sql.facts import COMPUTED, NO_COLUMNS, NULL, Val, merge
from lockgate.sql.functions import FIRST_USER_OID, SAFE_SETTINGS, why_opaque
from lockgate.sql.scope import VALUE, Call, Scope, Yield
from lockgate.sql.tree import Node
from lockgate.sql.types import type_of
from lockgate.sql.writes import SELECT, Writes

DEPTH_MAX = 16
CALLS_MAX = 200
"""Bodies that one statement may enter: a body that calls two others twice would else be read without end."""
_SETTINGS = SAFE_SETTINGS | {"work_mem"}
_CALLED = re.compile(r" :(?:opfuncid|funcid) ([0-9]+)(?= )")


@dataclass(frozen=True, slots=True)
class Body:
    """One function in LANGUAGE sql, as the server reads it.

    Args:
        statements: the rewritten queries of each of its statements.
        arguments: how many it takes.
        defaults: the printed tree of what stands for arguments that are left out.
        columns: type OIDs of the result's columns where they are declared; empty where they are not.
        settings: what it sets while it runs.
        is_text: its body is a string, in which names mean what they mean where and when it runs.
        as_owner: it runs with the rights of its owner.
        unread: the server did not read its body.
    """

    statements: tuple[tuple[Node, ...], ...] = ()
    arguments: int = 0
    defaults: str = ""
    columns: tuple[int, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    is_text: bool = True
    as_owner: bool = False
    unread: bool = False


def path_of(settings: tuple[tuple[str, str], ...], around: str) -> str:
    """Where names in a body resolve, and in what it calls: its own search_path, or that of its caller."""
    return dict(settings).get("search_path", around)


@dataclass(frozen=True, slots=True)
class _Entered:
    """A call whose body was read: its last query, none where it has none, and the types that its columns are declared with."""

    found: Yield | None
    columns: tuple[int, ...]


class Bodies(Writes):
    """Reads calls of functions in LANGUAGE sql."""

    def __init__(self, catalog: Catalog, bodies: Callable[[Called], Body | None] = lambda _called: None) -> None:
        super().__init__(catalog)
        self._bodies = bodies
        self.called: dict[Called, None] = {}
        self.inside: set[int] = set()
        self._open: list[tuple[int, str]] = []
        self._entered = 0

    def query(self, node: Node, parent: Scope | None, *, call: Call | None = None) -> Yield:
        """One QUERY node; for the body of a function with its call."""
        raise NotImplementedError

    @property
    def is_inside(self) -> bool:
        """Whether a body is being read."""
        return bool(self._open)

    def body_call(self, node: Node, scope: Scope, mode: int) -> Val | None:
        """A call whose body can be read, as a value; None for another function."""
        function = self._function_of(node)
        if function is None:
            return None
        values = self._ordered(node, scope, mode)
        entered = self._enter(function, node, values, scope)
        if entered is None:
            return self.apply(_given(values), f"function {function.name}", scope, mode)
        found = entered.found
        if found is None:
            return NULL
        if node.flag("funcretset"):
            self.levels[scope.level].feeds.add(found.scope.level)
        columns = self._columns(found, (node.integer("funcresulttype"),), function, scope, mode)
        if len(columns) == 1 and columns[0].plain:
            return merge([columns[0], NULL])
        return self.apply(columns, f"function {function.name}", scope, mode)

    def body_table(self, part: Node, entry: Node, scope: Scope) -> Yield | None:
        """A call in FROM whose body can be read, with the columns of its last query; None for another function."""
        function = self._function_of(part)
        if function is None:
            return None
        name = f"function {function.name}"
        values = self._ordered(part, scope, VALUE)
        entered = self._enter(function, part, values, scope)
        count = len(entry.need("eref").items("colnames"))
        if entry.flag("funcordinality"):
            self.hide(name, "its rows are numbered as they come")
        if entered is None:
            found = self.apply(_given(values), name, scope, VALUE)
            return Yield(scope, count, lambda _number: found)
        if entered.found is None:
            return Yield(scope, count, lambda _number: NULL)
        self.levels[scope.level].feeds.add(entered.found.scope.level)
        declared = entered.columns or entry.nodes("functions")[0].integers("funccoltypes")
        columns = self._columns(entered.found, declared, function, scope, VALUE)
        if len(columns) != count:
            columns = [self.apply(columns, name, scope, VALUE)] * count
        return Yield(scope, count, lambda number: columns[number - 1])

    def _function_of(self, node: Node) -> Function | None:
        if node.tag != "FUNCEXPR":
            return None
        found = self.catalog.functions.get(node.integer("funcid"))
        readable = found is not None and found.oid >= FIRST_USER_OID and found.language == "sql" and found.kind == "f"
        return found if readable and why_opaque(found) else None

    def _ordered(self, node: Node, scope: Scope, mode: int) -> list[Val | None]:
        """Values of the arguments in the function's own order; None for one that is left out."""
        given: dict[int, Val | None] = {}
        for place, argument in _arguments(node).items():
            with self.givens.kept():
                given[place] = self.expression(argument, scope, mode)
        return [given.get(place) for place in range(max(given, default=-1) + 1)]

    def _enter(self, function: Function, node: Node, values: list[Val | None], scope: Scope) -> _Entered | None:
        """Read a body; None where it cannot be, which is noted."""
        name = f"{function.schema}.{function.name}"
        self.function(function.oid, is_read=True)
        called = Called(function.oid, self._open[-1][1] if self._open else "")
        body = self._bodies(called)
        self.called[called] = None
        why = self._why_closed(function, body, values)
        if body is None or why:
            self.hide(f"function {name}", why)
            return None
        self._entered += 1
        if function.strict:
            sources = NO_COLUMNS.union(*(v.sources for v in _given(values)))
            self.use(UseKind.NULL_TEST, sources, "a function that is not called for NULL", scope.level)
        given = [COMPUTED if value is None else value for value in values]
        given += [COMPUTED] * (body.arguments - len(given))
        self._open.append((function.oid, path_of(body.settings, called.search_path)))
        try:
            last = self._read(body, Call(tuple(given), _arguments(node), scope), scope)
        except RefusedStatementError:
            self.hide(f"function {name}", "its body is not understood")
            return None
        finally:
            self._open.pop()
        if last is not None and not node.flag("funcretset"):
            level = self.levels[last.scope.level]
            level.stops_early = True
            self.levels[scope.level].feeds.add(last.scope.level)
            if not level.total:
                level.order_sensitive[f"the first row of function {function.name}"] = None
        return _Entered(last, body.columns)

    def _why_closed(self, function: Function, body: Body | None, values: list[Val | None]) -> str:
        if body is None or body.unread:
            return (
                "it is defined by a user or an extension"
                if body is None
                else "the server does not read its body for the analysis role"
            )
        if any(oid == function.oid for oid, _ in self._open):
            return "it calls itself"
        if len(self._open) >= DEPTH_MAX or self._entered >= CALLS_MAX:
            return "functions call each other too often"
        if any(name not in _SETTINGS and name != "search_path" for name, _ in body.settings):
            return "it changes settings while it runs"
        path = path_of(body.settings, "")
        if "$user" in path or (body.as_owner and body.is_text and not path):
            return "where its names resolve depends on who runs it"
        if None in values or len(values) < body.arguments:
            numbers = [int(number) for number in _CALLED.findall(body.defaults)]
            if any(why_opaque(self.catalog.functions.get(number)) for number in numbers):
                return "an argument that is left out is computed by what cannot be seen into"
        if any(len(queries) != 1 or queries[0].integer("commandType") != SELECT for queries in body.statements):
            return "its body does more than read"
        return ""

    def _read(self, body: Body, call: Call, scope: Scope) -> Yield | None:
        last = None
        for queries in body.statements:
            last = self.query(queries[0], scope, call=call)
            last.every()
        return last

    def _columns(
        self, found: Yield, declared: tuple[int, ...], function: Function, scope: Scope, mode: int
    ) -> list[Val]:
        """The result's columns; what is cast on the way out is no plain value any more."""
        targets = [t.need("expr") for t in found.scope.targets if not t.flag("resjunk")]
        columns = []
        for at, value in enumerate(found.every()):
            kind = type_of(targets[at]) if at < len(targets) else 0
            wanted = declared[at] if len(declared) == found.count else 0
            same = kind and (kind == wanted or {kind, wanted} <= TEXT_TYPES)
            columns.append(
                value if same and value.plain else self.apply([value], f"function {function.name}", scope, mode)
            )
        return columns


def _arguments(node: Node) -> dict[int, Node]:
    """What a call is given, by place in the function's own order from 0."""
    given = {}
    for at, argument in enumerate(node.nodes("args")):
        named = argument.tag == "NAMEDARGEXPR"
        given[argument.integer("argnumber") if named else at] = argument.need("arg") if named else argument
    return given


def _given(values: Iterable[Val | None]) -> list[Val]:
    return [value for value in values if value is not None]
