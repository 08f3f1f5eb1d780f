"""Dates in every style and in binary show the same year."""

from __future__ import annotations

import datetime as dt
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import BackendProtocolError
from lockgate.masking import dates
from lockgate.masking.dates import DATE, TIMESTAMP, TIMESTAMPTZ

_STYLES = ["ISO, MDY", "SQL, DMY", "SQL, MDY", "German", "Postgres, MDY", "Postgres, DMY"]


@given(st.integers(1, 9999), st.sampled_from(_STYLES), st.sampled_from([DATE, TIMESTAMP, TIMESTAMPTZ]))
def test_a_date_as_written_is_read_back_in_text_and_binary(year: int, style: str, oid: int) -> None:
    assert dates.year_of_text(dates.text(year, oid, style), oid) == year
    assert dates.year_of_binary(dates.binary(year, oid), oid) == year


@given(st.dates())
def test_binary_days_give_the_year_of_the_calendar(day: dt.date) -> None:
    days = day.toordinal() - dt.date(2000, 1, 1).toordinal()
    assert dates.year_of_binary(struct.pack("!i", days), DATE) == day.year
    assert dates.year_of_binary(struct.pack("!q", days * 86_400_000_000 + 86_399_999_999), TIMESTAMP) == day.year


@pytest.mark.parametrize(
    ("text", "oid", "year"),
    [
        ("1975-06-17", DATE, 1975),
        ("0044-03-15 BC", DATE, 1),
        ("20000-01-01", DATE, 9999),
        ("infinity", DATE, 2000),
        ("Wed Dec 17 07:37:16.5 1997 PST", TIMESTAMPTZ, 1997),
        ("17.12.1997 07:37:16", TIMESTAMP, 1997),
        ("1980-01-01 00:30:00+02", TIMESTAMPTZ, 1979),
        ("1980-12-31 22:30:00-05:30", TIMESTAMPTZ, 1981),
        ("1980-01-01 00:30:00-02", TIMESTAMPTZ, 1980),
        ("", TIMESTAMP, 2000),
    ],
)
def test_the_year_of_what_the_server_prints(text: str, oid: int, year: int) -> None:
    assert dates.year_of_text(text, oid) == year


@pytest.mark.parametrize(
    ("raw", "oid", "year"),
    [
        (struct.pack("!i", 2**31 - 1), DATE, 2000),
        (struct.pack("!q", -(2**63)), TIMESTAMP, 2000),
        (struct.pack("!i", -800_000), DATE, 1),
        (struct.pack("!i", 5_000_000), DATE, 9999),
    ],
)
def test_binary_dates_outside_the_calendar_are_clamped(raw: bytes, oid: int, year: int) -> None:
    assert dates.year_of_binary(raw, oid) == year


def test_a_binary_date_of_another_length_is_an_error() -> None:
    with pytest.raises(BackendProtocolError):
        dates.year_of_binary(bytes(5), DATE)


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("1975-06-17", "1975"),
        ("1975/6/7T10:00Z", "1975"),
        (" 17.06.1975 ", "1975"),
        ("6/17/75", None),
        ("born 1975-06-17", None),
    ],
)
def test_free_text_shows_a_year_only_when_it_is_a_date(text: str, year: str | None) -> None:
    assert dates.year_in_free_text(text) == year
