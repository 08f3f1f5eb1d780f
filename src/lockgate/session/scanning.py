"""The second line: texts of columns that nobody labelled, looked at before they are shown.

For: keeping the first rows of an answer back until their content has been looked at, for principals who see masked data.
Not for: recognising values (`classification.content`), or the boundary of masking, which is provenance.
Invariant: rows are released only after they were looked at; what was found withholds the rest of its answer.
Source: masking.md 0.7 and 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping

from lockgate.classification.content import CELLS_MAX, Evidence
from lockgate.model.catalog import Catalog, ColumnRef, FoundLabel
from lockgate.model.statement import Analysis, Kind
from lockgate.wire.postgres import backend as be

CELLS_OF_A_COLUMN_MAX = 2000
"""Cells of a column that are looked at under one catalog when only a sample is asked for."""

KEPT_BYTES_MAX = 1 << 18
"""Most bytes of rows that are kept back while their content is looked at."""

SCANNED = frozenset({Kind.SELECT, Kind.FETCH, Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.EXECUTE})
"""Kinds whose rows are those of the statement that was analysed."""

_TEXTS = frozenset({25, 1043, 1042})
_UNDECIDED = frozenset({"none", "unknown"})
_SYSTEM = frozenset({"pg_catalog", "information_schema"})


class ContentScan:
    """The cells of one answer that are looked at."""

    def __init__(
        self, columns: Mapping[int, ColumnRef], catalog: Catalog, *, full: bool, looked_at: dict[ColumnRef, int]
    ) -> None:
        self._columns = columns
        self._catalog = catalog
        self._evidence = {number: Evidence() for number in columns}
        self._everything = full
        self._looked_at = looked_at
        self._size = 0
        self.kept: list[bytes] = []
        """Whole messages that wait."""

    def add(self, body: bytes, shown: bytes) -> None:
        """Look at one row; `shown` is its message."""
        cells = be.cells(body)
        for number, reference in self._columns.items():
            cell = cells[number] if number < len(cells) else None
            self._evidence[number].add(None if cell is None else cell.decode("utf-8", "replace"))
            self._looked_at[reference] = self._looked_at.get(reference, 0) + 1
        self.kept.append(shown)
        self._size += len(shown)

    @property
    def is_full(self) -> bool:
        """Whether enough rows are kept back."""
        return len(self.kept) >= CELLS_MAX or self._size >= KEPT_BYTES_MAX

    def found(self) -> tuple[FoundLabel, ...]:
        """The labels that the content asks for."""
        labels = ((number, evidence.label()) for number, evidence in self._evidence.items())
        return tuple(
            found_label(self._catalog, self._columns[number], *label, by="content")
            for number, label in labels
            if label is not None
        )

    def again(self) -> ContentScan | None:
        """What looks at the rows after these; None when a sample was asked for."""
        if not self._everything:
            return None
        return ContentScan(self._columns, self._catalog, full=True, looked_at=self._looked_at)


def found_label(catalog: Catalog, reference: ColumnRef, label: str, score: float, *, by: str) -> FoundLabel:
    """A label for a column that the catalog has."""
    relation = catalog.relations[reference.relation]
    return FoundLabel(relation.schema, relation.name, relation.columns[reference.attnum].name, label, by, score)


def is_undecided(catalog: Catalog, reference: ColumnRef) -> bool:
    """Whether nobody has decided that a column of a user's table holds something, or nothing."""
    column, relation = catalog.column(reference), catalog.relations.get(reference.relation)
    if column is None or relation is None or relation.schema in _SYSTEM:
        return False
    return column.label in _UNDECIDED and column.label_by != "person"


def content_scan(
    analysis: Analysis, catalog: Catalog, masked: frozenset[ColumnRef], mode: str, looked_at: dict[ColumnRef, int]
) -> ContentScan | None:
    """A scan of the columns that nobody decided about; None when there is none, or enough of each was seen."""
    if mode == "off":
        return None
    columns = {}
    for number, output in enumerate(analysis.outputs):
        if not output.plain or output.literal or len(output.sources) != 1 or output.type_oid not in _TEXTS:
            continue
        (reference,) = output.sources
        if reference in masked or not is_undecided(catalog, reference):
            continue
        if mode == "full" or looked_at.get(reference, 0) < CELLS_OF_A_COLUMN_MAX:
            columns[number] = reference
    return ContentScan(columns, catalog, full=mode == "full", looked_at=looked_at) if columns else None
