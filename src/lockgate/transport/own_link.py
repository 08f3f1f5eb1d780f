"""Analysis on a session's own link: what only this session can see, read between two statements of the client.

For: temporary tables and what an open transaction has changed. The statement is parsed under settings that last until the gate's own
savepoint or transaction is rolled back, so that the link is as it was before.
Not for: deciding when (`session.own`) and not for judging.
Invariant: whatever happens in between, the link is put back or its session ends; nothing of it is shown to the client.
Source: masking.md 1.2 (time of check, time of use); PostgreSQL documentation, SAVEPOINT and SET.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

from lockgate.errors import BackendProtocolError, InvariantError, RefusedStatementError
from lockgate.model.catalog import Catalog, OwnTable
from lockgate.model.statement import Analysis, Parsed
from lockgate.session.wishes import AnalysedHere, AnalyseHere, Failed, Substitute, Substituted
from lockgate.sql.analysis import analyse, analyse_queries
from lockgate.sql.functions import FIRST_USER_OID
from lockgate.sql.utility import analyse_utility, analysis_text, named, quoted
from lockgate.transport.bodies import with_bodies
from lockgate.transport.catalog_queries import Labels, read_relations, with_own
from lockgate.transport.pgclient import (
    OWN_BODY_BYTES_MAX,
    Opened,
    ParseReply,
    PgClient,
    ServerRejectedError,
    own_frames,
)
from lockgate.transport.quiet import NOT_SILENT, not_silent, plain_queries, with_tree

_SAVEPOINT = "lockgate_analysis"
_SETTINGS = ("log_min_messages=fatal", "client_min_messages=log", "debug_pretty_print=off", "debug_print_rewritten=on")
_RELATION = re.compile(r" :relid ([0-9]+)(?= )")
_OWN_SCHEMA = "SELECT nspname FROM pg_catalog.pg_namespace WHERE oid = pg_catalog.pg_my_temp_schema()"


class OwnClient(PgClient):
    """The gate's own words on a session's link."""

    async def see_names_as(self, search_path: str) -> None:
        """Resolve names under another search_path until the link is put back."""
        value = search_path.replace("'", "''")
        await self.query(f"SELECT pg_catalog.set_config('search_path', '{value}', true)")


@asynccontextmanager
async def apart(client: OwnClient, *, in_transaction: bool, prints: bool = True) -> AsyncIterator[None]:
    """A savepoint, or a transaction where none is open, that is rolled back at the end whatever happened.

    Args:
        prints: the server prints trees, and nothing into its log.

    Raises:
        RefusedStatementError: the server would write statements into its log.
        BackendProtocolError: the link could not be put back.
    """
    begin, end = "BEGIN ISOLATION LEVEL READ COMMITTED", "ROLLBACK"
    if in_transaction:
        begin, end = f"SAVEPOINT {_SAVEPOINT}", f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}; RELEASE SAVEPOINT {_SAVEPOINT}"
    await client.query(begin)
    try:
        try:
            for name, value in (setting.split("=") for setting in _SETTINGS if prints):
                await client.query(f"SELECT pg_catalog.set_config('{name}', '{value}', true)")
        except ServerRejectedError as rejected:
            if rejected.sqlstate != "42501":
                raise
            raise not_silent() from None
        yield
    finally:
        try:
            await client.query(end)
        except ServerRejectedError:
            raise BackendProtocolError("the session's link could not be put back after an analysis") from None


async def analyse_here(
    client: OwnClient, wish: AnalyseHere, catalog: Catalog, labels: Labels
) -> AnalysedHere | ParseReply:
    """What statements do, as this session sees things now; a reply with an error where the server rejects one.

    Raises:
        RefusedStatementError: a part is not understood.
    """
    try:
        return await _analyse_here(client, wish, catalog, labels, prints=True)
    except RefusedStatementError as refused:
        if refused.reason != NOT_SILENT.reason:
            raise
    return await _analyse_here(client, wish, catalog, labels, prints=False)


async def _analyse_here(
    client: OwnClient, wish: AnalyseHere, catalog: Catalog, labels: Labels, *, prints: bool
) -> AnalysedHere | ParseReply:
    async with apart(client, in_transaction=wish.in_transaction, prints=prints):
        schema = await _own_schema(client)
        tables = await _numbered(client, wish.tables)
        replies: dict[int, ParseReply] = {}
        oids = set(tables) if wish.statements else set()
        for place, parsed in enumerate(wish.statements):
            text = analysis_text(parsed, catalog)
            if text is None:
                oids |= await _named(client, parsed)
                continue
            reply = await client.parse_only(text, wish.parameter_types)
            if reply.error:
                return reply
            reply = reply if prints else await with_tree(client, text, reply, catalog)
            replies[place] = reply
            oids |= {int(number) for tree in reply.trees for number in _RELATION.findall(tree)}
        # A table that everybody sees and that is newer than the snapshot is not the session's own: the snapshot is read again for it.
        asked = {oid for oid in oids if oid >= FIRST_USER_OID and (wish.changed or oid in tables)}
        seen = with_own(catalog, await read_relations(client, asked), labels, tables) if asked else catalog
        path = (*([schema] if schema else ()), *(part.strip().strip('"') for part in wish.search_path.split(",")))
        found = [
            await _analysed(client, wish.search_path, one, replies.get(at), seen, path)
            if prints or at not in replies
            else _analysed_quietly(one, replies[at], seen)
            for at, one in enumerate(wish.statements)
        ]
    own = {oid: one for oid, one in seen.relations.items() if catalog.relations.get(oid) is not one}
    return AnalysedHere(tuple(found), own, tuple(tables.values()))


async def _analysed(
    client: OwnClient,
    search_path: str,
    parsed: Parsed,
    reply: ParseReply | None,
    catalog: Catalog,
    path: tuple[str, ...],
) -> Analysis:
    if reply is None:
        return analyse_utility(parsed, catalog, path)
    return await with_bodies(client, search_path, lambda bodies: analyse(
        "\n".join(reply.trees), parsed=parsed, catalog=catalog, parameter_types=reply.parameter_types, row_description=reply.row_description,
        bodies=bodies,
    ), in_transaction=True)  # fmt: skip


def _analysed_quietly(parsed: Parsed, reply: ParseReply, catalog: Catalog) -> Analysis:
    return analyse_queries(
        plain_queries(reply, catalog), parsed=parsed, catalog=catalog, parameter_types=reply.parameter_types,
        row_description=reply.row_description,
    )  # fmt: skip


async def _own_schema(client: OwnClient) -> str:
    rows = await client.query(_OWN_SCHEMA)
    return (rows[0][0] or b"").decode() if rows else ""


async def _numbered(client: OwnClient, tables: tuple[OwnTable, ...]) -> dict[int, OwnTable]:
    """The session's temporary tables that are there, by number; one that was known before stays what it was."""
    rows = await client.query(
        "SELECT oid, relname FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p') AND relnamespace = pg_catalog.pg_my_temp_schema()"
    )
    there = {int(oid or b"0"): (name or b"").decode() for oid, name in rows}
    found = {table.oid: table for table in tables if table.oid in there}
    numbers = {name: oid for oid, name in there.items() if oid not in found}
    for table in tables:
        if not table.oid and table.name in numbers:
            found[numbers[table.name]] = replace(table, oid=numbers[table.name])
    return found


