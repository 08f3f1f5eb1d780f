"""What PostgreSQL's own grammar says of a text: its statements, their kinds and their shapes.

For: splitting a client's text, classifying every statement, finding the statement inside EXPLAIN, DECLARE, PREPARE, COPY and
CREATE TABLE AS, and making a shape without literals.
Not for: names, types or provenance: those are the server's to say (`analysis`).
Source: PostgreSQL 18 grammar (libpg_query); masking.md 1.1.
"""

from __future__ import annotations

import json

import postgast
from google.protobuf.message import DecodeError, Message
from postgast import pg_query_pb2 as pb

from lockgate.errors import RefusedStatementError
from lockgate.model.statement import Kind, Parsed
from lockgate.sql.grammar import COMMENTS, CONSTANTS, Token, encode, scan, stripped, tree_of, walk
from lockgate.sql.kinds import DESTRUCTIVE_KINDS, DESTRUCTIVE_NODES, KINDS, TRANSACTIONS

MAX_STATEMENTS = 1_000
MAX_SHAPE = 8_000
_FETCH_ALL = (1 << 31) - 1

_OPENERS = frozenset(
    {
        pb.SELECT, pb.WITH, pb.VALUES, pb.TABLE, pb.INSERT, pb.UPDATE, pb.DELETE_P, pb.MERGE, pb.ASCII_40, pb.DECLARE,
        pb.CREATE, pb.EXECUTE, pb.REFRESH, pb.WITH_LA,
    }
)  # fmt: skip
_INNER_TRIES = 200
_WITH_SETTINGS = frozenset({
    "alter_role_set_stmt", "alter_database_set_stmt", "alter_system_stmt", "create_function_stmt", "alter_function_stmt",
})  # fmt: skip


def split_and_parse(text: str) -> tuple[Parsed, ...]:
    """Every statement of a text, in order; one `Kind.EMPTY` when there is none.

    Raises:
        RefusedStatementError: `syntax` (42601) when the grammar rejects it, else a limit's name.
    """
    data = encode(text)
    tokens = scan(data)
    tree = tree_of(text)
    if not tree.stmts:
        return (Parsed(text="", kind=Kind.EMPTY, shape=""),)
    if len(tree.stmts) > MAX_STATEMENTS:
        raise RefusedStatementError(
            "too-many-statements", f"a text may have at most {MAX_STATEMENTS} statements", sqlstate="54001"
        )
    result = []
    position = 0
    for raw in tree.stmts:
        begin = raw.stmt_location
        end = begin + raw.stmt_len if raw.stmt_len else len(data)
        own = []
        while position < len(tokens) and tokens[position].start < end:
            token = tokens[position]
            if token.start >= begin and token.kind not in COMMENTS and token.kind != pb.ASCII_59:
                own.append(token)
            position += 1
        if not own:
            raise RefusedStatementError("parse", "a statement without a token was found")
        result.append(_Reader(data, own, raw.stmt).read())
    return tuple(result)


def reading_alike(text: str) -> str:
    """The text with every plain string that holds a backslash as an escape string, for a text read while the setting is on."""
    parts: list[bytes] = []
    data, position = encode(text), 0
    for token in scan(data):
        if data[token.start : token.start + 1] == b"'" and b"\\" in data[token.start : token.end]:
            parts += [data[position : token.start], b" E", data[token.start : token.end].replace(b"\\", b"\\\\")]
            position = token.end
    return b"".join([*parts, data[position:]]).decode("utf-8")


def reads_alike(text: str) -> bool:
    """Whether the text means the same with `standard_conforming_strings` on and off.

    It does when no plain string holds a backslash: up to the first backslash in one, both ways of reading cut the same tokens.
    """
    data = encode(text)
    return not any(b"\\" in data[t.start : t.end] for t in scan(data) if data[t.start : t.start + 1] in b"'nNuU")


