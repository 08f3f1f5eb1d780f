"""A name is only a name: whatever a client does to cursors, portals and prepared statements, what runs is what was judged.

PostgreSQL keeps SQL-level and protocol-level names in one space each, ends them with transactions, and refuses duplicates; a plan
that belongs to another statement of the same name would show masked values or run a write that waits for an approver.

Source: promise 5 and 6; threats W-15, W-18, A128, A162, A164, J-20.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from attacks.attack_wire_client import WireClient
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

CANARY = b"canary"
SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, email text);
INSERT INTO people SELECT i, 'canary' || i || '@real.example' FROM generate_series(1, 20) i;
CREATE TABLE orders(id int PRIMARY KEY, status text);
INSERT INTO orders VALUES (1, 'open'), (2, 'open')
"""
SECRET = "SELECT email FROM people ORDER BY id"
DECOY = "SELECT status FROM orders ORDER BY id"


@pytest.fixture(scope="module")
def dsn(pg18: EmbeddedPostgres) -> Iterator[str]:
    yield create_database(pg18, "attack_names", SCRIPT)
    drop_database(pg18, "attack_names")


@pytest.fixture(scope="module")
def gate(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    running = GateProcess(
        tmp_path_factory.mktemp("names") / "gate",
        {"shop": (dsn, "production")},
        settings={"limits": "hold_seconds = 1"},
    ).init()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def bot(gate: GateProcess) -> Iterator[WireClient]:
    with WireClient(gate, "bot", "shop") as client:
        yield client


def test_a_prepare_that_fails_for_a_duplicate_name_leaves_the_first_statements_mask(bot: WireClient) -> None:
    bot.query(f"PREPARE p AS {SECRET}")
    bot.query(f"PREPARE p AS {DECOY}")
    assert CANARY not in bot.query("EXECUTE p")


def test_a_declare_that_fails_and_is_rolled_back_to_a_savepoint_leaves_the_first_cursors_mask(bot: WireClient) -> None:
    for text in (
        "BEGIN",
        f"DECLARE c CURSOR FOR {SECRET}",
        "SAVEPOINT s",
        f"DECLARE c CURSOR FOR {DECOY}",
        "ROLLBACK TO s",
    ):
        bot.query(text)
    assert CANARY not in bot.query("FETCH 3 FROM c")


def test_a_protocol_portal_cannot_take_the_place_of_a_cursor(bot: WireClient) -> None:
    bot.query("BEGIN")
    bot.query(f"DECLARE c CURSOR FOR {SECRET}")
    bot.extended(bot.parse("s", DECOY), bot.bind("cursor c", "s"))
    assert CANARY not in bot.query("FETCH 3 FROM c")


def test_a_prepared_statement_made_by_parse_is_masked_when_executed_by_name(bot: WireClient) -> None:
    bot.query(f"PREPARE p AS {DECOY}")
    bot.query("DEALLOCATE p")
    bot.extended(bot.parse("p", SECRET))
    assert CANARY not in bot.query("EXECUTE p")


def test_a_statement_parsed_then_deallocated_and_prepared_anew_is_masked_when_bound(bot: WireClient) -> None:
    bot.extended(bot.parse("p", DECOY))
    bot.query("DEALLOCATE p")
    bot.query(f"PREPARE p AS {SECRET}")
    assert CANARY not in bot.extended(bot.bind("", "p"), bot.execute(""))


def test_a_portal_with_the_name_of_a_closed_cursor_is_masked_when_fetched(bot: WireClient) -> None:
    for text in ("BEGIN", f"DECLARE x CURSOR FOR {DECOY}", "CLOSE x"):
        bot.query(text)
    bot.extended(bot.parse("s", SECRET), bot.bind("x", "s"))
    assert CANARY not in bot.query("FETCH ALL FROM x")


def test_a_cursor_with_the_name_of_a_closed_portal_is_masked_when_executed(bot: WireClient) -> None:
    bot.query("BEGIN")
    bot.extended(bot.parse("s", DECOY), bot.bind("p", "s"))
    bot.query("CLOSE p")
    bot.query(f"DECLARE p CURSOR FOR {SECRET}")
    assert CANARY not in bot.extended(bot.execute("p"))


def test_a_bound_fetch_follows_the_cursor_that_is_there_when_it_runs(bot: WireClient) -> None:
    bot.query("BEGIN")
    bot.query(f"DECLARE y CURSOR FOR {DECOY}")
    bot.extended(bot.parse("s", "FETCH 3 FROM y"), bot.bind("f", "s"))
    bot.query("CLOSE y")
    bot.query(f"DECLARE y CURSOR FOR {SECRET}")
    assert CANARY not in bot.extended(bot.execute("f"))


def test_a_bound_execute_follows_the_statement_that_is_there_when_it_runs(bot: WireClient) -> None:
    bot.query("BEGIN")
    bot.query(f"PREPARE y AS {DECOY}")
    bot.extended(bot.parse("s", "EXECUTE y"), bot.bind("e", "s"))
    bot.query("DEALLOCATE y")
    bot.query(f"PREPARE y AS {SECRET}")
    assert CANARY not in bot.extended(bot.execute("e"))


@pytest.mark.parametrize(
    ("made", "decoy", "read"),
    [
        (f"PREPARE p AS {SECRET}", f"PREPARE p AS {DECOY}", "EXECUTE p"),
        (f"DECLARE p CURSOR WITH HOLD FOR {SECRET}", f"DECLARE p CURSOR WITH HOLD FOR {DECOY}", "FETCH 3 FROM p"),
    ],
    ids=["prepare", "declare"],
)
def test_a_definition_that_is_bound_but_never_executed_changes_nothing(
    bot: WireClient, made: str, decoy: str, read: str
) -> None:
    bot.query(made)
    bot.query("BEGIN")
    bot.extended(bot.parse("s", decoy), bot.bind("z", "s"))
    assert CANARY not in bot.query(read)


def test_a_parsed_write_cannot_run_without_approval_under_another_statements_name(gate: GateProcess, dsn: str) -> None:
    with WireClient(gate, "etl", "shop") as etl:
        etl.extended(etl.parse("w", "UPDATE orders SET status = 'unapproved' WHERE id = 2"))
        etl.query(f"PREPARE w AS {DECOY}")
        etl.query("EXECUTE w")
    with psycopg.connect(dsn) as direct:
        assert direct.execute("SELECT status FROM orders WHERE id = 2").fetchone() == ("open",)
