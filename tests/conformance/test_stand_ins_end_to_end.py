"""Statements that compute with masked columns, through a real gate: they run, they say nothing, and they keep the client's shape.

Source: masking.md 2.3 (mode S); docs/adr/0011-stand-ins.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, email text, name varchar(40), birth_date date, ssn varchar(11));
INSERT INTO people VALUES (1, 'Zoe@real.example', 'Zoe Quim', '1980-05-06', '101-11-1007'),
  (2, 'adam@gmail.com', 'Adam Vole', '1975-01-02', '202-22-2014'), (3, 'zoe@other.example', 'Zoe Quim', NULL, NULL);
CREATE TABLE orders(id int PRIMARY KEY, buyer_email text, total int);
INSERT INTO orders VALUES (1, 'adam@gmail.com', 5), (2, 'Zoe@real.example', 7), (3, 'adam@gmail.com', 9);
CREATE VIEW contacts AS SELECT id, upper(email) AS mail, left(ssn, 3) AS area FROM people;
CREATE VIEW buyers(m, t) AS SELECT c.mail, o.total FROM contacts c JOIN orders o ON upper(o.buyer_email) = c.mail;
CREATE VIEW guarded WITH (security_barrier) AS SELECT upper(email) AS mail FROM people;
CREATE TABLE logs(at int, email text) PARTITION BY RANGE (at);
CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (10); CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM (10) TO (20);
INSERT INTO logs VALUES (15, 'b@x.example'), (5, 'a@x.example');
CREATE FUNCTION spy(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
ANALYZE
"""
SECRETS = (
    b"zoe",
    b"adam",
    b"quim",
    b"vole",
    b"real.example",
    b"101-11",
    b"202-22",
    b"1980-05",
    b"1975-01-02",
    b"lockgate_",
)


