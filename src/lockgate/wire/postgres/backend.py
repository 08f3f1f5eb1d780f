"""What backends say after start-up.

For: one frozen value per message, `decode` from a frame, `encode` to bytes.
Not for: which message may come when. The parts `authentication`, `rows` and `reports` are given out here as well.
Source: PostgreSQL documentation, "Message Formats".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from lockgate.errors import BackendProtocolError, InvariantError
from lockgate.wire.postgres import body, tags
from lockgate.wire.postgres.authentication import (
    Authentication,
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    read_authentication,
)
from lockgate.wire.postgres.body import BodyReader
from lockgate.wire.postgres.frames import Frame, message
from lockgate.wire.postgres.frontend import CopyData, CopyDone
from lockgate.wire.postgres.reports import ErrorResponse, NoticeResponse, Report, error, notice, read_fields
from lockgate.wire.postgres.rows import (
    DataRow,
    Field,
    ParameterDescription,
    RowDescription,
    cells,
    encode_row,
    read_row_description,
)
from lockgate.wire.postgres.startup import KEY_BYTES_MAX, KEY_BYTES_MIN

__all__ = [
    "STATUSES",
    "Authentication",
    "AuthenticationCleartextPassword",
    "AuthenticationMD5Password",
    "AuthenticationOk",
    "AuthenticationSASL",
    "AuthenticationSASLContinue",
    "AuthenticationSASLFinal",
    "BackendKeyData",
    "BackendMessage",
    "BindComplete",
    "CloseComplete",
    "CommandComplete",
    "CopyBothResponse",
    "CopyData",
    "CopyDone",
    "CopyInResponse",
    "CopyOutResponse",
    "DataRow",
    "EmptyQueryResponse",
    "ErrorResponse",
    "Field",
    "FunctionCallResponse",
    "NegotiateProtocolVersion",
    "NoData",
    "NoticeResponse",
    "NotificationResponse",
    "ParameterDescription",
    "ParameterStatus",
    "ParseComplete",
    "PortalSuspended",
    "ReadyForQuery",
    "Report",
    "RowDescription",
    "cells",
    "decode",
    "encode_row",
    "error",
    "notice",
]

STATUSES: Final = ("I", "T", "E")
"""Transaction status: idle, in a transaction, in a failed transaction."""


@dataclass(frozen=True, slots=True)
class BackendKeyData:
    """What a cancel request must repeat; the key is a secret."""

    pid: int
    key: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Encode the message."""
        if not KEY_BYTES_MIN <= len(self.key) <= KEY_BYTES_MAX:
            raise InvariantError("the length of a cancel key to send is out of bounds")
        return message(tags.BACKEND_KEY_DATA, body.int32(self.pid) + self.key)


@dataclass(frozen=True, slots=True)
class ParameterStatus:
    """A setting that the client should know has this value now."""

    name: str
    value: str

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.PARAMETER_STATUS, body.string(self.name) + body.string(self.value))


@dataclass(frozen=True, slots=True)
class ReadyForQuery:
    """The backend waits for the next query; `status` is one of `STATUSES`."""

    status: str

    def encode(self) -> bytes:
        """Encode the message."""
        if self.status not in STATUSES:
            raise InvariantError("a transaction status to send does not exist")
        return message(tags.READY_FOR_QUERY, self.status.encode("ascii"))


@dataclass(frozen=True, slots=True)
class CommandComplete:
    """A statement is done; the tag is its command and often a count."""

    tag: str

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.COMMAND_COMPLETE, body.string(self.tag))


class _Bare:
    """A message without a body."""

    __slots__ = ()
    TAG: int

    def encode(self) -> bytes:
        """Encode the message."""
        return message(self.TAG, b"")


@dataclass(frozen=True, slots=True)
class EmptyQueryResponse(_Bare):
    """An empty text was executed."""

    TAG = tags.EMPTY_QUERY_RESPONSE


@dataclass(frozen=True, slots=True)
class ParseComplete(_Bare):
    """A statement is prepared."""

    TAG = tags.PARSE_COMPLETE


@dataclass(frozen=True, slots=True)
class BindComplete(_Bare):
    """A portal is made."""

    TAG = tags.BIND_COMPLETE


