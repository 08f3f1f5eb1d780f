"""The test suites that psycopg2 and asyncpg ship in their source packages, directly and through the gate: `make driver-suites`.

For: which of a driver's own tests pass directly and not through the gate. Each suite runs twice with pytest against PostgreSQL 15: as a
superuser, and through a gate as a principal who may do everything over the same role (`unsafe_superuser`).
Not for: masks (`tests/conformance/test_driver_matrix.py`). Tests that need a server of their own, started by the suite itself, run in
neither: no gate would be before that server.
It fails when a test differs that `explained.toml` does not name, or when more than one in a hundred differ. One named there that passes is told: some
differ only on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree as ET

import psycopg

from lockgate.testing.engines import EmbeddedPostgres, debian_installation, scratch_directory
from support.gate import GateProcess
from support.tree import ROOT

PRINCIPALS = '[[principal]]\nname = "postgres"\nkind = "person"\ngroups = ["administrators"]\n'
EXPLAINED = Path(__file__).with_name("explained.toml")
PAGE = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- driver suites: begin -->\n", "<!-- driver suites: end -->\n"
HEAD = "| suite | version | tests | pass directly | of them through the gate | differing |\n| --- | --- | --- | --- | --- | --- |\n"
SHARE_MAX = 0.01
DATABASES = ("suites", "asyncpg_intro_test", "postgres")
"""What the suites connect to; the second is made by its suite."""


@dataclass(frozen=True)
class Suite:
    """One driver's tests.

    Args:
        name: of the source package.
        installed: distribution whose version is tested.
        left_out: files that test something else than a connection.
    """

    name: str
    installed: str
    left_out: tuple[str, ...] = ()


SUITES = (
    Suite("psycopg2", "psycopg2-binary"),
    Suite("asyncpg", "asyncpg", ("test__sourcecode.py", "test__environment.py")),
)


def fetch(suite: Suite, cache: Path) -> Path:
    """The unpacked source package of the driver that is installed."""
    number = version(suite.installed)
    place = cache / f"{suite.name}-{number}"
    if not (place / "tests").exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", suite.name, "--dest", str(cache)]  # fmt: skip
        subprocess.run([*command, f"{suite.name}=={number}"], check=True)
        subprocess.run(["tar", "xf", str(cache / f"{suite.name}-{number}.tar.gz")], check=True, cwd=cache)
    return place


def run(suite: Suite, source: Path, place: Path, target: dict[str, str], only: str) -> dict[str, str]:
    """Outcome of each test of one suite against one target: passed, failed, error or skipped."""
    place.mkdir()
    # Beside the installed driver, so that the source tree of the driver itself is not imported.
    subprocess.run(["cp", "-r", str(source / "tests"), str(place / "tests")], check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment |= {
        **target, "PGDATABASE": "suites", "PSYCOPG2_TESTDB": "suites", "PYTHONPATH": str(place), "PYTHONWARNINGS": "default",
    }  # fmt: skip
    report = place / "report.xml"
    left_out = [word for name in suite.left_out for word in ("--ignore", f"tests/{name}")]
    command = [
        sys.executable, "-m", "pytest", "-q", "--tb=native", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", os.devnull, "--rootdir", str(place),
        "--junit-xml", str(report), "-o", "junit_family=xunit1", "--timeout", "600", *left_out, *(["-k", only] if only else []), "tests",
    ]  # fmt: skip
    with (place / "output.txt").open("w") as output:
        subprocess.run(command, cwd=place, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False, timeout=6000)  # fmt: skip
    found = {}
    for case in ET.parse(report).iter("testcase"):
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        found[f"{case.get('classname')}.{case.get('name')}"] = outcome
    return found


def install(server: EmbeddedPostgres) -> None:
    """The extension that psycopg2 tests; asyncpg's suite drops it at its end."""
    with psycopg.connect(server.dsn("suites"), autocommit=True) as link:
        link.execute("CREATE EXTENSION IF NOT EXISTS hstore")


