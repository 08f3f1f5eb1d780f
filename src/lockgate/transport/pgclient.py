"""A small asynchronous PostgreSQL client over the wire room, for the gate's own connections.

For: opening any link to a backend (TLS, SCRAM), and running the gate's own catalogue queries and Parse-only analysis.
Not for: clients' statements: those travel on the session's link, byte for byte.
Source: PostgreSQL documentation, chapter 55 (frontend/backend protocol).
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lockgate.errors import BackendProtocolError, LockgateError
from lockgate.transport.logins import OWN_LOGINS
from lockgate.transport.plane import DataPlaneLoop
from lockgate.transport.raw import RawTransport
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres import startup
from lockgate.wire.postgres.frames import Frame, FrameReader
from lockgate.wire.postgres.scram import ScramClient
from lockgate.wire.postgres.typed import from_backend

OWN_BODY_BYTES_MAX = 256 * 1024 * 1024
"""Largest message the gate's own connections accept: analysed trees of very long statements are large."""


@dataclass(frozen=True)
class Target:
    """Where a backend is and how to log in; `password` never prints."""

    host: str
    port: int
    dbname: str
    user: str
    password: str = field(repr=False)
    sslmode: str = "prefer"
    sslrootcert: str | None = None
    connect_seconds: float = 10.0


class ServerRejectedError(LockgateError):
    """The server answered with an error; `fields` are its report."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        self.sqlstate = fields.get("C", "XX000")
        super().__init__(f"the database answered {self.sqlstate}")


def _tls_context(target: Target) -> ssl.SSLContext:
    """TLS 1.2+ as libpq's sslmode says (PostgreSQL documentation, 32.19)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if target.sslmode in ("verify-ca", "verify-full"):
        context.check_hostname = target.sslmode == "verify-full"
        context.verify_mode = ssl.CERT_REQUIRED
        if target.sslrootcert:
            context.load_verify_locations(target.sslrootcert)
        else:
            context.load_default_certs()
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def own_frames() -> FrameReader:
    """A reader of messages to the gate itself."""
    return FrameReader(body_bytes_max=OWN_BODY_BYTES_MAX, blame=BackendProtocolError)


@dataclass
class Opened:
    """A logged-in backend connection, before anyone has used it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    frames: FrameReader
    parameters: dict[str, str]
    process_id: int
    cancel_key: bytes


async def read_frame(reader: asyncio.StreamReader, frames: FrameReader) -> Frame:
    """The next message of the backend.

    Raises:
        BackendProtocolError: the link closed or the bytes are no message.
    """
    while True:
        frame = frames.next_frame()
        if frame is not None:
            return frame
        data = await reader.read(65536)
        if not data:
            raise BackendProtocolError("the database closed the connection")
        frames.feed(data)


async def _open_streams(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, on the data plane where the loop has one."""
    path = f"{target.host}/.s.PGSQL.{target.port}" if target.host.startswith("/") else ""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, DataPlaneLoop):
        return await (asyncio.open_unix_connection(path) if path else asyncio.open_connection(target.host, target.port))
    sock = await _connected(loop, path) if path else await _connected_to(loop, target)
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    return reader, asyncio.StreamWriter(RawTransport(sock, protocol), protocol, reader, loop)


async def _connected_to(loop: asyncio.AbstractEventLoop, target: Target) -> socket.socket:
    problem: OSError = ConnectionRefusedError()
    for family, _, _, _, address in await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM):
        try:
            return await _connected(loop, address, family)
        except OSError as error:
            problem = error
    raise problem


async def _connected(loop: asyncio.AbstractEventLoop, address: object, family: int = socket.AF_UNIX) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)  # type: ignore[arg-type]
    except BaseException:
        sock.close()
        raise
    return sock


async def _secure(writer: asyncio.StreamWriter, context: ssl.SSLContext, host: str) -> None:
    transport = writer.transport
    if isinstance(transport, RawTransport):
        await transport.start_tls(context, server_side=False, server_hostname=host)
    else:
        await writer.start_tls(context, server_hostname=host)


