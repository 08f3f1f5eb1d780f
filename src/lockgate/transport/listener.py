"""The listener: accepts clients, logs them in, gives each a session; finds the session that a cancel request means.

For: the one place where a client becomes a session.
Not for: what happens in the session (`session`, `transport.link`).
Source: architecture section 3, steps 1 to 3.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import ssl
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field

from lockgate.errors import BackendProtocolError, ClientProtocolError, CredentialRejectedError, LockgateError
from lockgate.identity.certificates import PeerCertificate
from lockgate.model.decision import Decision, Effect
from lockgate.model.identity import Identity
from lockgate.session.cache import BoundedCache
from lockgate.session.conversation import Conversation
from lockgate.session.ports import Clock, Counters, Holds
from lockgate.session.replication import ReplicationConversation
from lockgate.session.state import Judged
from lockgate.session.texts import application_prefix
from lockgate.session.together import Together
from lockgate.session.wishes import Failed, HoldEnded
from lockgate.transport import replication
from lockgate.transport.committer import CommitResult, Committer
from lockgate.transport.database import Database
from lockgate.transport.link import SessionLink
from lockgate.transport.login import Intake, Startup, read_parameters, read_password, read_startup, rejected
from lockgate.transport.peers import Peers
from lockgate.transport.pgclient import LOOPBACK, Opened, PgClient, ServerRejectedError, Target
from lockgate.transport.raw import RawTransport
from lockgate.transport.tls import peer_certificate
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.frames import FrameReader
from lockgate.wire.postgres.startup import CancelRequest

PID_BITS = 24
"""Bits of a process number that are chance; the worker's number stands above them."""
WORKERS_MAX = 64

BACKEND_BODY_BYTES_MAX = 64 * 1024 * 1024
"""Largest message of a backend that is not a streamed row; a masked row must fit as well."""

ROLE_QUERY = (
    "SELECT pg_catalog.current_setting('search_path'), r.rolsuper, r.rolbypassrls, r.rolreplication,"
    " EXISTS (SELECT 1 FROM pg_catalog.pg_roles g WHERE g.rolname OPERATOR(pg_catalog.=) ANY ('{pg_read_server_files,"
    "pg_write_server_files,pg_execute_server_program,pg_read_all_stats,pg_monitor,pg_signal_backend,pg_write_all_data}'::pg_catalog.name[])"
    " AND pg_catalog.pg_has_role(r.oid, g.oid, 'member'))"
    " FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user"
)
"""Where names resolve, and what the session role could do past the gate; the same under any search_path that the client chose."""


@dataclass
class Gate:
    """What the listener needs of the rest of the product.

    Args:
        authenticate: (password, user, database) -> identity.
        identify: (client certificate, startup) -> identity; None when the certificate is not that user's.
        may_connect: (identity, database, client address) -> decision.
        wait_for_hold: a request number -> how it ended.
    """

    databases: Mapping[str, Database]
    committer: Committer
    clock: Clock
    counters: Counters
    holds: Holds
    authenticate: Callable[[str, str, str], Identity]
    identify: Callable[[PeerCertificate, Startup], Identity | None]
    may_connect: Callable[[Identity, Database, str], Decision]
    wait_for_hold: Callable[[str], Coroutine[None, None, HoldEnded]]
    tls: ssl.SSLContext | None
    cleartext_on_loopback: bool
    statement_bytes_max: int
    login_seconds: float
    links_max: int
    peers: Peers
    worker: int = 1
    sessions: dict[int, SessionLink] = field(default_factory=dict)
    keys: dict[int, bytes] = field(default_factory=dict, repr=False)
    pending_logins: int = 0
    draining: bool = False
    cache: BoundedCache[Judged] = field(
        default_factory=lambda: BoundedCache(entries_max=250_000, bytes_max=256 * 1024 * 1024)
    )
    together: Together = field(default_factory=Together)

    def new_key(self, minor: int) -> tuple[int, bytes]:
        """A cancel key of the gate's own: 4 bytes, or 32 where the client speaks 3.2.

        The process number says which worker has the session; all else about it and the key is chance, so that nobody can guess one.
        """
        while True:
            pid = self.worker << PID_BITS | secrets.randbits(PID_BITS)
            if pid not in self.keys:
                return pid, secrets.token_bytes(32 if minor >= 2 else 4)

    def cancel_own(self, request: CancelRequest) -> bool:
        """Cancel what the session of this worker with this key does; whether there is one."""
        key = self.keys.get(request.process_id)
        if key is None or not hmac.compare_digest(key, request.key):
            return False
        self.sessions[request.process_id].cancel()
        return True

    async def cancel(self, request: CancelRequest) -> None:
        """Cancel what the session with this key does, whichever worker has it; an unknown key does nothing and says nothing."""
        worker = request.process_id >> PID_BITS
        if worker == self.worker:
            found = self.cancel_own(request)
        else:
            found = await self.peers.cancel(worker, request)
        if not found:
            self.counters.count("cancels_unknown")

    def tell_load(self) -> None:
        """Let the other workers know how many clients this one has."""
        self.peers.load(self.clients)

    @property
    def clients(self) -> int:
        """Clients here, those that are signing in included."""
        return self.pending_logins + len(self.sessions)

    @property
    def has_more_to_do(self) -> bool:
        """Whether another worker should have the next client."""
        return self.peers.has_less_to_do(self.clients)


