"""The conversation of one session: every message of the client, judged, recorded, forwarded or answered.

For: simple and extended protocol, pipelines, COPY, holds, transactions. The one way from the client to the backend is
`_forward_judged`, and it takes verdicts that were recorded.
Not for: sockets, time and waiting: it yields wishes (`wishes.py`). Answers come back through `replies.py`.
Source: PostgreSQL documentation, 55.2; architecture section 3; docs/follow-one-statement.md.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lockgate.errors import ClientProtocolError, RefusedStatementError
from lockgate.masking.order import RowSorter
from lockgate.masking.rows import RowMasker
from lockgate.model.decision import Clearance, Effect
from lockgate.model.identity import Identity
from lockgate.model.plan import Order
from lockgate.model.statement import Analysis, Kind, Parsed
from lockgate.session import texts
from lockgate.session.cache import BoundedCache
from lockgate.session.evidence import Evidence
from lockgate.session.extended import ExtendedProtocol
from lockgate.session.judge import WRITES, Ask, Verdict, is_bounded, judge
from lockgate.session.ports import Clock, Counters, Holds, Recorder, Surroundings
from lockgate.session.replies import Replies
from lockgate.session.runs import Expect, Portal, Prepared, Run
from lockgate.session.wishes import (
    Analyse, Analysed, BackendOpened, Drain, Durable, Estimate, Failed, FreshCatalog, Hold, HoldEnded, NextMessage, OpenBackend, Wish,
)  # fmt: skip
from lockgate.sql.parse import split_and_parse
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.typed import from_client

Steps = Generator[Wish, Any, None]

OVERLAP_KINDS = frozenset({Kind.SELECT, Kind.SHOW, Kind.EMPTY})
"""Kinds that may be forwarded while their intent is being written, when analysis proved them free of effects (promise 4)."""

NAME_RESOLUTION = frozenset(
    {Kind.SET, Kind.DISCARD, Kind.CREATE, Kind.ALTER, Kind.DROP, Kind.CREATE_TABLE_AS, Kind.CREATE_FUNCTION}
)
"""Kinds after which a later statement of the same batch might mean something else."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdicts for one text, kept in the decision cache."""

    verdicts: tuple[Verdict, ...]


