"""What a backend asks for before it lets a client in.

For: the Authentication family of messages, one value each.
Not for: answering them (`frontend.Password`, `scram`); Kerberos, GSSAPI and SSPI are not spoken and are errors.
Source: PostgreSQL documentation, "Message Formats", Authentication*.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lockgate.errors import InvariantError
from lockgate.wire.postgres import body, tags
from lockgate.wire.postgres.body import BodyReader
from lockgate.wire.postgres.frames import message

_OK: Final = 0
_CLEARTEXT: Final = 3
_MD5: Final = 5
_SASL: Final = 10
_SASL_CONTINUE: Final = 11
_SASL_FINAL: Final = 12
_MD5_SALT_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class AuthenticationOk:
    """The client is in."""

    def encode(self) -> bytes:
        """Encode the message."""
        return _message(_OK, b"")


@dataclass(frozen=True, slots=True)
class AuthenticationCleartextPassword:
    """The password itself is wanted."""

    def encode(self) -> bytes:
        """Encode the message."""
        return _message(_CLEARTEXT, b"")


@dataclass(frozen=True, slots=True)
class AuthenticationMD5Password:
    """An MD5 of the password is wanted."""

    salt: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Encode the message."""
        if len(self.salt) != _MD5_SALT_BYTES:
            raise InvariantError("an MD5 salt to send is not 4 bytes long")
        return _message(_MD5, self.salt)


@dataclass(frozen=True, slots=True)
class AuthenticationSASL:
    """A SASL exchange is wanted, with one of these mechanisms, best first."""

    mechanisms: tuple[str, ...]

    def encode(self) -> bytes:
        """Encode the message."""
        if "" in self.mechanisms:
            raise InvariantError("a SASL mechanism to send has no name")
        return _message(_SASL, b"".join(map(body.string, self.mechanisms)) + b"\0")


@dataclass(frozen=True, slots=True)
class AuthenticationSASLContinue:
    """The next step of a SASL exchange."""

    content: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Encode the message."""
        return _message(_SASL_CONTINUE, self.content)


@dataclass(frozen=True, slots=True)
class AuthenticationSASLFinal:
    """The last step of a SASL exchange: the backend proves that it knows the password too."""

    content: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Encode the message."""
        return _message(_SASL_FINAL, self.content)


Authentication = (
    AuthenticationOk
    | AuthenticationCleartextPassword
    | AuthenticationMD5Password
    | AuthenticationSASL
    | AuthenticationSASLContinue
    | AuthenticationSASLFinal
)


def read_authentication(reader: BodyReader) -> Authentication:
    """Read the body of an Authentication message."""
    code = reader.int32()
    if code == _OK:
        return AuthenticationOk()
    if code == _CLEARTEXT:
        return AuthenticationCleartextPassword()
    if code == _MD5:
        return AuthenticationMD5Password(reader.take(_MD5_SALT_BYTES))
    if code == _SASL:
        mechanisms: list[str] = []
        while mechanism := reader.text():
            mechanisms.append(mechanism)
        return AuthenticationSASL(tuple(mechanisms))
    if code == _SASL_CONTINUE:
        return AuthenticationSASLContinue(reader.rest())
    if code == _SASL_FINAL:
        return AuthenticationSASLFinal(reader.rest())
    raise reader.wrong(f"method {code} is not spoken here")


def _message(code: int, content: bytes) -> bytes:
    return message(tags.AUTHENTICATION, body.int32(code) + content)
