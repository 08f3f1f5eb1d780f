"""A whole answer that does not pass as it came: looked at, masked and put in order in one piece.

For: the fast lane, when a remembered statement's plan masks or orders, or its texts are still looked at.
Not for: answers that arrive in pieces, or that turn out to need withholding: those are left to the replies.
Source: architecture section 3, step 8; ADR 12.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockgate.errors import RefusedStatementError
from lockgate.masking.batches import data_row, split
from lockgate.masking.rows import RowMasker
from lockgate.model.plan import Order
from lockgate.session.runs import Run
from lockgate.session.state import SessionState
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.typed import from_backend


@dataclass(slots=True)
class Prepared:
    """What masks one remembered statement's rows, and what it was made under."""

    masker: RowMasker | None = None
    made_under: tuple[object, ...] = ()


def made_under(talk: SessionState) -> tuple[object, ...]:
    """All that masks depend on beside the statement."""
    return talk.reported.get("DateStyle"), talk.around.epoch, talk.around.catalog.generation


def altered(talk: SessionState, run: Run, kept: Prepared, description: bytes, rows: bytes) -> bytes | None:
    """The rows as the client may see them; `run` then says what was done. None: the replies must do it.

    Args:
        talk: the session.
        run: the execution, with its scan where its texts are looked at.
        kept: what was prepared for an earlier execution of the same statement.
        description: the whole RowDescription message of these rows.
        rows: whole DataRow messages.
    """
    if run.scan is not None and not _is_harmless(run, rows):
        return None
    if run.plan.masks or run.plan.order is not Order.KEEP:
        now = made_under(talk)
        if kept.made_under != now or run.plan.order is not Order.KEEP:
            talk.make_masker(run, from_backend(Frame(tags.ROW_DESCRIPTION, description[5:]), be.RowDescription))
            kept.masker, kept.made_under = run.masker, now
        elif kept.masker is not None:
            kept.masker.restart()
            run.masker = kept.masker
    if run.sorter is None:
        return rows if run.masker is None else run.masker.span(rows)
    try:
        for body in [row[5:] for row in split(rows)] if run.masker is None else run.masker.apart(rows):
            run.sorter.add(body)
    except RefusedStatementError:
        return None
    return b"".join(map(data_row, run.sorter.finish()))


def _is_harmless(run: Run, rows: bytes) -> bool:
    """Whether nothing was found in the texts that are looked at."""
    scan = run.scan
    for row in split(rows):
        if scan is None:
            return True
        scan.add(row[5:], b"")
        if scan.is_full:
            if scan.found():
                return False
            scan = scan.again()
    return scan is None or not scan.found()
