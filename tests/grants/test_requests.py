"""Requests for approval: once, in time, by another person, for exactly that statement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.grants.requests import HeldRequest, RequestRefusedError, Requests, RequestState, binding
from lockgate.model.identity import Identity, Principal, PrincipalKind

NOW = datetime(2026, 3, 4, 10, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)
ABE = Principal("abe", PrincipalKind.PERSON, ("approvers",))
ANN = Principal("ann", PrincipalKind.PERSON, ("approvers",))
EVE = Principal("eve", PrincipalKind.PERSON)
OFF = Principal("off", PrincipalKind.PERSON, ("approvers",), disabled=True)
BOT = Principal("bot", PrincipalKind.AGENT, ("approvers",))
DIGEST = bytes(32)


def opened(requests: Requests, number: str = "1", *, groups: tuple[str, ...] = ("approvers",)) -> HeldRequest:
    return requests.open(
        number, requester=("bot", "ann"), binding=DIGEST, database="shop", hold_groups=groups, rows_max=5, created_at=NOW,
        expires_at=LATER,
    )  # fmt: skip


def one(*, groups: tuple[str, ...] = ("approvers",)) -> Requests:
    requests = Requests(pending_max=3)
    opened(requests, groups=groups)
    return requests


def refusal(step: object, *arguments: object, **named: object) -> str:
    with pytest.raises(RequestRefusedError) as caught:
        step(*arguments, **named)  # type: ignore[operator]
    return caught.value.reason


def test_an_approval_is_used_once() -> None:
    requests = one()
    approved = requests.approve("1", ABE, now=NOW)

    assert (approved.state, approved.decided_by, approved.decided_at) == (RequestState.APPROVED, "abe", NOW)
    assert requests.consume("1", DIGEST, now=NOW).state is RequestState.CONSUMED
    assert refusal(requests.consume, "1", DIGEST, now=NOW) == "consumed"
    assert requests.take(DIGEST, now=NOW) is None


def test_an_approval_is_good_for_its_own_statement_only() -> None:
    requests = one()
    assert refusal(requests.consume, "1", DIGEST, now=NOW) == "not-approved"
    requests.approve("1", ABE, now=NOW)

    assert refusal(requests.consume, "1", bytes(31) + b"x", now=NOW) == "other-statement"
    assert requests.take(bytes(31) + b"x", now=NOW) is None
    assert requests.take(DIGEST, now=NOW) is not None


def test_an_approval_ends_with_its_request() -> None:
    requests = one()
    requests.approve("1", ABE, now=NOW)

    assert requests.take(DIGEST, now=LATER) is None
    assert refusal(requests.consume, "1", DIGEST, now=LATER) == "expired"


@pytest.mark.parametrize(
    ("approver", "expected"),
    [
        (ANN, "requester-never-approves"),
        (BOT, "agents-never-approve"),
        (EVE, "not-in-hold-group"),
        (OFF, "disabled-principal"),
    ],
)
def test_who_may_not_decide(approver: Principal, expected: str) -> None:
    requests = one()

    assert refusal(requests.approve, "1", approver, now=NOW) == expected
    assert refusal(requests.deny, "1", approver, now=NOW) == expected
    assert requests.pending()


def test_without_groups_any_other_person_may_decide() -> None:
    assert one(groups=()).approve("1", EVE, now=NOW).state is RequestState.APPROVED


def test_a_decided_or_expired_request_is_not_decided_again() -> None:
    denied = one()
    assert denied.deny("1", ABE, now=NOW).state is RequestState.DENIED
    assert refusal(denied.approve, "1", ABE, now=NOW) == "denied"

    approved = one()
    approved.approve("1", ABE, now=NOW)
    assert refusal(approved.deny, "1", ABE, now=NOW) == "not-pending"

    late = one()
    assert refusal(late.approve, "1", ABE, now=LATER) == "expired"
    assert late.get("1") is not None
    assert refusal(late.approve, "1", ABE, now=NOW) == "expired"


def test_expiring_says_which_and_cancelling_ends() -> None:
    requests = one()
    opened(requests, "2")
    assert requests.cancel("2").state is RequestState.CANCELLED

    assert requests.expire(NOW) == ()
    assert [r.id for r in requests.expire(LATER)] == ["1"]
    assert refusal(requests.cancel, "1") == "expired"
    assert refusal(requests.cancel, "9") == "unknown-request"


def test_requests_are_bounded_and_numbers_unique() -> None:
    requests = one()
    assert refusal(opened, requests, "1") == "duplicate-request"
    opened(requests, "2")
    opened(requests, "3")

    assert refusal(opened, requests, "4") == "too-many-requests"
    assert [r.id for r in requests.pending()] == ["1", "2", "3"]


def test_a_request_without_requester_digest_or_time_is_not_opened() -> None:
    requests = Requests(pending_max=1)
    for requester, digest, end in (((), DIGEST, LATER), (("a",), b"", LATER), (("a",), DIGEST, NOW)):
        with pytest.raises(RequestRefusedError):
            requests.open("1", requester=requester, binding=digest, database="d", hold_groups=(), rows_max=None,
                          created_at=NOW, expires_at=end)  # fmt: skip


STEPS = st.lists(st.sampled_from(["approve", "deny", "cancel", "consume", "expire", "take"]), max_size=8)


@given(STEPS)
def test_whatever_happens_a_final_state_never_changes_and_nothing_is_consumed_twice(steps: list[str]) -> None:
    requests = one()
    seen: list[RequestState] = []
    for step in steps:
        try:
            match step:
                case "approve":
                    requests.approve("1", ABE, now=NOW)
                case "deny":
                    requests.deny("1", ABE, now=NOW)
                case "cancel":
                    requests.cancel("1")
                case "consume":
                    requests.consume("1", DIGEST, now=NOW)
                case "expire":
                    requests.expire(LATER)
                case _:
                    requests.take(DIGEST, now=NOW)
        except RequestRefusedError:
            pass
        request = requests.get("1")
        assert request is not None
        seen.append(request.state)
    final = [s for s in seen if s not in {RequestState.PENDING, RequestState.APPROVED}]
    assert len(set(final)) <= 1
    assert seen[len(seen) - len(final) :] == final


def identity(*names: str, purpose: str | None = None) -> Identity:
    members = [Principal(name, PrincipalKind.PERSON) for name in names]
    return Identity(members[0], members[1] if len(members) > 1 else None, "t", NOW, purpose=purpose)


def digest(who: Identity | None = None, **changes: object) -> bytes:
    arguments: dict[str, object] = {
        "text": b"delete",
        "parameters": (b"1", None),
        "database": "shop",
        "generation": 1,
        **changes,
    }
    return binding(who or identity("ann"), **arguments)  # type: ignore[arg-type]


def test_everything_an_approval_is_bound_to_changes_the_digest() -> None:
    digests = [
        digest(), digest(identity("eve")), digest(identity("ann", "eve")), digest(identity("ann", purpose="x")),
        digest(text=b"delete "), digest(parameters=(b"1", b"")), digest(parameters=(b"1",)), digest(parameters=(None, b"1")),
        digest(database="shop2"), digest(generation=2),
    ]  # fmt: skip

    assert len(set(digests)) == len(digests)
    assert digest() == digest()
    assert len(digest()) == 32


@given(
    st.lists(st.one_of(st.none(), st.binary(max_size=4)), max_size=4),
    st.lists(st.one_of(st.none(), st.binary(max_size=4)), max_size=4),
)
def test_two_lists_of_parameters_never_share_a_digest(one_list: list[bytes | None], other: list[bytes | None]) -> None:
    assert (digest(parameters=one_list) == digest(parameters=other)) == (one_list == other)
