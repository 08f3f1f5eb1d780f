"""A masked person who may define tables cannot have a definition read masked columns for them.

Source: promise 5; masking.md 2.1 (SQL text in built-ins); threats K-17, K-19.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attacks.attack_wire_client import WireClient
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, email text); INSERT INTO people VALUES (1, 'canary@real.example');
CREATE SCHEMA scratch; GRANT ALL ON SCHEMA scratch TO PUBLIC
"""
READ = "query_to_xml('SELECT email FROM public.people', true, true, '')::text"


@pytest.fixture(scope="module")
def gate(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(pg18, "attack_definitions", SCRIPT)
    running = GateProcess(tmp_path_factory.mktemp("ddl") / "gate", {"dev": (dsn, "development")}).init()
    running.start()
    yield running
    running.stop()
    drop_database(pg18, "attack_definitions")


@pytest.fixture
def ann(gate: GateProcess) -> Iterator[WireClient]:
    with WireClient(gate, "ann", "dev") as client:
        client.query("DROP TABLE IF EXISTS scratch.s")
        client.query("CREATE TABLE scratch.s(a text)")
        client.query("INSERT INTO scratch.s VALUES ('x')")
        yield client
        client.query("DROP TABLE IF EXISTS scratch.s")


@pytest.mark.parametrize(
    "change",
    [f"ADD COLUMN b text DEFAULT {READ}", f"ALTER COLUMN a TYPE text USING {READ}"],
    ids=["default", "using"],
)
def test_alter_table_cannot_fill_a_column_by_a_query_in_a_string(ann: WireClient, change: str) -> None:
    ann.query(f"ALTER TABLE scratch.s {change}")
    assert b"canary" not in ann.query("SELECT * FROM scratch.s")


def test_a_column_default_is_not_run_unseen_by_copy(ann: WireClient) -> None:
    ann.query("DROP TABLE scratch.s")
    ann.query(f"CREATE TABLE scratch.s(a text, b text DEFAULT {READ})")
    ann.copy_in("COPY scratch.s(a) FROM STDIN", b"x\n")
    assert b"canary" not in ann.query("SELECT * FROM scratch.s")


def test_a_check_constraint_is_no_question_about_masked_values(ann: WireClient) -> None:
    answers = []
    for pattern in ("%canary%", "%nobody%"):
        ann.query("DROP TABLE IF EXISTS scratch.s")
        ann.query(f"CREATE TABLE scratch.s(a text CHECK ({READ} LIKE '{pattern}'))")
        answers.append(b"INSERT 0 1" in ann.query("INSERT INTO scratch.s VALUES ('x')"))
    assert answers[0] == answers[1]


def test_a_domain_is_no_question_about_masked_values(ann: WireClient) -> None:
    answers = []
    for at, pattern in enumerate(("%canary%", "%nobody%")):
        ann.query(f"CREATE DOMAIN scratch.d{at} AS int CHECK ({READ} LIKE '{pattern}')")
        answers.append(b"SELECT 1" in ann.query(f"SELECT 1::scratch.d{at}"))
    assert answers[0] == answers[1]
