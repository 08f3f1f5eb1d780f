"""The engines that the demo and the other tests stand on."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import psycopg
import pytest

from lockgate.errors import ConfigError
from lockgate.testing import engines
from lockgate.testing.engines import EmbeddedPostgres, scratch_directory
from support.servers import MakeDatabase, Psql, Servers


def test_each_server_answers_with_its_own_version(servers: Servers) -> None:
    for major in servers.available:
        server = servers.get(major)
        with psycopg.connect(server.dsn()) as connection:
            row = connection.execute("SHOW server_version_num").fetchone()
        assert row is not None
        assert int(row[0]) // 10000 == major == server.major


def test_psql_runs_a_script_in_a_new_database(pg18: EmbeddedPostgres, psql: Psql, make_database: MakeDatabase) -> None:
    dsn = make_database(pg18, "CREATE TABLE fruit (name text); INSERT INTO fruit VALUES ('pear')")
    done = psql.run(dsn, "--tuples-only", "--no-align", script="SELECT name FROM fruit;")
    assert (done.returncode, done.stdout, done.stderr) == (0, "pear\n", "")


def test_a_wrong_password_is_rejected(pg18: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(pg18.dsn(password="not it"))


def test_the_log_of_a_server_can_be_read(pg18: EmbeddedPostgres) -> None:
    with psycopg.connect(pg18.dsn()) as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT * FROM a_table_that_nobody_made")
    assert 'relation "a_table_that_nobody_made" does not exist' in pg18.log_text()


def test_a_server_keeps_its_folder_and_port_over_stop_kill_and_start() -> None:
    with scratch_directory() as scratch, EmbeddedPostgres(scratch / "data") as server:
        with psycopg.connect(server.dsn()) as connection:
            connection.execute("CREATE TABLE kept (n int)")
        server.stop()
        assert not server.running
        server.start()
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        server.kill()
        server.start()
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    assert not server.running


def test_a_server_that_cannot_start_says_why() -> None:
    with scratch_directory() as scratch:
        server = EmbeddedPostgres(scratch / "data", settings={"no_such_setting_here": "1"})
        with pytest.raises(ConfigError, match="no_such_setting_here"):
            server.start()
        assert not server.running


def test_no_engine_runs_as_root(pg18: EmbeddedPostgres) -> None:
    assert pg18.data_dir.stat().st_uid != 0
    assert stat.S_IMODE(pg18.data_dir.stat().st_mode) == 0o700
    assert pg18.installation.program("postgres").stat().st_uid == os.geteuid()


def test_a_folder_that_the_engine_of_root_cannot_reach_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_engine_user", lambda: (65534, 65534))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="closed to the user `nobody`"):
        EmbeddedPostgres(closed / "data").start()
