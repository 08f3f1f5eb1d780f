"""Values that the client gives, constants and parameters, and whether comparing them with columns is all that is done with them.

For: saying which of them may be translated (`masking.lookups`), because nothing else would notice, and which constants stand where
neither the server's reading of the text nor ours looks at their value (`sql.lifting`).
Not for: translating. A value that is met anywhere but in a comparison is not translated, and the comparison is refused.
Source: masking.md 0.4 and 2.3; PostgreSQL 14 to 18, parse_coerce.c (a constant keeps the place of its token through casts).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lockgate.model.statement import Given
from lockgate.sql.scope import Call, Scope
from lockgate.sql.tree import Node

_SUBQUERY, _VALUES, _CTE = 1, 5, 6
_EXTERN, _SUBLINK = 0, 2
_WIDENING = frozenset({481, 754, 313, 1740, 1781, 1782})
"""Casts between whole numbers that lose nothing: int8(int4), int8(int2), int4(int2), numeric(int4, int8, int2)."""

_TEXT_ARRAYS = frozenset({1009, 1015})

_BARE = ("distinctClause", "groupClause", "groupingSets", "sortClause", "windowClause")
_EMPTY = ("limitCount", "limitOffset", "setOperations", "havingQual")
_FLAGS = ("hasAggs", "hasWindowFuncs", "hasTargetSRFs", "hasSubLinks")

Place = tuple[Hashable, int]
"""A column of a list of values: the node that holds the list, by identity, and the column's number; or an argument of a call."""


@dataclass(slots=True)
class _Found:
    """Where a side of a comparison leads, and the places in the tree that it goes through."""

    givens: list[tuple[Given, int, Place | None]]
    marks: list[Hashable]


class Givens:
    """What was met while a tree was read, and what of it only comparisons took."""

    def __init__(self) -> None:
        self._types: dict[Given, int] = {}
        self._met: dict[Given, set[Hashable]] = {}
        self._columns: dict[Place, set[Hashable]] = {}
        self._feeds: dict[Given, set[Place]] = {}
        self._taken: set[Hashable] = set()
        self._mixed: set[Given] = set()
        self._whole_rows = False
        self._kinds: dict[Given, int] = {}
        self._kept: set[Given] = set()
        self._keeping = 0
        self._matched: set[Given] = set()
        self._matching = 0
        self._unplaced: set[Given] = set()

    def meet(self, node: Node) -> None:
        """A constant or parameter was read."""
        given = _given(node)
        if given is None:
            if node.tag == "CONST" and not node.flag("constisnull"):
                self._unplaced.add(Given(parameter=False, at=-1))
            return
        self._met.setdefault(given, set()).add(id(node))
        if node.tag == "CONST" and (
            self._keeping or self._kinds.setdefault(given, node.integer("consttype")) != node.integer("consttype")
        ):
            self._kept.add(given)
        elif node.tag == "CONST" and self._matching:
            self._matched.add(given)

    @property
    def is_matching(self) -> bool:
        """Whether what is read now is compared with other expressions of the text."""
        return bool(self._matching)

    @contextmanager
    def compared_with_others(self, *, unless: bool = False) -> Iterator[None]:
        """The server compares what is read meanwhile with other expressions of the text: of constants only matters which are equal.

        Args:
            unless: it does not after all.
        """
        self._matching += not unless
        try:
            yield
        finally:
            self._matching -= not unless

    @contextmanager
    def kept(self, *, unless: bool = False) -> Iterator[None]:
        """Constants that are met meanwhile matter by their value, as far as is known here.

        Args:
            unless: they do not after all, for what is read meanwhile.
        """
        self._keeping += not unless
        try:
            yield
        finally:
            self._keeping -= not unless

    def meet_column(self, node: Node, scope: Scope) -> None:
        """A column without base columns was read: it may be one of a list of values."""
        if node.integer("varattno") == 0:
            self._whole_rows = True
            return
        place = _place(node, scope)
        if place is not None:
            self._columns.setdefault(place, set()).add(id(node))

    def meet_argument(self, node: Node, call: Call) -> None:
        """An argument was read in the body of a function."""
        self._columns.setdefault((call, node.integer("paramid")), set()).add((call, id(node)))

    def take(self, sides: Iterable[Node], scope: Scope) -> frozenset[Given] | None:
        """The given values that these sides of a comparison consist of; None when they are something else as well."""
        found = _Found([], [])
        for side in sides:
            follows = _follow if scope.within() is None else _follow_argument
            if not follows(side, scope, None, found):
                return None
        self._taken.update(found.marks)
        for given, kind, place in found.givens:
            if self._types.setdefault(given, kind) != kind:
                self._mixed.add(given)
            if place is not None:
                self._feeds.setdefault(given, set()).add(place)
        return frozenset(given for given, _, _ in found.givens)

    def compared(self) -> tuple[tuple[Given, int], ...]:
        """Every given value that nothing but comparisons uses, with its type."""
        return tuple(
            (given, kind)
            for given, kind in sorted(self._types.items())
            if given not in self._mixed
            and self._met.get(given, set()) <= self._taken
            and self._only_compared(self._feeds.get(given, set()))
        )

    def unread(self) -> tuple[tuple[Given, int], ...]:
        """Every constant that stands only where nothing looks at its value before the statement runs, with its type."""
        looked_at = self._kept | self._matched
        return tuple((given, kind) for given, kind in sorted(self._kinds.items()) if given not in looked_at)

    def matched(self) -> tuple[tuple[Given, int], ...]:
        """Every constant of which nothing matters before the statement runs but which others of the text it is equal to, with its type."""
        only = self._matched - self._kept
        return tuple((given, kind) for given, kind in sorted(self._kinds.items()) if given in only)

    def fixed(self) -> tuple[Given, ...]:
        """Every constant that is looked at, those included; with place -1 where there is one that no token of the text is."""
        return tuple(sorted(self._kept | self._matched | self._unplaced))

    def _only_compared(self, places: set[Place]) -> bool:
        if places and self._whole_rows:
            return False
        return all(self._columns.get(place, set()) <= self._taken for place in places)


