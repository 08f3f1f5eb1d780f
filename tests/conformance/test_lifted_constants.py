"""Two texts that share a key because their constants were lifted have the same analysis, by a real server's trees."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockgate.errors import RefusedStatementError
from lockgate.model.statement import Analysis
from lockgate.sql.lifting import inert, lift
from lockgate.sql.parse import split_and_parse
from lockgate.testing.engines import EmbeddedPostgres
from sql.live import SETTINGS, analysed, plan_of, read_catalog, see
from support.servers import create_database, drop_database

SCHEMA = """
CREATE TABLE people(id int PRIMARY KEY, big bigint, small smallint, email text, city varchar(40), paid numeric, born date, doc jsonb, tags text[]);
CREATE TABLE orders(id int PRIMARY KEY, person int, state text, total int);
CREATE VIEW open_orders AS SELECT * FROM orders WHERE state = 'open' AND total > 10;
"""
INTEGERS = st.sampled_from(["0", "1", "2", "3", "17", "2147483647", "2147483648", "99999999999"])
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
]  # fmt: skip


@st.composite
def statements(draw: st.DrawFn) -> list[str]:
    """One statement, twice or more with other constants."""
    shape = draw(st.sampled_from(PLACES))
    found = []
    for _ in range(2):
        text, position = shape, 0
        while (position := text.find("{", position)) >= 0:
            value = draw(INTEGERS if text[position + 1] == "i" else STRINGS)
            text = text[:position] + value + text[position + 3 :]
            position += len(value)
        found.append(text)
    return found


def plain(analysis: Analysis) -> Analysis:
    """Without the places of constants, which move with their lengths."""
    return replace(analysis, compared=(), uses=tuple(replace(use, givens=None) for use in analysis.uses))


@pytest.mark.parametrize("masked", [False, True])
def test_texts_that_share_a_key_have_the_same_analysis(pg15: EmbeddedPostgres, masked: bool) -> None:
    dsn = create_database(pg15, "lifting", SCHEMA)
    shared = 0
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

            @settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck), database=None)
            @given(statements())
            def check(texts: list[str]) -> None:
                nonlocal shared
                for first, second in pairwise(texts):
                    one, other = look(first), look(second)
                    lifted, more = lift(first.encode()), lift(second.encode())
                    if one is None or lifted is None or more is None or lifted.skeleton != more.skeleton:
                        continue
                    places = inert(lifted, one[1], split_and_parse(first)[0].at)
                    if not places or more.without(places) != lifted.without(places):
                        continue
                    shared += 1
                    assert other is not None
                    assert plain(other[1]) == plain(one[1])
                    if not getattr(one[0], "lookups", ()):
                        assert other[0] == one[0]

            check()
    finally:
        drop_database(pg15, "lifting")
    assert shared > 10
