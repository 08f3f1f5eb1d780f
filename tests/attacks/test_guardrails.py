"""Destruction by any other word: an agent in production changes nothing, whatever it calls it.

Source: threats G-01 to G-50 and X-05, X-27; architecture promise 6.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SETUP = """
CREATE TABLE users(id int PRIMARY KEY, ssn text, email text, hits int DEFAULT 0);
INSERT INTO users SELECT g, 'ssn' || g, 'u' || g || '@mail.example', 0 FROM generate_series(1, 20) g;
CREATE TABLE parent(id int PRIMARY KEY); CREATE TABLE child(id int REFERENCES parent ON DELETE CASCADE); INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (1);
CREATE SEQUENCE s;
CREATE VIEW plain AS SELECT id, hits FROM users;
CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN DELETE FROM users; RETURN 1; END $$;
CREATE FUNCTION liar() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM wipe(); RETURN 1; END $$;
CREATE PROCEDURE proc() LANGUAGE sql AS $$ DELETE FROM users $$;
CREATE VIEW trap AS SELECT wipe() AS w;
CREATE OPERATOR @@@ (leftarg = int, rightarg = int, function = pg_catalog.int4pl);
CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM users;
ANALYZE;
"""

PAYLOADS = (
    "COMMIT; DROP SCHEMA public CASCADE", "ROLLBACK; DELETE FROM users", "END; DELETE FROM users", "ABORT; DELETE FROM users",
    "SET TRANSACTION READ WRITE; DELETE FROM users", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; DELETE FROM users",
    "BEGIN READ WRITE; DELETE FROM users; COMMIT", "/* x */ COMMIT; DROP TABLE users", "SELECT pg_read_file('/etc/passwd')",
    "SELECT * FROM pg_read_file('/etc/passwd')", "SELECT pg_catalog.\"pg_read_file\"('x')", "SELECT pg_ls_dir('/')", "SELECT pg_stat_file('x')",
    "SELECT lo_import('/etc/passwd')", "SELECT lo_export(1, '/tmp/x')", "SELECT lo_put(1, 0, 'x')", "SELECT lo_from_bytea(0, 'x')", "SELECT lo_unlink(1)",
    "SELECT dblink_exec('dbname=x', 'DROP TABLE users')", "COPY users TO PROGRAM 'cat'", "COPY users FROM PROGRAM 'id'", "COPY users TO '/tmp/x'",
    "COPY (DELETE FROM users RETURNING *) TO STDOUT", "WITH d AS (DELETE FROM users RETURNING *) SELECT * FROM d",
    "WITH x AS (SELECT 1) SELECT * INTO stolen FROM users", "EXPLAIN ANALYZE DELETE FROM users", "EXPLAIN (ANALYZE, BUFFERS off) UPDATE users SET hits = 1",
    "EXPLAIN (ANALYZE false, ANALYZE) DELETE FROM users", "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1", "PREPARE p AS DELETE FROM users",
    "EXECUTE nothing", "DO $$ BEGIN EXECUTE 'DROP TABLE users'; END $$", "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CALL proc()", "SELECT nextval('s')", "SELECT setval('s', 1)", "SELECT pg_advisory_lock(1)", "SELECT pg_sleep(60)",
    "SELECT pg_terminate_backend(1)", "SELECT pg_cancel_backend(1)", "SELECT pg_reload_conf()", "SELECT pg_rotate_logfile()", "SELECT pg_promote()",
    "SELECT pg_switch_wal()", "SELECT pg_create_restore_point('x')", "SELECT pg_stat_reset()", "SELECT pg_logical_emit_message(false, 'a', 'b')",
    "SELECT pg_create_physical_replication_slot('x')", "SELECT pg_export_snapshot()", "SELECT set_config('role', 'postgres', false)",
    "SELECT set_config('transaction_read_only', 'off', false)", "SET ROLE postgres", "SET SESSION AUTHORIZATION postgres", "SET row_security = off",
    "SET session_replication_role = replica", "SELECT query_to_xml('DELETE FROM users RETURNING 1', true, true, '')",
    "SELECT database_to_xml(true, true, '')", "SELECT word FROM ts_stat('SELECT to_tsvector(ssn) FROM users')",
    "SELECT id FROM users FOR UPDATE", "LOCK TABLE users", "REFRESH MATERIALIZED VIEW mv", "CLUSTER users USING users_pkey", "VACUUM FULL users",
    "REINDEX TABLE users", "ANALYZE users", "CHECKPOINT", "LOAD 'x'", "SECURITY LABEL ON TABLE users IS 'x'", "NOTIFY x, 'y'", "LISTEN x",
    "ALTER SYSTEM SET work_mem = '1MB'", "UPDATE users SET hits = 1", "UPDATE users SET hits = 1 WHERE true", "UPDATE users SET hits = 1 WHERE 1 = 1",
    "UPDATE users SET hits = 1 WHERE id = id", "UPDATE users SET hits = 1 WHERE id IS NOT NULL", "DELETE FROM users WHERE NOT false",
    "DELETE FROM users USING parent", "TRUNCATE users", "TRUNCATE parent CASCADE", "DROP TABLE users", "DROP OWNED BY postgres", "DROP VIEW plain",
    "ALTER TABLE users DROP COLUMN ssn", "ALTER TABLE users DISABLE TRIGGER ALL", "ALTER TABLE users RENAME COLUMN ssn TO harmless",
    "DELETE FROM parent WHERE id = 1", "UPDATE plain SET hits = 9", "SELECT * FROM trap", "SELECT liar()", "SELECT wipe()", "SELECT 1 OPERATOR(public.@@@) 2",
    "CREATE TEMP TABLE users(id int)", "CREATE TABLE x AS SELECT * FROM users", "CREATE VIEW x AS SELECT * FROM users", "GRANT ALL ON users TO PUBLIC",
    "CREATE ROLE x", "ALTER ROLE postgres PASSWORD 'x'", "REASSIGN OWNED BY postgres TO postgres", "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
    "CREATE EXTENSION pgcrypto", "CREATE EVENT TRIGGER x ON ddl_command_start EXECUTE FUNCTION wipe()", "CREATE PUBLICATION x", "COMMENT ON TABLE users IS 'x'",
    "CREATE RULE r AS ON SELECT TO plain DO ALSO DELETE FROM users", "CREATE TRIGGER t AFTER INSERT ON users EXECUTE FUNCTION wipe()",
    "CREATE INDEX ON users ((1 / hits))", "SELECT 1; DROP TABLE users", "dRoP\n--x\nTABLE users", "MERGE INTO users u USING parent p ON u.id = p.id WHEN MATCHED THEN DELETE",
    "INSERT INTO users(id) VALUES (999)", "DECLARE c CURSOR FOR DELETE FROM users RETURNING id", "PREPARE TRANSACTION 'x'", "DISCARD ALL; DROP TABLE users",
    "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
)  # fmt: skip

ALLOWED = (
    "SELECT 'DROP TABLE users'", "SELECT id AS delete FROM users WHERE id < 3 ORDER BY id -- DROP", "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FROM users",
    "SELECT id, sum(hits) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM users ORDER BY id", "SELECT 'x FOR UPDATE'",
    "BEGIN; SELECT 1; COMMIT", "EXPLAIN (ANALYZE 0) SELECT id FROM users WHERE id = 1", "TABLE parent", "VALUES (1), (2)", "(SELECT 1)", "SHOW work_mem",
    "EXPLAIN SELECT id FROM users",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GateProcess, str]]:
    name = f"guard{postgres.major}"
    dsn = create_database(postgres, name, SETUP)
    gate = GateProcess(tmp_path_factory.mktemp(name) / "gate", {"shop": (dsn, "production")}).init().start()
    yield gate, dsn
    gate.stop()
    drop_database(postgres, name)


def _state(dsn: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as owner:
        rows = owner.execute(
            "SELECT count(*), sum(hits), (SELECT count(*) FROM parent), (SELECT count(*) FROM child), (SELECT last_value FROM s) FROM users"
        )
        objects = owner.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        return rows.fetchone(), objects.fetchone()


def test_every_payload_is_stopped_and_nothing_has_changed(place: tuple[GateProcess, str]) -> None:
    gate, dsn = place
    before = _state(dsn)
    passed = []
    for payload in PAYLOADS:
        for simple in (True, False):
            with gate.connect("bot", "shop") as client:
                try:
                    if simple:
                        result = client.pgconn.exec_(payload.encode())
                    else:
                        result = client.pgconn.exec_params(payload.encode(), None)
                    text = (result.error_message or b"").decode()
                except psycopg.Error as error:
                    text = str(error)
                if not text:
                    passed.append((simple, payload[:80]))
    assert _state(dsn) == before
    assert passed == []


def test_harmless_statements_with_dangerous_words_pass(place: tuple[GateProcess, str]) -> None:
    gate, _ = place
    with gate.connect("bot", "shop") as client:
        for text in ALLOWED:
            result = client.pgconn.exec_(text.encode())
            assert not result.error_message, (text, result.error_message)


@pytest.mark.parametrize("who", ["ann", "etl"])
def test_writers_in_production_wait_or_are_denied(place: tuple[GateProcess, str], who: str) -> None:
    gate, dsn = place
    before = _state(dsn)
    with gate.connect(who, "shop") as client:
        for text in (
            "DELETE FROM users",
            "UPDATE users SET hits = 1 WHERE id = id",
            "TRUNCATE users",
            "DROP TABLE users",
            "ALTER TABLE users ADD x int",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="lockgate"):
                client.execute(text.encode())
    assert _state(dsn) == before
