"""Source substitution on an analysis connection: the new text, and the server's word that it reads nothing masked elsewhere.

For: the wish `Substitute`. Definitions of views and trees of the gate's own subqueries come from the server; nothing is executed.
Not for: deciding when a statement is rewritten (`session.judging`), the subqueries (`masking.substitution`), the edits (`sql.splice`).
Invariant: a text leaves this file only after the server has analysed exactly this text.
Source: masking.md 0, points 2 and 6; docs/adr/0011-stand-ins.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from lockgate.errors import RefusedStatementError
from lockgate.masking.substitution import Substitution
from lockgate.model.catalog import Catalog
from lockgate.model.statement import Analysis, Given, Kind
from lockgate.session.cache import BoundedCache
from lockgate.session.wishes import Failed, Substitute, Substituted
from lockgate.sql.analysis import analyse_queries, read_row_description
from lockgate.sql.free_columns import Keyed
from lockgate.sql.narrowing import restrictions
from lockgate.sql.parse import reading_alike
from lockgate.sql.reanalysis import Known, check, columns_query, only_query
from lockgate.sql.splice import Spliced, splice
from lockgate.sql.tree import Node
from lockgate.sql.utility import analysis_text, resolve
from lockgate.sql.written import Target
from lockgate.transport.bodies import with_bodies
from lockgate.transport.filtering import written_target
from lockgate.transport.pgclient import PgClient

TEXT_BYTES_MAX = 4 << 20
_VIEW: Mapping[Given, str] = MappingProxyType({})
"""No values, in the definition of a view: what the statement writes is not written there."""
SYSTEM = ("pg_catalog", "information_schema")
NOT_SAME = "the statement over stand-ins does not have the columns and parameters of the original"


class Substituting:
    """Rewrites statements and remembers what it rewrote, under everything that the result depends on."""

    def __init__(self) -> None:
        self._kept: BoundedCache[Substituted] = BoundedCache(entries_max=4096, bytes_max=64 << 20)
        self._trees: BoundedCache[str] = BoundedCache(entries_max=4096, bytes_max=64 << 20)
        self._substitutions: BoundedCache[Substitution] = BoundedCache(entries_max=512, bytes_max=64 << 20)
        self._columns: BoundedCache[Node] = BoundedCache(entries_max=4096, bytes_max=64 << 20)

    async def substitute(
        self, client: PgClient, wish: Substitute, catalog: Catalog, unsafe_order: frozenset[int], *, keep: bool
    ) -> Substituted | Failed:
        """The statement over stand-ins.

        Args:
            keep: the result depends on nothing but the catalog's generation.

        Raises:
            RefusedStatementError: it cannot be rewritten, or the server's reading of it is not the one that was meant.
        """
        key = (
            wish.statement.text,
            wish.parameter_types,
            wish.search_path,
            wish.masked,
            wish.sought,
            wish.filters,
            wish.hidden,
            catalog.generation,
        )
        found = self._kept.get(key) if keep else None
        if found is not None:
            return found
        work = _Rewriting(self._substitution(wish, catalog, unsafe_order), catalog)
        for oid in sorted(wish.analysis.relations):
            await work.learn_view(client, oid)
        await client.see_names_as(wish.search_path)
        path = tuple(part.strip().strip('"') for part in wish.search_path.split(",") if part.strip())
        path = (*sorted({one.schema for one in catalog.relations.values() if one.schema.startswith("pg_temp_")}), *path)
        values = [(one.lookup.given, work.substitution.value(one)) for one in wish.sought]
        start = (wish.statement.inner_at or 0) if wish.statement.inner else 0
        placed = {
            given: query + work.substitution.cast(one) for (given, query), one in zip(values, wish.sought, strict=True)
        }
        moved = {g if g.parameter else Given(parameter=False, at=g.at + start): text for g, text in placed.items()}
        inner = analysis_text(wish.statement, catalog) or ""
        work.target = await written_target(client, wish, catalog)
        await client.see_names_as(wish.search_path)
        asked = (
            work.rewrite_narrow(inner, path, wish.analysis.parameter_types) if wish.masked and not wish.sought else None
        )
        asked = asked or work.rewrite(inner, path, placed)
        whole = inner == wish.statement.text
        if work.target is not None and not whole:
            raise RefusedStatementError("stand-in-text", "a filtered table is written inside of another statement")
        text = asked.text if whole else work.rewrite(wish.statement.text, path, moved).text
        if len(text) > TEXT_BYTES_MAX or asked.text not in text:
            raise RefusedStatementError(
                "stand-in-text", "the statement over stand-ins is too long, or not the original's"
            )
        types = wish.analysis.parameter_types
        pairs = [(oid, query, work.substitution.columns(oid)) for query, oid in work.subqueries.items()]
        counts = work.counts(asked)
        alike: dict[str, int] = {}
        for number, ((given, query), one) in enumerate(zip(values, wish.sought, strict=True), 1):
            first = alike.setdefault(query, -number)  # one value that is given twice is one query
            if first == -number:
                pairs.append((first, query, work.substitution.value_columns(one)))
            counts[first] += asked.values[given]
        known = [
            Known(oid, await self._tree(client, query, types, catalog), await self._read(client, columns, catalog))
            for oid, query, columns in pairs
        ]
        result = await _analysed(client, wish, Spliced(text, counts), asked.text, known, work)
        if keep:
            self._kept.put(key, result, 2 * len(text) + 4096)
        return result

    def _substitution(self, wish: Substitute, catalog: Catalog, unsafe_order: frozenset[int]) -> Substitution:
        """The subqueries of all statements that use the same masked columns."""
        reads = wish.analysis.reads & wish.masked
        ordered = wish.statement.kind is not Kind.EXPLAIN
        key = (catalog.generation, unsafe_order, wish.masked, reads, wish.filters, wish.hidden, ordered)
        found = self._substitutions.get(key)
        if found is None:
            found = Substitution(catalog, wish.masked, reads, dict(wish.filters), unsafe_order, wish.hidden, ordered)
            self._substitutions.put(key, found, 64 << 10)
        return found

    async def _tree(self, client: PgClient, subquery: str, types: tuple[int, ...], catalog: Catalog) -> str:
        """How the server prints one of our queries when it is asked about it alone."""
        key = (subquery, types, catalog.generation)
        tree = self._trees.get(key)
        if tree is None:
            tree = only_query(await _printed(client, subquery, types))
            self._trees.put(key, tree, len(tree) + len(subquery))
        return tree

    async def _read(self, client: PgClient, subquery: str, catalog: Catalog) -> Node:
        """The tree of a query that reads nothing, as the analysis reads it."""
        key = (subquery, catalog.generation)
        node = self._columns.get(key)
        if node is None:
            printed = await _printed(client, subquery, ())
            node = columns_query(printed)
            self._columns.put(key, node, 8 * len(printed))
        return node


async def _printed(client: PgClient, subquery: str, types: tuple[int, ...]) -> str:
    reply = await client.parse_only(subquery[1:-1], types)
    if reply.error:
        raise RefusedStatementError("stand-in-subquery", "the database did not accept a subquery of stand-ins")
    return "\n".join(reply.trees)


class _Rewriting:
    """One statement's rewriting: its relations, its views, and the subqueries that were put in."""

    def __init__(self, substitution: Substitution, catalog: Catalog) -> None:
        self.substitution = substitution
        self.subqueries: dict[str, int] = {}
        self.target: Target | None = None
        self._catalog = catalog
        self._definitions: dict[int, str] = {}
        self._barriers: set[int] = set()
        self._views: dict[int, Spliced] = {}

    def rewrite_narrow(self, text: str, path: tuple[str, ...], types: tuple[int, ...]) -> Spliced | None:
        """The text with rows left out that it asks to be left out; None, and nothing is changed, where it cannot be known which these are."""
        if self.target is not None or "pg_catalog" in (name.lower() for name in path[1:]):
            return None  # another schema's operators may come before the server's own
        whole = self.substitution
        narrow = whole.narrowed(restrictions(text, lambda schema, name: self._resolve(schema, name, path)), types)
        if narrow is None:
            return None
        self.substitution = narrow
        found = self.rewrite(text, path)
        total = self.counts(found)
        if all(total[oid] == found.replaced[oid] == 1 for oid in narrow.narrow):
            return found
        self.substitution = whole  # a view reads one of the tables as well
        self.subqueries.clear()
        self._views.clear()
        return None

    async def learn_view(self, client: PgClient, oid: int) -> None:
        """Read a user's view, with every name in it qualified."""
        relation = self._catalog.relations.get(oid)
        if relation is None or relation.kind != "v" or relation.schema in SYSTEM:
            return
        await client.see_names_as("pg_catalog")
        rows = await client.query(
            "SELECT pg_catalog.pg_get_viewdef(c.oid), c.reloptions::pg_catalog.text FROM pg_catalog.pg_class c"  # noqa: S608 - a number
            f" WHERE c.oid = {oid}::pg_catalog.oid"
        )
        if len(rows) != 1 or rows[0][0] is None:
            raise RefusedStatementError("stand-in-view", "a view's definition cannot be read")
        if b"security_barrier" in (rows[0][1] or b""):
            self._barriers.add(oid)
        # The session may read strings otherwise than this connection, which wrote them.
        self._definitions[oid] = reading_alike(rows[0][0].decode().strip().removesuffix(";"))

    def rewrite(self, text: str, path: tuple[str, ...], values: Mapping[Given, str] = MappingProxyType({})) -> Spliced:
        """The text with every relation and value replaced that must be."""
        return splice(
            text,
            resolve=lambda schema, name: self._resolve(schema, name, path),
            replace=self._replace,
            values=values,
            columns=self._keyed,
            target=None if values is _VIEW else self.target,
        )

    def _keyed(self, oid: int) -> Keyed | None:
        """Columns and keys of a table that a subquery stands for."""
        relation = None if oid in self._definitions else self._catalog.relations.get(oid)
        if relation is None:
            return None
        names = {number: column.name for number, column in sorted(relation.columns.items())}
        keys = tuple(frozenset(names[number] for number in key) for key in relation.unique_keys)
        return Keyed(tuple(names.values()), keys) if keys else None

    def counts(self, spliced: Spliced) -> Counter[int]:
        """How often each table's subquery stands in a text, views opened."""
        total: Counter[int] = Counter()
        for oid, times in spliced.replaced.items():
            inner = self.counts(self._views[oid]) if oid in self._views else Counter({oid: 1})
            total.update({table: times * count for table, count in inner.items()})
        return total

    def _resolve(self, schema: str, name: str, path: tuple[str, ...]) -> int | None:
        found = resolve(schema, name, self._catalog, path)
        return None if found is None else found.oid

    def _replace(self, oid: int, only: bool, sample: str) -> str | None:
        if oid in self._definitions:
            return self._view(oid)
        if oid not in self.substitution.relations:
            return None
        text = self.substitution.subquery(oid, only=only, sample=sample)
        self.subqueries[text] = oid
        return text

    def _view(self, oid: int) -> str | None:
        """A view's definition, when there is something to replace in it."""
        if oid not in self._views:
            self._views[oid] = self.rewrite(self._definitions[oid], ("pg_catalog",), _VIEW)
        found = self._views[oid]
        if not found.replaced:
            return None
        # OFFSET 0 is a barrier too: the client's conditions are not asked about rows that the view leaves out.
        return f"(SELECT * FROM ({found.text}) AS v OFFSET 0)" if oid in self._barriers else f"({found.text})"  # noqa: S608


