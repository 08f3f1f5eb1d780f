"""Whether known columns fix one row of every table in a FROM list.

For: following unique keys through equalities of joins and WHERE, so that `ORDER BY orders.id` is known to leave no ties when
each order has one person.
Not for: recognising an equality or a column (`clauses`).
Source: functional dependencies as PostgreSQL documentation uses them for GROUP BY (chapter 7.2.3), extended to joins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lockgate.sql.scope import Scope
from lockgate.sql.tree import Node, refusal

Place = tuple[int, int]
Equation = tuple[Place | None, Place | None]
_INNER, _LEFT, _FULL, _RIGHT = range(4)


@dataclass(frozen=True, slots=True)
class Rule:
    """A column that is known once another is; `whole` demands that the other's whole row is known (outer joins)."""

    known: Place | None
    gives: Place
    whole: bool = False


def leaves(node: Node) -> list[int]:
    """Numbers of the range table entries that a FROM list scans."""
    if node.tag == "RANGETBLREF":
        return [node.integer("rtindex")]
    if node.tag == "JOINEXPR":
        return leaves(node.need("larg")) + leaves(node.need("rarg"))
    if node.tag == "FROMEXPR":
        return [leaf for item in node.nodes("fromlist") for leaf in leaves(item)]
    raise refusal("unknown-node", f"node {node.tag} is not known in FROM")


def conjuncts(node: Node | None) -> list[Node]:
    """The parts of a condition that must all hold."""
    if node is None:
        return []
    if node.tag == "BOOLEXPR" and node.text("boolop") == "and":
        return [part for argument in node.nodes("args") for part in conjuncts(argument)]
    return [node]


def equations(node: Node, read: Callable[[Node, Scope], Equation | None], scope: Scope) -> list[Rule]:
    """What the equalities of a FROM list make known."""
    if node.tag == "RANGETBLREF":
        return []
    if node.tag == "FROMEXPR":
        found = [rule for item in node.nodes("fromlist") for rule in equations(item, read, scope)]
        return found + _rules(node.node("quals"), read, scope)
    kind = node.integer("jointype")
    left, right = node.need("larg"), node.need("rarg")
    found = equations(left, read, scope) + equations(right, read, scope)
    if kind == _INNER:
        return found + _rules(node.node("quals"), read, scope)
    if kind in (_LEFT, _RIGHT):
        optional = set(leaves(right if kind == _LEFT else left))
        for rule in _rules(node.node("quals"), read, scope):
            if rule.known is not None and rule.gives[0] in optional and rule.known[0] not in optional:
                found.append(Rule(rule.known, rule.gives, whole=True))
    return found


def _rules(quals: Node | None, read: Callable[[Node, Scope], Equation | None], scope: Scope) -> list[Rule]:
    found = []
    for part in conjuncts(quals):
        equation = read(part, scope)
        if equation is None:
            continue
        left, right = equation
        if left is not None:
            found.append(Rule(right, left))
        if right is not None:
            found.append(Rule(left, right))
    return found


def closure(unique: dict[int, tuple[frozenset[int], ...]], known: set[Place], rules: list[Rule]) -> bool:
    """Whether every table's row is fixed, given the columns known at the start."""
    fixed: set[int] = set()
    while True:
        before = len(known), len(fixed)
        for leaf, keys in unique.items():
            if any(all((leaf, column) in known for column in key) for key in keys):
                fixed.add(leaf)
        for rule in rules:
            if rule.known is None or rule.known[0] in fixed or (rule.known in known and not rule.whole):
                known.add(rule.gives)
        if (len(known), len(fixed)) == before:
            return len(fixed) == len(unique)
