"""The fast lane: a statement that was judged before, word for word, in the same context, answered in one piece.

For: the steady state of a session: one query, or one round of Parse, Bind, Describe, Execute and Sync, whose verdict is remembered as a plain
permit of a read without effects, or of a bounded write that returns no rows. It forwards the client's own bytes and writes the same two entries as the conversation does.
Not for: judging. It replays verdicts that `judge` made and that the decision cache holds under its exact key, and nothing else.
Invariant: whatever it does not understand completely it leaves to the conversation with every byte intact: before forwarding by answering
None, after it by `settle`, which leaves the replies in the state in which the conversation would have left them.
Source: architecture section 3, steps 4 to 9; ADR 12.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from lockgate.errors import ClientProtocolError
from lockgate.ledger.entry import Template
from lockgate.model.plan import Order
from lockgate.model.statement import Kind
from lockgate.session.altered import Prepared as Altering
from lockgate.session.altered import altered, made_under
from lockgate.session.conversation import Conversation
from lockgate.session.judge import Verdict
from lockgate.session.remembered import BOUND, PARSED, Asked, Known, is_plain, measure, writes_plainly
from lockgate.session.runs import Expect, Portal, Prepared, Run
from lockgate.session.spans import parameters
from lockgate.session.together import About, Context, Learnt
from lockgate.sql.lifting import Places, lift
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.frames import Frame, message
from lockgate.wire.postgres.typed import from_client

RECEIPTED_ROWS_MAX: Final = 16
"""Most rows of a masked answer whose outcome is remembered: the receipts of longer ones hardly ever come again."""
KNOWN_MAX: Final = 1024
"""Statements that one session remembers for its fast lane."""

_INT32 = struct.Struct("!i")
_DESCRIBE: Final = fe.Describe("P", "").encode()
_EXECUTE_SYNC: Final = fe.Execute("", 0).encode() + fe.Sync().encode()
_TAILS: Final = {_EXECUTE_SYNC: False, _DESCRIBE + _EXECUTE_SYNC: True}
"""What may follow a Bind, and whether it describes the portal."""
_HOUR = timedelta(hours=1)
TEXT: Final = "text"
BODY: Final = "body"
REST: Final = "rest"
NAMED: Final = "named"
"""Kinds of keys: a query, the body of a Parse, what is left of a query without its lifted constants, a prepared text with its types."""


class FastLane:
    """One session's fast lane.

    Attributes:
        asked: what the backend owes an answer to; None when nothing is under way here.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._talk = conversation
        self._replies = conversation.replies
        self._engine: object = None
        self._catalog: object = None
        self._path = ""
        self._from = self._until = datetime(1970, 1, 1, tzinfo=UTC)
        self._tables: dict[str, dict[object, Known | None]] = {"I": {}, "T": {}}
        self._shapes: dict[str, dict[bytes, tuple[Places, dict[bytes, Known]]]] = {"I": {}, "T": {}}
        self._context: Context | None = None
        self._altering: dict[tuple[About, bytes], Altering] = {}
        self.asked: Asked | None = None
        self.withheld: tuple[bytes, bytes] | None = None
        """What to forward once its intent is durable, and the client's own bytes."""
        self.lane: Any = None
        """The compiled lane before this one, once both sockets are there; it calls what the last section has."""

    # -- the client's side ----------------------------------------------------------------------------------------------------

    def ask(self, data: bytes) -> bytes | None:
        """What to forward for these bytes of the client, its intent recorded; None: the conversation must read them.

        What is a write is also in `withheld`: whoever drives this forwards it when its intent is durable, and not before.

        Args:
            data: everything that has arrived and is not read yet.
        """
        self.leave()
        if self.asked is not None or not self._is_quiet():
            return None
        forward = None
        try:
            if data[0] == tags.QUERY:
                forward = self._query(data)
            elif data[0] in (tags.BIND, tags.PARSE):
                forward = self._round(data)
        except (IndexError, struct.error, UnicodeDecodeError, ClientProtocolError):
            return None  # malformed or incomplete: the conversation has the words for it
        if forward is not None and self._is_write():
            self.withheld = forward, data
        return forward

    def _is_write(self) -> bool:
        return self.asked is not None and self.asked.known.writes

    def release(self, durable: int) -> tuple[bytes, bytes]:
        """What was withheld: what may be forwarded now, and what the conversation must read anew as its intent could not be written."""
        (forward, data), self.withheld = self.withheld or (b"", b""), None
        if self.asked is None or self.asked.intent < durable:
            return forward, b""
        self.asked = None
        return b"", data

    def _is_quiet(self) -> bool:
        """Nothing is owed, open, spoiled or unsettled, so that a message means what it meant when it was judged."""
        talk, replies = self._talk, self._replies
        if (
            replies.owed or replies.poisoned or replies.lost or replies.skipping or replies.copy_in or replies.reader.buffered
            or talk.names_touched or talk.catalog_stale or talk.pipeline_open or talk.skip_to_sync or talk.spoil_implicit or talk.ended
            or talk.replicates or talk.own.version or talk.ddl_in_transaction or talk.to_client or talk.to_backend or not talk.backend_open
        ):  # fmt: skip
            return False
        if replies.succeeded_names or replies.failed_names:
            talk.learn_names()
        return replies.status != "E" and not talk.reads_otherwise

    def _query(self, data: bytes) -> bytes | None:
        if _INT32.unpack_from(data, 1)[0] + 1 != len(data) or data[-1] != 0:
            return None
        text = data[5:-1]
        known = self._lifted(text) or self._find(text, TEXT, text, ())
        if known is None:
            return None
        self.asked = Asked(known, self._record(known, text), self._talk.clock.ticks_us(), simple=True)
        instead = known.verdict.instead
        return message(tags.QUERY, instead.encode() + b"\0") if instead else data

    def _lifted(self, text: bytes) -> Known | None:
        """What is known of texts that differ from this one in lifted constants only."""
        table = self._table()
        if text in table or (lifted := lift(text)) is None:
            return None
        skeleton = lifted.skeleton
        shapes = self._shapes[self._replies.status]
        shape = shapes.get(skeleton)
        if shape is None:
            places = self._talk.lifted_places(lifted, ())
            if places is None:
                return None
            _make_room(shapes)
            shape = shapes[skeleton] = (places, {})
        places, known_by = shape
        rest = lifted.without(lifted.choose(places))
        known = known_by.get(rest)
        if known is None:
            known = self._of_all(REST, rest)
        if known is None:
            judged = self._talk.lifted_verdicts(rest, ())
            if judged is None or not self._takes(judged):
                return None
            known = self._learn(REST, rest, judged[0], judged[0].parsed.text, ())
            if known is None:
                return None
        if rest not in known_by:
            _make_room(known_by)
            known_by[rest] = known
        return known

    def _round(self, data: bytes) -> bytes | None:
        """One round: Parse of the unnamed statement or none, Bind of the unnamed portal, Describe or none, Execute, Sync."""
        start, known, in_transaction = 0, None, self._replies.status == "T"
        parsed = data[0] == tags.PARSE
        if parsed:
            start = 1 + _INT32.unpack_from(data, 1)[0]
            body = data[5:start]
            if start < 6 or body[0] != 0 or data[start] != tags.BIND:
                return None
            known = self._table().get(body)
            if known is None:
                asked = from_client(Frame(tags.PARSE, body), fe.Parse)
                known = self._find(body, BODY, asked.text.encode(), asked.parameter_types)
        end = start + 1 + _INT32.unpack_from(data, start + 1)[0]
        described = _TAILS.get(data[end:])
        if described is None or data[start + 5] != 0:
            return None
        offset = data.find(0, start + 6, end)
        if not parsed and offset > 0:
            prepared = self._talk.prepared.get(data[start + 6 : offset].decode())
            if prepared is None or prepared.pending:
                return None
            known = self._find(
                (prepared.text, prepared.parameter_types), NAMED, None, prepared.parameter_types, prepared.text
            )
            if known is not None and (
                known.verdict.analysis.relations != prepared.relations or prepared.held != known.prepared.held
            ):
                return None  # its names mean something else by now, or another text is held than would run
        elif offset != start + 6:
            return None
        if known is None:
            return None
        sealed = parameters(data, offset + 1, end)
        if sealed is None:
            return None
        intent = self._record(known, known.text + b"\0" + sealed)
        asked_now = self.asked = Asked(known, intent, self._talk.clock.ticks_us(), parsed=parsed, described=described)
        if parsed:
            self._talk.prepared[""] = replace(known.prepared)
        if in_transaction:
            self._talk.portals[""] = Portal(self._run(asked_now), known.verdict.parsed.kind, described=True)
        elif self._talk.portals:
            self._talk.portals.pop("", None)
        head = data[:end]
        if parsed and known.verdict.instead:
            head = fe.Parse("", known.prepared.held, known.prepared.parameter_types).encode() + data[start:end]
        if known.checked and not described:
            asked_now.inserted = True
            return head + _DESCRIBE + data[end:]
        return head + data[end:]

    def _record(self, known: Known, sealed: bytes) -> int:
        self._talk.counters.decided_again()
        return self._talk.evidence.intent_again(known.repeated, sealed)

    # -- what is known --------------------------------------------------------------------------------------------------------

    def _table(self) -> dict[object, Known | None]:
        """Statements known in the context that holds now; an empty table when it is another than before."""
        talk = self._talk
        around = talk.around
        now = talk.clock.now()
        if (
            around.engine is not self._engine
            or around.catalog is not self._catalog
            or not self._from <= now < self._until
            or talk.search_path != self._path
        ):
            talk.refresh_clearance()
            self._engine, self._catalog, self._path = around.engine, around.catalog, talk.search_path
            self._from = now.replace(minute=0, second=0, microsecond=0)
            self._until = self._from + _HOUR
            self._forget()
            seen = talk.clearance
            self._context = talk.together.context(
                (*talk.conditions(), frozenset(seen.filters.items()), seen.unreadable, talk.around.epoch, self._from)
            )
        return self._tables[self._replies.status]

    def _forget(self) -> None:
        for tables in (self._tables, self._shapes):
            for table in tables.values():
                table.clear()
        self._altering.clear()
        if self.lane is not None:
            self.lane.forget()

    def _find(
        self, key: Hashable, kind: str, raw: bytes | None, types: tuple[int, ...], text: str = ""
    ) -> Known | None:
        table = self._table()
        if key in table:
            return table[key]
        if raw is not None:
            if 0 in raw:
                return None
            text = raw.decode()
        known = self._of_all(kind, key)
        if known is None:
            judged = self._talk.remembered(text, types)
            if judged is None:
                return None
            if self._takes(judged):
                known = self._learn(kind, key, judged[0], text, types)
                if known is None:
                    return None  # the conversation must see its row description first
        _make_room(table)
        table[key] = known
        return known

    def _takes(self, judged: tuple[Verdict, ...]) -> bool:
        """Whether these verdicts are of the kind that is answered here."""
        if len(judged) != 1:
            return False
        return is_plain(judged[0]) or writes_plainly(judged[0], self._talk.around.catalog, self._talk.search_path)

    def _of_all(self, kind: str, key: Hashable) -> Known | None:
        """What any session under the same conditions has learnt of this key, as this one knows it."""
        learnt = None if self._context is None else self._context.find(self._replies.status, kind, key)
        if learnt is None:
            return None
        seen = self._replies.agreed(learnt.verdict.analysis.row_description) if learnt.checked else b""
        if seen and learnt.description != message(tags.ROW_DESCRIPTION, seen):
            return None  # rows were described to this session in other formats
        return self._as_known(learnt)

    def _as_known(self, learnt: Learnt) -> Known:
        kept = self._altering.get((learnt.about, learnt.description)) if learnt.altered else None
        if kept is None:
            kept = Altering()
            if learnt.altered:
                self._altering[learnt.about, learnt.description] = kept
        return Known(
            learnt.verdict, learnt.text, learnt.prepared, learnt.checked, learnt.description,
            self._talk.evidence.repeated(learnt.about), learnt.altered, kept,
        )  # fmt: skip

    def _learn(self, kind: str, key: Hashable, verdict: Verdict, text: str, types: tuple[int, ...]) -> Known | None:
        """What is known of a statement from now on, in every session under the same conditions; None: its rows were not described yet."""
        run = Run(verdict.parsed, verdict.analysis, verdict.plan, -1, 0)
        checked = verdict.parsed.kind is Kind.SELECT and self._replies.checks(run)
        description = b""
        if checked:
            agreed = self._replies.agreed(verdict.analysis.row_description)
            if not agreed:
                return None
            description = message(tags.ROW_DESCRIPTION, agreed)
        talk = self._talk
        if self._context is None:
            return None
        learnt = Learnt(
            verdict,
            text.encode(),
            Prepared(
                text,
                (verdict.parsed,),
                types,
                verdict.instead or text,
                relations=verdict.analysis.relations,
                made_under=talk.meaning_of_names(),
                row_description=verdict.analysis.row_description,
            ),
            checked,
            description,
            talk.evidence.about(verdict, talk.around.catalog, talk.clearance, self._context),
            verdict.plan.masks or verdict.plan.order is not Order.KEEP or bool(verdict.instead),
        )
        self._context.keep(self._replies.status, kind, key, learnt)
        return self._as_known(learnt)

    # -- the backend's side ---------------------------------------------------------------------------------------------------

    def answer(self, data: bytes, durable: int) -> bytes | None:
        """What to show for these bytes of the backend, its outcome recorded; None: the replies must read them.

        Args:
            data: everything that has arrived and is not read yet.
            durable: entries below this index are on disk.
        """
        self.leave()
        asked = self.asked
        if asked is None:
            return None
        found = measure(data, asked, ord(self._replies.status)) if asked.intent < durable else None
        if found is None:
            self.settle()
            return None
        talk, known, shown = self._talk, asked.known, data
        rows, row_bytes, affected, start = found
        scan = talk.scan_of(known.verdict)
        run = asked.run
        if known.altered or scan is not None:
            run = self._run(asked)
            run.scan = scan
            changed = altered(talk, run, known.kept, known.description, data[start : start + row_bytes])
            if changed is None:
                asked.run = None
                self.settle()
                return None
            shown = data[:start] + changed + data[start + row_bytes :]
            run.rows, run.row_bytes = rows, len(changed)
            row_bytes = len(changed)
        self.asked = None
        if run is not None and run.masker is not None and rows > RECEIPTED_ROWS_MAX:
            talk.evidence.outcome(run, "complete", "00000", f"SELECT {affected}")
        else:
            talk.evidence.outcome_again(
            known.repeated, intent=asked.intent, rows=rows, row_bytes=row_bytes, affected=affected,
            duration_us=talk.clock.ticks_us() - asked.started_us,
            cells=() if run is None or run.masker is None else run.masker.cells_masked,
        )  # fmt: skip
        talk.counters.completed_again()
        if asked.parsed:
            talk.prepared[""].pending = False
        if run is not None:
            run.closed = True
        if known.verdict.plan.touches_labelled and self._replies.status == "T":
            self._replies.touched_labelled = True
        if self.lane is not None:
            self.lane.resume(self._replies.status, int(self._until.timestamp() * 1_000_000))
        if asked.inserted:
            start = len(BOUND) + len(PARSED) * asked.parsed
            return shown[:start] + shown[start + len(known.description) :]
        return shown

    def settle(self) -> None:
        """Leave what is under way to the replies, as if the conversation had forwarded it."""
        self.leave()
        asked, self.asked = self.asked, None
        if asked is None:
            return
        self._forget()  # another description than the one that agreed may be what brought us here
        run = self._run(asked)
        if asked.simple:
            self._replies.expect(Expect("query", (run,)))
            return
        if asked.parsed:
            self._replies.expect(Expect("parse", made=self._talk.prepared[""]))
        portal = Portal(run, run.parsed.kind, described=True, pending=True, pipeline=self._talk.pipeline)
        self._replies.expect(Expect("bind", (run,), made=portal))
        if asked.described or asked.inserted:
            self._replies.expect(Expect("describe-portal", (run,), silent=asked.inserted))
        self._replies.expect(Expect("execute", (run,)), Expect("sync"))
        self._talk.portals[""] = portal

    def _run(self, asked: Asked) -> Run:
        if asked.run is None:
            verdict = asked.known.verdict
            asked.run = Run(verdict.parsed, verdict.analysis, verdict.plan, asked.intent, asked.started_us)
            asked.run.instead, asked.run.scan = verdict.instead, self._talk.scan_of(verdict)
        return asked.run

    def is_repeated(self, asked: Asked) -> bool:
        """Whether the compiled lane may answer this from now on: nothing of it is looked at, ordered, nor remembered in a transaction."""
        return self._is_repeated(asked.known.verdict)

    def _is_repeated(self, verdict: Verdict) -> bool:
        free = not verdict.plan.touches_labelled or self._replies.status == "I"
        as_it_is = verdict.plan.order is Order.KEEP and not verdict.instead
        return free and as_it_is and self._talk.scan_of(verdict) is None

    def masks_of(self, known: Known) -> Any:
        """What masks an answer's rows, made under what holds now; None before an answer was masked here under it."""
        kept = known.kept
        return kept.masker.masks if kept.masker is not None and kept.made_under == made_under(self._talk) else None

    def receipted(self, known: Known, cells: tuple[int, ...], rows: int) -> Template:
        """The outcome of a run that masked so many cells of each column."""
        return self._talk.evidence.receipted(known.repeated, cells, rows)

    # -- the compiled lane's side -----------------------------------------------------------------------------------------------

    @property
    def talk(self) -> Conversation:
        """The session's conversation."""
        return self._talk

    def leave(self) -> None:
        """Take over what the compiled lane has under way: whoever touches the session from Python calls this first."""
        if self.lane is not None:
            self.lane.leave()

    def take_over(self, known: Known, intent: int, started_us: int, *, simple: bool, parsed: bool, described: bool, inserted: bool) -> None:  # fmt: skip
        """Have this under way, as if it had been forwarded here."""
        asked = self.asked = Asked(known, intent, started_us, simple, parsed, described, inserted)
        if parsed:
            self._talk.prepared[""] = replace(known.prepared)
        if not simple and self._replies.status == "T":
            self._talk.portals[""] = Portal(self._run(asked), known.verdict.parsed.kind, described=True)

    def is_current(self) -> bool:
        """Whether what is remembered was remembered under what holds now."""
        talk, around = self._talk, self._talk.around
        return (
            around.engine is self._engine
            and around.catalog is self._catalog
            and self._from <= talk.clock.now() < self._until
            and talk.search_path == self._path
        )

    def learnt(self, kind: str, key: bytes) -> Known | None:
        """What another session has learnt of a message that this one sees first; None unless the compiled lane may answer it as it is."""
        known = self._of_all(kind, key)
        return known if known is not None and self._is_repeated(known.verdict) else None

    def places_of(self, text: bytes) -> Places | None:
        """Which constants were lifted from a text that has just been taken; None when it is remembered as it is."""
        status = self._replies.status
        if text in self._tables[status] or (lifted := lift(text)) is None:
            return None
        shape = self._shapes[status].get(lifted.skeleton)
        return None if shape is None else shape[0]

    def portal_left(self, known: Known, intent: int, started_us: int) -> None:
        """A round of an open transaction was answered: its portal stays until the next one, or the end."""
        run = Run(known.verdict.parsed, known.verdict.analysis, known.verdict.plan, intent, started_us, closed=True)
        self._talk.portals[""] = Portal(run, run.parsed.kind, described=True)
        if known.verdict.plan.touches_labelled:
            self._replies.touched_labelled = True


def _make_room(table: dict[Any, Any]) -> None:
    """Forget the statement that was learnt first."""
    if len(table) >= KNOWN_MAX:
        del table[next(iter(table))]
