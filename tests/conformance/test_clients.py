"""Unchanged clients through the gate: psql, psycopg, asyncpg, SQLAlchemy; text and binary, prepared and simple.

Without masked columns the answers are byte for byte those of a direct connection; with them no raw value is seen and the shapes hold.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from typing import Self
from urllib.parse import quote

import asyncpg
import psycopg
import pytest
import sqlalchemy

from lockgate.testing.engines import EmbeddedPostgres
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame, FrameReader
from lockgate.wire.postgres.startup import startup_message
from support.gate import GateProcess
from support.servers import Psql, create_database, drop_database
from support.waiting import accepted, cancelled_when_running

SETUP = """
CREATE TABLE people(id bigint PRIMARY KEY, full_name text NOT NULL, email text UNIQUE, ssn varchar(11), dob date, phone text,
  ip inet, api_key text, city text, height real, joined timestamptz);
INSERT INTO people SELECT g, 'Person Number ' || g, 'person' || g || '@raw-value.example', lpad(g::text, 3, '0') || '-22-' || lpad((g * 7)::text, 4, '0'),
  date '1960-01-01' + g * 100, '+44 20 7946 ' || lpad(g::text, 4, '0'), ('10.0.' || g || '.7')::inet, 'sk_raw_' || g, 'York', g / 7.0,
  timestamptz '2026-01-01' + g * interval '1 day' FROM generate_series(1, 50) g;
CREATE TABLE things(id int PRIMARY KEY, weight numeric, tags text[], made date, at timestamptz, flag boolean, doc jsonb, raw bytea, ratio float8,
  big bigint, name varchar(20), code uuid, span interval);
INSERT INTO things SELECT g, g / 3.0, ARRAY['a' || g, NULL, 'c"d'], date '2020-02-29' + g, timestamptz '2026-03-01 12:00+00' + g * interval '1 hour', g % 2 = 0,
  jsonb_build_object('k', g, 'n', NULL), decode(md5(g::text), 'hex'), g / 7.0, 9007199254740993 + g, 'thing ' || g, md5(g::text)::uuid, g * interval '90 minutes'
  FROM generate_series(1, 200) g;