def is_one_value(node: Node) -> bool:
    """Whether an expression is a constant or parameter itself, not a list of them."""
    while node.tag in ("RELABELTYPE", "COLLATEEXPR"):
        node = node.need("arg")
    return node.tag == "CONST" or _given(node) is not None


def _given(node: Node) -> Given | None:
    if node.tag == "PARAM" and node.integer("paramkind") == _EXTERN:
        return Given(True, node.integer("paramid"))
    if node.tag == "CONST" and not node.flag("constisnull") and node.integer("location") >= 0:
        return Given(False, node.integer("location"))
    return None


def _follow(node: Node, scope: Scope | None, place: Place | None, found: _Found) -> bool:
    """Follow one side to its given values; False when it is anything else."""
    while node.tag in ("RELABELTYPE", "COLLATEEXPR") or _is_text_array_cast(node):
        node = node.need("arg")
    if node.tag == "FUNCEXPR" and node.integer("funcid") in _WIDENING and len(node.items("args")) == 1:
        node = node.nodes("args")[0]
    if node.tag == "CONST" and node.flag("constisnull"):
        return True
    given = _given(node)
    if given is not None:
        kind = node.integer("consttype" if node.tag == "CONST" else "paramtype")
        found.givens.append((given, kind, place))
        found.marks.append(id(node))
        return True
    if node.tag == "ARRAYEXPR" and not node.flag("multidims"):
        return all(_follow(part, scope, place, found) for part in node.nodes("elements"))
    if scope is None:
        return False
    if node.tag == "VAR":
        return _follow_column(node, scope, found)
    return node.tag == "PARAM" and _follow_sublink(node, scope, found)


def _follow_argument(node: Node, scope: Scope, place: Place | None, found: _Found) -> bool:
    """Follow a side of a comparison in a function's body, through calls, to what the client gave; a body's own constants are no such thing."""
    places: list[Place | None] = [place]
    while (call := scope.within()) is not None:
        while node.tag in ("RELABELTYPE", "COLLATEEXPR"):
            node = node.need("arg")
        number = node.integer("paramid") if node.tag == "PARAM" and node.integer("paramkind") == _EXTERN else 0
        argument = call.nodes.get(number - 1)
        if argument is None:
            return node.tag == "CONST" and node.flag("constisnull")
        found.marks.append((call, id(node)))
        places.append((call, number))
        node, scope = argument, call.scope
    while node.tag in ("RELABELTYPE", "COLLATEEXPR"):
        node = node.need("arg")
    return all(_follow(node, None, one, found) for one in places)


