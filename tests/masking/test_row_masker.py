"""Rows go in and come out as rows; the masks agree between text and binary."""

from __future__ import annotations

import contextlib
import struct
import uuid
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import BackendProtocolError, InvariantError
from lockgate.masking import numeric, rows
from lockgate.masking.keys import KeyRing
from lockgate.masking.rows import RowMasker
from lockgate.masking.rules import rule_for
from lockgate.model.catalog import Catalog, Type
from lockgate.model.plan import ColumnPlan, Disposition, Plan

_TYPES = {
    16400: Type(16400, "public", "citext", "b", 0, "S"),
    16401: Type(16401, "public", "phone", "d", 1043, "S"),
    16402: Type(16402, "public", "mood", "e", 0, "E"),
    16403: Type(16403, "public", "_mood", "b", 16402, "A"),
    16404: Type(16404, "public", "vector", "b", 0, "U"),
    16405: Type(16405, "public", "spans", "r", 0, "R"),
    16406: Type(16406, "public", "pair", "c", 0, "C"),
}
_CATALOG = Catalog("d", "development", 15, 1, {}, {}, _TYPES)
Labels = tuple[tuple[tuple[str, ...], str], ...]


def _column(label: str, oid: int, *, clear: bool = False, json_labels: Labels = ()) -> ColumnPlan:
    disposition = Disposition.CLEAR if clear else Disposition.MASKED
    return ColumnPlan("c", "public.t.c", label, disposition, rule_for(label, oid, _CATALOG), oid, json_labels)


def _masker(
    *columns: ColumnPlan, formats: Sequence[int] = (), mods: Sequence[int] = (), style: str = "ISO, MDY"
) -> RowMasker:
    return RowMasker(
        Plan(columns, masks=True, touches_labelled=True),
        key_ring=KeyRing(bytes(32)),
        purpose="billing",
        scope="crm",
        epoch=1,
        formats=formats or [0] * len(columns),
        type_names=_TYPES,
        type_mods=mods or [-1] * len(columns),
        date_style=style,
    )


def _row(*cells: bytes | None) -> bytes:
    parts = [b"\xff\xff\xff\xff" if cell is None else struct.pack("!i", len(cell)) + cell for cell in cells]
    return struct.pack("!h", len(cells)) + b"".join(parts)


def _cells(body: bytes) -> list[bytes | None]:
    cells: list[bytes | None] = []
    position = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        size = struct.unpack_from("!i", body, position)[0]
        position += 4
        cells.append(None if size == -1 else body[position : position + size])
        position += max(size, 0)
    assert position == len(body)
    return cells


def _one(
    label: str, oid: int, cell: bytes | None, *, binary: bool = False, mod: int = -1, style: str = "ISO, MDY",
    json_labels: Labels = (),
) -> bytes | None:  # fmt: skip
    masker = _masker(_column(label, oid, json_labels=json_labels), formats=[int(binary)], mods=[mod], style=style)
    return _cells(masker.mask(_row(cell)))[0]


def test_clear_cells_and_nulls_stay_and_masked_cells_are_counted() -> None:
    masker = _masker(_column("none", 25, clear=True), _column("person.name", 25), _column("text.free", 25))
    shown = _cells(masker.mask(_row(b"\xff\x00raw", b"Ada", None)))
    assert shown[0] == b"\xff\x00raw"
    assert shown[1] is not None
    assert b"Ada" not in shown[1]
    assert shown[2] is None
    masker.mask(_row(b"", b"Ada", b"long story"))
    assert masker.cells_masked == [0, 2, 1]


def test_a_plan_that_masks_nothing_passes_the_very_bytes() -> None:
    masker = _masker(_column("none", 25, clear=True))
    body = b"anything at all"
    assert masker.mask(body) is body


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\0", b"\0\0", b"\0\2\0\0\0\1a\0\0\0\1b", b"\0\1", b"\0\1\0\0\0", b"\0\1\0\0\0\5ab", b"\0\1\xff\xff\xff\xfe",
        b"\0\1\0\0\0\1ab", b"\xff\xff\0\0\0\1a",
    ],
)  # fmt: skip
def test_a_malformed_row_is_an_error(body: bytes) -> None:
    with pytest.raises(BackendProtocolError):
        _masker(_column("person.name", 25)).mask(body)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_row_or_a_protocol_error(body: bytes) -> None:
    masker = _masker(_column("person.national_id", 23), _column("person.name", 1009), formats=[1, 1])
    with contextlib.suppress(BackendProtocolError):
        assert len(_cells(masker.mask(b"\0\2" + body))) == 2


def test_arguments_that_disagree_are_our_fault() -> None:
    with pytest.raises(InvariantError):
        _masker(_column("person.name", 25), formats=[0, 0])
    with pytest.raises(InvariantError):
        _masker(_column("person.name", 25), formats=[2])


