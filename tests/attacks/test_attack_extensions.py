"""Extensions that come with PostgreSQL are seen through, row security where it is the same for everyone; neither shows a masked value.

Source: threats G-25 (functions of extensions), R-05 (row security), K-18; promise 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess, served

SETUP = """
CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION pg_trgm; CREATE EXTENSION pgcrypto; CREATE EXTENSION dblink;
CREATE TABLE people(id int PRIMARY KEY, email citext NOT NULL, city citext NOT NULL, path ltree NOT NULL, tags hstore NOT NULL);
INSERT INTO people SELECT g, 'canary' || g || '@corp.test', (ARRAY['Ulm', 'ULM', 'Kiel'])[1 + g % 3], ('top.p' || g % 4)::ltree, hstore('k', (g % 5)::text) FROM generate_series(1, 30) g;
CREATE FUNCTION peek(text) RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN RETURN $1 > ''m''; END';
CREATE TABLE open_rows(id int PRIMARY KEY, email text, kind text); INSERT INTO open_rows SELECT id, email, 'k' || id % 2 FROM people;
CREATE TABLE by_value(id int PRIMARY KEY, email text, kind text); CREATE TABLE by_role(id int PRIMARY KEY, email text, kind text);
CREATE TABLE by_code(id int PRIMARY KEY, email text, kind text); CREATE TABLE by_other(id int PRIMARY KEY, email text, kind text);
CREATE TABLE by_row(id int PRIMARY KEY, email text, kind text);
CREATE POLICY p ON open_rows USING (kind = 'k1'); CREATE POLICY p ON by_value USING (email < 'm'); CREATE POLICY p ON by_role TO postgres USING (true);
CREATE POLICY p ON by_code USING (peek(kind)); CREATE POLICY p ON by_other USING (EXISTS (SELECT 1 FROM people p WHERE p.id = by_other.id AND p.email > 'm'));
CREATE POLICY p ON by_row USING (by_row IS NOT NULL);
DO $$ DECLARE t text; BEGIN FOREACH t IN ARRAY ARRAY['open_rows', 'by_value', 'by_role', 'by_code', 'by_other', 'by_row'] LOOP
  EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t); END LOOP; END $$;
"""
CLEAR = (
    "SELECT id FROM people WHERE path <@ 'top.p1' ORDER BY id", "SELECT path, count(*) FROM people GROUP BY path ORDER BY path", "SELECT city, count(*) FROM people GROUP BY city ORDER BY city",
    "SELECT count(*) FROM people WHERE city = 'ulm'", "SELECT DISTINCT city FROM people WHERE city IN ('KIEL') ", "SELECT hstore('a', path::text) -> 'a' FROM people ORDER BY id LIMIT 3",
    "SELECT id, similarity(path::text, 'top.p1') FROM people ORDER BY 2 DESC, 1 LIMIT 3", "SELECT encode(digest(id::text, 'md5'), 'hex') FROM people ORDER BY id LIMIT 2",
)  # fmt: skip
COMPUTED = ("SELECT upper(email::text) FROM people LIMIT 2", "SELECT email FROM people ORDER BY email LIMIT 2", "SELECT encode(digest(email, 'md5'), 'hex') FROM people LIMIT 2",
            "SELECT hstore('m', email::text) FROM people LIMIT 2", "SELECT email <-> 'canary1@corp.test' FROM (SELECT email::text FROM people) p LIMIT 2", "SELECT email, count(*) FROM people GROUP BY 1")  # fmt: skip


@pytest.fixture(scope="module")
def gate(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    with served(postgres, "extended", SETUP, tmp_path_factory.mktemp("extended")) as running:
        yield running


@pytest.fixture
def bot(gate: GateProcess) -> Iterator[psycopg.Connection]:
    with psycopg.connect(gate.dsn("bot", "extended"), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("text", CLEAR)
def test_what_extensions_compute_of_unmasked_columns_is_the_servers_answer(
    bot: psycopg.Connection, postgres: EmbeddedPostgres, text: str
) -> None:
    with psycopg.connect(postgres.dsn("extended"), autocommit=True) as direct:
        assert bot.execute(text.encode()).fetchall() == direct.execute(text.encode()).fetchall()


@pytest.mark.parametrize("text", COMPUTED)
def test_what_extensions_compute_of_masked_columns_comes_from_stand_ins(bot: psycopg.Connection, text: str) -> None:
    found = bot.execute(text.encode()).fetchall()
    assert found
    assert "canary" not in str(found).lower()


def test_a_shown_value_is_found_where_comparing_ignores_case(bot: psycopg.Connection) -> None:
    shown = bot.execute("SELECT email FROM people WHERE id = 7").fetchone()
    assert shown is not None
    for text in ("email = '{}'", "email IN ('{}', 'nobody')", "email = ANY (ARRAY['{}']::citext[])"):
        assert bot.execute(f"SELECT id FROM people WHERE {text.format(*shown)}".encode()).fetchall() == [(7,)]
    assert bot.execute("SELECT id FROM people WHERE email = %s::citext", shown).fetchall() == [(7,)]
    for guess in ("canary7@corp.test", "CANARY7@corp.test", shown[0].upper()):
        assert bot.execute(f"SELECT id FROM people WHERE email = '{guess}'".encode()).fetchall() == []


@pytest.mark.parametrize("text", ["SELECT gen_random_bytes(4)", "SELECT dblink('dbname=extended', 'SELECT email FROM people')", "SELECT set_limit(0.1)"])  # fmt: skip
def test_code_of_extensions_that_does_more_than_compute_is_refused(bot: psycopg.Connection, text: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        bot.execute(text.encode())


def test_row_security_over_unmasked_columns_filters_as_the_server_does(bot: psycopg.Connection) -> None:
    assert bot.execute("SELECT count(*) FROM open_rows").fetchall() == [(15,)]
    assert len(bot.execute("SELECT email, upper(email) FROM open_rows ORDER BY email").fetchall()) == 15
    with bot.cursor().copy("COPY open_rows TO STDOUT") as copy:
        assert b"canary" not in (data := b"".join(bytes(part) for part in copy))
    assert data.count(b"\n") == 15


@pytest.mark.parametrize("table", ["by_value", "by_role", "by_code", "by_other", "by_row"])
def test_row_security_that_reads_masked_columns_or_cannot_be_seen_is_refused(
    bot: psycopg.Connection, table: str
) -> None:
    for text in (f"SELECT count(*) FROM {table}", f"SELECT max(email) FROM {table}", f"COPY {table} TO STDOUT"):
        with pytest.raises((psycopg.errors.FeatureNotSupported, psycopg.errors.InsufficientPrivilege)) as refused:
            bot.execute(text.encode())
        rule = re.search(r"rule=(\S+)", refused.value.diag.message_detail or "")
        assert rule is not None
        assert rule[1] in ("row-security", "opaque", "no-permit"), text