async def _connect(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await _open_streams(target)
    if target.host.startswith("/"):
        return reader, writer
    if target.sslmode in ("disable", "allow"):
        return reader, writer
    writer.write(startup.ssl_request())
    answer = await reader.readexactly(1)
    if answer == b"S":
        # Nothing may be buffered across the handshake: readexactly(1) leaves the rest in the reader (CVE-2021-23222).
        buffered = getattr(reader, "_buffer", b"")
        if buffered:
            writer.close()
            raise BackendProtocolError("the database sent bytes before the TLS handshake")
        await _secure(writer, _tls_context(target), target.host)
        return reader, writer
    if answer != b"N":
        writer.close()
        raise BackendProtocolError("the database answered the TLS request with something else")
    if target.sslmode != "prefer":
        writer.close()
        raise BackendProtocolError("the database does not offer TLS, and sslmode demands it")
    return reader, writer


async def _authenticate(
    target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, frames: FrameReader
) -> None:
    scram: ScramClient | None = None
    while True:
        frame = await read_frame(reader, frames)
        if frame.tag == ord("E"):
            raise ServerRejectedError(from_backend(frame, be.Report).fields)
        if frame.tag == ord("N"):
            continue
        if frame.tag != ord("R"):
            raise BackendProtocolError("the database sent something else than an authentication request")
        request = be.decode(frame)
        if isinstance(request, be.AuthenticationOk):
            if scram is not None and not scram.verified:
                raise BackendProtocolError("the database skipped its half of SCRAM")
            return
        if isinstance(request, be.AuthenticationSASL):
            if "SCRAM-SHA-256" not in request.mechanisms:
                raise BackendProtocolError("the database offers no SASL mechanism that the gate speaks")
            scram = ScramClient(target.password, base64.b64encode(secrets.token_bytes(18)))
            writer.write(fe.Password.of_sasl_initial("SCRAM-SHA-256", scram.client_first()).encode())
        elif isinstance(request, be.AuthenticationSASLContinue) and scram is not None and scram.awaits_first:
            writer.write(fe.Password(scram.client_final(request.content)).encode())
        elif isinstance(request, be.AuthenticationSASLFinal) and scram is not None and scram.awaits_final:
            scram.verify(request.content)
        elif isinstance(request, be.AuthenticationCleartextPassword) and (
            writer.get_extra_info("ssl_object") is not None or target.host.startswith("/") or target.host in LOOPBACK
        ):
            writer.write(fe.Password.of_text(target.password).encode())
        else:
            raise BackendProtocolError("the database asks for an authentication method that the gate refuses")


LOOPBACK = ("127.0.0.1", "::1", "localhost")


async def open_backend(target: Target, parameters: Mapping[str, str]) -> Opened:
    """Connect, secure and log in one backend link.

    Args:
        target: where and as whom.
        parameters: startup parameters beside user and database.
    Raises:
        ServerRejectedError: the database refused the login.
        BackendProtocolError: it speaks something else, or TLS is not as demanded.
        OSError, asyncio.TimeoutError: it cannot be reached.
    """
    # The server does not count connections for replication among the sessions of a database.
    place = target.host, target.port, "" if "replication" in parameters else target.dbname
    OWN_LOGINS.begin(place)
    authenticated = False
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(target.connect_seconds):
            reader, writer = await _connect(target)
            frames = own_frames()
            writer.write(
                startup.startup_message([("user", target.user), ("database", target.dbname), *parameters.items()])
            )
            await _authenticate(target, reader, writer, frames)
            authenticated = True
            opened = Opened(reader, writer, frames, {}, 0, b"")
            while True:
                frame = await read_frame(reader, frames)
                if frame.tag == ord("S"):
                    status = from_backend(frame, be.ParameterStatus)
                    opened.parameters[status.name] = status.value
                elif frame.tag == ord("K"):
                    key = from_backend(frame, be.BackendKeyData)
                    opened.process_id, opened.cancel_key = key.pid, key.key
                elif frame.tag == ord("Z"):
                    OWN_LOGINS.complete(place)
                    return opened
                elif frame.tag == ord("E"):
                    raise ServerRejectedError(from_backend(frame, be.Report).fields)
                elif frame.tag != ord("N"):
                    raise BackendProtocolError("unexpected message while logging in to the database")
    except BaseException as error:
        # Cancelled on the way: the database may have let the gate in, and counted it, without the gate having heard of it.
        unheard = writer is not None and not isinstance(error, ServerRejectedError)
        OWN_LOGINS.fail(place, authenticated=authenticated or unheard)
        if writer is not None:
            writer.close()
        raise


async def send_cancel(target: Target, process_id: int, key: bytes) -> None:
    """Ask the backend to cancel what `process_id` runs (PostgreSQL documentation, 55.2.9)."""
    async with asyncio.timeout(target.connect_seconds):
        _, writer = await _connect(target)
        try:
            writer.write(startup.cancel_request(process_id, key))
            await writer.drain()
        finally:
            writer.close()


@dataclass(frozen=True)
class ParseReply:
    """What Parse + Describe of one statement said, nothing executed."""

    trees: tuple[str, ...]
    parameter_types: tuple[int, ...]
    row_description: bytes
    error: Mapping[str, str]


class PgClient:
    """One of the gate's own connections; one conversation at a time."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self.parameters = opened.parameters
        self.search_path: str | None = None
        self.broken = False

    @classmethod
    async def open(cls, target: Target, parameters: Mapping[str, str]) -> PgClient:
        """Connect and log in."""
        return cls(await open_backend(target, parameters))

    async def _until_ready(self) -> list[Frame]:
        frames: list[Frame] = []
        try:
            while True:
                frame = await read_frame(self._opened.reader, self._opened.frames)
                if frame.tag == ord("Z"):
                    return frames
                frames.append(frame)
        except BaseException:
            self.broken = True
            raise

    async def query(self, text: str) -> list[list[bytes | None]]:
        """Run one of the gate's own statements and return all rows in text format.

        Raises:
            ServerRejectedError: the server rejected it.
        """
        return (await self.query_with_trees(text))[0]

    async def query_with_trees(self, text: str) -> tuple[list[list[bytes | None]], list[str]]:
        """As `query`, with the trees that the server printed while it ran.

        Raises:
            ServerRejectedError: the server rejected it.
        """
        self._opened.writer.write(fe.Query(text).encode())
        frames = await self._until_ready()
        rows, trees = [], []
        for frame in frames:
            if frame.tag == ord("E"):
                raise ServerRejectedError(from_backend(frame, be.Report).fields)
            if frame.tag == ord("D"):
                rows.append(be.cells(frame.body))
            elif frame.tag == ord("N"):
                trees += _printed(frame)
        return rows, trees

    async def see_names_as(self, search_path: str) -> None:
        """Resolve names under a session's search_path."""
        if self.search_path != search_path:
            quoted = search_path.replace("'", "''")
            await self.query(f"SELECT pg_catalog.set_config('search_path', '{quoted}', false)")
            self.search_path = search_path

    async def parse_only(self, text: str, parameter_types: Sequence[int]) -> ParseReply:
        """Have the server analyse one statement: Parse, Describe, Sync; nothing is bound, nothing executed."""
        writer = self._opened.writer
        writer.write(
            fe.Parse("", text, tuple(parameter_types)).encode() + fe.Describe("S", "").encode() + fe.Sync().encode()
        )
        frames = await self._until_ready()
        trees: list[str] = []
        types: tuple[int, ...] = ()
        row_description = b""
        error: Mapping[str, str] = {}
        for frame in frames:
            if frame.tag == ord("N"):
                trees += _printed(frame)
            elif frame.tag == ord("t"):
                types = from_backend(frame, be.ParameterDescription).type_oids
            elif frame.tag == ord("T"):
                row_description = frame.body
            elif frame.tag == ord("E"):
                error = from_backend(frame, be.Report).fields
        return ParseReply(tuple(trees), tuple(types), row_description, error)

    def release(self) -> Opened:
        """Hand the link over, with nothing of this client left on it."""
        return self._opened

    def close(self) -> None:
        """End the connection without waiting."""
        self.broken = True
        writer = self._opened.writer
        if writer.get_extra_info("ssl_object") is None:
            writer.close()
        else:
            writer.transport.abort()  # a close in order waits for the server's goodbye, and the loop of a command has ended by then


def _printed(notice: Frame) -> list[str]:
    """The analysed tree in a notice: it is a LOG notice, whose message text is translated and whose DETAIL is not."""
    fields = from_backend(notice, be.Report).fields
    is_tree = fields.get("V", fields.get("S")) == "LOG" and fields.get("D", "").startswith("(")
    return [fields["D"]] if is_tree else []
