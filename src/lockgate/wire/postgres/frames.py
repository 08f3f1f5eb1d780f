"""Cut byte streams into messages.

For: type byte, length, body; limits that hold before anything is buffered; passing rows through as opaque spans.
Not for: what a body means (`frontend`, `backend`) and the packets before start-up (`startup`).

INVARIANT: the cost is linear in the bytes fed, however they are cut: what arrives while a message is incomplete waits
in one growing buffer, and is joined only once as many bytes are there as the message needs.
INVARIANT: how the bytes are cut never changes which messages come out.

Source: PostgreSQL documentation, "Message Overview": the length counts itself and the body, not the type byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Final, NamedTuple

from lockgate import speed
from lockgate.errors import (
    BackendProtocolError,
    ClientProtocolError,
    InvariantError,
    LimitExceededError,
    LockgateError,
)
from lockgate.wire.postgres.tags import ROWS, tag_name

_HEADER: Final = Struct("!Bi")
_HEADER_BYTES: Final = 5
_LENGTH_MIN: Final = 4
_LENGTH_MAX: Final = 2**31 - 1


def message(tag: int, body: bytes) -> bytes:
    """Encode one message."""
    length = len(body) + 4
    if length > _LENGTH_MAX:
        raise InvariantError("a message to send is longer than the protocol allows")
    return _HEADER.pack(tag, length) + body


class Frame(NamedTuple):
    """One message: its type byte and its body."""

    tag: int
    body: bytes

    def encode(self) -> bytes:
        """Give back the bytes the frame was cut from."""
        return message(self.tag, self.body)

    def parts(self) -> tuple[bytes, bytes]:
        """Give back header and body apart, without copying the body."""
        return _HEADER.pack(self.tag, len(self.body) + 4), self.body


LARGE_BYTES: Final = 1 << 20


def scan_rows(front: bytes | bytearray, position: int, first: int, second: int) -> tuple[int, int]:
    """Where the last of the messages with one of two tags ends, which may lie beyond what is there, and how many they are."""
    last_header = len(front) - _HEADER_BYTES
    unpack = _HEADER.unpack_from
    rows = 0
    # The one loop that runs per row: keep it free of calls, attributes and objects.
    while position <= last_header:
        tag, length = unpack(front, position)
        if (tag != first and tag != second) or length < _LENGTH_MIN:  # noqa: PLR1714  two comparisons make no object
            break
        rows += 1
        position += length + 1
    return position, rows


def whole_rows(front: bytes | bytearray, position: int, first: int, second: int) -> tuple[int, int]:
    """As `scan_rows`, but only messages that are there to their end."""
    size = len(front)
    unpack = _HEADER.unpack_from
    rows = 0
    while position <= size - _HEADER_BYTES:
        tag, length = unpack(front, position)
        if (tag != first and tag != second) or length < _LENGTH_MIN or position + 1 + length > size:  # noqa: PLR1714
            break
        rows += 1
        position += length + 1
    return position, rows


class _Buffer:
    """Bytes that arrived and are not used yet: `_front` from `_start`, followed by `_behind`."""

    def __init__(self) -> None:
        self._front: bytes | bytearray = b""
        self._start = 0
        self._behind = bytearray()
        self._needed = 0

    @property
    def buffered(self) -> int:
        """Count the bytes that were fed and not yet given out."""
        return len(self._front) - self._start + len(self._behind)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes that arrived."""
        if self._behind or self._start < len(self._front):
            self._behind += data
        else:
            self._front = bytes(data)
            self._start = 0

    def _has(self, needed: int) -> bool:
        """Make `needed` bytes available in `_front`, or remember that so many must come first."""
        if len(self._front) - self._start < needed:
            if self.buffered < needed:
                self._needed = needed
                return False
            if len(self._behind) > LARGE_BYTES:
                # In place: joining would hold a large message twice before it is cut.
                self._behind[:0] = self._front[self._start :]
                self._front = self._behind
            else:
                self._front = self._front[self._start :] + self._behind
            self._start = 0
            self._behind = bytearray()
        self._needed = 0
        return True

    def _cut(self, tag: int, length: int) -> Frame:
        """Give out the frame at the start; `_has` has said that it is complete."""
        end = self._start + 1 + length
        frame = Frame(tag, bytes(memoryview(self._front)[self._start + _HEADER_BYTES : end]))
        self._start = end
        if end == len(self._front):
            # A large message must not stay in memory until the next one arrives.
            self._front = b""
            self._start = 0
        return frame


