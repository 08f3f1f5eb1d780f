"""pgdog #1505: a cancel request that came late cancelled the next client of a pooled connection.

A session's link to the database is its own and ends with it, so a key has nothing to cancel when its session is gone, and a cancel
that comes between two statements cancels neither.
"""

from __future__ import annotations

import socket

from attacks.series import Place
from corpus.client import Address, Client
from lockgate.wire.postgres.startup import cancel_request


def late(place: Place, pid: int, key: bytes) -> None:
    """A cancel request that comes too late."""
    with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as made:
        made.sendall(cancel_request(pid, key))
        assert made.recv(100) == b""


def test_a_cancel_after_the_session_has_ended_meets_nobody(place: Place) -> None:
    gate = place.gate
    address = Address(gate.host, gate.port, "root", gate.token("root"), "shop")
    with Client(address) as gone:
        assert not gone.simple("SELECT 1").errors
        pid, key = gone.pid, gone._key
    with Client(address) as following:
        assert following.pid != pid
        for _ in range(5):
            late(place, pid, key)
            assert not following.simple("SELECT pg_sleep(0.1)").errors


def test_a_cancel_between_two_statements_cancels_neither(place: Place) -> None:
    gate = place.gate
    with Client(Address(gate.host, gate.port, "root", gate.token("root"), "shop")) as client:
        assert not client.simple("SELECT 1").errors
        for _ in range(3):
            late(place, client.pid, client._key)
            assert not client.simple("SELECT 2").errors
