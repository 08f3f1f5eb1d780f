"""Which expressions of a query may end it with an error for some rows and not for others.

For: statements whose rows come in an order that somebody may not know: the first row to fail, or a failing row that is never reached,
would tell it. Not for: whether that matters (`masking.order_rules`), or errors that do not depend on a row.
Source: PostgreSQL 14 to 18, pg_proc.dat and the functions' source. What is not listed may fail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lockgate.model.catalog import Function
from lockgate.sql.functions import is_builtin
from lockgate.sql.tree import Node, child_nodes

_COMPARISONS = re.compile(
    r"(bool|char|name|nametext|textname|text|bpchar|bytea|int[248]+|float[48]+|numeric|cash|date|time|timetz|timestamp|timestamptz|interval"
    r"|uuid|oid|network|macaddr8?|bit|varbit|tid|xid|enum|jsonb|pg_lsn)_?(eq|ne|lt|le|gt|ge)(_timestamp|_timestamptz|_date)?\Z"
)
_LIKE = re.compile(r"(text|bpchar|name)(ic)?n?like\Z")
_TOTAL = frozenset(
    {
        "lower", "upper", "length", "char_length", "character_length", "octet_length", "btrim", "ltrim", "rtrim", "strpos", "position",
        "starts_with", "reverse", "left", "right", "textcat", "concat", "concat_ws", "md5", "count", "min", "max", "sum", "avg", "bool_and",
        "bool_or", "every", "array_agg", "string_agg", "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "lag", "lead",
        "first_value", "last_value", "stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp",
    }
)  # fmt: skip
"""Functions and aggregates that have an answer for every value of each type they take."""
_TOTAL_CASTS = frozenset({481, 754, 313, 1740, 1782, 1781, 316, 235, 482, 318, 236, 652, 311, 401, 406, 2024, 1174})
"""Casts that widen: between numbers, from bpchar and name to text, from date to timestamps."""
_OF_A_FIXED_UNIT = frozenset({"date_trunc", "date_part", "extract"})
_PLAIN_TAGS = frozenset(
    {
        "QUERY", "RANGETBLENTRY", "RTEPERMISSIONINFO", "ALIAS", "RANGETBLFUNCTION", "FROMEXPR", "JOINEXPR", "RANGETBLREF", "TARGETENTRY",
        "SORTGROUPCLAUSE", "GROUPINGSET", "WINDOWCLAUSE", "ROWMARKCLAUSE", "SETOPERATIONSTMT", "VAR", "CONST", "PARAM", "GROUPINGFUNC",
        "NAMEDARGEXPR", "BOOLEXPR", "SUBLINK", "FIELDSELECT", "RELABELTYPE", "ARRAYCOERCEEXPR", "CONVERTROWTYPEEXPR", "COLLATEEXPR",
        "CASEEXPR", "CASEWHEN", "CASETESTEXPR", "ARRAYEXPR", "ROWEXPR", "COALESCEEXPR", "MINMAXEXPR", "SQLVALUEFUNCTION", "NULLTEST",
        "BOOLEANTEST", "COERCETODOMAINVALUE", "COMMONTABLEEXPR", "TABLESAMPLECLAUSE", "CTESEARCHCLAUSE", "CTECYCLECLAUSE",
    }
)  # fmt: skip
"""Nodes that do nothing which could fail beyond their parts."""
_CALLS = {"FUNCEXPR": "funcid", "OPEXPR": "opfuncid", "DISTINCTEXPR": "opfuncid", "NULLIFEXPR": "opfuncid", "SCALARARRAYOPEXPR": "opfuncid",
          "AGGREF": "aggfnoid", "WINDOWFUNC": "winfnoid"}  # fmt: skip
_OF_ROWS = frozenset({"VAR", "SUBLINK", "AGGREF", "WINDOWFUNC", "CASETESTEXPR", "COERCETODOMAINVALUE"})
_TEXTS = frozenset({25, 1043})


def may_fail(node: Node, functions: Mapping[int, Function]) -> str:
    """The first part of a query, or of a piece of one, that may fail depending on a row; empty when there is none.

    Queries inside belong to levels of their own and are left out.
    """
    what = _fails_itself(node, functions)
    if what and _depends_on_a_row(node):
        return what
    for child in child_nodes(node):
        if child.tag != "QUERY":
            found = may_fail(child, functions)
            if found:
                return found
    return ""


def _fails_itself(node: Node, functions: Mapping[int, Function]) -> str:
    if node.tag in _CALLS:
        return _call_fails(node, functions.get(node.integer(_CALLS[node.tag])))
    if node.tag == "COERCEVIAIO":
        return "" if node.integer("resulttype") in _TEXTS else "cast"
    if node.tag == "SUBSCRIPTINGREF":
        return "" if node.node("refassgnexpr") is None else "subscript"
    return "" if node.tag in _PLAIN_TAGS else node.tag.lower()


def _call_fails(node: Node, function: Function | None) -> str:
    if function is None or not is_builtin(function):
        return f"function {function.name}" if function is not None else "function"
    name = function.name
    if function.oid in _TOTAL_CASTS or _COMPARISONS.match(name):
        return ""
    if name in _TOTAL:
        return ""
    arguments = node.nodes("args")
    if _LIKE.match(name) and len(arguments) == 2:
        pattern = arguments[1]
        plain = pattern.tag == "CONST" and ord("\\") not in pattern.integers("constvalue")
        return "" if plain else "LIKE with a pattern of rows"
    if name in _OF_A_FIXED_UNIT and arguments and arguments[0].tag == "CONST":
        return ""
    return f"function {name}"


def _depends_on_a_row(node: Node) -> bool:
    return node.tag in _OF_ROWS or any(_depends_on_a_row(child) for child in child_nodes(node) if child.tag != "QUERY")
