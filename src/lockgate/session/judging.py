"""From statements to verdicts: analysed in the session's own context, judged, and remembered only under their text's exact key.

For: the one way to a verdict, for simple queries and the extended protocol alike.
Not for: reading texts (`reading.py`), the rules themselves (`judge.py`, `masking.plan`, `policy`) and what follows (`settling.py`).
Source: architecture section 3, steps 4 and 5, and the decision cache key in its last paragraph.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping
from dataclasses import replace
from typing import Any

from lockgate.errors import RefusedStatementError
from lockgate.model.catalog import OwnTable
from lockgate.model.plan import Order
from lockgate.model.statement import ON_CONFLICT, UNKNOWN_COLUMN, Analysis, Kind, Parsed, UseKind
from lockgate.session import texts
from lockgate.session.judge import PINNED, SETTINGS_FOR_MASKED, WRITES, Verdict, is_bounded, judge
from lockgate.session.runs import Portal, Prepared
from lockgate.session.state import Judged
from lockgate.session.temporary import Temporary
from lockgate.session.unseen import EVERYTHING, EXECUTES_ANYTHING, UNREADABLE, UNSEEN
from lockgate.session.wishes import Estimate, Failed, FreshCatalog, Wish
from lockgate.sql.functions import FIRST_USER_OID, refused_by_name
from lockgate.sql.lifting import NO_PLACES, Lifted, Places, inert, lift, matched
from lockgate.sql.parse import split_and_parse

SYSTEM = frozenset({"pg_catalog", "information_schema"})

NAMES_UNKNOWN = Failed(
    "57P03", "the session cannot say where its names resolve, so nothing can be judged", reason="names-unknown"
)

NEEDS_NO_NAMES = frozenset({Kind.TRANSACTION, Kind.SET, Kind.SHOW, Kind.EMPTY})
"""Kinds that mean the same under every search_path; SET TRANSACTION must come before any query, the gate's own included."""

NAME_RESOLUTION = frozenset(
    {Kind.SET, Kind.DISCARD, Kind.CREATE, Kind.ALTER, Kind.DROP, Kind.CREATE_TABLE_AS, Kind.CREATE_FUNCTION}
)
"""Kinds after which a later statement of the same batch might mean something else."""


BY_NAME = frozenset({Kind.PREPARE, Kind.EXECUTE})


