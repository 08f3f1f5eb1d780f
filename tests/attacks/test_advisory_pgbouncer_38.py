"""PgBouncer #38: a cancel request reached another client's backend. Here a key is of one session, for as long as that lives (W-25)."""

from __future__ import annotations

import os
import socket
import threading

import psycopg

from attacks.series import Place
from corpus.client import Address, Client
from lockgate.wire.postgres.startup import cancel_request
from support.waiting import until


def cancel(place: Place, pid: int, key: bytes) -> bytes:
    """Send a cancel request; what is answered, which must be nothing."""
    with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as made:
        made.sendall(cancel_request(pid, key))
        return made.recv(100)


def test_a_key_cancels_its_own_session_and_no_other(place: Place) -> None:
    """Each of three sessions sleeps; one is cancelled, by its own key."""
    gate = place.gate
    sessions = [Client(Address(gate.host, gate.port, "root", gate.token("root"), "shop")) for _ in range(3)]
    ended: dict[int, str] = {}

    def sleep(number: int) -> None:
        answer = sessions[number].simple(f"SELECT pg_sleep({60 if number == 1 else 2})")
        ended[number] = answer.errors[0].sqlstate if answer.errors else ""

    threads = [threading.Thread(target=sleep, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with psycopg.connect(place.owner, autocommit=True) as owner:
        until(lambda: owner.execute(asleep).fetchone() == (3,) or bool(ended))
    first, second = sessions[0], sessions[1]
    for wrong in (os.urandom(4), first._key[:-1] + bytes([first._key[-1] ^ 1]), first._key + b"\0", os.urandom(32)):
        assert cancel(place, first.pid, wrong) == b""
    assert cancel(place, second.pid, first._key) == b""
    assert cancel(place, first.pid, second._key) == b""
    assert cancel(place, second.pid, second._key) == b""
    for thread in threads:
        thread.join(90)
    for session in sessions:
        session.close()
    assert ended == {0: "", 1: "57014", 2: ""}
