"""The protocol itself: the same dialogue, message by message, directly and through the gate, must give the same bytes.

For: portals, row limits, pipelines with errors, formats, named and unnamed statements, COPY in both directions, FunctionCall.
Not for: masks (`test_clients.py`, `tests/attacks`) and drivers (`test_driver_matrix.py`).
Source: PostgreSQL documentation, 55.2; threats W-13 to W-22.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

import psycopg
import pytest

from conformance.wire_link import WireLink
from lockgate.testing.engines import EmbeddedPostgres
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame, message
from lockgate.wire.postgres.typed import from_backend
from support.gate import GateProcess
from support.servers import create_database, drop_database

SETUP = """
CREATE TABLE things(id int PRIMARY KEY, name text, weight float8);
INSERT INTO things SELECT g, 'thing ' || g, g / 7.0 FROM generate_series(1, 30) g;
CREATE TABLE sink(id int PRIMARY KEY, word text);
"""
ROWS = "SELECT id, weight, name FROM things ORDER BY id"
Q, P, B, D, E, C = fe.Query, fe.Parse, fe.Bind, fe.Describe, fe.Execute, fe.Close
S, H = fe.Sync(), fe.Flush()
INT4, TEXT, FLOAT8 = 23, 25, 701


def data(text: bytes) -> bytes:
    return message(ord("d"), text)


BINARY_ROWS = (
    b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0) + struct.pack("!hiii", 2, 4, 30, 3) + b"bin" + struct.pack("!hiiih", 2, 4, 31, -1, -1)
)  # fmt: skip
DONE, FAIL = message(ord("c"), b""), message(ord("f"), b"client gave up\0")
ABS_INT4 = 1397
LO_CREATE, LO_OPEN, LO_WRITE, LO_READ, LO_UNLINK = 715, 952, 955, 954, 964
SQUARE = message(ord("F"), struct.pack("!IHHHi", ABS_INT4, 1, 1, 1, 4) + struct.pack("!i", -7) + struct.pack("!H", 1))


def called(oid: int, *arguments: int | bytes) -> bytes:
    """A FunctionCall with integers and bytes in binary, and its answer in binary."""
    parts = [struct.pack("!ii", 4, part) if isinstance(part, int) else struct.pack("!i", len(part)) + part for part in arguments]  # fmt: skip
    return message(ord("F"), struct.pack("!IHHH", oid, 1, 1, len(parts)) + b"".join(parts) + struct.pack("!H", 1))


LATIN1, UTF8 = Q("SET client_encoding = 'LATIN1'"), Q("SET client_encoding = 'UTF8'")
CAFE = message(ord("Q"), b"SELECT 'caf\xe9' AS \"\xe9t\xe9\", octet_length('\xe9'), U&'\\00e9'\0")
NO_CAFE = message(ord("Q"), b'SELECT "caf\xe9"\0')
PARSE_CAFE = message(ord("P"), b"\0SELECT 'caf\xe9' || $1\0" + struct.pack("!H", 0))

DIALOGUES: dict[str, list[list[object]]] = {
    "a portal in pieces": [[P("", ROWS), B("p", ""), D("P", "p"), E("p", 7), E("p", 7), E("p", 0), E("p", 1), S]],
    "two portals in turn": [[P("s", ROWS), B("a", "s"), B("b", "s"), E("a", 2), E("b", 3), E("a", 2), E("b", 0), E("a", 0), C("S", "s"), S]],
    "a portal ends with its transaction": [[P("", ROWS), B("p", ""), E("p", 2), S], [E("p", 2), S]],
    "a portal lives in a transaction": [[Q("BEGIN")], [P("", ROWS), B("p", ""), E("p", 2), S], [E("p", 2), S], [C("P", "p"), S], [E("p", 2), S], [Q("ROLLBACK")]],
    "execute without describe": [[P("", ROWS), B("", ""), E("", 0), S]],
    "describe a statement": [[P("s", "SELECT $1::int AS a, $2 || 'x' AS b"), D("S", "s"), S], [D("S", "nobody"), S], [C("S", "s"), S]],
    "describe what returns nothing": [[P("", "SET work_mem = '4MB'"), D("S", ""), B("", ""), D("P", ""), E("", 0), S]],
    "declared parameter types": [[P("", "SELECT $1, $2, $3", (INT4, TEXT, FLOAT8)), D("S", ""), B("", "", (), (b"1", None, b"2.5")), E("", 0), S]],
    "mixed formats of parameters": [[P("", "SELECT $1 + 1, $2", (INT4, TEXT)), B("", "", (1, 0), (struct.pack("!i", 41), b"x")), E("", 0), S]],
    "mixed formats of results": [[P("", ROWS + " LIMIT 3"), B("", "", (), (), (1, 0, 1)), D("P", ""), E("", 0), S]],
    "one format for all results": [[P("", ROWS + " LIMIT 3"), B("", "", (), (), (1,)), D("P", ""), E("", 0), S]],
    "too few formats": [[P("", ROWS), B("", "", (), (), (1, 1)), E("", 0), S]],
    "too few parameters": [[P("", "SELECT $1::int"), B("", ""), E("", 0), S]],
    "a bad value": [[P("", "SELECT $1::int"), B("", "", (), (b"x",)), E("", 0), S]],
    "the unnamed statement is replaced": [[P("", "SELECT 1"), P("", "SELECT 2"), B("", ""), E("", 0), S]],
    "a named statement is not": [[P("n", "SELECT 1"), S], [P("n", "SELECT 2"), S], [B("", "n"), E("", 0), S], [C("S", "n"), P("n", "SELECT 3"), B("", "n"), E("", 0), C("S", "n"), S]],
    "what was closed is gone": [[P("n", "SELECT 1"), C("S", "n"), B("", "n"), E("", 0), S], [C("S", "nobody"), C("P", "nobody"), S]],
    "an error skips to sync": [[P("", "SELECT 1"), B("", ""), E("", 0), P("", "SELECT 1/0"), B("", ""), E("", 0), P("", "SELECT 2"), B("", ""), E("", 0), S], [Q("SELECT 3")]],
    "an error in parse": [[P("x", "SELECT nothing FROM things"), B("", "x"), E("", 0), S], [B("", "x"), S]],
    "an error and a flush": [[P("", "SELECT 1/0"), B("", ""), E("", 0), H, P("", "SELECT 2"), H, B("", ""), E("", 0), S], [Q("SELECT 4")]],
    "errors and several syncs": [[P("", "SELECT 1/0"), B("", ""), E("", 0), S, P("", "SELECT 2"), B("", ""), E("", 0), S]],
    "a pipeline is one transaction": [
        [P("", "INSERT INTO sink VALUES (1, 'a')"), B("", ""), E("", 0), P("", "INSERT INTO sink VALUES (1, 'b')"), B("", ""), E("", 0), S],
        [Q("SELECT count(*) FROM sink")],
    ],
    "several statements in one query": [[Q("SELECT 1; SELECT 'two'; SELECT 3.5")], [Q("SELECT 1; SELECT 1/0; SELECT 3")], [Q("")], [Q(";;")]],
    "a query of several is one transaction": [[Q("INSERT INTO sink VALUES (2, 'a'); INSERT INTO sink VALUES (2, 'b')")], [Q("SELECT count(*) FROM sink")]],
    "an aborted transaction": [[Q("BEGIN")], [Q("SELECT nothing")], [Q("SELECT 1")], [P("", "SELECT 1"), B("", ""), E("", 0), S], [Q("COMMIT")]],
    "savepoints": [[Q("BEGIN")], [Q("SAVEPOINT a")], [Q("SELECT 1/0")], [Q("ROLLBACK TO a")], [Q("SELECT 5")], [Q("COMMIT")]],
    "copy out": [[Q("COPY things TO STDOUT")], [Q("COPY (SELECT id FROM things) TO STDOUT (FORMAT binary)")], [P("", "COPY things TO STDOUT"), B("", ""), E("", 0), S]],
    "copy in": [[Q("COPY sink FROM STDIN"), data(b"10\tx\n11\ty\n"), DONE], [Q("SELECT * FROM sink ORDER BY id")], [Q("DELETE FROM sink WHERE id > 9")]],
    "copy in by the extended protocol": [[P("", "COPY sink FROM STDIN"), B("", ""), E("", 0), data(b"12\tz\n"), DONE, S], [Q("DELETE FROM sink WHERE id > 9")]],
    "copy in, binary": [[Q("COPY sink FROM STDIN (FORMAT binary)"), data(BINARY_ROWS), DONE], [Q("SELECT * FROM sink ORDER BY id")], [Q("DELETE FROM sink WHERE id > 9")]],
    "copy in, binary, that ends too early": [[Q("COPY sink FROM STDIN (FORMAT binary)"), data(BINARY_ROWS[:30]), DONE], [Q("SELECT count(*) FROM sink")]],
    "copy in, binary, that the client gives up": [[P("", "COPY sink FROM STDIN (FORMAT binary)"), B("", ""), E("", 0), data(BINARY_ROWS[:30]), FAIL, S], [Q("SELECT count(*) FROM sink")]],
    "copy in that the client gives up": [[Q("COPY sink FROM STDIN"), data(b"10\tx\n"), FAIL], [Q("SELECT count(*) FROM sink")]],
    "copy in that the server rejects": [[Q("COPY sink FROM STDIN"), data(b"x\ty\n"), DONE], [Q("SELECT count(*) FROM sink")]],
    "copy in between statements": [[Q("SELECT 1; COPY sink FROM STDIN; SELECT 2"), data(b"13\tq\n"), DONE], [Q("DELETE FROM sink WHERE id > 9")]],
    "copy data that nobody asked for": [[data(b"1\tx\n"), DONE, Q("SELECT 1")]],
    "cursors of sql": [[Q("BEGIN")], [Q("DECLARE c SCROLL CURSOR FOR SELECT id FROM things ORDER BY id")], [Q("FETCH 3 FROM c")], [Q("FETCH BACKWARD 1 FROM c")], [Q("MOVE 5 IN c")], [P("", "FETCH 2 FROM c"), B("", ""), D("P", ""), E("", 0), S], [Q("CLOSE c")], [Q("FETCH c")], [Q("ROLLBACK")]],
    "prepared in sql": [[Q("PREPARE q(int) AS SELECT $1 + 1")], [Q("EXECUTE q(4)")], [P("", "EXECUTE q(5)"), B("", ""), D("P", ""), E("", 0), S], [B("", "q", (), (b"6",)), E("", 0), S], [Q("DEALLOCATE q")], [Q("EXECUTE q(4)")]],
    "prepared with types of one's own": [
        [Q("CREATE DOMAIN small AS int CHECK (value < 9)")], [Q("PREPARE d(small) AS SELECT $1")], [Q("EXECUTE d(4)")], [Q("EXECUTE d(abs(-4))")],
        [Q("EXECUTE d(NULL)")], [Q("EXECUTE d(abs(-40))")], [Q("DEALLOCATE d")], [Q("DROP DOMAIN small")],
        [Q("BEGIN")], [Q("CREATE DOMAIN small AS int CHECK (value < 9)")], [Q("PREPARE d(small) AS SELECT $1")], [Q("EXECUTE d(abs(-4))")], [Q("ROLLBACK")],
    ],
    "prepared with types that are not there": [[Q("PREPARE e(nonesuch) AS SELECT $1")], [Q("PREPARE é(int, text,  nonesuch) AS SELECT $1, $2")]],
    "function call": [[SQUARE], [Q("SELECT 1")], [Q("BEGIN")], [Q("SELECT nothing")], [SQUARE], [Q("ROLLBACK")]],
    "settings": [[Q("SET datestyle = 'German'")], [Q("SET standard_conforming_strings = off")], [Q("SELECT 'a\\\\b'")], [Q("RESET ALL")], [Q("SHOW datestyle")]],
    "another encoding": [[LATIN1], [CAFE], [NO_CAFE], [PARSE_CAFE, B("", "", (), (b"\xe8",)), D("P", ""), E("", 0), S], [Q("SELECT 'e'")], [UTF8], [Q("SELECT 'café'")]],
    "another encoding at once": [[LATIN1, CAFE, UTF8, Q("SELECT 'café'")], [Q("BEGIN"), LATIN1, CAFE, Q("ROLLBACK"), Q("SELECT 'café'")]],
    "another encoding inside a pipeline": [[P("", LATIN1.text), B("", ""), E("", 0), PARSE_CAFE, B("", "", (), (b"\xe8",)), E("", 0), S], [Q("RESET client_encoding")]],
    "temporary tables": [[Q("CREATE TEMP TABLE things(x int)")], [Q("INSERT INTO things VALUES (1), (2)")], [Q("SELECT * FROM things")], [P("", "SELECT x FROM things"), B("", ""), E("", 0), S], [Q("DROP TABLE pg_temp.things")], [Q("SELECT count(*) FROM things")]],
    "empty extended query": [[P("", ""), D("S", ""), B("", ""), D("P", ""), E("", 0), S]],
    "notices": [[Q("DROP TABLE IF EXISTS nowhere")], [Q("DO $$BEGIN RAISE NOTICE 'hello %', 7; END$$")]],
    "notifications": [[Q("LISTEN here")], [Q("NOTIFY here, 'word'")], [Q("UNLISTEN *")]],
    "large objects": [[Q("SELECT lo_create(4711)")], [Q("SELECT lo_put(4711, 0, 'abc')")], [Q("SELECT lo_get(4711)")], [Q("SELECT lo_unlink(4711)")]],
    "large objects as libpq reads and writes them": [
        [Q("BEGIN")], [called(LO_CREATE, 4712)], [called(LO_OPEN, 4712, 0x60000)], [called(LO_WRITE, 0, b"written")], [Q("SELECT lo_get(4712)")],
        [called(LO_OPEN, 4712, 0x40000)], [called(LO_READ, 1, 100)], [called(LO_UNLINK, 4712)], [called(LO_OPEN, 4712, 0x40000)], [Q("ROLLBACK")],
    ],
    "another role": [[Q("SET ROLE pg_monitor")], [Q("SELECT current_user")], [Q("CREATE TABLE nobodys(id int)")], [Q("RESET ROLE")], [Q("SHOW role")], [Q("SET ROLE nonesuch")],
        [Q("BEGIN")], [Q("SET LOCAL ROLE pg_monitor")], [P("", "SELECT current_user"), B("", ""), E("", 0), S], [Q("COMMIT")], [Q("SELECT current_user = session_user")]],
    "another search path": [[Q("CREATE SCHEMA beside; CREATE TABLE beside.things(id text)")], [P("n", "SELECT * FROM things LIMIT 1"), B("", "n"), E("", 0), S],
        [Q("SET search_path = beside, public")], [B("", "n"), E("", 0), S], [Q("SELECT * FROM things LIMIT 1")], [Q("SELECT set_config('search_path', 'public', false)")],
        [Q("SELECT count(*) FROM things")], [Q("DROP SCHEMA beside CASCADE")]],
    "two-phase commit": [[Q("BEGIN")], [Q("INSERT INTO sink VALUES (20, 'p')")], [Q("PREPARE TRANSACTION 'tp'")], [Q("ROLLBACK PREPARED 'tp'")]],
    "a batch of several transactions": [[Q("BEGIN; SELECT 1; COMMIT; SELECT 2; ROLLBACK")]],
    "nothing asked in an aborted transaction": [[Q("BEGIN")], [Q("BOGUS")], [Q(";")], [P("", ""), D("S", ""), B("", ""), E("", 0), S], [Q("SELECT 1")], [Q("COMMIT")]],
    "explain": [[Q("EXPLAIN (COSTS OFF) SELECT * FROM things")], [P("", "EXPLAIN (COSTS OFF) SELECT 1"), B("", ""), D("P", ""), E("", 0), S]],
    "set transaction comes first": [[Q("SET search_path = public")], [Q("BEGIN")], [Q("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")], [Q("SELECT 1")], [Q("COMMIT")]],
}  # fmt: skip


@pytest.fixture(scope="module")
def place(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[GateProcess, list[str]]]:
    """Two databases alike, the second behind a gate whose clear role is a superuser."""
    names = [f"protocol{postgres.major}", f"protocol{postgres.major}gated"]
    _, second = (create_database(postgres, name, SETUP) for name in names)
    gate = GateProcess(tmp_path_factory.mktemp(names[0]) / "gate", {"shop": (second, "development")}).init()
    gate.use_superuser(postgres.password)
    yield gate.start(), names
    assert gate.stop() == 0
    for name in names:
        drop_database(postgres, name)


@pytest.fixture
def links(place: tuple[GateProcess, list[str]], postgres: EmbeddedPostgres) -> Iterator[tuple[WireLink, WireLink]]:
    """One link directly as a superuser, one through the gate as somebody who may do everything."""
    gate, names = place
    with (
        WireLink("127.0.0.1", postgres.port, "postgres", postgres.password, names[0]) as direct,
        WireLink(gate.host, gate.port, "root", gate.token("root"), "shop") as gated,
    ):
        yield direct, gated


def shown(frames: list[Frame]) -> list[tuple[str, bytes]]:
    """What must agree: everything but the numbers of processes and lines of the server's source."""
    found = []
    for frame in frames:
        body = frame.body
        if frame.tag in b"EN":
            body = b"\0".join(sorted(p for p in body.split(b"\0") if p[:1] not in b"FLR" and p[:1] != b""))
        if frame.tag == ord("A"):
            body = body[4:]
        if frame.tag == ord("T"):
            fields = from_backend(frame, be.RowDescription).fields
            body = repr([(f.name, f.attnum, f.type_oid, f.type_mod, f.format) for f in fields]).encode()
        found.append((chr(frame.tag), body))
    return found