def _constant(node: pb.Node) -> str | None:
    """Text of a plain constant; None for anything else."""
    kind = node.WhichOneof("node")
    if kind == "a_const":
        if node.a_const.isnull:
            return None
        kind = {"ival": "integer", "fval": "float", "boolval": "boolean", "sval": "string"}.get(
            node.a_const.WhichOneof("val") or ""
        )
        value = node.a_const
        integer, number, flag, text = value.ival.ival, value.fval.fval, value.boolval.boolval, value.sval.sval
    else:
        integer, number, flag, text = node.integer.ival, node.float.fval, node.boolean.boolval, node.string.sval
    texts = {"string": str(text), "integer": str(integer), "float": str(number), "boolean": "true" if flag else "false"}
    return texts.get(kind or "")


def _into(clause: pb.IntoClause) -> tuple[tuple[str, str], ...]:
    """The name of the table that is made, and the names given to its columns, as JSON."""
    names = [item.string.sval for item in clause.col_names]
    return (("into", json.dumps([clause.rel.schemaname, clause.rel.relname])), ("columns", json.dumps(names)))


def _listed(node: pb.Node) -> str | None:
    """As `_constant`; names in a list as JSON, a star as `*`."""
    kind = node.WhichOneof("node")
    if kind == "a_star":
        return "*"
    if kind == "list":
        return json.dumps([item.string.sval for item in node.list.items])
    return _constant(node)


def _is_on(value: str | None) -> bool:
    """A boolean option as the server reads it; what is not clearly off counts as on."""
    return value is None or value.lower() not in ("false", "off", "0")


def _no_arguments() -> RefusedStatementError:
    return RefusedStatementError("arguments", "the list in parentheses cannot be found in the text")


_OPENING = frozenset({pb.ASCII_40, pb.ASCII_91})
_CLOSING = frozenset({pb.ASCII_41, pb.ASCII_93})
_DEFINING = frozenset({Kind.CREATE, Kind.ALTER, Kind.COMMENT, Kind.MAINTENANCE, Kind.OTHER})


