"""The conversation of one session: every message of the client, judged, recorded, forwarded or answered.

For: the dialogue and the simple query protocol. The class is built in layers, each a file: `state`, `settling`, `judging`,
`extended`, and this one on top.
Not for: sockets, time and waiting: it yields wishes (`wishes.py`). Answers come back through `replies.py`.
Source: PostgreSQL documentation, 55.2; architecture section 3; docs/follow-one-statement.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from lockgate.errors import ClientProtocolError
from lockgate.model.statement import Kind, Parsed
from lockgate.session import texts
from lockgate.session.extended import PARAMETER_BYTES_MAX, ExtendedProtocol
from lockgate.session.judge import Verdict, judge
from lockgate.session.runs import Expect, Run
from lockgate.session.state import Steps
from lockgate.session.unseen import EVERYTHING
from lockgate.session.wishes import Drain, NextMessage, Wish
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.typed import from_client

ROWS_ROOM = 100
"""An estimate of few rows may be wrong by so many before an approved write is rolled back."""


class Conversation(ExtendedProtocol):
    """One authenticated client's dialogue.

    The driver runs `run()`, fulfils its wishes, and empties `to_client` and `to_backend` after each step.
    """

    def run(self) -> Steps:
        """The dialogue, until the client leaves or the protocol is broken."""
        while not self.ended:
            frame = yield NextMessage()
            if frame is None:
                return
            yield from self._message(frame)
            del frame  # a large message must not stay until the next one

    def _message(self, frame: Frame) -> Steps:
        letter = chr(frame.tag)
        if letter == "X":
            self.ended = True
            return
        if letter in "dcf":
            self._copy(frame, letter)
            return
        if (self.skip_to_sync or self.replies.skipping) and letter != "S":
            return
        if self.reported.get("client_encoding", "UTF8") != "UTF8" and letter in "QPBEF" and not self.sees_everything():
            raise ClientProtocolError("client_encoding is not UTF8 any more, and statements are read in it")
        if letter == "Q":
            yield from self._simple(frame)
        elif letter in "PBDECSH":
            yield from self.extended(frame, letter)
        elif letter == "F":
            yield from self._function_call(frame)
        else:
            raise ClientProtocolError(f"message `{letter}` is not allowed after login")

    def _copy(self, frame: Frame, letter: str) -> None:
        """COPY data belongs to the COPY that was forwarded last; without one the server would ignore it too."""
        if self.backend_open and self.replies.copy_in:
            self.to_backend.append(frame.encode())
            if letter in "cf":
                self.replies.copy_in = False

    def _function_call(self, frame: Frame) -> Steps:
        """A call by number, past any text: decided by policy as a statement that may do anything, refused where masks are."""
        yield from self.flush_pipeline()
        oid = from_client(frame, fe.FunctionCall).oid
        if (yield from self.ensure_backend()):
            yield from self._call_judged(frame, oid)
        else:
            self.to_client.append(self._ready())

    def _call_judged(self, frame: Frame, oid: int) -> Steps:
        if self.replies.poisoned:
            self.to_client += [be.error("25P02", texts.ABORTED), self._ready()]
            return
        self.clearance = self._clearance()
        if not self.clearance.complete:
            self.counters.count("refusals", reason="function-call")
            self.evidence.unreadable(text=f"FunctionCall {oid}", sqlstate="0A000", rule="function-call")
            self.to_client.append(be.error("0A000", "lockgate: FunctionCall is refused for principals who see masked data: it names a function by number, past the statement's text",
                                           detail="rule=function-call", hint="Call the function in a SELECT."))  # fmt: skip
            self._spoil()
            self.to_client.append(self._ready())
            return
        function = self.around.catalog.functions.get(oid)
        name = f"{function.schema}.{function.name}" if function is not None else f"function {oid}"
        text = f"FunctionCall {name}"
        parsed = Parsed(text=text, kind=Kind.CALL, shape=text, calls=(name,))
        verdict = judge(parsed, replace(EVERYTHING, kind=Kind.CALL, functions=(name,)), self.ask())
        parameters = _bounded(frame.body)
        approval = yield from self.settle((verdict,), text, parameters)
        runs = self.start((verdict,), text, parameters=parameters, approval=approval) if approval is not None else []
        if runs and (yield from self.recorded(runs)):
            self._forward_judged(frame.encode(), Expect("query", tuple(runs)))
        else:
            self.to_client.append(self._ready())

    def _simple(self, frame: Frame) -> Steps:
        if (yield from self.is_too_long(frame.body)):
            self.to_client.append(self._ready())
            return
        readable, unread = yield from self.in_utf8(frame, strings=1)
        text = from_client(readable, fe.Query).text
        if not (yield from self.ensure_backend()):
            self.to_client.append(self._ready())
            return
        statements = yield from self.read(text, simple=True, unread=unread)
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
        opened = yield from self.translated(statements, judged, text)
        if opened is None:
            self.to_client.append(self._ready())
            return
        if not (yield from self.all_renewed(judged)):
            self.to_client.append(self._ready())
            return
        for verdict in judged:
            if not (yield from self.confirmed(verdict)):
                yield from self.refuse(replace(verdict, sqlstate="0A000", rule="drift", sentence=texts.DRIFT), text)
                self.to_client.append(self._ready())
                return
        runs = self.start(judged, text, approval=approval)
        if not (yield from self.recorded(runs)):
            self.to_client.append(self._ready())
            return
        rows_max = _rows_max(judged) if approval[0] else None
        if rows_max is not None:
            yield from self._run_capped(runs[0], frame, rows_max)
            return
        held = texts.prefixed_application_name(opened[0], self.session_id) or opened[1]
        data = frame.encode() if held == text else fe.Query(held).encode()
        self._forward_judged(data, Expect("query", tuple(runs)))
        if any(r.parsed.kind is Kind.COPY_IN for r in runs):
            self.replies.copy_in = True

    def _run_capped(self, run: Run, frame: Frame, rows_max: int) -> Steps:
        """An approved write in the gate's own transaction: kept only when it touched no more rows than its approver was shown."""
        begun = yield from self._ask_backend(fe.Query("BEGIN").encode(), Expect("query", silent=True))
        done = yield from self._ask_backend(frame.encode(), Expect("query", (run,), silent=True))
        count = done.tag.rsplit(" ", 1)[-1]
        touched = int(count) if count.isdigit() else None
        kept = not begun.error and not done.error and touched is not None and touched <= rows_max
        end = yield from self._ask_backend(
            fe.Query("COMMIT" if kept else "ROLLBACK").encode(), Expect("query", silent=True)
        )
        if kept and not end.error:
            self._finish(run, "complete", "00000", done.tag)
            self.to_client.append(be.CommandComplete(done.tag).encode())
        elif error := begun.error or done.error or end.error:
            if not run.closed:
                self._finish(run, "error", error.get("C", "XX000"), "")
            self.to_client.append(self.replies.shown_error(error, run))
        else:
            self._finish(run, "rolled-back", "42501", "")
            self.send_error("42501", f"lockgate: the write touched more than the {rows_max} rows its approver was shown; it was rolled back",
                            rule="more-rows-than-approved", hint="Send it again and have it approved again.")  # fmt: skip
        self.to_client.append(self._ready())

    def _ask_backend(self, data: bytes, expected: Expect) -> Generator[Wish, Any, Expect]:
        self._forward_judged(data, expected)
        yield Drain()
        return expected

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
        if [s.kind for s in statements] == [Kind.EMPTY]:
            self.to_client.append(be.EmptyQueryResponse().encode())
        else:
            self.to_client.append(be.error("25P02", texts.ABORTED))
        self.to_client.append(self._ready())
        return True


def _rows_max(verdicts: Sequence[Verdict]) -> int | None:
    """Most rows that an approved write may touch: what was shown, with some room for an estimate; None where no estimate was."""
    shown = verdicts[0].context.get("estimated_rows")
    if not isinstance(shown, int) or verdicts[0].analysis.row_description:
        return None
    return max(2 * shown, shown + ROWS_ROOM)


def _bounded(arguments: bytes) -> bytes:
    """Arguments of a call for the record; very long ones by their length and hash, as for parameters."""
    if len(arguments) <= PARAMETER_BYTES_MAX:
        return arguments
    return len(arguments).to_bytes(8, "big") + hashlib.sha256(arguments).digest()
