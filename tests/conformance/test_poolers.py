"""PgBouncer before the gate, and between the gate and its database.

Source: PgBouncer documentation, `pool_mode` and `ignore_startup_parameters`; docs/compatibility.md.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres, free_port, scratch_directory
from support.gate import GateProcess
from support.servers import create_database, drop_database, find_program
from support.waiting import cancelled_when_running

SETUP = """
CREATE TABLE people(id int PRIMARY KEY, email text, size int);
INSERT INTO people SELECT g, 'person' || g || '@example.com', g FROM generate_series(1, 100) g;
CREATE TABLE parts(id int PRIMARY KEY, size int);
"""


@pytest.fixture(scope="module")
def place(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GateProcess, str]]:
    dsn = create_database(pg15, "pooled", SETUP)
    gate = GateProcess(tmp_path_factory.mktemp("pooled") / "gate", {"shop": (dsn, "development")}).init()
    yield gate.start(), dsn
    assert gate.stop() == 0
    drop_database(pg15, "pooled")


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@contextmanager
def pooler(target: str, *, mode: str, users: str, ignored: str = "extra_float_digits") -> Iterator[int]:
    """A running PgBouncer before `target`; its port."""
    program = find_program("pgbouncer")
    if program is None:
        pytest.skip("Debian package pgbouncer is not installed")
    with scratch_directory("lockgate-pooler-") as folder:
        port = free_port()
        (folder / "users.txt").write_text(users)
        (folder / "pooler.ini").write_text(
            f"[databases]\nshop = {target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = plain\nauth_file = {folder}/users.txt\npool_mode = {mode}\nserver_tls_sslmode = prefer\n"
            f"default_pool_size = 3\nignore_startup_parameters = {ignored}\nlogfile = {folder}/log\n"
        )
        subprocess.run(["chmod", "-R", "a+rwX", str(folder)], check=True)
        user = [] if os.geteuid() else ["-u", "nobody"]
        running = subprocess.Popen([program, "-q", *user, str(folder / "pooler.ini")], stderr=subprocess.DEVNULL)
        try:
            wait_for(port)
            yield port
        finally:
            running.terminate()
            running.wait(10)


@pytest.mark.parametrize("mode", [pytest.param("session", marks=pytest.mark.slow), "transaction"])
def test_a_pooler_before_the_gate_shares_sessions_of_one_principal(place: tuple[GateProcess, str], mode: str) -> None:
    gate, _ = place
    target = f"host={gate.host} port={gate.port} dbname=shop user=ann password={gate.token('ann')}"
    found: list[object] = []
    with pooler(target, mode=mode, users='"ann" "x"\n') as port:
        dsn = f"host=127.0.0.1 port={port} user=ann password=x dbname=shop sslmode=disable"

        def work(number: int) -> None:
            with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as client:
                sizes = [client.execute("SELECT size FROM people WHERE id = %s", [at]).fetchone() for at in range(1, 6)]
                found.append(sizes == [(at,) for at in range(1, 6)])
                with client.transaction():
                    client.execute("INSERT INTO parts VALUES (%s, 1)", [number])
                client.execute("DELETE FROM parts WHERE id = %s", [number])
                masked = client.execute("SELECT email FROM people WHERE id = 7").fetchone()
                found.append(masked is not None and "person7" not in str(masked))

        workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
    assert found == [True] * 12


def test_a_cancel_travels_through_pooler_and_gate(place: tuple[GateProcess, str]) -> None:
    gate, owner = place
    target = f"host={gate.host} port={gate.port} dbname=shop user=root password={gate.token('root')}"
    with pooler(target, mode="transaction", users='"root" "x"\n') as port:
        dsn = f"host=127.0.0.1 port={port} user=root password=x dbname=shop sslmode=disable"
        with psycopg.connect(dsn, autocommit=True) as client:
            with (
                cancelled_when_running(owner, "pg_sleep(60)", client.cancel),
                pytest.raises(psycopg.errors.QueryCanceled),
            ):
                client.execute("SELECT pg_sleep(60)")
            assert client.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.slow
def test_a_pooler_behind_the_gate_that_drops_its_settings_lets_nothing_through(
    place: tuple[GateProcess, str], pg15: EmbeddedPostgres, tmp_path: Path
) -> None:
    gate, _ = place
    settings = gate.config.read_text()
    names = [line.split('"')[1] for line in settings.splitlines() if "_role = " in line and not line.startswith("#")]
    files = [line.split("file:")[1].rstrip('"') for line in settings.splitlines() if '_password = "file:' in line]
    users = "".join(f'"{n}" "{(gate.folder / f).read_text().strip()}"\n' for n, f in zip(names, files, strict=True))
    ignored = ("enable_indexonlyscan, statement_timeout, lock_timeout, debug_print_rewritten, debug_pretty_print, client_min_messages, "
               "log_min_messages, log_min_error_statement, idle_in_transaction_session_timeout, search_path, row_security, options, jit, "
               "debug_print_plan, debug_print_parse, extra_float_digits")  # fmt: skip
    for dropped in ("extra_float_digits", ignored):
        with pooler(
            f"host=127.0.0.1 port={pg15.port} dbname=pooled", mode="session", users=users, ignored=dropped
        ) as port:
            behind = GateProcess(tmp_path / str(port), gate.databases)
            shutil.copytree(gate.folder, behind.folder, ignore=shutil.ignore_patterns("log", "run"))
            behind.config.write_text(settings.replace(f"port = {pg15.port}", f"port = {port}"))
            behind.start()
            try:
                with pytest.raises(psycopg.Error) as refused, behind.connect("ann", "shop") as client:
                    client.execute("SELECT email FROM people")
                assert refused.value.sqlstate in ("57P03", "0A000", None)
            finally:
                behind.stop()
