"""The fixture and the cases that every driver runs, directly and through the gate.

Cases whose name begins with `masked` read masked columns: through the gate they must show no raw value and fail no more than directly.
All others must give the same answers, cell for cell, and the same SQLSTATEs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, dataclass

SETUP = """
CREATE TYPE pair AS (a int, b text);
CREATE TYPE heat AS ENUM ('cold', 'warm', 'hot');
CREATE TABLE people(id bigint PRIMARY KEY, full_name text NOT NULL, email text UNIQUE, ssn varchar(11), dob date, phone text,
  ip inet, api_key text, city text, height real, joined timestamptz);
INSERT INTO people SELECT g, 'Person Number ' || g, 'person' || g || '@raw-value.example', lpad(g::text, 3, '0') || '-22-' || lpad((g * 7)::text, 4, '0'),
  date '1960-01-01' + g * 100, '+44 20 7946 ' || lpad(g::text, 4, '0'), ('10.0.' || g || '.7')::inet, 'sk_raw_' || g, 'York', g / 7.0,
  timestamptz '2026-01-01' + g * interval '1 day' FROM generate_series(1, 50) g;
CREATE TABLE things(id int PRIMARY KEY, weight numeric, tags text[], made date, at timestamptz, flag boolean, doc jsonb, raw bytea, ratio float8,
  big bigint, name varchar(20), code uuid, span interval);
INSERT INTO things SELECT g, g / 3.0, ARRAY['a' || g, NULL, 'c"d'], date '2020-02-29' + g, timestamptz '2026-03-01 12:00+00' + g * interval '1 hour', g % 2 = 0,
  jsonb_build_object('k', g, 'n', NULL), decode(md5(g::text), 'hex'), g / 7.0, 9007199254740993 + g, 'thing ' || g, md5(g::text)::uuid, g * interval '90 minutes'
  FROM generate_series(1, 200) g;
