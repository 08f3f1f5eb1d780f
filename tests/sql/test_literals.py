from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import RefusedStatementError
from lockgate.sql.literals import replaced
from lockgate.sql.parse import split_and_parse


def change(text: str, token: str, new: str, *, plain: bool = False) -> str:
    place = text.encode().index(token.encode())
    return replaced(text, {place: lambda _old: new}, frozenset({place} if plain else ()))


@pytest.mark.parametrize(
    ("text", "token", "new", "expected"),
    [
        ("SELECT 1 FROM t WHERE é='abc'", "'abc'", "x", "SELECT 1 FROM t WHERE é='x'"),
        ("SELECT 1 FROM t WHERE a='b'AND c", "'b'", "o'h", "SELECT 1 FROM t WHERE a='o''h'AND c"),
        ("SELECT 1 FROM t WHERE a='b'AND c", "'b'", "o\\'h", "SELECT 1 FROM t WHERE a= E'o\\\\''h'AND c"),
        ("SELECT 1 FROM t WHERE a=E'b\\'c'", "E'", "x", "SELECT 1 FROM t WHERE a='x'"),
        ("SELECT 1 FROM t WHERE a=$q$b$q$", "$q$b", "x", "SELECT 1 FROM t WHERE a='x'"),
        ("SELECT 1 FROM t WHERE a=U&'\\0041'", "U&", "x", "SELECT 1 FROM t WHERE a='x'"),
        ("SELECT 1 FROM t WHERE a='b'\n'c'", "'b'", "x", "SELECT 1 FROM t WHERE a='x'"),
        ("SELECT 1 FROM t WHERE a IN(12,13)", "12", "-5", "SELECT 1 FROM t WHERE a IN( (-5),13)"),
        ("SELECT 1 FROM t WHERE a=-12", "-12", "9000000000", "SELECT 1 FROM t WHERE a= 9000000000"),
        ("SELECT 1 FROM t WHERE a=12 AND b", "12", "34", "SELECT 1 FROM t WHERE a= 34 AND b"),
    ],
)
def test_a_constant_is_replaced_where_it_stands(text: str, token: str, new: str, expected: str) -> None:
    assert change(text, token, new) == expected


def test_several_constants_are_replaced_each_by_its_own() -> None:
    text = "SELECT 'keep' FROM t WHERE a IN ('b', 'cc') AND d = 'b'"
    places = {text.index("'b'"): "long and longer", text.index("'cc'"): "é", text.rindex("'b'"): ""}
    changes = {place: (lambda _old, new=new: new) for place, new in places.items()}
    assert replaced(text, changes, frozenset()) == (
        "SELECT 'keep' FROM t WHERE a IN ('long and longer', 'é') AND d = ''"
    )


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("SELECT 1 FROM t WHERE a=12::int8", "12"),
        ("SELECT 1 FROM t WHERE a=CAST('12' AS int8)", "'12'"),
        ("SELECT 1 FROM t WHERE a=B'11'", "B'"),
        ("SELECT 1 FROM t WHERE a=true", "true"),
        ("SELECT 1 FROM t WHERE a=b", "b"),
        ("SELECT 1 FROM t WHERE a='b'", "a="),
        ("SELECT interval '1 day' FROM t", "'1 day'"),
    ],
)
def test_what_is_no_plain_constant_is_refused(text: str, token: str) -> None:
    with pytest.raises(RefusedStatementError):
        change(text, token, "5")


def test_a_cast_is_allowed_where_the_new_value_fits_it() -> None:
    assert change("SELECT 1 FROM t WHERE a=12::int8", "12", "34", plain=True) == "SELECT 1 FROM t WHERE a= 34::int8"


@given(st.text(max_size=40))
def test_whatever_the_new_value_is_it_stays_one_constant(value: str) -> None:
    if "\0" in value or not value.isprintable():
        value = repr(value)
    text = "SELECT id FROM t WHERE a='old'AND b = 'other' -- 'old'"
    shape = split_and_parse(text)[0].shape
    new = change(text, "'old'", value)
    assert split_and_parse(new)[0].shape.replace(" ", "") == shape.replace(" ", "")
    seen: list[str] = []

    def keep(old: str) -> str:
        seen.append(old)
        return ""

    after = new.encode().index(b"a=") + 2
    replaced(new, {after + (new.encode()[after : after + 1] == b" "): keep}, frozenset())
    assert seen == [value]