@pytest.mark.parametrize("name", DIALOGUES)
def test_a_dialogue_is_the_same_through_the_gate(name: str, links: tuple[WireLink, WireLink]) -> None:
    for step in DIALOGUES[name]:
        sent = b"".join(m if isinstance(m, bytes) else m.encode() for m in step)  # type: ignore[attr-defined]
        turns = (
            sent.count(S.encode())
            + sum(isinstance(m, fe.Query) for m in step)
            + sum(isinstance(m, bytes) and m[:1] in b"QF" for m in step)
        )
        answers = [shown(link.ask(sent, turns)) for link in links]
        assert answers[1] == answers[0], step


def test_flush_brings_answers_before_sync(links: tuple[WireLink, WireLink]) -> None:
    asked = P("", ROWS).encode() + B("", "").encode() + E("", 0).encode() + H.encode()
    answers = []
    for link in links:
        link.send(asked)
        frames = link.read_until(lambda frame: frame.tag == ord("C"))
        link.send(S.encode())
        answers.append(shown(frames + link.read_until(lambda frame: frame.tag == ord("Z"))))
    assert answers[0] == answers[1]


def test_a_thousand_steps_in_one_pipeline_stay_in_order(links: tuple[WireLink, WireLink]) -> None:
    asked = (
        b"".join(P("", f"SELECT {n}").encode() + B("", "").encode() + E("", 0).encode() for n in range(1000))
        + S.encode()
    )
    direct, gated = (shown(link.ask(asked, 1)) for link in links)
    assert direct == gated
    assert sum(tag == "D" for tag, _ in direct) == 1000


