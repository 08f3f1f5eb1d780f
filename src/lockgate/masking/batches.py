"""The masked cells of many rows at once, a column at a time: the plain form of the compiled core's columns.

For: taking a chunk of rows apart, each column's masks together, and the rows together again.
Not for: the masks (`transforms`) or deciding which columns have one (`rows`).
Source: PostgreSQL documentation 55.7 (DataRow); ADR 14.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lockgate.errors import BackendProtocolError

CACHED_CELL_BYTES = 256
"""Longest cell that is remembered."""

DATA_ROW = ord("D")
COPY_DATA = ord("d")
ESCAPES = {8: b"b", 12: b"f", 10: b"n", 13: b"r", 9: b"t", 11: b"v"}
"""Letters that stand behind a backslash for these bytes in COPY's text format."""
_LETTERS = {letter[0]: bytes((code,)) for code, letter in ESCAPES.items()}
_INT32 = struct.Struct("!i")
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
        shown = list(map(kept.get, cells))
        if None not in shown:
            return shown
        wanted = [cell for cell in dict.fromkeys(cells) if cell not in kept]
        fresh = dict(zip(wanted, self._many(wanted), strict=True)) if wanted else {}
        shown = [fresh[cell] if cell in fresh else kept[cell] for cell in cells]
        if len(kept) + len(fresh) > self._kept_max:
            kept.clear()
        if len(fresh) <= self._kept_max:
            kept.update((cell, mask) for cell, mask in fresh.items() if len(cell) <= CACHED_CELL_BYTES)
        return shown


@dataclass(slots=True)
class _Hidden:
    """The cells of one masked column in a chunk, one for each row; None is NULL."""

    number: int
    column: Column
    cells: list[bytes | None] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    """Where the length of each cell stands."""
    ends: list[int] = field(default_factory=list)

    def framed(self) -> list[bytes]:
        """The masks behind their lengths."""
        present = [cell for cell in self.cells if cell is not None]
        shown = self.column.show(present)
        if len(present) < len(self.cells):
            masks = iter(shown)
            shown = [None if cell is None else next(masks) for cell in self.cells]
        return [_NULL if mask is None else len(mask).to_bytes(4, "big") + mask for mask in shown]


class Masks:
    """The columns of one result: what masks each output column, None where it stays."""

    def __init__(self, columns: Sequence[Column | None]) -> None:
        self._columns = columns
        self._numbers = [number for number, column in enumerate(columns) if column is not None]

    def mask(self, span: bytes, apart: bool) -> tuple[bytes | list[bytes], int, list[int]]:
        """Whole DataRow messages to (the masked ones, rows, cells masked of each column); `apart` gives a list of their bodies.

        Raises:
            BackendProtocolError: a row is malformed or has another number of columns.
        """
        hidden = self._hidden()
        ends = self._taken_apart(span, hidden, DATA_ROW)
        bodies = _together(span, ends, hidden)
        return bodies if apart else _messages(b"D", bodies), len(ends), self._counts(hidden)

    def copied(
        self, span: bytes, form: str, delimiter: int, quote: int, null: bytes, forced: frozenset[int]
    ) -> tuple[bytes, int, list[int]] | None:
        """Whole CopyData messages, each with one row in this form, as `mask`; None when they are anything but plain rows.

        Args:
            form: `text`, `csv` or `binary`.
            delimiter: between values.
            quote: of CSV, which is its own escape.
            null: what NULL looks like.
            forced: columns that CSV quotes always.
        """
        hidden = self._hidden()
        if form == "binary":
            if not _are_rows(span, len(self._columns)):
                return None
            bodies = _together(span, self._taken_apart(span, hidden, COPY_DATA), hidden)
            return _messages(b"d", bodies), len(bodies), self._counts(hidden)
        csv, between = form == "csv", bytes((delimiter,))
        mark = bytes((quote,))
        if (mark in span or b"\r" in span) if csv else (b"\\" + between in span or b"\\\n" in span):
            return None
        rows = _lines(span, between, len(self._columns))
        if rows is None:
            return None
        special = re.compile(
            b"[" + re.escape(between + mark) + b"\r\n]" if csv else b"[" + re.escape(between) + rb"\\\x08-\x0d]"
        )
        for one in hidden:
            number = one.number
            cells = [row[number] for row in rows if row[number] != null]
            if not csv:
                cells = [unescaped(cell) if b"\\" in cell else cell for cell in cells]
            one.cells.extend(cells)
            masks = one.column.show(cells)
            if None in masks or (csv and (number in forced or len(self._columns) == 1 or null in masks)):
                return None
            written = [mask for mask in masks if mask is not None]
            if special.search(b"".join(written)) is not None:
                return None
            shown = iter(written)
            for row in rows:
                if row[number] != null:
                    row[number] = next(shown)
        return _messages(b"d", [between.join(row) + b"\n" for row in rows]), len(rows), self._counts(hidden)

    def _hidden(self) -> list[_Hidden]:
        return [_Hidden(n, column) for n in self._numbers if (column := self._columns[n]) is not None]

    def _counts(self, hidden: Sequence[_Hidden]) -> list[int]:
        counts = [0] * len(self._columns)
        for one in hidden:
            counts[one.number] = len(one.cells) - one.cells.count(None)
        return counts

    def _taken_apart(self, span: bytes, hidden: Sequence[_Hidden], tag: int) -> list[int]:
        """Gather the cells of masked columns; where each row ends."""
        count, start, whole, length_at = len(self._columns), 0, len(span), _INT32.unpack_from
        wanted: list[_Hidden | None] = [None] * count
        for one in hidden:
            wanted[one.number] = one
        ends = []
        while start < whole:
            position = start + 7
            if position > whole or span[start] != tag:
                raise BackendProtocolError("a span of rows holds something else")
            end = start + 1 + length_at(span, start + 1)[0]
            if not position <= end <= whole or span[start + 5] << 8 | span[start + 6] != count:
                raise BackendProtocolError("a row has another number of columns than was planned")
            # Lengths only add up: where the last value ends at the row's end, all of them lie in the row.
            try:
                for column in wanted:
                    size = length_at(span, position)[0]
                    after = position + 4
                    if size > 0:
                        after += size
                    elif size < -1:
                        after = whole + 1  # which is beyond what any row can have
                    if column is not None:
                        column.cells.append(None if size < 0 else span[position + 4 : after])
                        column.places.append(position)
                        column.ends.append(after)
                    position = after
            except struct.error:
                position = -1
            if position != end:
                raise BackendProtocolError(_problem(span, start + 7, end, count))
            ends.append(end)
            start = end
        return ends


