"""Constants set apart from their text: each is one token of PostgreSQL's own scanner, and lifting changes nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postgast import pg_query_pb2 as pb

from lockgate.errors import RefusedStatementError
from lockgate.sql import grammar
from lockgate.sql.lifting import Lifted, lift

PIECES = st.sampled_from([
    "SELECT", "a", "a1", "_b$2", "é", '"q 1"', '"x""y"', "'it''s'", "'2026-01-02'", "''", "'\\'", "'a'", "E'b'", "e", "N", "b'1'", "U&", "U&'x'", "x", "$1", "$$z$$",
    "1", "12", "007", "2147483647", "2147483648", "9223372036854775807", "9223372036854775808", "1.5", ".5", "5.", "1e3", "0x1F", "1_000",
    "12ab", "--", "/*", "*/", "-", "+", "=", "(", ")", ",", ";", "::", ":", ".", "..", "[", "]", "\n", " ", "\t", "'", '"', "\\", "&", "@",
])  # fmt: skip
VALUES = {
    b"\x00i": ["0", "7", "2147483647"],
    b"\x00l": ["2147483648", "9223372036854775807"],
    b"\x00n": ["0.0", "17.25", "007.50"],
    b"\x00s": ["''", "'z'", "'a''b --'"],
    b"\x00d": ["'2026-02-28'", "'1000-01-01 00:00'", "'2999-12-28 23:59:59'"],
}


def swapped(lifted: Lifted, choose: int) -> bytes:
    """The text with other constants of the same classes."""
    parts, position = [], 0
    for number, (start, end, mark) in enumerate(lifted.constants):
        values = VALUES[mark]
        parts += [lifted.data[position:start], values[(choose + number) % len(values)].encode()]
        position = end
    return b"".join([*parts, lifted.data[position:]])


def scanned(data: bytes) -> list[grammar.Token]:
    try:
        return list(grammar.scan(data))
    except RefusedStatementError:
        return []


@settings(deadline=None, max_examples=800)
@given(st.lists(PIECES, min_size=1, max_size=9), st.sampled_from(["", " "]), st.integers(0, 5))
def test_constants_are_tokens_and_others_of_their_class_can_stand_there(
    pieces: list[str], between: str, choose: int
) -> None:
    data = between.join(pieces).encode()
    lifted = lift(data)
    if lifted is None:
        return
    tokens = scanned(data)
    if not tokens:
        return  # no tokens of PostgreSQL, so nothing that could be analysed
    spans = {(t.start, t.end): t.kind for t in tokens}
    for constant in lifted.constants:
        wanted = {pb.SCONST} if constant.is_string else {pb.ICONST, pb.FCONST}
        assert spans.get((constant.start, constant.end)) in wanted
    other = swapped(lifted, choose)
    again = lift(other)
    assert again is not None
    assert again.skeleton == lifted.skeleton
    assert [t.kind for t in scanned(other)] == [t.kind for t in tokens]


@pytest.mark.parametrize("text", [
    "SELECT 1 -- 2", "SELECT /* 1 */ 2", "SELECT $1, 2", "SELECT $$1$$, 2", r"SELECT 'a\', 2", "SELECT E'a', 2", "SELECT b'1', 2", "SELECT 'a' 'b', 2",
    "SELECT 'a'\n'b', 2", 'SELECT U&"x", 2', "SELECT 'open, 2", 'SELECT "open, 2', "SELECT 1\x00", "SELECT a", "SELECT 1.", "SELECT .5", "SELECT 1.5e3", "SELECT 1.5.2", "SELECT 9223372036854775808",
])  # fmt: skip
def test_what_is_not_certain_is_not_lifted(text: str) -> None:
    assert lift(text.encode()) is None


def test_width_and_type_stay_in_the_skeleton() -> None:
    texts = ["SELECT 1", "SELECT 2147483648", "SELECT 'x'", "SELECT 1.5", "SELECT -1", "SELECT 1 "]
    skeletons = [(lift(t.encode()) or Lifted(t.encode(), ())).skeleton for t in texts]
    assert len(set(skeletons)) == len(texts)
    assert (lift(b"SELECT 1") or Lifted(b"", ())).skeleton == (lift(b"SELECT 2") or Lifted(b"", ())).skeleton


@pytest.mark.parametrize(("value", "is_moment"), [
    ("2024-02-28", True), ("1000-01-01 00:00", True), ("2999-12-28 23:59:59", True), ("2024-02-29", False), ("2024-13-01", False), ("2024-00-01", False),
    ("2024-01-00", False), ("2024-1-1", False), ("0999-01-01", False), ("3000-01-01", False), ("2024-01-01 24:00", False), ("2024-01-01 00:60", False),
    ("2024-01-01 00:00:60", False), ("2024-01-01T00:00", False), ("2024-01-01 ", False), ("today", False),
])  # fmt: skip
def test_a_day_that_every_type_of_moment_takes_is_a_class_of_its_own(value: str, is_moment: bool) -> None:
    found = lift(f"SELECT '{value}'".encode())
    assert found is not None
    assert found.constants[0].mark == (b"\x00d" if is_moment else b"\x00s")
