"""From the first byte to an authenticated client: TLS, start-up packet, credential.

For: everything before a session exists; every failure ends in one error and one ledger entry.
Not for: checking tokens (`identity.tokens`) and policy (`policy.engine`), which it is given as functions.
Invariant: nothing is buffered across the TLS handshake (CVE-2021-23214); no password is asked for over cleartext unless the
listener is on loopback and the configuration says so.
Source: PostgreSQL documentation, 55.2.1 (start-up), 55.2.10 (SSL, also without a request before it), 55.2.11 (GSSAPI).
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from lockgate.errors import ClientProtocolError, CredentialRejectedError, LockgateError
from lockgate.identity.tokens import ExpiredTokenError
from lockgate.transport.raw import RawTransport
from lockgate.transport.tls import APPLICATION_PROTOCOL
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import FrameReader
from lockgate.wire.postgres.startup import (
    CancelRequest,
    GssEncRequest,
    SslRequest,
    StartupMessage,
    parse_first,
)
from lockgate.wire.postgres.typed import from_client

STARTUP_PARAMETERS = frozenset({
    "application_name", "client_encoding", "datestyle", "timezone", "intervalstyle", "extra_float_digits", "search_path",
    "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "client_min_messages", "bytea_output", "jit",
    "default_transaction_isolation", "default_transaction_read_only", "default_transaction_deferrable", "geqo", "work_mem",
    "tcp_user_timeout", "standard_conforming_strings", "options",
})  # fmt: skip
"""Start-up parameters that pass; others are refused by name (threats W-04)."""
REPLICATION = {
    **dict.fromkeys(("", "0", "false", "off", "no"), ""),
    **dict.fromkeys(("1", "true", "on", "yes"), "physical"),
    "database": "logical",
}
"""What values of the start-up parameter `replication` ask for."""
UTF8 = frozenset({"utf8", "utf-8", "unicode", "'utf8'", "'utf-8'", "'unicode'"})
REQUESTS_MAX = 4
"""SSLRequest and GSSENCRequest may come in turn, but not for ever (threats W-03)."""
PASSWORD_BYTES_MAX = 16 * 1024
TLS_HANDSHAKE = b"\x16"


@dataclass(frozen=True)
class Startup:
    """What a client asked for when it connected."""

    user: str
    database: str
    parameters: dict[str, str]
    minor: int
    encrypted: bool
    unsupported: tuple[str, ...]
    replication: str = ""
    """`physical`, `logical` or empty."""


class Intake(asyncio.Protocol):
    """A client's bytes while it logs in: a small buffer, and nothing read ahead of a handshake."""

    def __init__(self, *, bytes_max: int = 64 * 1024) -> None:
        self.buffer = bytearray()
        self.transport: RawTransport | None = None
        self.closed = False
        self._bytes_max = bytes_max
        self._arrived = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, RawTransport):
            self.transport = transport
            transport.pause_reading()  # until somebody has looked whether TLS begins here

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) > self._bytes_max and self.transport is not None:
            self.transport.pause_reading()
        self._arrived.set()

    def eof_received(self) -> bool:
        self.closed = True
        self._arrived.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._arrived.set()

    async def more(self) -> None:
        """Wait for more bytes.

        Raises:
            ConnectionResetError: the client is gone.
        """
        for _ in range(2):
            if self._is_over():
                raise ConnectionResetError
            if self._arrived.is_set():
                break
            await self._arrived.wait()
        self._arrived.clear()

    def _is_over(self) -> bool:
        return self.closed and not self._arrived.is_set()


def _writer(intake: Intake) -> RawTransport:
    if intake.transport is None or intake.transport.is_closing():
        raise ConnectionResetError
    return intake.transport


async def read_startup(intake: Intake, context: ssl.SSLContext | None) -> StartupMessage | CancelRequest:
    """Answer encryption requests and return the start-up packet or a cancel request.

    Raises:
        ClientProtocolError: what came is not the start of the protocol.
    """
    transport = _writer(intake)
    if await transport.first_byte() == TLS_HANDSHAKE:
        await _direct_tls(transport, context)
    for _ in range(REQUESTS_MAX):
        first = None
        while first is None:
            first = parse_first(intake.buffer)
            if first is None:
                await intake.more()
        del intake.buffer[: first.consumed]
        packet = first.packet
        if isinstance(packet, StartupMessage | CancelRequest):
            return packet
        if transport.get_extra_info("ssl_object") is not None:
            raise ClientProtocolError("encryption was asked for again inside TLS")
        transport = _writer(intake)
        if isinstance(packet, GssEncRequest):
            transport.write(b"N")
        elif isinstance(packet, SslRequest):
            if intake.buffer:
                raise ClientProtocolError("bytes came after the TLS request and before the handshake")
            if context is None:
                transport.write(b"N")
                continue
            transport.write(b"S")
            await transport.start_tls(context, server_side=True)
        else:
            raise ClientProtocolError("TLS begins where a start-up packet was expected")
    raise ClientProtocolError("too many encryption requests")


