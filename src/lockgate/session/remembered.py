"""What the fast lane remembers, what it has under way, and which verdicts and answers it takes.

For: `fast`, and the compiled lane before it.
Not for: reading messages and forwarding them.
Invariant: a verdict is taken when it is named here by what it may be; anything a plan or an analysis learns to say is not.
Source: architecture section 3; ADR 12.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Any, Final

from lockgate.model.catalog import Catalog
from lockgate.model.decision import Effect
from lockgate.model.plan import Plan
from lockgate.model.statement import Kind
from lockgate.session.altered import Prepared as Altering
from lockgate.session.evidence import Repeated
from lockgate.session.following import followed
from lockgate.session.judge import Verdict
from lockgate.session.runs import Prepared, Run
from lockgate.session.spans import measured, written
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.frames import message

_INT32 = struct.Struct("!i")
PARSED: Final = message(tags.PARSE_COMPLETE, b"")
BOUND: Final = message(tags.BIND_COMPLETE, b"")
_NO_DATA: Final = message(tags.NO_DATA, b"")
_WRITES: Final = frozenset({Kind.INSERT, Kind.UPDATE, Kind.DELETE})


@dataclass(slots=True)
class Known:
    """A statement whose verdict is remembered.

    Args:
        verdict: a plain permit.
        text: the statement's bytes, as they are sealed.
        checked: the row description must be exactly `description`.
        description: a whole RowDescription message that agreed with the analysis.
        repeated: its two entries.
    """

    verdict: Verdict
    text: bytes
    prepared: Prepared
    checked: bool
    description: bytes
    repeated: Repeated
    altered: bool = False
    """Its answer is masked or ordered, or another text runs in its place: its outcome is written as the conversation writes it."""
    kept: Altering = field(default_factory=Altering)
    permit: Any = None
    """The compiled lane's form of this."""

    @property
    def writes(self) -> bool:
        """Whether its intent must be durable before it is forwarded."""
        return self.verdict.parsed.kind is not Kind.SELECT

    def ready(self) -> Prepared:
        """The statement as it is known once the server has taken it."""
        return replace(self.prepared, pending=False)


@dataclass(slots=True)
class Asked:
    """What was forwarded and is not answered yet."""

    known: Known
    intent: int
    started_us: int
    simple: bool = False
    parsed: bool = False
    described: bool = False
    inserted: bool = False
    run: Run | None = None


def is_plain(verdict: Verdict) -> bool:
    """A permit of a SELECT without effects, whose text and answer need nothing but what `altered` does."""
    return is_lasting(verdict) and verdict.parsed.kind is Kind.SELECT and verdict.analysis.effect_free


def writes_plainly(verdict: Verdict, catalog: Catalog, search_path: str) -> bool:
    """A permit of a bounded write that returns no rows and moves no labelled value to where its label would have to follow."""
    return (
        verdict.parsed.kind in _WRITES
        and verdict.parsed.executes
        and is_lasting(verdict)
        and verdict.plan == Plan(touches_labelled=verdict.plan.touches_labelled)
        and not verdict.instead
        and not verdict.analysis.row_description
        and bool(verdict.analysis.writes)
        and all(write.bounded for write in verdict.analysis.writes)
        and not verdict.analysis.opaque
        and not followed(Run(verdict.parsed, verdict.analysis, verdict.plan, -1, 0), catalog, search_path)
    )


def is_lasting(verdict: Verdict) -> bool:
    """Permitted for as long as nothing changes, by a plan that nothing but the fast lane's own means fulfil."""
    plan = verdict.plan
    return (
        not verdict.sqlstate
        and verdict.decision.effect is Effect.PERMIT
        and verdict.decision.expires_at is None
        and verdict.decision.row_limit is None
        # Named by what it may be, not by what it may not: a plan that learns something new is not plain.
        and plan
        == replace(
            Plan(),
            columns=plan.columns,
            touches_labelled=plan.touches_labelled,
            masks=plan.masks,
            order=plan.order,
            tie_columns=plan.tie_columns,
            stand_ins=plan.stand_ins,
        )
    )


def measure(data: bytes, asked: Asked, status: int) -> tuple[int, int, int, int] | None:
    """Rows, their bytes, the command tag's count and where the rows begin in one whole, expected answer; None for anything else."""
    position = 0
    if not asked.simple:
        expected = PARSED + BOUND if asked.parsed else BOUND
        if not data.startswith(expected):
            return None
        position = len(expected)
    if asked.known.writes:
        if asked.described:
            if not data.startswith(_NO_DATA, position):
                return None
            position += len(_NO_DATA)
        count = written(data, position, status)
        return None if count is None else (0, 0, count, position)
    last = len(data) - 6
    if asked.known.checked:
        if not data.startswith(asked.known.description, position):
            return None
        position += len(asked.known.description)
    elif asked.simple or asked.described:
        if position > last or data[position] != tags.ROW_DESCRIPTION:
            return None
        length = _INT32.unpack_from(data, position + 1)[0]
        if length < 4:
            return None
        position += 1 + length
    found = measured(data, position, status)
    return None if found is None else (*found, position)
