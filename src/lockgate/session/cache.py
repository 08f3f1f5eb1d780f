"""What is remembered under exact keys, bounded in entries and in bytes, so that much that is asked for once does not drive out what is used.

For: not judging, analysing or preparing the same statement twice in the same context.
Not for: fingerprints: `ORDER BY 1` and `ORDER BY 2` share one, so the key holds the exact text, or what ADR 13 leaves of it.
Source: architecture section 3, last paragraph; threats X-29, X-30; J. Yang and others, "FIFO queues are all you need for cache eviction", SOSP 2023
(S3-FIFO, in a simple form: a short queue, a long one, and the names of what left the short one unused).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

SHORT: Final = 10
"""One part in so many of the room is for entries that nobody has asked for again."""
SEEN_MAX: Final = 3
"""How many turns of the long queue an entry stays that nobody asks for any more."""


class _Entry(Generic[T]):
    """A value with its size in bytes, how often it was asked for, and which queue it is in."""

    __slots__ = ("long", "seen", "size", "value")

    def __init__(self, value: T, size: int, *, long: bool) -> None:
        self.value, self.size, self.long, self.seen = value, size, long, 0


class BoundedCache(Generic[T]):
    """At most `entries_max` entries and `bytes_max` bytes (as told by `put`); what is asked for again stays longer than what is not."""

    def __init__(self, *, entries_max: int, bytes_max: int) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._items: dict[Hashable, _Entry[T]] = {}
        self._short: deque[Hashable] = deque()
        self._long: deque[Hashable] = deque()
        self._bytes = self._short_bytes = 0
        self._gone: OrderedDict[int, None] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        """The value for exactly this key, or None."""
        item = self._items.get(key)
        if item is None:
            return None
        if item.seen < SEEN_MAX:
            item.seen += 1
        return item.value

    def put(self, key: Hashable, value: T, size_bytes: int) -> None:
        """Keep a value; one that is larger than an eighth of the cache is not kept."""
        if size_bytes > self._bytes_max // 8:
            return
        item = self._items.get(key)
        if item is not None:
            self._bytes += size_bytes - item.size
            self._short_bytes += 0 if item.long else size_bytes - item.size
            item.value, item.size = value, size_bytes
        else:
            # What left the short queue a little while ago and is here again is used more than once.
            long = hash(key) in self._gone
            self._gone.pop(hash(key), None)
            self._items[key] = _Entry(value, size_bytes, long=long)
            (self._long if long else self._short).append(key)
            self._bytes += size_bytes
            self._short_bytes += 0 if long else size_bytes
        while len(self._items) > self._entries_max or self._bytes > self._bytes_max:
            self._make_room()

    def __len__(self) -> int:
        """How many values are kept."""
        return len(self._items)

    def clear(self) -> None:
        """Forget everything."""
        for held in (self._items, self._short, self._long, self._gone):
            held.clear()
        self._bytes = self._short_bytes = 0

    def _make_room(self) -> None:
        """Take the next entry of a queue: it leaves, or goes to the end of the long queue because it was asked for meanwhile."""
        over = len(self._short) * SHORT > self._entries_max or self._short_bytes * SHORT > self._bytes_max
        from_short = bool(self._short) and (over or not self._long)
        key = (self._short if from_short else self._long).popleft()
        item = self._items[key]
        if from_short:
            self._short_bytes -= item.size
        if item.seen:
            item.seen = 0 if from_short else item.seen - 1
            item.long = True
            self._long.append(key)
            return
        del self._items[key]
        self._bytes -= item.size
        if from_short:
            self._gone[hash(key)] = None
            if len(self._gone) > max(len(self._long), 1):
                self._gone.popitem(last=False)
