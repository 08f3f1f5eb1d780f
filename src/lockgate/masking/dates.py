"""Dates and times: the year, or nothing.

For: `year` (birth dates: the first of January of the same year) and constants, in every DateStyle and in binary.
Not for: shifting dates, which one known date would undo.
Source: PostgreSQL documentation 8.5.2 (date output styles); date_send, timestamp_send (binary: days and microseconds from 2000-01-01).
"""

from __future__ import annotations

import datetime as dt
import re

from lockgate.errors import BackendProtocolError

DATE, TIMESTAMP, TIMESTAMPTZ = 1082, 1114, 1184
NEUTRAL_YEAR = 2000
"""Shown for infinity, for what cannot be read, and for dates that are withheld."""

_EPOCH = dt.date(2000, 1, 1).toordinal()
_DAY = 86_400_000_000
_FIRST, _LAST = 1, 9999
_ISO = re.compile(
    r"([0-9]{4,7})-([0-9]{2})-([0-9]{2})(?: ([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?"
    r"(?:([+-])([0-9]{2})(?::([0-9]{2}))?(?::[0-9]{2})?)?)?",
    re.ASCII,
)
_NUMERIC = re.compile(r"[0-9]{2}[-/.][0-9]{2}[-/.]([0-9]{4,7})(?![0-9])", re.ASCII)
_POSTGRES = re.compile(
    r"[A-Z][a-z]{2} (?:[A-Z][a-z]{2} [0-9]{2}|[0-9]{2} [A-Z][a-z]{2}) [0-9:.]{8,15} ([0-9]{4,7})(?![0-9])", re.ASCII
)
_TEXT_FIRST = re.compile(r"([0-9]{4})[-/.][0-9]{1,2}[-/.][0-9]{1,2}(?:[T ][0-9:.+Z-]{1,24})?", re.ASCII)
_TEXT_LAST = re.compile(r"[0-9]{1,2}[-/.][0-9]{1,2}[-/.]([0-9]{4})", re.ASCII)
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def year_of_text(value: str, type_oid: int) -> int:
    """The year of a date or timestamp as PostgreSQL prints it; of a timestamptz the year in UTC where the offset is a number."""
    if value.endswith(" BC"):
        return _FIRST
    found = _ISO.match(value)
    if found is None:
        other = _NUMERIC.match(value) or _POSTGRES.match(value)
        return NEUTRAL_YEAR if other is None else _clamp(int(other[1]))
    year = int(found[1])
    if type_oid == TIMESTAMPTZ and found[7] is not None:
        offset = int(found[8]) * 60 + int(found[9] or 0)
        minutes = int(found[4]) * 60 + int(found[5]) - (offset if found[7] == "+" else -offset)
        if (found[2], found[3]) == ("01", "01") and minutes < 0:
            year -= 1
        elif (found[2], found[3]) == ("12", "31") and minutes >= 24 * 60:
            year += 1
    return _clamp(year)


def year_of_binary(raw: bytes, type_oid: int) -> int:
    """The year of a binary date (days) or timestamp (microseconds)."""
    width = 4 if type_oid == DATE else 8
    if len(raw) != width:
        raise BackendProtocolError("a binary date has a wrong length")
    value = int.from_bytes(raw, "big", signed=True)
    if value in (-(1 << (8 * width - 1)), (1 << (8 * width - 1)) - 1):
        return NEUTRAL_YEAR  # infinity
    days = value if type_oid == DATE else value // _DAY
    if days + _EPOCH < 1:
        return _FIRST
    if days + _EPOCH > dt.date.max.toordinal():
        return _LAST
    return dt.date.fromordinal(days + _EPOCH).year


def binary(year: int, type_oid: int) -> bytes:
    """Midnight of the first of January in binary."""
    days = dt.date(year, 1, 1).toordinal() - _EPOCH
    return days.to_bytes(4, "big", signed=True) if type_oid == DATE else (days * _DAY).to_bytes(8, "big", signed=True)


def text(year: int, type_oid: int, date_style: str) -> str:
    """Midnight (UTC) of the first of January in a DateStyle such as `ISO, MDY`."""
    style, _, order = date_style.partition(",")
    style = style.strip().lower()
    time = "" if type_oid == DATE else " 00:00:00"
    if style == "postgres" and type_oid != DATE:
        weekday = _WEEKDAYS[dt.date(year, 1, 1).weekday()]
        day = "01 Jan" if order.strip().upper() == "DMY" else "Jan 01"
        shown = f"{weekday} {day}{time} {year:04}"
    else:
        separator = {"sql": "/", "german": ".", "postgres": "-"}.get(style)
        shown = f"{year:04}-01-01{time}" if separator is None else f"01{separator}01{separator}{year:04}{time}"
    if type_oid != TIMESTAMPTZ:
        return shown
    return shown + (" UTC" if style in ("sql", "german", "postgres") else "+00")


def year_in_free_text(value: str) -> str | None:
    """The year of a text that is nothing but a date, None when it is not."""
    found = _TEXT_FIRST.fullmatch(value.strip()) or _TEXT_LAST.fullmatch(value.strip())
    return None if found is None else found[1]


def _clamp(year: int) -> int:
    return min(max(year, _FIRST), _LAST)
