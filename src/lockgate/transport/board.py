"""Numbers that the processes of one gate share, in memory that outlives each of them.

For: what the others must know of a worker at any moment, also after it was killed: its clients, its logins to databases, its clients' numbers.
Not for: anything that must be on disk, and nothing that has to be waited for.
Source: memfd_create(2), mmap(2).

Each worker has a row that only it writes while it runs, and only its parent when it has ended. A number is an aligned machine word, so
nobody sees half of one.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence

from lockgate.transport.logins import WORDS, Counts, Place, counted, settle
from lockgate.transport.told import KEPT_MAX, ToldByAll

_WORD_BYTES = 8
NOT_RUNNING = -1


class Board:
    """The rows of all workers."""

    def __init__(self, handle: int, *, workers: int, places: Sequence[Place]) -> None:
        """Map what `made` returned, in this process or another.

        Args:
            handle: stays with the caller.
            workers: how many rows there are.
            places: servers whose logins are counted, in the same order in every process.
        """
        self._places = list(dict.fromkeys(places))
        self._width = _width(self._places)
        self._numbers = memoryview(mmap.mmap(handle, workers * self._width * _WORD_BYTES)).cast("q")
        self.workers = workers

    @staticmethod
    def made(*, workers: int, places: Sequence[Place]) -> int:
        """Anonymous memory for such a board, with nobody running; a handle that child processes may inherit."""
        handle = os.memfd_create("lockgate-board", os.MFD_CLOEXEC)
        os.ftruncate(handle, workers * _width(places) * _WORD_BYTES)
        board = Board(handle, workers=workers, places=places)
        for worker in range(1, workers + 1):
            board.set_clients(worker, NOT_RUNNING)
        return handle

    def _row(self, worker: int) -> int:
        return (worker - 1) * self._width

    def set_clients(self, worker: int, count: int) -> None:
        """How many clients the worker has, those that are signing in included."""
        self._numbers[self._row(worker)] = count

    def fewest_clients(self) -> int:
        """The clients of the worker that has the fewest; 0 when none runs."""
        counts = [self._numbers[self._row(worker)] for worker in range(1, self.workers + 1)]
        return min((count for count in counts if count != NOT_RUNNING), default=0)

    def logins(self, worker: int) -> dict[Place, memoryview]:
        """The worker's counts of logins by place."""
        first = self._row(worker) + 1
        return {
            place: self._numbers[first + WORDS * at : first + WORDS * (at + 1)] for at, place in enumerate(self._places)
        }

    def told(self, worker: int, place: Place) -> ToldByAll:
        """Process numbers at a place, as all workers know them; this worker adds its own."""
        ends = [self._row(one) + self._width for one in range(1, self.workers + 1)]
        tables = [self._numbers[end - KEPT_MAX : end] for end in ends]
        return ToldByAll(self._places.index(place), tables[worker - 1], tables)

    def all_logins(self, place: Place) -> Counts:
        """Logins of all workers to a place."""
        rows = [self.logins(worker) for worker in range(1, self.workers + 1)]
        found = [counted(row[place]) for row in rows if place in row]
        return Counts(*(sum(numbers) for numbers in zip(*found, strict=True))) if found else Counts(0, 0, 0)

    def ended(self, worker: int) -> None:
        """The worker is gone, with its clients; logins that it had begun may have been counted by the database."""
        self.set_clients(worker, NOT_RUNNING)
        for numbers in self.logins(worker).values():
            settle(numbers)


def _width(places: Sequence[Place]) -> int:
    """Numbers of one worker: its clients, its logins by place, its clients' process numbers."""
    return 1 + WORDS * len(set(places)) + KEPT_MAX
