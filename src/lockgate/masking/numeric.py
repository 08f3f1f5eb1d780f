"""PostgreSQL's `numeric` in text and binary, as far as whole numbers go.

For: reading whole numbers and writing them with the scale a column demands.
Not for: arithmetic; a number with a fraction other than zero has no pseudonym and is withheld.
Source: src/backend/utils/adt/numeric.c, numeric_send (base 10000 digits, weight, sign, display scale).
"""

from __future__ import annotations

import re
import struct

from lockgate.errors import BackendProtocolError

LARGEST = 10**38 - 1
"""Largest whole number that gets a pseudonym."""

_WHOLE = re.compile(r"(-?)([0-9]{1,40})(?:\.(0*))?", re.ASCII)
_NEGATIVE = 0x4000
_SPECIAL = 0xC000
_BASE = 10000


def limit_of(type_mod: int) -> tuple[int, int | None]:
    """Largest whole number and scale of a type modifier; scale None when unconstrained."""
    if type_mod < 4:
        return LARGEST, None
    precision = (type_mod - 4) >> 16 & 0xFFFF
    scale = (type_mod - 4) & 0x7FF
    if scale & 0x400:
        return 0, 0  # a negative scale rounds to tens: no room for a pseudonym
    return min(10 ** max(precision - scale, 0) - 1, LARGEST), scale


def read_text(value: str) -> tuple[int, int] | None:
    """The whole number and its display scale, None when it is no whole number of at most 40 digits."""
    found = _WHOLE.fullmatch(value)
    return None if found is None else (int(found[1] + found[2]), len(found[3] or ""))


def read_binary(raw: bytes) -> tuple[int, int] | None:
    """As `read_text`, from binary."""
    if len(raw) < 8:
        raise BackendProtocolError("a binary numeric is shorter than its header")
    count, weight, sign, scale = struct.unpack_from("!hhHH", raw)
    if count < 0 or len(raw) != 8 + 2 * count:
        raise BackendProtocolError("a binary numeric has a wrong length")
    if sign & _SPECIAL == _SPECIAL or weight > 10:
        return None
    digits = struct.unpack_from(f"!{count}H", raw, 8)
    if any(digit >= _BASE for digit in digits):
        raise BackendProtocolError("a binary numeric has a wrong digit")
    if any(digits[max(weight + 1, 0) :]):
        return None
    value = 0
    for position in range(weight + 1):
        value = value * _BASE + (digits[position] if position < count else 0)
    return (-value if sign == _NEGATIVE else value), scale


def write_text(value: int, scale: int) -> bytes:
    """A whole number with `scale` zeros behind the point."""
    return (str(value) + ("." + "0" * scale if scale else "")).encode("ascii")


def write_binary(value: int, scale: int) -> bytes:
    """As `write_text`, in binary."""
    digits, rest = [], abs(value)
    while rest:
        rest, digit = divmod(rest, _BASE)
        digits.append(digit)
    weight = len(digits) - 1 if digits else 0
    digits.reverse()
    while digits and digits[-1] == 0:
        digits.pop()
    header = struct.pack("!hhHH", len(digits), weight, _NEGATIVE if value < 0 else 0, scale)
    return header + struct.pack(f"!{len(digits)}H", *digits)
