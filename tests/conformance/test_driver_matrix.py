"""Every driver through the gate beside a direct connection: the same answers without masked columns, no raw value with them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from conformance.drivers.cases import CASES, WRITES, raw_values
from conformance.drivers.matrix import DRIVERS, Driver, Target, compare, run, stage
from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def place(
    pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Target, Target, GateProcess]]:
    """The same database twice: directly as its owner, and through a gate as a person who may write but not see."""
    with stage(pg15, tmp_path_factory.mktemp("matrix") / "gate") as targets:
        yield targets


@pytest.mark.parametrize(
    "driver", [pytest.param(d, id=d.name, marks=[pytest.mark.slow] if d.slow else []) for d in DRIVERS]
)
def test_a_driver_works_as_if_the_gate_were_not_there(
    driver: Driver, place: tuple[Target, Target, GateProcess]
) -> None:
    reason = driver.needs()
    if reason is not None:
        pytest.skip(reason)
    direct, gated, _ = place
    expected, printed = run(driver, direct)
    assert len(expected) >= len(CASES) + len(WRITES) + driver.specials_min
    assert sum(value in printed for value in raw_values()) > 100, "the direct run must show what the gate hides"
    got, printed = run(driver, gated)
    found = compare(expected, got, printed)
    assert found.raw == ()
    assert found.errors == ()
    assert found.different == ()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT statement FROM pg_cursors",
        "SELECT c FROM pg_cursors c",
        "SELECT 1 FROM pg_cursors WHERE statement ~ 'x'",
    ],
)
def test_what_the_gate_made_of_a_cursors_text_stays_hidden(
    text: str, place: tuple[Target, Target, GateProcess]
) -> None:
    gate = place[2]
    with gate.connect("ann", "matrix") as client, pytest.raises(psycopg.errors.FeatureNotSupported, match="pg_cursors"):
        client.execute(text.encode())


@pytest.mark.parametrize("value", ["current_user::text", "(SELECT email FROM people LIMIT 1)"])
def test_a_search_path_that_is_no_constant_is_refused(value: str, place: tuple[Target, Target, GateProcess]) -> None:
    gate = place[2]
    with gate.connect("ann", "matrix") as client, pytest.raises(psycopg.errors.FeatureNotSupported, match="set_config"):
        client.execute(f"SELECT set_config('search_path', {value}, false)".encode())
