"""What only a session sees is as masked as what everybody sees: temporary tables, copies in them, and what its transaction has changed.

Source: promise 5; masking.md 2.2 (residue) and 4.2; threats J-03.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest

from attacks.attack_wire_client import WireClient
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, email text, city text, salary int);
INSERT INTO people SELECT i, 'canary' || i || '@real.example', CASE WHEN i % 2 = 0 THEN 'Ulm' ELSE 'Bonn' END, 770000 + i FROM generate_series(1, 9) i;
CREATE TABLE cities(id int PRIMARY KEY, name text); INSERT INTO cities VALUES (1, 'Ulm'), (2, 'Bonn');
CREATE TABLE notes(id int PRIMARY KEY, word text); INSERT INTO notes VALUES (1, 'plain');
CREATE VIEW everyone AS SELECT id, email FROM people
"""
LABELS = (
    "public.people.city",
    "public.cities.name",
    "public.notes.word",
    "public.people.id",
    "public.cities.id",
    "public.notes.id",
)
POLICY = '@id("bots-define") permit (principal is Agent, action in [Action::"define", Action::"write"], resource);\n'
Link = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def gate(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    databases = {f"temporary_{kind[:4]}": kind for kind in ("production", "development")}
    owners = {name: create_database(pg18, f"attack_{name}", SCRIPT) for name in databases}
    running = GateProcess(
        tmp_path_factory.mktemp("temporary") / "gate", {name: (owners[name], kind) for name, kind in databases.items()},
        policies={"60-bots.cedar": POLICY.replace("resource)", 'resource in Environment::"development")')},
    ).init()  # fmt: skip
    catalog = running.folder / "catalog.toml"
    lines = catalog.read_text().splitlines()
    catalog.write_text(
        "\n".join(next((f'"{c}" = "none"' for c in LABELS if one.startswith(f'"{c}"')), one) for one in lines) + "\n"
    )
    for name, dsn in owners.items():
        with psycopg.connect(dsn, autocommit=True) as owner:
            found = owner.execute(
                "SELECT rolname FROM pg_roles WHERE rolname LIKE %s", (f"lockgate_{name}%masked",)
            ).fetchone()
            owner.execute(f'ALTER TABLE notes OWNER TO "{(found or ("",))[0]}"'.encode())
    running.start()
    yield running
    running.stop()
    for name in databases:
        drop_database(pg18, f"attack_{name}")


@pytest.fixture
def bot(gate: GateProcess) -> Iterator[Link]:
    """An agent in production, that may define and write nothing there."""
    with gate.connect("bot", "temporary_prod") as connection:
        yield connection


@pytest.fixture
def maker(gate: GateProcess) -> Iterator[Link]:
    """An agent in development, that may define and write."""
    with gate.connect("bot", "temporary_deve") as connection:
        yield connection


def shown(link: Link, text: str) -> list[tuple[object, ...]]:
    found = link.execute(text.encode()).fetchall()
    assert "canary" not in str(found).lower()
    assert "77000" not in str(found)
    return found


def refused(link: Link, text: str) -> str:
    with pytest.raises(psycopg.Error) as stopped:
        link.execute(text.encode())
    assert stopped.value.sqlstate in ("0A000", "42501"), stopped.value
    assert "canary" not in str(stopped.value).lower()
    return stopped.value.diag.message_detail or ""


@pytest.mark.parametrize("make", ["CREATE TEMP TABLE t AS SELECT * FROM people", "SELECT * INTO TEMP t FROM people",
                                  "CREATE LOCAL TEMPORARY TABLE t ON COMMIT PRESERVE ROWS AS TABLE people"])  # fmt: skip
@pytest.mark.parametrize("inside", [True, False])
def test_a_copy_is_masked_as_what_it_was_made_of(bot: Link, make: str, *, inside: bool) -> None:
    masked = shown(bot, "SELECT id, email, city FROM people ORDER BY id")
    if inside:
        bot.execute("BEGIN")
    bot.execute(make.encode())
    for text in ("SELECT id, email, city FROM t ORDER BY id", "SELECT id, email, city FROM pg_temp.t ORDER BY id"):
        assert shown(bot, text) == masked
    assert shown(bot, "SELECT count(*), city FROM t GROUP BY city ORDER BY city") == [(5, "Bonn"), (4, "Ulm")]
    assert shown(bot, f"SELECT id FROM t WHERE email = '{masked[3][1]}'") == [(4,)]
    assert shown(bot, "SELECT id FROM t WHERE email = 'canary4@real.example'") == []
    assert shown(bot, "SELECT t.id FROM t JOIN people p ON t.email = p.email WHERE p.id = 2") == [(2,)]
    assert len(shown(bot, "SELECT upper(email) FROM t ORDER BY email LIMIT 3")) == 3
    assert len(shown(bot, "SELECT (SELECT email FROM t WHERE id = 1), max(salary) FROM t")) == 1
    bot.execute("DROP TABLE t")
    bot.rollback()


def test_a_copy_of_what_can_only_be_computed_over_stand_ins_holds_stand_ins(bot: Link) -> None:
    bot.execute(
        "CREATE TEMP TABLE t AS SELECT id, upper(email) AS u, length(email) AS n FROM people ORDER BY email LIMIT 5"
    )
    assert all(str(row[0]).startswith("S") for row in shown(bot, "SELECT u FROM t"))
    bot.execute("CREATE TEMP TABLE g AS SELECT email, count(*) AS c FROM people GROUP BY email")
    assert len(shown(bot, "SELECT email, c FROM g")) == 9


def test_a_copy_keeps_no_order_of_masked_values(bot: Link) -> None:
    """Rows of a table come in the order in which they were put there."""
    refused(bot, "CREATE TEMP TABLE d AS SELECT DISTINCT p FROM people p")
    bot.execute("CREATE TEMP TABLE d AS SELECT DISTINCT email FROM people")
    assert all(str(row[0]).startswith("s") for row in shown(bot, "SELECT email FROM d"))


def test_more_rows_are_put_into_a_copy_and_stay_masked(bot: Link) -> None:
    masked = shown(bot, "SELECT id, email FROM people ORDER BY id")
    bot.execute("CREATE TEMP TABLE t AS SELECT id, email, city FROM people WITH NO DATA")
    bot.execute("INSERT INTO t SELECT id, email, city FROM people WHERE id < 5")
    bot.execute("INSERT INTO t (email, id) SELECT p.email, p.id FROM people p WHERE id >= 5")
    assert shown(bot, "SELECT id, email FROM t ORDER BY id") == masked
    bot.execute("UPDATE t SET email = p.email FROM people p WHERE p.id = t.id + 1")
    assert shown(bot, "SELECT id, email FROM t WHERE id < 3 ORDER BY id") == [(1, masked[1][1]), (2, masked[2][1])]
    bot.execute("CREATE TEMP TABLE plain(id int, word text)")
    bot.execute("INSERT INTO plain SELECT id, upper(email) FROM people ORDER BY email LIMIT 4")
    bot.execute("INSERT INTO plain SELECT id, email FROM people WHERE id = 9")
    words = [str(row[0]) for row in shown(bot, "SELECT word FROM plain")]
    assert len(words) == 5
    assert all(word.lower().startswith("s") for word in words)
    for text in ("INSERT INTO t SELECT id, email, city FROM people UNION ALL SELECT 1, 'guess@real.example', ''", "INSERT INTO t (email) SELECT city FROM people", "INSERT INTO t (email) VALUES (DEFAULT)", "UPDATE t SET email = NULL",
                 "INSERT INTO t (email) SELECT coalesce(email, 'guess@real.example') FROM people", "INSERT INTO t (email) SELECT email FROM people GROUP BY email",
                 "INSERT INTO t (id, email) SELECT id, email FROM people ON CONFLICT (id) DO UPDATE SET email = 'guess@real.example'"):  # fmt: skip
        with pytest.raises(psycopg.Error) as stopped:
            bot.execute(text.encode())
        assert stopped.value.sqlstate in ("0A000", "42P10"), text


def test_where_rows_of_a_copy_fit_does_not_tell_how_long_a_masked_value_is(bot: Link) -> None:
    bot.execute("CREATE TEMP TABLE t AS SELECT id, email, repeat('x', 90) AS pad FROM people")
    bot.execute("INSERT INTO t(pad) SELECT repeat('x', 90) FROM generate_series(1, 90)")
    for text in ("SELECT ctid FROM t WHERE id IS NULL", "SELECT count(*) FROM t WHERE ctid < '(1,0)'", "SELECT count(pad) FROM t TABLESAMPLE SYSTEM (50) REPEATABLE (3)",
                 "SELECT lower(email) FROM t TABLESAMPLE SYSTEM (50) REPEATABLE (3)", "INSERT INTO t(pad) VALUES ('') RETURNING ctid", "SELECT (SELECT max(ctid) FROM t)"):  # fmt: skip
        assert "rule=place" in refused(bot, text), text
    for text in (
        "EXPLAIN SELECT pad FROM t",
        "EXPLAIN SELECT email FROM t",
        "EXPLAIN (ANALYZE, BUFFERS) SELECT pad FROM t",
    ):
        assert "rule=explain" in refused(bot, text), text
    bot.execute("CREATE TEMP TABLE plain(pad text)")
    bot.execute("INSERT INTO plain VALUES ('a')")
    assert shown(bot, "SELECT ctid, pad FROM plain TABLESAMPLE SYSTEM (100)") == [("(0,1)", "a")]


def test_whether_a_row_of_a_copy_fits_on_a_page_does_not_tell_how_long_a_masked_value_is(bot: Link) -> None:
    many = ", ".join(f"{i}::int8 AS c{i}" for i in range(1000))
    for columns in (many, "'a'::tsquery AS q", "'1'::oidvector AS q"):
        bot.execute(f"CREATE TEMP TABLE t AS SELECT email, {columns} FROM people WHERE id = 7".encode())
        own, real = (
            shown(bot, f"SELECT email FROM {table} WHERE {condition}")
            for table, condition in (("t", "true"), ("people", "id = 7"))
        )
        assert own != real, "it holds a stand-in, which is as long whatever the value is"
        bot.execute("DROP TABLE t")
    bot.execute(
        "CREATE TEMP TABLE t AS SELECT email, id, city::name AS n, ARRAY[city] AS a, '{}'::jsonb AS j FROM people"
    )
    for change in ("ADD COLUMN q tsquery", "ALTER COLUMN n SET STORAGE PLAIN"):
        try:
            bot.execute(f"ALTER TABLE t {change}".encode())
        except psycopg.Error:
            continue
        assert "rule=place" in refused(bot, "UPDATE t SET q = 'a' WHERE id = 1")


def test_an_ordinary_analysis_goes_on_in_a_temporary_table(bot: Link) -> None:
    bot.execute("CREATE TEMP TABLE mine (id int, city text)")
    bot.execute("INSERT INTO mine SELECT id, city FROM people")
    bot.execute("CREATE INDEX ON mine (id)")
    bot.execute("UPDATE mine SET city = upper(city)")
    bot.execute("DELETE FROM mine WHERE id > 7")
    with bot.cursor().copy("COPY mine FROM STDIN") as copy:
        copy.write(b"10\tROM\n")
    bot.cursor().executemany("INSERT INTO mine VALUES (%s, %s)", [(11, "OSLO"), (12, "LIMA")])
    bot.execute("ALTER TABLE mine ADD COLUMN more int")
    assert shown(bot, "SELECT count(*), min(city), count(more) FROM mine") == [(10, "BONN", 0)]
    assert len(shown(bot, "SELECT p.email FROM mine JOIN people p USING (id) ORDER BY id")) == 7
    bot.execute("TRUNCATE mine")
    bot.execute("DROP TABLE mine")


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE free SET word = t.email FROM t WHERE t.id = free.id", "UPDATE t SET city = email",
        "UPDATE t SET email = 'x'", "INSERT INTO t (email) VALUES ('x')", "DELETE FROM t WHERE email LIKE 'canary1%'",
        "ALTER TABLE t RENAME COLUMN email TO city2", "ALTER TABLE t RENAME TO free2", "ALTER TABLE t ALTER city TYPE text USING email",
        "CREATE INDEX ON t (email)", "CREATE TEMP TABLE u (LIKE t INCLUDING ALL)", "CREATE TEMP TABLE u () INHERITS (people)",
        "CREATE TEMP VIEW v AS SELECT email FROM people", "CREATE TEMP SEQUENCE s", "CREATE VIEW pg_temp.v AS SELECT 1",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE TABLE kept AS SELECT email FROM t",
        "INSERT INTO notes SELECT id + 10, email FROM t", "COPY t FROM STDIN", "ANALYZE t", "EXPLAIN SELECT * FROM t WHERE email > 'c'",
        "EXPLAIN ANALYZE CREATE TEMP TABLE x AS SELECT email FROM people", "CREATE TEMP TABLE x AS DELETE FROM people RETURNING *",
    ],
)  # fmt: skip
def test_masked_values_get_nowhere_by_way_of_a_copy(maker: Link, text: str) -> None:
    maker.execute("CREATE TEMP TABLE free (id int, word text)")
    maker.execute("INSERT INTO free VALUES (1, 'x')")
    maker.execute("CREATE TEMP TABLE t AS SELECT id, email, city FROM people")
    with pytest.raises(psycopg.Error) as stopped:
        maker.execute(text.encode())
    assert stopped.value.sqlstate in ("0A000", "42501", "42601"), stopped.value
    shown(maker, "SELECT * FROM free")


