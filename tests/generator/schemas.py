"""Random schemas with data: tables, labels, indexes, partitions, inheritance, views, functions, generated columns, triggers.

For: worlds (`corpus.twins.World`) that nobody has tuned anything for. Not for: queries (`queries`).
Labels are given to base tables only, and to parents only: views, copies, partitions, children and generated columns must follow by
themselves.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from corpus.twins import Masked, World
from generator.choices import Choices

ROWS = 36
_POOL = 60
_LETTERS = string.ascii_lowercase


@dataclass(frozen=True, slots=True)
class Sort:
    """A kind of sensitive value: its label, SQL types, how twins rename it, and whether its masks are one-to-one."""

    label: str
    types: tuple[str, ...]
    kind: str
    injective: bool = False


SORTS = (
    Sort("person.name", ("text", "varchar(60)", "d_name", "citext"), "name", injective=True),
    Sort("person.email", ("text", "varchar(80)", "d_mail", "citext"), "email", injective=True),
    Sort("person.national_id", ("text", "varchar(11)", "char(11)"), "text", injective=True),
    Sort("payment.card", ("text", "char(19)"), "card", injective=True),
    Sort("person.phone", ("text", "varchar(20)"), "phone", injective=True),
    Sort("network.address", ("inet", "text"), "inet", injective=True),
    Sort("person.birth_date", ("date", "timestamp", "timestamptz"), "date"),
    Sort("person.address", ("text",), "free"),
    Sort("text.free", ("text",), "free"),
    Sort("secret.credential", ("text", "varchar(40)"), "secret"),
    Sort("finance.salary", ("numeric(10,2)", "numeric", "integer"), "amount"),
    Sort("text.free", ("text[]",), "array"),
    Sort("unknown", ("text",), "free"),
    Sort("secret.credential", ("bytea",), "bytes"),
    Sort("none", ("jsonb", "json"), "json"),
)
_TEXTS: tuple[Callable[[Callable[[int], str], Callable[[int], str]], str], ...] = (
    lambda word, digits: f"{word(7)} {word(5)} {digits(3)}",
    lambda word, digits: f"{word(4)}: {word(9)}@{word(5)}.example, {digits(4)}-{digits(4)}",
    lambda word, _: word(2),
    lambda _, digits: f"+49 {digits(3)} {digits(7)}",
)
DOCUMENT = (("phone",), ("more", "alt"))
"""Paths in documents that are labelled, in columns that are not."""


@dataclass(frozen=True, slots=True)
class Col:
    """A column as queries see it: `family` is text, num, date, bool, array or inet; `sort` is empty when it is not masked."""

    name: str
    type: str
    family: str
    sort: str = ""
    injective: bool = False


@dataclass(frozen=True, slots=True)
class Rel:
    """A relation that queries may name; `writable` when it is a plain table, `decided` when a masked value decides which rows it has."""

    name: str
    columns: tuple[Col, ...]
    key: str = "id"
    writable: bool = False
    decided: bool = False


@dataclass
class Made:
    """A schema while it is being made, and what queries need of it."""

    script: list[str] = field(default_factory=list)
    tables: dict[str, str] = field(default_factory=dict)
    masked: list[Masked] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    relations: list[Rel] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    refresh: list[str] = field(default_factory=list)
    pools: dict[str, list[str]] = field(default_factory=dict)

    def world(self, name: str) -> World:
        """What the stage plays in."""
        return World(
            name=name,
            setup=";\n".join([*self.script, ""]),
            tables=self.tables,
            masked=tuple(self.masked),
            refresh=tuple(self.refresh),
            watched=self.watched(),
            policies={f"50-{name}.cedar": _POLICY.replace("NAME", name)},
            labels=self.labels,
            made=tuple(
                (r.name, c.name)
                for r in self.relations
                for c in r.columns
                if c.name == "made" and r.name in self.tables
            ),
        )

    def watched(self) -> str:
        """A query whose answer changes with any row."""
        return "SELECT " + ", ".join(
            f"(SELECT md5(string_agg(w::text, '' ORDER BY id)) FROM {t} w)" for t in self.tables
        )


_POLICY = """\
@id("bot-writes-in-NAME")
@reason("generated statements may write here")
permit (principal == Agent::"bot", action == Action::"write", resource in Schema::"public");
"""

_PLANNER = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET SETTING', current_database()); END $$"
_SETTINGS = ("enable_hashjoin = off", "enable_mergejoin = off", "enable_nestloop = off", "enable_hashagg = off", "enable_seqscan = off",
             "enable_sort = off", "enable_incremental_sort = off", "enable_bitmapscan = off", "enable_memoize = off", "enable_material = off",
             "enable_partitionwise_join = on", "enable_partitionwise_aggregate = on", "random_page_cost = 1", "from_collapse_limit = 1",
             "plan_cache_mode = force_generic_plan")  # fmt: skip
"""Plans that a small database would not choose, so that an order that only they show is found."""

PLAIN = (
    Col("id", "bigint", "num"),
    Col("n", "integer", "num"),
    Col("s", "text", "text"),
    Col("amount", "numeric(8,2)", "num"),
    Col("at", "timestamptz", "date"),
    Col("ok", "boolean", "bool"),
)


def make_schema(choices: Choices) -> Made:
    """One schema with its data."""
    made = Made()
    made.script += [
        "CREATE EXTENSION citext",
        "CREATE DOMAIN d_name AS text",
        "CREATE DOMAIN d_mail AS text CHECK (VALUE LIKE '%@%')",
        "CREATE TYPE mood AS ENUM ('low', 'mid', 'high')",
    ]
    bases = [_table(made, choices, f"t{i}") for i in range(1, 3 + choices.below(2))]
    _child(made, choices, bases[0])
    _views(made, choices, bases)
    _functions(made, choices, bases)
    made.script.append("ANALYZE")
    made.script += [
        _PLANNER.replace("SETTING", setting) for setting in choices.some(_SETTINGS, 3) if choices.chance(60)
    ]
    return made


def _table(made: Made, choices: Choices, name: str) -> Rel:
    columns = [*PLAIN]
    for number in range(2 + choices.below(3)):
        sort = choices.one_of(SORTS)
        columns.append(_masked(f"{'abcde'[number]}{name[1:]}", sort, choices.one_of(sort.types)))
    partition = choices.one_of(["", "", "LIST (n)", "RANGE (id)", "HASH (id)", "MASKED"])
    if partition == "MASKED":
        partition = f"HASH ({columns[len(PLAIN)].name})" if columns[len(PLAIN)].family == "text" else ""
    definition = ", ".join(f"{c.name} {c.type}" for c in columns)
    generated = [c for c in columns if c.sort and c.type == "text"][:1] if choices.chance(35) else []
    definition += "".join(f", made text GENERATED ALWAYS AS (upper({c.name})) STORED" for c in generated)
    if not partition:
        first = columns[len(PLAIN)]
        by_mask = f", PRIMARY KEY ({first.name})" if first.family in ("text", "date") else ", PRIMARY KEY (id, n)"
        definition += choices.one_of(
            [", PRIMARY KEY (id)"] * 8 + [by_mask, "", ", UNIQUE (id)", ", PRIMARY KEY (n, id)"]
        )
    made.script.append(f"CREATE TABLE {name} ({definition})" + (f" PARTITION BY {partition}" if partition else ""))
    made.script += _partitions(name, partition)
    for column in columns:
        if column.sort:
            kind = next(s.kind for s in SORTS if column.sort in (s.label, f"{s.label}/{s.kind}"))
            _label(made, name, column.name, column.sort, kind)
            made.masked.append(Masked(name, column.name, kind, column.sort, DOCUMENT if kind == "json" else ()))
    made.tables[name] = "id"
    made.script.append(_rows(made, choices, name, columns))
    _indexes(made, choices, name, columns, partitioned=bool(partition))
    filtered = _row_security(made, choices, name, columns)
    extra = tuple(Col("made", "text", "text", c.sort) for c in generated)
    rel = Rel(name, (*columns, *extra), writable=True, decided=filtered)
    made.relations.append(rel)
    if partition and choices.chance(40) and not _is_filtered(made, name):
        made.relations.append(Rel(f"{name}_1", rel.columns, decided="(id)" not in partition and "(n)" not in partition))
    return rel


def _is_filtered(made: Made, name: str) -> bool:
    return f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY" in made.script


def _row_security(made: Made, choices: Choices, name: str, columns: list[Col]) -> bool:
    """A filter of the database's own now and then, over unmasked columns for the most part; whether a masked one decides."""
    if not choices.chance(12):
        return False
    condition = choices.one_of(
        [
            "n < 3",
            "s <> 'cc'",
            "ok OR id > 3",
            "id IN (SELECT id FROM t1 WHERE n < 3)" if name != "t1" else "amount > 20",
            f"{columns[-1].name} IS NOT NULL",
        ]
    )
    made.script += [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY shown ON {name} USING ({condition})",
    ]
    first = next((r for r in made.relations if r.name == "t1"), None)
    return condition.endswith("NOT NULL") or ("t1" in condition and first is not None and first.decided)


