"""Constants of a text set apart from the rest of it, so that texts that differ in them only can be known by what they share.

For: the key under which a verdict is remembered for statements whose constants come in the text (`session.judging`).
Not for: saying which constants matter: the analysis does (`Analysis.compared` and `unread`), and only what it proved is left out of a key.
Invariant: what is called a constant here is one token of PostgreSQL's grammar, wherever it stands, and two texts with the same skeleton
have the same tokens but for the values of those constants, each of the same type. A text of which that is not certain has no skeleton.
Source: PostgreSQL documentation 4.1 (lexical structure); ADR 13.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from lockgate.model.statement import Analysis, Given

_TOKEN = re.compile(
    rb"(?P<word>[A-Za-z_\x80-\xff][\w\x80-\xff]*)"
    rb'|(?P<name>"(?:[^"]|"")*")'
    rb"|(?P<string>'(?:[^'\\]|'')*')"
    rb"|(?P<number>[0-9][\w.\x80-\xff]*)"
    rb"|(?P<odd>--|/\*|[$\\'\"])"
)
_INT4_MAX = 2**31 - 1
_INT8_MAX = 2**63 - 1
_DIGITS_MAX = 19
_CONSTANTS_MAX = 64
"""Constants of one text; one with more is remembered as it is."""
_SMALL, _LARGE, _DECIMAL, _STRING, _MOMENT = b"\x00i", b"\x00l", b"\x00n", b"\x00s", b"\x00d"
"""What stands for a constant: a zero byte, which no text has, and its class."""
_TYPES = {
    _SMALL: (23,), _LARGE: (20,), _DECIMAL: (1700,), _STRING: (25, 1043), _MOMENT: (25, 1043, 1082, 1114, 1184),
}  # fmt: skip
"""Types that take every constant of a class, and that nothing about it but its class decides: int4, int8, numeric, text and varchar; for days and
times as ISO 8601 has them also date and both timestamps."""
_SCALARS = (25, 1043, 16, 19, 20, 21, 23, 114, 700, 701, 1042, 1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950, 3802)
_UNREAD_TYPES = _TYPES | {_STRING: _SCALARS, _MOMENT: _SCALARS}
"""The same where only the statement's run looks at the value: a string may also be what its context reads it as, if that names nothing.

They are bool, name, the whole numbers, json, the floats, char, date, time, both timestamps, interval, timetz, numeric, uuid and jsonb; never a
`reg*` type, a jsonpath, a text search configuration or a type of somebody's own.
"""
_WHOLE = (_SMALL, _LARGE)
_DECIMAL_MAX = 64
_ISO = re.compile(
    rb"'[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])( ([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)?'"
)
"""Days and times that every month of every calendar has, whatever DateStyle says."""
_DIGIT = re.compile(rb"[0-9]")
_FRACTION = re.compile(rb"[0-9]+\.[0-9]+")


class Constant(NamedTuple):
    """One constant: where its token begins and ends, in bytes, and its class."""

    start: int
    end: int
    mark: bytes

    @property
    def is_string(self) -> bool:
        """Whether it is a string; else it is a number."""
        return self.mark in (_STRING, _MOMENT)


class Places(NamedTuple):
    """Numbers of a text's constants on which nothing depends, and of whole numbers of which matters at most whether they are equal to others."""

    inert: frozenset[int] = frozenset()
    matched: frozenset[int] = frozenset()


NO_PLACES = Places()


class Lifted(NamedTuple):
    """A text and its constants."""

    data: bytes
    constants: tuple[Constant, ...]
    odd: bool = False
    """It has numbers of other forms, which may be whole numbers as well."""

    def without(self, places: Collection[int]) -> bytes:
        """The text with only their class where the constants of these numbers stood."""
        parts: list[bytes] = []
        position = 0
        for number, (start, end, mark) in enumerate(self.constants):
            if number in places:
                parts += (self.data[position:start], mark)
                position = end
        parts.append(self.data[position:])
        return b"".join(parts)

    def choose(self, places: Places) -> frozenset[int]:
        """Which constants are left out of this text's key."""
        return places.inert | places.matched if places.matched and self.is_distinct else places.inert

    @property
    def is_distinct(self) -> bool:
        """Whether no two whole numbers of the text are equal, and nothing else of it can be read as one."""
        if self.odd or any(
            mark == _STRING and _DIGIT.search(self.data, start, end) for start, end, mark in self.constants
        ):
            return False
        found = [int(self.data[start:end]) for start, end, mark in self.constants if mark in _WHOLE]
        return len(found) == len(set(found))

    @property
    def skeleton(self) -> bytes:
        """The text without any of its constants."""
        return self.without(range(len(self.constants)))


