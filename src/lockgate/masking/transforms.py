"""From a column's rule and type to a function that masks one cell.

For: masks that are valid values of the column's type, the same in text and binary.
Not for: rows (`rows`) or the pseudonyms themselves (`pseudonyms`). A type without any valid mask that says nothing
(enumerations, composites, most geometric and extension types) is shown as NULL.
Source: docs/adr/0003-pseudonym-constructions.md, sections 6 and 7.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lockgate.errors import BackendProtocolError
from lockgate.masking import arrays, dates, numeric, pgtypes, records
from lockgate.masking.arrays import CellMask
from lockgate.masking.documents import Documents, RawNumber
from lockgate.masking.network import parse_address, prefix_length
from lockgate.masking.pseudonyms import Pseudonym
from lockgate.masking.rules import INJECTIVE_LABELS, ROW, RULES, is_injective
from lockgate.model.catalog import Type
from lockgate.model.plan import ColumnPlan, Disposition

MARKERS: dict[str, str] = {
    "person.name": "[name]",
    "person.email": "[email]",
    "person.phone": "[phone]",
    "person.address": "[address]",
    "person.birth_date": "[date]",
    "person.national_id": "[id]",
    "payment.card": "[card]",
    "payment.iban": "[iban]",
    "finance.salary": "[amount]",
    "amount.other": "[amount]",
    "network.address": "[network]",
    "network.mac": "[network]",
    "location.coordinates": "[location]",
    "health.code": "[code]",
    "derived.embedding": "[vector]",
}
"""Label to the text shown for a withheld text value; every other label shows `[text]`."""

_TAG_LETTERS = 4
_UNLIMITED = 1 << 30


@dataclass(frozen=True, slots=True)
class Context:
    """What masks need beside the value.

    Args:
        pseudonym: the pseudonyms of an injective label.
        secret_tag: (value, letters) to a keyed tag, for `marker`.
        date_style: the session's DateStyle.
        types: the catalog's types.
    """

    pseudonym: Callable[[str], Pseudonym]
    secret_tag: Callable[[str, int], str]
    date_style: str
    types: Mapping[int, Type]


def cell_mask(column: ColumnPlan, type_mod: int, binary: bool, context: Context) -> CellMask:
    """The mask of one output column; gets and gives the cell's bytes, None is NULL."""
    if column.rule == ROW:
        return _row_cell(column, binary, context)
    shape = pgtypes.shape_of(column.type_oid, context.types)
    if shape.array and column.rule == "zeros":
        return arrays.empty_binary if binary else Constant(b"{}")
    mask = _scalar_mask(column, shape, type_mod, binary, context)
    if not shape.array:
        return mask
    if shape.kind == "opaque":
        return Constant(None)
    if binary:
        return lambda raw: arrays.mask_binary(raw, mask)
    delimiter = shape.delimiter
    return lambda raw: arrays.mask_text(raw, delimiter, mask)


def many_of(mask: CellMask) -> Callable[[list[bytes]], list[bytes | None]]:
    """A mask for many cells."""
    return lambda cells: [mask(cell) for cell in cells]


def _row_cell(column: ColumnPlan, binary: bool, context: Context) -> CellMask:
    masks = [
        cell_mask(field, type_mod, binary, context) if field.disposition is Disposition.MASKED else None
        for field, type_mod in column.fields
    ]
    if not binary:
        return lambda raw: records.mask_text(raw, masks)
    type_oids = [field.type_oid for field, _ in column.fields]
    return lambda raw: records.mask_binary(raw, masks, type_oids)


def _scalar_mask(column: ColumnPlan, shape: pgtypes.Shape, type_mod: int, binary: bool, context: Context) -> CellMask:
    oid = shape.oid
    if shape.kind == "text":
        return _text_cell(column, oid, type_mod, context)
    if oid in (pgtypes.JSON, pgtypes.JSONB):
        return _document_cell(column, oid == pgtypes.JSONB and binary, context)
    if oid in pgtypes.DATE_TYPES:
        return _date_cell(column.rule, oid, binary, context.date_style)
    if shape.kind in ("vector", "halfvec"):
        return _vector_cell(4 if shape.kind == "vector" else 2, binary)
    if oid == pgtypes.BIT:
        return _bit_cell(type_mod, binary)
    if is_injective(column.rule) and column.label in INJECTIVE_LABELS:
        mask = _pseudonym_cell(context.pseudonym(column.label), oid, type_mod, binary)
        if mask is not None:
            return mask
    if oid == pgtypes.NUMERIC:
        scale = numeric.limit_of(type_mod)[1] or 0
        return Constant(numeric.write_binary(0, scale) if binary else numeric.write_text(0, scale))
    if shape.kind == "range":
        return Constant(pgtypes.EMPTY_RANGE[binary])
    if shape.kind == "multirange":
        return Constant(pgtypes.EMPTY_MULTIRANGE[binary])
    constant = pgtypes.CONSTANTS.get(oid)
    return Constant(None if constant is None else constant[binary])


