"""What is measured: PostgreSQL directly, relays and poolers that decide nothing, and gates, each under a name.

For: starting and stopping them, and asking a process what it has used.
Not for: measuring (`run`, `growth`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockgate.cli.x509 import self_signed
from lockgate.testing.engines import EmbeddedPostgres, free_port
from support.gate import GateProcess
from support.servers import find_program

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
TLS = ", TLS"
"""How the name of a place ends that is spoken to over TLS."""


@dataclass
class Place:
    """Where pgbench connects, under a name, with TLS where the name says so; `pid` is the process in between, 0 for none."""

    name: str
    port: int
    user: str
    password: str
    pid: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """For libpq programs."""
        return {
            **os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": self.user, "PGPASSWORD": self.password,
            "PGDATABASE": "bench", "PGSSLMODE": "require" if self.is_encrypted else "disable",
        }  # fmt: skip

    @property
    def is_encrypted(self) -> bool:
        """Whether pgbench speaks TLS to it."""
        return self.name.endswith(TLS)

    def cpu_seconds(self) -> float:
        """Processor time that the process in between and its children have used."""
        return sum(_cpu(pid) for pid in _family(self.pid)) if self.pid else 0.0

    def memory_bytes(self) -> int:
        """Resident memory of the process in between and its children."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for pid in _family(self.pid))


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += _family(int(child))
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _lowered(*paths: Path) -> dict[str, str]:
    """As root: what PgBouncer needs to run as nobody."""
    if os.geteuid() != 0:
        return {}
    for path in paths:
        path.chmod(0o777 if path.is_dir() else 0o644)
    return {"user": "nobody"}


@contextlib.contextmanager
def running(command: list[str], **more: str) -> Iterator[int]:
    """A peer's process, ended at last."""
    process = subprocess.Popen(command, **more)  # type: ignore[call-overload]
    try:
        time.sleep(0.5)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def peers(folder: Path, server: EmbeddedPostgres) -> Iterator[list[Place]]:
    """PgBouncer first, then whatever else is installed: haproxy and socat as TCP relays, and no one in between."""
    bouncer = find_program("pgbouncer")
    if bouncer is None:
        raise SystemExit("bench needs Debian's package pgbouncer")
    port = free_port()
    users, settings = folder / "users.txt", folder / "pgbouncer.ini"
    certificate, key = folder / "bouncer.pem", folder / "bouncer.key"
    for file, text in zip(
        (certificate, key), self_signed("localhost", now=datetime.now(UTC), lasts=timedelta(days=1)), strict=True
    ):
        file.write_text(text)
    users.write_text('"bench" "bench"\n')
    settings.write_text(
        f"[databases]\nbench = host=127.0.0.1 port={server.port} dbname=bench user=bench password=bench\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = plain\nauth_file = {users}\npool_mode = session\nserver_reset_query =\n"
        "max_client_conn = 200\ndefault_pool_size = 100\nunix_socket_dir =\nignore_startup_parameters = extra_float_digits\n"
        f"client_tls_sslmode = allow\nclient_tls_cert_file = {certificate}\nclient_tls_key_file = {key}\n"
    )
    with contextlib.ExitStack() as stack:
        pid = stack.enter_context(
            running([bouncer, "-q", str(settings)], **_lowered(folder, users, settings, certificate, key))
        )
        found = [Place(name, port, "bench", "bench", pid) for name in ("PgBouncer", "PgBouncer" + TLS)]
        found.append(Place("direct", server.port, "bench", "bench"))
        if haproxy := find_program("haproxy") or shutil.which("haproxy", path="/usr/sbin"):
            port, config = free_port(), folder / "haproxy.cfg"
            config.write_text(
                "defaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n"
                f"listen relay\n bind 127.0.0.1:{port}\n server pg 127.0.0.1:{server.port}\n"
            )
            pid = stack.enter_context(running([haproxy, "-q", "-f", str(config)]))
            found.append(Place("haproxy", port, "bench", "bench", pid))
        if shutil.which("socat"):
            port = free_port()
            listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,nodelay"
            pid = stack.enter_context(running(["socat", listen, f"TCP:127.0.0.1:{server.port},nodelay"]))
            found.append(Place("socat", port, "bench", "bench", pid))
        yield found


def gate_place(name: str, gate: GateProcess, principal: str = "bot") -> Place:
    """A running gate as a place."""
    pid = gate.process.pid if gate.process is not None else 0
    return Place(name, gate.port, principal, gate.token(principal, "--ttl", "12h"), pid)