CREATE TABLE scratch(id int PRIMARY KEY, name text);
CREATE TABLE orders(id int PRIMARY KEY, thing_id int REFERENCES things, quantity smallint DEFAULT 1, total numeric(10, 2));
INSERT INTO orders SELECT g, g, g % 5, g * 1.25 FROM generate_series(1, 40) g;
CREATE VIEW heavy AS SELECT id, weight FROM things WHERE weight > 50;
ANALYZE;
"""

UNLABELLED = (
    "things.tags", "things.doc", "things.raw", "things.name", "things.code", "scratch.name", "scratch.id", "orders.total",
)  # fmt: skip
"""Columns that are labelled as holding nothing, so that the tables beside `people` are clear to everyone."""


@dataclass(frozen=True)
class Case:
    """One statement; `{1}` stands for the first parameter."""

    name: str
    sql: str
    params: tuple[object, ...] = ()


CASES = (
    Case("all types", "SELECT * FROM things ORDER BY id LIMIT 60"),
    Case("common types", "SELECT id, weight, made, at, flag, ratio, big, name FROM things ORDER BY id LIMIT 60"),
    Case("integer parameter", "SELECT id, name, weight FROM things WHERE id = {1}::int", (7,)),
    Case("text parameter", "SELECT id, ratio FROM things WHERE name = {1}::text ORDER BY id", ("thing 9",)),
    Case("two parameters", "SELECT id FROM things WHERE id BETWEEN {1}::int AND {2}::int ORDER BY id", (3, 9)),
    Case("null parameter", "SELECT {1}::text IS NULL AS isnull, coalesce({1}::text, 'none') AS word", (None,)),
    Case("unicode", "SELECT {1}::text AS word, length({1}::text) AS letters", ("žluťoučký 馬 🐎 'q' \\",)),
    Case("aggregates", "SELECT flag, count(*) AS n, sum(weight) AS w, max(made) AS m FROM things GROUP BY flag ORDER BY flag"),
    Case("window", "SELECT id, row_number() OVER (ORDER BY id) AS n, lag(ratio) OVER (ORDER BY id) AS l FROM things ORDER BY id LIMIT 7"),
    Case("join", "SELECT t.name, o.total FROM things t JOIN orders o ON o.thing_id = t.id WHERE t.id < 20 ORDER BY t.id"),
    Case("common table expression", "WITH x AS (SELECT id, flag FROM things WHERE id < 9) SELECT id, flag FROM x ORDER BY id"),
    Case("view", "SELECT id, weight FROM heavy ORDER BY id"),
    Case("nothing", "SELECT id, name FROM things WHERE id = -1"),
    Case("wide", "SELECT g AS n, repeat('x', 200) AS filler FROM generate_series(1, 3000) g"),
    Case("show", "SHOW server_encoding"),
    Case("catalogue", "SELECT relname, relkind::text AS kind FROM pg_class WHERE relname IN ('people', 'things') ORDER BY 1"),
    Case("information schema", "SELECT column_name::text AS c, data_type::text AS t FROM information_schema.columns WHERE table_name = 'people' ORDER BY ordinal_position"),
    Case("open cursors", "SELECT 1 AS n FROM pg_catalog.pg_cursors WHERE name = {1}::text", ("none",)),
    Case("syntax error", "SELECT FROM WHERE"),
    Case("missing table", "SELECT * FROM nowhere"),
    Case("missing column", "SELECT nothing FROM things"),
    Case("division by zero", "SELECT 1 / (id - 3) AS x FROM things"),
    Case("bad value", "SELECT {1}::int AS x", ("no number",)),
    Case("after errors", "SELECT 1 AS one"),
    Case("masked all", "SELECT * FROM people ORDER BY id"),
    Case("masked text", "SELECT id, full_name, email, ssn, phone, api_key, city FROM people ORDER BY id"),
    Case("masked types", "SELECT id, dob, ip, height, joined FROM people ORDER BY id"),
    Case("masked parameter", "SELECT id, email FROM people WHERE id = {1}::int", (7,)),
    Case("masked join", "SELECT p.id, p.email, t.name FROM people p JOIN things t ON t.id = p.id ORDER BY p.id"),
    Case("masked subquery", "SELECT x.email, x.city FROM (SELECT email, city, id FROM people) x ORDER BY x.id"),
    Case("masked groups", "SELECT city, count(*) AS n FROM people GROUP BY city"),
    Case("masked set", "SELECT email FROM people WHERE id < 5 UNION ALL SELECT email FROM people WHERE id > 45"),
)  # fmt: skip
WRITES = (
    Case("insert", "INSERT INTO scratch VALUES ({1}::int, {2}::text)", (100, "one")),
    Case("insert again", "INSERT INTO scratch VALUES ({1}::int, {2}::text)", (100, "one")),
    Case("upsert", "INSERT INTO scratch VALUES ({1}::int, 'two') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id, name", (100,)),
    Case("update", "UPDATE scratch SET name = {2}::text WHERE id = {1}::int RETURNING id, name", (100, "three")),
    Case("delete", "DELETE FROM scratch WHERE id = {1}::int", (100,)),
)  # fmt: skip


def as_objects(cases: Iterable[Case]) -> list[dict[str, object]]:
    """The cases as an adapter is given them."""
    return [asdict(case) for case in cases]


def as_lines(cases: Iterable[Case]) -> str:
    """The cases as lines, for the adapter that has no JSON library."""
    text = []
    for case in cases:
        text += [case.name, case.sql]
        text += ["n:" if v is None else f"i:{v}" if isinstance(v, int) else f"s:{v}" for v in case.params]
        text.append("")
    return "\n".join(text)


def raw_values() -> tuple[str, ...]:
    """Every value of a masked column as some driver might print it."""
    found = ["raw-value", "sk_raw", "Person Number"]
    for g in range(1, 51):
        born = dt.date(1960, 1, 1) + dt.timedelta(days=g * 100)
        found += [f"{g:03d}-22-{g * 7:04d}", f"+44 20 7946 {g:04d}", f"10.0.{g}.7"]
        if (born.month, born.day) != (1, 1):
            found.append(born.isoformat())
    return tuple(found)
