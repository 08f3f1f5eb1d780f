"""TLS from the first byte on, without a request before it, as libpq 17 and later can do.

Source: PostgreSQL documentation, 55.2.10 and `sslnegotiation`; RFC 7301; threats W-02, W-03.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from lockgate.wire.postgres import startup
from support.gate import GateProcess
from support.servers import create_database, drop_database
from support.sockets import drain

HELLO = startup.startup_message([("user", "bot"), ("database", "shop")])


@pytest.fixture(scope="module")
def gate(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(pg18, "direct_tls", "CREATE TABLE t(id int PRIMARY KEY)")
    folder = tmp_path_factory.mktemp("direct_tls") / "gate"
    settings = {"limits": "login_seconds = 3"}
    running = GateProcess(folder, {"shop": (dsn, "development")}, settings=settings).init().start()
    yield running
    assert running.stop() == 0
    drop_database(pg18, "direct_tls")


def secured(gate: GateProcess, *protocols: str, first: bytes = b"") -> ssl.SSLSocket:
    """TLS from the first byte on, with these application protocols."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    made = socket.create_connection((gate.host, gate.port), timeout=60)
    made.sendall(first)
    return context.wrap_socket(made)


def test_libpq_connects_directly(gate: GateProcess) -> None:
    assert psycopg.pq.version() >= 170000
    with gate.connect("bot", "shop", sslnegotiation="direct") as client:
        assert client.execute("SELECT count(*) FROM t").fetchone() == (0,)
        assert client.pgconn.ssl_in_use


def test_a_client_that_insists_on_channel_binding_sends_no_credential(gate: GateProcess) -> None:
    with pytest.raises(psycopg.OperationalError, match="channel binding required"):
        gate.connect("bot", "shop", channel_binding="require")
    with gate.connect("bot", "shop", channel_binding="prefer") as client:
        assert client.execute("SELECT 1").fetchone() == (1,)


def test_a_login_over_direct_tls_in_records_of_one_byte(gate: GateProcess) -> None:
    token = gate.token("bot").encode()
    with secured(gate, "postgresql") as made:
        assert made.selected_alpn_protocol() == "postgresql"
        for byte in HELLO:
            made.send(bytes([byte]))
        assert made.recv(9)[:1] == b"R"
        made.sendall(b"p" + struct.pack("!I", len(token) + 5) + token + b"\0")
        received = b""
        while not received.endswith(b"Z\0\0\0\5I"):
            received += made.recv(65536)


def test_a_cancel_request_may_come_over_direct_tls(gate: GateProcess) -> None:
    with secured(gate, "postgresql") as made:
        made.sendall(startup.cancel_request(1, b"1234"))
        assert drain(made) == b""


@pytest.mark.parametrize("protocols", [(), ("http/1.1",), ("h2", "postgres"), ("Postgresql",)])
def test_another_application_protocol_is_refused(gate: GateProcess, protocols: tuple[str, ...]) -> None:
    with secured(gate, *protocols) as made:
        made.sendall(HELLO)
        answer = drain(made)
    assert b"needs the application protocol" in answer
    assert b"R\0\0\0\x08" not in answer


@pytest.mark.parametrize("again", [startup.ssl_request(), startup.gss_enc_request(), b"\x16\x03\x01\x00\x05"])
def test_encryption_is_not_begun_twice(gate: GateProcess, again: bytes) -> None:
    with secured(gate, "postgresql") as made:
        made.sendall(again)
        answer = drain(made)
    assert b"FATAL" in answer
    assert not answer.startswith((b"S", b"N"))


def test_tls_after_a_refused_gssenc_needs_its_request(gate: GateProcess) -> None:
    """What follows a request in clear is read as the protocol, never as a handshake."""
    made = socket.create_connection((gate.host, gate.port), timeout=60)
    made.sendall(startup.gss_enc_request())
    assert made.recv(1) == b"N"
    made.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert b"TLS begins where a start-up packet was expected" in made.recv(65536)
    made.close()


def test_half_a_handshake_ends_after_the_time_for_logins(gate: GateProcess) -> None:
    made = socket.create_connection((gate.host, gate.port), timeout=60)
    made.sendall(b"\x16\x03\x01\x02\x00")
    while made.recv(65536):
        pass
    made.close()
    gate.connect("bot", "shop", sslnegotiation="direct").close()


def test_a_gate_without_a_certificate_says_so(pg18: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> None:
    dsn = create_database(pg18, "no_tls")
    gate = GateProcess(tmp_path_factory.mktemp("no_tls") / "gate", {"shop": (dsn, "development")}).init()
    lines = [line for line in gate.config.read_text().splitlines() if not line.startswith("tls_")]
    gate.config.write_text("\n".join(lines) + "\n")
    gate.start()
    try:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            secured(gate, "postgresql")
        with gate.connect("bot", "shop", sslmode="disable") as client:
            assert client.execute("SELECT 1").fetchone() == (1,)
    finally:
        assert gate.stop() == 0
        drop_database(pg18, "no_tls")
