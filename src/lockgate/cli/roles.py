"""The database roles a gate needs, as SQL.

For: one role for sessions that see masks, one for sessions that see everything, one for analysis that may read no data at all.
Not for: applying it (`init`).
Source: architecture section 3, step 3; masking.md 1.2; RFC 5802 (SCRAM verifiers).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from lockgate.transport.pgclient import PgClient
from lockgate.wire.postgres.scram import saslprep

ITERATIONS = 4096
SET_CAN_BE_GRANTED = 150000
"""First version of the server in which a role may be allowed to change a superuser's setting."""


@dataclass(frozen=True)
class RoleNames:
    """Names of the three roles; fresh ones carry a random part, so that two gates never share or break each other's."""

    masked: str
    clear: str
    analysis: str
    made: tuple[str, ...]

    @classmethod
    def fresh(cls, database: str, *, existing: str | None) -> RoleNames:
        """New names, with `existing` for both kinds of session when given."""
        stem = "lockgate_" + re.sub(r"[^a-z0-9_]", "_", database.lower())[:30] + "_" + secrets.token_hex(3)
        if existing:
            return cls(existing, existing, f"{stem}_analysis", (f"{stem}_analysis",))
        masked, clear, analysis = f"{stem}_masked", f"{stem}_clear", f"{stem}_analysis"
        return cls(masked, clear, analysis, (masked, clear, analysis))


def verifier(password: str) -> str:
    """A SCRAM-SHA-256 verifier, so that no password stands in SQL or in a server's log (PostgreSQL documentation, 20.5)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password), salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client_key).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [base64.b64encode(b).decode() for b in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"


def quoted(name: str) -> str:
    """An identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


async def role_statements(
    client: PgClient, names: RoleNames, passwords: Mapping[str, str], *, environment: str
) -> list[str]:
    """The SQL that makes the roles: LOGIN and nothing else, rights on tables for sessions, USAGE only for analysis."""
    rows = await client.query(
        "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1"
    )
    schemas = [(r[0] or b"").decode() for r in rows]
    facts = (await client.query("SELECT current_database(), rolsuper, current_setting('server_version_num')::int FROM pg_catalog.pg_roles"
                                " WHERE rolname = current_user"))[0]  # fmt: skip
    database, superuser = (facts[0] or b"").decode(), facts[1] == b"t"
    plain = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"
    if superuser:
        plain += " NOBYPASSRLS"
    sql = [f"CREATE ROLE {quoted(name)} {plain} PASSWORD '{verifier(passwords[name])}'" for name in names.made]
    everyone = ", ".join(quoted(name) for name in dict.fromkeys((names.masked, names.clear, names.analysis)))
    sql.append(f"GRANT CONNECT ON DATABASE {quoted(database)} TO {everyone}")
    sessions = [name for name in (names.masked, names.clear) if name in names.made]
    for schema in schemas:
        sql.append(f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {everyone}")
        if sessions:
            sql += _session_rights(
                schema, ", ".join(quoted(s) for s in sessions), names, environment, superuser=superuser
            )
    if superuser:
        # The analysed tree arrives as a LOG notice; without this the server would also write it, text included, into its own log.
        sql.append(f"ALTER ROLE {quoted(names.analysis)} SET log_min_messages = 'fatal'")
        sql.append(f"ALTER ROLE {quoted(names.analysis)} SET log_min_error_statement = 'panic'")
        sql.append(f"ALTER ROLE {quoted(names.analysis)} SET log_statement = 'none'")
    if superuser and names.masked in names.made and int(facts[2] or b"0") >= SET_CAN_BE_GRANTED:
        # So that what only a masked session sees can be analysed on its own link and stay out of the log; its clients may not set it.
        sql.append(f"GRANT SET ON PARAMETER log_min_messages TO {quoted(names.masked)}")
    return sql


def _session_rights(schema: str, sessions: str, names: RoleNames, environment: str, *, superuser: bool) -> list[str]:
    place = quoted(schema)
    rights = [
        f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA {place} TO {sessions}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {place} TO {sessions}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {place} GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLES TO {sessions}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {place} GRANT USAGE, SELECT ON SEQUENCES TO {sessions}",
    ]
    if superuser:
        # What is made through the gate can be read through the gate.
        made = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLES"
        by = f"{quoted(names.masked)}, {quoted(names.clear)}"
        rights.append(f"ALTER DEFAULT PRIVILEGES FOR ROLE {by} IN SCHEMA {place} GRANT {made} TO {sessions}")
    makers = sessions if environment == "development" else quoted(names.clear)
    rights.append(f"GRANT CREATE ON SCHEMA {place} TO {makers}")
    return rights
