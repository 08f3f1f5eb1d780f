"""On a real gate: no secret and no literal in clear in any file, people found by the blind index, and erasure that holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lockgate.ledger.entry import decode
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from lockgate.storage.text_keys import SLOT_BYTES, SLOTS_PREFIX
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database
from support.verifying import verify

SETUP = """
CREATE TABLE people(id bigint PRIMARY KEY, name text, email text, note text);
INSERT INTO people VALUES (1, 'Alice Archer', 'alice@example.com', 'x'), (2, 'Bob Baker', 'bob@example.com', 'y');
CREATE TABLE plain(id bigint PRIMARY KEY, kind text);
"""
SECRETS = [f"hunter{n}sesame" for n in range(20)]
CARELESS = [
    "ALTER ROLE somebody PASSWORD '{}'",
    "CREATE USER {who} PASSWORD '{}'",
    "CREATE ROLE {who} LOGIN ENCRYPTED PASSWORD '{}'",
    "ALTER ROLE somebody SET app.token = {}",
    "ALTER ROLE somebody SET app.token TO '{}'",
    "ALTER SYSTEM SET app.token = {}",
    "SET app.token = {}",
    "SET app.token TO '{}'",
    "SELECT set_config('app.token', '{}', false)",
    "CREATE FUNCTION f() RETURNS text LANGUAGE sql SET app.token = {} AS $$ SELECT '{}' $$",
    "SELEC '{}'",
    "SELECT * FROM nowhere WHERE password = '{}'",
    'SELECT * FROM people WHERE name = "{}"',
    "SELECT '{}'::int",
    "SELECT 1 /* {} */",
    "CREATE SUBSCRIPTION s CONNECTION 'host=x password={}' PUBLICATION p",
    "COMMENT ON TABLE plain IS '{}'",
    "DO $$ BEGIN PERFORM '{}'; END $$",
    "UPDATE plain SET kind = '{}' WHERE id = 1",
    "PREPARE p AS SELECT '{}'",
]


@pytest.fixture(scope="module")
def gate(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    folder = tmp_path_factory.mktemp("privacy") / "gate"
    running = GateProcess(folder, {"shop": (create_database(pg18, "privacy", SETUP), "development")}).init().start()
    yield running
    running.stop()
    drop_database(pg18, "privacy")


def files_with(folder: Path, wanted: bytes) -> list[str]:
    """Every file below the folder that has the bytes, whatever it is for."""
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and wanted in p.read_bytes()]


def searched(gate: GateProcess, *arguments: str) -> list[dict[str, object]]:
    done = gate.run("log", "search", "--config", str(gate.config), "--json", *arguments)
    return [json.loads(line) for line in done.stdout.splitlines()]


def shown(gate: GateProcess, index: object) -> str:
    done = gate.run("log", "show", str(index), "--text", "--config", str(gate.config), check=False)
    return done.stdout + done.stderr


def verified(gate: GateProcess) -> list[tuple[str, int | None, str]]:
    key = (gate.folder / "keys/log.pub").read_text()
    return verify(gate.log_folder, key).findings


def erasures(gate: GateProcess) -> list[str]:
    """The events of all `erasure` entries, by the log itself."""
    found = (decode(entry) for _, entry in entries(str(gate.log_folder), RealFiles()))
    return [str(fields["event"]) for fields in found if fields["kind"] == "erasure"]


def test_no_secret_of_any_statement_is_in_any_file_or_metric(gate: GateProcess) -> None:
    with gate.connect("root", "shop") as client:
        for secret, statement in zip(SECRETS, CARELESS, strict=True):
            text = statement.replace("{who}", f"u_{len(secret)}_{secret[-8:-6]}").replace("{}", secret)
            try:
                client.execute(text.encode(), prepare=False)
            except psycopg.Error:
                client.rollback()
        client.execute("SELECT count(*) FROM plain WHERE kind = %s", ("hunter99sesame",))
    with gate.connect("bot", "shop") as agent:
        for secret, statement in zip(SECRETS, CARELESS, strict=True):
            try:
                agent.execute(statement.replace("{who}", "u").replace("{}", secret).encode(), prepare=False)
            except psycopg.Error:
                agent.rollback()
    assert len(searched(gate, "--principal", "root")) >= len(CARELESS)
    assert files_with(gate.folder, b"sesame") == []


def test_who_looked_up_a_person_is_found_and_others_are_not(gate: GateProcess) -> None:
    with gate.connect("clara", "shop") as client:
        client.execute("SELECT note FROM people WHERE email = 'alice@example.com'")
        client.execute("SELECT note FROM people WHERE email = %s", ("Alice@Example.com",))
        client.execute("SELECT note, email FROM people WHERE name = 'Bob Baker'")
        client.execute("SELECT kind FROM plain WHERE kind = 'alice@example.com'")
    assert [row["statement"] for row in searched(gate, "--person", "ALICE@example.com")] == ["select", "select"]
    assert [row["principal"] for row in searched(gate, "--person", "bob baker")] == ["clara"]
    assert searched(gate, "--person", "carol@example.com") == []
    assert files_with(gate.folder / "log", b"alice@") == []


def test_erasing_a_subject_destroys_those_texts_only_and_leaves_every_proof(gate: GateProcess) -> None:
    with gate.connect("clara", "shop") as client:
        client.execute("SELECT note FROM people WHERE email = 'dora@example.com'")
        client.execute("SELECT note FROM people WHERE email = 'emil@example.com'")
    (dora,), (emil,) = searched(gate, "--person", "dora@example.com"), searched(gate, "--person", "emil@example.com")
    assert "dora@example.com" in shown(gate, dora["index"])
    before = secrets_in_slots(gate)
    dry = gate.run(
        "log", "erase", "--config", str(gate.config), "--subject", "dora@example.com", "--reason", "request 7"
    )
    assert "would erase: 1 texts" in dry.stdout
    assert "dora@example.com" in shown(gate, dora["index"])
    done = gate.run(
        "log", "erase", "--config", str(gate.config), "--subject", "DORA@example.com", "--reason", "request 7", "--yes"
    )
    assert "erased: 1 texts" in done.stdout
    assert "was erased" in shown(gate, dora["index"])
    assert "dora@example.com" not in shown(gate, dora["index"])
    assert "emil@example.com" in shown(gate, emil["index"])
    (gone,) = before - secrets_in_slots(gate)
    assert files_with(gate.folder, gone) == [], "the key of the text is in no file"
    assert files_with(gate.folder, b"dora@") == []
    assert erasures(gate) == ["begun", "done"]
    assert verified(gate) == []
    with gate.connect("clara", "shop") as client:
        client.execute("SELECT note FROM people WHERE email = 'dora@example.com'")
    again = searched(gate, "--person", "dora@example.com")[-1]
    assert "dora@example.com" in shown(gate, again["index"]), "what happens after the erasure is recorded as ever"


def secrets_in_slots(gate: GateProcess) -> set[bytes]:
    found = set()
    for path in (gate.folder / "log/keys").glob(f"{SLOTS_PREFIX}*"):
        stored = path.read_bytes()
        found |= {stored[i : i + SLOT_BYTES] for i in range(0, len(stored), SLOT_BYTES)}
    return found - {bytes(SLOT_BYTES)}


def test_erasing_a_day_of_a_class_holds_and_verifies_with_the_gate_running_and_stopped(gate: GateProcess) -> None:
    with gate.connect("clara", "shop") as client:
        client.execute("SELECT note FROM people WHERE email = 'fred@example.com'")
        client.execute("SELECT id FROM plain WHERE kind = 'wood'")
    (fred,) = searched(gate, "--person", "fred@example.com")
    plain = searched(gate, "--table", "plain", "--principal", "clara")[-1]
    day = str(fred["time"])[:10]
    keys = {
        p.name: p.read_bytes() for p in (gate.folder / "log/keys").iterdir() if '"person"' in p.read_text("latin-1")
    }
    gate.run(
        "log",
        "erase",
        "--config",
        str(gate.config),
        "--database",
        "shop",
        "--day",
        day,
        "--class",
        "person",
        "--reason",
        "r",
        "--yes",
    )
    assert "was erased" in shown(gate, fred["index"])
    assert "wood" in shown(gate, plain["index"])
    for name, stored in keys.items():
        assert not (gate.folder / "log/keys" / name).exists()
        assert files_with(gate.folder, stored[-60:-2]) == []
    nothing = gate.run(
        "log", "erase", "--config", str(gate.config), "--day", day, "--class", "person", "--reason", "r", check=False
    )
    assert (nothing.returncode, "nothing matches" in nothing.stdout) == (1, True)
    with gate.connect("clara", "shop") as client:
        client.execute("SELECT note FROM people WHERE email = 'gina@example.com'")
    (gina,) = searched(gate, "--person", "gina@example.com")
    assert "gina@example.com" in shown(gate, gina["index"]), "a running gate takes a new key"
    assert verified(gate) == []
    gate.stop()
    gate.run("log", "erase", "--config", str(gate.config), "--before", "2999-01-01", "--reason", "r", "--yes")
    assert "was erased" in shown(gate, gina["index"])
    assert "was erased" in shown(gate, plain["index"])
    assert files_with(gate.folder, b"gina@") == []
    assert verified(gate) == []
    assert gate.run("log", "verify", "--config", str(gate.config)).returncode == 0
    gate.start()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--day", "yesterday"],
        ["--subject", "ab"],
        ["--subject", "a@b.c", "--day", "2026-11-22"],
        ["--before", "2026"],
    ],
)
def test_an_erasure_that_is_not_clear_destroys_nothing(gate: GateProcess, arguments: list[str]) -> None:
    done = gate.run("log", "erase", "--config", str(gate.config), "--reason", "r", "--yes", *arguments, check=False)
    assert (done.returncode, done.stdout) == (2, "")
