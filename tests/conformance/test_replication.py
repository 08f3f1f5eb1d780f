"""Replication connections by policy, with the programs that PostgreSQL ships and with a subscriber.

Source: PostgreSQL documentation, 55.4 (Streaming Replication Protocol); architecture section 3, step 4.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.pq.abc import PGconn

from lockgate.testing.engines import EmbeddedPostgres, debian_installation, scratch_directory
from support.gate import GateProcess, replaced
from support.servers import create_database, drop_database, find_program

SETUP = """
CREATE TABLE customers(id int PRIMARY KEY, email text);
INSERT INTO customers SELECT g, 'person' || g || '@example.com' FROM generate_series(1, 50) g;
CREATE PUBLICATION everything FOR ALL TABLES;
"""
PRINCIPALS = """\
[[principal]]
name = "keeper"
kind = "service"
groups = ["replicators", "unmaskers"]

[[principal]]
name = "halfway"
kind = "service"
groups = ["replicators", "shop-unmaskers"]

[[principal]]
name = "masked"
kind = "service"
groups = ["replicators"]

[[principal]]
name = "clara"
kind = "person"
groups = ["unmaskers", "writers"]
"""
POLICY = """
@id("replicators")
permit (principal in Group::"replicators", action in [Action::"replicate", Action::"read", Action::"export"], resource);
@id("replicators-see-the-unlabelled")
permit (principal in Group::"replicators", action == Action::"unmask", resource) when { resource.labels == ["unknown"] };
@id("shop-unmaskers")
permit (principal in Group::"shop-unmaskers", action == Action::"unmask", resource in Database::"shop");
"""


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    installation = debian_installation(15)
    if installation is None:
        pytest.skip("Debian package postgresql-15 is not installed")
    with scratch_directory("lockgate-replication-") as scratch:
        settings = {"wal_level": "logical", "max_wal_senders": "8", "max_replication_slots": "8"}
        running = EmbeddedPostgres(scratch / "pg", password="superuser", installation=installation, settings=settings)
        running.start()
        create_database(running, "shop", SETUP)
        create_database(running, "staff", "CREATE TABLE people(id int PRIMARY KEY, email text)")
        with psycopg.connect(running.dsn(), autocommit=True) as link:
            link.execute("CREATE ROLE copier LOGIN REPLICATION PASSWORD 'copies'")
        with psycopg.connect(running.dsn("shop"), autocommit=True) as link:
            link.execute("GRANT pg_read_all_data TO copier")
        yield running
        running.stop()


@pytest.fixture(scope="module")
def gate(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    databases = {name: (server.dsn(name), "development") for name in ("postgres", "shop", "staff")}
    running = GateProcess(
        tmp_path_factory.mktemp("replication") / "gate", databases, principals=PRINCIPALS,
        policies={"90-replication.cedar": POLICY},
    ).init()  # fmt: skip
    lines = 'replication_role = "copier"\nreplication_password = "env:COPIER"\n'
    running.config.write_text(running.config.read_text().replace("[[database]]\n", f"[[database]]\n{lines}"))
    running.environment = {"COPIER": "copies"}
    running.start()
    yield running
    assert running.stop() == 0


def program(name: str) -> str:
    """A client program; Debian's wrapper would add options of its own to none of these."""
    found = find_program(name)
    assert found is not None
    return found


def environment(gate: GateProcess, principal: str) -> dict[str, str]:
    return {
        **os.environ, "PGHOST": gate.host, "PGPORT": str(gate.port), "PGUSER": principal, "PGPASSWORD": gate.token(principal),
        "PGSSLMODE": "require",
    }  # fmt: skip


def ran(gate: GateProcess, principal: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program(command[0]), *command[1:]], env=environment(gate, principal), capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip


def logical(gate: GateProcess, principal: str, database: str = "shop") -> PGconn:
    """A raw logical replication connection; what went wrong is in its error message."""
    dsn = gate.dsn(principal, database) + " replication=database"
    return psycopg.pq.PGconn.connect(dsn.encode())


def sqlstate(link: PGconn, text: str) -> str:
    """How a command ends."""
    result = link.exec_(text.encode())
    return (result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"").decode()


