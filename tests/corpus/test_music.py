"""Ordinary work over masked data runs: the statements of `music`, at least ninety-eight of a hundred, the clear ones byte for byte."""

from __future__ import annotations

import pytest

from corpus.judge import FAILURES, REFUSED, Judge
from corpus.music import music_cases, music_world
from corpus.stage import Stage
from lockgate.testing.engines import debian_installation

REFUSED_MAX = 0


@pytest.mark.timeout(300)
def test_ordinary_work_over_masked_data_runs() -> None:
    if debian_installation(15) is None:
        pytest.skip("Debian package postgresql-15 is not installed")
    world = music_world()
    with Stage([world]) as stage:
        assert stage.x.unreadable == []
        judge = Judge(stage, world)
        verdicts = [judge.benign(case) for case in music_cases()]
    assert [f"{v.case}: {v.verdict}: {v.remarks}" for v in verdicts if v.verdict in FAILURES] == []
    assert len([f"{v.case}: {v.remarks}" for v in verdicts if v.verdict == REFUSED]) <= REFUSED_MAX
