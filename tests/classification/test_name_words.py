"""Names cut into words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.classification.tokens import words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("first_name", ("first", "name")),
        ("emailAddress", ("email", "address")),
        ("HTTPPort", ("http", "port")),
        ("Straße", ("strasse",)),
        ("prénom", ("prenom",)),
        ("kundennummer", ("kunden", "nummer")),
        ("customerphone", ("customer", "phone")),
        ("categories", ("category",)),
        ("addr2", ("addr", "2")),
        ("ipaddress", ("ipaddress",)),
        ("xyzzy", ("xyzzy",)),
        ("", ()),
    ],
)
def test_a_name_is_cut_into_known_words(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words


@given(st.text(max_size=400))
def test_any_name_can_be_cut(name: str) -> None:
    assert all(word.isascii() and word == word.lower() for word in words_of(name))


def test_a_long_run_of_short_words_is_cut_quickly() -> None:
    assert words_of("no" * 500 + "q")
