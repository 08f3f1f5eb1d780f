"""PgBouncer CVE-2026-6666: an ErrorResponse without SQLSTATE was a null pointer. And W-09: reports in any broken form.

The client gets an error, nothing of the report where it could carry a masked value, and the gate goes on.
"""

from __future__ import annotations

import struct

import pytest

from attacks.series import Place

READY = b"Z\0\0\0\5I"


def report(body: bytes, tag: bytes = b"E") -> bytes:
    """A report with this body."""
    return tag + struct.pack("!I", len(body) + 4) + body


SECRET = b"canary1@raw-value.example"
REPORTS = {
    "no SQLSTATE": b"SERROR\0M" + SECRET + b"\0\0",
    "no fields": b"\0",
    "nothing at all": b"",
    "no terminator": b"SERROR\0C22P02\0M" + SECRET,
    "no end of the list": b"SERROR\0C22P02\0M" + SECRET + b"\0",
    "unknown fields": b"SERROR\0C22P02\0M" + SECRET + b"\0z" + SECRET + b"\0\xe9" + SECRET + b"\0\0",
    "a field of ten megabytes": b"SERROR\0C22P02\0M" + SECRET * 400_000 + b"\0\0",
    "an SQLSTATE that is none": b"SERROR\0Cnot a state\xff\0M" + SECRET + b"\0\0",
    "fields twice": b"SERROR\0SERROR\0C22P02\0C00000\0M" + SECRET + b"\0Mx\0\0",
    "bytes that are no UTF-8": b"SERROR\0C22P02\0M\xff\xfe" + SECRET + b"\0\0",
}


@pytest.mark.parametrize("name", REPORTS)
def test_an_error_in_any_form_is_an_error_and_shows_nothing(place: Place, name: str) -> None:
    place.drop()
    client = place.client()
    place.relay.answer(b"SELECT email, 6666", report(REPORTS[name]) + READY)
    client.send(b"Q" + struct.pack("!I", 5 + len(text := b"SELECT email, 6666 FROM users")) + text + b"\0")
    answer = client.read()
    assert answer.errors
    assert all(len(error.sqlstate) == 5 for error in answer.errors)
    assert all(SECRET not in frame.body for frame in answer.frames)
    place.drop()
    assert not place.ask("SELECT 1").errors


@pytest.mark.parametrize("name", REPORTS)
def test_a_notice_in_any_form_shows_nothing(place: Place, name: str) -> None:
    place.drop()
    client = place.client()
    place.relay.answer(b"SELECT email, 6667", report(REPORTS[name], b"N") + report(b"SERROR\0C22P02\0Mx\0\0") + READY)
    client.send(b"Q" + struct.pack("!I", 5 + len(text := b"SELECT email, 6667 FROM users")) + text + b"\0")
    answer = client.read()
    assert all(SECRET not in frame.body for frame in answer.frames)
    place.drop()
    assert not place.ask("SELECT 1").errors
