"""Which comparisons of a statement hold for every row of a table that it can use, and which do not."""

from __future__ import annotations

import pytest

from lockgate.model.statement import Given, Restriction
from lockgate.sql.narrowing import restrictions

TABLES = {"t": 1, "u": 2}


def found(text: str) -> dict[int, tuple[Restriction, ...]]:
    return restrictions(text, lambda schema, name: TABLES.get(name) if schema in ("", "public") else None)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("id = 7", [("id", "=", (7,))]),
        ("-7 = id", [("id", "=", (-7,))]),
        ("id OPERATOR(pg_catalog.=) 7", [("id", "=", (7,))]),
        ("t.id > 5 AND (7 > id AND a + 1 = 2)", [("id", ">", (5,)), ("id", "<", (7,))]),
        ("id = $2", [("id", "=", (Given(parameter=True, at=2),))]),
        ("id = ANY ($1)", [("id", "any", (Given(parameter=True, at=1),))]),
        ("id IN (1, '2', $3)", [("id", "in", (1, "2", Given(parameter=True, at=3)))]),
        ("id BETWEEN 1 AND 50000000000", [("id", ">=", (1,)), ("id", "<=", (50000000000,))]),
        ("name = 'it''s'", [("name", "=", ("it's",))]),
    ],
)
def test_plain_comparisons_joined_by_and_are_found(
    condition: str, expected: list[tuple[str, str, tuple[int | str | Given, ...]]]
) -> None:
    assert found(f"SELECT x FROM t WHERE {condition}") == {1: tuple(Restriction(*one) for one in expected)}


@pytest.mark.parametrize(
    "condition",
    ["id = 7 OR a = 1", "NOT id = 7", "id <> 7", "id NOT IN (1)", "id IN (1, NULL)", "id NOT BETWEEN 1 AND 2", "id = a", "id = 1 + 1", "id = NULL",
     "id = 1.5", "id === 7", "id OPERATOR(public.=) 7", "id = ALL ($1)", "id > ANY ($1)", "id = 99999999999999999999", "id = B'1'", "(id = 7) IS NOT TRUE",
     "CASE WHEN id = 7 THEN true END", "u.id = 7", "id IN (SELECT 1)", "id = (SELECT 7)", "t = 7", "t.* = 7", "id BETWEEN SYMMETRIC 2 AND 1"],
)  # fmt: skip
def test_everything_else_is_left_alone(condition: str) -> None:
    asked = found(f"SELECT x FROM t WHERE {condition}")
    assert all(one.column == "t" for one in asked.get(1, ())), "a name that is no column is dropped later"


def test_names_must_be_the_tables_own() -> None:
    assert found("SELECT 1 FROM t a, u WHERE a.id = 7 AND u.id = 8").keys() == {1, 2}
    assert found("SELECT 1 FROM t a LEFT JOIN u ON a.id = u.id WHERE a.id = 7").keys() == {1}
    assert found("SELECT 1 FROM public.t WHERE id = 7").keys() == {1}
    for text in (
        "SELECT 1 FROM t, u WHERE id = 7",
        "SELECT 1 FROM t a WHERE t.id = 7",
        "SELECT 1 FROM t AS a(x, id) WHERE id = 7",
        "SELECT 1 FROM (t JOIN u ON true) AS t WHERE t.id = 7",
        "SELECT 1 FROM other.t WHERE id = 7",
        "SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM generate_series(1, 2) g WHERE t.id = 7)",
        "SELECT 1 FROM t JOIN u ON t.id = 7",
        "SELECT count(*) FROM t GROUP BY id HAVING id = 7",
        "SELECT 1 FROM t TABLESAMPLE SYSTEM (50) WHERE id = 7",
    ):
        assert found(text) == {}, text


def test_a_table_that_is_named_twice_has_all_its_rows() -> None:
    for text in (
        "SELECT 1 FROM t WHERE id = 7 UNION SELECT 2 FROM t",
        "SELECT 1 FROM t a, t b WHERE a.id = 7",
        "SELECT (SELECT max(x) FROM t) FROM t WHERE id = 7",
        "WITH t AS (SELECT * FROM t) SELECT 1 FROM t WHERE id = 7",
        "SELECT 1 FROM t WHERE id = 7 AND id IN (SELECT id FROM ONLY t)",
    ):
        assert found(text) == {}, text
    assert found("WITH x AS (SELECT * FROM t WHERE id = 7) SELECT 1 FROM x").keys() == {1}
