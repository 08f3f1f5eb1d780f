"""A real small file system that fills up: clear errors, nothing forwarded, sessions survive, recovery by itself."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lockgate.ledger.entry import decode
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import MakeDatabase

SETUP = "CREATE TABLE marks(id bigint PRIMARY KEY, who text)"
DISK = "40m"
SESSIONS = 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of its own; it needs the rights to mount one."""
    place = tmp_path / "gate" / "log"
    place.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "lockgate-drill", str(place)],
        check=False,
        capture_output=True,
    )
    if done.returncode:
        pytest.skip("a file system cannot be mounted here; the disk-full drill needs root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take all space that is left."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as stream:
        for size in (1 << 20, 4096):
            try:
                while stream.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    assert os.statvfs(place).f_bavail == 0
    return filler


def attempt(client: psycopg.Connection[tuple[object, ...]], text: str) -> str:
    """The SQLSTATE of a statement, empty when it went through."""
    try:
        client.execute(text.encode())
    except psycopg.Error as error:
        return error.sqlstate or "?"
    return ""


@pytest.mark.timeout(300)
def test_a_full_disk_stops_statements_and_nothing_else_and_space_starts_them_again(
    small_disk: Path, pg18: EmbeddedPostgres, make_database: MakeDatabase, tmp_path: Path
) -> None:
    dsn = make_database(pg18, SETUP)
    gate = GateProcess(tmp_path / "gate", {"shop": (dsn, "development")}).init()
    gate.start()
    try:
        clients = [gate.connect("ann", "shop") for _ in range(SESSIONS)]
        for number, client in enumerate(clients):
            assert not attempt(client, f"INSERT INTO marks VALUES ({number}, 'before')")
        filler = fill(small_disk)
        # Until its segment is full, the log has the space that it took beforehand; then it needs more.
        states: list[str] = []
        number = 1000
        passed = set()
        while states[-10:] != ["58030"] * 10:
            number += 1
            text = f"INSERT INTO marks VALUES ({number}, 'during') -- {'x' * 60_000}{number}"
            states.append(attempt(clients[number % SESSIONS], text))
            if not states[-1]:
                passed.add(number)
            assert len(states) < 2000
        assert set(states) == {"", "58030"}, "a clear error, and only that"
        with pytest.raises(psycopg.Error) as caught:
            clients[0].execute("INSERT INTO marks VALUES (1, 'refused')")
        assert "the ledger cannot write" in str(caught.value)
        assert not any(client.closed for client in clients), "sessions survive"
        with pytest.raises(psycopg.OperationalError, match="no session may begin"):
            gate.connect("ann", "shop")
        with psycopg.connect(dsn) as direct:
            stored = {row[0] for row in direct.execute("SELECT id FROM marks WHERE who <> 'before'")}
        assert stored == passed, "what was refused was not forwarded, what was acknowledged was"
        filler.unlink()
        deadline = time.monotonic() + 60
        while attempt(clients[0], f"INSERT INTO marks VALUES ({time.monotonic_ns()}, 'after')"):
            assert time.monotonic() < deadline, "it did not recover by itself"
            time.sleep(0.1)
        for client in clients[1:]:
            assert not attempt(client, f"INSERT INTO marks VALUES ({time.monotonic_ns()}, 'after')")
            client.close()
        gate.connect("ann", "shop").close()
        clients[0].close()
    finally:
        gate.stop()
    done = gate.verify()
    assert done.returncode == 0, done.stdout + done.stderr
    found = [decode(entry) for _, entry in entries(str(gate.log_folder), RealFiles())]
    refused = len([s for s in states if s]) + 1
    accounts = [e for e in found if e.get("event") == "entries-dropped"]
    assert sum(int(str(e["dropped"])) for e in accounts) >= refused, "the log says how much it refused, and for whom"
    assert len([e for e in found if e["kind"] == "intent"]) == SESSIONS + len(passed) + SESSIONS
