"""Stored values, and what can be made of them, looked for in every byte a client receives.

For: pieces of four characters and more of each masked value, forwards and backwards, in any case, digits alone, and its
encodings and unsalted hashes.
Not for: other transforms; the comparison of twins finds those. A short piece may stand in a random pseudonym by chance. It
counts when the twin's answer shows the twin's piece at the same place, or when it is long.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_PIECE = 4
_TELLING = 3
_TELLING_DIGITS = 4
_LETTER = re.compile(rb"[^\x00-\x40]")
_LONG = 9
_STEP_OF_CODES = 4
_FIXED = re.compile(rb"[.]example|elpmaxe[.]")
"""What addresses that are made up end with, forwards and backwards: it tells nothing, wherever it stands in a text."""
_KNOWN_MAX = 1 << 18
"""Answers and cells whose hits are kept: most of them come again in other forms of the same case."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A piece of a stored value at a position of an answer; the same piece of the twin's value is in `twin`.

    `telling`: how many characters of the piece are not public shape, which twins share.
    """

    where: str
    transform: str
    piece: bytes
    twin: bytes
    position: int
    telling: int

    @property
    def long(self) -> bool:
        """True when chance is out of the question."""
        return self.telling >= _LONG


@dataclass
class Canaries:
    """The pieces of all values of one twin; `pairs` are (where, value here, value in the other twin)."""

    pairs: Iterable[tuple[str, str, str]]
    public: bytes = b""
    _forms: list[tuple[str, str, bytes, bytes]] = field(default_factory=list)
    _fixed: list[frozenset[int]] = field(default_factory=list)
    _index: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict)
    _known: dict[bytes, tuple[Hit, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        public = {self.public[i : i + _PIECE] for i in range(len(self.public))}
        for where, value, other in self.pairs:
            ending = _common_ending(value, other)
            others = {name: form for name, form, _ in _forms(other, ending)}
            for name, here, step in _forms(value, ending):
                if name not in others:
                    continue
                there = others[name][: len(here)].ljust(len(here), b"\0")
                number = len(self._forms)
                self._forms.append((where, name, here, there))
                self._fixed.append(frozenset(i for found in _FIXED.finditer(here) for i in range(*found.span())))
                for start in range(0, len(here) - _PIECE + 1, step):
                    piece = here[start : start + _PIECE]
                    if piece != there[start : start + _PIECE] and piece not in public:
                        self._index.setdefault(piece, []).append((number, start))

    def look(self, data: bytes, own: bytes = b"") -> Iterator[Hit]:
        """All hits in some bytes; pieces that stand in `own`, what the client sent, do not count."""
        hits = self._known.get(data)
        if hits is None:
            hits = tuple(self._hits(data.lower()))
            if len(self._known) < _KNOWN_MAX:
                self._known[data] = hits
        if hits:
            own = own.lower()
            yield from (hit for hit in hits if hit.piece[:_PIECE] not in own)

    def _hits(self, lowered: bytes) -> Iterator[Hit]:
        for position in range(len(lowered) - _PIECE + 1):
            for number, start in self._index.get(lowered[position : position + _PIECE], ()):
                where, name, here, there = self._forms[number]
                size = _PIECE
                while here[start + size : start + size + 1] == lowered[position + size : position + size + 1] != b"":
                    size += 1
                piece, twin = here[start : start + size], there[start : start + size]
                fixed = self._fixed[number]
                telling = sum(
                    a != b and start + i not in fixed for i, (a, b) in enumerate(zip(piece, twin, strict=True))
                )
                if telling >= (_TELLING if _LETTER.search(piece) else _TELLING_DIGITS):
                    yield Hit(where, name, piece, twin, position, telling)


def _common_ending(value: str, other: str) -> int:
    """How much of the end is the same in both twins, such as a public mail domain: no piece of it tells anything."""
    size = 0
    while size < min(len(value), len(other)) and value[-1 - size] == other[-1 - size]:
        size += 1
    return size if size >= _PIECE else 0


def _forms(whole: str, ending: int) -> Iterator[tuple[str, bytes, int]]:
    """Name, form and step of a value without its ending, and of hashes of the whole one."""
    value = whole[: len(whole) - ending]
    all_of_it = _raw(whole)
    raw = _raw(value)
    text = value.lower().encode()
    yield "itself", text, 1
    yield "reversed", value[::-1].lower().encode(), 1
    digits = re.sub(r"\D", "", value).encode()
    if len(digits) >= 6 and not text.isdigit():
        yield "digits", digits, 1
        yield "digits reversed", digits[::-1], 1
    for cut in range(3):
        code = base64.b64encode(raw[cut : len(raw) - (len(raw) - cut) % 3])
        yield f"base64 from {cut}", code.lower(), _STEP_OF_CODES
    yield "hexadecimal", raw.hex().encode(), _STEP_OF_CODES
    if raw != value.encode():
        yield "raw", raw.lower(), 1
    for algorithm in ("md5", "sha1", "sha256"):
        for what, content in (
            ("", all_of_it),
            (" of lower case", whole.lower().encode()),
            (" of digits", re.sub(r"\D", "", whole).encode()),
        ):
            digest = hashlib.new(algorithm, content).digest()
            yield algorithm + what, digest.hex().encode(), _STEP_OF_CODES


def _raw(value: str) -> bytes:
    return bytes.fromhex(value[2:]) if re.fullmatch(r"\\x(?:[0-9a-f]{2})+", value) else value.encode()