class Listener:
    """Accepts clients of one gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self) -> asyncio.Protocol:
        """A new client: its bytes wait in an intake while a task logs it in."""
        intake = Intake()
        self._gate.pending_logins += 1
        self._gate.tell_load()
        task = asyncio.get_running_loop().create_task(self._admit(intake))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return intake

    async def _admit(self, intake: Intake) -> None:
        gate = self._gate
        try:
            async with asyncio.timeout(gate.login_seconds):
                await asyncio.sleep(0)  # the transport is known in the next iteration
                await self._login(intake)
        except (LockgateError, ConnectionError, TimeoutError, ssl.SSLError, OSError) as error:
            gate.counters.count("logins_failed")
            if intake.transport is not None and not intake.transport.is_closing():
                known = (
                    error
                    if isinstance(error, LockgateError | ConnectionError | TimeoutError)
                    else ConnectionError("TLS failed")
                )
                intake.transport.write(rejected(known))
                intake.transport.close()
        finally:
            gate.pending_logins -= 1
            gate.tell_load()

    async def _login(self, intake: Intake) -> None:
        gate = self._gate
        message = await read_startup(intake, gate.tls)
        if intake.transport is None:
            raise ConnectionResetError
        if isinstance(message, CancelRequest):
            await gate.cancel(message)
            intake.transport.close()  # only now: who waits for this knows that the request was taken
            return
        peer = intake.transport.get_extra_info("peername") or ("local", 0)
        address = str(peer[0]) if isinstance(peer, tuple) else "local"
        encrypted = intake.transport.get_extra_info("ssl_object") is not None
        startup = replication.meant(gate.databases, read_parameters(message, encrypted=encrypted))
        if gate.draining or len(gate.sessions) >= gate.links_max:
            raise _full("the gate is stopping" if gate.draining else "the gate has as many sessions as it may have")
        if not encrypted and not (gate.cleartext_on_loopback and address in LOOPBACK):
            raise _cleartext()
        try:
            database = gate.databases.get(startup.database)
            identity = self._by_certificate(intake.transport, startup)
            if identity is None:
                identity = gate.authenticate(await read_password(intake), startup.user, startup.database)
            if database is None:
                raise _UnknownDatabaseError("3D000", "this gate has no database of that name")
        except (CredentialRejectedError, _UnknownDatabaseError) as error:
            gate.committer.append({"kind": "session", "event": "rejected", "principal": startup.user[:128], "client": address,
                                   "database": startup.database[:128], "reason": getattr(error, "reason", "credential")})  # fmt: skip
            raise
        await self._begin(intake, startup, identity, database, address)

    def _by_certificate(self, transport: RawTransport, startup: Startup) -> Identity | None:
        secured = transport.get_extra_info("ssl_object")
        certificate = peer_certificate(secured) if secured is not None else None
        return None if certificate is None else self._gate.identify(certificate, startup)

    async def _begin(
        self, intake: Intake, startup: Startup, identity: Identity, database: Database, address: str
    ) -> None:
        gate = self._gate
        if not database.is_known:
            try:
                await database.refresh()
            except (LockgateError, OSError, TimeoutError) as error:
                raise _unreachable() from error
        decision = gate.may_connect(identity, database, address)
        if decision.effect is not Effect.PERMIT:
            gate.committer.append({"kind": "session", "event": "denied", "principal": identity.principal.name, "client": address,
                                   "database": startup.database, "rules": [r.rule for r in decision.reasons]})  # fmt: skip
            raise _denied(decision)
        session_id = secrets.token_hex(6)
        refused = await gate.peers.admit(session_id, identity.principal.name)
        if refused:
            gate.committer.append({"kind": "session", "event": "denied", "principal": identity.principal.name, "client": address,
                                   "database": startup.database, "rules": ["links_max"]})  # fmt: skip
            raise _full(refused)
        try:
            await self._open(intake, startup, identity, database, (address, session_id))
        except BaseException:
            gate.peers.left(session_id)
            raise

    async def _open(
        self, intake: Intake, startup: Startup, identity: Identity, database: Database, known: tuple[str, str]
    ) -> None:
        """The session of an admitted client, known by its address and the session's id."""
        gate, (address, session_id) = self._gate, known
        conversation = (ReplicationConversation if startup.replication else Conversation)(
            identity=identity, surroundings=database, recorder=gate.committer, clock=gate.clock, counters=gate.counters, holds=gate.holds,
            session_id=session_id, client_address=address, reported=_reported(database, startup), body_bytes_max=BACKEND_BODY_BYTES_MAX,
            cache=gate.cache, together=gate.together,
        )  # fmt: skip
        if isinstance(conversation, ReplicationConversation):
            refused = await replication.refusal(gate.databases, startup, database, conversation)
            if refused:
                gate.committer.append({"kind": "session", "event": "denied", "principal": identity.principal.name, "client": address,
                                       "database": startup.database, "rules": ["replication"]})  # fmt: skip
                raise _LoginError("42501", refused)
        await self._durable(conversation.evidence.opened())
        if intake.transport is None or intake.transport.is_closing():
            raise ConnectionResetError
        frames = FrameReader(body_bytes_max=gate.statement_bytes_max, limits=tags.FRONTEND_LIMITS, known=tags.FRONTEND)

        pid, key = gate.new_key(startup.minor)

        async def opened() -> tuple[Opened, Target, str] | Failed:
            if startup.replication:
                found = await replication.open_link(database, startup, session_id)
            else:
                found = await open_session_backend(database, conversation, startup, session_id)
            if not isinstance(found, Failed):
                database.knows(found[0].process_id, pid)
            return found

        def ended(_: SessionLink) -> None:
            gate.sessions.pop(pid, None)
            gate.keys.pop(pid, None)
            gate.peers.left(session_id)
            gate.tell_load()

        link = SessionLink(
            conversation=conversation, database=database, committer=gate.committer, frames=frames,
            open_backend=opened,
            wait_for_hold=gate.wait_for_hold, on_end=ended,
        )  # fmt: skip
        gate.sessions[pid], gate.keys[pid] = link, key
        transport = intake.transport
        transport.write(_greeting(startup, conversation.reported, pid, key))
        frames.feed(bytes(intake.buffer))
        transport.set_protocol(link)
        transport.resume_reading()
        link.begin(transport)
        _end_with_credential(link, identity, gate)

    async def _durable(self, index: int) -> None:
        """A session begins when its entry is on disk; how many turns of the loop that takes is the committer's affair."""
        committer = self._gate.committer
        while index >= committer.durable:
            told: asyncio.Future[CommitResult] = asyncio.get_running_loop().create_future()

            def tell(result: CommitResult, told: asyncio.Future[CommitResult] = told) -> None:
                if not told.done():
                    told.set_result(result)

            committer.wait(tell)
            try:
                result = await told
            finally:
                committer.unsubscribe(tell)
            if index in result.failed:
                raise _ledger_unavailable()
            index = result.moved.get(index, index)

    async def close(self) -> None:
        """End logins in progress."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _end_with_credential(link: SessionLink, identity: Identity, gate: Gate) -> None:
    """A session does not outlive the credential that opened it."""
    seconds = (identity.expires_at - gate.clock.now()).total_seconds()
    asyncio.get_running_loop().call_later(max(0.0, seconds), link.expire)


class _LoginError(ClientProtocolError):
    """A login that fails for a reason the client may know."""

    def __init__(self, sqlstate: str, sentence: str) -> None:
        self.sqlstate = sqlstate
        super().__init__(sentence)


class _UnknownDatabaseError(_LoginError):
    """Somebody whose credential is good asks for a database that is not here."""

    reason = "unknown-database"


def _full(sentence: str) -> LockgateError:
    return _LoginError("53300", sentence)


def _cleartext() -> LockgateError:
    return _LoginError("28000", "this gate takes credentials over TLS only; connect with sslmode=require")


def _unreachable() -> LockgateError:
    return _LoginError("57P03", "the database behind the gate cannot be reached now")


def _ledger_unavailable() -> LockgateError:
    return _LoginError("58030", "the ledger cannot write, so no session may begin")


def _denied(decision: Decision) -> LockgateError:
    reason = decision.reasons[0]
    return _LoginError("42501", f"{reason.sentence} (rule={reason.rule})")


def _reported(database: Database, startup: Startup) -> dict[str, str]:
    """What the client is told at login, from what the database reported last, with the client's own wishes over it."""
    reported = {
        k: v
        for k, v in database.parameters.items()
        if k not in ("application_name", "is_superuser", "session_authorization")
    }
    for name, value in startup.parameters.items():
        known = next((k for k in reported if k.lower() == name.lower()), None)
        if known is not None and known not in ("server_version", "DateStyle", "client_encoding"):
            reported[known] = value
    reported["application_name"] = startup.parameters.get("application_name", "")
    reported["client_encoding"] = "UTF8"
    reported["is_superuser"] = "off"
    reported["session_authorization"] = startup.user
    return reported


