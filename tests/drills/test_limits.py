"""Time limits of sessions: idle, statement, hold, credential; SIGTERM drains; a revoked credential ends its sessions."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import MakeDatabase
from support.waiting import until

SETUP = "CREATE TABLE t(id int PRIMARY KEY, status text); INSERT INTO t SELECT g, 'x' FROM generate_series(1, 5000) g; ANALYZE t"


@pytest.fixture
def hold_seconds() -> int:
    """Long enough that no slow machine lets a hold expire that somebody is about to decide."""
    return 90


@pytest.fixture
def idle_seconds() -> int:
    """Long enough that only the test of it meets it."""
    return 600


@pytest.fixture
def gate(
    pg18: EmbeddedPostgres, make_database: MakeDatabase, tmp_path: Path, hold_seconds: int, idle_seconds: int
) -> Iterator[GateProcess]:
    limits = f"hold_seconds = {hold_seconds}\nidle_seconds = {idle_seconds}\nstatement_seconds = 2"
    running = GateProcess(
        tmp_path / "gate", {"shop": (make_database(pg18, SETUP), "production")}, settings={"limits": limits}
    ).init()
    running.start()
    yield running
    running.stop()


@pytest.mark.parametrize("idle_seconds", [1])
def test_an_idle_session_is_closed(gate: GateProcess) -> None:
    with gate.connect("ann", "shop") as client:
        client.execute("SELECT 1")
        assert select.select([client.fileno()], [], [], 60)[0], "the gate says goodbye by itself"
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")


def test_a_long_statement_is_cancelled_and_the_session_lives(gate: GateProcess) -> None:
    with gate.connect("ann", "shop") as client:
        with pytest.raises(psycopg.errors.QueryCanceled):
            client.execute("SELECT count(*) FROM t a, t b, t c")
        assert client.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("hold_seconds", [4])
def test_a_hold_nobody_approves_expires_and_nothing_has_run(gate: GateProcess) -> None:
    with gate.connect("ann", "shop") as client:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="nobody approved"):
            client.execute("UPDATE t SET status = 'late' WHERE id = 1")
        assert client.execute("SELECT status FROM t WHERE id = 1").fetchone() == ("x",)
    assert [r["sqlstate"] for r in gate.search("--decision", "deny")] == ["42501"]


def test_a_held_statement_is_cancelled_with_57014(gate: GateProcess) -> None:
    with gate.connect("ann", "shop") as client:

        def cancel() -> None:
            gate.wait_for_request()
            client.cancel_safe()

        sender = threading.Thread(target=cancel)
        sender.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            client.execute("UPDATE t SET status = 'cancelled' WHERE id = 2")
        sender.join()
        assert client.execute("SELECT status FROM t WHERE id = 2").fetchone() == ("x",)


def test_a_client_that_leaves_takes_its_hold_with_it(gate: GateProcess) -> None:
    client = gate.connect("ann", "shop")

    def update() -> None:
        with pytest.raises(psycopg.Error):
            client.execute("UPDATE t SET status = 'gone' WHERE id = 3")

    done = threading.Thread(target=update)
    done.start()
    number = str(gate.wait_for_request()["id"])
    client.pgconn.finish()
    done.join(60)
    until(lambda: not gate.call("request", "list", "--config", str(gate.config), "--json"))
    answer = gate.run(
        "request",
        "approve",
        number,
        "--config",
        str(gate.config),
        check=False,
        environment={"LOCKGATE_TOKEN": gate.token("boss")},
    )
    assert answer.returncode == 1
    with gate.connect("ann", "shop") as other:
        assert other.execute("SELECT status FROM t WHERE id = 3").fetchone() == ("x",)


def test_an_approved_statement_runs_once_and_is_linked_to_its_approver(gate: GateProcess) -> None:
    tags: list[str | None] = []
    for who in ("ann", "bot", "etl", "boss"):
        gate.token(who)

    def update() -> None:
        with gate.connect("ann", "shop") as client:
            tags.append(client.execute("UPDATE t SET status = 'approved' WHERE id = 4").statusmessage)

    worker = threading.Thread(target=update)
    worker.start()
    request = gate.wait_for_request()
    assert request["principal"] == "ann"
    assert "UPDATE t SET status" in str(request["statement"])
    arguments = ("request", "approve", str(request["id"]), "--config", str(gate.config))
    for who in ("ann", "bot", "etl"):
        assert gate.run(*arguments, check=False, environment={"LOCKGATE_TOKEN": gate.token(who)}).returncode == 1
    assert gate.run(*arguments, environment={"LOCKGATE_TOKEN": gate.token("boss")}).returncode == 0
    worker.join(60)
    assert tags == ["UPDATE 1"]
    (row,) = gate.search("--statement", "update")
    assert row["decision"] == "hold"
    assert "production-writes-held" in row["rules"]  # type: ignore[operator]


def test_an_approved_write_by_estimate_is_kept_when_it_touches_what_was_shown(gate: GateProcess) -> None:
    tags: list[str | None] = []
    gate.token("boss")

    def update() -> None:
        with gate.connect("ann", "shop") as client:
            tags.append(client.execute("UPDATE t SET status = 'few' WHERE id < 10").statusmessage)

    worker = threading.Thread(target=update)
    worker.start()
    number = str(gate.wait_for_request()["id"])
    gate.run(
        "request", "approve", number, "--config", str(gate.config), environment={"LOCKGATE_TOKEN": gate.token("boss")}
    )
    worker.join(60)
    assert tags == ["UPDATE 9"]
    with gate.connect("ann", "shop") as client:
        assert client.execute("SELECT count(*) FROM t WHERE status = 'few'").fetchone() == (9,)


def test_a_revoked_credential_loses_its_open_session(gate: GateProcess) -> None:
    with gate.connect("bot", "shop") as client:
        client.execute("SELECT 1")
        shown = (gate.run("log", "show", str(n), "--config", str(gate.config)).stdout for n in range(1, 9))
        token_id = next(entry.split('"token": "')[1].split('"')[0] for entry in shown if '"token": "' in entry)
        gate.run("token", "--revoke", token_id, "--config", str(gate.config))
        assert select.select([client.fileno()], [], [], 60)[0], "the gate says goodbye by itself"
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="not accepted"):
        gate.connect("bot", "shop")


def test_sigterm_drains_and_ends_although_a_transaction_is_open(gate: GateProcess) -> None:
    client = gate.connect("ann", "shop")
    client.execute("BEGIN")
    assert gate.stop() == 0
    client.close()
    assert gate.verify().returncode == 0
