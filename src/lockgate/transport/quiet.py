"""Trees of statements on a session's own link where its role may not silence the server's log.

For: asking without a line in the log: a temporary function is made of the statement with BEGIN ATOMIC, its stored tree is read, and the
function goes with the savepoint around it. A stored tree is analysed but not rewritten, so it is used only where rewriting would change
nothing: plain tables without rules or row security.
Not for: sessions that can silence the log (`own_link`), or statements that everybody can see.
Source: masking.md 1.2; docs/adr/0018-own-link.md; PostgreSQL 14 to 18, pg_proc.prosqlbody.
"""

from __future__ import annotations

from dataclasses import replace

from lockgate.errors import RefusedStatementError
from lockgate.masking.stand_ins import type_name
from lockgate.model.catalog import Catalog
from lockgate.session.wishes import Failed
from lockgate.sql.functions import FIRST_USER_OID
from lockgate.sql.reanalysis import without_places
from lockgate.sql.tree import Node, child_nodes, read_unwrapped
from lockgate.transport.pgclient import ParseReply, PgClient, ServerRejectedError

NOT_SILENT = Failed(
    "0A000", "what only this session sees cannot be analysed, because its role may not keep the analysis out of the server's log",
    "An administrator can allow it: GRANT SET ON PARAMETER log_min_messages TO the role of masked sessions.", reason="analysis-not-silent",
)  # fmt: skip
_NAME = "lockgate_analysis"
_BODY = (
    "SELECT p.prosqlbody::pg_catalog.text FROM pg_catalog.pg_proc p"  # noqa: S608 - our own name
    f" WHERE p.proname OPERATOR(pg_catalog.=) '{_NAME}'::pg_catalog.name"
    " AND p.pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()"
)
_PLAIN = frozenset({"r", "p"})


def not_silent() -> RefusedStatementError:
    """The refusal of what can be asked neither silently nor in another way."""
    return RefusedStatementError(
        NOT_SILENT.reason, NOT_SILENT.sentence, sqlstate=NOT_SILENT.sqlstate, hint=NOT_SILENT.hint
    )


async def with_tree(client: PgClient, text: str, reply: ParseReply, catalog: Catalog) -> ParseReply:
    """What the server said of a statement, with the tree of a function that is made of it.

    Raises:
        RefusedStatementError: no such function can be made here.
    """
    types = [type_name(oid, -1, catalog) for oid in reply.parameter_types]
    listed = ", ".join(one for one in types if one is not None)
    result = "SETOF pg_catalog.record" if reply.row_description else "pg_catalog.void"
    if None in types:
        raise not_silent()
    try:
        await client.query(
            f"CREATE FUNCTION pg_temp.{_NAME}({listed}) RETURNS {result} LANGUAGE sql BEGIN ATOMIC {text}\n; END"
        )
        rows = await client.query(_BODY)
        await client.query(f"DROP FUNCTION pg_temp.{_NAME}")
    except ServerRejectedError:
        raise not_silent() from None
    tree = (rows[0][0] or b"").decode() if len(rows) == 1 else ""
    if not tree.startswith("((") or not tree.endswith("))"):
        raise not_silent()
    return replace(reply, trees=(without_places(tree[1:-1]),))


def plain_queries(reply: ParseReply, catalog: Catalog) -> tuple[Node, ...]:
    """The queries of a stored tree, which rewriting would leave as they are.

    Raises:
        RefusedStatementError: it would not.
    """
    queries = read_unwrapped(reply.trees[0])
    if not all(_is_plain(query, catalog) for query in queries):
        raise not_silent()
    return queries


def _is_plain(node: Node, catalog: Catalog) -> bool:
    if node.tag == "RANGETBLENTRY" and node.integer("rtekind") == 0:
        relation = catalog.relations.get(node.integer("relid"))
        users = node.integer("relid") >= FIRST_USER_OID
        if relation is None or node.text("relkind") not in _PLAIN or relation.kind not in _PLAIN:
            return False
        if users and (relation.has_rules or relation.row_security or relation.secured_by):
            return False
    return all(_is_plain(child, catalog) for child in child_nodes(node))