@dataclass(frozen=True, slots=True)
class CloseComplete(_Bare):
    """A statement or portal is forgotten."""

    TAG = tags.CLOSE_COMPLETE


@dataclass(frozen=True, slots=True)
class NoData(_Bare):
    """What was described returns no rows."""

    TAG = tags.NO_DATA


@dataclass(frozen=True, slots=True)
class PortalSuspended(_Bare):
    """The row count asked for is reached, and the portal may have more."""

    TAG = tags.PORTAL_SUSPENDED


class _CopyResponse:
    """The start of a COPY stream: overall format and the format of each column."""

    __slots__ = ()
    TAG: int
    format: int
    column_formats: tuple[int, ...]

    def encode(self) -> bytes:
        """Encode the message."""
        if self.format not in (0, 1):
            raise InvariantError("a COPY format to send is neither 0 nor 1")
        return message(self.TAG, bytes((self.format,)) + body.formats(self.column_formats))


@dataclass(frozen=True, slots=True)
class CopyInResponse(_CopyResponse):
    """The backend waits for a COPY stream."""

    format: int
    column_formats: tuple[int, ...]
    TAG = tags.COPY_IN_RESPONSE


@dataclass(frozen=True, slots=True)
class CopyOutResponse(_CopyResponse):
    """A COPY stream from the backend follows."""

    format: int
    column_formats: tuple[int, ...]
    TAG = tags.COPY_OUT_RESPONSE


@dataclass(frozen=True, slots=True)
class CopyBothResponse(_CopyResponse):
    """COPY streams in both directions follow, as in replication."""

    format: int
    column_formats: tuple[int, ...]
    TAG = tags.COPY_BOTH_RESPONSE


@dataclass(frozen=True, slots=True)
class NotificationResponse:
    """Another session notified a channel this one listens on."""

    pid: int
    channel: str
    payload: str = field(repr=False)

    def encode(self) -> bytes:
        """Encode the message."""
        return message(
            tags.NOTIFICATION_RESPONSE, body.int32(self.pid) + body.string(self.channel) + body.string(self.payload)
        )


@dataclass(frozen=True, slots=True)
class NegotiateProtocolVersion:
    """The backend speaks an older minor version, or does not know some `_pq_.` options.

    Args:
        version: the newest version spoken. Servers send the whole number (196610 is 3.2), although the documentation
            speaks of the minor part; `minor` is right for both.
        unknown_options: names of the options that were not understood.
    """

    version: int
    unknown_options: tuple[str, ...] = ()

    @property
    def minor(self) -> int:
        """The minor version."""
        return self.version & 0xFFFF

    def encode(self) -> bytes:
        """Encode the message."""
        names = b"".join(map(body.string, self.unknown_options))
        count = body.int32(len(self.unknown_options))
        return message(tags.NEGOTIATE_PROTOCOL_VERSION, body.int32(self.version) + count + names)


@dataclass(frozen=True, slots=True)
class FunctionCallResponse:
    """The result of a function call; None is null."""

    value: bytes | None = field(repr=False)

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.FUNCTION_CALL_RESPONSE, body.value(self.value))


BackendMessage = (
    Authentication
    | BackendKeyData
    | ParameterStatus
    | ReadyForQuery
    | RowDescription
    | ParameterDescription
    | DataRow
    | CommandComplete
    | EmptyQueryResponse
    | ParseComplete
    | BindComplete
    | CloseComplete
    | NoData
    | PortalSuspended
    | ErrorResponse
    | NoticeResponse
    | CopyInResponse
    | CopyOutResponse
    | CopyBothResponse
    | CopyData
    | CopyDone
    | NotificationResponse
    | NegotiateProtocolVersion
    | FunctionCallResponse
)


