"""What a real gate and a real witness leave behind."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.entry import decode
from lockgate.ledger.note import split_note
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database
from support.tampering import stated
from support.waiting import until
from support.witness import WitnessProcess

SETUP = "CREATE TABLE people(id int PRIMARY KEY, email text); INSERT INTO people VALUES (1, 'alice@example.com')"


@dataclass
class Produced:
    """A gate that has ended, and a copy of its logs from before.

    Args:
        gate: its folder has `log`, `keys` and `trust.policy`.
        earlier: the folder `log` as it was in between.
    """

    gate: GateProcess
    earlier: Path


def is_covered(gate: GateProcess) -> bool:
    """Whether a witnessed root covers everything of the worker."""
    org = gate.folder / "log/gate-org"
    if not (org / "witnessed").exists():
        return False
    size = Checkpoint.parse(split_note((org / "witnessed").read_bytes())[0]).size
    taken = [decode(entry) for index, entry in entries(str(org), RealFiles()) if index < size]
    sizes = [entry["size"] for entry in taken if entry["kind"] == "checkpoint"]
    return bool(sizes) and sizes[-1] == stated(gate.log_folder).size


def produce(pg18: EmbeddedPostgres, folder: Path) -> Produced:
    """Two runs of a gate with a witness, about 500 records."""
    dsn = create_database(pg18, "produced", SETUP)
    settings = {"ledger": 'witness_policy = "trust.policy"\nwitness_seconds = 0.1'}
    gate = GateProcess(folder / "gate", {"shop": (dsn, "development")}, settings=settings).init()
    witness = WitnessProcess(folder / "witness", gate.folder / "keys" / "org.pub").start()
    try:
        witness.write_policy(gate.folder / "trust.policy")
        gate.start()
        with gate.connect("clara", "shop") as client:
            for number in range(40):
                client.execute("SELECT id, email FROM people WHERE id = %s", (number,))
            client.execute("SELECT id FROM people WHERE email = 'alice@example.com'")
            until(lambda: is_covered(gate))
            shutil.copytree(gate.folder / "log", folder / "earlier", ignore=shutil.ignore_patterns("lock", "*.tmp"))
            for number in range(100):
                client.execute("SELECT id, email FROM people WHERE id = %s", (number,))
        gate.stop()
        gate.start()
        with gate.connect("ann", "shop") as client:
            client.execute("INSERT INTO people(id) VALUES (2)")
        gate.stop()
        until(lambda: is_covered(gate))
    finally:
        gate.stop()
        witness.stop()
        drop_database(pg18, "produced")
    return Produced(gate, folder / "earlier")
