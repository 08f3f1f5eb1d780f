"""The decision cache: exact keys, bounded in entries and in bytes.

For: not judging the same statement twice in the same context.
Not for: fingerprints: `ORDER BY 1` and `ORDER BY 2` share one, so the key holds the exact text.
Source: architecture section 3, last paragraph; threats X-29, X-30.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedCache(Generic[T]):
    """Least recently used entries, at most `entries_max` and `bytes_max` (as told by `put`)."""

    def __init__(self, *, entries_max: int, bytes_max: int) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._items: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        """The value for exactly this key, or None."""
        item = self._items.get(key)
        if item is None:
            return None
        self._items.move_to_end(key)
        return item[0]

    def put(self, key: Hashable, value: T, size_bytes: int) -> None:
        """Keep a value; one that is larger than an eighth of the cache is not kept."""
        if size_bytes > self._bytes_max // 8:
            return
        old = self._items.pop(key, None)
        if old is not None:
            self._bytes -= old[1]
        self._items[key] = (value, size_bytes)
        self._bytes += size_bytes
        while len(self._items) > self._entries_max or self._bytes > self._bytes_max:
            _, (_, freed) = self._items.popitem(last=False)
            self._bytes -= freed

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._bytes = 0
