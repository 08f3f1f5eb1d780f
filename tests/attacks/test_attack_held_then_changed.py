"""What was approved or judged is what runs: a change between the decision and the run ends in a refusal.

Source: architecture section 3, steps 4 and 7 (approval bound to catalog version and row count); threats J-04, J-05, J-14, I-01.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from attacks.attack_wire_client import WireClient
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import PRINCIPALS, GateProcess, replaced
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, email text, visits int); INSERT INTO people VALUES (1, 'canary@real.example', 0);
CREATE TABLE orders(id int PRIMARY KEY, customer_id int, status text, total int);
INSERT INTO orders SELECT i, i, 'open', i FROM generate_series(1, 2000) i;
CREATE VIEW shown AS SELECT id, status FROM orders;
ANALYZE
"""
FORBID = (
    '@id("extra") @reason("not this table") forbid (principal {who}, action == Action::"{action}", resource {what});\n'
)


@pytest.fixture
def gate(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(pg18, "attack_held", SCRIPT)
    running = GateProcess(tmp_path_factory.mktemp("held") / "gate", {"shop": (dsn, "production")}).init()
    running.start()
    yield running
    running.stop()
    drop_database(pg18, "attack_held")


def reload(gate: GateProcess, path: str, text: str) -> None:
    with gate.reloads():
        replaced(gate.folder / path, text)


def approved(gate: GateProcess, text: str, meanwhile: Callable[[], None]) -> None:
    """Hold a statement of etl, let something happen, then have boss approve it."""

    def wait() -> None:
        with gate.connect("etl", "shop") as client:
            try:
                client.execute(text.encode())
            except psycopg.Error:
                return

    waiting = threading.Thread(target=wait)
    waiting.start()
    request = str(gate.wait_for_request()["id"])
    meanwhile()
    gate.run(
        "request", "approve", request, "--config", str(gate.config),
        check=False, environment={"LOCKGATE_TOKEN": gate.token("boss")},
    )  # fmt: skip
    gate.run(
        "request", "deny", request, "--config", str(gate.config),
        check=False, environment={"LOCKGATE_TOKEN": gate.token("boss")},
    )  # fmt: skip
    waiting.join(60)
    assert not waiting.is_alive()


def direct(gate: GateProcess, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(gate.databases["shop"][0], autocommit=True) as client:
        done = client.execute(text.encode())
        return done.fetchall() if done.description else []


def test_an_approval_does_not_outlive_the_definition_it_was_given_for(gate: GateProcess) -> None:
    def swap() -> None:
        direct(gate, "ALTER TABLE orders RENAME status TO old; ALTER TABLE orders ADD status text DEFAULT 'fresh'")

    approved(gate, "UPDATE orders SET status = 'changed' WHERE id = 1", swap)
    assert direct(gate, "SELECT status FROM orders WHERE id = 1") == [("fresh",)]


def test_an_approval_does_not_outlive_the_policy_it_was_given_under(gate: GateProcess) -> None:
    text = FORBID.format(who='== Service::"etl"', action="write", what="")
    approved(gate, "UPDATE orders SET status = 'changed' WHERE id = 1", lambda: reload(gate, "policies/99.cedar", text))
    assert direct(gate, "SELECT status FROM orders WHERE id = 1") == [("open",)]


def test_an_approved_write_touches_no_more_rows_than_were_shown(gate: GateProcess) -> None:
    def grow() -> None:
        direct(gate, "INSERT INTO orders SELECT i, 7, 'grown', 0 FROM generate_series(10001, 30000) i")

    approved(gate, "UPDATE orders SET total = -1 WHERE customer_id = 7", grow)
    assert direct(gate, "SELECT count(*) FROM orders WHERE total = -1")[0] == (0,)


def test_who_approves_a_batch_may_approve_each_of_its_statements(gate: GateProcess) -> None:
    text = FORBID.format(who='== Person::"boss"', action="approve", what='== Table::"public.people"')
    reload(gate, "policies/99.cedar", text)
    batch = "UPDATE orders SET total = 5 WHERE id = 1; UPDATE people SET visits = 9 WHERE id = 1"
    with gate.connect("etl", "shop") as client, pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
        client.execute(batch.encode())
    assert "rule=hold-in-batch" in str(refused.value)
    assert gate.run("request", "list", "--config", str(gate.config), "--json").stdout == ""
    assert direct(gate, "SELECT visits FROM people") == [(0,)]
    assert direct(gate, "SELECT total FROM orders WHERE id = 1") == [(1,)]


def test_who_lost_unmask_sees_masks_in_statements_and_cursors_prepared_before(gate: GateProcess) -> None:
    with gate.connect("clara", "shop") as clara:
        clara.execute("PREPARE p AS SELECT email FROM people")
        clara.execute("DECLARE c CURSOR WITH HOLD FOR SELECT email FROM people ORDER BY id")
        reload(gate, "principals.toml", PRINCIPALS.replace('["unmaskers", "writers"]', '["writers"]'))
        for text in ("EXECUTE p", "FETCH ALL FROM c"):
            try:
                assert "canary" not in str(clara.execute(text.encode()).fetchall())
            except psycopg.Error:
                continue


def test_a_view_replaced_by_its_owner_shows_nothing_before_the_gate_has_noticed(gate: GateProcess) -> None:
    text = b"SELECT status FROM shown WHERE id = 1"
    with gate.connect("bot", "shop") as bot:
        for prepare in (False, True, True):
            assert bot.execute(text, prepare=prepare).fetchall() == [("open",)]
        direct(gate, "CREATE OR REPLACE VIEW shown AS SELECT id, email AS status FROM people")
        for prepare in (False, True):
            try:
                assert "canary" not in str(bot.execute(text, prepare=prepare).fetchall())
            except psycopg.Error:
                continue


def test_nothing_is_held_in_a_transaction_whose_begin_is_not_answered_yet(gate: GateProcess) -> None:
    with WireClient(gate, "etl", "shop") as wire:
        update = "UPDATE orders SET status = 'x' WHERE id = 5"
        assert b"rule=hold-in-transaction" in wire.at_once([wire.simple("BEGIN"), wire.simple(update)])
