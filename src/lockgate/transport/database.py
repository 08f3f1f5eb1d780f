"""One database behind the gate: its catalogue snapshot, its analysis connections, the roles its sessions use.

For: answering a session's wishes `Analyse`, `FreshCatalog`, `Estimate` and `OpenBackend`.
Not for: verdicts (`session.judge`) or reading trees (`sql`).
Invariant: an analysis is answered together with the generation it was read against; a stale snapshot is refreshed first.
Source: architecture section 3, step 4; masking.md 1.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lockgate.classification.kin import OPEN
from lockgate.classification.lineage import propagate, sensitivity
from lockgate.errors import BackendProtocolError, InvariantError, LockgateError, RefusedStatementError
from lockgate.masking.keys import KeyRing
from lockgate.masking.plan import make_plan
from lockgate.masking.pseudonyms import PseudonymPool
from lockgate.model.catalog import Catalog, Column, ColumnRef, FoundLabel, Relation
from lockgate.model.decision import Clearance
from lockgate.model.identity import Identity
from lockgate.model.plan import Order
from lockgate.model.statement import Analysis, Output, Parsed
from lockgate.policy.engine import Engine
from lockgate.session.cache import BoundedCache
from lockgate.session.wishes import Analyse, Analysed, AnalysedHere, AnalyseHere, Failed, Substitute, Substituted
from lockgate.sql.analysis import analyse
from lockgate.sql.functions import FIRST_USER_OID
from lockgate.sql.parse import split_and_parse
from lockgate.sql.utility import analyse_utility, analysis_text
from lockgate.transport.alike import Alike
from lockgate.transport.bodies import with_bodies
from lockgate.transport.catalog_queries import Labels, build_catalog, fingerprint, read_catalog
from lockgate.transport.own_link import OwnClient, analyse_here, apart
from lockgate.transport.pgclient import PgClient, ServerRejectedError, Target
from lockgate.transport.substituting import Substituting
from lockgate.transport.told import Told, ToldHere

ANALYSIS_SETTINGS = {
    "debug_print_rewritten": "on", "debug_pretty_print": "off", "client_min_messages": "log", "client_encoding": "UTF8",
    "application_name": "lockgate analysis", "DateStyle": "ISO, MDY",
}  # fmt: skip
OWN_PATH = "pg_catalog"
"""Where names resolve while the gate asks for itself: a path that a client chose could give an operator another meaning."""
STORED_LAYERS_MAX = 8
"""Materialised views over materialised views that lineage is followed through."""
UNAVAILABLE = Failed("57P03", "the statement cannot be analysed now, because the analysis connection is not available",
                     "Try again; if it lasts, the database or the analysis role needs attention.", reason="analysis-unavailable")  # fmt: skip
LOCKED = Failed(
    "55P03",
    "the statement cannot be analysed now, because another session holds a lock on its tables",
    reason="analysis-lock",
)


@dataclass(frozen=True)
class Roles:
    """How the gate logs in: for masked sessions, for sessions that see everything, for analysis, and for replication."""

    masked: Target
    clear: Target
    analysis: Target
    unsafe_superuser: bool = False
    replication: Target | None = None


class Database:
    """Everything about one configured database that outlives a session (implements `session.ports.Surroundings`)."""

    def __init__(
        self, *, name: str, environment: str, roles: Roles, engine: Callable[[], Engine], labels: Callable[[], Labels],
        default_label: Callable[[], str], key_ring: KeyRing, epoch: int, bounded_rows: int, order_buffer_bytes_max: int,
        content: str = "off",
        links_max: int = 2, wait_seconds: float = 5.0, lock_seconds: float = 1.0, statement_seconds: float = 5.0,
        vouched: Callable[[], frozenset[str]] = frozenset,
    ) -> None:  # fmt: skip
        self.database = name
        self.environment = environment
        self.roles = roles
        self.key_ring = key_ring
        self.pseudonyms = PseudonymPool(key_ring)
        self.epoch = epoch
        self.bounded_rows = bounded_rows
        self.order_buffer_bytes_max = order_buffer_bytes_max
        self.unsafe_order: frozenset[int] = frozenset()
        self.content = content
        self.looked_at: dict[ColumnRef, int] = {}
        self.known_as: Told = ToldHere()
        self.on_found: Callable[[str, Sequence[FoundLabel]], None] = lambda _database, _found: None
        self.parameters: dict[str, str] = {}
        self._engine = engine
        self._labels = labels
        self._default_label = default_label
        self._vouched = vouched
        self._wait_seconds = wait_seconds
        self._settings = ANALYSIS_SETTINGS | {
            "lock_timeout": str(int(lock_seconds * 1000)), "statement_timeout": str(int(statement_seconds * 1000)),
        }  # fmt: skip
        self._free: asyncio.LifoQueue[PgClient | None] = asyncio.LifoQueue()
        for _ in range(links_max):
            self._free.put_nowait(None)
        self._catalog: Catalog | None = None
        self._fingerprint = ""
        self._generation = 0
        self._refreshing = asyncio.Lock()
        self._cache: BoundedCache[tuple[bytes, Analysis]] = BoundedCache(
            entries_max=20_000, bytes_max=128 * 1024 * 1024
        )
        self._alike = Alike()
        self._substituting = Substituting()

    # -- Surroundings ---------------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """The policies in force."""
        return self._engine()

    @property
    def catalog(self) -> Catalog:
        """The newest snapshot; an empty one while the database has not been reached."""
        if self._catalog is None:
            return Catalog(self.database, self.environment, 0, 0, {}, {}, {}, self._default_label())
        return self._catalog

    @property
    def is_known(self) -> bool:
        """Whether a snapshot was ever read."""
        return self._catalog is not None

    def clearance(self, identity: Identity, context: Mapping[str, object], now: datetime) -> Clearance:
        """What the chain may not see, over the newest snapshot."""
        return self.engine.clearance(identity, self.catalog, context=context, now=now)

    # -- connections ----------------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[PgClient]:
        """A connection of the bounded pool; one statement's wait is never another's beyond `wait_seconds`."""
        async with asyncio.timeout(self._wait_seconds):
            client = await self._free.get()
        try:
            if client is None or client.broken:
                client = await PgClient.open(self.roles.analysis, self._settings)
                self.parameters = dict(client.parameters)
            yield client
        except BaseException:
            if client is not None:
                client.close()
                client = None
            raise
        finally:
            self._free.put_nowait(client)

    def learn(self, found: Sequence[FoundLabel]) -> None:
        """Labels that were found while statements ran: handed to whoever keeps them, and in force from the next statement on."""
        self.on_found(self.database, found)
        self.forget()

    def knows(self, process: int, session: int) -> None:
        """A backend's process number, and the number that its session's client was told: who notifies is known by the latter."""
        self.known_as.put(process, session)

    def forget(self) -> None:
        """Labels, principals or policies changed: the next statement reads a new generation."""
        self._fingerprint = ""

    async def refresh(self) -> Catalog:
        """Read the catalogue again if anything in it changed; answers the newest snapshot.

        Raises:
            LockgateError, OSError, TimeoutError: the database cannot be reached.
        """
        async with self._refreshing, self._connection() as client:
            await client.see_names_as(OWN_PATH)
            seen = ":".join(await fingerprint(client))
            if self._catalog is not None and seen == self._fingerprint:
                return self._catalog
            raw = await read_catalog(client, known=self._fingerprint.partition(":")[0])
            version = int(client.parameters.get("server_version", "0").split(".")[0].split()[0])
            self._generation += 1
            catalog = build_catalog(
                raw, database=self.database, environment=self.environment, server_version=version, generation=self._generation,
                labels=self._labels(), default_label=self._default_label(), server_settings=client.parameters,
                before=self._catalog, vouched=self._vouched(),
            )  # fmt: skip
            stored = await self._stored_views(client, catalog)
            catalog = _with_lineage(catalog, stored)
            self.unsafe_order = _with_order(catalog, stored)
            self._catalog, self._fingerprint = catalog, raw.fingerprint
            self.looked_at.clear()
            return catalog

    async def fresh(self) -> Catalog:
        """The newest snapshot that can be had."""
        with contextlib.suppress(LockgateError, OSError, TimeoutError):
            return await self.refresh()
        return self.catalog

    async def search_path(self) -> str:
        """Where names resolve in a session that has not changed it."""
        client = await PgClient.open(self.roles.masked, {"application_name": "lockgate names"})
        try:
            rows = await client.query("SELECT pg_catalog.current_setting('search_path')")
        finally:
            client.close()
        return (rows[0][0] or b"").decode()

    async def watch(self, seconds: float) -> None:
        """Poll the catalogue's fingerprint for ever, so that DDL past the gate is seen."""
        while True:
            await asyncio.sleep(seconds)
            with contextlib.suppress(LockgateError, OSError, TimeoutError):
                await self.refresh()

    async def _stored_views(self, client: PgClient, catalog: Catalog) -> dict[int, Analysis | None]:
        """What each materialised view was made of; None where its definition cannot be read."""
        found: dict[int, Analysis | None] = {}
        for relation in catalog.relations.values():
            if relation.kind == "m":
                found[relation.oid] = None
                with contextlib.suppress(RefusedStatementError, ServerRejectedError):
                    found[relation.oid] = await self._definition(client, catalog, relation.oid)
        return found

    async def _definition(self, client: PgClient, catalog: Catalog, view: int) -> Analysis:
        rows = await client.query(f"SELECT pg_catalog.pg_get_viewdef({view}::oid)")
        text = (rows[0][0] or b"").decode()
        parsed = split_and_parse(text)
        if len(parsed) != 1:
            raise RefusedStatementError("view-definition", "a view's definition is not one statement")
        reply = await client.parse_only(parsed[0].text, ())
        if reply.error:
            raise ServerRejectedError(reply.error)
        return analyse(
            "\n".join(reply.trees),
            parsed=parsed[0],
            catalog=catalog,
            parameter_types=(),
            row_description=reply.row_description,
        )

    async def definitions(self) -> dict[int, Analysis]:
        """Analyses of every readable view's definition, for labels along lineage."""
        catalog = await self.refresh()
        found = {}
        async with self._connection() as client:
            await client.see_names_as(OWN_PATH)
            for relation in catalog.relations.values():
                if relation.kind in ("v", "m") and relation.schema not in ("pg_catalog", "information_schema"):
                    with contextlib.suppress(RefusedStatementError, ServerRejectedError):
                        found[relation.oid] = await self._definition(client, catalog, relation.oid)
        return found

    # -- analysis -------------------------------------------------------------------------------------------------------------

    async def analyse(self, wish: Analyse) -> Analysed | Failed:
        """Have the target server read statements; nothing is executed, and the analysis role may read no data."""
        try:
            catalog = await self.refresh() if self._catalog is None or not self._fingerprint else self._catalog
            if not wish.statements:
                return await self._ask_server(wish, catalog)
            found = []
            for parsed in wish.statements:
                one = await self._analyse_one(parsed, wish, catalog)
                if isinstance(one, Failed):
                    return one
                found.append(one)
            return Analysed(tuple(found), catalog)
        except RefusedStatementError as refused:
            return Failed(refused.sqlstate, refused.sentence, refused.hint, reason=refused.reason)
        except (BackendProtocolError, ServerRejectedError, OSError, TimeoutError):
            return UNAVAILABLE

    async def _ask_server(self, wish: Analyse, catalog: Catalog) -> Analysed | Failed:
        """A text that our grammar does not read: only the server's own error is of interest."""
        async with self._connection() as client:
            reply = await client.parse_only(wish.whole_text, wish.parameter_types)
        if reply.error:
            return _rejected(reply.error)
        return Analysed((), catalog)

    async def _analyse_one(self, parsed: Parsed, wish: Analyse, catalog: Catalog) -> Analysis | Failed:
        text = analysis_text(parsed, catalog)
        if text is None:
            return analyse_utility(parsed, catalog, _path(wish.search_path))
        key = (parsed.text, text, wish.parameter_types, wish.search_path, catalog.generation)
        known = self._cache.get(key)
        if known is not None and not self._has_view(known[1], catalog):
            return known[1]
        context = (wish.parameter_types, wish.search_path, catalog.generation)
        if known is None and (like := self._alike.find(parsed, context)) is not None:
            return like
        async with self._connection() as client:
            await client.see_names_as(wish.search_path)
            reply = await client.parse_only(text, wish.parameter_types)
            if reply.error:
                return _rejected(reply.error)
            trees = "\n".join(reply.trees)
            seen = hashlib.sha256(trees.encode()).digest()
            if known is not None and known[0] == seen and not known[1].called:
                return known[1]
            analysis = await with_bodies(client, wish.search_path, lambda bodies: analyse(
                trees, parsed=parsed, catalog=catalog, parameter_types=reply.parameter_types, row_description=reply.row_description,
                bodies=bodies,
            ))  # fmt: skip
        self._cache.put(key, (seen, analysis), 8 * len(parsed.text) + 2048)
        if text == parsed.text and not self._has_view(analysis, catalog):
            self._alike.put(parsed, context, analysis)
        return analysis

    async def analyse_here(self, client: OwnClient, wish: AnalyseHere) -> AnalysedHere | Failed:
        """As `analyse`, on a session's own link.

        Raises:
            BackendProtocolError, OSError: the link is not what it was before, so its session must end.
        """
        try:
            catalog = self._catalog if self._catalog is not None else await self.refresh()
            found = await analyse_here(client, wish, catalog, self._labels())
        except RefusedStatementError as refused:
            return Failed(refused.sqlstate, refused.sentence, refused.hint, reason=refused.reason)
        except ServerRejectedError as rejected:
            return _rejected(rejected.fields)
        return found if isinstance(found, AnalysedHere) else _rejected(found.error)

    async def substitute_here(self, client: OwnClient, wish: Substitute) -> Substituted | Failed:
        """As `substitute`, on a session's own link."""
        if wish.here is None:
            raise InvariantError("a rewriting on a session's own link without what the session sees")
        try:
            async with apart(client, in_transaction=wish.in_transaction):
                return await self._substituting.substitute(client, wish, wish.here, self.unsafe_order, keep=False)
        except RefusedStatementError as refused:
            return Failed(refused.sqlstate, refused.sentence, refused.hint, reason=refused.reason)
        except ServerRejectedError as rejected:
            return _rejected(rejected.fields)

    async def substitute(self, wish: Substitute) -> Substituted | Failed:
        """The statement over stand-ins, analysed by the server before anybody runs it."""
        catalog = self.catalog
        if catalog.generation != wish.generation:
            return Failed(
                "57P03",
                "definitions changed while the statement was judged",
                "Send it again.",
                reason="stand-in-catalog",
            )
        try:
            async with self._connection() as client:
                return await self._substituting.substitute(
                    client, wish, catalog, self.unsafe_order, keep=not self._has_view(wish.analysis, catalog)
                )
        except RefusedStatementError as refused:
            return Failed(refused.sqlstate, refused.sentence, refused.hint, reason=refused.reason)
        except (BackendProtocolError, ServerRejectedError, OSError, TimeoutError):
            return UNAVAILABLE

    def _has_view(self, analysis: Analysis, catalog: Catalog) -> bool:
        """Whether a user's view or the body of a function is involved: its definition may have changed since the last poll, so the server is asked each time.

        A relation newer than the snapshot may be one.
        """
        found = ((oid, catalog.relations.get(oid)) for oid in analysis.relations)
        return bool(analysis.called) or any(
            oid >= FIRST_USER_OID
            if r is None
            else r.kind == "v" and r.schema not in ("pg_catalog", "information_schema")
            for oid, r in found
        )

    async def estimate(self, text: str) -> int | None:
        """The planner's estimate of the rows a write touches, by EXPLAIN as the masked session role; None when it cannot say."""
        try:
            client = await PgClient.open(self.roles.masked, {"application_name": "lockgate estimate", "statement_timeout": "2000",
                                                              "default_transaction_read_only": "on"})  # fmt: skip
            try:
                rows = await client.query("EXPLAIN (FORMAT JSON) " + text)
            finally:
                client.close()
            plan = json.loads((rows[0][0] or b"").decode())[0]["Plan"]
            return int(plan["Plans"][0]["Plan Rows"]) if plan["Node Type"] == "ModifyTable" else int(plan["Plan Rows"])
        except (LockgateError, OSError, TimeoutError, ValueError, KeyError, IndexError, TypeError):
            return None

    def close(self) -> None:
        """Close the pooled connections."""
        while not self._free.empty():
            client = self._free.get_nowait()
            if client is not None:
                client.close()


