"""Arrays in both encodings: strict, shape-keeping, quoted as PostgreSQL reads them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import BackendProtocolError
from lockgate.masking import arrays


def _same(raw: bytes) -> bytes:
    return raw


@pytest.mark.parametrize(
    "raw",
    [b"{}", b"{a,b}", b'{"a b","",NULL,"null","x\\"y\\\\"}', b"{{1,2},{3,4}}", b"[2:3]={x,y}", b"[0:0][-1:0]={{x,y}}"],
)
def test_an_unchanged_array_is_written_as_it_was_read(raw: bytes) -> None:
    assert arrays.mask_text(raw, b",", _same) == raw


def test_masks_with_special_characters_are_quoted() -> None:
    assert arrays.mask_text(b"{a}", b",", lambda _: b'{"\\') == b'{"{\\"\\\\"}'
    assert arrays.mask_text(b"{a}", b",", lambda _: b"") == b'{""}'
    assert arrays.mask_text(b"{a}", b",", lambda _: b"Null") == b'{"Null"}'
    assert arrays.mask_text(b"{a,NULL}", b",", lambda _: None) == b"{NULL,NULL}"
    assert arrays.mask_text(b"{(1,2);(3,4)}", b";", lambda _: b"(0,0)") == b"{(0,0);(0,0)}"


@pytest.mark.parametrize("raw", [b"", b"a", b"{", b"{a", b'{"a', b'{"a\\', b"{a}}", b"{a}b", b"[1:2]x", b"}{"])
def test_malformed_text_is_an_error(raw: bytes) -> None:
    with pytest.raises(BackendProtocolError):
        arrays.mask_text(raw, b",", _same)


@given(st.lists(st.none() | st.binary(max_size=6), min_size=1, max_size=5))
def test_a_binary_array_is_written_as_it_was_read(elements: list[bytes | None]) -> None:
    nulls = int(None in elements)
    cells = [b"\xff" * 4 if cell is None else struct.pack("!i", len(cell)) + cell for cell in elements]
    raw = struct.pack("!iiIii", 1, nulls, 25, len(elements), 1) + b"".join(cells)
    assert arrays.mask_binary(raw, _same) == raw
    masked = arrays.mask_binary(raw, lambda _: None)
    assert masked == struct.pack("!iiIii", 1, 1, 25, len(elements), 1) + b"\xff" * 4 * len(elements)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        struct.pack("!iiI", 7, 0, 25) + bytes(56),
        struct.pack("!iiI", -1, 0, 25),
        struct.pack("!iiI", 0, 2, 25),
        struct.pack("!iiIii", 1, 0, 25, 1, 1),
        struct.pack("!iiIii", 1, 0, 25, 2**31 - 1, 1),
        struct.pack("!iiIii", 1, 0, 25, 0, 1) + b"x",
        struct.pack("!iiIiii", 1, 0, 25, 1, 1, -2),
        struct.pack("!iiIiii", 1, 0, 25, 1, 1, 9) + b"x",
    ],
)
def test_malformed_binary_is_an_error(raw: bytes) -> None:
    with pytest.raises(BackendProtocolError):
        arrays.mask_binary(raw, _same)
