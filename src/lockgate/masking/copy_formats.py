"""COPY data as rows: text, CSV and binary, in every option that the server writes, and back into the same bytes.

For: turning a stream of CopyData, cut anywhere, into rows in the shape of DataRow, which `rows` masks, and masked rows into COPY data again.
Not for: COPY FROM, whose data is not looked into. A row that is not masked anywhere comes out as it went in.
Source: PostgreSQL documentation, COPY (file formats); copyto.c, CopyAttributeOutText and CopyAttributeOutCSV.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lockgate.errors import BackendProtocolError, RefusedStatementError
from lockgate.masking.batches import ESCAPES, unescaped

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
ROW_BYTES_MAX = 1 << 30
"""Longest row that is waited for: the server makes none that is longer."""

_KNOWN = frozenset({"format", "delimiter", "null", "header", "quote", "escape", "force_quote", "encoding"})
_UTF8 = frozenset({"utf8", "utf-8", "unicode"})
_NULL = b"\xff\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class CopyShape:
    """How the rows of one COPY are written; `forced` are the columns that CSV always quotes."""

    format: str = "text"
    delimiter: bytes = b"\t"
    null: bytes = b"\\N"
    header: bool = False
    quote: bytes = b'"'
    escape: bytes = b'"'
    forced: frozenset[int] = frozenset()

    @property
    def binary(self) -> bool:
        """Whether values are in their binary form."""
        return self.format == "binary"


def copy_shape(options: Mapping[str, str], columns: Sequence[str]) -> CopyShape:
    """The shape that a COPY's options ask for.

    Args:
        options: names in lower case to their values, as the grammar read them.
        columns: names of the columns written.

    Raises:
        RefusedStatementError: an option is not known, or would make two different values look alike.
    """
    odd = sorted(set(options) - _KNOWN)
    if odd:
        raise _refused(f"option `{odd[0]}` is not known")
    kind = options.get("format", "text").lower()
    if kind not in ("text", "csv", "binary"):
        raise _refused("the format is not known")
    if options.get("encoding", "utf8").lower() not in _UTF8:
        raise _refused("masked data is written in UTF8 only")
    csv = kind == "csv"
    quote = options.get("quote", '"').encode()
    shape = CopyShape(
        kind, options.get("delimiter", "," if csv else "\t").encode(), options.get("null", "" if csv else "\\N").encode(),
        _is_on(options["header"]) if "header" in options else False, quote, options.get("escape", quote.decode()).encode(),
        _forced(options.get("force_quote"), columns),
    )  # fmt: skip
    if len(shape.delimiter) != 1 or len(shape.quote) != 1 or len(shape.escape) != 1:
        raise _refused("delimiter, quote and escape must be one byte each")
    if kind == "text" and shape.null != b"\\N":
        raise RefusedStatementError(
            "copy-null", "in text format a value could look like NULL under another spelling than `\\N`",
            hint="Leave the option NULL out, or use FORMAT csv.",
        )  # fmt: skip
    return shape


def _is_on(value: str) -> bool:
    return value.lower() not in ("false", "off", "0", "match")


def _forced(value: str | None, columns: Sequence[str]) -> frozenset[int]:
    if value is None:
        return frozenset()
    if value == "*":
        return frozenset(range(len(columns)))
    try:
        names = json.loads(value)
    except ValueError:
        raise _refused("the columns of FORCE_QUOTE cannot be read") from None
    return frozenset(number for number, name in enumerate(columns) if name in names)


def _refused(why: str) -> RefusedStatementError:
    return RefusedStatementError(
        "copy-option", f"this COPY cannot be masked: {why}", hint="Use COPY's standard options."
    )


class CopyCodec:
    """Cuts one COPY stream into rows, and writes rows.

    Args of `feed` may end anywhere; what has no end yet is kept.
    """

    def __init__(self, shape: CopyShape, columns: int) -> None:
        self._shape = shape
        self._columns = columns
        self._kept = b""
        self._headed = not (shape.binary or shape.header)
        self._ended = False
        special = re.escape(shape.delimiter) + rb"\\\x08-\x0d"
        self._special = re.compile(b"[" + special + b"]")
        self._quoting = re.compile(b"[" + b"".join(map(re.escape, (shape.delimiter, shape.quote))) + rb"\n\r]")
        plain = rb"[^\\\n" + re.escape(shape.delimiter) + rb"]*"
        self._field = re.compile(plain + rb"(?:\\." + plain + rb")*", re.DOTALL)

    def feed(self, data: bytes) -> Iterator[tuple[bool, bytes]]:
        """Pieces of the stream in order: (True, a row in the shape of DataRow) or (False, bytes that are no row).

        Raises:
            BackendProtocolError: this is not what the server writes for such a COPY.
        """
        data = self._kept + data if self._kept else data
        self._kept = b""
        position = 0
        cut = {"text": self._text, "csv": self._csv, "binary": self._binary}[self._shape.format]
        while position < len(data):
            if self._ended:
                raise BackendProtocolError("COPY data after its end")
            found = cut(data, position)
            if found is None:
                self._kept = data[position:]
                if len(self._kept) > ROW_BYTES_MAX:
                    raise BackendProtocolError("a row of COPY data has no end")
                return
            is_row, body, end = found
            if is_row and not self._headed:
                is_row, body, self._headed = False, data[position:end], True
            yield is_row, body
            position = end

    def finish(self) -> None:
        """The stream is over.

        Raises:
            BackendProtocolError: in the middle of a row, or without the trailer that binary data has.
        """
        if self._kept or (self._shape.binary and not self._ended):
            raise BackendProtocolError("COPY data ends inside a row")

    @property
    def shape(self) -> CopyShape:
        """How the rows are written."""
        return self._shape

    @property
    def between_rows(self) -> bool:
        """True when what comes next is a row, or the end: no header is due and nothing is kept."""
        return self._headed and not self._kept and not self._ended

    def encode(self, body: bytes) -> bytes:
        """A row as COPY data."""
        if self._shape.binary:
            return body
        cells, position = [], 2
        for number in range(int.from_bytes(body[:2], "big")):
            size = int.from_bytes(body[position : position + 4], "big", signed=True)
            position += 4
            cell = None if size == -1 else body[position : position + size]
            position += max(size, 0)
            cells.append(self._shape.null if cell is None else self._written(cell, number))
        return self._shape.delimiter.join(cells) + b"\n"

    def _written(self, cell: bytes, number: int) -> bytes:
        shape = self._shape
        if shape.format == "text":
            if self._special.search(cell) is None:
                return cell
            return self._special.sub(lambda m: b"\\" + ESCAPES.get(m[0][0], m[0]), cell)
        single = self._columns == 1 and cell == b"\\."
        if not (number in shape.forced or cell == shape.null or single or self._quoting.search(cell)):
            return cell
        inner = cell.replace(shape.escape, shape.escape * 2)
        if shape.escape != shape.quote:
            inner = inner.replace(shape.quote, shape.escape + shape.quote)
        return shape.quote + inner + shape.quote

    # one row each: whether it is one, its body, its end; None when its end is not there

    def _text(self, data: bytes, start: int) -> tuple[bool, bytes, int] | None:
        end = data.find(b"\n", start)
        if end < 0:
            return None
        line, position = data[start:end], 0
        cells: list[bytes | None] = []
        while True:
            found = self._field.match(line, position)
            raw = found[0] if found is not None else b""
            cells.append(None if raw == self._shape.null else unescaped(raw))
            position += len(raw)
            if position == len(line):
                break
            if line[position : position + 1] != self._shape.delimiter:
                raise BackendProtocolError("a row of COPY data cannot be read")
            position += 1
        return True, self._row(cells), end + 1

    def _csv(self, data: bytes, start: int) -> tuple[bool, bytes, int] | None:
        shape, position = self._shape, start
        cells: list[bytes | None] = []
        while True:
            if data[position : position + 1] == shape.quote:
                quoted = self._quoted(data, position + 1)
                if quoted is None:
                    return None
                cell, position = quoted
                cells.append(cell)
            else:
                found = self._quoting.search(data, position)
                if found is None:
                    return None
                cell = data[position : found.start()]
                cells.append(None if cell == shape.null else cell)
                position = found.start()
            after = data[position : position + 1]
            if not after:
                return None
            if after == b"\n":
                return True, self._row(cells), position + 1
            if after != shape.delimiter:
                raise BackendProtocolError("a row of COPY data cannot be read")
            position += 1

    def _quoted(self, data: bytes, position: int) -> tuple[bytes, int] | None:
        """The value after an opening quote, and the position after the closing one."""
        quote, escape, parts = self._shape.quote, self._shape.escape, []
        while True:
            ends = [at for at in (data.find(quote, position), data.find(escape, position)) if at >= 0]
            if not ends or min(ends) + 1 >= len(data):
                return None
            at = min(ends)
            mark, after = data[at : at + 1], data[at + 1 : at + 2]
            parts.append(data[position:at])
            if mark == escape and after in (quote, escape):
                parts.append(after)
                position = at + 2
            elif mark == quote:
                return b"".join(parts), at + 1
            else:
                parts.append(mark)
                position = at + 1

    def _binary(self, data: bytes, start: int) -> tuple[bool, bytes, int] | None:
        if not self._headed:
            return self._binary_header(data, start)
        count = int.from_bytes(data[start : start + 2], "big", signed=True)
        position = start + 2
        if position > len(data):
            return None
        if count == -1:
            self._ended = True
            return False, data[start:position], position
        for _ in range(count):
            if position + 4 > len(data):
                return None
            size = int.from_bytes(data[position : position + 4], "big", signed=True)
            if size < -1:
                raise BackendProtocolError("a value of binary COPY data has a negative length")
            position += 4 + max(size, 0)
        if position > len(data):
            return None
        if count != self._columns:
            raise BackendProtocolError("a row of COPY data has another number of columns than was planned")
        return True, data[start:position], position

    def _binary_header(self, data: bytes, start: int) -> tuple[bool, bytes, int] | None:
        length = len(SIGNATURE)
        if len(data) - start < length + 8:
            return None
        end = start + length + 8 + int.from_bytes(data[start + length + 4 : start + length + 8], "big")
        if data[start : start + length] != SIGNATURE or any(data[start + length : start + length + 4]):
            raise BackendProtocolError("binary COPY data begins with a header that is not known")
        if len(data) < end:
            return None
        self._headed = True
        return False, data[start:end], end

    def _row(self, cells: list[bytes | None]) -> bytes:
        if len(cells) != self._columns and self._headed:
            raise BackendProtocolError("a row of COPY data has another number of columns than was planned")
        parts = [len(cells).to_bytes(2, "big")]
        parts += [_NULL if cell is None else len(cell).to_bytes(4, "big") + cell for cell in cells]
        return b"".join(parts)
