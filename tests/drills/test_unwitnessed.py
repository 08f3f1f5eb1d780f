"""A gate with a real witness: what a stranger can check afterwards, and what happens when the witness is gone."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.entry import decode
from lockgate.ledger.note import VerificationKey, split_note
from lockgate.ledger.trust import TrustPolicy
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import MakeDatabase
from support.verifying import verify
from support.waiting import until
from support.witness import WitnessProcess


@pytest.fixture
def workers() -> int:
    """How many processes the gate has."""
    return 1


@pytest.fixture
def gate(pg18: EmbeddedPostgres, make_database: MakeDatabase, tmp_path: Path, workers: int) -> Iterator[GateProcess]:
    settings = {
        "gateway": f"workers = {workers}",
        "ledger": 'witness_policy = "trust.policy"\nwitness_seconds = 0.2\nwitness_alarm_seconds = 1\nwitness_refuse_seconds = 8',
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


def is_free(lock: Path) -> bool:
    """Whether the process that writes a log has let go of it."""
    with lock.open("r+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


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
        until(lambda: '"witness-late"' in (gate.folder / "stderr.txt").read_text())
        witness.start()
        until(lambda: not refused())
        until(lambda: '"witness-back"' in (gate.folder / "stderr.txt").read_text())
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


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_old_image_of_the_disk_is_not_signed_over(
    gate: GateProcess, witness: WitnessProcess, tmp_path: Path, workers: int
) -> None:
    numbers = range(1, workers + 1)
    log, image = gate.folder / "log", tmp_path / "image"
    policy = TrustPolicy.parse((gate.folder / "trust.policy").read_bytes())

    def life(origin: str, mark: int) -> None:
        gate.start()
        with gate.connect("ann", "shop") as client:
            client.execute(f"INSERT INTO marks VALUES ({mark})")
        gate.stop()
        folder = log / origin.replace("/", "-")
        until(lambda: [decode(e)["kind"] for _, e in entries(str(folder), RealFiles())][-1] == "close")
        until(lambda: policy.check((folder / "witnessed").read_bytes()).checkpoint.origin == origin)
        until(lambda: is_free(folder / "lock"))

    life("gate/org", 1)
    shutil.copytree(log, image)
    life("gate/org", 2)
    shutil.rmtree(log)
    shutil.copytree(image, log)
    old = [(log / f"gate-{number}" / "checkpoint").read_bytes() for number in numbers]
    life("gate/org~2", 3)
    assert [(log / f"gate-{number}" / "checkpoint").read_bytes() for number in numbers] == old
    assert "gate/org~2" in [said.get("origin") for said in witness.said]
    for number in numbers:
        boot = decode(next(entry for _, entry in entries(str(log / f"gate-{number}~2"), RealFiles())))
        assert boot["because"] == {**dict(boot["because"]), "reason": "rolled-back", "log": "gate/org"}  # type: ignore[call-overload]
    for name in ("org", "org~2", *(f"{number}{epoch}" for number in numbers for epoch in ("", "~2"))):
        key = VerificationKey.from_text((gate.folder / "keys" / "org.pub").read_text()).renamed(f"gate/{name}")
        assert verify(log / f"gate-{name}", key.vkey).findings == []


def below(process: int) -> list[int]:
    """The ids of the processes that a process started."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_the_org_logs_process_is_started_again_when_it_dies(gate: GateProcess, witness: WitnessProcess) -> None:
    gate.start()
    assert gate.process is not None
    guards = [child for child in below(gate.process.pid) if below(child)]
    ((worker,),) = [below(guard) for guard in guards]
    witnessed = gate.folder / "log/gate-org/witnessed"
    until(witnessed.exists)

    def is_seen_dead() -> bool:
        """Kill it again until its absence is seen: each pause is longer than the one before."""
        for process in below(guards[0]):
            os.kill(process, signal.SIGKILL)
        return gate.published("org_log_running") == 0

    until(is_seen_dead)
    with gate.connect("ann", "shop") as client:
        client.execute("SELECT 1")
    until(lambda: gate.published("org_log_running") == 1)
    before = witnessed.read_bytes()
    until(lambda: below(guards[0]) not in ([], [worker]) and witnessed.read_bytes() != before)
    gate.stop()
    until(lambda: is_free(gate.folder / "log/gate-org/lock"))
    assert '"org-log-ended"' in (gate.folder / "stderr.txt").read_text()
    assert gate.verify().returncode == 0
    assert verify(witnessed.parent, (gate.folder / "keys" / "org.pub").read_text()).findings == []
