"""COPY out of labelled tables: rows are masked as they stream, and put in an order that tells nothing.

For: joining the codec (`copy_formats`), the masks (`rows`) and the order (`order`) of one COPY.
Not for: deciding whether it may run.
Source: docs/adr/0003-pseudonym-constructions.md, section 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lockgate.masking.batches import data_row, split
from lockgate.masking.copy_formats import SIGNATURE, CopyCodec
from lockgate.masking.order import RowSorter
from lockgate.masking.rows import RowMasker

_TRAILER = b"d\0\0\0\6\xff\xff"
"""The message that ends binary data."""


class CopyMasker:
    """Masks the data of one COPY."""

    def __init__(self, codec: CopyCodec, masker: RowMasker | None, sorter: RowSorter | None) -> None:
        self._codec = codec
        self._masker = masker
        self._sorter = sorter
        self._head = b""

    def feed(self, data: bytes) -> Iterator[tuple[bool, bytes]]:
        """What may be sent now: (whether it is a row, COPY data).

        Raises:
            BackendProtocolError: this is no data of such a COPY.
            RefusedStatementError: too much must be kept to put the rows in order.
        """
        return self._feed([data])

    def span(self, messages: bytes) -> tuple[bytes, int]:
        """Whole CopyData messages as they may be sent now, and how many rows they are; errors as `feed`."""
        masker, codec, out, rows = self._masker, self._codec, [], 0
        if masker is not None and self._sorter is None and not codec.between_rows:
            first = 1 + int.from_bytes(messages[1:5], "big")
            shown, count = self._slowly(messages[:first])
            out.append(shown)
            rows, messages = count, messages[first:]
        if masker is not None and self._sorter is None and codec.between_rows:
            end = len(messages) - len(_TRAILER) if codec.shape.binary and messages.endswith(_TRAILER) else len(messages)
            found = masker.copied(messages[:end], codec.shape) if end else None
            if found is not None:
                out.append(found[0])
                rows, messages = rows + found[1], messages[end:]
        if messages:
            shown, count = self._slowly(messages)
            out.append(shown)
            rows += count
        return b"".join(out), rows

    def _slowly(self, messages: bytes) -> tuple[bytes, int]:
        out, rows = [], 0
        for is_row, data in self._feed(message[5:] for message in split(messages)):
            out.append(b"d" + (len(data) + 4).to_bytes(4, "big") + data)
            rows += is_row
        return b"".join(out), rows

    def _feed(self, pieces: Iterable[bytes]) -> Iterator[tuple[bool, bytes]]:
        """Rows are masked together until something else comes."""
        waiting: list[bytes] = []
        for data in pieces:
            for is_row, body in self._codec.feed(data):
                if is_row:
                    waiting.append(body)
                    continue
                yield from self._masked(waiting)
                waiting = []
                if body.startswith(SIGNATURE):
                    # The server sends it in one message with what comes next, and clients count on it.
                    self._head = body
                else:
                    # What follows the rows must not overtake them: of binary data the trailer.
                    yield from self._sorted()
                    yield False, self._headed(body)
        yield from self._masked(waiting)

    def _masked(self, rows: list[bytes]) -> Iterator[tuple[bool, bytes]]:
        if not rows:
            return
        for body in rows if self._masker is None else self._masker.apart(b"".join(map(data_row, rows))):
            if self._sorter is None:
                yield True, self._headed(self._codec.encode(body))
            else:
                self._sorter.add(body)

    def finish(self) -> Iterator[tuple[bool, bytes]]:
        """What is left when the stream ends."""
        self._codec.finish()
        yield from self._sorted()

    def _sorted(self) -> Iterator[tuple[bool, bytes]]:
        if self._sorter is not None:
            for body in self._sorter.finish():
                yield True, self._headed(self._codec.encode(body))

    def _headed(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + data
