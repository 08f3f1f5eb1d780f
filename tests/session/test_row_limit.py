"""`@row_limit`: most rows of a result, counted as they pass; what cannot be counted is denied."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.model.statement import Analysis, Kind, WriteFact
from lockgate.policy.engine import Engine
from lockgate.policy.policies import PolicySet
from lockgate.testing.script import Script
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from support.scripted import (
    CITY,
    EMAIL,
    EMAILS,
    ORDERS,
    PRINCIPALS,
    catalog,
    described,
    done,
    error_of,
    knows,
    ready,
    select,
    tags,
    who,
)

LIMITED = (
    '@id("few") @row_limit("2") permit (principal, action == Action::"read", resource);\n'
    '@id("all-else") permit (principal, action in [Action::"connect", Action::"write"], resource);\n'
    '@id("clear") permit (principal == Person::"uma", action == Action::"unmask", resource);\n'
)
TEXT = "SELECT city FROM people"


def limited(name: str = "ann", *, fast: bool = False) -> Script:
    policies = PolicySet.load({"limits.cedar": LIMITED})
    return Script(who(name), catalog(), Engine(policies, PRINCIPALS), fast=fast)


def rows(count: int) -> list[be.DataRow]:
    return [be.DataRow((b"c%d" % n,)) for n in range(count)]


@pytest.mark.parametrize("name", ["ann", "uma"])
def test_as_many_rows_as_permitted_are_a_whole_answer(name: str) -> None:
    with limited(name) as play:
        knows(play, select(("city", CITY))).client(fe.Query(TEXT))
        play.forwarded()
        assert tags(play.backend(described(("city", CITY)), *rows(2), done("SELECT 2"), ready())) == "TDDCZ"


@pytest.mark.parametrize("name", ["ann", "uma"])
@pytest.mark.parametrize("fast", [False, True])
def test_the_row_after_them_ends_the_answer_with_an_error(name: str, fast: bool) -> None:
    with limited(name, fast=fast) as play:
        for _ in range(3):
            if not play.recorder.of_kind("outcome"):
                knows(play, select(("city", CITY)))
            play.client(fe.Query(TEXT))
            play.forwarded()
            shown = play.backend(described(("city", CITY)), *rows(5), done("SELECT 5"), ready())
            assert tags(shown) == "TDDEZ"
            assert "rule=row-limit" in error_of(shown).fields["D"]
        assert play.passed_fast == 0
        assert {(e["sqlstate"], e["rows"]) for e in play.recorder.of_kind("outcome")} == {("0A000", 2)}


def test_masked_rows_are_counted_too() -> None:
    with limited() as play:
        knows(play, EMAILS).client(fe.Query("SELECT email FROM people"))
        play.forwarded()
        shown = play.backend(described(("email", EMAIL)), *rows(3), done("SELECT 3"), ready())
        assert tags(shown) == "TDDEZ"


def test_a_portal_read_in_pieces_is_one_result() -> None:
    with limited("uma") as play:
        knows(play, select(("city", CITY))).client(
            fe.Parse("", TEXT), fe.Bind("", ""), fe.Describe("P", ""), fe.Execute("", 2), fe.Flush()
        )
        play.forwarded()
        shown = play.backend(
            be.ParseComplete(), be.BindComplete(), described(("city", CITY)), *rows(2), be.PortalSuspended()
        )
        assert tags(shown) == "12TDDs"
        play.client(fe.Execute("", 2), fe.Sync())
        play.forwarded()
        assert tags(play.backend(*rows(1), done("SELECT 1"), ready())) == "EZ"


def test_copied_rows_are_counted_too() -> None:
    copied = replace(select(("city", CITY)), kind=Kind.COPY_OUT, row_description=b"")
    with limited("uma") as play:
        knows(play, copied).client(fe.Query("COPY (SELECT city FROM people) TO STDOUT"))
        play.forwarded()
        data = [be.CopyData(b"c%d\n" % n) for n in range(3)]
        assert tags(play.backend(be.CopyOutResponse(0, (0,)), *data, be.CopyDone(), done("COPY 3"), ready())) == "HddEZ"


@pytest.mark.parametrize(
    ("text", "analysis"),
    [
        ("DECLARE c CURSOR FOR SELECT city FROM people", replace(select(("city", CITY)), kind=Kind.DECLARE)),
        ("INSERT INTO orders SELECT 1", replace(select(("city", CITY)), kind=Kind.INSERT, row_description=b"",
                                                writes=(WriteFact(Kind.INSERT, ORDERS, bounded=True, selective=True),))),
        ("SELECT city FROM people FOR UPDATE", select(("city", CITY), effect_free=False)),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_as_it_is_shown_is_denied(text: str, analysis: Analysis) -> None:
    with limited("uma") as play:
        found = error_of(knows(play, analysis).client(fe.Query(text)))
        assert (found.sqlstate, "rule=row-limit" in found.fields["D"]) == ("42501", True)
        assert play.forwarded() == []
