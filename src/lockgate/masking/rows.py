"""Rows: DataRow bodies in, DataRow bodies out, every masked cell replaced.

For: applying a plan to the answer of one statement, cell by cell, in text and binary.
Not for: deciding the plan, framing messages, or the order of rows (`order`). A row whose shape is not the plan's is an error.
Source: PostgreSQL documentation 55.7 (DataRow).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lockgate import speed
from lockgate.errors import BackendProtocolError, InvariantError
from lockgate.masking.arrays import CellMask
from lockgate.masking.keys import KeyRing
from lockgate.masking.pseudonyms import Pseudonym, PseudonymPool
from lockgate.masking.rules import is_injective
from lockgate.masking.tokens import TokenMaker
from lockgate.masking.transforms import Context, cell_mask
from lockgate.model.catalog import Type
from lockgate.model.plan import Disposition, Plan

CACHED_CELLS = 65_536
"""Most remembered cells of one statement, over all its columns."""
POOLED_CELLS = 8192
"""Most cells of one column that outlive their statement."""

_CACHED_CELL_BYTES = 256
_NULL = b"\xff\xff\xff\xff"


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
        self.cells_masked: list[int] = [0] * count
        """Masked cells per column so far, NULLs not counted."""
        context = Context(self._pseudonym, self._secret_tags().tag, date_style, type_names)
        self._count = count
        self._masks: list[CellMask | None] = [None] * count
        if plan.masks:
            for number, column in enumerate(plan.columns):
                if column.disposition is Disposition.MASKED:
                    self._masks[number] = cell_mask(column, type_mods[number], formats[number] == 1, context)
        self._masked = [(number, mask) for number, mask in enumerate(self._masks) if mask is not None]
        self._active = any(mask is not None for mask in self._masks)
        kept = (purpose, scope, epoch)
        self._caches: list[dict[bytes, bytes | None]] = [
            pool.cells((*kept, column.label, column.rule, column.type_oid, type_mods[number], formats[number]))
            if pool is not None and self._active and is_injective(column.rule)
            else {}
            for number, column in enumerate(plan.columns)
        ]
        each = CACHED_CELLS // max(1, sum(mask is not None for mask in self._masks))
        self._cached_max = each if pool is None else min(each, POOLED_CELLS)

    def mask(self, body: bytes) -> bytes:
        """The row as the client may see it.

        Args:
            body: a DataRow message without type and length.

        Raises:
            BackendProtocolError: the row is malformed or has another number of columns than the plan.
        """
        if not self._active:
            return body
        if speed.core is not None:
            values: list[bytes | None] = speed.core.cells(body, self._count)
            for number, hide in self._masked:
                cell = values[number]
                if cell is not None:
                    values[number] = self._shown(number, hide, cell)
            row: bytes = speed.core.row(values)
            return row
        length = len(body)
        if length < 2 or int.from_bytes(body[:2], "big") != self._count:
            raise BackendProtocolError("a row has another number of columns than was planned")
        parts = [body[:2]]
        position = 2
        for number, mask in enumerate(self._masks):
            start = position
            position += 4
            if position > length:
                raise BackendProtocolError("a row ends inside the length of a value")
            size = int.from_bytes(body[start:position], "big", signed=True)
            if size == -1:
                parts.append(_NULL)
                continue
            position += size
            if size < 0 or position > length:
                raise BackendProtocolError("a value is longer than its row")
            if mask is None:
                parts.append(body[start:position])
                continue
            shown = self._shown(number, mask, body[position - size : position])
            if shown is None:
                parts.append(_NULL)
            else:
                parts.append(len(shown).to_bytes(4, "big"))
                parts.append(shown)
        if position != length:
            raise BackendProtocolError("a row has bytes after its last value")
        return b"".join(parts)

    def _shown(self, number: int, mask: CellMask, cell: bytes) -> bytes | None:
        self.cells_masked[number] += 1
        cache = self._caches[number]
        if cell in cache:
            return cache[cell]
        shown = mask(cell)
        if len(cell) <= _CACHED_CELL_BYTES:
            if len(cache) >= self._cached_max:
                cache.clear()
            cache[cell] = shown
        return shown

    def _pseudonym(self, label: str) -> Pseudonym:
        return self._pool.get(label, purpose=self._purpose, scope=self._scope, epoch=self._epoch)

    def _secret_tags(self) -> TokenMaker:
        label = "secret.credential"
        token_key, tag_key = (
            self._ring.key(class_=label, purpose=self._purpose, scope=self._scope, epoch=self._epoch, use=use)
            for use in ("token", "tag")
        )
        return TokenMaker(token_key, tag_key)
