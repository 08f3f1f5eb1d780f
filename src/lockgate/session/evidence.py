"""What a session writes into the ledger: sessions, intents, outcomes, denials.

For: turning verdicts and results into entry fields; the text and parameters only as the name of an encrypted blob.
Not for: durability (`transport` commits) and format (`ledger.entry`).
Invariant: no literal, no row value and no credential in any field.
Source: evidence.md 1.4; docs/reference/entries.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lockgate.ledger.blob import NO_CLASS, SECRET_CLASS, UNKNOWN_CLASS, SealedText
from lockgate.ledger.entry import Template
from lockgate.ledger.persons import TOKENS_MAX
from lockgate.model.catalog import Catalog
from lockgate.model.decision import Clearance
from lockgate.model.identity import Identity
from lockgate.model.plan import Disposition, Plan
from lockgate.model.statement import Analysis, Kind
from lockgate.session.judge import Verdict
from lockgate.session.ports import Clock, Recorder
from lockgate.session.runs import Run
from lockgate.session.together import About, Context
from lockgate.session.unseen import UNREADABLE

COLUMNS_MAX = 200
"""Columns named in one entry; an entry must stay below 65,535 bytes."""
NAME_CHARS_MAX = 160
TABLES_MAX = 100
RECEIPTS_MAX = 64
"""Different receipts of one statement whose entries are remembered but for what differs each time."""
REPEATED_MAX = 1024
"""Pairs of entries that one session remembers but for what differs each time."""
TEXT_BYTES_MAX = 4 << 20
TEXT_HEAD_BYTES = 32 << 10
_WITHOUT_DATA = frozenset(
    {Kind.SHOW, Kind.TRANSACTION, Kind.EMPTY, Kind.SELECT, Kind.DISCARD, Kind.CLOSE, Kind.DEALLOCATE, Kind.LOCK}
)
"""Kinds that concern no data when they name no relation."""
_WITH_SECRETS = frozenset({Kind.ROLE, Kind.SET})
"""Kinds whose constants may be passwords and keys."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """Templates of a statement's two entries, and what they were made of for entries that need more fields."""

    intent: Template
    outcome: Template
    fields: dict[str, object]
    classes: tuple[str, ...]
    database: str
    plan: Plan
    receipts: dict[tuple[int, ...], Template] = field(default_factory=dict)
    """Outcomes by the masked cells of each column, and the rows."""

    @property
    def nameless(self) -> bool:
        """Whether values in the text are not looked at for persons, whatever they are."""
        return self.classes in (NO_CLASS, SECRET_CLASS)