def _label(made: Made, table: str, column: str, sort: str, kind: str) -> None:
    if kind == "json":
        for path in DOCUMENT:
            made.labels["->".join((f"public.{table}.{column}", *path))] = "person.phone"
    else:
        made.labels[f"public.{table}.{column}"] = sort.split("/", maxsplit=1)[0]


def _masked(name: str, sort: Sort, type_name: str) -> Col:
    families = {"date": "date", "amount": "num", "array": "array", "json": "json", "bytes": "bytes"}
    family = families.get(sort.kind, "inet" if type_name == "inet" else "text")
    own = sort.kind in ("array", "json", "bytes")
    return Col(name, type_name, family, f"{sort.label}/{sort.kind}" if own else sort.label, sort.injective)


def _partitions(name: str, how: str) -> list[str]:
    if how.startswith("HASH"):
        return [
            f"CREATE TABLE {name}_{i} PARTITION OF {name} FOR VALUES WITH (MODULUS 3, REMAINDER {i})" for i in range(3)
        ]
    if how.startswith("LIST"):
        return [
            f"CREATE TABLE {name}_0 PARTITION OF {name} FOR VALUES IN (0, 1, 2)",
            f"CREATE TABLE {name}_1 PARTITION OF {name} DEFAULT",
        ]
    if how.startswith("RANGE"):
        return [
            f"CREATE TABLE {name}_0 PARTITION OF {name} FOR VALUES FROM (MINVALUE) TO (14)",
            f"CREATE TABLE {name}_1 PARTITION OF {name} FOR VALUES FROM (14) TO (MAXVALUE)",
        ]
    return []


