"""Which mask rule a label gets on a type.

For: the names of the rules and which labels have injective masks, so that the plan and the row masker agree.
Not for: the masks themselves, which are in `pseudonyms` and `transforms`.
Source: docs/adr/0003-pseudonym-constructions.md.
"""

from __future__ import annotations

from lockgate.model.catalog import Catalog

INJECTIVE_LABELS: frozenset[str] = frozenset(
    {
        "person.name", "person.email", "person.phone", "person.national_id",
        "payment.card", "payment.iban", "network.address", "network.mac",
    }
)  # fmt: skip
"""Labels whose different values get different masks on a type that can hold one (`rule_for` says which)."""

RULES: dict[str, str] = {
    "person.name": "pseudonym-name",
    "person.email": "pseudonym-email",
    "person.phone": "pseudonym-phone",
    "person.national_id": "pseudonym-id",
    "payment.card": "pseudonym-card",
    "payment.iban": "pseudonym-iban",
    "network.address": "pseudonym-network",
    "network.mac": "pseudonym-mac",
    "person.birth_date": "year",
    "secret.credential": "marker",
    "derived.embedding": "zeros",
}
"""Label to rule; every other label is `withhold`."""

WITHHOLD = "withhold"
DOCUMENT = "document"
ROW = "row"

_TEXT = frozenset({25, 1043, 1042, 19})
INTEGER_TYPES = frozenset({20, 23, 1700})
"""int8, int4 and numeric: whole numbers with room for pseudonyms."""
_JSON = frozenset({114, 3802})
_DATES = frozenset({1082, 1114, 1184})
_ARRAY_ELEMENT = {
    1009: 25, 1015: 1043, 1014: 1042, 1003: 19, 1007: 23, 1016: 20, 1231: 1700, 1041: 869, 651: 650, 1040: 829,
    775: 774, 2951: 2950, 199: 114, 3807: 3802, 1182: 1082, 1115: 1114, 1185: 1184,
}  # fmt: skip
_HOLDS: dict[str, frozenset[int]] = {
    "pseudonym-name": _TEXT,
    "pseudonym-email": _TEXT,
    "pseudonym-phone": _TEXT | INTEGER_TYPES,
    "pseudonym-id": _TEXT | INTEGER_TYPES | {2950},
    "pseudonym-card": _TEXT | INTEGER_TYPES,
    "pseudonym-iban": _TEXT,
    "pseudonym-network": _TEXT | {869, 650},
    "pseudonym-mac": _TEXT | {829, 774},
    "year": _TEXT | _DATES,
}


_TEXT_GIVEN = _TEXT | {705}
_WHOLE_NUMBERS = INTEGER_TYPES | {21}
_ALONE = frozenset({2950, 869, 829, 774})


def can_look_up(type_oid: int, given_type: int, catalog: Catalog) -> bool:
    """Whether a value of `given_type`, or each element of it, can be opened as the mask of a column of `type_oid`."""
    column, given = scalar_type(type_oid, catalog), base_type(given_type, catalog)
    if column in _TEXT or _is_citext(column, catalog):
        return given in _TEXT_GIVEN or _is_citext(given, catalog)
    if column in INTEGER_TYPES:
        return given in _WHOLE_NUMBERS
    return column in _ALONE and given == column


def scalar_type(type_oid: int, catalog: Catalog) -> int:
    """The type below domains."""
    for _ in range(16):
        known = catalog.types.get(type_oid)
        if known is None or known.kind != "d" or not known.base:
            break
        type_oid = known.base
    return type_oid


def rule_for(label: str, type_oid: int, catalog: Catalog) -> str:
    """The mask rule of a column with this label and type; `withhold` when the type cannot hold the label's own mask.

    Domains count as their base type, arrays as their elements.
    """
    base = base_type(type_oid, catalog)
    if base in _JSON:
        return DOCUMENT
    rule = RULES.get(label, WITHHOLD)
    holds = _HOLDS.get(rule)
    if holds is None or base in holds:
        return rule
    return rule if _is_citext(base, catalog) and 25 in holds else WITHHOLD


def _is_citext(type_oid: int, catalog: Catalog) -> bool:
    known = catalog.types.get(type_oid)
    return known is not None and known.name == "citext"


def is_injective(rule: str) -> bool:
    """True when different values get different masks under `rule`."""
    return rule.startswith("pseudonym-")


def base_type(type_oid: int, catalog: Catalog) -> int:
    """The type below domains and arrays."""
    for _ in range(16):  # a domain over an array of a domain is rare; deeper nesting is not a type we know
        known = catalog.types.get(type_oid)
        if known is not None and known.base and (known.kind == "d" or known.category == "A"):
            type_oid = known.base
        elif type_oid in _ARRAY_ELEMENT:
            type_oid = _ARRAY_ELEMENT[type_oid]
        else:
            break
    return type_oid