def decode(frame: Frame) -> BackendMessage:
    """Decode one message of a backend.

    Raises:
        BackendProtocolError: an unknown tag, a count or length that does not fit the body, a string that is not UTF-8
            or does not end, or bytes after the end. Errors and notices are read more forgivingly, see `reports`.
    """
    if frame.tag == tags.DATA_ROW:
        return DataRow(tuple(cells(frame.body)))
    if frame.tag == tags.COPY_DATA:
        return CopyData(frame.body)
    if frame.tag == tags.ERROR_RESPONSE:
        return ErrorResponse(read_fields(frame.body))
    if frame.tag == tags.NOTICE_RESPONSE:
        return NoticeResponse(read_fields(frame.body))
    known = _DECODERS.get(frame.tag)
    if known is None:
        raise BackendProtocolError(f"message type `{tags.tag_name(frame.tag)}` does not exist")
    name, read = known
    reader = BodyReader(frame.body, name, BackendProtocolError)
    decoded = read(reader)
    reader.finish()
    return decoded


def _key_data(reader: BodyReader) -> BackendKeyData:
    pid, key = reader.int32(), reader.rest()
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise reader.wrong("the length of the cancel key is out of bounds")
    return BackendKeyData(pid, key)


def _ready(reader: BodyReader) -> ReadyForQuery:
    status = chr(reader.byte())
    if status not in STATUSES:
        raise reader.wrong("the transaction status does not exist")
    return ReadyForQuery(status)


def _copy_format(reader: BodyReader) -> int:
    overall = reader.byte()
    if overall not in (0, 1):
        raise reader.wrong("the format is neither 0 nor 1")
    return overall


def _negotiate(reader: BodyReader) -> NegotiateProtocolVersion:
    version, count = reader.int32(), reader.int32()
    options: list[str] = []
    # Not `range(count)`: a lying count must fail at the first missing name, and a negative one at the end.
    while not reader.at_end() and len(options) < count:
        options.append(reader.text())
    if len(options) != count:
        raise reader.wrong("the count of options is wrong")
    return NegotiateProtocolVersion(version, tuple(options))


_DECODERS: Final[dict[int, tuple[str, Callable[[BodyReader], BackendMessage]]]] = {
    tags.AUTHENTICATION: ("Authentication", read_authentication),
    tags.BACKEND_KEY_DATA: ("BackendKeyData", _key_data),
    tags.BIND_COMPLETE: ("BindComplete", lambda _: BindComplete()),
    tags.CLOSE_COMPLETE: ("CloseComplete", lambda _: CloseComplete()),
    tags.COMMAND_COMPLETE: ("CommandComplete", lambda reader: CommandComplete(reader.text())),
    tags.COPY_BOTH_RESPONSE: ("CopyBothResponse", lambda r: CopyBothResponse(_copy_format(r), r.formats())),
    tags.COPY_DONE: ("CopyDone", lambda _: CopyDone()),
    tags.COPY_IN_RESPONSE: ("CopyInResponse", lambda r: CopyInResponse(_copy_format(r), r.formats())),
    tags.COPY_OUT_RESPONSE: ("CopyOutResponse", lambda r: CopyOutResponse(_copy_format(r), r.formats())),
    tags.EMPTY_QUERY_RESPONSE: ("EmptyQueryResponse", lambda _: EmptyQueryResponse()),
    tags.FUNCTION_CALL_RESPONSE: ("FunctionCallResponse", lambda reader: FunctionCallResponse(reader.value())),
    tags.NEGOTIATE_PROTOCOL_VERSION: ("NegotiateProtocolVersion", _negotiate),
    tags.NO_DATA: ("NoData", lambda _: NoData()),
    tags.NOTIFICATION_RESPONSE: (
        "NotificationResponse",
        lambda reader: NotificationResponse(reader.int32(), reader.text(), reader.text()),
    ),
    tags.PARAMETER_DESCRIPTION: ("ParameterDescription", lambda reader: ParameterDescription(reader.oids())),
    tags.PARAMETER_STATUS: ("ParameterStatus", lambda reader: ParameterStatus(reader.text(), reader.text())),
    tags.PARSE_COMPLETE: ("ParseComplete", lambda _: ParseComplete()),
    tags.PORTAL_SUSPENDED: ("PortalSuspended", lambda _: PortalSuspended()),
    tags.READY_FOR_QUERY: ("ReadyForQuery", _ready),
    tags.ROW_DESCRIPTION: ("RowDescription", read_row_description),
}
