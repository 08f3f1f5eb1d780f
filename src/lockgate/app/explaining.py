"""What would happen to a statement, asked of the databases that a gate has.

For: the running gate (`answer`), and a process that asks alone because no gate runs (`app.asking`).
Not for: the explanation itself (`control.explaining`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from lockgate.app.documents import Documents
from lockgate.control.explaining import explain
from lockgate.errors import ConfigError, InvariantError, LockgateError
from lockgate.model.identity import Identity, Principal, PrincipalKind
from lockgate.session.wishes import Analyse, Estimate, FreshCatalog, Substitute, Wish
from lockgate.transport.clock import RealClock, utc_now
from lockgate.transport.database import Database

T = TypeVar("T")
Asked = Mapping[str, object]
_VALID = timedelta(minutes=5)


async def answer(asked: Asked, documents: Documents, databases: Mapping[str, Database]) -> dict[str, object]:
    """What would happen to the text `sql` that `principal` sends, `on_behalf_of` somebody or nobody, with a `purpose`.

    Raises:
        ConfigError: the principal or the database is not known, or the database cannot be reached.
        KeyError: something is missing in the question.
    """
    identity = _identity(asked, documents)
    name = named(str(asked["database"]), tuple(databases))
    try:
        told = await _ask(databases[name], str(asked["sql"]), identity)
    except (LockgateError, OSError, TimeoutError) as error:
        raise unreachable(name, error) from error
    return {**told, "policy": documents.policies.revision}


def named(wanted: str, names: tuple[str, ...]) -> str:
    """The database that is meant: the only one needs no name.

    Raises:
        ConfigError: there is none of this name, or several and none is named.
    """
    if not wanted and len(names) == 1:
        return names[0]
    if wanted not in names:
        raise ConfigError(f"--database: name one of {', '.join(names)}")
    return wanted


def unreachable(name: str, error: BaseException) -> ConfigError:
    """What is said of a database that does not answer."""
    return ConfigError(f"{name}: the database cannot be asked: {str(error) or type(error).__name__}")


def _identity(asked: Asked, documents: Documents) -> Identity:
    person, purpose = str(asked["on_behalf_of"]), str(asked["purpose"])
    return Identity(
        principal=_known(documents.principals, str(asked["principal"]), "--as"),
        on_behalf_of=_person(documents.principals, person) if person else None,
        token_id="",
        expires_at=utc_now() + _VALID,
        purpose=purpose or None,
    )


def _known(principals: Mapping[str, Principal], name: str, option: str) -> Principal:
    found = principals.get(name)
    if found is None or found.disabled:
        raise ConfigError(f"{option}: `{name}` is not a principal of this gate" + (", or is disabled" if found else ""))
    return found


def _person(principals: Mapping[str, Principal], name: str) -> Principal:
    found = _known(principals, name, "--on-behalf-of")
    if found.kind is not PrincipalKind.PERSON:
        raise ConfigError(f"--on-behalf-of: `{name}` is not a person")
    return found


async def _ask(source: Database, text: str, identity: Identity) -> dict[str, object]:
    await source.refresh()
    path = await source.search_path()
    return await _drive(
        explain(text, identity=identity, surroundings=source, clock=RealClock(), search_path=path), source
    )


async def _drive(steps: Generator[Wish, Any, T], source: Database) -> T:
    answered: object = None
    while True:
        try:
            wish = steps.send(answered)
        except StopIteration as done:
            found: T = done.value
            return found
        answered = await _answered(wish, source)


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
