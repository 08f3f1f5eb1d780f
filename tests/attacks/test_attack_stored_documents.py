"""A document kept in a materialised view, or in one over it, is masked by the paths of the table it came from.

Source: promise 5; masking.md 4.2 ("propagate classes along lineage").
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, prefs jsonb);
INSERT INTO people SELECT i, jsonb_build_object('phone', '+49 777 00000' || i, 'theme', 'dark') FROM generate_series(1, 9) i;
CREATE MATERIALIZED VIEW kept AS SELECT id, prefs AS p FROM people;
CREATE MATERIALIZED VIEW kept_again AS SELECT id AS n, p AS q, p ->> 'phone' AS number, p::text || '' AS whole FROM kept;
CREATE VIEW over_it AS SELECT * FROM kept_again
"""
STATEMENTS = (
    "SELECT p FROM kept", "SELECT k FROM kept k", "SELECT row_to_json(k) FROM kept k", "SELECT p ->> 'phone' FROM kept",
    "SELECT q, number, whole FROM kept_again", "SELECT * FROM over_it", "SELECT upper(number), md5(whole) FROM kept_again",
    "COPY kept TO STDOUT", "COPY (SELECT * FROM over_it) TO STDOUT",
)  # fmt: skip


@pytest.fixture(scope="module")
def gate(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(pg18, "attack_stored_documents", SCRIPT)
    running = GateProcess(tmp_path_factory.mktemp("documents") / "gate", {"shop": (dsn, "development")}).init()
    running.label("shop", "person.phone", "people.prefs->phone")
    running.start()
    yield running
    running.stop()
    drop_database(pg18, "attack_stored_documents")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_number_is_shown(gate: GateProcess, statement: str) -> None:
    with gate.connect("ann", "shop") as ann:
        try:
            if statement.startswith("COPY"):
                with ann.cursor().copy(statement.encode()) as copy:
                    shown = b"".join(bytes(piece) for piece in copy).decode()
            else:
                shown = str(ann.execute(statement.encode()).fetchall())
        except psycopg.Error as error:
            shown = str(error)
    assert shown
    assert "777 00000" not in shown


def test_what_no_path_names_stays(gate: GateProcess) -> None:
    with gate.connect("ann", "shop") as ann:
        (row,) = ann.execute("SELECT p, prefs FROM kept JOIN people USING (id) WHERE id = 3").fetchall()
    print(row)
