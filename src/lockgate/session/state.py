"""What a session knows, and the small steps that every part of its conversation shares.

For: the backend link, the context in which names are read, errors of the gate's own, results' masks.
Not for: judging (`judging.py`), settling a verdict (`settling.py`), the protocol (`extended.py`, `conversation.py`).
Source: architecture section 3, steps 3, 4 and 8.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lockgate.masking.copy_formats import CopyCodec, copy_shape
from lockgate.masking.copying import CopyMasker
from lockgate.masking.order import RowSorter
from lockgate.masking.rows import RowMasker
from lockgate.model.catalog import Catalog, FoundLabel
from lockgate.model.decision import Clearance
from lockgate.model.identity import Identity
from lockgate.model.plan import Order
from lockgate.model.statement import Kind
from lockgate.session import texts
from lockgate.session.cache import BoundedCache
from lockgate.session.evidence import Evidence
from lockgate.session.following import followed
from lockgate.session.judge import Ask, Verdict, judge
from lockgate.session.own import OwnObjects
from lockgate.session.ports import Clock, Counters, Holds, Recorder, Surroundings
from lockgate.session.replies import Replies
from lockgate.session.runs import Expect, Portal, Prepared, Run
from lockgate.session.scanning import SCANNED, ContentScan, content_scan
from lockgate.session.together import Together
from lockgate.session.unseen import EVERYTHING, unreadable
from lockgate.session.wishes import Analysed, BackendOpened, Drain, Failed, OpenBackend, Substituted, Wish
from lockgate.sql.lifting import NO_PLACES, Places
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.typed import from_backend

Steps = Generator[Wish, Any, None]


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdicts for one text, kept in the decision cache; of a text's skeleton, which of its constants may be lifted instead."""

    verdicts: tuple[Verdict, ...]
    places: Places = NO_PLACES


