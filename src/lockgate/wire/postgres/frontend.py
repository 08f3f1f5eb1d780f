"""What clients say after start-up.

For: one frozen value per message, `decode` from a frame, `encode` to bytes.
Not for: which message may come when, and what a statement means. Values, keys and passwords are kept out of `repr`.
Source: PostgreSQL documentation, "Message Formats"; where it is silent, what the server's `exec_*_message` accept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from lockgate.errors import ClientProtocolError, InvariantError
from lockgate.wire.postgres import body, tags
from lockgate.wire.postgres.body import BodyReader
from lockgate.wire.postgres.frames import Frame, message

Kind = Literal["S", "P"]
"""What Describe and Close name: a prepared statement or a portal."""


@dataclass(frozen=True, slots=True)
class Query:
    """Simple query; `raw` is the text's bytes without the terminator, filled in when absent."""

    text: str
    raw: bytes = field(default=b"", repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.raw:
            object.__setattr__(self, "raw", body.string(self.text)[:-1])

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.QUERY, body.string(self.text))


@dataclass(frozen=True, slots=True)
class Parse:
    """Prepare a statement; the empty name is the unnamed one, type 0 is left to the server."""

    name: str
    text: str
    parameter_types: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.PARSE, body.string(self.name) + body.string(self.text) + body.oids(self.parameter_types))


@dataclass(frozen=True, slots=True)
class Bind:
    """Make a portal from a statement; a parameter of None is null."""

    portal: str
    statement: str
    parameter_formats: tuple[int, ...] = ()
    parameters: tuple[bytes | None, ...] = field(default=(), repr=False)
    result_formats: tuple[int, ...] = ()

    def format_of_parameter(self, index: int) -> int:
        """Tell the format of one parameter: none given is text, one counts for all."""
        return _format_of(self.parameter_formats, index, len(self.parameters))

    def format_of_result(self, index: int, n_columns: int) -> int:
        """Tell the format of one result column: none given is text, one counts for all.

        Raises:
            ClientProtocolError: several formats are given, but not one per column.
        """
        return _format_of(self.result_formats, index, n_columns)

    def encode(self) -> bytes:
        """Encode the message."""
        return message(
            tags.BIND,
            b"".join(
                (
                    body.string(self.portal),
                    body.string(self.statement),
                    body.formats(self.parameter_formats),
                    body.uint16(len(self.parameters)),
                    *map(body.value, self.parameters),
                    body.formats(self.result_formats),
                )
            ),
        )


def _format_of(formats: tuple[int, ...], index: int, count: int) -> int:
    if not 0 <= index < count:
        raise InvariantError("a format was asked for a column that does not exist")
    if not formats:
        return 0
    if len(formats) == 1:
        return formats[0]
    if len(formats) != count:
        raise ClientProtocolError(f"bind message has {len(formats)} formats for {count} values")
    return formats[index]


@dataclass(frozen=True, slots=True)
class Describe:
    """Ask for the shape of a statement or portal."""

    kind: Kind
    name: str

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.DESCRIBE, _named(self.kind, self.name))


@dataclass(frozen=True, slots=True)
class Execute:
    """Run a portal; `max_rows` of 0 or less is all."""

    portal: str
    max_rows: int = 0

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.EXECUTE, body.string(self.portal) + body.int32(self.max_rows))


@dataclass(frozen=True, slots=True)
class Close:
    """Forget a statement or portal."""

    kind: Kind
    name: str

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.CLOSE, _named(self.kind, self.name))


@dataclass(frozen=True, slots=True)
class Sync:
    """End a pipeline: errors are forgiven after it."""

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.SYNC, b"")


@dataclass(frozen=True, slots=True)
class Flush:
    """Ask for replies before the pipeline ends."""

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.FLUSH, b"")


@dataclass(frozen=True, slots=True)
class CopyData:
    """A piece of a COPY stream, cut anywhere; both sides send it."""

    span: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.COPY_DATA, self.span)


@dataclass(frozen=True, slots=True)
class CopyDone:
    """A COPY stream is complete; both sides send it."""

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.COPY_DONE, b"")


@dataclass(frozen=True, slots=True)
class CopyFail:
    """The client gives a COPY stream up."""

    reason: str

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.COPY_FAIL, body.string(self.reason))


