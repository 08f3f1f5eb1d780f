"""Series G: destruction by any other word. An agent in production changes nothing, and nothing of the attempt reaches the database.

Source: threats G-01 to G-50; architecture promise 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg

from attacks.series import Place, by_case
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres import tags

DENIED: Mapping[str, Sequence[str]] = {
    "G-01": ("COMMIT; DROP SCHEMA public CASCADE",),
    "G-02": ("ROLLBACK; DELETE FROM users", "END; DELETE FROM users", "ABORT; DELETE FROM users"),
    "G-03": ("SET TRANSACTION READ WRITE; DELETE FROM users",),
    "G-04": ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; DELETE FROM users",),
    "G-05": ("START TRANSACTION READ WRITE; DELETE FROM users; COMMIT", "BEGIN READ WRITE; DELETE FROM users; COMMIT"),
    "G-06": ("/* x */ COMMIT; DROP TABLE users", "-- x\nDROP TABLE users"),
    "G-07": ("SET default_transaction_read_only = off; DELETE FROM users", "SELECT set_config('transaction_read_only', 'off', false)"),
    "G-08": ("SELECT * FROM pg_read_file('/etc/passwd')",),
    "G-09": ("SELECT pg_read_file('/etc/passwd')", "SELECT pg_read_binary_file('x')", "SELECT pg_ls_dir('/')", "SELECT pg_stat_file('x')"),
    "G-10": ("SELECT pg_catalog.\"pg_read_file\"('x')",),
    "G-11": ("SELECT lo_import('/etc/passwd')", "SELECT lo_export(1, '/tmp/x')", "SELECT lo_put(1, 0, 'x')", "SELECT lo_from_bytea(0, 'x')",
             "SELECT lo_unlink(1)"),
    "G-12": ("SELECT dblink_exec('dbname=x', 'DROP TABLE users')",),
    "G-13": ("SELECT * FROM dblink('x', 'DELETE FROM users RETURNING 1') AS t(a int)",),
    "G-14": ("COPY users TO PROGRAM 'cat'", "COPY users FROM PROGRAM 'id'", "COPY users TO '/tmp/x'"),
    "G-15": ("COPY (DELETE FROM users RETURNING *) TO STDOUT", "COPY (DELETE FROM noisy WHERE id = 1 RETURNING id) TO STDOUT"),
    "G-16": ("WITH d AS (DELETE FROM users RETURNING *) SELECT * FROM d",),
    "G-17": ("WITH m AS (MERGE INTO users u USING parent p ON u.id = p.id WHEN MATCHED THEN DELETE RETURNING *) SELECT * FROM m",
             "MERGE INTO users u USING parent p ON u.id = p.id WHEN MATCHED THEN DELETE"),
    "G-18": ("WITH x AS (SELECT 1) SELECT * INTO stolen FROM users",),
    "G-19": ("EXPLAIN ANALYZE DELETE FROM users",),
    "G-20": ("EXPLAIN (ANALYZE, BUFFERS off) UPDATE users SET hits = 1", "EXPLAIN (ANALYZE false, ANALYZE) DELETE FROM users"),
    "G-21": ("ANALYZE DELETE FROM users", "EXPLAIN ANALYZE DELETE FROM users"),
    "G-22": ("EXPLAIN ANALYZE DELETE FROM users WHERE full_name = '$1'",),
    "G-23": ("EXPLAIN ANALYZE EXECUTE nothing", "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1",
             "EXPLAIN ANALYZE DECLARE c CURSOR FOR DELETE FROM users RETURNING id"),
    "G-24": ("PREPARE p AS DELETE FROM users", "EXECUTE nothing"),
    "G-25": ("DO $$ BEGIN EXECUTE 'DROP TABLE users'; END $$",),
    "G-26": ("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
             "CREATE OPERATOR pg_temp.||| (leftarg=text, rightarg=text, function=pg_catalog.textcat)",
             "CREATE TYPE pg_temp.pair AS (a text, b text)", "CREATE AGGREGATE pg_temp.all_of(text) (sfunc=textcat, stype=text)"),
    "G-27": ("CALL proc()",),
    "G-28": ("SELECT nextval('s')", "SELECT setval('s', 1)", "SELECT pg_advisory_lock(1)", "SELECT pg_sleep(600)"),
    "G-29": ("SELECT pg_terminate_backend(1)", "SELECT pg_cancel_backend(1)", "SELECT pg_reload_conf()", "SELECT pg_rotate_logfile()",
             "SELECT pg_promote()", "SELECT pg_switch_wal()", "SELECT pg_create_restore_point('x')", "SELECT pg_stat_reset()",
             "SELECT pg_stat_reset_single_table_counters(1)", "SELECT pg_prewarm('users')", "SELECT gin_clean_pending_list('users_pkey')",
             "SELECT brin_summarize_new_values('users_pkey')", "SELECT pg_logical_emit_message(false, 'a', 'b')",
             "SELECT pg_create_physical_replication_slot('x')", "SELECT pg_create_logical_replication_slot('x', 'pgoutput')",
             "SELECT pg_drop_replication_slot('x')", "SELECT pg_replication_origin_create('x')", "SELECT pg_import_system_collations('public')",
             "SELECT pg_export_snapshot()"),
    "G-30": ("SELECT set_config('role', 'postgres', false)", "SET ROLE postgres", "SET SESSION AUTHORIZATION postgres", "RESET ROLE; DELETE FROM users",
             "DISCARD ALL; DROP TABLE users", "SET session_replication_role = replica"),
    "G-31": ("SELECT query_to_xml('DELETE FROM users RETURNING 1', true, true, '')", "SELECT cursor_to_xml('c', 1, true, true, '')",
             "SELECT database_to_xml(true, true, '')", "SELECT schema_to_xml('public', true, true, '')"),
    "G-32": ("SELECT * FROM crosstab('DELETE FROM users') AS t(a int)", "SELECT word FROM ts_stat('SELECT to_tsvector(ssn) FROM users')",
             "SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ssn::tsquery FROM users')",
             "SELECT * FROM xpath_table('a', 'b', 'users', '/', 'true') AS t(a int)", "SELECT * FROM connectby('users', 'id', 'hits', '1', 0) AS t(a int)"),
    "G-33": ("SELECT id FROM users FOR UPDATE", "SELECT id FROM users FOR NO KEY UPDATE SKIP LOCKED", "LOCK TABLE users"),
    "G-34": ("REFRESH MATERIALIZED VIEW copied", "CLUSTER users USING users_pkey", "VACUUM FULL users", "REINDEX TABLE users", "ANALYZE users",
             "CHECKPOINT", "LOAD 'x'", "SECURITY LABEL ON TABLE users IS 'x'", "NOTIFY x, 'y'", "LISTEN x", "ALTER SYSTEM SET work_mem = '1MB'",
             "IMPORT FOREIGN SCHEMA public FROM SERVER x INTO public"),
    "G-35": ("UPDATE users SET hits = 1", "UPDATE users SET hits = 1 WHERE true", "DELETE FROM users WHERE NOT false"),
    "G-37": ("DELETE FROM parent WHERE id = 1", "TRUNCATE users", "TRUNCATE parent CASCADE", "DROP TABLE users", "DROP OWNED BY postgres",
             "DROP VIEW plain", "DROP EXTENSION plpgsql CASCADE", "ALTER TABLE users DROP COLUMN ssn", "ALTER TABLE users ATTACH PARTITION orders DEFAULT",
             "ALTER TABLE users DISABLE TRIGGER ALL", "ALTER TABLE users DISABLE ROW LEVEL SECURITY", "ALTER TABLE users RENAME COLUMN ssn TO harmless",
             "CREATE INDEX ON users ((1 / hits))", "COMMENT ON TABLE users IS 'x'"),
    "G-38": ("UPDATE plain SET hits = 9", "UPDATE writable SET hits = 9 WHERE id = 1", "INSERT INTO audited VALUES (1, 'x')",
             "CREATE RULE r AS ON SELECT TO plain DO ALSO DELETE FROM users"),
    "G-39": ("SELECT * FROM trap", "SELECT count(*) FROM trap", "SELECT wipe()", "SELECT id FROM users WHERE wipe() = 1"),
    "G-40": ("SELECT liar()", "SELECT sure()", "SELECT id FROM orders o(id) ORDER BY sure()"),
    "G-41": ("SELECT 1 OPERATOR(public.@@@) 2", "SELECT summed(hits) FROM users", "SELECT '1'::mytype"),
    "G-42": ("SET search_path = public, pg_catalog; SELECT md5('x')", "SELECT public.md5('x')"),
    "G-43": ("CREATE TEMP TABLE users(id int)", "CREATE TEMP VIEW users AS SELECT 1"),
    "G-44": ("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC", "GRANT ALL ON users TO PUBLIC", "CREATE ROLE x IN ROLE postgres",
             "REASSIGN OWNED BY postgres TO postgres", "ALTER ROLE postgres SET work_mem = '1MB'", "ALTER ROLE postgres PASSWORD 'x'"),
    "G-45": ("CREATE EVENT TRIGGER x ON ddl_command_start EXECUTE FUNCTION wipe()", "CREATE PUBLICATION x",
             "CREATE SUBSCRIPTION x CONNECTION '' PUBLICATION y", "CREATE EXTENSION pgcrypto", "CREATE LANGUAGE x",
             "CREATE TRIGGER t AFTER INSERT ON users EXECUTE FUNCTION wipe()"),
    "G-47": ("SELECT " + "(" * 20_000 + "1" + ")" * 20_000,),
    "G-50": ("SELECT 1; DROP TABLE users",),
}  # fmt: skip

WRITER_DENIED: Mapping[str, Sequence[str]] = {
    "G-35": ("UPDATE orders SET amount = 1", "UPDATE orders SET amount = 1 WHERE true", "UPDATE orders SET amount = 1 WHERE 1 = 1",
             "UPDATE orders SET amount = 1 WHERE order_id = order_id", "UPDATE orders SET amount = 1 WHERE order_id IS NOT NULL",
             "UPDATE orders SET amount = 1 WHERE order_id > -1", "DELETE FROM orders WHERE EXISTS (SELECT 1)",
             "DELETE FROM orders WHERE order_id IN (SELECT order_id FROM orders)", "DELETE FROM orders WHERE NOT false",
             "DELETE FROM orders WHERE order_id = 1 OR true"),
    "G-36": ("DELETE FROM orders USING parent", "UPDATE orders SET amount = 1 FROM parent"),
    "G-37": ("TRUNCATE orders", "DROP TABLE orders", "ALTER TABLE orders ADD x int"),
}  # fmt: skip

ALLOWED: Mapping[str, Sequence[str]] = {
    "G-20": ("EXPLAIN (ANALYZE 0) SELECT order_id FROM orders WHERE order_id = 1",),
    "G-49": ("SELECT 'DROP TABLE users'", "SELECT id AS delete FROM users WHERE id < 3 ORDER BY id -- DROP",
             "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FROM users",
             "SELECT id, sum(hits) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM users ORDER BY id", "SELECT 'x FOR UPDATE'",
             "BEGIN; SELECT 1; COMMIT", "TABLE parent", "VALUES (1), (2)", "(SELECT 1)", "SHOW work_mem", "EXPLAIN SELECT order_id FROM orders"),
}  # fmt: skip


def test_what_an_agent_must_not_do_is_refused_before_a_byte_and_changes_nothing(place: Place) -> None:
    before = place.state()
    place.drop("bot")  # a session that has temporary tables is asked on its own link
    assert by_case(DENIED, place.let_through) == {}
    assert place.state() == before


def test_writes_without_a_bound_are_denied_to_writers_too(place: Place) -> None:
    before = place.state()
    for who in ("ann", "etl"):
        place.drop(who)
        assert by_case(WRITER_DENIED, lambda texts, who=who: place.let_through(texts, who)) == {}  # type: ignore[misc]
    assert place.state() == before


def test_harmless_statements_with_dangerous_words_pass(place: Place) -> None:
    assert by_case(ALLOWED, place.refused) == {}


def test_a_zero_byte_in_the_text_hides_nothing_behind_it(place: Place) -> None:
    """G-46: one parser stops at the zero byte, another reads on."""
    before = place.state()
    for frame in (fe.Query("SELECT 1"), fe.Parse("", "SELECT 1")):
        client = place.client()
        sent = place.relay.sessions()
        raw = frame.encode()
        body = raw[5:].replace(b"SELECT 1", b"SELECT 1\x00; DROP TABLE users")
        client.send(raw[:1] + (len(body) + 4).to_bytes(4, "big") + body, fe.Sync().encode())
        answer = client.read()
        assert answer.ended or answer.errors
        assert not any(f.tag == tags.DATA_ROW for f in answer.frames)
        assert place.relay.sessions() - sent < 16  # at most the Terminate of a session that the gate ends
        place.drop()
    assert place.state() == before


def test_a_statement_in_segments_of_one_byte_is_judged_as_a_whole(place: Place) -> None:
    """G-48."""
    client, sent = place.client(), place.relay.sessions()
    for byte in fe.Query("SELECT 1; DROP TABLE users").encode():
        client.send(bytes([byte]))
    assert client.read().errors
    assert place.relay.sessions() == sent


def test_a_statement_prepared_by_protocol_is_judged_again_when_it_runs(place: Place) -> None:
    """G-24, J-20: an unbounded write stays denied under every name."""
    client, sent = place.client("etl"), place.relay.sessions()
    client.send(
        fe.Parse("w", "DELETE FROM orders").encode(),
        fe.Bind("", "w").encode(),
        fe.Execute("").encode(),
        fe.Sync().encode(),
    )
    assert client.read().errors
    assert place.relay.sessions() == sent


def test_held_writes_do_not_run_by_themselves(place: Place) -> None:
    before = place.state()
    answer = place.ask("DELETE FROM orders WHERE order_id = 1", "etl")
    assert answer.errors[0].sqlstate == "42501"
    assert place.state() == before
    with psycopg.connect(place.owner) as owner:
        assert owner.execute("SELECT count(*) FROM orders WHERE order_id = 1").fetchone() == (1,)