async def _named(client: OwnClient, parsed: Parsed) -> set[int]:
    """What the names in a statement without a tree mean here."""
    found = set()
    for schema, name in named(parsed):
        text = (f"{quoted(schema)}.{quoted(name)}" if schema else quoted(name)).replace("'", "''").replace("\\", "\\\\")
        rows = await client.query(f"SELECT pg_catalog.to_regclass(E'{text}')::pg_catalog.oid")
        if rows and rows[0][0]:
            found.add(int(rows[0][0]))
    return found


class Answers(Protocol):
    """Who answers a wish on a session's own link."""

    async def analyse_here(self, client: OwnClient, wish: AnalyseHere) -> AnalysedHere | Failed:
        """Analyses."""
        ...

    async def substitute(self, wish: Substitute) -> Substituted | Failed:
        """A text over stand-ins of what everybody sees, which needs no link of a session's."""
        ...

    async def substitute_here(self, client: OwnClient, wish: Substitute) -> Substituted | Failed:
        """A text over stand-ins."""
        ...


class OwnLink:
    """A session's backend link, while the gate itself speaks on it."""

    def __init__(self, has_ended: Callable[[], bool]) -> None:
        self._has_ended = has_ended
        self._reader: asyncio.StreamReader | None = None

    def takes(self, data: bytes) -> bool:
        """Whether bytes of the backend are for the gate itself."""
        if self._reader is None:
            return False
        self._reader.feed_data(data)
        return True

    def lost(self) -> None:
        """The backend is gone."""
        if self._reader is not None:
            self._reader.feed_eof()

    async def answer(self, wish: AnalyseHere | Substitute, opened: Opened | None, answers: Answers) -> object:
        """Fulfil a wish on a link that owes nothing; a request to cancel does not leave it half done."""
        if isinstance(wish, Substitute) and wish.here is None:
            return await answers.substitute(wish)
        if opened is None or self._reader is not None:
            raise InvariantError("a question on a link that is not free")
        self._reader = asyncio.StreamReader(limit=OWN_BODY_BYTES_MAX)
        client = OwnClient(replace(opened, reader=self._reader, frames=own_frames()))
        work = (
            answers.analyse_here(client, wish)
            if isinstance(wish, AnalyseHere)
            else answers.substitute_here(client, wish)
        )
        task = asyncio.get_running_loop().create_task(work)
        cancelled = False
        try:
            while not task.done():
                try:
                    await asyncio.wait({task})
                except asyncio.CancelledError:
                    cancelled = True
                    if self._has_ended():
                        task.cancel()
                        raise
            found = task.result()
        finally:
            self._reader = None
        return Failed("57014", "canceling statement due to user request", reason="cancelled") if cancelled else found