async def _analysed(
    client: PgClient, wish: Substitute, spliced: Spliced, asked: str, known: Sequence[Known], work: _Rewriting
) -> Substituted:
    await client.see_names_as(wish.search_path)
    reply = await client.parse_only(asked, wish.parameter_types)
    if reply.error:
        raise RefusedStatementError("stand-in-rejected", "the database does not accept the statement over stand-ins")
    queries = check(
        "\n".join(reply.trees), known=known, replaced=spliced.replaced, relations=work.substitution.relations,
        target=0 if work.target is None else work.target.relation,
    )  # fmt: skip
    found = await with_bodies(client, wish.search_path, lambda bodies: analyse_queries(
        queries, parsed=wish.statement, catalog=work.substitution.catalog, parameter_types=reply.parameter_types,
        row_description=reply.row_description, bodies=bodies,
    ), in_transaction=wish.here is not None)  # fmt: skip
    _agree(wish.analysis, found)
    if found.inside & work.substitution.relations:
        raise RefusedStatementError(
            "stand-in-body", "a function in it reads tables whose rows or values are hidden from you"
        )
    return Substituted(spliced.text, reply.row_description, found.effect_free)


def _agree(original: Analysis, found: Analysis) -> None:
    """The client's view of the statement does not change: names and types of columns, types of parameters."""
    columns = [read_row_description(one.row_description) for one in (original, found)]
    if columns[0] != columns[1] or original.parameter_types != found.parameter_types:
        raise RefusedStatementError("stand-in-shape", NOT_SAME)
    if found.opaque or {(w.kind, w.relation) for w in found.writes} != {(w.kind, w.relation) for w in original.writes}:
        raise RefusedStatementError("opaque", "the statement over stand-ins has a part that cannot be seen into")
