"""PgBouncer CVE-2021-3935, PostgreSQL CVE-2021-23214, Warpgate #1421: bytes that came in clear before the TLS handshake were taken as sent inside it."""

from __future__ import annotations

import socket
import ssl
import struct
import time

import pytest

from attacks.series import Place
from lockgate.wire.postgres import startup
from support.sockets import drain

HELLO = startup.startup_message([("user", "clara"), ("database", "shop")])


@pytest.mark.parametrize("injected", [b"Q", HELLO, b"\x16\x03\x01", startup.ssl_request()])
def test_bytes_behind_the_request_end_the_connection(place: Place, injected: bytes) -> None:
    with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as made:
        made.sendall(startup.ssl_request() + injected)
        answer = drain(made)
    assert not answer.startswith(b"S")
    assert b"FATAL" in answer


def test_bytes_that_race_the_handshake_are_part_of_it(place: Place) -> None:
    """Sent after the answer, before the handshake: they are read as TLS, which fails, and never as the protocol."""
    with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as made:
        made.sendall(startup.ssl_request())
        assert made.recv(1) == b"S"
        made.sendall(HELLO)
        time.sleep(0.05)
        answer = drain(made)
    assert b"R\0\0\0" not in answer


def test_a_request_inside_tls_is_refused(place: Place) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as plain:
        plain.sendall(startup.ssl_request())
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain) as made:
            made.sendall(startup.ssl_request())
            assert b"FATAL" in drain(made)


def test_bytes_behind_the_password_are_not_run(place: Place) -> None:
    token = place.gate.token("clara").encode()
    text = b"DELETE FROM users\0"
    before = place.state()
    with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as made:
        made.sendall(HELLO)
        assert made.recv(9)[:1] == b"R"
        made.sendall(
            b"p" + struct.pack("!I", len(token) + 5) + token + b"\0Q" + struct.pack("!I", len(text) + 4) + text
        )
        assert b"FATAL" in drain(made)
    assert place.state() == before
