"""Reader of the server's analysed tree, as `debug_print_rewritten` prints it with `debug_pretty_print=off`.

For: exact undoing of the 78-byte wrapping, and reading `{TAG :field value ...}` by position into values, with an allow-list of
tags and of the fields that each may carry.
Not for: meaning (`analysis`). Whatever is not known is refused by name: a new server version must be learnt, not guessed.
Source: PostgreSQL 14 to 18, print.c (format_node_dump), outfuncs.c, read.c (pg_strtok).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NoReturn, Union

from lockgate.errors import RefusedStatementError
from lockgate.sql.tags import FIELDS, SHORT_TAGS

LINE = 78
MAX_TEXT = 32 << 20
MAX_DEPTH = 240

_TOKEN = re.compile(r"[(){}]|(?:\\.|[^ \n\t(){}\\])+", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}\Z")
_TRIVIAL = frozenset({None, "false", "0", "-1"})

Value = Union["Node", "tuple[Value, ...]", str, None]


class Node:
    """One node: `tag` and its fields; text values are unescaped, `<>` is None, lists are tuples."""

    __slots__ = ("fields", "tag")

    def __init__(self, tag: str, fields: dict[str, Value]) -> None:
        self.tag = tag
        self.fields = fields

    def get(self, name: str) -> Value:
        """A field's value; a node without that field is not the node we know."""
        if name not in self.fields:
            refuse("tree-field", f"node {self.tag} has no field {name}")
        return self.fields[name]

    def has(self, name: str) -> bool:
        """Whether this server's version prints the field."""
        return name in self.fields

    def node(self, name: str) -> Node | None:
        """A field that holds a node or nothing."""
        value = self.get(name)
        if value is not None and not isinstance(value, Node):
            refuse("tree-field", f"field {name} of node {self.tag} is not a node")
        return value

    def need(self, name: str) -> Node:
        """A field that holds a node."""
        value = self.node(name)
        if value is None:
            refuse("tree-field", f"field {name} of node {self.tag} is empty")
        return value

    def items(self, name: str) -> tuple[Value, ...]:
        """A field that holds a list or nothing."""
        value = self.get(name)
        if value is None:
            return ()
        if not isinstance(value, tuple):
            refuse("tree-field", f"field {name} of node {self.tag} is not a list")
        return value

    def nodes(self, name: str) -> tuple[Node, ...]:
        """A field that holds a list of nodes or nothing."""
        found = []
        for item in self.items(name):
            if not isinstance(item, Node):
                refuse("tree-field", f"field {name} of node {self.tag} holds something that is no node")
            found.append(item)
        return tuple(found)

    def nodes_or_none(self, name: str) -> tuple[Node | None, ...]:
        """A field that holds a list of nodes with gaps."""
        found: list[Node | None] = []
        for item in self.items(name):
            if item is not None and not isinstance(item, Node):
                refuse("tree-field", f"field {name} of node {self.tag} holds something that is no node")
            found.append(item)
        return tuple(found)

    def integer(self, name: str) -> int:
        """A field that holds a number."""
        value = self.get(name)
        if not isinstance(value, str) or not _INTEGER.match(value):
            refuse("tree-field", f"field {name} of node {self.tag} is not a number")
        return int(value)

    def integers(self, name: str) -> tuple[int, ...]:
        """A field that holds a list of numbers or nothing."""
        found = []
        for item in self.items(name):
            if not isinstance(item, str) or not _INTEGER.match(item):
                refuse("tree-field", f"field {name} of node {self.tag} holds something that is no number")
            found.append(int(item))
        return tuple(found)

    def flag(self, name: str) -> bool:
        """A field that holds true or false."""
        value = self.get(name)
        if value not in ("true", "false"):
            refuse("tree-field", f"field {name} of node {self.tag} is neither true nor false")
        return value == "true"

    def text(self, name: str) -> str:
        """A field that holds a name; empty when there is none."""
        value = self.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            refuse("tree-field", f"field {name} of node {self.tag} is not a name")
        return value


def refusal(reason: str, sentence: str) -> RefusedStatementError:
    """The refusal of a statement whose tree is not one that we know how to read."""
    return RefusedStatementError(reason, f"the statement cannot be judged: {sentence}")


def refuse(reason: str, sentence: str) -> NoReturn:
    """Refuse the statement."""
    raise refusal(reason, sentence)


def read_trees(text: str) -> tuple[Node, ...]:
    """The QUERY nodes of one notice's DETAIL.

    Raises:
        RefusedStatementError: anything unexpected, an empty list included.
    """
    if len(text) > MAX_TEXT:
        refuse("tree-size", "its tree is too large")
    return read_unwrapped(unwrap(text))


