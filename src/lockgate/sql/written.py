"""A row filter put into INSERT, UPDATE and DELETE: hidden rows are not changed, and no row is written that would be hidden.

For: the pieces of a write's text that are wrapped, each found by PostgreSQL's own grammar: a piece is what parses to exactly the node
that stands there in the tree of the whole statement. Every other byte stays the client's.
Not for: making conditions, or tables that are read (`splice`). What cannot be wrapped is refused.
Invariant: the client's own condition is not evaluated on a hidden row, unless nothing in it can fail; a value of a column that the
filter reads is written only where the row would pass the filter.
Source: PostgreSQL documentation, 5.9 (row security: USING and WITH CHECK) and 4.2.14 (CASE orders evaluation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import postgast
from google.protobuf.message import DecodeError, Message
from postgast import pg_query_pb2 as pb

from lockgate.errors import RefusedStatementError
from lockgate.sql.grammar import Token, stripped, walk

Edit: TypeAlias = tuple[int, int, str]
Write: TypeAlias = pb.InsertStmt | pb.UpdateStmt | pb.DeleteStmt

UNFIT = "2201G"
"""SQLSTATE of the error that stands for "this row would be hidden": no statement means to make it."""
UNFIT_BY = "pg_catalog.width_bucket"
_ROW, _NEW = "lockgate_b", "lockgate_n"
_RAISE = f"{UNFIT_BY}(pg_catalog.random(), 0::pg_catalog.float8, 0::pg_catalog.float8, 1)::pg_catalog.text"
_OPENING = frozenset({pb.ASCII_40, pb.ASCII_91})
_CLOSING = frozenset({pb.ASCII_41, pb.ASCII_93})
_TRIES = 2000


@dataclass(frozen=True, slots=True)
class Target:
    """A filtered table that is written.

    Args:
        relation: its OID.
        condition: the filter, over bare names of its columns.
        columns: its columns in order, with their types as SQL, without modifiers.
        read: the columns that the filter reads.
        careful: something in the client's condition may fail, so hidden rows must not come to it.
    """

    relation: int
    condition: str
    columns: Mapping[str, str]
    read: frozenset[str]
    careful: bool = True


def wrapped(data: bytes, tokens: Sequence[Token], node: Write, target: Target) -> list[Edit]:
    """The edits that put a filter into a statement that is nothing but this write.

    Args:
        tokens: of the whole statement, without comments.

    Raises:
        RefusedStatementError: the filter cannot be put in.
    """
    return _Wrapper(data, tokens, node, target).edits()


def _refuse(sentence: str) -> RefusedStatementError:
    return RefusedStatementError("row-filter-write", sentence)


class _Wrapper:
    """One write's edits."""

    def __init__(self, data: bytes, tokens: Sequence[Token], node: Write, target: Target) -> None:
        self._data = data
        self._tokens = tokens
        self._node = node
        self._target = target
        self._tries = 0
        named = node.relation.alias.aliasname if node.relation.HasField("alias") else node.relation.relname
        self._name = _quoted(named)
        self._begin = next((i for i, t in enumerate(tokens) if t.start == node.relation.location), -1)
        if self._begin < 0:
            raise _refuse("the table's name was not found in the text")

    def edits(self) -> list[Edit]:
        """All of them, in the order in which those at one place stand."""
        node = self._node
        if isinstance(node, pb.InsertStmt):
            return self._insert(node)
        found: list[Edit] = []
        if isinstance(node, pb.UpdateStmt):
            found += self._assignments(self._first(self._begin, pb.SET), list(node.target_list))
        return [
            *found,
            *self._where(
                node.where_clause if node.HasField("where_clause") else None,
                node.HasField("returning_clause"),
                self._begin,
            ),
        ]

    # rows that are there

    def _where(self, condition: pb.Node | None, returning: bool, begin: int, otherwise: str = "false") -> list[Edit]:
        """The filter before the client's own condition."""
        holds = self._holds({})
        if condition is None:
            behind = self._first(begin, pb.RETURNING) - 1 if returning else len(self._tokens) - 1
            at = self._tokens[behind].end
            text = holds if otherwise == "false" else f"CASE WHEN {holds} THEN true ELSE {otherwise} END"
            return [(at, at, f" WHERE {text}")]
        if condition.WhichOneof("node") == "current_of_expr":
            raise _refuse("WHERE CURRENT OF cannot be joined with a condition")
        for first in self._all(begin, pb.WHERE):
            end = self._extent(first + 1, lambda tree: tree.where_clause, "SELECT 1 WHERE {}", condition)
            if end is not None:
                start, stop = self._tokens[first + 1].start, self._tokens[end].end
                if self._target.careful or otherwise != "false":
                    return [(start, start, f"CASE WHEN {holds} THEN ("), (stop, stop, f") ELSE {otherwise} END")]
                return [(start, start, f"{holds} AND ("), (stop, stop, ")")]
        raise _refuse("the condition was not found in the text")

    def _holds(self, written: Mapping[str, str], row: str = "") -> str:
        """The filter over the row as it is, some columns apart."""
        name = row or self._name
        columns = ", ".join(
            f"{written.get(column, f'{name}.{_quoted(column)}')} AS {_quoted(column)}"
            for column in self._target.columns
        )
        return f"(SELECT ({self._target.condition}) FROM (SELECT {columns}) AS {_ROW})"  # noqa: S608 - the filter and quoted names

    # rows that are written

    def _assignments(self, begin: int, targets: list[pb.Node]) -> list[Edit]:
        """SET: the value of one column that the filter reads is only given to rows that pass it."""
        parts = [part.res_target for part in targets]
        asked = [part.name for part in parts if part.name in self._target.read]
        if not asked:
            return []
        if any(part.val.WhichOneof("node") == "multi_assign_ref" for part in parts):
            raise _refuse("columns that the filter reads are assigned several at a time")
        cells: dict[str, tuple[int, int, pb.Node]] = {}
        at = begin + 1
        for part in parts:
            if part.name in asked and part.indirection:
                raise _refuse("a part of a column that the filter reads is assigned")
            at = self._first(at, pb.ASCII_61) + 1
            end = self._cell(at, part.val)
            cells[part.name] = at, end, part.val
            at = end + 1
        return self._checked({name: cells[name] for name in asked}, {})

    def _checked(self, cells: Mapping[str, tuple[int, int, pb.Node]], others: Mapping[str, str]) -> list[Edit]:
        """One cell wrapped so that it has a value only where the row passes the filter."""
        texts = {name: self._text(first, last) for name, (first, last, _) in cells.items()}
        if any(value.WhichOneof("node") == "set_to_default" for _, _, value in cells.values()):
            raise _refuse("a column that the filter reads is left to its default: give it a value")
        name, *rest = texts
        if any(not _is_plain(cells[other][2]) for other in rest):
            raise _refuse("several columns that the filter reads are computed: give all but one of them constants")
        types = self._target.columns
        written = {column: f"CAST(({text}) AS {types[column]})" for column, text in texts.items()}
        columns = ", ".join(
            f"{written.get(column, others.get(column, f'{self._name}.{_quoted(column)}'))} AS {_quoted(column)}"
            for column in types
        )
        first, last, _ = cells[name]
        head = (
            f"(SELECT CASE WHEN ({self._target.condition}) THEN {_ROW}.{_quoted(name)}"  # noqa: S608 - the filter and quoted names
            f" ELSE ({_RAISE})::{types[name]} END FROM (SELECT "
        )
        before, after = columns.split(written[name], 1)
        start, stop = self._tokens[first].start, self._tokens[last].end
        return [
            (start, start, f"{head}{before}CAST(("),
            (stop, stop, f") AS {types[name]}){after}) AS {_ROW})"),
        ]

    def _insert(self, node: pb.InsertStmt) -> list[Edit]:
        names = [part.res_target.name for part in node.cols] or list(self._target.columns)
        if any(part.res_target.indirection for part in node.cols):
            raise _refuse("a part of a column is given")
        found: list[Edit] = []
        if self._target.read:
            if not node.HasField("select_stmt"):
                raise _refuse("the row is left to its defaults")
            found += self._rows(node.select_stmt, names)
        if node.HasField("on_conflict_clause"):
            found += self._conflict(node.on_conflict_clause, returning=node.HasField("returning_clause"))
        return found

    def _rows(self, source: pb.Node, names: list[str]) -> list[Edit]:
        select = source.select_stmt
        missing = sorted(self._target.read - set(names))
        if missing:
            raise _refuse(f"the column `{missing[0]}`, which the filter reads, is left to its default: give it a value")
        if not select.values_lists or next(self._all(self._begin, pb.VALUES), None) is None:
            return self._query(source, names)
        found = []
        at = self._first(self._begin, pb.VALUES) + 1
        for row in select.values_lists:
            at = self._next(at, pb.ASCII_40)
            cells = {}
            for place, value in enumerate(row.list.items):
                end = self._cell(at + 1, value)
                if place < len(names) and names[place] in self._target.read:
                    cells[names[place]] = at + 1, end, value
                at = end + 1
            if missing := sorted(self._target.read - cells.keys()):
                raise _refuse(
                    f"the column `{missing[0]}`, which the filter reads, is left to its default: give it a value"
                )
            others = {name: f"NULL::{kind}" for name, kind in self._target.columns.items() if name not in cells}
            found += self._checked(cells, others)
            at += 1
        return found

    def _query(self, source: pb.Node, names: list[str]) -> list[Edit]:
        """INSERT of a query: its rows pass the filter before they are written."""
        listed = [part.res_target.val for part in source.select_stmt.target_list]
        starred = any(isinstance(part, pb.A_Star) for value in listed for part in walk(value))
        if listed and not starred:
            names = names[: len(listed)]
        if not self._target.read <= set(names):
            raise _refuse("a column that the filter reads is left to its default: give it a value")
        for first in range(self._begin + 1, len(self._tokens)):
            if self._tokens[first].kind not in (pb.SELECT, pb.WITH, pb.WITH_LA, pb.TABLE, pb.VALUES, pb.ASCII_40):
                continue
            end = self._extent(first, _as_node, "{}", source)
            if end is not None:
                break
        else:
            raise _refuse("the query was not found in the text")
        types = self._target.columns
        given = {name: f"{_NEW}.{_quoted(name)}" for name in names}
        holds = self._holds({name: given.get(name, f"NULL::{kind}") for name, kind in types.items()}, _NEW)
        start, stop = self._tokens[first].start, self._tokens[end].end
        named = ", ".join(_quoted(name) for name in names)
        return [
            (start, start, "SELECT * FROM ("),
            (
                stop,
                stop,
                f") AS {_NEW}({named}) WHERE CASE WHEN {holds} THEN true ELSE ({_RAISE})::pg_catalog.bool END",
            ),
        ]

    def _conflict(self, clause: pb.OnConflictClause, *, returning: bool) -> list[Edit]:
        """A row that is there already is changed only if it is not hidden; a hidden one ends the statement, as row security does."""
        if clause.action != pb.ONCONFLICT_UPDATE:
            return []
        begin = self._first(self._first(self._begin, pb.CONFLICT), pb.DO)
        found = self._assignments(self._first(begin, pb.SET), list(clause.target_list))
        condition = clause.where_clause if clause.HasField("where_clause") else None
        return [*found, *self._where(condition, returning, begin, otherwise=f"({_RAISE})::pg_catalog.bool")]

    # the text

    def _first(self, begin: int, kind: int) -> int:
        found = next(self._all(begin, kind), None)
        if found is None:
            raise _refuse("a part of the statement was not found in the text")
        return found

    def _all(self, begin: int, kind: int) -> Iterator[int]:
        """Tokens of a kind outside of brackets, from a place on."""
        depth = 0
        for at in range(begin, len(self._tokens)):
            token = self._tokens[at].kind
            depth += (token in _OPENING) - (token in _CLOSING)
            if depth < 0:
                return
            if token == kind and depth == 0:
                yield at

    def _next(self, begin: int, kind: int) -> int:
        for at in range(begin, len(self._tokens)):
            if self._tokens[at].kind == kind:
                return at
        raise _refuse("a part of the statement was not found in the text")

    def _cell(self, first: int, value: pb.Node) -> int:
        """The last token of an expression that begins at a token."""
        if value.WhichOneof("node") == "set_to_default":
            return first
        end = self._extent(first, lambda tree: tree.target_list[0].res_target.val, "SELECT {}", value)
        if end is None:
            raise _refuse("a value was not found in the text")
        return end

    def _extent(self, first: int, part: Callable[[pb.SelectStmt], Message], frame: str, wanted: Message) -> int | None:
        """The last token of the piece, from a token on, that parses to exactly a node; None when there is none."""
        sought = stripped(wanted)
        depth = 0
        for end in range(first, len(self._tokens)):
            kind = self._tokens[end].kind
            depth += (kind in _OPENING) - (kind in _CLOSING)
            if depth < 0:
                return None
            if depth or not self._may_end(end):
                continue
            self._tries += 1
            if self._tries > _TRIES:
                raise _refuse("the statement is too long")
            try:
                trees = postgast.parse(frame.format(self._text(first, end))).stmts
                if len(trees) == 1 and stripped(part(trees[0].stmt.select_stmt)) == sought:
                    return end
            except (postgast.PgQueryError, DecodeError, IndexError):
                continue
        return None

    def _may_end(self, at: int) -> bool:
        """Whether an expression or query may end with a token, by what follows."""
        following = self._tokens[at + 1].kind if at + 1 < len(self._tokens) else pb.ASCII_59
        return following in _BEHIND

    def _text(self, first: int, last: int) -> str:
        return self._data[self._tokens[first].start : self._tokens[last].end].decode("utf-8")


_BEHIND = frozenset({
    pb.ASCII_59, pb.ASCII_44, pb.ASCII_41, pb.FROM, pb.WHERE, pb.RETURNING, pb.ON,
})  # fmt: skip


def _as_node(tree: pb.SelectStmt) -> pb.Node:
    node = pb.Node()
    node.select_stmt.CopyFrom(tree)
    return node


def _is_plain(value: pb.Node) -> bool:
    """A constant or parameter, cast at most."""
    while value.WhichOneof("node") == "type_cast":
        value = value.type_cast.arg
    return value.WhichOneof("node") in ("a_const", "param_ref")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
