"""Statements that have no analysed tree: definitions, settings, roles, COPY of a table, transactions.

For: which accesses such a statement needs, what it writes, and the text that the analysis connection is asked about.
Not for: queries, whatever they are wrapped in (`analysis`).
Source: architecture section 3, step 4, and section 5 (actions).
"""

from __future__ import annotations

from lockgate.errors import RefusedStatementError
from lockgate.model.catalog import Catalog, ColumnRef, Relation
from lockgate.model.statement import (
    UNKNOWN_COLUMN,
    Access,
    Action,
    Analysis,
    Kind,
    Opaque,
    Output,
    Parsed,
    Use,
    UseKind,
    WriteFact,
)

_WITH_TREE = frozenset({Kind.SELECT, Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.MERGE})
_WITH_INNER = frozenset({Kind.EXPLAIN, Kind.DECLARE, Kind.PREPARE, Kind.COPY_OUT, Kind.COPY_FILE, Kind.CREATE_TABLE_AS})
_DEFINING = frozenset({Kind.DROP, Kind.ALTER, Kind.CREATE, Kind.CREATE_TABLE_AS, Kind.COMMENT, Kind.MAINTENANCE})
_ADMINISTERING = frozenset({Kind.GRANT, Kind.ROLE, Kind.DO, Kind.CREATE_FUNCTION, Kind.COPY_FILE, Kind.OTHER})
_ADMIN_SETTINGS = frozenset({"role", "session_authorization"})
_WHY_OPAQUE: dict[Kind, str] = {
    Kind.DO: "it runs code that cannot be analysed",
    Kind.CALL: "it runs code that cannot be analysed",
    Kind.CREATE_FUNCTION: "it defines code that cannot be analysed",
    Kind.OTHER: "this kind of statement is not known",
    Kind.COPY_FILE: "it reads or writes files or programs of the server",
}


def analysis_text(parsed: Parsed, catalog: Catalog) -> str | None:
    """The text to have analysed: the statement, the one inside it, or a SELECT in the place of COPY table; None for none."""
    if parsed.kind in _WITH_TREE:
        return parsed.text
    if parsed.kind not in _WITH_INNER:
        return None
    if parsed.inner:
        return parsed.inner if parsed.inner_kind in _WITH_TREE else None
    if parsed.kind is Kind.COPY_OUT and len(parsed.tables) == 1:
        schema, name = parsed.tables[0]
        columns = ", ".join(map(quoted, parsed.columns or _copied_columns(schema, name, catalog))) or "*"
        table = f"{quoted(schema)}.{quoted(name)}" if schema else quoted(name)
        return f"SELECT {columns} FROM ONLY {table}"  # noqa: S608 - names are quoted, and nothing is run
    return None


def _copied_columns(schema: str, name: str, catalog: Catalog) -> list[str]:
    """What COPY writes of a table where that is not all of it: not what is computed from other columns; empty where the name is not clear."""
    found = [r for r in catalog.relations.values() if r.name == name and schema in ("", r.schema)]
    if len(found) != 1 or not found[0].generated:
        return []
    return [column.name for number, column in sorted(found[0].columns.items()) if number not in found[0].generated]


def named(parsed: Parsed) -> tuple[tuple[str, str], ...]:
    """Names of things that are there: not the one that a CREATE TEMPORARY gives to what it makes, which stands first."""
    return parsed.tables[1:] if parsed.kind is Kind.CREATE and parsed.temporary else parsed.tables


