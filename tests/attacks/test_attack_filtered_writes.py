"""Writes to a table with a row filter reach the rows that the filter shows, and no row is written that it would hide.

Source: architecture section 5 (an obligation that cannot be carried out means deny); threats R-04 to R-06, R-15 to R-17.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess, served

ROWS = """
TRUNCATE orders, logs, parent, tenants; INSERT INTO tenants VALUES (1, 'ann'), (2, 'boss');
INSERT INTO orders VALUES (1, 'ann', 10, 'a@x.example', 1), (2, 'boss', 0, 'b@x.example', 2), (3, 'ann', 30, 'c@x.example', 1), (4, NULL, 0, 'd@x.example', 1);
INSERT INTO logs VALUES (1, 'ann', 'mine'), (2, 'boss', 'theirs'); INSERT INTO parent VALUES (1, 'ann'), (2, 'boss'); INSERT INTO child VALUES (3, 'ann', 1), (4, 'boss', 2);
"""
SCRIPT = f"""
CREATE TABLE tenants(id int PRIMARY KEY, name text);
CREATE TABLE orders(id int PRIMARY KEY, tenant varchar(9) DEFAULT 'boss', total int, email text, tenant_id int);
CREATE TABLE logs(at int, tenant text, word text) PARTITION BY RANGE (at); CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (10);
CREATE TABLE parent(id int, tenant text); CREATE TABLE child(more int) INHERITS (parent);
CREATE TABLE regions(id int PRIMARY KEY, word text); CREATE TABLE shops(id int PRIMARY KEY, tenant text, region int REFERENCES regions ON DELETE CASCADE);
INSERT INTO regions VALUES (1, 'a'); INSERT INTO shops VALUES (1, 'boss', 1);
CREATE TABLE pairs(id int, low int, high int); INSERT INTO pairs VALUES (1, 1, 9), (2, 9, 1);
CREATE TABLE made(id int, word text, upped text GENERATED ALWAYS AS (upper(word)) STORED);
CREATE TABLE watched(id int, tenant text); CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER w BEFORE UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION watch();
{ROWS}
"""
POLICY = """
@id("own-rows") @row_filter("tenant = {owner}") permit (principal is Agent, action == Action::"read", resource)
when { resource == Table::"public.orders" || resource == Table::"public.logs" || resource == Table::"public.parent" || resource == Table::"public.watched" || resource == Table::"public.shops" };
@id("ordered") @row_filter("low < high") permit (principal, action == Action::"read", resource == Table::"public.pairs");
@id("loud") @row_filter("upped = 'A'") permit (principal, action == Action::"read", resource == Table::"public.made");
@id("own-rows-of-people") @row_filter("tenant = {principal}") permit (principal is Person, action == Action::"read", resource)
when { resource == Table::"public.orders" || resource == Table::"public.logs" || resource == Table::"public.parent" || resource == Table::"public.watched" || resource == Table::"public.shops" };
@id("writes") permit (principal, action in [Action::"write", Action::"execute"], resource);
"""
PRINCIPALS = """\
[[principal]]
name = "ann"
kind = "person"
groups = ["unmaskers"]

