"""Where the gate logs in, and where it listens, as the settings say.

For: `Application`, the parent of several workers, and commands that ask a database themselves.
Not for: logging in (`transport.pgclient`).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from lockgate.config.settings import Address, DatabaseSettings, Settings
from lockgate.errors import ConfigError
from lockgate.transport.logins import Place
from lockgate.transport.pgclient import Target
from lockgate.transport.server import listening


def target(database: DatabaseSettings, role: str, password: str) -> Target:
    """How the gate logs in to a database with one of its roles."""
    return Target(database.host, database.port, database.dbname, role, password, database.sslmode,
                  str(database.sslrootcert) if database.sslrootcert else None)  # fmt: skip


def analysis_targets(settings: Settings) -> dict[str, Target]:
    """How the gate logs in to each database, by its name, to ask and not to run anything."""
    return {d.name: analysis_target(d) for d in settings.databases}


def analysis_target(database: DatabaseSettings) -> Target:
    """How the gate logs in to one of them for that."""
    password = database.analysis_password
    return target(database, database.analysis_role, password.reveal() if password else "")


def login_places(settings: Settings) -> list[Place]:
    """The servers and databases in which the gate logs in."""
    return list(dict.fromkeys((d.host, d.port, d.dbname) for d in settings.databases))


async def listening_at(address: Address) -> list[socket.socket]:
    """Sockets that listen there.

    Raises:
        ConfigError: that is not possible.
    """
    try:
        return await listening(address.host, address.port)
    except OSError as error:
        raise ConfigError(f"--listen: {address} cannot be listened on: {error.strerror}") from error


def shown(sockets: Sequence[socket.socket]) -> str:
    """The address of the first of the sockets, as people write it."""
    host, port = sockets[0].getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
