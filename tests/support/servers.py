"""Database servers for a test run: one of each version, started when first asked for, stopped at the end.

Not for: a test that stops or kills its server; such a test starts its own with `EmbeddedPostgres`.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from lockgate.testing.engines import (
    EmbeddedPostgres,
    Installation,
    cached_installation,
    debian_installation,
    embedded_installation,
)

DEBIAN_MAJOR = 15
EMBEDDED_MAJOR = 18

MakeDatabase = Callable[..., str]
"""`make_database(server, script="", name="")`: a new database, its DSN; dropped after the test."""


OTHER_MAJORS = (14, 16, 17)
"""Majors that `tools/postgres_majors.py` brings."""


def installation_of(major: int) -> Installation | None:
    """The programs of a major version, None when this machine does not have them."""
    if major == EMBEDDED_MAJOR:
        return embedded_installation()
    return debian_installation(major) or cached_installation(major)


class Servers:
    """The servers of one test process, by major version."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._servers: dict[int, EmbeddedPostgres] = {}

    @property
    def available(self) -> tuple[int, ...]:
        """Major versions that this machine can run."""
        return (DEBIAN_MAJOR, EMBEDDED_MAJOR) if debian_installation(DEBIAN_MAJOR) else (EMBEDDED_MAJOR,)

    def get(self, major: int) -> EmbeddedPostgres:
        """The running server of one major version."""
        if major not in self._servers:
            installation = installation_of(major)
            if installation is None:
                raise LookupError(f"PostgreSQL {major} is not installed")
            # The server's housekeeping has its own time: what it counts and locks would differ from run to run.
            server = EmbeddedPostgres(
                self._scratch / f"pg{major}", password=f"superuser {major}", installation=installation, settings={"autovacuum": "off"},
            )  # fmt: skip
            server.start()
            self._servers[major] = server
        return self._servers[major]

    def stop(self) -> None:
        """Stop every server that was started."""
        while self._servers:
            self._servers.popitem()[1].stop()


def create_database(server: EmbeddedPostgres, name: str, script: str = "") -> str:
    """Create a database from template0, run a script in it, and return its DSN."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    dsn = server.dsn(name)
    if script:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(script.encode())
    return dsn


def drop_database(server: EmbeddedPostgres, name: str) -> None:
    """Drop a database, ending the sessions in it."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@dataclass(frozen=True, slots=True)
class Psql:
    """A psql that runs here; call it with a DSN and arguments or a script."""

    path: str
    environment: Mapping[str, str]

    def run(
        self, dsn: str, *arguments: str, script: str | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run psql without the person's own settings; the output is text, errors are not raised."""
        return subprocess.run(
            [self.path, "--no-psqlrc", "--no-password", *arguments, dsn],
            input=script,
            stdin=subprocess.DEVNULL if script is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **self.environment, **(environment or {})},
        )


def find_psql() -> Psql:
    """The system's psql, else the embedded engine's."""
    system = find_program("psql")
    if system is not None:
        return Psql(system, {})
    embedded = embedded_installation()
    return Psql(str(embedded.program("psql")), embedded.environment)


def find_program(name: str) -> str | None:
    """Full path of a program, also where Debian puts programs for the administrator."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")
