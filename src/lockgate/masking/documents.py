"""JSON documents: labelled leaves by their own label, every other leaf withheld.

For: `json` and `jsonb` values. A leaf is found by its path of keys; arrays on the way do not count. A leaf whose path is
labelled `none` stays clear; one that no path names keeps its JSON type and nothing else. Keys that occur on a labelled
path stay; other keys become `key1`, `key2`, ... and stand after them, so that neither names nor their order show.
Not for: documents of columns without any labelled path: of these only the outermost kind shows.
Source: RFC 8259; docs/adr/0003-pseudonym-constructions.md, section 7.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

LeafMask = Callable[[str, object], object]
"""(label, string or number) to a value of the same JSON type."""

_DEPTH_MAX = 64
_WITHHELD_TEXT = "[text]"


class RawNumber(str):
    """A JSON number as written."""

    __slots__ = ()


class _Object:
    __slots__ = ("pairs",)

    def __init__(self, pairs: Sequence[tuple[str, object]]) -> None:
        self.pairs = pairs


class Documents:
    """Masks documents of one column."""

    def __init__(self, labels: Sequence[tuple[tuple[str, ...], str]], leaf: LeafMask) -> None:
        """Prepare the walk.

        Args:
            labels: (path, label); a path that occurs twice must have one label, else its leaves are withheld.
            leaf: masks a string or `RawNumber` by label.
        """
        found: dict[tuple[str, ...], str] = {}
        for path, label in labels:
            found[path] = label if found.get(path, label) == label else "unknown"
        self._labels: Mapping[tuple[str, ...], str] = found
        self._prefixes = {path[: end + 1] for path in found for end in range(len(path))}
        self._leaf = leaf
        self._decoder = json.JSONDecoder(
            object_pairs_hook=_Object, parse_int=RawNumber, parse_float=RawNumber, parse_constant=RawNumber
        )

    def mask(self, text: str) -> str:
        """The masked document; always valid JSON in ASCII."""
        if self._labels:
            try:
                parts: list[str] = []
                self._write(self._decoder.decode(text), (), 0, parts)
                return "".join(parts)
            except (ValueError, RecursionError):
                return _by_kind(text)
        return _by_kind(text)

    def _write(self, value: object, path: tuple[str, ...], depth: int, parts: list[str]) -> None:
        if depth > _DEPTH_MAX:
            parts.append("null")
        elif isinstance(value, _Object):
            parts.append("{")
            for number, (key, inner, child) in enumerate(self._members(value, path)):
                parts.append((", " if number else "") + json.dumps(key) + ": ")
                self._write(inner, child, depth + 1, parts)
            parts.append("}")
        elif isinstance(value, list):
            parts.append("[")
            for number, inner in enumerate(value):
                parts.append(", " if number else "")
                self._write(inner, path, depth + 1, parts)
            parts.append("]")
        else:
            parts.append(self._leaf_text(value, path))

    def _members(self, value: _Object, path: tuple[str, ...]) -> list[tuple[str, object, tuple[str, ...]]]:
        known: list[tuple[str, object, tuple[str, ...]]] = []
        unknown: list[tuple[str, object, tuple[str, ...]]] = []
        for key, inner in value.pairs:
            child = (*path, key)
            (known if child in self._prefixes else unknown).append((key, inner, child))
        taken = {key for key, _, _ in known}
        number = 0
        for _, inner, child in unknown:
            number += 1
            while f"key{number}" in taken:
                number += 1
            known.append((f"key{number}", inner, child))
        return known

    def _leaf_text(self, value: object, path: tuple[str, ...]) -> str:
        if value is None:
            return "null"
        label = self._labels.get(path, "unknown")
        clear = label == "none"
        if isinstance(value, bool):
            return json.dumps(value) if clear else "false"
        shown = value if clear else self._leaf(label, value)
        return str(shown) if isinstance(value, RawNumber) else json.dumps(shown)


def _by_kind(text: str) -> str:
    first = text.lstrip(" \t\n\r")[:1]
    kinds = {"{": "{}", "[": "[]", '"': json.dumps(_WITHHELD_TEXT), "t": "false", "f": "false", "n": "null"}
    return kinds.get(first, "0")
