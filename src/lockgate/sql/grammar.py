"""The parser library: tokens and trees of a text, within bounds, and ways to walk a tree.

For: `parse` and `literals`, which read and change texts.
Not for: what a statement is. The parser is native code: a text is bounded by its tokens first, because its recursion is not.
Source: PostgreSQL 18 grammar (libpg_query); masking.md 1.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import postgast
from google.protobuf.message import DecodeError, Message
from postgast import pg_query_pb2 as pb

from lockgate.errors import RefusedStatementError

MAX_BYTES = 8 << 20
MAX_TOKENS = 400_000
MAX_WEIGHT = 20_000

CONSTANTS = frozenset({pb.SCONST, pb.ICONST, pb.FCONST, pb.BCONST, pb.XCONST, pb.USCONST})
COMMENTS = frozenset({pb.SQL_COMMENT, pb.C_COMMENT})
_FLAT = CONSTANTS | COMMENTS | {
    pb.PARAM, pb.IDENT, pb.UIDENT, pb.ASCII_40, pb.ASCII_41, pb.ASCII_44, pb.ASCII_59, pb.DEFAULT, pb.NULL_P, pb.TRUE_P,
    pb.FALSE_P,
}  # fmt: skip
"""Tokens that cannot deepen the parse tree by left recursion; right recursion is bounded by the parser's own stack."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token: kind and byte range."""

    kind: int
    start: int
    end: int


def encode(text: str) -> bytes:
    """The bytes of a text that may be given to the parser.

    Raises:
        RefusedStatementError: NUL, no UTF-8, or too long.
    """
    if "\0" in text:
        raise RefusedStatementError("nul", "a statement must not contain a NUL character", sqlstate="22021")
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise RefusedStatementError("encoding", "a statement must be valid UTF-8", sqlstate="22021") from None
    if len(data) > MAX_BYTES:
        raise RefusedStatementError("too-long", f"a text may have at most {MAX_BYTES} bytes", sqlstate="54001")
    return data


def scan(data: bytes) -> list[Token]:
    """The tokens of a text, within bounds that keep the parser's recursion harmless."""
    try:
        tokens = [Token(t.token, t.start, t.end) for t in postgast.scan(data.decode("utf-8")).tokens]
    except postgast.PgQueryError:
        raise RefusedStatementError("syntax", "syntax error", sqlstate="42601") from None
    except (DecodeError, RecursionError, MemoryError, ValueError):
        raise RefusedStatementError("parse", "the text cannot be read") from None
    weight = sum(1 for t in tokens if t.kind not in _FLAT)
    if len(tokens) > MAX_TOKENS or weight > MAX_WEIGHT:
        raise RefusedStatementError(
            "too-complex", "the text has too many operators or words to be read safely", sqlstate="54001"
        )
    return tokens


def tree_of(text: str) -> pb.ParseResult:
    """The grammar's tree of a text whose tokens were bounded before.

    Raises:
        RefusedStatementError: the grammar rejects it.
    """
    try:
        return postgast.parse(text)
    except postgast.PgQueryError as error:
        if "memory exhausted" in str(error):
            raise RefusedStatementError(
                "too-complex", "the text is nested too deeply to be read safely", sqlstate="54001"
            ) from None
        raise RefusedStatementError("syntax", "syntax error", sqlstate="42601") from None
    except (DecodeError, RecursionError, MemoryError, ValueError):
        raise RefusedStatementError(
            "too-complex", "the text is nested too deeply to be read safely", sqlstate="54001"
        ) from None


def walk(message: Message) -> Iterator[Message]:
    """Every message of a tree, parents first, in the order of the text's grammar."""
    stack: list[Message] = [message]
    while stack:
        top = stack.pop()
        yield top
        children: list[Message] = []
        for descriptor, value in top.ListFields():
            if descriptor.message_type is not None:
                children.extend(value if isinstance(value, _REPEATED) else (value,))
        stack.extend(reversed(children))


_REPEATED = type(pb.ParseResult().stmts)


def stripped(message: Message) -> bytes:
    """A tree's bytes without any position in the text."""
    copy = type(message)()
    copy.CopyFrom(message)
    for part in walk(copy):
        for descriptor in part.DESCRIPTOR.fields:
            name = descriptor.name
            if "location" in name or name.endswith(("list_start", "list_end")) or name == "stmt_len":
                part.ClearField(name)
    return bytes(copy.SerializeToString(deterministic=True))