def test_a_name_of_a_copy_hides_no_mask(maker: Link) -> None:
    """A temporary table comes before any other of its name, in this session only."""
    maker.execute("CREATE TEMP TABLE notes AS SELECT id, email AS word FROM people")
    for text in ("SELECT word FROM notes", "SELECT (SELECT word FROM notes WHERE id = 1)", "SELECT word FROM pg_temp.notes",
                 "WITH w AS (SELECT * FROM notes) SELECT (SELECT word FROM w LIMIT 1)"):  # fmt: skip
        with contextlib.suppress(psycopg.errors.FeatureNotSupported):
            shown(maker, text)
    assert shown(maker, "SELECT word FROM public.notes") == [("plain",)]
    maker.execute("DROP TABLE notes")
    assert shown(maker, "SELECT word FROM notes") == [("plain",)]


def test_if_not_exists_does_not_relabel_what_exists(bot: Link) -> None:
    bot.execute("CREATE TEMP TABLE t AS SELECT id, email AS word FROM people")
    bot.execute("CREATE TEMP TABLE IF NOT EXISTS t AS SELECT 1 AS id, 'x'::text AS word")
    refused(bot, "CREATE TEMP TABLE IF NOT EXISTS t (id int, word text)")
    assert len(shown(bot, "SELECT id, (SELECT word FROM t LIMIT 1) FROM t")) == 9


