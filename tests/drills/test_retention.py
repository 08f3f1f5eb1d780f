"""`lockgate log prune` on a gate's log that is ten years old, while the gate runs and while it does not."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from lockgate.app.evidence import gate_logs
from lockgate.config.build import load_settings
from lockgate.ledger.entry import decode
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from lockgate.testing.engines import EmbeddedPostgres
from support.crash_world import Clock
from support.gate import GateProcess
from support.servers import MakeDatabase


def grow_old(gate: GateProcess, count: int, year: int) -> None:
    """Entries of another year, as the gate would have written them then."""
    logs = gate_logs(load_settings(gate.config, environment={}))
    clock = Clock(datetime(year, 3, 1, tzinfo=UTC))
    log, _ = replace(logs, clock=clock, entropy=random.Random(year).randbytes).open_worker("1", {})
    for number in range(count):
        log.append({"kind": "heartbeat", "sessions": number})
    log.close()


def test_the_policy_decides_what_goes_and_the_log_says_so(
    pg18: EmbeddedPostgres, make_database: MakeDatabase, tmp_path: Path
) -> None:
    gate = GateProcess(tmp_path / "gate", {"shop": (make_database(pg18), "development")}).init()
    grow_old(gate, 600, 2010)

    def prune(*arguments: str) -> dict[str, object]:
        done = gate.run("log", "prune", "--config", str(gate.config), "--json", *arguments, check=False)
        assert done.returncode in {0, 1}, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found

    refused = gate.run("log", "prune", "--config", str(gate.config), "--before", "2999-01-01", check=False)
    assert (refused.returncode, "sealed_days" in refused.stderr) == (2, True)
    gate.start()
    try:
        with gate.connect("ann", "shop") as client:
            client.execute("SELECT 1")
            plan = prune()
            assert (plan["entries"], plan["logs"], plan["pruned"]) == (512, {"gate/1": 512}, False)
            done = prune("--reason", "end of the audit period", "--by", "auditor", "--yes")
            assert (done["pruned"], done["entries"]) == (True, 512)
            client.execute("SELECT 2")
        assert len(gate.search()) == 2
    finally:
        gate.stop()
    found = {index: decode(entry) for index, entry in entries(str(gate.log_folder), RealFiles())}
    assert min(found) == 512
    (said,) = [e for e in found.values() if e.get("event") == "pruned"]
    assert (said["minimum"], said["by"], said["reason"], said["sealed_days"]) == (
        512,
        "auditor",
        "end of the audit period",
        2557,
    )
    gate.start()
    gate.stop()
    done_ = gate.verify()
    assert done_.returncode == 0, done_.stdout + done_.stderr
    assert "pruned" in done_.stdout
