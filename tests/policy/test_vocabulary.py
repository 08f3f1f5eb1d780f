"""The context of a request, and that its documentation lists exactly what policies may use."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from lockgate.errors import InvariantError
from lockgate.model.statement import Action
from lockgate.policy.policies import ANNOTATIONS
from lockgate.policy.vocabulary import CONTEXT_KEYS, SCHEMA, STATEMENT_KEYS, context_text

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "policy.md"
NOW = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


def first_cells(title: str) -> set[str]:
    section = DOCUMENT.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))


def test_the_document_lists_every_context_key_and_no_other() -> None:
    documented = {key.removesuffix("?") for key in first_cells("Context")}

    assert documented == {*CONTEXT_KEYS, *(f"statement.{key}" for key in STATEMENT_KEYS)} - {"statement"}


def test_the_schema_declares_every_key_with_the_documented_optionality() -> None:
    for key in first_cells("Context"):
        assert re.search(rf"[ {{\n]{re.escape(key.removeprefix('statement.'))}:", SCHEMA), key


def test_the_document_lists_every_action_and_annotation() -> None:
    assert first_cells("Actions") == {action.value for action in Action}
    assert {re.sub(r"\W.*", "", cell[1:]) for cell in first_cells("Annotations")} == set(ANNOTATIONS)


def test_time_is_told_in_utc() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5)))
    facts = json.loads(context_text({}, reads=None, now=local))

    assert (facts["hour"], facts["weekday"]) == (23, 7)


def test_a_time_without_zone_is_our_own_fault() -> None:
    with pytest.raises(InvariantError):
        context_text({}, reads=None, now=NOW.replace(tzinfo=None))


def test_keys_that_no_policy_reads_do_not_split_the_cache() -> None:
    one = context_text({"client_address": "10.0.0.1", "run": "a"}, reads=frozenset({"run"}), now=NOW)
    other = context_text(
        {"client_address": "10.0.0.2", "run": "a"}, reads=frozenset({"run"}), now=NOW + timedelta(hours=3)
    )

    assert one == other
    assert one != context_text({"run": "b"}, reads=frozenset({"run"}), now=NOW)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("10.1.1.1", "10.1.1.1"), ("fe80::1%eth0", "fe80::1"), ("", "::"), ("/run/socket", "::"), (None, "::")],
)
def test_client_addresses_are_addresses_or_the_unspecified_one(given: str | None, expected: str) -> None:
    facts = json.loads(context_text({"client_address": given}, reads=None, now=NOW))

    assert facts["client_address"] == {"__extn": {"fn": "ip", "arg": expected}}
