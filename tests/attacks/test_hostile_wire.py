"""Malformed, oversized, truncated and out-of-order bytes: a clean FATAL or refusal, other sessions unaffected, memory bounded.

Source: threats W-01 to W-08, W-12, W-25, W-26, W-29; PgBouncer CVE-2015-4054, PostgreSQL CVE-2021-23214, pgproto3 CVE-2024-27304.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from lockgate.wire.postgres import startup
from support.gate import GateProcess
from support.servers import create_database, drop_database
from support.sockets import drain


@pytest.fixture(scope="module")
def gate(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(
        pg18, "hostile", "CREATE TABLE t(id int PRIMARY KEY, email text); INSERT INTO t VALUES (1, 'a@b.example')"
    )
    running = (
        GateProcess(
            tmp_path_factory.mktemp("hostile") / "gate",
            {"shop": (dsn, "production")},
            settings={"limits": "login_seconds = 2\nstatement_bytes_max = 4194304"},
        )
        .init()
        .start()
    )
    yield running
    running.stop()
    drop_database(pg18, "hostile")


@pytest.fixture(autouse=True)
def _others_go_on(gate: GateProcess) -> Iterator[None]:
    """Whatever a test does to its own link, another session answers before and after."""
    with gate.connect("bot", "shop") as client:
        yield
        assert client.execute("SELECT 1").fetchone() == (1,)


def link(gate: GateProcess) -> socket.socket:
    made = socket.create_connection((gate.host, gate.port), timeout=60)
    made.settimeout(60)
    return made


def logged_in(gate: GateProcess, parameters: dict[str, str] | None = None, minor: int = 0) -> socket.socket:
    """A raw link after login, with everything up to ReadyForQuery read."""
    made = link(gate)
    made.sendall(
        startup.startup_message([("user", "bot"), ("database", "shop"), *(parameters or {}).items()], minor=minor)
    )
    token = gate.token("bot").encode()
    assert made.recv(9)[:1] == b"R"
    made.sendall(b"p" + struct.pack("!I", len(token) + 5) + token + b"\x00")
    received = b""
    while not received.endswith(b"Z\x00\x00\x00\x05I"):
        part = made.recv(65536)
        assert part, received
        received += part
    return made


def resident_kib(gate: GateProcess) -> int:
    assert gate.process is not None
    return int(Path(f"/proc/{gate.process.pid}/status").read_text().split("VmRSS:")[1].split()[0])


@pytest.mark.parametrize("first", [
    b"\x00\x00\x00\x00", b"\x00\x00\x00\x03", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x08\x00\x09\x00\x00",
    b"\x16\x03\x01\x00\x05hello", b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x10\x00\x03\x00\x00user\x00bo",
    b"\x00\x00\x00\x1c\x00\x03\x00\x00user\x00a\x00user\x00b\x00\x00",
])  # fmt: skip
def test_a_malformed_start_is_ended_with_an_error(gate: GateProcess, first: bytes) -> None:
    with link(gate) as made:
        made.sendall(first)
        if len(first) == 16:
            made.shutdown(socket.SHUT_WR)
        answer = drain(made)
    assert answer[:1] in (b"E", b"", b"\x15")  # the last is TLS's own alert


def test_bytes_before_the_tls_handshake_end_the_connection(gate: GateProcess) -> None:
    with link(gate) as made:
        made.sendall(startup.ssl_request() + startup.startup_message([("user", "bot"), ("database", "shop")]))
        answer = drain(made)
    assert not answer.startswith(b"S")
    assert b"before the handshake" in answer


def test_a_handshake_left_in_the_middle_ends_and_costs_nothing(gate: GateProcess) -> None:
    """Boundary CVE-2026-7776: handshakes that never end. The time for logins ends them, and the gate does not spin meanwhile."""
    assert gate.process is not None
    begun = []
    for _ in range(20):
        made = link(gate)
        made.sendall(startup.ssl_request())
        assert made.recv(1) == b"S"
        made.sendall(b"\x16\x03\x01\x02\x00\x01")
        begun.append(made)
    for made in begun:
        assert drain(made) == b""
        made.close()


def test_gssenc_is_answered_and_tls_follows(gate: GateProcess) -> None:
    with link(gate) as made:
        made.sendall(startup.gss_enc_request())
        assert made.recv(1) == b"N"
        made.sendall(startup.ssl_request())
        assert made.recv(1) == b"S"
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(made) as secured:
            assert secured.version() in ("TLSv1.2", "TLSv1.3")
            secured.sendall(startup.startup_message([("user", "bot"), ("database", "shop")]))
            assert secured.recv(1) == b"R"


def test_encryption_requests_do_not_go_on_for_ever(gate: GateProcess) -> None:
    with link(gate) as made:
        for _ in range(10):
            try:
                made.sendall(startup.gss_enc_request())
            except (BrokenPipeError, ConnectionResetError):
                break
        assert b"too many encryption requests" in drain(made)


@pytest.mark.parametrize(("name", "value"), [
    ("replication", "database"), ("session_authorization", "postgres"), ("role", "postgres"), ("options", "-c role=postgres"),
    ("row_security", "off"), ("client_encoding", "SJIS"), ("standard_conforming_strings", "off"), ("nonsense", "1"),
])  # fmt: skip
def test_a_startup_parameter_that_does_not_pass_is_refused_by_name(gate: GateProcess, name: str, value: str) -> None:
    with link(gate) as made:
        made.sendall(startup.startup_message([("user", "bot"), ("database", "shop"), (name, value)]))
        answer = drain(made)
    assert answer[:1] == b"E"
    assert b"FATAL" in answer


def test_a_statement_before_the_password_ends_the_connection(gate: GateProcess) -> None:
    with link(gate) as made:
        made.sendall(
            startup.startup_message([("user", "bot"), ("database", "shop")]) + b"Q\x00\x00\x00\x0dSELECT 1\x00"
        )
        answer = drain(made)
    assert b"a password was expected" in answer or b"FATAL" in answer
    assert b"SELECT" not in answer


@pytest.mark.parametrize("bytes_", [
    b"Q\x00\x00\x00\x00", b"Q\xff\xff\xff\xff", b"Q\x80\x00\x00\x04", b"\x00\x00\x00\x00\x04", b"z\x00\x00\x00\x04",
    b"B\x00\x00\x00\x08\x00\x00\xff\xff", b"P\x00\x00\x00\x06ab", b"Q\x00\x00\x00\x0aSEL\x00EC", b"Q\x00\x00\x00\x07\xff\xfe\x00",
    b"S\x00\x00\x40\x00", b"D\x00\x00\x00\x06X\x00", b"p\x00\x00\x00\x05\x00",
])  # fmt: skip
def test_a_malformed_message_after_login_is_fatal(gate: GateProcess, bytes_: bytes) -> None:
    with logged_in(gate) as made:
        made.sendall(bytes_)
        if bytes_[:1] == b"Q" and b"\x00\x00\x00\x0a" in bytes_:
            made.sendall(b"\x00")
        answer = drain(made)
    assert b"FATAL" in answer
    assert b"C08P01" in answer or b"C54000" in answer


def test_a_huge_statement_is_refused_with_54000_and_little_memory(gate: GateProcess) -> None:
    before = resident_kib(gate)
    with logged_in(gate) as made:
        size = 300 * 1024 * 1024
        made.sendall(b"Q" + struct.pack("!I", size + 5))
        try:
            for _ in range(300):
                made.sendall(b"x" * 1024 * 1024)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = drain(made)
    assert b"C54000" in answer or answer == b""
    assert resident_kib(gate) - before < 64 * 1024


def test_random_bytes_never_break_the_gate(gate: GateProcess) -> None:
    dice = random.Random(20261122)
    for _ in range(60):
        noise = dice.randbytes(dice.randrange(1, 400))
        with link(gate) as made:
            made.sendall(noise)
            made.shutdown(socket.SHUT_WR)
            drain(made)
    for _ in range(60):
        with logged_in(gate) as made:
            made.sendall(
                bytes([dice.choice(b"QPBDECSHdcfXFp")]) + struct.pack("!I", dice.randrange(4, 60)) + dice.randbytes(56)
            )
            made.shutdown(socket.SHUT_WR)
            drain(made)


def test_one_byte_at_a_time_is_the_same_statement(gate: GateProcess) -> None:
    with logged_in(gate) as made:
        for byte in b"Q\x00\x00\x00\x0dSELECT 1\x00":
            made.sendall(bytes([byte]))
        received = b""
        while not received.endswith(b"Z\x00\x00\x00\x05I"):
            received += made.recv(65536)
    assert b"SELECT 1\x00" in received


HALF_OPEN = (
    b"", startup.ssl_request(), startup.ssl_request() + b"\x16", startup.startup_message([("user", "bot"), ("database", "shop")]),
    startup.startup_message([("user", "bot"), ("database", "shop")])[:9], b"\x16\x03\x01\x02\x00",
)  # fmt: skip
"""What a client may have sent when it stops: nothing, a request, half a handshake, a name without a credential, half a name."""


def test_half_open_logins_do_not_block_a_good_one(gate: GateProcess) -> None:
    idle = []
    try:
        for number in range(500):
            idle.append(link(gate))
            idle[-1].sendall(HALF_OPEN[number % len(HALF_OPEN)])
            if number % 100 == 99:  # in between as well: each of them is ended when the time for logins is over
                with gate.connect("bot", "shop") as client:
                    assert client.execute("SELECT 2").fetchone() == (2,)
    finally:
        for made in idle:
            made.close()


@pytest.mark.parametrize("column", ["1", "email"])
def test_a_client_that_never_reads_does_not_grow_the_gate(
    gate: GateProcess, pg18: EmbeddedPostgres, column: str
) -> None:
    """The server waits as well: what cannot be sent on is not read from it, be it passed as it is or masked."""
    before, waits = resident_kib(gate), 0
    deadline = time.monotonic() + 120
    with logged_in(gate) as made, psycopg.connect(pg18.dsn("hostile"), autocommit=True) as owner:
        text = f"SELECT {column}, repeat('x', 10000) FROM t, generate_series(1, 40000)\x00".encode()
        made.sendall(b"Q" + struct.pack("!I", len(text) + 4) + text)
        while waits < 10:
            assert resident_kib(gate) - before < 96 * 1024
            assert time.monotonic() < deadline, "the server never waited"
            found = owner.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite' AND query LIKE '%generate_series%'"
            ).fetchone()
            waits = waits + 1 if found == (1,) else 0
            time.sleep(0.1)


def test_a_cancel_with_a_wrong_key_does_nothing(gate: GateProcess) -> None:
    for _ in range(50):
        with link(gate) as made:
            made.sendall(startup.cancel_request(random.randrange(1, 5000), os.urandom(4)))
            assert drain(made) == b""


def test_version_3_2_is_spoken_and_newer_ones_are_negotiated(gate: GateProcess) -> None:
    with logged_in(gate, minor=2):
        pass
    with link(gate) as made:
        made.sendall(startup.startup_message([("user", "bot"), ("database", "shop"), ("_pq_.something", "1")], minor=7))
        assert made.recv(1) == b"R"


def test_a_wrong_credential_is_rejected_and_nothing_more_is_said(gate: GateProcess) -> None:
    for user, password in (
        ("bot", "nonsense"),
        ("nobody", gate.token("bot")),
        ("ann", gate.token("bot")),
        ("bot", gate.token("bot") + "x"),
    ):
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(host=gate.host, port=gate.port, user=user, password=password, dbname="shop")
        assert "the credential was not accepted" in str(caught.value)


def test_function_call_messages_are_refused_and_the_session_goes_on(gate: GateProcess) -> None:
    with logged_in(gate) as made:
        made.sendall(b"F\x00\x00\x00\x0e\x00\x00\x03\x67\x00\x00\x00\x00\x00\x00"[:15])
        received = b""
        while not received.endswith(b"Z\x00\x00\x00\x05I"):
            part = made.recv(65536)
            assert part, received
            received += part
    assert b"rule=function-call" in received
