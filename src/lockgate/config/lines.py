"""Line numbers of keys in a TOML text, which the standard library's parser does not give.

For: error messages that point at a line, and edits of one line. Not for: parsing values; `tomllib` does that.
A key that is not found (inline tables, exotic layouts) gets the line of the nearest table around it.
Source: TOML 1.0 (keys, tables, strings).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]

_KEY = r"(?:[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\"|'[^']*')"
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*(\]\]?)\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=")
_PART = re.compile(_KEY)
_OPAQUE = re.compile(r"\"\"\"|'''|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|#[^\n]*|[\[\]{}]")
_ERROR_LINE = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")


def scan(text: str) -> Iterator[tuple[int, Path, bool]]:
    """Every table header and key as (line number, path, is a header); arrays of tables have their index in the path."""
    table: Path = ()
    counts: dict[Path, int] = {}
    closing: str | None = None
    depth = 0
    for number, line in enumerate(text.split("\n"), start=1):
        inside = closing is not None or depth > 0
        header = None if inside else _HEADER.match(line)
        if header is not None:
            table = _parts(header.group(2))
            if header.group(1) == "[[":
                index = counts.get(table, -1) + 1
                counts[table] = index
                table = (*table, index)
            yield number, table, True
            continue
        assignment = None if inside else _ASSIGNMENT.match(line)
        if assignment is not None:
            yield number, table + _parts(assignment.group(1)), False
        closing, depth = _after(line, assignment.end() if assignment else 0, closing, depth)


def locate(text: str) -> dict[Path, int]:
    """Line of every key and table of a text that `tomllib` accepts; the first mention counts."""
    found: dict[Path, int] = {}
    for number, path, _ in scan(text):
        found.setdefault(path, number)
        if path and isinstance(path[-1], int):
            found.setdefault(path[:-1], number)
    return found


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Line of `path`, else of the nearest table around it, else 1."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1


def parse(text: str, file: str) -> dict[str, object] | str:
    """The parsed text, or one sentence with file and line that says why it is not TOML."""
    try:
        return dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        sentence = str(error)
        place = _ERROR_LINE.search(sentence)
        line = int(place.group(1)) if place and place.group(1) else text.count("\n") + 1
        return f"{file}:{line}: this is not TOML: {_ERROR_LINE.sub('', sentence).strip().lower()}"


def quote(key: str) -> str:
    """A key as TOML writes it: bare where it can be, else a basic string."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else text_value(key)


def text_value(value: str) -> str:
    """A TOML basic string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'


def _parts(dotted: str) -> Path:
    return tuple(_unquote(part) for part in _PART.findall(dotted))


def _unquote(part: str) -> str:
    if part.startswith("'"):
        return part[1:-1]
    if part.startswith('"'):
        try:
            return str(tomllib.loads(f"k = {part}")["k"])
        except tomllib.TOMLDecodeError:
            return part[1:-1]
    return part


def _after(line: str, start: int, closing: str | None, depth: int) -> tuple[str | None, int]:
    """State after one line: the delimiter of an open multi-line string, and the depth of open brackets."""
    position = start
    while position < len(line):
        if closing is not None:
            end = line.find(closing, position)
            if end < 0:
                return closing, depth
            position, closing = end + 3, None
            continue
        token = _OPAQUE.search(line, position)
        if token is None:
            break
        position = token.end()
        word = token.group()
        if word in {'"""', "'''"}:
            closing = word
        elif word in "[{":
            depth += 1
        elif word in "]}":
            depth = max(0, depth - 1)
    return closing, depth
