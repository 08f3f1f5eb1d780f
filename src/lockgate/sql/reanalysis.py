"""What the server made of a rewritten statement: masked columns may be read in the gate's own subqueries and nowhere else.

For: the second analysis before a rewritten statement runs. Subqueries of the gate are known by their whole tree, which the server
printed when it was asked about them alone; a relation that had to be replaced and stands elsewhere ends in a refusal.
Not for: making the text (`splice`). The tree is compared as the server prints it, so nothing here depends on how we read it.
Source: masking.md 0, point 6; PostgreSQL 14 to 18, outfuncs.c (tokens are escaped, so a name cannot imitate structure).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lockgate.errors import RefusedStatementError
from lockgate.sql.tree import Node, child_nodes, read_unwrapped, unwrap

_PLACES = re.compile(r"( :(?:location|[a-z]+_location|stmt_location|stmt_len|list_start|list_end|queryId)) -?[0-9]+")
_STOOD = "LOCKGATE"
"""Begins the word in braces that stands for a subquery; no name of the client's has a brace that is not escaped."""
_RELATION = re.compile(r" :relid ([0-9]+)(?= )")


def without_places(tree: str) -> str:
    """A tree on one line in which every position in the text is unknown."""
    return _PLACES.sub(r"\1 -1", tree)


def normal(trees: str) -> str:
    """A printed tree in which every position in the text is unknown."""
    return without_places(unwrap(trees))


def only_query(tree: str) -> str:
    """The QUERY node of a printed list of one.

    Raises:
        RefusedStatementError: there is not exactly one.
    """
    text = normal(tree)
    if not text.startswith("({QUERY ") or not text.endswith("})") or " {QUERY" in text[:8]:
        raise RefusedStatementError("stand-in-tree", "the gate's own subquery was not understood as one")
    return text[1:-1]


@dataclass(frozen=True, slots=True)
class Known:
    """A subquery of the gate's as the server prints it alone, and a query of the same columns that reads nothing.

    The second is read in place of the first: what is inside was made by the gate, and reading it again and again would cost most of
    the time that a new statement takes. `relation` is negative for values, counted from -1.
    """

    relation: int
    tree: str
    columns: Node


def columns_query(tree: str) -> Node:
    """The QUERY node of a printed list of one, read.

    Raises:
        RefusedStatementError: there is not exactly one.
    """
    return read_unwrapped(f"({only_query(tree)})")[0]


def check(
    trees: str, *, known: Sequence[Known], replaced: Mapping[int, int], relations: frozenset[int], target: int = 0
) -> tuple[Node, ...]:
    """The rewritten statement's tree, with the gate's own subqueries as queries of NULLs.

    Every replaced relation must be read inside a known subquery, as often as it was put there.

    Args:
        trees: the server's printed tree of the rewritten statement.
        replaced: relation -> how often its subquery was put into the text.
        relations: relations that may stand nowhere else.
        target: the one among them that is written, and may stand as what is written, once.

    Raises:
        RefusedStatementError: anything else.
    """
    text = normal(trees)
    found: Counter[int] = Counter()
    stood: dict[str, Node] = {}
    for query in sorted(known, key=lambda one: len(one.tree), reverse=True):
        pieces = text.split(query.tree)
        found[query.relation] += len(pieces) - 1
        stood[word := f"{_STOOD}{len(stood)}"] = query.columns
        text = f"{{{word}}}".join(pieces)
    left = ({int(number) for number in _RELATION.findall(text)} & relations) - {target}
    if (
        left
        or any(found[oid] != count for oid, count in replaced.items())
        or sum(found.values()) != sum(replaced.values())
    ):
        raise RefusedStatementError(
            "stand-in-check", "the rewritten statement reads masked columns outside the gate's own subqueries"
        )
    queries = read_unwrapped(text, stood)
    if target and not _is_only_written(queries, target):
        raise RefusedStatementError(
            "stand-in-check", "the rewritten statement reads a filtered table beside writing it"
        )
    return queries


def _is_only_written(queries: tuple[Node, ...], target: int) -> bool:
    """Whether a table stands in a tree as what its one statement writes, and nowhere else; `excluded` is a row that is not there yet."""
    if len(queries) != 1 or not queries[0].integer("resultRelation"):
        return False
    (query,) = queries
    table = query.nodes("rtable")
    conflict = query.node("onConflict")
    places = {query.integer("resultRelation"), conflict.integer("exclRelIndex") if conflict is not None else 0}
    named = [at for at, entry in enumerate(table, 1) if entry.has("relid") and entry.integer("relid") == target]
    return set(named) <= places and query.integer("resultRelation") in named and _entries(query, target) == len(named)


def _entries(node: Node, relation: int) -> int:
    """How often a relation stands in a range table, at whatever depth."""
    own = node.tag == "RANGETBLENTRY" and node.has("relid") and node.integer("relid") == relation
    return own + sum(_entries(child, relation) for child in child_nodes(node))
