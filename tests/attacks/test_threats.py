"""No known threat of the series for masks and guardrails is forgotten: each has a test that is there, or a reason why it has none."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from attacks.threats import NOT_PLAYED, PLAYED, SIZES

TESTS = Path(__file__).resolve().parents[1]
LIST = TESTS.parents[1] / "shared" / "corpus" / "threats.md"


def played_by_key(series: str) -> set[str]:
    """The threats that are keys of a case table in their series' file."""
    module = import_module(f"attacks.test_series_{series.lower()}")
    tables = [getattr(module, name, {}) for name in ("DENIED", "WRITER_DENIED", "MASKED", "ALLOWED")]
    return {key for table in tables if isinstance(table, dict) for key, texts in table.items() if texts}


@pytest.mark.parametrize("series", sorted(SIZES))
def test_every_threat_is_played_or_has_a_reason_not_to_be(series: str) -> None:
    every = {f"{series}-{number:02}" for number in range(1, SIZES[series] + 1)}
    mine = {key for key in (*PLAYED, *NOT_PLAYED) if key.startswith(f"{series}-")}
    keys = {key for key in played_by_key(series) if key.startswith(f"{series}-")}
    assert sorted(every - mine - keys) == []
    assert sorted((mine | keys) - every) == []
    assert sorted(mine & keys) == []


@pytest.mark.parametrize("threat", sorted(PLAYED))
def test_what_the_table_names_is_there(threat: str) -> None:
    path, _, name = PLAYED[threat].partition("::")
    assert f"def {name}(" in (TESTS / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("series", sorted(SIZES))
def test_the_series_is_as_long_as_in_the_list_where_that_is_at_hand(series: str) -> None:
    text = LIST.read_text(encoding="utf-8") if LIST.exists() else f"{series}-{SIZES[series]}"
    assert max(int(number) for number in re.findall(rf"\b{series}-(\d\d)\b", text)) == SIZES[series]
