"""The composition root: the one file that knows every room.

For: building a running gate from its settings, reloading files that people edit, stopping in order.
Not for: behaviour that belongs in a room.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lockgate import speed
from lockgate.app import org
from lockgate.app.children import keep
from lockgate.app.completeness import Completeness
from lockgate.app.documents import Documents, check_keys, read_documents, read_policies, revoked_path, stamps
from lockgate.app.evidence import FIRST_WORKER, current_log_number, key_bytes, masking_keys, open_ledger
from lockgate.app.found import Found
from lockgate.config.build import load_settings
from lockgate.config.catalog_file import CatalogFile, ColumnKey
from lockgate.config.settings import Address, DatabaseSettings, Settings
from lockgate.control.holds import Holds, empty_catalog
from lockgate.errors import ConfigError, CredentialRejectedError, LedgerError, LockgateError, UnknownWorkerError
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
from lockgate.transport.control_socket import serve_control
from lockgate.transport.database import Database, Roles
from lockgate.transport.http import Metrics, serve_http
from lockgate.transport.listener import Gate, Listener
from lockgate.transport.login import Startup
from lockgate.transport.pgclient import Target
from lockgate.transport.plane import DataPlaneLoop, plane_of
from lockgate.transport.server import RawServer, serve_raw
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
    "serve",
    "target",
]

DRAIN_SECONDS = 7.0
RELOAD_SECONDS = 1.0
ROLLED_BACK = "the disk was set back: others know more of this gate's log than is here; start again, and it goes on in a successor"


def target(database: DatabaseSettings, role: str, password: str) -> Target:
    """How the gate logs in to a database with one of its roles."""
    return Target(database.host, database.port, database.dbname, role, password, database.sslmode,
                  str(database.sslrootcert) if database.sslrootcert else None)  # fmt: skip


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
    limits, analysis = settings.limits, settings.analysis
    name = database.name
    return Database(
        name=name, environment=database.environment,
        roles=Roles(masked, clear, target(database, database.analysis_role, analysis_password), database.unsafe_superuser),
        engine=lambda: documents().engine, labels=lambda: labels_of(documents().catalog, name),
        default_label=lambda: documents().catalog.section(name).default, key_ring=key_ring or masking_keys(settings), epoch=settings.masking.epoch,
        content=settings.masking.content, bounded_rows=limits.bounded_rows, order_buffer_bytes_max=limits.order_buffer_bytes_max, links_max=analysis.links_max,
        wait_seconds=analysis.wait_seconds, lock_seconds=analysis.lock_seconds, statement_seconds=analysis.statement_seconds,
    )  # fmt: skip


class Application:
    """A running gate."""

    def __init__(self, settings: Settings, *, files: Files | None = None, worker: str = FIRST_WORKER) -> None:
        self.settings = settings
        self.worker = worker
        self.documents = read_documents(settings)
        self.metrics = Metrics()
        self.clock = RealClock()
        self._token_key = key_bytes(settings.files.keys / "token.key")
        key_ring = masking_keys(settings)
        self.databases = {
            d.name: make_database(settings, d, lambda: self.documents, key_ring) for d in settings.databases
        }
        self.ledger, self._log_number = open_ledger(settings, files, worker=worker)
        self._rolled_back = False
        self.committer = Committer(self.ledger)
        keeper = Found(settings, self.committer.append, self.reload_if_changed)
        for found_in in self.databases.values():
            found_in.on_found = keeper.keep
        self.holds = Holds(
            hold_seconds=settings.limits.hold_seconds,
            now=utc_now,
            record=self.committer.append,
            may_approve=self._may_approve,
        )
        self.gate = Gate(
            databases=self.databases, committer=self.committer, clock=self.clock, counters=self.metrics, holds=self.holds,
            authenticate=self._verified, identify=self._identify, may_connect=self._may_connect, wait_for_hold=self.holds.wait, tls=self._tls(),
            cleartext_on_loopback=settings.gateway.cleartext_on_loopback, statement_bytes_max=settings.limits.statement_bytes_max,
            login_seconds=settings.limits.login_seconds, links_max=settings.limits.links_max,
        )  # fmt: skip
        self._stamps = stamps(settings)
        self._stop = asyncio.Event()
        gauges: dict[str, Callable[[], float]] = {
            "sessions": lambda: len(self.gate.sessions), "ledger_lag": lambda: self.committer.lag,
            "ledger_healthy": lambda: float(self.committer.healthy), "ledger_size": lambda: self.ledger.size,
            "ledger_commits": lambda: self.committer.commits, "held_requests": lambda: len(self.holds.listing()),
        }  # fmt: skip
        self.metrics.gauges.update(gauges)
        self.completeness = Completeness(
            settings,
            {name: database.roles.analysis for name, database in self.databases.items()},
            self.committer.append,
        )
        self.metrics.gauges |= {
            "bypassing_logins": lambda: self.completeness.logins,
            "bypassing_statements": lambda: self.completeness.statements,
            "bypass_blind_databases": lambda: self.completeness.blind,
        }
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

    def _may_connect(self, identity: Identity, database: Database, address: str) -> Decision:
        catalog = empty_catalog(database.database, database.environment)
        return self.documents.engine.permits(
            identity, Action.CONNECT, catalog, context={"client_address": address}, now=utc_now()
        )

    def _may_approve(self, approver: Principal, request: Request, groups: tuple[str, ...]) -> Decision:
        catalog = self.databases[request.database].catalog
        return self.documents.engine.may_approve(approver, request, catalog, hold_groups=groups, now=utc_now())

    def operate(self, asked: Mapping[str, object]) -> object:
        """One command of the control socket."""
        operation = asked["op"]
        if operation == "request-list":
            return self.holds.listing()
        if operation == "request-show":
            return self.holds.show(str(asked["id"]))
        if operation in ("request-approve", "request-deny"):
            token, principal = str(asked["token"]), str(asked["principal"])
            shown = self.holds.show(str(asked["id"]))
            identity = self._verified(token, principal, str(shown["database"]))
            return self.holds.decide(str(asked["id"]), identity, approve=operation == "request-approve")
        if operation == "log-erasure":
            return self._record_erasure(asked["fields"])
        if operation == "log-prune":
            return self._record_pruning(asked.get("worker"), asked["fields"])
        raise CredentialRejectedError("unknown command")

    def _record_pruning(self, worker: object, fields: object) -> int:
        """Make the entry of a pruning durable; whoever asked removes the entries once it is under a checkpoint."""
        if worker != self.worker:
            raise UnknownWorkerError
        if not isinstance(fields, dict) or (fields.get("kind"), fields.get("event")) != ("policy", "pruned"):
            raise CredentialRejectedError("not a pruning")
        index = self.committer.append(fields)
        self.committer.commit()
        if self.committer.durable <= index:
            raise LedgerError("the ledger cannot be written")
        return index

    def _record_erasure(self, fields: object) -> object:
        """Make an `erasure` entry durable before what it says is done (docs/reference/entries.md)."""
        if not isinstance(fields, dict) or fields.get("kind") != "erasure":
            raise CredentialRejectedError("not an erasure")
        index = self.committer.append(fields)
        self.committer.commit()
        if self.committer.durable <= index:
            raise LedgerError("the ledger cannot be written")
        self.ledger.notice_erasures()
        return {self.worker: index}

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

    def _end_revoked(self) -> None:
        """A revoked credential or a disabled principal loses its open sessions too (threats I-01)."""
        for link in tuple(self.gate.sessions.values()):
            identity = link.conversation.identity
            known = [self.documents.principals.get(p.name) for p in identity.chain]
            if identity.token_id in self.documents.revoked or any(k is None or k.disabled for k in known):
                link.expire()

    # -- running ------------------------------------------------------------------------------------------------------------------

    async def run(self, listen: Address | None = None) -> None:
        """Serve until SIGTERM or SIGINT, then drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        address = listen or self.settings.gateway.listen
        self.committer.attach(plane_of(loop))
        self.committer.append({"kind": "policy", "event": "activated", "policy": self.documents.policies.revision})
        self.committer.start()
        listener = Listener(self.gate)
        try:
            server = await serve_raw(listener.accept, address.host, address.port)
        except OSError as error:
            self.close()
            raise ConfigError(f"--listen: {address} cannot be listened on: {error.strerror}") from error
        asks = self.settings.analysis.completeness_seconds
        if asks:
            await self.completeness.look()  # before any other login, so that all of them are counted on both sides
        await self._meet_databases()
        control = await serve_control(self.settings.gateway.control_socket, self.operate)
        metrics = None
        ready: dict[str, object] = {"ready": True, "listen": _shown(server)}
        if self.settings.gateway.metrics_listen is not None:
            place = self.settings.gateway.metrics_listen
            metrics = await serve_http(place.host, place.port, metrics=self.metrics, healthy=self.health)
            ready["metrics"] = _shown(metrics)
        watchers = [
            asyncio.ensure_future(d.watch(self.settings.analysis.catalog_seconds)) for d in self.databases.values()
        ]
        watchers.append(asyncio.ensure_future(self._watch()))
        if asks:
            watchers.append(asyncio.ensure_future(self.completeness.run(asks)))
        if self.settings.index.folder is not None or self.settings.index.server is not None:
            watchers.append(asyncio.ensure_future(keep("index", self.settings.path)))
        if self.settings.mirror.url is not None:
            watchers.append(asyncio.ensure_future(keep("mirror", self.settings.path)))
        if any(not export.url.startswith("parquet:") for export in self.settings.exports):
            watchers.append(asyncio.ensure_future(keep("export", self.settings.path)))
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        try:
            await self._stop.wait()
            await self._drain(server)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            await listener.close()
            if asks:
                await self.completeness.finish()
            for closing in (control, metrics):
                if closing is not None:
                    closing.close()
            self.settings.gateway.control_socket.unlink(missing_ok=True)
            self.close()

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
            self.reload_if_changed()
            self.ledger.notice_erasures()
            if self._witnesses is not None:
                self.ledger.suspended = self._witnesses.look()
            self._end_if_rolled_back()
            for link in tuple(self.gate.sessions.values()):
                link.enforce_limits(
                    loop.time(), idle_seconds=limits.idle_seconds, statement_seconds=limits.statement_seconds
                )

    def _end_if_rolled_back(self) -> None:
        """Stop signing this log when the gate's logs were given another number: a witness knows more of them than is here."""
        try:
            number = current_log_number(self.settings)
        except LedgerError:
            return
        if not self._rolled_back and self._log_number != number:
            self._rolled_back = self.ledger.suspended = True
            sys.stderr.write(json.dumps({"event": "rolled-back", "problem": ROLLED_BACK}) + "\n")
            self._stop.set()

    async def _drain(self, server: RawServer) -> None:
        """No new sessions; idle ones end now, busy ones get a little time."""
        self.gate.draining = True
        server.close()
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.gate.sessions and time.monotonic() < deadline:
            for link in tuple(self.gate.sessions.values()):
                if link.is_idle:
                    link.shut_down()
            await asyncio.sleep(0.05)
        for link in tuple(self.gate.sessions.values()):
            link.shut_down()
        await asyncio.sleep(0.05)

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


def _shown(server: asyncio.Server | RawServer) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def serve(config: Path, listen: Address | None = None) -> None:
    """Run a gate until it is told to stop.

    Raises:
        ConfigError: something cannot be used; nothing has started.
    """
    settings = load_settings(config, environment=os.environ)
    if not speed.use(settings.gateway.core):
        raise ConfigError(f"{config}:1: `core` is `compiled`, and the compiled core is not built; use `auto`")
    process = org.start(settings)

    async def main() -> None:
        application = Application(settings)
        application.metrics.gauges["org_log_running"] = lambda: float(org.is_running(process))
        gc.freeze()  # what is there now stays: the collector need not walk it again and again while sessions wait
        await application.run(listen)

    with asyncio.Runner(loop_factory=DataPlaneLoop) as runner:
        runner.run(main())
