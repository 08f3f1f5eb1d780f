"""A PostgreSQL client that keeps every byte it receives.

For: sending a case in any form the protocol has, and looking at the answer message by message.
Not for: convenience; values stay bytes. It uses the codec of `lockgate.wire` from the client's side.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from lockgate.errors import BackendProtocolError
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import body, tags
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame, FrameReader
from lockgate.wire.postgres.reports import read_fields
from lockgate.wire.postgres.scram import ScramClient
from lockgate.wire.postgres.startup import cancel_request, ssl_request, startup_message

_SECONDS_MAX = 60.0
_NUMBERS = {16: "t", 17: "\\x00", 20: "1", 21: "1", 23: "1", 26: "1", 700: "1", 701: "1", 1700: "1", 1082: "2026-01-01"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where and as whom to connect; `name` stands for the address in reports."""

    host: str
    port: int
    user: str
    password: str
    database: str
    tls: bool = False


class ConnectionEndedError(Exception):
    """The server ended the connection; what it said before is in `frames`."""

    def __init__(self, frames: list[Frame]) -> None:
        super().__init__("the connection ended")
        self.frames = frames


@dataclass
class Answer:
    """All messages of one answer, in order; `ended` when the connection was closed by the server, `sent` the text it answers."""

    frames: list[Frame] = field(default_factory=list)
    ended: bool = False
    sent: str = ""

    @property
    def errors(self) -> list[be.ErrorResponse]:
        """Errors in it."""
        return [be.ErrorResponse(read_fields(f.body)) for f in self.frames if f.tag == tags.ERROR_RESPONSE]

    @property
    def rows(self) -> list[list[bytes | None]]:
        """Rows of all its results."""
        return [be.cells(f.body) for f in self.frames if f.tag == tags.DATA_ROW]

    @property
    def fields(self) -> tuple[be.Field, ...]:
        """Columns of its first result."""
        for frame in self.frames:
            decoded = be.decode(frame) if frame.tag == tags.ROW_DESCRIPTION else None
            if isinstance(decoded, be.RowDescription):
                return decoded.fields
        return ()

    @property
    def refused(self) -> bool:
        """True when the gate, not the server, said no; a server's error with its text withheld is none of these."""
        return any(is_refusal(e) for e in self.errors)


def is_refusal(error: be.ErrorResponse) -> bool:
    """True for an error that is the gate's own decision."""
    return error.message.startswith("lockgate: ") and not error.message.startswith("lockgate: the database reported")