@pytest.fixture(scope="module")
def gate(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(postgres, "stand_ins", SCRIPT)
    running = GateProcess(tmp_path_factory.mktemp("stand") / "gate", {"dev": (dsn, "production")}).init()
    running.start()
    yield running
    running.stop()
    drop_database(postgres, "stand_ins")


@pytest.fixture
def bot(gate: GateProcess) -> Iterator[psycopg.Connection]:
    with psycopg.connect(gate.dsn("bot", "dev"), autocommit=True) as connection:
        yield connection


CASES: tuple[tuple[str, list[tuple[object, ...]]], ...] = (
    ("SELECT upper(email), left(ssn, 3), birth_date + 1 FROM people WHERE id = 1", [("S1@D-S1.EXAMPLE", "000", "1980-01-02")]),
    ("SELECT split_part(email, '@', 2), count(*) FROM people GROUP BY 1 ORDER BY 1", [("d-s1.example", 1), ("d-s3.example", 1), ("gmail.com", 1)]),
    ("SELECT id FROM people ORDER BY email DESC LIMIT 2", [(3,), (2,)]),
    ("SELECT min(name), max(birth_date), count(DISTINCT lower(name)) FROM people", [("Person S1", "1980-01-01", 2)]),
    ("SELECT id FROM people WHERE email ILIKE '%@gmail.com' OR birth_date < '1970-01-01'", [(2,)]),
    ("SELECT o.id, p.id FROM orders o JOIN people p ON lower(p.email) = lower(o.buyer_email) ORDER BY 1", [(1, 2), (2, 1), (3, 2)]),
    ("SELECT mail, area FROM contacts WHERE id < 3 ORDER BY id", [("S1@D-S1.EXAMPLE", "000"), ("S2@GMAIL.COM", "000")]),
    ("SELECT m, sum(t) FROM buyers GROUP BY m ORDER BY 2", [("S2@D-S2.EXAMPLE", 7), ("S1@GMAIL.COM", 14)]),
    ("WITH people AS (SELECT id, reverse(email) AS email FROM people) SELECT email FROM people WHERE id = 2", [("moc.liamg@2s",)]),
    ("SELECT x.a FROM public.people AS x(a, b) WHERE x.b LIKE 's3%'", [(3,)]),
    ('SELECT "public"."people"."email" || \'!\' FROM "public"."people" WHERE "public"."people"."id" = 2', [("s2@gmail.com!",)]),
    ("SELECT at, initcap(email) FROM logs ORDER BY 1", [(5, "S1@D-S1.Example"), (15, "S2@D-S1.Example")]),
    ("SELECT at, upper(email) FROM ONLY logs_1", [(5, "S1@D-S1.EXAMPLE")]),
    ("SELECT row_to_json(p)->>'email' FROM people p WHERE id = 2", [("s2@gmail.com",)]),
    ("SELECT CASE WHEN ssn LIKE '1%' THEN 'a' ELSE 'b' END FROM people ORDER BY id", [("b",), ("b",), ("b",)]),
    ("(TABLE people ORDER BY email DESC LIMIT 1)", [(3, "s3@d-s3.example", "Person S1", None, None)]),
    ("SELECT string_agg(email, ',' ORDER BY name, id) FROM people", [("s1@d-s1.example,s3@d-s3.example,s2@gmail.com",)]),
    ("SELECT v FROM people p CROSS JOIN LATERAL (VALUES (p.email), (p.name)) l(v) WHERE id = 1", [("s1@d-s1.example",), ("Person S1",)]),
)  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_the_answer_is_computed_from_stand_ins(
    bot: psycopg.Connection, text: str, expected: list[tuple[object, ...]]
) -> None:
    for binary in (False, True):
        found = bot.cursor(binary=binary).execute(text.encode()).fetchall()
        plain = [tuple(str(c) if hasattr(c, "isoformat") else c for c in row) for row in found]
        assert plain == expected


def test_names_and_types_of_columns_and_parameters_stay_the_client_s(bot: psycopg.Connection) -> None:
    cursor = bot.execute(
        "SELECT upper(email) AS a, birth_date, name FROM people WHERE name LIKE %s AND id = %s", ("Person%", 2)
    )
    described = [(c.name, c.type_code, c.display_size) for c in cursor.description or ()]
    assert described == [("a", 25, None), ("birth_date", 1082, None), ("name", 1043, 40)]
    assert len(cursor.fetchall()) == 1


def test_cursors_and_copy_of_a_query_run_over_stand_ins(bot: psycopg.Connection) -> None:
    with bot.transaction():
        bot.execute("DECLARE c CURSOR FOR SELECT lower(email) FROM people ORDER BY name, id")
        assert bot.execute("FETCH 2 FROM c").fetchall() == [("s1@d-s1.example",), ("s3@d-s3.example",)]
        assert bot.execute("FETCH ALL FROM c").fetchall() == [("s2@gmail.com",)]
    with bot.cursor().copy("COPY (SELECT id, upper(name) FROM people ORDER BY 1) TO STDOUT (FORMAT csv)") as copy:
        assert b"".join(bytes(part) for part in copy) == b"1,PERSON S1\n2,PERSON S2\n3,PERSON S1\n"


REFUSED = (
    "SELECT spy(email) FROM people", "SELECT upper(email) FROM people FOR UPDATE", "SELECT ctid, upper(email) FROM people",
    "SELECT upper(email) FROM people TABLESAMPLE SYSTEM (50 + 50)", "EXPLAIN SELECT upper(email) FROM people",
    "EXPLAIN ANALYZE SELECT email FROM people", "EXPLAIN SELECT id FROM people WHERE email = 'x'", "EXPLAIN SELECT email FROM people ORDER BY email",
    "INSERT INTO orders SELECT 9, upper(email), 1 FROM people", "SELECT p FROM people p ORDER BY email LIMIT 1",
    "SELECT upper(email), current_query() FROM people", "CREATE TABLE t AS SELECT upper(email) AS u FROM people",
    "SELECT query_to_xml('select 1', true, true, ''), upper(email) FROM people", "SELECT set_config('app.x', email, false) FROM people",
)  # fmt: skip


def test_samples_and_barriers_are_kept(bot: psycopg.Connection) -> None:
    assert bot.execute("SELECT upper(email) FROM people p TABLESAMPLE SYSTEM (100) ORDER BY id LIMIT 1").fetchone() == (
        "S1@D-S1.EXAMPLE",
    )
    assert bot.execute("SELECT mail FROM guarded ORDER BY mail DESC LIMIT 1").fetchone() == ("S3@D-S3.EXAMPLE",)


def test_columns_that_come_with_a_grouped_key_still_do(bot: psycopg.Connection) -> None:
    text = "SELECT p.id, upper(p.name), count(*) FROM people p JOIN orders o ON o.id >= p.id GROUP BY p.id ORDER BY 1"
    assert [row[0::2] for row in bot.execute(text.encode()).fetchall()] == [(1, 3), (2, 2), (3, 1)]


def test_a_plan_is_explained_as_if_masked_columns_that_are_only_shown_were_null(bot: psycopg.Connection) -> None:
    plans = [
        [str(row[0]) for row in bot.execute(f"EXPLAIN (VERBOSE, COSTS OFF) {text}".encode()).fetchall()]
        for text in (
            "SELECT id, email FROM people p WHERE id = 2",
            "SELECT c.id, c.name FROM people c JOIN orders USING (id)",
        )
    ]
    assert "people" in plans[0][0]
    assert any("NULL::" in line for line in plans[0])
    assert not any("lockgate_" in line for plan in plans for line in plan)


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_shown_to_be_safe_is_refused(bot: psycopg.Connection, text: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        bot.execute(text.encode())
    assert refused.value.sqlstate in ("0A000", "42501")
    assert not any(secret in str(refused.value).lower().encode() for secret in SECRETS[:-1])


def test_errors_are_a_code_and_fixed_words(bot: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidTextRepresentation) as failed:
        bot.execute("SELECT email::int FROM people")
    assert "withheld" in str(failed.value)
    assert failed.value.diag.statement_position is None


def test_nothing_of_a_value_or_of_the_other_text_is_in_any_answer(bot: psycopg.Connection) -> None:
    shown = []
    for text, _ in CASES * 3:  # what was judged before must not take another way
        shown += [str(row) for row in bot.execute(text.encode()).fetchall()]
    everything = " ".join(shown).lower().encode()
    assert not [secret for secret in SECRETS if secret in everything]


def test_a_pseudonym_that_was_shown_finds_its_row_over_stand_ins(bot: psycopg.Connection) -> None:
    shown: dict[int, str] = dict(bot.execute("SELECT id, email FROM people").fetchall())
    ssn: dict[int, str] = dict(bot.execute("SELECT id, ssn FROM people").fetchall())
    text = "SELECT id, upper(email) FROM people WHERE"
    expected = [(2, "S2@GMAIL.COM")]
    assert bot.execute(f"{text} email = '{shown[2]}'".encode()).fetchall() == expected
    assert bot.execute(f"{text} email IN ('{shown[2]}', 'nobody@gmail.com') LIMIT 3".encode()).fetchall() == expected
    assert bot.execute(f"{text} ssn = ANY ('{{{ssn[2]},x}}')".encode()).fetchall() == expected
    assert bot.execute(f"{text} email = %s AND id > %s", (shown[2], 1)).fetchall() == expected
    assert bot.execute(f"{text} ssn = ANY (%s)", ([ssn[2], ssn[1]],)).fetchall() == [(1, "S1@D-S1.EXAMPLE"), *expected]
    with bot.transaction():
        bot.execute(f"DECLARE c CURSOR FOR {text} email = '{shown[2]}'".encode())
        assert bot.execute("FETCH ALL FROM c").fetchall() == expected
    counted = f"SELECT count(*) FROM people WHERE email <> '{shown[2]}' AND email LIKE 's%'"
    assert bot.execute(counted.encode()).fetchall() == [(2,)]


def test_a_guessed_value_finds_nothing_over_stand_ins(bot: psycopg.Connection) -> None:
    for guess in ("adam@gmail.com", "s2@gmail.com", "Zoe@real.example", "x_s1", ""):
        text = "SELECT id, upper(email) FROM people WHERE email = "
        assert bot.execute(f"{text}'{guess}'".encode()).fetchall() == []
        assert bot.execute(f"{text}%s", (guess,)).fetchall() == []
