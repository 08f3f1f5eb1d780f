"""Statements by name: which one a PREPARE makes and an EXECUTE runs, and what the server must hold for it.

For: SQL-level PREPARE and EXECUTE, and keeping what the server holds in step with what was judged, for the protocol's names too: both
share one space in the server, which no transaction's end undoes.
Not for: verdicts (`judging.py`): a statement that runs by name is judged like any other, each time it runs.
Invariant: a name is bound or executed only while the server holds the statement that was judged, analysed as it was judged.
Source: PostgreSQL documentation, PREPARE, EXECUTE and 55.2.3; threats W-15, W-18.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from lockgate.errors import RefusedStatementError
from lockgate.model.decision import Effect
from lockgate.model.statement import Kind, Parsed
from lockgate.session.judge import Verdict, without_result
from lockgate.session.rewriting import Rewriting
from lockgate.session.runs import Prepared
from lockgate.session.wishes import Failed, FreshCatalog, Wish
from lockgate.sql.literals import with_parameters
from lockgate.sql.parse import split_and_parse
from lockgate.sql.utility import quoted

HAS_TREE = frozenset({Kind.SELECT, Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.MERGE})
"""Kinds that PREPARE takes; the protocol prepares others too, which SQL's EXECUTE then runs."""


class Naming(Rewriting):
    """Finding statements by name."""

    def by_name(self, statements: Sequence[Parsed]) -> Generator[Wish, Any, dict[int, Prepared] | Failed]:
        """The statements of a batch that make or run a prepared one, by their place.

        An EXECUTE that is not among the answers runs what only the server knows.
        """
        found: dict[int, Prepared] = {}
        for place, parsed in enumerate(statements):
            if parsed.kind is Kind.PREPARE:
                made = yield from self._made(parsed)
                if isinstance(made, Failed):
                    return made
                found[place] = made
            elif parsed.kind is Kind.EXECUTE:
                known = self._known(statements, place, found)
                if known is not None:
                    found[place] = known
                elif not self.clearance.complete:
                    return _unknown(parsed.name)
        return found

    def _made(self, parsed: Parsed) -> Generator[Wish, Any, Prepared | Failed]:
        """What a PREPARE makes; the types that it declares are the server's to say."""
        types: tuple[int, ...] = ()
        if parsed.arguments:
            asked = "SELECT " + ", ".join(f"CAST(NULL AS {text})" for _, text in parsed.arguments)
            answer = yield from self.asked(split_and_parse(asked), asked, ())
            if isinstance(answer, Failed):
                return _elsewhere(answer, parsed)
            types = tuple(output.type_oid for output in answer.analyses[0].outputs)
        return Prepared(parsed.inner, split_and_parse(parsed.inner), types, parsed.inner, pending=False)

    def _known(self, statements: Sequence[Parsed], place: int, found: dict[int, Prepared]) -> Prepared | None:
        """What a name stands for when the statement at a place of its batch runs; the batch stops at the first that fails."""
        name = statements[place].name
        known = self.prepared.get(name)
        known = None if known is None or known.pending else known
        for before, parsed in enumerate(statements[:place]):
            if parsed.kind is Kind.PREPARE and parsed.name == name:
                known = found[before]
            elif (parsed.kind is Kind.DEALLOCATE and parsed.name in ("", name)) or parsed.kind is Kind.DISCARD:
                known = None
        tree = known is not None and len(known.parsed) == 1 and known.parsed[0].kind in HAS_TREE
        return known if tree else None

    def given_to(self, parsed: Parsed, verdict: Verdict) -> str:
        """A query of the arguments of an EXECUTE, cast as the server casts them; empty where they are constants that call nothing."""
        if all(_is_plain(text) for _, text in parsed.arguments):
            return ""
        types = verdict.analysis.parameter_types
        return "SELECT " + ", ".join(
            f"CAST(({text}) AS {self._type_name(types[at])})" if at < len(types) else f"({text})"
            for at, (_, text) in enumerate(parsed.arguments)
        )

    def runs_by_name(self, parsed: Parsed) -> bool:
        """Whether a statement explains, or copies into a temporary table, what a prepared statement shows."""
        copies = parsed.kind is Kind.CREATE_TABLE_AS and parsed.temporary and not self.clearance.complete
        return (
            (parsed.kind is Kind.EXPLAIN or copies) and parsed.inner_kind is Kind.EXECUTE and not self.sees_everything()
        )

    def run_by(
        self, statements: Sequence[Parsed], place: int, run: Parsed, found: dict[int, Prepared]
    ) -> Prepared | Failed:
        """What an EXECUTE inside of the statement at a place runs."""
        known = self._known((*statements[:place], run), place, found)
        if known is None:
            return _unknown(run.name)
        if not all(_is_constant(text) for _, text in run.arguments):
            return Failed(
                "0A000",
                "arguments of an EXECUTE inside of another statement must be plain constants",
                reason="arguments",
            )
        return known

    def with_arguments(self, text: str, run: Parsed, types: tuple[int, ...]) -> str | Failed:
        """A prepared statement with the arguments of an EXECUTE in the places of its parameters, cast as the server casts them."""
        if len(types) != len(run.arguments):
            said = f'wrong number of parameters for prepared statement "{run.name}"'
            return Failed(
                "42601", said, report={"S": "ERROR", "V": "ERROR", "C": "42601", "M": said}, reason="arguments"
            )
        pairs = zip(run.arguments, types, strict=True)
        return with_parameters(text, [f"({value})::{self._type_name(kind)}" for (_, value), kind in pairs])

    def known_types(self, types: Sequence[int]) -> Generator[Wish, Any, Failed | None]:
        """Know every type by name, also one that was made since the last look; why that is not possible, or None."""
        if any(oid not in self.around.catalog.types for oid in types):
            yield FreshCatalog()
        if all(oid in self.around.catalog.types for oid in types):
            return None
        return Failed("0A000", "the type of an argument is not known to the gate", reason="arguments")

    def _type_name(self, oid: int) -> str:
        known = self.around.catalog.types.get(oid)
        if known is None:
            raise RefusedStatementError("arguments", "the type of an argument is not known to the gate")
        return f"{quoted(known.schema)}.{quoted(known.name)}"

    def of_prepare(self, parsed: Parsed, verdict: Verdict, prepared: Prepared) -> Verdict:
        """The verdict of a PREPARE: it is refused with its statement; it runs nothing, so an approval is asked for when it runs."""
        prepared.relations = verdict.analysis.relations
        prepared.row_description = verdict.analysis.row_description
        prepared.made_under = self.meaning_of_names()
        decision = verdict.decision
        if decision.effect is Effect.HOLD:
            decision = replace(decision, effect=Effect.PERMIT, hold_groups=())
        plan = without_result(parsed, verdict.plan)
        return replace(verdict, parsed=parsed, decision=decision, plan=plan, named=prepared)


