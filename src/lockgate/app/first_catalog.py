"""The first catalog: a label for every column, by names and along lineage, with no configuration.

For: `lockgate init` and `lockgate catalog refresh`.
Not for: values: nothing of a table's content is read.
Source: masking.md 4.2.
"""

from __future__ import annotations

import asyncio

from lockgate.app.places import analysis_target
from lockgate.classification.lineage import propagate
from lockgate.classification.names import classify
from lockgate.config.catalog_file import CatalogSection, ColumnKey, ColumnLabel, merged, parse_catalog, render_section
from lockgate.config.settings import DatabaseSettings, Settings
from lockgate.masking.keys import KeyRing
from lockgate.model.catalog import Catalog, ColumnRef, Relation
from lockgate.model.identity import Principal
from lockgate.model.statement import Analysis
from lockgate.policy.engine import Engine, PolicySet
from lockgate.policy.starter import STARTER
from lockgate.transport.database import Database, Roles
from lockgate.transport.pgclient import Target


def _no_label(
    _schema: str, _table: str, _column: str
) -> tuple[str, str, float, tuple[tuple[tuple[str, ...], str], ...]]:
    """Before the first catalog nothing has a label."""
    return "none", "default", 0.0, ()


async def first_catalog(
    admin: Target, *, database: str, environment: str, existing: CatalogSection | None = None
) -> str:
    """One section of catalog.toml: every column of every table and view; labels that a person decided are kept."""
    principals: dict[str, Principal] = {}
    engine = Engine(PolicySet.load(dict(STARTER)), principals)
    source = Database(
        name=database, environment=environment, roles=Roles(admin, admin, admin), engine=lambda: engine, labels=lambda: _no_label,
        default_label=lambda: "unknown", key_ring=KeyRing(bytes(32)), epoch=1, bounded_rows=0, order_buffer_bytes_max=1,
    )  # fmt: skip
    try:
        catalog = await source.refresh()
        definitions = await source.definitions()
    finally:
        source.close()
    # In a thread: a running gate answers clients meanwhile.
    labels = await asyncio.to_thread(label_all, catalog, definitions)
    return render_section(database, merged(labels, existing or CatalogSection()))


async def fresh_section(settings: Settings, database: DatabaseSettings) -> str:
    """The section of a database read anew; labels that a person decided are kept as the file has them.

    Raises:
        ConfigError: the file cannot be read.
        LockgateError, OSError, TimeoutError: the database cannot be asked.
    """
    path = settings.files.catalog
    existing = parse_catalog(path.read_text(), file=str(path)).section(database.name)
    role = analysis_target(database)
    return await first_catalog(role, database=database.name, environment=database.environment, existing=existing)


def label_all(catalog: Catalog, definitions: dict[int, Analysis]) -> list[tuple[ColumnKey, ColumnLabel]]:
    """A label for every user column: base tables by name, views and materialised views by what they are made of."""
    labels: dict[ColumnRef, tuple[str, float, str]] = {}
    relations = [r for r in catalog.relations.values() if r.schema not in ("pg_catalog", "information_schema")]
    for relation in relations:
        names = tuple(c.name for c in relation.columns.values())
        for column in relation.columns.values():
            kind = catalog.types.get(column.type_oid)
            labels[ColumnRef(relation.oid, column.attnum)] = classify(
                relation.schema,
                relation.name,
                column.name,
                kind.name if kind else "text",
                table_columns=names,
                type_kind=kind.kind if kind else "",
            )
    # A view over a view needs its source's labels first; each round settles one more layer.
    for _ in range(8):
        if not _propagated(relations, definitions, labels):
            break
    return [
        (ColumnKey(r.schema, r.name, c.name), ColumnLabel(*_as_line(labels[ColumnRef(r.oid, c.attnum)])))
        for r in sorted(relations, key=lambda r: (r.schema, r.name))
        for c in sorted(r.columns.values(), key=lambda c: c.attnum)
    ]


def _as_line(found: tuple[str, float, str]) -> tuple[str, str, float]:
    label, score, by = found
    return label, by, round(score, 2)


def _propagated(
    relations: list[Relation], definitions: dict[int, Analysis], labels: dict[ColumnRef, tuple[str, float, str]]
) -> bool:
    changed = False
    for relation in relations:
        analysis = definitions.get(relation.oid)
        if analysis is None:
            continue
        known = {ref: label for ref, (label, _, _) in labels.items()}
        columns = sorted(relation.columns.values(), key=lambda c: c.attnum)
        for column, (label, score, by) in zip(columns, propagate(known.get, analysis.outputs), strict=False):
            ref = ColumnRef(relation.oid, column.attnum)
            if labels[ref][0] != label:
                labels[ref] = (label, score, by)
                changed = True
    return changed
