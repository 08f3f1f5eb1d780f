"""Entries as OCSF events: valid under the schema, the same for ever under one version of the mapping."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lockgate import __version__
from lockgate.ledger.entry import KINDS
from lockgate.telemetry.ocsf import MAPPING_VERSION, event
from support.entries import AWKWARD, ENTRIES, READ
from support.ocsf_schema import problems

GOLDEN = Path(__file__).with_name("golden") / f"ocsf-{MAPPING_VERSION}.json"


def _events() -> list[dict[str, Any] | None]:
    return [event("gw/1", index, entry, intent) for index, entry, intent in ENTRIES]


def test_every_event_is_valid_under_the_schema() -> None:
    found = [made for made in _events() if made is not None]
    assert {made["class_uid"] for made in found} == {6005, 3002, 3005, 6003, 1008}
    assert [(made["metadata"]["uid"], problem) for made in found for problem in problems(made)] == []


def test_the_validator_finds_what_is_wrong() -> None:
    good: Any = event("gw/1", *ENTRIES[4])
    assert problems(good) == []
    changes: tuple[dict[str, Any], ...] = (
        {"severity_id": 77}, {"severity_id": "1"}, {"colour": "red"}, {"type_uid": 1}, {"category_uid": 3}, {"database": {}},
        {"src_endpoint": {"port": 5}}, {"actor": "robo"}, {"unmapped": []}, {"class_uid": 5}, {"metadata": {"version": "1", "product": {}}},
    )  # fmt: skip
    for change in changes:
        assert problems({**good, **change}), change
    for name in ("time", "metadata", "actor", "src_endpoint"):
        assert problems(
            {key: value for key, value in good.items() if key != name}
            | ({"metadata": {}} if name == "metadata" else {})
        )


def test_an_entry_becomes_the_event_it_always_became() -> None:
    text = (
        json.dumps(_events(), indent=1, sort_keys=True, ensure_ascii=True).replace(f'"{__version__}"', '"VERSION"')
        + "\n"
    )
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)
    assert json.loads(text) == json.loads(GOLDEN.read_text()), "a new meaning needs a new MAPPING_VERSION"


def test_kinds_that_tell_others_nothing_become_no_event() -> None:
    silent = {str(entry["kind"]) for (_, entry, _), made in zip(ENTRIES, _events(), strict=True) if made is None}
    assert silent == {"intent", "heartbeat"}
    assert event("gw/1", 1, {"kind": "outcome", "time": "2026-11-22T10:00:00.000000Z", "intent": 0}) is None


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_entry_with_nothing_but_its_kind_breaks_nothing(kind: str) -> None:
    bare = {"v": 1, "kind": kind, "time": "2026-11-22T10:00:00.000000Z", "epoch": 1, "n": 0}
    for intent in (None, bare):
        made: Any = event("gw/1", 0, bare, intent)
        assert made is None or problems(made) == []


def test_an_event_names_its_entry_and_carries_no_text_that_the_log_does_not_have() -> None:
    made: Any = event("gw/1", *ENTRIES[7])
    assert made["metadata"]["uid"] == "gw/1#7"
    assert made["query_info"]["query_string"] == AWKWARD
    assert str(READ["text"]) not in json.dumps(made)
