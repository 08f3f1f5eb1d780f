"""The conversation of a replication connection: its commands are statements, judged, recorded and counted like all others.

For: connections that ask for `replication`, where a policy permits `replicate` and no column is masked for the chain.
Not for: what a stream contains: it reads past every mask, so nobody who sees a mask may have one, not even for one moment.
Invariant: a command is forwarded only when it is known, permitted, and its intent on disk; what reads the whole server is permitted only
where it is permitted on every database of that server.
Source: PostgreSQL documentation, 55.4; architecture section 3, step 4 (one enforcement point).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

from lockgate.errors import ClientProtocolError, RefusedStatementError
from lockgate.model.decision import Effect
from lockgate.model.statement import Parsed
from lockgate.session import texts
from lockgate.session.conversation import Conversation
from lockgate.session.judge import Ask, Verdict, judge
from lockgate.session.ports import Surroundings
from lockgate.session.runs import Expect
from lockgate.session.state import Steps
from lockgate.session.unseen import UNREADABLE
from lockgate.session.wishes import Drain, Failed, Wish
from lockgate.sql.replication import Command, is_command, read_command
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.typed import from_client

IDENTIFY = read_command("IDENTIFY_SYSTEM")
"""What every client asks first: who may not, may not connect."""
MASKED = "replication reads past every mask, and you see masked data or only some of the rows"
CONTEXT = "SELECT pg_catalog.current_setting('search_path')"


class ReplicationConversation(Conversation):
    """One authenticated client's replication connection."""

    replicates = True

    def on_server(self, neighbours: Callable[[], Sequence[Surroundings]], *, physical: bool) -> None:
        """Say what the connection is, before it begins.

        Args:
            neighbours: the other databases of the gate that are on the same server.
            physical: it belongs to no database, and may ask for no SQL.
        """
        self._neighbours = neighbours
        self._physical = physical

    def must_end(self) -> str:
        """Why the connection may not be any more; empty where it may."""
        stopped = self._judged(replace(IDENTIFY, whole_server=self._physical))
        return "" if not stopped.sqlstate and stopped.decision.effect is not Effect.DENY else stopped.sentence

    def _message(self, frame: Frame) -> Steps:
        letter = chr(frame.tag)
        if letter in "Qdcf" or letter == "X":
            if letter == "Q" and self.replies.copy_in:
                raise ClientProtocolError("a query came inside a stream")
            yield from super()._message(frame)
        elif letter == "S":
            self.skip_to_sync = False
            self.to_client.append(self._ready())
        elif letter in "PBDECHF":
            if not self.skip_to_sync:
                yield from self.flush_pipeline()
                self.send_own("08P01", "extended query protocol not supported in a replication connection")
            self.skip_to_sync = letter != "F"
            if letter == "F":
                self.to_client.append(self._ready())
        else:
            raise ClientProtocolError(f"message `{letter}` is not allowed after login")

    def _simple(self, frame: Frame) -> Steps:
        text = from_client(frame, fe.Query).text
        if why := self.must_end():
            yield from self.flush_pipeline()
            self._refuse_unread(text, Failed("42501", why, reason="replication"))
            return
        if not is_command(text) and not self._physical:
            yield from super()._simple(frame)
            return
        yield from self.flush_pipeline()
        try:
            if not is_command(text):
                raise RefusedStatementError("replication-sql", "a physical replication connection takes no SQL")
            command = read_command(text)
        except RefusedStatementError as refused:
            self._refuse_unread(text, Failed(refused.sqlstate, refused.sentence, refused.hint, reason=refused.reason))
            return
        if self.replies.poisoned:
            self.to_client.append(be.error("25P02", texts.ABORTED))
        elif (yield from self.ensure_backend()) and (yield from self._command(command, frame)):
            return
        self.to_client.append(self._ready())

    def _command(self, command: Command, frame: Frame) -> Generator[Wish, Any, bool]:
        """Settle one command; whether it was forwarded, so that its answer ends with the server's own ReadyForQuery."""
        verdict = self._judged(command)
        approval = yield from self.settle((verdict,), command.parsed.text)
        if approval is None:
            return False
        runs = self.start((verdict,), command.parsed.text, approval=approval)
        runs[0].whole = True
        if not (yield from self.recorded(runs)):
            return False
        if self._judged(command).sqlstate:  # while its intent was written, labels or policies may have changed
            self._finish(runs[0], "not-run", "42501", "")
            self.send_error("42501", f"lockgate: {MASKED}", rule="replication-masked")
            return False
        self._forward_judged(frame.encode(), Expect("query", tuple(runs)))
        return True

    def _judged(self, command: Command) -> Verdict:
        self.refresh_clearance()
        found = _of(command, self.ask())
        for other in self._neighbours() if command.whole_server else ():
            if found.sqlstate:
                break
            context: dict[str, object] = {
                "binding": self.identity.binding.value,
                "client_address": self.client_address,
            }
            if self.identity.purpose:
                context["purpose"] = self.identity.purpose
            if self.identity.run:
                context["run"] = self.identity.run
            now = self.clock.now()
            there = _of(command, Ask(
                self.identity, other.database, other.clearance(self.identity, context, now), other.catalog, other.engine, now,
                self.client_address, other.unsafe_order,
            ))  # fmt: skip
            if there.effect != "permit":
                found = replace(
                    found, sqlstate="42501", rule="replication-server",
                    sentence=f"it reads the whole server, and it is not permitted on `{other.database}`, which is there as well",
                )  # fmt: skip
        return found

    def settle_context(self) -> Generator[Wish, Any, bool]:
        """As for other sessions, by a simple query: this link takes no others."""
        if not self.names_touched or self.replies.status == "E":
            return True
        yield from self.flush_pipeline()
        question = Expect("query", silent=True)
        self.to_backend.append(fe.Query(CONTEXT).encode())
        self.replies.expect(question)
        yield Drain()
        if not question.rows:
            return False
        self.search_path = (be.cells(question.rows[0])[0] or b"").decode()
        return True

    def read(self, text: str, *, simple: bool, unread: bool = False) -> Generator[Wish, Any, tuple[Parsed, ...] | None]:
        """SQL only as the gate's grammar reads it: what passes unread elsewhere could be a command here."""
        found = yield from super().read(text, simple=simple, unread=unread)
        if found is None or all(statement.shape != UNREADABLE for statement in found):
            return found
        yield from self.flush_pipeline()
        self._refuse_unread(
            text, Failed("0A000", "the gate cannot read this text on a replication connection", reason="unreadable")
        )
        return None

    def _refuse_unread(self, text: str, problem: Failed) -> None:
        self.evidence.unreadable(text=text, sqlstate=problem.sqlstate, rule=problem.reason)
        self.send_failure(problem)
        self.to_client.append(self._ready())


def _of(command: Command, ask: Ask) -> Verdict:
    """The verdict on one database: by policy, and never where anything of it is hidden."""
    found = judge(command.parsed, command.analysis, ask)
    limited = not ask.clearance.complete or ask.clearance.filters or ask.clearance.unreadable
    if limited and found.effect in ("permit", "hold", "refuse"):
        return replace(found, sqlstate="42501", rule="replication-masked", sentence=MASKED)
    return found
