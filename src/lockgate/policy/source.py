"""Cedar text cut into single policies, each with its file and line.

For: error messages with a place, which the engine's own do not have, and one policy per parse.
Not for: understanding a policy. A cut in the wrong place yields pieces that Cedar refuses, never another meaning.
Source: Cedar documentation, "Grammar specification" (strings, `//` comments, `;`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|;', re.DOTALL)
_BLANK = re.compile(r"(?:\s+|//[^\n]*)*")


@dataclass(frozen=True, slots=True)
class Piece:
    """One policy's text; `terminated` is false when the file ended before its `;`."""

    file: str
    line: int
    text: str
    terminated: bool

    @property
    def place(self) -> str:
        """`file:line` of the policy's first word."""
        return f"{self.file}:{self.line}"


def cut(file: str, text: str) -> list[Piece]:
    """The policies of one file, in order."""
    pieces: list[Piece] = []
    start = 0
    for token in _TOKEN.finditer(text):
        if token.group() == ";":
            pieces.append(_piece(file, text, start, token.end(), terminated=True))
            start = token.end()
    if text[_skip_blank(text, start) :]:
        pieces.append(_piece(file, text, start, len(text), terminated=False))
    return pieces


def _skip_blank(text: str, start: int) -> int:
    blank = _BLANK.match(text, start)
    return blank.end() if blank else start


def _piece(file: str, text: str, start: int, end: int, *, terminated: bool) -> Piece:
    first = _skip_blank(text, start)
    return Piece(file=file, line=text.count("\n", 0, first) + 1, text=text[first:end], terminated=terminated)