class Client:
    """One connection; `greeting` has what came before the first ReadyForQuery."""

    def __init__(self, address: Address, startup: Iterable[tuple[str, str]] = ()) -> None:
        self.address = address
        self._reader = FrameReader(body_bytes_max=2**31 - 5, blame=BackendProtocolError)
        self._socket = socket.create_connection((address.host, address.port), timeout=_SECONDS_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._key = b""
        self.pid = 0
        if address.tls:
            self._begin_tls()
        parameters = [("user", address.user), ("database", address.database), ("client_encoding", "UTF8")]
        self._socket.sendall(startup_message([*parameters, ("application_name", "corpus"), *startup]))
        self.greeting = Answer()
        self._log_in()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say good-bye and close."""
        try:
            self._socket.sendall(fe.Terminate().encode())
            self._socket.settimeout(2)
            while self._socket.recv(65536):
                pass
        except OSError:
            pass
        self._socket.close()

    def _begin_tls(self) -> None:
        self._socket.sendall(ssl_request())
        if self._socket.recv(1) != b"S":
            raise BackendProtocolError("the server does not speak TLS")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._socket = context.wrap_socket(self._socket)

    def _log_in(self) -> None:
        scram = ScramClient(self.address.password, secrets.token_urlsafe(18).encode())
        while True:
            frame = self._next()
            if frame is None:
                self.greeting.ended = True
                return
            self.greeting.frames.append(frame)
            if frame.tag == tags.AUTHENTICATION:
                self._authenticate(be.decode(frame), scram)
            elif frame.tag == tags.BACKEND_KEY_DATA:
                self.pid, self._key = int.from_bytes(frame.body[:4], "big"), frame.body[4:]
            elif frame.tag == tags.READY_FOR_QUERY:
                return

    def _authenticate(self, request: be.BackendMessage, scram: ScramClient) -> None:
        if isinstance(request, be.AuthenticationCleartextPassword):
            self._socket.sendall(fe.Password.of_text(self.address.password).encode())
        elif isinstance(request, be.AuthenticationSASL):
            self._socket.sendall(fe.Password.of_sasl_initial("SCRAM-SHA-256", scram.client_first()).encode())
        elif isinstance(request, be.AuthenticationSASLContinue):
            self._socket.sendall(fe.Password(scram.client_final(request.content)).encode())
        elif isinstance(request, be.AuthenticationSASLFinal):
            scram.verify(request.content)

    def _next(self) -> Frame | None:
        while (frame := self._reader.next_frame()) is None:
            try:
                data = self._socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                return None
            if not data:
                return None
            self._reader.feed(data)
        return frame

    def send(self, *parts: bytes) -> None:
        """Send bytes as they are; a closed connection is noticed when reading."""
        with contextlib.suppress(OSError):
            self._socket.sendall(b"".join(parts))

    def read(self, ready: int = 1) -> Answer:
        """Everything until the server has been ready `ready` times; an offered COPY is declined."""
        answer = Answer()
        while ready:
            frame = self._next()
            if frame is None:
                answer.ended = True
                break
            answer.frames.append(frame)
            if frame.tag == tags.READY_FOR_QUERY:
                ready -= 1
            elif frame.tag == tags.COPY_IN_RESPONSE:
                self.send(fe.CopyFail("nothing to copy").encode())
        return answer

    def simple(self, text: str, *, cancel: bool = False) -> Answer:
        """One simple query."""
        self.send(fe.Query(text).encode())
        if cancel:
            time.sleep(0.02)
            self.cancel()
        return self.read()

    def extended(
        self,
        text: str,
        *,
        bind: Sequence[str] | None = (),
        binary: bool = False,
        name: str = "",
        fetch: int = 0,
        binary_bind: bool = False,
    ) -> Answer:
        """Parse, Bind, Describe, Execute, Sync; with `fetch`, Execute until the portal ends.

        Args:
            bind: parameters in text; None makes them up from the types the server names.
            binary_bind: they are sent as binary, which is the same bytes for texts.
        """
        parsed = fe.Parse(name, text).encode()
        before = Answer()
        if bind is None:
            self.send(parsed, fe.Describe("S", name).encode(), fe.Sync().encode())
            before = self.read()
            if before.errors or before.ended:
                return before
            bind, parsed = self._made_up(before), b""
        self.send(parsed, *self.bound(bind, binary=binary, name=name, binary_bind=binary_bind))
        if not fetch:
            self.send(fe.Execute("").encode(), fe.Sync().encode())
            after = self.read()
        else:
            after = self._fetch(fetch)
        return Answer(before.frames + after.frames, after.ended)

    @staticmethod
    def bound(
        bind: Sequence[str] = (), *, binary: bool = False, name: str = "", binary_bind: bool = False
    ) -> tuple[bytes, ...]:
        """Bind to the unnamed portal and describe it."""
        values = tuple(value.encode() for value in bind)
        formats = (1,) if binary else ()
        bound = fe.Bind("", name, (1,) if binary_bind else (), values, formats).encode()
        return bound, fe.Describe("P", "").encode()

    def _fetch(self, fetch: int) -> Answer:
        collected = Answer()
        self.send(fe.Execute("", fetch).encode(), fe.Flush().encode())
        while (frame := self._next()) is not None:
            collected.frames.append(frame)
            if frame.tag == tags.PORTAL_SUSPENDED:
                self.send(fe.Execute("", fetch).encode(), fe.Flush().encode())
            elif frame.tag == tags.COPY_IN_RESPONSE:
                self.send(fe.CopyFail("nothing to copy").encode())
            elif frame.tag in (tags.COMMAND_COMPLETE, tags.EMPTY_QUERY_RESPONSE, tags.ERROR_RESPONSE):
                self.send(fe.Sync().encode())
                rest = self.read()
                return Answer(collected.frames + rest.frames, rest.ended)
        collected.ended = True
        return collected

    @staticmethod
    def _made_up(described: Answer) -> list[str]:
        for frame in described.frames:
            decoded = be.decode(frame) if frame.tag == tags.PARAMETER_DESCRIPTION else None
            if isinstance(decoded, be.ParameterDescription):
                return [_NUMBERS.get(oid, "off") for oid in decoded.type_oids]
        return []

    def function_call(self, oid: int, argument: str) -> Answer:
        """The FunctionCall message with one argument, everything in text."""
        rest = body.formats(()) + body.uint16(1) + body.value(argument.encode()) + body.int16(0)
        self.send(fe.FunctionCall(oid, rest).encode())
        return self.read()

    def cancel(self) -> None:
        """Ask over a second connection to cancel what runs on this one."""
        with socket.create_connection((self.address.host, self.address.port), timeout=5) as other:
            other.sendall(cancel_request(self.pid, self._key))
            try:
                while other.recv(1024):
                    pass
            except OSError:
                pass