def _is_plain(text: str) -> bool:
    """Whether an argument is a number, or a string without any escape: nothing that could call something."""
    bare = text.strip()
    return bare.isdigit() or (len(bare) > 1 and bare[0] == bare[-1] == "'" and not {"'", "\\"} & set(bare[1:-1]))


def _is_constant(text: str) -> bool:
    """As `_is_plain`, or another constant that is written without quotes."""
    return (
        _is_plain(text) or re.fullmatch(r"\s*(-?[0-9]+(\.[0-9]+)?|null|true|false)\s*", text, re.IGNORECASE) is not None
    )


def _unknown(name: str) -> Failed:
    said = f'prepared statement "{name}" does not exist'
    return Failed("26000", said, report={"S": "ERROR", "V": "ERROR", "C": "26000", "M": said}, reason="unknown-name")


def _elsewhere(failed: Failed, parsed: Parsed) -> Failed:
    """A report about types that were asked for in a text of the gate's own: its position is found in the client's, where it is one statement."""
    report = {key: value for key, value in failed.report.items() if key != "P"}
    at, behind = failed.report.get("P", ""), len("SELECT ")
    for begins, text in parsed.arguments:
        behind += len("CAST(NULL AS ")
        within = int(at) - 1 - behind if at.isdigit() else -1
        if 0 <= within < len(text) and not parsed.at:
            report["P"] = str(len(parsed.text.encode()[:begins].decode()) + within + 1)
        behind += len(text) + len("), ")
    return replace(failed, report=report)
