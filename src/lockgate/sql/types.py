"""Type and collation of an expression node.

For: judging whether equal values look the same, and whether a collation is the user's own.
Not for: type names or sizes.
Source: PostgreSQL 14 to 18, nodeFuncs.c (exprType, exprCollation).
"""

from __future__ import annotations

from lockgate.sql.tree import Node

_TYPES: dict[str, str] = {
    "VAR": "vartype", "CONST": "consttype", "PARAM": "paramtype", "AGGREF": "aggtype", "WINDOWFUNC": "wintype",
    "SUBSCRIPTINGREF": "refrestype", "FUNCEXPR": "funcresulttype", "OPEXPR": "opresulttype", "DISTINCTEXPR": "opresulttype",
    "NULLIFEXPR": "opresulttype", "FIELDSELECT": "resulttype", "RELABELTYPE": "resulttype", "COERCEVIAIO": "resulttype",
    "ARRAYCOERCEEXPR": "resulttype", "CONVERTROWTYPEEXPR": "resulttype", "CASEEXPR": "casetype", "ARRAYEXPR": "array_typeid",
    "ROWEXPR": "row_typeid", "COALESCEEXPR": "coalescetype", "MINMAXEXPR": "minmaxtype", "SQLVALUEFUNCTION": "type",
    "COERCETODOMAIN": "resulttype", "NEXTVALUEEXPR": "typeId", "CASETESTEXPR": "typeId", "SETTODEFAULT": "typeId",
    "MERGESUPPORTFUNC": "msftype",
}  # fmt: skip
_BOOLEANS = frozenset({"BOOLEXPR", "NULLTEST", "BOOLEANTEST", "SCALARARRAYOPEXPR", "ROWCOMPAREEXPR", "JSONISPREDICATE"})
_COLLATIONS: dict[str, str] = {
    "VAR": "varcollid", "CONST": "constcollid", "PARAM": "paramcollid", "AGGREF": "aggcollid", "WINDOWFUNC": "wincollid",
    "SUBSCRIPTINGREF": "refcollid", "FUNCEXPR": "funccollid", "OPEXPR": "opcollid", "DISTINCTEXPR": "opcollid",
    "NULLIFEXPR": "opcollid", "FIELDSELECT": "resultcollid", "RELABELTYPE": "resultcollid", "COERCEVIAIO": "resultcollid",
    "ARRAYCOERCEEXPR": "resultcollid", "COLLATEEXPR": "collOid", "CASEEXPR": "casecollid", "ARRAYEXPR": "array_collid",
    "COALESCEEXPR": "coalescecollid", "MINMAXEXPR": "minmaxcollid", "COERCETODOMAIN": "resultcollid", "CASETESTEXPR": "collation",
    "MERGESUPPORTFUNC": "msfcollid",
}  # fmt: skip
_EXPR, _ARRAY = 4, 6


def type_of(node: Node) -> int:
    """Type OID of an expression; 0 when this module does not know it."""
    if node.tag in _BOOLEANS:
        return 16
    if node.tag == "GROUPINGFUNC":
        return 23
    if node.tag == "COLLATEEXPR":
        return type_of(node.need("arg"))
    if node.tag == "RETURNINGEXPR":
        return type_of(node.need("retexpr"))
    if node.tag in ("JSONCONSTRUCTOREXPR", "JSONEXPR"):
        returning = node.node("returning")
        return returning.integer("typid") if returning is not None else 0
    if node.tag == "XMLEXPR":
        return 0
    if node.tag == "SUBLINK":
        return _sublink(node)
    name = _TYPES.get(node.tag)
    return node.integer(name) if name is not None else 0


def _sublink(node: Node) -> int:
    kind = node.integer("subLinkType")
    if kind != _EXPR:
        return 0 if kind == _ARRAY else 16
    targets = [t for t in node.need("subselect").nodes("targetList") if not t.flag("resjunk")]
    return type_of(targets[0].need("expr")) if targets else 0


def collation_of(node: Node) -> int:
    """Collation OID of an expression; 0 when it has none."""
    if node.tag == "RETURNINGEXPR":
        return collation_of(node.need("retexpr"))
    if node.tag == "SUBLINK" and node.integer("subLinkType") == _EXPR:
        targets = [t for t in node.need("subselect").nodes("targetList") if not t.flag("resjunk")]
        return collation_of(targets[0].need("expr")) if targets else 0
    name = _COLLATIONS.get(node.tag)
    return node.integer(name) if name is not None and node.has(name) else 0
