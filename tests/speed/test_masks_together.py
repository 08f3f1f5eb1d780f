"""Masks made together are the masks made one at a time, in both cores, for every class and for values that are not of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate import speed
from lockgate.errors import BackendProtocolError, LockgateError
from lockgate.masking.arrays import CellMask
from lockgate.masking.copy_formats import SIGNATURE, CopyCodec, CopyShape
from lockgate.masking.copying import CopyMasker
from lockgate.masking.ff1 import Ff1
from lockgate.masking.keys import KeyRing
from lockgate.masking.pseudonyms import PseudonymPool
from lockgate.masking.rows import RowMasker
from lockgate.masking.rules import RULES, rule_for
from lockgate.masking.transforms import Context, cell_mask
from lockgate.model.catalog import Catalog
from lockgate.model.plan import ColumnPlan, Disposition, Plan
from lockgate.wire.postgres import backend as be

_CATALOG = Catalog("d", "development", 15, 1, {}, {}, {})
_CORES = [speed.PLAIN, *([speed.COMPILED] if speed.is_built() else [])]
_DIGITS = "0123456789"
_LUHN_OK = ["4539 5700 0000 0006", "79927398713", "4111111111111111", "378282246310005", "6011000990139424"]


@pytest.fixture(params=_CORES)
def core(request: pytest.FixtureRequest) -> Iterator[str]:
    before = speed.name()
    speed.use(request.param)
    yield request.param
    speed.use(before)


def _texts(*parts: str) -> st.SearchStrategy[str]:
    return st.builds("".join, st.tuples(*(st.text(part, max_size=24) for part in parts)))


_ANY = st.text(max_size=40) | st.text("äß€😀 Aa.'-", max_size=120) | st.text("ab@.", max_size=30)
_VALUES: dict[str, st.SearchStrategy[str]] = {
    "payment.card": st.sampled_from(_LUHN_OK) | st.text(_DIGITS + " -", min_size=6, max_size=44) | st.text(_DIGITS, min_size=7, max_size=34),
    "person.phone": st.builds("+{}".format, st.text(_DIGITS + " ()-", min_size=7, max_size=40)) | _texts("+", _DIGITS + " ext:.", _DIGITS),
    "person.national_id": st.from_regex(r"[A-Za-z]{0,4}[0-9]{2,9}[A-Za-z]{0,3}", fullmatch=True) | _texts(_DIGITS, "-/ .", _DIGITS + "ABZabz"),
    "person.email": st.builds("{}@{}".format, st.text("abcxyz.@+é", min_size=1, max_size=110), st.sampled_from(["gmail.com", "x.example", "d" * 70, "é.de", ""])),
    "person.name": st.text(min_size=0, max_size=60) | st.text("Aé", min_size=90, max_size=110),
    "payment.iban": st.sampled_from(["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "DE00370400440532013000"]),
    "network.address": st.sampled_from(["10.1.2.3", "10.1.2.0/24", "2001:db8::1", "::ffff:1.2.3.4"]),
    "network.mac": st.sampled_from(["08:00:2b:01:02:03", "08-00-2B-01-02-03", "00:00:00:00:00:00"]),
    "person.birth_date": st.dates().map(str) | st.sampled_from(["0001-01-01 BC", "infinity", "12345-01-01", "0000-01-01"]),
    "secret.credential": st.text(max_size=20),
}  # fmt: skip
_TYPES = {"person.birth_date": [1082, 25], "person.national_id": [25, 1043, 1042, 19], "payment.card": [25, 1043, 1042]}


def _column(label: str, oid: int) -> ColumnPlan:
    return ColumnPlan("c", "public.t.c", label, Disposition.MASKED, rule_for(label, oid, _CATALOG), oid)


def _masker(columns: Sequence[ColumnPlan], mods: Sequence[int], formats: Sequence[int]) -> RowMasker:
    return RowMasker(
        Plan(tuple(columns), masks=True, touches_labelled=True), key_ring=KeyRing(bytes(32)), purpose="billing", scope="crm", epoch=1,
        formats=formats, type_names={}, type_mods=mods, date_style="ISO, MDY",
    )  # fmt: skip


def _single(masker: RowMasker, column: ColumnPlan, mod: int, *, binary: bool) -> CellMask:
    context = Context(masker._pseudonym, masker._secret_tags().tag, "ISO, MDY", {})
    return cell_mask(column, mod, binary, context)


def _compare(column: ColumnPlan, mod: int, cells: list[bytes | None], *, binary: bool = False) -> None:
    clear = ColumnPlan("k", "", "none", Disposition.CLEAR, "", 25)
    masker = _masker([clear, column, clear], [-1, mod, -1], [int(binary)] * 3)
    one = _single(masker, column, mod, binary=binary)
    rows = [(b"k%d" % number, cell, None) for number, cell in enumerate(cells)]
    span = b"".join(be.DataRow(row).encode() for row in rows)
    try:
        wanted = [(key, None if cell is None else one(cell), rest) for key, cell, rest in rows]
    except BackendProtocolError:
        with pytest.raises(BackendProtocolError):
            masker.span(span)
        return
    for _ in range(2):  # the second time some are remembered
        assert masker.span(span) == b"".join(be.DataRow(row).encode() for row in wanted)
        assert masker.apart(span) == [be.DataRow(row).encode()[5:] for row in wanted]
    assert masker.cells_masked == [0, 4 * sum(cell is not None for cell in cells), 0]


@pytest.mark.parametrize("label", [*RULES, "text.free"])
def test_masks_of_texts_are_the_same_together(core: str, label: str) -> None:
    del core

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        oid = data.draw(st.sampled_from(_TYPES.get(label, [25, 1043])))
        values = data.draw(st.lists(st.none() | _VALUES.get(label, _ANY) | _ANY, max_size=12))
        cells = [None if value is None else value.encode("utf-8", "replace") for value in values]
        odd = data.draw(st.none() | st.binary(max_size=30))
        longest = max([len(value or "") for value in values] + [1])
        mod = -1 if oid != 1043 else 4 + data.draw(st.integers(longest, longest + 60))
        _compare(_column(label, oid), mod, [*cells, odd])

    check()


@pytest.mark.parametrize("oid", [20, 23, 1700])
@pytest.mark.parametrize("label", ["person.phone", "person.national_id", "payment.card"])
def test_masks_of_numbers_are_the_same_together(core: str, label: str, oid: int) -> None:
    del core
    width = {20: 8, 23: 4}.get(oid, 0)
    top = 2 ** (8 * width - 1) - 1 if width else 10**30
    edges = [0, 1, 999_999, 10**6, 10**7 - 1, 10**7, 10**9, 2**31 - 1, top]
    numbers = st.sampled_from([n for n in edges if n <= top]) | st.integers(0, top) | st.integers(0, 10**8)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(numbers, max_size=12), st.lists(st.booleans(), min_size=12, max_size=12), st.booleans())
    def check(values: list[int], signs: list[bool], binary: bool) -> None:
        signed = [-value if sign else value for value, sign in zip(values, signs, strict=False)]
        binary = binary and bool(width)
        cells: list[bytes | None] = [v.to_bytes(width, "big", signed=True) if binary else b"%d" % v for v in signed]
        if width and not binary:
            cells.append(b"-%d" % (top + 1))
        _compare(_column(label, oid), -1, cells, binary=binary)

    check()


_SPELT = ["+44 20 1234 5678", "4539 5700 0000 0006", "4111111111111111", "123-45-6789", "00000000", "ab12345678"]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["person.phone", "payment.card", "person.national_id"]),
    st.lists(st.tuples(st.sampled_from(_SPELT), st.integers(0, 18), st.integers(0, 255)), max_size=8), st.integers(0, 20),
)  # fmt: skip
def test_numbers_that_are_spelt_nearly_alike_are_told_apart(
    label: str, changes: list[tuple[str, int, int]], more: int
) -> None:
    cells: list[bytes | None] = [
        b"1234567" + b" " * (n + 1) + b"%d" % n for n in range(more)
    ]  # more than are remembered
    for spelt, place, byte in changes:
        text = spelt.encode()
        cells += [text, text[: place % len(text)] + bytes([byte]) + text[place % len(text) + 1 :], text]
    before = speed.name()
    for name in _CORES:
        speed.use(name)
        _compare(_column(label, 25), -1, cells)
    speed.use(before)


@settings(deadline=None)
@given(
    st.data(), st.lists(st.lists(st.none() | st.binary(max_size=20), min_size=6, max_size=6), max_size=4), st.booleans()
)
def test_damaged_rows_are_the_same_error_in_both_cores(
    data: st.DataObject, rows: list[list[bytes | None]], last: bool
) -> None:
    if not speed.is_built():
        pytest.skip("the compiled core is not built: no C compiler")
    whole = span = b"".join(be.DataRow(tuple(row)).encode() for row in rows)
    clear = ColumnPlan("k", "", "none", Disposition.CLEAR, "", 25)
    columns = [
        clear,
        _column("text.free", 25),
        clear,
        _column("person.name", 25),
        clear,
        _column("text.free", 25) if last else clear,
    ]
    if span:
        place, value = data.draw(st.integers(0, len(span) - 1)), data.draw(st.integers(0, 255))
        span = data.draw(st.sampled_from([span, span[:place] + bytes([value]) + span[place + 1 :], span[:place]]))
    found: list[object] = []
    before = speed.name()
    for name in (speed.PLAIN, speed.COMPILED):
        speed.use(name)
        masker = _masker(columns, [-1] * 6, [0] * 6)
        assert masker.span(whole) == masker.span(whole), "and from now on its values are known"
        try:
            found.append((masker.span(span), masker.apart(span), masker.cells_masked))
        except LockgateError as error:
            found.append((type(error), str(error)))
    speed.use(before)
    assert found[0] == found[1]


def test_a_byte_that_is_another_one_is_noticed_alike_where_all_values_are_known() -> None:
    clear = ColumnPlan("k", "", "none", Disposition.CLEAR, "", 25)
    columns = [clear, _column("person.name", 25), clear, _column("person.email", 25), clear, clear]
    rows = [(b"a", b"Ann", None, b"ann@a.example", b"xy", b"z"), (b"b", None, b"c", b"zoe@b.example", b"x", b"zz")]
    span = b"".join(be.DataRow(row).encode() for row in rows)
    found: list[list[object]] = []
    before = speed.name()
    for name in _CORES:
        speed.use(name)
        masker, answers = _masker(columns, [-1] * 6, [0] * 6), list[object]()
        masker.span(span)
        for place in range(len(span)):
            for value in {0, 1, 3, 254, 255, span[place] ^ 1}:
                try:
                    answers.append(masker.span(span[:place] + bytes([value]) + span[place + 1 :]))
                except LockgateError as error:
                    answers.append((type(error), str(error)))
        found.append(answers)
    speed.use(before)
    assert all(answers == found[0] for answers in found)
    assert sum(isinstance(one, tuple) for one in found[0]) > len(span)


_K256 = "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94"
_T10, _T11 = "39383736353433323130", "3737373770717273373737"
# NIST SP 800-38G, "Examples with intermediate values", FF1 samples 1 to 9.
_SAMPLES = [
    (16, 10, "", "0123456789", "2433477484"), (16, 10, _T10, "0123456789", "6124200773"),
    (16, 36, _T11, "0123456789abcdefghi", "a9tv40mll9kdu509eum"), (24, 10, "", "0123456789", "2830668132"),
    (24, 10, _T10, "0123456789", "2496655549"), (24, 36, _T11, "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"),
    (32, 10, "", "0123456789", "6657667009"), (32, 10, _T10, "0123456789", "1001623463"),
    (32, 36, _T11, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"),
]  # fmt: skip


@pytest.mark.parametrize(("size", "radix", "tweak", "plain", "cipher"), _SAMPLES)
def test_the_nist_samples_are_reproduced_together(
    core: str, size: int, radix: int, tweak: str, plain: str, cipher: str
) -> None:
    del core
    ff1 = Ff1({16: bytes.fromhex(_K256)[:16], 24: bytes.fromhex(_K256)[:24], 32: bytes.fromhex(_K256)}[size], radix)
    given_value = (int(plain, radix), len(plain), bytes.fromhex(tweak))
    other = (int("9" * 12, radix), 12, b"")
    found = ff1.encrypt_many([given_value, other, given_value])
    assert found[0] == found[2] == int(cipher, radix)
    assert found[1] == ff1.encrypt_int(*other)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([2, 3, 10, 26, 36, 255, 256, 65536]), st.sampled_from([16, 32]), st.integers(1, 20), st.data())
def test_many_values_are_encrypted_as_each_alone(radix: int, key_bytes: int, times: int, data: st.DataObject) -> None:
    shortest = next(n for n in range(2, 30) if radix**n >= 10**6)
    lengths = data.draw(st.lists(st.integers(shortest, shortest + 40), max_size=8))
    values = [
        (
            data.draw(st.integers(0, radix**n - 1) | st.sampled_from([0, radix**n - 1])),
            n,
            data.draw(st.binary(max_size=20)),
        )
        for n in lengths
    ]
    # Values of one length go through the rounds in eights, those that are left over with others.
    more = [(value * (number + 1) % radix**n, n, tweak) for number in range(times) for value, n, tweak in values]
    before = speed.name()
    for name in _CORES:
        speed.use(name)
        ff1 = Ff1(bytes(range(key_bytes)), radix)
        assert ff1.encrypt_many(more) == [ff1.encrypt_int(*value) for value in more]
    speed.use(before)


_CELLS = (
    st.none()
    | st.text("ab,;\t\\\"'\n\r|N.é ", max_size=8).map(str.encode)
    | st.sampled_from([b"", b"\\N", b"\\.", b"NULL", b"+44 20 7946 0000"])
    | st.integers(28, 66).map(lambda size: b"x" * size)  # delimiters on both sides of a block's edge, and on it
)
_SHAPES = [
    CopyShape(), CopyShape(delimiter=b"|"), CopyShape("binary"), CopyShape("csv", b",", b""), CopyShape("csv", b";", b"NULL", quote=b"'", escape=b"'"),
    CopyShape("csv", b",", b"", forced=frozenset({0, 1})), CopyShape("csv", b",", b"", escape=b"\\"), CopyShape("csv", b",", b"", header=True),
]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.data(), st.integers(1, 3), st.sampled_from(_SHAPES), st.booleans())
def test_copied_rows_are_masked_alike(data: st.DataObject, width: int, shape: CopyShape, together: bool) -> None:
    rows = data.draw(st.lists(st.lists(_CELLS, min_size=width, max_size=width), max_size=6))
    columns = [
        _column(data.draw(st.sampled_from(["person.phone", "secret.credential", "text.free"])), 25)
        for _ in range(width)
    ]
    if width > 1:
        columns[1] = ColumnPlan("k", "", "none", Disposition.CLEAR, "", 25)
    written = CopyCodec(shape, width)
    pieces = [written.encode(be.DataRow(tuple(row)).encode()[5:]) for row in rows]
    if shape.header:
        pieces.insert(0, b"h" * width + b"\n")
    if shape.binary:
        pieces = [SIGNATURE + bytes(8) + b"".join(pieces[:1]), *pieces[1:], b"\xff\xff"]
    if together:
        pieces = [b"".join(pieces)] if pieces else []
    span = b"".join(b"d" + (len(piece) + 4).to_bytes(4, "big") + piece for piece in pieces)
    formats = [int(shape.binary)] * width
    before, found = speed.name(), []
    for name in _CORES:
        speed.use(name)
        masker = _masker(columns, [-1] * width, formats)
        for _ in range(2):  # the second time its values are known
            masker.restart()
            copier = CopyMasker(CopyCodec(shape, width), masker, None)
            shown, count = copier.span(span) if span else (b"", 0)
            found.append((shown, count, masker.cells_masked, list(copier.finish()) if span or not shape.binary else []))
    speed.use(speed.PLAIN)
    masker = _masker(columns, [-1] * width, formats)
    copier = CopyMasker(CopyCodec(shape, width), masker, None)
    one = [piece for part in pieces for piece in copier.feed(part)]
    speed.use(before)
    shown = b"".join(b"d" + (len(piece) + 4).to_bytes(4, "big") + piece for _, piece in one)
    assert found == [(shown, sum(is_row for is_row, _ in one), masker.cells_masked, [])] * len(found)


def test_two_outputs_of_one_kind_and_two_statements_share_nothing_but_what_was_prepared(core: str) -> None:
    del core
    ring = KeyRing(bytes(32))
    pool = PseudonymPool(ring)
    email = _column("person.email", 25)
    rows = [be.DataRow((b"ann@a.example", None)), be.DataRow((b"zoe@b.example", b"ann@a.example"))]
    span = b"".join(row.encode() for row in rows)
    shown = []
    for epoch in (1, 1, 2, 1):
        masker = RowMasker(
            Plan((email, email), masks=True), key_ring=ring, purpose="billing", scope="crm", epoch=epoch, formats=[0, 0], type_names={},
            type_mods=[-1, -1], date_style="ISO, MDY", pool=pool,
        )  # fmt: skip
        found = [be.cells(body) for body in masker.apart(span)]
        assert found[0][1] is None
        assert found[0][0] == found[1][1] != found[1][0]
        assert masker.cells_masked == [2, 1]
        shown.append(found)
    assert shown[0] == shown[1] == shown[3] != shown[2]


@pytest.mark.parametrize("rest", [b"", b"\xff\xff\xff\xf0"])
def test_a_row_with_too_few_values_is_an_error_whatever_stands_behind_it(core: str, rest: bytes) -> None:
    del core
    masker = _masker([_column("text.free", 25), _column("person.name", 25)], [-1, -1], [0, 0])
    span = b"D" + (13).to_bytes(4, "big") + b"\0\2" + be.DataRow((b"abc",)).encode()[7:]
    with pytest.raises(BackendProtocolError, match=r"inside the length|longer than its row"):
        masker.span(span + rest)


@pytest.mark.parametrize("radix", [2, 10])
def test_more_lengths_than_are_gathered_apart_are_encrypted_alike(core: str, radix: int) -> None:
    del core
    lengths = range(20, 100) if radix == 2 else range(6, 60)
    values = [(3 ** (7 * n) * (k + 1) % radix**n, n, b"t") for k in range(9) for n in lengths]
    ff1 = Ff1(bytes(range(32)), radix)
    assert ff1.encrypt_many(values) == [ff1.encrypt_int(*value) for value in values]
