"""The fifth and the sixth schema: extensions, partitions, reports and object mappers show nothing of masked values, and ordinary work runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from corpus.cases import Case
from corpus.fifth import fifth_cases, fifth_work, fifth_world
from corpus.judge import FAILURES, REFUSED, Judge, Verdict
from corpus.sixth import sixth_cases, sixth_work, sixth_world
from corpus.stage import Stage
from corpus.twins import World
from lockgate.testing.engines import debian_installation

MAJOR = 15


class Schema(NamedTuple):
    """A schema with its cases, and the share of its work that may be refused."""

    world: Callable[[], World]
    attacks: Callable[[int], list[Case]]
    work: Callable[[int], list[Case]]
    refused_max: float


SCHEMAS = {
    "fifth": Schema(fifth_world, fifth_cases, fifth_work, 0.02),
    "sixth": Schema(sixth_world, sixth_cases, sixth_work, 0.01),
}


@pytest.fixture(scope="module", params=sorted(SCHEMAS))
def played(request: pytest.FixtureRequest) -> Iterator[tuple[Schema, Judge]]:
    if debian_installation(MAJOR) is None:
        pytest.skip("Debian package postgresql-15 is not installed")
    schema = SCHEMAS[request.param]
    world = schema.world()
    with Stage([world], major=MAJOR) as stage:
        assert stage.x.unreadable == []
        yield schema, Judge(stage, world)


def failed(verdicts: list[Verdict]) -> list[str]:
    return [f"{v.case}: {v.verdict}: {v.remarks}" for v in verdicts if v.verdict in FAILURES]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_attack_shows_a_masked_value_or_tells_twins_apart(played: tuple[Schema, Judge]) -> None:
    schema, judge = played
    assert failed([judge.attack(case) for case in schema.attacks(MAJOR)]) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ordinary_work_runs(played: tuple[Schema, Judge]) -> None:
    schema, judge = played
    verdicts = [judge.benign(case) for case in schema.work(MAJOR)]
    assert failed(verdicts) == []
    refused = [f"{v.case}: {v.remarks}" for v in verdicts if v.verdict == REFUSED]
    assert len(refused) <= schema.refused_max * len(verdicts), refused
