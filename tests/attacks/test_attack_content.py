"""What names did not tell, content and lineage do: a column is labelled when its values are seen, or when they are copied into it.

Source: promise 5; masking.md 0.7, 2.3 (writes) and 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lockgate.ledger.entry import decode
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, email text, full_name text);
INSERT INTO people SELECT i, 'canary' || i || '@real.example', 'Canary ' || i FROM generate_series(1, 200) i;
CREATE TABLE tickets(id int PRIMARY KEY, misc text, state text, extra text, flavour text);
INSERT INTO tickets SELECT i, CASE WHEN i > 30 THEN 'canary' || i || '@real.example' END, 'open', 'note for +49 30 55512' || lpad(i::text, 3, '0'), 'fine'
  FROM generate_series(1, 200) i
"""
Person = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def dsn(pg18: EmbeddedPostgres) -> Iterator[str]:
    yield create_database(pg18, "attack_content", SCRIPT)
    drop_database(pg18, "attack_content")


@pytest.fixture
def gate(dsn: str, tmp_path: Path) -> Iterator[GateProcess]:
    tmp_path.chmod(0o755)
    running = GateProcess(tmp_path / "gate", {"shop": (dsn, "development")}).init()
    running.start()
    yield running
    running.stop()


def events(gate: GateProcess, event: str) -> list[dict[str, object]]:
    """Of all workers' logs."""
    found = [decode(entry) for folder in gate.log_folders for _, entry in entries(str(folder), RealFiles())]
    return [entry for entry in found if entry.get("event") == event]


def test_a_column_whose_content_is_sensitive_is_labelled_from_then_on(gate: GateProcess) -> None:
    with gate.connect("ann", "shop") as ann:
        for text in ("SELECT id, misc FROM tickets ORDER BY id", "SELECT extra FROM tickets"):
            with pytest.raises(psycopg.Error) as caught:
                ann.execute(text)
            assert "rule=content-found" in str(caught.value.diag.message_detail)
            shown = ann.execute(text).fetchall()
            assert len(shown) == 200
            assert "anary" not in str(shown)
            assert "55512" not in str(shown)
        assert ann.execute("SELECT state, flavour FROM tickets WHERE id = 5").fetchall() == [("open", "fine")]
        with gate.connect("clara", "shop") as clara:
            assert clara.execute("SELECT misc FROM tickets WHERE id = 31").fetchone() == ("canary31@real.example",)
    labelled = [(e["column"], e["label"], e["by"]) for e in events(gate, "label-found")]
    assert labelled == [
        ("public.tickets.misc", "person.email", "content"),
        ("public.tickets.extra", "text.free", "content"),
    ]
    gate.stop()
    gate.start()
    with gate.connect("ann", "shop") as ann:
        assert "anary" not in str(ann.execute("SELECT misc FROM tickets").fetchall())


def test_a_persons_decision_stands_above_what_was_found(gate: GateProcess) -> None:
    gate.run("catalog", "label", "--config", str(gate.config), "--database", "shop", "public.tickets.misc", "none")
    gate.stop()
    gate.start()
    with gate.connect("ann", "shop") as ann:
        assert ("canary31@real.example",) in ann.execute("SELECT misc FROM tickets").fetchall()
    assert not events(gate, "label-found")


def test_labels_follow_data_into_new_and_unlabelled_columns(gate: GateProcess) -> None:
    with gate.connect("root", "shop") as root, gate.connect("ann", "shop") as ann:
        assert ann.execute("SELECT flavour FROM tickets WHERE id = 5").fetchall() == [("fine",)]
        root.execute("CREATE TABLE copied AS SELECT id AS n, email AS a, upper(full_name) AS b FROM people")
        root.execute("SELECT id, email INTO chosen FROM people")
        root.execute("GRANT SELECT ON copied, chosen TO PUBLIC")
        root.execute("INSERT INTO tickets(id, state) SELECT id + 1000, full_name FROM people")
        root.execute("UPDATE tickets SET flavour = 'wrote ' || email FROM people WHERE people.id = tickets.id")
        for text in (
            "SELECT n, a, b FROM copied", "SELECT email FROM chosen", "SELECT state FROM tickets WHERE id > 1000", "SELECT flavour FROM tickets",
        ):  # fmt: skip
            shown = str(ann.execute(text.encode()).fetchall())
            assert "anary" not in shown, text
            assert "CANARY" not in shown, text
    labels = {str(e["column"]): e["label"] for e in events(gate, "label-found")}
    assert labels == {
        "public.copied.a": "person.email", "public.copied.b": "text.free", "public.chosen.email": "person.email",
        "public.tickets.state": "person.name", "public.tickets.flavour": "text.free",
    }  # fmt: skip
