"""A write of unmasked columns does not ask a constraint about masked values.

Source: promise 5; threats E-02, E-03; masking.md 2.3 (writes).
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE pay(id int PRIMARY KEY, salary int, cap int, CHECK (salary < cap));
CREATE TABLE whole(id int PRIMARY KEY, salary int, cap int); ALTER TABLE whole ADD CHECK (whole.* IS DISTINCT FROM (1, 1042, 7)::whole);
CREATE TABLE later(id int PRIMARY KEY, salary int, cap int); INSERT INTO later VALUES (1, 1042, 5000);
ALTER TABLE later ADD CHECK (salary < 1000) NOT VALID;
CREATE TABLE partial(id int PRIMARY KEY, salary int, cap int); CREATE UNIQUE INDEX ON partial (cap) WHERE salary > 1000;
CREATE TABLE rigid(id int PRIMARY KEY, salary int, cap int, UNIQUE (salary, cap) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE apart(id int PRIMARY KEY, salary int, cap int, EXCLUDE USING gist (int4range(0, salary) WITH &&, int4range(cap, cap, '[]') WITH &&));
CREATE TABLE parts(id int, salary int, cap int) PARTITION BY RANGE (id);
CREATE TABLE part(cap int, id int, salary int, CHECK (salary < cap)); ALTER TABLE parts ATTACH PARTITION part FOR VALUES FROM (0) TO (10);
CREATE TABLE fine(id int PRIMARY KEY, salary int CHECK (salary > 0), cap int CHECK (cap > 0), email text, kind text, UNIQUE (email, kind));
INSERT INTO fine VALUES (1, 1042, 5000, 'canary@real.example', 'a'), (2, 1042, 5000, 'canary@real.example', 'b');
"""
TABLES = ["pay", "whole", "partial", "rigid", "apart", "parts"]
WRITES = '@id("bots-write") permit (principal is Agent, action == Action::"write", resource);\n'


@pytest.fixture(scope="module")
def gate(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    rows = "".join(f"INSERT INTO {table} (id, salary, cap) VALUES (1, 1042, 5000);\n" for table in TABLES)
    dsn = create_database(pg15, "attack_constraints", SCRIPT + rows)
    running = GateProcess(
        tmp_path_factory.mktemp("constraints") / "gate",
        {"dev": (dsn, "development")},
        policies={"60-bots.cedar": WRITES},
    ).init()
    catalog = running.folder / "catalog.toml"
    labels = {"salary": "finance.salary", "cap": "none", "kind": "none", "email": "person.email"}
    lines = [
        next((f'{line.split(" =")[0]} = "{label}"' for name, label in labels.items() if f'.{name}" =' in line), line)
        for line in catalog.read_text().splitlines()
    ]
    catalog.write_text("\n".join(lines) + "\n")
    running.start()
    yield running
    running.stop()
    drop_database(pg15, "attack_constraints")


@pytest.fixture
def bot(gate: GateProcess) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with gate.connect("bot", "dev") as connection:
        yield connection


@pytest.mark.parametrize(
    "write",
    [
        *(f"UPDATE {table} SET cap = 1042 WHERE id = 1" for table in TABLES),
        "UPDATE later SET cap = 7 WHERE id = 1",
        "INSERT INTO pay (id, cap) VALUES (1, 3) ON CONFLICT (id) DO UPDATE SET cap = 1042",
        "INSERT INTO apart (id, cap) VALUES (2, 1000)",
    ],
)
def test_a_constraint_is_not_asked(bot: psycopg.Connection[tuple[object, ...]], write: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        bot.execute(write.encode())
    assert "rule=write-constraint" in (refused.value.diag.message_detail or "")


def test_constraints_that_tell_nothing_more_do_not_stand_in_the_way(
    bot: psycopg.Connection[tuple[object, ...]],
) -> None:
    bot.execute("UPDATE fine SET cap = 6000 WHERE id = 1")
    with pytest.raises(psycopg.errors.UniqueViolation):
        bot.execute("UPDATE fine SET kind = 'b' WHERE id = 1")
    with pytest.raises(psycopg.errors.CheckViolation):
        bot.execute("UPDATE fine SET cap = -1 WHERE id = 1")
    bot.execute("DELETE FROM pay WHERE id = 1")
