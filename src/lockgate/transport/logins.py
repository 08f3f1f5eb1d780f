"""How often the gate logged in to which database, counted where every login passes.

For: comparing with what the database itself counted (`lockgate.control.completeness`).
Not for: limits; nothing asks this before a login.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import MutableSequence
from typing import NamedTuple

Place = tuple[str, int, str]
"""Host, port and database of a server."""

WORDS = 4
_BEGUN, _ENDED, _COMPLETED, _UNCERTAIN = range(WORDS)


class Counts(NamedTuple):
    """Logins that were completed, those of which only the database knows how they ended, and those under way."""

    completed: int
    uncertain: int
    pending: int


class Logins:
    """Logins of this process by place, in memory of its own or in numbers that others see too."""

    def __init__(self) -> None:
        self._counts: dict[Place, MutableSequence[int] | memoryview] = defaultdict(lambda: [0] * WORDS)

    def keep_in(self, place: Place, numbers: memoryview) -> None:
        """Count logins to a place in these `WORDS` numbers, going on from what they hold."""
        self._counts[place] = numbers

    def begin(self, place: Place) -> None:
        """One more login is under way; `complete` or `fail` follows, unless the process is killed."""
        self._counts[place][_BEGUN] += 1

    def complete(self, place: Place) -> None:
        """It was completed."""
        counts = self._counts[place]
        counts[_COMPLETED] += 1
        counts[_ENDED] += 1

    def fail(self, place: Place, *, authenticated: bool) -> None:
        """It was not completed; after authentication only the database knows whether it counted it."""
        counts = self._counts[place]
        counts[_UNCERTAIN] += authenticated
        counts[_ENDED] += 1

    def counts(self, place: Place) -> Counts:
        """What there was so far."""
        return counted(self._counts[place])


def settle(numbers: memoryview) -> None:
    """Nobody knows how logins ended that were under way when the process which counted them was killed."""
    numbers[_UNCERTAIN] += numbers[_BEGUN] - numbers[_ENDED]
    numbers[_ENDED] = numbers[_BEGUN]


def counted(numbers: MutableSequence[int] | memoryview) -> Counts:
    """As `Logins.counts`, of numbers that perhaps another process keeps."""
    pending = numbers[_BEGUN] - numbers[_ENDED]  # read before what it becomes
    return Counts(numbers[_COMPLETED], numbers[_UNCERTAIN], pending)


OWN_LOGINS = Logins()
"""This process's own."""
