"""Rows: cells come out exactly, and every length that lies is caught."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import BackendProtocolError, InvariantError
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.backend import decode
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.rows import DataRow, Field, RowDescription, cells, encode_row


@given(st.lists(st.none() | st.binary(max_size=300), max_size=20))
def test_cells_survive_the_round_trip(row: list[bytes | None]) -> None:
    encoded = encode_row(row)
    assert encoded[0] == tags.DATA_ROW
    assert cells(encoded[5:]) == row


@given(st.binary(max_size=60))
def test_random_bytes_are_cells_or_the_backends_error(body: bytes) -> None:
    try:
        found = cells(body)
    except BackendProtocolError:
        return
    assert encode_row(found)[5:] == body


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "too early"),
        (b"\0", "too early"),
        (b"\0\x01", "too early"),
        (b"\0\x01\0\0\0", "too early"),
        (b"\0\x02\xff\xff\xff\xff", "too early"),
        (b"\xff\xff", "too early"),
        (b"\0\x01\xff\xff\xff\xfe", "negative"),
        (b"\0\x01\x80\0\0\0", "negative"),
        (b"\0\x01\0\0\0\x02a", "longer than the message"),
        (b"\0\x01\x7f\xff\xff\xffa", "longer than the message"),
        (b"\0\x01\0\0\0\x01ab", "after the last cell"),
        (b"\0\0\0", "after the last cell"),
    ],
)
def test_a_row_whose_lengths_lie_is_refused(body: bytes, sentence: str) -> None:
    with pytest.raises(BackendProtocolError, match=sentence):
        cells(body)


def test_an_empty_text_is_not_null() -> None:
    assert cells(encode_row([b"", None])[5:]) == [b"", None]


def test_a_row_is_not_printed() -> None:
    assert "sesame" not in repr(DataRow((b"sesame",)))


def test_more_cells_than_can_be_counted_are_our_fault() -> None:
    with pytest.raises(InvariantError):
        encode_row([None] * 65_536)


def test_a_column_is_read_with_signs_where_the_protocol_has_them() -> None:
    body = b"\0\x01id\0\xff\xff\xff\xff\xff\xfa\0\0\0\x17\xff\xff\xff\xff\xff\xff\0\x01"
    assert decode(Frame(tags.ROW_DESCRIPTION, body)) == RowDescription((Field("id", 2**32 - 1, -6, 23, -1, -1, 1),))


@pytest.mark.parametrize("code", [b"\0\x02", b"\xff\xff"])
def test_a_column_format_that_does_not_exist_is_refused(code: bytes) -> None:
    with pytest.raises(BackendProtocolError, match="format code"):
        decode(Frame(tags.ROW_DESCRIPTION, b"\0\x01id\0" + bytes(16) + code))


def test_a_column_that_cannot_be_described_is_our_fault() -> None:
    with pytest.raises(InvariantError):
        RowDescription((Field("id", -1, 0, 0, 0, 0, 0),)).encode()
