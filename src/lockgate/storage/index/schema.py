"""Tables of the index, the same text for the embedded engine and for a server.

For: what is stored of an entry, by column, and how long.
Not for: questions (`questions`), nor how rows get here (`columns`, `indexer`).
Source: evidence.md 2.2; ClickHouse documentation, MergeTree and LowCardinality.

`entries` has one row per entry. A row of an `outcome` repeats who, where and what of its intent, so that no question needs a join
of two large tables. Texts that repeat are in dictionaries: a statement's shape with its tables, and a set of columns with their
labels and dispositions. Their ids are hashes of their content: the same on every machine, after every rebuild. `treatment` is the id
of the pairs (label, disposition) in a set of columns: of those there are few, and rows are counted by them without a join.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 3
"""Of the tables below, kept as comment of `entries`; an index of another version is built anew."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name and its type in ClickHouse's words."""

    name: str
    type: str


CODED = "LowCardinality(String)"
ENTRY = (
    Column("log", CODED),
    Column("index", "UInt64"),
    Column("time", "DateTime64(6, 'UTC')"),
    Column("kind", CODED),
    Column("event", CODED),
    Column("session", "String"),
    Column("principal", CODED),
    Column("principal_kind", CODED),
    Column("on_behalf_of", CODED),
    Column("binding", CODED),
    Column("run", CODED),
    Column("purpose", CODED),
    Column("token", "String"),
    Column("client", CODED),
    Column("database", CODED),
    Column("environment", CODED),
    Column("statement", CODED),
    Column("decision", CODED),
    Column("rules", "Array(LowCardinality(String))"),
    Column("rule", CODED),
    Column("policy", CODED),
    Column("shape", "UInt64"),
    Column("columns", "UInt64"),
    Column("treatment", "UInt64"),
    Column("intent", "UInt64"),
    Column("status", CODED),
    Column("sqlstate", CODED),
    Column("rows", "UInt64"),
    Column("affected", "UInt64"),
    Column("bytes", "UInt64"),
    Column("duration_us", "UInt64"),
    Column("request", "String"),
    Column("approver", CODED),
    Column("persons", "Array(String)"),
)
SHAPE = (Column("id", "UInt64"), Column("statement", CODED), Column("sql", "String"), Column("tables", "Array(String)"))
USED = (
    Column("id", "UInt64"),
    Column("names", "Array(String)"),
    Column("labels", "Array(String)"),
    Column("dispositions", "Array(String)"),
    Column("treatment", "UInt64"),
)
POSITION = (Column("log", "String"), Column("size", "UInt64"))

_SKIPPING = (
    "INDEX by_index `index` TYPE minmax",
    "INDEX by_intent intent TYPE minmax",
    "INDEX by_principal principal TYPE set(0)",
    "INDEX by_run run TYPE bloom_filter",
    "INDEX by_shape shape TYPE bloom_filter",
    "INDEX by_columns columns TYPE set(0)",
    "INDEX by_person persons TYPE bloom_filter",
    "INDEX by_kind kind TYPE set(0)",
)


def _table(name: str, columns: tuple[Column, ...], engine: str, *more: str) -> str:
    declared = ", ".join([*(f"`{c.name}` {c.type}" for c in columns), *more])
    return f"CREATE TABLE IF NOT EXISTS {name} ({declared}) ENGINE = {engine}"


def _ttl(days: int) -> str:
    return f"TTL toDateTime(`time`) + INTERVAL {days:d} DAY DELETE"


KNOWN = (
    "SELECT engine_full AS declared, comment FROM system.tables WHERE database = currentDatabase() AND name = 'entries'"
)
"""What there is already; `is_current` and `keeps` read it."""


def is_current(comment: str) -> bool:
    """Whether tables are of this version."""
    return comment == f"version {VERSION}"


def keeps(declared: str, days: int) -> bool:
    """Whether entries are kept for so long already; saying it again would rewrite all of them."""
    return f"toIntervalDay({days:d})" in declared


def keep(days: int) -> str:
    """The statement that keeps entries for so long from now on."""
    return f"ALTER TABLE entries MODIFY {_ttl(days)}"


def tables(days: int) -> list[str]:
    """The statements that make every table.

    Args:
        days: how long an entry can be found by the index; the log keeps it as long as its own retention says.
    """
    kept = _ttl(days)
    return [
        _table("entries", ENTRY, f"MergeTree PARTITION BY toYYYYMM(`time`) ORDER BY (`time`, log, `index`) {kept} "
               f"SETTINGS non_replicated_deduplication_window = 1000 COMMENT 'version {VERSION}'", *_SKIPPING),
        _table("tail", ENTRY, "Memory"),
        _table("shapes", SHAPE, "ReplacingMergeTree ORDER BY id"),
        _table("used_columns", USED, "ReplacingMergeTree ORDER BY id"),
        _table("positions", POSITION, "ReplacingMergeTree(size) ORDER BY log"),
        "CREATE OR REPLACE VIEW everything AS SELECT * FROM entries UNION ALL SELECT * FROM tail",
    ]  # fmt: skip


NAMES = ("entries", "tail", "shapes", "used_columns", "positions")