@pytest.mark.parametrize("end", ["ROLLBACK", "ROLLBACK TO s"])
def test_what_was_rolled_back_is_no_copy_any_more(bot: Link, end: str) -> None:
    for text in ("BEGIN", "SAVEPOINT s", "CREATE TEMP TABLE t AS SELECT 1 AS id, 'x'::text AS word", "SELECT word FROM t", end,
                 "CREATE TEMP TABLE t AS SELECT id, email AS word FROM people"):  # fmt: skip
        bot.execute(text.encode())
    assert len(shown(bot, "SELECT word FROM t")) == 9


@pytest.mark.parametrize("forget", ["DISCARD TEMP", "DISCARD ALL"])
def test_discard_ends_the_copies(bot: Link, forget: str) -> None:
    bot.execute("CREATE TEMP TABLE t AS SELECT email AS word FROM people")
    shown(bot, "SELECT word FROM t")
    bot.execute(forget.encode())
    with pytest.raises(psycopg.errors.UndefinedTable):
        bot.execute("SELECT word FROM t")
    bot.execute("CREATE TEMP TABLE t AS SELECT email AS word FROM people")
    assert len(shown(bot, "SELECT word FROM t")) == 9


def test_what_a_transaction_changed_is_masked_by_what_it_is_now(maker: Link) -> None:
    maker.execute("BEGIN")
    maker.execute("ALTER TABLE notes RENAME COLUMN word TO said")
    assert shown(maker, "SELECT said FROM notes") == [("plain",)]
    maker.execute("ALTER TABLE notes ADD COLUMN extra int")
    assert shown(maker, "SELECT said, extra FROM notes") == [("plain", None)]
    assert len(shown(maker, "SELECT email FROM people ORDER BY id")) == 9
    maker.execute("CREATE TABLE made (id int, email text)")
    maker.execute("INSERT INTO made DEFAULT VALUES")
    assert len(shown(maker, "SELECT id, email FROM made")) == 1
    maker.execute("ROLLBACK")
    assert shown(maker, "SELECT word FROM notes") == [("plain",)]
    with pytest.raises(psycopg.errors.UndefinedTable):
        maker.execute("SELECT 1 FROM made")