def recorded(gate: GateProcess, kind: str) -> list[dict[str, object]]:
    """Entries of statements of one kind, each with its outcome where there is one."""
    return [entry for entry in gate.search("--limit", "500") if entry.get("statement") == kind]


def active(server: EmbeddedPostgres, slot: str) -> bool:
    """Whether somebody reads from a slot."""
    with psycopg.connect(server.dsn(), autocommit=True) as link:
        found = link.execute("SELECT active FROM pg_replication_slots WHERE slot_name = %s", [slot]).fetchone()
    return found == (True,)


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("principal", "database", "why"),
    [
        ("masked", "shop", "past every mask"),
        ("clara", "shop", "no policy permits"),
        ("halfway", "staff", "past every mask"),
    ],
)
def test_who_sees_a_mask_or_is_not_permitted_gets_no_connection(
    gate: GateProcess, principal: str, database: str, why: str
) -> None:
    link = logical(gate, principal, database)
    assert link.status == psycopg.pq.ConnStatus.BAD
    assert why in link.error_message.decode()


def test_a_physical_connection_needs_every_database_of_the_server(gate: GateProcess) -> None:
    assert logical(gate, "halfway").status == psycopg.pq.ConnStatus.OK
    done = ran(gate, "halfway", "pg_receivewal", "--create-slot", "--slot", "halfway")
    assert done.returncode != 0
    assert "not permitted on `staff`" in done.stderr
    link = logical(gate, "halfway")
    assert sqlstate(link, "IDENTIFY_SYSTEM") == ""
    assert sqlstate(link, "BASE_BACKUP (CHECKPOINT 'fast')") == "42501"
    assert sqlstate(link, "START_REPLICATION 0/0") == "42501"
    assert sqlstate(link, "START_REPLICATION SLOT logical PHYSICAL 0/0") == "42501"
    link.finish()


def test_a_database_that_the_gate_does_not_know_keeps_physical_connections_out(
    gate: GateProcess, server: EmbeddedPostgres
) -> None:
    create_database(server, "stranger")
    try:
        done = ran(gate, "keeper", "pg_receivewal", "--create-slot", "--slot", "kept_out")
        assert done.returncode != 0
        assert "not one of the gate's" in done.stderr
    finally:
        drop_database(server, "stranger")


@pytest.mark.slow
def test_a_base_backup_is_recorded_and_counted(gate: GateProcess, tmp_path: Path) -> None:
    done = ran(gate, "keeper", "pg_basebackup", "-D", str(tmp_path / "copy"), "-X", "stream", "-c", "fast")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy" / "PG_VERSION").read_text().strip() == "15"
    check = ["/usr/lib/postgresql/15/bin/pg_verifybackup", "-n", str(tmp_path / "copy")]
    assert subprocess.run(check, capture_output=True, check=False, timeout=60).returncode == 0
    (backup,) = [entry for entry in recorded(gate, "base-backup") if entry["principal"] == "keeper"]
    assert backup["status"] == "complete"
    assert int(str(backup["bytes"])) > 10_000_000
    assert recorded(gate, "replication-stream")


@pytest.mark.slow
def test_wal_is_received_through_the_gate(gate: GateProcess, server: EmbeddedPostgres, tmp_path: Path) -> None:
    assert ran(gate, "keeper", "pg_receivewal", "--create-slot", "--slot", "archive").returncode == 0
    command = [program("pg_receivewal"), "-D", str(tmp_path), "--slot", "archive", "--no-loop"]
    receiving = subprocess.Popen(
        command, env=environment(gate, "keeper"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        with psycopg.connect(server.dsn("shop"), autocommit=True) as link:
            wait_for(lambda: active(server, "archive"))
            for _ in range(2):
                link.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000))")
                link.execute("SELECT pg_switch_wal()")
        wait_for(lambda: [f for f in tmp_path.iterdir() if not f.name.endswith(".partial")])
    finally:
        receiving.send_signal(signal.SIGINT)
        _, said = receiving.communicate(timeout=30)
    assert receiving.returncode == 0, said
    assert ran(gate, "keeper", "pg_receivewal", "--drop-slot", "--slot", "archive").returncode == 0


