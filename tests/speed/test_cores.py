"""The compiled core gives the answers of the plain one, on what is well-formed and on what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate import speed
from lockgate.errors import LockgateError
from lockgate.ledger import wal
from lockgate.session.spans import bind_values, rows_and_tag
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import scan_rows, whole_rows

pytestmark = pytest.mark.skipif(not speed.is_built(), reason="the compiled core is not built: no C compiler")

VALUES = st.lists(st.none() | st.binary(max_size=20), max_size=5)


@pytest.fixture(autouse=True)
def compiled() -> Iterator[None]:
    before = speed.name()
    assert speed.use(speed.COMPILED)
    yield
    speed.use(before)


def both(plain: Callable[..., object], fast: Callable[..., object], *arguments: object) -> object:
    """What both answer, which must be the same, errors included."""

    def answer(function: Callable[..., object]) -> object:
        try:
            return function(*arguments)
        except (LockgateError, IndexError) as error:
            return type(error), str(error) if isinstance(error, LockgateError) else ""

    found = answer(plain)
    assert answer(fast) == found
    return found


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes, or with one changed or the end cut off."""
    place, value = draw(st.integers(0, len(whole) - 1)), draw(st.integers(0, 255))
    return draw(st.sampled_from([whole, whole[:place] + bytes([value]) + whole[place + 1 :], whole[:place]]))


@given(st.data(), st.lists(VALUES, max_size=4))
def test_rows_are_scanned_alike(data: st.DataObject, rows: list[list[bytes | None]]) -> None:
    whole = b"".join(be.DataRow(tuple(row)).encode() for row in rows) + be.CommandComplete("SELECT 1").encode()
    given_bytes = data.draw(damaged(whole))
    start = data.draw(st.integers(0, len(given_bytes)))
    both(scan_rows, speed.core.scan, given_bytes, start, ord("D"), ord("d"))
    both(scan_rows, speed.core.scan, bytearray(given_bytes), start, ord("D"), -1)


@given(
    st.data(),
    st.lists(VALUES, max_size=4),
    st.sampled_from(["SELECT 0", "SELECT 12", "SELECT 0123456789012345678", "SELECT ", "BEGIN"]),
)
def test_whole_answers_are_measured_alike(data: st.DataObject, rows: list[list[bytes | None]], tag: str) -> None:
    end = be.CommandComplete(tag).encode() + be.ReadyForQuery("I").encode()
    whole = b"".join(be.DataRow(tuple(row)).encode() for row in rows) + end
    found = both(rows_and_tag, speed.core.rows_and_tag, whole, 0, ord("I"))
    assert (found is not None) == (tag[7:].isdigit() and len(tag) < 26)
    both(rows_and_tag, speed.core.rows_and_tag, data.draw(damaged(whole)), data.draw(st.integers(0, 9)), ord("I"))


@given(st.data(), VALUES, st.sampled_from([(), (0,), (1,), (0, 1)]), st.sampled_from([(), (1,), (0, 1, 1)]))
def test_values_of_a_bind_are_found_alike(
    data: st.DataObject, values: list[bytes | None], formats: tuple[int, ...], results: tuple[int, ...]
) -> None:
    whole = fe.Bind("", "s", formats, tuple(values), results).encode()
    found = both(bind_values, speed.core.bind_values, whole, 8, len(whole))
    assert (found is not None) == (len(formats) in {0, 1, len(values)})
    changed = data.draw(damaged(whole))
    both(bind_values, speed.core.bind_values, changed, data.draw(st.integers(0, 9)), len(changed))
    both(bind_values, speed.core.bind_values, changed, 8, data.draw(st.integers(0, len(whole) + 2)))


@given(st.lists(st.binary(max_size=30), max_size=5), st.integers(0, 2**60), st.booleans())
def test_frames_are_the_same_bytes(payloads: list[bytes], index: int, same: bool) -> None:
    def plain(*arguments: object) -> object:
        before = speed.name()
        speed.use(speed.PLAIN)
        try:
            return wal.frames(payloads, index, same=same)
        finally:
            speed.use(before)

    both(plain, speed.core.frames, payloads, index, same)


@given(st.data(), st.lists(VALUES, max_size=4))
def test_whole_rows_are_found_alike(data: st.DataObject, rows: list[list[bytes | None]]) -> None:
    messages = [be.DataRow(tuple(row)).encode() for row in rows]
    given_bytes = data.draw(damaged(b"".join(messages) + be.CommandComplete("SELECT 1").encode()))
    start = data.draw(st.integers(0, len(given_bytes)))
    both(whole_rows, speed.core.whole, given_bytes, start, ord("D"), -1)
    whole = b"".join(messages)
    for size in range(len(whole)):
        end, count = speed.core.whole(whole[:size], 0, ord("D"), -1)
        assert whole[:end] == b"".join(messages[:count])
        assert end <= size


def test_what_is_no_bytes_is_an_error_and_not_a_crash() -> None:
    for wrong in ([1], ["x"], [b"x", 2]):
        with pytest.raises(TypeError):
            speed.core.frames(wrong, 0, False)
    for offset in (-1, -(2**40), 2**40):
        assert speed.core.scan(b"D\0\0\0\4", offset, 68, 100) == (offset, 0)
        assert speed.core.whole(b"D\0\0\0\4", offset, 68, 100) == (offset, 0)
        assert speed.core.rows_and_tag(b"D\0\0\0\4", offset, 73) is None
        assert speed.core.bind_values(b"\0\0\0\0\0\0", offset, 6) is None


def test_a_core_that_is_not_there_is_refused_by_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_BUILT", None)
    assert speed.use(speed.AUTO)
    assert speed.name() == speed.PLAIN
    assert not speed.use(speed.COMPILED)
    monkeypatch.undo()
    assert speed.use(speed.AUTO)
