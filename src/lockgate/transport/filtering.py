"""The filtered table that a statement writes: its columns, and which of them the filter reads, by the server's word.

For: the wish `Substitute` of a statement that writes. Not for: the text (`sql.written`) or the condition (`policy.row_filters`).
Source: architecture section 5; PostgreSQL documentation, 5.9 (row security).
"""

from __future__ import annotations

from lockgate.errors import RefusedStatementError
from lockgate.masking.stand_ins import type_name
from lockgate.model.catalog import Catalog, Relation
from lockgate.session.wishes import Substitute
from lockgate.sql.analysis import analyse
from lockgate.sql.parse import split_and_parse
from lockgate.sql.written import Target
from lockgate.transport.pgclient import PgClient


async def written_target(client: PgClient, wish: Substitute, catalog: Catalog) -> Target | None:
    """The filtered table that a statement writes; None when it writes none.

    Raises:
        RefusedStatementError: it cannot be known whether a row that is written passes the filter.
    """
    filters = dict(wish.filters)
    written = {write.relation for write in wish.analysis.writes}
    if not written & filters.keys():
        return None
    (oid,) = written
    relation = catalog.relations[oid]
    types = {column.name: type_name(column.type_oid, -1, catalog) for _, column in sorted(relation.columns.items())}
    named = {name: kind for name, kind in types.items() if kind is not None}
    if len(named) != len(types):
        raise RefusedStatementError("stand-in-type", "a column has a type that the catalog snapshot does not know")
    numbers = await _read_by(client, relation, filters[oid], catalog)
    if numbers & relation.generated or not numbers <= relation.columns.keys():
        raise RefusedStatementError("row-filter-write", "the filter reads a generated or system column")
    careful = any(level.fails or level.condition_fails for level in wish.analysis.levels)
    return Target(oid, filters[oid], named, frozenset(relation.columns[n].name for n in numbers), careful)


async def _read_by(client: PgClient, relation: Relation, condition: str, catalog: Catalog) -> frozenset[int]:
    name = ".".join('"' + part.replace('"', '""') + '"' for part in (relation.schema, relation.name))
    text = f"SELECT 1 FROM {name} AS lockgate_b WHERE ({condition})"  # noqa: S608 - a quoted name, and the policy's own condition
    reply = await client.parse_only(text, ())
    parsed = split_and_parse(text)
    if reply.error or len(parsed) != 1:
        raise RefusedStatementError("row-filter-write", "the database does not accept the filter")
    found = analyse(
        "\n".join(reply.trees),
        parsed=parsed[0],
        catalog=catalog,
        parameter_types=(),
        row_description=reply.row_description,
    )
    return frozenset(reference.attnum for reference in found.reads if reference.relation == relation.oid)
