"""Fixtures for every room, and the rule about skips: counted by name, and a failure when `CI=true`."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from lockgate.testing.engines import EmbeddedPostgres, debian_installation, scratch_directory
from support.servers import (
    DEBIAN_MAJOR,
    EMBEDDED_MAJOR,
    MakeDatabase,
    Psql,
    Servers,
    create_database,
    drop_database,
    find_program,
    find_psql,
)

ALLOWED_SKIPS: frozenset[str] = frozenset()
"""Node ids that may skip even in CI, because no machine can run them. Empty, and meant to stay so."""

# A slow machine is not a wrong answer: no deadlines.
settings.register_profile("lockgate", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("lockgate")

IN_CI = os.environ.get("CI", "").lower() in {"true", "1"}


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """All PostgreSQL versions at hand."""
    with scratch_directory("lockgate-test-") as scratch:
        running = Servers(scratch)
        try:
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="session")
def pg15(servers: Servers) -> EmbeddedPostgres:
    """Debian's PostgreSQL 15."""
    if debian_installation(DEBIAN_MAJOR) is None:
        pytest.skip(f"Debian package postgresql-{DEBIAN_MAJOR} is not installed")
    return servers.get(DEBIAN_MAJOR)


@pytest.fixture(scope="session")
def pg18(servers: Servers) -> EmbeddedPostgres:
    """The embedded PostgreSQL 18."""
    return servers.get(EMBEDDED_MAJOR)


@pytest.fixture(scope="session", params=[DEBIAN_MAJOR, EMBEDDED_MAJOR], ids=lambda major: f"pg{major}")
def postgres(request: pytest.FixtureRequest) -> EmbeddedPostgres:
    """Each PostgreSQL version in turn: a test that asks for it runs once on each."""
    server: EmbeddedPostgres = request.getfixturevalue(f"pg{request.param}")
    return server


@pytest.fixture
def make_database() -> Iterator[MakeDatabase]:
    """A function that creates databases which are dropped after the test."""
    created: list[tuple[EmbeddedPostgres, str]] = []

    def make(server: EmbeddedPostgres, script: str = "", name: str = "") -> str:
        name = name or f"t_{uuid.uuid4().hex[:12]}"
        created.append((server, name))
        return create_database(server, name, script)

    try:
        yield make
    finally:
        for server, name in created:
            drop_database(server, name)


@pytest.fixture(scope="session")
def psql() -> Psql:
    """psql: the system's own, else the one that comes with the embedded engine."""
    return find_psql()


@pytest.fixture(scope="session")
def pgbouncer() -> str:
    """Path of PgBouncer."""
    path = find_program("pgbouncer")
    if path is None:
        pytest.skip("Debian package pgbouncer is not installed")
    return path


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure in CI; an expected failure is not a skip."""
    if not IN_CI or report.outcome != "skipped" or hasattr(report, "wasxfail") or report.nodeid in ALLOWED_SKIPS:
        return
    report.outcome = "failed"
    report.longrepr = f"skipped, which CI=true forbids: {_reason(report)}"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    longrepr = report.longrepr
    text = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Apply the rule about skips to tests and their fixtures."""
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Apply the rule about skips to whole files."""
    report = yield
    _forbid_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped, by name and with a count."""
    counts = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    for reason, count in sorted(counts.items()):
        terminalreporter.write_line(f"skipped {count}: {reason}")