def _rows(made: Made, choices: Choices, name: str, columns: list[Col]) -> str:
    lines = []
    for row in range(1, ROWS + 1):
        values = [str(row), str(choices.below(4)), f"'{choices.one_of(['aa', 'bb', 'cc'])}'", f"{choices.below(500) / 4}",
                  f"'2026-01-01 00:00+00'::timestamptz + {choices.below(90)} * interval '1 day'",
                  choices.one_of(["true", "false"])]  # fmt: skip
        for column in columns[len(PLAIN) :]:
            pool = made.pools.setdefault(column.sort, _pool(choices, column.sort))
            value = pool[row] if column.name.startswith("a") else choices.one_of(pool[:25])
            values.append("NULL" if choices.chance(6) and not column.name.startswith("a") else f"'{value}'")
        lines.append(f"({', '.join(values)})")
    return f"INSERT INTO {name}({', '.join(c.name for c in columns)}) VALUES {', '.join(lines)}"


def _pool(choices: Choices, sort: str) -> list[str]:
    def word(size: int) -> str:
        return "".join(choices.one_of(_LETTERS) for _ in range(size))

    def digits(size: int) -> str:
        return "".join(choices.one_of(string.digits) for _ in range(size))

    found: dict[str, None] = {}
    while len(found) < _POOL:
        value = {
            "person.name": lambda: f"{word(6).title()} {word(8).title()}",
            "person.email": lambda: f"{word(7)}@{choices.one_of(['gmail.com', 'firm.example', 'haus.example'])}",
            "person.national_id": lambda: f"{digits(3)}-{digits(2)}-{digits(4)}",
            "payment.card": lambda: f"4{digits(3)} {digits(4)} {digits(4)} {digits(4)}",
            "person.phone": lambda: f"+49 {digits(3)} {digits(7)}",
            "network.address": lambda: f"10.{choices.below(200)}.{choices.below(200)}.{choices.below(200)}",
            "person.birth_date": lambda: (
                f"{1950 + choices.below(50)}-{1 + choices.below(12):02}-{1 + choices.below(28):02}"
            ),
            "finance.salary": lambda: f"{1 + choices.below(9)}{digits(4)}",
            "secret.credential/bytes": lambda: "\\x" + "".join(choices.one_of("0123456789abcdef") for _ in range(16)),
            "none/json": lambda: (
                f'{{"phone": "+49 {digits(3)} {digits(7)}", "n": {choices.below(9)}, "more": {{"alt": "{digits(9)}"}}, "tags": ["{word(4)}"]}}'
            ),
            "text.free/array": lambda: "{" + f"{word(7)},{word(7)}" + "}",
        }.get(sort, lambda: choices.one_of(_TEXTS)(word, digits))()
        found[value] = None
    return list(found)