def row(suite: Suite, passing: int, differing: int, tests: int) -> str:
    """One line of the table."""
    return (
        f"| {suite.name} | {version(suite.installed)} | {tests} | {passing} | {passing - differing} | {differing} |\n"
    )


def judged(suite: Suite, expected: dict[str, str], got: dict[str, str]) -> tuple[str, bool]:
    """What both runs of one suite gave: its line, and whether all is explained."""
    passing = [test for test, outcome in expected.items() if outcome == "passed"]
    differing = {test for test in passing if got.get(test) != "passed"}
    explained = set(tomllib.loads(EXPLAINED.read_text(encoding="utf-8")).get(suite.name, {}))
    for test in sorted(differing - explained):
        print(f"not explained: {suite.name}: {test}: {got.get(test, 'not run')}")
    for test in sorted(explained & set(passing) - differing):
        print(f"explained, but passes: {suite.name}: {test}")
    for test, outcome in sorted(expected.items()):
        if outcome in ("failure", "error"):
            print(f"fails directly too: {suite.name}: {test}")
    line = row(suite, len(passing), len(differing), len(expected))
    print(line, flush=True)
    return line, differing <= explained and len(differing) <= SHARE_MAX * max(len(passing), 1)


def main() -> int:
    """Both runs of each suite."""
    parser = argparse.ArgumentParser(description="the suites of psycopg2 and asyncpg directly and through the gate")
    parser.add_argument("suites", nargs="*", default=[suite.name for suite in SUITES])
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/lockgate/driver-suites")
    parser.add_argument("--only", default="", help="pytest's -k")
    parser.add_argument("--outputs", type=Path, help="where what pytest printed is kept")
    parser.add_argument("--write", action="store_true", help="write the table into docs/compatibility.md")
    arguments = parser.parse_args()
    lines, right = [], True
    with scratch_directory("lockgate-suites-") as scratch:
        settings = {"max_prepared_transactions": "10", "max_connections": "200", "wal_level": "logical"}
        server = EmbeddedPostgres(scratch / "pg", password="superuser", installation=debian_installation(15), settings=settings)  # fmt: skip
        server.start()
        with psycopg.connect(server.dsn(), autocommit=True) as link:
            for name in DATABASES[:2]:
                link.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        known = {name: (server.dsn(name), "development") for name in DATABASES}
        gate = GateProcess(scratch / "gate", known, principals=PRINCIPALS)
        gate.init().use_superuser("superuser")
        with psycopg.connect(server.dsn(), autocommit=True) as link:
            link.execute(f"DROP DATABASE {DATABASES[1]}".encode())
        token = gate.token("postgres", "--ttl", "12h")
        direct = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres", "PGPASSWORD": "superuser", "PGSSLMODE": "disable"}  # fmt: skip
        # Without TLS, as directly: some tests look at what a transport keeps, and one that encrypts keeps more.
        gated = {"PGHOST": gate.host, "PGUSER": "postgres", "PGPASSWORD": token, "PGSSLMODE": "disable"}  # fmt: skip
        try:
            chosen = {suite: fetch(suite, arguments.cache) for suite in SUITES if suite.name in arguments.suites}
            runs = {}
            for suite, source in chosen.items():
                install(server)
                runs[suite] = run(suite, source, scratch / f"{suite.name}-direct", direct, arguments.only)
            gate.start()  # only now: its own links to the databases would be in the way of a suite that drops one
            gated["PGPORT"] = str(gate.port)
            for suite, source in chosen.items():
                install(server)
                got = run(suite, source, scratch / f"{suite.name}-gate", gated, arguments.only)
                line, good = judged(suite, runs[suite], got)
                lines.append(line)
                right = right and good
        finally:
            gate.stop()
            server.stop()
            if arguments.outputs:
                for output in scratch.glob("*/output.txt"):
                    arguments.outputs.mkdir(parents=True, exist_ok=True)
                    (arguments.outputs / f"{output.parent.name}.txt").write_bytes(output.read_bytes())
    if arguments.write:
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        PAGE.write_text(before + BEGIN + HEAD + "".join(lines) + END + rest.partition(END)[2], encoding="utf-8")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
