"""The masked cells of many rows at once, a column at a time: the plain form of the compiled core's columns.

For: taking a chunk of rows apart, each column's masks together, and the rows together again.
Not for: the masks (`transforms`) or deciding which columns have one (`rows`).
Source: PostgreSQL documentation 55.7 (DataRow); ADR 14.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lockgate.errors import BackendProtocolError

CACHED_CELL_BYTES = 256
"""Longest cell that is remembered."""

DATA_ROW = ord("D")
_NULL = b"\xff\xff\xff\xff"


def data_row(body: bytes) -> bytes:
    """A row's message."""
    return b"D" + (len(body) + 4).to_bytes(4, "big") + body


def split(messages: bytes) -> list[bytes]:
    """Whole messages, apart."""
    found, position = [], 0
    while position < len(messages):
        end = position + 1 + int.from_bytes(messages[position + 1 : position + 5], "big")
        found.append(messages[position:end])
        position = end
    return found


class Column:
    """A masked column: `many` masks its cells, `kept` remembers at most `kept_max` of them."""

    def __init__(
        self, many: Callable[[list[bytes]], list[bytes | None]], kept: dict[bytes, bytes | None], kept_max: int
    ) -> None:
        self._many = many
        self._kept = kept
        self._kept_max = kept_max

    def show(self, cells: list[bytes]) -> list[bytes | None]:
        """The masks of some cells."""
        kept = self._kept
        wanted = [cell for cell in dict.fromkeys(cells) if cell not in kept]
        fresh = dict(zip(wanted, self._many(wanted), strict=True)) if wanted else {}
        shown = [fresh[cell] if cell in fresh else kept[cell] for cell in cells]
        if len(kept) + len(fresh) > self._kept_max:
            kept.clear()
        if len(fresh) <= self._kept_max:
            kept.update((cell, mask) for cell, mask in fresh.items() if len(cell) <= CACHED_CELL_BYTES)
        return shown


class Masks:
    """The columns of one result: what masks each output column, None where it stays."""

    def __init__(self, columns: Sequence[Column | None]) -> None:
        self._columns = columns
        self._hidden = [(number, column) for number, column in enumerate(columns) if column is not None]

    def mask(self, span: bytes, apart: bool) -> tuple[bytes | list[bytes], int, list[int]]:
        """Whole DataRow messages to (the masked ones, rows, cells masked of each column); `apart` gives a list of their bodies.

        Raises:
            BackendProtocolError: a row is malformed or has another number of columns.
        """
        rows = _rows(span, len(self._columns))
        counts = [0] * len(self._columns)
        for number, column in self._hidden:
            places = [row for row in rows if row[number] is not None]
            masks = column.show([cell for row in places if (cell := row[number]) is not None])
            counts[number] = len(places)
            for row, mask in zip(places, masks, strict=True):
                row[number] = mask
        bodies = [_body(row) for row in rows]
        return bodies if apart else b"".join([data_row(body) for body in bodies]), len(rows), counts


def _rows(span: bytes, count: int) -> list[list[bytes | None]]:
    rows, start = [], 0
    while start < len(span):
        position = start + 7
        end = start + 1 + int.from_bytes(span[start + 1 : start + 5], "big", signed=True)
        if position > len(span) or span[start] != DATA_ROW:
            raise BackendProtocolError("a span of rows holds something else")
        if not position <= end <= len(span) or int.from_bytes(span[start + 5 : position], "big") != count:
            raise BackendProtocolError("a row has another number of columns than was planned")
        row: list[bytes | None] = []
        for _ in range(count):
            value = position + 4
            if value > end:
                raise BackendProtocolError("a row ends inside the length of a value")
            size = int.from_bytes(span[position:value], "big", signed=True)
            if size == -1:
                row.append(None)
                position = value
                continue
            position = value + size
            if size < 0 or position > end:
                raise BackendProtocolError("a value is longer than its row")
            row.append(span[value:position])
        if position != end:
            raise BackendProtocolError("a row has bytes after its last value")
        rows.append(row)
        start = end
    return rows


def _body(row: list[bytes | None]) -> bytes:
    parts = [len(row).to_bytes(2, "big")]
    for cell in row:
        if cell is None:
            parts.append(_NULL)
        else:
            parts += (len(cell).to_bytes(4, "big"), cell)
    return b"".join(parts)
