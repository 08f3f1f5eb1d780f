"""The extended protocol's half of the conversation: Parse, Bind, Describe, Execute, Close, Sync, Flush.

For: prepared statements, portals and pipelines. A statement is judged at Parse, so that a denied one never reaches the backend, and
again at Bind, because policy, labels and catalog may have changed since; its intent is recorded at Bind.
Not for: simple queries (`conversation.py`, which this class is one half of).
Source: PostgreSQL documentation, 55.2.3 (extended query) and 55.2.4 (pipelining); threats W-13 to W-20.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import replace
from typing import Any

from lockgate.model.plan import PASS, Order
from lockgate.model.statement import Kind, Parsed
from lockgate.session import texts
from lockgate.session.judge import Verdict
from lockgate.session.naming import HAS_TREE
from lockgate.session.runs import Expect, Portal, Prepared, Run
from lockgate.session.state import Steps
from lockgate.session.translating import Translating
from lockgate.session.unseen import EVERYTHING
from lockgate.session.wishes import Wish
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.typed import from_client

PARAMETER_BYTES_MAX = 64 << 10
"""Longest parameter value that is kept in the record as it is."""
PARAMETERS_BYTES_MAX = 1 << 20
"""Most bytes of parameters that one entry keeps as they are."""
NAME_BYTES_MAX = 63
"""Longest name of a statement or portal that the server tells from others; SQL's grammar cuts its names by itself."""


ANALYSED = HAS_TREE | {Kind.DECLARE, Kind.EXPLAIN, Kind.CREATE_TABLE_AS}
"""Kinds whose names the server resolves when it prepares a statement, and again when it sees fit."""


