"""Put subqueries in the places where a statement names certain relations; every other byte stays the client's.

For: finding, with PostgreSQL's own grammar, the exact tokens by which FROM items name a relation, and replacing these and nothing else.
There is no deparsing: what is not replaced cannot be changed by accident, and no hand-made tree is given to native code.
Not for: what is put there (`masking.substitution`). Names are looked up as the caller says, and names of WITH queries are told apart
here; whether that was right is the server's to say when it analyses the result (`reanalysis`): a relation left over, or one replaced
too many, is refused there.
Source: PostgreSQL 18 grammar (gram.y: relation_expr, columnref, simple_select, common_table_expr).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from lockgate.errors import RefusedStatementError
from lockgate.model.statement import Given
from lockgate.sql.free_columns import Keyed, first_place, free_columns
from lockgate.sql.grammar import COMMENTS, Token, encode, scan, tree_of
from lockgate.sql.written import Target, Write, wrapped

Resolve = Callable[[str, str], int | None]
"""(schema or empty, name) -> OID of the relation that the name means, None when it is none that the snapshot has."""

Replace = Callable[[int, bool, str], str | None]
"""(OID, ONLY, TABLESAMPLE clause or empty) -> the subquery in brackets that stands for a relation, None when the relation stays."""

Columns = Callable[[int], Keyed | None]
"""OID -> columns and keys of a table, None when it has no keys that count."""

_QUALIFIED = 3


@dataclass(slots=True)
class Spliced:
    """The new text, how often each relation was replaced in it, and how often each value."""

    text: str
    replaced: Counter[int] = field(default_factory=Counter)
    values: Counter[Given] = field(default_factory=Counter)


def splice(
    text: str,
    *,
    resolve: Resolve,
    replace: Replace,
    values: Mapping[Given, str] = MappingProxyType({}),
    columns: Columns = lambda _: None,
    target: Target | None = None,
) -> Spliced:
    """Replace relations in one statement.

    Args:
        target: the filtered table that the statement writes.
        values: constants by their place in this text, and parameters, to what stands for them.

    Raises:
        RefusedStatementError: a relation that must be replaced stands where a subquery cannot, or the rows are locked.
    """
    data = encode(text)
    tokens = [token for token in scan(data) if token.kind not in COMMENTS]
    tree = tree_of(text)
    if len(tree.stmts) != 1:
        raise RefusedStatementError("stand-in-text", "only one statement can be rewritten at a time")
    writer = _Splicer(data, tokens, resolve, replace, values, columns)
    try:
        if target is not None:
            writer.write_filtered(tree.stmts[0].stmt, target)
        writer.visit(tree.stmts[0].stmt, frozenset())
    except RecursionError:
        raise RefusedStatementError(
            "too-complex", "the text is nested too deeply to be rewritten", sqlstate="54001"
        ) from None
    if any(not writer.values[given] for given in values):
        raise RefusedStatementError("stand-in-text", "a value was not found in the text")
    return Spliced(writer.text(), writer.replaced, writer.values)


class _Splicer:
    """Walks one statement's tree with the names of WITH queries in scope, and notes edits by byte position."""

    def __init__(
        self,
        data: bytes,
        tokens: list[Token],
        resolve: Resolve,
        replace: Replace,
        values: Mapping[Given, str],
        columns: Columns,
    ) -> None:
        self._data = data
        self._tokens = tokens
        self._at = {token.start: number for number, token in enumerate(tokens)}
        self._resolve = resolve
        self._replace = replace
        self._values = values
        self._columns = columns
        self.values: Counter[Given] = Counter()
        self._edits: list[tuple[int, int, str]] = []
        self.replaced: Counter[int] = Counter()
        self._written: int | None = None

    def text(self) -> str:
        """The text with all edits."""
        pieces, last = [], 0
        for start, end, new in sorted(self._edits, key=lambda edit: edit[:2]):
            if start < last:
                raise RefusedStatementError("stand-in-text", "two places to be rewritten overlap")
            pieces += [self._data[last:start].decode("utf-8"), new]
            last = end
        return "".join(pieces) + self._data[last:].decode("utf-8")

    # the walk

    def visit(self, node: Message, names: frozenset[str]) -> None:
        """One node; `names` are the WITH queries that a name without schema may mean."""
        if isinstance(node, pb.SelectStmt):
            self._select(node, names)
        elif isinstance(node, pb.LockingClause):
            raise RefusedStatementError("stand-in-lock", "rows that are locked cannot be read through stand-ins")
        elif isinstance(node, pb.RangeTableSample):
            self._sampled(node, names)
        elif isinstance(node, pb.InsertStmt | pb.UpdateStmt | pb.DeleteStmt):
            self._write(node, names)
        elif isinstance(node, pb.RangeVar):
            self._refuse_relation(node, names, "this place")
        elif isinstance(node, pb.CopyStmt):
            self._copy(node, names)
        elif isinstance(node, pb.ColumnRef):
            self._column(node)
        elif isinstance(node, pb.A_Const):
            self._value(Given(parameter=False, at=node.location), node.location)
        elif isinstance(node, pb.ParamRef):
            self._value(Given(parameter=True, at=node.number), node.location)
        else:
            self._children(node, names)

    def _children(self, node: Message, names: frozenset[str], leave: tuple[str, ...] = ()) -> None:
        for descriptor, value in node.ListFields():
            if descriptor.message_type is None or descriptor.name in leave:
                continue
            for child in (value,) if isinstance(value, Message) else value:
                self.visit(child, names)

    def _select(self, node: pb.SelectStmt, names: frozenset[str]) -> None:
        if node.HasField("with_clause"):
            names = self._with(node.with_clause, names)
        for item in node.from_clause:
            self._from(item, names)
        self._group(node, names)
        self._children(node, names, leave=("with_clause", "from_clause"))

    def _with(self, clause: pb.WithClause, names: frozenset[str]) -> frozenset[str]:
        """The names in scope behind a WITH; its queries see those before them, or all of them when it is RECURSIVE."""
        if clause.recursive:
            names |= {item.common_table_expr.ctename for item in clause.ctes}
        for item in clause.ctes:
            self.visit(item, names)
            names |= {item.common_table_expr.ctename}
        return names

    def write_filtered(self, node: pb.Node, target: Target) -> None:
        """Put the filter of a table that is written into its statement."""
        statement = getattr(node, node.WhichOneof("node") or "", None)
        if not isinstance(statement, pb.InsertStmt | pb.UpdateStmt | pb.DeleteStmt):
            raise RefusedStatementError("stand-in-place", "a filtered table is written inside of another statement")
        if self._resolve(statement.relation.schemaname, statement.relation.relname) != target.relation:
            raise RefusedStatementError("stand-in-text", "the table that is written was not found in the text")
        self._edits += wrapped(self._data, self._tokens, statement, target)
        self._written = target.relation

    def _write(self, node: Write, names: frozenset[str]) -> None:
        """The relations that a write reads; the one it writes is not replaced."""
        if node.HasField("with_clause"):
            names = self._with(node.with_clause, names)
        if self._resolve(node.relation.schemaname, node.relation.relname) != self._written:
            self._refuse_relation(node.relation, frozenset(), "the place of a table that is written")
        sources = (
            ()
            if isinstance(node, pb.InsertStmt)
            else node.from_clause
            if isinstance(node, pb.UpdateStmt)
            else node.using_clause
        )
        for item in sources:
            self._from(item, names)
        self._children(node, names, leave=("with_clause", "relation", "from_clause", "using_clause"))

    def _from(self, item: pb.Node, names: frozenset[str]) -> None:
        kind = item.WhichOneof("node")
        if kind == "range_var":
            self._relation(item.range_var, names)
        elif kind == "join_expr":
            self._from(item.join_expr.larg, names)
            self._from(item.join_expr.rarg, names)
            self._children(item.join_expr, names, leave=("larg", "rarg"))
        else:
            self.visit(item, names)

    def _group(self, node: pb.SelectStmt, names: frozenset[str]) -> None:
        """Name the columns that a replaced table's key gave for nothing."""
        if not node.group_clause:
            return
        tables = []
        for item in _relations_of(node.from_clause):
            found = None if item.alias.colnames else self._replacement(item, names)
            keyed = None if found is None else self._columns(found[0])
            if keyed is not None:
                tables.append((item.alias.aliasname or item.relname, keyed))
        added = free_columns(node, tables)
        at = self._at.get(first_place(node)) if added else None
        if at is None:
            return
        while at > 1 and not (self._kind(at - 1) == pb.BY and self._kind(at - 2) == pb.GROUP_P):
            at -= 1
        if at > 1:
            at -= self._kind(at) not in (pb.ALL, pb.DISTINCT)
            end = self._tokens[at].end
            self._edits.append((end, end, "".join(f" {_quoted(a)}.{_quoted(name)}," for a, name in added)))

    # places

    def _meaning(self, node: pb.RangeVar, names: frozenset[str]) -> int | None:
        if node.relname in names and not node.schemaname:
            return None
        return self._resolve(node.schemaname, node.relname)

    def _replacement(self, node: pb.RangeVar, names: frozenset[str], sample: str = "") -> tuple[int, str] | None:
        oid = self._meaning(node, names)
        text = None if oid is None else self._replace(oid, not node.inh, sample)
        return None if oid is None or text is None else (oid, text)

    def _refuse_relation(self, node: pb.RangeVar, names: frozenset[str], where: str) -> None:
        if self._replacement(node, names) is not None:
            raise RefusedStatementError(
                "stand-in-place", f"a relation with masked columns cannot be replaced in {where}"
            )

    def _sampled(self, node: pb.RangeTableSample, names: frozenset[str]) -> None:
        """A table of which a sample is read: the sample is taken inside the subquery, of the table's own rows."""
        table = node.relation.range_var
        if self._replacement(table, names) is None:
            self._children(node, names, leave=("relation",))
            return
        bounds = [*node.args, *([node.repeatable] if node.HasField("repeatable") else [])]
        if any(bound.WhichOneof("node") != "a_const" for bound in bounds):
            raise RefusedStatementError("stand-in-place", "the bounds of a TABLESAMPLE must be constants to be moved")
        first = self._extent(table)[1] + 1
        while self._kind(first) not in (pb.TABLESAMPLE, None):
            first += 1
        last = first
        for _ in range(1 + node.HasField("repeatable")):
            last += 1
            while self._kind(last) not in (pb.ASCII_41, None):
                last += 1
        if self._kind(first) is None or self._kind(last) is None:
            raise RefusedStatementError("stand-in-text", "TABLESAMPLE was not found in the text")
        start, end = self._tokens[first].start, self._tokens[last].end
        self._relation(table, names, self._data[start:end].decode("utf-8"))
        self._edits.append((start, end, ""))

    def _relation(self, node: pb.RangeVar, names: frozenset[str], sample: str = "") -> None:
        found = self._replacement(node, names, sample)
        if found is None:
            return
        oid, text = found
        first, last = self._extent(node)
        if not node.HasField("alias"):
            text += f" AS {_quoted(node.relname)}"
        before = self._tokens[first - 1] if first else None
        if before is not None and before.kind == pb.TABLE:
            first, text = first - 1, f"SELECT * FROM {text}"  # noqa: S608 - the caller's subquery
        self._edits.append((self._tokens[first].start, self._tokens[last].end, text))
        self.replaced[oid] += 1

    def _extent(self, node: pb.RangeVar) -> tuple[int, int]:
        """First and last token of `ONLY (a.b)`, `a.b *` or `a.b`."""
        first = self._at.get(node.location)
        if first is None:
            raise RefusedStatementError("stand-in-text", "a relation's name was not found in the text")
        last = first + 2 * (bool(node.catalogname) + bool(node.schemaname))
        if not node.inh:
            if self._kind(first - 1) == pb.ONLY:
                return first - 1, last
            if (
                self._kind(first - 1) == pb.ASCII_40
                and self._kind(first - 2) == pb.ONLY
                and self._kind(last + 1) == pb.ASCII_41
            ):
                return first - 2, last + 1
            raise RefusedStatementError("stand-in-text", "ONLY was not found in the text")
        return first, last + (self._kind(last + 1) == pb.ASCII_42)

    def _kind(self, number: int) -> int | None:
        return self._tokens[number].kind if 0 <= number < len(self._tokens) else None

    def _column(self, node: pb.ColumnRef) -> None:
        """`schema.table.column` names a table without alias; its subquery has the table's name and no schema."""
        if len(node.fields) < _QUALIFIED:
            return
        words = [part.string.sval for part in node.fields[:-1]]
        oid = self._resolve(words[-2], words[-1])
        if oid is None or self._replace(oid, False, "") is None:
            return
        first = self._at.get(node.location)
        if first is None:
            raise RefusedStatementError("stand-in-text", "a column's name was not found in the text")
        self._edits.append((self._tokens[first].start, self._tokens[first + 2 * (len(words) - 1)].start, ""))

    def _value(self, given: Given, location: int) -> None:
        """A value that stands for another one; a number's sign belongs to it."""
        text = self._values.get(given)
        if text is None:
            return
        first = self._at.get(location)
        if first is None:
            raise RefusedStatementError("stand-in-text", "a value was not found in the text")
        signed = self._data[self._tokens[first].start : self._tokens[first].end] == b"-"
        self._edits.append((location, self._tokens[first + signed].end, text))
        self.values[given] += 1

    def _copy(self, node: pb.CopyStmt, names: frozenset[str]) -> None:
        """COPY of a table becomes COPY of a query; its column list goes into the query."""
        if not node.HasField("relation"):
            self._children(node, names)
            return
        oid = self._meaning(node.relation, names)
        text = None if oid is None else self._replace(oid, True, "")
        if oid is None or text is None:
            return
        first, last = self._extent(node.relation)
        columns = ", ".join(_quoted(part.string.sval) for part in node.attlist) or "*"
        if node.attlist:
            while self._kind(last) != pb.ASCII_41:
                last += 1
                if last >= len(self._tokens):
                    raise RefusedStatementError("stand-in-text", "a column list was not found in the text")
        query = f"(SELECT {columns} FROM {text} AS {_quoted(node.relation.relname)})"  # noqa: S608 - names are quoted
        self._edits.append((self._tokens[first].start, self._tokens[last].end, query))
        self.replaced[oid] += 1


def _relations_of(items: Iterable[pb.Node]) -> Iterator[pb.RangeVar]:
    """The relations that a FROM list names at its own level."""
    for item in items:
        kind = item.WhichOneof("node")
        if kind == "range_var":
            yield item.range_var
        elif kind == "range_table_sample":
            yield item.range_table_sample.relation.range_var
        elif kind == "join_expr":
            yield from _relations_of((item.join_expr.larg, item.join_expr.rarg))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
