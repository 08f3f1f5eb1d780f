"""Which driver is driven how, and what a run through the gate must look like beside a direct one.

For: `test_driver_matrix.py`, and the table of docs/compatibility.md. Not for: cases (`cases.py`) and drivers (the adapters).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from conformance.drivers.cases import CASES, SETUP, UNLABELLED, WRITES, as_lines, as_objects, raw_values
from lockgate.testing.engines import EmbeddedPostgres, cached_installation_directory
from support.gate import GateProcess
from support.servers import create_database, drop_database
from support.tree import ROOT

HERE = Path(__file__).parent
NODE = HERE / "node"
JDBC = Path("/usr/share/java/postgresql.jar")
PGX = cached_installation_directory(0).with_name("pgx-5")
GO = Path(sysconfig.get_paths()["purelib"]) / "go/bin/go"
Target = dict[str, object]


@dataclass(frozen=True)
class Driver:
    """One row of the matrix.

    Args:
        command: the adapter's command line.
        needs: a reason to skip, or None when the driver is installed.
        specials_min: how many cases of its own the adapter must have reported; fewer means it ended early.
        version: asks the installed driver for its version.
    """

    name: str
    command: tuple[str, ...]
    needs: Callable[[], str | None]
    version: Callable[[], str]
    specials_min: int
    slow: bool = False
    lines: bool = False
    ways: str = ""


def _module(name: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        from importlib.util import find_spec

        return None if find_spec(name) else f"Python package {name} is not installed (make drivers)"

    return missing


def _python_version(package: str) -> Callable[[], str]:
    def ask() -> str:
        from importlib.metadata import version

        return version(package)

    return ask


def _debian_version(package: str) -> Callable[[], str]:
    def ask() -> str:
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False
        )
        return done.stdout.strip().split("-")[0].split(":")[-1].split("+")[0]

    return ask


def _node_version(package: str) -> Callable[[], str]:
    return lambda: str(json.loads((NODE / "node_modules" / package / "package.json").read_text())["version"])


def _file(path: Path, package: str, program: str = "") -> Callable[[], str | None]:
    def missing() -> str | None:
        here = path.exists() and (not program or shutil.which(program) is not None)
        return None if here else f"{package} is not installed"

    return missing


def _node_modules() -> str | None:
    if shutil.which("npm") is None:
        return "npm is not installed"
    if not (NODE / "node_modules" / "pg").exists():
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=NODE, check=True, timeout=300
        )
    return None


def _python(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"conformance.drivers.{name}", *arguments)


def _java(*properties: str) -> tuple[str, ...]:
    return ("java", "-XX:TieredStopAtLevel=1", "-cp", str(JDBC), str(HERE / "java" / "Matrix.java"), *properties)


_JAVA = _file(JDBC, "Debian package libpostgresql-jdbc-java", "java")
DRIVERS = (
    Driver("psycopg 3", _python("psycopg3_adapter"), _module("psycopg"), _python_version("psycopg"), 16,
           ways="text, binary, prepared, pipeline, COPY, server cursors"),
    Driver("psycopg2", _python("psycopg2_adapter"), _module("psycopg2"), _python_version("psycopg2-binary"), 7, slow=True,
           ways="simple queries, named cursors, COPY"),
    Driver("asyncpg", _python("asyncpg_adapter"), _module("asyncpg"), _python_version("asyncpg"), 8,
           ways="binary, prepared, cursors, COPY, type introspection"),
    Driver("SQLAlchemy", _python("sqlalchemy_adapter"), _module("psycopg2"), _python_version("sqlalchemy"), 7, slow=True,
           ways="reflection, core, ORM, async, streams; over psycopg, psycopg2, asyncpg"),
    Driver("Django", _python("django_adapter"), _module("django"), _python_version("django"), 5, slow=True,
           ways="inspectdb, models, atomic, iterator"),
    Driver("pandas", _python("frames_adapter", "pandas"), _module("pandas"), _python_version("pandas"), 4, slow=True,
           ways="read_sql, chunks, read_sql_table, to_sql"),
    Driver("polars, connectorx", _python("frames_adapter", "polars"), _module("polars"), _python_version("connectorx"), 7, slow=True,
           ways="binary (COPY), csv (COPY) and cursor protocol, partitions"),
    Driver("ADBC", _python("frames_adapter", "adbc"), _module("adbc_driver_postgresql"), _python_version("adbc-driver-postgresql"), 3,
           slow=True, ways="Arrow through binary COPY, and without; ingestion"),
    Driver("psqlODBC, pyodbc", _python("odbc_adapter"), _file(Path("/usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so"), "Debian package odbc-postgresql"),
           _debian_version("odbc-postgresql"), 8, slow=True, ways="parameters, catalogue functions, declare and fetch"),
    Driver("node-postgres", ("node", str(NODE / "node_postgres.js")), _node_modules, _node_version("pg"), 9, slow=True,
           ways="simple, extended, named, binary, cursor, COPY, pool"),
    Driver("postgres.js", ("node", str(NODE / "postgres_js.js")), _node_modules, _node_version("postgres"), 8, slow=True,
           ways="pipelined, described, cursor, COPY, transactions"),
    Driver("pgjdbc", _java(), _JAVA, _debian_version("libpostgresql-jdbc-java"), 15, slow=True, lines=True,
           ways="extended, fetch size, batches, COPY, metadata, updatable results"),
    Driver("pgjdbc, binaryTransfer", _java("binaryTransfer=true", "prepareThreshold=-1"), _JAVA, _debian_version("libpostgresql-jdbc-java"), 15, slow=True,
           lines=True, ways="as above, binary from the first execution"),
    Driver("pgjdbc, simple", _java("preferQueryMode=simple"), _JAVA, _debian_version("libpostgresql-jdbc-java"), 15, slow=True, lines=True,
           ways="as above, simple queries"),
    Driver("DBD::Pg", ("perl", str(HERE / "perl" / "dbd_pg.pl")), _file(Path("/usr/lib/x86_64-linux-gnu/perl5"), "Debian package libdbd-pg-perl", "perl"),
           _debian_version("libdbd-pg-perl"), 9, slow=True, ways="server prepares, COPY, savepoints, catalogue methods"),
    Driver("pgx", (str(GO), "run", str(HERE / "go" / "main.go")),
           _file(PGX / "version", "pgx 5, put there by tools/pgx.py,", str(GO)), (PGX / "version").read_text, 15, slow=True,
           ways="statement and description cache, executed, simple, batches, COPY"),
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What one adapter reported for one case."""

    rows: list[list[str | None]] | None
    error: str | None
    text: str = ""


