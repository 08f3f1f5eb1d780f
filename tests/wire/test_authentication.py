"""Authentication requests: the methods we do not speak, and wrong salts, are errors."""

from __future__ import annotations

import struct

import pytest

from lockgate.errors import BackendProtocolError, InvariantError
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.authentication import AuthenticationMD5Password, AuthenticationSASL
from lockgate.wire.postgres.backend import decode
from lockgate.wire.postgres.frames import Frame


@pytest.mark.parametrize("code", [1, 2, 4, 6, 7, 8, 9, 13, -1])
def test_methods_that_are_not_spoken_are_refused(code: int) -> None:
    with pytest.raises(BackendProtocolError, match=f"method {code} is not spoken"):
        decode(Frame(tags.AUTHENTICATION, struct.pack("!i", code)))


def test_mechanisms_are_read_in_the_order_of_the_backend() -> None:
    frame = Frame(tags.AUTHENTICATION, b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
    assert decode(frame) == AuthenticationSASL(("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"))


def test_a_list_of_mechanisms_without_end_is_refused() -> None:
    with pytest.raises(BackendProtocolError, match="no end"):
        decode(Frame(tags.AUTHENTICATION, b"\0\0\0\x0aSCRAM-SHA-256\0"))


def test_what_cannot_be_sent_is_our_fault() -> None:
    with pytest.raises(InvariantError):
        AuthenticationMD5Password(b"abc").encode()
    with pytest.raises(InvariantError):
        AuthenticationSASL(("SCRAM-SHA-256", "")).encode()
