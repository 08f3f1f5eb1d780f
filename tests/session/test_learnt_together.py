"""A statement that one session has learnt is answered at first sight by others under the same conditions, and under no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from lockgate.model.catalog import ColumnRef
from lockgate.policy.engine import Engine, PolicySet
from lockgate.session.together import ABOUT_MAX, CONTEXTS_MAX, Together
from lockgate.session.wishes import Analyse, Analysed
from lockgate.testing.script import Script
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from support.scripted import (
    CITIES,
    CITY,
    EMAILS,
    ORDERS,
    PRINCIPALS,
    TOTALS,
    catalog,
    described,
    done,
    engine,
    knows,
    ready,
    who,
)

ENGINE = engine()
SELECT, OTHER = "SELECT total FROM orders", "SELECT total FROM orders -- another"
TOTAL = described(("total", ColumnRef(ORDERS, 2)))
ONE = (be.DataRow((b"7",)), done("SELECT 1"))
NOBODY = '@id("none") @reason("nobody") forbid (principal, action, resource);'
TIMED = '@id("noon") @reason("at noon") permit (principal, action, resource) when { context.hour == 12 };'


def ask(
    play: Script, text: str = SELECT, status: str = "I", answer: tuple[be.BackendMessage, ...] = (TOTAL, *ONE)
) -> bool:
    """One simple query; whether the fast lane took it."""
    before = play.passed_fast
    play.client(fe.Query(text))
    if play.waiting_for == "Analyse":
        knows(play, TOTALS)
    assert play.forwarded()
    play.backend(*answer, ready(status))
    return play.passed_fast > before


def learnt(play: Script) -> Script:
    """A session that has the statement in its fast lane."""
    assert [ask(play), ask(play)] == [False, True]
    return play


def opened(play: Script) -> Script:
    """A session of whose statements the other has seen none yet."""
    assert not ask(play, OTHER)
    return play


def test_a_session_answers_at_first_sight_what_another_has_learnt_with_entries_of_its_own() -> None:
    shared = Together()
    with (
        Script(who("ann"), catalog(), ENGINE, fast=True, together=shared, session_id="a" * 12) as one,
        Script(who("ann"), catalog(), ENGINE, fast=True, together=shared, session_id="b" * 12) as two,
        Script(who("ann"), catalog(), ENGINE, fast=True, session_id="b" * 12) as alone,
    ):
        learnt(one)
        for play in (two, alone):
            opened(play)
            assert ask(play) is (play is two)
        assert sum(isinstance(wish, Analyse) for wish in two.asked) == 1
        assert two.recorder.entries == alone.recorder.entries
        assert two.recorder.sealed == alone.recorder.sealed
        assert {entry["session"] for entry in two.recorder.entries} == {"b" * 12}


def _later(play: Script) -> None:
    play.clock.time += timedelta(hours=1)


def _elsewhere(play: Script) -> None:
    play.around.database = "other"
    play.around.catalog = replace(play.around.catalog, database="other")


CHANGES: dict[str, Callable[[Together], Script]] = {
    "principal": lambda shared: Script(who("boss"), catalog(), ENGINE, fast=True, together=shared),
    "behalf": lambda shared: Script(who("ann", behalf="boss"), catalog(), ENGINE, fast=True, together=shared),
    "purpose": lambda shared: Script(who("ann", purpose="training"), catalog(), ENGINE, fast=True, together=shared),
    "run": lambda shared: Script(who("ann", run="run-1"), catalog(), ENGINE, fast=True, together=shared),
    "groups": lambda shared: Script(
        replace(who("ann"), principal=replace(PRINCIPALS["ann"], groups=("unmaskers",))), catalog(), ENGINE, fast=True, together=shared
    ),
    "address": lambda shared: Script(who("ann"), catalog(), ENGINE, fast=True, together=shared, client_address="10.0.0.1"),
    "policies": lambda shared: Script(who("ann"), catalog(), engine(), fast=True, together=shared),
    "catalog": lambda shared: Script(who("ann"), catalog(generation=2), ENGINE, fast=True, together=shared),
}  # fmt: skip
MOVES: dict[str, Callable[[Script], None]] = {
    "hour": _later,
    "database": _elsewhere,
    "search_path": lambda play: setattr(play.conversation, "search_path", "other, public"),
    "epoch of pseudonyms": lambda play: setattr(play.around, "epoch", 2),
    "names that were touched": lambda play: setattr(play.conversation, "names_touched", True),
    "a catalogue known to be stale": lambda play: setattr(play.conversation, "catalog_stale", True),
    "a temporary table": lambda play: setattr(play.conversation.own, "version", 1),
}


@pytest.mark.parametrize("change", [*CHANGES, *MOVES])
def test_under_other_conditions_nothing_is_known(change: str) -> None:
    shared = Together()
    learnt(Script(who("ann"), catalog(), ENGINE, fast=True, together=shared))
    play = (
        CHANGES[change](shared)
        if change in CHANGES
        else Script(who("ann"), catalog(), ENGINE, fast=True, together=shared)
    )
    play.conversation.search_path = "public"
    opened(play)
    if change in MOVES:
        MOVES[change](play)
    assert play.fast is not None
    assert play.fast.ask(fe.Query(SELECT).encode()) is None


def test_in_a_transaction_what_was_learnt_outside_of_one_is_not_known() -> None:
    shared = Together()
    learnt(Script(who("ann"), catalog(), ENGINE, fast=True, together=shared))
    play = Script(who("ann"), catalog(), ENGINE, fast=True, together=shared)
    opened(play)
    assert not ask(play, OTHER + "!", "T")
    assert play.fast is not None
    assert play.fast.ask(fe.Query(SELECT).encode()) is None


def test_policies_that_change_and_change_back_take_with_them_what_was_learnt() -> None:
    shared = Together()
    one = learnt(Script(who("ann"), catalog(), ENGINE, fast=True, together=shared))
    two = opened(Script(who("ann"), catalog(), ENGINE, fast=True, together=shared))
    two.around.engine = Engine(PolicySet.load({"10-none.cedar": NOBODY}), PRINCIPALS)
    assert two.fast is not None
    assert two.fast.ask(fe.Query(SELECT).encode()) is None
    two.client(fe.Query(SELECT))
    if two.waiting_for == "Analyse":
        knows(two, TOTALS)
    assert not two.forwarded()
    assert ask(one)


def test_a_permit_that_ends_with_the_hour_is_not_learnt() -> None:
    timed = Engine(PolicySet.load({"10-timed.cedar": TIMED}), PRINCIPALS)
    shared = Together()
    with Script(who("ann"), catalog(), timed, fast=True, together=shared) as play:
        assert [ask(play), ask(play), ask(play)] == [False] * 3
        assert not len(shared)


def test_a_description_that_another_session_saw_is_compared_with_this_ones_rows() -> None:
    shared = Together()
    email = described(("email", next(iter(EMAILS.reads))))
    texts = {
        "SELECT email FROM people": (EMAILS, email),
        "SELECT city FROM people": (CITIES, described(("city", CITY))),
    }
    one, two = (Script(who("ann"), catalog(), ENGINE, fast=True, together=shared) for _ in range(2))
    for play, text in (
        (one, "SELECT email FROM people"),
        (one, "SELECT email FROM people"),
        (two, "SELECT city FROM people"),
    ):
        play.client(fe.Query(text))
        if play.waiting_for == "Analyse":
            play.answer(Analyse, Analysed((texts[text][0],), play.around.catalog))
        play.forwarded()
        play.backend(texts[text][1], be.DataRow((b"a@example.org",)), done("SELECT 1"), ready())
    two.client(fe.Query("SELECT email FROM people"))
    assert two.passed_fast == 1
    two.forwarded()
    shown = b"".join(
        frame.body
        for frame in two.backend(described(("email", CITY)), be.DataRow((b"a@example.org",)), done("SELECT 1"), ready())
    )
    assert b"a@example.org" not in shown
    assert two.answered_fast == 0


def test_a_query_is_never_taken_for_the_body_of_a_parse() -> None:
    shared = Together()
    context = shared.context("conditions")
    with Script(who("ann"), catalog(), ENGINE, fast=True, together=shared) as play:
        learnt(play)
        assert play.fast is not None
        assert play.fast.learnt("body", SELECT.encode()) is None
        assert play.fast.learnt("text", SELECT.encode()) is not None
    assert context.find("I", "text", SELECT.encode()) is None


def test_contexts_are_bounded_and_one_that_was_forgotten_knows_nothing() -> None:
    shared = Together()
    first = shared.context("first")
    assert shared.context("first") is first
    for number in range(CONTEXTS_MAX):
        shared.context(number)
    assert shared.context("first") is not first


def test_what_entries_say_is_one_object_and_bounded() -> None:
    context = Together().context("conditions")
    with Script(who("ann"), catalog(), ENGINE, fast=True) as play:
        ask(play)
        (verdict,) = play.conversation.remembered(SELECT, ()) or ()
    one = context.about({"shape": "a"}, (), verdict.plan)
    assert context.about({"shape": "a"}, (), verdict.plan) is one
    assert context.about({"shape": "a"}, (), replace(verdict.plan, masks=True)) is not one
    for number in range(ABOUT_MAX + 1):
        context.about({"shape": str(number)}, (), verdict.plan)
    assert len(context._abouts) <= ABOUT_MAX
