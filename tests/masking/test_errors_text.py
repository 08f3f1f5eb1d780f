"""Reports of the database lose every word that could quote a value."""

from __future__ import annotations

import pytest

from lockgate.masking.errors_text import redact_report

_SECRET = "ada@corp.test"


def test_only_severity_and_code_remain() -> None:
    fields = dict.fromkeys("MDHPpqWstcdnFLR", _SECRET) | {"S": "FEHLER", "V": "ERROR", "C": "23505"}
    shown = redact_report(fields)
    assert set(shown) == {"S", "V", "C", "M"}
    assert shown["S"] == shown["V"] == "ERROR"
    assert shown["C"] == "23505"
    assert "unique violation" in shown["M"]
    assert _SECRET not in "".join(shown.values())


@pytest.mark.parametrize(
    ("raised", "shown"),
    [
        ("22P02", "22P02"),
        ("22XYZ", "22000"),
        ("P0001", "P0001"),
        ("P0ABC", "P0000"),
        ("ZZZZZ", "XX000"),
        ("ada@c", "XX000"),
        ("", "XX000"),
    ],
)
def test_a_code_that_a_function_made_up_shows_at_most_its_class(raised: str, shown: str) -> None:
    assert redact_report({"S": "ERROR", "C": raised, "M": _SECRET})["C"] == shown


def test_a_severity_that_is_none_becomes_error() -> None:
    assert redact_report({"S": _SECRET})["S"] == "ERROR"
    assert redact_report({"S": "WARNING", "C": "01000"})["S"] == "WARNING"
