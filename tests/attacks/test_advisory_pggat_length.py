"""pggat: a message that says it is huge made the pooler allocate as much (W-06, W-07). Here memory follows what has arrived."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from attacks.series import Place
from lockgate.wire.postgres import startup


def resident_kib(place: Place) -> int:
    """Memory of the gate."""
    assert place.gate.process is not None
    return int(Path(f"/proc/{place.gate.process.pid}/status").read_text().split("VmRSS:")[1].split()[0])


def test_what_is_announced_is_not_allocated(place: Place) -> None:
    before = resident_kib(place)
    waiting = []
    for first in (
        struct.pack("!I", 10_000), struct.pack("!I", 9_999) + struct.pack("!I", 196608),
        startup.startup_message([("user", "bot"), ("database", "shop")]) + b"p" + struct.pack("!I", 16_000),
    ):  # fmt: skip
        for _ in range(40):
            made = socket.create_connection((place.gate.host, place.gate.port), timeout=60)
            made.sendall(first)
            waiting.append(made)
    place.drop()
    client = place.client()
    client.send(b"Q" + struct.pack("!I", 60 * 1024 * 1024))
    try:
        assert resident_kib(place) - before < 48 * 1024
    finally:
        for made in waiting:
            made.close()
        place.drop()
    assert not place.ask("SELECT 1").errors
