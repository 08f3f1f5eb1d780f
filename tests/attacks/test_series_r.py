"""Series R of the known attacks: rows that a row filter hides show in nothing, to principals with masks and without.

Source: threats R-01 to R-18. What cannot be limited is denied before a byte of it reaches the database.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess, replaced
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE tenants(id int PRIMARY KEY, name text); INSERT INTO tenants VALUES (1, 'ann'), (2, 'boss');
CREATE TABLE orders(id int PRIMARY KEY, tenant text, total int, email text, tenant_id int REFERENCES tenants);
INSERT INTO orders VALUES (1, 'ann', 10, 'a@x.example', 1), (2, 'boss', 0, 'b@x.example', 2), (3, 'ann', 30, 'c@x.example', 1), (4, NULL, 7, 'd@x.example', 1);
CREATE VIEW totals AS SELECT tenant, sum(total) AS s FROM orders GROUP BY tenant;
CREATE MATERIALIZED VIEW stored AS SELECT tenant, total FROM orders;
CREATE TABLE logs(at int, tenant text, word text) PARTITION BY RANGE (at); CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (10);
INSERT INTO logs VALUES (1, 'ann', 'mine'), (2, 'boss', 'theirs');
CREATE TABLE parent(id int, tenant text); CREATE TABLE child(more int) INHERITS (parent);
INSERT INTO parent VALUES (1, 'ann'), (2, 'boss'); INSERT INTO child VALUES (3, 'ann', 1), (4, 'boss', 2);
CREATE TABLE inbox(id int PRIMARY KEY, email text); INSERT INTO inbox VALUES (1, 'a@x.example'), (2, 'b@x.example');
CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM orders';
CREATE FUNCTION leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'seen %', $1; RETURN true; END $$;
ANALYZE
"""
POLICY = """
@id("own-rows") @row_filter("tenant = {principal}")
permit (principal in Group::"filtered", action == Action::"read", resource)
when { resource == Table::"public.orders" || resource == Table::"public.logs" || resource == Table::"public.parent" };
@id("by-a-masked-column") @row_filter("email = 'b@x.example'")
permit (principal in Group::"filtered", action == Action::"read", resource == Table::"public.inbox");
@id("own-rows-of-agents") @row_filter("tenant = {owner}")
permit (principal is Agent, action == Action::"read", resource == Table::"public.orders");
@id("writes") permit (principal, action in [Action::"write", Action::"export", Action::"define"], resource);
"""
PRINCIPALS = """\
[[principal]]
name = "ann"
kind = "person"
groups = ["filtered", "unmaskers", "writers"]

[[principal]]
name = "boss"
kind = "person"
groups = ["filtered"]

[[principal]]
name = "root"
kind = "person"
groups = ["administrators"]

[[principal]]
name = "bot"
kind = "agent"
owner = "ann"
"""


