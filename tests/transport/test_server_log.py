"""The server's own log on a real server: logins and audited statements by role, over rotations, each line once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lockgate.control.completeness import Logged
from lockgate.testing.engines import EmbeddedPostgres, debian_installation, embedded_installation, scratch_directory
from lockgate.transport import server_log
from lockgate.transport.pgclient import PgClient, Target
from lockgate.transport.server_log import read_log
from support.servers import DEBIAN_MAJOR
from support.waiting import until

SETTINGS = {
    "logging_collector": "on", "log_destination": "jsonlog,csvlog", "log_connections": "on", "log_min_messages": "log",
    "log_filename": "server-%Y%m%d-%H%M%S.log",
}  # fmt: skip
GRANTS = (
    "GRANT pg_monitor TO watcher; GRANT EXECUTE ON FUNCTION pg_current_logfile(text), pg_stat_file(text, boolean), "
    "pg_read_binary_file(text, bigint, bigint, boolean) TO watcher"
)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with (
        scratch_directory("lockgate-log-") as scratch,
        EmbeddedPostgres(scratch / "pg", installation=embedded_installation(), settings=SETTINGS) as running,
    ):
        with psycopg.connect(running.dsn(), autocommit=True) as admin:
            for role in ("watcher", "stranger", "eve"):
                admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'".encode())
            admin.execute(GRANTS.encode())
            admin.execute("ALTER ROLE eve SET log_min_messages = log")
        yield running


def read(server: EmbeddedPostgres, name: str = "", position: int = 0, *, role: str = "watcher") -> Logged | None:
    async def reading() -> Logged | None:
        client = await PgClient.open(Target("127.0.0.1", server.port, "postgres", role, role), {})
        try:
            return await read_log(client, "postgres", name, position)
        finally:
            client.close()

    return asyncio.run(reading())


def past(server: EmbeddedPostgres, *messages: str) -> None:
    """A login past the gate; the messages are written as pgaudit writes its own."""
    with psycopg.connect(server.dsn(user="eve", password="eve"), autocommit=True) as client:
        for message in messages:
            client.execute(f"DO $$ BEGIN RAISE LOG USING MESSAGE = '{message}'; END $$".encode())


def files(server: EmbeddedPostgres, kind: str) -> list[Path]:
    """The files of one format that the collector has begun."""
    return list((server.data_dir / "log").glob(f"*.{kind.removesuffix('log')}"))


def gathered(server: EmbeddedPostgres, at: Logged, logins: int, audited: int) -> Logged:
    """Read on until so much was found; the collector writes a little later."""
    found = [0, 0]
    deadline = time.monotonic() + 60
    while found != [logins, audited]:
        assert time.monotonic() < deadline, found
        read_on = read(server, at.name, at.position)
        assert read_on is not None
        at = read_on
        found[0] += at.logins["eve"]
        found[1] += at.audited["eve"]
        time.sleep(0.05)
    return at


@pytest.mark.parametrize("kind", ["jsonlog", "csvlog"])
def test_every_login_and_audited_statement_is_found_once_also_over_a_rotation(
    server: EmbeddedPostgres, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_log, "_FORMATS", (kind,))
    monkeypatch.setattr(server_log, "PIECE_BYTES", 1500)
    past(server, f"AUDIT: before {kind}")
    until(lambda: any(f"AUDIT: before {kind}" in path.read_text() for path in files(server, kind)))
    at = read(server)
    assert at is not None
    assert (at.logins, at.position > 0) == ({}, True)
    for number in range(3):
        past(
            server,
            'AUDIT: SESSION,1,1,READ,SELECT,,,"SELECT\n2",<none>',
            f"no audit {number}",
            "connection authorized: not at its end",
        )
    at = gathered(server, at, 3 + 3, 3)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        time.sleep(1.1)  # names of files have seconds
        past(server, "AUDIT: at the end of the file")
        had = len(files(server, kind))
        admin.execute("SELECT pg_rotate_logfile()")
        until(lambda: len(files(server, kind)) > had)
        past(server, "AUDIT: in the next file")
    before = at.name
    at = gathered(server, at, 2, 2)
    assert at.name != before
    again = read(server, at.name, at.position)
    assert again is not None
    assert (again.logins["eve"], again.audited["eve"]) == (0, 0)


@pytest.mark.parametrize("kind", ["jsonlog", "csvlog"])
def test_lines_of_the_real_pgaudit_are_counted_by_role(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installation = debian_installation(DEBIAN_MAJOR)
    if installation is None or not (installation.bin_directory.parent / "lib/pgaudit.so").exists():
        pytest.skip(f"Debian package postgresql-{DEBIAN_MAJOR}-pgaudit is not installed")
    monkeypatch.setattr(server_log, "_FORMATS", (kind,))
    settings = SETTINGS | {
        "shared_preload_libraries": "pgaudit",
        "pgaudit.log": "read,write",
        "pgaudit.log_parameter": "on",
    }
    with (
        scratch_directory("lockgate-audit-") as scratch,
        EmbeddedPostgres(scratch / "pg", installation=installation, settings=settings) as audited,
    ):
        with psycopg.connect(audited.dsn(), autocommit=True) as admin:
            admin.execute(
                "CREATE EXTENSION pgaudit; CREATE TABLE marks(id int, said text); CREATE ROLE eve LOGIN PASSWORD 'eve'"
            )
            admin.execute("CREATE ROLE watcher LOGIN PASSWORD 'watcher'; GRANT ALL ON marks TO eve")
            admin.execute(GRANTS.encode())
        at = read(audited)
        assert at is not None
        with psycopg.connect(audited.dsn(user="eve", password="eve"), autocommit=True) as eve:
            eve.execute('SELECT count(*)\nFROM marks -- "quoted", and a comma')
            eve.execute("INSERT INTO marks VALUES (%s, %s)", (1, 'AUDIT: "\n",'))
            eve.execute("SET application_name = 'not audited'")
            eve.execute("DELETE FROM marks")
        at = gathered(audited, at, 1, 3)
        assert set(at.audited) <= {"eve", "watcher"}


def test_a_role_that_may_not_read_the_log_says_nothing_about_it(server: EmbeddedPostgres) -> None:
    assert read(server, role="stranger") is None


def test_a_row_of_csv_that_is_not_whole_waits() -> None:
    row = b'a,b,"x\ny ""z"" ",c\n'
    for cut in range(len(row)):
        assert server_log._whole_rows(row + row[:cut]) == len(row)
    assert server_log._whole_rows(row[:-1]) == 0
    assert server_log._whole_rows(row * 2) == 2 * len(row)
