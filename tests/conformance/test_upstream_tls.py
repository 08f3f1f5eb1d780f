"""The link to the database is encrypted as the DSN's sslmode says, and a server without TLS is refused where TLS is demanded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from lockgate.cli.x509 import self_signed
from lockgate.testing.engines import EmbeddedPostgres, embedded_installation, scratch_directory
from support.gate import GateProcess
from support.servers import MakeDatabase, create_database


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_sessions_and_analysis_use_tls_when_the_dsn_demands_it(mode: str, tmp_path: Path) -> None:
    certificate, key = self_signed("localhost", now=datetime.now(UTC), lasts=timedelta(days=1))
    authority = tmp_path / "ca.pem"
    authority.write_text(certificate)
    with (
        scratch_directory() as scratch,
        EmbeddedPostgres(
            scratch / "pg", installation=embedded_installation(), certificate=(certificate.encode(), key.encode())
        ) as server,
    ):
        dsn = create_database(server, "shop", "CREATE TABLE t(id int PRIMARY KEY)").replace("127.0.0.1", "localhost")
        gate = (
            GateProcess(tmp_path / "gate", {"shop": (f"{dsn}?sslmode={mode}&sslrootcert={authority}", "production")})
            .init()
            .start()
        )
        try:
            with gate.connect("bot", "shop") as client:
                assert client.execute("SELECT count(*) FROM t").fetchone() == (0,)
                with psycopg.connect(server.dsn("shop"), autocommit=True) as owner:
                    found = owner.execute(
                        "SELECT bool_and(s.ssl), count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename LIKE 'lockgate%'"
                    ).fetchone()
                assert found is not None
                assert found[0] is True
                assert found[1] >= 2
        finally:
            gate.stop()


def test_a_server_without_tls_is_refused_where_tls_is_demanded(
    pg15: EmbeddedPostgres, make_database: MakeDatabase, tmp_path: Path
) -> None:
    dsn = make_database(pg15, "CREATE TABLE t(id int)")
    gate = GateProcess(tmp_path / "gate", {"shop": (f"{dsn}?sslmode=require", "production")})
    with pytest.raises(AssertionError, match="does not offer TLS"):
        gate.init()