async def _direct_tls(transport: RawTransport, context: ssl.SSLContext | None) -> None:
    """TLS from the first byte on; the application protocol must have been agreed on."""
    if context is None:
        raise ClientProtocolError("this gate has no certificate, so it speaks no TLS")
    await transport.start_tls(context, server_side=True)
    if transport.get_extra_info("ssl_object").selected_alpn_protocol() != APPLICATION_PROTOCOL:
        raise ClientProtocolError(
            f"TLS without a request before it needs the application protocol `{APPLICATION_PROTOCOL}`"
        )


def read_parameters(message: StartupMessage, *, encrypted: bool) -> Startup:
    """Sort the start-up parameters: who, where, and settings on the allow-list.

    Raises:
        ClientProtocolError: a parameter that does not pass, by name.
    """
    given = dict(message.parameters)
    user = given.pop("user", "")
    database = given.pop("database", "") or user
    replication = REPLICATION.get(given.pop("replication", "").lower())
    if replication is None:
        raise ClientProtocolError("the value of start-up parameter `replication` is not one that is known here")
    extensions = tuple(sorted(name for name in given if name.startswith("_pq_.")))
    parameters: dict[str, str] = {}
    for name, value in given.items():
        if name in extensions:
            continue
        if name.lower() not in STARTUP_PARAMETERS:
            raise ClientProtocolError(f"start-up parameter `{name[:63]}` is not on the list of those that pass")
        if name.lower() == "options":
            parameters |= _options(value)
        else:
            parameters[name] = value
    for name, value in parameters.items():
        if name.lower() == "client_encoding" and value.lower() not in UTF8:
            raise ClientProtocolError("client_encoding must be UTF8 here, because statements are read in it")
        if name.lower() == "standard_conforming_strings" and value.lower() not in ("on", "true", "1", "yes"):
            raise ClientProtocolError(
                "standard_conforming_strings must be on here, because statements are read under it"
            )
    if not user:
        raise ClientProtocolError("no user was given")
    return Startup(user, database, parameters, message.minor, encrypted, extensions, replication)


def _options(text: str) -> dict[str, str]:
    """Settings inside `options`, the way PGOPTIONS gives them: `-c name=value` or `--name=value`."""
    found: dict[str, str] = {}
    words = text.replace("\\ ", "\x00").split()
    position = 0
    while position < len(words):
        word = words[position].replace("\x00", " ")
        if word == "-c" and position + 1 < len(words):
            position += 1
            setting = words[position].replace("\x00", " ")
        elif word.startswith(("-c", "--")):
            setting = word[2:]
        else:
            raise ClientProtocolError("only `-c name=value` passes in options")
        name, equals, value = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name.lower() not in STARTUP_PARAMETERS - {"options"}:
            raise ClientProtocolError(f"option `{name[:63]}` is not on the list of those that pass")
        found[name] = value
        position += 1
    return found


async def read_password(intake: Intake) -> str:
    """Ask for the credential and read it.

    Raises:
        ClientProtocolError: something else came.
        CredentialRejectedError: it is empty.
    """
    _writer(intake).write(be.AuthenticationCleartextPassword().encode())
    frames = FrameReader(body_bytes_max=PASSWORD_BYTES_MAX)
    while True:
        if intake.buffer:
            data = bytes(intake.buffer)
            intake.buffer.clear()
            frames.feed(data)
        frame = frames.next_frame()
        if frame is not None:
            break
        await intake.more()
    if frame.tag != ord("p"):
        raise ClientProtocolError("a password was expected")
    if frames.buffered:
        raise ClientProtocolError("bytes came after the password and before the answer to it")
    password = from_client(frame, fe.Password).text()
    if not password:
        raise CredentialRejectedError("no credential was given")
    return password


def rejected(error: LockgateError | ConnectionError | TimeoutError) -> bytes:
    """The FATAL error a client sees when it cannot log in; the same words whatever was wrong with the credential.

    Only that a credential has expired is said, as the gate says it of those alone that it made itself.
    """
    if isinstance(error, ExpiredTokenError):
        return be.error("28P01", "lockgate: the credential has expired", severity="FATAL", detail="rule=credential",
                        hint="Make a new one with `lockgate token`.")  # fmt: skip
    if isinstance(error, CredentialRejectedError):
        return be.error("28P01", "lockgate: the credential was not accepted", severity="FATAL", detail="rule=credential",
                        hint="Make a new one with `lockgate token`, and connect as the principal it is for.")  # fmt: skip
    if isinstance(error, TimeoutError):
        return be.error("08006", "lockgate: login took too long", severity="FATAL")
    sqlstate = error.sqlstate if isinstance(error, LockgateError) else "08006"
    return be.error(sqlstate, f"lockgate: {error}", severity="FATAL")
