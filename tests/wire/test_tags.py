"""Tags: one letter per message and direction."""

from __future__ import annotations

import pytest

from lockgate.wire.postgres import tags


def test_every_frontend_tag_has_a_letter_of_its_own() -> None:
    assert "".join(map(chr, sorted(tags.FRONTEND))) == "BCDEFHPQSXcdfp"


def test_only_messages_with_statements_or_values_may_be_long() -> None:
    assert tags.FRONTEND - set(tags.FRONTEND_LIMITS) == {
        *(tags.QUERY, tags.PARSE, tags.BIND, tags.COPY_DATA, tags.FUNCTION_CALL)
    }


@pytest.mark.parametrize(
    ("tag", "name"), [(ord("Q"), "Q"), (0, "0x00"), (10, "0x0a"), (0x20, "0x20"), (0x60, "0x60"), (0xFF, "0xff")]
)
def test_a_tag_is_written_so_that_it_is_safe_in_a_sentence(tag: int, name: str) -> None:
    assert tags.tag_name(tag) == name