def lift(data: bytes) -> Lifted | None:
    """The constants of a text that may be lifted; None when there is none, or the text has something that makes its tokens uncertain.

    Uncertain are comments, dollar quotes, parameters, backslashes and strings with a prefix or in several pieces. Numbers of other forms
    than `1` and `1.5` are no constants here: they stay part of the text.
    """
    found = []
    odd = False
    last_word = last_string = -1
    for match in _TOKEN.finditer(data):
        kind, (start, end) = match.lastgroup, match.span()
        if kind == "word":
            last_word = end
        elif kind == "odd":
            return None
        elif kind == "string":
            if (
                start == last_word
                or data[start - 1 : start] == b"&"
                or (last_string >= 0 and not data[last_string:start].strip())
            ):
                return None
            last_string = end
            found.append(Constant(start, end, _MOMENT if _ISO.fullmatch(match[0]) else _STRING))
        elif kind == "name":
            if data[start - 1 : start] == b"&":
                return None
        elif kind == "number":
            digits, last_word = match[0], end  # what stands right behind may belong to it, as in `1..E'x'`
            if data[start - 1 : start] == b".":
                odd = True
            elif len(digits) <= _DECIMAL_MAX and _FRACTION.fullmatch(digits):
                found.append(Constant(start, end, _DECIMAL))
            elif len(digits) <= _DIGITS_MAX and digits.isdigit() and (value := int(digits)) <= _INT8_MAX:
                found.append(Constant(start, end, _SMALL if value <= _INT4_MAX else _LARGE))
            else:
                odd = True
    if not found or len(found) > _CONSTANTS_MAX or 0 in data:
        return None
    return Lifted(data, tuple(found), odd)


def inert(lifted: Lifted, analysis: Analysis, at: int, *, of_any_type: bool = False) -> frozenset[int]:
    """Numbers of the constants on whose values no analysis depends: only compared with columns, or not looked at before the statement runs.

    Args:
        lifted: the client's text.
        analysis: of the statement in it.
        at: where that statement's text begins.
        of_any_type: strings that the server reads as another type than text are among them: it may reject one of another value.
    """
    fixed = frozenset(analysis.fixed)
    compared = {given.at + at: kind for given, kind in analysis.compared if not given.parameter and given not in fixed}
    unread = {given.at + at: kind for given, kind in analysis.unread}
    return frozenset(
        number
        for number, (start, _, mark) in enumerate(lifted.constants)
        if compared.get(start) in _TYPES[mark] or unread.get(start) in (_UNREAD_TYPES if of_any_type else _TYPES)[mark]
    )


def matched(lifted: Lifted, analysis: Analysis, at: int) -> frozenset[int]:
    """Numbers of the whole numbers that the server compares with others of the text, as parts of expressions, and nothing else looks at.

    Where none of a text's whole numbers are equal, its tree is that of any text of which the same is true. None, where a constant that is looked at
    is no plain token of the text: a default, a number with a sign, or a string that is read as a number might be equal to one.
    """
    starts = {start: mark for start, _, mark in lifted.constants}
    kinds = {given.at + at: kind for given, kind in analysis.matched}
    if any(given.at < 0 or given.at + at not in starts for given in analysis.fixed):
        return frozenset()
    if any(kind in (20, 23) and starts[start] not in _WHOLE for start, kind in kinds.items()):
        return frozenset()
    return frozenset(
        number
        for number, (start, _, mark) in enumerate(lifted.constants)
        if mark in _WHOLE and kinds.get(start) in _TYPES[mark]
    )


def moved(analysis: Analysis, before: Lifted, after: Lifted, places: Collection[int]) -> Analysis:
    """The analysis of one text as that of another, which differs from it in the constants of these numbers only: their places are others."""
    ends, shifts, shift = [], [], 0
    for number, (one, other) in enumerate(zip(before.constants, after.constants, strict=True)):
        if number in places:
            shift += (other.end - other.start) - (one.end - one.start)
            ends.append(one.end)
            shifts.append(shift)
    if not any(shifts):
        return analysis

    def place(given: Given) -> Given:
        passed = 0 if given.parameter else bisect_right(ends, given.at)
        return Given(given.parameter, given.at + shifts[passed - 1]) if passed else given

    return replace(
        analysis,
        compared=tuple((place(given), kind) for given, kind in analysis.compared),
        unread=tuple((place(given), kind) for given, kind in analysis.unread),
        matched=tuple((place(given), kind) for given, kind in analysis.matched),
        fixed=tuple(map(place, analysis.fixed)),
        uses=tuple(
            replace(use, givens=frozenset(map(place, use.givens))) if use.givens else use for use in analysis.uses
        ),
    )
