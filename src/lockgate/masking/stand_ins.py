"""Stand-ins: what a statement computes with in place of masked values, as SQL expressions over the base column.

For: one expression per column that has the column's type, never fails whatever the value is, and depends on the value only by
whether it is NULL, by its documented public shape, and by its number: the position of the first row that has an equal value.
There is no key: nothing in the text of the rewritten statement, or in what it computes, could be turned back into a value.
Not for: which rows are numbered (`substitution`), pseudonyms that are made in the gate (`pseudonyms`), reading the client's SQL.
Source: docs/adr/0011-stand-ins.md. All functions and operators are named with their schema; no plain string has a backslash, so that
every setting of `standard_conforming_strings` reads the text alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockgate.masking import pgtypes
from lockgate.masking.dates import DATE, NEUTRAL_YEAR, TIMESTAMP, TIMESTAMPTZ
from lockgate.masking.rules import INJECTIVE_LABELS, is_injective, rule_for
from lockgate.masking.transforms import MARKERS
from lockgate.masking.words import PUBLIC_MAIL_PROVIDERS, TWO_DIGIT_CALLING_CODES
from lockgate.model.catalog import Catalog, Column

ROOMY = 40
"""Characters of a column from which on the longer stand-ins fit."""
_DIGITS_LONG, _DIGITS_SHORT = 9, 6
_SHAPES: dict[str, str] = {
    "person.phone": "^[+]?[-0-9 ().,;:/#*xet]+$",
    "person.national_id": "^[-0-9A-Za-z ./]+$",
    "payment.card": "^[-0-9 ]+$",
    "payment.iban": "^[A-Za-z]{2}[0-9]{2}[-0-9A-Za-z ]+$",
    "network.mac": "^[0-9A-Fa-f]{2}([-:.]?[0-9A-Fa-f]{2}){5,7}$",
}
"""Texts whose digits are filled with the number; every other text of the label becomes `x_s` and the number."""
_NUMBERED_LABELS = frozenset({"person.phone", "person.national_id", "payment.card"})
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_FAMILIES = {
    650: "inet",
    869: "inet",
    829: "mac",
    774: "mac",
    2950: "uuid",
    20: "number",
    21: "number",
    23: "number",
    1700: "number",
}

_JSON_SCALARS = "'string', 'number', 'boolean', 'null'"


@dataclass(frozen=True, slots=True)
class StandIn:
    """How one column is shown.

    Args:
        sql: the expression; `{value}`, `{number}` and `{domain}` stand for the column, its number and its mail domain as it is shown.
        family: what its numbers are comparable with: columns of one label and family share their numbers; empty when it has none.
    """

    sql: str
    family: str = ""

    def write(self, value: str, number: str = "", domain: str = "") -> str:
        """The expression over a column."""
        return self.sql.replace("{value}", value).replace("{number}", number).replace("{domain}", domain)


def stand_in(column: Column, catalog: Catalog) -> StandIn:
    """The stand-in of a masked column."""
    shape = pgtypes.shape_of(column.type_oid, catalog.types)
    rule = rule_for(column.label, column.type_oid, catalog)
    name = type_name(shape.oid, column.type_mod, catalog)
    if name is None:
        return StandIn("NULL")
    if shape.array:
        return StandIn(_array(column.label, rule, shape, name, column.type_mod))
    family = _FAMILIES.get(shape.oid, "text" if shape.kind == "text" else "")
    if is_injective(rule) and column.label in INJECTIVE_LABELS and family:
        shown = _numbered(column.label, family, shape.oid, _limit(shape.oid, column.type_mod))
        if shown is not None:
            return StandIn(_typed(shown, name), family)
    if shape.oid in (pgtypes.JSON, pgtypes.JSONB):
        return StandIn(_document(column, name))
    if rule == "year" and shape.oid in pgtypes.DATE_TYPES:
        return StandIn(_typed(_year(shape.oid), name))
    if rule == "year" and shape.kind == "text":
        return StandIn(_typed(_year_of_text(), name))
    return StandIn(_typed(_constant(column.label, rule, shape, column.type_mod), name))


def type_name(oid: int, type_mod: int, catalog: Catalog) -> str | None:
    """A type's name as SQL, with its modifier where the modifier is a length or a precision; None when it is not known."""
    known = catalog.types.get(oid)
    if known is None:
        return None
    name = f'"{known.schema}"."{known.name}"'.replace("\0", "")
    if '"' in known.name or '"' in known.schema:
        return None
    if oid in (pgtypes.VARCHAR, pgtypes.BPCHAR) and type_mod >= 5:
        return f"{name}({type_mod - 4})"
    if oid == pgtypes.NUMERIC and type_mod >= 4:
        precision, scale = (type_mod - 4) >> 16, (type_mod - 4) & 0x7FF
        return f"{name}({precision},{scale - 2048 if scale >= 1024 else scale})"
    if oid in (1114, 1184, 1083, 1266, pgtypes.BIT, pgtypes.VARBIT) and type_mod > 0:
        return f"{name}({type_mod})"
    if known.name in ("vector", "halfvec") and type_mod > 0:
        return f"{name}({type_mod})"
    return name


