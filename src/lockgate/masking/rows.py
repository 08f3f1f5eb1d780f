"""Rows: DataRow bodies in, DataRow bodies out, every masked cell replaced.

For: applying a plan to the answer of one statement, cell by cell, in text and binary.
Not for: deciding the plan, framing messages, or the order of rows (`order`). A row whose shape is not the plan's is an error.
Source: PostgreSQL documentation 55.7 (DataRow).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import add
from typing import Any, cast

from lockgate import speed
from lockgate.errors import InvariantError
from lockgate.masking.batches import Column, FixedColumn, Masks, data_row, split
from lockgate.masking.compiled import compiled_column
from lockgate.masking.copy_formats import CopyShape
from lockgate.masking.keys import KeyRing
from lockgate.masking.pseudonyms import Pseudonym, PseudonymPool
from lockgate.masking.rules import is_injective
from lockgate.masking.tokens import TokenMaker
from lockgate.masking.transforms import Constant, Context, cell_mask, many_of
from lockgate.model.catalog import Type
from lockgate.model.plan import ColumnPlan, Disposition, Plan

CACHED_CELLS = 65_536
"""Most remembered cells of one statement, over all its columns."""
POOLED_CELLS = 8192
"""Most cells of one column that outlive their statement."""


class RowMasker:
    """Masks the rows of one result; one object per statement, used by one thread."""

    def __init__(
        self,
        plan: Plan,
        *,
        key_ring: KeyRing,
        purpose: str,
        scope: str,
        epoch: int,
        formats: Sequence[int],
        type_names: Mapping[int, Type],
        type_mods: Sequence[int],
        date_style: str,
        pool: PseudonymPool | None = None,
    ) -> None:
        """Prepare the masks of all columns.

        Args:
            plan: what happens to each column.
            key_ring: where keys come from.
            purpose: see `KeyRing.key`.
            scope: see `KeyRing.key`.
            epoch: see `KeyRing.key`.
            formats: 0 or 1 per column, as the row description sent to this client says.
            type_names: the catalog's types.
            type_mods: type modifier per column, from the row description.
            date_style: the session's DateStyle as last reported.
            pool: prepared pseudonyms over the same key ring, to spare short statements their making.

        Raises:
            InvariantError: the arguments disagree about the number of columns.
        """
        count = len(plan.columns)
        if plan.masks and not len(formats) == len(type_mods) == count:
            raise InvariantError("formats, type modifiers and plan disagree about the number of columns")
        if any(code not in (0, 1) for code in formats):
            raise InvariantError("a format is neither text nor binary")
        self._ring = key_ring
        self._purpose = purpose
        self._scope = scope
        self._epoch = epoch
        self._pool = PseudonymPool(key_ring) if pool is None else pool
        self._pooled = pool is not None
        self.cells_masked: list[int] = [0] * count
        """Masked cells per column so far, NULLs not counted."""
        context = Context(self._pseudonym, self._secret_tags().tag, date_style, type_names)
        self._active = False
        columns: list[Any] = [None] * count
        kept = (purpose, scope, epoch)
        hidden = sum(column.disposition is Disposition.MASKED for column in plan.columns)
        kept_max = CACHED_CELLS // max(1, hidden) if pool is None else min(CACHED_CELLS // max(1, hidden), POOLED_CELLS)
        for number, column in enumerate(plan.columns if plan.masks else ()):
            if column.disposition is not Disposition.MASKED:
                continue
            binary, type_mod = formats[number] == 1, type_mods[number]
            name = (*kept, column.label, column.rule, column.type_oid, type_mod, binary)
            columns[number] = self._column(column, name, columns, kept_max, context)
            self._active = True
        self._masks: Any = Masks(columns) if speed.core is None else speed.core.Masks(columns)

    def _column(
        self, column: ColumnPlan, name: tuple[Any, ...], columns: Sequence[Any], kept_max: int, context: Context
    ) -> Any:
        """What masks a column; `name` is all that an injective mask depends on, its last two the type modifier and the format."""
        *_, type_mod, binary = name
        pooled = self._pooled and is_injective(column.rule)
        cells = self._pool.cells(name) if pooled else {}

        def make() -> Any:
            mask = cell_mask(column, type_mod, binary, context)
            many = many_of(mask)
            if speed.core is None and isinstance(mask, Constant):
                return FixedColumn(mask.value)
            if speed.core is None:
                framed = cast("dict[bytes, bytes]", self._pool.cells((*name, "framed"))) if pooled else {}
                return Column(many, cells, framed, kept_max)
            return compiled_column(
                column, mask, many, cells, kept_max, type_mod=type_mod, binary=binary, context=context
            )

        if not pooled or speed.core is None:
            return make()
        found = self._pool.column(name, make)
        # One column gathers one output's cells: a second output of the same kind has one of its own.
        return make() if any(found is other for other in columns) else found

    @property
    def masks(self) -> Any:
        """What masks whole rows, without counting here."""
        return self._masks

    def mask(self, body: bytes) -> bytes:
        """The row as the client may see it.

        Args:
            body: a DataRow message without type and length.

        Raises:
            BackendProtocolError: the row is malformed or has another number of columns than the plan.
        """
        return self.apart(data_row(body))[0] if self._active else body

    def restart(self) -> None:
        """Count from nothing again, for another execution of the same statement."""
        self.cells_masked = [0] * len(self.cells_masked)

    def span(self, rows: bytes) -> bytes:
        """Whole DataRow messages as the client may see them; errors as `mask`."""
        if not self._active:
            return rows
        shown, _, counts = self._masks.mask(rows, False)
        self._counted(counts)
        return cast("bytes", shown)

    def copied(self, messages: bytes, shape: CopyShape) -> tuple[bytes, int] | None:
        """Whole CopyData messages with one row each, masked, and the number of rows; None: they must be taken apart one by one."""
        if not self._active or shape.escape != shape.quote:
            return None
        found = self._masks.copied(
            messages, shape.format, shape.delimiter[0], shape.quote[0], shape.null, frozenset(shape.forced)
        )
        if found is None:
            return None
        shown, rows, counts = found
        self._counted(counts)
        return shown, rows

    def apart(self, rows: bytes) -> list[bytes]:
        """As `span`, giving the rows' bodies."""
        if not self._active:
            return [row[5:] for row in split(rows)]
        shown, _, counts = self._masks.mask(rows, True)
        self._counted(counts)
        return cast("list[bytes]", shown)

    def _counted(self, counts: Sequence[int]) -> None:
        self.cells_masked = list(map(add, self.cells_masked, counts))

    def _pseudonym(self, label: str) -> Pseudonym:
        return self._pool.get(label, purpose=self._purpose, scope=self._scope, epoch=self._epoch)

    def _secret_tags(self) -> TokenMaker:
        label = "secret.credential"
        token_key, tag_key = (
            self._ring.key(class_=label, purpose=self._purpose, scope=self._scope, epoch=self._epoch, use=use)
            for use in ("token", "tag")
        )
        return TokenMaker(token_key, tag_key)