def _is_text_array_cast(node: Node) -> bool:
    """varchar[] to text[]: each element is the same text."""
    if node.tag != "ARRAYCOERCEEXPR" or node.integer("resulttype") not in _TEXT_ARRAYS:
        return False
    element = node.need("elemexpr")
    return element.tag == "RELABELTYPE" and element.need("arg").tag == "CASETESTEXPR"


def _follow_column(node: Node, scope: Scope, found: _Found) -> bool:
    place = _place(node, scope)
    if place is None:
        return False
    entry = scope.up(node.integer("varlevelsup")).entry(node.integer("varno"))
    cells = _cells(entry, node.integer("varattno"), scope.up(node.integer("varlevelsup")), found)
    found.marks.append(id(node))
    return cells is not None and all(_follow(cell, None, place, found) for cell in cells)


def _follow_sublink(node: Node, scope: Scope, found: _Found) -> bool:
    """`column = ANY (VALUES ...)`."""
    if node.integer("paramkind") != _SUBLINK or not scope.sublink_queries:
        return False
    query, number = scope.sublink_queries[-1], node.integer("paramid")
    cells = _query_cells(query, number, found)
    return cells is not None and all(_follow(cell, None, None, found) for cell in cells)


def _place(node: Node, scope: Scope) -> Place | None:
    number = node.integer("varattno")
    owner = scope.up(node.integer("varlevelsup"))
    source = _source(owner.entry(node.integer("varno")), owner)
    return None if source is None or number < 1 else (id(source), number)


def _source(entry: Node, owner: Scope) -> Node | None:
    """The node that holds the values of a FROM item."""
    kind = entry.integer("rtekind")
    if kind == _VALUES:
        return entry
    if kind == _SUBQUERY:
        return entry.need("subquery")
    if kind == _CTE:
        common = owner.up(entry.integer("ctelevelsup")).commons.get(entry.text("ctename"))
        return None if common is None else common.node.need("ctequery")
    return None


def _cells(entry: Node, number: int, owner: Scope, found: _Found) -> list[Node] | None:
    source = _source(entry, owner)
    if source is None:
        return None
    return _values(source, number) if source is entry else _query_cells(source, number, found)


def _query_cells(query: Node, number: int, found: _Found) -> list[Node] | None:
    """A column of a query that is nothing but a list of values: `VALUES ...`, or a select list without anything beside it."""
    if query.tag != "QUERY" or query.integer("commandType") != 1 or not _is_bare(query):
        return None
    targets = [t for t in query.nodes("targetList") if not t.flag("resjunk")]
    if not 1 <= number <= len(targets):
        return None
    expression = targets[number - 1].need("expr")
    if expression.tag != "VAR":
        return [expression]
    table = query.nodes("rtable")
    at = expression.integer("varno")
    if expression.integer("varlevelsup") or not 1 <= at <= len(table) or table[at - 1].integer("rtekind") != _VALUES:
        return None
    found.marks.append(id(expression))
    return _values(table[at - 1], expression.integer("varattno"))


def _is_bare(query: Node) -> bool:
    joined = query.need("jointree")
    return (
        not any(query.items(name) for name in _BARE)
        and not any(query.node(name) is not None for name in _EMPTY)
        and not any(query.flag(name) for name in _FLAGS)
        and joined.node("quals") is None
        and len(joined.items("fromlist")) <= 1
    )


def _values(entry: Node, number: int) -> list[Node] | None:
    cells = []
    for row in entry.items("values_lists"):
        if not isinstance(row, tuple) or not 1 <= number <= len(row):
            return None
        cell = row[number - 1]
        if not isinstance(cell, Node):
            return None
        cells.append(cell)
    return cells


def text_constant(node: Node) -> str | None:
    """The text of a constant of type text or unknown; None for anything else."""
    while node.tag in ("RELABELTYPE", "COLLATEEXPR"):
        node = node.need("arg")
    if node.tag != "CONST" or node.flag("constisnull") or node.integer("consttype") not in (25, 705, 1043):
        return None
    raw = bytes(b & 0xFF for b in node.integers("constvalue"))
    if len(raw) < 4 or raw[0] & 0x03:
        return raw[1 : raw[0] >> 1].decode("utf-8", "replace") if raw and raw[0] & 0x01 and raw[0] != 1 else None
    size = int.from_bytes(raw[:4], "little") >> 2
    return raw[4:size].decode("utf-8", "replace") if size == len(raw) else None
