"""Filters of rows: their text, what is filled in, and how several become one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.errors import ConfigError
from lockgate.model.catalog import Catalog
from lockgate.model.decision import Clearance
from lockgate.policy.engine import Engine, PolicySet
from lockgate.policy.row_filters import both, either, filled, problem
from lockgate.testing.script import NOON
from support.scripted import ORDERS, PEOPLE, PRINCIPALS, catalog, who

READ = 'permit (principal, action == Action::"read", resource);\n'
OWN = '@id("own") @row_filter("owner = {principal}") permit (principal is Person, action == Action::"read", resource == Table::"public.orders");\n'


def clearance(policies: str, name: str = "ann", of: Catalog | None = None, **more: str) -> Clearance:
    loaded = Engine(PolicySet.load({"a.cedar": policies}), PRINCIPALS)
    return loaded.clearance(
        who(name, **more), of or catalog(), context={"binding": "issued", "client_address": "127.0.0.1"}, now=NOON
    )


@pytest.mark.parametrize(
    "text", ["", " ", "a = {nobody}", "a = {", "a = '}'", "a = $1", "a; b", "a = '\\'", "x" * 2001]
)
def test_what_is_no_filter_is_a_problem_when_it_is_loaded(text: str) -> None:
    assert problem(text)


def test_a_filter_stands_on_a_permit_of_reading_only() -> None:
    for policy in (
        '@row_filter("a") forbid (principal, action, resource);',
        '@row_filter("a") permit (principal, action == Action::"unmask", resource);',
        '@row_filter("{x}") permit (principal, action, resource);',
    ):
        with pytest.raises(ConfigError) as refused:
            PolicySet.load({"a.cedar": policy})
        assert "row_filter" in str(refused.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ann", "a = 'ann'::pg_catalog.text"), ("O'Brien", "a = 'O''Brien'::pg_catalog.text"), ("{owner}", "a = '{owner}'::pg_catalog.text"),
        (None, None), ("", None), ("a\\", None), ("a\0", None), (("x", "y'z"), "a = ARRAY['x', 'y''z']::pg_catalog.text[]"),
        ((), "a = ARRAY[]::pg_catalog.text[]"),
    ],
)  # fmt: skip
def test_attributes_are_constants_and_never_sql(value: str | tuple[str, ...] | None, expected: str | None) -> None:
    assert filled("a = {owner}", {"owner": value}) == expected


def test_several_filters_of_one_member_show_either_s_rows_and_those_of_a_chain_both() -> None:
    assert either(["a", "b", "a"]) == "(a) OR (b)"
    assert both(["a", "b"]) == "(a) AND (b)"
    second = OWN.replace('"own"', '"team"').replace("owner = {principal}", "team = ANY ({groups})")
    found = clearance(READ + OWN + second)
    assert found.filters == {
        ORDERS: "((owner = 'ann'::pg_catalog.text) OR (team = ANY (ARRAY['writers']::pg_catalog.text[])))"
    }
    behalf = clearance(READ + OWN.replace("principal is Person", "principal") + second, "bot", behalf="ann")
    assert behalf.filters[ORDERS].count("AND") == 1


def test_another_permit_does_not_lift_a_filter_and_others_are_not_filtered() -> None:
    assert clearance(READ + OWN).filters == {ORDERS: "((owner = 'ann'::pg_catalog.text))"}
    assert clearance(READ + OWN, "bot").filters == {}
    assert clearance(READ).filters == {}


def test_a_missing_attribute_leaves_the_table_unreadable() -> None:
    policy = OWN.replace("{principal}", "{purpose}")
    assert clearance(READ + policy).unreadable == frozenset({ORDERS})
    assert clearance(READ + policy, purpose="care").filters == {ORDERS: "((owner = 'care'::pg_catalog.text))"}
    assert clearance(READ + policy, purpose="sales").filters == {ORDERS: "((owner = 'sales'::pg_catalog.text))"}


def test_children_have_the_filters_of_their_parents() -> None:
    base = catalog()
    family = replace(base.relations[ORDERS], children=(PEOPLE,))
    found = clearance(READ + OWN, of=replace(base, relations={**base.relations, ORDERS: family}))
    assert found.filters == {ORDERS: "((owner = 'ann'::pg_catalog.text))", PEOPLE: "((owner = 'ann'::pg_catalog.text))"}


def test_a_filter_does_not_permit_unmasking_connecting_or_approving() -> None:
    policy = '@row_filter("true") permit (principal, action, resource);'
    assert not clearance(policy).complete
