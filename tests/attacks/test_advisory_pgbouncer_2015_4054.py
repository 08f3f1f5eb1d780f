"""PgBouncer CVE-2015-4054 and CVE-2012-4575: packets before or beside what was due crashed the pooler (W-12)."""

from __future__ import annotations

import socket
import struct

import pytest

from attacks.series import Place
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres import startup

HELLO = startup.startup_message([("user", "bot"), ("database", "shop")])
EARLY = {
    "a password first": b"p\0\0\0\5x\0",
    "a query first": fe.Query("SELECT 1").encode(),
    "the hello twice": HELLO + HELLO,
    "a query instead of the password": HELLO + fe.Query("DELETE FROM users").encode(),
    "a parse instead of the password": HELLO + fe.Parse("", "DELETE FROM users").encode() + fe.Sync().encode(),
    "a sync instead of the password": HELLO + fe.Sync().encode(),
    "the end instead of the password": HELLO + fe.Terminate().encode(),
    "copy data instead of the password": HELLO + b"d\0\0\0\6ab",
    "a cancel inside": HELLO + startup.cancel_request(1, b"1234"),
    "a database name of four kilobytes": startup.startup_message([("user", "bot"), ("database", "x" * 4096)]),
    "a user name of nine kilobytes": startup.startup_message([("user", "x" * 9000)]),
    "no user": startup.startup_message([("database", "shop")]),
    "nothing but the end": struct.pack("!II", 9, 196608) + b"\0",
    "a version of the future": struct.pack("!II", 9, 4 << 16) + b"\0",
    "version 2": struct.pack("!II", 296, 2 << 16) + b"\0" * 288,
}


@pytest.mark.parametrize("name", EARLY)
def test_what_comes_too_early_is_an_error_and_runs_nothing(place: Place, name: str) -> None:
    before, sent = place.state(), place.relay.sessions()
    with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as made:
        made.sendall(EARLY[name])
        made.shutdown(socket.SHUT_WR)
        answer = b""
        while part := made.recv(65536):
            answer += part
    assert b"R\0\0\0\x08\0\0\0\0" not in answer
    assert place.relay.sessions() == sent
    assert place.state() == before
    assert not place.ask("SELECT 1").errors


def test_what_comes_after_the_end_is_not_run(place: Place) -> None:
    place.drop("ann")
    before = place.state()
    client = place.client("ann")
    client.send(fe.Terminate().encode() + fe.Query("UPDATE users SET hits = 7 WHERE id = 1").encode())
    assert client.read().ended
    place.drop("ann")
    assert place.state() == before
