"""What follows from a verdict: go on, wait for a person, or say no; record it, then forward it.

For: permits, holds, denials; intents before anything is forwarded; the one road to the backend (`_forward_judged`).
Not for: making verdicts (`judging.py`).
Invariant: nothing that may have an effect is forwarded before its intent is durable (promise 4).
Source: architecture section 3, steps 6 and 7.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from lockgate.grants.requests import binding
from lockgate.model.decision import Effect
from lockgate.model.statement import Kind
from lockgate.session import texts
from lockgate.session.judge import SETTINGS_FOR_MASKED, Verdict, is_unpinned, judge
from lockgate.session.runs import Expect, Run
from lockgate.session.state import SessionState, Steps
from lockgate.session.unseen import UNREADABLE
from lockgate.session.wishes import Durable, FreshCatalog, Hold, HoldEnded, Wish
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres.frames import Frame

OVERLAP_KINDS = frozenset({Kind.SELECT, Kind.SHOW, Kind.EMPTY})
"""Kinds that may be forwarded while their intent is being written, when analysis proved them free of effects (promise 4)."""


class Settling(SessionState):
    """Permit, hold, deny; record and forward."""

    def settle(
        self, verdicts: tuple[Verdict, ...], text: str, parameters: bytes = b""
    ) -> Generator[Wish, Any, tuple[str, str] | None]:
        """Go on only when every statement may run: (request, approver) of a hold or empty; None when an error was sent."""
        stopped = next((v for v in verdicts if v.sqlstate), None)
        if stopped is not None:
            yield from self.refuse(stopped, text)
            return None
        held = next((v for v in verdicts if v.decision.effect is Effect.HOLD), None)
        if held is None:
            return ("", "")
        yield from self.flush_pipeline()  # a BEGIN that is not answered yet opens a transaction as well
        if self.replies.status != "I" or self.pipeline_has_effects():
            yield from self.refuse(replace(held, sqlstate="42501", rule="hold-in-transaction", sentence=(
                "this statement needs approval, and waiting inside an open transaction would keep its locks"),
                hint="Run it in autocommit mode, by itself."), text)  # fmt: skip
            return None
        if len(verdicts) > 1:
            yield from self.refuse(replace(held, sqlstate="42501", rule="hold-in-batch", sentence=(
                "this statement needs approval, and an approval is for one statement"), hint="Send it by itself."), text)  # fmt: skip
            return None
        before = self.version()
        approval = yield from self._hold(held, text, parameters)
        if approval is None:
            return None
        yield FreshCatalog()
        if self.version() != before:
            # The verdict was made under other definitions, labels, policies or groups than those in force now.
            yield from self.refuse(replace(held, sqlstate="42501", rule="changed-while-held", sentence=(
                "definitions or policies changed while the statement was held, so its approval is not for what would run now"),
                hint="Send it again and have it approved again."), text)  # fmt: skip
            return None
        return approval

    def _hold(self, held: Verdict, text: str, parameters: bytes) -> Generator[Wish, Any, tuple[str, str] | None]:
        yield from self.flush_pipeline()
        if held.parsed.kind is Kind.EXECUTE and held.named is not None:
            text = f"{text}\n-- which runs: {held.named.text}"
        request, expires = self.holds.open(
            identity=self.identity, database=self.around.database, environment=self.around.environment, statement=text,
            digest=binding(
                self.identity, text=text.encode(), parameters=(parameters,), database=self.around.database,
                generation=self.around.catalog.generation,
            ).hex(),
            groups=held.decision.hold_groups,
            facts={"kind": held.parsed.kind.value, "tables": sorted({a.name for a in held.analysis.accesses if a.name}), "rule": held.decision.reasons[0].rule},
            accesses=held.analysis.accesses, context=held.context,
        )  # fmt: skip
        self.to_client.append(
            be.notice("01000", texts.held(request, expires), hint=f"lockgate request approve {request}")
        )
        ended: HoldEnded = yield Hold(request)
        if ended.state == "approved":
            return (request, ended.approver)
        if ended.state == "gone":
            self.ended = True
            return None
        state, sentence = texts.HOLD_ENDS.get(ended.state, texts.HOLD_ENDS["denied"])
        self.evidence.denial(
            replace(held, rule=f"hold-{ended.state}"),
            self.catalog,
            self.clearance,
            text=text,
            request=request,
            sqlstate=state,
        )
        self.send_error(state, f"lockgate: {sentence}", rule=f"hold-{ended.state}", request=request)
        return None

    def refuse(self, verdict: Verdict, text: str) -> Steps:
        """Say no, in order, with the record first."""
        yield from self.flush_pipeline()
        self.counters.count("refusals", reason=verdict.rule)
        index = self.evidence.denial(verdict, self.catalog, self.clearance, text=text)
        final = yield Durable(index)
        entry = "" if final is None else str(final)
        if final is None:
            self.to_client.append(texts.ledger_unavailable())
        else:
            self.send_error(
                verdict.sqlstate, f"lockgate: {verdict.sentence}", rule=verdict.rule, entry=entry, hint=verdict.hint
            )
        self._spoil()

    def start(
        self, verdicts: tuple[Verdict, ...], text: str, *, parameters: bytes = b"", approval: tuple[str, str] = ("", "")
    ) -> list[Run]:
        """One run and one intent entry for each statement."""
        runs = []
        for verdict in verdicts:
            index = self.evidence.intent(
                verdict, self.catalog, self.clearance, text=verdict.parsed.text if len(verdicts) > 1 else text,
                parameters=parameters, request=approval[0], approver=approval[1],
            )  # fmt: skip
            self.counters.count("decisions", effect=verdict.effect)
            run = Run(verdict.parsed, verdict.analysis, verdict.plan, index, self.clock.ticks_us())
            run.instead, run.rows_max = verdict.instead, verdict.decision.row_limit
            run.whole = verdict.parsed.shape == UNREADABLE
            run.named, run.makes = verdict.named, verdict.makes
            run.scan = self.scan_of(verdict)
            runs.append(run)
        return runs

    def recorded(self, runs: Sequence[Run]) -> Generator[Wish, Any, bool]:
        """Wait for the intents' durability, unless every statement is proven free of effects."""
        if not runs or all(r.analysis.effect_free and r.parsed.kind in OVERLAP_KINDS for r in runs):
            return True
        for number, run in enumerate(runs):
            final = yield Durable(run.intent)
            if final is None:
                for written in runs[:number]:
                    self._finish(written, "not-run", "58030", "")
                yield from self.flush_pipeline()
                self.counters.count("refusals", reason="ledger-unavailable")
                self.to_client.append(texts.ledger_unavailable())
                self._spoil()
                return False
            run.intent = final
        return True

    def _forward_judged(self, data: bytes | Frame, *expected: Expect) -> None:
        """The only road to the backend for a client's statement: its runs carry the intents that were recorded."""
        for expect in expected:
            if expect.kind not in ("sync", "query"):
                self.pipeline_open = True
            for run in expect.runs:
                self._note_effects(run)
                self.effects_in_pipeline |= expect.kind == "bind" and not run.analysis.effect_free
        if isinstance(data, bytes):
            self.to_backend.append(data)
        else:
            self.to_backend += data.parts()  # header and body apart, so that a large body is not copied
        self.replies.expect(*expected)

    forward = _forward_judged

    def _note_effects(self, run: Run) -> None:
        parsed = run.parsed
        harmless = parsed.name in SETTINGS_FOR_MASKED and parsed.name != "search_path"
        moves = parsed.kind is Kind.DISCARD or texts.SET_CONFIG in run.analysis.functions
        if moves or (parsed.kind is Kind.SET and not harmless):
            self.names_touched = True
        if is_unpinned(parsed) or texts.SET_CONFIG in run.analysis.functions or run.analysis.opaque:
            self.reading_moved = True
        if parsed.kind in texts.CHANGES_CATALOG:
            self.own.note(parsed)
            if not run.analysis.own:
                self.catalog_stale = True
                self.ddl_in_transaction = True
        if parsed.kind in texts.RENAMES:
            self.statements_unsettled = True
        if parsed.kind is Kind.DECLARE:
            run.inner = self._inner_run(run)
        elif parsed.kind is Kind.FETCH:
            run.source = self.portals.get(parsed.name)
        elif parsed.kind is Kind.EXECUTE and run.named is None:
            # Whatever it runs may change where names resolve and what they mean.
            self.names_touched = self.catalog_stale = True

    def _inner_run(self, run: Run) -> Run:
        """What a cursor will show when it is read."""
        if run.plan.stand_ins:
            return Run(replace(run.parsed, kind=Kind.SELECT), run.analysis, run.plan, run.intent, run.started_us)
        parsed = replace(run.parsed, kind=Kind.SELECT)
        verdict = judge(parsed, run.analysis, self.ask(row_limited=True))
        return Run(parsed, run.analysis, verdict.plan, run.intent, run.started_us)

    def refuse_name(self, name: str) -> Generator[Wish, Any, bool]:
        """Names that the gate uses itself on this link are not the client's."""
        yield from self.flush_pipeline()
        self.evidence.unreadable(text=name, sqlstate="0A000", rule="reserved-name")
        self.send_error(
            "0A000", f"lockgate: names that begin with `{texts.OWN_PREFIX}` are the gate's own", rule="reserved-name"
        )
        return False
