"""PgBouncer CVE-2026-6664: lengths in a client's SCRAM packet overflowed an integer.

A packet of that form is a wrong credential here, whatever its lengths say: nothing is read beyond the message, and others go on.
"""

from __future__ import annotations

import socket
import struct

import pytest

from attacks.series import Place
from lockgate.wire.postgres.startup import startup_message

NAMES = (b"SCRAM-SHA-256\0", b"SCRAM-SHA-256-PLUS\0", b"\0", b"SCRAM-SHA-256", b"")
LENGTHS = (-1, -2, -(2**31), 0, 1, 2**31 - 1, 0x7FFFFFF0, 100)


@pytest.mark.parametrize("name", NAMES)
def test_lengths_inside_a_sasl_packet_overflow_nothing(place: Place, name: bytes) -> None:
    for length in LENGTHS:
        with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as made:
            made.sendall(startup_message([("user", "bot"), ("database", "shop")]))
            assert made.recv(9)[:1] == b"R"
            body = name + struct.pack("!i", length) + b"n,,n=,r=" + b"a" * 24
            made.sendall(b"p" + struct.pack("!I", len(body) + 4) + body)
            answer = b""
            while part := made.recv(65536):
                answer += part
        assert answer[:1] == b"E"
        assert b"R\0\0\0\x08\0\0\0\0" not in answer
    place.drop()
    assert not place.ask("SELECT 1").errors


@pytest.mark.parametrize("length", [0, 3, 4, 2**31 - 1, 2**32 - 1, 16 * 1024 + 5])
def test_the_length_of_the_packet_itself_is_bounded(place: Place, length: int) -> None:
    with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as made:
        made.sendall(startup_message([("user", "bot"), ("database", "shop")]))
        assert made.recv(9)[:1] == b"R"
        made.sendall(b"p" + struct.pack("!I", length) + (b"" if length == 4 else b"x" * 64))
        answer = b""
        while part := made.recv(65536):
            answer += part
    assert answer[:1] == b"E"
