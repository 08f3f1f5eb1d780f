"""The analysis connection executes nothing of a client's: the server's own log shows what ran there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SETUP = """
CREATE TABLE people(id bigint PRIMARY KEY, email text, city text);
INSERT INTO people SELECT g, 'person' || g || '@raw-value.example', 'York' FROM generate_series(1, 9) g;
CREATE TABLE marks(id bigint);
CREATE FUNCTION mark(n bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS 'BEGIN INSERT INTO marks VALUES (n); RETURN n; END';
"""
STATEMENTS = (
    "SELECT email FROM people",
    "SELECT mark(4711)",
    "INSERT INTO people VALUES (4711, 'x', 'y')",
    "UPDATE people SET city = 'z4711' WHERE id = 1",
    "DELETE FROM people WHERE id = 4711",
    "WITH w AS (INSERT INTO marks VALUES (4711) RETURNING id) SELECT * FROM w",
    "EXPLAIN SELECT mark(4711)",
    "EXPLAIN ANALYZE SELECT mark(4711)",
    "PREPARE p AS SELECT mark(4711)",
    "CREATE TABLE made4711 AS SELECT mark(4711) AS m",
    "SELECT no_such_4711()",
)
OWN = (
    "pg_catalog.",
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "COMMIT",
    "DISCARD",
    "SET ",
    "SELECT set_config",
)


@pytest.fixture
def place(pg15: EmbeddedPostgres, tmp_path: Path) -> Iterator[tuple[GateProcess, str, str]]:
    dsn = create_database(pg15, "analysislink", SETUP)
    gate = GateProcess(tmp_path / "gate", {"shop": (dsn, "development")}).init()
    role = re.search(r'^analysis_role = "(.+)"$', gate.config.read_text(), re.MULTILINE)
    assert role is not None
    with psycopg.connect(dsn, autocommit=True) as admin:
        # What `init` set so that the server keeps no client's text is turned around here, to see everything that runs.
        admin.execute(f"ALTER ROLE \"{role[1]}\" SET log_statement = 'all'")
        admin.execute(f"ALTER ROLE \"{role[1]}\" SET log_min_messages = 'log'")
    yield gate.start(), dsn, role[1]
    assert gate.stop() == 0
    drop_database(pg15, "analysislink")


def executed(log: str, role: str) -> list[str]:
    """Everything that the server says the role ran: a simple query is a `statement`, a portal an `execute`."""
    return re.findall(rf"^[^\n]*\] {re.escape(role)}@[^\n]*LOG:  (?:statement|execute [^:]*): (.*)$", log, re.MULTILINE)


def test_the_analysis_connection_executes_nothing_of_a_client_s(
    place: tuple[GateProcess, str, str], pg15: EmbeddedPostgres
) -> None:
    gate, dsn, role = place
    with gate.connect("clara", "shop") as session:
        for text in STATEMENTS:
            with suppress(psycopg.Error):
                session.execute(text.encode())
        with suppress(psycopg.Error):
            session.execute("SELECT mark(%s)", (4712,))
    ran = executed(pg15.log_text(), role)
    assert ran, "the log shows not even the gate's own catalogue queries"
    assert [text for text in ran if "4711" in text or "4712" in text or "people" in text] == []
    assert [text for text in ran if text.strip() and not any(own in text for own in OWN)] == []
    with psycopg.connect(dsn) as direct:
        rights = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND has_table_privilege(%s, oid, 'SELECT, INSERT, UPDATE, DELETE')"
        assert direct.execute(rights, (role,)).fetchone() == (0,)


def test_what_is_only_analysed_leaves_no_mark(place: tuple[GateProcess, str, str]) -> None:
    gate, dsn, _ = place
    with gate.connect("ann", "shop") as session:
        for text in ("SELECT mark(id) FROM people", "PREPARE p AS SELECT mark(1)", "EXPLAIN SELECT mark(1)"):
            with suppress(psycopg.Error):
                session.execute(text.encode())
    with psycopg.connect(dsn) as direct:
        count = direct.execute("SELECT count(*) FROM marks").fetchone()
    with psycopg.connect(dsn) as direct, gate.connect("ann", "shop") as session:
        with pytest.raises(psycopg.Error):
            session.execute("SELECT upper(email), mark(1) FROM people")
        assert direct.execute("SELECT count(*) FROM marks").fetchone() == count
