"""Which of a client's values may be translated: those that nothing but comparisons with columns sees."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from lockgate.model.catalog import Catalog
from lockgate.model.plan import Order
from lockgate.testing.engines import EmbeddedPostgres
from sql.live import SETTINGS, analysed, clearance_of, plan_of, read_catalog, see
from sql.tricky import LABELS, SETUP
from support.servers import MakeDatabase, Servers

# query, and the values that are opened, by what stands at their places in the text
OPENED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("SELECT id FROM client WHERE mail = 'a'", ("'a'",)),
    ("SELECT id FROM client WHERE 'a' = mail AND id = 3", ("'a'",)),
    ("SELECT id FROM client WHERE mail <> 'a' OR mail IN ('b', 'c', NULL)", ("'a'", "'b'", "'c'")),
    ("SELECT id FROM client WHERE mail = 'a'::text AND tax = CAST('b' AS varchar)", ("'a'", "'b'")),
    ("SELECT id FROM client WHERE mail = text 'a'", ("'a'",)),
    ("SELECT id FROM client WHERE mail = $1 AND tax IN ($2, $3)", ("$1", "$2", "$3")),
    ("SELECT id FROM client WHERE mail = ANY ($1)", ("$1",)),
    ("SELECT id FROM client WHERE tax = ANY ($1::varchar[])", ("$1",)),
    ("SELECT id FROM client WHERE tax = ANY ('{a,b}'::varchar[])", ("'{a,b}'",)),
    ("SELECT id FROM client WHERE tax NOT IN ('a', 'b')", ("'a'", "'b'")),
    ("SELECT id FROM client WHERE mail = ANY ($1::text[])", ("$1",)),
    ("SELECT id FROM client WHERE mail = ANY ('{a,b}')", ("'{a,b}'",)),
    ("SELECT id FROM client WHERE mail = ANY (ARRAY['a', 'b'])", ("'a'", "'b'")),
    ("SELECT id FROM client WHERE NOT (mail <> ALL (ARRAY['a', $1]))", ("'a'", "$1")),
    ("SELECT id FROM client WHERE (id, mail) IN ((1, 'a'), (2, 'b'))", ("'a'", "'b'")),
    ("SELECT id FROM client WHERE (mail, tax) = ('a', 'b')", ("'a'", "'b'")),
    ("SELECT id FROM client WHERE mail IS DISTINCT FROM 'a'", ("'a'",)),
    ("SELECT nullif(mail, 'a') FROM client", ("'a'",)),
    ("SELECT id, mail = 'a' FROM client", ("'a'",)),
    ("SELECT count(*) FILTER (WHERE mail = 'a') FROM client", ("'a'",)),
    ("SELECT CASE mail WHEN 'a' THEN 1 WHEN 'b' THEN 2 END FROM client", ("'a'", "'b'")),
    ("SELECT c.id FROM client c JOIN (VALUES ('a'), ('b')) v(m) ON v.m = c.mail", ("'a'", "'b'")),
    ("SELECT c.id FROM client c JOIN (VALUES ('a')) v(m) ON v.m = c.mail", ("'a'",)),
    ("SELECT c.id, v.n FROM client c JOIN (VALUES (1, 'a'), (2, 'b')) v(n, m) ON v.m = c.mail", ("'a'", "'b'")),
    ("WITH v(m) AS (VALUES ('a'), ('b')) SELECT c.id FROM client c, v WHERE c.mail = v.m", ("'a'", "'b'")),
    ("SELECT id FROM client WHERE mail IN (VALUES ('a'), ('b'))", ("'a'", "'b'")),
    ("SELECT id FROM client WHERE mail IN (SELECT 'a')", ("'a'",)),
    ("SELECT visit_id FROM visit v JOIN client c ON c.mail = v.contact AND v.contact = 'a'", ("'a'",)),
    ("SELECT visit_id FROM visit WHERE contact = $1 OR alias = $1", ("$1",)),
    ("SELECT id FROM client WHERE mail = 'a' AND id > 3 LIMIT 1", ("'a'",)),
)  # fmt: skip

# query, and why nothing in it is opened
REFUSED: tuple[tuple[str, str], ...] = (
    ("SELECT id FROM client WHERE mail = 'a' || ''", "compared-with-constant"),
    ("SELECT id FROM client WHERE mail = lower('a')", "compared-with-constant"),
    ("SELECT id FROM client WHERE mail = 'abc'::varchar(2)", "compared-with-constant"),
    ("SELECT id, $1 FROM client WHERE mail = $1", "compared-with-constant"),
    ("SELECT id FROM client WHERE mail = $1 AND length($1) > 3", "compared-with-constant"),
    ("SELECT id FROM client WHERE mail = $1 ORDER BY $1 || 'x'", "compared-with-constant"),
    ("SELECT c.id FROM client c JOIN visit v ON v.client_id = c.id WHERE c.mail = $1 OR v.state = $1", "compared-with-constant"),
    ("SELECT id FROM client WHERE mail = $1 OR tax = $1", "mixed-classes"),
    ("SELECT c.id, v.m FROM client c JOIN (VALUES ('a'), ('b')) v(m) ON v.m = c.mail", "compared-with-constant"),
    ("SELECT c.id FROM client c JOIN (VALUES ('a'), ('b')) v(m) ON v.m = c.mail ORDER BY v.m", "compared-with-constant"),
    ("SELECT c.id, v FROM client c JOIN (VALUES ('a'), ('b')) v(m) ON v.m = c.mail", "compared-with-constant"),
    ("SELECT c.id FROM client c JOIN (VALUES ('a'), ('b') ORDER BY 1) v(m) ON v.m = c.mail", "compared-with-constant"),
    ("SELECT c.id FROM client c JOIN (SELECT DISTINCT x AS m FROM (VALUES ('a'), ('b')) w(x)) v ON v.m = c.mail",
     "compared-with-constant"),
    ("SELECT c.id FROM client c JOIN (VALUES (lower('a')), ('b')) v(m) ON v.m = c.mail", "compared-with-constant"),
    ("SELECT c.id FROM client c JOIN (VALUES ('a'), ('b')) v(m) ON v.m = c.mail GROUP BY c.id, v.m", "compared-with-constant"),
    ("SELECT id FROM client WHERE coalesce(mail, 'x') = 'a'", "compared-with-constant"),
    ("SELECT id FROM client WHERE mail < 'a'", "control"),
    ("SELECT id FROM client WHERE (mail, tax) < ('a', 'b')", "control"),
    ("SELECT id FROM client WHERE mail = ANY (string_to_array('a,b', ','))", "compared-with-constant"),
    ("SELECT id FROM client WHERE born = '1980-01-01'", "not-comparable"),
    ("SELECT id FROM client WHERE memo = 'a'", "not-comparable"),
    ("UPDATE visit SET state = 'x' WHERE contact = 'a'", "write-predicate"),
    ("SELECT 'a' UNION SELECT mail FROM client", "compared-with-constant"),
    ("SELECT c.id FROM client c JOIN (VALUES ('a'), ('b')) v(m) ON v.m = c.mail LIMIT 1", "row-choice"),
    ("SELECT id FROM client WHERE mail IN ('a', 'b') LIMIT 1", "row-choice"),
    ("SELECT id FROM client WHERE mail = 'a' OR mail = 'b' LIMIT 1", "row-choice"),
)  # fmt: skip


@pytest.fixture(scope="module", params=(15, 18))
def major(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def world(
    major: int, request: pytest.FixtureRequest, servers: Servers, make_database: MakeDatabase
) -> Iterator[tuple[psycopg.Connection, Catalog]]:
    server: EmbeddedPostgres = request.getfixturevalue(f"pg{major}")
    with psycopg.connect(make_database(server, SETUP), autocommit=True) as opened:
        catalog = read_catalog(opened, LABELS)
        for setting in SETTINGS:
            opened.execute(setting.encode())
        yield opened, catalog


def test_a_value_that_is_only_compared_is_opened(world: tuple[psycopg.Connection, Catalog]) -> None:
    connection, catalog = world
    found = {text: opened(text, connection, catalog) for text, _ in OPENED}
    assert found == dict(OPENED)


def test_a_value_that_anything_else_sees_is_not(world: tuple[psycopg.Connection, Catalog]) -> None:
    connection, catalog = world
    found = {text: plan_of(text, see(connection, text), catalog) for text, _ in REFUSED}
    assert found == dict(REFUSED)


def test_rows_of_one_shown_value_keep_their_order_and_of_several_do_not(
    world: tuple[psycopg.Connection, Catalog],
) -> None:
    connection, catalog = world
    for text, order in (
        ("SELECT visit_id FROM visit WHERE contact = 'a'", Order.KEEP),
        ("SELECT visit_id FROM visit WHERE contact IN ('a', 'b')", Order.SORT),
        ("SELECT visit_id FROM visit WHERE contact <> 'a'", Order.SORT),
    ):
        plan = plan_of(text, see(connection, text), catalog)
        assert not isinstance(plan, str)
        assert plan.order is order, text


def test_an_index_that_one_value_opens_decides_the_order(world: tuple[psycopg.Connection, Catalog]) -> None:
    connection, _ = world
    connection.execute("CREATE INDEX ON visit(price) WHERE contact = 'somebody@real.example'")
    catalog = read_catalog(connection, LABELS)
    text = "SELECT visit_id FROM visit WHERE contact = 'a'"
    plan = plan_of(text, see(connection, text), catalog)
    assert not isinstance(plan, str)
    assert plan.order is Order.SORT
    assert plan_of(text + " LIMIT 1", see(connection, text + " LIMIT 1"), catalog) == "row-choice"


def test_what_nobody_masks_is_not_opened(world: tuple[psycopg.Connection, Catalog]) -> None:
    connection, catalog = world
    text = "SELECT visit_id FROM visit WHERE state = 'a' AND contact = 'b'"
    assert opened(text, connection, catalog) == ("'b'",)
    seen = analysed(text, see(connection, text), catalog)
    assert clearance_of(catalog).masked
    assert len(seen.compared) == 2


def opened(text: str, connection: psycopg.Connection, catalog: Catalog) -> tuple[str, ...] | str:
    plan = plan_of(text, see(connection, text), catalog)
    if isinstance(plan, str):
        return plan
    found = []
    for lookup in plan.lookups:
        if lookup.given.parameter:
            found.append(f"${lookup.given.at}")
        else:
            rest = text[lookup.given.at :]
            found.append(rest[: rest.index("'", 1) + 1])
    return tuple(found)
