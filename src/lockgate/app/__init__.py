"""The composition root: the one file that knows every room.

For: building a running gate from its settings, reloading files that people edit, stopping in order.
Not for: behaviour that belongs in a room.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping

from lockgate.app import explaining, org
from lockgate.app.completeness import Completeness
from lockgate.app.documents import Documents, check_keys, read_documents, read_policies, revoked_path, stamps
from lockgate.app.evidence import FIRST_WORKER, current_log_number, key_bytes, masking_keys, open_ledger
from lockgate.app.first_catalog import fresh_section
from lockgate.app.found import Found
from lockgate.app.front import Front
from lockgate.app.operating import Operator
from lockgate.app.places import analysis_target, analysis_targets, listening_at, shown, target
from lockgate.app.vouching import read_functions, vouched_lines
from lockgate.config.catalog_file import CatalogFile, ColumnKey
from lockgate.config.settings import Address, DatabaseSettings, Settings
from lockgate.control.admission import Admission
from lockgate.control.holds import Holds, empty_catalog
from lockgate.errors import ConfigError, LedgerError, LockgateError
from lockgate.identity.certificates import PeerCertificate, identify
from lockgate.identity.tokens import verify
from lockgate.masking.keys import KeyRing
from lockgate.model.decision import Decision, Request
from lockgate.model.identity import Identity, Principal
from lockgate.model.statement import Action
from lockgate.storage.port import Files
from lockgate.transport.catalog_queries import Labels
from lockgate.transport.clock import RealClock, utc_now
from lockgate.transport.committer import Committer
from lockgate.transport.database import Database, Roles
from lockgate.transport.http import Metrics
from lockgate.transport.listener import Gate, Listener
from lockgate.transport.login import Startup
from lockgate.transport.peers import Alone, Peers
from lockgate.transport.plane import plane_of
from lockgate.transport.server import RawServer
from lockgate.transport.tls import server_context

__all__ = [
    "Application",
    "Documents",
    "check_keys",
    "labels_of",
    "make_database",
    "read_documents",
    "read_policies",
    "revoked_path",
    "target",
]

COLLECT_AFTER = 20_000
"""New containers after which the collector looks for cycles: sessions leave none behind, and what it looks through lives in caches."""
DRAIN_SECONDS = 7.0
RELOAD_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
"""How long a worker of several waits for its log while the process that had it before ends."""
ROLLED_BACK = "the disk was set back: others know more of this gate's log than is here; start again, and it goes on in a successor"


def labels_of(catalog: CatalogFile, name: str) -> Labels:
    """The label of a column by the catalog file, as a function."""
    section = catalog.section(name)

    def label(schema: str, table: str, column: str) -> tuple[str, str, float, tuple[tuple[tuple[str, ...], str], ...]]:
        found = section.columns.get(ColumnKey(schema, table, column))
        paths = section.json_labels(schema, table, column)
        return (
            (section.default, "default", 0.0, paths) if found is None else (found.label, found.by, found.score, paths)
        )

    return label


def make_database(
    settings: Settings, database: DatabaseSettings, documents: Callable[[], Documents], key_ring: KeyRing | None = None
) -> Database:
    """A database with its roles, its limits, and whatever the documents say at each moment."""
    password = database.session_password.reveal() if database.session_password else ""
    clear_password = database.clear_password.reveal() if database.clear_password else password
    analysis_password = database.analysis_password.reveal() if database.analysis_password else ""
    masked = target(database, database.session_role, password)
    clear = target(database, database.clear_role or database.session_role, clear_password)
    replicating = database.replication_password.reveal() if database.replication_password else ""
    replication = target(database, database.replication_role, replicating) if database.replication_role else None
    limits, analysis = settings.limits, settings.analysis
    name = database.name
    return Database(
        name=name, environment=database.environment,
        roles=Roles(masked, clear, target(database, database.analysis_role, analysis_password), database.unsafe_superuser, replication),
        engine=lambda: documents().engine, labels=lambda: labels_of(documents().catalog, name),
        default_label=lambda: documents().catalog.section(name).default, key_ring=key_ring or masking_keys(settings), epoch=settings.masking.epoch,
        content=settings.masking.content, bounded_rows=limits.bounded_rows, order_buffer_bytes_max=limits.order_buffer_bytes_max, links_max=analysis.links_max,
        wait_seconds=analysis.wait_seconds, lock_seconds=analysis.lock_seconds, statement_seconds=analysis.statement_seconds,
        vouched=lambda: vouched_lines(database.vouched),
    )  # fmt: skip


class Application:
    """A running gate."""

    def __init__(
        self,
        settings: Settings,
        *,
        files: Files | None = None,
        worker: str = FIRST_WORKER,
        peers: Peers | None = None,
        config: bytes | None = None,
    ) -> None:
        """Read everything and open the worker's log.

        Args:
            worker: which one this is, from 1.
            peers: the rest of the gate, where there is one.
            config: what `settings` were read from, when that may not be what the file has now.
        """
        limits = settings.limits
        self.settings = settings
        self.worker = worker
        admission = Admission(links_max=limits.links_max, principal_links_max=limits.principal_links_max)
        self.peers = peers or Alone(worker, admission)
        self.documents = read_documents(settings)
        self.metrics = Metrics()
        self.clock = RealClock()
        self._token_key = key_bytes(settings.files.keys / "token.key")
        key_ring = masking_keys(settings)
        self.databases = {
            d.name: make_database(settings, d, lambda: self.documents, key_ring) for d in settings.databases
        }
        self.ledger, self._log_number = open_ledger(
            settings, files, worker=worker, config=config, patience=0 if peers is None else PATIENCE_SECONDS
        )
        self._rolled_back = False
        self.committer = Committer(self.ledger)
        keeper = Found(settings, self.committer.append, self._reload_for_all)
        for found_in in self.databases.values():
            found_in.on_found = keeper.keep
        self.holds = Holds(
            hold_seconds=limits.hold_seconds,
            now=utc_now,
            record=self.committer.append,
            may_approve=self._may_approve,
            prefix="" if peers is None else f"{worker}-",
        )
        self.gate = Gate(
            databases=self.databases, committer=self.committer, clock=self.clock, counters=self.metrics, holds=self.holds,
            authenticate=self._verified, identify=self._identify, may_connect=self._may_connect, wait_for_hold=self.holds.wait, tls=self._tls(),
            cleartext_on_loopback=settings.gateway.cleartext_on_loopback, statement_bytes_max=limits.statement_bytes_max,
            login_seconds=limits.login_seconds, links_max=limits.links_max, peers=self.peers, worker=int(worker),
        )  # fmt: skip
        self.operator = Operator(
            worker=worker, holds=self.holds, gate=self.gate, committer=self.committer, metrics=self.metrics,
            verified=self._verified, notice_erasures=self.ledger.notice_erasures, reload=self.reload_if_changed, healthy=self.health,
            questions={"explain": self._explained, "functions": self._functions, "catalog-section": self._catalog_section},
        )  # fmt: skip
        self._listener = Listener(self.gate)
        self._server: RawServer | None = None
        self._watchers: list[asyncio.Future[None]] = []
        self._stamps = self._seen = stamps(settings)
        self.stop = asyncio.Event()
        gauges: dict[str, Callable[[], float]] = {
            "sessions": lambda: len(self.gate.sessions), "ledger_lag": lambda: self.committer.lag,
            "ledger_healthy": lambda: float(self.committer.healthy), "ledger_size": lambda: self.ledger.size,
            "ledger_commits": lambda: self.committer.commits, "held_requests": lambda: len(self.holds.listing()),
        }  # fmt: skip
        self.metrics.gauges.update(gauges)
        self._witnesses = org.Watched.of(settings)
        if self._witnesses is not None:
            self.metrics.gauges["witness_age_seconds"] = lambda: self._witnesses.age if self._witnesses else 0.0

    def _tls(self) -> ssl.SSLContext | None:
        place = self.settings.gateway
        return server_context(
            place.tls_certificate, place.tls_key, place.tls_client_authorities, place.tls_client_revoked
        )

    # -- identity and policy ----------------------------------------------------------------------------------------------------

    def _verified(self, text: str, user: str, database: str) -> Identity:
        return verify(self._token_key, text, now=utc_now(), principals=self.documents.principals, revoked=self.documents.revoked,
                      user=user, database=database)  # fmt: skip

    def _identify(self, certificate: PeerCertificate, startup: Startup) -> Identity | None:
        documents = self.documents
        return identify(
            certificate, now=utc_now(), principals=documents.principals, revoked=documents.revoked, user=startup.user
        )

    # -- questions of an operator's command about a database: the gate's own logins, so none of somebody who goes past it --------

    async def _explained(self, asked: Mapping[str, object]) -> object:
        return await explaining.answer(asked, self.documents, self.databases)

    async def _functions(self, asked: Mapping[str, object]) -> object:
        return await self._of_database(asked, lambda database: read_functions(analysis_target(database)))

    async def _catalog_section(self, asked: Mapping[str, object]) -> object:
        return await self._of_database(asked, lambda database: fresh_section(self.settings, database))

    async def _of_database(
        self, asked: Mapping[str, object], ask: Callable[[DatabaseSettings], Awaitable[object]]
    ) -> object:
        name = str(asked["database"])
        database = self.settings.database(name)
        if database is None:
            raise ConfigError(
                f"{name}: the gate that runs does not have this database; it is configured since it started"
            )
        try:
            return await ask(database)
        except (LockgateError, OSError, TimeoutError) as error:
            raise explaining.unreachable(name, error) from error

    def _may_connect(self, identity: Identity, database: Database, address: str) -> Decision:
        catalog = empty_catalog(database.database, database.environment)
        return self.documents.engine.permits(
            identity, Action.CONNECT, catalog, context={"client_address": address}, now=utc_now()
        )

    def _may_approve(self, approver: Principal, request: Request, groups: tuple[str, ...]) -> Decision:
        catalog = self.databases[request.database].catalog
        return self.documents.engine.may_approve(approver, request, catalog, hold_groups=groups, now=utc_now())

    # -- reloading ----------------------------------------------------------------------------------------------------------------

    def reload_if_changed(self) -> bool:
        """Take over edited files; a file with a problem leaves everything as it was, loudly."""
        found = stamps(self.settings)
        if found == self._stamps:
            return False
        self._stamps = found
        try:
            documents, tls = read_documents(self.settings), self._tls()
        except ConfigError as error:
            self.metrics.count("reloads", result="refused")
            for problem in error.problems:
                sys.stderr.write(json.dumps({"event": "reload-refused", "problem": problem}) + "\n")
            return False
        changed = documents.policies.revision != self.documents.policies.revision
        self.documents, self.gate.tls = documents, tls
        self.metrics.count("reloads", result="taken")
        for database in self.databases.values():
            database.forget()
        if changed:
            self.committer.append({"kind": "policy", "event": "activated", "policy": documents.policies.revision})
        else:
            self.committer.append({"kind": "admin", "event": "reloaded", "policy": documents.policies.revision})
        self._end_revoked()
        return True

    def reload_if_settled(self) -> bool:
        """Take over edited files once they look as they did at the last look: an editor may empty a file before it writes it.

        Revocations alone are taken at once.
        """
        found = stamps(self.settings)
        settled, self._seen = found == self._seen, found
        edited = {path for path, _ in found.items() ^ self._stamps.items()}
        return (settled or edited == {revoked_path(self.settings)}) and self.reload_if_changed()

    def _reload_for_all(self) -> None:
        """Take over what this worker has just changed, and have the others do so as soon as they can."""
        self.reload_if_changed()
        self.peers.news()

    def _end_revoked(self) -> None:
        """A revoked credential or a disabled principal loses its open sessions too (threats I-01)."""
        for link in tuple(self.gate.sessions.values()):
            identity = link.conversation.identity
            known = [self.documents.principals.get(p.name) for p in identity.chain]
            if identity.token_id in self.documents.revoked or any(k is None or k.disabled for k in known):
                link.expire()

    # -- running ------------------------------------------------------------------------------------------------------------------

    async def run(self, listen: Address | None = None, gauges: Mapping[str, Callable[[], float]] | None = None) -> None:
        """Serve as a gate's only worker until SIGTERM or SIGINT, then drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        await self.begin()
        try:
            sockets = await listening_at(listen or self.settings.gateway.listen)
        except ConfigError:
            self.close()
            raise
        completeness = Completeness(self.settings, analysis_targets(self.settings), self.committer.append)
        self.metrics.gauges |= {**completeness.gauges(), **(gauges or {})}
        front = Front(self.settings, operate=self.operator.operate, metrics=self.metrics.text, healthy=self.health,
                      completeness=completeness)  # fmt: skip
        await front.look()
        try:
            await self.accept(sockets)
            await front.open(shown(sockets))
            await self.stop.wait()
            await self.drain()
        finally:
            await self.end()
            await front.close()
            self.close()

    async def begin(self) -> None:
        """Begin to record."""
        self.committer.attach(plane_of(asyncio.get_running_loop()))
        self.committer.append({"kind": "policy", "event": "activated", "policy": self.documents.policies.revision})
        self.committer.start()

    async def accept(self, sockets: list[socket.socket]) -> None:
        """Take clients from listening sockets, and keep watch."""
        self.gate.tell_load()
        self._server = RawServer(sockets, self._listener.accept, lambda: self.gate.has_more_to_do)
        await self._meet_databases()
        seconds = self.settings.analysis.catalog_seconds
        self._watchers = [asyncio.ensure_future(database.watch(seconds)) for database in self.databases.values()]
        self._watchers.append(asyncio.ensure_future(self._watch()))

    async def _meet_databases(self) -> None:
        """Read every catalogue before the first client; say so when one cannot be reached, and go on."""
        for name, database in self.databases.items():
            try:
                await database.refresh()
            except (LockgateError, OSError, TimeoutError) as error:
                problem = (
                    f"database `{name}` cannot be reached with its analysis role: {str(error) or type(error).__name__}"
                )
                sys.stderr.write(json.dumps({"event": "database-unreachable", "problem": problem}) + "\n")

    async def _watch(self) -> None:
        limits, loop = self.settings.limits, asyncio.get_running_loop()
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            self.reload_if_settled()
            self.ledger.notice_erasures()
            if self._witnesses is not None:
                self.ledger.suspended = self._witnesses.look()
            self._end_if_rolled_back()
            for link in tuple(self.gate.sessions.values()):
                link.enforce_limits(
                    loop.time(), idle_seconds=limits.idle_seconds, statement_seconds=limits.statement_seconds
                )
                if why := link.conversation.must_end():
                    link.shut_down(why)

    def _end_if_rolled_back(self) -> None:
        """Stop signing this log when the gate's logs were given another number: a witness knows more of them than is here."""
        try:
            number = current_log_number(self.settings)
        except LedgerError:
            return
        if not self._rolled_back and self._log_number != number:
            self._rolled_back = self.ledger.suspended = True
            sys.stderr.write(json.dumps({"event": "rolled-back", "problem": ROLLED_BACK}) + "\n")
            self.stop.set()

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """No new sessions; idle ones end now, busy ones get a little time."""
        self.gate.draining = True
        if self._server is not None:
            self._server.close()
        deadline = time.monotonic() + seconds
        while self.gate.sessions and time.monotonic() < deadline:
            for link in tuple(self.gate.sessions.values()):
                if link.is_idle:
                    link.shut_down()
            await asyncio.sleep(0.05)
        for link in tuple(self.gate.sessions.values()):
            link.shut_down()
        await asyncio.sleep(0.05)

    async def end(self) -> None:
        """Watch no more, and end logins in progress; entries are still taken."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await self._listener.close()

    def health(self) -> dict[str, object]:
        """What `/healthz` tells: the gate is well while it can write evidence."""
        writing = self.committer.healthy and not self.ledger.suspended
        return {"ok": writing and not self.gate.draining, "ledger": "writing" if writing else "unavailable",
                "sessions": len(self.gate.sessions), "policy": self.documents.policies.revision}  # fmt: skip

    def close(self) -> None:
        """Close databases and the ledger, the ledger last."""
        for database in self.databases.values():
            database.close()
        self.committer.stop()
        if self._rolled_back:
            self.ledger.abandon()
            raise LedgerError(ROLLED_BACK)
        try:
            self.ledger.close()
        except LockgateError as error:
            sys.stderr.write(json.dumps({"event": "ledger-not-closed", "problem": str(error)}) + "\n")
