"""Expressions: which base columns a value is made of, and what was done to them on the way.

For: every expression node of an analysed tree, read into a `Val`, with the uses it implies recorded as it is read.
Not for: FROM, grouping, ordering and writing (`queries`). A node that no method here names is refused.
Source: masking.md 2.3; PostgreSQL 14 to 18, primnodes.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from lockgate.model.catalog import Catalog, ColumnRef, Function, has_placed_rows
from lockgate.model.statement import UseKind
from lockgate.sql.aggregates import Aggregates
from lockgate.sql.facts import COMPUTED, CONSTANT, NO_COLUMNS, NULL, Val, merge
from lockgate.sql.functions import (
    EQUAL_OPERATORS,
    FIRST_USER_OID,
    ROW_COUNTS,
    SAFE_SETTINGS,
    SEQUENCE_FUNCTIONS,
    SIZE_FUNCTIONS,
    SIZES_TELL,
    UNEQUAL_OPERATORS,
    VECTOR_DISTANCES,
    ignores_case,
    is_builtin,
    is_extension_function,
    is_vector_function,
)
from lockgate.sql.givens import Givens, is_one_value, text_constant
from lockgate.sql.keys import conjuncts
from lockgate.sql.scope import QUALIFIER, Scope
from lockgate.sql.tree import Node, child_nodes, refusal, refuse

TEXT_TYPES = frozenset({25, 1043})
_PURE_CASTS = TEXT_TYPES | {869}
_EXISTS, _ALL, _ANY, _ROWCOMPARE, _EXPR, _MULTI, _ARRAY = range(7)
_PARAM_EXTERN, _PARAM_SUBLINK, _PARAM_MULTI = 0, 2, 3
_GENERIC: dict[str, str] = {
    "FIELDSTORE": "field assignment", "ARRAYEXPR": "ARRAY", "ROWEXPR": "ROW",
    "SUBSCRIPTINGREF": "subscript", "COERCETODOMAIN": "cast to a domain", "CONVERTROWTYPEEXPR": "row conversion",
    "BOOLEANTEST": "IS TRUE", "MINMAXEXPR": "GREATEST or LEAST", "XMLEXPR": "XML expression", "JSONVALUEEXPR": "JSON value",
    "JSONCONSTRUCTOREXPR": "JSON constructor", "JSONISPREDICATE": "IS JSON", "JSONBEHAVIOR": "JSON behaviour",
    "JSONEXPR": "JSON query", "BOOLEXPR": "boolean expression", "COERCEVIAIO": "cast",
}  # fmt: skip
"""Nodes whose value is a function of their parts."""
_PUT_TOGETHER = frozenset({"ARRAYEXPR", "ROWEXPR", "SUBSCRIPTINGREF", "MINMAXEXPR", "BOOLEXPR", "BOOLEANTEST"})
"""Those among them in which a constant's value is nothing but data, for the server's analysis and for ours."""
_BY_VALUE = frozenset({"AGGREF", "WINDOWFUNC", "JSONCONSTRUCTOREXPR", "GROUPINGFUNC"})
"""Nodes whose parts the server compares with other expressions of the text, constants included, or that are not known well enough."""

_WHOLE_CONDITIONS = frozenset({"WHERE", "JOIN"})
"""Conditions whose parts joined by AND must hold for every row that comes out, outer joins' missing rows apart."""

_CONSTANT_TAGS = frozenset(
    {"SQLVALUEFUNCTION", "SETTODEFAULT", "CURRENTOFEXPR", "MERGESUPPORTFUNC", "JSONFORMAT", "JSONRETURNING"}
)

PG_DUMP_VALUE = "view, foreign-table"
"""What pg_dump sets to a setting whose name it reads from `pg_settings`: under any other name it is no value, or a search_path."""


