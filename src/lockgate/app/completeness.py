"""Completeness, composed: each database is asked at intervals, the number is published, recorded, and shouted when it grows.

For: a running gate, and `lockgate log completeness`.
Not for: what the number means (`control.completeness`) and how a database is asked (`transport.database_counts`).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from lockgate.app.evidence import worker_logs
from lockgate.config.settings import DatabaseSettings, Settings
from lockgate.control.completeness import Reconciliation, Totals
from lockgate.errors import LockgateError
from lockgate.ledger.entry import decode, time_text
from lockgate.storage.ledger_reader import checkpoint, entries, minimum
from lockgate.storage.port import RealFiles
from lockgate.transport.clock import utc_now
from lockgate.transport.database_counts import read_counts
from lockgate.transport.logins import OWN_LOGINS, Counts, Place
from lockgate.transport.pgclient import Target

RECORDED_SECONDS = 3600.0
FINISH_SECONDS = 3.0
EVENT = "completeness"
FIRST_LOOK = 4096
"""Entries of each log that are looked at first for the newest number; more when they are too few."""


def state_path(settings: Settings) -> Path:
    """Where the counts of an earlier process are kept; a shortcut, not evidence."""
    return settings.files.ledger / "completeness.json"


class Completeness:
    """The comparisons of all databases of a gate."""

    def __init__(
        self, settings: Settings, targets: Mapping[str, Target], record: Callable[[Mapping[str, object]], object],
        own: Callable[[Place], Counts] = OWN_LOGINS.counts,
    ) -> None:  # fmt: skip
        """Args:
        targets: how each database is asked, by its name.
        record: takes entries.
        own: logins of all processes of the gate to a place, as `OWN_LOGINS` has those of one.
        """
        self._settings = settings
        self._own = own
        self._targets = targets
        self._record = record
        stored = _stored(state_path(settings))
        self._found = {
            d.name: Reconciliation(own_roles=_roles(d), totals=stored.get(d.name)) for d in settings.databases
        }
        self._roles = {d.name: _roles(d) for d in settings.databases}
        self._recorded: dict[str, float] = {}
        self._blind: set[str] = set()
        self._looking = asyncio.Lock()

    @property
    def logins(self) -> int:
        """Logins that did not come through the gate."""
        return sum(one.totals.bypassing for one in self._found.values())

    @property
    def statements(self) -> int:
        """Statements of roles that are not the gate's."""
        return sum(one.totals.statements_bypassing for one in self._found.values())

    @property
    def blind(self) -> int:
        """Databases that do not count."""
        return sum(one.is_blind for one in self._found.values())

    def gauges(self) -> dict[str, Callable[[], float]]:
        """The numbers to publish."""
        return {
            "bypassing_logins": lambda: self.logins,
            "bypassing_statements": lambda: self.statements,
            "bypass_blind_databases": lambda: self.blind,
        }

    async def run(self, seconds: float) -> None:
        """Ask for ever."""
        while True:
            await asyncio.sleep(seconds)
            await self.look()

    async def compared(self) -> list[dict[str, object]]:
        """Ask every database now: its numbers as an entry has them, or `known` = false of one that does not answer."""
        answered = await self.look()
        now = time_text(utc_now())
        return [
            {"database": name, "time": now, **one.fields()} if name in answered else {"database": name, "known": False}
            for name, one in self._found.items()
        ]

    async def look(self) -> set[str]:
        """Ask every database once, and say which answered; one that cannot be reached is asked again the next time."""
        async with self._looking:
            return await self._look()

    async def _look(self) -> set[str]:
        answered = set()
        for name, target in self._targets.items():
            try:
                totals = self._found[name].totals
                place = totals.log_name, totals.log_position
                counted = await read_counts(target, own_roles=self._roles[name], log=place, own=self._own)
            except (LockgateError, OSError, TimeoutError):
                continue
            answered.add(name)
            found = self._found[name]
            grown = found.take(counted, time_text(utc_now()))
            if grown:
                self._alarm("bypass", name, found.fields())
            if found.is_blind and name not in self._blind:
                self._alarm("bypass-blind", name, found.fields())
            self._blind = {n for n, one in self._found.items() if one.is_blind}
            if grown or time.monotonic() - self._recorded.get(name, float("-inf")) > RECORDED_SECONDS:
                self._write(name)
        self._store(clean=False)
        return answered

    async def finish(self) -> None:
        """The last reading of this process, recorded; a database that does not answer is not waited for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                await self.look()
        for name in self._targets:
            self._write(name)
        self._store(clean=True)

    def _write(self, name: str) -> None:
        self._record({"kind": "review", "event": EVENT, "database": name, **self._found[name].fields()})
        self._recorded[name] = time.monotonic()

    def _alarm(self, event: str, name: str, found: Mapping[str, object]) -> None:
        facts = {
            k: found[k]
            for k in ("logins_bypassing", "statements_bypassing", "logged_bypassing", "audited_bypassing", "roles")
            if k in found
        }
        sys.stderr.write(json.dumps({"event": event, "database": name, **facts}) + "\n")
        sys.stderr.flush()

    def _store(self, *, clean: bool) -> None:
        path = state_path(self._settings)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({name: one.state(clean=clean) for name, one in self._found.items()}))
        temporary.replace(path)


def _roles(database: DatabaseSettings) -> frozenset[str]:
    own = (database.session_role, database.clear_role, database.analysis_role, database.replication_role)
    return frozenset(filter(None, own))


def _stored(path: Path) -> dict[str, Totals]:
    """What an earlier process kept; nothing when that cannot be read."""
    try:
        kept = json.loads(path.read_text())
        names = {one.name for one in fields(Totals)}
        return {name: Totals(**{k: v for k, v in one.items() if k in names}) for name, one in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def newest(settings: Settings) -> list[dict[str, object]]:
    """The newest `completeness` entry of each database, from the record itself, whichever worker wrote it."""
    wanted = {database.name for database in settings.databases}
    logs, back = worker_logs(settings), FIRST_LOOK
    while True:
        found: dict[str, dict[str, object]] = {}
        unread = ""  # entries before this time were not looked at in some log
        for log in logs:
            unread = max(unread, _newest_in(log.folder, back, found))
        if not unread or (found.keys() >= wanted and all(str(found[name]["time"]) >= unread for name in wanted)):
            return [found[name] for name in sorted(found)]
        back *= 4


def _newest_in(folder: str, back: int, found: dict[str, dict[str, object]]) -> str:
    """Take over what the last entries of a log say that is newer; the time of the first one looked at when more come before it."""
    files = RealFiles()
    state = checkpoint(folder, files)
    start = max(0, (0 if state is None else state.size) - back)
    first = ""
    for _, entry in entries(folder, files, start):
        first = first or str(decode(entry)["time"])
        if b'"event":"completeness"' not in entry:
            continue
        said = dict(decode(entry))
        name = str(said.get("database"))
        if said["kind"] == "review" and (name not in found or str(said["time"]) >= str(found[name]["time"])):
            found[name] = said
    return first if start > minimum(folder, files) else ""
