"""COPY out of a labelled table is masked in every format, in the simple and the extended protocol, and its order tells nothing.

Source: promise 5; masking.md section 2.1 (COPY); A157 to A160 of the corpus.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from lockgate.ledger.entry import decode
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import RealFiles
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, email text, full_name text, phone bigint, born date, city text);
INSERT INTO people SELECT i, 'canary' || lpad((i * 7 % 31)::text, 2, '0') || '@real.example', 'Canary, "Real" ' || i, 4930000000000 + i,
  date '1970-02-03' + i, E'town\\t' || i % 3 FROM generate_series(1, 30) i;
INSERT INTO people(id) VALUES (31);
CREATE INDEX people_email ON people(email);
CREATE TABLE made(id int PRIMARY KEY, raised text GENERATED ALWAYS AS (upper(email)) STORED, email text);
INSERT INTO made(id, email) SELECT id, email FROM people;
ANALYZE people
"""
Bot = psycopg.Connection[tuple[Any, ...]]
FORMATS = ("", "(FORMAT csv, HEADER)", "(FORMAT csv, FORCE_QUOTE *)", "(FORMAT binary)", "(DELIMITER '|')")


@pytest.fixture(scope="module", params=(pytest.param(15, marks=pytest.mark.slow), 18))
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    server: EmbeddedPostgres = request.getfixturevalue(f"pg{request.param}")
    dsn = create_database(server, "attack_copy", SCRIPT)
    running = GateProcess(tmp_path_factory.mktemp("copy") / "gate", {"shop": (dsn, "development")}).init()
    running.start()
    yield running
    running.stop()
    drop_database(server, "attack_copy")


@pytest.fixture
def ann(gate: GateProcess) -> Iterator[Bot]:
    with gate.connect("ann", "shop") as connection:
        yield connection


def copied(connection: Bot, statement: str, *parameters: object) -> bytes:
    with connection.cursor().copy(statement.encode(), parameters or None) as copy:
        return b"".join(bytes(piece) for piece in copy)


@pytest.mark.parametrize("options", FORMATS)
@pytest.mark.parametrize("source", ["people", "people (email, id)", "(SELECT email, id FROM people)", "(TABLE people)"])
def test_no_real_value_leaves_in_any_format(ann: Bot, source: str, options: str) -> None:
    data = copied(ann, f"COPY {source} TO STDOUT {options}")
    assert b"anary" not in data
    assert b"4930000000007" not in data
    assert len(data) > 500
    shown = ann.execute("SELECT email FROM people WHERE id = 7").fetchone()
    assert shown is not None
    assert str(shown[0]).encode() in data


def test_csv_is_still_csv_and_clear_columns_are_as_they_were(ann: Bot, gate: GateProcess) -> None:
    text = copied(ann, "COPY people (id, full_name, city, email) TO STDOUT (FORMAT csv, HEADER)").decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["id", "full_name", "city", "email"]
    masked = ann.execute("SELECT id::text, full_name, city, email FROM people WHERE id <= 30").fetchall()
    assert sorted(rows[1:-1]) == sorted(list(row) for row in masked)
    assert rows[-1] == ["31", "", "", ""]
    with gate.connect("clara", "shop") as clara:
        real = copied(clara, "COPY people (id, city) TO STDOUT")
    assert copied(ann, "COPY people (id, city) TO STDOUT") == real


def test_a_parameter_and_a_lookup_in_copy(ann: Bot) -> None:
    shown = ann.execute("SELECT email FROM people WHERE id = 7").fetchone()
    assert shown is not None
    statement = f"COPY (SELECT id, email FROM people WHERE email = '{shown[0]}') TO STDOUT"
    assert copied(ann, statement) == f"7\t{shown[0]}\n".encode()
    guess = "COPY (SELECT id FROM people WHERE email = 'canary18@real.example') TO STDOUT"
    assert copied(ann, guess) == b""


def test_the_order_of_masked_values_does_not_show(ann: Bot) -> None:
    data = copied(ann, "COPY (SELECT DISTINCT email FROM people) TO STDOUT").splitlines()
    assert data[-1] == b"\\N"
    assert data[:-1] == sorted(data[:-1])
    binary = copied(ann, "COPY (SELECT DISTINCT email FROM people) TO STDOUT (FORMAT binary)")
    assert binary.endswith(b"\xff\xff")
    assert binary.startswith(b"PGCOPY")


def test_a_null_that_looks_like_a_guess_is_refused(ann: Bot) -> None:
    with pytest.raises(psycopg.Error) as caught:
        copied(ann, "COPY people (email) TO STDOUT (NULL 'canary18@real.example')")
    assert "copy-null" in str(caught.value.diag.message_detail)
    found = copied(ann, "COPY people (email) TO STDOUT (FORMAT csv, NULL 'canary18@real.example')")
    assert found.splitlines().count(b"canary18@real.example") == 1  # the row that is NULL, as the client spelt it
    with pytest.raises(psycopg.Error):
        copied(ann, "COPY people TO STDOUT (ENCODING 'LATIN1')")


def test_what_cannot_be_masked_is_refused(ann: Bot) -> None:
    for statement in (
        "COPY (SELECT upper(full_name), people FROM people) TO STDOUT", "COPY people TO PROGRAM 'cat'", "COPY people TO '/tmp/x'",
        "COPY (DELETE FROM people WHERE id = 1 RETURNING email) TO STDOUT",
        "COPY (WITH gone AS (DELETE FROM people WHERE id = 1 RETURNING email) SELECT email FROM gone) TO STDOUT",
    ):  # fmt: skip
        with pytest.raises(psycopg.Error) as caught:
            copied(ann, statement)
        assert "anary" not in str(caught.value)


def test_values_cannot_be_chosen_by_copy_in(ann: Bot) -> None:
    with pytest.raises(psycopg.Error) as caught, ann.cursor().copy("COPY people (id, email) FROM STDIN") as copy:
        copy.write("77\tcanary18@real.example\n")
    assert caught.value.sqlstate in ("0A000", "42501")


def test_the_receipt_counts_the_cells(ann: Bot, gate: GateProcess) -> None:
    copied(ann, "COPY people (id, email, phone) TO STDOUT (FORMAT binary)")
    ann.execute("SELECT 1")
    found = [decode(entry) for log in gate.log_folders for _, entry in entries(str(log), RealFiles())]
    outcomes = sorted((entry for entry in found if entry.get("receipt")), key=lambda entry: str(entry["time"]))
    assert outcomes[-1]["receipt"] == [
        {"cells": 30, "column": "email", "label": "person.email", "mode": "position", "rule": "pseudonym-email"},
        {"cells": 30, "column": "phone", "label": "person.phone", "mode": "position", "rule": "pseudonym-phone"},
    ]
    assert outcomes[-1]["rows"] == 31


def test_who_may_unmask_copies_the_real_values(gate: GateProcess) -> None:
    with gate.connect("clara", "shop") as clara:
        data = copied(clara, "COPY people (email) TO STDOUT")
    assert len(re.findall(rb"canary..@real", data)) == 30


def test_a_table_with_a_computed_column_is_copied_without_it_and_masked(ann: Bot) -> None:
    rows = [line.split(b"\t") for line in copied(ann, "COPY made TO STDOUT").splitlines()]
    assert len(rows) == 31
    assert {len(row) for row in rows} == {2}
    assert not any(b"real" in mask.lower() for _, mask in rows)
    shown = ann.execute("SELECT id::text, email FROM made").fetchall()
    assert [[cell.decode() for cell in row] for row in rows] == [[key, mask or "\\N"] for key, mask in shown]
