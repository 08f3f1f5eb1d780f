"""From a client's text to statements, and the settings that decide how the server reads the same bytes.

For: one reading of a text, the server's. Where it depends on a setting that may have changed since the server last said its value,
the gate waits until the server has said it, or does not read the text at all.
Not for: what statements do (`judging.py`).
Source: PostgreSQL documentation, 4.1.2.1 (backslashes in plain strings) and 24.3.3 (encodings of clients); threats X-03, X-24, X-25, W-27.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from lockgate.errors import RefusedStatementError
from lockgate.model.statement import Parsed
from lockgate.session.naming import Naming
from lockgate.session.unseen import unreadable
from lockgate.session.wishes import Analyse, Failed, Wish
from lockgate.sql.parse import reads_alike, split_and_parse
from lockgate.wire.postgres.frames import Frame

READ_BYTES_MAX = 1 << 20
"""Longest text that is read and analysed: the server's tree of a text is many times as long, and a session's memory is bounded."""


class Reading(Naming):
    """Texts become statements."""

    def in_utf8(self, frame: Frame, *, strings: int) -> Generator[Wish, Any, tuple[Frame, bool]]:
        """A message whose first strings can be decoded, and whether they must stay unread: they are in another encoding, or may be."""
        parts = frame.body.split(b"\0", strings)
        if not self.reading_moved or all(part.isascii() for part in parts[:strings]):
            return frame, False
        if not self.pipeline_open:
            yield from self.flush_pipeline()
            if self.reported.get("client_encoding", "UTF8") == "UTF8":
                return frame, False
        if not self.sees_everything():
            return frame, False
        decodable = [part.decode("latin-1").encode() for part in parts[:strings]]
        return Frame(frame.tag, b"\0".join((*decodable, *parts[strings:]))), True

    def read(self, text: str, *, simple: bool, unread: bool = False) -> Generator[Wish, Any, tuple[Parsed, ...] | None]:
        """The statements of a text, or None when an error was sent instead."""
        if unread or len(text) > READ_BYTES_MAX:
            return (unreadable(text),)  # `is_too_long` has let it pass
        try:
            if not (yield from self._reads_one_way(text)):
                raise RefusedStatementError(
                    "string-escapes",
                    "a plain string holds a backslash while standard_conforming_strings is off or may be, so it could be read in two ways",
                    hint="Write it as E'...'.",
                )
            return split_and_parse(text)
        except RefusedStatementError as refused:
            problem: Failed = Failed(refused.sqlstate, refused.sentence, refused.hint, reason=refused.reason)
        off = self.reported.get("standard_conforming_strings") == "off"
        if problem.reason == "syntax" and off and self.sees_everything():
            return (
                unreadable(text),
            )  # the analysis connection reads strings the other way, so its words would be wrong
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
        if not problem.report and self.sees_everything():
            return (unreadable(text),)
        yield from self.flush_pipeline()
        self.evidence.unreadable(text=text, sqlstate=problem.sqlstate, rule=problem.reason)
        self.send_failure(problem)
        if simple:
            self.to_client.append(self._ready())
        return None

    def _reads_one_way(self, text: str) -> Generator[Wish, Any, bool]:
        """Whether the server will read the text as it is read here.

        A setting's new value is reported only when the server is ready for the next query, so inside a pipeline nobody knows it.
        """
        off = self.reported.get("standard_conforming_strings") == "off"
        if not (off or self.reading_moved) or (text.isascii() and reads_alike(text)):
            return True
        if self.pipeline_open and self.reading_moved:
            return False
        yield from self.flush_pipeline()
        return self.reported.get("standard_conforming_strings") != "off" or reads_alike(text)

    def is_too_long(self, body: bytes) -> Generator[Wish, Any, bool]:
        """Refuse a message whose text is longer than what is ever read, before it is even decoded; pass it on unread for who sees everything."""
        if len(body) <= READ_BYTES_MAX or self.sees_everything():
            return False
        yield from self.flush_pipeline()
        self.counters.count("refusals", reason="statement-too-long")
        self.evidence.unreadable(text=body, sqlstate="54000", rule="statement-too-long")
        self.send_error("54000", "lockgate: the statement's text is too long to be judged", rule="statement-too-long",
                        hint="Bind the values as parameters, or use COPY: those may be as large as `statement_bytes_max`.")  # fmt: skip
        return True
