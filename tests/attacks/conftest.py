"""The place where the series are played, one per test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attacks.series import SETUP, Place
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.relay import through
from support.servers import create_database, drop_database


@pytest.fixture(scope="session")
def place(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A gate in production before a counting relay before PostgreSQL 15."""
    name = "series"
    owner = create_database(pg15, name, SETUP)
    relay, dsn = through(owner)
    gate = GateProcess(
        tmp_path_factory.mktemp(name) / "gate",
        {"shop": (dsn, "production")},
        settings={"limits": "bounded_rows = 5\nhold_seconds = 2"},
    )
    gate.init()
    gate.run(
        "catalog",
        "label",
        "--config",
        str(gate.config),
        "--database",
        "shop",
        "public.users.prefs->phone",
        "person.phone",
    )
    gate.start()
    found = Place(gate, relay, owner)
    found.learn()
    yield found
    for who in list(found.clients):
        found.drop(who)
    gate.stop()
    relay.close()
    drop_database(pg15, name)
