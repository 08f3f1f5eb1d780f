"""The corpus in hand, decided without a gate: what must run, what must not, and which benign cases are known to be refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from corpus.cases import Case, read_cases, read_setup
from lockgate.errors import RefusedStatementError
from lockgate.model.catalog import Catalog
from lockgate.testing.engines import EmbeddedPostgres
from sql.live import SETTINGS, judged, read_catalog
from support.servers import MakeDatabase

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
ATTACKS, BENIGN = CORPUS / "masking_attacks.sql", CORPUS / "masking_benign.sql"
LABELS: dict[tuple[str, str], str] = {
    ("people", "full_name"): "person.name", ("people", "email"): "person.email", ("people", "ssn"): "person.national_id",
    ("people", "card"): "payment.card", ("people", "dob"): "person.birth_date", ("people", "address"): "person.address",
    ("people", "notes"): "text.free", ("people", "prefs"): "text.free", ("people", "api_key"): "secret.credential",
    ("people", "secret"): "secret.credential", ("people", "tags"): "text.free", ("orders", "ship_to"): "person.address",
    ("orders", "contact_email"): "person.email", ("mv_people", "e"): "person.email", ("mv_people", "s"): "person.national_id",
}  # fmt: skip

REFUSED_BENIGN = {
    "B020": "row-choice", "B022": "row-choice", "B025": "row-choice", "B028": "row-choice", "B031": "row-choice",
    "B037": "transform", "B038": "transform",
}  # fmt: skip
"""Benign cases that masking by position alone cannot answer; a session computes them over stand-ins. The list may only shrink."""

NEEDS_MORE = {"B056", "B058", "B059"}
"""Cases for a database with the extension `vector`."""

RUNS_HARMLESSLY = {"A109", "A167", "A181", "A184"}
"""Attacks whose SELECTs show nothing; what else they do is refused by kind (session)."""

GUESSES = {"A058", "A061", "A079", "A080"}
"""Attacks that compare a masked column with a guess: the guess is opened first, so that it meets a random row or none."""


@pytest.fixture
def decided(pg15: EmbeddedPostgres, make_database: MakeDatabase) -> Iterator[tuple[psycopg.Connection, Catalog]]:
    if not CORPUS.is_dir():
        pytest.skip("the corpus is not beside the repository")
    with psycopg.connect(make_database(pg15, read_setup(ATTACKS)), autocommit=True) as connection:
        catalog = read_catalog(connection, LABELS)
        for setting in SETTINGS:
            connection.execute(setting.encode())
        connection.execute("DROP ROLE IF EXISTS corpus_analyst")
        connection.execute("CREATE ROLE corpus_analyst")
        connection.execute("SET ROLE corpus_analyst")
        yield connection, catalog
        connection.execute("RESET ROLE")
        connection.execute("DROP ROLE corpus_analyst")


def outcome(case: Case, connection: psycopg.Connection, catalog: Catalog) -> str:
    try:
        return judged("".join(case.lines), connection, catalog)
    except RefusedStatementError as refused:
        return refused.reason


def test_benign_cases_run_but_for_the_known(decided: tuple[psycopg.Connection, Catalog]) -> None:
    wrong = {}
    for case in read_cases(BENIGN):
        found = outcome(case, *decided)
        if case.name not in NEEDS_MORE and found not in ("run", "masked"):
            wrong[case.name] = found
    assert wrong == REFUSED_BENIGN


def test_no_attack_shows_a_masked_column_unmasked(decided: tuple[psycopg.Connection, Catalog]) -> None:
    found = {case.name: (case.expect, outcome(case, *decided)) for case in read_cases(ATTACKS)}
    not_masked = {name for name, (expect, what) in found.items() if expect == "MASK" and what != "masked"}
    assert not_masked == set()
    assert {
        name for name, (expect, what) in found.items() if expect != "MASK" and what == "run"
    } <= RUNS_HARMLESSLY | GUESSES