def test_nothing_of_the_analysis_is_seen_or_changed(gate: GateProcess) -> None:
    """The link is as it was: its status, its settings, its open transaction with locks and savepoints, and what is prepared on it."""
    with WireClient(gate, "bot", "temporary_prod") as wire:
        wire.query("CREATE TEMP TABLE t AS SELECT id, city FROM people")
        told = wire.query("SELECT count(*) FROM t")
        assert [told[0:1], told[-6:]] == [b"T", b"Z\0\0\0\5I"]
        assert told.count(b"SELECT 1\0") == 1
        assert b"lockgate_analysis" not in told
        wire.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
        wire.query("SAVEPOINT s")
        wire.query("INSERT INTO t VALUES (100, 'x')")
        assert wire.query("SELECT count(*), max(city) FROM t")[-1:] == b"T"
        for name, value in (("client_min_messages", b"notice"), ("transaction_isolation", b"repeatable read")):
            assert value in wire.query(f"SHOW {name}")
        assert wire.query("SELECT no_such_column FROM t")[-1:] == b"E"
        assert b"25P02" in wire.query("SELECT 1 FROM t")
        assert wire.query("ROLLBACK TO s")[-1:] == b"T"
        assert b"\x0210" not in wire.query("SELECT count(*) FROM t")
        assert wire.query("COMMIT")[-1:] == b"I"
        wire.extended(wire.parse("", "SELECT city FROM cities"), wire.bind("", ""))
        wire.extended(wire.parse("", "SELECT 'kept' FROM t LIMIT 1"))
        wire.query("SET search_path = public")
        assert b"kept" in wire.extended(wire.bind("", ""), wire.execute(""))


