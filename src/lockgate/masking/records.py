"""Whole rows as one value, in text and binary: every masked field masked, the others as they are.

For: walking the two encodings of a composite value strictly.
Not for: the masks of the fields.
Source: PostgreSQL documentation 8.16.6 (composite text); rowtypes.c, record_out and record_send (binary: count, then type and value each).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lockgate.errors import BackendProtocolError
from lockgate.masking.arrays import CellMask, read_cell

_QUOTED = re.compile(rb'["\\(),\s]')
_NULL = b"\xff\xff\xff\xff"


def mask_text(raw: bytes, masks: Sequence[CellMask | None]) -> bytes:
    """A composite value in text form."""
    fields = read_text(raw)
    if len(fields) != len(masks):
        raise BackendProtocolError("a composite value has other fields than were planned")
    return write_text(
        [field if field is None or mask is None else mask(field) for field, mask in zip(fields, masks, strict=True)]
    )


def read_text(raw: bytes) -> list[bytes | None]:
    """The fields of a composite value in text form, None for NULL."""
    if len(raw) < 2 or raw[:1] != b"(":
        raise BackendProtocolError("a composite value does not start with a parenthesis")
    fields, position = [], 0
    while raw[position : position + 1] != b")":
        field, position = _field(raw, position + 1)
        fields.append(field)
    if position + 1 != len(raw):
        raise BackendProtocolError("a composite value has bytes after its end")
    return fields


def write_text(fields: Sequence[bytes | None]) -> bytes:
    """A composite value of these fields in text form."""
    return b"(" + b",".join(b"" if field is None else _written(field) for field in fields) + b")"


def _field(raw: bytes, position: int) -> tuple[bytes | None, int]:
    """One field, None for NULL, and the position after it."""
    parts: list[bytes] = []
    start, quoted = position, False
    while True:
        byte = raw[position : position + 1]
        if not byte:
            raise BackendProtocolError("a composite value ends inside a field")
        if not quoted and byte in (b",", b")"):
            return (None if position == start else b"".join(parts)), position
        position += 1
        if byte == b"\\":
            parts.append(raw[position : position + 1])
            position += 1
        elif byte != b'"':
            parts.append(byte)
        elif quoted and raw[position : position + 1] == b'"':
            parts.append(b'"')
            position += 1
        else:
            quoted = not quoted


def _written(field: bytes) -> bytes:
    if field and _QUOTED.search(field) is None:
        return field
    return b'"' + field.replace(b"\\", b"\\\\").replace(b'"', b'""') + b'"'


def mask_binary(raw: bytes, masks: Sequence[CellMask | None], type_oids: Sequence[int]) -> bytes:
    """A composite value in binary form."""
    if int.from_bytes(raw[:4], "big") != len(masks):
        raise BackendProtocolError("a composite value has other fields than were planned")
    parts, position = [raw[:4]], 4
    for mask, type_oid in zip(masks, type_oids, strict=True):
        kind = raw[position : position + 4]
        if int.from_bytes(kind, "big") != type_oid:
            raise BackendProtocolError("a field of a composite value has another type than was planned")
        field, position = read_cell(raw, position + 4)
        shown = field if field is None or mask is None else mask(field)
        parts += [kind, _NULL if shown is None else len(shown).to_bytes(4, "big") + shown]
    if position != len(raw):
        raise BackendProtocolError("a composite value has bytes after its end")
    return b"".join(parts)
