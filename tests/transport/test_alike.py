"""Texts that differ in constants at which no analysis looks share what the server said of one of them; others do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.model.statement import Analysis, Given, Opaque, Use, UseKind
from lockgate.sql.parse import split_and_parse
from lockgate.transport.alike import Alike
from support.scripted import TOTALS, write

UPDATE = "UPDATE orders SET total = 8 WHERE id = 7 AND city = 'x'"
PLACES = [UPDATE.index(word) for word in ("8", "7", "'x'")]
FOUND = replace(
    write(),
    unread=((Given(False, PLACES[0]), 23), (Given(False, PLACES[1]), 23)),
    compared=((Given(False, PLACES[1]), 23), (Given(False, PLACES[2]), 25)),
    uses=(Use(UseKind.EQUAL, TOTALS.reads, givens=frozenset({Given(False, PLACES[2])})),),
)


def _find(text: str, found: Analysis = FOUND, context: object = "here") -> Analysis | None:
    alike = Alike()
    alike.put(split_and_parse(UPDATE)[0], "here", found)
    return alike.find(split_and_parse(text)[0], context)


def test_what_was_found_of_one_text_is_found_of_its_like_with_the_places_of_that() -> None:
    text = "UPDATE orders SET total = 88888 WHERE id = 777 AND city = 'yyyyy'"
    found = _find(text)
    places = [text.index(word) for word in ("88888", "777", "'yyyyy'")]
    assert found == replace(
        FOUND,
        unread=((Given(False, places[0]), 23), (Given(False, places[1]), 23)),
        compared=((Given(False, places[1]), 23), (Given(False, places[2]), 25)),
        uses=(replace(FOUND.uses[0], givens=frozenset({Given(False, places[2])})),),
    )
    assert _find(UPDATE) == FOUND


@pytest.mark.parametrize("text", [
    "UPDATE orders SET total = 8 WHERE id = 99999999999 AND city = 'x'", "UPDATE orders SET total = 8 WHERE id = 7 AND city = 7",
    "UPDATE  orders SET total = 8 WHERE id = 7 AND city = 'x'", "UPDATE orders SET total = 8 WHERE id = -7 AND city = 'x'",
    "UPDATE orders SET total = 8 WHERE id = 7 AND city = E'x'", "DELETE FROM orders WHERE id = 7",
])  # fmt: skip
def test_another_text_is_no_like(text: str) -> None:
    assert _find(text) is None


def test_constants_that_matter_and_what_cannot_be_seen_into_are_not_shared() -> None:
    other = UPDATE.replace("8", "9")
    assert _find(other, replace(FOUND, unread=())) is None
    assert _find(other, replace(FOUND, opaque=(Opaque("f", "unknown"),))) is None
    assert _find(other, context="elsewhere") is None
    assert _find(UPDATE.replace("7", "6"), replace(FOUND, unread=(), compared=((Given(False, PLACES[1]), 20),))) is None
