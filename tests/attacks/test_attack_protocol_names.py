"""A name of the protocol never runs another statement than the one that was judged under it.

The server cuts names of statements and portals after 63 bytes, ignores what follows an error up to Sync, and rejects a Bind to a portal
that is open. Whoever believes otherwise applies one statement's masks, or one statement's approval, to another's rows.
Source: promise 5; threats W-15 to W-20, J-20; PostgreSQL documentation 55.2.3 and 55.2.4.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attacks.attack_wire_client import WireClient
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, city text, note text);
INSERT INTO people SELECT i, 'Ulm', 'canary ' || i FROM generate_series(1, 3) i;
"""
MASKED = "SELECT note AS x FROM people UNION ALL SELECT note FROM people"
CLEAR = "SELECT city AS x FROM people UNION ALL SELECT city FROM people"
"""Both are described alike: one column `x` of type text, from no table."""
LONG = "n" * 63


@pytest.fixture(scope="module")
def gate(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(pg15, "attack_protocol_names", SCRIPT)
    running = GateProcess(tmp_path_factory.mktemp("names") / "gate", {"dev": (dsn, "development")}).init()
    for column, label in (("public.people.city", "none"), ("public.people.note", "text.free")):
        running.label("dev", label, column)
    running.start()
    yield running
    running.stop()
    drop_database(pg15, "attack_protocol_names")


@pytest.fixture
def wire(gate: GateProcess) -> Iterator[WireClient]:
    with WireClient(gate, "bot", "dev") as client:
        assert b"Ulm" in client.extended(client.parse("", CLEAR), client.bind("", ""), client.execute(""))
        assert b"canary" not in client.extended(client.parse("", MASKED), client.bind("", ""), client.execute(""))
        yield client


def still_works(wire: WireClient) -> None:
    wire.query("ROLLBACK")
    assert b"Ulm" in wire.query("SELECT city FROM people")


@pytest.mark.parametrize("order", [(MASKED, CLEAR), (CLEAR, MASKED)])
def test_statements_whose_names_differ_behind_the_63rd_byte(wire: WireClient, order: tuple[str, str]) -> None:
    one, other = order
    wire.extended(wire.parse(LONG + "1", one))
    wire.extended(wire.close("S", LONG + "2"))
    wire.extended(wire.parse(LONG + "2", other))
    for name in (LONG + "1", LONG + "2"):
        assert b"C42622\0" in wire.extended(wire.bind("", name), wire.execute(""))
    still_works(wire)


@pytest.mark.parametrize("order", ["mc", "cm"])
def test_portals_whose_names_differ_behind_the_63rd_byte(wire: WireClient, order: str) -> None:
    wire.extended(wire.parse("m", MASKED), wire.parse("c", CLEAR))
    wire.query("BEGIN")
    answer = wire.extended(
        wire.bind(LONG + "1", order[0]),
        wire.close("P", LONG + "2"),
        wire.bind(LONG + "2", order[1]),
        wire.execute(LONG + "1"),
    )
    assert b"C42622\0" in answer
    assert b"canary" not in answer
    still_works(wire)


def test_63_bytes_are_a_name(wire: WireClient) -> None:
    answer = wire.extended(wire.parse(LONG, CLEAR), wire.bind(LONG, LONG), wire.execute(LONG), wire.close("P", LONG))
    assert b"Ulm" in answer
    assert b"Ulm" in wire.query(f'EXECUTE "{LONG}"')
    assert b"Ulm" in wire.query(f'EXECUTE "{LONG}and what SQL cuts off"')


def test_a_bind_that_fails_leaves_the_portal_to_the_statement_before(wire: WireClient) -> None:
    wire.extended(wire.parse("m", MASKED), wire.parse("c", CLEAR))
    wire.query("BEGIN")
    wire.extended(wire.bind("p", "m"))
    wire.query("SAVEPOINT s")
    answer = wire.at_once([wire.bind("p", "c")], [wire.simple("ROLLBACK TO s"), wire.execute("p")])
    assert b"C42" in answer  # the portal is open
    assert b"[text]" in answer
    assert b"canary" not in answer
    still_works(wire)


def test_a_bind_that_fails_is_learnt_in_time_or_late(wire: WireClient) -> None:
    wire.extended(wire.parse("m", MASKED), wire.parse("c", CLEAR))
    wire.query("BEGIN")
    wire.extended(wire.bind("p", "c"))
    wire.query("SAVEPOINT s")
    wire.extended(wire.bind("p", "m"))
    wire.query("ROLLBACK TO s")
    assert b"Ulm" in wire.extended(wire.execute("p"))
    still_works(wire)


ERROR = "SELECT 1 / (id - 1) FROM people"


@pytest.mark.parametrize("order", [(MASKED, CLEAR), (CLEAR, MASKED)])
def test_a_close_that_the_server_ignores_leaves_the_name_to_the_statement_before(
    wire: WireClient, order: tuple[str, str]
) -> None:
    wire.extended(wire.parse("n", order[0]), wire.parse("e", ERROR))
    answer = wire.at_once(
        [wire.bind("", "e"), wire.execute(""), wire.close("S", "n")],
        [wire.parse("n", order[1])],
        [wire.bind("", "n"), wire.execute("")],
    )
    assert b"C22012\0" in answer
    assert b"canary" not in answer
    assert b"C26000\0" in answer
    still_works(wire)


def test_a_parse_that_succeeds_does_not_speak_for_the_next_of_its_name(wire: WireClient) -> None:
    wire.extended(wire.parse("e", ERROR))
    answer = wire.at_once(
        [wire.parse("n", MASKED), wire.bind("", "e"), wire.execute(""), wire.close("S", "n")],
        [wire.parse("n", CLEAR)],
        [wire.bind("", "n"), wire.execute("")],
    )
    assert b"canary" not in answer
    still_works(wire)


def test_a_cursor_that_is_closed_before_its_declaration_is_answered(wire: WireClient) -> None:
    wire.extended(wire.parse("m", MASKED))
    wire.query("BEGIN")
    answer = wire.at_once(
        [wire.simple(f"DECLARE p CURSOR FOR {CLEAR}"), wire.close("P", "p"), wire.bind("p", "m")], [wire.execute("p")]
    )
    assert b"canary" not in answer
    still_works(wire)


def test_nothing_runs_that_was_not_bound(wire: WireClient) -> None:
    assert b"C34000\0" in wire.extended(wire.execute("nobody"))
    assert b"I\0\0\0\x04" in wire.extended(wire.parse("", ""), wire.bind("", ""), wire.execute(""))
    still_works(wire)
