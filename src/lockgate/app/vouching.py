"""Functions that an administrator vouches for: the file of their lines, and what there is to vouch for.

For: `lockgate catalog functions`, and the lines that a database's catalog is built with.
Not for: what a vouched function means (`sql.functions`).
"""

from __future__ import annotations

from pathlib import Path

from lockgate.errors import ConfigError
from lockgate.sql.functions import FIRST_USER_OID
from lockgate.transport.catalog_queries import FUNCTIONS, vouch_line
from lockgate.transport.pgclient import PgClient, Target


def vouched_lines(path: Path | None) -> frozenset[str]:
    """The lines of a file of vouched functions; a file that is not there vouches for nothing.

    Raises:
        ConfigError: the file cannot be read.
    """
    if path is None or not path.exists():
        return frozenset()
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"vouched: {path} cannot be read: {type(error).__name__}") from error
    return frozenset(line.split("#")[0].strip() for line in text.splitlines()) - {""}


async def read_functions(role: Target) -> list[tuple[str, str]]:
    """The line and the language of every function of users and extensions.

    Raises:
        LockgateError, OSError, TimeoutError: the database cannot be asked.
    """
    client = await PgClient.open(role, {"application_name": "lockgate functions"})
    try:
        found = await client.query(f"{FUNCTIONS} WHERE p.oid >= {FIRST_USER_OID} AND p.prokind = 'f' ORDER BY 2, 3, 1")
    finally:
        client.close()
    rows = [[(cell or b"").decode() for cell in row] for row in found]
    return [(vouch_line(row), row[3]) for row in rows]
