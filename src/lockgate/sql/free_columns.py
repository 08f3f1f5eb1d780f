"""Columns that a GROUP BY over a table's key gives for nothing, and that must be named once a subquery stands in the table's place.

For: `SELECT name FROM people GROUP BY id`: PostgreSQL allows `name` because `id` is the primary key of a table; of a subquery it knows
no key. Grouping by the key and by further columns of the same table makes the same groups, so they are added.
Not for: writing them into the text (`splice`). What is added is always a column of the table whose key is grouped, under the table's own
alias, so that a wrong guess can make the server reject the text but cannot change what it means.
Source: PostgreSQL documentation, 7.2.3 (functional dependencies in GROUP BY).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from lockgate.sql.grammar import walk


@dataclass(frozen=True, slots=True)
class Keyed:
    """A table's columns by name, and the sets of them that identify its rows."""

    columns: tuple[str, ...]
    keys: tuple[frozenset[str], ...]


def free_columns(node: pb.SelectStmt, tables: Sequence[tuple[str, Keyed]]) -> list[tuple[str, str]]:
    """The columns, as (alias, name), that the statement uses and groups only by way of their table's key."""
    if not node.group_clause or any(item.WhichOneof("node") == "grouping_set" for item in node.group_clause):
        return []
    grouped = set(_grouped(node))
    found = []
    for alias, table in tables:
        have = {name for of, name in grouped if of in ("", alias)}
        if not any(key <= have for key in table.keys):
            continue
        used = _used(node, alias)
        found += [(alias, name) for name in table.columns if name not in have and ("*" in used or name in used)]
    return found


def first_place(node: pb.SelectStmt) -> int:
    """Where the first expression of GROUP BY begins, or a part of it."""
    return min(
        (part.location for part in walk(node.group_clause[0]) if "location" in part.DESCRIPTOR.fields_by_name),
        default=-1,
    )


def _grouped(node: pb.SelectStmt) -> Iterator[tuple[str, str]]:
    """The bare columns in GROUP BY, numbers of select-list entries looked up."""
    for item in node.group_clause:
        one: pb.Node = item
        if one.WhichOneof("node") == "a_const" and 0 < one.a_const.ival.ival <= len(node.target_list):
            one = node.target_list[one.a_const.ival.ival - 1].res_target.val
        if one.WhichOneof("node") == "column_ref":
            words = _words(one.column_ref)
            yield (words[-2] if len(words) > 1 else "", words[-1])


def _used(node: pb.SelectStmt, alias: str) -> set[str]:
    """Names of columns that may be the table's; `*` for all. Inside subqueries only what names the table."""
    used = set()
    parts = (node.target_list, [node.having_clause], node.sort_clause, node.window_clause, node.distinct_clause)
    for reference, inside in (r for part in parts for item in part for r in _references(item, inside=False)):
        words = _words(reference)
        if (len(words) == 1 and not inside) or (len(words) > 1 and words[-2] == alias):
            used.add(words[-1])
    return used


def _references(message: Message, *, inside: bool) -> Iterator[tuple[pb.ColumnRef, bool]]:
    if isinstance(message, pb.ColumnRef):
        yield message, inside
        return
    within = inside or isinstance(message, pb.SelectStmt)
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for child in (value,) if isinstance(value, Message) else value:
                yield from _references(child, inside=within)


def _words(reference: pb.ColumnRef) -> list[str]:
    return [part.string.sval if part.WhichOneof("node") == "string" else "*" for part in reference.fields]
