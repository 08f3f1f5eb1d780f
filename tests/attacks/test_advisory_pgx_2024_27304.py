"""pgx and pgproto3 CVE-2024-27304: a length that wraps at four gigabytes smuggles one message inside another (W-07)."""

from __future__ import annotations

import struct

import pytest

from attacks.series import Place
from lockgate.wire.postgres import frontend as fe

SMUGGLED = fe.Query("UPDATE users SET hits = 99 WHERE id = 1").encode()


@pytest.mark.parametrize("length", [0, 1, 2, 3, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 4])
@pytest.mark.parametrize("tag", [b"Q", b"P", b"B", b"d", b"F"])
def test_a_length_that_does_not_fit_ends_the_session_and_nothing_inside_runs(
    place: Place, tag: bytes, length: int
) -> None:
    place.drop("clara")
    before = place.state()
    client = place.client("clara")
    client.send(tag + struct.pack("!I", length) + SMUGGLED + b"\0" * 16 + SMUGGLED)
    answer = client.read()
    assert answer.ended
    assert answer.errors
    place.drop("clara")
    assert place.state() == before


@pytest.mark.parametrize("size", [2**31 - 1, -1, -2, -(2**31), 2**31 - 5, 65536])
def test_a_length_inside_a_bind_that_points_beyond_it_is_an_error(place: Place, size: int) -> None:
    place.drop("clara")
    before = place.state()
    client = place.client("clara")
    body = b"\0\0" + struct.pack("!HHi", 0, 1, size) + SMUGGLED + struct.pack("!H", 0)
    client.send(
        fe.Parse("", "SELECT $1::text").encode() + b"B" + struct.pack("!I", len(body) + 4) + body + fe.Sync().encode()
    )
    answer = client.read()
    assert answer.errors
    assert not answer.rows
    place.drop("clara")
    assert place.state() == before