class Judging(Temporary):
    """From statements that were read to verdicts."""

    def judge_all(
        self, statements: tuple[Parsed, ...], text: str, types: tuple[int, ...]
    ) -> Generator[Wish, Any, tuple[Verdict, ...] | None]:
        """Verdicts for every statement of a text, from the cache or fresh; None when an error was sent instead."""
        if any(s.kind in (Kind.FETCH, Kind.EXECUTE) or s.name.startswith(texts.OWN_PREFIX) for s in statements):
            yield from self.flush_pipeline()
            self.learn_names()
        yield from self.settle_statements()
        self.settle_own()
        knows_names = all(s.kind in NEEDS_NO_NAMES for s in statements) or (yield from self.settle_context())
        # Who sees everything waits for a fresh catalog only where a statement reads what the present one does not know.
        may_wait = self.catalog_stale and self.sees_everything()
        if self.catalog_stale and not may_wait:
            yield FreshCatalog()
            self.catalog_stale = False
        self.refresh_clearance()
        problem = self._mixed_batch(statements) if knows_names else NAMES_UNKNOWN
        unread = any(s.shape == UNREADABLE for s in statements)
        cached = self.remembered(text, types) if problem is None and not unread else None
        if cached is not None:
            self.counters.count("decisions_cached")
            return tuple(replace(v, parsed=parsed) for v, parsed in zip(cached, statements, strict=True))
        named: dict[int, Verdict] = {}
        if problem is None and any(
            s.kind in BY_NAME or self.is_own_copy(s) or self.runs_by_name(s) for s in statements
        ):
            found = yield from self._judged_by_name(statements, types)
            if found is None:
                return None
            problem, named = (found, {}) if isinstance(found, Failed) else (None, found)
        if problem is None:
            answer = yield from self._analyse(statements, text, types, named)
            if isinstance(answer, tuple) and ((may_wait and any(a.opaque for a in answer)) or self._is_outrun(answer)):
                yield FreshCatalog()
                self.catalog_stale = False
                answer = yield from self._analyse(statements, text, types, named)
            if isinstance(answer, tuple):
                answer = self._unless_called(statements, answer)
            if isinstance(answer, tuple):
                under = self.version()
                verdicts = yield from self._verdicts(statements, answer, types, named)
                if self.version() != under and any(v.effect != "permit" for v in verdicts):
                    # Definitions or policies changed meanwhile, so what was refused may not be what the statement means now.
                    answer = yield from self._analyse(statements, text, types, named)
                    if isinstance(answer, tuple):
                        verdicts = yield from self._verdicts(statements, answer, types, named)
                lasting = all(
                    v.effect == "permit" and v.decision.expires_at is None and self._cacheable(v) for v in verdicts
                )
                if lasting and not unread:
                    self._remember(text, types, verdicts)
                return verdicts
            if self.sees_everything():
                # Who may do everything and see everything goes on; what is wrong with the statement, the server says itself.
                return (
                    yield from self._verdicts(
                        statements, tuple(replace(EVERYTHING, kind=p.kind) for p in statements), types, named
                    )
                )
            problem = self._by_name(answer, statements)
        yield from self.flush_pipeline()
        self.evidence.unreadable(text=text, sqlstate=problem.sqlstate, rule=problem.reason)
        self.send_failure(problem)
        return None

    def remembered(self, text: str, types: tuple[int, ...]) -> tuple[Verdict, ...] | None:
        """The verdicts that the cache holds for this text, or for one that differs in lifted constants only, in exactly this context."""
        judged = self.cache.get(self._key(text, types))
        if judged is not None:
            return judged.verdicts
        lifted = lift(text.encode())
        if lifted is None:
            return None
        places = self.lifted_places(lifted, types)
        return None if places is None else self.lifted_verdicts(lifted.without(lifted.choose(places)), types)

    def lifted_places(self, lifted: Lifted, types: tuple[int, ...]) -> Places | None:
        """Which constants were lifted from a text of this skeleton; None when none was seen."""
        judged = self.cache.get(self._key((lifted.skeleton,), types))
        return None if judged is None else judged.places

    def lifted_verdicts(self, rest: bytes, types: tuple[int, ...]) -> tuple[Verdict, ...] | None:
        """The verdicts for what is left of a text without its lifted constants."""
        judged = self.cache.get(self._key(rest, types))
        return None if judged is None else judged.verdicts

    def _remember(self, text: str, types: tuple[int, ...], verdicts: tuple[Verdict, ...]) -> None:
        size = 4 * len(text) + 4096 + sum(len(v.instead) for v in verdicts)
        lifted = lift(text.encode()) if len(verdicts) == 1 and _may_lift(verdicts[0]) else None
        # What the server says of a value it does not take may be shown in other words where labelled data is touched.
        typed = not verdicts[0].plan.touches_labelled
        places = NO_PLACES
        if lifted is not None:
            analysis, at = verdicts[0].analysis, verdicts[0].parsed.at
            places = Places(inert(lifted, analysis, at, of_any_type=typed), matched(lifted, analysis, at))
        if lifted is None or not any(places):
            self.cache.put(self._key(text, types), Judged(verdicts), size)
            return
        self.cache.put(self._key((lifted.skeleton,), types), Judged((), places), size)
        self.cache.put(self._key(lifted.without(lifted.choose(places)), types), Judged(verdicts), size)

    def _judged_by_name(
        self, statements: tuple[Parsed, ...], types: tuple[int, ...]
    ) -> Generator[Wish, Any, dict[int, Verdict] | Failed | None]:
        """Verdicts for what is made or run by name or copied, each as for the statement in it; None when an error was sent instead."""
        try:
            named = yield from self.by_name(statements)
        except RefusedStatementError as refused:
            return Failed(refused.sqlstate, refused.sentence, refused.hint, reason=refused.reason)
        if isinstance(named, Failed):
            return named
        found: dict[int, Verdict] = {}
        for place, parsed in enumerate(statements):
            if self.runs_by_name(parsed):
                inside = yield from self._spelt_out(statements, place, named)
                if not isinstance(inside, Verdict):
                    return inside
                found[place] = inside
            elif self.is_own_copy(parsed):
                query = yield from self.judge_all(split_and_parse(parsed.inner), parsed.inner, types)
                if query is None:
                    return None
                found[place] = yield from self.of_own_copy(parsed, query[0], types)
        for place, prepared in named.items():
            parsed = statements[place]
            inner = yield from self.judge_all(prepared.parsed, prepared.text, prepared.parameter_types)
            if inner is None:
                return None
            if parsed.kind is Kind.PREPARE:
                found[place] = self.of_prepare(parsed, inner[0], prepared)
                continue
            found[place] = replace(inner[0], parsed=parsed, named=prepared)
            unknown = (yield from self.known_types(inner[0].analysis.parameter_types)) if parsed.arguments else None
            if unknown is not None and not self.sees_everything():
                return unknown
            given = "" if inner[0].sqlstate or unknown is not None else self.given_to(parsed, inner[0])
            if not given:
                continue
            others = yield from self.judge_all(split_and_parse(given), given, ())
            if others is None:
                return None
            if others[0].effect != "permit":
                found[place] = replace(others[0], parsed=parsed, named=prepared)
        return found

    def _spelt_out(
        self, statements: tuple[Parsed, ...], place: int, named: dict[int, Prepared]
    ) -> Generator[Wish, Any, Verdict | Failed | None]:
        """The verdict of an EXPLAIN or a CREATE TABLE AS of an EXECUTE: as of the statement that it runs, which is sent in its place."""
        parsed, run = statements[place], split_and_parse(statements[place].inner)[0]
        known = self.run_by(statements, place, run, named)
        if isinstance(known, Failed):
            return known
        first = yield from self.judge_all(known.parsed, known.text, known.parameter_types)
        if first is None or first[0].sqlstate:
            return None if first is None else replace(first[0], parsed=parsed)
        unknown = yield from self.known_types(first[0].analysis.parameter_types)
        if unknown is not None:
            return unknown
        text = self.with_arguments(known.text, run, first[0].analysis.parameter_types)
        if isinstance(text, Failed):
            return text
        if parsed.kind is Kind.EXPLAIN:
            text = parsed.text.encode()[: parsed.inner_at].decode() + text
        verdicts = yield from self.judge_all(split_and_parse(text), text, ())
        if verdicts is None:
            return None
        found = verdicts[0]
        if parsed.kind is Kind.CREATE_TABLE_AS:
            found = yield from self.of_own_copy(parsed, found, ())
        if not found.sqlstate and found.plan.lookups:
            return Failed("0A000", "a pseudonym cannot be looked up by an EXECUTE inside of another statement",
                          "Write the prepared statement in its place.", reason="lookup-literal")  # fmt: skip
        return replace(found, parsed=parsed, instead=found.instead or text)

    def _analyse(
        self, statements: tuple[Parsed, ...], text: str, types: tuple[int, ...], named: Mapping[int, Verdict]
    ) -> Generator[Wish, Any, tuple[Analysis, ...] | Failed]:
        """Analyses in order; statements about cursors and prepared statements take what the gate remembers of them."""
        remembered = {i: self._remembered(p) for i, p in enumerate(statements)}
        fresh = tuple(p for i, p in enumerate(statements) if remembered[i] is None and i not in named)
        found: list[Analysis] = []
        if fresh:
            answer = yield from self.asked(fresh, text if len(statements) == 1 else "", types)
            if isinstance(answer, Failed):
                sees_more = self.ddl_in_transaction and self.replies.status == "T"
                if self.clearance.complete and answer.report and sees_more:
                    # Only the session can see what its open transaction made; who may see everything goes on by kind and names.
                    found = [replace(UNSEEN, kind=p.kind) for p in fresh]
                else:
                    return answer
            else:
                found = list(answer.analyses)
                self.clearance = self._clearance()
        queue = iter(found)
        merged = []
        for i in range(len(statements)):
            known = remembered[i]
            if i in named:
                merged.append(named[i].analysis)
                continue
            merged.append(known.run.analysis if known is not None else next(queue))
            declared = _declared_before(statements, i)
            if declared is not None:
                merged[i] = merged[declared]
            if statements[i].kind is Kind.EXECUTE:
                # Which statement a name stands for is the server's knowledge; it may be any that was ever prepared here.
                merged[i] = EXECUTES_ANYTHING
        return tuple(merged)

    def _is_outrun(self, analyses: tuple[Analysis, ...]) -> bool:
        """Whether a relation or a column is not in the snapshot: dropped while the statement was analysed, or newer than the last look."""
        known = self.own.seen(self.catalog).relations
        found = (oid for one in analyses for oid in one.relations | {access.relation for access in one.accesses})
        altered = any(part.why == UNKNOWN_COLUMN for one in analyses for part in one.opaque)
        return altered or any(oid >= FIRST_USER_OID and oid not in known for oid in found)

    def _by_name(self, problem: Failed, statements: tuple[Parsed, ...]) -> Failed:
        """What is refused by name is refused by name, also where the server does not have it."""
        if self.clearance.complete or problem.report.get("C") not in ("42883", "42P01"):
            return problem
        found = next((f for f in (refused_by_name(p.shape) for p in statements) if f is not None), None)
        if found is None:
            return problem
        return Failed(
            "0A000", f"`{found[0]}` is refused for principals who see masked data: it {found[1]}", reason="opaque"
        )

    def _remembered(self, parsed: Parsed) -> Portal | None:
        return self.portals.get(parsed.name) if parsed.kind is Kind.FETCH else None

    def _mixed_batch(self, statements: tuple[Parsed, ...]) -> Failed | None:
        """A batch is decided as a whole before its first byte: nothing in it may change what a later part means."""
        if any(
            s.name.startswith(texts.OWN_PREFIX) and s.kind in (Kind.DECLARE, Kind.PREPARE, Kind.DEALLOCATE, Kind.CLOSE)
            for s in statements
        ):
            return Failed(
                "0A000", f"names that begin with `{texts.OWN_PREFIX}` are the gate's own", reason="reserved-name"
            )
        for i, parsed in enumerate(statements):
            known = self._remembered(parsed)
            if parsed.kind is not Kind.FETCH or _declared_before(statements, i) is not None:
                continue
            if known is None and not self.clearance.complete:
                return Failed(
                    "34000", f"cursor `{parsed.name}` is not known to the gate in this session", reason="unknown-name"
                )
            outdated = known is not None and bool(known.made_under) and known.made_under != self.version()
            if outdated and not self.sees_everything():
                return Failed("34000", f"definitions or policies changed since cursor `{parsed.name}` was declared", "Declare it again.",
                              reason="cursor-outdated")  # fmt: skip
        if self.clearance.complete:
            return None
        return self._changes_meaning(statements)

    def _unless_called(
        self, statements: tuple[Parsed, ...], analyses: tuple[Analysis, ...]
    ) -> tuple[Analysis, ...] | Failed:
        """As `_changes_meaning`, for the function that does what SET does."""
        if self.clearance.complete:
            return analyses
        for i, analysis in enumerate(analyses[:-1]):
            later = statements[i + 1 :]
            if texts.SET_CONFIG in analysis.functions and any(s.kind in texts.NEEDS_NAMES for s in later):
                return Failed("0A000", "an earlier statement of this batch changes what a later one means", "Send the statements one by one.",
                              reason="batch-changes-names")  # fmt: skip
        return analyses

    def _changes_meaning(self, statements: tuple[Parsed, ...]) -> Failed | None:
        for i, parsed in enumerate(statements[:-1]):
            later = statements[i + 1 :]
            renames = parsed.kind in NAME_RESOLUTION and not (
                parsed.kind is Kind.SET and parsed.name in SETTINGS_FOR_MASKED and parsed.name != "search_path"
            )
            undoes = parsed.kind is Kind.TRANSACTION and (
                self.names_touched
                or any(s.kind in NAME_RESOLUTION for s in statements[:i])
                or (bool(self.own.version) and parsed.value in texts.ENDS_TRANSACTION)
            )
            if (renames or undoes) and any(s.kind in texts.NEEDS_NAMES for s in later):
                return Failed("0A000", "an earlier statement of this batch changes what a later one means", "Send the statements one by one.",
                              reason="batch-changes-names")  # fmt: skip
            cursors = parsed.kind in (Kind.DECLARE, Kind.CLOSE)
            if cursors and any(
                s.kind is Kind.FETCH and (parsed.kind is Kind.CLOSE or _declared_before(statements, place) is None)
                for place, s in enumerate(later, i + 1)
            ):
                return Failed("0A000", "a FETCH in a batch that closes or declares cursors can be judged only where the batch declares its own",
                              "Send the statements one by one.", reason="batch-changes-names")  # fmt: skip
        return None

    def _verdicts(
        self,
        statements: tuple[Parsed, ...],
        analyses: tuple[Analysis, ...],
        types: tuple[int, ...],
        named: Mapping[int, Verdict],
    ) -> Generator[Wish, Any, tuple[Verdict, ...]]:
        verdicts: list[Verdict] = []
        now = self.clock.now()
        for i, (parsed, analysis) in enumerate(zip(statements, analyses, strict=True)):
            if i in named:
                verdicts.append(named[i])
                continue
            known = self._remembered(parsed)
            declared = _declared_before(statements, i)
            estimated = None
            if self._may_estimate(parsed, analysis):
                estimated = yield Estimate(parsed.text)
            ask = self.ask(now=now, estimated_rows=estimated)
            if parsed.kind is Kind.SET and parsed.name in PINNED:
                ask = replace(ask, unpinned=self.sees_everything())
            if declared is not None and verdicts[declared].plan.stand_ins:
                shown = verdicts[declared]
                verdicts.append(judge(parsed, shown.analysis, ask, plan=shown.plan))
                continue
            if declared is not None:
                # What its cursor will show is what its query would show in pieces; a refusal of that is a refusal of the FETCH.
                inner = judge(replace(statements[declared], kind=Kind.SELECT), analysis, replace(ask, row_limited=True))
                verdicts.append(
                    replace(inner, parsed=parsed) if inner.sqlstate else judge(parsed, analysis, ask, plan=inner.plan)
                )
                continue
            if known is not None and known.run.plan.order is not Order.KEEP:
                # A portal of the protocol's that FETCH reads in pieces: its rows cannot be put in order any more.
                inner = judge(known.run.parsed, analysis, replace(ask, row_limited=True))
                verdicts.append(replace(inner, parsed=parsed))
                continue
            verdict = judge(parsed, analysis, ask, plan=known.run.plan if known is not None else None)
            if parsed.kind is Kind.CREATE and parsed.temporary and analysis.own:
                verdict = replace(verdict, makes=OwnTable(parsed.tables[0][1]))
            verdicts.append((yield from self.rewritten(verdict, ask, types)))
        return tuple(verdicts)

    def _may_estimate(self, parsed: Parsed, analysis: Analysis) -> bool:
        """Whether the planner is asked how many rows a write touches.

        Not where masked values or hidden rows decide it: whether the answer is few would tell how frequent a guessed value is.
        """
        quiet = (UseKind.OUTPUT, UseKind.WRITE_SOURCE, UseKind.WRITE_TARGET)
        telling = any(use.columns & self.clearance.masked and use.kind not in quiet for use in analysis.uses)
        telling = telling or bool(analysis.relations & (self.clearance.filters.keys() | self.clearance.unreadable))
        asks = bool(analysis.writes) and not is_bounded(analysis, None, 0)
        return asks and not telling and parsed.parameters == 0 and not analysis.opaque

    def _cacheable(self, verdict: Verdict) -> bool:
        """Whether a verdict may be used again for the same key without asking the server.

        Not for writes by estimate, cursors and named statements of one session, and not for views: a view can be given another
        meaning between two polls of the catalog, and its row description would not show it. A relation newer than the snapshot may
        be one.
        """
        relations = self.catalog.relations
        found = ((o, relations.get(o)) for o in verdict.analysis.relations)
        views = any(o >= FIRST_USER_OID if r is None else r.kind == "v" and r.schema not in SYSTEM for o, r in found)
        by_estimate = verdict.parsed.kind in WRITES and any(not w.bounded for w in verdict.analysis.writes)
        views = views or bool(verdict.analysis.called)  # what has been said of views holds for bodies of functions
        return not views and not by_estimate and verdict.parsed.kind not in (Kind.FETCH, Kind.DECLARE, *BY_NAME)

    def _key(self, text: Hashable, types: tuple[int, ...]) -> tuple[object, ...]:
        return (text, types, *self.conditions(), self.replies.status != "I")

    def conditions(self) -> tuple[object, ...]:
        """All that a verdict depends on beside the statement, the state of the transaction and the time."""
        chain = tuple((p.name, p.kind, p.groups, p.owner) for p in self.identity.chain)
        return (chain, self.identity.purpose, self.identity.run, self.identity.binding, self.client_address, self.around.database,
                self.search_path, self.version(), self.own.version, self.clearance.masked)  # fmt: skip