def _indexes(made: Made, choices: Choices, name: str, columns: list[Col], *, partitioned: bool) -> None:
    masked = [c for c in columns if c.sort and c.family not in ("array", "json")]
    if not masked:
        return
    for number in range(choices.below(3)):
        column = choices.one_of(masked)
        textual = column.family == "text"
        made.script.append(
            choices.one_of(
                [
                    f"CREATE INDEX {name}_i{number} ON {name} ({column.name})",
                    f"CREATE INDEX {name}_i{number} ON {name} (n) INCLUDE ({column.name})",
                    f"CREATE INDEX {name}_i{number} ON {name} (n, {column.name})",
                    f"CREATE INDEX {name}_i{number} ON {name} ({column.name}, n)",
                    f"CREATE INDEX {name}_i{number} ON {name} USING hash ({column.name})",
                    f"CREATE INDEX {name}_i{number} ON {name} (lower({column.name}))"
                    if textual
                    else f"CREATE INDEX {name}_i{number} ON {name} ({column.name} DESC)",
                    f"CREATE INDEX {name}_i{number} ON {name} (n) WHERE {column.name} IS NOT NULL",
                    f"CREATE INDEX {name}_i{number} ON {name} (s, {column.name}) WHERE n < 3",
                ]
            )
        )
    if choices.chance(20):
        made.script.append(f"CREATE STATISTICS {name}_s ON n, {masked[0].name} FROM {name}")
    first = next((c for c in masked if c.name.startswith("a")), None)
    if first is not None and not partitioned and choices.chance(40):
        made.script.append(f"CREATE UNIQUE INDEX {name}_u ON {name} ({first.name})")


def _child(made: Made, choices: Choices, base: Rel) -> None:
    """An inheritance child with rows and without labels of its own."""
    partitioned = any(line.startswith(f"CREATE TABLE {base.name}_0") for line in made.script)
    if partitioned or not choices.chance(40):
        return
    name = f"{base.name}_kid"
    plain = [c for c in base.columns if c.name != "made"]
    made.script.append(f"CREATE TABLE {name} (extra integer) INHERITS ({base.name})")
    made.script.append(_rows(made, choices, name, plain))
    made.tables[name] = "id"
    made.masked += [replace(m, table=name) for m in made.masked if m.table == base.name]
    made.relations.append(Rel(name, base.columns))


def _views(made: Made, choices: Choices, bases: list[Rel]) -> None:
    for number in range(2 + choices.below(3)):
        base = choices.one_of(bases)
        masked = [c for c in base.columns if c.sort]
        name, letter = f"v{number}", "x"
        if number and choices.chance(20):
            name, letter = f'"V {number}"', "X é"
        renamed = tuple(
            Col(f'"{letter}{i}"' if letter != "x" else f"x{i}", c.type, c.family, c.sort, c.injective) if c.sort else c
            for i, c in enumerate(base.columns)
        )
        listed = ", ".join(
            f"{c.name} AS {r.name}" if c.sort else c.name for c, r in zip(base.columns, renamed, strict=True)
        )
        barrier = choices.one_of(["", "", "", "", " WITH (security_barrier)", " WITH (security_invoker)"])
        kind = choices.below(8)
        if any(_is_filtered(made, b.name) for b in bases):
            # Masks are learned through the tables: what those do not show must not be shown elsewhere.
            barrier, kind = " WITH (security_invoker)", 0 if kind == 2 else kind
        if kind == 0 or not masked:
            made.script.append(f"CREATE VIEW {name}{barrier} AS SELECT {listed} FROM {base.name}")
        elif kind == 1:
            made.script.append(f"CREATE VIEW {name}{barrier} AS SELECT {listed} FROM {base.name} WHERE n < 3")
        elif kind == 2:
            order = choices.one_of(
                ["", f" ORDER BY {masked[0].name}::text", f" ORDER BY n, {masked[-1].name}::text DESC"]
            )
            made.script.append(f"CREATE MATERIALIZED VIEW {name} AS SELECT {listed} FROM {base.name}{order}")
            made.refresh.append(name)
        elif kind in (3, 4, 5):
            made.script.append(f"CREATE VIEW {name}{barrier} AS {_composed(kind, listed, base, choices)}")
        elif kind == 6:
            stored = not barrier and choices.chance(40)
            renamed = _grouping(made, name, barrier, base, renamed, "MATERIALIZED VIEW" if stored else "VIEW")
            if stored:
                made.refresh.append(name)
        else:
            other = choices.one_of(bases)
            made.script.append(
                f"CREATE VIEW {name}{barrier} AS SELECT {', '.join(f'l.{c.name} AS {r.name}' for c, r in zip(base.columns, renamed, strict=True))}"
                f" FROM {base.name} l JOIN {other.name} r ON r.id = l.id"
            )
        filtered = base.decided or (kind == 7 and any(b.decided for b in bases))
        merged = kind == 6 and not all(c.injective for c in renamed[len(PLAIN) : len(PLAIN) + 1])
        made.relations.append(Rel(name, renamed, decided=filtered or merged))


