"""How far a write reaches: which columns of its target a condition compares with constants and parameters.

For: telling writes that name their rows, by a unique key or at least by some value, from those that do not.
Not for: what that means (`policy`), or how many rows there are.
Source: architecture section 5 (bounded): equality or IN on all columns of a unique key; constants and `column = column` do not bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockgate.sql.functions import EQUAL_OPERATORS, FIRST_USER_OID
from lockgate.sql.keys import Place, conjuncts
from lockgate.sql.tree import Node


@dataclass(frozen=True, slots=True)
class Named:
    """What a condition gives: columns that equal a given value or one of several, those that equal one, and tables of which it compares some column."""

    equal: frozenset[Place] = frozenset()
    tables: frozenset[int] = frozenset()
    single: frozenset[Place] = frozenset()


def named(quals: Node | None) -> Named:
    """What must hold of every row that a condition lets through; of alternatives, what all of them give.

    A column that equals another one that is given is given as well, whichever table it is of.
    """
    equal: set[Place] = set()
    single: set[Place] = set()
    tables: set[int] = set()
    pairs: list[tuple[Place, Place]] = []
    for part in conjuncts(quals):
        if part.tag == "BOOLEXPR" and part.text("boolop") == "or":
            arms = [named(arm) for arm in part.nodes("args")]
            equal |= frozenset.intersection(*(arm.equal for arm in arms))
            tables |= frozenset.intersection(*(arm.tables for arm in arms))
        elif part.tag in ("OPEXPR", "SCALARARRAYOPEXPR") and len(part.items("args")) == 2:
            left, right = part.nodes("args")
            places = _place(left), _place(right)
            place = places[0] if is_given(right) else places[1] if is_given(left) else None
            if place is not None:
                tables.add(place[0])
                equal |= {place} if _is_equality(part) else set()
                single |= {place} if part.tag == "OPEXPR" and _is_equality(part) else set()
            elif places[0] is not None and places[1] is not None and part.tag == "OPEXPR" and _is_equality(part):
                pairs += [(places[0], places[1]), (places[1], places[0])]
    known = -1
    while len(equal) > known:
        known = len(equal)
        equal |= {to for of, to in pairs if of in equal}
    return Named(frozenset(equal), frozenset(tables | {place[0] for place in equal}), frozenset(single))


def _is_equality(part: Node) -> bool:
    if part.integer("opno") not in EQUAL_OPERATORS or part.integer("inputcollid") >= FIRST_USER_OID:
        return False
    return part.tag == "OPEXPR" or part.flag("useOr")


def _place(node: Node) -> Place | None:
    """The column of this very query that an expression is."""
    while node.tag == "RELABELTYPE":
        node = node.need("arg")
    if node.tag != "VAR" or node.integer("varlevelsup") or node.integer("varattno") <= 0:
        return None
    return node.integer("varno"), node.integer("varattno")


def is_given(node: Node) -> bool:
    """A constant or parameter, cast or in an ARRAY at most."""
    while True:
        if node.tag in ("RELABELTYPE", "COERCEVIAIO", "COLLATEEXPR", "ARRAYCOERCEEXPR"):
            node = node.need("arg")
        elif node.tag == "FUNCEXPR" and node.integer("funcformat") in (1, 2) and node.items("args"):
            first, *rest = node.nodes("args")
            if any(part.tag != "CONST" for part in rest):
                return False
            node = first
        else:
            break
    if node.tag == "ARRAYEXPR":
        return all(is_given(part) for part in node.nodes("elements"))
    if node.tag == "CONST":
        return not node.flag("constisnull")
    return node.tag == "PARAM" and node.integer("paramkind") == 0