def _problem(span: bytes, position: int, end: int, count: int) -> str:
    """What is wrong with a row."""
    for _ in range(count):
        if position + 4 > end:
            return "a row ends inside the length of a value"
        size = _INT32.unpack_from(span, position)[0]
        position += 4 + max(size, 0)
        if size < -1 or position > end:
            return "a value is longer than its row"
    return "a row has bytes after its last value"


def _together(span: bytes, ends: Sequence[int], hidden: Sequence[_Hidden]) -> list[bytes]:
    """The rows' bodies with the masks in their places."""
    pieces = []
    before = [start + 5 for start in (0, *ends[:-1])]
    for one in hidden:
        pieces.append([span[start:end] for start, end in zip(before, one.places, strict=False)])
        pieces.append(one.framed())
        before = one.ends
    pieces.append([span[start:end] for start, end in zip(before, ends, strict=False)])
    return list(map(b"".join, zip(*pieces, strict=True)))


def _messages(tag: bytes, bodies: Sequence[bytes]) -> bytes:
    return b"".join([tag + (len(body) + 4).to_bytes(4, "big") + body for body in bodies])


def _lines(span: bytes, delimiter: bytes, count: int) -> list[list[bytes]] | None:
    """The values of rows that are a line each; None when something is not, or has another number of values."""
    rows, start, whole, length_at = [], 0, len(span), _INT32.unpack_from
    while start < whole:
        if start + 6 > whole or span[start] != COPY_DATA:
            return None
        end = start + 1 + length_at(span, start + 1)[0]
        if end <= start + 5 or end > whole or span.find(b"\n", start + 5, end) != end - 1:
            return None
        row = span[start + 5 : end - 1].split(delimiter)
        if len(row) != count:
            return None
        rows.append(row)
        start = end
    return rows or None


def _are_rows(span: bytes, count: int) -> bool:
    """Whether these are CopyData messages that each begin as a row of so many columns does."""
    start, whole, begin = 0, len(span), count.to_bytes(2, "big")
    while start < whole:
        if start + 7 > whole or span[start] != COPY_DATA or span[start + 5 : start + 7] != begin:
            return False
        length = _INT32.unpack_from(span, start + 1)[0]
        if length < 6:
            return False
        start += 1 + length
    return start == whole and whole > 0


def unescaped(raw: bytes) -> bytes:
    """A value of COPY's text format as it is."""
    if b"\\" not in raw:
        return raw
    return re.sub(rb"\\(.)", lambda m: _LETTERS.get(m[1][0], m[1]), raw, flags=re.DOTALL)