class Evidence:
    """The ledger entries of one session."""

    def __init__(self, recorder: Recorder, clock: Clock, *, session: str, identity: Identity, database: str, environment: str,
                 client: str) -> None:  # fmt: skip
        self._recorder = recorder
        self._clock = clock
        self._database = database
        self._sequence = 0
        self._repeated: dict[About, Repeated] = {}
        self._common: dict[str, object] = {
            "session": session,
            "principal": identity.principal.name,
            "principal_kind": identity.principal.kind.value,
            "on_behalf_of": identity.on_behalf_of.name if identity.on_behalf_of else None,
            "binding": identity.binding.value,
            "run": identity.run,
            "purpose": identity.purpose,
            "token": identity.token_id,
            "client": client,
            "database": database,
            "environment": environment,
        }

    def opened(self) -> int:
        """The session's own entry."""
        return self._append("session", {"event": "opened"})

    def closed(self, reason: str) -> int:
        """The end of the session."""
        return self._append("session", {"event": "closed", "reason": reason}, keep=True)

    def intent(self, verdict: Verdict, catalog: Catalog, clearance: Clearance, *, text: str, parameters: bytes = b"",
               request: str = "", approver: str = "") -> int:  # fmt: skip
        """What is about to happen; must be durable before it may have an effect."""
        fields = self._statement(verdict, catalog, clearance, text, parameters)
        if request:
            fields["request"] = request
            fields["approver"] = approver
        return self._append("intent", fields)

    def denial(
        self,
        verdict: Verdict,
        catalog: Catalog,
        clearance: Clearance,
        *,
        text: str,
        request: str = "",
        sqlstate: str = "",
    ) -> int:
        """What did not happen, and which rule said so."""
        fields = self._statement(verdict, catalog, clearance, text, b"")
        fields |= {"sqlstate": sqlstate or verdict.sqlstate, "rule": verdict.rule}
        fields["decision"] = "deny" if fields["sqlstate"] in ("42501", "57014") else "refuse"
        if request:
            fields["request"] = request
        return self._append("deny", fields)

    def unreadable(self, *, text: str | bytes, sqlstate: str, rule: str) -> int:
        """A statement that could not be read at all: only its encrypted text is kept; bytes are a text that was never decoded."""
        sealed = _bounded(text if isinstance(text, bytes) else text.encode())
        return self._append("deny", {
            "statement": "unreadable", "shape": "", "tables": [], "columns": [], "decision": "refuse", "rules": [rule], "rule": rule,
            "sqlstate": sqlstate, **self._sealed(sealed, UNKNOWN_CLASS),
        })  # fmt: skip

    def outcome(self, run: Run, status: str, sqlstate: str, tag: str) -> int:
        """What came of it: rows, bytes, columns with disposition, receipt, duration."""
        receipt = _receipt(run.plan, run.masker.cells_masked if run.masker is not None else (), run.rows)
        count = tag.rsplit(" ", 1)[-1]
        return self._append("outcome", {
            "intent": run.intent, "status": status, "sqlstate": sqlstate, "rows": run.rows, "bytes": run.row_bytes,
            "affected": int(count) if count.isdigit() and len(count) < 19 else None,
            "duration_us": self._clock.ticks_us() - run.started_us, "receipt": receipt,
        }, keep=True)  # fmt: skip

    def about(self, verdict: Verdict, catalog: Catalog, clearance: Clearance, context: Context) -> About:
        """What entries say of a statement; one object for texts that differ in their constants, whatever those are."""
        return context.about(*self._about(verdict, catalog, clearance), verdict.plan)

    def repeated(self, about: About) -> Repeated:
        """Intent and outcome of a statement that will run many times under one verdict, but for what differs each time."""
        found = self._repeated.get(about)
        if found is not None:
            return found
        common = {k: v for k, v in self._common.items() if v is not None}
        made = Repeated(
            self._recorder.template({"kind": "intent", **common, **about.fields}, ("s", "text")),
            self._completed([]),
            about.fields,
            about.classes,
            self._database,
            about.plan,
        )
        if len(self._repeated) >= REPEATED_MAX:
            self._repeated.clear()
        self._repeated[about] = made
        return made

    def _completed(self, receipt: list[dict[str, object]]) -> Template:
        common = {k: v for k, v in self._common.items() if v is not None}
        return self._recorder.template(
            {"kind": "outcome", **common, "status": "complete", "sqlstate": "00000", "receipt": receipt},
            ("affected", "bytes", "duration_us", "intent", "rows", "s"),
        )

    def receipted(self, repeated: Repeated, cells: Sequence[int], rows: int) -> Template:
        """The outcome of a run that masked so many cells of each column and returned so many rows."""
        if not repeated.plan.masks and not repeated.plan.stand_ins:
            return repeated.outcome
        name = (*cells, rows if repeated.plan.stand_ins else 0)
        found = repeated.receipts.get(name)
        if found is None:
            if len(repeated.receipts) >= RECEIPTS_MAX:
                repeated.receipts.clear()
            found = repeated.receipts[name] = self._completed(_receipt(repeated.plan, cells, rows))
        return found

    def intent_again(self, repeated: Repeated, text: bytes) -> int:
        """The intent of one more run; the same entry that `intent` writes.

        Args:
            repeated: from `repeated`.
            text: the statement, with its parameters behind a zero byte.
        """
        sealed = self._recorder.seal_text(self._database, text, repeated.classes)
        if sealed.persons:
            return self._append("intent", repeated.fields | _said(sealed))
        self._sequence += 1
        return self._recorder.append_filled(repeated.intent, (), (self._sequence, sealed.name.encode()))

    def naming(self, repeated: Repeated, sealed: SealedText) -> Template:
        """Intents of one more run of a text that names these persons."""
        common = {k: v for k, v in self._common.items() if v is not None}
        said = {k: v for k, v in _said(sealed).items() if k != "text"}
        return self._recorder.template({"kind": "intent", **common, **repeated.fields, **said}, ("s", "text"))

    def outcome_again(
        self, repeated: Repeated, *, intent: int, rows: int, row_bytes: int, affected: int, duration_us: int,
        cells: Sequence[int] = (),
    ) -> int:  # fmt: skip
        """The outcome of one more complete run, which masked so many cells of each column; the same entry that `outcome` writes."""
        self._sequence += 1
        return self._recorder.append_filled(
            self.receipted(repeated, cells, rows),
            (affected, row_bytes, duration_us, intent),
            (rows, self._sequence),
            keep=True,
        )

    def _statement(
        self, verdict: Verdict, catalog: Catalog, clearance: Clearance, text: str, parameters: bytes
    ) -> dict[str, object]:
        sealed = _bounded(text.encode()) + (b"\x00" + parameters if parameters else b"")
        fields, classes = self._about(verdict, catalog, clearance)
        return fields | self._sealed(sealed, classes)

    def _about(
        self, verdict: Verdict, catalog: Catalog, clearance: Clearance
    ) -> tuple[dict[str, object], tuple[str, ...]]:
        """What an entry says of a statement beside its text, and the classes of data that the text concerns."""
        columns = _columns(verdict, catalog, clearance)
        fields: dict[str, object] = {
            "statement": verdict.parsed.kind.value,
            "shape": _shape(verdict),
            "tables": _tables(verdict, catalog),
            "columns": columns,
            "decision": verdict.effect,
            "rules": [r.rule for r in verdict.decision.reasons][:50],
            "policy": verdict.decision.revision,
            "catalog": catalog.generation,
        }
        if verdict.plan.masks:
            fields["order"] = verdict.plan.order.value
        return fields, dataset_classes(verdict.analysis, catalog, columns)

    def _sealed(self, text: bytes, classes: tuple[str, ...]) -> dict[str, object]:
        return _said(self._recorder.seal_text(self._database, text, classes))

    def _append(self, kind: str, fields: Mapping[str, object], *, keep: bool = False) -> int:
        self._sequence += 1
        given = {k: v for k, v in (self._common | dict(fields)).items() if v is not None}
        return self._recorder.append({"kind": kind, "s": self._sequence, **given}, keep=keep)