def test_changes_are_decoded_and_the_stream_is_counted(
    gate: GateProcess, server: EmbeddedPostgres, tmp_path: Path
) -> None:
    slot = ("pg_recvlogical", "-d", "shop", "--slot", "changes")
    assert ran(gate, "keeper", *slot, "--create-slot", "-P", "test_decoding").returncode == 0
    found = tmp_path / "changes.txt"
    command = [program(slot[0]), *slot[1:], "--start", "-f", str(found)]
    receiving = subprocess.Popen(
        command, env=environment(gate, "keeper"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        with psycopg.connect(server.dsn("shop"), autocommit=True) as link:
            link.execute("UPDATE customers SET email = 'changed@example.com' WHERE id = 7")
        wait_for(lambda: found.exists() and "changed@example.com" in found.read_text())
    finally:
        receiving.send_signal(signal.SIGINT)
        _, said = receiving.communicate(timeout=30)
    assert receiving.returncode == 0, said
    streams = [entry for entry in recorded(gate, "replication-stream") if entry["shape"] == "START_REPLICATION LOGICAL"]
    assert [(s["principal"], s["database"]) for s in streams] == [("keeper", "shop")]
    assert int(str(streams[0]["bytes"])) > 100
    assert ran(gate, "keeper", *slot, "--drop-slot").returncode == 0
    slots = recorded(gate, "replication-slot")
    assert {"CREATE_REPLICATION_SLOT", "DROP_REPLICATION_SLOT"} <= {str(entry["shape"]) for entry in slots}


@pytest.mark.slow
def test_another_server_subscribes_through_the_gate(gate: GateProcess, pg15: EmbeddedPostgres) -> None:
    dsn = create_database(pg15, "subscriber", "CREATE TABLE customers(id int PRIMARY KEY, email text)")
    conninfo = gate.dsn("keeper", "shop").replace("'", "''")
    try:
        with psycopg.connect(dsn, autocommit=True) as link:
            link.execute(f"CREATE SUBSCRIPTION whole CONNECTION '{conninfo}' PUBLICATION everything".encode())
            wait_for(lambda: link.execute("SELECT count(*) FROM customers").fetchone() == (50,), 40)
            link.execute("DROP SUBSCRIPTION whole")
    finally:
        drop_database(pg15, "subscriber")
    assert [e["principal"] for e in recorded(gate, "copy-out")] == ["keeper"]


def test_only_known_commands_and_no_extended_protocol(gate: GateProcess) -> None:
    link = logical(gate, "keeper")
    assert sqlstate(link, "IDENTIFY_SYSTEM;") == ""
    assert sqlstate(link, "SHOW wal_segment_size") == ""
    assert sqlstate(link, "SELECT count(*) FROM customers") == ""
    for text in (
        "START_REPLICATION_SOON 0/0", "IDENTIFY_SYSTEM; SELECT 1", "TIMELINE_HISTORY 1; BASE_BACKUP", "/* */ BASE_BACKUP",
        "\x0bBASE_BACKUP", "DROP_REPLICATION_SLOT x; BASE_BACKUP", "SHOW a; BASE_BACKUP",
    ):  # fmt: skip
        assert sqlstate(link, text) not in ("", "42P01"), text
    result = link.exec_params(b"SELECT 1", [])
    assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"08P01"
    assert sqlstate(link, "IDENTIFY_SYSTEM") == ""
    link.finish()


def test_a_stream_ends_when_its_principal_may_not_have_it_any_more(
    gate: GateProcess, server: EmbeddedPostgres, tmp_path: Path
) -> None:
    slot = ("pg_recvlogical", "-d", "shop", "--slot", "withdrawn")
    assert ran(gate, "keeper", *slot, "--create-slot", "-P", "test_decoding").returncode == 0
    command = [program(slot[0]), *slot[1:], "--start", "-f", str(tmp_path / "changes.txt"), "--no-loop"]
    receiving = subprocess.Popen(
        command, env=environment(gate, "keeper"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    principals = gate.folder / "principals.toml"
    try:
        wait_for(lambda: active(server, "withdrawn"))
        replaced(principals, PRINCIPALS.replace('["replicators", "unmaskers"]', '["replicators"]'))
        _, said = receiving.communicate(timeout=60)
    finally:
        receiving.kill()
        replaced(principals, PRINCIPALS)
    assert receiving.returncode != 0
    assert "past every mask" in said