class ExtendedProtocol(Translating):
    """Messages P, B, D, E, C, S and H of one conversation."""

    def extended(self, frame: Frame, letter: str) -> Steps:
        """One message of the extended protocol."""
        self.learn_names()
        if letter in "PBDEC" and _is_cut_short(letter, frame.body):
            yield from self.flush_pipeline()
            self.send_own(
                "42622", f"lockgate: a name has more than {NAME_BYTES_MAX} bytes, and the database would cut it short"
            )
            self.skip_to_sync = True
            return
        if letter in "PBDE":
            yield from self.settle_statements()
        if letter == "S":
            yield from self._sync(frame)
        elif letter == "H":
            if self.backend_open and not self.replies.drained:
                self.to_backend.append(frame.encode())
        elif letter == "C":
            self._close(frame)
        elif letter == "P":
            yield from self._stop_unless(self._parse(frame))
        elif letter == "B":
            yield from self._stop_unless(self._bind(frame))
        elif letter == "D":
            yield from self._stop_unless(self._describe(frame))
        else:
            yield from self._stop_unless(self._execute(frame))

    def _stop_unless(self, step: Generator[Wish, Any, bool]) -> Steps:
        """After an error the rest of the pipeline is skipped up to Sync, as the server does."""
        if not (yield from step):
            self.skip_to_sync = True

    # -- steps: each answers True to go on, False when an error was sent -------------------------------------------------------

    def _sync(self, frame: Frame) -> Steps:
        self.skip_to_sync = False
        self.pipeline += 1
        if not self.backend_open or (not self.pipeline_open and self.replies.drained):
            # Nothing of this pipeline has reached the backend: it need not hear of its end.
            self.spoil_implicit = False
            self.to_client.append(self._ready())
            return
        if self.spoil_implicit:
            # What this pipeline did before the refusal must not be kept: fail its implicit transaction before the server commits it.
            self.spoil_implicit = False
            self.to_backend.append(fe.Parse("", texts.SPOILER).encode())
            self.prepared.pop("", None)
            self.replies.expect(Expect("parse", silent=True))
        self.forward(frame.encode(), Expect("sync"))
        self.pipeline_open = self.effects_in_pipeline = False
        yield from ()

    def _spoiled(self, kind: Kind, value: str) -> Generator[Wish, Any, bool]:
        """True when the statement may go on; in a spoiled transaction only its end may."""
        if not self.replies.poisoned:
            return True
        yield from self.flush_pipeline()
        if kind is Kind.TRANSACTION and value in texts.ENDS_TRANSACTION:
            return True
        self.to_client.append(be.error("25P02", texts.ABORTED))
        return False

    def _parse(self, frame: Frame) -> Generator[Wish, Any, bool]:
        if (yield from self.is_too_long(frame.body)):
            return False
        readable, unread = yield from self.in_utf8(frame, strings=2)
        message = from_client(readable, fe.Parse)
        if not (yield from self.ensure_backend()):
            return False
        if message.name.startswith(texts.OWN_PREFIX):
            return (yield from self.refuse_name(message.name))
        if message.name and message.name in self.prepared:
            yield from self.flush_pipeline()
            self.learn_names()
            if message.name in self.prepared:
                self.send_own("42P05", f'prepared statement "{message.name}" already exists')
                return False
        statements = yield from self.read(message.text, simple=False, unread=unread)
        if statements is None:
            return False
        if len(statements) > 1:
            yield from self.flush_pipeline()
            self.send_own("42601", "cannot insert multiple commands into a prepared statement")
            return False
        first = statements[0] if statements else None
        if (
            first is not None
            and first.kind is not Kind.EMPTY
            and not (yield from self._spoiled(first.kind, first.value))
        ):
            return False
        verdicts = yield from self.judge_all(statements, message.text, message.parameter_types)
        if verdicts is None:
            return False
        stopped = next((v for v in verdicts if v.sqlstate), None)
        if stopped is not None:
            yield from self.refuse(stopped, message.text)
            return False
        opened = yield from self.translated(statements, verdicts, message.text)
        if opened is None:
            return False
        held = texts.prefixed_application_name(opened[0], self.session_id) or opened[1]
        analysis = verdicts[0].analysis if verdicts else EVERYTHING
        self.prepared[message.name] = Prepared(
            message.text, statements, message.parameter_types, held, relations=analysis.relations,
            made_under=self.meaning_of_names(), row_description=analysis.row_description, pipeline=self.pipeline,
        )  # fmt: skip
        same = held == message.text
        data = frame.encode() if same else fe.Parse(message.name, held, message.parameter_types).encode()
        self.forward(data, Expect("parse", name=message.name, made=self.prepared[message.name]))
        return True

    def _bind(self, frame: Frame) -> Generator[Wish, Any, bool]:
        message = from_client(frame, fe.Bind)
        if message.portal.startswith(texts.OWN_PREFIX):
            return (yield from self.refuse_name(message.portal))
        if not (yield from self.confirmed_name(self.prepared.get(message.statement))):
            self.prepared.pop(message.statement, None)
        known = self.prepared.get(message.statement)
        if known is None:
            yield from self.flush_pipeline()
            self.send_own("26000", f'prepared statement "{message.statement}" does not exist')
            return False
        first = known.parsed[0] if known.parsed else None
        if first is not None and not (yield from self._spoiled(first.kind, first.value)):
            return False
        verdicts = yield from self.judge_all(known.parsed, known.text, known.parameter_types)
        if verdicts is None:
            return False
        opened = yield from self._opened(message, frame, known, verdicts)
        if opened is not None and not (yield from self.all_renewed(verdicts)):
            return False
        if opened is None:
            return False
        portal_name, parameters = message.portal, _sealed_parameters(message)
        del message  # a large value must not be held twice while the statement waits
        approval = yield from self.settle(verdicts, known.text, parameters)
        if approval is None:
            return False
        if self.replies.poisoned and first is not None:
            if first.value in ("commit", "prepare-transaction"):
                yield from self.spoil_backend()
            self.replies.poisoned = False
        runs = self.start(verdicts, known.text, parameters=parameters, approval=approval)
        if not (yield from self.recorded(runs)):
            return False
        self.portals[portal_name] = portal = Portal(
            runs[0] if runs else _nothing(), runs[0].parsed.kind if runs else Kind.EMPTY, bound_under=self.meaning_of_names(), pending=True,
            pipeline=self.pipeline, displaced=self.portals.get(portal_name),
        )  # fmt: skip
        self.forward(opened, Expect("bind", tuple(runs), name=portal_name, made=portal))
        return True

    def _opened(
        self, message: fe.Bind, frame: Frame, known: Prepared, verdicts: tuple[Verdict, ...]
    ) -> Generator[Wish, Any, Frame | bytes | None]:
        """The Bind to forward: the client's own bytes, unless values must be opened; None when an error was sent."""
        if len(known.parsed) == 1 and known.parsed[0].kind in ANALYSED and not verdicts[0].sqlstate:
            if not (yield from self.renewed(message.statement, known, verdicts[0])):
                return None
            bound = yield from self.opened_parameters(message, verdicts, known.text)
            return None if bound is None else frame if bound is message else bound.encode()
        if not any(v.plan.lookups or v.instead for v in verdicts):
            if known.held != known.text and not texts.renames(known.parsed):
                yield from self._outdated(verdicts[0], known.text)
                return None
            return frame
        again = yield from self.translated(known.parsed, verdicts, known.text)
        if again is None:
            return None
        if again[1] != known.held:
            yield from self._outdated(verdicts[0], known.text)
            return None
        bound = yield from self.opened_parameters(message, verdicts, known.text)
        return None if bound is None else frame if bound is message else bound.encode()

    def _means_the_same(self, name: str, known: Prepared) -> Generator[Wish, Any, bool]:
        """Judge a statement again before the server looks anew at what its names mean, where that may have changed."""
        if len(known.parsed) != 1 or known.parsed[0].kind not in ANALYSED or self.replies.status == "E":
            return True
        if not (yield from self.settle_context()) or (
            known.made_under == self.meaning_of_names() and not self.catalog_stale
        ):
            return True
        verdicts = yield from self.judge_all(known.parsed, known.text, known.parameter_types)
        if verdicts is None:
            return False
        if verdicts[0].sqlstate:
            yield from self.refuse(verdicts[0], known.text)
            return False
        return (yield from self.renewed(name, known, verdicts[0]))

    def _outdated(self, verdict: Verdict, text: str) -> Steps:
        """Its constants were opened under labels or keys that are not in force any more."""
        stopped = replace(
            verdict, sqlstate="0A000", rule="prepared-outdated", hint="Prepare it again.",
            sentence="definitions or policies changed since the statement was prepared",
        )  # fmt: skip
        yield from self.refuse(stopped, text)

    def _describe(self, frame: Frame) -> Generator[Wish, Any, bool]:
        message = from_client(frame, fe.Describe)
        if message.kind == "S":
            known = self.prepared.get(message.name)
            if known is None or not (yield from self.confirmed_name(known)):
                yield from self.flush_pipeline()
                self.send_own("26000", f'prepared statement "{message.name}" does not exist')
                return False
            if not (yield from self._means_the_same(message.name, known)):
                return False
            self.forward(frame.encode(), Expect("describe-statement"))
            return True
        if not self.backend_open:
            self.send_own("34000", f'portal "{message.name}" does not exist')
            return False
        portal = yield from self._portal(message.name)
        if portal is None:
            return False
        portal.described = True
        self.forward(frame.encode(), Expect("describe-portal", (portal.run,) if portal.kind is not Kind.EMPTY else ()))
        return True

    def _portal(self, name: str) -> Generator[Wish, Any, Portal | None]:
        """The portal that the server has under a name; None when an error was sent: nothing runs that was not bound through the gate."""
        if not (yield from self.confirmed_name(self.portals.get(name))):
            self.portals.pop(name, None)
        if name not in self.portals:
            yield from self.flush_pipeline()
            self.send_own("34000", f'portal "{name}" does not exist')
        return self.portals.get(name)

    def _execute(self, frame: Frame) -> Generator[Wish, Any, bool]:
        message = from_client(frame, fe.Execute)
        if not self.backend_open:
            self.send_own("34000", f'portal "{message.portal}" does not exist')
            return False
        portal = yield from self._portal(message.portal)
        if portal is None:
            return False
        if portal.kind is Kind.EMPTY:
            self.forward(frame.encode(), Expect("execute"))
            return True
        run = portal.run
        if not (yield from self._spoiled(run.parsed.kind, run.parsed.value)):
            return False
        if run.parsed.kind is Kind.FETCH:
            yield from self.flush_pipeline()
            source = self.portals.get(run.parsed.name)
            outdated = source is not None and source.made_under not in ((), self.version())
            if (source is not run.source or outdated) and not self.sees_everything():
                self.send_error(
                    "34000",
                    f"lockgate: cursor `{run.parsed.name}` is not the one this FETCH was judged by",
                    rule="cursor-changed",
                )
                return False
        if run.parsed.kind is Kind.EXECUTE and not (yield from self._runs_the_same(run, portal)):
            return False
        if not (yield from self.confirmed(run)):
            self._finish(run, "not-run", "0A000", "")
            self.send_error("0A000", f"lockgate: {texts.DRIFT}", rule="drift")
            return False
        if not portal.described and self.replies.checks(run):
            # Masking needs the row's shape and formats, and drift must be seen, whether or not the client asks for a description.
            portal.described = True
            self.to_backend.append(fe.Describe("P", message.portal).encode())
            self.replies.expect(Expect("describe-portal", (run,), silent=True))
        # Rows that the gate puts in order are read at once, whatever the client asks for, and handed out in pieces.
        sorts = message.max_rows > 0 and run.plan.order is not Order.KEEP
        data = fe.Execute(message.portal).encode() if sorts else frame.encode()
        self.forward(data, Expect("execute", (run,), rows_max=message.max_rows if sorts else 0))
        if run.parsed.kind is Kind.COPY_IN:
            self.replies.copy_in = True
        return True

    def _runs_the_same(self, run: Run, portal: Portal) -> Generator[Wish, Any, bool]:
        """Whether the EXECUTE of a portal still runs what it was judged by: its name and its names may mean something else by now."""
        yield from self.flush_pipeline()
        self.learn_names()
        if self.sees_everything():
            return True
        knows = yield from self.settle_context()
        same = run.named is None or self.prepared.get(run.parsed.name) is run.named
        if knows and same and portal.bound_under == self.meaning_of_names() and not self.catalog_stale:
            return True
        self.send_error(
            "0A000", f"lockgate: prepared statement `{run.parsed.name}` may not be the one that this EXECUTE was judged by",
            rule="statement-changed", hint="Send the EXECUTE again.",
        )  # fmt: skip
        return False

    def _close(self, frame: Frame) -> None:
        message = from_client(frame, fe.Close)
        if message.kind == "S":
            self.prepared.pop(message.name, None)
        else:
            self.portals.pop(message.name, None)
        if self.backend_open:
            self.forward(frame.encode(), Expect("close"))
        else:
            self.to_client.append(be.CloseComplete().encode())


