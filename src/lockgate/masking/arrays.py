"""Arrays in text and binary: every element masked, shape and NULLs kept.

For: walking the two encodings strictly.
Not for: the masks of elements; client encodings in which ASCII bytes occur inside other characters (SJIS, BIG5, GBK,
GB18030, UHC, JOHAB) are not supported here, as nowhere in the gate.
Source: PostgreSQL documentation 8.15.6 (array text); src/backend/utils/adt/arrayfuncs.c, array_send (binary).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from lockgate.errors import BackendProtocolError

CellMask = Callable[[bytes], bytes | None]

_BOUNDS = re.compile(rb"(?:\[-?[0-9]{1,10}:-?[0-9]{1,10}\])+=")
_SPACE = b" \t\n\r\v\f"
_DIMENSIONS_MAX = 6


def mask_text(raw: bytes, delimiter: bytes, mask: CellMask) -> bytes:
    """An array in text form with each element masked."""
    bounds = _BOUNDS.match(raw)
    position = bounds.end() if bounds else 0
    parts = [raw[:position]]
    depth, length = 0, len(raw)
    if raw[position : position + 1] != b"{":
        raise BackendProtocolError("an array value does not start with a brace")
    while position < length:
        byte = raw[position : position + 1]
        if byte == b"{":
            depth += 1
            parts.append(byte)
            position += 1
        elif byte == b"}":
            depth -= 1
            parts.append(byte)
            position += 1
            if depth < 0 or (depth == 0 and position != length):
                raise BackendProtocolError("an array value has unbalanced braces")
        elif byte == delimiter:
            parts.append(byte)
            position += 1
        else:
            element, position = _element(raw, position, delimiter)
            shown = None if element is None else mask(element)
            parts.append(b"NULL" if shown is None else _quoted(shown, delimiter))
    if depth:
        raise BackendProtocolError("an array value has unbalanced braces")
    return b"".join(parts)


def _element(raw: bytes, position: int, delimiter: bytes) -> tuple[bytes | None, int]:
    if raw[position : position + 1] != b'"':
        start = position
        while position < len(raw) and raw[position : position + 1] not in (b"{", b"}", b'"', delimiter):
            position += 1
        element = raw[start:position].strip(_SPACE)
        return (None if element.upper() == b"NULL" else element), position
    parts: list[bytes] = []
    position += 1
    while True:
        byte = raw[position : position + 1]
        if byte == b'"':
            return b"".join(parts), position + 1
        if byte == b"\\":
            position += 1
            byte = raw[position : position + 1]
        if not byte:
            raise BackendProtocolError("an array value ends inside quotes")
        parts.append(byte)
        position += 1


def _quoted(shown: bytes, delimiter: bytes) -> bytes:
    special = b'{}"\\' + delimiter + _SPACE
    if shown and shown.upper() != b"NULL" and not any(byte in special for byte in shown):
        return shown
    return b'"' + shown.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def mask_binary(raw: bytes, mask: CellMask) -> bytes:
    """An array in binary form with each element masked."""
    if len(raw) < 12:
        raise BackendProtocolError("a binary array is shorter than its header")
    dimensions, flags, element_type = struct.unpack_from("!iiI", raw)
    start = 12 + 8 * dimensions
    if not 0 <= dimensions <= _DIMENSIONS_MAX or flags not in (0, 1) or len(raw) < start:
        raise BackendProtocolError("a binary array has a wrong header")
    count = 1 if dimensions else 0
    for dimension in range(dimensions):
        count *= max(0, int(struct.unpack_from("!i", raw, 12 + 8 * dimension)[0]))
    parts, position, nulls = [], start, False
    for _ in range(count):
        element, position = read_cell(raw, position)
        shown = None if element is None else mask(element)
        if shown is None:
            nulls = True
            parts.append(b"\xff\xff\xff\xff")
        else:
            parts.append(struct.pack("!i", len(shown)) + shown)
    if position != len(raw):
        raise BackendProtocolError("a binary array has bytes after its last element")
    return struct.pack("!iiI", dimensions, int(nulls), element_type) + raw[12:start] + b"".join(parts)


def empty_binary(raw: bytes) -> bytes:
    """An array without elements, of the element type of `raw`."""
    if len(raw) < 12:
        raise BackendProtocolError("a binary array is shorter than its header")
    return bytes(8) + raw[8:12]


def read_cell(raw: bytes, position: int) -> tuple[bytes | None, int]:
    """One length-prefixed value, None for NULL, and the position after it."""
    if position + 4 > len(raw):
        raise BackendProtocolError("a value ends inside its length")
    length = int.from_bytes(raw[position : position + 4], "big", signed=True)
    position += 4
    if length == -1:
        return None, position
    end = position + length
    if length < 0 or end > len(raw):
        raise BackendProtocolError("a value is longer than its message")
    return raw[position:end], end
