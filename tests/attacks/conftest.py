"""The place where the series are played, one per test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attacks.series import SETUP, Place
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.relay import through
from support.servers import create_database, drop_database

NOISY = """\
@id("bot-writes-where-triggers-are")
@reason("to see what triggers say")
permit (principal == Agent::"bot", action == Action::"write", resource)
when { resource == Table::"public.noisy" || resource == Table::"public.quiet" };
"""


@pytest.fixture(scope="session")
def place(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A gate in production before a counting relay before PostgreSQL 15."""
    name = "series"
    owner = create_database(pg15, name, SETUP)
    relay, dsn = through(owner)
    gate = GateProcess(
        tmp_path_factory.mktemp(name) / "gate",
        {"shop": (dsn, "production")},
        policies={"50-noisy.cedar": NOISY},
        settings={"limits": "bounded_rows = 5\nhold_seconds = 1"},
    )
    gate.init()
    for column, label in (("public.users.prefs->phone", "person.phone"), ("public.noisy.v", "none")):
        gate.label("shop", label, column)
    gate.start()
    found = Place(gate, relay, owner)
    found.learn()
    yield found
    for who in list(found.clients):
        found.drop(who)
    gate.stop()
    relay.close()
    drop_database(pg15, name)
