"""Relations are replaced at exactly the tokens that name them, and nowhere else."""

from __future__ import annotations

import pytest

from lockgate.errors import RefusedStatementError
from lockgate.sql.free_columns import Keyed
from lockgate.sql.splice import splice

PEOPLE = Keyed(("id", "name", "mail"), (frozenset({"id"}),))
OIDS = {("", "people"): 1, ("public", "people"): 1, ("", "orders"): 2}


def replaced(text: str) -> str:
    """The text with `people` as (M), or (O) where ONLY was said."""
    found = splice(
        text,
        resolve=lambda *name: OIDS.get(name),
        replace=lambda oid, only, sample: (f"(O{sample})" if only else f"(M{sample})") if oid == 1 else None,
        columns=lambda oid: PEOPLE if oid == 1 else None,
    )
    return found.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1 FROM people", 'SELECT 1 FROM (M) AS "people"'),
        ("SELECT 1 FROM people p", "SELECT 1 FROM (M) p"),
        ("SELECT 1 FROM people AS p(a, b), orders", "SELECT 1 FROM (M) AS p(a, b), orders"),
        ('SELECT 1 FROM /* x */ "public" . people -- y\n, orders', 'SELECT 1 FROM /* x */ (M) AS "people" -- y\n, orders'),
        ("SELECT 1 FROM ONLY people p", "SELECT 1 FROM (O) p"),
        ("SELECT 1 FROM ONLY (public.people)", 'SELECT 1 FROM (O) AS "people"'),
        ("SELECT 1 FROM people *", 'SELECT 1 FROM (M) AS "people"'),
        ("SELECT 1 FROM orders o JOIN (people p CROSS JOIN orders) ON true", "SELECT 1 FROM orders o JOIN ((M) p CROSS JOIN orders) ON true"),
        ("SELECT é.x FROM orders é, people", 'SELECT é.x FROM orders é, (M) AS "people"'),
        ("TABLE people", 'SELECT * FROM (M) AS "people"'),
        ("(TABLE ONLY people LIMIT 1) UNION TABLE orders", '(SELECT * FROM (O) AS "people" LIMIT 1) UNION TABLE orders'),
        ("SELECT (SELECT max(x) FROM people) FROM orders", 'SELECT (SELECT max(x) FROM (M) AS "people") FROM orders'),
        ("SELECT 1 FROM orders WHERE EXISTS (SELECT FROM people)", 'SELECT 1 FROM orders WHERE EXISTS (SELECT FROM (M) AS "people")'),
        ("SELECT 1 FROM orders o, LATERAL (SELECT o.x FROM people) l", 'SELECT 1 FROM orders o, LATERAL (SELECT o.x FROM (M) AS "people") l'),
        ('SELECT "public"."people"."email" FROM public.people', 'SELECT "people"."email" FROM (M) AS "people"'),
        ("SELECT public.people.* FROM public.people", 'SELECT people.* FROM (M) AS "people"'),
        ("SELECT orders.people.x FROM orders", "SELECT orders.people.x FROM orders"),
        ("DECLARE c CURSOR FOR SELECT 1 FROM people", 'DECLARE c CURSOR FOR SELECT 1 FROM (M) AS "people"'),
        ("COPY (SELECT 1 FROM people) TO STDOUT", 'COPY (SELECT 1 FROM (M) AS "people") TO STDOUT'),
        ("COPY people TO STDOUT", 'COPY (SELECT * FROM (O) AS "people") TO STDOUT'),
        ('COPY people ( "a", b ) TO STDOUT (FORMAT csv)', 'COPY (SELECT "a", "b" FROM (O) AS "people") TO STDOUT (FORMAT csv)'),
        ("SELECT 'FROM people' FROM orders", "SELECT 'FROM people' FROM orders"),
    ],
)  # fmt: skip
def test_a_named_relation_is_replaced_and_every_other_byte_stays(text: str, expected: str) -> None:
    assert replaced(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WITH people AS (SELECT 1) SELECT 1 FROM people", "WITH people AS (SELECT 1) SELECT 1 FROM people"),
        ("WITH people AS (SELECT 1 FROM people) SELECT 1 FROM people", 'WITH people AS (SELECT 1 FROM (M) AS "people") SELECT 1 FROM people'),
        ("WITH RECURSIVE people AS (SELECT 1 FROM people) SELECT 1 FROM people", "WITH RECURSIVE people AS (SELECT 1 FROM people) SELECT 1 FROM people"),
        ("WITH people AS (SELECT 1) SELECT 1 FROM public.people", 'WITH people AS (SELECT 1) SELECT 1 FROM (M) AS "people"'),
        ("WITH a AS (SELECT 1 FROM people), people AS (SELECT 1) SELECT 1 FROM people",
         'WITH a AS (SELECT 1 FROM (M) AS "people"), people AS (SELECT 1) SELECT 1 FROM people'),
        ("SELECT (WITH people AS (SELECT 1) SELECT 1 FROM people) FROM people",
         'SELECT (WITH people AS (SELECT 1) SELECT 1 FROM people) FROM (M) AS "people"'),
        ("WITH people AS (SELECT 1) (SELECT 1 FROM people UNION SELECT 1 FROM orders)", "WITH people AS (SELECT 1) (SELECT 1 FROM people UNION SELECT 1 FROM orders)"),
    ],
)  # fmt: skip
def test_with_queries_hide_relations_where_the_grammar_says_so(text: str, expected: str) -> None:
    assert replaced(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT 1 FROM people TABLESAMPLE SYSTEM ($1)", "stand-in-place"),
        ("SELECT 1 FROM people TABLESAMPLE SYSTEM (10) REPEATABLE (1 + 1)", "stand-in-place"),
        ("SELECT 1 FROM people FOR UPDATE", "stand-in-lock"),
        ("UPDATE people SET a = 1", "stand-in-place"),
        ("DELETE FROM people USING orders", "stand-in-place"),
        ("WITH d AS (DELETE FROM people RETURNING 1) SELECT 1 FROM d", "stand-in-place"),
        ("SELECT 1; SELECT 2", "stand-in-text"),
        ("SELECT FROM", "syntax"),
    ],
)
def test_places_where_a_subquery_cannot_stand_are_refused(text: str, reason: str) -> None:
    with pytest.raises(RefusedStatementError) as refused:
        replaced(text)
    assert refused.value.reason == reason


