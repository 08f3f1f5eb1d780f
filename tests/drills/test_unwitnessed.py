"""A gate with a real witness: what a stranger can check afterwards, and what happens when the witness is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.entry import decode
from lockgate.ledger.note import split_note
from lockgate.ledger.trust import TrustPolicy
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import MakeDatabase
from support.verifying import verify
from support.witness import WitnessProcess


@pytest.fixture
def gate(pg18: EmbeddedPostgres, make_database: MakeDatabase, tmp_path: Path) -> Iterator[GateProcess]:
    settings = {
        "ledger": 'witness_policy = "trust.policy"\nwitness_seconds = 0.2\nwitness_alarm_seconds = 1\nwitness_refuse_seconds = 3'
    }
    drilled = GateProcess(
        tmp_path / "gate",
        {"shop": (make_database(pg18, "CREATE TABLE marks(id int)"), "development")},
        settings=settings,
    ).init()
    yield drilled
    drilled.stop()


@pytest.fixture
def witness(gate: GateProcess, tmp_path: Path) -> Iterator[WitnessProcess]:
    process = WitnessProcess(tmp_path / "witness", gate.folder / "keys" / "org.pub").start()
    process.write_policy(gate.folder / "trust.policy")
    yield process
    process.stop()


def until(true: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_a_statement_comes_under_a_witnessed_root_and_the_gate_refuses_when_nobody_watches(
    gate: GateProcess, witness: WitnessProcess
) -> None:
    gate.start()
    org = next((gate.folder / "log").glob("*-org"))
    policy = TrustPolicy.parse((gate.folder / "trust.policy").read_bytes())

    def witnessed() -> int:
        """Size of the worker's log that is under a witnessed root."""
        try:
            size = policy.check((org / "witnessed").read_bytes()).checkpoint.size
        except FileNotFoundError:
            return 0
        taken = [decode(entry) for index, entry in entries(str(org), RealFiles()) if index < size]
        return max((int(str(e["size"])) for e in taken if e["kind"] == "checkpoint"), default=0)

    with gate.connect("ann", "shop") as client:
        client.execute("INSERT INTO marks VALUES (1)")
        written = Checkpoint.parse(split_note((gate.log_folder / "checkpoint").read_bytes())[0]).size
        until(lambda: witnessed() > written)
        witness.stop()
        client.execute("INSERT INTO marks VALUES (2)")  # the data path goes on

        def refused() -> bool:
            try:
                client.execute("INSERT INTO marks VALUES (3)")
            except psycopg.errors.IoError:
                return True
            return False

        until(refused)
        assert '"witness-late"' in (gate.folder / "stderr.txt").read_text()
        witness.start()
        until(lambda: not refused())
        assert '"witness-back"' in (gate.folder / "stderr.txt").read_text()
        highest = client.execute("SELECT count(*) FILTER (WHERE id IN (1, 2)), min(id) FROM marks").fetchone()
        assert highest == (2, 1)
    gate.stop()
    assert gate.verify().returncode == 0
    end = Checkpoint.parse(split_note((gate.log_folder / "checkpoint").read_bytes())[0]).size
    until(lambda: witnessed() == end)
    until(lambda: [decode(e)["kind"] for _, e in entries(str(org), RealFiles())][-1] == "close")
    assert verify(org, (gate.folder / "keys" / "org.pub").read_text()).findings == []
    dropped = [
        e
        for _, raw in entries(str(gate.log_folder), RealFiles())
        if (e := decode(raw)).get("event") == "entries-dropped"
    ]
    assert dropped, "the log itself says which numbers are missing, and why"
