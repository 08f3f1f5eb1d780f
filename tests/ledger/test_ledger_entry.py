"""Entries: one deterministic form, and nothing else accepted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import LedgerError
from lockgate.ledger.entry import ENTRY_BYTES_MAX, KINDS, Template, decode, encode, time_text

BASE: dict[str, object] = {"v": 1, "kind": "heartbeat", "time": "2026-11-22T10:00:00.000001Z"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=5))
def test_an_entry_reads_back_as_it_was_and_the_order_of_fields_does_not_matter(fields: dict[str, object]) -> None:
    entry = {**fields, **BASE}
    assert decode(encode(entry)) == entry
    assert encode(dict(reversed(entry.items()))) == encode(entry)


def test_the_bytes_are_compact_with_sorted_keys() -> None:
    assert encode({**BASE, "a": "é"}) == (
        '{"a":"é","kind":"heartbeat","time":"2026-11-22T10:00:00.000001Z","v":1}'.encode()
    )


def test_a_newline_in_a_value_does_not_make_a_second_line() -> None:
    assert b"\n" not in encode({**BASE, "shape": 'SELECT 1\n{"v":1}'})


def test_an_entry_longer_than_a_bundle_allows_is_refused() -> None:
    room = ENTRY_BYTES_MAX - len(encode({**BASE, "x": ""}))
    assert len(encode({**BASE, "x": "a" * room})) == ENTRY_BYTES_MAX
    with pytest.raises(LedgerError, match="longer than"):
        encode({**BASE, "x": "a" * (room + 1)})


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": True},
        {"v": None},
        {"kind": "other"},
        {"kind": ["boot"]},
        {"time": "2026-11-22T10:00:00Z"},
        {"time": "2026-11-22T10:00:00.000001+00:00"},
        {"time": 5},
        {"x": object()},
        {1: "a", b"b": "c"},
    ],
)
def test_wrong_or_missing_fields_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(LedgerError):
        encode({**BASE, **change})


@pytest.mark.parametrize("stored", [b"", b"[]", b"1", b"{", b"\xff", b"[" * 60_000, b'{"v":1}', b" " * 70_000])
def test_bytes_that_are_no_entry_are_refused(stored: bytes) -> None:
    with pytest.raises(LedgerError):
        decode(stored)


def test_every_kind_is_accepted() -> None:
    for kind in KINDS:
        assert decode(encode({**BASE, "kind": kind}))["kind"] == kind


def test_times_are_in_utc_with_microseconds() -> None:
    assert time_text(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00.000000Z"
    assert time_text(datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-01T22:00:00.000000Z"
    with pytest.raises(LedgerError):
        time_text(datetime(2026, 1, 2))


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=5),
    st.sets(st.sampled_from(["affected", "bytes", "intent", "n", "rows", "s"])),
    st.integers(0, 2**53),
)
def test_a_filled_template_has_the_bytes_of_the_entry(constant: dict[str, object], holes: set[str], value: int) -> None:
    constant = {k: v for k, v in constant.items() if k not in holes and k != "text"} | {"v": 1, "kind": "intent"}
    constant.pop("time", None)
    names = sorted({*holes, "text", "time"})
    texts = {"text": b"0f" * 32, "time": b"2026-11-22T10:00:00.000001Z"}
    template = Template(constant, names, frozenset(texts))
    values = tuple(texts.get(name, value) for name in names)
    fields = constant | {n: v.decode() if isinstance(v, bytes) else v for n, v in zip(names, values, strict=True)}
    assert template.fields(values) == fields
    assert template.fill(values) == encode(fields)


def test_a_template_knows_its_holes_sorted_and_apart_from_its_constants() -> None:
    for holes in (["time", "n"], ["kind", "time"], ["n", "n", "time"]):
        with pytest.raises(LedgerError):
            Template({"v": 1, "kind": "intent"}, holes, frozenset({"time"}))
