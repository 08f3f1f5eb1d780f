"""The compiled lane behind TLS, on both sides of the gate: the same bytes and entries as the plain core, and nothing left lying in TLS."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate import speed
from lockgate.wire.postgres import backend as be
from support.handshakes import Tls, contexts
from support.lane_stage import (
    MASKED,
    MOVES,
    SELECT,
    TOTAL,
    Bytes,
    both,
    query,
    steps_of,
    streamed,
)
from support.scripted import done, ready

pytestmark = pytest.mark.skipif(
    speed.lane is None, reason="the compiled core is not built: no C compiler or no OpenSSL"
)


@pytest.fixture(scope="module", params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def tls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return contexts(tmp_path_factory.mktemp("tls"), request.param)


@pytest.mark.parametrize(
    ("moves", "passed"), [(["one"] * 4, 2), (["parsed"] * 4, 2), (["transaction"] * 3, 10), (["writes"] * 4, 2)]
)
def test_statements_are_taken_in_c(
    tmp_path_factory: pytest.TempPathFactory, tls: Tls, moves: list[str], passed: int
) -> None:
    assert both(tmp_path_factory, steps_of(*moves), tls=tls).passed >= passed


def test_masked_answers_are_taken_in_c(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> None:
    played = both(tmp_path_factory, [*MASKED["masked"] * 4, *MASKED["masked, some"] * 4], tls=tls)
    assert played.passed >= 5
    shown = streamed(played, "client")
    assert b"person.example" not in shown


PLAYED = {**MOVES, **MASKED}


@given(
    st.lists(
        st.sampled_from(sorted(set(PLAYED) - {"mail", "full", "room", "refused write", "refused text"})),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=12, deadline=None)
def test_any_dialogue_is_the_same_in_both_cores(
    tmp_path_factory: pytest.TempPathFactory, tls: Tls, moves: list[str]
) -> None:
    both(tmp_path_factory, [step for move in moves for _ in range(2) for step in PLAYED[move]], tls=tls)


def answer(rows: int, width: int) -> Bytes:
    return query(SELECT.format(5), TOTAL, *[be.DataRow((b"7" * width,))] * rows, done(f"SELECT {rows}"), ready())


@pytest.mark.parametrize(("rows", "width"), [(1, 16_384), (30, 4_000), (1, 60_000), (300, 2_000), (1, 300_000)])
def test_answers_of_many_records_come_whole_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, tls: Tls, rows: int, width: int
) -> None:
    """Also those that are longer than what is read at once, the rest of which no event announces."""
    steps = [*steps_of("one", "one", "one"), *answer(rows, width), *steps_of("one", "one")]
    played = both(tmp_path_factory, steps, tls=tls)
    shown = streamed(played, "client")
    assert shown.count(be.DataRow((b"7" * width,)).encode()) == rows
    assert shown.endswith(ready().encode())


def test_an_answer_of_some_records_is_taken_in_c(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> None:
    """Read as it comes, each record alone would be the conversation's."""
    once = both(tmp_path_factory, [*steps_of("one", "one"), *answer(10, 4_000) * 3], tls=tls)
    assert once.passed >= 3


@pytest.mark.parametrize("width", [4_000, 30_000])
def test_a_client_that_reads_late_gets_every_byte_once(
    tmp_path_factory: pytest.TempPathFactory, tls: Tls, width: int
) -> None:
    """What is left of a write that TLS had to stop in the middle of is given to it again as it was."""
    steps = [*steps_of("one", "one", "one"), ("deaf", b"1"), *answer(3, width), ("deaf", b"")]
    steps += [("client", b"")] * 12 + steps_of("one", "one")
    played = both(tmp_path_factory, steps, tls=tls)
    assert played.passed >= 3
    shown = streamed(played, "client")
    assert shown.count(be.DataRow((b"7" * width,)).encode()) == 3
    assert shown.endswith(ready().encode())


@pytest.mark.parametrize("how", [b"notify", b"half", b"gone", b"backend, notify", b"backend, half", b"backend, gone"])
@pytest.mark.parametrize("asked", [False, True])
def test_who_leaves_ends_the_session_and_what_ran_is_recorded(
    tmp_path_factory: pytest.TempPathFactory, tls: Tls, how: bytes, asked: bool
) -> None:
    before = MOVES["prepared"][:1] if asked else []
    steps = [*steps_of("prepared", "prepared", "prepared"), *before, ("end", how)]
    played = both(tmp_path_factory, steps, tls=tls)
    entries = b"".join(played.entries)
    assert entries.count(b'"kind":"intent"') == entries.count(b'"kind":"outcome"') == 3 + asked
    assert entries.count(b'"event":"closed"') == 1
