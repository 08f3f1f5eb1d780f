"""Two texts that share a key because their constants were lifted have the same analysis, by a real server's trees."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lockgate.errors import RefusedStatementError
from lockgate.model.statement import Analysis
from lockgate.sql.lifting import Places, inert, lift, matched, moved
from lockgate.sql.parse import split_and_parse
from lockgate.testing.engines import EmbeddedPostgres
from sql.live import SETTINGS, analysed, plan_of, read_catalog, see
from support.servers import create_database, drop_database

SCHEMA = """
CREATE TABLE people(id int PRIMARY KEY, big bigint, small smallint, email text, city varchar(40), paid numeric, born date, doc jsonb, tags text[]);
CREATE TABLE orders(id int PRIMARY KEY, person int, state text, total int);
CREATE VIEW open_orders AS SELECT * FROM orders WHERE state = 'open' AND total > 10;
"""
EXAMPLES = 200
DECIMALS = st.sampled_from(["0.0", "1.5", "00.10", "123456789012345678901234567890.5"])
MOMENTS = st.sampled_from(["'2024-02-28'", "'1000-01-01 23:59'", "'2999-12-28 00:00:59'"])
INTEGERS = st.sampled_from(["4", "5", "6", "0", "1", "2", "3", "17", "03", "2147483647", "2147483648", "99999999999"])
STRINGS = st.sampled_from(["'a'", "'York'", "'x''y'", "'2020-01-01'", "'1'", "'open'", "''"])
PLACES = [
    "SELECT city FROM people WHERE id = {i}", "SELECT city FROM people WHERE big = {i} AND small = {i}", "SELECT city FROM people WHERE {i} = id",
    "SELECT city FROM people WHERE id IN ({i}, {i})", "SELECT id FROM people WHERE city = {s}", "SELECT id FROM people WHERE email = {s}",
    "SELECT id FROM people WHERE city IN ({s}, {s}) AND id <> {i}", "SELECT city FROM people ORDER BY {i}", "SELECT city, count(*) FROM people GROUP BY {i}",
    "SELECT city FROM people WHERE id = {i} LIMIT {i}", "SELECT city FROM people LIMIT {i} OFFSET {i}", "SELECT city FROM people WHERE paid = {i}",
    "SELECT city FROM people WHERE born = {s}", "SELECT doc ->> {s} FROM people WHERE id = {i}", "SELECT doc -> {i} FROM people", "SELECT {i}, {s} FROM people",
    "SELECT city FROM people WHERE id = {i} + {i}", "SELECT substr(city, {i}) FROM people WHERE id = {i}", "SELECT city FROM people WHERE abs(id) = {i}",
    "SELECT CASE id WHEN {i} THEN city ELSE {s} END FROM people", "SELECT city FROM people WHERE id = {s}::int", "SELECT city FROM people WHERE {s}::text = city",
    "SELECT p.city FROM people p JOIN orders o ON o.person = p.id AND o.state = {s} WHERE o.total = {i}", "SELECT * FROM open_orders WHERE id = {i}",
    "SELECT city FROM people WHERE id = (SELECT person FROM orders WHERE id = {i})", "SELECT city FROM people WHERE id = {i} UNION SELECT {s}",
    "SELECT city FROM people WHERE id > {i} AND id = {i}", "SELECT city FROM people WHERE tags[{i}] = {s}", "SELECT {s} = city FROM people WHERE id = -{i}",
    "SELECT set_config({s}, {s}, false)", "SELECT city FROM (VALUES ({i}, {s})) v(id, city) WHERE id = {i}", "SELECT city FROM people WHERE (id, city) = ({i}, {s})",
    "SELECT id FROM people WHERE city = {s} OR city LIKE {s}", "SELECT interval {s} FROM people", "SELECT id FROM orders WHERE state = {s} FOR UPDATE",
    "SELECT id + {i} FROM people", "SELECT id % {i}, {i} FROM people WHERE id > {i} AND id < {i}", "SELECT id FROM people WHERE city LIKE {s}",
    "SELECT id + {i}, count(*) FROM people GROUP BY id + {i}", "SELECT id, id + {i} FROM people GROUP BY id, id + {i}", "SELECT id FROM people ORDER BY id + {i}",
    "SELECT id, id + {i} FROM people ORDER BY id + {i}", "SELECT DISTINCT id + {i}, {i} FROM people ORDER BY id + {i}", "SELECT DISTINCT ON (id + {i}) id + {i} FROM people",
    "SELECT count(*) FROM people HAVING count(*) > {i}", "SELECT id, count(*) FROM people GROUP BY id HAVING id + {i} > {i}", "SELECT sum(id + {i}) + {i} FROM people",
    "SELECT id + {i}, row_number() OVER (PARTITION BY id + {i} ORDER BY id + {i}) FROM people", "SELECT sum(id) OVER (ORDER BY id ROWS {i} PRECEDING) FROM people",
    "SELECT sum(id) OVER (ORDER BY id + {i}), sum(big) OVER (ORDER BY id + {i}) FROM people", "SELECT count(DISTINCT id + {i}), string_agg(city, {s} ORDER BY id + {i}) FROM people",
    "SELECT paid * {d} FROM people WHERE paid > {d}", "SELECT {d} FROM people", "SELECT id FROM people WHERE id = {d}", "SELECT id FROM people WHERE big BETWEEN {i} AND {i}",
    "SELECT city || {s} FROM people", "SELECT id FROM people WHERE born > {s} AND born < {s}::date", "SELECT {s}::timestamptz, {s}::numeric FROM people", "SELECT repeat({s}, {i}) FROM people",
    "SELECT round(paid, {i}) FROM people", "SELECT to_char(born, {s}) FROM people", "SELECT email || {s} FROM people", "SELECT id FROM people WHERE email > {s}",
    "SELECT id + {i} FROM people LIMIT {i}", "SELECT id FROM people OFFSET {i}", "SELECT id FROM people FETCH FIRST {i} ROWS ONLY", "SELECT {s}::regclass", "SELECT {s}::regtype, {i} FROM people",
    "SELECT has_table_privilege({s}, 'select')", "SELECT city FROM people WHERE id IN (SELECT person + {i} FROM orders WHERE total > {i} GROUP BY person)", "SELECT {i} UNION SELECT id FROM people",
    "SELECT {i}, city FROM people UNION SELECT {i}, {s} ORDER BY {i}", "SELECT city::varchar({i}) FROM people", "SELECT paid::numeric({i}, {i}) FROM people", "SELECT * FROM generate_series({i}, {i}) g",
    "SELECT x + {i} FROM (SELECT id + {i} AS x FROM people) s WHERE x > {i}", "WITH s AS (SELECT id + {i} AS x FROM people) SELECT x, x + {i} FROM s", "SELECT coalesce(city, {s}) FROM people",
    "SELECT id FROM people WHERE tags = ARRAY[{s}, {s}]", "SELECT id FROM people WHERE tags && {s}", "SELECT id FROM people TABLESAMPLE bernoulli ({i})", "SELECT doc @> {s} FROM people",
    "SELECT jsonb_path_query(doc, {s}) FROM people", "SELECT to_tsvector({s}, city) FROM people", "SELECT extract(year FROM born) + {i} FROM people", "SELECT {s}::bit({i})",
    "SELECT nullif(city, {s}), greatest(id, {i}) FROM people", "SELECT -{i}, - {i} FROM people", "SELECT CASE WHEN id > {i} THEN {i} ELSE {i} END FROM people", "SELECT interval {s} + born FROM people",
    "SELECT grouping(id + {i}) FROM people GROUP BY GROUPING SETS ((id + {i}), ())", "SELECT (SELECT {i}), EXISTS (SELECT {i}) FROM people", "SELECT date_trunc({s}, born) FROM people",
    "SELECT id FROM people WHERE born > {m} AND born < {m}", "SELECT {m}::timestamptz, {m}::timestamp, date {m} FROM people WHERE city > {m}",
    "INSERT INTO people(id, born, city) VALUES ({i}, {m}, {m})", "UPDATE people SET born = {m} WHERE born = {m} AND id = {i}", "SELECT email FROM people WHERE born > {m}",
    "INSERT INTO orders VALUES ({i}, {i}, {s}, {i})", "INSERT INTO orders(id, state) VALUES ({i}, {s}), ({i}, {s})", "INSERT INTO people(id, paid, born) VALUES ({i}, {d}, {s})",
    "INSERT INTO orders VALUES ({i}, {i}) ON CONFLICT (id) DO UPDATE SET total = {i} WHERE orders.person > {i}", "INSERT INTO orders VALUES ({i}) RETURNING id + {i}",
    "INSERT INTO orders SELECT id + {i} FROM people WHERE id > {i}", "UPDATE orders SET total = total + {i}, state = {s} WHERE id = {i}", "UPDATE people SET email = {s} WHERE id = {i}",
    "UPDATE orders SET total = {i} WHERE person IN ({i}, {i}) AND state = {s}", "DELETE FROM orders WHERE id = {i} AND state > {s}", "DELETE FROM people WHERE email = {s} AND id = {i}",
    "SELECT id + {i}, id FROM people ORDER BY id + {i}, id + {i}", "SELECT DISTINCT id + {i}, big * {i} FROM people ORDER BY id + {i}", "SELECT id = {i} FROM people ORDER BY id = {i}",
    "SELECT id = {i} FROM people GROUP BY id = {i}", "SELECT city = {s}, id + {i} FROM people ORDER BY city = {s}, id + {i}", "SELECT {i}, id + {i} FROM people ORDER BY {i}, id + {i}",
    "SELECT id + {i} FROM people GROUP BY id + {i}, {i} ORDER BY id + {i} LIMIT {i}", "SELECT id + {i} FROM people ORDER BY id + '{i}'", "SELECT id + {i} FROM people ORDER BY id + -{i}",
    "SELECT id + {i}, email FROM people ORDER BY id + {i}", "SELECT DISTINCT email, id + {i} FROM people ORDER BY email, id + {i}", "SELECT count(*) FROM people GROUP BY id % {i} ORDER BY id % {i}",
    "SELECT make_interval({i}) FROM people ORDER BY make_interval({i}, {i})", "SELECT abs(id + {i}) FROM people ORDER BY abs(id + {i})", "SELECT (id + {i})::bigint FROM people ORDER BY (id + {i})::bigint",
    "SELECT DISTINCT ON (id + {i}) id FROM people ORDER BY id + {i}, id + {i}", "SELECT id FROM people ORDER BY (SELECT total + {i} FROM orders o WHERE o.id = {i})", "SELECT big + {i} FROM people GROUP BY big + {i} HAVING big + {i} > {i}",
    "SELECT count(*) OVER (PARTITION BY id + {i} ORDER BY big * {i}), sum(id) OVER (PARTITION BY id + {i} ORDER BY big * {i}) FROM people ORDER BY id + {i}", "SELECT id / {i} FROM people WHERE id > {i} ORDER BY id / {i}",
    "SELECT CASE WHEN id > {i} THEN big + {i} END FROM people ORDER BY CASE WHEN id > {i} THEN big + {i} END", "SELECT x + {i} FROM (SELECT id + {i} AS x, big + {i} AS y FROM people ORDER BY id + {i}) s ORDER BY x + {i}",
    "SELECT tags[{i}] FROM people ORDER BY tags[{i}]", "SELECT id FROM people ORDER BY id IN ({i}, {i}), id BETWEEN {i} AND {i}", "SELECT id FROM people ORDER BY ROW(id, {i}) > ROW({i}, id)", "SELECT id + 3 FROM people ORDER BY id + {i}",
    "SELECT sum(id + {i}) FROM people GROUP BY big + {i} ORDER BY sum(id + {i})", "SELECT id + {i} AS a FROM people UNION SELECT id + {i} FROM people ORDER BY {i}", "SELECT id FROM people ORDER BY id + {i} OFFSET {i}",
    "UPDATE orders SET total = p.id FROM people p WHERE p.city = {s} AND person = {i}", "DELETE FROM orders WHERE {i} = {i}", "UPDATE orders SET total = {i} WHERE id = {i} RETURNING total + {i}",
]  # fmt: skip


@st.composite
def statements(draw: st.DrawFn) -> list[str]:
    """One statement, twice or more with other constants."""
    shape = draw(st.sampled_from(PLACES))
    found = []
    for _ in range(2):
        text, position = shape, 0
        while (position := text.find("{", position)) >= 0:
            value = draw({"i": INTEGERS, "d": DECIMALS, "m": MOMENTS}.get(text[position + 1], STRINGS))
            text = text[:position] + value + text[position + 3 :]
            position += len(value)
        found.append(text)
    return found


def plain(analysis: Analysis) -> Analysis:
    """Without the places of constants, which move with their lengths."""
    return replace(
        analysis,
        compared=(),
        unread=(),
        matched=(),
        fixed=(),
        uses=tuple(replace(use, givens=None) for use in analysis.uses),
    )


@pytest.mark.parametrize(("masked", "any_type"), [(False, True), (True, False)])
def test_texts_that_share_a_key_have_the_same_analysis(pg15: EmbeddedPostgres, masked: bool, any_type: bool) -> None:
    dsn = create_database(pg15, "lifting", SCHEMA)
    shared = by_equality = 0
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for setting in SETTINGS:
                connection.execute(setting.encode())
            catalog = read_catalog(connection, {("people", "email"): "person.email"} if masked else {})

            def look(text: str) -> tuple[object, Analysis] | None:
                try:
                    seen = see(connection, text)
                    return plan_of(text, seen, catalog), analysed(text, seen, catalog)
                except (LookupError, RefusedStatementError):
                    return None

            @settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
            @given(statements())
            @example(["SELECT id + 5 FROM people ORDER BY id + 6", "SELECT id + 17 FROM people ORDER BY id + 3"])
            @example(["SELECT id + 5 FROM people ORDER BY id + 5", "SELECT id + 6 FROM people ORDER BY id + 5"])
            @example(["SELECT id + 1 FROM people ORDER BY id + '1'", "SELECT id + 2 FROM people ORDER BY id + '1'"])
            @example(["SELECT id = 5 FROM people ORDER BY id = 5", "SELECT id = 6 FROM people ORDER BY id = 5"])
            def check(texts: list[str]) -> None:
                nonlocal shared, by_equality
                for first, second in pairwise(texts):
                    one, other = look(first), look(second)
                    lifted, more = lift(first.encode()), lift(second.encode())
                    if one is None or lifted is None or more is None or lifted.skeleton != more.skeleton:
                        continue
                    at = split_and_parse(first)[0].at
                    known = Places(inert(lifted, one[1], at, of_any_type=any_type), matched(lifted, one[1], at))
                    places = lifted.choose(known)
                    if not places or more.without(more.choose(known)) != lifted.without(places):
                        continue
                    shared += 1
                    by_equality += bool(places & known.matched)
                    assert other is not None or any_type
                    if other is None:  # only the value itself may be what the server does not read
                        with pytest.raises(psycopg.DataError):
                            connection.execute(second.encode())
                        continue
                    assert plain(other[1]) == plain(one[1])
                    assert moved(one[1], lifted, more, places) == other[1]
                    if not getattr(one[0], "lookups", ()):
                        assert other[0] == one[0]

            check()
    finally:
        drop_database(pg15, "lifting")
    assert shared > 40
    assert by_equality > 0
