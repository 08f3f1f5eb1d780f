"""Loading policies: every problem at once, with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import ConfigError
from lockgate.policy.policies import PolicySet
from lockgate.policy.source import cut
from lockgate.policy.starter import STARTER

PERMIT = '@id("a") permit (principal, action, resource);'


def problems(files: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        PolicySet.load(files)
    return caught.value.problems


def test_the_starter_policies_load_and_every_policy_gives_a_reason() -> None:
    loaded = PolicySet.load(STARTER)

    assert len(loaded.policies) >= 12
    assert all(policy.reason for policy in loaded.policies.values())


def test_every_problem_of_every_file_is_reported_with_its_place() -> None:
    found = problems(
        {
            "a.cedar": '// first\n\npermit (principal, action, resource) when { context.nothing };\n@id("x")\nforbid (prin',
            "b.cedar": '@shout("x") permit (principal, action == Action::"raed", resource);\npermit (principal;',
        }
    )

    text = "\n".join(found)
    assert "a.cedar:3: attribute `nothing`" in text
    assert "a.cedar:4: the policy does not end with `;`" in text
    assert "b.cedar:1: unknown annotation `@shout`" in text
    assert 'b.cedar:1: unrecognized action `Action::"raed"`' in text
    assert "b.cedar:2: this is not a Cedar policy" in text


def test_two_policies_with_one_id_are_refused_and_both_places_named() -> None:
    (found,) = problems({"a.cedar": f"{PERMIT}\n", "b.cedar": f"\n{PERMIT}"})

    assert found == "b.cedar:2: the id `a` is taken by the policy at a.cedar:1"


def test_a_policy_without_id_is_named_after_its_file_and_number() -> None:
    loaded = PolicySet.load({"x.cedar": "permit (principal, action, resource);\nforbid (principal, action, resource);"})

    assert set(loaded.policies) == {"x.cedar:1", "x.cedar:2"}


@pytest.mark.parametrize(
    "text",
    [
        '@row_limit("many") permit (principal, action, resource);',
        '@row_limit("0") permit (principal, action, resource);',
        '@row_limit("-5") permit (principal, action, resource);',
        '@hold("a b") permit (principal, action, resource);',
        '@hold("a,,b") permit (principal, action, resource);',
        '@hold("a") forbid (principal, action, resource);',
        '@row_limit("5") forbid (principal, action, resource);',
        '@choose_by_pseudonym("") forbid (principal, action, resource);',
        '@choose_by_pseudonym("yes") permit (principal, action, resource);',
        '@choose_by_pseudonym("") permit (principal, action == Action::"read", resource);',
        '@mask_with("x") permit (principal, action, resource);',
        '@id("no-permit") permit (principal, action, resource);',
        "permit (principal == ?principal, action, resource);",
        'permit (principal in Grop::"x", action, resource);',
        'permit (principal, action, resource) when { context.purpose == "x" };',
        'forbid (principal, action == Action::"read", resource == Column::"public.people.ssn");',
    ],
)  # fmt: skip
def test_what_could_not_be_carried_out_is_refused_when_it_is_loaded(text: str) -> None:
    assert problems({"x.cedar": text})


def test_the_revision_depends_on_content_and_names_but_not_on_line_ends_or_order() -> None:
    first = PolicySet.load({"a.cedar": PERMIT + "\n", "b.cedar": ""}).revision

    assert PolicySet.load({"b.cedar": "", "a.cedar": PERMIT + "\r\n"}).revision == first
    assert PolicySet.load({"c.cedar": PERMIT + "\n", "b.cedar": ""}).revision != first
    assert PolicySet.load({"a.cedar": PERMIT + " \n", "b.cedar": ""}).revision != first


def test_only_keys_that_policies_read_are_noted_unless_the_whole_context_is_used() -> None:
    some = PolicySet.load({"x": "permit (principal, action, resource) when { context has run && context.hour > 3 };"})

    assert some.reads == {"run", "hour"}
    assert some.reads_time


def test_semicolons_and_comment_marks_inside_strings_do_not_cut_a_policy() -> None:
    text = 'permit (principal == Person::"a;//\\"b", action, resource); // c; d\nforbid (principal, action, resource);'

    assert [(piece.line, piece.terminated) for piece in cut("x", text)] == [(1, True), (2, True)]
    assert len(PolicySet.load({"x": text}).policies) == 2


@given(st.text(max_size=200))
def test_any_text_is_a_policy_set_or_a_configuration_error(text: str) -> None:
    found = []
    try:
        PolicySet.load({"x.cedar": text})
    except ConfigError as error:
        found = error.problems

    assert all(problem.startswith("x.cedar:") for problem in found)


@given(st.lists(st.sampled_from(['"a;b"', ";", "// c;\n", "permit", " ", "\n", '"', "\\"]), max_size=30))
def test_cutting_loses_nothing_but_blanks_and_comments(parts: list[str]) -> None:
    text = "".join(parts)

    for piece in cut("x", text):
        assert piece.text in text
        assert 1 <= piece.line <= text.count("\n") + 1
