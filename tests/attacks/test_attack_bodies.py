"""Functions in LANGUAGE sql are read through their bodies: what they show of masked columns is masked, what they hide is refused.

Source: promise 5; masking.md 1.2 and 2.3; threats series G (functions).
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess, served

BODY = "CREATE OR REPLACE FUNCTION city_of(p int) RETURNS text LANGUAGE sql STABLE AS $$ SELECT {} FROM people WHERE id = p $$"
SCRIPT = f"""
CREATE SCHEMA other; CREATE TABLE other.people(id int, email text, city text); INSERT INTO other.people VALUES (1, 'canary9@real.example', 'Bern');
CREATE TABLE people(id int PRIMARY KEY, email text, full_name varchar(40), city text);
INSERT INTO people SELECT i, 'canary' || i || '@real.example', 'Canary Person' || i, 'Ulm ' || i % 2 FROM generate_series(1, 6) i;
CREATE TABLE seen(id int);
CREATE VIEW mails AS SELECT id, email FROM people;
{BODY.format("city")};
CREATE FUNCTION mail_of(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM mails WHERE id = $1';
CREATE FUNCTION mail_of(text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'nobody' $$;
CREATE FUNCTION atomic(p int) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT 1; SELECT email FROM people WHERE id = p; END;
CREATE FUNCTION deep(p int) RETURNS text LANGUAGE sql STABLE AS 'SELECT mail_of(p)';
CREATE FUNCTION contact(people) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1.email';
CREATE FUNCTION everyone() RETURNS SETOF people LANGUAGE sql STABLE AS 'SELECT * FROM people ORDER BY id';
CREATE FUNCTION living(c text, at_most int DEFAULT 9) RETURNS TABLE(who int, mail text, name text) LANGUAGE sql STABLE AS
  'SELECT id, email, full_name FROM people WHERE city = c ORDER BY id LIMIT at_most';
CREATE FUNCTION shout(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS 'SELECT upper($1)';
CREATE FUNCTION same(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION shown(p int) RETURNS text LANGUAGE sql STABLE AS 'SELECT upper(email) FROM people WHERE id = p';
CREATE FUNCTION guessed(t text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM people WHERE email = t';
CREATE FUNCTION guessed_deep(a int, t text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT a + guessed(t)';
CREATE FUNCTION one_of(t text[]) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM people WHERE email = ANY (t)';
CREATE FUNCTION told(t text) RETURNS text LANGUAGE sql STABLE AS 'SELECT t FROM people WHERE email = t';
CREATE FUNCTION told_size(t text) RETURNS int LANGUAGE sql STABLE AS 'SELECT length(t) FROM people WHERE email = t';
CREATE FUNCTION told_deep(t text) RETURNS text LANGUAGE sql STABLE AS 'SELECT same(t) FROM people WHERE email = t';
CREATE FUNCTION either(t text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM people WHERE email = t OR city = t';
CREATE FUNCTION built_in() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(*) FROM people WHERE email = 'canary1@real.example' $$;
CREATE FUNCTION first_of_all() RETURNS text LANGUAGE sql STABLE AS 'SELECT city FROM people ORDER BY email';
CREATE FUNCTION ponged(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 0';
CREATE FUNCTION pinged(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT CASE WHEN $1 > 0 THEN ponged($1 - 1) ELSE 0 END';
CREATE OR REPLACE FUNCTION ponged(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT pinged($1)';
CREATE FUNCTION owned(p int) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT email FROM people WHERE id = p';
CREATE FUNCTION owned_there(p int) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS 'SELECT email FROM people WHERE id = p';
CREATE FUNCTION by_user(p int) RETURNS text LANGUAGE sql STABLE SET search_path = "$user", public AS 'SELECT city FROM people WHERE id = p';
CREATE FUNCTION setting(p int) RETURNS text LANGUAGE sql STABLE SET row_security = off AS 'SELECT city FROM people WHERE id = p';
CREATE FUNCTION written(p int) RETURNS int LANGUAGE sql AS 'INSERT INTO seen VALUES (p) RETURNING id';
CREATE FUNCTION any_of(anyelement) RETURNS anyelement LANGUAGE sql STABLE AS 'SELECT $1';
CREATE FUNCTION closed(p int) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT email FROM people WHERE id = p); END $$;
CREATE FUNCTION around_closed(p int) RETURNS text LANGUAGE sql STABLE AS 'SELECT closed(p)';
CREATE FUNCTION by_default(p text DEFAULT closed(1)) RETURNS text LANGUAGE sql STABLE AS 'SELECT p';
CREATE FUNCTION not_yours(p int) RETURNS text LANGUAGE sql STABLE AS 'SELECT city FROM people WHERE id = p';
REVOKE EXECUTE ON FUNCTION not_yours FROM PUBLIC;
"""
POLICY = '@id("bots-execute") permit (principal is Agent, action == Action::"execute", resource);\n'
OPEN = ("public.people.city", "other.people.city", "public.seen.id")


@pytest.fixture(scope="module", params=(15, 18))
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    server: EmbeddedPostgres = request.getfixturevalue(f"pg{request.param}")
    with served(
        server, "attack_bodies", SCRIPT, tmp_path_factory.mktemp("bodies"), alias="dev", environment="development", clear=OPEN,
        policies={"60-bots.cedar": POLICY},
    ) as running:  # fmt: skip
        yield running


@pytest.fixture
def bot(gate: GateProcess) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with gate.connect("bot", "dev") as client:
        yield client


def shown(bot: psycopg.Connection[tuple[object, ...]], text: str) -> list[tuple[object, ...]]:
    """The rows of a statement, none of which is a value that is masked."""
    rows = bot.execute(text.encode()).fetchall()
    assert "canary" not in str(rows).lower()
    return rows


def refusal(bot: psycopg.Connection[tuple[object, ...]], text: str) -> str:
    with pytest.raises(psycopg.errors.FeatureNotSupported) as refused:
        bot.execute(text.encode())
    assert "canary" not in str(refused.value).lower()
    return str(refused.value)


def test_what_a_body_shows_is_masked_as_if_it_stood_in_the_statement(
    bot: psycopg.Connection[tuple[object, ...]],
) -> None:
    plain = shown(bot, "SELECT email FROM people WHERE id = 1")
    for text in ("SELECT mail_of(1)", "SELECT atomic(1)", "SELECT deep(1)", "SELECT owned_there(1)", "SELECT same(email) FROM people WHERE id = 1",
                 "SELECT contact(p) FROM people p WHERE id = 1", "SELECT p.contact FROM people p WHERE id = 1", "SELECT email FROM everyone() WHERE id = 1",
                 "SELECT mail FROM living('Ulm 1') WHERE who = 1", "SELECT mail FROM living(at_most => 1, c => 'Ulm 1')",
                 "SELECT l.mail FROM people p, LATERAL living(p.city) l WHERE p.id = 3 AND l.who = 1", "SELECT mail_of(id) FROM people WHERE id = 1"):  # fmt: skip
        assert shown(bot, text) == plain, text
    assert shown(bot, "SELECT city_of(1), count(*) FROM people") == [("Ulm 1", 6)]
    assert shown(bot, "SELECT mail_of('x')") == [("nobody",)]
    assert shown(bot, "SELECT count(*) FROM everyone() e JOIN people p ON p.email = e.email") == [(6,)]
    assert shown(bot, "SELECT who FROM living('Ulm 0') ORDER BY who") == [(2,), (4,), (6,)]


def test_a_body_that_computes_runs_over_stand_ins_and_one_that_reads_masked_values_to_compute_is_refused(
    bot: psycopg.Connection[tuple[object, ...]],
) -> None:
    assert shown(bot, "SELECT shout(email) FROM people ORDER BY id LIMIT 2") == shown(
        bot, "SELECT upper(email) FROM people ORDER BY id LIMIT 2"
    )
    for text in ("SELECT shown(1)", "SELECT built_in()", "SELECT id FROM people WHERE mail_of(id) LIKE 'canary%'",
                 "SELECT upper(mail_of(1))", "SELECT id FROM everyone() ORDER BY email", "SELECT first_of_all()", "EXPLAIN ANALYZE SELECT mail_of(1)",
                 "SELECT id FROM everyone() WITH ORDINALITY AS e(id, email, full_name, city, n)"):  # fmt: skip
        refusal(bot, text)


def test_a_body_looks_up_what_was_shown_and_knows_nothing_of_a_guess(
    bot: psycopg.Connection[tuple[object, ...]],
) -> None:
    mask = str(shown(bot, "SELECT email FROM people WHERE id = 2")[0][0])
    for value, found in ((mask, 1), ("canary2@real.example", 0)):
        for text in (
            f"SELECT guessed('{value}')",
            f"SELECT guessed(t => '{value}')",
            f"SELECT guessed_deep(0, '{value}')",
            f"SELECT one_of(ARRAY['{value}', 'x'])",
        ):
            assert bot.execute(text.encode()).fetchall() == [(found,)], text
        assert bot.execute("SELECT guessed(%s), guessed_deep(1, %s)", (value, value)).fetchall() == [(found, 1 + found)]
    assert bot.execute(f"SELECT guessed('{mask}'), '{mask}'".encode()).fetchall() == [(1, mask)]
    for value in (f"'{mask}'", "'canary2@real.example'"):
        for text in (
            f"told({value})",
            f"told_size({value})",
            f"told_deep({value})",
            f"either({value})",
            f"guessed(lower({value}))",
            f"guessed(x) FROM (SELECT {value}::text AS x) t",
        ):
            refusal(bot, f"SELECT {text}")
    for text in ("SELECT guessed($1), $1", "SELECT guessed($1), length($1)"):
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            bot.execute(text.replace("$1", "%(v)s"), {"v": mask})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("SELECT pinged(1)", "calls itself"), ("SELECT owned(1)", "who runs it"), ("SELECT by_user(1)", "who runs it"), ("SELECT setting(1)", "changes settings"),
        ("SELECT written(1)", "more than read"), ("SELECT any_of(city) FROM people", "does not read its body"),
        ("SELECT around_closed(1)", "public.closed"), ("SELECT by_default()", "left out"), ("SELECT not_yours(1)", "does not read its body"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_name(
    bot: psycopg.Connection[tuple[object, ...]], gate: GateProcess, text: str, named: str
) -> None:
    assert named in refusal(bot, text)
    with psycopg.connect(gate.databases["dev"][0]) as owner:
        assert owner.execute("SELECT count(*) FROM seen").fetchone() == (0,)


def test_names_in_a_body_mean_what_the_session_means_by_them(bot: psycopg.Connection[tuple[object, ...]]) -> None:
    assert shown(bot, "SELECT city_of(1)") == [("Ulm 1",)]
    bot.execute("SET search_path = other, public")
    assert shown(bot, "SELECT city_of(1)") == [("Bern",)]
    bot.execute("CREATE TEMPORARY TABLE people AS SELECT 1 AS id, full_name AS city FROM public.people WHERE id = 1")
    assert shown(bot, "SELECT city_of(1)") == shown(bot, "SELECT full_name FROM public.people WHERE id = 1")
    assert "public.closed" in refusal(bot, "SELECT around_closed(1), (SELECT city FROM people)")
    assert shown(bot, "SELECT count(*) FROM people") == [(1,)]


def test_a_body_that_is_changed_past_the_gate_is_read_again_each_time(
    bot: psycopg.Connection[tuple[object, ...]], gate: GateProcess
) -> None:
    with psycopg.connect(gate.databases["dev"][0], autocommit=True) as owner:
        assert shown(bot, "SELECT city_of(2)") == [("Ulm 0",)]
        try:
            owner.execute(BODY.format("email").encode())
            assert shown(bot, "SELECT city_of(2)") == shown(bot, "SELECT email FROM people WHERE id = 2")
        finally:
            owner.execute(BODY.format("city").encode())
