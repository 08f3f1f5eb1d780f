"""Rows that do not travel unseen: masked, ordered, looked at or counted before they are shown.

For: what becomes of each row of an answer whose plan asks for more than passing it on.
Not for: which answer a row belongs to (`replies`) and how cells are masked (room `masking`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lockgate.errors import BackendProtocolError, RefusedStatementError
from lockgate.masking.batches import split
from lockgate.model.catalog import FoundLabel
from lockgate.model.plan import Order
from lockgate.session import texts
from lockgate.session.runs import Run
from lockgate.wire.postgres.frames import Frame, message

_COPY_TRAILER = b"\xff\xff"


class RowsShown:
    """Puts what may be shown of rows behind what is shown already.

    Args:
        out: messages for the client; rows are appended.
        learn_labels: called with a run and the labels that its content asks for.
    """

    def __init__(self, out: list[bytes], learn_labels: Callable[[Run, Sequence[FoundLabel]], None]) -> None:
        self._out = out
        self._learn_labels = learn_labels

    def row(self, frame: Frame, run: Run | None) -> None:
        """One row that came as a message of its own."""
        if run is None:
            raise BackendProtocolError("rows without a statement")
        if run.failed:
            return
        if frame.tag == ord("d") and run.copier is not None:
            self.copied(run, run.copier.feed(frame.body))
            return
        if self._is_beyond(run):
            return
        if frame.tag == ord("d"):
            if run.plan.masks or run.plan.order is not Order.KEEP:
                raise BackendProtocolError("COPY data for a masked statement")
            self._out.append(message(frame.tag, frame.body))
            run.rows += frame.body != _COPY_TRAILER  # the server sends one row a message
            run.row_bytes += len(frame.body) + 5
            return
        if (run.masker is None and run.plan.masks) or (run.sorter is None and run.plan.order is not Order.KEEP):
            run.failed = "the shape of the result is not known, so it cannot be masked"
            return
        self.gathered(run, message(frame.tag, frame.body), 1)

    def gathered(self, run: Run, span: bytes, rows: int) -> None:
        """Whole rows that are masked, ordered, looked at or counted before they are shown."""
        try:
            if run.copier is not None:
                shown, rows = run.copier.span(span)
            elif run.sorter is None and run.scan is None and run.rows_max is None:
                shown = span if run.masker is None else run.masker.span(span)
            else:
                self._one_by_one(run, span)
                return
        except RefusedStatementError as error:
            run.failed = error.sentence
            return
        self._out.append(shown)
        run.rows += rows
        run.row_bytes += len(shown)

    def _one_by_one(self, run: Run, span: bytes) -> None:
        seen = [row[5:] for row in split(span)]
        for raw, body in zip(seen, run.masker.apart(span) if run.masker else seen, strict=True):
            if run.failed or self._is_beyond(run):
                return
            if run.sorter is not None:
                run.sorter.add(body)
            elif run.scan is not None:
                run.scan.add(raw, message(ord("D"), body))
                self.scanned(run, full=True)
            else:
                self._out.append(message(ord("D"), body))
            run.rows += 1
            run.row_bytes += len(body) + 5

    @staticmethod
    def _is_beyond(run: Run) -> bool:
        """Whether a row more is one too many: then the rest of the answer is withheld."""
        if run.rows_max is None or run.rows < run.rows_max:
            return False
        run.failed, run.failed_rule = texts.ROWS_MAX.format(run.rows_max), "row-limit"
        return True

    def scanned(self, run: Run, *, full: bool = False) -> None:
        """Release the rows that were looked at, or withhold them and label their columns."""
        scan = run.scan
        if scan is None or (full and not scan.is_full):
            return
        found = scan.found()
        run.scan = scan.again()
        if found:
            self._learn_labels(run, found)
            run.failed, run.failed_rule = texts.CONTENT_FOUND, "content-found"
        else:
            self._out += scan.kept

    def copied(self, run: Run, pieces: Iterable[tuple[bool, bytes]]) -> None:
        """COPY data that may be shown now, row by row as the server sends it."""
        if run.failed:
            return
        try:
            for is_row, data in pieces:
                if is_row and self._is_beyond(run):
                    return
                self._out.append(message(ord("d"), data))
                run.rows += is_row
                run.row_bytes += len(data) + 5
        except RefusedStatementError as error:
            run.failed = error.sentence