def test_what_others_made_since_the_last_look_is_masked_for_a_session_with_copies(bot: Link, gate: GateProcess) -> None:
    """The catalog's snapshot does not have it yet, and a session's own link sees it."""
    bot.execute("CREATE TEMP TABLE t AS SELECT 1 AS id")
    with psycopg.connect(gate.databases["temporary_prod"][0], autocommit=True) as owner:
        owner.execute(
            "CREATE TABLE kid () INHERITS (people); INSERT INTO kid SELECT * FROM ONLY people; ALTER TABLE kid ADD word text; UPDATE kid SET word = email"
        )
        try:
            for text in 3 * (
                "SELECT email, word FROM kid",
                "SELECT (SELECT word FROM kid LIMIT 1)",
                "SELECT kid.email FROM kid, t",
            ):
                with contextlib.suppress(psycopg.errors.FeatureNotSupported, psycopg.errors.InsufficientPrivilege):
                    shown(bot, text)
        finally:
            owner.execute("DROP TABLE kid")


def test_a_pipeline_about_a_copy_that_it_makes_itself_is_refused(gate: GateProcess) -> None:
    with WireClient(gate, "bot", "temporary_prod") as wire:
        made = (wire.parse("", "CREATE TEMP TABLE t AS SELECT email FROM people"), wire.bind("", ""), wire.execute(""))
        read = (wire.parse("", "SELECT email FROM t"), wire.bind("", ""), wire.execute(""))
        assert b"canary" not in wire.extended(*made, *read)
        assert b"canary" not in wire.query("CREATE TEMP TABLE u AS SELECT email FROM people; SELECT email FROM u")
        wire.query("CREATE TEMP TABLE notes AS SELECT email AS word FROM people")
        for text in ("BEGIN", "SELECT 1/0"):
            wire.query(text)
        assert b"canary" not in wire.query("ROLLBACK; SELECT (SELECT word FROM notes LIMIT 1)")


@pytest.mark.parametrize("relation", ["everyone", "people"])
def test_a_statement_over_stand_ins_is_judged_once_for_its_parse_and_its_bind(bot: Link, relation: str) -> None:
    bot.execute("CREATE TEMP TABLE mine AS SELECT id FROM people")
    text = f"SELECT upper(email) FROM {relation} WHERE id < %s ORDER BY id".encode()
    with contextlib.suppress(psycopg.errors.FeatureNotSupported):
        bot.execute(text, (2,))  # what the tests before this one defined may be noticed between its Parse and its Bind
    for number in (2, 3):
        found = bot.execute(text, (number,)).fetchall()
        assert len(found) == number - 1
        assert "CANARY" not in str(found)