def read_unwrapped(text: str, known: Mapping[str, Node] = MappingProxyType({})) -> tuple[Node, ...]:
    """The QUERY nodes of a list whose lines were joined already.

    Args:
        known: nodes that were read before, by the word in braces that stands in their place.

    Raises:
        RefusedStatementError: as `read_trees`.
    """
    reader = _Reader(_TOKEN.findall(text), known)
    try:
        value = reader.value()
    except RecursionError:
        refuse("tree-depth", "its tree is nested too deeply")
    if not reader.at_end or not isinstance(value, tuple) or not value:
        refuse("tree-empty", "the server gave no tree for it")
    queries = []
    for item in value:
        if not isinstance(item, Node) or item.tag != "QUERY":
            refuse("tree-root", "its tree does not consist of queries")
        queries.append(item)
    return tuple(queries)


def unwrap(text: str) -> str:
    """Undo the server's line wrapping exactly, or refuse.

    A line is broken at a space, which the newline replaces; a line of full length without any space may have been cut inside a
    token, and a line that ends in a backslash may end in an escaped newline of a name: both are refused unless excluded.
    """
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    sizes = [len(line.encode("utf-8")) for line in lines]
    for at, line in enumerate(lines):
        if sizes[at] > LINE:
            refuse("tree-wrap", "a line of its tree is too long")
        if at + 1 == len(lines):
            break
        if sizes[at] == LINE and " " not in line[1:]:
            refuse("tree-wrap", "a name is too long for its tree to be read safely")
        if (len(line) - len(line.rstrip("\\"))) % 2 and sizes[at] + 1 + sizes[at + 1] <= LINE:
            refuse("tree-wrap", "a name contains a line break")
    joined = " ".join(lines)
    if (len(joined) - len(joined.rstrip("\\"))) % 2:
        refuse("tree-wrap", "its tree ends inside a name")
    return joined


class _Reader:
    """Reads tokens by position; field names are only recognised where a field name must stand."""

    def __init__(self, tokens: list[str], given: Mapping[str, Node]) -> None:
        self._tokens = tokens
        self._given = given
        self._at = 0
        self._depth = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._tokens)

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            refuse("tree-end", "its tree ends too early")
        word = self._tokens[self._at]
        self._at += 1
        return word

    def value(self) -> Value:
        word = self._next()
        if word == "{":
            return self._node()
        if word == "(":
            return self._list()
        if word in ("}", ")"):
            refuse("tree-syntax", "its tree has a bracket out of place")
        return _atom(word)

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            refuse("tree-depth", "its tree is nested too deeply")

    def _list(self) -> tuple[Value, ...]:
        self._enter()
        found: list[Value] = []
        if self._at < len(self._tokens) and self._tokens[self._at] in ("i", "o", "b", "x"):
            self._at += 1
            while (word := self._next()) != ")":
                if not _INTEGER.match(word):
                    refuse("tree-syntax", "a list of numbers in its tree holds something else")
                found.append(word)
        else:
            while self._at < len(self._tokens) and self._tokens[self._at] != ")":
                found.append(self.value())
            self._next()
        self._depth -= 1
        return tuple(found)

    def _node(self) -> Node:
        self._enter()
        tag = self._next()
        if tag in self._given and self._next() == "}":
            self._depth -= 1
            return self._given[tag]
        known = FIELDS.get(tag)
        if known is None:
            refuse("unknown-node", f"node {_printable(tag)} is not known")
        fields: dict[str, Value] = {}
        while (word := self._next()) != "}":
            if len(word) < 2 or word[0] != ":":
                refuse("tree-syntax", f"node {tag} is not a list of fields")
            name = word[1:]
            if name in fields:
                refuse("tree-syntax", f"node {tag} has a field twice")
            value = self._datum() if tag == "CONST" and name == "constvalue" else self.value()
            if name not in known and not _is_trivial(value):
                refuse("unknown-field", f"field {_printable(name)} of node {tag} is not known")
            fields[name] = value
        self._depth -= 1
        return Node(SHORT_TAGS.get(tag, tag), fields)

    def _datum(self) -> Value:
        """`<>`, or a length and the bytes in brackets."""
        word = self._next()
        if word == "<>":
            return None
        if not word.isdigit() or self._next() != "[":
            refuse("tree-syntax", "a constant in its tree cannot be read")
        found: list[Value] = []
        while (word := self._next()) != "]":
            if not _INTEGER.match(word):
                refuse("tree-syntax", "a constant in its tree cannot be read")
            found.append(word)
        return tuple(found)


def _atom(word: str) -> str | None:
    if word == "<>":
        return None
    if len(word) > 1 and word[0] == '"' and word[-1] == '"':
        word = word[1:-1]
    return _ESCAPED.sub(r"\1", word) if "\\" in word else word


def _is_trivial(value: Value) -> bool:
    if isinstance(value, tuple):
        return not value
    return not isinstance(value, Node) and value in _TRIVIAL


def _printable(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name) else "without a plain name"


def child_nodes(node: Node) -> Iterator[Node]:
    """Every node directly inside a node's fields, lists opened."""
    stack: list[Value] = list(reversed(list(node.fields.values())))
    while stack:
        value = stack.pop()
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            stack.extend(reversed(value))