class Expressions(Aggregates):
    """Reads expressions; how a column or a subquery is found is the subclass's."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self.givens = Givens()
        self._required: set[int] = set()

    def expression(self, node: Node, scope: Scope, mode: int) -> Val:
        """A value's sources; `mode` says whether it is computed for its own sake or decides rows."""
        tag = node.tag
        method = self._METHODS.get(tag)
        if method is not None:
            with self.givens.kept(unless=tag not in _BY_VALUE):
                return method(self, node, scope, mode)
        if tag in _GENERIC:
            with self.givens.kept(unless=tag in _PUT_TOGETHER):
                return self._generic(node, scope, mode, _GENERIC[tag])
        if tag in _CONSTANT_TAGS:
            return COMPUTED
        raise refusal("unknown-node", f"node {tag} is not known in an expression")

    def condition(self, node: Node, scope: Scope, what: str) -> None:
        """An expression that decides which rows there are."""
        if what in _WHOLE_CONDITIONS:
            self._required.update(id(part) for part in conjuncts(node))
        found = self.expression(node, scope, QUALIFIER)
        self.use(UseKind.CONTROL, found.sources, what, scope.level, literal=found.literal)

    def control(self, node: Node | None, scope: Scope, what: str) -> None:
        """An expression whose value decides rows in another way (LIMIT, frame bounds, sampling)."""
        if node is not None:
            self.condition(node, scope, what)

    def apply(self, values: Iterable[Val], detail: str, scope: Scope, mode: int) -> Val:
        """A value computed from others by something that is not pure."""
        sources = NO_COLUMNS.union(*(v.sources for v in values))
        if not sources:
            return COMPUTED
        kind = UseKind.CONTROL if mode == QUALIFIER else UseKind.TRANSFORM
        self.use(kind, sources, detail, scope.level)
        return Val(sources, plain=False, literal=True)

    def equal(
        self, values: list[Val], nodes: Sequence[Node], collation: int, detail: str, scope: Scope, mode: int,
        *, fixes: bool = False,
    ) -> Val:  # fmt: skip
        """The type's own equality between bare columns tells only what a renaming keeps; anything else is a computation.

        Args:
            nodes: the expressions of the values.
            fixes: the comparison is with one value and must hold for every row, so that all rows have the same there.
        """
        sources = NO_COLUMNS.union(*(v.sources for v in values))
        if not sources:
            return COMPUTED
        if collation >= FIRST_USER_OID or not all(v.plain for v in values if v.sources):
            return self.apply(values, detail, scope, mode)
        literal = any(v.literal or not v.sources for v in values)
        givens = None
        if not any(v.literal for v in values if v.sources):
            others = [node for value, node in zip(values, nodes, strict=True) if not value.sources]
            givens = self.givens.take(others, scope) if literal else frozenset()
        self.use(UseKind.EQUAL, sources, detail, scope.level, literal=literal, givens=givens)
        if len(sources) > 1 or sum(bool(v.sources) for v in values) > 1:
            self.levels[scope.level].matching.update(sources)
        if not (fixes and givens and len(sources) == 1 and not self._opens_an_index(sources)):
            self.decide(sources, scope, mode)
        return COMPUTED

    def _opens_an_index(self, columns: Iterable[ColumnRef]) -> bool:
        """Whether one value of a column may allow an index in whose condition it stands, and so another order of rows."""
        for reference in columns:
            relation = self.catalog.relations.get(reference.relation)
            if relation is None or any(
                i.partial and reference.attnum in i.expression_columns for i in relation.indexes
            ):
                return True
        return False

    def decide(self, sources: Iterable, scope: Scope, mode: int) -> None:  # type: ignore[type-arg]
        """The database may order or look up rows by these columns; only the top select list cannot become a predicate."""
        if mode == QUALIFIER or scope.parent is not None:
            self.levels[scope.level].deciding.update(sources)

    # leaves

    def _var(self, node: Node, scope: Scope, mode: int) -> Val:
        number = node.integer("varattno")
        found = self.column(scope.up(node.integer("varlevelsup")), node.integer("varno"), number)
        if found.literal:
            self.givens.meet_column(node, scope)
        if number == 0 and not found.row_of:
            return self.apply([found], "whole row", scope, mode) if found.sources else COMPUTED
        return found

    def _const(self, node: Node, scope: Scope, mode: int) -> Val:
        del mode
        if scope.within() is None:
            self.givens.meet(node)
        return NULL if node.flag("constisnull") else CONSTANT

    def _param(self, node: Node, scope: Scope, mode: int) -> Val:
        kind, number = node.integer("paramkind"), node.integer("paramid")
        if kind == _PARAM_EXTERN:
            call = scope.within()
            if call is None:
                self.givens.meet(node)
                return CONSTANT
            self.givens.meet_argument(node, call)
            if 1 <= number <= len(call.values):
                return call.values[number - 1]
        if kind == _PARAM_SUBLINK and scope.sublinks and 1 <= number <= len(scope.sublinks[-1]):
            return scope.sublinks[-1][number - 1]
        if kind == _PARAM_MULTI:
            return self._multi(number >> 16, number & 0xFFFF, scope, mode)
        raise refusal("tree-parameter", "a parameter of its tree leads nowhere")

    def _case_test(self, node: Node, scope: Scope, mode: int) -> Val:
        del node, mode
        if not scope.tested:
            refuse("tree-case", "a CASE of its tree has nothing to test")
        return scope.tested[-1]

    # calls

    def _arguments(self, node: Node, scope: Scope, mode: int) -> list[Val]:
        found = []
        for argument in node.nodes("args"):
            inner = argument.need("arg") if argument.tag == "NAMEDARGEXPR" else argument
            found.append(self.expression(inner, scope, mode))
        return found

    def body_call(self, node: Node, scope: Scope, mode: int) -> Val | None:
        """A call whose body can be read, as a value; None for another function."""
        raise NotImplementedError

    def _call(self, node: Node, scope: Scope, mode: int) -> Val:
        found = self.body_call(node, scope, mode)
        if found is not None:
            return found
        function = self.function(node.integer("funcid"))
        name = function.name if function is not None else "unknown"
        builtin = function is not None and is_builtin(function)
        arguments = node.nodes("args")
        if builtin and name == "pg_typeof" and len(arguments) == 1 and arguments[0].tag == "VAR":
            return COMPUTED
        harmless = function is not None and builtin and function.volatility == "i" and not self.givens.is_matching
        with self.givens.kept(unless=harmless):  # defaults stand among them, which are no tokens of the text
            values = self._arguments(node, scope, mode)
        if builtin and name in ROW_COUNTS and has_placed_rows(self.catalog):
            self.hide(f"function pg_catalog.{name}", SIZES_TELL)
        if builtin and name in SEQUENCE_FUNCTIONS and not (scope.writing and not any(v.sources for v in values)):
            self.hide(f"function pg_catalog.{name}", "it shows or moves a sequence outside of an INSERT or UPDATE")
        if builtin and name in SEQUENCE_FUNCTIONS:
            self.levels[scope.level].order_sensitive[f"function {name}"] = None
        if builtin and name == "set_config":
            self._set_config(arguments, values)
        if builtin and name in SIZE_FUNCTIONS:
            self.hide(f"function pg_catalog.{name}", "shows sizes, which depend on stored values")
        if node.flag("funcretset") or (function is not None and function.returns_set):
            sources = NO_COLUMNS.union(*(v.sources for v in values))
            self.use(UseKind.CONTROL, sources, f"set-returning function {name}", scope.level)
        if function is not None and self._is_distance(function, values):
            return self.distance(values, f"function {name}", scope, mode)
        return self.apply(values, f"function {name}", scope, mode)

    def _is_distance(self, function: Function, values: list[Val]) -> bool:
        """Whether nothing but embeddings and vectors without base columns are measured."""
        if function.name not in VECTOR_DISTANCES or not is_vector_function(function):
            return False
        sources = NO_COLUMNS.union(*(v.sources for v in values))
        labels = {column.label if (column := self.catalog.column(s)) is not None else "" for s in sources}
        return labels == {"derived.embedding"} and all(v.plain for v in values if v.sources)

    def distance(self, values: list[Val], detail: str, scope: Scope, mode: int) -> Val:
        """How far embeddings are from each other or from a vector that the client gives: shown, as the label's documentation says."""
        sources = NO_COLUMNS.union(*(v.sources for v in values))
        self.use(UseKind.DISTANCE, sources, detail, scope.level)
        del mode
        return COMPUTED

    def _set_config(self, arguments: tuple[Node, ...], values: list[Val]) -> None:
        name = text_constant(arguments[0]) if len(arguments) == 3 else None
        if name is not None and name.lower() == "search_path" and text_constant(arguments[1]) is not None:
            return  # the session asks where its names resolve after every call of it
        if len(arguments) == 3 and text_constant(arguments[1]) == PG_DUMP_VALUE and not any(v.sources for v in values):
            return
        if name is None or name.lower() not in SAFE_SETTINGS or any(v.sources for v in values):
            self.hide("function pg_catalog.set_config", "the setting is not a constant on the list of harmless ones")

    def _operator(self, node: Node, scope: Scope, mode: int) -> Val:
        values = self._arguments(node, scope, mode)
        detail = self.operator(node)
        if node.flag("opretset"):
            self.use(
                UseKind.CONTROL, NO_COLUMNS.union(*(v.sources for v in values)), f"set-returning {detail}", scope.level
            )
        if node.integer("opno") in EQUAL_OPERATORS or node.integer("opno") in UNEQUAL_OPERATORS:
            arguments = node.nodes("args")
            fixes = node.integer("opno") in EQUAL_OPERATORS and id(node) in self._required
            fixes = fixes and any(is_one_value(argument) for argument in arguments)
            return self.equal(values, arguments, node.integer("inputcollid"), detail, scope, mode, fixes=fixes)
        function = self.catalog.functions.get(node.integer("opfuncid"))
        if function is not None and self._is_distance(function, values):
            return self.distance(values, detail, scope, mode)
        if ignores_case(function):
            return self._equal_but_for_case(values, node.nodes("args"), detail, scope, mode)
        return self.apply(values, detail, scope, mode)

    def _equal_but_for_case(
        self, values: list[Val], nodes: Sequence[Node], detail: str, scope: Scope, mode: int
    ) -> Val:
        """Values are looked up as elsewhere, but which are equal in this way is more than a renaming keeps."""
        self.equal(values, nodes, 0, detail, scope, mode)
        self.use(UseKind.CONTROL, NO_COLUMNS.union(*(v.sources for v in values)), detail, scope.level)
        return COMPUTED

    def operator(self, node: Node) -> str:
        """Judge an operator and its function; words for it."""
        number = node.integer("opno")
        oid = node.integer("opfuncid")
        function = self.function(oid) if oid else None
        of_extension = function is not None and is_extension_function(function)
        if (number >= FIRST_USER_OID and not of_extension) or (oid == 0 and number == 0):
            self.hide(
                f"operator {function.schema}.{function.name}" if function else "operator",
                "it is defined by a user or an extension",
            )
        return f"operator {function.name}" if function is not None else f"operator {number}"

    def operators(self, numbers: Iterable[int]) -> None:
        """Judge operators that a clause names only by number."""
        named = (self.catalog.functions.get(self.catalog.operators.get(n, 0)) for n in numbers if n >= FIRST_USER_OID)
        if any(function is None or not is_extension_function(function) for function in named):
            self.hide("operator", "sorting or comparing uses an operator that is defined by a user or an extension")

    def _distinct(self, node: Node, scope: Scope, mode: int) -> Val:
        values = self._arguments(node, scope, mode)
        detail = self.operator(node)
        if node.integer("opno") not in EQUAL_OPERATORS:
            return self.apply(values, detail, scope, mode)
        return self.equal(values, node.nodes("args"), node.integer("inputcollid"), "IS DISTINCT FROM", scope, mode)

    def _null_if(self, node: Node, scope: Scope, mode: int) -> Val:
        values = self._arguments(node, scope, mode)
        detail = self.operator(node)
        if len(values) != 2 or node.integer("opno") not in EQUAL_OPERATORS:
            return self.apply(values, detail, scope, mode)
        compared = self.equal(values, node.nodes("args"), node.integer("inputcollid"), "NULLIF", scope, mode)
        return values[0] if not compared.sources else compared

    def _array_operator(self, node: Node, scope: Scope, mode: int) -> Val:
        detail = self.operator(node)
        left, right = node.nodes("args")
        value = self.expression(left, scope, mode)
        known = node.integer("opno") in EQUAL_OPERATORS or node.integer("opno") in UNEQUAL_OPERATORS
        folds = ignores_case(self.catalog.functions.get(node.integer("opfuncid")))
        if (known or folds) and right.tag == "ARRAYEXPR" and not right.flag("multidims"):
            parts = right.nodes("elements")
            members = [self.expression(part, scope, mode) for part in parts]
            if folds:
                return self._equal_but_for_case([value, *members], [left, *parts], "IN", scope, mode)
            return self.equal([value, *members], [left, *parts], node.integer("inputcollid"), "IN", scope, mode)
        array = self.expression(right, scope, mode)
        if folds and not array.sources:
            return self._equal_but_for_case([value, CONSTANT], [left, right], "IN", scope, mode)
        if known and not array.sources:
            return self.equal([value, CONSTANT], [left, right], node.integer("inputcollid"), "IN", scope, mode)
        return self.apply([value, array], detail, scope, mode)

    # forms that keep a value

    def _relabel(self, node: Node, scope: Scope, mode: int) -> Val:
        value = self.expression(node.need("arg"), scope, mode)
        if node.integer("resulttype") in _PURE_CASTS or not value.sources:
            return value
        return self.apply([value], "cast", scope, mode)

    def _collate(self, node: Node, scope: Scope, mode: int) -> Val:
        return self.expression(node.need("arg"), scope, mode)

    def _returning(self, node: Node, scope: Scope, mode: int) -> Val:
        return self.expression(node.need("retexpr"), scope, mode)

    def _coalesce(self, node: Node, scope: Scope, mode: int) -> Val:
        return merge(self._arguments(node, scope, mode))

    def _case(self, node: Node, scope: Scope, mode: int) -> Val:
        tested = node.node("arg")
        if tested is not None:
            scope.tested.append(self.expression(tested, scope, mode))
        conditions, results = [], []
        for branch in node.nodes("args"):
            conditions.append(self.expression(branch.need("expr"), scope, mode))
            results.append(self.expression(branch.need("result"), scope, mode))
        if tested is not None:
            scope.tested.pop()
        default = node.node("defresult")
        results.append(self.expression(default, scope, mode) if default is not None else NULL)
        value = merge(results)
        if not any(c.sources for c in conditions):
            return value
        return self.apply([value, *conditions], "CASE", scope, mode)

    def _null_test(self, node: Node, scope: Scope, mode: int) -> Val:
        sources = self.null_sources(node.need("arg"), scope, mode)
        self.use(UseKind.NULL_TEST, sources, "IS NULL", scope.level)
        self.decide(sources, scope, mode)
        return COMPUTED

    def null_sources(self, node: Node, scope: Scope, mode: int) -> frozenset:  # type: ignore[type-arg]
        """Columns whose being NULL is asked; a row is asked for each of its columns."""
        if node.tag == "VAR" and node.integer("varattno") == 0:
            return self.column(scope.up(node.integer("varlevelsup")), node.integer("varno"), 0).sources
        if node.tag == "ROWEXPR":
            return NO_COLUMNS.union(*(self.null_sources(part, scope, mode) for part in node.nodes("args")))
        if node.tag == "FUNCEXPR":
            function = self.catalog.functions.get(node.integer("funcid"))
            if function is not None and is_builtin(function) and function.name in SIZE_FUNCTIONS and function.strict:
                self.functions[f"{function.schema}.{function.name}"] = None
                self.has_effects = self.has_effects or function.volatility == "v"
                return self.apply(self._arguments(node, scope, mode), f"function {function.name}", scope, mode).sources
        value = self.expression(node, scope, mode)
        return value.sources

    def _field(self, node: Node, scope: Scope, mode: int) -> Val:
        """A field of a composite value; of a table's whole row it is that column."""
        value = self.expression(node.need("arg"), scope, mode)
        reference = ColumnRef(value.row_of, node.integer("fieldnum"))
        if value.row_of and self.catalog.column(reference) is not None:
            self.reads.add(reference)
            return Val(frozenset({reference}))
        return self.apply([value], "field selection", scope, mode)

    # forms that compute

    def _generic(self, node: Node, scope: Scope, mode: int, detail: str) -> Val:
        for name in ("resulttype", "row_typeid", "refcontainertype"):
            if node.tag == "COERCEVIAIO" and node.has(name) and not self.type_is_known(node.integer(name)):
                self.hide("type conversion", "a type of an extension converts values by its own code")
        values = [self.expression(child, scope, mode) for child in child_nodes(node)]
        return self.apply(values, detail, scope, mode)

    def _array_cast(self, node: Node, scope: Scope, mode: int) -> Val:
        value = self.expression(node.need("arg"), scope, mode)
        scope.tested.append(value)
        element = self.expression(node.need("elemexpr"), scope, mode)
        scope.tested.pop()
        return self.apply([value, element], "array cast", scope, mode)

    def _json_constructor(self, node: Node, scope: Scope, mode: int) -> Val:
        parts = [self.expression(part, scope, mode) for part in node.nodes("args")]
        function = node.node("func")
        if function is not None:
            parts.append(self.expression(function, scope, mode))
        scope.tested.append(
            merge(parts) if not any(p.sources for p in parts) else self.apply(parts, "JSON constructor", scope, mode)
        )
        coercion = node.node("coercion")
        if coercion is not None:
            parts.append(self.expression(coercion, scope, mode))
        scope.tested.pop()
        return self.apply(parts, "JSON constructor", scope, mode)

    def _domain_value(self, node: Node, scope: Scope, mode: int) -> Val:
        del node, scope, mode
        return COMPUTED

    def _row_comparison(self, node: Node, scope: Scope, mode: int) -> Val:
        self.operators(node.integers("opnos"))
        values = [self.expression(part, scope, mode) for side in ("largs", "rargs") for part in node.nodes(side)]
        return self.apply(values, "row comparison", scope, mode)

    def _next_value(self, node: Node, scope: Scope, mode: int) -> Val:
        del node, mode
        self.has_effects = True
        self.levels[scope.level].order_sensitive["NEXT VALUE"] = None
        if not scope.writing:
            self.hide("NEXT VALUE", "it moves a sequence outside of an INSERT or UPDATE")
        return COMPUTED

    # subqueries

    def _sublink(self, node: Node, scope: Scope, mode: int) -> Val:
        kind = node.integer("subLinkType")
        inner = self.subquery(node.need("subselect"), scope)
        outputs = [] if kind == _EXISTS else inner.every()
        if kind in (_EXISTS, _ANY, _ALL):
            self.levels[scope.level].feeds.add(inner.scope.level)
            self.levels[inner.scope.level].stops_early = True
        if kind == _EXISTS:
            return COMPUTED
        if kind in (_ALL, _ANY, _ROWCOMPARE):
            scope.sublinks.append(outputs)
            scope.sublink_queries.append(node.need("subselect"))
            tested = self.expression(node.need("testexpr"), scope, mode)
            scope.sublinks.pop()
            scope.sublink_queries.pop()
            return tested
        if kind == _EXPR and len(outputs) == 1:
            return merge([outputs[0], NULL])
        if kind == _ARRAY and len(outputs) == 1:
            if not self.levels[inner.scope.level].total:
                self.levels[inner.scope.level].order_sensitive["ARRAY(subquery)"] = None
            return self.apply(outputs, "ARRAY(subquery)", scope, mode)
        if kind == _MULTI:
            scope.multi[node.integer("subLinkId")] = outputs
            return COMPUTED
        raise refusal("tree-sublink", "a subquery of its tree is of an unknown kind")

    def _multi(self, link: int, number: int, scope: Scope, mode: int) -> Val:
        if link not in scope.multi:
            for target in scope.targets:
                expression = target.node("expr")
                if expression is not None and expression.tag == "SUBLINK" and expression.integer("subLinkId") == link:
                    self.expression(expression, scope, mode)
        outputs = scope.multi.get(link, [])
        if not 1 <= number <= len(outputs):
            refuse("tree-parameter", "a parameter of its tree leads nowhere")
        return merge([outputs[number - 1], NULL])

    def _grouping(self, node: Node, scope: Scope, mode: int) -> Val:
        del node, scope, mode
        return COMPUTED

    _METHODS: ClassVar[dict[str, Callable[[Expressions, Node, Scope, int], Val]]] = {
        "VAR": _var, "CONST": _const, "PARAM": _param, "CASETESTEXPR": _case_test, "FUNCEXPR": _call, "OPEXPR": _operator,
        "DISTINCTEXPR": _distinct, "NULLIFEXPR": _null_if, "SCALARARRAYOPEXPR": _array_operator, "RELABELTYPE": _relabel,
        "COLLATEEXPR": _collate, "RETURNINGEXPR": _returning, "COALESCEEXPR": _coalesce, "CASEEXPR": _case,
        "NULLTEST": _null_test, "ARRAYCOERCEEXPR": _array_cast, "JSONCONSTRUCTOREXPR": _json_constructor,
        "COERCETODOMAINVALUE": _domain_value, "ROWCOMPAREEXPR": _row_comparison, "NEXTVALUEEXPR": _next_value,
        "SUBLINK": _sublink, "GROUPINGFUNC": _grouping, "FIELDSELECT": _field, "AGGREF": Aggregates.aggregate, "WINDOWFUNC": Aggregates.window,
    }  # fmt: skip