class _Reader:
    """Reads one statement: `data` is the whole text, `tokens` the statement's own."""

    def __init__(self, data: bytes, tokens: list[Token], node: pb.Node) -> None:
        self._data = data
        self._tokens = tokens
        self._name = node.WhichOneof("node") or ""
        self._node: Message = getattr(node, self._name) if self._name else node
        self._facts: dict[str, object] = {}

    def read(self) -> Parsed:
        kind = KINDS.get(self._name, Kind.OTHER)
        tables, temporary = self._names()
        facts: dict[str, object] = {
            "tables": tables,
            "temporary": temporary,
            "destructive": kind in DESTRUCTIVE_KINDS
            or self._name in DESTRUCTIVE_NODES
            or bool(getattr(self._node, "replace", False)),
        }
        self._facts = facts
        facts["kind"] = kind
        detail = getattr(self, f"_{self._name}", None)
        if detail is not None:
            detail(self._node)
        return Parsed(
            text=self._text(self._tokens),
            at=self._tokens[0].start,
            shape=self._shape(),
            parameters=self._parameters(),
            calls=self._calls() if facts["kind"] in _DEFINING else (),
            **facts,  # type: ignore[arg-type]
        )

    # the text

    def _text(self, tokens: list[Token]) -> str:
        return self._data[tokens[0].start : tokens[-1].end].decode("utf-8")

    def _shape(self) -> str:
        parts: list[str] = []
        size = 0
        last = self._tokens[0].start
        for token in self._tokens[: self._settings_end()]:
            piece = "?" if token.kind in CONSTANTS else self._data[token.start : token.end].decode("utf-8")
            parts.append(f" {piece}" if token.start > last else piece)
            size += len(parts[-1])
            last = token.end
            if size > MAX_SHAPE:
                return "".join(parts)[: MAX_SHAPE - 3] + "..."
        return "".join(parts)

    def _settings_end(self) -> int:
        """Where the value of a setting begins in a definition: it may be a secret written as a bare word, so all ends there."""
        kinds = [token.kind for token in self._tokens] if self._name in _WITH_SETTINGS else []
        for at in (i for i, kind in enumerate(kinds) if kind == pb.SET):
            until = next((i for i in range(at, len(kinds)) if kinds[i] in (pb.ASCII_61, pb.TO)), None)
            if until is not None:
                return until + 1
        return len(self._tokens)

    def _parameters(self) -> int:
        numbers = [self._data[t.start + 1 : t.end] for t in self._tokens if t.kind == pb.PARAM]
        if any(len(n) > 6 or not n.isdigit() for n in numbers):
            raise RefusedStatementError("parameter", "a parameter number is out of range", sqlstate="42P02")
        return max((int(n) for n in numbers), default=0)

    def _calls(self) -> tuple[str, ...]:
        """Functions and operators that the definition names; what is not in `pg_catalog` keeps its schema."""
        found: list[str] = []
        for part in walk(self._node):
            names = part.funcname if isinstance(part, pb.FuncCall) else part.name if isinstance(part, pb.A_Expr) else ()
            words = [n.string.sval for n in names]
            if len(words) > 1 and words[0] == "pg_catalog":
                words = words[1:]
            if words and ".".join(words) not in found:
                found.append(".".join(words))
            if isinstance(part, pb.SubLink | pb.SelectStmt) and self._name != "create_table_as_stmt":
                found.append("SELECT")
        return tuple(found)

    def _names(self) -> tuple[tuple[tuple[str, str], ...], bool]:
        names: list[tuple[str, str]] = []
        temporary = False
        for part in walk(self._node):
            if isinstance(part, pb.RangeVar):
                name = (part.schemaname, part.relname)
                temporary = temporary or part.relpersistence == "t" or part.schemaname.startswith("pg_temp")
                if name not in names:
                    names.append(name)
            elif (
                isinstance(part, pb.String)
                and self._name not in ("select_stmt", "insert_stmt")
                and part.sval.startswith("pg_temp")
            ):
                temporary = True
        return tuple(names), temporary

    # the statement inside

    def _inner(self, subtree: pb.Node, tokens: list[Token], trims: tuple[int, ...] = (0,)) -> None:
        """Find, among the tokens, the text that parses to exactly `subtree`."""
        wanted = stripped(subtree)
        tries = 0
        for at, token in enumerate(tokens):
            if token.kind not in _OPENERS:
                continue
            for trim in trims:
                tries += 1
                if tries > _INNER_TRIES:
                    raise RefusedStatementError("inner-statement", "the statement inside cannot be found in the text")
                if at + trim >= len(tokens):
                    continue
                text = self._text(tokens[at : len(tokens) - trim])
                if self._matches(text, wanted):
                    self._facts["inner"] = text
                    self._facts["inner_at"] = token.start - self._tokens[0].start
                    self._facts["inner_kind"] = KINDS.get(subtree.WhichOneof("node") or "", Kind.OTHER)
                    return
        raise RefusedStatementError("inner-statement", "the statement inside cannot be found in the text")

    @staticmethod
    def _matches(text: str, wanted: bytes) -> bool:
        try:
            found = postgast.parse(text)
        except (postgast.PgQueryError, DecodeError):
            return False
        return len(found.stmts) == 1 and stripped(found.stmts[0].stmt) == wanted

    # details, one method per grammar node

    def _select_stmt(self, node: pb.SelectStmt) -> None:
        leftmost = node
        while leftmost.HasField("larg"):
            leftmost = leftmost.larg
        if leftmost.HasField("into_clause"):
            self._facts["kind"] = Kind.CREATE_TABLE_AS
            self._facts["temporary"] = self._facts["temporary"] or leftmost.into_clause.rel.relpersistence == "t"
            self._facts["options"] = _into(leftmost.into_clause)
            wanted = pb.Node()
            wanted.select_stmt.CopyFrom(node)
            bare = wanted.select_stmt
            while bare.HasField("larg"):
                bare = bare.larg
            bare.ClearField("into_clause")
            self._without_into(stripped(wanted))
        elif any(isinstance(p, pb.LockingClause) for p in walk(node)):
            self._facts["options"] = (("locking", "true"),)

    def _without_into(self, wanted: bytes) -> None:
        for at, token in enumerate(self._tokens):
            if token.kind != pb.INTO:
                continue
            for until in range(at + 2, min(at + 10, len(self._tokens)) + 1):
                head = self._text(self._tokens[:at]) if at else ""
                tail = self._text(self._tokens[until:]) if until < len(self._tokens) else ""
                text = f"{head} {tail}".strip()
                if self._matches(text, wanted):
                    self._facts["inner"] = text
                    self._facts["inner_kind"] = Kind.SELECT
                    return
        raise RefusedStatementError("inner-statement", "the query of SELECT INTO cannot be found in the text")

    def _update_stmt(self, node: pb.UpdateStmt) -> None:
        self._facts["has_where"] = node.HasField("where_clause")

    def _delete_stmt(self, node: pb.DeleteStmt) -> None:
        self._facts["has_where"] = node.HasField("where_clause")

    def _explain_stmt(self, node: pb.ExplainStmt) -> None:
        options = self._options(node.options)
        self._facts["options"] = options
        analyze = [value for name, value in options if name == "analyze"]
        self._facts["executes"] = any(_is_on(value or None) for value in analyze)
        self._inner(node.query, self._tokens[1:])

    def _declare_cursor_stmt(self, node: pb.DeclareCursorStmt) -> None:
        self._facts["name"] = node.portalname
        self._facts["scroll"] = bool(node.options & 0x2)
        flags = (("binary", 0x1), ("hold", 0x20))
        self._facts["options"] = tuple((name, "true") for name, bit in flags if node.options & bit)
        self._inner(node.query, self._tokens[2:])

    def _prepare_stmt(self, node: pb.PrepareStmt) -> None:
        self._facts["name"] = node.name
        self._facts["executes"] = False
        self._inner(node.query, self._tokens[2:])
        types = self._listed_parts("SELECT CAST(NULL AS {})", len(node.argtypes))
        if [stripped(part.type_cast.type_name) for _, _, part in types] != [
            stripped(t.type_name) for t in node.argtypes
        ]:
            raise _no_arguments()
        self._facts["arguments"] = tuple((at, text) for at, text, _ in types)

    def _listed_parts(self, frame: str, count: int) -> list[tuple[int, str, pb.Node]]:
        """What stands between the first parentheses, cut at its commas: where, its text, and what the grammar makes of it in a frame."""
        opening = next((i for i, token in enumerate(self._tokens) if token.kind == pb.ASCII_40), None)
        if not count or opening is None:
            return []
        depth, begin, found = 0, opening + 1, []
        for at in range(opening, len(self._tokens)):
            kind = self._tokens[at].kind
            depth += (kind in _OPENING) - (kind in _CLOSING)
            if (kind == pb.ASCII_44 and depth == 1) or depth == 0:
                text = self._text(self._tokens[begin:at]) if begin < at else ""
                tree = tree_of(frame.format(text))
                if len(tree.stmts) != 1 or len(tree.stmts[0].stmt.select_stmt.target_list) != 1:
                    raise _no_arguments()
                place = self._tokens[begin].start - self._tokens[0].start
                found.append((place, text, tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val))
                begin = at + 1
            if depth == 0:
                return found
        raise _no_arguments()

    def _create_table_as_stmt(self, node: pb.CreateTableAsStmt) -> None:
        self._facts["temporary"] = self._facts["temporary"] or node.into.rel.relpersistence == "t"
        self._facts["options"] = _into(node.into)
        self._inner(node.query, self._tokens[2:], trims=(0, 2, 3))

    def _copy_stmt(self, node: pb.CopyStmt) -> None:
        kind = Kind.COPY_IN if node.is_from else Kind.COPY_OUT
        self._facts["kind"] = Kind.COPY_FILE if node.is_program or node.filename else kind
        self._facts["columns"] = tuple(part.string.sval for part in node.attlist)
        options = self._options(node.options)
        if node.HasField("where_clause"):
            options += (("where", "true"),)
        self._facts["options"] = options
        if node.HasField("query"):
            depth = 0
            for at, token in enumerate(self._tokens):
                depth += (token.kind == pb.ASCII_40) - (token.kind == pb.ASCII_41)
                if token.kind == pb.ASCII_41 and depth == 0:
                    self._inner(node.query, self._tokens[2:at])
                    return
            raise RefusedStatementError("inner-statement", "the query inside COPY cannot be found in the text")

    @staticmethod
    def _options(elements: object) -> tuple[tuple[str, str], ...]:
        result = []
        for element in elements:  # type: ignore[attr-defined]
            option = element.def_elem
            value = _listed(option.arg) if option.HasField("arg") else ""
            result.append((option.defname.lower(), "true" if value is None else value))
        return tuple(result)

    def _fetch_stmt(self, node: pb.FetchStmt) -> None:
        self._facts["name"] = node.portalname
        direction = pb.FetchDirection.Name(node.direction).removeprefix("FETCH_").lower()
        self._facts["options"] = (("direction", direction),) + ((("move", "true"),) if node.ismove else ())
        every = abs(node.how_many) >= _FETCH_ALL
        self._facts["row_limit"] = None if every else 1 if direction in ("absolute", "relative") else abs(node.how_many)

    def _close_portal_stmt(self, node: pb.ClosePortalStmt) -> None:
        self._facts["name"] = node.portalname

    def _execute_stmt(self, node: pb.ExecuteStmt) -> None:
        self._facts["name"] = node.name
        given = self._listed_parts("SELECT {}", len(node.params))
        if [stripped(part) for _, _, part in given] != [stripped(part) for part in node.params]:
            raise _no_arguments()
        self._facts["arguments"] = tuple((at, text) for at, text, _ in given)

    def _deallocate_stmt(self, node: pb.DeallocateStmt) -> None:
        self._facts["name"] = node.name

    def _transaction_stmt(self, node: pb.TransactionStmt) -> None:
        operation = pb.TransactionStmtKind.Name(node.kind)
        self._facts["value"] = TRANSACTIONS.get(operation, "unknown")
        self._facts["name"] = node.savepoint_name
        options = self._options(node.options)
        self._facts["options"] = options + ((("chain", "true"),) if node.chain else ())

    def _variable_set_stmt(self, node: pb.VariableSetStmt) -> None:
        kind = pb.VariableSetKind.Name(node.kind)
        self._facts["name"] = node.name.lower()
        self._facts["local"] = node.is_local
        if kind in ("VAR_RESET", "VAR_RESET_ALL", "VAR_SET_DEFAULT"):
            self._facts["options"] = (("reset", "all" if kind == "VAR_RESET_ALL" else "one"),)
        if kind == "VAR_SET_VALUE" and len(node.args) == 1:
            self._facts["value"] = _constant(node.args[0]) or ""

    def _constraints_set_stmt(self, node: pb.ConstraintsSetStmt) -> None:
        self._facts["name"] = "constraints"
        self._facts["value"] = "deferred" if node.deferred else "immediate"

    def _variable_show_stmt(self, node: pb.VariableShowStmt) -> None:
        self._facts["name"] = node.name.lower()

    def _discard_stmt(self, node: pb.DiscardStmt) -> None:
        self._facts["value"] = pb.DiscardMode.Name(node.target).removeprefix("DISCARD_").lower()

    def _listen_stmt(self, node: pb.ListenStmt) -> None:
        self._facts["name"] = node.conditionname
        self._facts["value"] = "listen"

    def _unlisten_stmt(self, node: pb.UnlistenStmt) -> None:
        self._facts["name"] = node.conditionname
        self._facts["value"] = "unlisten"

    def _notify_stmt(self, node: pb.NotifyStmt) -> None:
        self._facts["name"] = node.conditionname
        self._facts["value"] = "notify"

    def _drop_stmt(self, node: pb.DropStmt) -> None:
        kind = pb.ObjectType.Name(node.remove_type)
        hosted = kind in ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE")
        relations = (
            "OBJECT_TABLE",
            "OBJECT_VIEW",
            "OBJECT_MATVIEW",
            "OBJECT_SEQUENCE",
            "OBJECT_FOREIGN_TABLE",
            "OBJECT_INDEX",
        )
        if not hosted and kind not in relations:
            return
        names = []
        for item in node.objects:
            parts = [p.string.sval for p in item.list.items]
            parts = parts[:-1] if hosted else parts
            if parts:
                names.append((parts[-2] if len(parts) > 1 else "", parts[-1]))
        self._facts["tables"] = tuple(dict.fromkeys(names))

    def _comment_stmt(self, node: pb.CommentStmt) -> None:
        kind = pb.ObjectType.Name(node.objtype)
        parts = [p.string.sval for p in node.object.list.items] if node.HasField("object") else []
        if kind in ("OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"):
            parts = parts[:-1]
        elif kind not in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE", "OBJECT_SEQUENCE"):
            return
        if parts:
            self._facts["tables"] = ((parts[-2] if len(parts) > 1 else "", parts[-1]),)
