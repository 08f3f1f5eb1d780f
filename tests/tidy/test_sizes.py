"""Files and functions stay small enough to be read in one go; exceptions are listed, and the list may only shrink."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from support.tree import functions, parse, python_files, relative

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
FOLDERS = ("src", "tests", "verifier", "bench", "tools")


def _exceptions(table: str) -> Mapping[str, Mapping[str, object]]:
    text = Path(__file__).with_name("exceptions.toml").read_text(encoding="utf-8")
    entries: Mapping[str, Mapping[str, object]] = tomllib.loads(text).get(table, {})
    return entries


def _problems(sizes: Mapping[str, int], *, lines_max: int, table: str) -> list[str]:
    allowed = _exceptions(table)
    problems = []
    for name, size in sizes.items():
        limit = allowed.get(name, {}).get("lines", lines_max)
        if size != limit and (size > lines_max or name in allowed):
            problems.append(f"{name}: {size} lines, allowed are {limit}")
    problems += [f"{name}: an exception without a reason" for name, entry in allowed.items() if not entry.get("reason")]
    problems += [f"{name}: an exception for something that is gone" for name in allowed if name not in sizes]
    return problems


def test_no_file_is_longer_than_its_limit() -> None:
    sizes = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(*FOLDERS)}
    assert _problems(sizes, lines_max=FILE_LINES_MAX, table="files") == []


def test_no_function_is_longer_than_its_limit() -> None:
    sizes = {}
    for path in python_files(*FOLDERS):
        for name, node in functions(parse(path)):
            sizes[f"{relative(path)}::{name}"] = (node.end_lineno or node.lineno) - node.lineno + 1
    assert _problems(sizes, lines_max=FUNCTION_LINES_MAX, table="functions") == []


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in python_files("tests") if path.name.startswith("test_")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
