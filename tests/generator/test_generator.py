"""Generated statements over generated schemas: twins cannot be told apart, and nothing stored is shown.

A few hundred statements from fixed seeds in every run; `make generate` goes on for as long as wanted.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

import pytest

from generator.choices import Choices, shrink
from generator.play import Tally
from generator.queries import make_case
from generator.run import play_stage
from generator.schemas import make_schema
from lockgate.testing.engines import debian_installation

LONG_MINUTES = 5


def play(seed: str, deadline: float, statements: int = 0) -> Tally:
    tally = Tally()
    play_stage(seed, 15, deadline, tally, statements, worlds=1 if statements else 3)
    return tally


@pytest.mark.timeout(600)
def test_a_few_generated_statements_show_nothing() -> None:
    if debian_installation(15) is None:
        pytest.skip("Debian package postgresql-15 is not installed")
    tally = play("short", time.monotonic() + 3600, statements=40)
    assert (tally.clear, [str(f) for f in tally.found]) == ([], [])
    assert tally.answered.total() > 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_generated_statements_show_nothing() -> None:
    if debian_installation(15) is None:
        pytest.skip("Debian package postgresql-15 is not installed")
    seed = secrets.token_hex(4)
    tally = play(seed, time.monotonic() + 60 * LONG_MINUTES)
    assert (seed, tally.clear, [str(f) for f in tally.found]) == (seed, [], [])


def test_the_same_seed_makes_the_same_schema_and_statement_and_a_record_makes_it_again() -> None:
    one, other = make_schema(Choices("x")), make_schema(Choices("x"))
    assert one.script == other.script
    drawn = Choices("y")
    case = make_case(drawn, one, "n")
    assert make_case(Choices("y"), other, "n") == make_case(Choices(record=drawn.record), one, "n") == case


def test_shrinking_keeps_what_fails_and_drops_the_rest() -> None:
    def fails(record: Sequence[int]) -> bool:
        return 7 in record

    assert shrink([3, 1, 4, 7, 5, 9, 2, 6], fails) == [7]


def test_statements_use_masked_columns_bare_and_wrapped_in_every_form() -> None:
    made = make_schema(Choices("x"))
    cases = [make_case(Choices(f"case {i}"), made, "n") for i in range(1500)]
    text = " ".join(s for case in cases for s in case.statements)
    for word in ("LATERAL", "UNION", "OVER (", "GROUP BY", "DISTINCT ON", "LIMIT", "COPY", "FETCH", "EXPLAIN", "UPDATE", "MERGE", "upper(",
                 "EXISTS", "PREPARE", "FULL JOIN", "ROLLUP", "RECURSIVE", "WITH TIES", "TABLESAMPLE", "CUBE", "COLLATE", "EXCLUDE", "WITHIN GROUP",
                 "jsonb_", "ROW(", "SAVEPOINT", "$1", "{sur:", "SCROLL", "ROWS FROM", "XMLTABLE", "ANY (SELECT", "1 / ("):  # fmt: skip
        assert word in text
    assert (
        {case.protocol.binary_bind for case in cases}
        == {case.protocol.binary for case in cases}
        == {case.protocol.pipeline for case in cases}
        == {True, False}
    )
