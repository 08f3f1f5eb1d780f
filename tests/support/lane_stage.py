"""A session of the compiled lane or of the plain one on real sockets, and the dialogues that are played to both.

For: `tests/transport/test_compiled_lane`. Not for: sessions without sockets (`lockgate.testing.script`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import socket
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lockgate import speed
from lockgate.ledger.note import Ed25519Signer
from lockgate.model.catalog import ColumnRef
from lockgate.model.statement import Analysis, Given, Kind
from lockgate.session.cache import BoundedCache
from lockgate.session.conversation import Conversation
from lockgate.session.wishes import Analyse, Analysed, Failed
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.port import RealFiles, UnsyncedFiles
from lockgate.testing.script import ScriptedClock, ScriptedCounters, ScriptedHolds, ScriptedSurroundings
from lockgate.transport.committer import Committer
from lockgate.transport.link import SessionLink
from lockgate.transport.pgclient import Opened, Target
from lockgate.transport.plane import DataPlaneLoop, plane_of
from lockgate.transport.raw import RawTransport
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import FrameReader
from support.handshakes import Tls, shaken
from support.scripted import (
    EMAIL,
    EMAILS,
    ORDERS,
    PLAIN,
    TOTALS,
    catalog,
    described,
    done,
    engine,
    failure,
    ready,
    who,
    write,
)

ENGINE = engine()
SELECT = "SELECT total FROM orders WHERE id = {}"
TOTAL = described(("total", ColumnRef(ORDERS, 2)))
MAIL = described(("email", EMAIL))
ONE = (be.DataRow((b"7",)), done("SELECT 1"), ready())
EXECUTE = fe.Execute("").encode() + fe.Sync().encode()


@dataclass
class Database:
    """Analyses the few statements of these dialogues."""

    around: ScriptedSurroundings

    async def analyse(self, wish: Analyse) -> Analysed | Failed:
        """What is known of the statements."""
        found: list[Analysis] = []
        for parsed in wish.statements:
            if "email" in parsed.text:
                found.append(EMAILS)
            elif "ORDER BY" in parsed.text:
                places = [Given(parameter=False, at=m.start()) for m in re.finditer("[0-9]+", parsed.text)]
                found.append(replace(TOTALS, matched=tuple((one, 23) for one in places), fixed=tuple(places)))
            elif parsed.text.startswith("SELECT"):
                at = parsed.text.find("id = ") + 5
                compared = ((Given(False, at), 23),) if at > 4 and parsed.text[at].isdigit() else ()
                found.append(replace(TOTALS, compared=compared))
            elif parsed.kind in (Kind.UPDATE, Kind.INSERT):
                constants = re.finditer(r"\b[0-9]{1,9}\b", parsed.text)
                unread = tuple((Given(False, len(parsed.text[: m.start()].encode())), 23) for m in constants)
                found.append(replace(write(parsed.kind), unread=unread))
            else:
                found.append(replace(PLAIN, kind=parsed.kind))
        return Analysed(tuple(found), self.around.catalog)


class Disk(UnsyncedFiles):
    """Files of a disk that may be full."""

    full = False

    def write(self, handle: int, stored: bytes, offset: int) -> None:
        """Write, or say that there is no room."""
        if self.full:
            raise OSError(errno.ENOSPC, "full")
        super().write(handle, stored, offset)


class Stage:
    """One session on socket pairs, with a log in a folder."""

    def __init__(self, folder: Path, name: str, disk: RealFiles, tls: Tls | None = None) -> None:
        self.clock, self.counters, self.disk = ScriptedClock(), ScriptedCounters(), disk
        around = self.around = ScriptedSurroundings(catalog(), ENGINE)
        self.log = LedgerLog.open(
            f"{folder}/log", origin="gate/1", signer=Ed25519Signer("gate/1", b"s" * 32), files=self.disk, text_key=b"k" * 32,
            clock=self.clock.now, entropy=lambda size: b"e" * size, person_key=b"p" * 32,
        )  # fmt: skip
        self.committer = Committer(self.log)
        self.committer.attach(plane_of(asyncio.get_running_loop()))
        if speed.lane is not None:
            now = int(self.clock.time.timestamp()) * 1_000_000
            self.committer.lanes = speed.lane.Ledger(self.committer, self.log, lambda: now, lambda: self.clock.ticks)
            plane_of(asyncio.get_running_loop()).lanes = self.committer.lanes
        self.client, near = socket.socketpair()
        self.backend, self._far = socket.socketpair()
        self._tls, self._free = tls, asyncio.Event()
        self._free.set()
        self._deaf = False
        for sock in (self.client, self.backend):
            sock.setblocking(False)
        conversation = Conversation(
            identity=who(name), surroundings=around, recorder=self.committer, clock=self.clock, counters=self.counters,
            holds=ScriptedHolds(self.clock), session_id="0123456789ab", client_address="127.0.0.1", reported={}, body_bytes_max=1 << 20,
            cache=BoundedCache(entries_max=1000, bytes_max=1 << 22),
        )  # fmt: skip
        database: Any = Database(around)
        self.link = SessionLink(
            conversation=conversation, database=database, committer=self.committer, frames=FrameReader(body_bytes_max=1 << 20),
            open_backend=self._opened, wait_for_hold=self._hold, on_end=lambda _: None,
        )  # fmt: skip
        self.near = RawTransport(near, asyncio.Protocol())
        if tls is None:
            self._begin()

    def _begin(self) -> None:
        self.near.set_protocol(self.link)
        self.link.begin(self.near)

    async def secure(self) -> None:
        """With TLS: shake hands with the client, which begins the session."""
        if self._tls is not None:
            self.client = await shaken(
                self.near, self._tls.server, peer=self.client, its=self._tls.client, server_side=True
            )
            self._begin()

    async def _opened(self) -> tuple[Opened, Target, str]:
        transport = RawTransport(self._far, asyncio.Protocol())
        if self._tls is not None:
            self._free.clear()
            self.backend = await shaken(
                transport, self._tls.client, peer=self.backend, its=self._tls.server, server_side=False
            )
            self._free.set()
        pipe: Any = SimpleNamespace(transport=transport)
        opened = Opened(pipe, pipe, FrameReader(body_bytes_max=1 << 20), {}, 1, b"key4")
        return opened, Target("127.0.0.1", 1, "shop", "role", "-"), "public"

    async def _hold(self, _: str) -> Any:
        raise NotImplementedError

    async def say(self, side: str, data: bytes) -> list[tuple[str, bytes]]:
        """Send, let everything happen that follows, and return what both sides have received."""
        self.clock.ticks += 10
        read = {"client": b"", "backend": b""}
        sock = self.client if side == "client" else self.backend
        rest, tries = data, 0
        while rest and tries < 100:
            tries += 1
            try:
                rest = rest[sock.send(rest[:16_384]) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                read["client"] += self._heard()
                read["backend"] += read_all(self.backend)
                await asyncio.sleep(0)
            except (OSError, ValueError):  # the gate has ended the session
                break
        for _ in range(12 + len(data) // 4096):
            await asyncio.sleep(0)
            if len(data) > 65_536:
                read["client"] += self._heard()
            await self._free.wait()
        return [
            ("client", read["client"] + self._heard()),
            ("backend", read["backend"] + read_all(self.backend)),
        ]

    def be_deaf(self, *, is_deaf: bool) -> None:
        """Let the client read nothing for a while, from a socket that holds little."""
        self._deaf = is_deaf
        if is_deaf:
            self.near.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def _heard(self) -> bytes:
        return b"" if self._deaf else read_all(self.client)

    @property
    def lane(self) -> Any:
        """The session's compiled lane."""
        return self.link.fast.lane

    def put_in_the_place_of_the_segment(self, path: str) -> None:
        """Let what the log writes next go to a device, which refuses bytes (`/dev/full`) or to sync them (`/dev/null`)."""
        other = os.open(path, os.O_WRONLY)
        os.dup2(other, self.log._writer.handle)
        os.close(other)

    async def close(self) -> None:
        """End everything."""
        self.link.end("client-left")
        for _ in range(4):
            await asyncio.sleep(0)
        self.committer.commit()
        self.committer.stop()
        for sock in (self.client, self.backend, self._far):
            sock.close()


