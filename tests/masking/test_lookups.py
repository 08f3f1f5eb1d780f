"""A mask that was shown is opened again; anything else becomes a value that no row holds."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import RefusedStatementError
from lockgate.masking import numeric
from lockgate.masking.keys import KeyRing
from lockgate.masking.lookups import NO_NUMBER, Opener
from lockgate.masking.pseudonyms import PseudonymPool
from lockgate.masking.rows import RowMasker
from lockgate.masking.rules import INJECTIVE_LABELS, can_look_up, rule_for
from lockgate.model.catalog import Catalog, Type
from lockgate.model.plan import ColumnPlan, Disposition, Lookup, Plan
from lockgate.model.statement import Given

TEXT, VARCHAR, BPCHAR, INT2, INT4, INT8, NUMERIC, UUID, INET, MAC = 25, 1043, 1042, 21, 23, 20, 1700, 2950, 869, 829
TEXTS, INTS = 1009, 1016
TYPES = {
    oid: Type(oid, "pg_catalog", name, "b", base, "A" if base else "S")
    for oid, name, base in ((TEXT, "text", 0), (TEXTS, "_text", TEXT), (INT8, "int8", 0), (INTS, "_int8", INT8))
}
CATALOG = Catalog("d", "development", 15, 1, {}, {}, TYPES)
RING = KeyRing(bytes(32))


def opener(epoch: int = 1) -> Opener:
    return Opener(PseudonymPool(RING), key_ring=RING, purpose="p", scope="s", epoch=epoch, types=TYPES)


def lookup(label: str, type_oid: int, given_type: int | None = None) -> Lookup:
    return Lookup(Given(True, 1), label, type_oid, given_type or type_oid, exact=True)


def shown(label: str, type_oid: int, cell: bytes, *, binary: bool = False, mod: int = -1) -> bytes:
    rule = rule_for(label, type_oid, CATALOG)
    column = ColumnPlan("c", "s.t.c", label, Disposition.MASKED, rule, type_oid)
    masker = RowMasker(
        Plan((column,), masks=True), key_ring=RING, purpose="p", scope="s", epoch=1, formats=[int(binary)],
        type_names=TYPES, type_mods=[mod], date_style="ISO, MDY",
    )  # fmt: skip
    return masker.mask(struct.pack("!hi", 1, len(cell)) + cell)[6:]


@pytest.mark.parametrize(
    ("label", "type_oid", "cell"),
    [
        ("person.name", TEXT, "Grete Nørgård".encode()),
        ("person.name", VARCHAR, b"x" * 300),
        ("person.email", TEXT, b"Ada.L+1@corp.test"),
        ("person.email", TEXT, b"ada@gmail.com"),
        ("person.email", TEXT, b"no address"),
        ("person.email", TEXT, b""),
        ("person.phone", TEXT, b"+49 (30) 123-4567 ext 8"),
        ("person.phone", INT8, b"4930123456789"),
        ("person.phone", INT4, b"-12"),
        ("person.national_id", TEXT, b"123-45-6789"),
        ("person.national_id", UUID, b"3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
        ("person.national_id", NUMERIC, b"12345678901"),
        ("payment.card", TEXT, b"4111 1111 1111 1111"),
        ("payment.card", INT8, b"4111111111111111"),
        ("payment.iban", TEXT, b"DE89 3704 0044 0532 0130 00"),
        ("network.address", INET, b"10.1.2.3/8"),
        ("network.address", INET, b"2001:db8::1"),
        ("network.mac", MAC, b"08:00:2b:01:02:03"),
    ],
)
def test_what_was_shown_finds_its_row(label: str, type_oid: int, cell: bytes) -> None:
    mask = shown(label, type_oid, cell)
    assert mask != cell
    opened = opener().parameter(lookup(label, type_oid), mask, binary=False)
    if len(cell) > 255:
        return
    wanted = cell.replace(b"-", b"") if type_oid == UUID else cell
    assert opened == wanted
    assert opener().constant(lookup(label, type_oid), mask.decode()) == wanted.decode()
    assert opener(epoch=2).parameter(lookup(label, type_oid), mask, binary=False) != cell


@pytest.mark.parametrize(
    ("label", "type_oid", "raw"),
    [
        ("person.email", TEXT, b"ada@corp.test"),
        ("person.phone", INT8, (4930123456789).to_bytes(8, "big")),
        ("person.phone", INT4, (-77).to_bytes(4, "big", signed=True)),
        ("person.national_id", NUMERIC, numeric.write_binary(12345678901, 0)),
        ("person.national_id", UUID, bytes(range(16))),
        ("network.address", INET, b"\x02\x20\x00\x04\x0a\x01\x02\x03"),
        ("network.mac", MAC, b"\x08\x00\x2b\x01\x02\x03"),
    ],
)
def test_binary_values_are_opened_too(label: str, type_oid: int, raw: bytes) -> None:
    mask = shown(label, type_oid, raw, binary=True)
    assert mask != raw
    assert opener().parameter(lookup(label, type_oid), mask, binary=True) == raw


def test_arrays_are_opened_element_by_element() -> None:
    texts = b'{"a, b@corp.test",NULL,c@corp.test}'
    mask = shown("person.email", TEXTS, texts)
    assert opener().parameter(lookup("person.email", TEXT, TEXTS), mask, binary=False) == texts
    cells = b"".join(struct.pack("!iq", 8, n) for n in (4930123456, 5))
    numbers = struct.pack("!iiIii", 1, 0, INT8, 2, 1) + cells
    mask = shown("person.phone", INTS, numbers, binary=True)
    assert opener().parameter(lookup("person.phone", INT8, INTS), mask, binary=True) == numbers


def test_a_small_number_given_for_a_wide_column_is_opened_when_it_fits() -> None:
    mask = shown("person.phone", INT8, b"5")
    assert opener().parameter(lookup("person.phone", INT8, INT4), mask, binary=False) == b"5"
    assert opener().parameter(lookup("person.phone", INT8, NUMERIC), mask + b".000", binary=False) == b"5"


def test_blanks_at_the_end_of_char_mean_nothing() -> None:
    mask = shown("person.phone", BPCHAR, b"030 1234567   ", mod=18)
    assert mask.endswith(b"  ")
    assert opener().parameter(lookup("person.phone", BPCHAR), mask, binary=False) == b"030 1234567"


def test_null_stays_null() -> None:
    assert opener().parameter(lookup("person.email", TEXT), None, binary=False) is None


def test_a_guess_of_a_real_value_is_opened_like_any_other() -> None:
    guess = b"123-45-6789"
    opened = opener().parameter(lookup("person.national_id", TEXT), guess, binary=False) or b""
    assert opened != guess
    assert [chr(c).isdigit() for c in opened] == [chr(c).isdigit() for c in guess]
    for label in ("person.name", "person.email"):
        opened = opener().parameter(lookup(label, TEXT), b"ada@corp.test", binary=False) or b""
        assert opened.startswith(b"x_")
        assert len(opened) == 54


def test_a_number_without_pseudonym_matches_nothing() -> None:
    smallest = str(-(2**63)).encode()
    assert opener().parameter(lookup("person.phone", INT8), smallest, binary=False) == smallest
    assert opener().parameter(lookup("person.phone", NUMERIC), b"1.5", binary=False) == str(NO_NUMBER).encode()
    assert opener().parameter(lookup("person.phone", INT4, INT8), b"9999999999", binary=False) == smallest


@pytest.mark.parametrize(
    ("type_oid", "given_type", "raw", "binary"),
    [
        (INT8, INT8, b"0x1F", False), (INT8, INT8, b"", False), (INT8, INT8, b"\0", True), (NUMERIC, NUMERIC, b"one", False),
        (UUID, UUID, b"3f2504e0", False), (UUID, UUID, b"\0", True), (INET, INET, b"10.1", False), (INET, INET, b"\2", True),
        (MAC, MAC, b"08002b", False), (TEXT, TEXT, b"\xff", False), (TEXT, TEXTS, b"{a", False), (TEXT, TEXTS, b"", True),
        (INET, INET, b"10.1.2.3/99", False),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_and_not_passed_on(
    type_oid: int, given_type: int, raw: bytes, binary: bool
) -> None:
    label = {INET: "network.address", MAC: "network.mac"}.get(type_oid, "person.national_id")
    with pytest.raises(RefusedStatementError) as caught:
        opener().parameter(lookup(label, type_oid, given_type), raw, binary=binary)
    assert (caught.value.reason, caught.value.sqlstate) == ("lookup-value", "22P02")
    assert "x1F" not in str(caught.value)


def test_only_types_that_agree_are_looked_up() -> None:
    assert can_look_up(VARCHAR, TEXTS, CATALOG)
    assert can_look_up(NUMERIC, INT2, CATALOG)
    assert not can_look_up(TEXT, INT8, CATALOG)
    assert not can_look_up(650, 650, CATALOG)  # short networks have no pseudonym
    assert not can_look_up(INET, TEXT, CATALOG)


@given(st.sampled_from(sorted(INJECTIVE_LABELS)), st.text(max_size=60))
def test_every_text_comes_back(label: str, value: str) -> None:
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        return
    mask = shown(label, TEXT, value.encode())
    assert opener().constant(lookup(label, TEXT), mask.decode()) == value


@given(st.sampled_from(["person.phone", "person.national_id", "payment.card"]), st.integers(-(2**63) + 1, 2**63 - 1))
def test_every_number_comes_back(label: str, value: int) -> None:
    raw = value.to_bytes(8, "big", signed=True)
    mask = shown(label, INT8, raw, binary=True)
    assert opener().parameter(lookup(label, INT8), mask, binary=True) == raw
