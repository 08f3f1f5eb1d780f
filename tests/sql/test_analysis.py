from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lockgate.errors import RefusedStatementError
from lockgate.model.catalog import Catalog, ColumnRef
from lockgate.model.statement import Action, Kind, UseKind
from lockgate.sql.analysis import analyse, read_row_description
from lockgate.sql.parse import split_and_parse
from lockgate.testing.engines import EmbeddedPostgres, cached_installation
from sql.live import SETTINGS, Seen, analysed, decide, read_catalog, replay, see
from sql.tricky import CASES, HANDED_ON, LABELS, REACHES, SETUP, WRITES
from support.servers import OTHER_MAJORS, MakeDatabase, Servers

FOLDER = Path(__file__).parent / "trees"
VERSIONS = ("pg14", "pg15", "pg16", "pg17", "pg18")


@pytest.fixture(scope="module", params=VERSIONS)
def recording(request: pytest.FixtureRequest) -> tuple[Catalog, dict[str, Seen]]:
    return replay(FOLDER / f"{request.param}.json")


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_a_tricky_query_is_decided(recording: tuple[Catalog, dict[str, Seen]], text: str, expected: str) -> None:
    catalog, seen = recording
    if text not in seen:
        assert "MERGE" in text  # the one statement that PostgreSQL 14 does not have
        return
    assert decide(text, seen[text], catalog) == expected


@pytest.mark.parametrize(("text", "bounded", "selective"), WRITES)
def test_a_write_is_bounded_by_a_unique_key(
    recording: tuple[Catalog, dict[str, Seen]], text: str, bounded: bool, selective: bool
) -> None:
    catalog, seen = recording
    (fact,) = analysed(text, seen[text], catalog).writes
    assert (fact.bounded, fact.selective) == (bounded, selective)


def relation(catalog: Catalog, name: str) -> int:
    return next(r.oid for r in catalog.relations.values() if r.name == name)


def test_accesses_reach_through_views(recording: tuple[Catalog, dict[str, Seen]]) -> None:
    catalog, seen = recording
    text = "SELECT price FROM loud_visits"
    found = {(a.action, a.name) for a in analysed(text, seen[text], catalog).accesses}
    names = {"public.loud_visits", "public.loud", "public.client", "public.visit"}
    assert found == {(Action.READ, name) for name in names}


def test_a_write_asks_to_write_and_to_read_what_it_reads(recording: tuple[Catalog, dict[str, Seen]]) -> None:
    catalog, seen = recording
    text = "UPDATE visit v SET state = c.tax FROM client c WHERE c.id = v.client_id"
    analysis = analysed(text, seen[text], catalog)
    found = {(a.action, a.name) for a in analysis.accesses}
    assert found == {(Action.WRITE, "public.visit"), (Action.READ, "public.visit"), (Action.READ, "public.client")}
    assert analysis.kind is Kind.UPDATE
    state, tax = ColumnRef(relation(catalog, "visit"), 4), ColumnRef(relation(catalog, "client"), 4)
    assert any(u.kind is UseKind.WRITE_SOURCE and u.target == state and u.columns == {tax} for u in analysis.uses)
    assert not analysis.effect_free


@pytest.mark.parametrize(
    ("text", "free"),
    [("SELECT id FROM loud", True), ("SELECT set_config('jit', 'off', false)", False), ("SELECT mail_of(1)", False),
     ("WITH d AS (DELETE FROM visit WHERE visit_id = 1 RETURNING contact) SELECT * FROM d", False)],
)  # fmt: skip
def test_only_reads_with_known_functions_are_free_of_effects(
    recording: tuple[Catalog, dict[str, Seen]], text: str, free: bool
) -> None:
    catalog, seen = recording
    assert analysed(text, seen[text], catalog).effect_free is free


def test_no_tree_is_a_refusal(recording: tuple[Catalog, dict[str, Seen]]) -> None:
    with pytest.raises(RefusedStatementError):
        analyse(
            "", parsed=split_and_parse("SELECT 1")[0], catalog=recording[0], parameter_types=(), row_description=b""
        )


def test_a_row_description_that_does_not_fit_is_a_refusal(recording: tuple[Catalog, dict[str, Seen]]) -> None:
    catalog, seen = recording
    other = seen["SELECT id FROM loud"]
    with pytest.raises(RefusedStatementError):
        analysed("SELECT * FROM client", Seen(seen["SELECT * FROM client"].tree, (), other.row_description), catalog)


@pytest.mark.parametrize("body", [b"\0", b"\0\1", b"\0\1a\0", b"\0\0x", b"\0\2a\0" + bytes(18)])
def test_a_broken_row_description_is_a_refusal(body: bytes) -> None:
    with pytest.raises(RefusedStatementError):
        read_row_description(body)


@pytest.fixture(params=(15, 18))
def connection(
    request: pytest.FixtureRequest, servers: Servers, make_database: MakeDatabase
) -> Iterator[psycopg.Connection]:
    server: EmbeddedPostgres = request.getfixturevalue(f"pg{request.param}")
    with psycopg.connect(make_database(server, SETUP), autocommit=True) as opened:
        yield opened


def test_a_live_server_gives_the_recorded_decisions(connection: psycopg.Connection) -> None:
    catalog = read_catalog(connection, LABELS)
    for setting in SETTINGS:
        connection.execute(setting.encode())
    connection.execute("CREATE ROLE nobody_in_particular" if not _has_role(connection) else "SELECT 1")
    connection.execute("SET ROLE nobody_in_particular")
    found = {text: decide(text, see(connection, text), catalog) for text, _ in CASES}
    assert found == dict(CASES)
    for text, bounded, selective in REACHES:
        fact = analysed(text, see(connection, text), catalog).writes[0]
        assert (fact.bounded, fact.selective) == (bounded, selective), text
    visit = next(r for r in catalog.relations.values() if r.name == "visit")
    contact = ColumnRef(visit.oid, next(c.attnum for c in visit.columns.values() if c.name == "contact"))
    for text, is_read in HANDED_ON:
        assert (contact in analysed(text, see(connection, text), catalog).reads) is is_read, text


@pytest.mark.slow
@pytest.mark.parametrize("major", OTHER_MAJORS)
def test_the_majors_between_give_the_recorded_decisions(
    major: int, servers: Servers, make_database: MakeDatabase
) -> None:
    if cached_installation(major) is None:
        pytest.skip(f"PostgreSQL {major} is not there: tools/postgres_majors.py needs npm")
    with psycopg.connect(make_database(servers.get(major), SETUP), autocommit=True) as connection:
        catalog = read_catalog(connection, LABELS)
        for setting in SETTINGS:
            connection.execute(setting.encode())
        cases = {t: e for t, e in CASES if major > 14 or "MERGE" not in t}
        assert {text: decide(text, see(connection, text), catalog) for text in cases} == cases


def _has_role(connection: psycopg.Connection) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'nobody_in_particular'").fetchone() is not None