@dataclass(frozen=True, slots=True)
class Constant:
    """A mask that is the same for every value, None for NULL."""

    value: bytes | None

    def __call__(self, _raw: bytes) -> bytes | None:
        return self.value


def text_mask(label: str, rule: str, limit: int, context: Context) -> Callable[[str], str]:
    """The mask of a text of at most `limit` characters; its result is ASCII."""
    if is_injective(rule) and label in INJECTIVE_LABELS:
        pseudonym = context.pseudonym(label)
        return pseudonym.text if limit >= _UNLIMITED else lambda value: pseudonym.fitted(value, limit)
    if rule == "marker":
        return lambda value: _marked(context.secret_tag(value, _TAG_LETTERS), limit)
    marker = MARKERS.get(label, "[text]")[:limit]
    if rule == "year":
        return lambda value: (dates.year_in_free_text(value) or marker)[:limit]
    return lambda _value: marker


def _marked(tag: str, limit: int) -> str:
    marked = f"[secret-{tag}]"
    return marked if len(marked) <= limit else tag[:limit]


def _text_cell(column: ColumnPlan, oid: int, type_mod: int, context: Context) -> CellMask:
    limit = text_limit(oid, type_mod)
    mask = text_mask(column.label, column.rule, limit, context)
    if oid != pgtypes.BPCHAR and not is_injective(column.rule) and column.rule not in ("marker", "year"):
        return Constant(mask("").encode("ascii"))
    if oid == pgtypes.BPCHAR:
        # Trailing blanks mean nothing in this type and are always printed.
        width = limit if limit < _UNLIMITED else 0
        return lambda raw: mask(_decode(raw).rstrip(" ")).ljust(width).encode("ascii")
    return lambda raw: mask(_decode(raw)).encode("ascii")


def text_limit(oid: int, type_mod: int) -> int:
    """Most characters of a text type."""
    if oid == pgtypes.NAME:
        return pgtypes.NAME_LENGTH
    if oid in (pgtypes.VARCHAR, pgtypes.BPCHAR) and type_mod >= 5:
        return type_mod - 4
    return _UNLIMITED


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _document_cell(column: ColumnPlan, versioned: bool, context: Context) -> CellMask:
    masks: dict[str, Callable[[str], str]] = {}
    for _, label in column.json_labels:
        masks[label] = text_mask(label, RULES.get(label, "withhold"), _UNLIMITED, context)

    def leaf(label: str, value: object) -> object:
        if isinstance(value, RawNumber):
            shown = None
            if label in INJECTIVE_LABELS and value.lstrip("-").isdigit() and len(value) < 40:
                shown = context.pseudonym(label).integer(int(value), numeric.LARGEST)
            return RawNumber(shown or 0)
        mask = masks.get(label)
        return "[text]" if mask is None else mask(str(value))

    documents = Documents(column.json_labels, leaf)
    if not versioned:
        return lambda raw: documents.mask(_decode(raw)).encode("ascii")

    def jsonb(raw: bytes) -> bytes:
        if raw[:1] != b"\x01":
            raise BackendProtocolError("a binary jsonb value has an unknown version")
        return b"\x01" + documents.mask(_decode(raw[1:])).encode("ascii")

    return jsonb


def _date_cell(rule: str, oid: int, binary: bool, date_style: str) -> CellMask:
    if rule != "year":
        year = dates.NEUTRAL_YEAR
        return Constant(dates.binary(year, oid) if binary else dates.text(year, oid, date_style).encode("ascii"))
    if binary:
        return lambda raw: dates.binary(dates.year_of_binary(raw, oid), oid)
    return lambda raw: dates.text(dates.year_of_text(_decode(raw), oid), oid, date_style).encode("ascii")


def _vector_cell(width: int, binary: bool) -> CellMask:
    """The types of the pgvector extension: zeros in the same number of dimensions."""

    def zeros(raw: bytes) -> bytes:
        if len(raw) < 4:
            raise BackendProtocolError("a binary vector is shorter than its header")
        return raw[:2] + bytes(2 + width * int.from_bytes(raw[:2], "big"))

    return zeros if binary else lambda raw: b"[" + b",".join([b"0"] * (raw.count(b",") + 1)) + b"]"


