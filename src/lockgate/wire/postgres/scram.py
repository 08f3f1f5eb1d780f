"""SCRAM-SHA-256, the client's side, for signing in to a backend.

For: the three messages of the exchange, and proof that the backend knows the password as well.
Not for: channel binding (the flag is `n`: this client does not do it), the server's side, and storing anything.

INVARIANT: the work is bounded by `ITERATIONS_MAX`, so that a false backend cannot keep us busy.

Source: RFC 5802 sections 3, 5 and 7; RFC 7677; RFC 4013 as PostgreSQL's `pg_saslprep` applies it.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import re
import stringprep
import unicodedata
from typing import Final

from lockgate.errors import BackendProtocolError, InvariantError

MECHANISM: Final = "SCRAM-SHA-256"
ITERATIONS_MIN: Final = 4096
ITERATIONS_MAX: Final = 1_000_000
_MESSAGE_BYTES_MAX: Final = 8192
_GS2_HEADER: Final = b"n,,"
_PRINTABLE: Final = re.compile(rb"[\x21-\x2b\x2d-\x7e]+")
_SERVER_FIRST: Final = re.compile(rb"r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,9})")
_SERVER_FINAL: Final = re.compile(rb"v=([A-Za-z0-9+/=]+)")
_SERVER_ERROR: Final = re.compile(rb"e=([a-z0-9-]{1,60})")


class ScramClient:
    """One exchange: `client_first`, `client_final`, `verify`, in this order and once.

    The caller must not take the backend for authenticated before `verify` has returned.

    Args:
        password: as it is configured; prepared here.
        nonce: printable ASCII without comma, unique and unpredictable, such as 18 random bytes in base64.
        user: user name in the exchange; PostgreSQL ignores it and libpq leaves it empty.
    """

    def __init__(self, password: str, nonce: bytes, *, user: str = "") -> None:
        if not _PRINTABLE.fullmatch(nonce):
            raise InvariantError("a SCRAM nonce must be printable ASCII without comma")
        self._password = saslprep(password)
        self._nonce = nonce
        name = user.replace("=", "=3D").replace(",", "=2C").encode("utf-8")
        self._first_bare = b"n=" + name + b",r=" + nonce
        self._server_signature = b""
        self._step = 0
        self.verified = False

    def client_first(self) -> bytes:
        """Make the first message."""
        self._advance(1)
        return _GS2_HEADER + self._first_bare

    def client_final(self, server_first: bytes) -> bytes:
        """Answer the server's first message with the proof.

        Raises:
            BackendProtocolError: not the form of the message, extensions included; a nonce that does not extend ours;
                an iteration count out of bounds.
        """
        self._advance(2)
        found = _SERVER_FIRST.fullmatch(server_first) if len(server_first) <= _MESSAGE_BYTES_MAX else None
        if found is None:
            raise BackendProtocolError("SCRAM: the first message of the backend is malformed")
        nonce, salt, count = found[1], _from_base64(found[2]), int(found[3])
        if not hmac.compare_digest(nonce[: len(self._nonce)], self._nonce) or len(nonce) == len(self._nonce):
            raise BackendProtocolError("SCRAM: the nonce of the backend does not extend ours")
        if not salt:
            raise BackendProtocolError("SCRAM: the backend sent no salt")
        if not ITERATIONS_MIN <= count <= ITERATIONS_MAX:
            raise BackendProtocolError(
                f"SCRAM: {count} iterations are out of bounds ({ITERATIONS_MIN} to {ITERATIONS_MAX})"
            )
        without_proof = b"c=" + base64.b64encode(_GS2_HEADER) + b",r=" + nonce
        signed = b",".join((self._first_bare, server_first, without_proof))
        salted = _salted(self._password, salt, count)
        client_key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._server_signature = _hmac(_hmac(salted, b"Server Key"), signed)
        return without_proof + b",p=" + base64.b64encode(proof)

    def verify(self, server_final: bytes) -> None:
        """Check the server's proof; returning means that the backend knows the password.

        Raises:
            BackendProtocolError: the backend reports an error, or its proof is wrong or malformed.
        """
        self._advance(3)
        if len(server_final) > _MESSAGE_BYTES_MAX:
            raise BackendProtocolError("SCRAM: the last message of the backend is malformed")
        if failed := _SERVER_ERROR.fullmatch(server_final):
            raise BackendProtocolError(f"SCRAM: the backend refused: {failed[1].decode('ascii')}")
        found = _SERVER_FINAL.fullmatch(server_final)
        if found is None:
            raise BackendProtocolError("SCRAM: the last message of the backend is malformed")
        if not hmac.compare_digest(_from_base64(found[1]), self._server_signature):
            raise BackendProtocolError("SCRAM: the backend could not prove that it knows the password")
        self.verified = True

    @property
    def awaits_first(self) -> bool:
        """Whether the server's first message is due."""
        return self._step == 1

    @property
    def awaits_final(self) -> bool:
        """Whether the server's last message is due."""
        return self._step == 2

    def _advance(self, step: int) -> None:
        if self._step != step - 1:
            raise InvariantError("the steps of a SCRAM exchange were called out of order")
        self._step = step


@functools.lru_cache(maxsize=64)
def _salted(password: bytes, salt: bytes, count: int) -> bytes:
    """The salted password, kept as RFC 5802 (5.1) allows: every session opens a link with one of the same few passwords."""
    return hashlib.pbkdf2_hmac("sha256", password, salt, count)


def _hmac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")


def _from_base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise BackendProtocolError("SCRAM: the backend sent malformed base64") from None


_PROHIBITED: Final = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(password: str) -> bytes:
    """Prepare a password as PostgreSQL does: normalise it, or take it as it is when SASLprep would refuse it.

    Raises:
        InvariantError: the password cannot be encoded as UTF-8.
    """
    try:
        raw = password.encode("utf-8")
    except UnicodeEncodeError:
        raise InvariantError("a password cannot be encoded as UTF-8") from None
    if password.isascii():
        return raw
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in password
        if stringprep.in_table_c12(char) or not stringprep.in_table_b1(char)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared or any(refuses(char) for char in prepared for refuses in _PROHIBITED):
        return raw
    return prepared.encode("utf-8") if _is_bidi_sound(prepared) else raw


def _is_bidi_sound(text: str) -> bool:
    """Check RFC 3454 section 6: right-to-left text begins and ends so, and has no left-to-right characters."""
    rightward = [stringprep.in_table_d1(char) for char in text]
    if not any(rightward):
        return True
    return rightward[0] and rightward[-1] and not any(map(stringprep.in_table_d2, text))
