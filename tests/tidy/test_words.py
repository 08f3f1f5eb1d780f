"""What must not be in the repository: assertions in the product, postponed work, somebody's machine, waiting tests."""

from __future__ import annotations

import ast
import re

from support.tree import parse, python_files, relative, text_files

# Written in pieces so that this file does not find itself.
POSTPONED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
MACHINE = re.compile(r"(?<![\w.])/(work|root|farm|home/(?!lockgate\b)\w+|opt/pypi)" + r"(/|\b)")


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in text_files():
        if path.name == ".git":
            continue  # in a linked worktree this is a file of git's own that says where the repository is
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [
            f"{relative(path)}:{number}" for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)
        ]
    return found


def test_nothing_is_postponed_in_a_comment() -> None:
    assert _lines_with(POSTPONED) == []


def test_no_file_knows_a_machine_it_was_written_on() -> None:
    assert _lines_with(MACHINE) == []


def test_the_product_raises_instead_of_asserting() -> None:
    found = []
    for path in python_files("src", "verifier"):
        found += [f"{relative(path)}:{node.lineno}" for node in ast.walk(parse(path)) if isinstance(node, ast.Assert)]
    assert found == []


def test_no_function_of_the_product_is_empty() -> None:
    """A body of nothing but `pass` or `...` is a stub, except in a Protocol or an abstract method."""
    found = []
    for path in python_files("src"):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ClassDef) and not any("Protocol" in ast.unparse(base) for base in node.bases):
                found += [f"{relative(path)}::{node.name}.{name}" for name in _empty(node)]
            elif isinstance(node, ast.Module):
                found += [f"{relative(path)}::{name}" for name in _empty(node)]
    assert found == []


def _empty(parent: ast.ClassDef | ast.Module) -> list[str]:
    empty = []
    for node in parent.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if any("abstractmethod" in ast.unparse(d) or "overload" in ast.unparse(d) for d in node.decorator_list):
            continue
        last = node.body[-1]
        is_ellipsis = (
            isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant) and last.value.value is Ellipsis
        )
        if len(node.body) == 1 + bool(ast.get_docstring(node)) and (isinstance(last, ast.Pass) or is_ellipsis):
            empty.append(node.name)
    return empty
