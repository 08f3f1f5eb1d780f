"""Types are looked through to what their values are made of."""

from __future__ import annotations

import pytest

from lockgate.masking.pgtypes import CONSTANTS, shape_of
from lockgate.masking.rules import INJECTIVE_LABELS, RULES, base_type, is_injective, rule_for
from lockgate.masking.transforms import MARKERS
from lockgate.model.catalog import LABELS, Catalog, Type

_TYPES = {
    20001: Type(20001, "public", "d_text", "d", 25, "S"),
    20002: Type(20002, "public", "_d_text", "b", 20001, "A"),
    20003: Type(20003, "public", "d_array", "d", 20002, "A"),
    20004: Type(20004, "public", "_d_array", "b", 20003, "A"),
    20005: Type(20005, "public", "loop", "d", 20005, "S"),
    20006: Type(20006, "public", "citext", "b", 0, "S"),
}
_CATALOG = Catalog("d", "development", 15, 1, {}, {}, _TYPES)


@pytest.mark.parametrize(
    ("oid", "scalar", "array", "kind"),
    [
        (25, 25, False, "text"),
        (1009, 25, True, "text"),
        (20001, 25, False, "text"),
        (20002, 25, True, "text"),
        (20003, 25, True, "text"),
        (20004, 20003, True, "opaque"),
        (20005, 20005, False, "opaque"),
        (20006, 20006, False, "text"),
        (3904, 3904, False, "range"),
        (4451, 4451, False, "multirange"),
        (99999, 99999, False, "opaque"),
        (23, 23, False, "built-in"),
    ],
)
def test_the_shape_of_a_type(oid: int, scalar: int, array: bool, kind: str) -> None:
    shape = shape_of(oid, _TYPES)
    if kind != "opaque":
        assert shape.oid == scalar
    assert (shape.array, shape.kind) == (array, kind)


def test_every_label_has_a_rule_on_every_type() -> None:
    for label in LABELS:
        for oid in (*CONSTANTS, 25, 114, 1082, 20003, 99999):
            assert rule_for(label, oid, _CATALOG)


def test_the_injective_labels_have_injective_rules_on_text_and_only_they() -> None:
    assert {label for label in LABELS if is_injective(rule_for(label, 25, _CATALOG))} == INJECTIVE_LABELS
    assert set(RULES) <= set(LABELS)
    assert set(MARKERS) <= set(LABELS)


def test_types_too_small_for_an_injective_mask_withhold() -> None:
    assert rule_for("person.national_id", 21, _CATALOG) == "withhold"
    assert rule_for("person.name", 23, _CATALOG) == "withhold"
    assert rule_for("person.email", 20006, _CATALOG) == "pseudonym-email"
    assert rule_for("person.email", 3802, _CATALOG) == "document"
    assert base_type(20003, _CATALOG) == 25