@dataclass(frozen=True, slots=True)
class Terminate:
    """The client leaves."""

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.TERMINATE, b"")


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """Call a function by OID; `rest` (formats and arguments) is kept and not interpreted."""

    oid: int
    rest: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.FUNCTION_CALL, body.uint32(self.oid) + self.rest)


class SaslInitial(NamedTuple):
    """First answer to a SASL request: the mechanism chosen, and its first message if there is one."""

    mechanism: str
    response: bytes | None


@dataclass(frozen=True, slots=True)
class Password:
    """An answer to an authentication request; which one it is depends on the request, so the body stays raw."""

    raw: bytes = field(repr=False)

    @staticmethod
    def of_text(password: str) -> Password:
        """Make the answer to a request for a password."""
        return Password(body.string(password))

    @staticmethod
    def of_sasl_initial(mechanism: str, response: bytes) -> Password:
        """Make the first answer to a SASL request."""
        return Password(body.string(mechanism) + body.value(response))

    def text(self) -> str:
        """Read the body as a password."""
        reader = BodyReader(self.raw, "Password", ClientProtocolError)
        text = reader.text()
        reader.finish()
        return text

    def sasl_initial(self) -> SaslInitial:
        """Read the body as the first answer to a SASL request."""
        reader = BodyReader(self.raw, "SASLInitialResponse", ClientProtocolError)
        initial = SaslInitial(reader.text(), reader.value())
        reader.finish()
        return initial

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.PASSWORD, self.raw)


FrontendMessage = (
    Query
    | Parse
    | Bind
    | Describe
    | Execute
    | Close
    | Sync
    | Flush
    | CopyData
    | CopyDone
    | CopyFail
    | Terminate
    | FunctionCall
    | Password
)


def decode(frame: Frame) -> FrontendMessage:
    """Decode one message of a client.

    Raises:
        ClientProtocolError: an unknown tag, a count or length that does not fit the body, a string that is not UTF-8 or
            does not end, or bytes after the end.
    """
    if frame.tag == tags.COPY_DATA:
        return CopyData(frame.body)
    known = _DECODERS.get(frame.tag)
    if known is None:
        raise ClientProtocolError(f"message type `{tags.tag_name(frame.tag)}` does not exist")
    name, read = known
    reader = BodyReader(frame.body, name, ClientProtocolError)
    decoded = read(reader)
    reader.finish()
    return decoded


def _query(reader: BodyReader) -> Query:
    return Query(reader.text())


def _parse(reader: BodyReader) -> Parse:
    return Parse(reader.text(), reader.text(), reader.oids())


def _bind(reader: BodyReader) -> Bind:
    portal, statement, formats = reader.text(), reader.text(), reader.formats()
    count = reader.uint16()
    if len(formats) > 1 and len(formats) != count:
        raise reader.wrong(f"{len(formats)} formats for {count} parameters")
    parameters = tuple([reader.value() for _ in range(count)])
    return Bind(portal, statement, formats, parameters, reader.formats())


def _kind(reader: BodyReader) -> Kind:
    kind = reader.byte()
    if kind == ord("S"):
        return "S"
    if kind == ord("P"):
        return "P"
    raise reader.wrong("names neither a statement nor a portal")


def _named(kind: Kind, name: str) -> bytes:
    return kind.encode("ascii") + body.string(name)


_DECODERS: Final[dict[int, tuple[str, Callable[[BodyReader], FrontendMessage]]]] = {
    tags.QUERY: ("Query", _query),
    tags.PARSE: ("Parse", _parse),
    tags.BIND: ("Bind", _bind),
    tags.DESCRIBE: ("Describe", lambda reader: Describe(_kind(reader), reader.text())),
    tags.EXECUTE: ("Execute", lambda reader: Execute(reader.text(), reader.int32())),
    tags.CLOSE: ("Close", lambda reader: Close(_kind(reader), reader.text())),
    tags.SYNC: ("Sync", lambda _: Sync()),
    tags.FLUSH: ("Flush", lambda _: Flush()),
    tags.COPY_DONE: ("CopyDone", lambda _: CopyDone()),
    tags.COPY_FAIL: ("CopyFail", lambda reader: CopyFail(reader.text())),
    tags.TERMINATE: ("Terminate", lambda _: Terminate()),
    tags.FUNCTION_CALL: ("FunctionCall", lambda reader: FunctionCall(reader.uint32(), reader.rest())),
    tags.PASSWORD: ("Password", lambda reader: Password(reader.rest())),
}
