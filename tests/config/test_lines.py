"""Line numbers of TOML keys."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from lockgate.config.lines import line_of, locate, parse, quote, text_value


def test_keys_tables_and_arrays_of_tables_have_lines() -> None:
    text = 'a = 1\n[t]\n"x.y" = """\nz = 1\n"""\nb.c = [\n  1,\n]\n[[d]]\nn = 1\n[[d]]\nn = 2 # [q]\n'

    assert locate(text) == {
        ("a",): 1, ("t",): 2, ("t", "x.y"): 3, ("t", "b", "c"): 6, ("d",): 9, ("d", 0): 9, ("d", 0, "n"): 10, ("d", 1): 11,
        ("d", 1, "n"): 12,
    }  # fmt: skip


def test_a_key_that_is_not_found_has_the_line_of_its_table() -> None:
    lines = locate("\n[t]\nx = { y = 1 }\n")

    assert line_of(lines, ("t", "x", "y")) == 3
    assert line_of(lines, ("t", "nothing")) == 2
    assert line_of(lines, ("nothing",)) == 1


def test_broken_toml_is_a_sentence_with_a_line() -> None:
    assert str(parse("a = 1\nb = \n", "f.toml")).startswith("f.toml:2: this is not TOML")


@given(st.text(st.characters(codec="utf-8"), max_size=30), st.text(st.characters(codec="utf-8"), max_size=30))
def test_written_keys_and_values_read_back(key: str, value: str) -> None:
    assert tomllib.loads(f"{quote(key)} = {text_value(value)}") == {key: value}


@given(st.text(max_size=120))
def test_any_text_can_be_scanned(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in locate(text).values())
