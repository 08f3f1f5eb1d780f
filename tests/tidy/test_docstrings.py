"""Every module says what it is for, and every public name has a sentence."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from support.tree import parse, python_files, relative

ASYNCIO_CALLBACKS = {
    "connection_made",
    "connection_lost",
    "data_received",
    "eof_received",
    "get_buffer",
    "buffer_updated",
}
ASYNCIO_CALLBACKS |= {"pause_writing", "resume_writing"}


def _is_exempt(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """An override, an overload, a setter or a callback of asyncio: the sentence stands elsewhere."""
    if node.name in ASYNCIO_CALLBACKS:
        return True
    for decorator in node.decorator_list:
        name = decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")
        if name in {"override", "overload", "setter"}:
            return True
    return False


def _undocumented(node: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[str]:
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or child.name.startswith("_"):
            continue
        if ast.get_docstring(child) is None and (isinstance(child, ast.ClassDef) or not _is_exempt(child)):
            yield prefix + child.name
        if isinstance(child, ast.ClassDef):
            yield from _undocumented(child, f"{prefix}{child.name}.")


def test_every_module_says_what_it_is_for() -> None:
    silent = [relative(path) for path in python_files("src", "verifier", "bench") if not ast.get_docstring(parse(path))]
    assert silent == []


def test_every_public_name_has_a_sentence() -> None:
    silent = [f"{relative(path)}::{name}" for path in python_files("src") for name in _undocumented(parse(path))]
    assert silent == []


def test_every_room_says_what_it_does_not_do() -> None:
    rooms = [
        path for path in python_files("src/lockgate") if path.name == "__init__.py" and path.parent.name != "lockgate"
    ]
    vague = [relative(path) for path in rooms if "not" not in (ast.get_docstring(parse(path)) or "").lower()]
    assert vague == []
