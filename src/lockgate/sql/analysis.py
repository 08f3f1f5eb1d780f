"""From the server's own analysed tree of a statement to what the statement does.

For: `analyse`, for statements that have a tree. `utility` has those that have none.
Not for: deciding anything; a principal's masks do not enter here.
Source: masking.md 1.2 and 2.3; architecture section 3, step 4.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType

from lockgate.errors import RefusedStatementError
from lockgate.model.catalog import Catalog
from lockgate.model.statement import Access, Action, Analysis, Called, Kind, Output, Parsed, UseKind
from lockgate.sql.bodies import Body
from lockgate.sql.queries import Queries
from lockgate.sql.scope import Yield
from lockgate.sql.tree import Node, read_trees
from lockgate.sql.types import type_of
from lockgate.sql.writes import KINDS, SELECT

_COLUMN = struct.Struct(">IhIhih")


NO_BODIES: Mapping[Called, Body] = MappingProxyType({})


def analyse(
    trees: str,
    *,
    parsed: Parsed,
    catalog: Catalog,
    parameter_types: tuple[int, ...],
    row_description: bytes,
    bodies: Mapping[Called, Body] = NO_BODIES,
) -> Analysis:
    """What a statement does, by the server's rewritten tree of it.

    Args:
        trees: DETAIL of the server's notice "rewritten parse tree".
        parsed: the statement; for EXPLAIN, DECLARE, PREPARE, COPY (query) and CREATE TABLE AS the tree is the inner one's.
        row_description: body of the RowDescription that the analysis connection saw, empty when there was none.
        bodies: bodies of functions that are known; one that is not makes its function opaque and stands in the analysis' `called`.

    Raises:
        RefusedStatementError: anything that is not understood.
    """
    return analyse_queries(
        read_trees(trees),
        parsed=parsed,
        catalog=catalog,
        parameter_types=parameter_types,
        row_description=row_description,
        bodies=bodies,
    )


def analyse_queries(
    queries: tuple[Node, ...],
    *,
    parsed: Parsed,
    catalog: Catalog,
    parameter_types: tuple[int, ...],
    row_description: bytes,
    bodies: Mapping[Called, Body] = NO_BODIES,
) -> Analysis:
    """As `analyse`, for a tree that was read already."""
    try:
        return _analyse(Queries(catalog, bodies.get), queries, parsed, parameter_types, row_description)
    except RecursionError:
        raise RefusedStatementError("tree-depth", "the statement cannot be judged: it is nested too deeply") from None


def _analyse(
    facts: Queries,
    queries: tuple[Node, ...],
    parsed: Parsed,
    parameter_types: tuple[int, ...],
    row_description: bytes,
) -> Analysis:
    if parsed.kind is Kind.COPY_FILE:
        facts.hide("COPY", "it reads or writes files or programs of the server")
    if len(queries) > 1:
        facts.hide("rewrite rule", "a rule adds statements to this one")
    found = [(query, facts.query(query, None)) for query in queries]
    top = next(((query, result) for query, result in found if query.flag("canSetTag")), found[0])
    command = top[0].integer("commandType")
    outputs = _outputs(*top, row_description)
    kind = Kind.SELECT if command == SELECT else KINDS.get(command, Kind.OTHER)
    copied: tuple[Output, ...] = ()
    if parsed.kind is Kind.CREATE_TABLE_AS:
        kind = Kind.CREATE_TABLE_AS
        for output in outputs:
            facts.use(UseKind.WRITE_SOURCE, output.sources, "CREATE TABLE AS", 0, literal=output.literal)
        outputs, copied = (), outputs
        facts.has_effects = True
    elif command == SELECT or top[0].items("returningList"):
        for output in outputs:
            if output.plain:
                facts.use(UseKind.OUTPUT, output.sources, "", top[1].scope.level, literal=output.literal)
    return Analysis(
        kind=kind,
        outputs=outputs,
        uses=tuple(facts.uses),
        levels=tuple(level.frozen() for level in facts.levels),
        reads=frozenset(facts.reads),
        relations=frozenset(facts.relations),
        accesses=_accesses(facts, parsed),
        writes=tuple(facts.writes),
        opaque=tuple(facts.opaque),
        effect_free=not facts.has_effects and not facts.opaque and kind is Kind.SELECT and parsed.kind is Kind.SELECT,
        parameter_types=parameter_types,
        row_description=row_description,
        functions=tuple(facts.functions),
        compared=facts.givens.compared(),
        unread=facts.givens.unread(),
        matched=facts.givens.matched(),
        fixed=facts.givens.fixed(),
        copied=copied,
        vouched=tuple(facts.vouched),
        called=tuple(facts.called),
        inside=frozenset(facts.inside),
    )


def _outputs(query: Node, result: Yield, row_description: bytes) -> tuple[Output, ...]:
    name = "targetList" if query.integer("commandType") == SELECT else "returningList"
    targets = [t for t in query.nodes(name) if not t.flag("resjunk")]
    described = read_row_description(row_description)
    if row_description and len(described) != len(targets):
        raise RefusedStatementError("row-description", "the server describes other columns than its tree has")
    outputs = []
    for at, target in enumerate(targets):
        value = result.one(at + 1)
        label, kind = described[at] if described else (target.text("resname"), type_of(target.need("expr")))
        outputs.append(Output(label, kind, value.sources, value.plain, value.literal, value.row_of))
    return tuple(outputs)


def read_row_description(body: bytes) -> list[tuple[str, int]]:
    """Name and type OID of each column of a RowDescription body.

    Raises:
        RefusedStatementError: the body is not one.
    """
    if not body:
        return []
    try:
        (count,) = struct.unpack_from(">h", body)
        at = 2
        columns = []
        for _ in range(count):
            end = body.index(b"\0", at)
            label = body[at:end].decode("utf-8", "replace")
            columns.append((label, _COLUMN.unpack_from(body, end + 1)[2]))
            at = end + 1 + _COLUMN.size
    except (struct.error, ValueError):
        raise RefusedStatementError(
            "row-description", "the server's description of the columns cannot be read"
        ) from None
    if at != len(body):
        raise RefusedStatementError("row-description", "the server's description of the columns cannot be read")
    return columns


def _accesses(facts: Queries, parsed: Parsed) -> tuple[Access, ...]:
    found: dict[Access, None] = {}
    written = {fact.relation for fact in facts.writes} | set(facts.locked)
    read_columns: set[int] = {reference.relation for reference in facts.reads}
    for oid in facts.scanned:
        if oid not in written or oid in read_columns:
            found[_access(Action.READ, oid, facts.catalog)] = None
    for oid in read_columns:
        found[_access(Action.READ, oid, facts.catalog)] = None
    for oid in written:
        found[_access(Action.WRITE, oid, facts.catalog)] = None
    for name in facts.executed:
        found[Access(Action.EXECUTE, 0, name)] = None
    if parsed.kind in (Kind.COPY_OUT, Kind.COPY_FILE):
        found[Access(Action.EXPORT, 0, "")] = None
        for oid in facts.scanned:
            found[_access(Action.EXPORT, oid, facts.catalog)] = None
    if parsed.kind is Kind.COPY_FILE:
        found[Access(Action.ADMINISTER, 0, "")] = None
    if parsed.kind is Kind.CREATE_TABLE_AS:
        found[Access(Action.DEFINE, 0, "")] = None
    return tuple(found)


def _access(action: Action, oid: int, catalog: Catalog) -> Access:
    relation = catalog.relations.get(oid)
    return Access(action, oid, relation.qualified_name) if relation is not None else Access(action, 0, "")
