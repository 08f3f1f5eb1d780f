"""A canary statement: sent through the gate like any client's, then looked for in the record.

For: seeing that the whole way works, from a login to an outcome in the log; meant to be run at intervals.
Not for: statements past the gate (`app.completeness`).
Source: evidence.md 1.4, completeness (canary statements with known fingerprints).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from lockgate.app.evidence import WorkerLog, log_text, worker_logs
from lockgate.config.settings import Address, Settings
from lockgate.ledger.entry import decode
from lockgate.storage.ledger_reader import checkpoint, entries
from lockgate.storage.port import RealFiles
from lockgate.transport.pgclient import PgClient, Target

LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Seen:
    """Where the record has the canary: in which log, and there as which entries; None where it does not."""

    log: str | None = None
    intent: int | None = None
    outcome: int | None = None


async def sing(settings: Settings, *, gate: Address, principal: str, token: str, database: str, seconds: float) -> Seen:
    """Send a statement that nobody else sends, and look for it and its outcome for some seconds.

    Raises:
        LockgateError, OSError, TimeoutError: the gate cannot be reached, or refused it.
    """
    files = RealFiles()
    states = {log.origin: checkpoint(log.folder, files) for log in worker_logs(settings)}
    starts = {origin: 0 if state is None else state.size for origin, state in states.items()}
    song = f"lockgate canary {secrets.token_hex(8)}"
    sslmode = "require" if settings.gateway.tls_certificate is not None else "disable"
    client = await PgClient.open(
        Target(gate.host, gate.port, database, principal, token, sslmode), {"application_name": "lockgate canary"}
    )
    try:
        await client.query(f"SELECT '{song}'")
    finally:
        client.close()
    seen = Seen()
    for _ in range(max(1, int(seconds / LOOK_SECONDS))):
        seen = _look(settings, starts, song.encode())
        if seen.outcome is not None:
            break
        await asyncio.sleep(LOOK_SECONDS)
    return seen


def _look(settings: Settings, starts: Mapping[str, int], song: bytes) -> Seen:
    """Look in every worker's log: nobody knows which one the client met."""
    for log in worker_logs(settings):
        seen = _look_in(settings, log, starts.get(log.origin, 0), song)
        if seen.intent is not None:
            return seen
    return Seen()


def _look_in(settings: Settings, log: WorkerLog, start: int, song: bytes) -> Seen:
    intent: int | None = None
    for index, entry in entries(log.folder, RealFiles(), start):
        fields = decode(entry)
        if intent is None and fields["kind"] == "intent" and song in log_text(settings, log.folder, fields, index):
            intent = index
        elif intent is not None and fields["kind"] == "outcome" and fields.get("intent") == intent:
            return Seen(log.origin, intent, index if fields.get("status") == "complete" else None)
    return Seen() if intent is None else Seen(log.origin, intent)
