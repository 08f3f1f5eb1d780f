"""Columns as bytes in ClickHouse's Native format.

For: handing a block to the engine, embedded or over HTTP, without turning numbers into text and back.
Not for: reading the format.
Source: ClickHouse documentation, Native format; its SerializationLowCardinality (version 1, additional keys).
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, count
from operator import itemgetter
from typing import Any

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


Pick = Callable[[Sequence[Any]], Sequence[Any]]
"""Takes for each row the value that is meant for it."""


def picker(where: Sequence[int]) -> Pick:
    """Takes from values those at some positions, one for each row; made once, it serves many columns."""
    if len(where) > 1:
        return itemgetter(*where)
    return lambda values: [values[at] for at in where]


def coded_keys(values: Iterable[Any]) -> tuple[list[Any], list[int]]:
    """The distinct values in the order of their first appearance, and for each value the number of its own."""
    codes: defaultdict[Any, int] = defaultdict(count().__next__)
    found = list(map(codes.__getitem__, values))
    return list(codes), found


def texts(values: Sequence[str], pick: Pick | None = None) -> bytes:
    """String: each behind its length; a repeated text is encoded once. With `pick`, one row for each that it takes."""
    keys, codes = coded_keys(values)
    encoded = [_text(key) for key in keys]
    return b"".join(map(encoded.__getitem__, codes if pick is None else pick(codes)))


def _coded_block(values: Sequence[str], pick: Pick | None = None) -> bytes:
    """Dictionary and codes of one block of LowCardinality(String), without the prefix."""
    if not values:
        return b""
    keys, codes = coded_keys(values)
    width = 0 if len(keys) <= 1 << 8 else 1 if len(keys) <= 1 << 16 else 2
    found = array("BHI"[width], codes if pick is None else pick(codes))
    head = numbers((width | _KEYS_ARE_HERE, len(keys)))
    return head + b"".join(map(_text, keys)) + numbers((len(found),)) + found.tobytes()


_PREFIX = (1).to_bytes(8, "little")


def coded(values: Sequence[str], pick: Pick | None = None) -> bytes:
    """LowCardinality(String); with `pick`, one row for each that it takes."""
    return _PREFIX + _coded_block(values, pick)


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