ANALYZE;
"""
RAW = ("raw-value", "sk_raw", "Person Number")

UNMASKED = (
    "SELECT * FROM things ORDER BY id",
    "SELECT count(*), sum(weight), max(made), bool_and(flag), avg(ratio) FROM things",
    "SELECT id, doc->>'k', tags[1], raw, span FROM things WHERE id < 20 ORDER BY id DESC",
    "SELECT flag, count(*) FROM things GROUP BY flag ORDER BY 1",
    "SELECT 1 AS one, 'x'::text AS two, NULL::int AS three",
    "SELECT t.name, u.name FROM things t JOIN things u ON u.id = t.id + 1 WHERE t.id <= 5 ORDER BY t.id",
    "SELECT row_number() OVER (ORDER BY id), lag(weight) OVER (ORDER BY id) FROM things ORDER BY id LIMIT 7",
    "SELECT g, g * g FROM generate_series(1, 100) g",
    "SHOW server_version",
    "SELECT id, city FROM people WHERE id < 5 ORDER BY id",
    "EXPLAIN (COSTS OFF) SELECT id, weight FROM things WHERE id = 3",
)


@pytest.fixture(scope="module")
def place(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GateProcess, str]]:
    name = f"clients{postgres.major}"
    dsn = create_database(postgres, name, SETUP)
    gate = GateProcess(tmp_path_factory.mktemp(name) / "gate", {"shop": (dsn, "development")}).init()
    gate.label("shop", "none", "things.tags", "things.doc", "things.raw", "things.name")
    gate.start()
    yield gate, dsn
    assert gate.stop() == 0
    drop_database(postgres, name)


class Wire:
    """A raw link that collects what comes back after login."""

    def __init__(self, host: str, port: int, user: str, password: str, database: str) -> None:
        import socket

        self._socket = socket.create_connection((host, port), timeout=60)
        self._frames = FrameReader(body_bytes_max=1 << 28)
        self._socket.sendall(startup_message([("user", user), ("database", database), ("client_encoding", "UTF8")]))
        self._log_in(password)

    def _log_in(self, password: str) -> None:
        from lockgate.wire.postgres import backend as be
        from lockgate.wire.postgres.scram import ScramClient

        scram = ScramClient(password, b"conformancenonce01")
        while True:
            frame = self._next()
            if frame.tag == ord("Z"):
                return
            if frame.tag != ord("R"):
                continue
            asked = be.decode(frame)
            if isinstance(asked, be.AuthenticationCleartextPassword):
                self._socket.sendall(fe.Password.of_text(password).encode())
            elif isinstance(asked, be.AuthenticationSASL):
                self._socket.sendall(fe.Password.of_sasl_initial("SCRAM-SHA-256", scram.client_first()).encode())
            elif isinstance(asked, be.AuthenticationSASLContinue):
                self._socket.sendall(fe.Password(scram.client_final(asked.content)).encode())

    def _next(self) -> Frame:
        while (frame := self._frames.next_frame()) is None:
            self._frames.feed(self._socket.recv(65536))
        return frame

    def ask(self, data: bytes) -> list[bytes]:
        """Every message up to ReadyForQuery, settings reports left out."""
        self._socket.sendall(data)
        found = []
        while True:
            frame = self._next()
            if frame.tag != ord("S"):
                found.append(frame.encode())
            if frame.tag == ord("Z"):
                return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def forms(text: str) -> dict[str, bytes]:
    """One statement in every protocol form."""
    sync = fe.Sync().encode()
    return {
        "simple": fe.Query(text).encode(),
        "extended text": fe.Parse("", text).encode() + fe.Bind("", "").encode() + fe.Describe("P", "").encode() + fe.Execute("", 0).encode() + sync,
        "extended binary": fe.Parse("", text).encode() + fe.Bind("", "", (), (), (1,)).encode() + fe.Describe("P", "").encode()
        + fe.Execute("", 0).encode() + sync,
        "no describe": fe.Parse("", text).encode() + fe.Bind("", "").encode() + fe.Execute("", 0).encode() + sync,
        "named, twice": fe.Parse("s", text).encode() + fe.Describe("S", "s").encode() + fe.Bind("p", "s").encode() + fe.Execute("p", 0).encode()
        + fe.Bind("q", "s").encode() + fe.Execute("q", 0).encode() + fe.Close("P", "q").encode() + fe.Close("S", "s").encode() + sync,
        "pipelined": (fe.Parse("", text).encode() + fe.Bind("", "").encode() + fe.Execute("", 0).encode()) * 3 + sync,
    }  # fmt: skip


def test_unmasked_answers_are_byte_identical_in_every_form(
    place: tuple[GateProcess, str], postgres: EmbeddedPostgres
) -> None:
    gate, dsn = place
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("DROP ROLE IF EXISTS plain_reader")
        owner.execute("CREATE ROLE plain_reader LOGIN PASSWORD 'plain'")
        owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO plain_reader")
    with (
        Wire("127.0.0.1", postgres.port, "plain_reader", "plain", f"clients{postgres.major}") as direct,
        Wire(gate.host, gate.port, "bot", gate.token("bot"), "shop") as gated,
    ):
        for text in UNMASKED:
            for form, data in forms(text).items():
                assert gated.ask(data) == direct.ask(data), (form, text)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("DROP OWNED BY plain_reader")
        owner.execute("DROP ROLE plain_reader")


def test_errors_of_the_server_are_its_own(place: tuple[GateProcess, str]) -> None:
    gate, dsn = place
    with gate.connect("bot", "shop") as gated, psycopg.connect(dsn, autocommit=True) as direct:
        for text in (
            "SELECT nope FROM things",
            "SELECT FROM WHERE",
            "SELECT * FROM nowhere",
            "SELECT 1/0",
            "SELECT 'x'::int",
        ):
            errors = []
            for client in (gated, direct):
                with pytest.raises(psycopg.Error) as caught:
                    client.execute(text.encode())
                errors.append(
                    (caught.value.sqlstate, caught.value.diag.message_primary, caught.value.diag.statement_position)
                )
            assert errors[0] == errors[1], text


def test_psycopg_sees_masks_in_text_and_binary_and_they_agree(place: tuple[GateProcess, str]) -> None:
    gate, dsn = place
    text = "SELECT id, full_name, email, ssn, dob, phone, ip, api_key, city FROM people ORDER BY id"
    with gate.connect("bot", "shop") as client:
        as_text = client.execute(text).fetchall()
        as_binary = client.execute(text, binary=True).fetchall()
        prepared = [
            client.execute("SELECT email FROM people WHERE id = %s", (7,), prepare=True).fetchone() for _ in range(3)
        ]
        with client.cursor() as cursor, client.pipeline():
            cursor.execute("SELECT email FROM people WHERE id = 7")
            piped = cursor.fetchone()
    assert as_text == as_binary
    assert len(as_text) == 50
    with psycopg.connect(dsn) as owner:
        real = owner.execute(text).fetchall()
    assert [(row[0], row[8]) for row in as_text] == [(row[0], row[8]) for row in real]
    assert not {(c, row[c]) for row in as_text for c in (1, 2, 3, 5, 6, 7)} & {
        (c, row[c]) for row in real for c in (1, 2, 3, 5, 6, 7)
    }
    for row in as_text:
        assert not any(raw in str(row) for raw in RAW)
        assert isinstance(row[4], dt.date)
        assert (row[4].month, row[4].day) == (1, 1)
        assert row[8] == "York"
    assert len({row[2] for row in as_text}) == 50
    assert set(prepared) == {(as_text[6][2],)} == {piped}


def test_psycopg_transactions_copy_and_server_cursors(place: tuple[GateProcess, str]) -> None:
    gate, _ = place
    with psycopg.connect(gate.dsn("ann", "shop")) as client:
        with client.transaction():
            client.execute("INSERT INTO things(id, name) VALUES (9001, 'mine')")
            with pytest.raises(psycopg.errors.UniqueViolation), client.transaction():
                client.execute("INSERT INTO things(id, name) VALUES (9001, 'again')")
        assert client.execute("SELECT name FROM things WHERE id = 9001").fetchone() == ("mine",)
        with client.cursor().copy("COPY things (id, name) FROM STDIN") as copy:
            copy.write_row((9002, "copied"))
        with client.cursor().copy("COPY things (id, name) TO STDOUT (FORMAT csv)") as copy:
            assert b"9002,copied" in b"".join(bytes(part) for part in copy)
        client.commit()
        with client.cursor(name="served") as cursor:
            cursor.execute("SELECT id FROM things ORDER BY id")
            assert len(cursor.fetchmany(10)) == 10
        client.execute("DELETE FROM things WHERE id = 9001")
        client.execute("DELETE FROM things WHERE id = 9002")


def test_asyncpg_reads_writes_and_introspects(place: tuple[GateProcess, str]) -> None:
    gate, _ = place

    async def talk() -> None:
        client = await asyncpg.connect(
            host=gate.host, port=gate.port, user="bot", password=gate.token("bot"), database="shop", ssl="require"
        )
        try:
            rows = await client.fetch("SELECT id, email, dob, ip, joined FROM people WHERE id < $1 ORDER BY id", 5)
            assert len(rows) == 4
            assert not any(raw in str(tuple(row)) for row in rows for raw in RAW)
            assert await client.fetchval("SELECT tags FROM things WHERE id = 3") == ["a3", None, 'c"d']
            assert await client.fetchval("SELECT doc->>'k' FROM things WHERE id = $1", 3) == "3"
            with pytest.raises(asyncpg.FeatureNotSupportedError, match="lockgate"):
                await client.fetch("SELECT upper(email), current_query() FROM people")
            assert await client.fetchval("SELECT 41 + 1") == 42
            async with client.transaction():
                many = [record["id"] async for record in client.cursor("SELECT id FROM things ORDER BY id")]
            assert len(many) == 200
        finally:
            await client.close()

    asyncio.run(talk())


def test_sqlalchemy_reflects_and_queries(place: tuple[GateProcess, str]) -> None:
    gate, _ = place
    url = f"postgresql+psycopg://bot:{quote(gate.token('bot'))}@{gate.host}:{gate.port}/shop?sslmode=require"
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        people = sqlalchemy.Table("people", sqlalchemy.MetaData(), autoload_with=connection)
        assert {"id", "email", "dob"} <= set(people.columns.keys())
        rows = connection.execute(
            sqlalchemy.select(people.c.id, people.c.email).where(people.c.id < 4).order_by(people.c.id)
        ).all()
        assert [row[0] for row in rows] == [1, 2, 3]
        assert not any(raw in str(row) for row in rows for raw in RAW)
    engine.dispose()


def test_psql_describes_and_shows_the_remedy(place: tuple[GateProcess, str], psql: Psql) -> None:
    gate, _ = place
    done = psql.run(
        gate.dsn("bot", "shop"),
        "-c",
        "\\d people",
        "-c",
        "\\dt",
        "-c",
        "SELECT email FROM people WHERE id = 7",
        "-c",
        "\\df",
    )
    assert done.returncode == 0, done.stderr
    assert "people_email_key" in done.stdout
    assert not any(raw in done.stdout for raw in RAW)
    done = psql.run(gate.dsn("bot", "shop"), "-c", "SELECT email, current_query() FROM people")
    assert "lockgate: " in done.stderr
    assert "rule=" in done.stderr
    assert "HINT" in done.stderr


def test_a_refused_statement_fails_its_transaction(place: tuple[GateProcess, str]) -> None:
    gate, dsn = place
    with psycopg.connect(gate.dsn("ann", "shop")) as client:
        client.execute("INSERT INTO things(id, name) VALUES (9100, 'half')")
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            client.execute("SELECT upper(email), current_query() FROM people")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            client.execute("SELECT 1")
        client.commit()
        assert client.execute("SELECT count(*) FROM things WHERE id = 9100").fetchone() == (0,)
        client.execute("INSERT INTO things(id, name) VALUES (9101, 'kept')")
        client.execute("SAVEPOINT here")
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            client.execute("SELECT upper(email), current_query() FROM people")
        client.execute("ROLLBACK TO here")
        client.commit()
    with psycopg.connect(dsn, autocommit=True) as owner:
        assert owner.execute("SELECT count(*) FROM things WHERE id = 9101").fetchone() == (1,)
        owner.execute("DELETE FROM things WHERE id = 9101")


def test_a_pipeline_with_a_refusal_keeps_its_order_and_rolls_back(place: tuple[GateProcess, str]) -> None:
    gate, dsn = place

    def step(text: str) -> bytes:
        return fe.Parse("", text).encode() + fe.Bind("", "").encode() + fe.Execute("", 0).encode()

    with Wire(gate.host, gate.port, "ann", gate.token("ann"), "shop") as wire:
        data = (
            step("INSERT INTO things(id, name) VALUES (9200, 'x')")
            + step("SELECT upper(email), current_query() FROM people")
            + step("SELECT 3")
        )
        answers = wire.ask(data + fe.Sync().encode())
        assert b"".join(a[:1] for a in answers) == b"12CEZ"
        assert answers[-1][-1:] == b"I"
        assert [a[:1] for a in wire.ask(step("SELECT 4") + fe.Sync().encode())] == [b"1", b"2", b"D", b"C", b"Z"]
    with psycopg.connect(dsn, autocommit=True) as owner:
        assert owner.execute("SELECT count(*) FROM things WHERE id = 9200").fetchone() == (0,)


@pytest.mark.parametrize("protocol", ["3.0", "3.2"])
def test_cancel_reaches_the_session_it_means(place: tuple[GateProcess, str], protocol: str) -> None:
    """In 3.2 the key is long; with several workers it may come to another one than the session's."""
    gate, dsn = place
    assert psycopg.pq.version() >= 180000
    versions = {"min_protocol_version": protocol, "max_protocol_version": protocol}
    with gate.connect("ann", "shop", **versions) as client, gate.connect("ann", "shop") as other:
        endless = "SELECT count(*) FROM things a, things b, things c, things d, things e"
        with (
            cancelled_when_running(dsn, endless, client.cancel_safe),
            pytest.raises(psycopg.errors.QueryCanceled),
        ):
            client.execute(endless.encode())
        assert other.execute("SELECT 1").fetchone() == (1,)
        assert client.execute("SELECT 2").fetchone() == (2,)


