"""Labels that a running gate finds, kept in a file of their own beside the catalog.

For: what content and lineage say of columns that nobody decided about: in force from then on, over restarts, in every worker.
Not for: finding them (`session.scanning`, `session.following`). A person's decision in the catalog stands above them.
"""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lockgate.config.catalog_file import (
    CatalogFile,
    CatalogSection,
    ColumnKey,
    ColumnLabel,
    parse_catalog,
    render_section,
)
from lockgate.config.settings import Settings
from lockgate.errors import ConfigError
from lockgate.model.catalog import FoundLabel

HEAD = "# Labels that the gate found in content or along lineage. A line in catalog.toml that a person wrote stands above these.\n\n"


def found_path(settings: Settings) -> Path:
    """Where found labels are kept."""
    return settings.files.catalog.with_name("labels-found.toml")


def with_found(catalog: CatalogFile, found: CatalogFile) -> CatalogFile:
    """The catalog with found labels for every column that no person decided."""
    sections = dict(catalog.sections)
    for name, more in found.sections.items():
        section = catalog.section(name)
        new = {k: v for k, v in more.columns.items() if k not in section.columns or section.columns[k].by != "person"}
        sections[name] = replace(section, columns={**section.columns, **new})
    return CatalogFile(sections)


def read_found(settings: Settings) -> CatalogFile:
    """The labels found so far.

    Raises:
        ConfigError: the file is no catalog.
    """
    path = found_path(settings)
    return parse_catalog(path.read_text(), file=str(path)) if path.exists() else CatalogFile({})


def keep_found(settings: Settings, database: str, labels: Sequence[FoundLabel]) -> list[FoundLabel]:
    """Add labels to the file; returns those that it did not have. One process at a time, and a reader sees all or nothing of it."""
    path = found_path(settings)
    with path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = read_found(settings)
        known = dict(found.section(database).columns)
        new = []
        for one in labels:
            key = ColumnKey(one.schema, one.table, one.column)
            if key not in known:
                known[key] = ColumnLabel(one.label, one.by, one.score)
                new.append(one)
        if new:
            sections = {**found.sections, database: CatalogSection(columns=known)}
            text = HEAD + "\n".join(
                render_section(name, list(s.columns.items())) for name, s in sorted(sections.items())
            )
            written = path.with_suffix(".new")
            written.write_text(text)
            written.replace(path)
    return new


class Found:
    """Keeps what sessions find, records it, and has it taken over at once."""

    def __init__(
        self, settings: Settings, record: Callable[[dict[str, object]], object], reload: Callable[[], object]
    ) -> None:
        self._settings = settings
        self._record = record
        self._reload = reload

    def keep(self, database: str, labels: Sequence[FoundLabel]) -> None:
        """Labels that a session found; what cannot be kept is said loudly."""
        try:
            new = keep_found(self._settings, database, labels)
        except (ConfigError, OSError) as error:
            sys.stderr.write(json.dumps({"event": "label-not-kept", "problem": str(error)}) + "\n")
            return
        for one in new:
            name = f"{one.schema}.{one.table}.{one.column}"
            found: dict[str, object] = {"kind": "admin", "event": "label-found", "database": database}
            self._record({**found, "column": name, "label": one.label, "by": one.by})
        self._reload()
