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
from typing import Any

from lockgate.errors import BackendProtocolError, InvariantError

CACHED_CELL_BYTES = 256
"""Longest cell that is remembered."""

LAYOUTS = 64
"""Most sizes of a row's rest whose lengths are remembered."""
DATA_ROW = ord("D")
COPY_DATA = ord("d")
ESCAPES = {8: b"b", 12: b"f", 10: b"n", 13: b"r", 9: b"t", 11: b"v"}
"""Letters that stand behind a backslash for these bytes in COPY's text format."""
_LETTERS = {letter[0]: bytes((code,)) for code, letter in ESCAPES.items()}
_INT32 = struct.Struct("!i")
_HEAD = struct.Struct("!BiH")
_COPY_HEAD = struct.Struct("!Bi")
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
    """A masked column.

    Args:
        many: masks its cells.
        kept: masks that are remembered.
        framed: the same behind their lengths, as rows have them.
        kept_max: most of them in each.
    """

    def __init__(
        self, many: Callable[[list[bytes]], list[bytes | None]], kept: dict[bytes, bytes | None], framed: dict[bytes, bytes],
        kept_max: int,
    ) -> None:  # fmt: skip
        self._many = many
        self._kept = kept
        self._framed = framed
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
        self._keep(kept, fresh)
        return shown

    def framed(self, cells: list[bytes]) -> list[bytes]:
        """The masks of some cells behind their lengths."""
        shown = [_NULL if mask is None else len(mask).to_bytes(4, "big") + mask for mask in self.show(cells)]
        self._keep(self._framed, dict(zip(cells, shown, strict=True)))
        return shown

    @property
    def seen(self) -> Callable[[bytes], bytes | None]:
        """The mask of one cell behind its length, where it is remembered."""
        return self._framed.get

    def _keep(self, kept: dict[bytes, Any], fresh: dict[bytes, Any]) -> None:
        if len(kept) + len(fresh) > self._kept_max:
            kept.clear()
        if len(fresh) <= self._kept_max:
            kept.update((cell, mask) for cell, mask in fresh.items() if len(cell) <= CACHED_CELL_BYTES)


class FixedColumn(Column):
    """A masked column whose values all look the same."""

    def __init__(self, mask: bytes | None) -> None:
        super().__init__(lambda cells: [mask] * len(cells), {}, {}, 0)
        self._mask = mask
        self._with_length = _NULL if mask is None else len(mask).to_bytes(4, "big") + mask

    def show(self, cells: list[bytes]) -> list[bytes | None]:
        """The mask, as often as there are cells."""
        return [self._mask] * len(cells)

    def framed(self, cells: list[bytes]) -> list[bytes]:
        """The same behind its length."""
        return [self._with_length] * len(cells)

    @property
    def seen(self) -> Callable[[bytes], bytes | None]:
        """The mask, whatever the cell is."""
        mask = self._with_length
        return lambda _cell: mask


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
        shown = self.column.framed(present)
        if len(present) < len(self.cells):
            masks = iter(shown)
            shown = [_NULL if cell is None else next(masks) for cell in self.cells]
        return shown