class Conversation(ExtendedProtocol):
    """One authenticated client's dialogue.

    The driver runs `run()`, fulfils its wishes, and moves `take_client_bytes` and `take_backend_bytes` after each step.
    """

    def __init__(
        self, *, identity: Identity, surroundings: Surroundings, recorder: Recorder, clock: Clock, counters: Counters, holds: Holds,
        session_id: str, client_address: str, reported: dict[str, str], body_bytes_max: int, cache: BoundedCache[Judged],
    ) -> None:  # fmt: skip
        self.identity = identity
        self.around = surroundings
        self.recorder = recorder
        self.clock = clock
        self.counters = counters
        self.holds = holds
        self.session_id = session_id
        self.client_address = client_address
        self.reported = reported
        self.cache = cache
        self.evidence = Evidence(recorder, clock, session=session_id, identity=identity, database=surroundings.database,
                                 environment=surroundings.environment, client=client_address)  # fmt: skip
        self.clearance: Clearance = self._clearance()
        self.replies = Replies(body_bytes_max=body_bytes_max, masked=not self.clearance.complete, make_masker=self._make_masker,
                               finish=self._finish, parameter_changed=self._parameter_changed)  # fmt: skip
        self.to_backend: list[bytes] = []
        self.to_client: list[bytes] = []
        self.backend_open = False
        self.search_path = ""
        self.context_stale = False
        self.catalog_stale = False
        self.set_in_transaction = False
        self.ddl_in_transaction = False
        self.pipeline_open = False
        self.skip_to_sync = False
        self.spoil_implicit = False
        self.prepared: dict[str, Prepared] = {}
        self.portals: dict[str, Portal] = {}
        self.ended = False

    # -- the driver's side ----------------------------------------------------------------------------------------------------

    def run(self) -> Steps:
        """The dialogue, until the client leaves or the protocol is broken."""
        while not self.ended:
            frame = yield NextMessage()
            if frame is None:
                return
            yield from self._message(frame)

    def _message(self, frame: Frame) -> Steps:
        letter = chr(frame.tag)
        if letter == "X":
            self.ended = True
            return
        if letter in "dcf":
            self._copy(frame, letter)
            return
        if self.skip_to_sync and letter != "S":
            return
        if letter == "Q":
            yield from self._simple(frame)
        elif letter in "PBDECSH":
            yield from self.extended(frame, letter)
        elif letter == "F":
            yield from self._refuse_function_call()
        else:
            raise ClientProtocolError(f"message `{letter}` is not allowed after login")

    def _copy(self, frame: Frame, letter: str) -> None:
        """COPY data belongs to the COPY that was forwarded last; without one the server would ignore it too."""
        if self.backend_open and self.replies.copy_in:
            self.to_backend.append(frame.encode())
            if letter in "cf":
                self.replies.copy_in = False

    def _refuse_function_call(self) -> Steps:
        yield Drain()
        self.counters.count("refusals", reason="function-call")
        self.evidence.unreadable(text="", sqlstate="0A000", rule="function-call")
        self.to_client.append(be.error("0A000", "lockgate: FunctionCall is refused: it names a function by number, past the statement's text",
                                       detail="rule=function-call", hint="Call the function in a SELECT."))  # fmt: skip
        self.to_client.append(self._ready())

    # -- simple protocol ------------------------------------------------------------------------------------------------------

    def _simple(self, frame: Frame) -> Steps:
        text = from_client(frame, fe.Query).text
        if not (yield from self.ensure_backend()):
            self.to_client.append(self._ready())
            return
        statements = yield from self.read(text, simple=True)
        if statements is None:
            return
        if (yield from self._answered_in_spoiled_transaction(statements)):
            return
        judged = yield from self.judge_all(statements, text, ())
        if judged is None:
            self.to_client.append(self._ready())
            return
        approval = yield from self.settle(judged, text)
        if approval is None:
            self.to_client.append(self._ready())
            return
        runs = self.start(judged, text, approval=approval)
        if not (yield from self.recorded(runs)):
            self.to_client.append(self._ready())
            return
        self._forward_judged(_rewritten(frame, statements, text, self.session_id), Expect("query", tuple(runs)))
        if any(r.parsed.kind is Kind.COPY_IN for r in runs):
            self.replies.copy_in = True

    def _answered_in_spoiled_transaction(self, statements: Sequence[Parsed]) -> Generator[Wish, Any, bool]:
        """A refused statement fails its transaction, as any error does; only its end (or a savepoint before it) gets through."""
        if not self.replies.poisoned:
            return False
        yield Drain()
        first = statements[0] if statements else None
        if (
            first is not None
            and len(statements) == 1
            and first.kind is Kind.TRANSACTION
            and first.value in texts.ENDS_TRANSACTION
        ):
            if first.value in ("commit", "prepare-transaction"):
                yield from self.spoil_backend()
            self.replies.poisoned = False
            return False
        self.to_client.append(be.error("25P02", texts.ABORTED))
        self.to_client.append(self._ready())
        return True

    def spoil_backend(self) -> Steps:
        """Make the backend's transaction fail too, so that COMMIT cannot keep half of it."""
        self.to_backend.append(fe.Query(texts.SPOILER).encode())
        self.replies.expect(Expect("query", silent=True))
        yield Drain()

    # -- reading and judging --------------------------------------------------------------------------------------------------

    def read(self, text: str, *, simple: bool) -> Generator[Wish, Any, tuple[Parsed, ...] | None]:
        """The statements of a text, or None when an error was sent instead."""
        try:
            return split_and_parse(text)
        except RefusedStatementError as refused:
            problem: Failed = Failed(refused.sqlstate, refused.sentence, refused.hint, reason=refused.reason)
        if problem.reason == "syntax":
            # The server may know better than our grammar; its own words are the ones the client expects.
            answer = yield Analyse((), text, (), self.search_path)
            if isinstance(answer, Failed) and answer.report:
                problem = answer
            else:
                problem = replace(
                    problem,
                    sqlstate="0A000",
                    sentence="the gate's grammar does not know this statement, so it cannot be judged",
                )
        yield from self.flush_pipeline()
        self.evidence.unreadable(text=text, sqlstate=problem.sqlstate, rule=problem.reason)
        self.send_failure(problem)
        if simple:
            self.to_client.append(self._ready())
        return None

    def judge_all(
        self, statements: tuple[Parsed, ...], text: str, types: tuple[int, ...]
    ) -> Generator[Wish, Any, tuple[Verdict, ...] | None]:
        """Verdicts for every statement of a text, from the cache or fresh; None when an error was sent instead."""
        yield from self.settle_context()
        if self.catalog_stale:
            yield FreshCatalog()
            self.catalog_stale = False
        self.clearance = self._clearance()
        self.replies.masked = not self.clearance.complete
        key = self._key(text, types)
        cached = self.cache.get(key)
        if cached is not None:
            self.counters.count("decisions_cached")
            return cached.verdicts
        problem = self._mixed_batch(statements)
        if problem is None:
            answer = yield from self._analyse(statements, text, types)
            if isinstance(answer, tuple):
                verdicts = yield from self._verdicts(statements, answer)
                if all(v.effect == "permit" and v.decision.expires_at is None and _cacheable(v) for v in verdicts):
                    self.cache.put(self._key(text, types), Judged(verdicts), 4 * len(text) + 4096)
                return verdicts
            problem = answer
        yield from self.flush_pipeline()
        self.evidence.unreadable(text=text, sqlstate=problem.sqlstate, rule=problem.reason)
        self.send_failure(problem)
        return None

    def _analyse(
        self, statements: tuple[Parsed, ...], text: str, types: tuple[int, ...]
    ) -> Generator[Wish, Any, tuple[Analysis, ...] | Failed]:
        """Analyses in order; statements about cursors and prepared statements take what the gate remembers of them."""
        remembered = {i: self._remembered(p) for i, p in enumerate(statements)}
        fresh = tuple(p for i, p in enumerate(statements) if remembered[i] is None)
        found: list[Analysis] = []
        if fresh:
            answer = yield Analyse(fresh, text if len(statements) == 1 else "", types, self.search_path)
            if isinstance(answer, Failed):
                if self.clearance.complete and answer.report and self.ddl_in_transaction:
                    # Only the session can see what its open transaction made; who may see everything goes on by kind and names.
                    found = [Analysis(kind=p.kind) for p in fresh]
                else:
                    return answer
            else:
                found = list(answer.analyses)
                self.clearance = self._clearance()
        queue = iter(found)
        merged = []
        for i in range(len(statements)):
            known = remembered[i]
            merged.append(known.run.analysis if known is not None else next(queue))
        return tuple(merged)

    def _remembered(self, parsed: Parsed) -> Portal | None:
        if parsed.kind is Kind.FETCH:
            return self.portals.get(f"cursor {parsed.name}") or self.portals.get(parsed.name)
        if parsed.kind is Kind.EXECUTE:
            return self.portals.get(f"statement {parsed.name}")
        return None

    def _mixed_batch(self, statements: tuple[Parsed, ...]) -> Failed | None:
        """A batch is decided as a whole before its first byte: nothing in it may change what a later part means."""
        for i, parsed in enumerate(statements[:-1]):
            resolves = parsed.kind in NAME_RESOLUTION and not (
                parsed.kind is Kind.SET and parsed.name not in ("search_path", "role")
            )
            if (
                resolves
                and not self.clearance.complete
                and any(s.kind in texts.NEEDS_NAMES for s in statements[i + 1 :])
            ):
                return Failed("0A000", "an earlier statement of this batch changes what a later one means", "Send the statements one by one.",
                              reason="batch-changes-names")  # fmt: skip
        unknown = next(
            (p for p in statements if p.kind in (Kind.FETCH, Kind.EXECUTE) and self._remembered(p) is None), None
        )
        if unknown is not None and not self.clearance.complete:
            what, state = ("cursor", "34000") if unknown.kind is Kind.FETCH else ("prepared statement", "26000")
            return Failed(
                state, f"{what} `{unknown.name}` is not known to the gate in this session", reason="unknown-name"
            )
        bad = next(
            (p for p in statements if p.kind is Kind.EXECUTE and not texts.CONSTANT_EXECUTE.fullmatch(p.shape)), None
        )
        if bad is not None and not self.clearance.complete:
            return Failed(
                "0A000",
                "EXECUTE takes constants only here",
                "Bind the values with your driver.",
                reason="execute-arguments",
            )
        return None

    def _verdicts(
        self, statements: tuple[Parsed, ...], analyses: tuple[Analysis, ...]
    ) -> Generator[Wish, Any, tuple[Verdict, ...]]:
        verdicts = []
        now = self.clock.now()
        for parsed, analysis in zip(statements, analyses, strict=True):
            known = self._remembered(parsed)
            estimated = None
            if analysis.writes and not is_bounded(analysis, None, 0) and parsed.parameters == 0 and not analysis.opaque:
                estimated = yield Estimate(parsed.text)
            ask = Ask(
                self.identity, self.around.database, self.clearance, self.around.catalog, self.around.engine, now, self.client_address,
                self.around.unsafe_order, in_transaction=self.replies.status != "I", estimated_rows=estimated,
                bounded_rows=self.around.bounded_rows,
            )  # fmt: skip
            verdicts.append(judge(parsed, analysis, ask, plan=known.run.plan if known is not None else None))
        return tuple(verdicts)

    def limited_verdict(self, run: Run) -> Verdict:
        """The verdict for a portal that is read in pieces: the choice of rows becomes visible."""
        ask = Ask(
            self.identity, self.around.database, self.clearance, self.around.catalog, self.around.engine, self.clock.now(),
            self.client_address, self.around.unsafe_order, in_transaction=self.replies.status != "I", row_limited=True,
            bounded_rows=self.around.bounded_rows,
        )  # fmt: skip
        return judge(run.parsed, run.analysis, ask)

    def _key(self, text: str, types: tuple[int, ...]) -> tuple[object, ...]:
        chain = tuple((p.name, p.kind, p.groups, p.owner) for p in self.identity.chain)
        return (text, types, chain, self.identity.purpose, self.identity.run, self.identity.binding, self.client_address,
                self.around.database, self.search_path, self.around.catalog.generation, self.clearance.revision,
                self.replies.status != "I")  # fmt: skip

    def _clearance(self) -> Clearance:
        context: dict[str, object] = {"binding": self.identity.binding.value, "client_address": self.client_address}
        if self.identity.purpose:
            context["purpose"] = self.identity.purpose
        if self.identity.run:
            context["run"] = self.identity.run
        return self.around.clearance(self.identity, context, self.clock.now())

    # -- permit, hold, deny -----------------------------------------------------------------------------------------------------

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
        if self.replies.status != "I" or self.pipeline_has_effects():
            yield from self.refuse(replace(held, sqlstate="42501", rule="hold-in-transaction", sentence=(
                "this statement needs approval, and waiting inside an open transaction would keep its locks"),
                hint="Run it in autocommit mode, by itself."), text)  # fmt: skip
            return None
        return (yield from self._hold(held, text, parameters))

    def pipeline_has_effects(self) -> bool:
        """True when earlier statements of this pipeline share the implicit transaction."""
        return self.pipeline_open and any(not r.analysis.effect_free for e in self.replies.owed for r in e.runs)

    def _hold(self, held: Verdict, text: str, parameters: bytes) -> Generator[Wish, Any, tuple[str, str] | None]:
        yield from self.flush_pipeline()
        request, expires = self.holds.open(
            identity=self.identity, database=self.around.database, environment=self.around.environment, statement=text,
            digest=texts.digest(self.identity, self.around.database, text, parameters, self.around.catalog.generation),
            groups=held.decision.hold_groups,
            facts={"kind": held.parsed.kind.value, "tables": [t for _, t in held.parsed.tables], "rule": held.decision.reasons[0].rule},
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
            self.around.catalog,
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
        index = self.evidence.denial(verdict, self.around.catalog, self.clearance, text=text)
        final = yield Durable(index)
        entry = "" if final is None else str(final)
        if final is None:
            self.to_client.append(texts.ledger_unavailable())
        else:
            self.send_error(
                verdict.sqlstate, f"lockgate: {verdict.sentence}", rule=verdict.rule, entry=entry, hint=verdict.hint
            )
        self._spoil()

    def send_error(
        self, sqlstate: str, message: str, *, rule: str, request: str = "", entry: str = "", hint: str = ""
    ) -> None:
        """One error of the gate's own; an open transaction fails with it."""
        parts = [f"rule={rule}"] + ([f"request={request}"] if request else []) + ([f"entry={entry}"] if entry else [])
        self.to_client.append(be.error(sqlstate, message, detail=" ".join(parts), hint=hint or None))
        self._spoil()

    def send_failure(self, problem: Failed) -> None:
        """The server's own report where there is one, else the gate's sentence."""
        if problem.report:
            self.to_client.append(be.ErrorResponse(problem.report).encode())
            self._spoil()
            return
        self.counters.count("refusals", reason=problem.reason)
        self.send_error(problem.sqlstate, f"lockgate: {problem.sentence}", rule=problem.reason, hint=problem.hint)

    def _spoil(self) -> None:
        if self.replies.status == "T":
            self.replies.poisoned = True
        elif self.pipeline_open:
            self.spoil_implicit = True

    # -- recording and forwarding -------------------------------------------------------------------------------------------------

    def start(
        self, verdicts: tuple[Verdict, ...], text: str, *, parameters: bytes = b"", approval: tuple[str, str] = ("", "")
    ) -> list[Run]:
        """One run and one intent entry for each statement."""
        runs = []
        for verdict in verdicts:
            index = self.evidence.intent(
                verdict, self.around.catalog, self.clearance, text=verdict.parsed.text if len(verdicts) > 1 else text,
                parameters=parameters, request=approval[0], approver=approval[1],
            )  # fmt: skip
            self.counters.count("decisions", effect=verdict.effect)
            runs.append(Run(verdict.parsed, verdict.analysis, verdict.plan, index, self.clock.ticks_us()))
        return runs

    def recorded(self, runs: Sequence[Run]) -> Generator[Wish, Any, bool]:
        """Wait for the intents' durability, unless every statement is proven free of effects."""
        if not runs or all(r.analysis.effect_free and r.parsed.kind in OVERLAP_KINDS for r in runs):
            return True
        for run in runs:
            final = yield Durable(run.intent)
            if final is None:
                yield from self.flush_pipeline()
                self.counters.count("refusals", reason="ledger-unavailable")
                self.to_client.append(texts.ledger_unavailable())
                self._spoil()
                return False
            run.intent = final
        return True

    def _forward_judged(self, data: bytes, *expected: Expect) -> None:
        """The only road to the backend for a client's statement: its runs carry the intents that were recorded."""
        for expect in expected:
            for run in expect.runs:
                self._note_effects(run)
        self.to_backend.append(data)
        self.replies.expect(*expected)

    forward = _forward_judged

    def _note_effects(self, run: Run) -> None:
        parsed = run.parsed
        if (
            parsed.kind is Kind.SET
            or parsed.kind is Kind.DISCARD
            or any(f.endswith("set_config") for f in run.analysis.functions)
        ):
            self.context_stale = True
            self.set_in_transaction = True
        elif parsed.kind is Kind.TRANSACTION and self.set_in_transaction:
            self.context_stale = True
        if parsed.kind in texts.CHANGES_CATALOG:
            self.catalog_stale = True
            self.ddl_in_transaction = True
        if parsed.kind is Kind.DECLARE:
            self.portals[f"cursor {parsed.name}"] = Portal(self._inner_run(run), Kind.DECLARE)
        elif parsed.kind is Kind.PREPARE:
            self.portals[f"statement {parsed.name}"] = Portal(self._inner_run(run), Kind.PREPARE)
        if run.plan.order is not Order.KEEP:
            run.sorter = RowSorter(run.plan, buffer_bytes_max=self.around.order_buffer_bytes_max,
                                   type_oids=[o.type_oid for o in run.analysis.outputs])  # fmt: skip

    def _inner_run(self, run: Run) -> Run:
        """What a cursor or SQL-level prepared statement will show when it is read."""
        parsed = replace(run.parsed, kind=Kind.SELECT)
        ask = Ask(self.identity, self.around.database, self.clearance, self.around.catalog, self.around.engine, self.clock.now(),
                  self.client_address, self.around.unsafe_order, row_limited=run.parsed.kind is Kind.DECLARE)  # fmt: skip
        verdict = judge(parsed, run.analysis, ask)
        return Run(parsed, run.analysis, verdict.plan, run.intent, run.started_us)

    # -- context ------------------------------------------------------------------------------------------------------------------

    def ensure_backend(self) -> Generator[Wish, Any, bool]:
        """Open the backend link at the first statement, so that idle clients cost no backend."""
        if self.backend_open:
            return True
        answer = yield OpenBackend()
        if isinstance(answer, BackendOpened):
            self.backend_open = True
            self.search_path = answer.search_path
            for name, value in answer.parameters.items():
                shown = self._parameter_changed(name, value)
                if self.reported.get(name) != shown:
                    self.reported[name] = shown
                    self.to_client.append(be.ParameterStatus(name, shown).encode())
            return True
        self.send_failure(answer)
        return False

    def settle_context(self) -> Steps:
        """Ask the session's own link what names mean now, after anything that may have changed it."""
        if not self.context_stale or self.replies.status == "E":
            return
        yield from self.flush_pipeline()
        if self.replies.status == "E" or self.replies.lost:
            return
        question = Expect("execute", silent=True)
        self.to_backend.append(fe.Parse("lockgate_context", texts.CONTEXT_QUERY).encode() + fe.Bind("lockgate_context", "lockgate_context").encode()
                               + fe.Execute("lockgate_context", 0).encode() + fe.Close("S", "lockgate_context").encode() + fe.Close("P", "lockgate_context").encode())  # fmt: skip
        self.replies.expect(Expect("parse", silent=True), Expect("bind", silent=True), question, Expect("close", silent=True),
                            Expect("close", silent=True))  # fmt: skip
        if self.pipeline_open:
            self.to_backend.append(fe.Flush().encode())
        else:
            self.to_backend.append(fe.Sync().encode())
            self.replies.expect(Expect("sync", silent=True))
        yield Drain()
        if question.rows:
            self.search_path = (be.cells(question.rows[0])[0] or b"").decode()
            self.context_stale = False
            if self.replies.status == "I":
                self.set_in_transaction = False
                self.ddl_in_transaction = False

    def flush_pipeline(self) -> Steps:
        """Wait until everything forwarded is answered, so that the gate's own words come in order."""
        if not self.replies.drained:
            if self.pipeline_open:
                self.to_backend.append(fe.Flush().encode())
            yield Drain()

    def _ready(self) -> bytes:
        return be.ReadyForQuery("E" if self.replies.poisoned else self.replies.status).encode()

    def _parameter_changed(self, name: str, value: str) -> str:
        if name == "application_name":
            return value.removeprefix(texts.application_prefix(self.session_id))
        if name == "search_path":
            self.context_stale = True
        self.reported[name] = value
        return value

    def _make_masker(self, run: Run, described: be.RowDescription) -> None:
        if not run.plan.masks:
            return
        catalog = self.around.catalog
        run.masker = RowMasker(
            run.plan, key_ring=self.around.key_ring, purpose=self.identity.purpose or "", scope=self.around.environment,
            epoch=self.around.epoch, formats=[f.format for f in described.fields], types=catalog.types,
            type_mods=[f.type_mod for f in described.fields], date_style=self.reported.get("DateStyle", "ISO, MDY"),
        )  # fmt: skip

    def _finish(self, run: Run, status: str, sqlstate: str, tag: str) -> None:
        run.closed = True
        self.evidence.outcome(run, status, sqlstate, tag)
        self.counters.count("statements", status=status)
        if run.parsed.kind is Kind.TRANSACTION and status == "complete" and run.parsed.value in ("commit", "rollback"):
            self.ddl_in_transaction = False


def _rewritten(frame: Frame, statements: Sequence[Parsed], text: str, session_id: str) -> bytes:
    """The client's own bytes, except that `application_name` keeps the prefix that leads from the database's log to the ledger."""
    renamed = texts.prefixed_application_name(statements, text, session_id)
    return frame.encode() if renamed is None else fe.Query(renamed).encode()


def _cacheable(verdict: Verdict) -> bool:
    """Whether the verdict depends on nothing but its key: no writes by estimate, no cursors or named statements of one session."""
    return verdict.parsed.kind not in (Kind.FETCH, Kind.EXECUTE, Kind.DECLARE) and not (
        verdict.parsed.kind in WRITES and any(not w.bounded for w in verdict.analysis.writes)
    )
