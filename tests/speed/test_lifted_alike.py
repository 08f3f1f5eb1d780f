"""Both cores find the same constants that may be lifted from a text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate import speed
from lockgate.sql.lifting import lift

pytestmark = pytest.mark.skipif(
    speed.lane is None, reason="the compiled core is not built: no C compiler or no OpenSSL"
)


@given(
    st.from_regex(
        rb"'[0-3]?[0-9]{3}[-.][0-1]?[0-9]-[0-3]?[0-9]([ T][0-2]?[0-9]:[0-6]?[0-9](:[0-6]?[0-9](\.[0-9])?)?)?'",
        fullmatch=True,
    )
)
@settings(max_examples=400)
def test_days_and_times_are_known_alike(text: bytes) -> None:
    plain = lift(text)
    assert speed.lane.lifted(text) == (None if plain is None else [tuple(c) for c in plain.constants])
    assert speed.lane.is_distinct(text) == (None if plain is None else plain.is_distinct)


@given(
    st.lists(
        st.sampled_from(
            ["SELECT", " ", "a1", "_x", "12", "2147483648", "9223372036854775808", "1.5", ".", "1e3", "0x1", "1_0", "01", "1", "'1'", "2.", "00.10", ".5", "1" * 62 + ".1", "1" * 63 + ".1", "'it''s'", "'x'", "\n", "E", "'", '"', '"q""d"',
             "--", "-", "/*", "/", "$1", "$", "\\", "&", "U&", "=", ",", "(", "é", "x'", "\x00", "'a\\b'"]
        ),
        max_size=12,
    )
)  # fmt: skip
@settings(max_examples=400)
def test_constants_are_lifted_alike(pieces: list[str]) -> None:
    text = "".join(pieces).encode()
    plain = lift(text)
    assert speed.lane.lifted(text) == (None if plain is None else [tuple(c) for c in plain.constants])
    assert speed.lane.is_distinct(text) == (None if plain is None else plain.is_distinct)
