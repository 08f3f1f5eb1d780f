"""COPY out of labelled tables: rows are masked as they stream, and put in an order that tells nothing.

For: joining the codec (`copy_formats`), the masks (`rows`) and the order (`order`) of one COPY.
Not for: deciding whether it may run.
Source: docs/adr/0003-pseudonym-constructions.md, section 8.
"""

from __future__ import annotations

from collections.abc import Iterator

from lockgate.masking.copy_formats import SIGNATURE, CopyCodec
from lockgate.masking.order import RowSorter
from lockgate.masking.rows import RowMasker


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
        for is_row, body in self._codec.feed(data):
            if not is_row and body.startswith(SIGNATURE):
                # The server sends it in one message with what comes next, and clients count on it.
                self._head = body
                continue
            if not is_row:
                # What follows the rows must not overtake them: of binary data the trailer.
                yield from self._sorted()
                yield False, self._headed(body)
                continue
            shown = self._masker.mask(body) if self._masker is not None else body
            if self._sorter is None:
                yield True, self._headed(self._codec.encode(shown))
            else:
                self._sorter.add(shown)

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
