"""The order of rows depends on what is shown, never on what is hidden."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import BackendProtocolError, InvariantError, RefusedStatementError
from lockgate.masking.order import RowSorter
from lockgate.model.plan import Order, Plan

_TEXT, _NUMERIC, _JSONB, _FLOAT8, _BPCHAR = 25, 1700, 3802, 701, 1042


def _row(*cells: bytes | None) -> bytes:
    parts = [b"\xff\xff\xff\xff" if cell is None else struct.pack("!i", len(cell)) + cell for cell in cells]
    return struct.pack("!h", len(cells)) + b"".join(parts)


def _sorted(
    order: Order, rows: list[bytes], *oids: int, ties: tuple[int, ...] = (), formats: tuple[int, ...] = ()
) -> list[bytes]:
    sorter = RowSorter(
        Plan(order=order, tie_columns=ties), buffer_bytes_max=1 << 20, type_oids=oids or (_TEXT, _TEXT), formats=formats
    )
    for row in rows:
        sorter.add(row)
    return list(sorter.finish())


_ROWS = st.lists(st.tuples(st.sampled_from([b"a", b"b", None]), st.binary(max_size=3)).map(lambda row: _row(*row)))


@given(_ROWS, st.randoms())
def test_sorting_forgets_the_order_of_arrival(rows: list[bytes], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert _sorted(Order.SORT, rows) == _sorted(Order.SORT, shuffled)
    assert sorted(rows) == sorted(_sorted(Order.SORT, rows))


@given(_ROWS)
def test_keeping_keeps(rows: list[bytes]) -> None:
    assert _sorted(Order.KEEP, rows) == rows


def test_ties_are_sorted_and_the_runs_stay_in_place() -> None:
    rows = [_row(b"2", b"y"), _row(b"2", b"x"), _row(b"1", b"z"), _row(b"1", b"a"), _row(b"2", b"b")]
    expected = [_row(b"2", b"x"), _row(b"2", b"y"), _row(b"1", b"a"), _row(b"1", b"z"), _row(b"2", b"b")]
    assert _sorted(Order.SORT_TIES, rows, ties=(0,)) == expected


@pytest.mark.parametrize(
    ("oid", "one", "other"),
    [
        (_NUMERIC, b"1.0", b"1.00"),
        (_NUMERIC, b"10", b"10.000"),
        (_FLOAT8, b"0", b"-0"),
        (_BPCHAR, b"a ", b"a   "),
        (_JSONB, b'{"a": 1}', b'{"a": 2}'),
    ],
)
def test_values_that_the_server_may_order_as_equal_tie(oid: int, one: bytes, other: bytes) -> None:
    rows = [_row(one, b"y"), _row(other, b"x")]
    assert _sorted(Order.SORT_TIES, rows, oid, _TEXT, ties=(0,)) == sorted(rows)
    assert _sorted(Order.SORT_TIES, rows[::-1], oid, _TEXT, ties=(0,)) == sorted(rows)


def test_binary_numerics_tie_whatever_their_scale() -> None:
    one = struct.pack("!hhHHH", 1, 0, 0, 0, 7)
    other = struct.pack("!hhHHH", 1, 0, 0, 2, 7)
    rows = [_row(other, b"x"), _row(one, b"y")]
    assert _sorted(Order.SORT_TIES, rows, _NUMERIC, _TEXT, ties=(0,), formats=(1, 0)) == sorted(rows)


def test_different_numbers_do_not_tie() -> None:
    rows = [_row(b"100", b"z"), _row(b"10", b"a")]
    assert _sorted(Order.SORT_TIES, rows, _NUMERIC, _TEXT, ties=(0,)) == rows


def test_a_result_beyond_the_bound_is_refused_whatever_it_holds() -> None:
    sorter = RowSorter(Plan(order=Order.SORT), buffer_bytes_max=200, type_oids=(_TEXT,))
    sorter.add(_row(b"a"))
    sorter.add(_row(b"b"))
    with pytest.raises(RefusedStatementError) as refused:
        sorter.add(_row(b"c" * 60))
    assert refused.value.reason == "result-too-large-to-order"


def test_finished_runs_can_be_drained_and_give_their_memory_back() -> None:
    sorter = RowSorter(Plan(order=Order.SORT_TIES, tie_columns=(0,)), buffer_bytes_max=400, type_oids=(_TEXT, _TEXT))
    shown = []
    for number in range(50):
        sorter.add(_row(str(number // 2).encode(), str(-number).encode()))
        shown += sorter.drain()
    shown += sorter.finish()
    assert len(shown) == 50
    assert len(set(shown)) == 50
    whole = RowSorter(Plan(order=Order.SORT), buffer_bytes_max=400, type_oids=(_TEXT, _TEXT))
    whole.add(_row(b"b"))
    assert whole.drain() == []


@pytest.mark.parametrize("body", [b"", b"\0", _row(b"a"), b"\0\2\0\0\0\1a", b"\0\2\0\0\0\1a\0\0\0\7b"])
def test_malformed_rows_are_errors(body: bytes) -> None:
    sorter = RowSorter(Plan(order=Order.SORT_TIES, tie_columns=(1,)), buffer_bytes_max=400, type_oids=(_TEXT, _TEXT))
    with pytest.raises(BackendProtocolError):
        sorter.add(body)


def test_a_tie_column_that_is_no_output_is_our_fault() -> None:
    with pytest.raises(InvariantError):
        RowSorter(Plan(order=Order.SORT_TIES, tie_columns=(2,)), buffer_bytes_max=1, type_oids=(_TEXT,))