def test_what_was_replaced_is_counted() -> None:
    found = splice("SELECT 1 FROM people, people p", resolve=lambda *name: OIDS.get(name), replace=lambda *_: "(M)")
    assert found.replaced == {1: 2}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1 FROM people TABLESAMPLE SYSTEM (10)", 'SELECT 1 FROM (MTABLESAMPLE SYSTEM (10)) AS "people" '),
        ("SELECT 1 FROM ONLY people AS p TABLESAMPLE pg_catalog.bernoulli ( 1.5 ) REPEATABLE (3), orders",
         "SELECT 1 FROM (OTABLESAMPLE pg_catalog.bernoulli ( 1.5 ) REPEATABLE (3)) AS p , orders"),
        ("SELECT 1 FROM orders TABLESAMPLE SYSTEM (10)", "SELECT 1 FROM orders TABLESAMPLE SYSTEM (10)"),
    ],
)  # fmt: skip
def test_a_sample_is_taken_inside_the_subquery(text: str, expected: str) -> None:
    assert replaced(text) == expected


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("SELECT name FROM people GROUP BY id", ["people.name"]),
        ("SELECT p.name, count(*) FROM people p JOIN orders o ON o.x = p.id GROUP BY p.id ORDER BY p.mail", ["p.name", "p.mail"]),
        ("SELECT id, name FROM people GROUP BY (1)", ["people.name"]),
        ("SELECT id, name FROM people GROUP BY 1", ["people.name"]),
        ("SELECT p.* FROM people p GROUP BY p.id HAVING max(x) > 1", ["p.name", "p.mail"]),
        ("SELECT (SELECT max(o.x) FROM orders o WHERE o.m = p.mail AND name = 1) FROM people p GROUP BY upper(x), p.id", ["p.mail"]),
        ("SELECT sum(x) OVER (ORDER BY name) FROM people GROUP BY DISTINCT id, x", ["people.name"]),
        ("SELECT name FROM people GROUP BY mail", []),
        ("SELECT o.name FROM people p, orders o GROUP BY o.id", []),
        ("SELECT name FROM people GROUP BY GROUPING SETS ((id))", []),
        ("SELECT a FROM people p(a, b, c) GROUP BY id", []),
        ("SELECT name FROM (SELECT id, name FROM people GROUP BY id) x GROUP BY name", ["people.name"]),
    ],
)  # fmt: skip
def test_columns_that_a_key_gave_for_nothing_are_grouped_by_name(text: str, added: list[str]) -> None:
    names = " ".join(f'"{one.partition(".")[0]}"."{one.partition(".")[2]}",' for one in added)
    found = replaced(text)
    assert (f"BY {names} " in found or f"BY DISTINCT {names} " in found) if added else '",' not in found
    assert found.count('",') == len(added)
