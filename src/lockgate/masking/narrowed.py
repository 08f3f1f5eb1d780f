"""What a statement asks of a table's rows, as a condition inside the subquery that stands for the table.

For: numbering the values of the rows that a statement can use, and not those of the whole table. Which rows these are is decided by columns that
the principal sees and by the client's own values, so that numbers depend on masked values no more than before.
Not for: finding what is asked (`sql.narrowing`) or the subquery (`substitution`).
Invariant: the condition never fails, and is true for every row for which the client's own one is: only types whose operators are the server's own
whatever the search_path says are compared here.
Source: docs/adr/0011-stand-ins.md, section 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lockgate.masking.stand_ins import quoted
from lockgate.model.catalog import Column, ColumnRef, Relation
from lockgate.model.statement import Given, Restriction

_INTEGERS = {21: "int2", 23: "int4", 20: "int8"}
_OTHERS = {25: "text", 2950: "uuid"}
_ARRAYS = {1005: 21, 1007: 23, 1016: 20, 1009: 25, 2951: 2950}
"""An array's type to that of its elements."""
_LARGEST = 1 << 63


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A condition over a table's columns; `one_row`: at most one row meets it."""

    condition: str
    one_row: bool


def narrowing(
    asked: Iterable[Restriction], relation: Relation, hidden: frozenset[ColumnRef], types: tuple[int, ...], base: str
) -> Narrowing | None:
    """What is asked of the visible columns of a table; None when nothing of it can be repeated.

    Args:
        hidden: columns whose values must not choose rows.
        types: of the statement's parameters.
        base: alias of the table.
    """
    columns = {column.name: column for column in relation.columns.values()}
    parts, fixed = [], set()
    for one in asked:
        column = columns.get(one.column)
        if column is None or ColumnRef(relation.oid, column.attnum) in hidden:
            continue
        right = _right(one, column, types)
        if right is not None:
            operator = "=" if one.operator in ("in", "any") else one.operator
            name = column.name.replace('"', '""')
            parts.append(f'{base}."{name}" OPERATOR(pg_catalog.{operator}) {right}')
            if one.operator == "=":
                fixed.add(column.attnum)
    if not parts:
        return None
    return Narrowing(" AND ".join(parts), any(key <= fixed for key in relation.unique_keys))


def _right(asked: Restriction, column: Column, types: tuple[int, ...]) -> str | None:
    """The right side of the comparison; None for what may be compared by an operator that is not the server's own."""
    kind = column.type_oid
    if kind not in _INTEGERS and (kind not in _OTHERS or asked.operator not in ("=", "in", "any")):
        return None
    if asked.operator == "any":
        (given,) = asked.values
        of = _type_of(given, types)
        element = _ARRAYS.get(of)
        if element is None or not (element == kind or {element, kind} <= _INTEGERS.keys()):
            return None
        return f"ANY (${given.at}::pg_catalog.{_name(element)}[])" if isinstance(given, Given) else None
    written = [_written(value, kind, types) for value in asked.values]
    known = [text for text in written if text is not None]
    if len(known) != len(written):
        return None
    if asked.operator != "in":
        return known[0]
    name = "int8" if kind in _INTEGERS else _name(kind)
    return f"ANY (ARRAY[{', '.join(known)}]::pg_catalog.{name}[])"


def _written(value: int | str | Given, kind: int, types: tuple[int, ...]) -> str | None:
    if isinstance(value, Given):
        of = _type_of(value, types)
        fits = of == kind or {of, kind} <= _INTEGERS.keys()
        return f"${value.at}::pg_catalog.{_name(of)}" if fits else None
    if isinstance(value, int):
        return f"({value})" if kind in _INTEGERS and -_LARGEST < value < _LARGEST else None
    if "\\" in value or "\0" in value:
        return None
    return f"{quoted(value)}::pg_catalog.{_name(kind)}"


def _type_of(value: object, types: tuple[int, ...]) -> int:
    return types[value.at - 1] if isinstance(value, Given) and value.parameter and 0 < value.at <= len(types) else 0


def _name(oid: int) -> str:
    return _INTEGERS.get(oid) or _OTHERS[oid]
