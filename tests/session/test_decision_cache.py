"""The decision cache: bounded, exact, and never shared between contexts that could differ."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.model.statement import ON_CONFLICT, Analysis, Given, Kind, Use, UseKind
from lockgate.policy.engine import Engine, PolicySet
from lockgate.policy.starter import STARTER
from lockgate.session.cache import BoundedCache
from lockgate.session.state import Judged
from lockgate.session.wishes import Analyse
from lockgate.testing.script import Script
from lockgate.wire.postgres import frontend as fe
from support.scripted import (
    ORDERS,
    PRINCIPALS,
    TOTALS,
    catalog,
    described,
    done,
    engine,
    error_of,
    knows,
    ready,
    who,
    write,
)

PUTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 100)), max_size=60)
CONTEXTS = st.fixed_dictionaries(
    {
        "principal": st.sampled_from(["ann", "rea", "uma", "bot"]),
        "behalf": st.sampled_from([None, "ann", "boss"]),
        "purpose": st.sampled_from([None, "training"]),
        "run": st.sampled_from([None, "run-1"]),
        "search_path": st.sampled_from(["public", "other, public"]),
        "generation": st.integers(1, 2),
        "status": st.sampled_from(["I", "T"]),
        "text": st.sampled_from(["SELECT total FROM orders ORDER BY 1", "SELECT total FROM orders ORDER BY 2"]),
        "types": st.sampled_from([(), (25,)]),
        "address": st.sampled_from(["127.0.0.1", "10.0.0.1"]),
    }
)
SELECT = "SELECT total FROM orders"


@given(PUTS)
def test_a_cache_never_exceeds_its_bounds_and_returns_what_was_put_last(puts: list[tuple[int, int]]) -> None:
    cache: BoundedCache[int] = BoundedCache(entries_max=4, bytes_max=400)
    last: dict[int, int] = {}
    for key, size in puts:
        cache.put(key, size, size)
        if size <= 50:
            last[key] = size
        assert len(cache._items) <= 4
        assert sum(item.size for item in cache._items.values()) == cache._bytes <= 400
        assert sum(cache._items[key].size for key in cache._short) == cache._short_bytes
        assert (
            len(cache._short) + len(cache._long)
            == len({*cache._short, *cache._long} | set(cache._items))
            == len(cache._items)
        )
        assert len(cache._gone) <= 4
    for key in range(7):
        assert cache.get(key) in (None, last.get(key))


def test_what_was_never_asked_for_again_goes_first() -> None:
    cache: BoundedCache[str] = BoundedCache(entries_max=2, bytes_max=800)
    cache.put("a", "A", 1)
    cache.put("b", "B", 1)
    assert cache.get("a") == "A"
    cache.put("c", "C", 1)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("A", None, "C")
    cache.clear()
    assert cache.get("a") is None


def test_texts_that_come_once_do_not_drive_out_those_that_are_used() -> None:
    cache: BoundedCache[int] = BoundedCache(entries_max=100, bytes_max=100_000)
    for key in range(80):
        cache.put(key, key, 10)
        assert cache.get(key) == key
    for number in range(10_000):
        cache.put(("once", number), number, 10)
    assert [cache.get(key) for key in range(80)] == list(range(80))


def test_what_is_used_no_more_makes_room_for_what_comes_back() -> None:
    cache: BoundedCache[int] = BoundedCache(entries_max=100, bytes_max=100_000)
    for key in range(200):
        cache.put(key, key, 10)
        cache.get(key)
    for _ in range(8):
        for key in range(1000, 1050):
            if cache.get(key) is None:
                cache.put(key, key, 10)
    assert [cache.get(key) for key in range(1000, 1050)] == list(range(1000, 1050))


def _key(context: dict[str, object]) -> tuple[object, ...]:
    identity = who(str(context["principal"]), behalf=context["behalf"], purpose=context["purpose"], run=context["run"])  # type: ignore[arg-type]
    play = Script(
        identity, catalog(generation=int(str(context["generation"]))), ENGINE, client_address=str(context["address"])
    )
    play.conversation.search_path = str(context["search_path"])
    play.conversation.replies.status = str(context["status"])
    return play.conversation._key(str(context["text"]), context["types"])  # type: ignore[arg-type]


ENGINE = engine()


@given(CONTEXTS, CONTEXTS)
def test_two_contexts_share_a_key_only_when_they_are_the_same(one: dict[str, object], two: dict[str, object]) -> None:
    assert (_key(one) == _key(two)) == (one == two)


@pytest.mark.parametrize(
    "part", ["principal", "behalf", "purpose", "run", "search_path", "generation", "status", "text", "types", "address"]
)
def test_every_part_of_the_context_is_part_of_the_key(part: str) -> None:
    one: dict[str, object] = {
        "principal": "ann", "behalf": None, "purpose": None, "run": None, "search_path": "public", "generation": 1, "status": "I",
        "text": "SELECT 1", "types": (), "address": "127.0.0.1",
    }  # fmt: skip
    other: dict[str, object] = {
        "principal": "rea", "behalf": "boss", "purpose": "training", "run": "run-1", "search_path": "other", "generation": 2,
        "status": "T", "text": "SELECT  1", "types": (25,), "address": "10.0.0.1",
    }  # fmt: skip
    assert _key(one) != _key({**one, part: other[part]})


def _read(play: Script) -> None:
    play.client(fe.Query(SELECT))
    if play.waiting_for == "Analyse":
        knows(play, TOTALS)
    play.forwarded()
    play.backend(described(("total", next(iter(TOTALS.reads)))), done("SELECT 0"), ready())


def test_the_same_statement_is_analysed_once_for_one_principal_and_again_for_another() -> None:
    shared: BoundedCache[Judged] = BoundedCache(entries_max=10, bytes_max=1 << 20)
    with (
        Script(who("ann"), catalog(), ENGINE, cache=shared) as ann,
        Script(who("rea"), catalog(), ENGINE, cache=shared) as rea,
    ):
        for play in (ann, ann, rea):
            _read(play)
        assert [sum(isinstance(w, Analyse) for w in play.asked) for play in (ann, rea)] == [1, 1]
        ann.around.catalog = replace(ann.around.catalog, generation=2)
        _read(ann)
        assert sum(isinstance(w, Analyse) for w in ann.asked) == 2


def _analyses(*texts: str, analysis: Analysis) -> int:
    """How often the server was asked about these statements of one session."""
    with Script(who("boss"), catalog(), ENGINE) as play:
        for text in texts:
            unread = tuple((Given(False, found.start()), 23) for found in re.finditer("[0-9]+", text))
            play.client(fe.Query(text))
            if play.waiting_for == "Analyse":
                knows(play, replace(analysis, unread=unread))
            assert play.forwarded()
            play.backend(done("INSERT 0 1" if text.startswith("INSERT") else "UPDATE 1"), ready())
        return sum(isinstance(w, Analyse) for w in play.asked)


@pytest.mark.parametrize(
    ("text", "analysis", "asked"),
    [
        ("INSERT INTO orders VALUES ({}, 2)", write(Kind.INSERT), 1),
        ("INSERT INTO orders SELECT total + {} FROM orders", replace(write(Kind.INSERT), reads=TOTALS.reads), 2),
        ("INSERT INTO orders TABLE t{}", replace(write(Kind.INSERT), relations=frozenset({ORDERS, 9})), 2),
        ("INSERT INTO orders VALUES (1) ON CONFLICT (id) DO UPDATE SET total = {}", replace(write(Kind.INSERT), uses=(
            Use(UseKind.WRITE_TARGET, TOTALS.reads, ON_CONFLICT),)), 2),
        ("UPDATE orders SET total = 1 WHERE id = {}", write(Kind.UPDATE), 2),
        ("DELETE FROM orders WHERE id = {}", write(Kind.DELETE), 2),
    ],
)  # fmt: skip
def test_of_writes_only_what_a_client_inserts_may_differ_under_one_key(
    text: str, analysis: Analysis, asked: int
) -> None:
    assert _analyses(text.format(5), text.format(678), analysis=analysis) == asked


def test_a_cached_verdict_still_writes_an_intent_for_every_execution() -> None:
    with Script(who("ann"), catalog(), ENGINE) as play:
        _read(play)
        _read(play)
        assert len(play.recorder.of_kind("intent")) == 2
        assert len(play.recorder.of_kind("outcome")) == 2


def test_a_decision_that_depends_on_the_hour_is_not_remembered() -> None:
    text = '@id("by-day") @reason("by day") forbid (principal, action == Action::"read", resource) when { context.hour > 20 };'
    by_day = Engine(PolicySet.load({**STARTER, "day.cedar": text}), PRINCIPALS)
    with Script(who("ann"), catalog(), by_day) as play:
        _read(play)
        _read(play)
        assert sum(isinstance(w, Analyse) for w in play.asked) == 2
        play.clock.time += timedelta(hours=9)
        assert error_of(knows(play, TOTALS).client(fe.Query(SELECT))).sqlstate == "42501"
        assert play.forwarded() == []


def test_a_decision_made_under_other_policies_is_not_used() -> None:
    with Script(who("ann"), catalog(), ENGINE) as play:
        _read(play)
        play.around.engine = engine()
        _read(play)
        assert sum(isinstance(w, Analyse) for w in play.asked) == 2


def test_a_decision_about_a_view_is_made_anew_each_time() -> None:
    known = catalog()
    orders = replace(known.relations[ORDERS], kind="v")
    with Script(who("ann"), replace(known, relations={**known.relations, ORDERS: orders}), ENGINE) as play:
        _read(play)
        _read(play)
        assert sum(isinstance(w, Analyse) for w in play.asked) == 2
