"""SQL's PREPARE and EXECUTE show what their statement would show, whatever happens to its name and to what its names mean.

Source: promise 5; threats W-15, W-18, G-24; masking.md 2.2 (re-Prepare).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import psycopg
import pytest

from attacks.attack_wire_client import WireClient
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE SCHEMA a; CREATE SCHEMA b;
CREATE TABLE people(id int PRIMARY KEY, email text, city text);
INSERT INTO people SELECT i, 'canary' || i || '@real.example', 'Ulm' FROM generate_series(1, 9) i;
CREATE TABLE a.t(id int PRIMARY KEY, x text); INSERT INTO a.t VALUES (1, 'plain');
CREATE TABLE b.t(id int PRIMARY KEY, x text); INSERT INTO b.t VALUES (1, 'canary');
CREATE TABLE a.u(id int PRIMARY KEY, y text); INSERT INTO a.u VALUES (1, 'plain');
CREATE FUNCTION peek() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT min(email) FROM people); END $$
"""
LABELS = {"a.t.x": "none", "b.t.x": "secret.credential", "a.u.y": "none", "public.people.city": "none"}
INNER = "SELECT (SELECT x FROM t WHERE id = 1) AS x"
"""Its one column has no origin that a description of rows would show."""
LOOKS = count()
DEFINES = '@id("bots-define") permit (principal is Agent, action in [Action::"define", Action::"write"], resource);\n'


