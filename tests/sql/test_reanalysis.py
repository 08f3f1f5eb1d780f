"""The second analysis: a masked relation outside the gate's own subqueries is found wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from lockgate.errors import RefusedStatementError
from lockgate.sql.reanalysis import Known, check, columns_query, only_query
from lockgate.sql.tree import Node
from lockgate.testing.engines import EmbeddedPostgres
from sql.live import SETTINGS, see
from support.servers import MakeDatabase

OWN = "SELECT p.id, NULL::text AS email FROM people AS p ORDER BY p.id"
SCRIPT = """
CREATE TABLE people(id int, email text); CREATE TABLE orders(id int, total int);
CREATE VIEW contacts AS SELECT email FROM people; CREATE VIEW clean AS SELECT id FROM orders;
CREATE FUNCTION peek() RETURNS text LANGUAGE sql STABLE AS 'SELECT max(email) FROM people';
"""


@pytest.fixture
def server(postgres: EmbeddedPostgres, make_database: MakeDatabase) -> Iterator[psycopg.Connection]:
    with psycopg.connect(make_database(postgres, SCRIPT), autocommit=True, prepare_threshold=None) as connection:
        for setting in SETTINGS:
            connection.execute(setting.encode())
        yield connection


def checked(server: psycopg.Connection, text: str, times: int = 1) -> tuple[Node, ...]:
    found = server.execute("SELECT 'people'::regclass::oid").fetchone()
    assert found is not None
    people = int(found[0])
    known = Known(
        people,
        only_query(see(server, OWN).tree),
        columns_query(see(server, "SELECT 1 AS id, NULL::text AS email").tree),
    )
    return check(see(server, text).tree, known=[known], replaced={people: times}, relations=frozenset({people}))


@pytest.mark.parametrize(
    ("text", "times"),
    [
        (f"SELECT upper(email) FROM ({OWN}) people", 1),
        (
            f"SELECT 1 FROM orders o JOIN (SELECT * FROM ({OWN}) x LIMIT 1) y USING (id) WHERE EXISTS (SELECT FROM ({OWN}) z)",
            2,
        ),
        (f"WITH people AS (SELECT * FROM ({OWN}) p) SELECT * FROM people, clean", 1),
        (f"SELECT 1 AS \"{{QUERY :relid 5 }}\", '{{QUERY :relid 5 }}' FROM ({OWN}) p", 1),
    ],
)
def test_what_reads_only_through_known_subqueries_passes_and_its_tree_is_read(
    server: psycopg.Connection, text: str, times: int
) -> None:
    (query,) = checked(server, text, times)
    assert query.tag == "QUERY"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT email FROM people", f"SELECT 1 FROM ({OWN}) p, people", f"SELECT (SELECT max(email) FROM people) FROM ({OWN}) p",
        f"SELECT 1 FROM ({OWN}) p WHERE EXISTS (SELECT FROM people)", f"SELECT 1 FROM ({OWN}) p, contacts",
        f"WITH x AS (SELECT * FROM people) SELECT 1 FROM ({OWN}) p", f"SELECT 1 FROM ({OWN.replace('NULL::text', 'p.email')}) p",
        f"SELECT 1 FROM ({OWN.replace('ORDER BY p.id', '')}) p", f"SELECT 1 FROM ({OWN}) p UNION SELECT 1 FROM ONLY people",
        "SELECT 1 FROM orders",
    ],
)  # fmt: skip
def test_a_masked_relation_anywhere_else_is_refused(server: psycopg.Connection, text: str) -> None:
    with pytest.raises(RefusedStatementError) as refused:
        checked(server, text)
    assert refused.value.reason == "stand-in-check"


def test_a_subquery_more_or_less_than_was_put_in_is_refused(server: psycopg.Connection) -> None:
    for times in (0, 2):
        with pytest.raises(RefusedStatementError):
            checked(server, f"SELECT 1 FROM ({OWN}) p", times)


def test_the_place_in_a_text_makes_no_difference(server: psycopg.Connection) -> None:
    assert only_query(see(server, OWN).tree) == only_query(see(server, OWN.replace("SELECT", "SELECT     ")).tree)
    assert only_query(see(server, OWN).tree) != only_query(see(server, OWN.replace("p.id,", "p.id + 0 AS id,")).tree)


def test_only_one_query_is_one(server: psycopg.Connection) -> None:
    tree = see(server, OWN).tree
    for text in (tree.replace("(", "", 1), tree + tree, "()", "({QUERY })({QUERY })"):
        with pytest.raises(RefusedStatementError):
            columns_query(text)
