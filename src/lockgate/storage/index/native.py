"""Columns as bytes in ClickHouse's Native format.

For: handing a block to the engine, embedded or over HTTP, without turning numbers into text and back.
Not for: reading the format.
Source: ClickHouse documentation, Native format; its SerializationLowCardinality (version 1, additional keys).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate

_KEYS_ARE_HERE = 0x600  # the block brings its own dictionary and does not use an earlier one


def _length(number: int) -> bytes:
    """A number as LEB128."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _text(value: str) -> bytes:
    encoded = value.encode("utf-8", "surrogateescape")
    return _length(len(encoded)) + encoded


def numbers(values: Iterable[int]) -> bytes:
    """UInt64, or DateTime64 as ticks."""
    return array("Q", values).tobytes()


def texts(values: Sequence[str]) -> bytes:
    """String: each behind its length; a repeated text is encoded once."""
    known = {value: _text(value) for value in set(values)}
    return b"".join(map(known.__getitem__, values))


def _coded_block(values: Sequence[str], where: Sequence[int] | None = None) -> bytes:
    """Dictionary and codes of one block of LowCardinality(String), without the prefix."""
    if not values:
        return b""
    keys = dict.fromkeys(values)
    codes = {value: code for code, value in enumerate(keys)}
    width = 0 if len(keys) <= 1 << 8 else 1 if len(keys) <= 1 << 16 else 2
    found = array("BHI"[width], map(codes.__getitem__, values))
    if where is not None:
        found = array("BHI"[width], map(found.__getitem__, where))
    head = numbers((width | _KEYS_ARE_HERE, len(keys)))
    return head + b"".join(map(_text, keys)) + numbers((len(found),)) + found.tobytes()


_PREFIX = (1).to_bytes(8, "little")


def coded(values: Sequence[str], where: Sequence[int] | None = None) -> bytes:
    """LowCardinality(String); with `where`, one row for each position in it."""
    return _PREFIX + _coded_block(values, where)


def coded_lists(values: Sequence[tuple[str, ...]]) -> bytes:
    """Array(LowCardinality(String))."""
    ends = numbers(accumulate(map(len, values)))
    return _PREFIX + ends + _coded_block([text for one in values for text in one])


def text_lists(values: Sequence[Sequence[str]]) -> bytes:
    """Array(String)."""
    return numbers(accumulate(map(len, values))) + texts([text for one in values for text in one])


def block(rows: int, columns: Iterable[tuple[str, str, bytes]]) -> bytes:
    """One block: (name, type, stored) for each column, each with as many values as there are rows."""
    listed = list(columns)
    parts = [_length(len(listed)), _length(rows)]
    for name, kind, stored in listed:
        parts += (_text(name), _text(kind), stored)
    return b"".join(parts)
