"""Sentences, names and small tables of the conversation.

For: what a session says to people and sends as its own statements.
Not for: deciding.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from lockgate.model.statement import Kind, Parsed
from lockgate.wire.postgres import backend as be

ABORTED = "current transaction is aborted, commands ignored until end of transaction block"
SPOILER = "lockgate_refused_a_statement_of_this_transaction"
"""A text that no server accepts: it fails the backend's transaction when the client tries to commit a refused one."""
OWN_NAME = "lockgate_context"
OWN_COPY = "lockgate_copy"
OWN_PREFIX = "lockgate_"
"""Names of statements and portals that only the gate may use on a session's link."""
CONTEXT_QUERY = "SHOW search_path"
"""SHOW takes no snapshot, so asking does not fix what a REPEATABLE READ transaction will see."""

SET_CONFIG = "pg_catalog.set_config"
"""The function that does what SET does."""

ENDS_TRANSACTION = frozenset({"commit", "rollback", "rollback-to", "prepare-transaction"})

NEEDS_NAMES = frozenset({
    Kind.SELECT, Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.MERGE, Kind.COPY_OUT, Kind.COPY_IN, Kind.EXPLAIN, Kind.DECLARE,
    Kind.PREPARE, Kind.EXECUTE, Kind.CREATE_TABLE_AS, Kind.TRUNCATE, Kind.DROP, Kind.ALTER, Kind.CREATE, Kind.LOCK,
})  # fmt: skip

RENAMES = frozenset({Kind.PREPARE, Kind.DEALLOCATE, Kind.DISCARD, Kind.DECLARE, Kind.CLOSE})
"""Kinds after which a name of a prepared statement or cursor may mean another one; the gate follows once the server has said that they ran."""

CHANGES_CATALOG = frozenset({
    Kind.CREATE, Kind.ALTER, Kind.DROP, Kind.CREATE_TABLE_AS, Kind.CREATE_FUNCTION, Kind.GRANT, Kind.ROLE, Kind.DO, Kind.CALL,
    Kind.OTHER, Kind.COMMENT, Kind.DISCARD,
})  # fmt: skip

HOLD_ENDS = {
    "denied": ("42501", "the request for approval was denied"),
    "expired": ("42501", "nobody approved the request in time"),
    "cancelled": ("57014", "canceling statement due to user request while it was held"),
}


CONTENT_FOUND = (
    "a column that nobody labelled holds what looks sensitive; it is labelled now, so run the statement again"
)
ROWS_MAX = "the result has more than the {} rows that you may see of it; ask for fewer"
LARGE_ROW = (
    "a row of the result is larger than {} bytes, the most that can be masked at once; ask for parts of its values"
)
DRIFT = "the catalog changed between analysis and execution; run the statement again"


def held(request: str, expires: datetime) -> str:
    """The notice a client sees while its statement waits."""
    return f"lockgate: held for approval as request {request}, until {expires:%H:%M:%S} UTC; nothing has run yet"


def application_prefix(session_id: str) -> str:
    """What stands before every `application_name` on the backend."""
    return f"lg:{session_id} "


def renames(statements: Sequence[Parsed]) -> bool:
    """Whether `application_name` is set, which the gate never forwards as it came."""
    return any(s.kind is Kind.SET and s.name == "application_name" for s in statements)


def prefixed_application_name(statements: Sequence[Parsed], session_id: str) -> str | None:
    """The text to send instead of `SET application_name`, or None when the client's own text goes as it is."""
    if not renames(statements):
        return None
    parts = []
    for parsed in statements:
        if parsed.kind is Kind.SET and parsed.name == "application_name":
            value = (application_prefix(session_id) + parsed.value)[:63].replace("'", "''")
            scope = "LOCAL" if parsed.local else "SESSION"
            parts.append(f"SET {scope} application_name = '{value}'")
        else:
            parts.append(parsed.text)
    return ";".join(parts)


def ledger_unavailable() -> bytes:
    """The client's answer when evidence cannot be written."""
    return be.error(
        "58030", "lockgate: the ledger cannot write, so nothing may run", detail="rule=ledger-unavailable",
        hint="An administrator must free or repair the disk that holds the ledger; sessions recover by themselves.",
    )  # fmt: skip
