"""What an analysis gathers while it reads a tree: uses, levels, reads, opaque parts.

For: one place that collects, without order mattering, so that reading a part twice changes nothing.
Not for: reading nodes (`expressions`, `queries`).
Source: masking.md 2.3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lockgate.model.catalog import Catalog, ColumnRef, Function
from lockgate.model.statement import Given, Level, Opaque, SortKey, Use, UseKind, WriteFact
from lockgate.sql.functions import EXTENSIONS, FIRST_USER_OID, is_builtin, is_extension_function, why_opaque

Columns = frozenset[ColumnRef]
NO_COLUMNS: Columns = frozenset()


@dataclass(frozen=True, slots=True)
class Val:
    """What a value is made of: its base columns, whether it is one of them unchanged, whether something else may stand there.

    `row_of` is the relation whose whole row it is, unchanged; such a value is not plain.

    Answers of equality, NULL tests and counts carry no columns: they tell nothing that a renaming of values would change.
    """

    sources: Columns = NO_COLUMNS
    plain: bool = True
    literal: bool = False
    row_of: int = 0


NULL = Val()
CONSTANT = Val(literal=True)
COMPUTED = Val(plain=False, literal=True)


def merge(values: Iterable[Val]) -> Val:
    """One of several values, unchanged (CASE, COALESCE, UNION)."""
    found = list(values)
    sources = frozenset[ColumnRef]().union(*(v.sources for v in found))
    plain = all(v.plain for v in found if v.sources or not sources)
    return Val(sources, plain, any(v.literal for v in found))


@dataclass(slots=True)
class Draft:
    """A `Level` while it is being gathered."""

    parent: int | None
    feeds: set[int] = field(default_factory=set)
    relations: set[int] = field(default_factory=set)
    deciding: set[ColumnRef] = field(default_factory=set)
    distinct_counts: set[ColumnRef] = field(default_factory=set)
    order_sensitive: dict[str, None] = field(default_factory=dict)
    single_row: bool = False
    sort: tuple[SortKey, ...] = ()
    grouped: tuple[Columns, ...] = ()
    is_grouped: bool = False
    distinct: bool = False
    total: bool = False
    matching: set[ColumnRef] = field(default_factory=set)
    fails: str = ""
    condition_fails: str = ""
    stops_early: bool = False
    put_together: dict[str, set[ColumnRef]] = field(default_factory=dict)

    def frozen(self) -> Level:
        """The finished level; inputs presorted for DISTINCT aggregates decide what others beside them see, and which fails first."""
        sorted_inputs = self.distinct_counts if self.order_sensitive or self.fails else set()
        return Level(
            parent=self.parent, feeds=tuple(sorted(self.feeds)), relations=frozenset(self.relations),
            deciding=frozenset(self.deciding | sorted_inputs), order_sensitive=tuple(self.order_sensitive),
            single_row=self.single_row, sort=self.sort, grouped=self.grouped, is_grouped=self.is_grouped,
            distinct=self.distinct, total=self.total, matching=frozenset(self.matching), fails=self.fails,
            condition_fails=self.condition_fails, stops_early=self.stops_early,
            put_together=tuple((what, frozenset(columns)) for what, columns in self.put_together.items()),
        )  # fmt: skip


class Facts:
    """Collects what a tree says."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.uses: dict[Use, None] = {}
        self.levels: list[Draft] = []
        self.reads: set[ColumnRef] = set()
        self.relations: dict[int, None] = {}
        self.scanned: dict[int, None] = {}
        self.locked: dict[int, None] = {}
        self.writes: dict[WriteFact, None] = {}
        self.opaque: dict[Opaque, None] = {}
        self.functions: dict[str, None] = {}
        self.executed: dict[str, None] = {}
        self.vouched: dict[str, None] = {}
        self.has_effects = False

    def use(
        self,
        kind: UseKind,
        columns: Columns,
        detail: str,
        level: int,
        *,
        literal: bool = False,
        target: ColumnRef | None = None,
        givens: frozenset[Given] | None = None,
        plain: bool = False,
    ) -> None:
        """Record a use; nothing when no column is involved."""
        if columns:
            self.uses[Use(kind, columns, detail, literal, level, target, givens, plain)] = None

    def hide(self, what: str, why: str) -> None:
        """Record a part that cannot be seen into; such a part may do anything."""
        self.opaque[Opaque(what, why)] = None
        self.has_effects = True

    def function(self, oid: int, *, is_read: bool = False) -> Function | None:
        """Record a call and judge the function; the catalog's row when there is one.

        Args:
            is_read: its body is judged in its place.
        """
        found = self.catalog.functions.get(oid)
        why = why_opaque(found)
        name = f"{found.schema}.{found.name}" if found is not None else f"function {oid}"
        self.functions[name] = None
        if found is not None and not is_builtin(found) and not is_extension_function(found):
            self.executed[name] = None
            if found.vouched:
                self.vouched[name] = None
        if found is None or found.volatility not in ("i", "s"):
            self.has_effects = True
        if why and not is_read and not (found is not None and is_builtin(found) and found.name in DEFERRED):
            self.hide(f"function {name.removeprefix('function ')}", why)
        return found

    def type_is_known(self, oid: int) -> bool:
        """True for a type whose conversions PostgreSQL itself or a known extension brings."""
        if oid < FIRST_USER_OID:
            return True
        known = self.catalog.types.get(oid)
        while (
            known is not None
            and known.oid >= FIRST_USER_OID
            and known.kind == "b"
            and known.category == "A"
            and known.base
        ):
            if known.base < FIRST_USER_OID:
                return True
            known = self.catalog.types.get(known.base)
        return known is not None and (known.kind != "b" or known.extension in EXTENSIONS)


DEFERRED = frozenset({"nextval", "currval", "lastval", "set_config"}) | frozenset(
    {
        "pg_relation_size",
        "pg_table_size",
        "pg_indexes_size",
        "pg_total_relation_size",
        "pg_database_size",
        "pg_tablespace_size",
    }
)
"""Built-ins that are judged by their place and arguments where they are called."""
