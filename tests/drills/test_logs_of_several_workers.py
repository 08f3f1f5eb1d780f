"""Everything that reads or changes the record knows the logs of all workers, whether they run now or not."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lockgate.app.completeness import newest
from lockgate.app.evidence import gate_logs, worker_logs
from lockgate.cli.log import reference
from lockgate.config.build import load_settings
from lockgate.errors import ConfigError
from lockgate.ledger.entry import decode
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from lockgate.testing.engines import EmbeddedPostgres
from support.crash_world import Clock
from support.gate import GateProcess
from support.servers import create_database, drop_database

PERSON = "alice@example.com"
WORKERS = ("1", "2", "10")


def opened(gate: GateProcess, worker: str, now: datetime) -> LedgerLog:
    """A worker's log, written at another time."""
    logs = gate_logs(load_settings(gate.config, environment={}))
    entropy = random.Random(f"{worker} {now}").randbytes
    return replace(logs, clock=Clock(now), entropy=entropy).open_worker(worker, {})[0]


@pytest.fixture(scope="module")
def made(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    folder = tmp_path_factory.mktemp("several") / "gate"
    yield GateProcess(folder, {"shop": (create_database(pg18, "severallogs"), "development")}).init()
    drop_database(pg18, "severallogs")


@pytest.fixture
def gate(made: GateProcess) -> Iterator[GateProcess]:
    """A gate that does not run, with logs that three workers wrote."""
    for worker in WORKERS:
        log = opened(made, worker, datetime(2010, 3, int(worker), tzinfo=UTC))
        text = log.seal_text("shop", f"SELECT 1 WHERE 'x' = '{PERSON}'".encode(), ("person",))
        log.append({
            "kind": "intent", "session": worker, "s": 1, "principal": "ann", "database": "shop", "environment": "development", "statement": "select",
            "shape": "SELECT $1", "tables": [], "columns": [], "rules": [], "decision": "permit", "text": text.name, "persons": list(text.persons),
        })  # fmt: skip
        for number in range(600):
            log.append({"kind": "heartbeat", "sessions": number})
        log.append({"kind": "review", "event": "completeness", "database": "shop", "logins": int(worker)})
        log.close()
    yield made
    shutil.rmtree(made.folder / "log")


def test_logs_are_listed_with_the_first_worker_first_and_without_the_org_log(gate: GateProcess) -> None:
    assert [log.origin for log in worker_logs(load_settings(gate.config, environment={}))] == [
        "gate/1",
        "gate/2",
        "gate/10",
    ]


def test_a_person_is_found_in_every_log_and_an_entry_by_its_reference(gate: GateProcess) -> None:
    found = gate.search("--person", PERSON)
    assert sorted(str(row["log"]) for row in found) == ["gate/1", "gate/10", "gate/2"]
    for row in found:
        shown = gate.run("log", "show", f"{row['log']}#{row['index']}", "--text", "--config", str(gate.config)).stdout
        assert f'"session": "{str(row["log"]).partition("/")[2]}"' in shown
        assert PERSON in shown
    unnamed = gate.run("log", "show", "1", "--config", str(gate.config), check=False)
    assert (unnamed.returncode, "gate/1, gate/2, gate/10" in unnamed.stderr) == (2, True)


def test_an_erasure_reaches_the_texts_of_every_log_and_stands_in_each(gate: GateProcess) -> None:
    arguments = ("log", "erase", "--config", str(gate.config), "--subject", PERSON, "--reason", "request-7", "--yes")
    done = gate.run(*arguments, "--json")
    assert json.loads(done.stdout)["count"] == len(WORKERS)
    for row in gate.search("--person", PERSON)[:2]:
        reference = f"{row['log']}#{row['index']}"
        shown = gate.run("log", "show", reference, "--text", "--config", str(gate.config), check=False)
        assert "erased" in shown.stderr, reference
        assert PERSON not in shown.stdout + shown.stderr
    for log in worker_logs(load_settings(gate.config, environment={})):
        kinds = [decode(entry) for _, entry in entries(log.folder, RealFiles())]
        assert [e["event"] for e in kinds if e["kind"] == "erasure"] == ["begun", "done"], log.origin
    done = gate.verify()
    assert done.returncode == 0, done.stdout


def test_pruning_removes_what_is_old_from_every_log(gate: GateProcess) -> None:
    arguments = ("log", "prune", "--config", str(gate.config), "--json")
    plan = json.loads(gate.run(*arguments).stdout)
    assert plan["logs"] == dict.fromkeys(("gate/1", "gate/2", "gate/10"), 512)
    done = json.loads(gate.run(*arguments, "--yes").stdout)
    assert (done["pruned"], done["entries"]) == (True, 3 * 512)
    for log in worker_logs(load_settings(gate.config, environment={})):
        found = dict(entries(log.folder, RealFiles()))
        assert min(found) == 512
        said = [decode(entry) for entry in found.values()]
        assert [e["minimum"] for e in said if e.get("event") == "pruned"] == [512], log.origin
    checked = gate.verify()
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("wrong", ["gate/2#", "gate/2#x", "#", "-1", "1" * 30])
def test_what_names_no_entry_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="names no entry"):
        reference(wrong)


def test_the_newest_number_of_completeness_counts_whichever_worker_wrote_it(gate: GateProcess) -> None:
    settings = load_settings(gate.config, environment={})
    assert [entry["logins"] for entry in newest(settings)] == [10]
    log = opened(gate, "2", datetime(2011, 1, 1, tzinfo=UTC))
    log.append({"kind": "review", "event": "completeness", "database": "shop", "logins": 77})
    for number in range(5000):
        log.append({"kind": "heartbeat", "sessions": number})
    log.close()
    assert [entry["logins"] for entry in newest(settings)] == [77]
