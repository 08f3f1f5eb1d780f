"""The indexer: follows the logs into the index, and answers questions from it.

For: exactly one row for each entry, whatever is killed when; answers that know every durable entry.
Not for: running (the composition root gives it a process, a clock and a socket).
Source: evidence.md 2.2: offset = tree size, insert block = [from, to) with a deterministic token.

Only entries under a checkpoint go into the table `entries`: they never change. What is durable but not yet under one is read again for
each question, into the table `tail`. A block is stored whole or not at all, since it has one month and one part; the position of a log
is what the table holds, so a crash at any point leaves nothing out and nothing twice.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import cast

from lockgate.control.questions import Answer, Filters, check
from lockgate.errors import CorruptLedgerError
from lockgate.ledger.tiles import WIDTH
from lockgate.storage import ledger_reader
from lockgate.storage.index import native, schema
from lockgate.storage.index.columns import Batch, Columns, read
from lockgate.storage.index.engines import Engine, IndexUnavailableError, escaped
from lockgate.storage.index.hours import Hours
from lockgate.storage.index.logs import Logs, sealed_entries
from lockgate.storage.index.questions import Asker
from lockgate.storage.port import RealFiles

BATCH = 128 * WIDTH
"""Entries that are stored at once; the bound of memory."""
TAIL_MAX = 4 * BATCH
"""Durable entries under no checkpoint that a question looks at; more count as `behind`."""


class Indexer:
    """The only writer of an index."""

    def __init__(
        self, engine: Engine, logs: Logs, *, days: int, processes: int = 0, now: Callable[[], datetime] | None = None
    ) -> None:
        """Args:
        days: how long an entry can be found.
        processes: so many decode a long backlog beside this one; 0 decodes here.
        now: the clock; with it, entries that are too old to be found are passed over instead of stored and removed.
        """
        self._engine = engine
        self._logs = logs
        self._days = days
        self._processes = processes
        self._now = now
        self._lock = Lock()
        self._columns: dict[str, Columns] = {}
        self._positions: dict[str, int] = {}
        self._minima: dict[str, int] = {}
        self._sure: set[str] = set()
        self._asker = Asker(engine)
        self._pool: ProcessPoolExecutor | None = None
        self._has_tail = True
        found = engine.rows(schema.KNOWN)
        if found and not schema.is_current(str(found[0]["comment"])):
            found = []
            self.rebuild()
        for statement in schema.tables(days):
            engine.run(statement)
        if found and not schema.keeps(str(found[0]["declared"]), days):
            engine.run(schema.keep(days))

    # -- following ----------------------------------------------------------------------------------------------------------------

    def catch_up(self, *, batches: int | None = None) -> int:
        """Store entries that are under checkpoints; returns how many are still to be stored.

        Args:
            batches: at most so many now, so that questions are not kept waiting.

        Raises:
            IndexUnavailableError: the engine refuses; call again later.
            CorruptLedgerError: the index knows other entries than the log has: build it anew.
        """
        with self._lock:
            left = 0
            for origin in self._logs.origins():
                sealed = self._logs.sealed(origin)
                left += max(0, self._follow(origin, sealed, batches))
            return left

    def _follow(self, origin: str, sealed: int, batches: int | None) -> int:
        position = self._position(origin, sealed)
        position = max(position, self._forget_pruned(origin))
        wanted = -(-(sealed - position) // BATCH)
        for batch in self._batches(origin, position, sealed, wanted if batches is None else min(batches, wanted)):
            self._store(origin, batch)
            position = self._positions[origin]
        return sealed - position

    def _position(self, origin: str, sealed: int) -> int:
        """How many entries of a log the table has; asked once, and again after anything went wrong."""
        if origin not in self._positions:
            marked = self._engine.rows(
                "SELECT max(size) AS size FROM positions WHERE log = {log:String}", {"log": origin}
            )[0]
            size = max(self._stored(origin), cast("int", marked["size"]))
            self._check_last(origin, size, sealed)
            self._positions[origin] = size
        return self._positions[origin]

    def _stored(self, origin: str) -> int:
        """The index behind the last entry of a log that the table has."""
        sql = "SELECT max(`index`) + 1 AS size, count() AS found FROM entries WHERE log = {log:String}"
        row = self._engine.rows(sql, {"log": origin})[0]
        return cast("int", row["size"]) if row["found"] else 0

    def _forget_pruned(self, origin: str) -> int:
        """Rows of entries that were pruned from the log leave the index too; returns the lowest index that is left."""
        minimum = self._logs.minimum(origin)
        if minimum > self._minima.get(origin, 0):
            log = escaped(origin).replace("'", "\\'")
            self._engine.run(
                f"ALTER TABLE entries DELETE WHERE log = '{log}' AND `index` < {minimum:d} SETTINGS mutations_sync = 1"
            )
            self._minima[origin] = minimum
        return minimum

    def _check_last(self, origin: str, size: int, sealed: int) -> None:
        """The last entry that the index knows must be the log's own."""
        problem = CorruptLedgerError(
            "index-mismatch",
            f"the index knows other entries of log `{origin}` than it has; run `lockgate index --rebuild`",
        )
        if size > sealed:
            raise problem
        known = self._engine.rows(
            "SELECT kind, toUnixTimestamp64Micro(`time`) AS at FROM entries WHERE log = {log:String} AND `index` = {index:UInt64}",
            {"log": origin, "index": max(size - 1, 0)},
        )
        stored = self._logs.entry(origin, size - 1) if known and size else None
        if stored is not None:
            last = read(stored)
            if (last.kind, round(last.time.timestamp() * 1e6)) != (known[0]["kind"], known[0]["at"]):
                raise problem

    def _batches(self, origin: str, start: int, sealed: int, count: int) -> Iterator[Batch]:
        folder = self._logs.folder(origin)
        pieces = [(start + i * BATCH, min(sealed, start + (i + 1) * BATCH)) for i in range(count)]
        if self._processes and count >= 2 * self._processes:
            yield from self._in_processes(folder, origin, pieces)
            return
        columns = self._columns.setdefault(origin, Columns(origin, lambda index: self._logs.entry(origin, index)))
        for first, last in pieces:
            yield columns.batch(
                first, [stored for _, stored in islice(self._logs.entries(origin, first), last - first)]
            )

    def _in_processes(self, folder: str, origin: str, pieces: list[tuple[int, int]]) -> Iterator[Batch]:
        """The same from several processes, in order, a few pieces ahead."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._processes, mp_context=get_context("spawn"), initializer=gc.disable)
        ahead = [self._pool.submit(decode_piece, folder, origin, *piece) for piece in pieces[: 2 * self._processes]]
        for piece in pieces[2 * self._processes :]:
            yield ahead.pop(0).result()
            ahead.append(self._pool.submit(decode_piece, folder, origin, *piece))
        while ahead:
            yield ahead.pop(0).result()

    def rest(self) -> None:
        """Give back what only a long backlog needs."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _store(self, origin: str, batch: Batch) -> None:
        """Dictionary rows first, so that no row names one that is not there."""
        with self._unsure(origin):
            self._store_dictionaries(batch)
            for block in batch.blocks:
                if self._now is not None and block.newest < self._now() - timedelta(days=self._days):
                    self._positions[origin] = block.end
                    continue
                self._engine.insert("entries", block.stored, token=f"{block.log}:{block.start}")
                if origin not in self._sure and self._stored(origin) != block.end:
                    # A block that nobody had heard of arrived meanwhile, and this one was dropped as its repeat.
                    raise IndexUnavailableError(f"the index moved on by itself in log `{origin}`; looking again")
                self._sure.add(origin)
                self._positions[origin] = block.end
            size = native.block(
                1,
                [
                    ("log", "String", native.texts([origin])),
                    ("size", "UInt64", native.numbers([self._positions[origin]])),
                ],
            )
            self._engine.insert("positions", size, token="")

    def _store_dictionaries(self, batch: Batch) -> None:
        for table, stored in (("shapes", batch.shapes), ("used_columns", batch.used)):
            if stored is not None:
                self._engine.insert(table, stored, token="")

    @contextmanager
    def _unsure(self, origin: str) -> Iterator[None]:
        """After an error nothing is assumed about what was stored."""
        try:
            yield
        except BaseException:
            self._positions.pop(origin, None)
            self._columns.pop(origin, None)
            self._sure.discard(origin)
            raise

    # -- answering ----------------------------------------------------------------------------------------------------------------

    def ask(self, name: str, filters: Filters) -> Answer:
        """A named question, over every entry that is durable now.

        Raises:
            LedgerError: there is no such question, or it is asked wrongly.
        """
        question = check(name, filters)
        behind = self.catch_up(batches=1)
        with self._lock:
            covered = dict(self._positions)
            if self._has_tail:
                self._engine.run("TRUNCATE TABLE tail")
                self._has_tail = False
            if not behind:
                for origin, position in covered.items():
                    covered[origin] = position + self._read_tail(origin, position)
            rows, more = self._asker.ask(question, filters)
        return Answer(name, rows, covered, behind, more)

    def _read_tail(self, origin: str, position: int) -> int:
        """Put what is under no checkpoint yet into the table `tail`; it may still get other indices."""
        stored = [entry for _, entry in islice(self._logs.entries(origin, position), TAIL_MAX)]
        if stored:
            self._has_tail = True
            # Of its own, because what it remembers may never come to be.
            columns = Columns(origin, lambda index: self._logs.entry(origin, index))
            batch = columns.batch(position, stored)
            self._store_dictionaries(batch)
            for block in batch.blocks:
                self._engine.insert("tail", block.stored, token="")
        return len(stored)

    def facts(self) -> Mapping[str, object]:
        """What is in the index, for people and for health checks."""
        row = self._engine.rows(
            "SELECT count() AS entries, toString(min(`time`)) AS oldest, toString(max(`time`)) AS newest FROM entries"
        )[0]
        return {**row, "positions": dict(self._positions), "days": self._days}

    def export_hours(self, hours: Hours, limit: int) -> int:
        """Write Parquet files of sealed hours; returns how many."""
        with self._lock:
            return hours.write(limit)

    def hours(self, folder: Path) -> Hours:
        """Files of sealed hours in a folder, from this index."""
        return Hours(self._engine, folder)

    def rebuild(self) -> None:
        """Throw everything away; the next `catch_up` begins at the beginning."""
        with self._lock:
            self._positions.clear()
            self._minima.clear()
            self._has_tail = True
            self._columns.clear()
            for statement in [*(f"DROP TABLE IF EXISTS {name}" for name in schema.NAMES), *schema.tables(self._days)]:
                self._engine.run(statement)

    def close(self) -> None:
        """Let go of the engine."""
        self.rest()
        self._engine.close()


def decode_piece(folder: str, origin: str, start: int, end: int) -> Batch:
    """Entries [start, end) of one log as blocks; runs in a process of its own, which knows nothing of the engine."""
    files = RealFiles()
    minimum = ledger_reader.minimum(folder, files)
    columns = Columns(
        origin, lambda index: sealed_entries(folder, files, index, index + 1)[0] if index >= minimum else None
    )
    return columns.batch(start, sealed_entries(folder, files, start, end))
