"""Which row fails first, and whether a failing row is reached at all, does not tell the order of masked values.

Two tables differ in the order of their addresses only, so whatever is asked of one must be answered like the other.
Source: promise 5; threats E-07; masking.md 2.3 (order and choice of rows); PostgreSQL: sorted grouping, windows and merge joins.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE up(id int PRIMARY KEY, email text NOT NULL, city text NOT NULL);
CREATE TABLE down(id int PRIMARY KEY, email text NOT NULL, city text NOT NULL);
INSERT INTO up SELECT i, chr(96 + i) || 'ann@real.example', 'Ulm' FROM generate_series(1, 9) i;
INSERT INTO down SELECT i, chr(106 - i) || 'ann@real.example', 'Ulm' FROM generate_series(1, 9) i;
CREATE INDEX ON up (email); CREATE INDEX ON down (email);
ANALYZE;
"""
FAILS = "CASE WHEN id = 3 THEN 1 / (id - 3) WHEN id = 7 THEN (id::text || 'x')::int ELSE 0 END"
FAILS_HERE = FAILS.replace("id", "b.id")
STATEMENTS = [
    f"SELECT email, count(DISTINCT city), max({FAILS}) FROM t GROUP BY email",
    f"SELECT count(DISTINCT email), max({FAILS}) FROM t",
    f"SELECT id, sum({FAILS}) OVER (PARTITION BY email) FROM t",
    f"SELECT max(m) FROM (SELECT max({FAILS}) OVER (PARTITION BY email) AS m FROM t) s",
    f"SELECT count(n) FROM (SELECT email, count(DISTINCT city) AS n, max({FAILS}) AS m FROM t GROUP BY email) s WHERE m >= 0",
    "SELECT EXISTS (SELECT 1 FROM t GROUP BY email HAVING count(DISTINCT city) > 0 AND (max(id) = 3 OR 1 / (max(id) - 7) IS NULL))",
    "SELECT 3 IN (SELECT CASE WHEN i = 7 THEN 1 / (i - 7) ELSE i END FROM (SELECT max(id) AS i, count(DISTINCT city) FROM t GROUP BY email) s)",
    f"SELECT a.id, b.id FROM t a JOIN t b ON a.email = b.email WHERE a.id < 5 AND {FAILS_HERE} = 0",
    f"SELECT a.id, b.f FROM t a JOIN (SELECT email, {FAILS} AS f FROM t) b ON a.email = b.email WHERE a.id < 3",
    f"SELECT a.id FROM t a WHERE EXISTS (SELECT 1 FROM t b WHERE b.email = a.email AND {FAILS_HERE} = 0)",
]


@pytest.fixture(scope="module")
def gate(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(pg15, "attack_error_order", SCRIPT)
    running = GateProcess(tmp_path_factory.mktemp("errors") / "gate", {"dev": (dsn, "development")}).init()
    running.start()
    yield running
    running.stop()
    drop_database(pg15, "attack_error_order")


@pytest.fixture
def bot(gate: GateProcess) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with gate.connect("bot", "dev") as connection:
        yield connection


def answer(bot: psycopg.Connection[tuple[object, ...]], statement: str, table: str) -> object:
    """Rows without masks, or the code of the error."""
    try:
        rows = bot.execute(
            statement.replace("FROM t", f"FROM {table}").replace("JOIN t ", f"JOIN {table} ").encode()
        ).fetchall()
    except psycopg.Error as error:
        detail = error.diag.message_detail or ""
        assert "rule=" not in detail, detail
        return error.sqlstate
    return [tuple("" if isinstance(cell, str) else cell for cell in row) for row in rows]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_an_error_does_not_tell_an_order(bot: psycopg.Connection[tuple[object, ...]], statement: str) -> None:
    swapped = statement.replace("id = 3", "id = 0").replace("id = 7", "id = 3").replace("id = 0", "id = 7")
    swapped = swapped.replace("id - 3", "id - 0").replace("id - 7", "id - 3").replace("id - 0", "id - 7")
    for one in (statement, swapped):
        assert answer(bot, one, "up") == answer(bot, one, "down")


def test_errors_that_tell_no_order_keep_their_code(bot: psycopg.Connection[tuple[object, ...]]) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        bot.execute("SELECT email, 1 / (id - 3) FROM up")
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        bot.execute("SELECT (id::text || 'x')::int FROM up WHERE id = 4")


def test_what_cannot_fail_stays_masked_in_its_place(bot: psycopg.Connection[tuple[object, ...]]) -> None:
    (shown,) = bot.execute("SELECT email FROM up WHERE id = 4").fetchone() or ("",)
    rows = bot.execute(
        "SELECT a.email, count(*), max(b.id + 1) FROM up a JOIN down b ON a.email = b.email"
        " WHERE a.city LIKE 'U%' AND b.id > 2 AND lower(a.city) IN ('ulm', 'bonn') GROUP BY a.email"
    ).fetchall()
    assert shown in [email for email, _, _ in rows]