def test_the_same_value_has_the_same_mask_in_two_results_and_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CACHED_CELLS", 3)
    masker = _masker(_column("person.name", 25))
    first = [masker.mask(_row(b"p%d" % number)) for number in range(10)]
    again = [masker.mask(_row(b"p%d" % number)) for number in range(10)]
    fresh = [_masker(_column("person.name", 25)).mask(_row(b"p%d" % number)) for number in range(10)]
    assert first == again == fresh
    assert len(set(first)) == 10


def test_text_that_is_not_utf_8_is_masked_too() -> None:
    assert _one("person.name", 25, b"\xe9t\xe9") != _one("person.name", 25, b"\xe8t\xe9")


@pytest.mark.parametrize(
    ("label", "marker"), [("text.free", b"[text]"), ("unknown", b"[text]"), ("health.code", b"[code]")]
)
def test_withheld_text_is_a_constant_cut_to_its_column(label: str, marker: bytes) -> None:
    assert _one(label, 25, b"anything") == _one(label, 25, b"") == marker
    assert _one(label, 1043, b"anything", mod=4 + 3) == marker[:3]
    assert _one(label, 1042, b"any       ", mod=4 + 10) == marker.ljust(10)


def test_char_n_ignores_and_restores_trailing_blanks() -> None:
    padded, bare = _one("person.name", 1042, b"Ada  ", mod=4 + 40), _one("person.name", 1042, b"Ada", mod=4 + 40)
    assert padded == bare
    assert padded is not None
    assert len(padded) == 40


def test_a_secret_shows_a_marker_and_a_short_tag_only() -> None:
    one, other = _one("secret.credential", 25, b"hunter2"), _one("secret.credential", 25, b"hunter3")
    assert one is not None
    assert one.startswith(b"[secret-")
    assert len(one) == 13
    assert one != other
    assert len(_one("secret.credential", 1043, b"hunter2", mod=4 + 2) or b"") == 2
    assert _one("secret.credential", 17, b"\\x0102") == b"\\x5b6d61736b65645d"
    assert _one("secret.credential", 17, b"\1\2", binary=True) == b"[masked]"


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from([(21, "h"), (23, "i"), (20, "q")]))
def test_integers_agree_between_text_and_binary(value: int, kind: tuple[int, str]) -> None:
    oid, code = kind
    bits = 8 * struct.calcsize("!" + code)
    value = (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))
    for label in ("person.national_id", "payment.card", "finance.salary"):
        text = _one(label, oid, str(value).encode())
        binary = _one(label, oid, struct.pack("!" + code, value), binary=True)
        assert text is not None
        assert binary is not None
        assert int(text) == struct.unpack("!" + code, binary)[0]
        if label == "finance.salary" or oid == 21:
            assert int(text) == 0


@given(st.integers(-(10**39), 10**39), st.integers(0, 6))
def test_numerics_agree_between_text_and_binary(value: int, scale: int) -> None:
    text = _one("person.national_id", 1700, numeric.write_text(value, scale))
    binary = _one("person.national_id", 1700, numeric.write_binary(value, scale), binary=True)
    assert text is not None
    assert binary is not None
    assert numeric.read_text(text.decode()) == numeric.read_binary(binary)


def test_a_withheld_numeric_keeps_the_scale_of_its_column() -> None:
    mod = (10 << 16 | 2) + 4
    assert _one("finance.salary", 1700, b"1234.50", mod=mod) == b"0.00"
    assert numeric.read_binary(_one("finance.salary", 1700, b"", binary=True, mod=mod) or b"") == (0, 2)


@given(st.uuids())
def test_uuids_agree_between_text_and_binary(value: uuid.UUID) -> None:
    text = _one("person.national_id", 2950, str(value).encode())
    binary = _one("person.national_id", 2950, value.bytes, binary=True)
    assert text is not None
    assert uuid.UUID(text.decode()).bytes == binary
    assert _one("unknown", 2950, str(value).encode()) == b"00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("oid", "text", "binary"),
    [
        (869, b"10.1.2.3/8", b"\x02\x08\x00\x04\x0a\x01\x02\x03"),
        (869, b"10.1.2.3", b"\x02\x20\x00\x04\x0a\x01\x02\x03"),
        (650, b"10.1.2.0/24", b"\x02\x18\x01\x04\x0a\x01\x02\x00"),
        (650, b"10.0.0.0/8", b"\x02\x08\x01\x04\x0a\x00\x00\x00"),
    ],
)
def test_ipv4_agrees_between_text_and_binary(oid: int, text: bytes, binary: bytes) -> None:
    shown_text, shown = _one("network.address", oid, text), _one("network.address", oid, binary, binary=True)
    assert shown is not None
    assert shown_text is not None
    assert shown[:4] == binary[:4]
    assert shown_text.partition(b"/")[0] == ".".join(str(byte) for byte in shown[4:]).encode()
    assert shown_text.partition(b"/")[2] == text.partition(b"/")[2]


