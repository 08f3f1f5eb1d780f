"""Checked reading and writing of the parts of a message body.

For: integers, strings, counted values; every length is compared with what is left before it is used.
Not for: knowing messages; `frontend` and `backend` do.
Source: PostgreSQL documentation, "Message Data Types".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from struct import Struct

from lockgate.errors import BackendProtocolError, InvariantError, LockgateError

_UINT16 = Struct("!H")
_INT16 = Struct("!h")
_INT32 = Struct("!i")
_UINT32 = Struct("!I")


class BodyReader:
    """Read one body from its start to its end.

    Args:
        body: the body, without type byte and length.
        what: name of the message, for sentences.
        blame: the error to raise; says which peer is wrong.
    """

    __slots__ = ("_blame", "_body", "_position", "_what")

    def __init__(self, body: bytes, what: str, blame: type[LockgateError]) -> None:
        self._body = body
        self._what = what
        self._blame = blame
        self._position = 0

    def wrong(self, problem: str) -> LockgateError:
        """Make the error for a problem, which must not quote the body."""
        return self._blame(f"{self._what}: {problem}")

    def _integer(self, layout: Struct) -> int:
        try:
            value: int = layout.unpack_from(self._body, self._position)[0]
        except struct.error:
            raise self.wrong("the message ends too early") from None
        self._position += layout.size
        return value

    def byte(self) -> int:
        """Read one byte."""
        return self.take(1)[0]

    def uint16(self) -> int:
        """Read an unsigned 16-bit integer; counts are unsigned, as the server reads them."""
        return self._integer(_UINT16)

    def int16(self) -> int:
        """Read a signed 16-bit integer."""
        return self._integer(_INT16)

    def int32(self) -> int:
        """Read a signed 32-bit integer."""
        return self._integer(_INT32)

    def uint32(self) -> int:
        """Read an unsigned 32-bit integer, such as an OID."""
        return self._integer(_UINT32)

    def take(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        end = self._position + size
        if size < 0 or end > len(self._body):
            raise self.wrong("the message ends too early")
        part = self._body[self._position : end]
        self._position = end
        return part

    def rest(self) -> bytes:
        """Read all that is left."""
        return self.take(len(self._body) - self._position)

    def at_end(self) -> bool:
        """Tell whether everything has been read."""
        return self._position == len(self._body)

    def value(self) -> bytes | None:
        """Read a value after its 32-bit length; length -1 is null, and no other negative length exists."""
        size = self.int32()
        if size == -1:
            return None
        if size < 0:
            raise self.wrong("the length of a value is negative")
        return self.take(size)

    def text(self) -> str:
        """Read a string that ends with a zero byte.

        A server's strings may be in another encoding, which the client asked for: their bytes stay as they are.
        """
        end = self._body.find(0, self._position)
        if end < 0:
            raise self.wrong("a string has no end")
        part = self._body[self._position : end]
        self._position = end + 1
        if self._blame is BackendProtocolError:
            return part.decode("utf-8", "surrogateescape")
        try:
            return part.decode("utf-8")
        except UnicodeDecodeError:
            raise self.wrong("a string is not valid UTF-8") from None

    def oids(self) -> tuple[int, ...]:
        """Read a counted list of OIDs."""
        return self._list("I", 4)

    def formats(self) -> tuple[int, ...]:
        """Read a counted list of format codes, each 0 (text) or 1 (binary)."""
        codes = self._list("h", 2)
        if not {0, 1}.issuperset(codes):
            raise self.wrong("a format code is neither 0 nor 1")
        return codes

    def _list(self, letter: str, item_bytes: int) -> tuple[int, ...]:
        count = self.uint16()
        if not count:
            return ()
        return struct.unpack(f"!{count}{letter}", self.take(count * item_bytes))

    def finish(self) -> None:
        """Insist that nothing is left."""
        if not self.at_end():
            raise self.wrong("there are bytes after the end of the message")


def _packed(layout: Struct, value: int) -> bytes:
    try:
        return layout.pack(value)
    except struct.error:
        raise InvariantError("an integer does not fit into its place in the message") from None


def uint16(value: int) -> bytes:
    """Encode an unsigned 16-bit integer."""
    return _packed(_UINT16, value)


def int16(value: int) -> bytes:
    """Encode a signed 16-bit integer."""
    return _packed(_INT16, value)


def int32(value: int) -> bytes:
    """Encode a signed 32-bit integer."""
    return _packed(_INT32, value)


def uint32(value: int) -> bytes:
    """Encode an unsigned 32-bit integer."""
    return _packed(_UINT32, value)


def string(text: str) -> bytes:
    """Encode a string with its terminator.

    Raises:
        InvariantError: a zero byte inside, which would let the text grow new fields, or a lone surrogate.
    """
    try:
        part = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvariantError("a string to send cannot be encoded as UTF-8") from None
    if 0 in part:
        raise InvariantError("a string to send contains a zero byte")
    return part + b"\0"


def value(part: bytes | None) -> bytes:
    """Encode a value after its length; None is null."""
    return b"\xff\xff\xff\xff" if part is None else int32(len(part)) + part


def oids(items: Sequence[int]) -> bytes:
    """Encode a counted list of OIDs."""
    return uint16(len(items)) + b"".join(map(uint32, items))


def formats(codes: Sequence[int]) -> bytes:
    """Encode a counted list of format codes."""
    if not {0, 1}.issuperset(codes):
        raise InvariantError("a format code to send is neither 0 nor 1")
    return uint16(len(codes)) + b"".join(map(int16, codes))
