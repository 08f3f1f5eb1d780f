"""Whether rows have the shape that was analysed: names, origins and types of their columns.

For: withholding an answer whose columns are others than those that a plan was made for. Not for: masking, or what follows.
Source: architecture section 3, step 4 (relation OIDs are compared with the session's own Describe).
"""

from __future__ import annotations

from collections.abc import Sequence

from lockgate.model.statement import Kind
from lockgate.session.runs import Run
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.typed import from_backend

ANALYSED_ROWS = frozenset({Kind.SELECT, Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.MERGE, Kind.FETCH, Kind.EXECUTE})
"""Kinds whose rows are those of the statement that was analysed."""


def _identity(described: be.RowDescription) -> Sequence[tuple[str, int, int, int, int]]:
    """What must agree between analysis and execution: names, origins and types, not formats."""
    return [(f.name, f.table_oid, f.attnum, f.type_oid, f.type_mod) for f in described.fields]


def drift_of(run: Run, described: be.RowDescription) -> str:
    """How the result differs from what was analysed; empty when it does not."""
    plan, analysed = run.plan, run.analysis.row_description
    if not analysed and run.parsed.kind in ANALYSED_ROWS:
        return "the result was not expected; run the statement again"
    if analysed and _identity(from_backend(Frame(ord("T"), analysed), be.RowDescription)) != _identity(described):
        return "the catalog changed between analysis and execution; run the statement again"
    if plan.columns and len(plan.columns) != len(described.fields):
        return "the result has other columns than were analysed; run the statement again"
    return ""