class FrameReader(_Buffer):
    """Cut what one peer sends into frames.

    An error stays: every later call raises it again, because the bytes after a wrong length have no meaning.

    Args:
        body_bytes_max: longest body.
        blame: the error for wrong lengths; says which peer is wrong.
        limits: shorter maxima per tag, such as `tags.FRONTEND_LIMITS`.
        known: tags that may come, such as `tags.FRONTEND`; any other is an error at once. None accepts all.
    """

    def __init__(
        self,
        *,
        body_bytes_max: int,
        blame: type[LockgateError] = ClientProtocolError,
        limits: Mapping[int, int] | None = None,
        known: frozenset[int] | None = None,
    ) -> None:
        super().__init__()
        self._body_bytes_max = body_bytes_max
        self._blame = blame
        self._limits = dict(limits or {})
        self._known = known

    def next_frame(self) -> Frame | None:
        """Cut the next frame, or None while it is incomplete.

        Raises:
            LockgateError: as `blame`: a length below 4, or a tag that is not known.
            LimitExceededError: a body longer than its limit; known from the header alone. When `blame` is not the
                client's error, it is `blame`, so that a backend's fault is not put on the client.
        """
        if not self._has(self._needed or _HEADER_BYTES):
            return None
        tag, length = _HEADER.unpack_from(self._front, self._start)
        if self._known is not None and tag not in self._known:
            raise self._blame(f"message type `{tag_name(tag)}` does not exist")
        limit = min(self._limits.get(tag, self._body_bytes_max), self._body_bytes_max)
        _check_length(tag, length, limit, self._blame)
        return self._cut(tag, length) if self._has(1 + length) else None


class LargeRowError(BackendProtocolError):
    """A row of a backend is longer than a message that becomes a frame may be; it can still be passed as a span.

    Args:
        sentence: what is wrong.
        bytes_max: longest body.
    """

    def __init__(self, sentence: str, bytes_max: int) -> None:
        super().__init__(sentence)
        self.bytes_max = bytes_max


class BackendReader(_Buffer):
    """Cut what a backend sends into frames and opaque spans of rows.

    Messages whose tag is in `passthrough` are not turned into objects: consecutive ones are returned as one `bytes`.
    A span always begins and ends at a message, except where a message is longer than what has arrived: then its
    remaining bytes lead the next span. Such messages may be of any length.

    Args:
        body_bytes_max: longest body of a message that becomes a frame.

    Attributes:
        passthrough: tags to pass; may be replaced between any two calls.
        whole: spans end at messages only, and what is longer than what has arrived becomes a frame; may change where no
            span has ended inside a message.
        rows: passed messages whose header has been seen.
        span_bytes: bytes given out in spans.
    """

    def __init__(self, *, body_bytes_max: int) -> None:
        super().__init__()
        self._body_bytes_max = body_bytes_max
        self._unfinished = 0
        self._passthrough: frozenset[int] = frozenset()
        self._pair = (-1, -1)
        self.whole = False
        self.rows = 0
        self.span_bytes = 0

    @property
    def passthrough(self) -> frozenset[int]:
        """Tags to pass, at most two."""
        return self._passthrough

    @passthrough.setter
    def passthrough(self, tags: frozenset[int]) -> None:
        if tags is self._passthrough:
            return
        if len(tags) > 2:
            raise InvariantError("more than two kinds of message would pass unseen")
        self._passthrough = tags
        first, second = (*sorted(tags), -1, -1)[:2]
        self._pair = (first, second)

    @property
    def mid_message(self) -> bool:
        """True when the last span ended inside a message: nothing else may be sent to the client now."""
        return self._unfinished > 0

    def next(self) -> Frame | bytes | None:
        """Cut the next frame or span, or None while there is none.

        Raises:
            BackendProtocolError: a length below 4, or a frame longer than `body_bytes_max`. Messages before it have
                been given out by earlier calls.
            LargeRowError: the longer frame is a row; it stays where it is, to be passed or refused.
        """
        if not self._has(self._needed or (1 if self._unfinished else _HEADER_BYTES)):
            return None
        front = self._front
        start = self._start
        size = len(front)
        position = start + self._unfinished
        rows = 0
        if self.passthrough and position <= size - _HEADER_BYTES:
            position, rows = self._scan(front, position)
        if position > start:
            return self._cut_span(start, position, size, rows)
        tag, length = _HEADER.unpack_from(front, start)
        if tag in ROWS and length - _LENGTH_MIN > self._body_bytes_max:
            raise LargeRowError(_beyond(tag, length, self._body_bytes_max), self._body_bytes_max)
        _check_length(tag, length, self._body_bytes_max, BackendProtocolError)
        return self._cut(tag, length) if self._has(1 + length) else None

    def _scan(self, front: bytes | bytearray, position: int) -> tuple[int, int]:
        if speed.core is None:
            scan = whole_rows if self.whole else scan_rows
        else:
            scan = speed.core.whole if self.whole else speed.core.scan
        return scan(front, position, *self._pair)

    def _cut_span(self, start: int, position: int, size: int, rows: int) -> bytes:
        """Give out the bytes up to `position`, which may lie beyond what has arrived."""
        self._unfinished = max(0, position - size)
        end = min(position, size)
        span = bytes(self._front[start:end])
        self._start = end
        if end == size:
            self._front = b""
            self._start = 0
        self.rows += rows
        self.span_bytes += len(span)
        return span


def _check_length(tag: int, length: int, body_bytes_max: int, blame: type[LockgateError]) -> None:
    if length < _LENGTH_MIN:
        raise blame(f"message `{tag_name(tag)}`: length {length} is out of bounds")
    if length - _LENGTH_MIN > body_bytes_max:
        error = LimitExceededError if issubclass(blame, ClientProtocolError) else blame
        raise error(_beyond(tag, length, body_bytes_max))


def _beyond(tag: int, length: int, body_bytes_max: int) -> str:
    return f"message `{tag_name(tag)}`: {length - _LENGTH_MIN} bytes exceed the limit of {body_bytes_max}"
