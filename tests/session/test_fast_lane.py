"""Both lanes are one gate: the same dialogue forwards, shows, records and counts the same, whether the fast lane takes it or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.model.catalog import ColumnRef
from lockgate.model.decision import Effect
from lockgate.model.plan import Lookup
from lockgate.model.statement import Analysis, Given, Kind
from lockgate.session.remembered import is_plain
from lockgate.session.wishes import Analyse, Analysed
from lockgate.testing.script import Message, Script
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame
from support.scripted import (
    ORDERS,
    PLAIN,
    TOTALS,
    catalog,
    described,
    done,
    engine,
    error_of,
    failure,
    knows,
    ready,
    tags,
    who,
)  # fmt: skip

ENGINE = engine()
SELECT = "SELECT total FROM orders"
TOTAL = described(("total", ColumnRef(ORDERS, 2)))
BINARY = described(("total", ColumnRef(ORDERS, 2)), binary=True)
OTHER = described(("other", ColumnRef(ORDERS, 1)))
ONE = (be.DataRow((b"7",)), done("SELECT 1"), ready())


def lanes(name: str = "ann", *, durable: bool = True) -> tuple[Script, Script]:
    """The same session twice: with and without a fast lane."""
    a, b = (Script(who(name), catalog(), ENGINE, durable=durable, fast=fast) for fast in (True, False))
    return a, b


def same(fast: Script, slow: Script, steps: Callable[[Script], list[list[Frame]]]) -> list[list[Frame]]:
    """Play the steps in both lanes; everything that anybody can see must be the same."""
    shown = steps(fast)
    assert shown == steps(slow)
    assert fast.recorder.entries == slow.recorder.entries
    assert list(fast.recorder.sealed.values()) == list(slow.recorder.sealed.values())
    ours, theirs = fast.counters.counted, slow.counters.counted
    assert {k: v for k, v in ours.items() if k[0] != "decisions_cached"} == {
        k: v for k, v in theirs.items() if k[0] != "decisions_cached"
    }
    assert slow.passed_fast == 0
    return shown


def simple(play: Script, *answer: be.BackendMessage) -> list[Frame]:
    """One simple query; returns what was forwarded and what was shown."""
    play.clock.ticks += 10
    sent = play.client(fe.Query(SELECT)) + play.forwarded()
    play.clock.ticks += 10
    return sent + play.backend(*(answer or (TOTAL, *ONE)))


def warm(play: Script) -> list[Frame]:
    """The first sight of the statement, which the conversation handles."""
    knows(play, TOTALS)
    return simple(play)


def rounds(play: Script, *, parse: bool, describe: bool, name: str = "", value: bytes = b"5") -> list[Frame]:
    """One round of the extended protocol."""
    play.clock.ticks += 3
    ask: list[Message] = [fe.Parse("", SELECT)] if parse else []
    ask.append(fe.Bind("", name, (), (value,), (0,)))
    if describe:
        ask.append(fe.Describe("P", ""))
    ask += [fe.Execute(""), fe.Sync()]
    shown = play.client(*ask)
    forwarded = play.forwarded()
    letters = tags(forwarded)
    answers: list[be.BackendMessage] = []
    for letter in letters:
        if letter == "P":
            answers.append(be.ParseComplete())
        elif letter == "B":
            answers.append(be.BindComplete())
        elif letter == "D":
            answers.append(TOTAL)
        elif letter == "E":
            answers += [be.DataRow((b"1",)), be.DataRow((b"2",)), done("SELECT 2")]
    play.clock.ticks += 7
    return shown + forwarded + play.backend(*answers, ready())


def test_a_simple_query_seen_before_passes_the_fast_lane() -> None:
    fast, slow = lanes()
    with fast, slow:
        same(fast, slow, lambda play: [warm(play), simple(play), simple(play)])
        assert (fast.passed_fast, fast.answered_fast) == (2, 2)
        assert [e["status"] for e in fast.recorder.of_kind("outcome")] == ["complete"] * 3


@pytest.mark.parametrize("describe", [True, False])
@pytest.mark.parametrize("parse", [True, False])
@pytest.mark.parametrize("name", ["ann", "clara"])
def test_a_round_of_the_extended_protocol_passes_the_fast_lane(name: str, parse: bool, describe: bool) -> None:
    fast, slow = lanes("ann")
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            knows(play, TOTALS)
            first = play.client(fe.Parse("s", SELECT), fe.Sync()) + play.forwarded()
            first += play.backend(be.ParseComplete(), ready())
            which = "" if parse else "s"
            return [
                first,
                *(rounds(play, parse=parse, describe=describe, name=which, value=b"%d" % i) for i in range(3)),
            ]

        same(fast, slow, steps)
        assert fast.passed_fast == 2


def test_in_a_transaction_the_lanes_agree_too() -> None:
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            out = [warm(play)]
            knows(play, PLAIN)
            out.append(play.client(fe.Query("BEGIN")) + play.forwarded() + play.backend(done("BEGIN"), ready("T")))
            knows(play, TOTALS)
            answer = (TOTAL, be.DataRow((b"7",)), done("SELECT 1"), ready("T"))
            return [*out, simple(play, *answer), simple(play, *answer)]

        same(fast, slow, steps)
        assert fast.passed_fast == 1


def test_whatever_the_answer_is_and_however_it_is_cut_the_lanes_agree() -> None:
    answers: list[tuple[be.BackendMessage, ...]] = [
        (failure(), ready()),
        (TOTAL, be.DataRow((b"7",)), failure(), ready()),
        (OTHER, *ONE),
        (BINARY, *ONE),
        (TOTAL, be.NoticeResponse({"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": "hello"}), *ONE),
        (be.ParameterStatus("TimeZone", "UTC"), TOTAL, *ONE),
        (TOTAL, *ONE[:-1], ready("T")),
        (TOTAL, done("SELECT 0"), ready()),
    ]
    for answer in answers:
        fast, slow = lanes()
        with fast, slow:
            same(fast, slow, lambda play, answer=answer: [warm(play), simple(play, *answer)])  # type: ignore[misc]
            assert fast.passed_fast == 1


@given(st.integers(1, 60))
@settings(max_examples=15, deadline=None)
def test_an_answer_in_two_pieces_is_the_same_answer(cut: int) -> None:
    whole = b"".join(m.encode() for m in (TOTAL, *ONE))
    cut = min(cut, len(whole) - 1)
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            first = warm(play)
            asked = play.client(fe.Query(SELECT)) + play.forwarded()
            shown = play.backend(whole[:cut]) + play.backend(whole[cut:])
            return [first, asked, shown, simple(play)]

        same(fast, slow, steps)


def test_nothing_is_shown_before_the_intent_is_durable() -> None:
    fast, slow = lanes(durable=False)
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            knows(play, TOTALS)
            play.client(fe.Query(SELECT))
            out = [play.forwarded(), play.backend(TOTAL, *ONE), play.commit()]
            play.client(fe.Query(SELECT))
            withheld = play.backend(TOTAL, *ONE)
            assert withheld == []
            return [*out, play.forwarded(), play.commit()]

        shown = same(fast, slow, steps)
        assert tags(shown[-1]) == "TDCZ"
        assert fast.passed_fast == 1


def test_a_pipelined_message_waits_for_its_turn() -> None:
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            out = [warm(play)]
            play.client(fe.Query(SELECT))
            play.client(fe.Query(SELECT))
            out.append(play.forwarded())
            return [*out, play.backend(TOTAL, *ONE), play.backend(TOTAL, *ONE)]

        same(fast, slow, steps)


@pytest.mark.parametrize("change", ["engine", "catalog", "hour"])
def test_another_world_is_judged_anew(change: str) -> None:
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            out = [warm(play), simple(play)]
            if change == "engine":
                play.around.engine = engine()
            elif change == "catalog":
                play.around.catalog = catalog(generation=2)
            else:
                play.clock.time += timedelta(hours=1)
            if change != "hour":
                play.answer(Analyse, Analysed((TOTALS,), play.around.catalog))
            return [*out, simple(play)]

        same(fast, slow, steps)
        assert fast.passed_fast == (2 if change == "hour" else 1)


def test_malformed_rounds_are_left_to_the_conversation() -> None:
    whole = b"".join(m.encode() for m in (fe.Bind("", "s", (0,), (b"5", None), ()), fe.Execute(""), fe.Sync()))
    play = Script(who("ann"), catalog(), ENGINE, fast=True)
    knows(play, TOTALS)
    play.client(fe.Parse("s", SELECT), fe.Sync())
    play.forwarded()
    play.backend(be.ParseComplete(), ready())
    rounds(play, parse=True, describe=True)
    if play.fast is None:
        raise AssertionError
    passed = 0
    for place in range(len(whole)):
        for value in (0, 1, 2, 0xFF):
            data = whole[:place] + bytes([value]) + whole[place + 1 :]
            if play.fast.ask(data) is None:
                continue
            # What passes is exactly what a full reading of the bytes finds well-formed.
            end = 1 + int.from_bytes(data[1:5], "big")
            assert fe.decode(Frame(data[0], data[5:end])).encode() == data[:end]
            play.fast.asked = None
            passed += 1
    assert passed > len(whole) / 4


def test_an_error_of_a_fast_statement_is_told_as_any_other() -> None:
    fast, slow = lanes()
    with fast, slow:
        shown = same(fast, slow, lambda play: [warm(play), simple(play, failure("57014"), ready())])
        assert error_of([f for f in shown[-1] if f.tag == ord("E")]).sqlstate == "57014"
        assert fast.recorder.of_kind("outcome")[-1]["status"] == "error"


def test_only_a_plan_that_leaves_the_statement_and_its_answer_aloneis_plain() -> None:
    play = Script(who("ann"), catalog(), ENGINE, fast=True)
    warm(play)
    (verdict,) = play.conversation.remembered(SELECT, ()) or ()
    assert is_plain(verdict)
    changed = [
        replace(verdict, sqlstate="42501"), replace(verdict, plan=replace(verdict.plan, lookups=(Lookup(Given(True, 1), "person.email", 25, 25, True),))),
        replace(verdict, analysis=replace(verdict.analysis, effect_free=False)), replace(verdict, parsed=replace(verdict.parsed, kind=Kind.SHOW)),
        replace(verdict, decision=replace(verdict.decision, expires_at=play.clock.time)),
        replace(verdict, decision=replace(verdict.decision, effect=Effect.HOLD)),
    ]  # fmt: skip
    assert not any(is_plain(one) for one in changed)


def test_a_statement_with_another_lifted_constant_passes_the_fast_lane_unasked() -> None:
    def at(value: str) -> tuple[Analysis, str]:
        text = f"SELECT total FROM orders WHERE id = {value}"
        return replace(TOTALS, compared=((Given(False, text.index(value)), 23),)), text

    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            out = []
            knows(play, at("1")[0])
            for value in ("1", "22", "333", "4444"):
                play.client(fe.Query(at(value)[1]))
                out.append(play.forwarded())
                out.append(play.backend(TOTAL, *ONE))
            # Another width is another statement.
            knows(play, at("99999999999")[0])
            play.client(fe.Query(at("99999999999")[1]))
            return [*out, play.forwarded(), play.backend(TOTAL, *ONE)]

        same(fast, slow, steps)
        assert fast.passed_fast == 3
        assert [text.split(b" ")[-1] for text in fast.recorder.sealed.values()] == [
            b"1",
            b"22",
            b"333",
            b"4444",
            b"99999999999",
        ]
