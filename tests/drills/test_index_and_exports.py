"""Index and exports beside a real gate: they follow it, and whatever happens to them, statements go on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import MakeDatabase
from support.waiting import until

SETUP = "CREATE TABLE people(id int PRIMARY KEY, email text); INSERT INTO people VALUES (1, 'real@raw-value.example')"


@pytest.fixture
def gate(pg15: EmbeddedPostgres, make_database: MakeDatabase, tmp_path: Path) -> Iterator[GateProcess]:
    made = GateProcess(tmp_path / "gate", {"shop": (make_database(pg15, SETUP), "production")}).init()
    text = made.config.read_text().replace("[index]\n", '[index]\nurl = "chdb://index"\n', 1)
    made.config.write_text(text + '\n[[export]]\nname = "lake"\nurl = "file:events.jsonl"\nfrom_start = true\n')
    yield made.start()
    made.stop()


def _children(gate: GateProcess, command: str) -> list[int]:
    """Processes of this gate that run a command."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if command in words and str(gate.config) in words:
            found.append(int(folder.name))
    return found


def _read(gate: GateProcess) -> None:
    with gate.connect("ann", "shop") as client:
        assert client.execute("SELECT email FROM people").fetchall()


def _readers(gate: GateProcess) -> tuple[list[dict[str, object]], str]:
    done = gate.run("log", "search", "readers", "--column", "people.email", "--json", "--config", str(gate.config))
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_statements_are_found_and_sent_and_go_on_without_either(gate: GateProcess) -> None:
    socket, events = gate.folder / "run/index.sock", gate.folder / "events.jsonl"
    until(socket.exists)
    for count in (1, 2):
        _read(gate)
        rows, remarks = _readers(gate)
        assert [(row["principal"], row["disposition"], row["statements"]) for row in rows] == [("ann", "masked", count)]
        assert remarks == ""
    (index,) = _children(gate, "index")
    os.kill(index, signal.SIGKILL)
    _read(gate)
    rows, _ = _readers(gate)
    assert rows[0]["statements"] == 3
    until(lambda: "log itself" not in _readers(gate)[1])
    assert _readers(gate)[0][0]["statements"] == 3

    def sent() -> list[str]:
        lines = events.read_text().split("\n")[:-1] if events.exists() else []
        return [made["query_info"]["query_string"] for line in lines if (made := json.loads(line))["class_uid"] == 6005]

    until(lambda: len(sent()) >= 3)
    assert set(sent()) == {"SELECT email FROM people"}
    assert "raw-value" not in events.read_text()
    assert gate.stop() == 0
    assert _children(gate, "index") == _children(gate, "export") == []


def test_a_killed_gate_leaves_no_process_behind(gate: GateProcess) -> None:
    until(lambda: bool(_children(gate, "index") and _children(gate, "export")))
    until((gate.folder / "run/index.sock").exists)
    gate.kill()
    until(lambda: not _children(gate, "index") and not _children(gate, "export"))
