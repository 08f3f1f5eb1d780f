"""What would happen to a text, and why: the verdict that a session would come to, told in full.

For: `lockgate explain`. The judging is a session's own, in a session that has no link to the database: nothing can be forwarded.
Not for: another judgement; whoever explains by other rules explains something else.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from typing import Any

from lockgate.errors import LedgerError
from lockgate.ledger.blob import SealedText
from lockgate.ledger.entry import Template
from lockgate.model.catalog import Catalog, ColumnRef
from lockgate.model.decision import Clearance
from lockgate.model.identity import Identity
from lockgate.model.plan import ColumnPlan, Disposition, Plan
from lockgate.model.statement import Access, Analysis, Output, Use
from lockgate.session.cache import BoundedCache
from lockgate.session.conversation import Conversation
from lockgate.session.judge import Verdict
from lockgate.session.ports import Clock, Surroundings
from lockgate.session.wishes import Wish
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.frames import FrameReader
from lockgate.wire.postgres.reports import read_fields

_ANSWER_BYTES_MAX = 1 << 24


class _Nowhere:
    """A record, a counter and a list of requests that keep nothing."""

    def append(self, fields: Mapping[str, object], *, keep: bool = False) -> int:
        del fields, keep
        return 0

    def seal_text(self, database: str, text: bytes, classes: tuple[str, ...]) -> SealedText:
        del database, text, classes
        return SealedText("", ())

    def template(self, fields: Mapping[str, object], holes: Sequence[str]) -> Template:
        raise LedgerError("nothing is repeated for an explanation")

    def append_filled(
        self, template: Template, low: tuple[object, ...], high: tuple[object, ...], *, keep: bool = False
    ) -> int:
        del template, low, high, keep
        return 0

    def decided_again(self, count: int = 1) -> None:
        del count
        self.count("decisions_cached")

    def completed_again(self, count: int = 1) -> None:
        del count
        self.count("statements")

    def count(self, name: str, **labels: str) -> None:
        del name, labels

    def open(self, *, identity: Identity, database: str, environment: str, statement: str, digest: str, groups: tuple[str, ...],
             facts: Mapping[str, object], accesses: tuple[Access, ...], context: Mapping[str, object]) -> tuple[str, datetime]:  # fmt: skip
        raise LedgerError("nothing is held for an explanation")


def explain(
    text: str, *, identity: Identity, surroundings: Surroundings, clock: Clock, search_path: str
) -> Generator[Wish, Any, dict[str, object]]:
    """Judge a text as a fresh session of this identity would, outside a transaction.

    Returns:
        What would happen, as JSON-able values: `problem` when it cannot even be read, else one member of `statements` each.
    """
    nowhere = _Nowhere()
    session = Conversation(
        identity=identity, surroundings=surroundings, recorder=nowhere, clock=clock, counters=nowhere, holds=nowhere, session_id="explain",
        client_address="", reported={}, body_bytes_max=_ANSWER_BYTES_MAX, cache=BoundedCache(entries_max=1, bytes_max=1 << 20),
    )  # fmt: skip
    session.search_path = search_path
    told: dict[str, object] = {
        "database": surroundings.database,
        "environment": surroundings.environment,
        "principals": [{"name": p.name, "kind": p.kind.value, "groups": list(p.groups)} for p in identity.chain],
        "search_path": search_path,
    }
    statements = yield from session.read(text, simple=True)
    verdicts = (yield from session.judge_all(statements, text, ())) if statements is not None else None
    if verdicts is None:
        return {**told, "problem": _problem(session.to_client)}
    catalog, clearance = surroundings.catalog, session.clearance
    return {**told, "statements": [_statement(v, catalog, clearance) for v in verdicts]}


def _problem(answer: Sequence[bytes]) -> dict[str, str]:
    """The error that the client would get."""
    reader = FrameReader(body_bytes_max=_ANSWER_BYTES_MAX)
    reader.feed(b"".join(answer))
    while (frame := reader.next_frame()) is not None:
        if frame.tag == tags.ERROR_RESPONSE:
            fields = read_fields(frame.body)
            names = {"sqlstate": "C", "message": "M", "hint": "H", "position": "P"}
            return {name: fields[code] for name, code in names.items() if fields.get(code)}
    return {"message": "the text has no statement"}


def _statement(verdict: Verdict, catalog: Catalog, clearance: Clearance) -> dict[str, object]:
    analysis, decision = verdict.analysis, verdict.decision
    told: dict[str, object] = {
        "text": verdict.parsed.text,
        "kind": verdict.parsed.kind.value,
        "effect": verdict.effect,
        "policy": decision.effect.value,
        "would": _would(verdict),
        "reasons": [{"rule": r.rule, "sentence": r.sentence} for r in decision.reasons],
    }
    if verdict.sqlstate:
        told["refusal"] = {
            "sqlstate": verdict.sqlstate,
            "rule": verdict.rule,
            "sentence": verdict.sentence,
            "hint": verdict.hint,
        }
    if verdict.instead and not analysis.compared:
        # Values that a client compares are opened in it: such a text is not told.
        told["rewritten"] = verdict.instead
    if verdict.effect == "hold":
        told["approvers"] = list(decision.hold_groups)
    told |= {
        "accesses": [{"action": a.action.value, "on": a.name or "the database"} for a in analysis.accesses],
        "reads": [_column(r, catalog, clearance) for r in sorted(analysis.reads) if _is_labelled(r, catalog, clearance)],
        "outputs": _outputs(analysis, verdict.plan, catalog),
        "uses": [_use(u, catalog) for u in analysis.uses if any(_is_labelled(c, catalog, clearance) for c in u.columns)],
        "writes": [
            {"kind": w.kind.value, "table": _relation(w.relation, catalog), "bounded": w.bounded, "selective": w.selective}
            for w in analysis.writes
        ],
        "opaque": [{"what": o.what, "why": o.why} for o in analysis.opaque],
        "plan": {
            "masks": verdict.plan.masks,
            "order": verdict.plan.order.value,
            "errors": "fixed text" if verdict.plan.touches_labelled and not clearance.complete else "as the server says",
        },
    }  # fmt: skip
    return told


def _would(verdict: Verdict) -> str:
    """One sentence."""
    if verdict.sqlstate:
        return f"be refused with SQLSTATE {verdict.sqlstate} before anything reaches the database"
    if verdict.instead:
        rows = (
            "on the rows that a row filter shows"
            if not verdict.plan.stand_ins
            else "over stand-ins in the place of masked values"
        )
        return f"run in other words, {rows}"
    after = "be held until an approver answers, and then " if verdict.effect == "hold" else ""
    if verdict.plan.masks:
        return f"{after}run as it stands, with masks in the place of values"
    return f"{after}run as it stands, and its answer pass unchanged"


def _is_labelled(reference: ColumnRef, catalog: Catalog, clearance: Clearance) -> bool:
    column = catalog.column(reference)
    return reference in clearance.masked or (
        column is not None and (column.label != "none" or bool(column.json_labels))
    )


def _column(reference: ColumnRef, catalog: Catalog, clearance: Clearance) -> dict[str, object]:
    column = catalog.column(reference)
    return {
        "column": catalog.column_name(reference),
        "label": column.label if column is not None else "unknown",
        "shown": "masked" if reference in clearance.masked else "clear",
    }


def _outputs(analysis: Analysis, plan: Plan, catalog: Catalog) -> list[dict[str, object]]:
    plans: Sequence[ColumnPlan | None] = plan.columns or [None] * len(analysis.outputs)
    if len(plans) != len(analysis.outputs):
        plans = [None] * len(analysis.outputs)
    return [_output(output, column, catalog) for output, column in zip(analysis.outputs, plans, strict=True)]


def _output(output: Output, plan: ColumnPlan | None, catalog: Catalog) -> dict[str, object]:
    told: dict[str, object] = {
        "name": output.name,
        "sources": [catalog.column_name(source) for source in sorted(output.sources)],
        "unchanged": output.plain and bool(output.sources),
    }
    if plan is not None and plan.disposition is Disposition.MASKED:
        told |= {"mask": plan.rule, "label": plan.label}
    return told


def _use(use: Use, catalog: Catalog) -> dict[str, object]:
    return {
        "how": use.kind.value,
        "detail": use.detail,
        "columns": [catalog.column_name(c) for c in sorted(use.columns)],
        "with_constant": use.literal,
    }


def _relation(oid: int, catalog: Catalog) -> str:
    found = catalog.relations.get(oid)
    return found.qualified_name if found is not None else f"relation {oid}"
