"""Types of columns by what they can hold, from their name as PostgreSQL prints it.

For: a coarse form. Not for: reading values.
Source: PostgreSQL documentation, chapter 8 (data types), function format_type.
"""

from __future__ import annotations

import re
from enum import Enum


class Form(str, Enum):
    """What a type can hold, as far as classification cares."""

    TEXT = "text"
    NUMBER = "number"
    MOMENT = "moment"
    BOOLEAN = "boolean"
    UUID = "uuid"
    JSON = "json"
    ARRAY = "array"
    BYTES = "bytes"
    NETWORK = "network"
    MAC = "mac"
    PLACE = "place"
    VECTOR = "vector"
    SEARCH = "search"
    RANGE = "range"
    ENUM = "enum"
    OTHER = "other"


_FORMS: dict[str, Form] = {
    **dict.fromkeys(("text", "character varying", "varchar", "character", "char", "bpchar", "citext", "name"), Form.TEXT),
    **dict.fromkeys(
        ("smallint", "integer", "int", "bigint", "numeric", "decimal", "real", "double precision", "money", "int2", "int4",
         "int8", "float4", "float8", "float", "smallserial", "serial", "bigserial", "oid", "xid", "xid8", "cid", "pg_lsn"),
        Form.NUMBER,
    ),
    **dict.fromkeys(
        ("date", "timestamp", "timestamptz", "timestamp without time zone", "timestamp with time zone", "time", "timetz",
         "time without time zone", "time with time zone", "interval"),
        Form.MOMENT,
    ),
    **dict.fromkeys(("boolean", "bool", "bit", "bit varying", "varbit"), Form.BOOLEAN),
    "uuid": Form.UUID,
    **dict.fromkeys(("json", "jsonb", "hstore"), Form.JSON),
    "bytea": Form.BYTES,
    **dict.fromkeys(("inet", "cidr"), Form.NETWORK),
    **dict.fromkeys(("macaddr", "macaddr8"), Form.MAC),
    **dict.fromkeys(("point", "geometry", "geography", "line", "lseg", "box", "path", "polygon", "circle"), Form.PLACE),
    **dict.fromkeys(("vector", "halfvec", "sparsevec", "cube"), Form.VECTOR),
    **dict.fromkeys(("tsvector", "tsquery"), Form.SEARCH),
}  # fmt: skip
_MODIFIER = re.compile(r"\([^)]*\)")


def form_of(type_name: str, type_kind: str = "") -> Form:
    """The form of a type.

    Args:
        type_name: as format_type prints it, such as `character varying(40)` or `text[]`, or pg_type.typname (`_text`).
        type_kind: pg_type.typtype where known: `e` enum, `r` and `m` range.
    """
    if type_kind == "e":
        return Form.ENUM
    bare = " ".join(_MODIFIER.sub("", type_name).lower().split())
    if bare.endswith(("[]", " array")) or (bare.startswith("_") and bare[1:] in _FORMS):
        inner = form_of(bare.removesuffix("[]").removesuffix(" array").strip("[] ").removeprefix("_"))
        return (
            inner
            if inner in {Form.NUMBER, Form.MOMENT, Form.BOOLEAN, Form.UUID, Form.NETWORK, Form.MAC}
            else Form.ARRAY
        )
    bare = bare.rpartition(".")[2].strip('"')
    if type_kind in {"r", "m"} or bare.endswith(("range", "multirange")):
        return Form.RANGE
    return _FORMS.get(bare, Form.OTHER)