class SessionState:
    """The state of one authenticated client's dialogue."""

    replicates = False
    """Whether it is a replication connection (`replication.py`)."""

    def __init__(
        self, *, identity: Identity, surroundings: Surroundings, recorder: Recorder, clock: Clock, counters: Counters, holds: Holds,
        session_id: str, client_address: str, reported: dict[str, str], body_bytes_max: int, cache: BoundedCache[Judged],
        together: Together | None = None,
    ) -> None:  # fmt: skip
        self.identity = identity
        self.around = surroundings
        self.recorder = recorder
        self.clock = clock
        self.counters = counters
        self.holds = holds
        self.session_id = session_id
        self.client_address = client_address
        self.reported = reported
        self.cache = cache
        self.together = together if together is not None else Together()
        self.evidence = Evidence(recorder, clock, session=session_id, identity=identity, database=surroundings.database,
                                 environment=surroundings.environment, client=client_address)  # fmt: skip
        self.own = OwnObjects()
        self._here: dict[tuple[object, ...], tuple[int, Analysed]] = {}
        self._instead_here: dict[tuple[object, ...], tuple[int, Substituted]] = {}
        self._clearance_key: tuple[object, ...] = ()
        self._clearance_known: Clearance
        self.clearance: Clearance = self._clearance()
        self.replies = Replies(body_bytes_max=body_bytes_max, masked=not self.clearance.complete, make_masker=self.make_masker,
                               make_copier=self._make_copier, learn_labels=self._learn_labels,
                               finish=self._finish, parameter_changed=self._parameter_changed,
                               sees_everything=self.sees_everything)  # fmt: skip
        self.replies.known_as = surroundings.known_as
        self.to_backend: list[bytes] = []
        self.to_client: list[bytes] = []
        self.backend_open = False
        self.search_path = ""
        self.names_touched = False
        self.reading_moved = False
        self.catalog_stale = False
        self.ddl_in_transaction = False
        self.pipeline_open = False
        self.effects_in_pipeline = False
        self.statements_unsettled = False
        self.skip_to_sync = False
        self.spoil_implicit = False
        self.pipeline = 0
        self.prepared: dict[str, Prepared] = {}
        self.portals: dict[str, Portal] = {}
        self.ended = False

    def must_end(self) -> str:
        """Why the session may not go on, although nobody has asked anything; empty where it may."""
        return ""

    def ensure_backend(self) -> Generator[Wish, Any, bool]:
        """Open the backend link at the first statement, so that idle clients cost no backend."""
        if self.backend_open:
            return True
        answer = yield OpenBackend()
        if isinstance(answer, BackendOpened):
            self.backend_open = True
            self.search_path = answer.search_path
            for name, value in answer.parameters.items():
                told = self.reported.get(name)
                shown = self._parameter_changed(name, value)
                if told != shown and name not in ("session_authorization", "is_superuser"):
                    self.to_client.append(be.ParameterStatus(name, shown).encode())
            return True
        self.send_failure(answer)
        return False

    def settle_context(self) -> Generator[Wish, Any, bool]:
        """Ask the session's own link where names resolve now, in every session that has ever touched it; False: it did not say.

        Nothing is concluded from the statements themselves: SET, SET LOCAL, savepoints and failed pipelines undo each other in too
        many ways. In a failed transaction nothing but its end passes, so there is nothing to ask for.
        """
        if not self.names_touched or self.replies.status == "E":
            return True
        yield from self.flush_pipeline()
        if self.replies.status == "E" or self.replies.lost:
            return True
        question = Expect("execute", silent=True)
        own = texts.OWN_NAME
        self.to_backend.append(
            fe.Parse(own, texts.CONTEXT_QUERY).encode()
            + fe.Bind(own, own).encode()
            + fe.Execute(own, 0).encode()
            + fe.Close("S", own).encode()
            + fe.Close("P", own).encode()
        )
        self.replies.expect(
            Expect("parse", silent=True),
            Expect("bind", silent=True),
            question,
            Expect("close", silent=True),
            Expect("close", silent=True),
        )
        if self.pipeline_open:
            self.to_backend.append(fe.Flush().encode())
        else:
            self.to_backend.append(fe.Sync().encode())
            self.replies.expect(Expect("sync", silent=True))
        yield Drain()
        if not question.rows:
            return False
        self.search_path = (be.cells(question.rows[0])[0] or b"").decode()
        return True

    def learn_names(self) -> None:
        """A Parse or Bind that the server rejected leaves its name as it was."""
        for name, made in self.replies.failed_names:
            if isinstance(made, Prepared):
                if self.prepared.get(name) is made:
                    del self.prepared[name]
            else:
                self._restore(name, made)
        for confirmed in self.replies.succeeded_names:
            confirmed.pending = False
            if isinstance(confirmed, Portal):
                confirmed.displaced = None
        self.replies.failed_names.clear()
        self.replies.succeeded_names.clear()

    def _restore(self, name: str, rejected: Portal) -> None:
        above = self.portals.get(name)
        if above is rejected:
            if rejected.displaced is None:
                del self.portals[name]
            else:
                self.portals[name] = rejected.displaced
            return
        while above is not None and above.displaced is not rejected:
            above = above.displaced
        if above is not None:
            above.displaced = rejected.displaced

    def confirmed_name(self, made: Prepared | Portal | None) -> Generator[Wish, Any, bool]:
        """Whether the server has under a name what the gate believes.

        Within its pipeline it has, or it ignores all that follows. But what an earlier one made may have failed or been ignored after
        an error that nobody has told us of yet, and an older thing of the name may be there; where not even its answer says, it is not.
        """
        if made is not None and made.pending and made.pipeline != self.pipeline:
            yield from self.flush_pipeline()
            self.learn_names()
        return made is not None and not (made.pending and made.pipeline != self.pipeline)

    def sees_own(self) -> bool:
        """Whether what statements mean must be asked on the session's own link: it may see more than others, and masks depend on it."""
        return bool(self.own.version) and not self.clearance.complete

    def settle_own(self) -> None:
        """Know whether the session may see more than others do, before a statement is judged."""
        if self.replies.status == "I" and not self.pipeline_open and self.replies.drained:
            self.ddl_in_transaction = False
            self.own.end()
        elif self.ddl_in_transaction:
            self.own.begin()

    def settle_statements(self) -> Steps:
        """Know which statement each name stands for, once the server has answered whatever may change that."""
        if self.statements_unsettled:
            yield from self.flush_pipeline()
            self.learn_names()
            self.statements_unsettled = False

    def flush_pipeline(self) -> Steps:
        """Wait until everything forwarded is answered, so that the gate's own words come in order."""
        if not self.replies.drained:
            if self.pipeline_open:
                self.to_backend.append(fe.Flush().encode())
            yield Drain()

    @property
    def reads_otherwise(self) -> bool:
        """Whether the server has said that it reads texts in another way than the gate does."""
        reported = self.reported
        return reported.get("standard_conforming_strings") == "off" or reported.get("client_encoding", "UTF8") != "UTF8"

    def _ready(self) -> bytes:
        return be.ReadyForQuery("E" if self.replies.poisoned else self.replies.status).encode()

    def _parameter_changed(self, name: str, value: str) -> str:
        if name == "application_name":
            return value.removeprefix(texts.application_prefix(self.session_id))
        if name == "search_path" and self.backend_open and value != self.search_path:
            self.names_touched = True
        self.reported[name] = value
        if self.reads_otherwise:
            self.reading_moved = True
        return value

    def send_error(
        self, sqlstate: str, message: str, *, rule: str, request: str = "", entry: str = "", hint: str = ""
    ) -> None:
        """One error of the gate's own; an open transaction fails with it."""
        parts = [f"rule={rule}"] + ([f"request={request}"] if request else []) + ([f"entry={entry}"] if entry else [])
        self.to_client.append(be.error(sqlstate, message, detail=" ".join(parts), hint=hint or None))
        self._spoil()

    def send_own(self, sqlstate: str, message: str) -> None:
        """An error in the server's own words that the gate gives in its place; it fails an open transaction as the server's would."""
        self.to_client.append(be.error(sqlstate, message))
        self._spoil()

    def send_failure(self, problem: Failed) -> None:
        """The server's own report where there is one, else the gate's sentence."""
        if problem.report:
            self.to_client.append(be.ErrorResponse(problem.report).encode())
            self._spoil()
            return
        self.counters.count("refusals", reason=problem.reason)
        self.send_error(problem.sqlstate, f"lockgate: {problem.sentence}", rule=problem.reason, hint=problem.hint)

    def _spoil(self) -> None:
        if self.replies.status == "T":
            self.replies.poisoned = True
        elif self.pipeline_open:
            self.spoil_implicit = True

    def spoil_backend(self) -> Steps:
        """Make the backend's transaction fail too, so that COMMIT cannot keep half of it."""
        self.to_backend.append(fe.Query(texts.SPOILER).encode())
        self.replies.expect(Expect("query", silent=True))
        yield Drain()

    def refresh_clearance(self) -> None:
        """Know what the chain may not see now."""
        self.clearance = self._clearance()
        self.replies.masked = not self.clearance.complete

    def _clearance(self) -> Clearance:
        """What the chain may not see now; asked again when labels, policies or the hour have changed."""
        now = self.clock.now()
        key = (self.around.catalog.generation, self.around.engine, now.hour, now.date(), self.own.seen_version)
        if self._clearance_key != key:
            context: dict[str, object] = {"binding": self.identity.binding.value, "client_address": self.client_address}
            if self.identity.purpose:
                context["purpose"] = self.identity.purpose
            if self.identity.run:
                context["run"] = self.identity.run
            self._clearance_known = self.own.clearance(
                self.around.clearance(self.identity, context, now),
                lambda own: self.around.engine.clearance(self.identity, own, context=context, now=now), self.around.catalog,
            )  # fmt: skip
            self._clearance_key = key
        return self._clearance_known

    @property
    def catalog(self) -> Catalog:
        """What the database contains, as this session sees it."""
        return self.own.seen(self.around.catalog)

    def ask(self, *, now: datetime | None = None, estimated_rows: int | None = None, row_limited: bool = False) -> Ask:
        """Everything that a verdict depends on, at this moment."""
        return Ask(
            self.identity, self.around.database, self.clearance, self.catalog, self.around.engine, now or self.clock.now(),
            self.client_address, self.around.unsafe_order, in_transaction=self.replies.status != "I", estimated_rows=estimated_rows,
            bounded_rows=self.around.bounded_rows, row_limited=row_limited, decided_by=self.around.catalog,
        )  # fmt: skip

    def sees_everything(self) -> bool:
        """Whether the chain may do anything at all here and sees no mask: for it alone the server's word is enough."""
        self.clearance = self._clearance()
        limited = not self.clearance.complete or self.clearance.filters or self.clearance.unreadable
        return not limited and judge(unreadable(""), EVERYTHING, self.ask()).effect == "permit"

    def pipeline_has_effects(self) -> bool:
        """True when earlier statements of this pipeline may have written in the implicit transaction they share."""
        return self.pipeline_open and self.effects_in_pipeline

    def make_masker(self, run: Run, described: be.RowDescription) -> None:
        """Prepare what masks and what orders a run's rows."""
        formats = [f.format for f in described.fields]
        if run.plan.masks:
            run.masker = RowMasker(
                run.plan, key_ring=self.around.key_ring, purpose=self.identity.purpose or "", scope=self.around.environment,
                epoch=self.around.epoch, formats=formats, type_names=self.around.catalog.types,
                type_mods=[f.type_mod for f in described.fields], date_style=self.reported.get("DateStyle", "ISO, MDY"),
                pool=self.around.pseudonyms,
            )  # fmt: skip
        if run.plan.order is not Order.KEEP:
            run.sorter = RowSorter(run.plan, buffer_bytes_max=self.around.order_buffer_bytes_max, formats=formats,
                                   type_oids=[f.type_oid for f in described.fields])  # fmt: skip

    def _make_copier(self, run: Run, columns: int) -> None:
        """What masks the data of a COPY; its columns were confirmed on this link just before."""
        described = from_backend(Frame(ord("T"), run.analysis.row_description), be.RowDescription)
        if len(described.fields) != columns:
            run.failed = "the data have other columns than were analysed; run the statement again"
            return
        shape = copy_shape(dict(run.parsed.options), [f.name for f in described.fields])
        fields = tuple(f._replace(format=int(shape.binary)) for f in described.fields)
        self.make_masker(run, replace(described, fields=fields))
        run.copier = CopyMasker(CopyCodec(shape, columns), run.masker, run.sorter)

    def scan_of(self, verdict: Verdict) -> ContentScan | None:
        """What looks at the texts of an answer; None where there is nothing to look at, or nothing more."""
        if self.clearance.complete or verdict.parsed.kind not in SCANNED:
            return None
        around = self.around
        return content_scan(verdict.analysis, around.catalog, self.clearance.masked, around.content, around.looked_at)

    def _learn_labels(self, run: Run, found: Sequence[FoundLabel]) -> None:
        """Labels found while a statement ran; a hit in content also ends its answer."""
        del run
        self.counters.count("labels_found", by=found[0].by)
        self.around.learn(found)

    def _finish(self, run: Run, status: str, sqlstate: str, tag: str) -> None:
        run.closed = True
        self.evidence.outcome(run, status, sqlstate, tag)
        self.counters.count("statements", status=status)
        if run.failed and run.failed_rule == "drift":
            self.catalog_stale = (
                True  # so that the same statement, sent again, is analysed under the definitions of now
            )
        if status != "complete":
            return
        parsed = run.parsed
        self.own.follow(run)
        found = followed(run, self.around.catalog, self.search_path) if parsed.executes else ()
        if found:
            self._learn_labels(run, found)
        if parsed.kind is Kind.TRANSACTION and parsed.value in ("commit", "rollback"):
            self.ddl_in_transaction = False
        elif parsed.kind is Kind.DECLARE and run.inner is not None:
            # Only now: a DECLARE that failed leaves an older cursor of this name as it was. Cursors and portals share one space.
            self.portals[parsed.name] = Portal(run.inner, Kind.DECLARE, made_under=self.version())
        elif parsed.kind is Kind.PREPARE and run.named is not None:
            # Names of SQL and of the protocol share one space, and no transaction's end takes one back.
            self.prepared[parsed.name] = run.named
        elif parsed.kind is Kind.DEALLOCATE:
            if parsed.name:
                self.prepared.pop(parsed.name, None)
            else:
                self.prepared.clear()
        elif parsed.kind is Kind.CLOSE:
            if parsed.name:
                self.portals.pop(parsed.name, None)
            else:
                self.portals.clear()
        elif parsed.kind is Kind.DISCARD and parsed.value == "all":
            self.portals.clear()
            self.prepared.clear()

    def version(self) -> tuple[object, ...]:
        """What a plan was made under: labels and definitions, policies and principals."""
        return (self.around.catalog.generation, self.around.engine)

    def meaning_of_names(self) -> tuple[object, ...]:
        """What a statement prepared by name was last judged under: when it differs, the statement may mean something else."""
        return (*self.version(), self.search_path, self.own.version)
