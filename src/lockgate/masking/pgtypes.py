"""PostgreSQL's types, as far as a mask must be a valid value of one.

For: finding the scalar type below domains and arrays, and a constant value of it in text and binary.
Not for: reading values.
Source: pg_type.dat of PostgreSQL 15 (OIDs); the types' send and receive functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lockgate.model.catalog import Type

BOOL, BYTEA, CHAR, NAME, INT8, INT2, INT4, TEXT, OID, JSON, XML = 16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 142
CIDR, INET, MACADDR, MACADDR8, FLOAT4, FLOAT8 = 650, 869, 829, 774, 700, 701
BPCHAR, VARCHAR, BIT, VARBIT, NUMERIC, UUID, JSONB = 1042, 1043, 1560, 1562, 1700, 2950, 3802

NAME_LENGTH = 63
"""Longest value of type `name`, in bytes."""

TEXT_TYPES = frozenset({TEXT, VARCHAR, BPCHAR, NAME, 705, 1790, 2275})
"""Types whose text and binary forms are both the characters: text, varchar, bpchar, name, unknown, refcursor, cstring."""

DATE = 1082
DATE_TYPES = frozenset({DATE, 1114, 1184})
INTEGER_LIMITS = {INT2: 2**15 - 1, INT4: 2**31 - 1, INT8: 2**63 - 1}
INTEGER_BYTES = {INT2: 2, INT4: 4, INT8: 8}

CONSTANTS: dict[int, tuple[bytes, bytes]] = {
    BOOL: (b"f", b"\0"),
    BYTEA: (b"\\x" + b"[masked]".hex().encode("ascii"), b"[masked]"),
    CHAR: (b"?", b"?"),
    INT8: (b"0", bytes(8)),
    INT2: (b"0", bytes(2)),
    INT4: (b"0", bytes(4)),
    OID: (b"0", bytes(4)),
    27: (b"(0,0)", bytes(6)),  # tid
    28: (b"0", bytes(4)),  # xid
    29: (b"0", bytes(4)),  # cid
    5069: (b"0", bytes(8)),  # xid8
    3220: (b"0/0", bytes(8)),  # pg_lsn
    790: (b"0", bytes(8)),  # money: the sign of the currency is not needed on input
    XML: (b"<masked/>", b"<masked/>"),
    600: (b"(0,0)", bytes(16)),  # point
    CIDR: (b"0.0.0.0/0", b"\x02\x00\x01\x04" + bytes(4)),
    INET: (b"0.0.0.0", b"\x02\x20\x00\x04" + bytes(4)),
    MACADDR: (b"00:00:00:00:00:00", bytes(6)),
    MACADDR8: (b"00:00:00:00:00:00:00:00", bytes(8)),
    FLOAT4: (b"0", bytes(4)),
    FLOAT8: (b"0", bytes(8)),
    1083: (b"00:00:00", bytes(8)),  # time
    1186: (b"00:00:00", bytes(16)),  # interval: read alike in every IntervalStyle
    1266: (b"00:00:00+00", bytes(12)),  # timetz
    UUID: (b"00000000-0000-0000-0000-000000000000", bytes(16)),
    2278: (b"", b""),  # void
    3614: (b"", bytes(4)),  # tsvector
    VARBIT: (b"", bytes(4)),
} | {
    oid: (b"-", bytes(4)) for oid in (24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191)  # regproc and kin
}  # fmt: skip
"""A valid value of each type, in text and binary, that is the same for every row."""

EMPTY_RANGE = (b"empty", b"\x01")
EMPTY_MULTIRANGE = (b"{}", bytes(4))

_BUILT_IN_ARRAYS = {
    1000: 16, 1001: 17, 1002: 18, 1003: 19, 1016: 20, 1005: 21, 1007: 23, 1009: 25, 1028: 26, 199: 114, 143: 142,
    651: 650, 1041: 869, 1040: 829, 775: 774, 1021: 700, 1022: 701, 1014: 1042, 1015: 1043, 1561: 1560, 1563: 1562,
    1231: 1700, 2951: 2950, 3807: 3802, 1182: 1082, 1115: 1114, 1185: 1184, 1183: 1083, 1187: 1186, 1270: 1266,
    791: 790, 1017: 600, 1263: 2275, 1010: 27, 3643: 3614,
}  # fmt: skip
_BUILT_IN_RANGES = frozenset({3904, 3906, 3908, 3910, 3912, 3926})
_BUILT_IN_MULTIRANGES = frozenset({4451, 4532, 4533, 4534, 4535, 4536})
_FIRST_USER_OID = 16384
_BOX = 603
_NESTING_MAX = 16


@dataclass(frozen=True, slots=True)
class Shape:
    """The scalar type of a column: OID, whether values are arrays of it, and its kind.

    `kind` is one of `built-in`, `text` (the characters are the value), `range`, `multirange`, `vector`, `halfvec`, `opaque`.
    """

    oid: int
    array: bool
    kind: str
    delimiter: bytes = b","


def shape_of(type_oid: int, types: Mapping[int, Type]) -> Shape:
    """The shape of a type, looking through domains and arrays."""
    array = False
    for _ in range(_NESTING_MAX):
        known = types.get(type_oid)
        if known is not None and known.kind == "d" and known.base:
            type_oid = known.base
        elif type_oid in _BUILT_IN_ARRAYS or (known is not None and known.category == "A" and known.base):
            if array:
                return Shape(type_oid, True, "opaque")  # an array of a domain over an array
            array = True
            type_oid = _BUILT_IN_ARRAYS[type_oid] if known is None or not known.base else known.base
        else:
            break
    return Shape(type_oid, array, _kind(type_oid, types.get(type_oid)), b";" if type_oid == _BOX else b",")


def _kind(type_oid: int, known: Type | None) -> str:
    if type_oid in TEXT_TYPES:
        return "text"
    if type_oid in _BUILT_IN_RANGES or (known is not None and known.kind == "r"):
        return "range"
    if type_oid in _BUILT_IN_MULTIRANGES or (known is not None and known.kind == "m"):
        return "multirange"
    if type_oid < _FIRST_USER_OID:
        return "built-in"
    if known is not None and known.kind == "b":
        if known.name == "citext":
            return "text"
        if known.name in ("vector", "halfvec"):
            return known.name
    return "opaque"
