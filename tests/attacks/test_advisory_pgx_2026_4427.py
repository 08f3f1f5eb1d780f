"""pgx CVE-2026-4427 and CVE-2026-32286: a negative length in a DataRow of the server was a panic (W-08).

A row that is not one is never shown: the session ends, its statement's outcome is unknown, others go on.
"""

from __future__ import annotations

import struct

import pytest

from attacks.series import Place
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe

TEXT = "SELECT email, full_name FROM users WHERE id = 4427"
SECRET = b"canary7@raw-value.example"


def row(columns: int, *cells: tuple[int, bytes]) -> bytes:
    """A DataRow that says what it likes."""
    body = struct.pack("!H", columns) + b"".join(struct.pack("!i", length) + cell for length, cell in cells)
    return b"D" + struct.pack("!I", len(body) + 4) + body


ROWS = {
    "a negative length": row(2, (-2, SECRET), (len(SECRET), SECRET)),
    "the lowest length": row(2, (-(2**31), SECRET), (len(SECRET), SECRET)),
    "a length beyond the row": row(2, (len(SECRET), SECRET), (2**31 - 1, SECRET)),
    "more columns than are there": row(3, (len(SECRET), SECRET), (len(SECRET), SECRET)),
    "more columns than were described": row(3, *[(len(SECRET), SECRET)] * 3),
    "fewer columns than were described": row(1, (len(SECRET), SECRET)),
    "no columns": row(0),
    "bytes behind the last column": row(2, (len(SECRET), SECRET), (len(SECRET), SECRET))[:1]
    + struct.pack("!I", 2 * len(SECRET) + 30)
    + row(2, (len(SECRET), SECRET), (len(SECRET), SECRET))[5:]
    + b"\0" * 16,
    "a count without columns": b"D\0\0\0\6\xff\xff",
    "no count": b"D\0\0\0\5\0",
    "a length below four": b"D\0\0\0\3",
    "a length of four gigabytes": b"D\xff\xff\xff\xff" + SECRET,
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("who", ["bot", "clara"])
def test_a_row_that_is_none_is_not_shown_and_breaks_nothing(place: Place, name: str, who: str) -> None:
    place.drop(who)
    fields = place.ask(TEXT.replace("4427", "1"), who).fields
    described = be.RowDescription(fields).encode()
    client = place.client(who)
    place.relay.answer(b"4427", described + ROWS[name] + b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\5I")
    client.send(fe.Query(TEXT).encode())
    client._socket.settimeout(20)
    try:
        answer = client.read()
    except TimeoutError:  # a row that never ends: the gate waits for the rest of it, as any client would
        assert name == "a length of four gigabytes"
    else:
        assert who == "clara" or all(SECRET not in frame.body for frame in answer.frames)
    place.drop(who)
    assert not place.ask("SELECT 1", who).errors
