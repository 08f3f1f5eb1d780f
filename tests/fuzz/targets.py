"""What is fuzzed: each codec alone, the reader of SQL texts, and the whole dialogue of a session whose principal sees masks.

Each target takes bytes and returns when all is well; any exception but the room's own is a finding, and so is a broken invariant:
what decodes encodes to the same bytes; no raw value of a masked column is shown; nothing reaches the backend without an entry.
Source of seeds: the captured conversations of `tests/wire`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lockgate.errors import BackendProtocolError, ClientProtocolError, RefusedStatementError
from lockgate.model.statement import Analysis
from lockgate.session.replication import CONTEXT, ReplicationConversation
from lockgate.session.texts import SPOILER
from lockgate.session.wishes import Analyse, Analysed, Estimate, Failed, Hold, HoldEnded
from lockgate.sql.parse import split_and_parse
from lockgate.sql.replication import is_command, read_command
from lockgate.testing.script import Script
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres import startup, tags
from lockgate.wire.postgres.frames import BackendReader, Frame, FrameReader
from lockgate.wire.postgres.rows import cells, encode_row
from support.scripted import CITIES, CITY, EMAIL, EMAILS, PLAIN, catalog, described, done, engine, failure, who

CAPTURED = json.loads((Path(__file__).parents[1] / "wire" / "captured_postgresql_15.json").read_text(encoding="utf-8"))
RAW = b"raw@value.example"
BYTES_MAX = 1 << 20


def client_stream(data: bytes) -> None:
    """Bytes after login, cut into frames and decoded."""
    reader = FrameReader(body_bytes_max=BYTES_MAX, limits=tags.FRONTEND_LIMITS, known=tags.FRONTEND)
    with suppress(ClientProtocolError):
        reader.feed(data)
        while (frame := reader.next_frame()) is not None:
            if frame.tag != tags.PASSWORD and fe.decode(frame).encode() != frame.encode():
                raise AssertionError("a message of the client does not encode to itself")


def backend_stream(data: bytes) -> None:
    """Bytes of a server, hostile or broken."""
    reader = BackendReader(body_bytes_max=BYTES_MAX)
    with suppress(BackendProtocolError):
        reader.feed(data)
        while (piece := reader.next()) is not None:
            if isinstance(piece, Frame):
                be.decode(piece)


def passed_rows(data: bytes) -> None:
    """Rows that travel unread, and what follows them."""
    reader = BackendReader(body_bytes_max=BYTES_MAX)
    reader.passthrough = frozenset({ord("D"), ord("d")})
    seen = 0
    with suppress(BackendProtocolError):
        for start in range(0, len(data), 37):
            reader.feed(data[start : start + 37])
            while (piece := reader.next()) is not None:
                seen += len(piece) if isinstance(piece, bytes) else len(piece.encode())
    if seen > len(data):
        raise AssertionError("more came out than went in")


def first_packet(data: bytes) -> None:
    """The first bytes of a connection."""
    with suppress(ClientProtocolError):
        startup.parse_first(data)


def row(data: bytes) -> None:
    """One DataRow's body."""
    with suppress(BackendProtocolError):
        if encode_row(cells(data))[5:] != data:
            raise AssertionError("a row does not encode to itself")


def text(data: bytes) -> None:
    """A statement's text."""
    with suppress(RefusedStatementError, UnicodeDecodeError):
        for parsed in split_and_parse(data.decode()):
            if parsed.text and parsed.text not in data.decode():
                raise AssertionError("a statement is not in its text")


TEXTS = (
    "SELECT email FROM people", "SELECT city FROM people", "BEGIN", "COMMIT", "ROLLBACK", "DECLARE c CURSOR FOR SELECT email FROM people", "FETCH 2 FROM c",
    "SAVEPOINT a", "ROLLBACK TO a", "SET search_path = x", "COPY people TO STDOUT", "PREPARE p AS SELECT 1", "CLOSE ALL", "", "SELECT 1; SELECT 2", "DISCARD ALL",
)  # fmt: skip
CATALOG, ENGINE = catalog("development"), engine()
COMMANDS = (
    "IDENTIFY_SYSTEM", "SHOW x", "START_REPLICATION 0/0", "START_REPLICATION SLOT a LOGICAL 0/0 (x '1')", "BASE_BACKUP (LABEL 'x')", "SELECT 1", "BEGIN",
    'CREATE_REPLICATION_SLOT "a" LOGICAL x', "DROP_REPLICATION_SLOT a WAIT", "COPY people TO STDOUT", "SET search_path = x", "bogus", "UPLOAD_MANIFEST",
)  # fmt: skip
OWN_QUERIES = frozenset(text.encode() + b"\0" for text in (SPOILER, CONTEXT))
"""What the gate itself asks on a session's link."""
STEPS_MAX = 40
NAMES = ("", "a", "b", "c", "lockgate_context")