def comparable(column: Column, catalog: Catalog, value: str) -> str:
    """A column's value as the text that its numbers are kept under: byte by byte, whatever its collation."""
    shape = pgtypes.shape_of(column.type_oid, catalog.types)
    text = f"{value}::pg_catalog.text"
    if _FAMILIES.get(shape.oid) == "number":
        text = f"pg_catalog.trim_scale({value}::pg_catalog.numeric)::pg_catalog.text"
    return f'({text} COLLATE pg_catalog."C")'


def mail_domain(value: str) -> str:
    """The part of an address that may be public; NULL for what is no address."""
    return f"CASE WHEN {_is_mail(value)} THEN {last_part(value)} END"


def shown_domain(domain: str, number: str) -> str:
    """A domain as stand-ins show it: its own name for a public provider's, else its number."""
    public = quoted("{" + ",".join(sorted(PUBLIC_MAIL_PROVIDERS)) + "}")
    return (
        f"CASE WHEN {domain} OPERATOR(pg_catalog.=) ANY ({public}::pg_catalog.text[]) THEN {domain}"
        f" ELSE pg_catalog.concat('d-s', {number}, '.example') END"
    )


def quoted(text: str) -> str:
    """A string constant."""
    return "'" + text.replace("'", "''") + "'"


def _limit(oid: int, type_mod: int) -> int:
    """Characters of a text, digits before the point of a number."""
    if oid == pgtypes.NAME:
        return pgtypes.NAME_LENGTH
    if oid == pgtypes.NUMERIC and type_mod >= 4:
        scale = (type_mod - 4) & 0x7FF
        return ((type_mod - 4) >> 16) - (scale - 2048 if scale >= 1024 else scale)
    return type_mod - 4 if oid in (pgtypes.VARCHAR, pgtypes.BPCHAR) and type_mod >= 5 else 1 << 30


def _typed(expression: str, name: str) -> str:
    """The expression in the column's type; NULL stays NULL."""
    return f"(CASE WHEN {{value}} IS NULL THEN NULL ELSE {expression} END)::{name}"


# numbered


def _numbered(label: str, family: str, oid: int, limit: int) -> str | None:
    if family == "inet":
        return _inet(oid)
    if family == "mac":
        width = 12 if oid == pgtypes.MACADDR else 16
        return f"pg_catalog.lpad(pg_catalog.to_hex({{number}}), {width}, '0')"
    if family == "uuid":
        return "pg_catalog.lpad(pg_catalog.to_hex({number}), 32, '0')"
    if family == "number":
        fits = label in _NUMBERED_LABELS and oid != pgtypes.INT2 and limit >= _DIGITS_SHORT
        return _integer(oid) if fits else None
    text = "{value}::pg_catalog.text"
    short = "pg_catalog.concat('s', {number})"
    if label == "person.name":
        return "pg_catalog.concat('Person S', {number})" if limit >= ROOMY else short
    if label == "person.email":
        return _mail(text) if limit >= ROOMY else short
    if label == "network.address":
        return _address_text(text)
    return _filled(label, text)


