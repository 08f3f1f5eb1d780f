"""The packets a client may send before anything else.

For: telling start-up, TLS and GSSAPI requests, cancel requests and direct TLS apart, and encoding them for a backend.
Not for: whether a parameter is allowed, or which minor version is spoken; nothing here drops or changes a parameter.
Source: PostgreSQL documentation, "Start-up" and "Message Formats" (StartupMessage, SSLRequest, GSSENCRequest,
CancelRequest); key lengths of protocol 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, NamedTuple

from lockgate.errors import ClientProtocolError, InvariantError, LimitExceededError
from lockgate.wire.postgres.body import BodyReader, int32, string

_PAIR: Final = Struct("!ii")
_TLS_HANDSHAKE: Final = 0x16
_REQUEST_MAJOR: Final = 1234
_CANCEL: Final = _REQUEST_MAJOR << 16 | 5678
_SSL: Final = _REQUEST_MAJOR << 16 | 5679
_GSSENC: Final = _REQUEST_MAJOR << 16 | 5680
_PACKET_BYTES_MIN: Final = 8
KEY_BYTES_MIN: Final = 4
KEY_BYTES_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """A client asks for a session; `parameters` in the order sent, each name once."""

    major: int
    minor: int
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SslRequest:
    """A client asks whether TLS is spoken."""


@dataclass(frozen=True, slots=True)
class GssEncRequest:
    """A client asks whether GSSAPI encryption is spoken."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Someone asks to cancel what a session is doing; the key is a secret."""

    process_id: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DirectTls:
    """The bytes are a TLS handshake without a request before it; none of them is consumed."""


class FirstPacket(NamedTuple):
    """A packet, and how many bytes it took; bytes after it belong to whatever comes next."""

    packet: StartupMessage | SslRequest | GssEncRequest | CancelRequest | DirectTls
    consumed: int


def parse_first(data: bytes | bytearray, *, bytes_max: int = 10_000) -> FirstPacket | None:
    """Read the packet at the start of `data`, or None while it is incomplete.

    Args:
        data: all bytes since the connection, or since the last request was answered.
        bytes_max: longest packet, its length included; PostgreSQL itself allows 10000.

    Raises:
        LimitExceededError: longer than `bytes_max`; known from the first four bytes.
        ClientProtocolError: anything else that is not one of the packets.
    """
    if data[:1] == bytes((_TLS_HANDSHAKE,)):
        return FirstPacket(DirectTls(), 0)
    if len(data) < 4:
        return None
    length = int.from_bytes(data[:4], "big", signed=True)
    if length < _PACKET_BYTES_MIN:
        raise ClientProtocolError(f"start-up packet: length {length} is out of bounds")
    if length > bytes_max:
        raise LimitExceededError(f"start-up packet: {length} bytes exceed the limit of {bytes_max}")
    if len(data) < length:
        return None
    reader = BodyReader(bytes(data[4:length]), "start-up packet", ClientProtocolError)
    return FirstPacket(_packet(reader), length)


def _packet(reader: BodyReader) -> StartupMessage | SslRequest | GssEncRequest | CancelRequest:
    code = reader.int32()
    if code == _SSL:
        reader.finish()
        return SslRequest()
    if code == _GSSENC:
        reader.finish()
        return GssEncRequest()
    if code == _CANCEL:
        process_id = reader.int32()
        key = reader.rest()
        if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
            raise reader.wrong("the length of the cancel key is out of bounds")
        return CancelRequest(process_id, key)
    major, minor = code >> 16 & 0xFFFF, code & 0xFFFF
    if major == _REQUEST_MAJOR:
        raise reader.wrong(f"request code {minor} does not exist")
    if major != 3:
        raise reader.wrong(f"protocol {major}.{minor} is not spoken here, only protocol 3")
    return StartupMessage(major, minor, _parameters(reader))


def _parameters(reader: BodyReader) -> tuple[tuple[str, str], ...]:
    """Read name and value pairs up to the empty name, which must be the last byte."""
    parameters: dict[str, str] = {}
    while name := reader.text():
        if name in parameters:
            # Two readers may disagree on which of them counts.
            raise reader.wrong("a parameter is given twice")
        parameters[name] = reader.text()
    reader.finish()
    return tuple(parameters.items())


def startup_message(parameters: Iterable[tuple[str, str]], *, major: int = 3, minor: int = 0) -> bytes:
    """Encode a start-up message.

    Raises:
        InvariantError: an empty or repeated name, or a text that cannot be sent.
    """
    seen: set[str] = set()
    parts: list[bytes] = []
    for name, text in parameters:
        if not name or name in seen:
            raise InvariantError("a start-up parameter to send has no name or is given twice")
        seen.add(name)
        parts += string(name), string(text)
    body = b"".join(parts) + b"\0"
    return _PAIR.pack(len(body) + 8, major << 16 | minor) + body


def ssl_request() -> bytes:
    """Encode the question whether TLS is spoken."""
    return _PAIR.pack(8, _SSL)


def gss_enc_request() -> bytes:
    """Encode the question whether GSSAPI encryption is spoken."""
    return _PAIR.pack(8, _GSSENC)


def cancel_request(process_id: int, key: bytes) -> bytes:
    """Encode a cancel request.

    Raises:
        InvariantError: a key that is shorter than 4 or longer than 256 bytes.
    """
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise InvariantError("the length of a cancel key to send is out of bounds")
    return _PAIR.pack(12 + len(key), _CANCEL) + int32(process_id) + key
