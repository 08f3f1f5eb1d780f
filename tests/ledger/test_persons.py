"""The blind index finds a value however it was written, and tells nothing without its key."""

from __future__ import annotations

import hmac

import pytest

from lockgate.ledger.persons import TOKENS_MAX, VALUE_CHARS_MIN, PersonIndex, normalise

KEY = bytes(range(32))
INDEX = PersonIndex(KEY)
EMAIL = INDEX.token("alice@example.com")


def bound(*values: bytes | None) -> bytes:
    """Parameters as a session seals them behind the text."""
    framed = [b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value for value in values]
    return len(values).to_bytes(2, "big") + b"".join(framed)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FROM people WHERE email = 'alice@example.com'",
        "SELECT 1 FROM people WHERE lower(email) LIKE '%ALICE@Example.com%'",
        "SELECT 1 FROM people WHERE email = E'alice\\x40example.com'",
        "SELECT 1 FROM people WHERE email = E'alice\\u0040example\\056com'",
        "SELECT 1 FROM people WHERE email IN ('bob@example.com', ' alice@example.com ')",
        "SELECT 1 -- it's a comment\n FROM people WHERE email = 'alice@example.com'",
        "SELECT /* don't */ 1 FROM people WHERE email = 'alice@example.com'",
        "SELECT \"it's\" FROM people WHERE email = 'alice@example.com'",
        "SELECT 1 FROM people WHERE email = $$alice@example.com$$",
        "SELECT 1 FROM people WHERE email = $q$alice@example.com$q$",
        "INSERT INTO people(note, email) VALUES ('it''s her', 'alice@example.com')",
    ],
)
def test_a_constant_is_found_in_every_spelling(text: str) -> None:
    assert EMAIL in INDEX.tokens(text.encode())


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("+49 (30) 123-456", "4930123456"),
        ("  Ann-Kathrin  Müller", "ann kathrin MÜLLER"),
        ("DE89 3704 0044", "de8937040044"),
    ],
)
def test_case_spaces_and_punctuation_do_not_count(stored: str, asked: str) -> None:
    assert INDEX.token(asked) in INDEX.tokens(f"SELECT '{stored}'".encode())


def test_bound_values_are_found_as_text_and_as_binary_integers() -> None:
    sealed = b"SELECT 1 FROM people WHERE id = $1\x00" + bound(
        None, b"alice@example.com", (4711).to_bytes(8, "big"), b"\xff\xfe"
    )
    found = INDEX.tokens(sealed)
    assert {EMAIL, INDEX.token("4711")} <= set(found)


def test_numbers_count_but_not_inside_names_and_parameters() -> None:
    found = INDEX.tokens(b"SELECT t1234.c FROM t1234 WHERE id = 5678 AND x = $1234")
    assert found == (INDEX.token("5678"),)


def test_short_values_and_other_keys_have_no_token_in_common() -> None:
    assert INDEX.token("a" * (VALUE_CHARS_MIN - 1)) == ""
    assert INDEX.tokens(b"SELECT '12' WHERE 1 = 2") == ()
    assert PersonIndex(bytes(32)).token("alice@example.com") != EMAIL


def test_a_text_that_is_cut_off_or_hostile_gives_an_answer() -> None:
    for text in (
        b"SELECT 'unclosed",
        b"\xff\xfe'",
        b"E'\\",
        b"$a$",
        b"/*",
        b"SELECT 'x'\x00\x00",
        b"\x00" + bound(b"x")[:-1],
        b"E'\\UFFFFFFFF'",
    ):
        INDEX.tokens(text)
    many = ", ".join(f"'person {n}'" for n in range(1000))
    assert len(INDEX.tokens(many.encode())) == 1000 > TOKENS_MAX


def test_a_token_is_the_hmac_of_the_normalised_value() -> None:
    for value in ("alice@example.com", "x" * 300, "Ünïcode"):
        expected = hmac.digest(KEY, normalise(value).encode(), "sha256")[:16].hex()
        assert INDEX.token(value) == expected


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    ["'", "''", "'a", '"a', "$", "$a$", "$a", "/*", "E'", "E'\\", "--", "1_", "'\\", "$a$$b$", "é$", "-1.", "''a"],
)
@pytest.mark.parametrize("before", ["", "SELECT '", "SELECT E'", 'SELECT "', "SELECT $x$", "/*"])
def test_a_text_without_an_end_costs_no_more_than_its_length(before: str, piece: str) -> None:
    """What is never closed was tried in every way it can be cut: forty letters after a quote took hours."""
    INDEX.tokens((before + "abc" * 30 + piece * 20_000).encode())


def test_what_is_never_closed_is_a_value_too() -> None:
    assert INDEX.token("mary@people.example") in INDEX.tokens(b"SELECT * FROM t WHERE email = 'mary@people.example")