def _bit_cell(type_mod: int, binary: bool) -> CellMask:
    if type_mod <= 0:
        return Constant(None)
    length = type_mod.to_bytes(4, "big") + bytes((type_mod + 7) // 8)
    return Constant(length if binary else b"0" * type_mod)


def _pseudonym_cell(pseudonym: Pseudonym, oid: int, type_mod: int, binary: bool) -> CellMask | None:
    label = pseudonym.label
    if oid in pgtypes.INTEGER_LIMITS and label in ("person.phone", "person.national_id", "payment.card"):
        return _integer_cell(pseudonym, oid, binary)
    if oid == pgtypes.NUMERIC and label in ("person.phone", "person.national_id", "payment.card"):
        return _numeric_cell(pseudonym, type_mod, binary)
    if oid == pgtypes.UUID and label == "person.national_id":
        return _uuid_cell(pseudonym, binary)
    if oid in (pgtypes.INET, pgtypes.CIDR) and label == "network.address":
        return _inet_cell(pseudonym, oid, binary)
    if oid in (pgtypes.MACADDR, pgtypes.MACADDR8) and label == "network.mac":
        return _mac_cell(pseudonym, 6 if oid == pgtypes.MACADDR else 8, binary)
    return None


def _integer_cell(pseudonym: Pseudonym, oid: int, binary: bool) -> CellMask:
    limit, width = pgtypes.INTEGER_LIMITS[oid], pgtypes.INTEGER_BYTES[oid]
    if binary:

        def mask_binary(raw: bytes) -> bytes:
            _need(len(raw) == width)
            value = int.from_bytes(raw, "big", signed=True)
            return (pseudonym.integer(value, limit) or 0).to_bytes(width, "big", signed=True)

        return mask_binary

    def mask_text(raw: bytes) -> bytes:
        digits = raw.removeprefix(b"-")
        _need(digits.isdigit() and len(digits) <= 19)
        return str(pseudonym.integer(int(raw), limit) or 0).encode("ascii")

    return mask_text


def _numeric_cell(pseudonym: Pseudonym, type_mod: int, binary: bool) -> CellMask:
    limit, scale = numeric.limit_of(type_mod)
    write = numeric.write_binary if binary else numeric.write_text

    def mask(raw: bytes) -> bytes:
        read = numeric.read_binary(raw) if binary else numeric.read_text(_decode(raw))
        if read is None:
            return write(0, scale or 0)
        value, shown_scale = read
        return write(pseudonym.integer(value, limit) or 0, shown_scale if scale is None else scale)

    return mask


def _uuid_cell(pseudonym: Pseudonym, binary: bool) -> CellMask:
    def mask_binary(raw: bytes) -> bytes:
        _need(len(raw) == 16)
        return pseudonym.bits(int.from_bytes(raw, "big"), 128).to_bytes(16, "big")

    def mask_text(raw: bytes) -> bytes:
        digits = raw.replace(b"-", b"")
        _need(len(raw) == 36 and len(digits) == 32 and digits.isalnum())
        shown = format(pseudonym.bits(_hexadecimal(digits), 128), "032x")
        return "-".join((shown[:8], shown[8:12], shown[12:16], shown[16:20], shown[20:])).encode("ascii")

    return mask_binary if binary else mask_text


def _inet_cell(pseudonym: Pseudonym, oid: int, binary: bool) -> CellMask:
    addresses = pseudonym.addresses

    def masked(value: int, bits: int, prefix: int) -> int:
        if oid == pgtypes.INET:
            return addresses.number(value, bits)
        return addresses.network(value, bits, prefix)

    def mask_binary(raw: bytes) -> bytes:
        _need(len(raw) in (8, 20) and raw[0] in (2, 3) and raw[3] == len(raw) - 4)
        bits = 8 * raw[3]
        _need(raw[1] <= bits)
        return raw[:4] + masked(int.from_bytes(raw[4:], "big"), bits, raw[1]).to_bytes(raw[3], "big")

    def mask_text(raw: bytes) -> bytes:
        address, slash, prefix = raw.decode("ascii", "replace").partition("/")
        parsed = parse_address(address)
        if parsed is None:
            raise BackendProtocolError("a network address cannot be read")
        bits = parsed.max_prefixlen
        length = prefix_length(prefix, bits) if slash else bits
        if length is None:
            raise BackendProtocolError("a network prefix cannot be read")
        shown = masked(int(parsed), bits, length)
        kind = ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address
        return f"{kind(shown)}{slash}{prefix}".encode("ascii")

    return mask_binary if binary else mask_text


def _mac_cell(pseudonym: Pseudonym, width: int, binary: bool) -> CellMask:
    def masked(value: int) -> bytes:
        return pseudonym.hardware.number(value, 8 * width).to_bytes(width, "big")

    def mask_binary(raw: bytes) -> bytes:
        _need(len(raw) == width)
        return masked(int.from_bytes(raw, "big"))

    def mask_text(raw: bytes) -> bytes:
        digits = raw.replace(b":", b"")
        _need(len(digits) == 2 * width)
        return masked(_hexadecimal(digits)).hex(":").encode("ascii")

    return mask_binary if binary else mask_text


def _hexadecimal(digits: bytes) -> int:
    try:
        return int(digits, 16)
    except ValueError:
        raise BackendProtocolError("a value that should be hexadecimal is not") from None


def _need(condition: bool) -> None:
    if not condition:
        raise BackendProtocolError("a value does not have the form of its type")