[[principal]]
name = "bot"
kind = "agent"
owner = "ann"
"""
Rows = set[tuple[object, ...]]
Client = psycopg.Connection[tuple[object, ...]]


CLEAR = (
    "orders.tenant",
    "orders.total",
    "logs.tenant",
    "parent.tenant",
    "logs.word",
    "tenants.name",
    "pairs.low",
    "pairs.high",
)


@pytest.fixture(scope="module")
def gate(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    with served(
        pg18, "attack_filtered_writes", SCRIPT, tmp_path_factory.mktemp("filtered-writes"), alias="dev", environment="development",
        clear=CLEAR, principals=PRINCIPALS, policies={"40-w.cedar": POLICY},
    ) as running:  # fmt: skip
        yield running


@pytest.fixture(params=["ann", "bot"])
def someone(gate: GateProcess, request: pytest.FixtureRequest) -> Iterator[Client]:
    """One who sees clear values, and one who sees masks."""
    with psycopg.connect(gate.databases["dev"][0], autocommit=True) as owner:
        owner.execute(ROWS.encode())
    with gate.connect(request.param, "dev") as client:
        yield client


@pytest.fixture
def bot(gate: GateProcess) -> Iterator[Client]:
    with psycopg.connect(gate.databases["dev"][0], autocommit=True) as owner:
        owner.execute(ROWS.encode())
    with gate.connect("bot", "dev") as client:
        yield client


def stored(gate: GateProcess) -> dict[str, Rows]:
    tables = {"orders": "id, tenant, total", "logs": "at, word", "parent": "id"}
    with psycopg.connect(gate.databases["dev"][0]) as owner:
        return {
            name: set(owner.execute(f"SELECT {what} FROM {name}".encode()).fetchall()) for name, what in tables.items()
        }


HIDDEN: Rows = {(2, "boss", 0), (4, None, 0)}
OWN: Rows = {(1, "ann", 10), (3, "ann", 30)}
REACHED: dict[str, tuple[int, Rows]] = {
    "UPDATE orders SET total = 1": (2, {(1, "ann", 1), (3, "ann", 1)}),
    "UPDATE orders SET total = 1 WHERE id = 2": (0, OWN),
    "UPDATE public.orders AS o SET total = 7 WHERE 100 / o.total < 5": (1, {(1, "ann", 10), (3, "ann", 7)}),
    "UPDATE ONLY orders SET total = 100 / total -- all of them\n": (2, {(1, "ann", 10), (3, "ann", 3)}),
    "UPDATE orders SET tenant = lower('ANN'), total = 5 WHERE id = 1": (1, {(1, "ann", 5), (3, "ann", 30)}),
    "UPDATE orders SET total = tenants.id FROM tenants WHERE orders.tenant_id = tenants.id": (2, {(1, "ann", 1), (3, "ann", 1)}),
    "UPDATE orders SET total = (SELECT count(*) FROM orders) WHERE id IN (SELECT max(id) FROM orders)": (1, {(1, "ann", 10), (3, "ann", 2)}),
    "WITH big AS (SELECT max(total) AS m FROM orders) UPDATE orders SET total = m FROM big WHERE id = 1": (1, {(1, "ann", 30), (3, "ann", 30)}),
    "UPDATE orders SET total = 3 WHERE tenant <> 'x WHERE RETURNING' AND total IS NOT DISTINCT FROM 10 OR id = 2 OR total = 0": (1, {(1, "ann", 3), (3, "ann", 30)}),
    "UPDATE orders SET tenant = CASE WHEN id = 1 THEN tenant ELSE 'ann' END": (2, OWN),
    "DELETE FROM orders": (2, set()),
    "DELETE FROM orders WHERE id = 2 OR total = 0 OR 1 / total > 5": (0, OWN),
    "DELETE FROM orders USING tenants t WHERE t.id = tenant_id AND t.id = 1 AND total > 20": (1, {(1, "ann", 10)}),
    "INSERT INTO orders (id, tenant, total) VALUES (9, 'ann', 1)": (1, OWN | {(9, "ann", 1)}),
    "INSERT INTO orders (total, tenant, id) VALUES (1 + 1, ('an' || 'n'), 9), (3, 'ann', 10)": (2, OWN | {(9, "ann", 2), (10, "ann", 3)}),
    "INSERT INTO orders (id, tenant, total) SELECT id + 100, tenant, total FROM orders": (2, OWN | {(101, "ann", 10), (103, "ann", 30)}),
    "INSERT INTO orders AS o (id, tenant, total) VALUES (1, 'ann', 5) ON CONFLICT (id) DO UPDATE SET total = o.total + excluded.total": (1, {(1, "ann", 15), (3, "ann", 30)}),
    "INSERT INTO orders (id, tenant) VALUES (2, 'ann') ON CONFLICT DO NOTHING": (0, OWN),
}  # fmt: skip


@pytest.mark.parametrize("text", REACHED)
def test_hidden_rows_are_neither_changed_nor_counted(someone: Client, gate: GateProcess, text: str) -> None:
    count, rows = REACHED[text]
    assert someone.execute(text.encode()).rowcount == count
    assert stored(gate)["orders"] == HIDDEN | rows


def test_what_comes_back_is_what_was_reached(someone: Client, gate: GateProcess) -> None:
    assert someone.execute("DELETE FROM orders WHERE id = 2 RETURNING *").fetchall() == []
    assert someone.execute("UPDATE orders SET total = total + 1 RETURNING id, total").fetchall() == [(1, 11), (3, 31)]
    shown = someone.execute("DELETE FROM orders RETURNING id, email").fetchall()
    assert [row[0] for row in shown] == [1, 3]
    assert (shown[0][1] == "a@x.example") == (someone.info.user == "ann")
    assert someone.execute("UPDATE logs SET word = 'x'").rowcount == 1
    assert someone.execute("UPDATE parent SET id = id + 10").rowcount == 2
    assert someone.execute("DELETE FROM logs_1").rowcount == 1
    assert (
        someone.execute("UPDATE regions SET id = id").rowcount == 1
    )  # a deletion would reach hidden rows, an update does not
    found = stored(gate)
    assert (found["logs"], found["parent"]) == ({(2, "theirs")}, {(11,), (2,), (13,), (4,)})


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE orders SET tenant = 'boss'", "UPDATE orders SET tenant = NULL WHERE id = 1", "INSERT INTO orders (id, tenant) VALUES (9, 'boss')",
        "INSERT INTO orders (id, tenant) VALUES (9, 'ann'), (10, 'boss')", "INSERT INTO orders (id, tenant) SELECT 9, 'boss'",
        "INSERT INTO orders (id, tenant) SELECT id + 50, CASE id WHEN 1 THEN 'boss' ELSE tenant END FROM orders",
        "INSERT INTO orders (id, tenant) VALUES (1, 'ann') ON CONFLICT (id) DO UPDATE SET tenant = 'boss'",
        "INSERT INTO orders (id, tenant) VALUES (2, 'ann') ON CONFLICT (id) DO UPDATE SET total = 1",
        "INSERT INTO orders (id, tenant) VALUES (2, 'ann') ON CONFLICT (id) DO UPDATE SET total = 1 WHERE orders.total = 5 RETURNING *",
        "UPDATE pairs SET low = 10", "INSERT INTO pairs VALUES (3, 5, 4)",
    ],
)  # fmt: skip
def test_a_row_that_would_be_hidden_is_not_written(someone: Client, gate: GateProcess, text: str) -> None:
    someone.execute(f"PREPARE w AS {text}".encode())
    for given in (text, "EXECUTE w"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            someone.execute(given.encode())
        assert "row filter" in str(refused.value)
    assert stored(gate)["orders"] == HIDDEN | OWN


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO orders (id) VALUES (9)", "INSERT INTO orders DEFAULT VALUES", "INSERT INTO orders (id, tenant) VALUES (9, DEFAULT)",
        "UPDATE orders SET tenant = DEFAULT", "UPDATE orders SET (tenant, total) = ('ann', 1)", "UPDATE pairs SET low = id, high = id + 1",
        "MERGE INTO orders o USING tenants t ON o.id = t.id WHEN MATCHED THEN DELETE", "TRUNCATE orders", "UPDATE watched SET id = 1",
        "WITH d AS (DELETE FROM orders RETURNING *) SELECT count(*) FROM d", "EXPLAIN ANALYZE DELETE FROM orders", "UPDATE made SET word = 'b'", "DELETE FROM regions", "TRUNCATE tenants CASCADE",
        "WITH d AS (UPDATE orders SET total = 1 RETURNING id) DELETE FROM orders WHERE id IN (SELECT id FROM d)",
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_denied(bot: Client, gate: GateProcess, text: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
        bot.execute(text.encode())
    assert stored(gate)["orders"] == HIDDEN | OWN


def test_parameters_are_checked_as_constants_are(someone: Client, gate: GateProcess) -> None:
    for number in range(7):  # psycopg prepares on the server after a few
        found = someone.execute("UPDATE orders SET tenant = %s, total = %s WHERE id < %s", ("ann", number, 9))
        assert found.rowcount == 2
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        someone.execute("UPDATE orders SET tenant = %s, total = %s WHERE id < %s", ("boss", 1, 9))
    for name in ("ann", "boss"):
        try:
            someone.execute("INSERT INTO pairs (id, low, high) VALUES (%s, %s, %s)", (3, 1 if name == "ann" else 5, 2))
        except psycopg.errors.InsufficientPrivilege:
            assert name == "boss"
    assert stored(gate)["orders"] == HIDDEN | {(1, "ann", 6), (3, "ann", 6)}
    assert someone.execute("SELECT low, high FROM pairs WHERE id = 3").fetchall() == [(1, 2)]
    someone.execute("DELETE FROM pairs WHERE id = 3")
