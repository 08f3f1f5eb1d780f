"""A row filter put into a write: what is wrapped is exactly what the grammar says stands there."""

from __future__ import annotations

import postgast
import pytest

from lockgate.errors import RefusedStatementError
from lockgate.sql.splice import splice
from lockgate.sql.written import UNFIT_BY, Target

COLUMNS = {"id": "int4", "tenant": "text", "total": "int4"}
FILTER = "tenant = 'ann'"


def put(text: str, *, read: frozenset[str] = frozenset({"tenant"}), careful: bool = True) -> str:
    target = Target(7, FILTER, COLUMNS, read, careful)
    done = splice(
        text, resolve=lambda _, name: {"orders": 7, "hidden": 8}.get(name), replace=lambda *_: None, target=target
    )
    assert len(postgast.parse(done.text).stmts) == 1
    return done.text


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE orders SET total = 1", "UPDATE ONLY orders AS o SET total = 'x WHERE y' /* WHERE */ RETURNING *", "DELETE FROM orders",
        "DELETE FROM orders USING t WHERE t.id = orders.id AND (a IS DISTINCT FROM b) RETURNING 'WHERE'", "WITH w AS (SELECT 1 WHERE true) DELETE FROM orders WHERE id IN (SELECT * FROM w WHERE 1 = 1)",
    ],
)  # fmt: skip
def test_a_condition_is_one_with_the_client_s_in_its_second_place(text: str) -> None:
    before = next(iter(postgast.parse(text).stmts)).stmt
    after = next(iter(postgast.parse(put(text)).stmts)).stmt
    kind = before.WhichOneof("node")
    old, new = getattr(before, kind), getattr(after, kind)
    if not old.HasField("where_clause"):
        assert new.where_clause.WhichOneof("node") == "sub_link"
        return
    (case,) = new.where_clause.case_expr.args
    assert case.case_when.expr.WhichOneof("node") == "sub_link"
    assert postgast.deparse(postgast.parse(put(text, careful=False))).count(FILTER) == 1
    alike = [postgast.parse(f"SELECT {'x'}") for _ in range(2)]
    for tree, node in zip(alike, (old.where_clause, case.case_when.result), strict=True):
        tree.stmts[0].stmt.select_stmt.where_clause.CopyFrom(node)
    assert postgast.deparse(alike[0]) == postgast.deparse(alike[1])


@pytest.mark.parametrize(
    ("text", "checks"),
    [
        ("UPDATE orders SET tenant = 'x', total = (SELECT 1)", 1), ("UPDATE orders SET total = 1", 0), ("INSERT INTO orders (id, tenant) VALUES (1, 'a'), (2, ('b')), (3, $1)", 3),
        ("INSERT INTO orders VALUES (1, 'a,b', (2))", 1), ("INSERT INTO orders (tenant) SELECT tenant FROM x WHERE a = 1 ORDER BY 1 LIMIT 3", 1), ("INSERT INTO orders (tenant) (VALUES ('x') LIMIT 1)", 1),
        ("INSERT INTO orders (id, tenant) VALUES (1, 'a') ON CONFLICT (id) WHERE id > 0 DO UPDATE SET tenant = excluded.tenant WHERE orders.id = 1 RETURNING id", 3),
        ("INSERT INTO orders (id, tenant) VALUES (1, 'a') ON CONFLICT DO NOTHING", 1), ("INSERT INTO orders (id, tenant) TABLE t", 1),
    ],
)  # fmt: skip
def test_every_row_that_is_written_is_checked_once(text: str, checks: int) -> None:
    assert put(text).count(UNFIT_BY) == checks


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO orders (id) VALUES (1)", "INSERT INTO orders DEFAULT VALUES", "INSERT INTO orders (tenant) VALUES (DEFAULT)", "INSERT INTO orders VALUES (1)",
        "UPDATE orders SET (tenant, id) = ('a', 1)", "UPDATE orders SET tenant = DEFAULT", "DELETE FROM orders WHERE CURRENT OF c", "WITH d AS (DELETE FROM orders RETURNING 1) SELECT 1",
        "MERGE INTO orders USING t ON true WHEN MATCHED THEN DELETE", "UPDATE other SET id = 1", "UPDATE orders SET tenant[1] = 'x'",
    ],
)  # fmt: skip
def test_what_cannot_be_wrapped_is_refused(text: str) -> None:
    with pytest.raises(RefusedStatementError):
        put(text)


def test_of_several_checked_columns_all_but_one_must_be_constants() -> None:
    both = frozenset({"tenant", "total"})
    assert put("UPDATE orders SET total = total + 1", read=both).count(UNFIT_BY) == 1
    assert put("UPDATE orders SET total = total + 1, tenant = $1::text", read=both).count(UNFIT_BY) == 1
    with pytest.raises(RefusedStatementError):
        put("UPDATE orders SET tenant = lower(tenant), total = total + 1", read=both)