@pytest.mark.parametrize(
    "text", ["SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1; SELECT pg_terminate_backend(pg_backend_pid())"]
)
def test_who_is_ended_by_the_server_hears_its_words_and_no_others(text: str, links: tuple[WireLink, WireLink]) -> None:
    answers = []
    for link in links:
        link.send(Q(text).encode())
        answers.append(shown(link.rest()))
    assert answers[0] == answers[1]
    assert answers[0][-1][0] == "E"


def test_the_gate_sees_the_same_parameter_reports(links: tuple[WireLink, WireLink]) -> None:
    reports = []
    for link in links:
        found = shown(
            link.ask(Q("SET TimeZone = 'Asia/Tokyo'").encode(), 1) + link.ask(Q("RESET TimeZone").encode(), 1)
        )
        reports.append([one for one in found if one[0] in "SCZ"])
    assert reports[0] == reports[1]


def test_who_notifies_is_known_by_the_number_its_client_was_told(place: tuple[GateProcess, list[str]]) -> None:
    gate, _ = place
    with contextlib.ExitStack() as stack:
        listening, *others = (stack.enter_context(gate.connect("root", "shop")) for _ in range(5))
        listening.execute("LISTEN word")
        for sender in (*others, listening):
            sender.execute("NOTIFY word, 'x'")
            (heard,) = listening.notifies(timeout=60, stop_after=1)
            assert heard.pid == sender.info.backend_pid


def test_an_encoding_in_which_letters_hide_quotes_is_refused_to_everybody(place: tuple[GateProcess, list[str]]) -> None:
    gate, _ = place
    with gate.connect("root", "shop") as client:
        for name in ("SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="pinned"):
                client.execute(f"SET client_encoding = '{name}'".encode())