@contextmanager
def stage(server: EmbeddedPostgres, folder: Path) -> Iterator[tuple[Target, Target, GateProcess]]:
    """The fixture, directly as its owner and through a gate as a person who may write but not see."""
    dsn = create_database(server, "matrix", SETUP)
    gate = GateProcess(folder, {"matrix": (dsn, "development")}).init()
    gate.label("matrix", "none", *UNLABELLED)
    gate.start()
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("GRANT ALL ON scratch TO PUBLIC")
    place: Target = {"dbname": "matrix", "sslmode": "disable"}
    direct = place | {"host": "127.0.0.1", "port": server.port, "user": "postgres", "password": server.password}
    gated = place | {
        "host": gate.host,
        "port": gate.port,
        "user": "ann",
        "password": gate.token("ann"),
        "sslmode": "require",
    }
    yield direct, gated, gate
    if gate.stop() != 0:
        raise AssertionError("the gate ended badly")
    drop_database(server, "matrix")


def run(driver: Driver, target: Target) -> tuple[dict[str, Result], str]:
    """Run an adapter; its results by case and everything it printed."""
    cases = CASES + WRITES
    if driver.lines:
        head = "\t".join(str(target[k]) for k in ("host", "port", "user", "password", "dbname", "sslmode"))
        given = head + "\n" + as_lines(cases)
    else:
        given = json.dumps({"target": target, "cases": as_objects(cases)})
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "tests"),
        "GOPATH": str(PGX / "usr/share/gocode"),
        "GO111MODULE": "off",
        "GOTOOLCHAIN": "local",
    }
    done = subprocess.run(
        driver.command, input=given, capture_output=True, text=True, timeout=170, check=False, env=environment
    )
    if done.returncode != 0:
        raise AssertionError(f"{driver.name} ended with {done.returncode}: {done.stderr[-2000:]}{done.stdout[-500:]}")
    found = {}
    for line in done.stdout.splitlines():
        one = json.loads(line)
        found[one["case"]] = Result(one["rows"], one["error"], one.get("text", ""))
    return found, done.stdout


@dataclass(frozen=True)
class Comparison:
    """What differs between a direct run and one through the gate; all empty is what must be."""

    cases: int
    different: tuple[str, ...]
    errors: tuple[str, ...]
    raw: tuple[str, ...]


def compare(direct: dict[str, Result], gated: dict[str, Result], printed: str) -> Comparison:
    """Hold a run through the gate against a direct one."""
    different, errors = [], []
    for name, expected in direct.items():
        got = gated.get(name, Result(None, "not reported"))
        if got.error != expected.error:
            errors.append(f"{name}: {got.error} instead of {expected.error}: {got.text[:160]}")
        elif not name.startswith("masked") and got.rows != expected.rows:
            pairs = zip(expected.rows or (), got.rows or (), strict=False)
            different.append(f"{name}: {next((p for p in pairs if p[0] != p[1]), (expected.rows, got.rows))}")
        elif name.startswith("masked") and [len(r) for r in got.rows or ()] != [len(r) for r in expected.rows or ()]:
            different.append(name)
    return Comparison(len(direct), tuple(different), tuple(errors), tuple(v for v in raw_values() if v in printed))