def _with_lineage(catalog: Catalog, stored: Mapping[int, Analysis | None]) -> Catalog:
    """The snapshot with what materialised views were made of, and labels for their columns that nobody has decided."""
    relations = dict(catalog.relations)
    for oid, analysis in stored.items():
        made_of = frozenset({0}) if analysis is None or analysis.opaque else analysis.relations
        relations[oid] = replace(relations[oid], made_of=made_of)
    for _ in range(STORED_LAYERS_MAX):
        changed = False
        for oid, analysis in stored.items():
            relation = relations[oid]
            columns = dict(relation.columns)
            outputs = analysis.outputs if analysis is not None else ()
            for column, made in zip(
                sorted(columns.values(), key=lambda c: c.attnum), _made(relations, outputs), strict=False
            ):
                open_ = column.label_by in ("default", "lineage") or column.label in OPEN
                if open_ and column.label_by != "person" and not column.json_labels and made.label_by:
                    new = replace(
                        column, label=made.label, label_by=made.label_by, label_score=made.label_score, json_labels=made.json_labels
                    )  # fmt: skip
                    changed = changed or (new.label, new.json_labels) != (column.label, column.json_labels)
                    columns[column.attnum] = new
            relations[oid] = replace(relation, columns=columns)
        if not changed:
            break
    return replace(catalog, relations=relations)


