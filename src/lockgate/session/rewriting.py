"""A verdict's statement in other words: without rows that a filter hides, and over stand-ins where masking the answer is not enough.

For: asking for the other text, and what becomes of a verdict when there is one or none.
Not for: the text itself (the wish `Substitute`), or the verdict before (`judge.py`).
Invariant: a statement on filtered rows goes on with the filter or is denied; a refusal stands unless the other text was analysed.
Source: masking.md 2.3; docs/adr/0011-stand-ins.md.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from lockgate.errors import RefusedStatementError
from lockgate.masking.lookups import Opener
from lockgate.model.plan import PASS, Sought
from lockgate.model.statement import Analysis, Kind, Parsed
from lockgate.session.judge import Ask, Verdict, over_stand_ins
from lockgate.session.row_filters import filters_on
from lockgate.session.settling import Settling
from lockgate.session.wishes import Analyse, Analysed, AnalyseHere, Failed, Substitute, Substituted, Wish
from lockgate.sql.literals import meaning, quoted_constant

KNOWN_MAX = 256
"""Analyses on its own link that a session remembers."""
NEVER = frozenset({-1})
"""What no name means: the server does not hold such a statement any more."""
IN_PIPELINE = Failed(
    "0A000", "the statement is about what only this session can see, and is analysed between pipelines only",
    "Send a Sync before it, or run it outside of a pipeline.", reason="own-objects-in-pipeline",
)  # fmt: skip


class Rewriting(Settling):
    """Rewriting verdicts' statements."""

    def asked(
        self, statements: tuple[Parsed, ...], text: str, types: tuple[int, ...]
    ) -> Generator[Wish, Any, Analysed | Failed]:
        """What statements do, by whoever sees what they are about: an analysis connection, or the session's own link."""
        if not self.sees_own() or self.replies.status == "E":
            # In a failed transaction nothing but its end runs, and nothing can be asked.
            found: Analysed | Failed = yield Analyse(statements, text, types, self.search_path)
            return (
                found
                if isinstance(found, Failed)
                else replace(found, analyses=self._own_judged(found.analyses, statements))
            )
        key = (tuple(p.text for p in statements), types, self.meaning_of_names(), self.replies.status)
        known = self._here.get(key)
        if known is not None and known[0] == self.own.seen_version:
            return known[1]
        if self.pipeline_open:
            return IN_PIPELINE
        yield from self.flush_pipeline()
        answer = yield AnalyseHere(statements, types, self.search_path, self.replies.status == "T", self.own.tables,
                                   self.ddl_in_transaction)  # fmt: skip
        self.link_was_used()
        if isinstance(answer, Failed):
            return answer
        self.own.learn(answer)
        self.refresh_clearance()
        if len(self._here) >= KNOWN_MAX:
            self._here.clear()
        result = Analysed(self._own_judged(answer.analyses, statements), self.catalog)
        self._here[key] = self.own.seen_version, result
        return result

    def _own_judged(self, analyses: tuple[Analysis, ...], statements: tuple[Parsed, ...]) -> tuple[Analysis, ...]:
        pairs = zip(analyses, statements, strict=False)
        return tuple(self.own.judged(analysis, parsed, self.around.catalog) for analysis, parsed in pairs)

    def link_was_used(self) -> None:
        """The gate's own words on the session's link take the place of what has no name there."""
        self.portals.pop("", None)
        if "" in self.prepared:
            self.prepared[""].relations = NEVER

    def rewritten(self, verdict: Verdict, ask: Ask, types: tuple[int, ...]) -> Generator[Wish, Any, Verdict]:
        """The statement rewritten where it must be: without hidden rows, and over stand-ins where masking the answer cannot serve."""
        if verdict.sqlstate == "42501":
            return verdict
        try:
            filters = filters_on(verdict.parsed, verdict.analysis, self.clearance, ask.catalog)
            found = over_stand_ins(verdict, ask)
            if found is None and (verdict.sqlstate or not filters):
                return verdict
            plan, sought = found or (verdict.plan, ())
            if found is None and plan.lookups:
                raise RefusedStatementError(
                    "row-filter", "a pseudonym cannot be looked up in rows that a row filter chooses", sqlstate="42501"
                )
        except RefusedStatementError as refused:
            return replace(
                verdict,
                plan=PASS,
                sqlstate=refused.sqlstate,
                rule=refused.reason,
                sentence=refused.sentence,
                hint=refused.hint,
            )
        try:
            opened = tuple(self._opened_constant(verdict.parsed, one) for one in sought)
        except RefusedStatementError:
            return verdict
        asked = verdict.analysis
        if verdict.parsed.kind is Kind.EXPLAIN:
            asked = replace(asked, reads=frozenset())  # masked columns are shown at most: none of them has to be read
        wish = Substitute(
            verdict.parsed, types, self.search_path, asked, self.clearance.masked if found else frozenset(), opened,
            filters, ask.catalog.generation, self.clearance.masked,
            replace(self.catalog, generation=-self.own.seen_version) if self.sees_own() else None, self.replies.status == "T",
        )  # fmt: skip
        answer = (yield from self._substituted_here(wish)) if self.sees_own() else (yield wish)
        if not isinstance(answer, Substituted):
            return self._not_rewritten(verdict, answer)
        analysis = replace(
            verdict.analysis,
            row_description=answer.row_description,
            effect_free=verdict.analysis.effect_free and answer.effect_free,
        )
        return replace(
            verdict, analysis=analysis, plan=plan, instead=answer.text, sqlstate="", rule="", sentence="", hint=""
        )

    def _substituted_here(self, wish: Substitute) -> Generator[Wish, Any, Substituted | Failed]:
        """The statement in other words, by the session's own link; as remembered where a Bind follows its Parse in one pipeline."""
        key = (wish.statement.text, wish.parameter_types, self.meaning_of_names(), self.replies.status, wish.masked, wish.sought,
               wish.filters, wish.hidden)  # fmt: skip
        known = self._instead_here.get(key)
        if known is not None and known[0] == self.own.seen_version:
            return known[1]
        if self.pipeline_open:
            return IN_PIPELINE
        yield from self.flush_pipeline()
        answer: Substituted | Failed = yield wish
        self.link_was_used()
        if isinstance(answer, Substituted):
            if len(self._instead_here) >= KNOWN_MAX:
                self._instead_here.clear()
            self._instead_here[key] = self.own.seen_version, answer
        return answer

    @staticmethod
    def _not_rewritten(verdict: Verdict, failed: Failed) -> Verdict:
        """The refusal of a statement that could not be rewritten; one that only a row filter stood in the way of is denied."""
        if verdict.sqlstate:
            hint = f"{verdict.hint} Over stand-ins it cannot run either: {failed.sentence}.".strip()
            return replace(verdict, hint=hint)
        return replace(
            verdict, plan=PASS, sqlstate="42501", rule="row-filter", hint=failed.hint,
            sentence=f"it cannot be limited to the rows that a row filter shows you: {failed.sentence}",
        )  # fmt: skip

    def _opened_constant(self, parsed: Parsed, sought: Sought) -> Sought:
        """The constant as the row holds it; a value that nobody was shown opens to one that no row holds."""
        given = sought.lookup.given
        if given.parameter:
            return sought
        value = meaning(parsed.inner or parsed.text, given.at)
        return replace(sought, text=quoted_constant(self.opener().constant(sought.lookup, value)))

    def opener(self) -> Opener:
        """What opens the client's values in this session."""
        return Opener(
            self.around.pseudonyms, key_ring=self.around.key_ring, purpose=self.identity.purpose or "",
            scope=self.around.environment, epoch=self.around.epoch, types=self.around.catalog.types,
        )  # fmt: skip
