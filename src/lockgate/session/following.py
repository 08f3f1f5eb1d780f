"""Labels follow data: what a statement copied from labelled columns into columns that nobody decided about.

For: INSERT, UPDATE, MERGE and CREATE TABLE AS by those who may see the values; others may not copy them.
Not for: views and materialised views, whose columns are found by their definition.
Source: masking.md 2.3 (writes) and 4.2 (propagation along lineage).
"""

from __future__ import annotations

import json

from lockgate.classification.lineage import mixed, propagate, sensitivity
from lockgate.model.catalog import Catalog, ColumnRef, FoundLabel
from lockgate.model.statement import Kind, Output, UseKind
from lockgate.session.runs import Run
from lockgate.session.scanning import found_label, is_undecided

_HOLDS_TEXT = frozenset({25, 1043, 1042, 114, 3802, 17, 1009, 1015})
"""Types in which something of a value that was computed with may be left: texts, documents, bytes, arrays of texts."""


def followed(run: Run, catalog: Catalog, search_path: str) -> tuple[FoundLabel, ...]:
    """The labels that the columns written by a statement should have."""
    if run.parsed.kind is Kind.CREATE_TABLE_AS:
        return _created(run, catalog, search_path)
    found: dict[ColumnRef, set[str]] = {}
    changed: set[ColumnRef] = set()
    for use in run.analysis.uses:
        if use.kind is not UseKind.WRITE_SOURCE or use.target is None or not is_undecided(catalog, use.target):
            continue
        labels = {label_of(catalog, source) for source in use.columns} - {"none", "unknown"}
        if labels:
            found.setdefault(use.target, set()).update(labels)
            if not use.plain:
                changed.add(use.target)
    labelled = []
    for target, labels in found.items():
        column = catalog.column(target)
        if target in changed and (column is None or column.type_oid not in _HOLDS_TEXT):
            continue
        label = min(labels) if len(labels) == 1 and target not in changed else mixed(labels)
        labelled.append(found_label(catalog, target, label, 1.0, by="lineage"))
    return tuple(labelled)


def _created(run: Run, catalog: Catalog, search_path: str) -> tuple[FoundLabel, ...]:
    options = dict(run.parsed.options)
    if "into" not in options or run.parsed.temporary:
        return ()
    schema, table = json.loads(options["into"])
    names = json.loads(options["columns"])
    outputs: tuple[Output, ...] = run.analysis.copied
    labels = propagate(lambda source: label_of(catalog, source), outputs)
    return tuple(
        FoundLabel(
            schema or _first_schema(catalog, search_path),
            table,
            names[at] if at < len(names) else output.name,
            label,
            by,
            score,
        )
        for at, (output, (label, score, by)) in enumerate(zip(outputs, labels, strict=True))
        if label not in ("none", "unknown") and (output.plain or output.type_oid in _HOLDS_TEXT)
    )


def label_of(catalog: Catalog, reference: ColumnRef) -> str:
    """The label of a base column; that of a document with labelled paths is that of free text."""
    column = catalog.column(reference)
    return "none" if column is None else sensitivity(column)


def _first_schema(catalog: Catalog, search_path: str) -> str:
    """Where an unqualified new table goes: the first schema of the path that is there."""
    there = {relation.schema for relation in catalog.relations.values()}
    path = [part.strip().strip('"') for part in search_path.split(",")]
    return next((part for part in path if part in there and part != "pg_catalog"), "public")
