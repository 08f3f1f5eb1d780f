"""The server's own log, read through the server: who logged in (`log_connections`), and what pgaudit says of statements.

For: names and numbers beside the counters of `database_counts`, where the analysis role may read the log.
Not for: deciding (`control.completeness`). A server that logs neither as JSON nor as CSV, or does not let itself be read, is left out.
Source: PostgreSQL documentation 20.8 (log_destination, csvlog and jsonlog columns), 9.27 (pg_current_logfile, pg_read_binary_file);
pgaudit's README (lines begin with `AUDIT:`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

from lockgate.control.completeness import Logged
from lockgate.transport.pgclient import PgClient, ServerRejectedError

PIECE_BYTES = 1 << 20
PIECES_MAX = 16
"""So many pieces are read in one reading; the rest waits for the next."""
_LOGIN, _AUDIT = "connection authorized:", "AUDIT:"
_FORMATS = ("jsonlog", "csvlog")
_USER, _DATABASE, _MESSAGE = 1, 2, 13


async def read_log(client: PgClient, database: str, name: str, position: int) -> Logged | None:
    """What was logged behind a position; the first time, with no name, only where the log ends now. None when it cannot be read.

    Args:
        client: a link of a role that may execute `pg_current_logfile`, `pg_stat_file` and `pg_read_binary_file`.
        database: lines about others are left out.
    """
    try:
        found = await _current(client)
        if found is None:
            return None
        kind, current = found
        if not name:
            return Logged(current, await _size(client, current))
        logged = Logged(name, position)
        await _read(client, kind, database, logged)
        if name != current and logged.position >= await _size(client, name):
            logged.name, logged.position = current, 0
            await _read(client, kind, database, logged)
    except ServerRejectedError:
        return None
    return logged


async def _current(client: PgClient) -> tuple[str, str] | None:
    for kind in _FORMATS:
        try:
            rows = await client.query(f"SELECT pg_catalog.pg_current_logfile('{kind}')")
        except ServerRejectedError:
            continue  # a server before 15 knows no jsonlog
        if rows and rows[0][0]:
            return kind, rows[0][0].decode("utf-8", "replace")
    return None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


async def _size(client: PgClient, name: str) -> int:
    rows = await client.query(f"SELECT (pg_catalog.pg_stat_file({_quoted(name)}, true)).size")
    return int(rows[0][0] or b"0") if rows else 0


async def _read(client: PgClient, kind: str, database: str, logged: Logged) -> None:
    """Read on to the end of the file, or as far as one reading goes; a record that is not whole yet waits."""
    for _ in range(PIECES_MAX):
        place = f"{_quoted(logged.name)}, {logged.position:d}, {PIECE_BYTES:d}, true"
        rows = await client.query(f"SELECT pg_catalog.encode(pg_catalog.pg_read_binary_file({place}), 'hex')")
        stored = bytes.fromhex((rows[0][0] or b"").decode()) if rows else b""
        whole = len(stored) if kind == "jsonlog" else _whole_rows(stored)
        whole = stored.rfind(b"\n", 0, whole) + 1
        if not whole and len(stored) == PIECE_BYTES:
            whole = PIECE_BYTES  # one record as long as that is passed over
        for user, of, message in _records(kind, stored[:whole].decode("utf-8", "replace")):
            if of == database:
                logged.logins[user] += message.startswith(_LOGIN)
                logged.audited[user] += message.startswith(_AUDIT)
        logged.position += whole
        if len(stored) < PIECE_BYTES or not whole:
            return


def _whole_rows(stored: bytes) -> int:
    """Where the last row of CSV ends: at a line's end outside of quotes."""
    end, odd = len(stored), stored.count(b'"') % 2
    while (before := stored.rfind(b"\n", 0, end)) >= 0:
        odd ^= stored.count(b'"', before, end) % 2
        end = before
        if not odd:
            return end + 1
    return 0


def _records(kind: str, text: str) -> Iterator[tuple[str, str, str]]:
    """User, database and message of each record; what cannot be read is passed over."""
    if kind == "csvlog":
        for row in csv.reader(io.StringIO(text)):
            if len(row) > _MESSAGE:
                yield row[_USER], row[_DATABASE], row[_MESSAGE]
        return
    for line in text.splitlines():
        try:
            fact = json.loads(line)
        except ValueError:
            continue
        if isinstance(fact, dict):
            yield str(fact.get("user", "")), str(fact.get("dbname", "")), str(fact.get("message", ""))
