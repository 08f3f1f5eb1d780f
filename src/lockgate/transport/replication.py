"""Replication connections: which database one is for, whether it may be, and the link that carries it.

For: what the listener does differently for a client that asks for `replication`.
Not for: its commands (`session.replication`).
Invariant: a physical connection reads every database of its server, so each of them must be one of the gate's, or there is none.
Source: PostgreSQL documentation, 55.4 (Streaming Replication Protocol).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lockgate.errors import BackendProtocolError, ClientProtocolError, LockgateError
from lockgate.session.replication import ReplicationConversation
from lockgate.session.texts import application_prefix
from lockgate.session.wishes import Failed
from lockgate.transport.database import Database
from lockgate.transport.login import Startup
from lockgate.transport.pgclient import Opened, PgClient, ServerRejectedError, Target

PATH_QUERY = "SELECT pg_catalog.current_setting('search_path')"
DATABASES_QUERY = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate"
UNREACHABLE = Failed("57P03", "the database behind the gate cannot be reached now", reason="backend-unreachable")


def meant(databases: Mapping[str, Database], startup: Startup) -> Startup:
    """What the client asked for; a physical connection need not name a database, and clients of old cannot.

    Then the gate's only server that has a role for replication is meant.

    Raises:
        ClientProtocolError: there are no replication connections at this gate.
    """
    if not startup.replication:
        return startup
    able = sorted(name for name, database in databases.items() if database.roles.replication is not None)
    if not able:
        raise ClientProtocolError("replication connections are refused: no database here has a `replication_role`")
    if startup.replication != "physical" or startup.database in databases:
        return startup
    servers = {_server(databases[name]) for name in able}
    return replace(startup, database=able[0]) if len(servers) == 1 else startup


async def refusal(
    databases: Mapping[str, Database], startup: Startup, database: Database, conversation: ReplicationConversation
) -> str:
    """Why a replication connection may not begin; empty where it may."""
    physical = startup.replication == "physical"
    if database.roles.replication is None:
        return "replication connections are refused: this database has no `replication_role`"
    beside = [d for d in databases.values() if _server(d) == _server(database)]
    if physical:
        try:
            for one in beside:
                if not one.is_known:
                    await one.refresh()
            present = await _present(database)
        except (LockgateError, OSError, TimeoutError):
            return (
                "what else is on that server cannot be asked now, and a physical replication connection reads all of it"
            )
        if not present <= {one.roles.masked.dbname for one in beside}:
            return "a physical replication connection reads the whole server, and a database there is not one of the gate's"
    conversation.on_server(lambda: [d for d in beside if d is not database], physical=physical)
    return conversation.must_end()


async def open_link(database: Database, startup: Startup, session_id: str) -> tuple[Opened, Target, str] | Failed:
    """Open the connection's link to the database, as the role for replication."""
    target = database.roles.replication
    if target is None:
        return UNREACHABLE
    logical = startup.replication == "logical"
    given = {k: v for k, v in startup.parameters.items() if k.lower() not in ("application_name", "client_encoding")}
    name = application_prefix(session_id) + startup.parameters.get("application_name", "")
    given |= {
        "replication": "database" if logical else "true", "application_name": name[:63], "client_encoding": "UTF8",
    }  # fmt: skip
    try:
        client = await PgClient.open(target, given)
        path = (await client.query(PATH_QUERY))[0][0] if logical else b""
    except ServerRejectedError as error:
        return Failed(error.sqlstate, f"the database refused the session: {error.sqlstate}", reason="backend-refused")
    except (BackendProtocolError, OSError, TimeoutError):
        return UNREACHABLE
    return client.release(), target, (path or b"").decode()


def _server(database: Database) -> tuple[str, int]:
    return database.roles.masked.host, database.roles.masked.port


async def _present(database: Database) -> set[str]:
    client = await PgClient.open(database.roles.analysis, {"application_name": "lockgate databases"})
    try:
        return {(row[0] or b"").decode() for row in await client.query(DATABASES_QUERY)}
    finally:
        client.close()
