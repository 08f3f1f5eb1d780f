"""What a database says of itself: how many logins and statements it counted, and who is there.

For: readings for `control.completeness`, each over a login of its own that the database must count.
Not for: judging them. What the analysis role may not see is left out.
Source: PostgreSQL documentation 27.2.17 (pg_stat_database), 27.2.3 (pg_stat_activity), F.32 (pg_stat_statements).
"""

from __future__ import annotations

from collections.abc import Callable

from lockgate.control.completeness import Counted
from lockgate.transport.logins import OWN_LOGINS, Counts, Place
from lockgate.transport.pgclient import PgClient, ServerRejectedError, Target
from lockgate.transport.server_log import read_log

# A server that was stopped in order goes on counting where it was. One that crashed begins anew: then it sets the time of the archiver's
# statistics, which hardly anybody resets by hand, and from PostgreSQL 15 on none for a database.
_SESSIONS = (
    "SELECT d.sessions, coalesce(d.stats_reset::text, '') || ' ' || coalesce(a.stats_reset::text, '')"
    " FROM pg_catalog.pg_stat_database d, pg_catalog.pg_stat_archiver a WHERE d.datname = pg_catalog.current_database()"
)
_PRESENT = (
    "SELECT a.usename, count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datname = pg_catalog.current_database()"
    " AND a.usename IS NOT NULL AND coalesce(a.backend_type, 'client backend') = 'client backend' GROUP BY 1"
)
_STATEMENTS_SCHEMA = (
    "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"
    " WHERE e.extname = 'pg_stat_statements'"
)
_CALLS = (
    "SELECT coalesce(r.rolname, s.userid::text), sum(s.calls)::bigint FROM {schema}.pg_stat_statements s"
    " LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.userid"
    " JOIN pg_catalog.pg_database d ON d.oid = s.dbid AND d.datname = pg_catalog.current_database()"
    " WHERE s.toplevel GROUP BY 1"
)


async def read_counts(
    target: Target,
    *,
    own_roles: frozenset[str],
    log: tuple[str, int] = ("", 0),
    own: Callable[[Place], Counts] = OWN_LOGINS.counts,
) -> Counted:
    """One reading over a fresh login.

    Args:
        log: the server's log that was read last, and how far.
        own: the gate's own logins to a place, asked after the database.

    Raises:
        LockgateError, OSError, TimeoutError: the database cannot be reached.
    """
    client = await PgClient.open(target, {"application_name": "lockgate completeness", "statement_timeout": "5000"})
    try:
        exact = await _flushed(client)
        sessions, since = await _sessions(client)
        present = {_text(row[0]): int(row[1] or b"0") for row in await client.query(_PRESENT)}
        calls = await _calls(client)
        logged = await read_log(client, target.dbname, *log)
    finally:
        client.close()
    known = own((target.host, target.port, target.dbname))
    return Counted(
        sessions, since, own=known.completed, uncertain=known.uncertain, pending=known.pending, calls=calls,
        present={role: count for role, count in present.items() if role not in own_roles}, exact=exact, logged=logged,
    )  # fmt: skip


async def _flushed(client: PgClient) -> bool:
    """Whether the server was told to count what it knows of this link at once; it can be from PostgreSQL 15 on."""
    try:
        await client.query("SELECT pg_catalog.pg_stat_force_next_flush()")
    except ServerRejectedError:
        return False
    return True


async def _sessions(client: PgClient) -> tuple[int | None, str]:
    """Logins counted so far; None before PostgreSQL 14, which does not count them."""
    try:
        row = (await client.query(_SESSIONS))[0]
    except ServerRejectedError:
        return None, ""
    return int(row[0] or b"0"), _text(row[1])


async def _calls(client: PgClient) -> dict[str, int] | None:
    """Executions by role; None when the extension is not there, not loaded, or not to be read."""
    try:
        schema = await client.query(_STATEMENTS_SCHEMA)
        if not schema:
            return None
        rows = await client.query(_CALLS.format(schema=_text(schema[0][0])))
    except ServerRejectedError:
        return None
    return {_text(row[0]): int(row[1] or b"0") for row in rows}


def _text(cell: bytes | None) -> str:
    return (cell or b"").decode("utf-8", "replace")
