"""Rows and their shape.

For: cutting a row into cells and back, at the speed that masking needs, with every length checked.
Not for: what a cell means.
Source: PostgreSQL documentation, "Message Formats" (RowDescription, ParameterDescription, DataRow).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, NamedTuple

from lockgate.errors import BackendProtocolError, InvariantError
from lockgate.wire.postgres import body, tags
from lockgate.wire.postgres.body import BodyReader
from lockgate.wire.postgres.frames import message

_COUNT: Final = Struct("!H")
_LENGTH: Final = Struct("!i")
_FIELD: Final = Struct("!IhIhih")
_NULL: Final = b"\xff\xff\xff\xff"
_CELLS_MAX: Final = 0xFFFF


class Field(NamedTuple):
    """One column of a result; `table_oid` and `attnum` are 0 when it is no plain column."""

    name: str
    table_oid: int
    attnum: int
    type_oid: int
    type_size: int
    type_mod: int
    format: int


@dataclass(frozen=True, slots=True)
class RowDescription:
    """The columns of the rows that follow."""

    fields: tuple[Field, ...]

    def encode(self) -> bytes:
        """Encode the message."""
        parts = [body.uint16(len(self.fields))]
        for name, *numbers in self.fields:
            parts.append(body.string(name))
            try:
                parts.append(_FIELD.pack(*numbers))
            except struct.error:
                raise InvariantError("a column to describe has a number out of range") from None
        return message(tags.ROW_DESCRIPTION, b"".join(parts))


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    """The types of a statement's parameters."""

    type_oids: tuple[int, ...]

    def encode(self) -> bytes:
        """Encode the message."""
        return message(tags.PARAMETER_DESCRIPTION, body.oids(self.type_oids))


@dataclass(frozen=True, slots=True)
class DataRow:
    """One row; None is null."""

    cells: tuple[bytes | None, ...] = field(repr=False)

    def encode(self) -> bytes:
        """Encode the message."""
        return encode_row(self.cells)


def read_row_description(reader: BodyReader) -> RowDescription:
    """Read the body of a RowDescription."""
    return RowDescription(tuple([_read_field(reader) for _ in range(reader.uint16())]))


def _read_field(reader: BodyReader) -> Field:
    described = Field(reader.text(), *_FIELD.unpack(reader.take(_FIELD.size)))
    if described.format not in (0, 1):
        raise reader.wrong("a format code is neither 0 nor 1")
    return described


def cells(row: bytes) -> list[bytes | None]:
    """Cut the body of a DataRow into its cells; None is null.

    Raises:
        BackendProtocolError: a negative length other than -1, a length beyond the end, or bytes after the last cell.
    """
    found: list[bytes | None] = []
    add = found.append
    unpack = _LENGTH.unpack_from
    size = len(row)
    position = 2
    try:
        for _ in range(_COUNT.unpack_from(row)[0]):
            length = unpack(row, position)[0]
            position += 4
            if length >= 0:
                end = position + length
                if end > size:
                    raise BackendProtocolError("DataRow: a cell is longer than the message")
                add(row[position:end])
                position = end
            elif length == -1:
                add(None)
            else:
                raise BackendProtocolError("DataRow: the length of a cell is negative")
    except struct.error:
        raise BackendProtocolError("DataRow: the message ends too early") from None
    if position != size:
        raise BackendProtocolError("DataRow: there are bytes after the last cell")
    return found


def encode_row(row: Sequence[bytes | None]) -> bytes:
    """Encode a DataRow message from its cells."""
    if len(row) > _CELLS_MAX:
        raise InvariantError("a row to send has too many cells")
    pack = _LENGTH.pack
    parts = [_COUNT.pack(len(row))]
    for cell in row:
        if cell is None:
            parts.append(_NULL)
        else:
            parts.append(pack(len(cell)))
            parts.append(cell)
    return message(tags.DATA_ROW, b"".join(parts))
