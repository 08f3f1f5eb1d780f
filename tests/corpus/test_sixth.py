"""The sixth schema: reports, object mappers and data tools do their work on it, and show nothing of masked values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from corpus.judge import FAILURES, REFUSED, Judge
from corpus.sixth import sixth_cases, sixth_work, sixth_world
from corpus.stage import Stage
from lockgate.testing.engines import debian_installation

REFUSED_MAX = 0.01
MAJOR = 15


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    if debian_installation(MAJOR) is None:
        pytest.skip("Debian package postgresql-15 is not installed")
    world = sixth_world()
    with Stage([world], major=MAJOR) as stage:
        assert stage.x.unreadable == []
        yield Judge(stage, world)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_attack_on_the_sixth_schema_shows_a_masked_value_or_tells_twins_apart(judge: Judge) -> None:
    verdicts = [judge.attack(case) for case in sixth_cases(MAJOR)]
    assert [f"{v.case}: {v.verdict}: {v.remarks}" for v in verdicts if v.verdict in FAILURES] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ordinary_work_on_the_sixth_schema_runs(judge: Judge) -> None:
    verdicts = [judge.benign(case) for case in sixth_work(MAJOR)]
    assert [f"{v.case}: {v.verdict}: {v.remarks}" for v in verdicts if v.verdict in FAILURES] == []
    refused = [f"{v.case}: {v.remarks}" for v in verdicts if v.verdict == REFUSED]
    assert len(refused) <= REFUSED_MAX * len(verdicts), refused
