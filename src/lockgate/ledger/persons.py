"""The blind index: which values a statement named, as tokens that only the holder of a key can make.

For: answering "who looked up this person" without storing whom anybody looked for.
Not for: finding values that a statement builds at run time ('a' || 'b'), or that a function hides. Keys are arguments.
Source: evidence.md 1.4, privacy (blind index); PostgreSQL documentation 4.1 (constants, comments).

A token is HMAC-SHA256 over the normalised value, cut to 16 bytes. Every constant and every bound value counts, whatever it was
compared with: a value that is the person's is found wherever it stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from lockgate.ledger.keyed import KeyedHash

VALUE_CHARS_MIN = 3
VALUE_CHARS_MAX = 256
TOKENS_MAX = 400
"""Tokens in one entry; what is beyond is counted, not indexed."""

_TOKEN_BYTES = 16
_PIECES = re.compile(
    r"[-/\"'$0-9](?:"
    r"(?<=[eE]')(?<!\w[eE]')(?P<escaped>(?:[^'\\]++|''|\\.)*+)(?:'|\\?\Z)"
    r"|(?<=')(?P<plain>(?:[^']++|'')*+)(?:'|\Z)"
    r"|(?<=[0-9])(?<![\w$.][0-9])(?P<number>[0-9_]*(?:\.[0-9]+)?)"
    r"|(?<=-)-[^\n]*"
    r"|(?<=/)\*.*?(?:\*/|\Z)"
    r'|(?<=")(?:[^"]++|"")*+(?:"|\Z)'
    r"|(?<=\$)(?<!\w\$)(?P<tag>(?:[A-Za-z_\u0080-\uffff]\w*+)?)\$(?P<dollar>.*?)(?:\$(?P=tag)\$|\Z)"
    r")",
    re.DOTALL,
)
"""Constants, and what may hold quotes without being one. It begins with a set of characters, which is what makes it quick.

INVARIANT: linear in the text, whatever the text: what is never closed goes to the end, and nothing is read in two ways.
"""
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|(.))", re.DOTALL)


def normalise(value: str) -> str:
    """One form for all spellings of a value: case, spaces and punctuation do not count; an e-mail address keeps its marks."""
    folded = value.lower() if value.isascii() else unicodedata.normalize("NFKC", value).casefold()
    if "@" in folded:
        return "".join(folded.split()).strip("%_")
    return folded if folded.isalnum() else "".join(filter(str.isalnum, folded))


class PersonIndex:
    """Makes tokens under one key."""

    def __init__(self, key: bytes) -> None:
        self._keyed = KeyedHash(key)

    def token(self, value: str) -> str:
        """The token of a value, "" when the value is too short to tell anybody from others."""
        plain = normalise(value)
        if len(plain) < VALUE_CHARS_MIN:
            return ""
        return self._keyed.digest(plain.encode("utf-8", "replace"))[:_TOKEN_BYTES].hex()

    def tokens(self, statement: bytes) -> tuple[str, ...]:
        """The sorted tokens of every value in a statement as it is sealed: its text, a zero byte, its bound parameters."""
        text, _, parameters = statement.partition(b"\x00")
        values = _constants(text.decode("utf-8", "replace"))
        if parameters:
            values.update(_bound(parameters))
        return tuple(sorted({self.token(value) for value in values} - {""}))


def _constants(text: str) -> set[str]:
    found = set()
    for piece in _PIECES.finditer(text):
        kind = piece.lastgroup
        if kind is None or piece.end() - piece.start() > VALUE_CHARS_MAX:
            continue
        if kind == "plain":
            found.add(piece["plain"].replace("''", "'"))
        elif kind == "number":
            found.add(piece[0].replace("_", ""))
        elif kind == "escaped":
            found.add(_ESCAPE.sub(_unescaped, piece["escaped"].replace("''", "'")))
        else:
            found.add(piece["dollar"])
    return found


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    number = int(code, 16) if code else int(match[4], 8) if match[4] else None
    if number is None:
        return match[5]
    return chr(number) if number < 0x110000 else ""


def _bound(parameters: bytes) -> Iterator[str]:
    """Values of parameters as they are sealed: a count, then length and bytes of each; integers may be binary."""
    offset = 2
    while offset + 4 <= len(parameters):
        length = int.from_bytes(parameters[offset : offset + 4], "big", signed=True)
        offset += 4
        if length < 0:
            offset += 40 if length == -2 else 0
            continue
        value = parameters[offset : offset + length]
        offset += length
        if length > VALUE_CHARS_MAX:
            continue
        if length in (4, 8):
            yield str(int.from_bytes(value, "big", signed=True))
        try:
            yield value.decode()
        except UnicodeDecodeError:
            continue
