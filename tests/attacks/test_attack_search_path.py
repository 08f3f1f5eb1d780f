"""Names mean at execution what they meant at analysis: a search_path that changed between the two shows no masked value.

Source: architecture section 3, step 4 (the analysis context must be the execution context); threats J-03, W-27.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attacks.attack_wire_client import WireClient
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE SCHEMA a; CREATE SCHEMA b;
CREATE TABLE a.t(id int PRIMARY KEY, x text); INSERT INTO a.t VALUES (1, 'plain');
CREATE TABLE b.t(id int PRIMARY KEY, x text); INSERT INTO b.t VALUES (1, 'canary');
GRANT USAGE ON SCHEMA a, b TO PUBLIC; GRANT SELECT ON a.t, b.t TO PUBLIC
"""
LABELS = {"a.t.x": "none", "b.t.x": "secret.credential"}


@pytest.fixture(scope="module")
def gate(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(pg15, "attack_path", SCRIPT)
    running = GateProcess(tmp_path_factory.mktemp("path") / "gate", {"shop": (dsn, "production")}).init()
    catalog = running.folder / "catalog.toml"
    lines = [
        next((f'"{name}" = "{label}"' for name, label in LABELS.items() if line.startswith(f'"{name}"')), line)
        for line in catalog.read_text().splitlines()
    ]
    catalog.write_text("\n".join(lines) + "\n")
    running.start()
    yield running
    running.stop()
    drop_database(pg15, "attack_path")


@pytest.fixture
def bot(gate: GateProcess) -> Iterator[WireClient]:
    with WireClient(gate, "bot", "shop") as client:
        client.query("SET search_path = b")
        assert b"canary" not in client.query("SELECT x FROM t")
        yield client


def run(bot: WireClient, *texts: str) -> bytes:
    """One pipeline of statements, each parsed, bound and executed under the unnamed names."""
    return bot.extended(*(part for text in texts for part in (bot.parse("", text), bot.bind("", ""), bot.execute(""))))


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_batch_that_ends_a_transaction_is_not_judged_under_its_local_path(bot: WireClient, end: str) -> None:
    for text in ("BEGIN", "SET LOCAL search_path = a", "SELECT x FROM t"):
        bot.query(text)
    assert b"canary" not in bot.query(f"{end}; SELECT x FROM t")


def test_a_batch_that_leaves_a_failed_transaction_is_not_judged_under_its_path(bot: WireClient) -> None:
    for text in ("BEGIN", "SET search_path = a", "SELECT x FROM t", "SELECT 1/0"):
        bot.query(text)
    assert b"canary" not in bot.query("ROLLBACK; SELECT x FROM t")


def test_a_batch_that_rolls_back_to_a_savepoint_is_not_judged_under_the_path_after_it(bot: WireClient) -> None:
    for text in ("BEGIN", "SAVEPOINT s", "SET search_path = a", "SELECT x FROM t"):
        bot.query(text)
    assert b"canary" not in bot.query("ROLLBACK TO s; SELECT x FROM t")


def test_a_local_path_ends_with_the_implicit_transaction_of_its_pipeline(bot: WireClient) -> None:
    run(bot, "SET LOCAL search_path = a", "SELECT x FROM t")
    assert b"canary" not in bot.query("SELECT x FROM t")


def test_a_path_of_a_failed_pipeline_is_forgotten(bot: WireClient) -> None:
    run(bot, "SET search_path = a", "SELECT x FROM t", "SELECT 1/0")
    assert b"canary" not in bot.query("SELECT x FROM t")


def test_a_path_rolled_back_inside_a_pipeline_is_forgotten(bot: WireClient) -> None:
    assert b"canary" not in run(bot, "BEGIN", "SET search_path = a", "SELECT x FROM t", "ROLLBACK", "SELECT x FROM t")
    assert b"canary" not in bot.query("SELECT x FROM t")


def test_a_client_that_takes_the_name_of_the_gates_own_question_gains_nothing(bot: WireClient) -> None:
    bot.query("SET search_path = a")
    bot.query("SELECT x FROM t")
    bot.extended(bot.parse("lockgate_context", "SELECT 1"))
    bot.query("SET search_path = b")
    assert b"canary" not in bot.query("SELECT x FROM t")


def test_a_prepared_statement_that_the_server_analyses_again_under_another_path_is_masked(bot: WireClient) -> None:
    bot.query("SET search_path = a")
    bot.query("PREPARE p AS SELECT x FROM t")
    bot.query("SET search_path = b")
    assert b"canary" not in bot.query("EXECUTE p")
