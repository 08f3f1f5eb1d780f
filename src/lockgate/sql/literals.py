"""Constants of a statement's text, read and replaced at their exact places.

For: putting opened values where the client's constants stood.
Not for: deciding which constants (`givens`), or opening them (`masking.lookups`).
Invariant: the text that comes out has the same tree as the text that went in, but for the values of the constants named; a text
of which this cannot be shown is refused.
Source: PostgreSQL 18 grammar (libpg_query); PostgreSQL documentation 4.1.2 (constants).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from postgast import pg_query_pb2 as pb

from lockgate.errors import RefusedStatementError
from lockgate.sql import grammar

Change = Callable[[str], str]
"""What a constant means to what shall stand there."""

_STRINGS = frozenset({pb.SCONST, pb.USCONST})
_NUMBERS = frozenset({pb.ICONST, pb.FCONST})


def replaced(text: str, changes: Mapping[int, Change], plain: frozenset[int]) -> str:
    """The text with the constants at these places changed.

    Args:
        text: one statement, as analysed.
        changes: byte offset of a constant to what becomes of it.
        plain: offsets of constants that may stand under a cast, because what they become fits the same type.

    Raises:
        RefusedStatementError: a constant is not there, or the new text would be another statement.
    """
    data = text.encode("utf-8")
    places = sorted(changes)
    tree = grammar.tree_of(text)
    found = {node.location: node for node in grammar.walk(tree) if isinstance(node, pb.A_Const)}
    cast = {
        n.arg.a_const.location for n in grammar.walk(tree) if isinstance(n, pb.TypeCast) and n.arg.HasField("a_const")
    }
    if any(place not in found for place in places) or cast & set(places) - plain:
        raise _refusal()
    ends = _token_ends(data, places)
    parts, position, moved = [], 0, {}
    for place in places:
        value = _meaning(found[place])
        if value is None:
            raise _refusal()
        new = changes[place](value)
        shown = _quoted(new) if found[place].HasField("sval") else _number(new)
        parts += [data[position:place], shown]
        moved[sum(map(len, parts)) - len(shown.lstrip(b" ("))] = place
        position = ends[place]
    parts.append(data[position:])
    result = b"".join(parts).decode("utf-8")
    after = grammar.tree_of(result)
    if _blanked(tree, frozenset(places)) != _blanked(after, frozenset(moved)):
        raise _refusal()
    return result


def constant_changed(text: str, change: Change, *, cast: bool) -> str:
    """An expression that is one constant, with what the constant means changed; NULL stays NULL.

    Args:
        cast: the constant may stand under a cast.

    Raises:
        RefusedStatementError: it is not one constant.
    """
    whole = f"SELECT {text}"
    tree = grammar.tree_of(whole)
    targets = tree.stmts[0].stmt.select_stmt.target_list
    node = targets[0].res_target.val
    while cast and node.HasField("type_cast"):
        node = node.type_cast.arg
    if len(tree.stmts) != 1 or len(targets) != 1 or not node.HasField("a_const"):
        raise _refusal()
    if node.a_const.isnull:
        return text
    place, value = node.a_const.location, _meaning(node.a_const)
    if value is None:
        raise _refusal()
    data = whole.encode("utf-8")
    new = _quoted(change(value))
    result = (data[:place] + new + data[_token_ends(data, [place])[place] :]).decode("utf-8")
    moved = place + len(new) - len(new.lstrip(b" "))
    if _blanked(tree, frozenset({place})) != _blanked(grammar.tree_of(result), frozenset({moved})):
        raise _refusal()
    return result.removeprefix("SELECT ")


def meaning(text: str, place: int) -> str:
    """What the constant at a byte offset of a statement means.

    Raises:
        RefusedStatementError: there is none.
    """
    found = (n for n in grammar.walk(grammar.tree_of(text)) if isinstance(n, pb.A_Const) and n.location == place)
    value = next(map(_meaning, found), None)
    if value is None:
        raise _refusal()
    return value


def quoted_constant(value: str) -> str:
    """A string constant that means the same whatever `standard_conforming_strings` says."""
    return _quoted(value).decode("utf-8").strip()


def _meaning(constant: pb.A_Const) -> str | None:
    """What a string or number token means; None for anything else."""
    if constant.isnull:
        return None
    kind = constant.WhichOneof("val")
    if kind == "sval":
        return str(constant.sval.sval)
    if kind == "ival":
        return str(constant.ival.ival)
    return str(constant.fval.fval) if kind == "fval" else None


def _blanked(tree: pb.ParseResult, places: frozenset[int]) -> bytes:
    """A tree's bytes without positions and without the values of the constants at these places."""
    copy = pb.ParseResult()
    copy.CopyFrom(tree)
    for node in grammar.walk(copy):
        if isinstance(node, pb.A_Const) and node.location in places:
            node.sval.sval = ""
    return grammar.stripped(copy)


def _token_ends(data: bytes, places: list[int]) -> dict[int, int]:
    tokens = grammar.scan(data)
    ends = {t.start: t.end for t in tokens if t.kind in _STRINGS | _NUMBERS}
    for sign, number in pairwise(tokens):
        if data[sign.start : sign.end] == b"-" and number.kind in _NUMBERS:
            ends[sign.start] = number.end
    if any(place not in ends for place in places):
        raise _refusal()
    return ends


def _quoted(value: str) -> bytes:
    """A string constant that means the same whatever `standard_conforming_strings` says."""
    doubled = value.replace("'", "''")
    if "\\" in value:
        return (" E'" + doubled.replace("\\", "\\\\") + "'").encode("utf-8")
    return f"'{doubled}'".encode()


def _number(value: str) -> bytes:
    # A number must not run into what stands before it, and its sign must not become an operator.
    return f" ({value})".encode("ascii") if value.startswith("-") else f" {value}".encode("ascii")


def _refusal() -> RefusedStatementError:
    return RefusedStatementError(
        "lookup-literal", "a constant that is compared with a masked column stands where it cannot be translated",
        hint="Compare the column with a plain constant, or bind the value as a parameter.",
    )  # fmt: skip


def with_parameters(text: str, values: Sequence[str]) -> str:
    """A statement with constants in the places of its parameters.

    Raises:
        RefusedStatementError: a parameter has no value.
    """
    parts: list[bytes] = []
    data, last = grammar.encode(text), 0
    for token in grammar.scan(data):
        if token.kind != pb.PARAM:
            continue
        number = int(data[token.start + 1 : token.end])
        if not 1 <= number <= len(values):
            raise RefusedStatementError("parameter", "a parameter has no value", sqlstate="42P02")
        parts += [data[last : token.start], values[number - 1].encode()]
        last = token.end
    return b"".join([*parts, data[last:]]).decode("utf-8")
