"""Held statements of a gate: who decides, what the approver sees, and that every end is recorded once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.control.holds import STATEMENT_SHOWN_CHARS, Holds, visible
from lockgate.errors import CredentialRejectedError
from lockgate.grants.requests import RequestRefusedError
from lockgate.model.decision import Decision, Request
from lockgate.model.identity import Principal
from lockgate.session.wishes import HoldEnded
from lockgate.testing.script import NOON
from support.scripted import catalog, engine, who, write

ENGINE = engine()


class Place:
    """Holds with a clock that is moved by hand and a record in a list."""

    def __init__(self, seconds: float = 300) -> None:
        self.time: datetime = NOON
        self.entries: list[Mapping[str, object]] = []
        self.holds = Holds(
            hold_seconds=seconds,
            now=lambda: self.time,
            record=self._record,
            may_approve=self._may_approve,
            pending_max=3,
        )

    def _record(self, fields: Mapping[str, object]) -> int:
        self.entries.append(fields)
        return len(self.entries) - 1

    def _may_approve(self, approver: Principal, request: Request, groups: tuple[str, ...]) -> Decision:
        return ENGINE.may_approve(approver, request, catalog("production"), hold_groups=groups, now=self.time)

    def open(self, statement: str = "UPDATE orders SET total = '1'", groups: tuple[str, ...] = ("approvers",)) -> str:
        number, _ = self.holds.open(
            identity=who("ann"), database="shop", environment="production", statement=statement, digest="ab" * 32, groups=groups,
            facts={"kind": "update"}, accesses=write().accesses, context={"bounded": True},
        )  # fmt: skip
        return number

    @property
    def events(self) -> list[object]:
        return [entry["event"] for entry in self.entries]

    async def ends(self, number: str, act: Callable[[], object]) -> HoldEnded:
        waiting = asyncio.ensure_future(self.holds.wait(number))
        await asyncio.sleep(0)
        act()
        return await waiting


@pytest.mark.parametrize(("approve", "ended"), [(True, HoldEnded("approved", "boss")), (False, HoldEnded("denied"))])
def test_the_decision_of_an_approver_wakes_the_statement(approve: bool, ended: HoldEnded) -> None:
    place = Place()
    number = place.open()
    assert asyncio.run(place.ends(number, lambda: place.holds.decide(number, who("boss"), approve=approve))) == ended
    assert place.events == ["request-opened", "request-approved" if approve else "request-denied"]
    assert place.entries[-1]["approver"] == "boss"
    assert place.entries[-1]["digest"] == "ab" * 32
    assert place.holds.listing() == []


@pytest.mark.parametrize("name", ["ann", "rea", "bot", "uma"])
def test_who_policy_does_not_let_approve_changes_nothing(name: str) -> None:
    place = Place()
    number = place.open()
    with pytest.raises(RequestRefusedError):
        place.holds.decide(number, who(name), approve=True)
    assert [row["id"] for row in place.holds.listing()] == [number]
    assert place.events == ["request-opened", "approval-refused"]


def test_nobody_decides_with_a_delegated_credential() -> None:
    place = Place()
    number = place.open()
    with pytest.raises(CredentialRejectedError):
        place.holds.decide(number, who("boss", behalf="root"), approve=True)
    assert len(place.holds.listing()) == 1


def test_a_request_is_decided_once() -> None:
    place = Place()
    number = place.open()

    def twice() -> None:
        place.holds.decide(number, who("boss"), approve=False)
        with pytest.raises(RequestRefusedError):
            place.holds.decide(number, who("boss"), approve=True)

    assert asyncio.run(place.ends(number, twice)) == HoldEnded("denied")
    with pytest.raises(RequestRefusedError):
        place.holds.show(number)


def test_a_request_that_nobody_decided_expires() -> None:
    place = Place(seconds=0.01)
    number = place.open()
    place.time += timedelta(seconds=1)
    assert asyncio.run(place.holds.wait(number)) == HoldEnded("expired")
    assert place.events == ["request-opened", "request-expired"]
    with pytest.raises(RequestRefusedError):
        place.holds.decide(number, who("boss"), approve=True)


def test_a_client_that_cancels_ends_its_request() -> None:
    place = Place()
    number = place.open()

    async def cancelled() -> None:
        waiting = asyncio.ensure_future(place.holds.wait(number))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancelled())
    assert place.events == ["request-opened", "request-cancelled"]
    assert place.holds.listing() == []


def test_too_many_requests_are_refused_without_forgetting_the_others() -> None:
    place = Place()
    opened = [place.open() for _ in range(3)]
    with pytest.raises(RequestRefusedError):
        place.open()
    assert [row["id"] for row in place.holds.listing()] == opened


def test_an_approver_is_shown_who_what_where_and_until_when() -> None:
    place = Place()
    shown = place.holds.show(place.open("DELETE FROM orders WHERE id = '7'"))
    assert {k: shown[k] for k in ("principal", "database", "environment", "state", "digest", "groups")} == {
        "principal": "ann", "database": "shop", "environment": "production", "state": "pending", "digest": "ab" * 32,
        "groups": ["approvers"],
    }  # fmt: skip
    assert shown["statement"] == "DELETE FROM orders WHERE id = '7'"
    assert shown["expires"] == (NOON + timedelta(seconds=300)).isoformat()


@pytest.mark.parametrize(
    ("hidden", "spelled"), [("\u202e", "\\u202e"), ("\u200b", "\\u200b"), ("\x1b", "\\u001b"), ("\r", "\\u000d")]
)
def test_characters_that_hide_something_are_spelled_out(hidden: str, spelled: str) -> None:
    assert visible(f"a{hidden}b\n\tc") == f"a{spelled}b\n\tc"


@given(st.text(max_size=6000))
def test_what_an_approver_sees_is_bounded_printable_and_says_when_something_is_left_out(text: str) -> None:
    shown = visible(text)
    assert len(shown) <= STATEMENT_SHOWN_CHARS + 100
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    if len(text) > STATEMENT_SHOWN_CHARS:
        assert shown.startswith(f"[{len(text)} characters")


def test_a_disabled_approver_approves_nothing() -> None:
    place = Place()
    number = place.open()
    boss = who("boss")
    gone = replace(boss, principal=Principal("nobody", boss.principal.kind, ("approvers",)))
    with pytest.raises(RequestRefusedError):
        place.holds.decide(number, gone, approve=True)
