"""The repository as the tidiness and documentation tests see it: which files there are, and what Python defines in them."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder with pyproject.toml."""

_NOT_OURS = {".git", "__pycache__", "build", "dist", "node_modules", "results"}
_TEXT = {".py", ".md", ".toml", ".sh", ".sql", ".cedar", ".yml", ".yaml", ".cfg", ".ini", ".txt", ""}


def files(*folders: str, suffixes: frozenset[str] | None = None) -> Iterator[Path]:
    """Every file of ours below the folders (all of the repository by default), without caches and environments."""
    for start in folders or (".",):
        for directory, names, found in os.walk(ROOT / start):
            names[:] = sorted(n for n in names if n not in _NOT_OURS and (not n.startswith(".") or n == ".ci"))
            for name in sorted(n for n in found if n not in _NOT_OURS):
                path = Path(directory) / name
                if suffixes is None or path.suffix in suffixes:
                    yield path


def python_files(*folders: str) -> list[Path]:
    """Every Python file below the folders."""
    return list(files(*folders, suffixes=frozenset({".py"})))


def text_files() -> list[Path]:
    """Every text file that a person wrote."""
    written = (path for path in files() if path.suffix in _TEXT and path.name != "LICENSE")
    return [path for path in written if path.stat().st_size < 1_000_000]


def relative(path: Path) -> str:
    """The path as it is written in messages and exception lists."""
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    """The syntax tree of one file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function and method with its dotted name, nested ones included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def defined_names(path: Path) -> set[str]:
    """Every name that a reader can look for in a file: constants, functions, classes and their members."""
    names: set[str] = set()
    _collect(parse(path), "", names)
    return names


def _collect(node: ast.AST, prefix: str, names: set[str]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(prefix + child.name)
            if isinstance(child, ast.ClassDef):
                _collect(child, f"{prefix}{child.name}.", names)
        elif isinstance(child, ast.Assign):
            names.update(prefix + target.id for target in child.targets if isinstance(target, ast.Name))
        elif isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
            names.add(prefix + child.target.id)
        elif isinstance(child, ast.If | ast.Try):
            _collect(child, prefix, names)