def _nothing() -> Run:
    """What an empty statement's portal runs."""
    parsed = Parsed(text="", kind=Kind.EMPTY, shape="")
    return Run(parsed, replace(EVERYTHING, kind=Kind.EMPTY), PASS, intent=-1, started_us=0, closed=True)


def _is_cut_short(letter: str, body: bytes) -> bool:
    """Whether the server would know a name of the message by its first bytes only, which another name may have too."""
    start = 1 if letter in "DC" else 0
    for _ in range(2 if letter == "B" else 1):
        end = body.find(b"\0", start)
        if end - start > NAME_BYTES_MAX:
            return True
        start = end + 1
    return False


def _sealed_parameters(message: fe.Bind) -> bytes:
    """Parameter values with their lengths, for the encrypted blob only; a very long one by its length and hash.

    Shape: count (2 bytes), then per parameter 4 bytes length and the value; length -1 is NULL, -2 means that 8 bytes of real length
    and 32 bytes of SHA-256 follow instead of the value.
    """
    parts = [len(message.parameters).to_bytes(2, "big")]
    left = PARAMETERS_BYTES_MAX
    for value in message.parameters:
        left -= len(value or b"")
        if value is None:
            parts.append(b"\xff\xff\xff\xff")
        elif len(value) <= PARAMETER_BYTES_MAX and left >= 0:
            parts.append(len(value).to_bytes(4, "big") + value)
        else:
            parts.append(b"\xff\xff\xff\xfe" + len(value).to_bytes(8, "big") + hashlib.sha256(value).digest())
    return b"".join(parts)