def test_application_name_keeps_its_prefix_on_the_database(place: tuple[GateProcess, str]) -> None:
    gate, dsn = place
    with gate.connect("ann", "shop", application_name="mine") as client, psycopg.connect(dsn, autocommit=True) as owner:
        client.execute("SELECT 1")
        client.execute("SET application_name = 'other'")
        client.execute("SELECT 1")
        assert client.info.parameter_status("application_name") == "other"
        names = [
            r[0]
            for r in owner.execute(
                "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'lg:%'"
            ).fetchall()
        ]
        assert any(name.endswith(" other") for name in names)


def test_search_path_is_followed(place: tuple[GateProcess, str]) -> None:
    gate, dsn = place
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA IF NOT EXISTS elsewhere")
        owner.execute("CREATE TABLE IF NOT EXISTS elsewhere.things(email text, id int)")
        owner.execute("INSERT INTO elsewhere.things VALUES ('x@raw-value.example', 1)")
        roles = [
            r[0] for r in owner.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'lockgate_shop%'").fetchall()
        ]
        for role in roles:
            owner.execute(f'GRANT USAGE ON SCHEMA elsewhere TO "{role}"'.encode())
            if not role.endswith("analysis"):
                owner.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA elsewhere TO "{role}"'.encode())
    with gate.connect("bot", "shop") as client:
        client.execute("SET search_path = elsewhere, public")
        accepted(lambda: client.execute("SELECT * FROM things"))
        rows = client.execute("SELECT * FROM things").fetchall()
        assert len(rows) == 1
        assert "raw-value" not in str(rows)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("DROP SCHEMA elsewhere CASCADE")
