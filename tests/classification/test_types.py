"""Types by what they can hold."""

from __future__ import annotations

import pytest

from lockgate.classification.types import Form, form_of


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("character varying(40)", Form.TEXT), ("VARCHAR", Form.TEXT), ("numeric(10,2)", Form.NUMBER),
        ("timestamp(3) with time zone", Form.MOMENT), ("text[]", Form.ARRAY), ("integer[]", Form.NUMBER),
        ("public.vector(3)", Form.VECTOR), ("geometry(Point,4326)", Form.PLACE), ("int4range", Form.RANGE),
        ('public."My Type"', Form.OTHER), ("inet", Form.NETWORK), ("_text", Form.ARRAY), ("_int4", Form.NUMBER), ("timestamptz", Form.MOMENT), ("bpchar", Form.TEXT), ("", Form.OTHER),
    ],
)  # fmt: skip
def test_a_type_has_a_form(name: str, form: Form) -> None:
    assert form_of(name) is form


def test_the_kind_of_a_type_decides_over_its_name() -> None:
    assert form_of("text", "e") is Form.ENUM
    assert form_of("floats", "r") is Form.RANGE