def _receipt(plan: Plan, cells: Sequence[int], rows: int) -> list[dict[str, object]]:
    """What was masked: of each column how many cells, or every one where the database computed with stand-ins."""
    hidden = [
        (number, column) for number, column in enumerate(plan.columns) if column.disposition is Disposition.MASKED
    ]
    if plan.stand_ins:
        found = [(column, rows) for _, column in hidden]
    else:
        found = [(column, cells[number]) for number, column in hidden if number < len(cells)]
    receipt: list[dict[str, object]] = [
        {
            "column": column.name[:NAME_CHARS_MAX],
            "label": column.label,
            "rule": column.rule,
            "mode": "source" if plan.stand_ins else "position",
            "cells": count,
        }
        for column, count in found
    ]
    return receipt[:COLUMNS_MAX]


def _said(sealed: SealedText) -> dict[str, object]:
    """The fields about a sealed text; a list of values without end is indexed by its beginning."""
    name, named = sealed
    if not named:
        return {"text": name}
    more = {"persons_left": len(named) - TOKENS_MAX} if len(named) > TOKENS_MAX else {}
    return {"text": name, "persons": list(named[:TOKENS_MAX]), **more}


def dataset_classes(analysis: Analysis, catalog: Catalog, columns: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """The classes of data a statement concerns: the first words of the labels of what it uses and of all it writes to.

    A statement that cannot be seen into, or that no relation is known of, may concern anything: it is of the class `unknown`.
    """
    labels = {column["label"] for column in columns}
    for write in analysis.writes:
        relation = catalog.relations.get(write.relation)
        labels |= {c.label for c in relation.columns.values()} if relation is not None else {"unknown"}
    if analysis.opaque or (not analysis.relations and analysis.kind not in _WITHOUT_DATA):
        labels.add("unknown")
    if analysis.kind in _WITH_SECRETS and not analysis.relations:
        return SECRET_CLASS
    labels.discard("none")
    return tuple(sorted({label.split(".", 1)[0] for label in labels})) or NO_CLASS


def _shape(verdict: Verdict) -> str:
    """The text without literals; what may be a value although it is not written as one is left out as well.

    A SET's value may stand there as a bare word. A word that nobody resolved may be a value that lacks its quotes, or has the wrong
    ones, so of a statement whose meaning only the server knows just the beginning is shown.
    """
    parsed = verdict.parsed
    if parsed.kind is Kind.SET:
        return f"SET {'LOCAL ' if parsed.local else ''}{parsed.name[:NAME_CHARS_MAX]} = ?"
    if parsed.shape not in ("", UNREADABLE) and any(write.relation == 0 for write in verdict.analysis.writes):
        return f"{parsed.shape.split(maxsplit=1)[0][:NAME_CHARS_MAX]} (names that were not resolved)"
    return parsed.shape


def _bounded(text: bytes) -> bytes:
    """A text that was refused for its length is kept by its beginning, its length and its hash; others whole."""
    if len(text) <= TEXT_BYTES_MAX:
        return text
    return text[:TEXT_HEAD_BYTES] + f"\n[{len(text)} bytes, SHA-256 {hashlib.sha256(text).hexdigest()}]".encode()


def _tables(verdict: Verdict, catalog: Catalog) -> list[str]:
    """Every relation involved, by its resolved name; names as written where nothing was resolved."""
    names = {catalog.relations[oid].qualified_name for oid in verdict.analysis.relations if oid in catalog.relations}
    if not names:
        names = {".".join(part for part in pair if part) for pair in verdict.parsed.tables}
    return [name[:NAME_CHARS_MAX] for name in sorted(names)][:TABLES_MAX]


def _columns(verdict: Verdict, catalog: Catalog, clearance: Clearance) -> list[dict[str, str]]:
    """Every labelled column whose value the statement uses: name, label, and whether it was shown in clear or masked."""
    listed = []
    for ref in sorted(verdict.analysis.reads):
        column = catalog.column(ref)
        if column is None or column.label == "none":
            continue
        disposition = "masked" if ref in clearance.masked else "clear"
        listed.append(
            {"name": catalog.column_name(ref)[:NAME_CHARS_MAX], "label": column.label, "disposition": disposition}
        )
    return listed[:COLUMNS_MAX]