def _made(relations: Mapping[int, Relation], outputs: Sequence[Output]) -> Iterator[Column]:
    """What each output of a definition is, as a column; `label_by` is empty where nothing sensitive is known of it."""
    sources = {source for output in outputs for source in output.sources if source.relation in relations}
    known = {s: c for s in sources if (c := relations[s.relation].columns.get(s.attnum)) is not None}
    labels = {source: sensitivity(column) for source, column in known.items()}
    for output, (label, score, by) in zip(outputs, propagate(labels.get, outputs), strict=True):
        made = Column(
            0, "", 0, -1, not_null=False, label=label, label_by=by if label != "none" else "", label_score=score
        )
        whole = known.get(next(iter(output.sources))) if output.plain and len(output.sources) == 1 else None
        if whole is not None and whole.json_labels:
            # The document as it was: what is masked in it is known by the same paths.
            made = replace(made, label=whole.label, label_by=by, json_labels=whole.json_labels)
        yield made


def _with_order(catalog: Catalog, stored: Mapping[int, Analysis | None]) -> frozenset[int]:
    """Materialised views whose stored order may come from masked values: their definition sorts, groups or joins by them."""
    everything = frozenset(
        ColumnRef(r.oid, c.attnum)
        for r in catalog.relations.values()
        for c in r.columns.values()
        if sensitivity(c) != "none"
    )
    clearance = Clearance(everything, "", catalog.generation)
    unsafe = set()
    for oid, analysis in stored.items():
        try:
            if (
                analysis is None
                or make_plan(analysis, catalog=catalog, clearance=clearance, row_limited=False).order is not Order.KEEP
            ):
                unsafe.add(oid)
        except RefusedStatementError:
            unsafe.add(oid)
    return frozenset(unsafe)


def _rejected(report: Mapping[str, str]) -> Failed:
    """The server rejected the text: its own SQLSTATE, words and position, or that it could not look now."""
    sqlstate = report.get("C", "XX000")
    if sqlstate == "55P03":
        return LOCKED
    if sqlstate in ("57014", "57P01", "57P02", "57P03", "53300"):
        return UNAVAILABLE
    kept = {k: v for k, v in report.items() if k in "SVCMDHP"}
    return Failed(sqlstate, "the database rejected the statement", report=kept, reason="server-rejected")


def _path(search_path: str) -> tuple[str, ...]:
    """The schemas of a search_path setting, unquoted."""
    return tuple(part.strip().strip('"') for part in search_path.split(",") if part.strip())