@pytest.fixture(scope="module")
def gate(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(pg15, "attack_prepared", SCRIPT)
    running = GateProcess(
        tmp_path_factory.mktemp("prepared") / "gate", {"dev": (dsn, "development")}, policies={"60-bots.cedar": DEFINES}
    ).init()
    catalog = running.folder / "catalog.toml"
    lines = [
        next((f'"{name}" = "{label}"' for name, label in LABELS.items() if line.startswith(f'"{name}"')), line)
        for line in catalog.read_text().splitlines()
    ]
    catalog.write_text("\n".join(lines) + "\n")
    with psycopg.connect(dsn, autocommit=True) as owner:
        (role,) = owner.execute("SELECT rolname FROM pg_roles WHERE rolname ~ 'lockgate_dev_.*_masked'").fetchone() or (
            "",
        )
        owner.execute(f'ALTER TABLE a.t OWNER TO "{role}"; GRANT CREATE ON SCHEMA a TO "{role}"'.encode())
    running.start()
    yield running
    running.stop()
    drop_database(pg15, "attack_prepared")


@pytest.fixture
def owner(gate: GateProcess) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Who defines past the gate; what an agent defines then makes the gate look."""
    with psycopg.connect(gate.databases["dev"][0], autocommit=True) as connection:
        yield connection


@pytest.fixture
def bot(gate: GateProcess) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with gate.connect("bot", "dev") as connection:
        connection.prepare_threshold = None
        yield connection


@pytest.fixture
def wire(gate: GateProcess) -> Iterator[WireClient]:
    with WireClient(gate, "bot", "dev") as client:
        yield client


def pseudonym(bot: psycopg.Connection[tuple[object, ...]], number: int) -> str:
    (found,) = bot.execute(f"SELECT email FROM people WHERE id = {number}".encode()).fetchone() or ("",)
    return str(found)


def test_what_execute_shows_is_masked_like_the_statement_itself(bot: psycopg.Connection[tuple[object, ...]]) -> None:
    bot.execute("PREPARE p (int) AS SELECT id, email FROM people WHERE id = $1")
    for number in (2, 7):
        assert bot.execute(f"EXECUTE p({number})".encode()).fetchone() == (number, pseudonym(bot, number))
    bot.execute("DEALLOCATE p")
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        bot.execute("EXECUTE p(2)")


@pytest.mark.parametrize("declared", ["", "(text)", "(varchar(200))"])
def test_a_pseudonym_is_looked_up_and_a_guess_finds_nothing(
    bot: psycopg.Connection[tuple[object, ...]], declared: str
) -> None:
    bot.execute(f"PREPARE p {declared} AS SELECT id FROM people WHERE email = $1".encode())
    shown = pseudonym(bot, 3)
    assert bot.execute(f"EXECUTE p('{shown}')".encode()).fetchall() == [(3,)]
    assert bot.execute("EXECUTE p('canary3@real.example')").fetchall() == []
    assert bot.execute("EXECUTE p(NULL)").fetchall() == []
    for hidden in ("'canary3' || '@real.example'", "concat('canary3', '@real.example')"):
        with pytest.raises(psycopg.Error) as refused:
            bot.execute(f"EXECUTE p({hidden})".encode())
        assert "lookup-literal" in (refused.value.diag.message_detail or "")


def test_constants_in_the_prepared_text_are_opened_once_and_for_all(
    bot: psycopg.Connection[tuple[object, ...]],
) -> None:
    bot.execute(f"PREPARE q (int) AS SELECT id FROM people WHERE email = '{pseudonym(bot, 4)}' AND id < $1".encode())
    assert bot.execute("EXECUTE q(9)").fetchall() == [(4,)]
    bot.execute("PREPARE r AS SELECT id FROM people WHERE email = 'canary4@real.example'")
    assert bot.execute("EXECUTE r").fetchall() == []


def test_a_statement_over_stand_ins_is_prepared_over_stand_ins(bot: psycopg.Connection[tuple[object, ...]]) -> None:
    bot.execute(
        "PREPARE p (text, int) AS SELECT id, upper(email) FROM people WHERE email LIKE $1 ORDER BY email LIMIT $2"
    )
    for pattern, rows in (("s%", 3), ("canary%", 0)):
        found = bot.execute(f"EXECUTE p('{pattern}', 3)".encode()).fetchall()
        assert len(found) == rows
        assert not any("CANARY" in str(row) for row in found)


def test_an_argument_that_cannot_be_seen_into_is_refused(bot: psycopg.Connection[tuple[object, ...]]) -> None:
    bot.execute("PREPARE p (text) AS SELECT $1, city FROM people WHERE id = 1")
    assert bot.execute("EXECUTE p(upper('x'))").fetchone() == ("X", "Ulm")
    for given in ("peek()", "pg_read_file('/etc/hostname')", "current_query()"):
        with pytest.raises(psycopg.Error) as refused:
            bot.execute(f"EXECUTE p({given})".encode())
        assert refused.value.sqlstate in ("0A000", "42501")


def test_what_would_be_refused_cannot_be_prepared(bot: psycopg.Connection[tuple[object, ...]]) -> None:
    for text in ("SELECT peek()", "SELECT * FROM pg_stats", "UPDATE people SET city = 'x' WHERE email LIKE 'c%'"):
        with pytest.raises(psycopg.Error):
            bot.execute(f"PREPARE p AS {text}".encode())
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            bot.execute("EXECUTE p")


def test_names_of_sql_and_of_the_protocol_are_one_space(wire: WireClient) -> None:
    masked = "SELECT email FROM people ORDER BY id"
    wire.query(f"PREPARE p AS {masked}")
    shown = wire.extended(wire.bind("", "p"), wire.execute(""))
    assert shown.count(b"u_") == 9
    assert b"canary" not in shown
    assert b"already exists" in wire.extended(wire.parse("p", "SELECT city FROM people"))
    wire.extended(wire.parse("w", masked))
    assert wire.query("EXECUTE w").count(b"u_") == 9
    assert b"already exists" in wire.query("PREPARE w AS SELECT 1")
    assert b"does not exist" in wire.query('EXECUTE "W"')


def test_prepared_statements_outlive_a_rollback_and_no_discard_all(wire: WireClient) -> None:
    for text in ("BEGIN", "PREPARE p AS SELECT email FROM people ORDER BY id", "ROLLBACK"):
        wire.query(text)
    shown = wire.query("EXECUTE p")
    assert shown.count(b"u_") == 9
    assert b"canary" not in shown
    wire.query("BEGIN")
    wire.query("DEALLOCATE p")
    wire.query("ROLLBACK")
    assert b"does not exist" in wire.query("EXECUTE p")
    wire.query("PREPARE p AS SELECT email FROM people ORDER BY id")
    wire.query("DISCARD PLANS")
    assert wire.query("EXECUTE p").count(b"u_") == 9
    wire.query("DISCARD ALL")
    assert b"does not exist" in wire.query("EXECUTE p")


@pytest.mark.parametrize("end", ["DEALLOCATE p", "DEALLOCATE ALL", "DISCARD ALL"])
def test_a_failed_end_of_a_name_is_no_end(wire: WireClient, end: str) -> None:
    wire.query("PREPARE p AS SELECT email FROM people ORDER BY id")
    wire.query("BEGIN")
    wire.query("SELECT 1/0")
    wire.query(end)
    wire.query("ROLLBACK")
    shown = wire.query("EXECUTE p")
    assert shown.count(b"u_") == 9
    assert b"canary" not in shown


def test_a_batch_runs_what_it_prepared_itself(wire: WireClient) -> None:
    wire.query("PREPARE p AS SELECT city FROM people")
    batch = "DEALLOCATE p; PREPARE p AS SELECT email FROM people ORDER BY id; EXECUTE p; DEALLOCATE p"
    shown = wire.query(batch)
    assert shown.count(b"u_") == 9
    assert b"canary" not in shown
    shown = wire.query("DEALLOCATE p; EXECUTE p")
    assert b"does not exist" in shown
    assert b"canary" not in wire.query("SET search_path = b; PREPARE p AS SELECT x FROM t; EXECUTE p")


def test_a_name_that_means_another_statement_by_now_is_bound_as_what_it_is(wire: WireClient) -> None:
    wire.extended(wire.parse("p", "SELECT city FROM people"))
    swap = WireClient._message(b"Q", b"DEALLOCATE p; PREPARE p AS SELECT email FROM people ORDER BY id\0")
    shown = wire._send(swap + wire.bind("", "p") + wire.execute("") + WireClient._message(b"S"))
    assert b"canary" not in shown + wire._until(b"Z")


@pytest.mark.parametrize("made", ["sql", "protocol"])
@pytest.mark.parametrize("look", ["nothing", "describe"])
@pytest.mark.parametrize("move", ["shadowed", "uncovered", "renamed"])
def test_a_plan_that_the_server_kept_or_made_anew_is_the_one_that_was_judged(
    wire: WireClient, owner: psycopg.Connection[tuple[object, ...]], made: str, look: str, move: str
) -> None:
    """The server keeps a plan although its names mean something else by now, and makes it anew at times of its own."""
    wire.query("SET search_path = a, b")
    if move == "shadowed":
        moved(wire, owner, "t", "hidden")
    try:
        if made == "sql":
            wire.query(f"PREPARE p AS {INNER}")
        else:
            wire.extended(wire.parse("p", INNER))
        moved(wire, owner, *(("hidden", "t") if move == "shadowed" else ("t", "hidden")))
        if look == "describe":
            wire.extended(WireClient._message(b"D", b"Sp\0"))
        if move == "renamed":
            moved(wire, owner, "hidden", "t")
        for _ in range(2):
            assert b"canary" not in wire.query("EXECUTE p")
            assert b"canary" not in wire.extended(wire.bind("", "p"), wire.execute(""))
    finally:
        owner.execute("ALTER TABLE IF EXISTS a.hidden RENAME TO t")


def moved(wire: WireClient, owner: psycopg.Connection[tuple[object, ...]], before: str, after: str) -> None:
    """Rename a table past the gate, and have the gate see it."""
    owner.execute(f"ALTER TABLE a.{before} RENAME TO {after}".encode())
    assert b"CREATE TABLE" in wire.query(f"CREATE TABLE a.looked{next(LOOKS)}(id int)")


def test_a_statement_goes_on_where_its_names_move(wire: WireClient) -> None:
    wire.extended(wire.parse("p", INNER))
    wire.query("SET search_path = a")
    wire.query(f"PREPARE q AS {INNER}")
    assert b"plain" in wire.query("EXECUTE q")
    wire.query("SET search_path = b")
    shown = wire.query("EXECUTE q")
    assert b"canary" not in shown
    wire.query("SET search_path = a")
    assert b"plain" in wire.query("EXECUTE q")
    assert b"plain" in wire.extended(wire.bind("", "q"), wire.execute(""))


@pytest.mark.parametrize("between", ["SET search_path = b", "DEALLOCATE y", f"DEALLOCATE y; PREPARE y AS {INNER}"])
def test_a_bound_execute_runs_only_while_its_statement_means_the_same(wire: WireClient, between: str) -> None:
    wire.query("SET search_path = a, b")
    wire.query(f"PREPARE y AS {INNER}")
    wire.query("BEGIN")
    assert b"plain" in wire.extended(wire.parse("s", "EXECUTE y"), wire.bind("e", "s"), wire.execute("e"))
    wire.extended(wire.bind("f", "s"))
    wire.query(between)
    assert b"canary" not in wire.extended(wire.execute("f"))
    wire.query("ROLLBACK")


def test_execute_under_a_statement_of_the_protocol_that_is_no_query_is_refused(wire: WireClient) -> None:
    wire.extended(wire.parse("p", "SET search_path = b"))
    assert b"does not exist" in wire.query("EXECUTE p")


def test_what_is_explained_or_copied_by_name_is_judged_as_the_statement_itself(
    bot: psycopg.Connection[tuple[object, ...]],
) -> None:
    bot.execute("PREPARE plain (int) AS SELECT id, city FROM people WHERE id = $1")
    plan = "\n".join(str(row[0]) for row in bot.execute("EXPLAIN (COSTS OFF) EXECUTE plain(3)"))
    assert plan == "\n".join(
        str(row[0]) for row in bot.execute("EXPLAIN (COSTS OFF) SELECT id, city FROM people WHERE id = 3")
    )
    assert bot.execute("EXPLAIN (ANALYZE, TIMING OFF) EXECUTE plain(3)").fetchall()
    bot.execute("PREPARE shows (int) AS SELECT id, email FROM people WHERE id < $1")
    assert "email" not in "".join(str(row[0]) for row in bot.execute("EXPLAIN (VERBOSE, COSTS OFF) EXECUTE shows(3)"))
    bot.execute("PREPARE decides (text) AS SELECT id FROM people WHERE email > $1")
    bot.execute("PREPARE looks (text) AS SELECT id FROM people WHERE email = $1")
    for text in ("EXPLAIN EXECUTE decides('c')", "EXPLAIN ANALYZE EXECUTE shows(3)", "EXPLAIN EXECUTE looks('canary3@real.example')",
                 "EXPLAIN EXECUTE plain(length('abc'))", "EXPLAIN EXECUTE plain(peek()::int)", "CREATE TEMP TABLE x AS EXECUTE looks('canary3@real.example')",
                 "CREATE TABLE y AS EXECUTE shows(3)", "EXPLAIN EXECUTE plain(1, 2)", "EXPLAIN EXECUTE nothing"):  # fmt: skip
        with pytest.raises(psycopg.Error) as refused:
            bot.execute(text.encode())
        assert "canary" not in str(refused.value)
    bot.execute("CREATE TEMP TABLE copied AS EXECUTE shows(4)")
    assert bot.execute("SELECT * FROM copied ORDER BY id").fetchall() == [(n, pseudonym(bot, n)) for n in (1, 2, 3)]
    bot.execute("CREATE TEMP TABLE computed AS EXECUTE decides('a')")
    assert (
        bot.execute("SELECT count(*) FROM computed").fetchone() == bot.execute("SELECT count(*) FROM people").fetchone()
    )
