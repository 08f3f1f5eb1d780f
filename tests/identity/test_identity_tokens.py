"""Credentials: what was signed, for whom, until when; nothing else."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import InvariantError
from lockgate.identity.tokens import RejectedTokenError, issue, verify
from lockgate.model.identity import Identity, Principal, PrincipalKind

KEY = bytes(range(32))
NOW = datetime(2026, 3, 4, 10, tzinfo=UTC)
ANN = Principal("ann", PrincipalKind.PERSON)
OFF = Principal("off", PrincipalKind.PERSON, disabled=True)
BOT = Principal("bot", PrincipalKind.AGENT, owner="ann")
LOST = Principal("lost", PrincipalKind.AGENT, owner="off")
PRINCIPALS = {p.name: p for p in (ANN, OFF, BOT, LOST)}


def token(**changes: object) -> str:
    arguments: dict[str, object] = {
        "token_id": "token-001", "principal": ANN, "issued_at": NOW, "expires_at": NOW + timedelta(hours=1), **changes,
    }  # fmt: skip
    return issue(KEY, **arguments)  # type: ignore[arg-type]


def check(text: str, **changes: object) -> Identity:
    arguments: dict[str, object] = {
        "now": NOW, "principals": PRINCIPALS, "revoked": set(), "user": "ann", "database": "shop", **changes,
    }  # fmt: skip
    return verify(KEY, text, **arguments)  # type: ignore[arg-type]


def reason(text: str, **changes: object) -> str:
    with pytest.raises(RejectedTokenError) as caught:
        check(text, **changes)
    assert str(caught.value) in {
        "the credential is not valid", "the credential is not valid for this session",
        "the credential has expired; sign in again",
    }  # fmt: skip
    return caught.value.reason


def test_a_credential_proves_what_it_was_issued_for() -> None:
    text = token(principal=BOT, on_behalf_of=ANN, databases=["shop"], purpose="training", run="run-7")
    found = check(text, user="bot")

    assert found == Identity(
        principal=BOT, on_behalf_of=ANN, token_id="token-001", expires_at=NOW + timedelta(hours=1), databases=("shop",),
        purpose="training", run="run-7",
    )  # fmt: skip
    assert text.startswith("lg1.")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"now": NOW + timedelta(hours=1)}, "expired"),
        ({"now": NOW - timedelta(minutes=2)}, "issued-in-future"),
        ({"revoked": {"token-001"}}, "revoked"),
        ({"user": "bot"}, "other-user"),
        ({"user": "Ann"}, "other-user"),
        ({"user": "ann\udcff"}, "other-user"),
        ({"principals": {}}, "unknown-principal"),
        ({"principals": {"ann": OFF}}, "disabled-principal"),
    ],
)
def test_a_credential_is_good_for_its_own_time_user_and_principal(changes: dict[str, object], expected: str) -> None:
    assert reason(token(), **changes) == expected


def test_a_credential_is_good_for_its_own_databases() -> None:
    assert reason(token(databases=["other"])) == "other-database"
    assert check(token(databases=["other", "shop"])).databases == ("other", "shop")


def test_nobody_acts_for_a_person_who_is_gone_or_is_no_person() -> None:
    delegated = token(principal=BOT, on_behalf_of=ANN)

    assert reason(delegated, user="bot", principals={"bot": BOT}) == "unknown-principal"
    agent = Principal("ann", PrincipalKind.AGENT)
    assert reason(delegated, user="bot", principals={"bot": BOT, "ann": agent}) == "bad-delegation"
    person = Principal("bot", PrincipalKind.PERSON)
    assert reason(delegated, user="bot", principals={"bot": person, "ann": ANN}) == "bad-delegation"


def test_an_agent_whose_owner_is_disabled_is_disabled() -> None:
    assert reason(token(principal=LOST), user="lost") == "disabled-principal"


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at": NOW + timedelta(hours=12, seconds=1)},
        {"expires_at": NOW},
        {"token_id": "short"},
        {"token_id": "with space"},
        {"principal": OFF},
        {"on_behalf_of": BOT, "principal": BOT},
        {"on_behalf_of": OFF, "principal": BOT},
        {"on_behalf_of": ANN},
        {"purpose": "a\nb"},
        {"run": "x" * 200},
        {"databases": ["x"] * 65},
        {"databases": ["x" * 128] * 64},
    ],
)
def test_a_credential_that_would_not_be_accepted_is_not_issued(changes: dict[str, object]) -> None:
    with pytest.raises(RejectedTokenError):
        token(**changes)


def test_a_key_that_is_too_short_is_our_own_fault() -> None:
    with pytest.raises(InvariantError):
        issue(b"short", token_id="token-001", principal=ANN, issued_at=NOW, expires_at=NOW + timedelta(hours=1))


def test_another_key_does_not_open_a_credential() -> None:
    with pytest.raises(RejectedTokenError):
        verify(bytes(32), token(), now=NOW, principals=PRINCIPALS, revoked=(), user="ann", database="shop")


@given(st.integers(min_value=0, max_value=10_000), st.integers(min_value=0, max_value=127))
def test_no_changed_character_is_accepted(position: int, code: int) -> None:
    text = token()
    place = position % len(text)
    changed = text[:place] + chr(code) + text[place + 1 :]
    if changed != text:
        assert reason(changed) in {"malformed", "bad-signature"}


@given(
    st.one_of(
        st.text(max_size=60), st.binary(max_size=60).map(lambda b: "lg1." + base64.urlsafe_b64encode(b).decode() + ".x")
    )
)
def test_any_text_is_rejected_in_the_same_words(text: str) -> None:
    assert reason(text) in {"malformed", "bad-signature"}


def test_a_credential_has_one_spelling_and_a_bounded_length() -> None:
    text = token()

    assert reason(text + "=") == "bad-signature"
    assert reason(text + "." + "x" * 5000) == "malformed"
    assert reason("lg2" + text[3:]) == "malformed"