def quoted(name: str) -> str:
    """An identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def analyse_utility(parsed: Parsed, catalog: Catalog, search_path: tuple[str, ...]) -> Analysis:
    """What a statement without a tree does.

    Args:
        search_path: effective schemas in order, `pg_catalog` included or not.

    Raises:
        RefusedStatementError: the statement has a tree, so it must be analysed by it.
    """
    inner_has_tree = bool(parsed.inner) and parsed.inner_kind in _WITH_TREE
    if parsed.kind in _WITH_TREE or inner_has_tree:
        raise RefusedStatementError("no-tree", "the server gave no tree for the statement")
    relations = [resolve(schema, name, catalog, search_path) for schema, name in named(parsed)]
    known = [relation for relation in relations if relation is not None]
    opaque: list[Opaque] = []
    if parsed.kind in _WHY_OPAQUE:
        opaque.append(Opaque(parsed.kind.value, _WHY_OPAQUE[parsed.kind]))
    if parsed.kind in (Kind.EXPLAIN, Kind.DECLARE, Kind.PREPARE, Kind.CREATE_TABLE_AS) and parsed.inner:
        opaque.append(Opaque(parsed.kind.value, "the statement inside has no tree of its own"))
    writes, uses, outputs = _copies(parsed, known, opaque)
    if parsed.kind is Kind.TRUNCATE:
        writes = [WriteFact(Kind.TRUNCATE, relation.oid, bounded=False, selective=False) for relation in known]
    reads = frozenset(reference for output in outputs for reference in output.sources)
    return Analysis(
        kind=parsed.kind,
        outputs=tuple(outputs),
        uses=tuple(uses),
        reads=reads,
        relations=frozenset(relation.oid for relation in known),
        accesses=_accesses(parsed, relations),
        writes=tuple(writes),
        opaque=tuple(opaque),
    )


def resolve(schema: str, name: str, catalog: Catalog, search_path: tuple[str, ...]) -> Relation | None:
    """The relation that a name means under a search path; `pg_catalog` is searched first unless the path names it."""
    if schema == "pg_temp":
        schema = next((one for one in search_path if one.startswith("pg_temp_")), schema)
    wanted = (schema,) if schema else search_path if "pg_catalog" in search_path else ("pg_catalog", *search_path)
    if wanted[1:] and not schema:
        wanted = tuple(sorted(wanted, key=lambda one: not one.startswith("pg_temp_")))
    by_name: dict[str, Relation] = {}
    for relation in catalog.relations.values():
        if relation.name == name and relation.schema in wanted:
            by_name[relation.schema] = relation
    return next((by_name[place] for place in wanted if place in by_name), None)


def _copies(
    parsed: Parsed, known: list[Relation], opaque: list[Opaque]
) -> tuple[list[WriteFact], list[Use], list[Output]]:
    """COPY of a table: all its columns or those named, in or out."""
    if parsed.kind not in (Kind.COPY_IN, Kind.COPY_OUT, Kind.COPY_FILE):
        return [], [], []
    if len(known) != 1 or len(parsed.tables) != 1:
        opaque.append(Opaque("relation", "it is not in the catalog snapshot"))
        return [], [], []
    relation = known[0]
    names = {column.name: column for column in relation.columns.values()}
    if any(name not in names for name in parsed.columns):
        opaque.append(Opaque(f"relation {relation.qualified_name}", UNKNOWN_COLUMN))
        return [], [], []
    columns = [names[name] for name in parsed.columns] if parsed.columns else list(relation.columns.values())
    if any(name == "where" for name, _ in parsed.options):
        opaque.append(Opaque("COPY WHERE", "its condition has no tree"))
    if relation.row_security or relation.kind not in ("r", "p"):
        opaque.append(Opaque(f"relation {relation.qualified_name}", "its rows come from code of its own"))
    references = [ColumnRef(relation.oid, column.attnum) for column in columns]
    if parsed.kind is Kind.COPY_IN:
        uses = [Use(UseKind.WRITE_TARGET, frozenset({reference}), "COPY") for reference in references]
        return [WriteFact(Kind.COPY_IN, relation.oid, bounded=True, selective=True)], uses, []
    outputs = [
        Output(column.name, column.type_oid, frozenset({reference}), plain=True)
        for column, reference in zip(columns, references, strict=True)
    ]
    uses = [Use(UseKind.OUTPUT, frozenset({reference})) for reference in references]
    return [], uses, outputs


def _accesses(parsed: Parsed, relations: list[Relation | None]) -> tuple[Access, ...]:
    database = [Access(action, 0, "") for action in _actions(parsed)]
    tables: list[Access] = []
    action = {Kind.COPY_IN: Action.WRITE, Kind.TRUNCATE: Action.WRITE, Kind.LOCK: Action.WRITE}.get(parsed.kind)
    if parsed.kind in (Kind.COPY_OUT, Kind.COPY_FILE):
        action = Action.READ
    if parsed.kind in _DEFINING or (parsed.kind in _ADMINISTERING and action is None):
        action = Action.DEFINE
    for (schema, name), relation in zip(named(parsed), relations, strict=True):
        if action is None:
            continue
        if relation is not None:
            tables.append(Access(action, relation.oid, relation.qualified_name))
            if parsed.kind is Kind.COPY_OUT:
                tables.append(Access(Action.EXPORT, relation.oid, relation.qualified_name))
        elif action is not Action.DEFINE:
            tables.append(Access(action, 0, f"{schema}.{name}" if schema else name))
    return tuple(dict.fromkeys(database + tables))


def _actions(parsed: Parsed) -> list[Action]:
    """What is asked of the database itself."""
    if parsed.kind in _ADMINISTERING or (parsed.kind is Kind.SET and parsed.name in _ADMIN_SETTINGS):
        return [Action.ADMINISTER]
    if parsed.kind is Kind.ALTER and parsed.shape.lower().startswith(("alter system", "alter database")):
        return [Action.DEFINE, Action.ADMINISTER]
    if parsed.kind in _DEFINING:
        return [Action.DEFINE]
    if parsed.kind is Kind.CALL:
        return [Action.EXECUTE]
    if parsed.kind is Kind.COPY_OUT:
        return [Action.EXPORT]
    return []
