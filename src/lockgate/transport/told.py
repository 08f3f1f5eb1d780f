"""Process numbers: who has notified is known to clients by the number that its own client was told, not by its backend's.

For: finding the one by the other, in this process or in memory that all workers of a gate share.
Not for: cancel keys; what stands here opens nothing.

A word of a shared table holds the place, the backend's number and the number told, and is written as a whole, so nobody sees half of one. A backend whose
slot another takes is known by its own number again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

KEPT_MAX = 8192
"""Numbers that are kept, of a process alone or of each of several workers."""
_TOLD_BITS, _BACKEND_BITS, _PLACE_BITS = 31, 22, 10


class Told(Protocol):
    """Numbers of backends, and those that clients were told."""

    def get(self, process: int, /) -> int | None:
        """The number that the client of this backend was told; None when it is nobody's of the gate."""
        ...

    def put(self, process: int, told: int, /) -> None:
        """A backend is opened for a client."""
        ...


class ToldHere:
    """Numbers of this process."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def get(self, process: int, /) -> int | None:
        """As it was put last."""
        return self._known.get(process)

    def put(self, process: int, told: int, /) -> None:
        """The oldest goes when there are too many."""
        self._known.pop(process, None)
        self._known[process] = told
        if len(self._known) > KEPT_MAX:
            del self._known[next(iter(self._known))]


class ToldByAll:
    """Numbers of all workers at one place.

    Args:
        place: number of the server and database, the same in every worker.
        own: the words of this worker, `KEPT_MAX` of them.
        tables: those of all workers.
    """

    def __init__(self, place: int, own: memoryview, tables: Sequence[memoryview]) -> None:
        self._place = place
        self._own = own
        self._tables = tables

    def get(self, process: int, /) -> int | None:
        """What any of the workers put."""
        sought = self._sought(process)
        for table in self._tables:
            word = table[process % KEPT_MAX]
            if word >> _TOLD_BITS == sought and word:
                return int(word & (1 << _TOLD_BITS) - 1)
        return None

    def put(self, process: int, told: int, /) -> None:
        """Seen by all workers from now on; numbers that are too large for a word stay unknown."""
        for table in self._tables:
            if table is not self._own and table[process % KEPT_MAX] >> _TOLD_BITS == self._sought(process):
                table[process % KEPT_MAX] = 0  # that backend is no more: its number was given out again
        fits = 0 <= process < 1 << _BACKEND_BITS and 0 < told < 1 << _TOLD_BITS and self._place < 1 << _PLACE_BITS
        self._own[process % KEPT_MAX] = self._sought(process) << _TOLD_BITS | told if fits else 0

    def _sought(self, process: int) -> int:
        return self._place << _BACKEND_BITS | process
