"""Logins and statements past the gate, on real PostgreSQL: published, recorded, shouted; and none that was not there."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lockgate.cli.main import main
from lockgate.ledger.entry import decode
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from lockgate.testing.engines import EmbeddedPostgres, debian_installation, embedded_installation, scratch_directory
from support.gate import GateProcess
from support.servers import DEBIAN_MAJOR, create_database
from support.verifying import verify
from support.waiting import until

SETUP = "CREATE EXTENSION pg_stat_statements; CREATE TABLE marks(id int); CREATE ROLE eve LOGIN PASSWORD 'eve'; GRANT ALL ON marks TO eve"


@pytest.fixture(params=["embedded", pytest.param("debian", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """A server of its own, since its counts are looked at, with pg_stat_statements loaded."""
    installation = embedded_installation() if request.param == "embedded" else debian_installation(DEBIAN_MAJOR)
    if installation is None:
        pytest.skip(f"Debian package postgresql-{DEBIAN_MAJOR} is not installed")
    with scratch_directory("lockgate-bypass-") as scratch:
        settings = {"shared_preload_libraries": "pg_stat_statements"}
        with EmbeddedPostgres(scratch / "pg", installation=installation, settings=settings) as running:
            yield running


@pytest.fixture
def gate(server: EmbeddedPostgres, tmp_path: Path) -> Iterator[GateProcess]:
    databases = {"shop": (create_database(server, "shop", SETUP), "development")}
    watched = GateProcess(tmp_path / "gate", databases, settings={"analysis": "completeness_seconds = 0.3"}).init()
    yield watched.start()
    watched.stop()


def said(gate: GateProcess) -> tuple[int, dict[str, object]]:
    done = gate.run("log", "completeness", "--config", str(gate.config), "--json", check=False)
    return done.returncode, json.loads(done.stdout)


def alarms(gate: GateProcess) -> list[dict[str, object]]:
    lines = (gate.folder / "stderr.txt").read_text().splitlines()
    return [fact for line in lines if line.startswith("{") and (fact := json.loads(line)).get("event") == "bypass"]


def test_what_goes_past_the_gate_is_a_number_and_what_goes_through_it_is_none(
    server: EmbeddedPostgres, gate: GateProcess
) -> None:
    for number in range(5):
        with gate.connect("ann", "shop") as client:
            client.execute("INSERT INTO marks VALUES (%s)", (number,))
    time.sleep(2)
    assert (gate.published("bypassing_logins"), gate.published("bypassing_statements"), alarms(gate)) == (0, 0, [])
    with psycopg.connect(server.dsn("shop", user="eve", password="eve"), autocommit=True) as direct:
        for _ in range(3):
            direct.execute("SELECT count(*) FROM marks")
        until(lambda: "eve" in str(alarms(gate)))
    for _ in range(2):
        psycopg.connect(server.dsn("shop", user="eve", password="eve")).close()
    until(lambda: gate.published("bypassing_logins") == 3 and gate.published("bypassing_statements") >= 3)
    with gate.connect("ann", "shop") as client:
        client.execute("SELECT 1")
    time.sleep(1)
    assert gate.published("bypassing_logins") == 3
    assert gate.published("bypass_blind_databases") == 0
    status, entry = said(gate)
    assert (status, entry["logins_bypassing"], entry["roles"]) == (1, 3, ["eve"])
    text = gate.run("log", "completeness", "--config", str(gate.config), check=False).stdout
    assert "3 of " in text
    assert "roles seen past the gate: eve" in text
    gate.stop()
    for _ in range(4):
        psycopg.connect(server.dsn("shop", user="eve", password="eve")).close()
    gate.start()
    until(lambda: gate.published("bypassing_logins") == 7)
    gate.stop()
    assert said(gate)[1]["logins_bypassing"] == 7, "also what went past while the gate was down"
    assert verify(gate.log_folder, (gate.folder / "keys/log.pub").read_text()).findings == []


@pytest.mark.slow
def test_a_gate_that_was_killed_blames_nobody_for_what_it_forgot(server: EmbeddedPostgres, gate: GateProcess) -> None:
    for _ in range(5):
        with gate.connect("ann", "shop") as client:
            client.execute("SELECT 1")
    gate.kill()
    gate.start()
    time.sleep(2)
    assert gate.published("bypassing_logins") == 0
    psycopg.connect(server.dsn("shop", user="eve", password="eve")).close()
    until(lambda: gate.published("bypassing_logins") >= 1)


def test_a_canary_is_found_in_the_record_and_its_absence_is_told(gate: GateProcess) -> None:
    command = (
        "log",
        "canary",
        "--config",
        str(gate.config),
        "--as",
        "ann",
        "--database",
        "shop",
        "--gate",
        f"{gate.host}:{gate.port}",
    )
    done = gate.run(*command)
    assert "the record has it: entry" in done.stdout
    found = json.loads(gate.run(*command, "--json").stdout)
    fields = [decode(entry) for _, entry in entries(str(gate.log_folder), RealFiles())]
    assert (fields[found["intent"]]["kind"], fields[found["outcome"]]["intent"]) == ("intent", found["intent"])
    elsewhere = gate.folder / "log-elsewhere"
    shutil.copytree(gate.folder / "log", elsewhere, ignore=shutil.ignore_patterns("lock"))
    config = gate.config.with_name("other.toml")
    config.write_text(gate.config.read_text().replace('# ledger = "log"', 'ledger = "log-elsewhere"'))
    assert config.read_text() != gate.config.read_text()
    other = gate.run(
        *(str(config) if part == str(gate.config) else part for part in command), "--seconds", "1", check=False
    )
    assert (other.returncode, "the record does not have it" in other.stdout) == (1, True)
    nobody = gate.run(*command[:-1], "127.0.0.1:1", check=False)
    assert (nobody.returncode, "no gate answers" in nobody.stderr) == (3, True)
    assert gate.published("bypassing_logins") == 0


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_commands_that_ask_about_a_database_ask_the_gate_and_are_nobody_who_goes_past_it(
    server: EmbeddedPostgres, tmp_path: Path, workers: int
) -> None:
    databases = {"shop": (create_database(server, f"asked_{workers}", SETUP), "development")}
    settings = {"analysis": "completeness_seconds = 0.3", "gateway": f"workers = {workers}"}
    asking = GateProcess(tmp_path / "asking", databases, settings=settings).init()

    def answers() -> list[tuple[int, str]]:
        found = []
        for command in (
            ("explain", "SELECT id FROM marks", "--as", "ann"), ("explain", "SELECT 1", "--as", "nobody"),
            ("catalog", "refresh", "--database", "shop"), ("catalog", "functions", "--database", "shop"),
        ):  # fmt: skip
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                found.append((main([*command, "--config", str(asking.config)]), said.getvalue()))
        return found

    alone = answers()
    assert [status for status, _ in alone] == [0, 2, 0, 0]
    asking.start()
    try:
        assert answers() == alone
        with asking.connect("ann", "shop") as client:
            client.execute("SELECT 1")
        time.sleep(1)
        assert (asking.published("bypassing_logins"), alarms(asking)) == (0, [])
        psycopg.connect(server.dsn(f"asked_{workers}", user="eve", password="eve")).close()
        until(lambda: asking.published("bypassing_logins") == 1)
    finally:
        asking.stop()


def test_a_server_that_is_stopped_and_started_makes_nobody_look_as_if_he_went_past(
    server: EmbeddedPostgres, gate: GateProcess
) -> None:
    def through(count: int) -> None:
        for _ in range(count):
            with gate.connect("ann", "shop") as client:
                client.execute("SELECT 1")

    through(5)
    assert said(gate)[0] == 0
    server.stop()
    status, unknown = said(gate)
    assert (status, unknown["known"]) == (1, False)
    server.start()
    through(3)
    status, entry = said(gate)
    assert (status, entry["logins_bypassing"], entry["resets"]) == (0, 0, 0)
    server.kill()
    server.start()
    through(2)
    psycopg.connect(server.dsn("shop", user="eve", password="eve")).close()
    until(lambda: gate.published("bypassing_logins") == 1)
    status, entry = said(gate)
    assert (status, entry["logins_bypassing"], entry["resets"]) == (1, 1, 1)