class _Dice:
    """Choices out of bytes; zero when they are used up."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def below(self, bound: int) -> int:
        value = self.data[self.at] if self.at < len(self.data) else 0
        self.at += 1
        return value % bound

    @property
    def over(self) -> bool:
        return self.at >= len(self.data)


def _client(dice: _Dice) -> list[bytes]:
    name, other, words = NAMES[dice.below(5)], NAMES[dice.below(5)], TEXTS[dice.below(len(TEXTS))]
    choices: tuple[Callable[[], bytes], ...] = (
        fe.Query(words).encode, fe.Parse(name, words).encode, fe.Bind(other, name).encode,
        fe.Bind(other, name, (), (), (1,)).encode, fe.Describe("S", name).encode, fe.Describe("P", other).encode, fe.Execute(other, dice.below(4)).encode,
        fe.Sync().encode, fe.Flush().encode, fe.Close("S", name).encode, fe.Close("P", other).encode, fe.FunctionCall(1397, b"").encode,
        lambda: b"d\0\0\0\6ab", lambda: b"c\0\0\0\4", lambda: b"f\0\0\0\5\0",
    )  # fmt: skip
    return [choices[dice.below(len(choices))]()]


def _backend(dice: _Dice, play: Script) -> list[bytes]:
    """What an honest server may answer to what it owes, its errors included; masked columns carry the raw value."""
    owed = play.conversation.replies.owed
    if not owed:
        return [be.NoticeResponse({"S": "NOTICE", "C": "00000", "M": "x"}).encode()]
    kind, fails, status = owed[0].kind, dice.below(6) == 0, "ITE"[dice.below(3)]
    column = ("email", EMAIL) if dice.below(2) else ("city", CITY)
    rows = [be.DataRow((RAW,)).encode()] * dice.below(3)
    masked = column[0] == "email"
    if not masked:
        rows = [be.DataRow((b"York",)).encode() for _ in rows]
    if kind == "sync":
        return [be.ReadyForQuery(status).encode()]
    if kind == "query":
        found: list[bytes] = []
        for _ in owed[0].runs:
            found += [described(column).encode(), *rows, done("SELECT 1").encode()]
        return [failure(text=RAW.decode()).encode()] * fails + found * (not fails) + [be.ReadyForQuery(status).encode()]
    if fails:
        return [failure(text="x").encode()]
    simple = {"parse": be.ParseComplete(), "bind": be.BindComplete(), "close": be.CloseComplete()}
    if kind in simple:
        return [simple[kind].encode()]
    if kind == "execute":
        return [*rows, done("SELECT 1").encode()]
    return [b"t\0\0\0\6\0\0"] * (kind == "describe-statement") + [described(column).encode()]


def _analysis(words: str, dice: _Dice) -> Analysis:
    if "email" in words:
        return EMAILS
    return CITIES if "city" in words else PLAIN


class _Watch:
    """What must hold of everything that leaves a conversation."""

    def __init__(self, play: Script) -> None:
        self._play = play
        self._shown = b""
        self._queries = 0

    def look(self) -> list[Frame]:
        """After each step; answers what was forwarded."""
        forwarded = self._play.forwarded()
        self._shown += b"".join(frame.body for frame in self._play.shown())
        self._queries += sum(frame.tag == ord("Q") and frame.body not in OWN_QUERIES for frame in forwarded)
        recorded = {entry["s"] for entry in self._play.recorder.entries if entry["kind"] == "intent"}
        if self._queries > len(recorded):
            raise AssertionError("a statement was forwarded without an entry")
        if RAW in self._shown:
            raise AssertionError("a raw value of a masked column was shown")
        return forwarded


def _grant(play: Script, dice: _Dice) -> bool:
    """Fulfil what the conversation waits for, other than messages; False where it waits for none of these."""
    wish = play.asked[-1] if play.asked else None
    if play.waiting_for == "Analyse" and isinstance(wish, Analyse):
        if dice.below(8) == 7:
            play.answer(Analyse, Failed("57P03", "not now", reason="analysis-unavailable"))
        else:
            found = tuple(_analysis(p.text, dice) for p in wish.statements)
            play.answer(Analyse, Analysed(found, play.around.catalog))
    elif play.waiting_for == "Estimate":
        play.answer(Estimate, dice.below(3) or None)
    elif play.waiting_for == "Hold":
        play.answer(Hold, HoldEnded("denied"))
    else:
        return False
    return True


def dialogue(data: bytes) -> None:
    """A session of somebody who sees masks: any messages in any order, any answers of an honest server."""
    dice = _Dice(data)
    play = Script(who("ann"), CATALOG, ENGINE)
    watch = _Watch(play)
    with suppress(ClientProtocolError, BackendProtocolError):
        while not dice.over and play.waiting_for:
            if not _grant(play, dice):
                if dice.below(3) and play.waiting_for == "NextMessage":
                    play.client(*(_Raw(one) for one in _client(dice)))
                else:
                    for one in _backend(dice, play):
                        play.backend(one)
            watch.look()


def captured(data: bytes) -> None:
    """The bytes of a real client, whole or damaged, and an honest server that answers each message at once."""
    reader = FrameReader(body_bytes_max=BYTES_MAX, limits=tags.FRONTEND_LIMITS, known=tags.FRONTEND)
    play = Script(who("ann"), CATALOG, ENGINE)
    watch, dice = _Watch(play), _Dice(data[::-7])
    with suppress(ClientProtocolError, BackendProtocolError):
        reader.feed(data)
        while play.waiting_for and (frame := reader.next_frame()) is not None:
            play.client(_Raw(frame.encode()))
            for _ in range(STEPS_MAX):
                if not _grant(play, dice):
                    if not play.conversation.replies.owed:
                        break
                    for one in _backend(dice, play):
                        play.backend(one)
                watch.look()


def replication(data: bytes) -> None:
    """A replication connection: nothing but known commands and judged SQL is forwarded, and for who sees a mask nothing at all."""
    dice = _Dice(data)
    masked = dice.below(2) == 1
    play = Script(who("ann" if masked else "root"), CATALOG, ENGINE, kind=ReplicationConversation)
    if not isinstance(play.conversation, ReplicationConversation):
        raise AssertionError("a script of another kind")  # noqa: TRY004  a finding, not a wrong type of ours
    physical = dice.below(2) == 1
    play.conversation.on_server(list, physical=physical)
    watch, streaming = _Watch(play), False
    with suppress(ClientProtocolError, BackendProtocolError):
        while not dice.over and play.waiting_for:
            if not _grant(play, dice):
                if dice.below(3) and play.waiting_for == "NextMessage":
                    words = COMMANDS[dice.below(len(COMMANDS))]
                    at = dice.below(len(words) + 1)
                    words = words[:at] + chr(dice.below(128) or 65) + words[at:] if dice.below(4) == 3 else words
                    play.client(*([fe.Query(words)] if dice.below(2) else [_Raw(one) for one in _client(dice)]))
                else:
                    for one in _walsender(dice, play):
                        streaming = streaming or one[:1] in b"WG"
                        play.backend(one)
            for frame in watch.look():
                _may_leave(frame, masked=masked, physical=physical, streaming=streaming)


def _may_leave(frame: Frame, *, masked: bool, physical: bool, streaming: bool) -> None:
    words = frame.body[:-1].decode(errors="replace") if frame.tag == ord("Q") else ""
    if masked:
        raise AssertionError("something was forwarded for who sees a mask")
    if frame.tag not in b"Qdcf" or (frame.tag != ord("Q") and not streaming):
        raise AssertionError("a message was forwarded that nobody judged")
    if is_command(words):
        read_command(words)
    elif words and physical:
        raise AssertionError("SQL was forwarded on a physical connection")


def _walsender(dice: _Dice, play: Script) -> list[bytes]:
    owed = play.conversation.replies.owed
    if not owed:
        return [be.NoticeResponse({"S": "NOTICE", "C": "00000", "M": "x"}).encode()]
    ends = [done("START_STREAMING").encode(), done("START_REPLICATION").encode(), be.ReadyForQuery("ITE"[dice.below(3)]).encode()]  # fmt: skip
    begins = [b"W\0\0\0\7\0\0\0", b"G\0\0\0\7\0\0\0", b"H\0\0\0\7\0\0\0", described(("city", CITY)).encode(), b""]
    what = dice.below(4)
    if what == 0:
        return [failure(text="x").encode(), ends[-1]]
    if what == 1:
        return [begins[dice.below(len(begins))] or b"S\0\0\0\10a\0b\0"]
    return [b"d\0\0\0\6ab"] if what == 2 else [b"c\0\0\0\4", *ends]


class _Raw:
    """Bytes as a message."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def encode(self) -> bytes:
        return self._data


TARGETS: dict[str, Callable[[bytes], None]] = {
    f.__name__: f
    for f in (client_stream, backend_stream, passed_rows, first_packet, row, text, dialogue, captured, replication)
}


def seeds(target: str) -> list[bytes]:
    """What real clients and servers sent, and a few texts."""
    client = [bytes.fromhex("".join(CAPTURED[c]["client"])) for c in ("psycopg", "asyncpg", "negotiation")]
    server = [bytes.fromhex("".join(CAPTURED[c]["backend"])) for c in ("psycopg", "asyncpg", "negotiation")]
    streams = []
    for one in client:
        first = startup.parse_first(one)
        streams.append(one[first.consumed :] if first is not None else one)
    known = {
        "client_stream": streams, "captured": [one[one.index(b"Q") :] if b"Q" in one else one for one in streams], "backend_stream": server, "passed_rows": server, "first_packet": [one[:200] for one in client],
        "row": [encode_row([b"a", None, b""])[5:], encode_row([])[5:]], "text": [t.encode() for t in TEXTS],
    }  # fmt: skip
    return known.get(target, [bytes(range(256)), bytes(range(0, 256, 7)) * 6])
