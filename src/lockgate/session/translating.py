"""Values that the client compares with masked columns, opened before the statement is forwarded.

For: constants in the text at their exact places, and parameters of a Bind; texts over stand-ins take the place of the client's.
Not for: saying which values (the plan does) or opening them (`masking.lookups`). What is recorded is always the client's own text.
Invariant: a statement whose plan has lookups is forwarded with all of them opened, or not at all.
Source: masking.md 0.4; architecture section 3, step 8.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from lockgate.errors import RefusedStatementError
from lockgate.masking.lookups import Opener
from lockgate.model.plan import Lookup, Order
from lockgate.model.statement import Kind, Parsed
from lockgate.session import texts
from lockgate.session.judge import Verdict
from lockgate.session.judging import Judging
from lockgate.session.runs import Expect, Prepared, Run
from lockgate.session.state import Steps
from lockgate.session.wishes import Drain, Failed, Wish
from lockgate.sql.analysis import read_row_description
from lockgate.sql.literals import Change, constant_changed, replaced
from lockgate.sql.parse import split_and_parse
from lockgate.sql.utility import analysis_text
from lockgate.wire.postgres import frontend as fe

TRANSLATED = frozenset({Kind.SELECT, Kind.DECLARE, Kind.COPY_OUT, Kind.UPDATE, Kind.DELETE})
"""Kinds whose analysed text is the statement or a piece of it."""

OUTDATED = Failed(
    "0A000", "definitions or policies changed since the statement was prepared, and it cannot be prepared as it was",
    "Prepare it again.", reason="prepared-outdated",
)  # fmt: skip

Translated = tuple[Parsed, ...]
"""The statements as they are forwarded; `text` is what differs."""


class Translating(Judging):
    """Opens the values that a client gives."""

    def translated(
        self, statements: Sequence[Parsed], verdicts: Sequence[Verdict], text: str
    ) -> Generator[Wish, Any, tuple[Translated, str] | None]:
        """The statements and the whole text as the database may see them; None when an error was sent instead."""
        if not any(v.plan.lookups or v.instead for v in verdicts):
            return tuple(statements), text
        try:
            return self._translated(statements, verdicts, text)
        except RefusedStatementError as refused:
            yield from self._cannot(next(v for v in verdicts if v.plan.lookups or v.instead), refused, text)
            return None

    def _translated(
        self, statements: Sequence[Parsed], verdicts: Sequence[Verdict], text: str
    ) -> tuple[Translated, str]:
        data, found = text.encode(), []
        for parsed, verdict in reversed(list(zip(statements, verdicts, strict=True))):
            if verdict.named is not None:
                new = self._by_name_text(parsed, verdict, verdict.named)
            elif parsed.kind is Kind.CREATE_TABLE_AS:
                new = self._copy_text(parsed, verdict)
            else:
                new = verdict.instead or parsed.text
                if parsed.kind is not Kind.FETCH and verdict.plan.lookups and not verdict.instead:
                    new = self._opened_text(parsed, verdict.plan.lookups)
            data = data[: parsed.at] + new.encode() + data[parsed.at + len(parsed.text.encode()) :]
            found.append(replace(parsed, text=new))
        return tuple(reversed(found)), data.decode()

    def _by_name_text(self, parsed: Parsed, verdict: Verdict, named: Prepared) -> str:
        """A PREPARE with the statement that the server shall hold, or an EXECUTE with its arguments opened."""
        data = parsed.text.encode()
        if parsed.kind is Kind.PREPARE:
            start, inner = parsed.inner_at or 0, named.text.encode()
            named.held = self.to_hold(named, verdict)
            return (data[:start] + named.held.encode() + data[start + len(inner) :]).decode()
        opener = self.opener()
        for lookup in sorted(
            (one for one in verdict.plan.lookups if one.given.parameter), key=lambda one: -one.given.at
        ):
            if lookup.given.at > len(parsed.arguments):
                continue  # too few arguments: the server's own error follows
            start, argument = parsed.arguments[lookup.given.at - 1]
            new = constant_changed(argument, _change(opener, lookup), cast=lookup.exact)
            data = data[:start] + new.encode() + data[start + len(argument.encode()) :]
        return data.decode()

    def _copy_text(self, parsed: Parsed, verdict: Verdict) -> str:
        """A CREATE TABLE AS with its query as the database may see it."""
        lookups = verdict.plan.lookups
        inner = verdict.instead or (
            self._opened_text(split_and_parse(parsed.inner)[0], lookups) if lookups else parsed.inner
        )
        if inner == parsed.inner:
            return parsed.text
        if parsed.inner_at is None:
            raise RefusedStatementError(
                "select-into",
                "the query of a SELECT INTO would have to be another one",
                hint="Write CREATE TEMPORARY TABLE ... AS.",
            )
        data, start = parsed.text.encode(), parsed.inner_at
        return (data[:start] + inner.encode() + data[start + len(parsed.inner.encode()) :]).decode()

    def to_hold(self, known: Prepared, verdict: Verdict) -> str:
        """What the server must hold under a prepared statement's name, by its verdict of now.

        Raises:
            RefusedStatementError: a constant in it cannot be opened.
        """
        if not verdict.plan.lookups and not verdict.instead:
            return known.text
        shown = replace(verdict, parsed=known.parsed[0], named=None)
        return self._translated(known.parsed, (shown,), known.text)[1]

    def renewed(self, name: str, known: Prepared, verdict: Verdict) -> Generator[Wish, Any, bool]:
        """Have the server hold a statement that it analysed as it was judged now; False when an error was sent.

        The server looks anew at what its names mean at times of its own. So where they mean something else than when it last looked
        for us, and where constants or stand-ins in the text would be others, the gate prepares the statement again under its name.
        """
        try:
            held = self.to_hold(known, verdict)
        except RefusedStatementError as refused:
            yield from self._cannot(verdict, refused, known.text)
            return False
        analysis = verdict.analysis
        if held == known.held and (analysis.relations == known.relations or self.sees_everything()):
            known.made_under = self.meaning_of_names()
            return True
        yield from self.flush_pipeline()
        self.learn_names()
        if self.prepared.get(name) is not known:
            self.send_own("26000", f'prepared statement "{name}" does not exist')
            return False
        asked = Expect("parse", silent=True)
        parse = fe.Parse(name, held, known.parameter_types).encode()
        self.to_backend.append(fe.Close("S", name).encode() + parse)
        self.replies.expect(Expect("close", silent=True), asked)
        self.to_backend.append((fe.Flush() if self.pipeline_open else fe.Sync()).encode())
        if not self.pipeline_open:
            self.replies.expect(Expect("sync", silent=True))
        yield Drain()
        if asked.error or self.replies.lost:
            self.prepared.pop(name, None)
            self.send_failure(OUTDATED)
            return False
        told = known.row_description, analysis.row_description
        same = not all(told) or _columns(told[0]) == _columns(told[1])
        known.held, known.relations, known.row_description = held, analysis.relations, analysis.row_description
        known.made_under = self.meaning_of_names()
        if not same:
            self.send_own("0A000", "cached plan must not change result type")
        return same

    def all_renewed(self, verdicts: Sequence[Verdict]) -> Generator[Wish, Any, bool]:
        """As `renewed`, for every statement that an EXECUTE among them runs, unless the batch makes it."""
        for verdict in verdicts:
            name, known = verdict.parsed.name, verdict.named
            if verdict.parsed.kind is not Kind.EXECUTE or known is None or self.prepared.get(name) is not known:
                continue
            if not (yield from self.renewed(name, known, verdict)):
                return False
        return True

    def _opened_text(self, parsed: Parsed, lookups: Sequence[Lookup]) -> str:
        constants = [lookup for lookup in lookups if not lookup.given.parameter]
        if not constants:
            return parsed.text
        start, inner = (parsed.inner_at, parsed.inner) if parsed.inner else (0, parsed.text)
        if parsed.kind not in TRANSLATED or start is None:
            raise RefusedStatementError(
                "lookup-literal", "a constant that is compared with a masked column stands where it cannot be translated",
                hint="Select the rows first.",
            )  # fmt: skip
        opener = self.opener()
        data = parsed.text.encode()
        new = replaced(
            inner,
            {lookup.given.at: _change(opener, lookup) for lookup in constants},
            frozenset(lookup.given.at for lookup in constants if lookup.exact),
        )
        return (data[:start] + new.encode() + data[start + len(inner.encode()) :]).decode()

    def opened_parameters(
        self, message: fe.Bind, verdicts: Sequence[Verdict], text: str
    ) -> Generator[Wish, Any, fe.Bind | None]:
        """The Bind as the database may see it; None when an error was sent instead."""
        shown = [verdict for verdict in verdicts if verdict.named is None]
        lookups = [one for verdict in shown for one in verdict.plan.lookups if one.given.parameter]
        if not lookups:
            return message
        opener, values = self.opener(), list(message.parameters)
        try:
            for lookup in lookups:
                at = lookup.given.at - 1
                if not 0 <= at < len(values):
                    continue  # too few values: the server's own error follows
                binary = message.format_of_parameter(at) == 1
                values[at] = opener.parameter(lookup, values[at], binary=binary)
        except RefusedStatementError as refused:
            yield from self._cannot(verdicts[0], refused, text)
            return None
        return replace(message, parameters=tuple(values))

    def confirmed(self, statement: Verdict | Run) -> Generator[Wish, Any, bool]:
        """Whether this link sees the columns of a masked COPY as they were analysed; its data carry no names and types of their own."""
        parsed, plan, analysis = statement.parsed, statement.plan, statement.analysis
        if parsed.kind is not Kind.COPY_OUT or not (plan.masks or plan.order is not Order.KEEP):
            return True
        yield from self.flush_pipeline()
        if statement.instead:
            (parsed,) = split_and_parse(statement.instead)
        text = analysis_text(parsed, self.around.catalog) or ""
        asked = Expect("describe-statement", silent=True)
        own = texts.OWN_COPY
        parse = fe.Parse(own, text, analysis.parameter_types).encode()
        self.to_backend.append(parse + fe.Describe("S", own).encode() + fe.Close("S", own).encode())
        self.replies.expect(Expect("parse", silent=True), asked, Expect("close", silent=True))
        if self.pipeline_open:
            self.to_backend.append(fe.Flush().encode())
        else:
            self.to_backend.append(fe.Sync().encode())
            self.replies.expect(Expect("sync", silent=True))
        yield Drain()
        return asked.rows == [analysis.row_description]

    def _cannot(self, verdict: Verdict, refused: RefusedStatementError, text: str) -> Steps:
        stopped = replace(
            verdict, sqlstate=refused.sqlstate, rule=refused.reason, sentence=refused.sentence, hint=refused.hint
        )
        yield from self.refuse(stopped, text)


def _columns(row_description: bytes) -> list[tuple[str, int]]:
    return read_row_description(row_description)


def _change(opener: Opener, lookup: Lookup) -> Change:
    return lambda value: opener.constant(lookup, value)