class Masks:
    """The columns of one result: what masks each output column, None where it stays."""

    def __init__(self, columns: Sequence[Column | None]) -> None:
        self._columns = columns
        self._numbers = [number for number, column in enumerate(columns) if column is not None]
        self._steps = []
        for number, at in enumerate(self._numbers):
            passed = range(at - (self._numbers[number - 1] + 1 if number else 0))
            self._steps.append((number, passed, self._at(at).seen))
        self._rest = Rest(len(columns) - self._numbers[-1] - 1 if self._numbers else 0)

    def mask(self, span: bytes, apart: bool) -> tuple[bytes | list[bytes], int, list[int]]:
        """Whole DataRow messages to (the masked ones, rows, cells masked of each column); `apart` gives a list of their bodies.

        Raises:
            BackendProtocolError: a row is malformed or has another number of columns.
        """
        found = None if apart else self._seen(span, DATA_ROW)
        if found is not None:
            return found
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
            found = self._seen(span, COPY_DATA)
            if found is not None:
                return found
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
        special = between + mark + b"\r\n" if csv else between + b"\\\x08\t\n\x0b\f\r"
        for one in hidden:
            number = one.number
            among = [row for row in rows if row[number] != null]
            cells = [row[number] for row in among]
            if not csv and b"\\" in b"".join(cells):
                cells = [unescaped(cell) for cell in cells]
            one.cells.extend(cells)
            masks = one.column.show(cells)
            if None in masks or (csv and (number in forced or len(self._columns) == 1 or null in masks)):
                return None
            written = [mask for mask in masks if mask is not None]
            together = b"".join(written)
            if len(together.translate(None, special)) != len(together):
                return None
            for row, shown in zip(among, written, strict=True):
                row[number] = shown
        head = _COPY_HEAD.pack
        lines = [line for row in rows for line in (b"", between.join(row), b"\n")]
        for at in range(0, len(lines), 3):
            lines[at] = head(COPY_DATA, len(lines[at + 1]) + 5)
        return b"".join(lines), len(rows), self._counts(hidden)

    def _seen(self, span: bytes, tag: int) -> tuple[bytes, int, list[int]] | None:
        """As `mask`, in one pass, while every value was masked before; None: one was not, or a row is malformed."""
        length_at, head_at, ends, steps = _INT32.unpack_from, _HEAD.unpack_from, self._rest.ends, self._steps
        sign, count, whole, start, rows, empty = bytes((tag,)), len(self._columns), len(span), 0, 0, [0] * len(steps)
        pieces: list[bytes] = []
        add = pieces.append
        try:
            while start < whole:
                kind, longer, columns = head_at(span, start)
                end = start + 1 + longer
                if kind != tag or columns != count or end > whole:
                    return None
                copied, position, head = start + 5, start + 7, len(pieces)
                add(b"")
                for number, passed, seen in steps:
                    for _ in passed:
                        (size,) = length_at(span, position)
                        position += 4
                        if size > 0:
                            position += size
                        elif size < -1:
                            return None
                    (size,) = length_at(span, position)
                    if size < 0:
                        if size < -1:
                            return None
                        position += 4
                        empty[number] += 1
                        continue
                    add(span[copied:position])
                    position += 4
                    copied = position + size
                    mask = seen(span[position:copied])
                    if mask is None:
                        return None
                    add(mask)
                    longer += len(mask) - 4 - size
                    position = copied
                if not ends(span, position, end):
                    return None
                add(span[copied:end])
                pieces[head] = sign + longer.to_bytes(4, "big")
                start = end
                rows += 1
        except struct.error:
            return None
        counts = [0] * len(self._columns)
        for number, missing in zip(self._numbers, empty, strict=True):
            counts[number] = rows - missing
        return b"".join(pieces), rows, counts

    def _hidden(self) -> list[_Hidden]:
        return [_Hidden(n, self._at(n)) for n in self._numbers]

    def _at(self, number: int) -> Column:
        column = self._columns[number]
        if column is None:
            raise InvariantError("a column without a mask")
        return column

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


class Rest:
    """The columns behind the last masked one: whether their lengths add up to the row's end.

    Rows whose rests have one size mostly have the same lengths there: these are compared at once.
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._layouts: dict[int, tuple[Callable[[bytes, int], tuple[int, ...]], tuple[int, ...]]] = {}

    def ends(self, span: bytes, position: int, end: int) -> bool:
        """Whether these columns, from `position` on, end there."""
        size = end - position
        found = self._layouts.get(size)
        if found is not None and found[0](span, position) == found[1]:
            return True
        start, lengths = position, []
        for _ in range(self._columns):
            length = _INT32.unpack_from(span, position)[0]
            if length < -1:
                return False
            position += 4 + max(length, 0)
            lengths.append(length)
        if position != end:
            return False
        if found is None and len(self._layouts) < LAYOUTS and start + size <= len(span):
            form = "".join(f"i{length}x" if length > 0 else "i" for length in lengths)
            self._layouts[size] = struct.Struct(f"!{form}").unpack_from, tuple(lengths)
        return True


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
