"""Decisions of a generator as a list of numbers, so that what they made can be made again, smaller.

For: every random choice of schemas and queries. Not for: what is chosen.
The first alternative is always the simplest, and a list that is used up answers with it: cutting pieces out of a list, or making
its numbers smaller, gives a simpler thing of the same kind.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Random decisions that are recorded, or recorded ones that are made again."""

    def __init__(self, seed: str = "", record: Sequence[int] | None = None) -> None:
        self._random = random.Random(seed)
        self._given = record
        self.record: list[int] = []

    def below(self, count: int) -> int:
        """A number from 0 to `count` - 1."""
        if self._given is None:
            drawn = self._random.randrange(count)
        else:
            at = len(self.record)
            drawn = min(self._given[at], count - 1) if at < len(self._given) else 0
        self.record.append(drawn)
        return drawn

    def one_of(self, things: Sequence[T]) -> T:
        """One of them; the first is the simplest."""
        return things[self.below(len(things))]

    def chance(self, percent: int) -> bool:
        """True in so many of a hundred cases; False is the simpler answer."""
        return self.below(100) >= 100 - percent

    def some(self, things: Sequence[T], most: int) -> list[T]:
        """Up to `most` of them, at least one, in their order."""
        wanted = 1 + self.below(min(most, len(things)))
        left = list(range(len(things)))
        taken = sorted(left.pop(self.below(len(left))) for _ in range(wanted))
        return [things[i] for i in taken]


def shrink(record: Sequence[int], fails: Callable[[Sequence[int]], bool], tries: int = 200) -> list[int]:
    """A smaller list that fails too: pieces are cut out, then numbers made smaller, as long as `tries` lasts."""
    best = list(record)
    for smaller in _rounds(best):
        if tries <= 0:
            break
        candidate = smaller(best)
        if candidate is not None and candidate != best:
            tries -= 1
            if fails(candidate):
                best = candidate
    return best


def _rounds(record: Sequence[int]) -> list[Callable[[list[int]], list[int] | None]]:
    steps: list[Callable[[list[int]], list[int] | None]] = []
    size = len(record)
    chunk = max(1, size // 2)
    while chunk:
        steps += [partial(_cut, start, chunk) for start in range(0, size, chunk)]
        chunk //= 2
    return steps + [partial(_lower, position) for position in range(size)]


def _cut(start: int, count: int, best: list[int]) -> list[int] | None:
    return best[:start] + best[start + count :] if start < len(best) else None


def _lower(position: int, best: list[int]) -> list[int] | None:
    if position >= len(best) or not best[position]:
        return None
    return [*best[:position], 0, *best[position + 1 :]]
