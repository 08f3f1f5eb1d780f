"""Held statements: nothing runs before a person said so, and every end has its answer and its entry."""

from __future__ import annotations

import pytest

from lockgate.session.wishes import FreshCatalog, Hold, HoldEnded
from lockgate.testing.script import Script
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from support.scripted import (
    PLAIN,
    TOTALS,
    begin,
    catalog,
    done,
    engine,
    error_of,
    knows,
    ready,
    script,
    tags,
    write,
)

UPDATE = "UPDATE orders SET total = '1' WHERE id = '1'"


def held() -> Script:
    play = script("ann", "production")
    notice = knows(play, write()).client(fe.Query(UPDATE))
    assert tags(notice) == "N"
    assert b"request 1" in notice[0].body
    assert play.forwarded() == []
    return play


def test_an_approved_statement_runs_and_its_intent_names_request_and_approver() -> None:
    with held() as play:
        play.answer(Hold, HoldEnded("approved", "boss"))
        assert tags(play.forwarded()) == "Q"
        (intent,) = play.recorder.of_kind("intent")
        assert (intent["request"], intent["approver"], intent["decision"]) == ("1", "boss", "hold")
        assert tags(play.backend(done("UPDATE 1"), ready())) == "CZ"


@pytest.mark.parametrize(
    ("state", "sqlstate", "decision"),
    [
        ("denied", "42501", "deny"),
        ("expired", "42501", "deny"),
        ("cancelled", "57014", "deny"),
        ("odd", "42501", "deny"),
    ],
)
def test_a_hold_that_ends_otherwise_runs_nothing(state: str, sqlstate: str, decision: str) -> None:
    with held() as play:
        play.answer(Hold, HoldEnded(state))
        answer = play.shown()
        assert tags(answer) == "EZ"
        assert error_of(answer).sqlstate == sqlstate
        assert f"rule=hold-{state} request=1" in error_of(answer).fields["D"]
        (entry,) = play.recorder.of_kind("deny")
        assert (entry["decision"], entry["request"]) == (decision, "1")
        assert play.forwarded() == []
        assert play.recorder.of_kind("intent") == []


def test_a_client_that_went_away_while_it_waited_runs_nothing() -> None:
    with held() as play:
        play.answer(Hold, HoldEnded("gone"))
        play.shown()
        assert play.conversation.ended
        assert play.forwarded() == []
        assert play.recorder.of_kind("intent") == []


def test_a_hold_inside_a_transaction_is_refused() -> None:
    with script("ann", "production") as play:
        begin(play)
        answer = knows(play, write()).client(fe.Query(UPDATE))
        assert "rule=hold-in-transaction" in error_of(answer).fields["D"]
        assert play.forwarded() == []
        assert play.holds.opened == []
        knows(play, PLAIN).client(fe.Query("ROLLBACK"))
        play.forwarded()
        play.backend(done("ROLLBACK"), ready())


def test_a_bound_statement_is_held_with_its_parameters() -> None:
    digests = []
    for value in (b"1", b"2"):
        with script("ann", "production") as play:
            knows(knows(play, write()), write()).client(
                fe.Parse("", "UPDATE orders SET total = $1 WHERE id = '1'"),
                fe.Bind("", "", (), (value,)),
                fe.Execute(""),
                fe.Sync(),
            )
            assert tags(play.forwarded()) == "PH"
            play.backend(be.ParseComplete())
            digests.append(play.holds.opened[0]["digest"])
            play.answer(Hold, HoldEnded("denied"))
            assert error_of(play.shown()).sqlstate == "42501"
            assert tags(play.forwarded()) == "PS"
            play.backend(be.error("42601", "x"), ready())
    assert digests[0] != digests[1]


def test_a_batch_with_a_held_statement_is_refused_as_a_whole() -> None:
    with script("ann", "production") as play:
        shown = knows(play, TOTALS, write()).client(fe.Query(f"SELECT total FROM orders; {UPDATE}"))
        assert tags(shown) == "EZ"
        assert error_of(shown).sqlstate == "42501"
        assert "rule=hold-in-batch" in error_of(shown).fields["D"]
        assert play.forwarded() == []
        assert play.holds.opened == []
        assert play.recorder.of_kind("intent") == []


@pytest.mark.parametrize("what", ["catalog", "policies"])
def test_an_approval_is_not_for_what_changed_while_the_statement_was_held(what: str) -> None:
    with held() as play:
        if what == "catalog":
            play.around.catalog = catalog("production", generation=2)
        else:
            play.around.engine = engine()
        play.answer(Hold, HoldEnded("approved", "boss"))
        answer = play.shown()
        assert tags(answer) == "EZ"
        assert error_of(answer).sqlstate == "42501"
        assert "rule=changed-while-held" in error_of(answer).fields["D"]
        assert play.forwarded() == []
        assert play.recorder.of_kind("intent") == []
        assert [e["decision"] for e in play.recorder.of_kind("deny")] == ["deny"]


def test_an_approval_is_compared_with_a_catalog_that_was_read_after_it() -> None:
    with held() as play:
        play.answer(Hold, HoldEnded("approved", "boss"))
        asked = [type(wish) for wish in play.asked]
        assert FreshCatalog in asked[asked.index(Hold) :]
        play.forwarded()
        play.backend(done("UPDATE 1"), ready())


def test_the_approver_is_told_the_statement_and_what_policy_was_asked() -> None:
    with held() as play:
        (opened,) = play.holds.opened
        assert opened["statement"] == UPDATE
        assert opened["groups"] == ("approvers",)
        assert opened["accesses"] == write().accesses
        play.answer(Hold, HoldEnded("denied"))
        play.shown()