def _mail(text: str) -> str:
    shown = "pg_catalog.concat('s', {number}, '@', {domain})"
    return f"CASE WHEN {_is_mail(text)} THEN {shown} ELSE pg_catalog.concat('x_s', {{number}}) END"


def last_part(value: str) -> str:
    """What stands behind the last `@`; the whole of it where there is none."""
    return f"pg_catalog.split_part({value}, '@', -1)"


def _is_mail(value: str) -> str:
    """Something before the last `@` and something behind it; asked of every value of a column, so without a regular expression."""
    return f"({value} OPERATOR(pg_catalog.~~) '_%@%' AND {last_part(value)} OPERATOR(pg_catalog.<>) '')"


def _address_text(text: str) -> str:
    four = "'^[0-9]{1,3}([.][0-9]{1,3}){3}$'"
    return (
        f"CASE WHEN {text} OPERATOR(pg_catalog.~) {four} THEN pg_catalog.host({_plus('0.0.0.0')})"
        f" WHEN {text} OPERATOR(pg_catalog.~) '^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$' THEN pg_catalog.host({_plus('::')})"
        " ELSE pg_catalog.concat('x_s', {number}) END"
    )


def _plus(address: str) -> str:
    return f"(pg_catalog.inet {quoted(address)} OPERATOR(pg_catalog.+) {{number}})"


def _inet(oid: int) -> str:
    length = "pg_catalog.masklen({value})"
    if oid == pgtypes.CIDR:
        zero = "CASE WHEN pg_catalog.family({value}) OPERATOR(pg_catalog.=) 4 THEN pg_catalog.cidr '0.0.0.0/0' ELSE pg_catalog.cidr '::/0' END"
        return f"pg_catalog.set_masklen({zero}, {length})"
    shown = f"CASE WHEN pg_catalog.family({{value}}) OPERATOR(pg_catalog.=) 4 THEN {_plus('0.0.0.0')} ELSE {_plus('::')} END"
    return f"pg_catalog.set_masklen({shown}, {length})"


def _integer(oid: int) -> str:
    """As many digits as the value has: a one, zeros and the number; below a million, the number alone."""
    text = "pg_catalog.ltrim(pg_catalog.trim_scale({value}::pg_catalog.numeric)::pg_catalog.text, '-')"
    sign = "CASE WHEN {value} OPERATOR(pg_catalog.<) 0 THEN -1 ELSE 1 END"
    size = f"pg_catalog.length({text})"
    power = f"pg_catalog.rpad('1', {size}, '0')::pg_catalog.numeric"
    big = f"({power} OPERATOR(pg_catalog.+) pg_catalog.mod({{number}}::pg_catalog.numeric, {power}))"
    small = "pg_catalog.mod({number}::pg_catalog.numeric, 1000000)"
    shown = f"({sign} OPERATOR(pg_catalog.*) CASE WHEN {size} OPERATOR(pg_catalog.<=) 6 THEN {small} ELSE {big} END)"
    if oid != pgtypes.NUMERIC:
        return shown
    return f"CASE WHEN {text} OPERATOR(pg_catalog.~) '^[0-9]{{1,38}}$' THEN {shown} ELSE 0 END"


def _filled(label: str, text: str) -> str:
    """The value's own separators and kinds of letter, zeros for digits, and the number in the last of them."""
    prefix, rest = "''", text
    if label == "payment.iban":
        prefix, rest = f"pg_catalog.left({text}, 2)", f"pg_catalog.substr({text}, 3)"
    elif label == "person.phone":
        prefix = _calling_code(text)
        rest = f"pg_catalog.substr({text}, pg_catalog.length({prefix}) OPERATOR(pg_catalog.+) 1)"
    plain = "0123456789", "0" * 10
    if label in ("person.national_id", "payment.iban"):
        plain = "0123456789" + _LETTERS + _LETTERS.upper(), "0" * 10 + "a" * 26 + "A" * 26
    elif label == "network.mac":
        plain = "0123456789abcdefABCDEF", "0" * 22
    outline = f"pg_catalog.translate({rest}, {quoted(plain[0])}, {quoted(plain[1])})"
    cases = "".join(
        f" WHEN {outline} OPERATOR(pg_catalog.~) '(0[^0]*){{{digits}}}' THEN pg_catalog.concat({prefix}, {_fill(outline, digits)})"
        for digits in (_DIGITS_LONG, _DIGITS_SHORT)
    )
    shape = _SHAPES[label]
    return (
        f"CASE WHEN NOT ({text} OPERATOR(pg_catalog.~) {quoted(shape)}) THEN pg_catalog.concat('x_s', {{number}}){cases}"
        " ELSE pg_catalog.concat('x_s', {number}) END"
    )