def _composed(kind: int, listed: str, base: Rel, choices: Choices) -> str:
    """A view's query with rows of one table, chosen or put together in a way that a plain one does not have."""
    if kind == 3:
        return f"SELECT {listed} FROM {base.name} WHERE n < 2 UNION ALL SELECT {listed} FROM {base.name} WHERE n >= 2"
    if kind == 4:
        return f"SELECT DISTINCT ON (n, s) {listed} FROM {base.name} ORDER BY n, s, {choices.one_of(['id', 'at DESC', 'amount'])}"
    return f"WITH kept AS (SELECT * FROM {base.name} WHERE id < 30) SELECT {listed} FROM kept" + choices.one_of(
        ["", " ORDER BY id LIMIT 20", " WHERE EXISTS (SELECT 1 FROM kept k WHERE k.n = kept.n + 1)"]
    )


def _grouping(made: Made, name: str, barrier: str, base: Rel, renamed: tuple[Col, ...], kind: str) -> tuple[Col, ...]:
    """A view that groups by a masked column, and one of its columns is computed from it."""
    pairs = [(c, r) for c, r in zip(base.columns, renamed, strict=True) if c.sort and c.family == "text"]
    if not pairs:
        made.script.append(f"CREATE {kind} {name} AS SELECT id, n, s, amount, at, ok FROM {base.name}")
        return PLAIN
    column, shown = pairs[0]
    made.script.append(
        f"CREATE {kind} {name}{barrier} AS SELECT min(id) AS id, n, min(s) AS s, sum(amount) AS amount, max(at) AS at, bool_or(ok) AS ok,"
        f" {column.name} AS {shown.name}, upper({column.name}::text) AS raised FROM {base.name} GROUP BY n, {column.name}"
    )
    return (*PLAIN, shown, Col("raised", "text", "text", "text.free"))


def _functions(made: Made, choices: Choices, bases: list[Rel]) -> None:
    base = choices.one_of(bases)
    masked = next((c for c in base.columns if c.sort), None)
    if masked is None:
        return
    inside = f"SELECT {masked.name}::text FROM {base.name} t WHERE t.id = p"
    body = f"SELECT {masked.name}::text FROM {base.name} WHERE id = $1"
    made.script += [
        f"CREATE FUNCTION f_sql(bigint) RETURNS text LANGUAGE sql STABLE AS '{body}'",
        f"CREATE FUNCTION f_atomic(p bigint) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC {body.replace('$1', 'p')}; END",
        f"CREATE FUNCTION f_rows() RETURNS SETOF {base.name} LANGUAGE sql STABLE AS 'SELECT * FROM {base.name}'",
        f"CREATE FUNCTION f_code(p bigint) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN ({inside}); END $$",
        f"CREATE FUNCTION f_find(p text) RETURNS TABLE(o bigint, v text) LANGUAGE sql STABLE AS 'SELECT id, {masked.name}::text FROM {base.name} WHERE s = p'",
        "CREATE FUNCTION f_pure(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)'",
    ]
    made.functions += ["f_sql({n})", "f_atomic({n})", "f_code({n})", "f_pure({t})"]
