"""Row order: the server's order of rows must not tell the order of masked values.

For: sorting masked rows by what the client sees, within a bound of memory, wholly or among ties.
Not for: deciding whether that is needed (the plan says so) or masking.
Source: architecture promise 5; masking.md, "Found after these measurements"; docs/adr/0003-pseudonym-constructions.md, section 8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lockgate.errors import BackendProtocolError, InvariantError, RefusedStatementError
from lockgate.masking.arrays import read_cell
from lockgate.model.plan import Order, Plan

ROW_OVERHEAD_BYTES = 64
"""What a kept row costs beside its own bytes."""

_NUMERIC = 1700
_FLOATS = frozenset({700, 701})
_BPCHAR = 1042
_EXACT = frozenset({
    16, 17, 18, 19, 20, 21, 23, 25, 26, 1043, 1082, 1083, 1114, 1184, 2950, 869, 650, 829, 774, 3220, 1560, 1562, 790,
})  # fmt: skip
"""Types in which values that the server orders as equal have equal bytes (text: with a deterministic collation)."""

_ZERO_FLOATS = frozenset({b"-0", b"0", bytes(4), bytes(8), b"\x80" + bytes(3), b"\x80" + bytes(7)})


class RowSorter:
    """Collects the masked rows of one result and gives them back in an order that depends on nothing hidden."""

    def __init__(
        self, plan: Plan, *, buffer_bytes_max: int, type_oids: Sequence[int], formats: Sequence[int] = ()
    ) -> None:
        """Prepare.

        Args:
            plan: says the order and the tie columns.
            buffer_bytes_max: most bytes kept at one time.
            type_oids: type of each output column, domains resolved as in a row description.
            formats: 0 or 1 per column; empty means text.
        """
        self._order = plan.order
        self._maximum = buffer_bytes_max
        self._size = 0
        self._rows: list[bytes] = []
        self._done: list[bytes] = []
        self._tie: tuple[object, ...] | None = None
        self._ties: list[tuple[int, int, bool]] = []
        for column in plan.tie_columns if plan.order is Order.SORT_TIES else ():
            if not 0 <= column < len(type_oids):
                raise InvariantError("a tie column is not among the output columns")
            self._ties.append((column, type_oids[column], column < len(formats) and formats[column] == 1))
        self._last = max((column for column, _, _ in self._ties), default=-1)

    def add(self, masked_row_body: bytes) -> None:
        """Keep one row.

        Raises:
            RefusedStatementError: more bytes are kept than allowed; `reason` is `result-too-large-to-order`.
            BackendProtocolError: the row is malformed.
        """
        self._size += len(masked_row_body) + ROW_OVERHEAD_BYTES
        if self._size > self._maximum:
            raise RefusedStatementError(
                "result-too-large-to-order",
                "the result is too large to be put in an order that hides the masked values",
                hint="Ask for fewer rows, aggregate, or order by columns that are not masked.",
                sqlstate="54000",
            )
        if self._order is Order.SORT_TIES:
            tie = self._tie_of(masked_row_body)
            if tie != self._tie:
                self._close_run()
                self._tie = tie
        self._rows.append(masked_row_body)

    def drain(self) -> list[bytes]:
        """Rows whose place is final, in order; gives their memory back. Only runs of ties that have ended."""
        if self._order is Order.KEEP:
            self._close_run()
        done, self._done = self._done, []
        self._size -= sum(len(row) + ROW_OVERHEAD_BYTES for row in done)
        return done

    def finish(self) -> Iterator[bytes]:
        """All rows not drained, in order."""
        self._close_run()
        self._tie = None
        return iter(self.drain())

    def _close_run(self) -> None:
        if self._order is not Order.KEEP:
            self._rows.sort()
        self._done += self._rows
        self._rows = []

    def _tie_of(self, body: bytes) -> tuple[object, ...]:
        if len(body) < 2:
            raise BackendProtocolError("a row is shorter than its header")
        cells: list[bytes | None] = []
        position = 2
        for _ in range(min(self._last + 1, int.from_bytes(body[:2], "big"))):
            cell, position = read_cell(body, position)
            cells.append(cell)
        if len(cells) <= self._last:
            raise BackendProtocolError("a row has fewer columns than its plan")
        return tuple(_canonical(cells[column], oid, binary) for column, oid, binary in self._ties)


def _canonical(cell: bytes | None, type_oid: int, binary: bool) -> object:
    """One and the same object for values that the server may order as equal.

    Types whose equality we do not know count as equal throughout: the run is longer, the order coarser, nothing shows.
    """
    if cell is None:
        return None
    if type_oid in _EXACT:
        return cell
    if type_oid == _BPCHAR:
        return cell.rstrip(b" ")
    if type_oid in _FLOATS:
        return b"0" if cell in _ZERO_FLOATS else cell
    if type_oid == _NUMERIC:
        if binary:
            return cell[:6] + cell[8:]  # all but the display scale
        return cell.rstrip(b"0").removesuffix(b".") if b"." in cell else cell
    return True
