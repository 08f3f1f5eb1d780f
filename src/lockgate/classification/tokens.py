"""Names cut into words: snake_case, camelCase, accents, compounds, plurals.

For: the words of a column's or table's name. Not for: what they mean.
Source: own rules; PostgreSQL documentation 4.1.1 (identifiers).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from lockgate.classification.words import VOCABULARY, VOCABULARY_SMALL

_NAME_LENGTH_MAX = 256
_PIECE = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*|[0-9]+")
_LINKS = ("", "s", "n", "en", "es", "er")
_WORD_LENGTH_MIN = 3


@lru_cache(maxsize=65536)
def words_of(name: str) -> tuple[str, ...]:
    """The words of a name, lower case, without accents, singular where that is a known word."""
    words: list[str] = []
    for piece in _PIECE.findall(_plain(name[:_NAME_LENGTH_MAX])):
        words.extend(_cut(piece.lower()))
    return tuple(words)


def _plain(name: str) -> str:
    """ASCII letters only: accents dropped, `ß` as `ss`; everything else separates words."""
    decomposed = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    return "".join(c if c.isascii() and c.isalnum() else " " for c in decomposed if not unicodedata.combining(c))


def _cut(piece: str) -> list[str]:
    """One run of letters as known words: itself, its singular, its parts, or itself after all."""
    known = _known(piece)
    if known:
        return [known]
    bare = piece.rstrip("0123456789")
    if bare and bare != piece:
        return [*_cut(bare), piece[len(bare) :]]
    parts = _parts(piece)
    return list(parts) if parts else [piece]


def _known(word: str) -> str:
    if word in VOCABULARY:
        return word
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        singular = word.removesuffix(ending) + instead
        if word.endswith(ending) and len(singular) >= _WORD_LENGTH_MIN and singular in VOCABULARY:
            return singular
    return ""


@lru_cache(maxsize=65536)
def _parts(piece: str) -> tuple[str, ...] | None:
    """The piece as a chain of known words, longest first, with German and Dutch linking letters between them."""
    if not piece:
        return ()
    for end in range(len(piece), 1, -1):
        head = piece[:end]
        word = _known(head) if end >= _WORD_LENGTH_MIN else ""
        if not word and head in VOCABULARY_SMALL:
            word = head
        if not word:
            continue
        for link in _LINKS:
            rest = piece[end:]
            if not rest.startswith(link) or (link and rest == link):
                continue
            tail = _parts(rest[len(link) :])
            if tail is not None:
                return (word, *tail)
    return None
