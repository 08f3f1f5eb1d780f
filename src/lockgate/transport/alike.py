"""Analyses of texts that differ in nothing but constants at which no analysis looks: the server reads one of them.

For: statements whose constants must stay in the key of their decision, as a write's do: each text is decided by itself, on an analysis that
its like was given.
Not for: leaving constants out of a decision's key (`session.judging`).
Source: ADR 13.
"""

from __future__ import annotations

from collections.abc import Hashable

from lockgate.model.statement import Analysis, Kind, Parsed
from lockgate.session.cache import BoundedCache
from lockgate.sql.lifting import Lifted, inert, lift, moved

_KINDS = frozenset({Kind.SELECT, Kind.INSERT, Kind.UPDATE, Kind.DELETE})
_ENTRIES_MAX = 5_000
_BYTES_MAX = 32 * 1024 * 1024


class Alike:
    """What was found of one text, for its like."""

    def __init__(self) -> None:
        self._places: BoundedCache[frozenset[int]] = BoundedCache(entries_max=_ENTRIES_MAX, bytes_max=_BYTES_MAX)
        self._found: BoundedCache[tuple[Analysis, Lifted]] = BoundedCache(
            entries_max=_ENTRIES_MAX, bytes_max=_BYTES_MAX
        )

    def find(self, parsed: Parsed, context: Hashable) -> Analysis | None:
        """The analysis of a text that differs in such constants only, with their places moved to where they are in this one.

        Args:
            context: everything else that an analysis depends on.
        """
        lifted = lift(parsed.text.encode()) if parsed.kind in _KINDS else None
        places = self._places.get((lifted.skeleton, context)) if lifted is not None else None
        found = self._found.get((lifted.without(places), context)) if lifted is not None and places else None
        if found is None or lifted is None or not places:
            return None
        analysis, before = found
        return moved(analysis, before, lifted, places)

    def put(self, parsed: Parsed, context: Hashable, analysis: Analysis) -> None:
        """Remember what the server's tree of a text says; nothing depends on a view, the body of a function or an opaque part."""
        lifted = lift(parsed.text.encode()) if parsed.kind in _KINDS and not analysis.opaque else None
        if lifted is None:
            return
        places = inert(lifted, analysis, 0)
        if places:
            size = 16 * len(parsed.text) + 2048
            self._places.put((lifted.skeleton, context), places, size)
            self._found.put((lifted.without(places), context), (analysis, lifted), size)
