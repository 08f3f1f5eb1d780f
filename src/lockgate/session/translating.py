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
from lockgate.session.runs import Expect, Run
from lockgate.session.state import Steps
from lockgate.session.wishes import Drain, Wish
from lockgate.sql.literals import Change, replaced
from lockgate.sql.parse import split_and_parse
from lockgate.sql.utility import analysis_text
from lockgate.wire.postgres import frontend as fe

TRANSLATED = frozenset({Kind.SELECT, Kind.DECLARE, Kind.COPY_OUT})
"""Kinds whose analysed text is the statement or a piece of it."""

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
        data, found = text.encode(), []
        for parsed, verdict in reversed(list(zip(statements, verdicts, strict=True))):
            new = verdict.instead or parsed.text
            if parsed.kind is not Kind.FETCH and verdict.plan.lookups and not verdict.instead:
                try:
                    new = self._opened_text(parsed, verdict.plan.lookups)
                except RefusedStatementError as refused:
                    yield from self._cannot(verdict, refused, text)
                    return None
            data = data[: parsed.at] + new.encode() + data[parsed.at + len(parsed.text.encode()) :]
            found.append(replace(parsed, text=new))
        return tuple(reversed(found)), data.decode()

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
        lookups = [one for verdict in verdicts for one in verdict.plan.lookups if one.given.parameter]
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


def _change(opener: Opener, lookup: Lookup) -> Change:
    return lambda value: opener.constant(lookup, value)