def _fill(outline: str, digits: int) -> str:
    zeros = "0([^0]*)" * digits + "$"
    number = f"pg_catalog.lpad(pg_catalog.mod({{number}}, {10**digits})::pg_catalog.text, {digits}, '0')"
    between = "".join(f"\\\\{i}\\\\\\\\{i}" for i in range(1, digits + 1))
    replacement = f"pg_catalog.regexp_replace({number}, {quoted('(.)' * digits)}, E'{between}')"
    return f"pg_catalog.regexp_replace({outline}, {quoted(zeros)}, {replacement})"


def _calling_code(text: str) -> str:
    two = "|".join(sorted(TWO_DIGIT_CALLING_CODES))
    return (
        f"CASE WHEN {text} OPERATOR(pg_catalog.~) '^[+][017]' THEN pg_catalog.left({text}, 2)"
        f" WHEN {text} OPERATOR(pg_catalog.~) '^[+]({two})' THEN pg_catalog.left({text}, 3)"
        f" WHEN {text} OPERATOR(pg_catalog.~) '^[+][0-9]{{3}}' THEN pg_catalog.left({text}, 4) ELSE '' END"
    )


# not numbered


def _constant(label: str, rule: str, shape: pgtypes.Shape, type_mod: int) -> str:
    """A value of the type that is the same for every row, as a constant that the type reads; NULL where there is none."""
    if shape.kind == "text":
        return quoted("[secret]" if rule == "marker" else MARKERS.get(label, "[text]"))
    if shape.oid == pgtypes.BYTEA:
        return f"pg_catalog.decode({quoted(b'[masked]'.hex())}, 'hex')"
    if shape.oid in pgtypes.DATE_TYPES:
        return quoted(f"{NEUTRAL_YEAR}-01-01" + ("" if shape.oid == DATE else " 00:00:00+00"))
    if shape.oid == pgtypes.NUMERIC:
        return "'0'"
    if shape.oid == pgtypes.BIT:
        return quoted("0" * type_mod) if type_mod > 0 else "NULL"
    if shape.oid in (pgtypes.JSON, pgtypes.JSONB):
        return "'{}'"
    if shape.kind in ("vector", "halfvec"):
        return quoted("[" + ",".join(["0"] * type_mod) + "]") if type_mod > 0 else "NULL"
    if shape.kind == "range":
        return "'empty'"
    if shape.kind == "multirange":
        return "'{}'"
    found = pgtypes.CONSTANTS.get(shape.oid)
    return "NULL" if found is None or b"\\" in found[0] else quoted(found[0].decode("ascii"))


def _array(label: str, rule: str, shape: pgtypes.Shape, name: str, type_mod: int) -> str:
    """One dimension keeps its length and its NULLs; more are shown empty."""
    array = f"{name}[]"
    if shape.kind == "opaque":
        return f"NULL::{array}"
    if rule == "zeros":
        return f"(CASE WHEN {{value}} IS NULL THEN NULL ELSE '{{}}' END)::{array}"
    constant = f"{_constant(label, rule, shape, type_mod)}::{name}"
    elements = (
        f"ARRAY(SELECT CASE WHEN lockgate_e.e IS NULL THEN NULL ELSE {constant} END"  # noqa: S608 - made of constants
        " FROM pg_catalog.unnest({value}) WITH ORDINALITY AS lockgate_e(e, o) ORDER BY lockgate_e.o)"
    )
    return (
        f"(CASE WHEN {{value}} IS NULL THEN NULL WHEN pg_catalog.array_ndims({{value}}) OPERATOR(pg_catalog.=) 1 THEN {elements}"
        f" ELSE '{{}}' END)::{array}"
    )


