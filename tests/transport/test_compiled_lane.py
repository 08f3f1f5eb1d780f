"""The compiled lane and the plain one are one gate: on real sockets, the same bytes to both sides and the same bytes in the log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate import speed
from lockgate.ledger.tiles import split_bundle
from lockgate.storage.port import RealFiles, UnsyncedFiles
from lockgate.transport.plane import DataPlaneLoop
from lockgate.wire.postgres import backend as be
from support.lane_stage import MASKED, MOVES, PREPARE, PREPARE_WRITE, Disk, Stage, both, play, steps_of

pytestmark = pytest.mark.skipif(
    speed.lane is None, reason="the compiled core is not built: no C compiler or no OpenSSL"
)


@pytest.mark.parametrize(
    ("moves", "passed"),
    [
        (["one"] * 4, 2),
        (["one", "another", "another", "one"], 2),
        (["unlifted"] * 4, 2),
        (["prepared"] * 4, 2),
        (["prepared, undescribed"] * 4, 2),
        (["parsed"] * 4, 2),
        (["parsed, undescribed"] * 4, 2),
        (["transaction"] * 3, 10),
        (["mail"] * 3, 1),
        (["writes"] * 4, 2),
        (["writes, described"] * 4, 2),
        (["writes, parsed"] * 4, 2),
        (["writes in text"] * 4, 2),
        (["inserts"] * 4, 2),
        (["matched", "matched", "matched others", "matched others"], 2),
        (["matched, equal", "matched", "matched, equal", "matched", "matched, equal", "matched"], 2),
        (["inserts", "inserts others", "inserts others", "inserts"], 2),
        (["writes in a transaction"] * 3, 6),
    ],
)
def test_what_was_taken_once_is_taken_in_c_and_recorded_alike(
    tmp_path_factory: pytest.TempPathFactory, moves: list[str], passed: int
) -> None:
    name = "uma" if moves[0] == "mail" else "ann"
    assert both(tmp_path_factory, steps_of(*moves), name).passed >= passed


@given(
    st.lists(
        st.sampled_from(sorted(set(MOVES) - {"mail", "full", "room", "refused write", "refused text"})),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([UnsyncedFiles, Disk]),
)
@settings(max_examples=25, deadline=None)
def test_any_dialogue_is_the_same_in_both_cores(
    tmp_path_factory: pytest.TempPathFactory, moves: list[str], disk: type[RealFiles]
) -> None:
    both(tmp_path_factory, steps_of(*(move for move in moves for _ in range(2))), disk=disk)


@pytest.mark.parametrize("refuses", ["/dev/full", "/dev/null"])
@pytest.mark.parametrize("move", ["prepared", "one"])
def test_what_the_kernel_did_not_keep_is_answered_in_neither_core(
    tmp_path_factory: pytest.TempPathFactory, move: str, refuses: str
) -> None:
    steps = [*steps_of(move, move, move), ("segment", refuses.encode()), *MOVES[move][:2]]
    played = both(tmp_path_factory, steps, disk=RealFiles)
    shown = b"".join(data for one in played.seen[-2:] for side, data in one if side == "client")
    assert b"58030" in shown
    assert be.DataRow((b"1",)).encode() not in shown


@pytest.mark.parametrize("refuses", ["/dev/full", "/dev/null"])
@pytest.mark.parametrize("move", ["writes", "writes in text"])
def test_a_write_that_the_kernel_did_not_keep_is_forwarded_once_another_segment_has_it(
    tmp_path_factory: pytest.TempPathFactory, move: str, refuses: str
) -> None:
    steps = [*steps_of(move, move, move), ("segment", refuses.encode()), MOVES[move][0]]
    for core in (speed.COMPILED, speed.PLAIN):
        played = play(tmp_path_factory.mktemp(core), steps, core, disk=RealFiles)
        assert dict(played.seen[-1])["client"] == b""
        assert dict(played.seen[-1])["backend"]
        entries = b"".join(played.entries)
        assert entries.count(b'"kind":"intent"') == 4  # the first attempt at the fourth is nowhere
        assert entries.count(b'"entries-dropped"') == 1


def test_nothing_is_shown_of_a_read_whose_intent_could_not_be_made(tmp_path: Path) -> None:
    assert speed.use(speed.COMPILED)

    async def run() -> None:
        stage = Stage(tmp_path, "ann", UnsyncedFiles())
        for side, data in [*PREPARE, *PREPARE_WRITE, *steps_of("prepared", "prepared", "prepared")]:
            await stage.say(side, data)
        assert stage.lane.passed > 0
        stage.log._closed = True  # it takes no entry any more
        (_, asked), (_, answered) = MOVES["prepared"][:2]
        seen = dict(await stage.say("client", asked))
        seen_later = dict(await stage.say("backend", answered))
        assert answered not in seen["client"] + seen_later["client"]
        stage.log._closed = False
        await stage.close()
        stage.log.abandon()

    try:
        with asyncio.Runner(loop_factory=DataPlaneLoop) as runner:
            runner.run(run())
    finally:
        speed.use(speed.AUTO)


@given(st.lists(st.sampled_from([*sorted(MASKED), "one"]), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_masked_answers_are_the_same_in_both_cores(tmp_path_factory: pytest.TempPathFactory, moves: list[str]) -> None:
    steps = [step for move in moves for _ in range(3) for step in (MASKED | MOVES)[move]]
    assert not any(
        b"person.example" in data
        for part in both(tmp_path_factory, steps).seen
        for side, data in part
        if side == "client"
    )


@pytest.mark.parametrize("move", ["masked", "masked, NULL", "masked, none", "masked, some"])
def test_masked_answers_are_taken_in_c(tmp_path_factory: pytest.TempPathFactory, move: str) -> None:
    played = both(tmp_path_factory, MASKED[move] * 4)
    assert played.passed >= 2
    assert played.seen[-1][0][1] == played.seen[5][0][1]


@pytest.mark.parametrize("move", ["masked, named", "masked, parsed"])
def test_texts_that_name_somebody_are_recorded_alike_the_first_and_the_next_time(
    tmp_path_factory: pytest.TempPathFactory, move: str
) -> None:
    other = MASKED["masked, another"]
    played = both(tmp_path_factory, [*MASKED[move] * 5, *other * 3, *MASKED[move]])
    assert played.passed >= 3
    entries = (entry for bundle in played.entries for entry in split_bundle(bundle))
    intents = [json.loads(entry) for entry in entries if b'"kind":"intent"' in entry]
    named = [tuple(entry.get("persons", ())) for entry in intents]
    assert len(intents) == 9
    assert len(set(named)) == 2
    assert named[0] == named[4] == named[8] != named[5] == named[7]
    assert {name for name in named if name}


def test_masks_of_another_epoch_are_made_anew(tmp_path_factory: pytest.TempPathFactory) -> None:
    steps = [*MASKED["masked"] * 4, *MASKED["another epoch"], *MASKED["masked"] * 3]
    shown = [dict(part)["client"] for part in both(tmp_path_factory, steps).seen]
    answers = [one for one in shown if b"@" in one]
    assert len(answers) == 7
    assert set(answers[:4]) == {answers[0]}
    assert set(answers[4:]) == {answers[4]}
    assert answers[0] != answers[4]


@pytest.mark.parametrize(("move", "refused"), [("writes", "refused write"), ("writes in text", "refused text")])
def test_a_write_whose_intent_cannot_be_written_is_never_forwarded(
    tmp_path_factory: pytest.TempPathFactory, move: str, refused: str
) -> None:
    steps = steps_of(move, move, move, "full", refused, "room", move, move)
    for core in (speed.COMPILED, speed.PLAIN):
        played = play(tmp_path_factory.mktemp(core), steps, core, disk=Disk)
        asked = [
            i
            for i, (side, _) in enumerate(s for s in [*PREPARE, *PREPARE_WRITE, *steps] if s[0] != "disk")
            if side == "client"
        ]
        at = asked[-3]
        assert dict(played.seen[at])["backend"] == b""
        assert b"58030" in dict(played.seen[at])["client"]
        # Once there is room again it goes on.
        assert dict(played.seen[at + 1])["backend"] == dict(steps[:1])["client"]
        intents = sum(entry.count(b'"kind":"intent"') for entry in played.entries)
        outcomes = sum(entry.count(b'"status":"complete"') for entry in played.entries)
        assert (intents, outcomes) == (5, 5)


WARM = (
    "writes",
    "writes, parsed",
    "inserts",
    "one",
    "unlifted",
    "prepared",
    "prepared, undescribed",
    "parsed",
    "parsed, undescribed",
)


@given(
    st.sampled_from(WARM),
    st.integers(0, 1),
    st.integers(0, 200),
    st.sampled_from([0, 1, 2, 5, 0x7F, 0xFF]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_are_the_same_to_both_cores(
    tmp_path_factory: pytest.TempPathFactory, move: str, which: int, at: int, value: int, cut: bool
) -> None:
    side, data = MOVES[move][which]
    at %= len(data)
    harmed = data[:at] + bytes([value]) + (b"" if cut else data[at + 1 :])
    steps = [*steps_of(move, move, move), *MOVES[move][:which], (side, harmed), *MOVES[move][which + 1 :]]
    both(tmp_path_factory, steps)
