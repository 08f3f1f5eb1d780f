"""Which rows of its tables a statement asks for by plain comparisons with its own constants and parameters.

For: numbering the values of those rows only, where a statement runs over stand-ins (`masking.narrowed`).
Not for: taking a condition out of the statement: it stays where it stands, and is asked a second time inside of the table's subquery. What is
not found here costs time and nothing else; what is found must hold for every row that the statement can use.
Source: PostgreSQL 18 grammar (gram.y: a_expr, table_ref); PostgreSQL documentation, 7.2.2 (WHERE comes after all joins).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from postgast import pg_query_pb2 as pb

from lockgate.model.statement import Given, Restriction
from lockgate.sql.grammar import tree_of, walk

_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NUMBER_DIGITS_MAX = 18
_QUALIFIED = 2

Value = int | str | Given


def restrictions(text: str, resolve: Callable[[str, str], int | None]) -> dict[int, tuple[Restriction, ...]]:
    """What is asked of the rows of each relation that the text names exactly once, in a FROM whose query has a WHERE.

    Args:
        text: one statement that the grammar reads.
        resolve: (schema or empty, name) -> OID; names of WITH queries are not told apart, so that a name may count too often.
    """
    named: Counter[int] = Counter()
    found: dict[int, tuple[Restriction, ...]] = {}
    for part in walk(tree_of(text)):
        if isinstance(part, pb.RangeVar):
            oid = resolve(part.schemaname, part.relname)
            if oid is not None:
                named[oid] += 1
        elif isinstance(part, pb.SelectStmt) and part.HasField("where_clause"):
            for table, alone in _tables(part.from_clause):
                oid = resolve(table.schemaname, table.relname)
                asked = tuple(_asked(part.where_clause, table.alias.aliasname or table.relname, alone=alone))
                if oid is not None and asked:
                    found[oid] = asked
    return {oid: asked for oid, asked in found.items() if named[oid] == 1}


def _tables(items: Iterable[pb.Node]) -> Iterator[tuple[pb.RangeVar, bool]]:
    """Relations at a FROM's own level under names that mean nothing else, and whether one is alone there."""
    items = list(items)
    for item in items:
        kind = item.WhichOneof("node")
        if kind == "range_var" and not item.range_var.alias.colnames:
            yield item.range_var, len(items) == 1
        elif kind == "join_expr" and not (
            item.join_expr.HasField("alias") or item.join_expr.HasField("join_using_alias")
        ):
            for table, _ in _tables((item.join_expr.larg, item.join_expr.rarg)):
                yield table, False


def _asked(condition: pb.Node, alias: str, *, alone: bool) -> Iterator[Restriction]:
    """The comparisons of a table's columns that a condition is made of, by AND."""
    kind = condition.WhichOneof("node")
    if kind == "bool_expr" and condition.bool_expr.boolop == pb.AND_EXPR:
        for part in condition.bool_expr.args:
            yield from _asked(part, alias, alone=alone)
    elif kind == "a_expr":
        yield from _compared(condition.a_expr, alias, alone=alone)


def _compared(node: pb.A_Expr, alias: str, *, alone: bool) -> Iterator[Restriction]:
    operator = _operator(node)
    column = _column(node.lexpr, alias, alone=alone)
    if node.kind == pb.AEXPR_OP and operator in _MIRRORED:
        if column is None:
            column, value, operator = _column(node.rexpr, alias, alone=alone), _value(node.lexpr), _MIRRORED[operator]
        else:
            value = _value(node.rexpr)
        if column is not None and value is not None:
            yield Restriction(column, operator, (value,))
    elif column is not None and node.kind == pb.AEXPR_IN and operator == "=":
        values = [_value(item) for item in node.rexpr.list.items]
        known = tuple(value for value in values if value is not None)
        if len(known) == len(values):
            yield Restriction(column, "in", known)
    elif column is not None and node.kind == pb.AEXPR_OP_ANY and operator == "=":
        value = _value(node.rexpr)
        if isinstance(value, Given):
            yield Restriction(column, "any", (value,))
    elif column is not None and node.kind == pb.AEXPR_BETWEEN and len(node.rexpr.list.items) == 2:
        low, high = (_value(item) for item in node.rexpr.list.items)
        if low is not None and high is not None:
            yield from (Restriction(column, ">=", (low,)), Restriction(column, "<=", (high,)))


def _operator(node: pb.A_Expr) -> str:
    words = [part.string.sval for part in node.name]
    return words[-1] if len(words) == 1 or words[:-1] == ["pg_catalog"] else ""


def _column(node: pb.Node, alias: str, *, alone: bool) -> str | None:
    """The name of a column that is the table's and nobody else's."""
    if node.WhichOneof("node") != "column_ref":
        return None
    fields = node.column_ref.fields
    if any(part.WhichOneof("node") != "string" for part in fields):
        return None
    words: list[str] = [part.string.sval for part in fields]
    if len(words) == _QUALIFIED and words[0] == alias:
        return words[1]
    return words[0] if len(words) == 1 and alone else None


def _value(node: pb.Node) -> Value | None:
    kind = node.WhichOneof("node")
    if kind == "param_ref":
        return Given(parameter=True, at=node.param_ref.number) if node.param_ref.number > 0 else None
    if kind != "a_const" or node.a_const.isnull:
        return None
    of = node.a_const.WhichOneof("val")
    if of == "ival":
        return int(node.a_const.ival.ival)
    if of == "fval":
        digits: str = node.a_const.fval.fval
        plain = digits.removeprefix("-")
        return int(digits) if plain.isascii() and plain.isdigit() and len(plain) <= _NUMBER_DIGITS_MAX else None
    text: str = node.a_const.sval.sval
    return text if of == "sval" else None
