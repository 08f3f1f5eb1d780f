"""Answers that are masked, ordered, computed from stand-ins or looked at pass the fast lane, and nobody can tell from what is shown and recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockgate.classification.content import CELLS_MAX
from lockgate.model.catalog import ColumnRef
from lockgate.model.statement import Analysis
from lockgate.session.wishes import Substitute, Substituted
from lockgate.testing.script import Message, Script
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.typed import from_backend, from_client
from support.scripted import (
    CITY,
    EMAIL,
    EMAILS,
    ORDERS,
    TOTALS,
    begin,
    catalog,
    described,
    done,
    engine,
    error_of,
    grouped,
    knows,
    ready,
    select,
    tags,
    who,
)  # fmt: skip

ENGINE = engine()
TEXT = "SELECT email FROM people"
EMAIL_SHOWN = described(("email", EMAIL))
VALUES = [b"zoe@person.example", None, b"ann@person.example", b"no address"]
INSTEAD = 'SELECT email FROM (SELECT 1) AS "people"'


def lanes() -> tuple[Script, Script]:
    a, b = (Script(who("ann"), catalog(), ENGINE, fast=fast) for fast in (True, False))
    return a, b


def same(fast: Script, slow: Script, steps: Callable[[Script], list[list[Frame]]]) -> list[list[Frame]]:
    """Play the steps in both lanes; everything that anybody can see must be the same."""
    shown = steps(fast)
    assert shown == steps(slow)
    assert fast.recorder.entries == slow.recorder.entries
    assert list(fast.recorder.sealed.values()) == list(slow.recorder.sealed.values())
    assert fast.around.learnt == slow.around.learnt
    assert slow.passed_fast == 0
    return shown


def asked(
    play: Script, *rows: bytes | None, description: be.RowDescription = EMAIL_SHOWN, status: str = "I"
) -> list[Frame]:
    """The statement as a simple query, answered with these rows."""
    play.clock.ticks += 10
    sent = play.client(fe.Query(TEXT)) + play.forwarded()
    play.clock.ticks += 10
    answer = [be.DataRow((value,)) for value in rows]
    return sent + play.backend(description, *answer, done(f"SELECT {len(rows)}"), ready(status))


def round_of(play: Script, *rows: bytes | None, parse: bool, describe: bool, binary: bool = False) -> list[Frame]:
    """The statement as one round of the extended protocol."""
    ask: list[Message] = [fe.Parse("", TEXT)] if parse else []
    ask.append(fe.Bind("", "" if parse else "s", (), (), (int(binary),)))
    if describe:
        ask.append(fe.Describe("P", ""))
    ask += [fe.Execute(""), fe.Sync()]
    shown = play.client(*ask)
    forwarded = play.forwarded()
    answers: list[be.BackendMessage] = []
    for letter in tags(forwarded):
        if letter == "P":
            answers.append(be.ParseComplete())
        elif letter == "B":
            answers.append(be.BindComplete())
        elif letter == "D":
            answers.append(described(("email", EMAIL), binary=binary))
        elif letter == "E":
            answers += [*(be.DataRow((value,)) for value in rows), done(f"SELECT {len(rows)}")]
    return shown + forwarded + play.backend(*answers, ready())


@pytest.mark.parametrize("analysis", [EMAILS, grouped(("email", EMAIL))], ids=["masked", "masked and ordered"])
def test_masked_rows_pass_the_fast_lane(analysis: Analysis) -> None:
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            knows(play, analysis)
            return [asked(play, *VALUES), asked(play, *VALUES[::-1]), asked(play), asked(play, *VALUES[:3])]

        shown = same(fast, slow, steps)
        assert (fast.passed_fast, fast.answered_fast) == (3, 3)
        assert not any(b"person.example" in frame.body for part in shown for frame in part)
        assert [e["receipt"][0]["cells"] for e in fast.recorder.of_kind("outcome")] == [3, 3, 0, 2]  # type: ignore[index]


@pytest.mark.parametrize("describe", [True, False])
@pytest.mark.parametrize("parse", [True, False])
def test_masked_rows_of_the_extended_protocol_pass_the_fast_lane(parse: bool, describe: bool) -> None:
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            knows(play, EMAILS)
            first = play.client(fe.Parse("s", TEXT), fe.Sync()) + play.forwarded()
            first += play.backend(be.ParseComplete(), ready())
            kinds = [False, False, True, True, True]
            return [first, *(round_of(play, *VALUES, parse=parse, describe=describe, binary=b) for b in kinds)]

        same(fast, slow, steps)
        assert fast.answered_fast >= 2


def test_another_date_style_or_epoch_masks_anew() -> None:
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            knows(play, EMAILS)
            out = [asked(play, *VALUES), asked(play, *VALUES)]
            out.append(play.backend(be.ParameterStatus("DateStyle", "German, DMY")))
            out.append(asked(play, *VALUES))
            play.around.epoch = 2
            return [*out, asked(play, *VALUES)]

        shown = same(fast, slow, steps)
        assert shown[1] == shown[3]
        assert shown[3] != shown[4]
        assert fast.answered_fast == 3


def test_a_result_too_large_to_order_is_refused_alike() -> None:
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            knows(play, grouped(("email", EMAIL)))
            play.around.order_buffer_bytes_max = 400
            many = [b"%d@person.example" % number for number in range(10)]
            return [asked(play, b"a@person.example"), asked(play, *many), asked(play, b"a@person.example")]

        shown = same(fast, slow, steps)
        assert "too large" in error_of([f for f in shown[1] if f.tag == ord("E")]).message


def test_another_description_than_the_one_that_agreed_withholds_the_answer() -> None:
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            knows(play, EMAILS)
            other = described(("email", CITY))
            return [asked(play, *VALUES), asked(play, *VALUES, description=other)]

        shown = same(fast, slow, steps)
        assert error_of([f for f in shown[1] if f.tag == ord("E")]).sqlstate == "0A000"


@pytest.mark.parametrize("extended", [False, True])
def test_a_statement_over_stand_ins_passes_the_fast_lane_as_the_other_text(extended: bool) -> None:
    upper = replace(EMAILS, outputs=(replace(EMAILS.outputs[0], plain=False, literal=True),))
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            knows(play, upper).answer(Substitute, Substituted(INSTEAD, EMAIL_SHOWN.encode()[5:], effect_free=True))
            if extended:
                return [round_of(play, b"S1", parse=True, describe=True) for _ in range(3)]
            return [asked(play, b"S1", b"S2") for _ in range(3)]

        shown = same(fast, slow, steps)
        assert fast.answered_fast == 2
        sent = [frame for part in shown for frame in part if frame.tag == (ord("P") if extended else ord("Q"))]
        texts = {(from_client(f, fe.Parse).text if extended else from_client(f, fe.Query).text) for f in sent}
        assert texts == {INSTEAD}
        assert all(sealed.startswith(TEXT.encode()) for sealed in fast.recorder.sealed.values())
        receipts = [e["receipt"] for e in fast.recorder.of_kind("outcome")]
        assert all(one[0]["mode"] == "source" for one in receipts)  # type: ignore[index]


def test_what_was_seen_in_a_transaction_guards_its_errors() -> None:
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            begin(play)
            knows(play, EMAILS)
            out = [asked(play, *VALUES, status="T") for _ in range(2)]
            report = be.ErrorResponse({"S": "ERROR", "V": "ERROR", "C": "22000", "M": "zoe@person.example"})
            return [*out, play.client(fe.Query(TEXT)) + play.forwarded() + play.backend(report, ready("E"))]

        shown = same(fast, slow, steps)
        assert not any(b"person.example" in frame.body for frame in shown[-1])


@pytest.mark.parametrize(("mode", "fast_answers"), [("off", 3), ("sampled", 3), ("full", 2)])
def test_texts_are_looked_at_in_the_fast_lane_too(mode: str, fast_answers: int) -> None:
    """A column that seemed harmless at first sight is not harmless for ever: what is found later withholds its answer."""
    totals = select(("total", ColumnRef(ORDERS, 2)))
    assert totals == TOTALS
    description = described(("total", ColumnRef(ORDERS, 2)))
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            play.around.content = mode
            knows(play, TOTALS)
            harmless = [b"blue"] * CELLS_MAX
            out = [asked(play, *harmless, description=description)]
            out += [asked(play, *harmless, description=description) for _ in range(2)]
            if mode == "sampled":
                play.around.looked_at[ColumnRef(ORDERS, 2)] = 10**6
            return [*out, asked(play, *([b"zoe@shop-client.com"] * 20), description=description)]

        shown = same(fast, slow, steps)
        assert fast.answered_fast == fast_answers
        assert bool(fast.around.learnt) == (mode == "full")
        assert ("E" in tags(shown[-1])) == (mode == "full")
        looked = fast.around.looked_at.get(ColumnRef(ORDERS, 2), 0)
        assert (looked > 0) == (mode != "off")


def test_a_sample_is_taken_over_many_answers() -> None:
    fast, slow = lanes()
    with fast, slow:

        def steps(play: Script) -> list[list[Frame]]:
            play.around.content = "sampled"
            knows(play, TOTALS)
            description = described(("total", ColumnRef(ORDERS, 2)))
            out = [asked(play, b"blue", description=description) for _ in range(4)]
            return [*out, asked(play, *([b"zoe@shop-client.com"] * 20), description=description)]

        shown = same(fast, slow, steps)
        assert "E" in tags(shown[-1])
        assert fast.around.learnt[0].label == "person.email"
        assert from_backend(next(f for f in shown[0] if f.tag == ord("C")), be.CommandComplete).tag == "SELECT 1"
