"""`lockgate explain` says what a session would do, and does nothing."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator

import psycopg
import pytest

from lockgate.cli.main import main
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SETUP = """
CREATE TABLE people(id int PRIMARY KEY, email text, city text);
INSERT INTO people SELECT g, 'p' || g || '@raw-value.example', 'York' FROM generate_series(1, 9) g;
CREATE FUNCTION touch() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM people; RETURN 1; END $$;
"""


@pytest.fixture(scope="module")
def gate(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    """A gate that does not run."""
    dsn = create_database(pg18, "explained", SETUP)
    yield GateProcess(tmp_path_factory.mktemp("explain") / "gate", {"shop": (dsn, "production")}).init()
    drop_database(pg18, "explained")


def explain(gate: GateProcess, text: str, *arguments: str) -> tuple[int, str]:
    """The command in this process: starting one for each question would take most of the time."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = main(["explain", text, "--config", str(gate.config), *arguments])
    return status, out.getvalue() + errors.getvalue()


def test_a_masked_read_is_told_with_its_columns_labels_and_masks(gate: GateProcess) -> None:
    status, out = explain(gate, "SELECT id, email FROM people WHERE id = 3", "--as", "bot")
    assert status == 0
    for words in ("with masks in the place of values", "signed-in-read", "read on public.people", "public.people.email  person.email, masked",
                  "email  from public.people.email; masked: pseudonym-email"):  # fmt: skip
        assert words in out
    assert "raw-value" not in out


def test_a_statement_over_stand_ins_is_told_with_the_text_that_the_database_gets(gate: GateProcess) -> None:
    status, out = explain(gate, "SELECT id FROM people ORDER BY upper(email) LIMIT 3", "--as", "bot")
    assert status == 0
    assert "over stand-ins in the place of masked values" in out
    assert "the database is sent:" in out
    compared = explain(
        gate, "SELECT upper(email) FROM people WHERE email = 'p3@raw-value.example'", "--as", "bot", "--json"
    )[1]
    assert "rewritten" not in compared  # it would hold the opened constant


def test_a_refusal_is_told_with_its_rule_and_what_can_be_done(gate: GateProcess) -> None:
    status, out = explain(gate, "SELECT touch()", "--as", "bot", "--json")
    told = json.loads(out)
    (statement,) = told["statements"]
    assert status == 1
    assert statement["refusal"]["sqlstate"] == "42501"
    assert statement["accesses"] == [{"action": "execute", "on": "public.touch"}]
    assert statement["opaque"][0]["what"] == "function public.touch"


def test_what_runs_for_one_principal_is_held_or_denied_for_another(gate: GateProcess) -> None:
    text = "UPDATE people SET city = 'Leeds' WHERE id = 3"
    effects = {}
    for who in ("root", "etl", "bot"):
        _, out = explain(gate, text, "--as", who, "--json")
        effects[who] = json.loads(out)["statements"][0]["effect"]
    assert effects == {"root": "permit", "etl": "hold", "bot": "deny"}
    assert (
        explain(gate, "SELECT email FROM people", "--as", "clara")[1].count("masked") == 1
    )  # in the words of the rule only


def test_an_explained_statement_has_not_run(gate: GateProcess) -> None:
    explain(gate, "DELETE FROM people WHERE id = 1", "--as", "root")
    explain(gate, "SELECT touch()", "--as", "root")
    with psycopg.connect(gate.databases["shop"][0]) as owner:
        assert owner.execute("SELECT count(*) FROM people").fetchone() == (9,)
    assert not [path for path in gate.folder.glob("log/**/*") if path.is_file()]


def test_errors_of_text_principal_and_database_are_told(gate: GateProcess) -> None:
    assert "42703" in explain(gate, "SELECT nope FROM people", "--as", "bot")[1]
    assert "syntax error" in explain(gate, "SELEC 1", "--as", "bot")[1]
    assert explain(gate, "SELECT 1", "--as", "nobody")[0] == 2
    assert explain(gate, "SELECT 1", "--as", "bot", "--on-behalf-of", "etl")[0] == 2
    assert explain(gate, "SELECT 1", "--as", "bot", "--database", "other")[0] == 2


def test_one_refused_statement_refuses_the_text(gate: GateProcess) -> None:
    status, out = explain(gate, "SELECT 1; SELECT pg_sleep(1)", "--as", "bot")
    assert status == 1
    assert "decided as a whole" in out
