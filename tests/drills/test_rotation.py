"""Rotation: a new epoch or a new key gives every value a new pseudonym, and the old ones find nothing any more."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, email text);
INSERT INTO people SELECT i, 'canary' || i || '@real.example' FROM generate_series(1, 9) i;
CREATE TABLE orders(id int PRIMARY KEY, contact_email text);
INSERT INTO orders SELECT i, 'canary' || i || '@real.example' FROM generate_series(1, 9) i
"""


@pytest.fixture
def gate(pg18: EmbeddedPostgres, tmp_path: Path) -> Iterator[GateProcess]:
    tmp_path.chmod(0o755)
    running = GateProcess(
        tmp_path / "gate", {"shop": (create_database(pg18, "rotation", SCRIPT), "development")}
    ).init()
    running.start()
    yield running
    running.stop()
    drop_database(pg18, "rotation")


def restarted(gate: GateProcess, *lines: str) -> None:
    """Start again with these lines in the section of masking."""
    gate.stop()
    kept = gate.config.read_text().split("\n[masking]\n")
    rest = kept[1].partition("\n\n")[2] if len(kept) > 1 else ""
    gate.config.write_text(kept[0] + "\n[masking]\n" + "\n".join(lines) + "\n\n" + rest)
    gate.start()


def shown(gate: GateProcess) -> str:
    """The mask of one value, which is the same in both tables and finds its rows."""
    with gate.connect("ann", "shop") as ann:
        row = ann.execute(
            "SELECT p.email, o.contact_email FROM people p JOIN orders o USING (id) WHERE id = 7"
        ).fetchone()
        assert row is not None
        assert row[0] == row[1]
        assert "canary" not in str(row[0])
        found = ann.execute("SELECT o.id FROM orders o WHERE contact_email = %s", (row[0],)).fetchall()
        assert found == [(7,)]
        return str(row[0])


def test_a_new_epoch_or_key_gives_new_pseudonyms_and_the_old_ones_find_nothing(gate: GateProcess) -> None:
    first = shown(gate)
    restarted(gate, "epoch = 2")
    second = shown(gate)
    assert second != first
    with gate.connect("ann", "shop") as ann:
        assert ann.execute("SELECT id FROM people WHERE email = %s", (first,)).fetchall() == []
    key = next(gate.folder.rglob("pseudonym.key"))
    gate.environment["MASKING_KEY"] = key.read_text().strip()
    restarted(gate, "epoch = 2", 'key = "env:MASKING_KEY"')
    key.unlink()
    assert shown(gate) == second
    gate.environment["MASKING_KEY"] = secrets.token_hex(32)
    restarted(gate, "epoch = 2", 'key = "env:MASKING_KEY"')
    assert shown(gate) not in (first, second)