def _year(oid: int) -> str:
    """The first of January of the same year; infinity and years outside 1 to 9999 as in `dates`."""
    value = "{value}" if oid != TIMESTAMPTZ else "pg_catalog.timezone('UTC', {value})"
    part = f"pg_catalog.date_part('year', {value})"
    kind = {DATE: "date", TIMESTAMP: "timestamp", TIMESTAMPTZ: "timestamp"}[oid]
    day = f"pg_catalog.make_date({part}::pg_catalog.int4, 1, 1)::pg_catalog.{kind}"

    def fixed(text: str) -> str:
        return f"pg_catalog.{kind} {quoted(text)}"

    shown = (
        f"CASE WHEN NOT pg_catalog.isfinite({{value}}) THEN {fixed(f'{NEUTRAL_YEAR}-01-01')}"
        f" WHEN {value} OPERATOR(pg_catalog.<) {fixed('0001-01-01')} THEN {fixed('0001-01-01')}"
        f" WHEN {value} OPERATOR(pg_catalog.>=) {fixed('10000-01-01')} THEN {fixed('9999-01-01')} ELSE {day} END"
    )
    return shown if oid != TIMESTAMPTZ else f"pg_catalog.timezone('UTC', {shown})"


def _year_of_text() -> str:
    text = "pg_catalog.btrim({value}::pg_catalog.text)"
    first = f"pg_catalog.substring({text}, '^([0-9]{{4}})[-/.][0-9]{{1,2}}[-/.][0-9]{{1,2}}$')"
    last = f"pg_catalog.substring({text}, '^[0-9]{{1,2}}[-/.][0-9]{{1,2}}[-/.]([0-9]{{4}})$')"
    return f"coalesce({first}, {last}, '[date]')"


def _document(column: Column, name: str) -> str:
    """An object of the labelled paths only: clear scalars where the path is `none`, a marker elsewhere; `{}` without any path."""
    tree: dict[str, object] = {}
    for path, label in column.json_labels:
        if any(letter in key for key in path for letter in "\\{}"):
            continue
        place = tree
        for key in path[:-1]:
            found = place.setdefault(key, {})
            if not isinstance(found, dict):
                break
            place = found
        else:
            place.setdefault(path[-1], (path, label))
    value = "{value}::pg_catalog.jsonb"
    shown = f"CASE WHEN pg_catalog.jsonb_typeof({value}) OPERATOR(pg_catalog.=) 'object' THEN {_object(tree, value)} ELSE '{{}}'::pg_catalog.jsonb END"
    return _typed(shown, name)


def _object(tree: dict[str, object], value: str) -> str:
    parts = []
    for key, found in tree.items():
        name = quoted(key)
        at = f"pg_catalog.jsonb_object_field({value}, {name})"
        if isinstance(found, dict):
            shown = f"CASE WHEN pg_catalog.jsonb_typeof({at}) OPERATOR(pg_catalog.=) 'object' THEN {_object(found, at)} ELSE NULL END"
        else:
            shown = _leaf(at, str(found[1]))  # type: ignore[index]  # a leaf is (path, label)
        parts.append(f"{name}, {shown}")
    return f"pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object({', '.join(parts)}))"


def _leaf(at: str, label: str) -> str:
    kind = f"pg_catalog.jsonb_typeof({at})"
    if label == "none":
        return f"CASE WHEN {kind} OPERATOR(pg_catalog.=) ANY (ARRAY[{_JSON_SCALARS}]::pg_catalog.text[]) THEN {at} ELSE NULL END"
    marker = quoted(MARKERS.get(label, "[secret]" if label == "secret.credential" else "[text]"))
    return f"CASE WHEN {at} IS NULL OR {kind} OPERATOR(pg_catalog.=) 'null' THEN NULL ELSE pg_catalog.to_jsonb({marker}::pg_catalog.text) END"
