"""JSON documents keep their shape on labelled paths and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.masking.documents import Documents, RawNumber

_LABELS = ((("person", "mail"), "person.email"), (("person", "age"), "none"), (("tags",), "none"), (("ids",), "secret"))


def _leaf(label: str, value: object) -> object:
    return RawNumber("0") if isinstance(value, RawNumber) else f"<{label}>"


def _mask(text: str) -> str:
    return Documents(_LABELS, _leaf).mask(text)


def test_each_leaf_follows_the_label_of_its_path() -> None:
    shown = json.loads(
        _mask('{"person": {"mail": "a@b", "age": 41.50, "iban": "x"}, "tags": ["t", 1, true], "other": true}')
    )
    assert shown == {
        "person": {"mail": "<person.email>", "age": 41.5, "key1": "<unknown>"},
        "tags": ["t", 1, True],
        "key1": False,
    }


def test_clear_numbers_keep_their_spelling() -> None:
    assert _mask('{"person": {"age": 1.50e3}}') == '{"person": {"age": 1.50e3}}'


def test_a_label_on_a_leaf_does_not_clear_an_object_found_there() -> None:
    assert json.loads(_mask('{"tags": {"secret": "v"}}')) == {"tags": {"key1": "<unknown>"}}


def test_unknown_keys_stand_last_and_never_collide_with_known_ones() -> None:
    documents = Documents(((("key1",), "none"),), _leaf)
    assert documents.mask('{"zz": 1, "key1": 2, "a": null}') == '{"key1": 2, "key2": 0, "key3": null}'


def test_arrays_on_the_way_do_not_count() -> None:
    assert json.loads(_mask('{"person": [{"mail": "a"}, [{"mail": "b"}]]}')) == {
        "person": [{"mail": "<person.email>"}, [{"mail": "<person.email>"}]]
    }


def test_a_path_with_two_labels_is_withheld() -> None:
    documents = Documents(((("a",), "none"), (("a",), "person.email")), _leaf)
    assert documents.mask('{"a": "v"}') == '{"a": "<unknown>"}'


def test_duplicate_keys_are_all_masked() -> None:
    assert _mask('{"ids": "a", "ids": "b"}') == '{"ids": "<secret>", "ids": "<secret>"}'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"a": 1}', "{}"),
        (" [1]", "[]"),
        ('"s"', '"[text]"'),
        ("12", "0"),
        ("-1", "0"),
        ("true", "false"),
        ("null", "null"),
    ],
)
def test_without_labels_only_the_outermost_kind_shows(text: str, shown: str) -> None:
    assert Documents((), _leaf).mask(text) == shown


@pytest.mark.parametrize("text", ["{", "[" * 5000, '{"person": ' * 5000, "", '{"a": 1} x'])
def test_what_cannot_be_read_is_withheld_whole(text: str) -> None:
    json.loads(_mask(text))


def test_very_deep_documents_end_in_null() -> None:
    shown = _mask('{"tags": ' + "[" * 100 + '"t"' + "]" * 100 + "}")
    assert '"t"' not in shown
    json.loads(shown)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["person", "mail", "age", "tags", "q"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(_JSON)
def test_every_masked_document_is_json_of_the_same_shape(document: object) -> None:
    shown = _mask(json.dumps(document))
    assert shown.isascii()
    assert _shape(json.loads(shown)) == _shape(document)


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return sorted(repr(_shape(inner)) for inner in value.values())
    if isinstance(value, list):
        return [_shape(inner) for inner in value]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
