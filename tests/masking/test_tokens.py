"""Tokens hold any string and give it back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lockgate.masking.tokens import LONGEST_BYTES, TokenMaker

_MAKER = TokenMaker(bytes(32), bytes(31) + b"\1")
_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


@given(_TEXT, st.binary(max_size=20))
def test_a_token_opens_to_its_value(value: str, tweak: bytes) -> None:
    token = _MAKER.encode(value, tweak)
    assert token.isascii()
    assert token.isalnum()
    assert token == token.lower()
    assert _MAKER.decode(token, tweak) == value


@given(_TEXT, _TEXT)
def test_different_values_have_different_tokens(one: str, other: str) -> None:
    assert (_MAKER.encode(one) == _MAKER.encode(other)) == (one == other)


def test_token_length_tells_the_value_length_only_in_steps() -> None:
    assert {len(_MAKER.encode("x" * count)) for count in range(10)} == {16}
    assert {len(_MAKER.encode("x" * count)) for count in range(10, 15)} == {24}


@given(_TEXT)
def test_what_is_no_token_of_this_key_does_not_open(text: str) -> None:
    opened = _MAKER.decode(text)
    assert opened is None or _MAKER.encode(opened) == text


def test_another_tweak_or_key_does_not_open_a_token_to_its_value() -> None:
    token = _MAKER.encode("ada", b"one")
    assert _MAKER.decode(token, b"two") != "ada"
    assert TokenMaker(bytes(31) + b"\2", bytes(32)).decode(token, b"one") != "ada"
    assert _MAKER.decode(token.upper(), b"one") is None


def test_very_long_values_get_a_tag_that_is_no_token() -> None:
    first, second = "x" * (LONGEST_BYTES + 1), "x" * (LONGEST_BYTES + 2)
    assert len(_MAKER.encode(first)) == 51
    assert _MAKER.encode(first) != _MAKER.encode(second)
    assert _MAKER.decode(_MAKER.encode(first)) is None


def test_a_tag_has_the_length_asked_for_and_depends_on_the_value() -> None:
    assert _MAKER.tag("a", 4) == _MAKER.tag("a", 4) != _MAKER.tag("b", 4)
    assert [len(_MAKER.tag("a", count)) for count in (0, 4, 51, 99)] == [0, 4, 51, 51]
