"""A canary statement: sent through the gate like any client's, then looked for in the record.

For: seeing that the whole way works, from a login to an outcome in the log; meant to be run at intervals.
Not for: statements past the gate (`app.completeness`).
Source: evidence.md 1.4, completeness (canary statements with known fingerprints).
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from lockgate.app.evidence import ledger_folder, log_text
from lockgate.config.settings import Address, Settings
from lockgate.ledger.entry import decode
from lockgate.storage.ledger_reader import checkpoint, entries
from lockgate.storage.port import RealFiles
from lockgate.transport.pgclient import PgClient, Target

LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Seen:
    """Where the record has the canary; None where it does not."""

    intent: int | None = None
    outcome: int | None = None


async def sing(settings: Settings, *, gate: Address, principal: str, token: str, database: str, seconds: float) -> Seen:
    """Send a statement that nobody else sends, and look for it and its outcome for some seconds.

    Raises:
        LockgateError, OSError, TimeoutError: the gate cannot be reached, or refused it.
    """
    root, files = str(ledger_folder(settings)), RealFiles()
    state = checkpoint(root, files)
    start = 0 if state is None else state.size
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
        seen = _look(settings, root, start, song.encode())
        if seen.outcome is not None:
            break
        await asyncio.sleep(LOOK_SECONDS)
    return seen


def _look(settings: Settings, root: str, start: int, song: bytes) -> Seen:
    intent: int | None = None
    for index, entry in entries(root, RealFiles(), start):
        fields = decode(entry)
        if intent is None and fields["kind"] == "intent" and song in log_text(settings, fields, index):
            intent = index
        elif intent is not None and fields["kind"] == "outcome" and fields.get("intent") == intent:
            return Seen(intent, index if fields.get("status") == "complete" else None)
    return Seen(intent)
