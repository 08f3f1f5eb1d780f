"""Questions of an operator's command about a database: put to the gate that runs, or asked alone where none does.

For: `lockgate explain`, `lockgate catalog refresh` and `lockgate catalog functions`. A gate counts its own logins and tells those of others from them, so a command that
logged in beside it would look as if somebody went past the gate; and only the gate knows what it holds at this moment.
Not for: how questions are answered (`explaining`, `vouching`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

from lockgate.app import first_catalog, make_database, read_documents
from lockgate.app.explaining import answer, named, unreachable
from lockgate.app.places import analysis_target
from lockgate.app.vouching import read_functions
from lockgate.config.settings import DatabaseSettings, Settings
from lockgate.errors import ConfigError, GateUnreachableError, LockgateError
from lockgate.transport.control_socket import ask_gate

SECONDS = 60.0


def explained(settings: Settings, question: Mapping[str, object]) -> dict[str, object]:
    """What would happen to a statement (`explaining.answer`).

    Raises:
        ConfigError: the principal or the database is not known, or the database cannot be reached.
    """
    told = _of_gate(settings, {"op": "explain", **question})
    return cast("dict[str, object]", told) if told is not None else asyncio.run(_explained_alone(settings, question))


def fresh_section(settings: Settings, database: DatabaseSettings) -> str:
    """A database's section of the catalog file, read anew (`first_catalog.fresh_section`).

    Raises:
        ConfigError: the database cannot be asked.
    """
    told = _of_gate(settings, {"op": "catalog-section", "database": database.name})
    if told is not None:
        return str(told)
    try:
        return asyncio.run(first_catalog.fresh_section(settings, database))
    except (LockgateError, OSError, TimeoutError) as error:
        raise unreachable(database.name, error) from error


def functions_to_vouch_for(settings: Settings, database: DatabaseSettings) -> list[tuple[str, str]]:
    """The line and the language of every function of users and extensions.

    Raises:
        ConfigError: the database cannot be asked.
    """
    told = _of_gate(settings, {"op": "functions", "database": database.name})
    if told is not None:
        return [(str(line), str(language)) for line, language in cast("list[list[object]]", told)]
    try:
        return asyncio.run(read_functions(analysis_target(database)))
    except (LockgateError, OSError, TimeoutError) as error:
        raise unreachable(database.name, error) from error


def compared(settings: Settings) -> list[dict[str, object]]:
    """What went past the gate by now; nothing when no gate runs that compares."""
    if not settings.analysis.completeness_seconds:
        return []
    return cast("list[dict[str, object]]", _of_gate(settings, {"op": "completeness"}) or [])


def reload(settings: Settings) -> bool | None:
    """Have the running gate take over edited files at once: whether all its workers did, None when no gate runs."""
    told = _of_gate(settings, {"op": "reload"})
    return all(told.values()) if isinstance(told, dict) else None


def is_running(settings: Settings) -> bool:
    """Whether a gate answers on the control socket of these settings."""
    try:
        return settings.gateway.control_socket.exists() and bool(
            ask_gate(settings.gateway.control_socket, {"op": "worker-list"})
        )
    except GateUnreachableError:
        return False


def _of_gate(settings: Settings, question: Mapping[str, object]) -> object:
    """The running gate's answer; None when no gate runs, or none that we may ask."""
    place = settings.gateway.control_socket
    if not place.exists():
        return None
    try:
        answered = ask_gate(place, question, seconds=SECONDS)
    except GateUnreachableError:
        return None
    if not answered.get("ok"):
        raise ConfigError(str(answered.get("message")))
    return answered["result"]


async def _explained_alone(settings: Settings, question: Mapping[str, object]) -> dict[str, object]:
    documents = read_documents(settings)
    name = named(str(question["database"]), tuple(d.name for d in settings.databases))
    chosen = next(d for d in settings.databases if d.name == name)
    source = make_database(settings, chosen, lambda: documents)
    try:
        return await answer({**question, "database": name}, documents, {name: source})
    finally:
        source.close()
