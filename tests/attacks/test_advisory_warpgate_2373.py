"""Warpgate #2373, electric #630: a GSSENCRequest was not understood, or crashed (W-03)."""

from __future__ import annotations

import socket

import pytest

from attacks.series import Place
from lockgate.wire.postgres import startup

GSS, SSL = startup.gss_enc_request(), startup.ssl_request()
HELLO = startup.startup_message([("user", "bot"), ("database", "shop")])


def test_libpq_that_prefers_gssapi_goes_on_without_it(place: Place) -> None:
    with place.gate.connect("bot", "shop", gssencmode="disable") as client:
        assert client.execute("SELECT 1").fetchone() == (1,)
    with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as made:
        made.sendall(GSS)
        assert made.recv(10) == b"N"
        made.sendall(HELLO)
        assert made.recv(1) == b"R"


@pytest.mark.parametrize("requests", [[GSS] * 1000, [GSS, SSL] * 500, [SSL] * 1000])
def test_requests_without_end_end(place: Place, requests: list[bytes]) -> None:
    with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as made:
        answer = b""
        try:
            made.sendall(b"".join(requests))
            while part := made.recv(65536):
                answer += part
        except (ConnectionResetError, BrokenPipeError):
            pass
    assert len(answer) < 1000
    assert not place.ask("SELECT 1").errors