def read_all(sock: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(OSError):  # nothing more, or the link has ended
        while part := sock.recv(1 << 20):
            parts.append(part)
    return b"".join(parts)


Bytes = list[tuple[str, bytes]]


def query(text: str, *answer: be.BackendMessage, cut: int = 0) -> list[tuple[str, bytes]]:
    """A simple query and its answer, which arrives in two pieces when `cut` is given."""
    whole = b"".join(m.encode() for m in (answer or (TOTAL, *ONE)))
    cut = min(cut, len(whole) - 1)
    pieces = [("backend", whole[:cut]), ("backend", whole[cut:])] if cut else [("backend", whole)]
    return [("client", fe.Query(text).encode()), *pieces]


def rounds(
    text: str,
    value: bytes,
    *,
    name: str = "",
    parse: bool,
    describe: bool,
    status: str = "I",
    rows: be.RowDescription = TOTAL,
) -> list[tuple[str, bytes]]:
    """A round of the extended protocol and its answer."""
    ask = (fe.Parse("", text).encode() if parse else b"") + fe.Bind("", name, (), (value,), ()).encode()
    ask += (fe.Describe("P", "").encode() if describe else b"") + EXECUTE
    answer = (be.ParseComplete().encode() if parse else b"") + be.BindComplete().encode()
    # A gate that must know the row's shape asks for it where the client does not.
    answer += rows.encode() if describe or rows is TOTAL else b""
    return [
        ("client", ask),
        ("backend", answer + be.DataRow((b"1",)).encode() + done("SELECT 1").encode() + ready(status).encode()),
    ]


PREPARED = "SELECT total FROM orders WHERE id = $1"
PREPARE = [
    ("client", fe.Parse("s", PREPARED).encode() + fe.Sync().encode()),
    ("backend", be.ParseComplete().encode() + ready().encode()),
]
BEGIN = query("BEGIN", done("BEGIN"), ready("T"))
IN_T = (TOTAL, be.DataRow((b"7",)), done("SELECT 1"), ready("T"))
COMMIT = query("COMMIT", done("COMMIT"), ready())
UPDATE = "UPDATE orders SET total = $1 WHERE id = 7"
PREPARE_WRITE = [
    ("client", fe.Parse("w", UPDATE).encode() + fe.Sync().encode()),
    ("backend", be.ParseComplete().encode() + ready().encode()),
]


def written(*, name: str = "w", parse: bool = False, describe: bool, status: str = "I", tag: str = "UPDATE 3") -> Bytes:
    """A round that writes, and its answer."""
    ask = (fe.Parse("", UPDATE).encode() if parse else b"") + fe.Bind(
        "", "" if parse else name, (), (b"5",), ()
    ).encode()
    ask += (fe.Describe("P", "").encode() if describe else b"") + EXECUTE
    answer = (be.ParseComplete().encode() if parse else b"") + be.BindComplete().encode()
    answer += (be.NoData().encode() if describe else b"") + done(tag).encode() + ready(status).encode()
    return [("client", ask), ("backend", answer)]


NOTICE = be.NoticeResponse({"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": "hello"})
MOVES: dict[str, list[tuple[str, bytes]]] = {
    "one": query(SELECT.format(1)),
    "another": query(SELECT.format(22)),
    "wide": query(SELECT.format(99999999999)),
    "matched": query("SELECT total FROM orders ORDER BY total + 5, total + 6"),
    "matched others": query("SELECT total FROM orders ORDER BY total + 77, total + 8"),
    "matched, equal": query("SELECT total FROM orders ORDER BY total + 5, total + 5"),
    "matched, odd": query("SELECT total FROM orders ORDER BY total + 5, total + 0x5"),
    "unlifted": query("SELECT total FROM orders"),
    "two answers": query(SELECT.format(3), cut=9),
    "cut late": query(SELECT.format(3), cut=60),
    "fails": query(SELECT.format(4), failure(), ready()),
    "fails late": query(SELECT.format(4), TOTAL, be.DataRow((b"7",)), failure(), ready()),
    "other columns": query(SELECT.format(4), described(("other", ColumnRef(ORDERS, 1))), *ONE),
    "notice": query(SELECT.format(5), TOTAL, NOTICE, *ONE),
    "many rows": query(SELECT.format(5), TOTAL, *[be.DataRow((b"7",))] * 300, done("SELECT 300"), ready()),
    "prepared": rounds(PREPARED, b"5", name="s", parse=False, describe=True),
    "prepared, undescribed": rounds(PREPARED, b"6", name="s", parse=False, describe=False),
    "parsed": rounds(PREPARED, b"7", parse=True, describe=True),
    "parsed, undescribed": rounds(PREPARED, b"8", parse=True, describe=False),
    "transaction": [
        *BEGIN, *query(SELECT.format(1), *IN_T), *query(SELECT.format(2), *IN_T), *query(SELECT.format(3), *IN_T),
        *(rounds(PREPARED, b"1", name="s", parse=False, describe=True, status="T") * 3), *COMMIT,
    ],
    "writes": written(describe=False),
    "writes, described": written(describe=True),
    "writes, parsed": written(parse=True, describe=True),
    "write fails": [written(describe=False)[0], ("backend", failure().encode() + ready().encode())],
    "writes in text": query("UPDATE orders SET total = 8 WHERE id = 7", done("UPDATE 1"), ready()),
    "inserts": query("INSERT INTO orders VALUES (1, 2)", done("INSERT 0 1"), ready()),
    "inserts others": query("INSERT INTO orders VALUES (17, 230)", done("INSERT 0 1"), ready()),
    "writes in a transaction": [*BEGIN, *(written(describe=True, status="T") * 3), *query(SELECT.format(3), *IN_T), *COMMIT],
    "full": [("disk", b"full")], "room": [("disk", b"")],
    "refused write": [written(describe=False)[0]],
    "refused text": [("client", fe.Query("UPDATE orders SET total = 8 WHERE id = 7").encode())],
    "unasked": [("backend", NOTICE.encode())],
    "pipeline": [
        ("client", fe.Query(SELECT.format(1)).encode() * 2),
        ("backend", b"".join(m.encode() for m in (TOTAL, *ONE))),
        ("backend", b"".join(m.encode() for m in (TOTAL, *ONE))),
    ],
    "half": [("client", fe.Query(SELECT.format(1)).encode()[:9]), ("client", fe.Query(SELECT.format(1)).encode()[9:]),
             ("backend", b"".join(m.encode() for m in (TOTAL, *ONE)))],
    "mail": query("SELECT email FROM people WHERE city = 'Springfield'", MAIL, be.DataRow((b"x",)), done("SELECT 1"), ready()),
}  # fmt: skip
MAILS = "SELECT email FROM people"


def _mails(*values: bytes | None) -> tuple[be.BackendMessage, ...]:
    return (MAIL, *(be.DataRow((value,)) for value in values), done(f"SELECT {len(values)}"), ready())


MASKED: dict[str, list[tuple[str, bytes]]] = {
    "masked": query(MAILS, *_mails(b"zoe@person.example")),
    "masked, lifted": query(MAILS + " WHERE id = 7", *_mails(b"zoe@person.example")),
    "masked, named": query(MAILS + " WHERE id = 70123", *_mails(b"zoe@person.example")),
    "masked, another": query(MAILS + " WHERE id = 70124", *_mails(b"zoe@person.example")),
    "masked, NULL": query(MAILS, *_mails(None)),
    "masked, none": query(MAILS, *_mails()),
    "masked, some": query(MAILS, *_mails(b"zoe@person.example", None, b"no address", b"")),
    "masked, many": query(MAILS, *_mails(*[b"a%d@gmail.com" % number for number in range(200)])),
    "masked, two answers": query(MAILS, *_mails(b"zoe@person.example"), cut=60),
    "masked, fails": query(MAILS, MAIL, be.DataRow((b"zoe@person.example",)), failure(), ready()),
    "masked, damaged": query(MAILS, MAIL, be.DataRow((b"a", b"b")), done("SELECT 1"), ready()),
    "masked, parsed": rounds(MAILS, b"1", parse=True, describe=True, rows=MAIL),
    "another epoch": [("epoch", b"2")],
    "another style": [("backend", be.ParameterStatus("DateStyle", "German, DMY").encode())],
}


@dataclass
class Played:
    """What a dialogue left."""

    seen: list[list[tuple[str, bytes]]]
    entries: list[bytes]
    texts: list[bytes]
    counted: dict[Any, int]
    passed: int


def play(
    folder: Path,
    steps: Bytes,
    core: str,
    name: str = "ann",
    disk: type[RealFiles] = UnsyncedFiles,
    tls: Tls | None = None,
) -> Played:
    """Play steps in one core; with real files the compiled core commits by itself, with those of a `Disk` it asks them."""
    assert speed.use(core)

    async def run() -> Played:
        stage = Stage(folder, name, disk(), tls)
        await stage.secure()
        seen = []
        for side, data in [*PREPARE, *PREPARE_WRITE, *steps]:
            if side == "disk":
                if isinstance(stage.disk, Disk):
                    stage.disk.full = bool(data)
                continue
            if side == "epoch":
                stage.around.epoch = int(data)
                continue
            if side == "deaf":
                stage.be_deaf(is_deaf=bool(data))
                continue
            if side == "segment":
                stage.put_in_the_place_of_the_segment(data.decode())
                continue
            if side == "end":
                leave(stage, data)
                seen.append(await stage.say("client", b""))
                continue
            seen.append(await stage.say(side, data))
        passed = 0 if stage.lane is None else stage.lane.passed
        await stage.close()
        stage.log.integrate()
        bundles = sorted(p for p in (folder / "log" / "tile" / "entries").rglob("*") if p.is_file())
        packs = sorted(p for p in (folder / "log" / "blob").rglob("*") if p.is_file())
        counted = {k: v for k, v in stage.counters.counted.items() if k[0] != "decisions_cached"}
        found = Played(seen, [p.read_bytes() for p in bundles], [p.read_bytes() for p in packs], counted, passed)
        stage.log.abandon()
        return found

    try:
        with asyncio.Runner(loop_factory=DataPlaneLoop) as runner:
            return runner.run(run())
    finally:
        speed.use(speed.AUTO)


def leave(stage: Stage, how: bytes) -> None:
    """A side ends the link: as TLS says it, by the half of the socket, or by being gone."""
    sock = stage.backend if b"backend" in how else stage.client
    if b"half" in how:
        socket.socket.shutdown(sock, socket.SHUT_WR)
    elif b"gone" in how:
        sock.close()
    elif isinstance(sock, ssl.SSLSocket):
        with contextlib.suppress(ssl.SSLWantReadError):
            sock.unwrap()


def steps_of(*moves: str) -> Bytes:
    """The steps of moves, one after the other."""
    return [step for move in moves for step in MOVES[move]]


def streamed(played: Played, side: str) -> bytes:
    """Everything that one side received."""
    return b"".join(dict(part)[side] for part in played.seen)


def both(
    tmp: pytest.TempPathFactory,
    steps: Bytes,
    name: str = "ann",
    disk: type[RealFiles] = UnsyncedFiles,
    tls: Tls | None = None,
) -> Played:
    """Play steps in both cores: everything that anybody can see must be the same bytes."""
    compiled = play(tmp.mktemp("compiled"), steps, speed.COMPILED, name, disk, tls)
    plain = play(tmp.mktemp("plain"), steps, speed.PLAIN, name, disk, tls)
    if tls is None:
        assert compiled.seen == plain.seen
    else:  # how many records are taken in one turn is not the same
        for side in ("client", "backend"):
            assert streamed(compiled, side) == streamed(plain, side)
    assert compiled.entries == plain.entries
    assert compiled.texts == plain.texts
    assert compiled.counted == plain.counted
    assert plain.passed == 0
    return compiled