@pytest.fixture(scope="module")
def gate(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(postgres, "series_r", SCRIPT)
    folder = tmp_path_factory.mktemp("series-r") / "gate"
    running = GateProcess(folder, {"dev": (dsn, "development")}, principals=PRINCIPALS, policies={"40-r.cedar": POLICY}).init()  # fmt: skip
    running.start()
    yield running
    running.stop()
    drop_database(postgres, "series_r")


@pytest.fixture(params=["ann", "boss"])
def someone(gate: GateProcess, request: pytest.FixtureRequest) -> Iterator[tuple[str, psycopg.Connection]]:
    """One who sees clear values, and one who sees masks."""
    with psycopg.connect(gate.dsn(request.param, "dev"), autocommit=True) as connection:
        yield request.param, connection


SHOWN: dict[str, tuple[object, object]] = {
    "SELECT count(*) FROM orders": (2, 1),
    "SELECT count(*) FROM (SELECT FROM orders) x": (2, 1),
    "SELECT sum(total) FROM public.orders o": (40, 0),
    "SELECT count(*) FROM tenants t LEFT JOIN orders o ON o.tenant_id = t.id": (3, 2),
    "SELECT count(*) FROM (SELECT id FROM orders UNION ALL SELECT id FROM ONLY orders) x": (4, 2),
    "SELECT count(*) FROM (SELECT id FROM tenants EXCEPT SELECT id FROM orders) x": (1, 1),
    "WITH orders AS (SELECT * FROM orders) SELECT count(*) FROM orders": (2, 1),
    "SELECT count(*) FROM tenants t, LATERAL (SELECT FROM orders o WHERE o.tenant_id = t.id) l": (2, 1),
    "SELECT (SELECT max(id) FROM orders)": (3, 2),
    "SELECT EXISTS (SELECT FROM orders WHERE tenant = 'boss')": (False, True),
    "SELECT count(*) FROM totals": (1, 1),
    "SELECT count(*) FROM logs": (1, 1),
    "SELECT count(*) FROM logs_1": (1, 1),
    "SELECT count(*) FROM ONLY parent": (1, 1),
    "SELECT count(*) FROM parent": (2, 2),
    "SELECT count(*) FROM child": (1, 1),
    "SELECT count(*) FROM orders TABLESAMPLE SYSTEM (100)": (2, 1),
    "SELECT id FROM inbox": (2, 2),
    "SELECT id FROM inbox ORDER BY upper(email)": (2, 2),
    "SELECT count(1 / total) FROM orders WHERE id <> 2": (2, 0),
    "SELECT count(*) FROM orders WHERE tenant IS NULL OR tenant = ''": (0, 0),
    "SELECT string_agg(upper(email), ',' ORDER BY id) IS NOT NULL FROM orders": (True, True),
}


@pytest.mark.parametrize("text", SHOWN)
def test_hidden_rows_are_in_no_answer(someone: tuple[str, psycopg.Connection], text: str) -> None:
    name, connection = someone
    for binary in (False, False, False, True):
        found = connection.cursor(binary=binary).execute(text.encode()).fetchone()
        assert found == (SHOWN[text][name == "boss"],)


def test_a_condition_of_the_client_s_is_not_asked_about_hidden_rows(gate: GateProcess) -> None:
    with psycopg.connect(gate.dsn("ann", "dev"), autocommit=True) as ann:
        assert ann.execute("SELECT id FROM orders WHERE 1 / total < 5 ORDER BY id").fetchall() == [(1,), (3,)]


def test_copy_and_cursors_carry_the_filter(someone: tuple[str, psycopg.Connection]) -> None:
    name, connection = someone
    expected = b"2\n" if name == "boss" else b"1\n3\n"
    for text in ("COPY orders (id) TO STDOUT", "COPY (SELECT id FROM orders ORDER BY id) TO STDOUT"):
        with connection.cursor().copy(text.encode()) as copy:
            assert b"".join(bytes(part) for part in copy) == expected
    with connection.transaction():
        connection.execute("DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id")
        assert len(connection.execute("FETCH ALL FROM c").fetchall()) == len(expected.split())


def test_parameters_and_prepared_statements_carry_the_filter(someone: tuple[str, psycopg.Connection]) -> None:
    name, connection = someone
    for _ in range(7):  # psycopg prepares on the server after a few
        found = connection.execute("SELECT count(*) FROM orders WHERE total >= %s", (0,)).fetchone()
        assert found == ((1,) if name == "boss" else (2,))
    connection.execute("PREPARE own (int) AS SELECT count(*) FROM orders WHERE total >= $1")
    assert connection.execute("EXECUTE own(0)").fetchone() == ((1,) if name == "boss" else (2,))


DENIED = (
    "EXPLAIN SELECT * FROM orders", "EXPLAIN ANALYZE SELECT count(*) FROM orders", "SELECT peek()", "SELECT leak(tenant) FROM orders",
    "SELECT * FROM orders FOR UPDATE", "SELECT * FROM stored",
    "TRUNCATE orders", "CREATE TABLE copied AS SELECT * FROM orders", "COPY orders FROM STDIN",
    "WITH d AS (DELETE FROM orders RETURNING *) SELECT * FROM d", "TRUNCATE logs_1", "EXPLAIN UPDATE orders SET total = 1",
    "MERGE INTO orders o USING tenants t ON o.id = t.id WHEN MATCHED THEN DELETE",
)  # fmt: skip


@pytest.mark.parametrize("text", DENIED)
def test_what_cannot_be_limited_is_denied(someone: tuple[str, psycopg.Connection], text: str) -> None:
    _, connection = someone
    with pytest.raises(psycopg.Error) as denied:
        connection.execute(text.encode())
    assert denied.value.sqlstate in ("42501", "0A000"), denied.value
    assert "theirs" not in str(denied.value)


def test_writes_reach_the_rows_that_are_shown(gate: GateProcess) -> None:
    with psycopg.connect(gate.dsn("ann", "dev")) as ann:
        assert ann.execute("UPDATE orders SET total = total + 1 WHERE 100 / total > 0").rowcount == 2
        assert ann.execute(
            "INSERT INTO orders (id, tenant) SELECT id + 20, tenant FROM orders RETURNING id"
        ).fetchall() == [(21,), (23,)]
        assert ann.execute("DELETE FROM orders WHERE id < 20 OR tenant IS NULL RETURNING id").fetchall() == [(1,), (3,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            ann.execute("UPDATE orders SET tenant = 'boss'")
        assert "row filter" in str(refused.value)
        ann.rollback()
        assert ann.execute("SELECT id FROM orders ORDER BY id").fetchall() == [(1,), (3,)]


def test_an_agent_is_limited_by_its_owner_and_others_are_not_limited(gate: GateProcess) -> None:
    with psycopg.connect(gate.dsn("bot", "dev"), autocommit=True) as bot:
        assert bot.execute("SELECT count(*) FROM orders").fetchone() == (2,)
        assert bot.execute("SELECT id, email FROM orders ORDER BY id").fetchall()[0][0] == 1
    with psycopg.connect(gate.dsn("root", "dev"), autocommit=True) as root:
        assert root.execute("SELECT count(*) FROM orders").fetchone() == (4,)
        assert root.execute("SELECT peek()").fetchone() == (4,)


def test_a_group_that_is_left_counts_at_the_next_statement(gate: GateProcess) -> None:
    """R-14: the filter of an open session is that of the principals' file as it is now."""
    path = gate.folder / "principals.toml"
    kept = path.read_text(encoding="utf-8")
    with psycopg.connect(gate.dsn("boss", "dev"), autocommit=True) as boss:
        assert boss.execute("SELECT count(*) FROM orders").fetchone() == (1,)
        try:
            replaced(path, kept.replace('groups = ["filtered"]', "groups = []"))
            assert waited(boss, 4)
        finally:
            replaced(path, kept)
        assert waited(boss, 1)


def waited(connection: psycopg.Connection, rows: int) -> bool:
    deadline = time.monotonic() + 60
    while connection.execute("SELECT count(*) FROM orders").fetchone() != (rows,):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
