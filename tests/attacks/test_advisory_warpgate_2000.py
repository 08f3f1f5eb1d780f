"""Warpgate #2000: TLS was not always required. Here no credential is asked for in clear, but where the file says so for loopback (W-02)."""

from __future__ import annotations

import socket

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from lockgate.wire.postgres import startup
from support.gate import GateProcess
from support.servers import create_database, drop_database


def test_in_clear_no_password_is_asked_for_and_no_cancel_is_lost(
    pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dsn = create_database(pg15, "tls_only")
    gate = GateProcess(tmp_path_factory.mktemp("tls_only") / "gate", {"shop": (dsn, "development")}).init()
    gate.config.write_text(
        gate.config.read_text().replace("cleartext_on_loopback = true", "cleartext_on_loopback = false")
    )
    gate.start()
    try:
        for parameters in (
            [("user", "bot"), ("database", "shop")],
            [("user", "bot")],
            [("user", "bot"), ("sslmode", "disable")],
        ):
            with socket.create_connection((gate.host, gate.port), timeout=60) as made:
                made.sendall(startup.startup_message(parameters))
                answer = b""
                while part := made.recv(65536):
                    answer += part
            assert answer[:1] == b"E"
        with pytest.raises(psycopg.OperationalError, match="TLS only"):
            gate.connect("bot", "shop", sslmode="disable")
        for mode in ("prefer", "require"):
            with gate.connect("bot", "shop", sslmode=mode) as client:
                assert client.pgconn.ssl_in_use
    finally:
        assert gate.stop() == 0
        drop_database(pg15, "tls_only")
