"""`lockgate explain` put together: settings, documents and a database for one question.

Not for: the explanation itself (`control.explaining`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from datetime import timedelta
from typing import Any, TypeVar

from lockgate.app import make_database, read_documents
from lockgate.config.settings import Settings
from lockgate.control.explaining import explain
from lockgate.errors import ConfigError, InvariantError, LockgateError
from lockgate.model.identity import Identity, Principal, PrincipalKind
from lockgate.session.wishes import Analyse, Estimate, FreshCatalog, Substitute, Wish
from lockgate.transport.clock import RealClock, utc_now
from lockgate.transport.database import Database

T = TypeVar("T")
_VALID = timedelta(minutes=5)


def explained(
    settings: Settings, text: str, *, principal: str, on_behalf_of: str, database: str, purpose: str
) -> dict[str, object]:
    """What would happen to a text that a principal sends.

    Raises:
        ConfigError: the principal or the database is not known, or the database cannot be reached.
    """
    documents = read_documents(settings)
    chosen = (
        settings.database(database) if database else settings.databases[0] if len(settings.databases) == 1 else None
    )
    if chosen is None:
        names = ", ".join(d.name for d in settings.databases)
        raise ConfigError(f"--database: name one of {names}")
    identity = Identity(
        principal=_known(documents.principals, principal, "--as"),
        on_behalf_of=_person(documents.principals, on_behalf_of) if on_behalf_of else None,
        token_id="",
        expires_at=utc_now() + _VALID,
        purpose=purpose or None,
    )
    source = make_database(settings, chosen, lambda: documents)
    try:
        told = asyncio.run(_ask(source, text, identity))
    except (LockgateError, OSError, TimeoutError) as error:
        raise ConfigError(
            f"{chosen.name}: the database cannot be asked: {str(error) or type(error).__name__}"
        ) from error
    return {**told, "policy": documents.policies.revision}


def _known(principals: dict[str, Principal], name: str, option: str) -> Principal:
    found = principals.get(name)
    if found is None or found.disabled:
        raise ConfigError(f"{option}: `{name}` is not a principal of this gate" + (", or is disabled" if found else ""))
    return found


def _person(principals: dict[str, Principal], name: str) -> Principal:
    found = _known(principals, name, "--on-behalf-of")
    if found.kind is not PrincipalKind.PERSON:
        raise ConfigError(f"--on-behalf-of: `{name}` is not a person")
    return found


async def _ask(source: Database, text: str, identity: Identity) -> dict[str, object]:
    try:
        await source.refresh()
        path = await source.search_path()
        return await _drive(
            explain(text, identity=identity, surroundings=source, clock=RealClock(), search_path=path), source
        )
    finally:
        source.close()


async def _drive(steps: Generator[Wish, Any, T], source: Database) -> T:
    answer: object = None
    while True:
        try:
            wish = steps.send(answer)
        except StopIteration as done:
            found: T = done.value
            return found
        answer = await _answered(wish, source)


async def _answered(wish: Wish, source: Database) -> object:
    if isinstance(wish, Analyse):
        return await source.analyse(wish)
    if isinstance(wish, FreshCatalog):
        return await source.refresh()
    if isinstance(wish, Estimate):
        return await source.estimate(wish.text)
    if isinstance(wish, Substitute):
        return await source.substitute(wish)
    raise InvariantError("an explanation asked for more than an analysis")
