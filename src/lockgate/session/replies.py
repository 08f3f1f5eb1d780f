"""What becomes of the backend's answers: matched to what was forwarded, masked, ordered, counted, and only then shown.

For: the stream from the backend to the client. Rows of statements without masked columns pass as opaque spans; masked rows are
rewritten; errors and notices that could carry a value become fixed text.
Not for: the client's messages (`conversation.py`) and sockets.
Invariant: no byte of a statement's answer is released before its intent is durable.
Source: PostgreSQL documentation, 55.2 (message flow); architecture section 1, promise 4 and section 3, step 8.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from lockgate.errors import BackendProtocolError
from lockgate.masking.errors_text import redact_report
from lockgate.model.catalog import FoundLabel
from lockgate.model.plan import Order
from lockgate.model.statement import Kind
from lockgate.session import row_filters, texts
from lockgate.session.drift import ANALYSED_ROWS, drift_of
from lockgate.session.ports import Told
from lockgate.session.rows_shown import RowsShown
from lockgate.session.runs import Expect, Portal, Prepared, Run
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres.frames import BackendReader, Frame, LargeRowError, message
from lockgate.wire.postgres.tags import ROWS
from lockgate.wire.postgres.typed import from_backend

NOTHING: frozenset[int] = frozenset()
ANSWERING = frozenset({"query", "execute"})
"""What rows answer."""
AGREED_MAX = 256
"""Row descriptions remembered as agreeing with their analysis."""


class Replies:
    """The answers a session's backend link still owes, and the bytes they become.

    Args:
        body_bytes_max: largest message that is not a row.
        masked: the principal lacks some `unmask`: notices, notifications and errors are guarded.
        make_masker: called with a run and its row description; sets `run.masker` and `run.sorter`.
        make_copier: called with a run and the number of columns of its COPY data; sets `run.copier`.
        learn_labels: called with a run and the labels that its content asks for.
        finish: called with a run, status, SQLSTATE and command tag when its answer ends.
        parameter_changed: called with a reported setting, returns the value the client is shown.
        sees_everything: whether the principal may do and see anything, so that drift is no danger.
    """

    def __init__(
        self,
        *,
        body_bytes_max: int,
        masked: bool,
        make_masker: Callable[[Run, be.RowDescription], None],
        make_copier: Callable[[Run, int], None],
        learn_labels: Callable[[Run, Sequence[FoundLabel]], None],
        finish: Callable[[Run, str, str, str], None],
        parameter_changed: Callable[[str, str], str],
        sees_everything: Callable[[], bool],
    ) -> None:
        self.reader = BackendReader(body_bytes_max=body_bytes_max)
        self.masked = masked
        self.owed: deque[Expect] = deque()
        self.status = "I"
        self.poisoned = False
        self.touched_labelled = False
        self.copy_in = False
        self.lost = False
        self.skipping = False
        self._make_masker = make_masker
        self._make_copier = make_copier
        self._finish = finish
        self._parameter_changed = parameter_changed
        self._sees_everything = sees_everything
        self.known_as: Told = {}  # process numbers of backends -> those that clients were told
        self._out: list[bytes] = []
        self._rows = RowsShown(self._out, learn_labels)
        self._swallow_to_sync = False
        self._dropping = False
        self._agreed: dict[bytes, bytes] = {}
        self.failed_names: list[tuple[str, Prepared | Portal]] = []
        self.succeeded_names: list[Prepared | Portal] = []

    def expect(self, *expected: Expect) -> None:
        """Note what the backend will answer to messages just forwarded; after an error it ignores everything up to Sync."""
        for one in expected:
            if self.skipping and one.kind != "sync":
                self._unanswered(one, "")
            else:
                self.owed.append(one)

    @property
    def drained(self) -> bool:
        """True when the backend owes nothing."""
        return not self.owed

    @property
    def needed_index(self) -> int:
        """Highest intent index that must be durable before the next answer may be released; -1 for none."""
        runs = self.owed[0].runs if self.owed else ()
        return runs[0].intent if len(runs) == 1 else max((run.intent for run in runs), default=-1)

    def receive(self, data: bytes) -> None:
        """Take bytes from the backend; `pump` turns them into bytes for the client."""
        self.reader.feed(data)

    def pump(self, durable: int) -> bytes:
        """Everything that may be shown to the client now.

        Args:
            durable: entries below this index are on disk.
        Raises:
            BackendProtocolError: the backend sent what the protocol does not allow here.
        """
        out = self._out
        while self.needed_index < durable:
            head = self.owed[0] if self.owed else None
            run = head.run if head is not None else None
            streaming, gathered = False, NOTHING
            if not self.reader.mid_message:  # what the client has the beginning of, it gets to the end
                self._dropping = self._drops(head, run)
            if run is not None and head is not None and not self._dropping and not head.silent:
                streaming = run.streams_rows
                gathered = NOTHING if streaming or head.kind not in ANSWERING else run.gathers
            self.reader.passthrough = ROWS if streaming or self._dropping else gathered
            self.reader.whole = bool(gathered)
            before_rows = self.reader.rows
            try:
                piece = self.reader.next()
            except LargeRowError as error:
                if run is None or head is None or head.kind not in ANSWERING or head.silent:
                    raise
                run.failed, run.failed_rule = texts.LARGE_ROW.format(error.bytes_max), "row-size"
                continue
            if piece is None:
                break
            if isinstance(piece, bytes):
                if self._dropping:
                    continue
                if run is None:
                    raise BackendProtocolError("rows without a statement")
                if gathered:
                    self._rows.gathered(run, piece, self.reader.rows - before_rows)
                    continue
                run.rows += self.reader.rows - before_rows
                run.row_bytes += len(piece)
                out.append(piece)
                continue
            self._message(piece, head, run)
        shown = b"".join(out)
        out.clear()
        return shown

    def _drops(self, head: Expect | None, run: Run | None) -> bool:
        """Whether rows that come now are shown to nobody: then they pass through no buffer either."""
        if self._swallow_to_sync:
            return True
        return run is not None and head is not None and bool(run.failed) and head.kind in ANSWERING and not head.silent

    @property
    def mid_message(self) -> bool:
        """True when the client has got a part of a message: nothing else may be sent to it now."""
        return self.reader.mid_message and not self._dropping

    # -- one message ---------------------------------------------------------------------------------------------------------

    def _message(self, frame: Frame, head: Expect | None, run: Run | None) -> None:
        letter = chr(frame.tag)
        if letter in "NAS":
            self._asynchronous(letter, frame, run)
        elif self._swallow_to_sync and letter != "Z":
            return
        elif letter == "E":
            self._error(frame, head, run)
        elif letter == "Z":
            self._ready(frame)
        elif head is None:
            raise BackendProtocolError(f"unasked message `{letter}`")
        elif letter in "DTnCIsGHdV" or (letter == "W" and run and run.parsed.kind is Kind.REPLICATION_STREAM):
            self._about_run(letter, frame, head, run)
        elif letter in "123t" or letter == "c":
            self._about_step(letter, frame, head)
        else:
            raise BackendProtocolError(f"message `{letter}` is not allowed here")

    def _show(self, frame: Frame, head: Expect | None) -> None:
        if (head is not None and head.silent) or self._swallow_to_sync:
            return
        self._out.append(message(frame.tag, frame.body))

    def _asynchronous(self, letter: str, frame: Frame, run: Run | None) -> None:
        if letter == "S":
            status = from_backend(frame, be.ParameterStatus)
            self._out.append(
                be.ParameterStatus(status.name, self._parameter_changed(status.name, status.value)).encode()
            )
        elif letter == "N":
            report = from_backend(frame, be.Report)
            head = self.owed[0] if self.owed else None
            if (head is not None and head.silent) or (self.masked and report.severity.startswith(("DEBUG", "LOG"))):
                return
            fields = redact_report(report.fields) if self._guarded(run) else report.fields
            self._out.append(be.NoticeResponse(fields).encode())
        elif not self.masked:
            told = self.known_as.get(int.from_bytes(frame.body[:4], "big"))
            self._out.append(message(frame.tag, frame.body if told is None else told.to_bytes(4) + frame.body[4:]))

    def shown_error(self, report: dict[str, str], run: Run) -> bytes:
        """The error of a silent statement, as the client may see it."""
        return be.ErrorResponse(redact_report(report) if self._guarded(run) else report).encode()

    def _guarded(self, run: Run | None) -> bool:
        """Whether the database's own words could carry a masked value (promise 5: errors are results)."""
        if not self.masked:
            return False
        if self.touched_labelled:
            return True
        return any(r.plan.touches_labelled for e in self.owed for r in e.runs) or (
            run is not None and run.plan.touches_labelled
        )

    def _error(self, frame: Frame, head: Expect | None, run: Run | None) -> None:
        report = from_backend(frame, be.Report)
        sqlstate = report.fields.get("C", "XX000")
        self.lost = head is None or report.severity in ("FATAL", "PANIC")  # the client is told by it that the link ends
        if head is None:
            fields = redact_report(report.fields) if self._guarded(None) else report.fields
            self._out.append(be.ErrorResponse(fields).encode())
            return
        head.error = dict(report.fields)
        if run is not None:
            self._rows.scanned(run)
        if not head.silent and not self._swallow_to_sync:
            alike, told = run is not None and run.plan.errors_alike, row_filters.words_of(run, report.fields)
            own = told is not report.fields or not self._guarded(run)
            self._out.append(be.ErrorResponse(told if own else redact_report(told, alike=alike)).encode())
        if run is not None and not run.closed:
            self._finish(run, "error", sqlstate, "")
        self.copy_in = False
        if head.kind == "query":
            self._close_rest(head)
            return
        # The backend now ignores everything up to Sync: none of that will be answered, whether it was sent already or not.
        while self.owed and self.owed[0].kind != "sync":
            self._unanswered(self.owed.popleft(), sqlstate)
        self.skipping = not self.owed

    def _unanswered(self, skipped: Expect, sqlstate: str) -> None:
        """A message that the backend ignores leaves no name and no result behind."""
        if skipped.made is not None:
            self.failed_names.append((skipped.name, skipped.made))
        for pending in skipped.runs:
            if not pending.closed:
                self._finish(pending, "not-run", sqlstate, "")

    def _close_rest(self, head: Expect) -> None:
        for pending in head.runs[head.position + 1 :]:
            if not pending.closed:
                self._finish(pending, "not-run", "", "")
        head.position = len(head.runs)

    def _ready(self, frame: Frame) -> None:
        status = from_backend(frame, be.ReadyForQuery).status
        while self._swallow_to_sync and self.owed and self.owed[0].kind not in ("sync", "query"):
            for pending in self.owed.popleft().runs:
                if not pending.closed:
                    self._finish(pending, "not-run", "", "")
        head = self.owed[0] if self.owed else None
        if head is None or head.kind not in ("sync", "query"):
            raise BackendProtocolError("ReadyForQuery without a question")
        self.owed.popleft()
        for run in head.runs:
            if run.whole and not run.closed:
                self._finish(run, "complete", "00000", "")
        self.skipping = False
        self.status = status
        self._swallow_to_sync = False
        self.copy_in = False
        self.touched_labelled = self.touched_labelled and status != "I"
        self.poisoned = self.poisoned and status == "T"
        if not head.silent:
            self._out.append(be.ReadyForQuery("E" if self.poisoned else status).encode())

    def _about_step(self, letter: str, frame: Frame, head: Expect) -> None:
        kinds = {"1": "parse", "2": "bind", "3": "close", "t": "describe-statement", "c": "query execute"}
        if head.kind not in kinds[letter].split():
            raise BackendProtocolError(f"message `{letter}` answers nothing that was asked")
        run = head.run
        if letter == "c" and run is not None and run.copier is not None:
            self._rows.copied(run, run.copier.finish())
        if letter != "c" or run is None or not run.failed:
            self._show(frame, head)
        if letter in "123":
            self.owed.popleft()
            if head.made is not None:
                self.succeeded_names.append(head.made)

    # -- results ----------------------------------------------------------------------------------------------------------------

    def _about_run(self, letter: str, frame: Frame, head: Expect, run: Run | None) -> None:
        if letter in "Tn":
            self._description(letter, frame, head, run)
        elif head.silent:
            self._own(letter, frame, head)
        elif head.kind not in ANSWERING:
            raise BackendProtocolError(f"message `{letter}` answers nothing that was asked")
        elif letter in "Dd":
            self._rows.row(frame, run)
        elif letter in "GHW":
            self.copy_in = letter != "H"
            if letter == "H" and run is not None and (run.plan.masks or run.plan.order is not Order.KEEP):
                self._make_copier(run, len(from_backend(frame, be.CopyOutResponse).column_formats))
            if run is None or not run.failed:
                self._show(frame, head)
        elif letter == "I" and run is None:
            self._show(frame, head)
            if head.kind == "execute":
                self.owed.popleft()
        elif run is None:
            raise BackendProtocolError(f"message `{letter}` without a statement")
        else:
            self._completed(letter, frame, head, run)

    def _own(self, letter: str, frame: Frame, head: Expect) -> None:
        if letter == "D":
            head.rows.append(frame.body)
        elif letter == "C" and head.kind == "query":
            head.tag = from_backend(frame, be.CommandComplete).tag
        elif letter in "CIs" and head.kind == "execute":
            self.owed.popleft()

    def _description(self, letter: str, frame: Frame, head: Expect, run: Run | None) -> None:
        if head.kind == "describe-statement":
            if head.silent:
                head.rows.append(frame.body)
            self._show(frame, head)
            self.owed.popleft()
            return
        if run is not None and letter == "T":
            self._learn(run, frame)
        if run is None or not run.failed:
            self._show(frame, head)
        if head.kind == "describe-portal":
            self.owed.popleft()

    def _learn(self, run: Run, frame: Frame) -> None:
        """Bind the plan to what will really be executed; any drift from what was analysed withholds the answer."""
        plan, analysed = run.plan, run.analysis.row_description
        if not self.checks(run):
            return
        plain = not plan.masks and plan.order is Order.KEEP
        if plain and analysed and self._agreed.get(analysed) == frame.body:
            return
        described = from_backend(frame, be.RowDescription)
        drift = drift_of(run, described)
        if drift:
            if not plain or self.masked or not self._sees_everything():
                run.failed = drift
            return
        if len(self._agreed) >= AGREED_MAX:
            self._agreed.clear()
        self._agreed[analysed] = frame.body
        if not plain:
            self._make_masker(run, described)

    def agreed(self, analysed: bytes) -> bytes:
        """The description of rows that was found to agree with this analysed one; empty when none was seen yet."""
        return self._agreed.get(analysed, b"")

    def checks(self, run: Run) -> bool:
        """Whether the row description must be the analysed one: always, where a masked principal gets rows of an analysed statement."""
        return (
            bool(run.plan.columns)
            or run.plan.order is not Order.KEEP
            or (self.masked and run.parsed.kind in ANALYSED_ROWS)
        )

    def _completed(self, letter: str, frame: Frame, head: Expect, run: Run) -> None:
        self._rows.scanned(run)
        tag = from_backend(frame, be.CommandComplete).tag if letter == "C" else ""
        if run.failed:
            self._out.append(be.error("0A000", f"lockgate: {run.failed}", detail=f"rule={run.failed_rule}"))
            self._finish(run, "error", "0A000", "")
            self._after_own_error(head)
            return
        if run.sorter is not None and run.copier is None:
            run.held += run.sorter.finish()
        if run.held or head.rows_max:
            letter, frame = self._piece(letter, frame, head, run)
            tag = from_backend(frame, be.CommandComplete).tag if letter == "C" else ""
        self._show(frame, head)
        if run.whole and head.kind == "query":
            return
        if letter != "s":
            self._finish(run, "complete", "00000", tag)
        if run.plan.touches_labelled:
            self.touched_labelled = True
        if head.kind == "execute":
            self.owed.popleft()
        else:
            head.position += 1

    def _piece(self, letter: str, frame: Frame, head: Expect, run: Run) -> tuple[str, Frame]:
        """As many of a result's ordered rows as the client asked for, and the message that says whether there are more."""
        rows = run.held[: head.rows_max or None]
        del run.held[: len(rows)]
        self._out.extend(message(ord("D"), body) for body in rows)
        # As the server does it: who got as many rows as were asked for has to ask again to learn that there are no more.
        if head.rows_max and len(rows) == head.rows_max:
            return "s", Frame(ord("s"), b"")
        if letter == "C" and frame.body.startswith(b"SELECT "):
            frame = Frame(frame.tag, b"SELECT %d\0" % len(rows))
        return letter, frame

    def _after_own_error(self, head: Expect) -> None:
        """The gate turned a success into an error: the rest of the pipeline is not shown, an open transaction is spoiled."""
        if head.kind == "execute":
            self.owed.popleft()
        else:
            self._close_rest(head)
        self._swallow_to_sync = True
        if self.status == "T":
            self.poisoned = True

    def abandon(self, status: str, sqlstate: str) -> None:
        """The link is gone: every open run ends with `status`."""
        while self.owed:
            for run in self.owed.popleft().runs:
                if not run.closed:
                    self._finish(run, status, sqlstate, "")
