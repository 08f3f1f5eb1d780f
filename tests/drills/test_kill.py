"""kill -9 under load on files that lose everything unsynced, and a disk whose sync fails: no answer without a durable intent."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from lockgate.app.evidence import log_text
from lockgate.config.build import load_settings
from lockgate.ledger.entry import decode
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from lockgate.testing.engines import EmbeddedPostgres
from support import synced_files
from support.gate import GateProcess
from support.servers import MakeDatabase

SETUP = "CREATE TABLE marks(id bigint PRIMARY KEY, who text)"
ROUNDS = pytest.param(50, marks=pytest.mark.slow), 6


class DrilledGate(GateProcess):
    """A gate on files that lose what was not synced."""

    def start(self) -> GateProcess:
        """Serve through the drill's own entry point."""
        return self.launch([sys.executable, str(Path(synced_files.__file__)), str(self.config)])


def _texts(gate: GateProcess) -> set[str]:
    """The decrypted texts of every intent in the log."""
    settings = load_settings(gate.config, environment={})
    found = set()
    for index, entry in entries(str(gate.log_folder), RealFiles()):
        fields = decode(entry)
        if fields["kind"] == "intent":
            found.add(log_text(settings, str(gate.log_folder), fields, index).split(b"\x00")[0].decode())
    return found


def _load(gate: GateProcess, seen: set[str], stop: threading.Event, worker: int, start: int) -> None:
    number = start
    try:
        with gate.connect("ann", "shop") as client:
            while not stop.is_set():
                number += 1
                text = (
                    f"SELECT {number} AS mark, {worker} AS worker"
                    if number % 3
                    else f"INSERT INTO marks(id, who) VALUES ({number * 100 + worker}, 'w')"
                )
                client.execute(text.encode(), prepare=False)
                seen.add(text)
    except psycopg.Error:
        return


@pytest.fixture
def gate(pg18: EmbeddedPostgres, make_database: MakeDatabase, tmp_path: Path):  # type: ignore[no-untyped-def]
    drilled = DrilledGate(tmp_path / "gate", {"shop": (make_database(pg18, SETUP), "development")}).init()
    yield drilled
    drilled.stop()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rounds", ROUNDS)
def test_no_answer_was_shown_without_a_durable_intent_over_many_kills(gate: GateProcess, rounds: int) -> None:
    seen: set[str] = set()
    for round_ in range(rounds):
        gate.start()
        stop = threading.Event()
        workers = [threading.Thread(target=_load, args=(gate, seen, stop, w, round_ * 100_000)) for w in range(3)]
        for worker in workers:
            worker.start()
        # However slow the machine is: some answers have been shown when it dies, and others are on their way.
        before, deadline = len(seen), time.monotonic() + 30
        while len(seen) < before + 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep((round_ % 7) * 0.03)
        gate.kill()
        stop.set()
        for worker in workers:
            worker.join()
        done = gate.verify()
        assert done.returncode == 0, done.stdout + done.stderr
    gate.start()
    gate.stop()
    assert len(seen) > rounds
    assert not seen - _texts(gate)
    assert gate.verify().returncode == 0
    unknown = [r for r in gate.search() if r["decision"] == "permit" and r["status"] is None]
    assert unknown == []


def test_while_sync_fails_nothing_runs_and_sessions_recover_by_themselves(gate: GateProcess) -> None:
    gate.start()
    trouble = gate.folder / "trouble"
    with gate.connect("ann", "shop") as client:
        client.execute("INSERT INTO marks VALUES (1, 'before')")
        trouble.write_text("")
        refused = 0
        for _ in range(3):
            with pytest.raises(psycopg.Error) as caught:
                client.execute("INSERT INTO marks VALUES (2, 'during')")
            refused += caught.value.sqlstate == "58030"
        assert refused == 3
        trouble.unlink()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                client.execute("INSERT INTO marks VALUES (3, 'after')")
                break
            except psycopg.errors.IoError:
                time.sleep(0.1)
        assert client.execute("SELECT array_agg(id ORDER BY id) FROM marks").fetchone() == ([1, 3],)
    gate.stop()
    assert gate.verify().returncode == 0
