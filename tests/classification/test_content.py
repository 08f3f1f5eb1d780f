from __future__ import annotations

import pytest

from lockgate.classification.content import CELL_CHARS_MAX, Evidence, look


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("ada.lovelace+x@corp.example.org", "person.email"),
        ("4111 1111 1111 1111", "payment.card"),
        ("378282246310005", "payment.card"),
        ("DE89 3704 0044 0532 0130 00", "payment.iban"),
        ("GB82WEST12345698765432", "payment.iban"),
        ("078-05-1120", "person.national_id"),
        ("+49 30 1234567", "person.phone"),
        ("+1 (212) 555-0199", "person.phone"),
        ("192.168.10.24", "network.address"),
        ("08:00:2b:01:02:03", "network.mac"),
        ("AKIA" + "ABCDEFGHIJKLMNOP", "secret.credential"),
        ("ghp_" + "a1B2" * 9, "secret.credential"),
        ("$2b$12$" + "a" * 53, "secret.credential"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlMTIz", "secret.credential"),
    ],
)
def test_a_value_is_known_by_its_shape_whole_and_inside_a_text(text: str, label: str) -> None:
    assert look(f" {text}\n") == (label, True)
    assert look(f"please write to {text}, thank you") == (label, False)


@pytest.mark.parametrize(
    "text",
    [
        "", "open", "2024-01-31", "2024-01-31 10:20:30+00", "12345", "4111 1111 1111 1112", "DE89 3704 0044 0532 0130 01", "a@b", "@handle",
        "1.2.3", "version 10.4.2", "300.1.1.1", "000-12-3456", "666-12-3456", "12:30:45", "0000 0000 0000 0000", "+1 23", "sk_live_",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "INV-2024-000123", "x" * 5000, "1234567890123456789012345", "C++ 11 2 3", "12-34-56",
    ],
)  # fmt: skip
def test_what_only_resembles_one_is_none(text: str) -> None:
    assert look(text) is None


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    assert look("x " * CELL_CHARS_MAX + "ada@corp.example") is None


def seen(*cells: str | None) -> Evidence:
    evidence = Evidence()
    for cell in cells:
        evidence.add(cell)
    return evidence


def test_a_column_is_labelled_when_enough_values_say_so() -> None:
    mails = [f"user{n}@corp.example" for n in range(5)]
    assert seen(*mails, None, "").label() == ("person.email", 1.0)
    assert seen(*mails[:2]).label() == ("person.email", 1.0)
    assert seen(*mails[:1]).label() is None
    assert seen(*mails[:3], *["open"] * 30).label() is None
    assert seen(*["note for " + mail for mail in mails], "nothing").label() == ("text.free", 0.83)
    assert seen(*mails, "write to x@corp.example").label() == ("text.free", 1.0)
    assert seen(*["open"] * 60, "ghp_" + "a1B2" * 9).label() == ("secret.credential", 0.02)
    assert seen(*["open"] * 64).full
