"""Series X: the checker reads something else than the server executes.

Source: threats X-01 to X-35; architecture promises 3 and 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg
import pytest

from attacks.series import Place, by_case
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres import tags

LONG = "a" * 63

DENIED: Mapping[str, Sequence[str]] = {
    "X-05": ("EXPLAIN ANALYZE DELETE FROM users", "DO 'BEGIN END'", "PREPARE p AS DELETE FROM users", "EXECUTE p", "REFRESH MATERIALIZED VIEW copied",
             "ALTER SYSTEM SET work_mem = '1MB'", "DECLARE c CURSOR FOR DELETE FROM users RETURNING id", "FETCH 1 FROM no_such_cursor"),
    "X-06": ("COPY users TO PROGRAM 'cat'",),
    "X-07": ("SELECT * FROM ROWS FROM (generate_series(1, 2), pg_read_file('x'))",),
    "X-08": ("SELECT * FROM ROWS FROM (wipe(), pg_ls_dir('/'))", "SELECT * FROM orders TABLESAMPLE wipe(1)"),
    "X-09": ("MERGE INTO users u USING parent p ON u.id = p.id WHEN MATCHED THEN DELETE RETURNING old.ssn",
             "UPDATE users SET hits = 1 RETURNING old.ssn, new.ssn"),
    "X-14": ("SELECT * FROM loop_a", "SELECT * FROM loop_b"),
    "X-20": ("\ufeffDROP TABLE users", "SELECT 1 -- x\rDROP TABLE users", "-- x\r;DROP TABLE users", "SELECT 1;\x0bDROP TABLE users",
             "SELECT 1\u2028; DROP TABLE users"),
    "X-22": ("/* SELECT 1 */ DELETE FROM users", "-- SELECT\nDELETE FROM users"),
    "X-25": ("SET client_encoding = 'SJIS'", "SET NAMES 'LATIN1'", "SELECT set_config('client_encoding', 'SJIS', false)"),
    "X-27": ("DROP/**/TABLE users", "dRoP\n--x\nTABLE users", 'DROP TABLE U&"\\0075sers"', "EXECUTE 'DR' || 'OP'"),
    "X-30": ("SELECT set_config('role', 'postgres', false)", "SELECT query_to_xml('SELECT 1', true, true, '')", "SELECT pg_read_file('a')",
             "SELECT pg_read_file('b')"),
    "X-34": ("\\copy users to x", "SELECT 1 \\; DROP TABLE users", "\\! id"),
}  # fmt: skip

MASKED: Mapping[str, Sequence[str]] = {
    "X-01": ('SELECT U&"\\0073sn" FROM users',),
    "X-02": ("SELECT U&\"!0073sn\" UESCAPE '!' FROM users",),
    "X-04": ("SELECT E'a\\'b', $q$;--'$q$, ssn, '-- ' FROM users /* /* nested */ */ WHERE id = 1", "SELECT 'a'\n'b', ssn FROM users WHERE id = 2",
             "SELECT N'x', B'1', X'1', ssn FROM users WHERE id = 3"),
    "X-08": ("SELECT x.a FROM users, XMLTABLE('/r' PASSING xmlelement(name r, ssn) COLUMNS a text PATH '.') x",
             "SELECT ssn FROM users TABLESAMPLE SYSTEM (100)", "SELECT g.v FROM users, jsonb_each_text(prefs) g(k, v)"),
    "X-10": ("SELECT (u).ssn FROM users u", "SELECT u.*::text FROM users u", "SELECT u::text FROM users u", "SELECT ssn(u) FROM users u",
             "SELECT u FROM users u", "SELECT u IS NULL, u FROM users u"),
    "X-11": ('SELECT "createdAt", * FROM users ORDER BY id LIMIT 3', 'SELECT *, "createdAt", * FROM users ORDER BY id LIMIT 3'),
    "X-12": ("SELECT o.*, u.* FROM orders o JOIN users u ON u.id = o.user_id", "SELECT u.*, o.* FROM orders o JOIN users u ON u.id = o.user_id"),
    "X-13": ("SELECT jsonb_array_elements(jsonb_build_array(prefs)) FROM users", "SELECT unnest(ARRAY[email, ssn]) FROM users",
             "SELECT * FROM jsonb_to_recordset((SELECT jsonb_agg(u) FROM users u)) AS t(ssn text)"),
    "X-15": ("WITH orders AS (SELECT id AS order_id, email AS status FROM users) SELECT status FROM orders",
             "WITH RECURSIVE users AS (SELECT 1 AS ssn UNION ALL SELECT ssn + 1 FROM users WHERE ssn < 3) SELECT ssn FROM users",
             "WITH a AS (WITH users AS (SELECT ssn FROM public.users) SELECT ssn FROM users) SELECT ssn FROM a"),
    "X-16": ("SELECT lower(ssn) FROM users",),
    "X-18": ('SELECT SSN, "ssn", Ssn FROM USERS', 'SELECT "users"."ssn" FROM "public"."users"', 'SELECT ssn AS "ssn\u200b" FROM users'),
    "X-19": (f'SELECT ssn AS "{LONG}bbbb", email AS "{LONG}cccc" FROM users',),
    "X-23": ("TABLE users", "(SELECT ssn FROM users)", "WITH x AS (TABLE users) TABLE x", "VALUES ((SELECT ssn FROM users WHERE id = 1))"),
    "X-35": ("SELECT prefs->>'phone' = 'x' FROM users", "SELECT prefs->>'phone' FROM users", "SELECT prefs FROM users"),
}  # fmt: skip

ALLOWED: Mapping[str, Sequence[str]] = {
    "X-04": ("SELECT E'a\\'b', $q$;--'$q$, '-- ' /* /* nested */ */", "SELECT 'a'\n'b'", "SELECT B'101', X'1F', N'x'"),
    "X-17": ("SELECT dst_number, number FROM orders ORDER BY order_id LIMIT 3",),
    "X-20": ("SELECT 1; ; SELECT 2", "-- nothing", "", ";", "SELECT 1 -- x\r", "SELECT\x0c1"),
    "X-21": ("SELECT '$1', $$ $2 $$ -- $3", 'SELECT \'{"a": 1}\'::jsonb ? \'a\''),
    "X-26": ("SELECT '1'' OR ''1''=''1' --'", "SELECT 1 WHERE 1 = 1 OR 'a' = 'a' -- ' UNION SELECT NULL", "SELECT/**/1/**/UNION/**/SELECT/**/2",
             "SELECT 'sleep(5)', 'benchmark(1, md5(1))', '; SHUTDOWN --'"),
    "X-33": ("SELECT 'BEGIN ATOMIC; END'",),
}  # fmt: skip


def test_what_reads_in_two_ways_is_refused_before_a_byte(place: Place) -> None:
    before = place.state()
    assert by_case(DENIED, place.let_through) == {}
    assert place.state() == before


def test_no_spelling_gets_round_a_mask(place: Place) -> None:
    assert by_case(MASKED, place.shown) == {}


def test_odd_but_harmless_texts_pass(place: Place) -> None:
    assert by_case(ALLOWED, place.refused) == {}


OFF = "SET standard_conforming_strings = off"
HIDDEN = r"SELECT 'x\'' || email FROM users --'"
WRITING = r"SELECT 'x\''; DELETE FROM users --'"
"""One string when backslashes are letters; something else when they are not."""


@pytest.mark.parametrize(
    "off", [OFF, OFF.replace("SET", "SET LOCAL"), "SELECT set_config('standard_conforming_strings', 'off', false)"]
)
@pytest.mark.parametrize(("who", "text"), [("bot", HIDDEN), ("bot", WRITING), ("clara", WRITING)])
def test_strings_cannot_be_given_another_meaning(place: Place, off: str, who: str, text: str) -> None:
    """X-03: not by itself, not in a pipeline whose answers nobody has seen yet, not in one that ends with Sync only."""
    before = place.state()
    place.drop(who)
    steps = (
        fe.Parse("", off),
        fe.Bind("", ""),
        fe.Execute("", 0),
        fe.Parse("", text),
        fe.Bind("", ""),
        fe.Execute("", 0),
        fe.Sync(),
    )
    for messages in ((fe.Query(off),), (fe.Query(off), fe.Query(text)), steps):
        client = place.client(who)
        client.send(b"".join(message.encode() for message in messages))
        answers = [client.read() for m in messages if isinstance(m, fe.Query | fe.Sync)]
        assert all(b"raw-value" not in frame.body for answer in answers for frame in answer.frames)
        assert answers[0].errors or "set_config" in off
        place.drop(who)
    assert place.state() == before


def test_text_that_is_not_utf8_ends_nothing_but_itself(place: Place) -> None:
    """X-24."""
    for raw in (b"SELECT '\xc3", b"SELECT '\xc0\xa7' ; DROP TABLE users --'", b"SELECT '\xff\xfe'"):
        client, sent = place.client(), place.relay.sessions()
        client.send(b"Q" + (len(raw) + 5).to_bytes(4, "big") + raw + b"\x00")
        answer = client.read()
        assert answer.errors
        assert not any(f.tag == tags.DATA_ROW for f in answer.frames)
        assert answer.ended or place.relay.sessions() == sent
        place.drop()


def test_one_text_in_two_schemas_is_decided_twice(place: Place) -> None:
    """X-29: `SELECT v FROM t` is harmless in one schema and shows names in the other."""
    client = place.client()
    client.simple("SET search_path = a")
    assert client.simple("SELECT v FROM t ORDER BY id LIMIT 2").rows
    client.simple("SET search_path = b")
    shown = client.simple("SELECT v FROM t ORDER BY id LIMIT 2")
    place.drop()
    assert not any(secret in f.body for f in shown.frames for secret in place.secrets)


def test_an_overload_is_chosen_with_the_types_of_the_parse(place: Place) -> None:
    """X-31: user functions stay refused whichever is meant."""
    client, sent = place.client(), place.relay.sessions()
    for types in ((23,), (25,), ()):
        client.send(
            fe.Parse("", "SELECT over($1)", types).encode(),
            fe.Bind("", "", (), (b"1",), ()).encode(),
            fe.Execute("").encode(),
            fe.Sync().encode(),
        )
        assert client.read().errors
    assert place.relay.sessions() == sent


def test_a_view_that_is_given_another_meaning_is_read_again(place: Place) -> None:
    """X-32."""
    with psycopg.connect(place.owner, autocommit=True) as owner:
        owner.execute("CREATE OR REPLACE VIEW changing AS SELECT status AS v FROM orders")
        assert place.refused(["SELECT v FROM changing LIMIT 1"]) == []
        owner.execute("CREATE OR REPLACE VIEW changing AS SELECT email AS v FROM users")
        assert place.shown(["SELECT v FROM changing LIMIT 1"]) == []
        owner.execute("DROP VIEW changing")


def test_the_text_that_was_judged_is_the_text_that_is_sent(place: Place) -> None:
    """X-28: spaces, comments and the final semicolon go to the server as they came."""
    text = "  /* mark-7193 */ SELECT   order_id FROM orders WHERE order_id = 1 ;  -- end"
    place.ask(text)
    sent = [link for link in place.relay.sent if b"application_name\0lg:" in link]
    assert any(text.encode() in link for link in sent)
