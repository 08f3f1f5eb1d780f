"""A lookup finds the row whose mask was shown, and is no oracle: a guess of a real value is as good as a random one.

Source: promise 5; masking.md 0.4; A180 to A191 of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, email text, full_name varchar(80), phone bigint, card text, city text);
CREATE INDEX ON people(email);
INSERT INTO people SELECT i, 'canary' || i || '@real.example', 'Canary Real' || i, 4930000000000 + i * 7919,
  '4000-0000-0000-' || to_char(i, 'FM0000'), 'town' || i % 3 FROM generate_series(1, 20) i;
CREATE TABLE orders(id int PRIMARY KEY, contact_email text, amount int);
INSERT INTO orders SELECT i, 'canary' || i % 20 + 1 || '@real.example', i FROM generate_series(1, 60) i
"""
Bot = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def dsn(pg18: EmbeddedPostgres) -> Iterator[str]:
    yield create_database(pg18, "attack_lookups", SCRIPT)
    drop_database(pg18, "attack_lookups")


@pytest.fixture(scope="module")
def gate(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    running = GateProcess(tmp_path_factory.mktemp("lookups") / "gate", {"shop": (dsn, "production")}).init()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def bot(gate: GateProcess) -> Iterator[Bot]:
    with gate.connect("bot", "shop") as connection:
        yield connection


@pytest.fixture
def row(bot: Bot) -> tuple[Any, ...]:
    found = bot.execute("SELECT email, full_name, phone, card FROM people WHERE id = 7").fetchone()
    assert found is not None
    assert not any("anary" in str(cell) for cell in found)
    return found


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("column", [0, 1, 2, 3])
def test_a_shown_mask_finds_its_row_as_parameter(bot: Bot, row: tuple[Any, ...], column: int, binary: bool) -> None:
    name = ("email", "full_name", "phone", "card")[column]
    place = "%b" if binary else "%t"
    for condition in (f"{name} = {place}", f"{name} IN ({place})", f"{place} = {name} AND id > 0"):
        found = bot.execute(f"SELECT id FROM people WHERE {condition}".encode(), (row[column],), binary=binary)
        assert found.fetchall() == [(7,)], condition
    many = bot.execute(f"SELECT id FROM people WHERE {name} = ANY ({place}) ORDER BY id".encode(), ([row[column]],))
    assert many.fetchall() == [(7,)]


def test_a_shown_mask_finds_its_row_as_constant(bot: Bot, row: tuple[Any, ...]) -> None:
    email, name, phone, card = row
    for condition in (
        f"email = '{email}'", f"email = $${email}$$::text", f"email IN ('nobody', '{email}')", f"phone = {phone}",
        f"phone IN ({phone}, 5)", f"phone = '{phone}'", f"(email, full_name) IN (('{email}', '{name}'))", f"card = '{card}'",
        f"email = ANY ('{{x,{email}}}')", f"NOT (email <> '{email}')", f"email IN (VALUES ('a'), ('{email}'))",
    ):  # fmt: skip
        found = bot.execute(f"SELECT id FROM people WHERE {condition} ORDER BY id".encode()).fetchall()
        assert found == [(7,)], condition
    joined = f"SELECT p.id FROM people p JOIN (VALUES (1, '{email}')) v(n, e) ON v.e = p.email ORDER BY p.id"
    assert bot.execute(joined.encode()).fetchall() == [(7,)]
    assert bot.execute(
        f"SELECT count(*), sum(amount) FROM orders WHERE contact_email = '{email}'".encode()
    ).fetchone() == (3, 78)
    assert bot.execute(f"SELECT id FROM people WHERE email = '{email}' LIMIT 1".encode()).fetchall() == [(7,)]


def test_a_lookup_in_a_batch_and_a_cursor(bot: Bot, row: tuple[Any, ...]) -> None:
    text = f"BEGIN; DECLARE c CURSOR FOR SELECT id FROM people WHERE email = '{row[0]}'"
    bot.execute(text.encode())
    assert bot.execute("FETCH 5 FROM c").fetchall() == [(7,)]
    bot.execute("ROLLBACK")


GUESSES = ("canary7@real.example", "Canary Real7", "4000-0000-0000-0007", 4930000055433)


def test_one_value_that_is_looked_up_twice_over_stand_ins_finds_its_row(bot: Bot, row: tuple[Any, ...]) -> None:
    text = f"SELECT id, upper(email) FROM people WHERE email = '{row[0]}' AND id = (SELECT max(id) FROM people WHERE email = '{row[0]}')"
    assert [found[0] for found in bot.execute(text.encode()).fetchall()] == [7]


@pytest.mark.parametrize("number", range(4))
def test_a_guess_of_a_real_value_does_not_hit_its_row(bot: Bot, number: int) -> None:
    name = ("email", "full_name", "card", "phone")[number]
    guess = GUESSES[number]
    literal = guess if isinstance(guess, int) else f"'{guess}'"
    for found in (
        bot.execute(f"SELECT id FROM people WHERE {name} = {literal}".encode()),
        bot.execute(f"SELECT id FROM people WHERE {name} IN ({literal}, NULL)".encode()),
        bot.execute(f"SELECT id FROM people WHERE {name} = %t".encode(), (guess,)),
        bot.execute(f"SELECT id FROM people WHERE {name} = ANY (%b)".encode(), ([guess],)),
    ):
        assert (7,) not in found.fetchall()
    shown = bot.execute(f"SELECT id, {name} = {literal} FROM people WHERE id = 7".encode()).fetchone()
    assert shown == (7, False)


def test_a_value_that_is_also_shown_or_computed_with_is_not_translated(bot: Bot, row: tuple[Any, ...]) -> None:
    for text, parameter in (
        ("SELECT id, %(v)s::text FROM people WHERE email = %(v)s", row[0]),
        ("SELECT id FROM people WHERE email = %(v)s AND length(%(v)s) > 3", row[0]),
        ("SELECT v.e FROM people p JOIN (VALUES ('x')) v(e) ON v.e = p.email AND %(v)s IS NOT NULL", row[0]),
    ):
        connection = bot
        connection.prepare_threshold = None
        cursor = psycopg.RawCursor(connection)
        with pytest.raises(psycopg.Error):
            cursor.execute(text.replace("%(v)s", "$1"), (parameter,))


def test_errors_and_views_of_the_session_do_not_show_opened_values(bot: Bot, row: tuple[Any, ...]) -> None:
    with pytest.raises(psycopg.Error) as caught:
        bot.execute(f"SELECT 1 / (id - 7) FROM people WHERE email = '{row[0]}'".encode())
    assert caught.value.sqlstate == "22012"
    assert "canary" not in str(caught.value.diag.message_primary).lower()
    assert caught.value.diag.statement_position is None
    bot.execute("SELECT id FROM people WHERE email = %s", (row[0],), prepare=True)
    for text in ("SELECT statement FROM pg_prepared_statements", "SELECT query FROM pg_stat_activity",
                 "SELECT statement FROM pg_cursors", "SELECT current_query()"):  # fmt: skip
        with pytest.raises(psycopg.Error):
            bot.execute(text)


def test_of_the_locks_only_running_transactions_are_shown(bot: Bot) -> None:
    """Rows and pages that a plan went through are locked as well, and tell where values lie."""
    numbered = "transactionid IS NOT NULL"
    assert bot.execute(f"SELECT l.transactionid FROM pg_locks l WHERE {numbered}".encode()).fetchall() == []
    for text in (
        "SELECT count(*) FROM pg_locks",
        "SELECT transactionid FROM pg_locks WHERE transactionid IS NULL",
        f"SELECT transactionid FROM pg_locks WHERE {numbered} OR true",
        f"SELECT transactionid FROM pg_locks WHERE NOT ({numbered})",
        f"SELECT page FROM pg_locks WHERE {numbered}",
        f"SELECT l FROM pg_locks l WHERE {numbered}",
        f"SELECT 1 FROM pg_locks WHERE {numbered} AND page = 1",
        f"SELECT a.transactionid FROM pg_locks a, pg_locks b WHERE a.{numbered}",
        f"SELECT (SELECT count(*) FROM pg_locks) FROM pg_locks WHERE {numbered}",
        f"SELECT transactionid FROM pg_lock_status() WHERE {numbered}",
        "SELECT n_dead_tup FROM pg_stat_user_tables",
        "SELECT seq_scan FROM pg_stat_user_tables",
    ):
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            bot.execute(text.encode())


def test_writes_are_not_chosen_by_masked_values_nor_set_them(bot: Bot, gate: GateProcess, row: tuple[Any, ...]) -> None:
    with gate.connect("ann", "shop") as ann:
        shown = ann.execute("SELECT email FROM people WHERE id = 7").fetchone()
        assert shown is not None
        for text in (
            f"UPDATE orders SET amount = 1 WHERE contact_email = '{shown[0]}'",
            f"DELETE FROM orders WHERE contact_email = '{shown[0]}'",
            f"INSERT INTO people(id, email) VALUES (99, '{shown[0]}')",
            "INSERT INTO people(id, email) VALUES (99, 'canary7@real.example')",
            f"UPDATE people SET email = '{shown[0]}' WHERE id = 7",
            f"INSERT INTO orders(id, amount) SELECT 99, id FROM people WHERE email = '{shown[0]}'",
        ):
            with pytest.raises(psycopg.Error) as caught:
                ann.execute(text.encode())
            assert caught.value.sqlstate in ("0A000", "42501")


def test_who_may_unmask_looks_up_real_values(gate: GateProcess) -> None:
    with gate.connect("clara", "shop") as clara:
        found = clara.execute("SELECT id FROM people WHERE email = 'canary7@real.example'").fetchall()
        assert found == [(7,)]