def _may_lift(verdict: Verdict) -> bool:
    """Constants of a text that another takes the place of, those that are opened first, and a write's stay part of the key.

    Of writes only an INSERT of nothing but what the client gives may differ in its constants, into a table without labels.
    """
    analysis, parsed = verdict.analysis, verdict.parsed
    reads = parsed.kind is Kind.SELECT and analysis.effect_free
    inserts = (
        parsed.kind is Kind.INSERT and [w.kind for w in analysis.writes] == [Kind.INSERT] and not analysis.reads and not analysis.opaque
        and analysis.relations == {w.relation for w in analysis.writes} and not verdict.plan.touches_labelled
        and all(use.detail != ON_CONFLICT for use in analysis.uses)
    )  # fmt: skip
    return (reads or inserts) and not verdict.plan.lookups and not verdict.instead


def _declared_before(statements: tuple[Parsed, ...], at: int) -> int | None:
    """Which statement of the same batch declares the cursor that this FETCH reads; None when it is no FETCH, or none does."""
    if statements[at].kind is not Kind.FETCH:
        return None
    for before in range(at - 1, -1, -1):
        parsed = statements[before]
        if parsed.kind is Kind.DECLARE and parsed.name == statements[at].name:
            return before
        if parsed.kind in (Kind.CLOSE, Kind.DISCARD) or (parsed.kind is Kind.TRANSACTION and parsed.value != "begin"):
            return None
    return None
