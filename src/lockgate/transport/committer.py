"""Group commit in the event loop: whatever gathered in one turn of the loop goes together, before the loop waits again.

For: giving sessions a place to append entries, and telling them what is on disk.
Not for: the files themselves (`storage`), which it reaches through `Log`.
Invariant: an index is reported durable only after `commit` said so.
Source: architecture section 3, step 6; dataplane.md, "in loop: forward, fsync, then read the reply".
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from lockgate import speed
from lockgate.errors import LedgerError
from lockgate.ledger.blob import SealedText
from lockgate.ledger.entry import Template
from lockgate.session.ports import Recorder
from lockgate.transport.plane import DataPlaneSelector

INTEGRATED_AT_ONCE = 50_000
"""Entries that one step may put under a checkpoint; more than a worker can append between two steps."""
THREAD_SWITCH_SECONDS = 0.00005
"""Longest time that the thread which integrates the ledger may keep sessions from running."""
BUSY_LAG = 1_000
BUSY_SECONDS = 1.0
"""With more entries than this waiting, at least so long passes between two checkpoints."""
LAZY_SECONDS = 0.02
"""How long an entry on which nothing waits, such as an outcome, may wait for company before it is synced."""


class CommitResult(Protocol):
    """What one group commit did."""

    @property
    def durable(self) -> int:
        """Every index below this is on disk."""
        ...

    @property
    def failed(self) -> tuple[int, ...]:
        """Indices that were dropped because they could not be written."""
        ...

    @property
    def moved(self) -> Mapping[int, int]:
        """Kept entries whose index changed."""
        ...


class Log(Recorder, Protocol):
    """The ledger file as the loop sees it: what a session writes to, and how that becomes durable."""

    def commit(self) -> CommitResult:
        """Write and sync what is buffered."""
        ...

    def piece(self, limit: int | None = None) -> Any:
        """Durable entries to be put under a signed checkpoint by `work`, in another thread; None when there are none."""
        ...

    def take(self, piece: Any) -> None:
        """Take over what a piece has done."""
        ...

    @property
    def healthy(self) -> bool:
        """False while nothing can be written."""
        ...

    @property
    def size(self) -> int:
        """Number of durable entries."""
        ...

    @property
    def integrated(self) -> int:
        """Entries under the checkpoint."""
        ...


if TYPE_CHECKING or speed.built_lane() is None:

    class Pace:
        """What waits for a commit, by types; with the compiled core a compiled class, so that the loop commits without asking Python."""

        _urgent: bool
        _scheduled: bool
        _planed: bool
        _lazy_until: float
        _lazy_seconds: float
        durable: int
        commits: int
        _waiting: set[Callable[[CommitResult], None]]

else:
    Pace = speed.built_lane().Pace


class Committer(Pace):
    """Collects entries of one loop iteration and commits them together in the next."""

    def __init__(self, log: Log, *, integrate_seconds: float = 0.25, heartbeat_seconds: float = 10.0) -> None:
        self._log = log
        self._integrate_seconds = integrate_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._urgent = False
        self._lazy_until = 0.0
        self._lazy_seconds = LAZY_SECONDS
        self._scheduled = False
        self._plane: DataPlaneSelector | None = None
        self._planed = False
        self._listeners: set[Callable[[CommitResult], None]] = set()
        self._waiting = set()
        self.durable = log.size
        self.commits = 0
        self.failures = 0
        self.problem = ""
        """Why durable entries cannot be put under a checkpoint now; empty when they can."""
        # File operations wait, and hashing can be interrupted: in a thread of its own neither holds up sessions for long.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="integrate")
        self._piece: tuple[Any, Future[None]] | None = None
        self._integrated_at = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self.lanes: Any = speed.lane.Ledger(self, log) if speed.lane is not None and _is_ledger(log) else None
        """Where compiled lanes append; None with the plain core."""

    def append(self, fields: Mapping[str, object], *, keep: bool = False) -> int:
        """Buffer one entry; it is committed with everything else of this loop iteration, a kept one at the latest soon after."""
        index = self._log.append(fields, keep=keep)
        self._note(keep=keep)
        return index

    def template(self, fields: Mapping[str, object], holes: Sequence[str]) -> Template:
        """An entry of which only a few fields differ from one time to the next."""
        return self._log.template(fields, holes)

    def append_filled(
        self, template: Template, low: tuple[object, ...], high: tuple[object, ...], *, keep: bool = False
    ) -> int:
        """Buffer one entry made from a template; otherwise as `append`."""
        index = self._log.append_filled(template, low, high, keep=keep)
        if keep or not self._urgent:
            self._note(keep=keep)
        return index

    def seal_text(self, database: str, text: bytes, classes: tuple[str, ...]) -> SealedText:
        """Buffer one encrypted text."""
        return self._log.seal_text(database, text, classes)

    def subscribe(self, listener: Callable[[CommitResult], None]) -> None:
        """Call `listener` after every commit that failed; see `wait` for the others."""
        self._listeners.add(listener)

    def unsubscribe(self, listener: Callable[[CommitResult], None]) -> None:
        """Stop calling `listener`."""
        self._listeners.discard(listener)
        self._waiting.discard(listener)

    def wait(self, listener: Callable[[CommitResult], None]) -> None:
        """Call `listener` after the next commit, whatever becomes of it."""
        self._waiting.add(listener)

    @property
    def healthy(self) -> bool:
        """False while the ledger cannot write."""
        return self._log.healthy

    @property
    def lag(self) -> int:
        """Durable entries not yet under a signed checkpoint."""
        return max(0, self._log.size - self._log.integrated)

    def attach(self, plane: DataPlaneSelector) -> None:
        """Commit before every wait of this data plane: what one turn appended is on disk before answers of the next are read."""
        self._plane, self._planed = plane, True
        sys.setswitchinterval(THREAD_SWITCH_SECONDS)
        plane.before_wait, plane.lanes = self._before_wait, self.lanes

    def _note(self, *, keep: bool) -> None:
        if keep and not self._urgent:
            if not self._lazy_until:
                self._lazy_until = time.monotonic() + self._lazy_seconds
            if self._plane is not None:
                return
        self._urgent = True
        self._schedule()

    def _schedule(self) -> None:
        if self._plane is None and not self._scheduled:
            self._scheduled = True
            # The handle runs in the next iteration, before any answer that arrives in it is read: answers meet a committed ledger.
            asyncio.get_running_loop().call_soon(self.commit)

    def _before_wait(self) -> float | None:
        """Commit what is urgent or has waited long enough; how long the loop may wait otherwise."""
        if self._urgent:
            self.commit()
        elif self._lazy_until:
            left = self._lazy_until - time.monotonic()
            if left > 0:
                return left
            self.commit()
        if self._urgent or self._lazy_until:
            return 0.0
        return None

    def commit(self) -> None:
        """Write and sync everything buffered, then tell the sessions that wait."""
        self._scheduled = self._urgent = False
        self._lazy_until = 0.0
        self.take(self._log.commit())

    def take(self, result: CommitResult) -> None:
        """Tell the sessions that wait what a commit did."""
        self.commits += 1
        self.durable = result.durable
        refused = self.lanes.release(result.durable) if self.lanes is not None else ()
        told: set[Callable[[CommitResult], None]] | None = None
        if result.failed:
            self.failures += 1
        if result.failed or result.moved:
            told = self._listeners | self._waiting
            self._waiting = set()
        elif self._waiting:
            told, self._waiting = self._waiting, set()
        if told:
            if self._plane is not None:
                self._plane.moved()
            for listener in told:
                listener(result)
        for lane in refused:
            lane.ask_again()
        if result.failed:
            self._note(keep=False)  # what was kept is tried again soon, whoever comes

    def start(self) -> None:
        """Begin integrating and sending heartbeats."""
        self._tick(self._integrate, self._integrate_seconds)
        self._tick(self._heartbeat, self._heartbeat_seconds)

    def _tick(self, action: Callable[[], None], seconds: float) -> None:
        loop = asyncio.get_running_loop()

        def run() -> None:
            self._timers[:] = [t for t in self._timers if not t.cancelled() and t.when() > loop.time()]
            try:
                action()
            finally:
                self._timers.append(loop.call_later(seconds, run))

        self._timers.append(loop.call_later(seconds, run))

    def _integrate(self) -> None:
        if not self._log.healthy:
            self._note(keep=False)  # try again by itself, so that the gate recovers without a client
        if self._piece is not None:
            return  # a slow disk: the next piece is longer
        if self.lag > BUSY_LAG and time.monotonic() < self._integrated_at + BUSY_SECONDS:
            return  # a busy gate: every step makes files for what is not full yet, so fewer and longer ones
        self._integrated_at = time.monotonic()
        piece = self._log.piece(INTEGRATED_AT_ONCE)
        if piece is not None:
            self._piece = piece, self._thread.submit(piece.work)
            asyncio.wrap_future(self._piece[1]).add_done_callback(self._integrated)

    def _integrated(self, told: asyncio.Future[None] | None) -> None:
        """The thread has done its piece, or failed: then the next one tries again with what is left."""
        if told is not None and not told.cancelled():
            told.exception()  # looked at, so that asyncio does not complain; `done` below says the same
        if self._piece is None:
            return
        (piece, done), self._piece = self._piece, None
        self._log.take(piece)
        error = done.exception()
        problem = "" if error is None else str(error) if isinstance(error, LedgerError) else type(error).__name__
        if problem not in ("", self.problem):
            sys.stderr.write(json.dumps({"event": "ledger-behind", "problem": problem}) + "\n")
        self.problem = problem

    def _heartbeat(self) -> None:
        self.append({"kind": "heartbeat"}, keep=False)

    def stop(self) -> None:
        """Stop the timers."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._thread.shutdown(wait=True)
        self._integrated(None)


def _is_ledger(log: Log) -> bool:
    """Whether compiled code may append to this log and commit it."""
    return isinstance(log, speed.lane.LogState)
