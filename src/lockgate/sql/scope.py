"""Scopes: where a column reference of an analysed tree finds its range table, and what a finished query yields.

For: the chain of enclosing queries and what is being tested, written or substituted while their expressions are read.
Not for: reading anything (`expressions`, `queries`).
Source: PostgreSQL 14 to 18, primnodes.h (Var.varlevelsup).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lockgate.sql.facts import Val
from lockgate.sql.tree import Node, refusal, refuse

VALUE, QUALIFIER = 0, 1
"""Why an expression is read: for its value, or because it decides rows."""


@dataclass(slots=True, eq=False)
class Common:
    """One WITH query: read at its first reference; `columns` grows while a recursive one settles, `found` is one that is not."""

    node: Node
    owner: Scope
    columns: list[Val] | None = None
    found: Yield | None = None
    level: int = -1
    busy: bool = False
    met_itself: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of a function whose body is read: the values of its arguments, and what they are where it is called."""

    values: tuple[Val, ...]
    nodes: Mapping[int, Node]
    scope: Scope


@dataclass(slots=True, eq=False)
class Scope:
    """One query's names while it is read."""

    node: Node
    parent: Scope | None
    level: int
    rtable: tuple[Node, ...]
    targets: tuple[Node, ...]
    commons: dict[str, Common] = field(default_factory=dict)
    entries: dict[int, Yield] = field(default_factory=dict)
    scanned: set[int] = field(default_factory=set)
    busy: set[tuple[int, int]] = field(default_factory=set)
    arms: Yield | None = None
    tested: list[Val] = field(default_factory=list)
    sublinks: list[list[Val]] = field(default_factory=list)
    sublink_queries: list[Node] = field(default_factory=list)
    multi: dict[int, list[Val]] = field(default_factory=dict)
    writing: bool = False
    call: Call | None = None

    def within(self) -> Call | None:
        """The call whose body this query belongs to; None for the client's own statement."""
        found: Scope | None = self
        while found is not None:
            if found.call is not None:
                return found.call
            found = found.parent
        return None

    def up(self, levels: int) -> Scope:
        """The enclosing scope that a reference means."""
        found: Scope | None = self
        for _ in range(levels):
            found = found.parent if found is not None and found.call is None else None
        if found is None or levels < 0:
            refuse("tree-level", "a column of its tree refers to a query that is not there")
        return found

    def entry(self, number: int) -> Node:
        """A range table entry by its number from 1."""
        if not 1 <= number <= len(self.rtable):
            refuse("tree-range", "a column of its tree refers to a table that is not there")
        return self.rtable[number - 1]

    def target(self, reference: int) -> Node:
        """The select-list entry that a sort, group or window clause refers to."""
        for target in self.targets:
            if target.integer("ressortgroupref") == reference:
                return target
        raise refusal("tree-reference", "a clause of its tree refers to an expression that is not there")


@dataclass(slots=True, eq=False)
class Yield:
    """The columns of a FROM item or query, each read when it is asked for; `bare` says which are columns of tables as they stand there."""

    scope: Scope
    count: int
    read: Callable[[int], Val]
    bare: Callable[[int], bool] = lambda _number: False
    known: dict[int, Val] = field(default_factory=dict)

    def one(self, number: int) -> Val:
        """Column `number`, from 1."""
        if not 1 <= number <= self.count:
            refuse("tree-column", "a column of its tree is not there")
        if number not in self.known:
            self.known[number] = self.read(number)
        return self.known[number]

    def is_bare(self, number: int) -> bool:
        """Whether column `number` is a column of a table as it stands there."""
        return 1 <= number <= self.count and self.bare(number)

    def every(self) -> list[Val]:
        """All columns in order."""
        return [self.one(number) for number in range(1, self.count + 1)]