def test_macs_agree_between_text_and_binary() -> None:
    shown = _one("network.mac", 829, b"08:00:2b:01:02:03")
    assert shown is not None
    assert bytes.fromhex(shown.replace(b":", b"").decode()) == _one(
        "network.mac", 829, bytes.fromhex("08002b010203"), binary=True
    )


@pytest.mark.parametrize(
    ("label", "oid", "cell"),
    [
        ("person.national_id", 23, b"\0\0"),
        ("person.national_id", 2950, b"\0"),
        ("network.address", 869, b"\x02\x40\x00\x04\x0a\x01\x02\x03"),
        ("network.mac", 829, b"\0"),
        ("person.birth_date", 1082, b"\0"),
        ("unknown", 3802, b"\x02{}"),
        ("unknown", 16404, b"\0"),
    ],
)
def test_binary_cells_of_a_wrong_form_are_errors(label: str, oid: int, cell: bytes) -> None:
    with pytest.raises(BackendProtocolError):
        _one(label, oid, cell, binary=True, json_labels=((("a",), "none"),))


@pytest.mark.parametrize(
    ("label", "oid", "cell"),
    [
        ("person.national_id", 23, b"12a"),
        ("person.national_id", 2950, b"zf2504e0-4f89-41d3-9a0c-0305e82c3301"),
        ("network.address", 869, b"10.1"),
        ("network.address", 869, b"10.0.0.1/" + b"1" * 5000),
        ("network.mac", 829, b"08:00:2b:01:02:zz"),
    ],
)
def test_text_cells_of_a_wrong_form_are_errors_that_do_not_quote_them(label: str, oid: int, cell: bytes) -> None:
    with pytest.raises(BackendProtocolError) as error:
        _one(label, oid, cell)
    assert cell.decode() not in str(error.value)


@pytest.mark.parametrize("oid", [16402, 16406, 16999, 603])
@pytest.mark.parametrize("binary", [False, True])
def test_types_without_a_mask_that_says_nothing_become_null(oid: int, binary: bool) -> None:
    assert _one("unknown", oid, b"secret", binary=binary) is None


def test_user_types_that_we_know_are_masked_as_what_they_are() -> None:
    assert _one("text.free", 16400, b"Secret") == b"[text]"
    assert _one("person.phone", 16401, b"+49 30 1234567", binary=True) == _one("person.phone", 1043, b"+49 30 1234567")
    assert _one("unknown", 16405, b"[1,2)") == b"empty"
    assert _one("derived.embedding", 16404, b"[1,2.5,3]") == b"[0,0,0]"
    assert _one("derived.embedding", 16404, struct.pack("!HHff", 2, 0, 1, 2), binary=True) == struct.pack(
        "!HHff", 2, 0, 0, 0
    )


def test_arrays_keep_their_shape_and_mask_each_element() -> None:
    assert _one("text.free", 1009, b'{a,"b c",NULL,{"x"}}') == b"{[text],[text],NULL,{[text]}}"
    assert _one("unknown", 16403, b"{a,b}") is None
    assert _one("derived.embedding", 1022, b"{1,2}") == b"{}"
    header = struct.pack("!iiI", 1, 0, 23) + struct.pack("!ii", 2, 1)
    body = header + b"".join(struct.pack("!ii", 4, number) for number in (7, 8))
    shown = _one("amount.other", 1007, body, binary=True)
    assert shown == header + struct.pack("!ii", 4, 0) * 2
    assert _one("derived.embedding", 1007, body, binary=True) == struct.pack("!iiI", 0, 0, 23)


def test_dates_show_the_year_or_nothing() -> None:
    assert _one("person.birth_date", 1082, b"17/06/1975", style="SQL, DMY") == b"01/01/1975"
    assert _one("unknown", 1082, b"1975-06-17") == b"2000-01-01"
    assert _one("person.birth_date", 25, b"17.06.1975") == b"1975"
    assert _one("person.birth_date", 25, b"in the spring of 1975") == b"[date]"
    assert _one("person.birth_date", 1082, struct.pack("!i", -8964), binary=True) == struct.pack("!i", -9131)


def test_documents_show_labelled_leaves_by_their_label() -> None:
    labels: Labels = ((("mail",), "person.email"), (("kind",), "none"))
    raw = b'{"mail": "ada@gmail.com", "kind": "a", "x": "secret", "n": 5}'
    text = _one("unknown", 3802, raw, json_labels=labels)
    assert text is not None
    assert text.startswith(b'{"mail": "u_')
    assert text.endswith(b'@gmail.com", "kind": "a", "key1": "[text]", "key2": 0}')
    assert _one("unknown", 3802, b"\1" + raw, binary=True, json_labels=labels) == b"\1" + text
    assert _one("unknown", 114, raw) == b"{}"
