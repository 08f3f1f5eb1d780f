"""Which of the compiled core's columns does what a column's mask does.

For: handing the prepared ciphers of the usual columns to the compiled core; for everything else it calls the plain mask.
Not for: constructions (`numerals`, `people`, `tokens`): here nothing is decided about a pseudonym, and a test compares every byte.
Source: ADR 14.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lockgate import speed
from lockgate.masking import pgtypes
from lockgate.masking.ff1 import MINIMUM_DOMAIN, walk_shape
from lockgate.masking.numerals import Numerals, integer_range, kind_of
from lockgate.masking.pseudonyms import Pseudonym
from lockgate.masking.rules import INJECTIVE_LABELS, ROW, is_injective
from lockgate.masking.transforms import Constant, Context, text_limit
from lockgate.model.plan import ColumnPlan

Many = Callable[[list[bytes]], list[bytes | None]]
"""A column's mask for many cells."""

_FORMS = {"payment.card": "card", "person.phone": "phone", "person.national_id": "id"}
_RANK_MAX = 1 << 62


def compiled_column(
    column: ColumnPlan, mask: object, many: Many, kept: dict[bytes, bytes | None], kept_max: int, *, type_mod: int, binary: bool,
    context: Context,
) -> Any:  # fmt: skip
    """The compiled core's column.

    Args:
        mask: the plain mask, for constants.
        many: the plain mask of what the column does not do itself.
        kept: masks that `many` gave before.
        kept_max: most of them.
        type_mod: of the column.
        binary: format of the column.
        context: as the plain mask was made with.
    """
    core, given = speed.core, (many, kept, kept_max)
    if isinstance(mask, Constant):
        return core.FixedColumn(*given, mask.value)
    shape = pgtypes.shape_of(column.type_oid, context.types)
    if column.rule == ROW or shape.array:
        return core.Column(*given)
    if shape.oid == pgtypes.DATE and column.rule == "year" and not binary and context.date_style.startswith("ISO"):
        return core.YearColumn(*given)
    if not is_injective(column.rule) or column.label not in INJECTIVE_LABELS:
        return core.Column(*given)
    pseudonym = context.pseudonym(column.label)
    if shape.kind == "text" and shape.oid != pgtypes.BPCHAR:
        found = _text(pseudonym, given, text_limit(shape.oid, type_mod))
    elif shape.oid in (pgtypes.INT4, pgtypes.INT8) and column.label in ("person.phone", "person.national_id"):
        numerals, limit = pseudonym.numerals, pgtypes.INTEGER_LIMITS[shape.oid]
        width, rounds = pgtypes.INTEGER_BYTES[shape.oid], numerals.integers.ff1.rounds
        found = core.IntegerColumn(*given, width, binary, rounds, lambda value: _range(numerals, value, limit))
    else:
        found = None
    return core.Column(*given) if found is None else found


def _text(pseudonym: Pseudonym, given: tuple[Many, dict[bytes, bytes | None], int], limit: int) -> Any:
    core, label = speed.core, pseudonym.label
    if label in _FORMS:
        numerals = pseudonym.numerals
        digits, mixed = numerals.digits, numerals.mixed.ff1.rounds if label == "person.national_id" else None
        return core.FormColumn(
            *given,
            _FORMS[label],
            digits.rounds,
            digits.prepared,
            mixed,
            lambda pattern: _pattern(numerals, pattern),
            limit,
        )
    if label not in ("person.name", "person.email"):
        return None
    mails = pseudonym.mails
    mail = label == "person.email"
    ff1 = mails.locals.ff1 if mail else pseudonym.names.tokens.ff1
    return core.TokenColumn(
        *given, mail, ff1.rounds, ff1.wide_rounds, ff1.prepared, ff1.prepared_wide,
        lambda domain: mails.domain(domain.decode("ascii")).encode("ascii"), limit,
    )  # fmt: skip


def _pattern(numerals: Numerals, pattern: bytes) -> tuple[int, int, int, int] | None:
    """Shape, constant block and bits of the low half for identifiers with letters of these kinds."""
    size = 1
    for letter in pattern.decode("ascii"):
        size *= kind_of(letter)[1]
    if not MINIMUM_DOMAIN <= size < _RANK_MAX:
        return None
    length, tweak = walk_shape(0, size, b"id/" + pattern)
    return *numerals.mixed.ff1.prepared(length, tweak), length - length // 2


def _range(numerals: Numerals, value: int, limit: int) -> tuple[int, int, int, int, int, int] | None:
    """What `Numerals.integer` permutes a value among: first, size, shape, constant block, bits of the low half."""
    among = integer_range(value, limit)
    if among is None:
        return None
    low, high, sign = among
    length, tweak = walk_shape(0, high - low, sign)
    return low, high - low, *numerals.integers.ff1.prepared(length, tweak), length - length // 2
