"""Where policy permits it, a write may choose its rows by what was shown; a guess of a real value chooses none.

Source: promise 5; masking.md 0.4 and 2.3 (writes).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess, served

SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, email text NOT NULL UNIQUE, full_name varchar(80), city text);
INSERT INTO people SELECT i, 'canary' || i || '@real.example', 'Canary Real', 'town' FROM generate_series(1, 9) i;
CREATE TABLE orders(id int PRIMARY KEY, contact_email text, status text);
INSERT INTO orders SELECT i, 'canary' || i || '@real.example', 'open' FROM generate_series(1, 9) i;
ANALYZE
"""
POLICY = """
@id("clerk-writes") @choose_by_pseudonym("") permit (principal == Agent::"clerk", action == Action::"write", resource == Table::"public.people");
@id("bots-write") permit (principal is Agent, action == Action::"write", resource);
"""
PRINCIPALS = """\
[[principal]]
name = "ann"
kind = "person"

[[principal]]
name = "clerk"
kind = "agent"
owner = "ann"

[[principal]]
name = "bot"
kind = "agent"
owner = "ann"
"""
Client = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def gate(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    with served(
        pg18, "attack_chosen", SCRIPT, tmp_path_factory.mktemp("chosen"), alias="shop", clear=("people.city", "orders.status"),
        principals=PRINCIPALS, policies={"40-c.cedar": POLICY},
    ) as running:  # fmt: skip
        yield running


@pytest.fixture
def clerk(gate: GateProcess) -> Iterator[Client]:
    with gate.connect("clerk", "shop") as client:
        client.autocommit = False
        yield client
        client.rollback()


def mail(client: Client, number: int) -> str:
    found = client.execute("SELECT email FROM people WHERE id = %s", (number,)).fetchone()
    assert found is not None
    assert "canary" not in found[0]
    return str(found[0])


@pytest.mark.parametrize("place", ["%t", "%b", "'{}'"])
def test_what_was_shown_chooses_its_row_and_a_guess_chooses_none(clerk: Client, place: str) -> None:
    shown = mail(clerk, 7)
    for condition in ("email = {}", "{} = email AND id > 0"):
        for value, count in ((shown, 1), ("canary7@real.example", 0), ("nobody@real.example", 0)):
            text = f"UPDATE people SET city = city || 'x' WHERE {condition}".replace("{}", place.replace("{}", value))
            found = clerk.execute(text.encode(), None if place == "'{}'" else (value,))
            assert found.rowcount == count, text
    assert clerk.execute("SELECT id, city FROM people WHERE city <> 'town'").fetchall() == [(7, "townxx")]
    several = "DELETE FROM people WHERE email IN ('nobody@x.example', %s) RETURNING id, email"
    assert clerk.execute(several.encode(), (shown,)).fetchall() == [(7, shown)]
    assert clerk.execute("PREPARE d AS DELETE FROM people WHERE email = $1") is not None
    assert clerk.execute(f"EXECUTE d('{mail(clerk, 8)}')".encode()).rowcount == 1
    assert clerk.execute("EXECUTE d('canary1@real.example')").rowcount == 0


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE people SET city = 'x' WHERE email LIKE '{}'", "UPDATE people SET city = 'x' WHERE email > '{}'", "UPDATE people SET city = email WHERE email = '{}'",
        "UPDATE people SET email = '{}' WHERE id = 1", "UPDATE people SET city = 'x' WHERE upper(email) = '{}'", "DELETE FROM people WHERE email = '{}' || ''",
        "UPDATE people SET city = 'x' WHERE email IN ('{}', 'nobody@x.example')", "UPDATE people SET city = 'x' WHERE email = ANY (ARRAY['{}', '{}'])",
        "UPDATE people SET city = 'x' FROM orders o WHERE o.contact_email = people.email AND people.email = '{}'",
        "UPDATE people SET full_name = 'x' WHERE email = '{}'", "INSERT INTO people (id, city) SELECT 99, 'x' FROM people WHERE email = '{}'",
        "UPDATE orders SET status = 'x' WHERE contact_email = '{}'", "WITH d AS (DELETE FROM people WHERE email = '{}' RETURNING id) SELECT * FROM d",
    ],
)  # fmt: skip
def test_everything_else_about_masked_columns_in_writes_stays_refused(
    clerk: Client, gate: GateProcess, text: str
) -> None:
    asked = text.replace("{}", mail(clerk, 7)).encode()
    with pytest.raises((psycopg.errors.FeatureNotSupported, psycopg.errors.InsufficientPrivilege)) as refused:
        clerk.execute(asked)
    assert "canary" not in str(refused.value)
    clerk.rollback()
    with (
        gate.connect("bot", "shop") as bot,
        pytest.raises((psycopg.errors.FeatureNotSupported, psycopg.errors.InsufficientPrivilege)),
    ):
        bot.execute(asked)


def test_without_the_permit_it_is_refused(gate: GateProcess) -> None:
    with gate.connect("bot", "shop") as bot:
        shown = mail(bot, 7)
        with pytest.raises(psycopg.errors.FeatureNotSupported) as refused:
            bot.execute("UPDATE people SET city = 'x' WHERE email = %s", (shown,))
        assert "choose_by_pseudonym" in str(refused.value)


def test_how_frequent_a_guessed_value_is_does_not_show(clerk: Client) -> None:
    """Nine people have one name. The planner knows; an estimate would let the guess through or not by it."""
    said = []
    for value in ("Canary Real", "Nobody Else"):
        with pytest.raises(psycopg.Error) as refused:
            clerk.execute(f"UPDATE people SET city = 'x' WHERE full_name = '{value}'".encode())
        clerk.rollback()
        said.append((refused.value.sqlstate, refused.value.diag.message_primary))
    assert said[0] == said[1]
    answers = set()
    for value in (
        "canary1@real.example",
        "a",
        "zzz",
    ):  # no lookup, and refused alike whatever the estimate would have been
        with pytest.raises(psycopg.Error) as refused:
            clerk.execute(f"UPDATE people SET city = 'x' WHERE email > '{value}'".encode())
        clerk.rollback()
        answers.add((refused.value.sqlstate, refused.value.diag.message_primary))
    assert len(answers) == 1