def _greeting(startup: Startup, reported: Mapping[str, str], pid: int, key: bytes) -> bytes:
    parts = []
    if startup.minor > 2 or startup.unsupported:
        parts.append(be.NegotiateProtocolVersion(196608 + min(startup.minor, 2), startup.unsupported).encode())
    parts.append(be.AuthenticationOk().encode())
    parts += [be.ParameterStatus(name, value).encode() for name, value in reported.items()]
    parts.append(be.BackendKeyData(pid, key).encode())
    parts.append(be.ReadyForQuery("I").encode())
    return b"".join(parts)


async def open_session_backend(
    database: Database, conversation: Conversation, startup: Startup, session_id: str
) -> tuple[Opened, Target, str] | Failed:
    """Open the session's backend link with the role that fits what the principal may see, and check that role."""
    masked = not conversation.clearance.complete
    target = database.roles.masked if masked else database.roles.clear
    parameters = {
        k: v for k, v in startup.parameters.items() if k.lower() not in ("application_name", "client_encoding")
    }
    parameters["application_name"] = (application_prefix(session_id) + startup.parameters.get("application_name", ""))[
        :63
    ]
    parameters["client_encoding"] = "UTF8"
    if masked:
        # An index-only scan over a masked column would return rows in the order of its real values (promise 5).
        parameters["enable_indexonlyscan"] = "off"
    try:
        client = await PgClient.open(target, parameters)
        row = (await client.query(ROLE_QUERY))[0]
    except ServerRejectedError as error:
        return Failed(error.sqlstate, f"the database refused the session: {error.sqlstate}", reason="backend-refused")
    except (BackendProtocolError, OSError, TimeoutError):
        return Failed("57P03", "the database behind the gate cannot be reached now", reason="backend-unreachable")
    path, superuser, bypass, replication, powerful = [(c or b"").decode() for c in row]
    if "t" in (superuser, bypass, replication, powerful) and (masked or not database.roles.unsafe_superuser):
        client.close()
        return Failed(
            "42501", "the session role of this database may do more than a gate can contain (superuser, BYPASSRLS, replication, "
            "server files, statistics or signals)", "Use a role without these rights, as `lockgate init --create-roles` makes it.",
            reason="unsafe-role",
        )  # fmt: skip
    return client.release(), target, path
