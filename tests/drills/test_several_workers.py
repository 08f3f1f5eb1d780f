"""A gate of two workers on one address: one record, one set of limits, one place for operators."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import psycopg
import pytest

from lockgate.app.evidence import log_text, worker_logs
from lockgate.config.build import load_settings
from lockgate.config.settings import Settings
from lockgate.ledger.entry import decode
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from lockgate.testing.engines import EmbeddedPostgres
from lockgate.transport.control_socket import ask_gate
from lockgate.wire.postgres.startup import cancel_request
from support.gate import GateProcess, replaced
from support.servers import create_database, drop_database
from support.waiting import until

SETUP = """
CREATE TABLE marks(id bigint PRIMARY KEY, who text);
CREATE TABLE jobs(id int PRIMARY KEY, status text);
INSERT INTO jobs SELECT g, 'new' FROM generate_series(1, 9) g;
CREATE TABLE people(id int PRIMARY KEY, email text, note text);
INSERT INTO people SELECT i, 'canary' || i || '@real.example', 'n' FROM generate_series(1, 9) i;
ANALYZE
"""
SETTINGS = {
    "gateway": "workers = 2",
    "analysis": "completeness_seconds = 0.5",
    "limits": "links_max = 40\nprincipal_links_max = 30\nhold_seconds = 60",
}


@pytest.fixture(scope="module")
def gate(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    databases = {
        "shop": (create_database(pg18, "twoworkers", SETUP), "development"),
        "prod": (create_database(pg18, "twoworkersprod", SETUP), "production"),
    }
    running = GateProcess(tmp_path_factory.mktemp("workers") / "gate", databases, settings=SETTINGS).init()
    for who in ("root", "ann", "bot", "boss", "clara", "etl"):
        running.token(who)
    yield running.start()
    running.stop()
    drop_database(pg18, "twoworkers")
    drop_database(pg18, "twoworkersprod")


def settings_of(gate: GateProcess) -> Settings:
    return load_settings(gate.config, environment={})


def ask(gate: GateProcess, operation: str, **more: object) -> Any:
    answer = ask_gate(settings_of(gate).gateway.control_socket, {"op": operation, **more})
    assert answer["ok"], answer
    return answer["result"]


def processes(gate: GateProcess) -> dict[str, int]:
    return {one["worker"]: one["process"] for one in ask(gate, "worker-list")}


def worker_of(client: psycopg.Connection[Any]) -> int:
    return client.info.backend_pid >> 24


def on_each_worker(gate: GateProcess, who: str = "ann", database: str = "shop") -> dict[int, psycopg.Connection[Any]]:
    """One client on each worker."""
    found: dict[int, psycopg.Connection[Any]] = {}
    spare = []
    for _ in range(20):
        client = gate.connect(who, database)
        if worker_of(client) in found:
            spare.append(client)
        else:
            found[worker_of(client)] = client
        if len(found) == 2:
            break
    for client in spare:
        client.close()
    assert set(found) == {1, 2}
    return found


def test_clients_are_spread_and_the_record_has_what_each_worker_saw(gate: GateProcess) -> None:
    clients = [gate.connect("ann", "shop") for _ in range(8)]
    try:
        spread = Counter(map(worker_of, clients))
        assert min(spread[1], spread[2]) >= 2  # whoever has fewer gets the next, unless it has no time just then
        for number, client in enumerate(clients):
            client.execute(f"SELECT {number} AS spread".encode())
            row = client.execute("SELECT email FROM people WHERE id = 7").fetchone()
            assert row is not None
            assert "canary" not in str(row[0])
    finally:
        for client in clients:
            client.close()
    rows = [row for row in gate.search("--principal", "ann") if "spread" in str(row["shape"])]
    assert Counter(row["log"] for row in rows) == {f"gate/{worker}": count for worker, count in spread.items()}
    assert len({row["session"] for row in rows}) == 8


def test_cancel_requests_reach_the_session_they_mean_whichever_worker_they_meet(gate: GateProcess) -> None:
    """200 requests and more, many at once, each by a connection that meets either worker: every victim ends, and no bystander."""
    clients = [gate.connect("root", "shop") for _ in range(24)]
    by_worker = {worker: [c for c in clients if worker_of(c) == worker] for worker in (1, 2)}
    victims = by_worker[1][:6] + by_worker[2][:6]
    bystanders = by_worker[1][6:] + by_worker[2][6:]
    assert (len(victims), len(bystanders)) == (12, 12), "six of each at least"
    rounds, sent, stop = 17, Counter[int](), threading.Event()

    def innocent(client: psycopg.Connection[Any]) -> int:
        done = 0
        while not stop.is_set():
            assert client.execute("SELECT count(*) FROM pg_sleep(0.05)").fetchone() == (1,)
            done += 1
        return done

    def cancel(client: psycopg.Connection[Any], over: threading.Event) -> None:
        while not over.wait(0.1):
            sent[worker_of(client)] += 1
            client.cancel_safe()

    def victim(client: psycopg.Connection[Any]) -> int:
        ended = 0
        for _ in range(rounds):
            over = threading.Event()
            cancelling = threading.Thread(target=cancel, args=(client, over))
            cancelling.start()
            try:
                client.execute("SELECT pg_sleep(60)")
            except psycopg.errors.QueryCanceled:
                ended += 1
            over.set()
            cancelling.join()
        return ended

    with ThreadPoolExecutor(len(clients)) as pool:
        innocents = [pool.submit(innocent, client) for client in bystanders]
        try:
            ended = [future.result() for future in [pool.submit(victim, client) for client in victims]]
        finally:
            stop.set()
        assert all(future.result() for future in innocents)
    assert ended == [rounds] * len(victims)
    assert min(sent.values()) >= 6 * rounds
    for client in clients:
        client.close()


def test_a_forged_cancel_key_does_nothing_to_any_worker(gate: GateProcess) -> None:
    held = on_each_worker(gate, "root")
    answers: dict[int, tuple[object, ...] | None] = {}

    def run(worker: int) -> None:
        answers[worker] = held[worker].execute("SELECT count(*) FROM pg_sleep(3)").fetchone()

    running = [threading.Thread(target=run, args=(worker,)) for worker in held]
    for thread in running:
        thread.start()
    before = gate.published("cancels_unknown_total")
    time.sleep(0.3)
    forged = [
        (held[worker].info.backend_pid, secrets.token_bytes(length)) for worker in held for length in (4, 4, 32, 256)
    ]
    forged += [
        (3 << 24 | 5, secrets.token_bytes(4)),
        (127 << 24, bytes(4)),
        (0, bytes(4)),
        (-1, bytes(4)),
        (-(1 << 31), bytes(32)),
    ]
    for process, key in forged * 3:  # often enough to meet both workers
        with socket.create_connection((gate.host, gate.port)) as link:
            link.sendall(cancel_request(process, key))
            assert link.recv(1) == b"", "a cancel request has no answer"
    for thread in running:
        thread.join()
    assert answers == {1: (1,), 2: (1,)}
    until(lambda: gate.published("cancels_unknown_total") == before + 3 * len(forged))
    for client in held.values():
        client.close()


def test_limits_hold_over_all_workers(gate: GateProcess) -> None:
    until(lambda: not ask(gate, "session-list"))
    clients = [gate.connect("ann", "shop") for _ in range(30)]
    with pytest.raises(psycopg.OperationalError, match="this principal has as many sessions"):
        gate.connect("ann", "shop")
    clients += [gate.connect("bot", "shop") for _ in range(10)]
    with pytest.raises(psycopg.OperationalError, match="the gate has as many sessions"):
        gate.connect("clara", "shop")
    assert Counter(one["principal"] for one in ask(gate, "session-list")) == {"ann": 30, "bot": 10}
    assert {one["worker"] for one in ask(gate, "session-list")} == {"1", "2"}
    for client in clients:
        client.close()
    until(lambda: not ask(gate, "session-list"))
    gate.connect("clara", "shop").close()


def test_operators_reach_sessions_and_held_statements_of_every_worker(gate: GateProcess) -> None:
    held = on_each_worker(gate, "ann", "prod")
    tags: dict[int, str | None] = {}

    def update(worker: int) -> None:
        tags[worker] = (
            held[worker].execute(f"UPDATE jobs SET status = 'w{worker}' WHERE id = {worker}".encode()).statusmessage
        )

    waiting = [threading.Thread(target=update, args=(worker,)) for worker in held]
    for thread in waiting:
        thread.start()
    until(lambda: len(ask(gate, "request-list")) == 2)
    requests = {str(one["id"]): one for one in ask(gate, "request-list")}
    assert {number.partition("-")[0] for number in requests} == {"1", "2"}
    command = ("--config", str(gate.config))
    boss = {"LOCKGATE_TOKEN": gate.token("boss")}
    for number in requests:
        gate.run("request", "approve", number, *command, environment=boss)
    for thread in waiting:
        thread.join(60)
    assert tags == {1: "UPDATE 1", 2: "UPDATE 1"}
    credential = {"token": gate.token("boss"), "principal": "boss"}
    for number in ("9-1", "1-1", "x", "17", "", "-1"):
        place = settings_of(gate).gateway.control_socket
        refused = ask_gate(place, {"op": "request-approve", "id": number, **credential})
        assert (refused["ok"], refused["code"]) == (False, "unknown-request"), number
    for one in ask(gate, "session-list"):
        assert ask(gate, "session-end", session=one["session"], by="operator") == {"ended": 1}
    for client in held.values():
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
    assert ask(gate, "session-end", session="000000000000", by="operator") == {"ended": 0}


def test_an_edited_policy_is_taken_over_by_every_worker_and_recorded_by_each(gate: GateProcess) -> None:
    held = on_each_worker(gate, "clara")
    policy = gate.folder / "policies" / "nobody.cedar"
    policy.write_text(
        '@id("nobody-reads-marks") @reason("closed")\nforbid (principal, action, resource == Table::"public.marks");\n'
    )
    assert set(ask(gate, "reload")) == {"1", "2"}
    for client in held.values():
        with pytest.raises(psycopg.Error, match="closed"):
            client.execute("SELECT id FROM marks")
    policy.unlink()
    ask(gate, "reload")
    for client in held.values():
        client.execute("SELECT id FROM marks")
        client.close()
    for log in worker_logs(settings_of(gate)):
        said = [decode(entry) for _, entry in entries(log.folder, RealFiles())]
        assert sum(e["kind"] == "policy" and e["event"] == "activated" for e in said) >= 3, log.origin


def test_a_label_that_one_worker_finds_holds_in_the_other(gate: GateProcess) -> None:
    before = (gate.folder / "catalog.toml").read_text()
    assert "public.people.note" in before
    command = ("--config", str(gate.config), "--database", "shop")
    gate.run("catalog", "label", *command, "public.people.note", "person.name")
    ask(gate, "reload")
    held = on_each_worker(gate)
    try:
        for client in held.values():
            row = client.execute("SELECT note FROM people WHERE id = 9").fetchone()
            assert row is not None
            assert row[0] != "n"
    finally:
        replaced(gate.folder / "catalog.toml", before)
        ask(gate, "reload")
        for client in held.values():
            client.close()


def test_an_erasure_through_a_running_gate_stands_in_every_log(gate: GateProcess) -> None:
    held = on_each_worker(gate, "clara")
    for worker, client in held.items():
        client.execute(f"SELECT {worker} AS looked, note FROM people WHERE email = 'dora@example.com'".encode())
        client.close()
    found = gate.search("--person", "dora@example.com")
    assert {row["log"] for row in found} == {"gate/1", "gate/2"}
    gate.run("log", "erase", "--config", str(gate.config), "--subject", "dora@example.com", "--reason", "r", "--yes")
    for row in found:
        reference = f"{row['log']}#{row['index']}"
        shown = gate.run("log", "show", reference, "--text", "--config", str(gate.config), check=False)
        assert "was erased" in shown.stdout + shown.stderr
    for log in worker_logs(settings_of(gate)):
        events = [e["event"] for _, raw in entries(log.folder, RealFiles()) if (e := decode(raw))["kind"] == "erasure"]
        assert events == ["begun", "done"], log.origin


def test_a_canary_is_found_in_whichever_log_it_went(gate: GateProcess) -> None:
    where = ("--as", "ann", "--database", "shop", "--gate", f"{gate.host}:{gate.port}")
    assert "the record has it: entry gate/" in gate.run("log", "canary", "--config", str(gate.config), *where).stdout


def test_a_killed_worker_comes_back_and_every_log_verifies(gate: GateProcess) -> None:
    """kill -9 of one worker under load: what was shown is on record, the other worker's clients notice nothing."""
    settings = settings_of(gate)
    seen: set[str] = set()
    stop = threading.Event()
    broken = Counter[int]()

    def load(number: int) -> None:
        while not stop.is_set():
            worker = 0
            try:
                with gate.connect("ann", "shop") as client:
                    worker = worker_of(client)
                    while not stop.is_set():
                        text = f"INSERT INTO marks(id, who) VALUES ({secrets.randbits(60)}, 'w{number}')"
                        client.execute(text.encode(), prepare=False)
                        seen.add(text)
            except psycopg.Error:
                broken[worker] += 1

    before = processes(gate)
    clients = [threading.Thread(target=load, args=(number,)) for number in range(6)]
    for thread in clients:
        thread.start()
    until(lambda: len(seen) > 10)
    os.kill(before["2"], signal.SIGKILL)
    until(lambda: processes(gate).get("2", before["2"]) != before["2"])
    had = len(seen)
    until(lambda: len(seen) > had + 20)
    stop.set()
    for thread in clients:
        thread.join()
    assert processes(gate)["1"] == before["1"]
    assert broken[1] == 0
    assert broken[2] >= 1
    assert gate.published("workers_started_again_total") >= 1
    done = gate.verify()
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = set()
    epochs = {}
    for log in worker_logs(settings):
        for index, entry in entries(log.folder, RealFiles()):
            fields = decode(entry)
            epochs[log.origin] = cast("int", fields["epoch"])
            if fields["kind"] == "intent" and fields["statement"] == "insert":
                recorded.add(log_text(settings, log.folder, fields, index).split(b"\x00")[0].decode())
    assert not seen - recorded
    assert epochs["gate/2"] > epochs["gate/1"]


def test_nothing_went_past_the_gate_by_the_counts_of_all_workers(gate: GateProcess) -> None:
    assert gate.published("workers") == 2
    time.sleep(3)
    assert (gate.published("bypassing_logins"), gate.published("bypass_blind_databases")) == (0, 0)


def test_sigterm_drains_every_worker_and_the_record_is_whole(gate: GateProcess) -> None:
    held = on_each_worker(gate)
    for client in held.values():
        client.execute("BEGIN")
    assert gate.stop() == 0
    for client in held.values():
        client.close()
    done = gate.verify()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gate/1" in done.stdout
    assert "gate/2" in done.stdout
    for log in worker_logs(settings_of(gate)):
        assert decode(list(entries(log.folder, RealFiles()))[-1][1])["kind"] == "close"
