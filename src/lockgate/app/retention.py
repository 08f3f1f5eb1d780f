"""Retention, composed: pruning what the policy no longer keeps, with or without a running gate.

For: `lockgate log prune`.
Not for: what may be removed from a log (`storage.pruning`), and not for texts alone (`erasing`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from lockgate.app.evidence import ledger_folder, open_ledger
from lockgate.config.settings import Settings
from lockgate.errors import ConfigError, GateUnreachableError, LedgerError
from lockgate.ledger.entry import time_text
from lockgate.storage.ledger_reader import checkpoint, minimum
from lockgate.storage.port import RealFiles
from lockgate.storage.pruning import Pruned, cut, prune
from lockgate.transport.control_socket import ask_gate

WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Pruning:
    """What pruning would do: entries from `first` up to `minimum`, all of them from before `before`."""

    first: int
    minimum: int
    before: str

    @property
    def size(self) -> int:
        """How many entries go."""
        return self.minimum - self.first


def planned(settings: Settings, before: datetime | None, now: datetime) -> Pruning:
    """What may go from this gate's log.

    Args:
        before: entries from this time on stay; by default, and at the latest, what `[ledger] sealed_days` says.

    Raises:
        ConfigError: the policy keeps everything, or keeps what is asked to go.
    """
    days = settings.ledger.sealed_days
    if days == 0:
        raise ConfigError(f"{settings.path}:1: `sealed_days` is 0: everything is kept")
    limit = now - timedelta(days=days)
    if before is not None and before > limit:
        raise ConfigError(f"--before: `sealed_days` keeps entries for {days} days; nothing after {limit.date()} may go")
    files, folder = RealFiles(), str(ledger_folder(settings))
    moment = time_text(before or limit)
    first = minimum(folder, files)
    return Pruning(first, max(first, cut(folder, files, moment)), moment)


def carry_out(settings: Settings, pruning: Pruning, *, by: str, reason: str) -> Pruned:
    """Record it, wait until that is under a checkpoint, and remove the entries.

    Raises:
        LedgerError: it could not be recorded or carried out; run it again.
    """
    fields: dict[str, object] = {
        "kind": "policy", "event": "pruned", "minimum": pruning.minimum, "before": pruning.before,
        "sealed_days": settings.ledger.sealed_days, "by": by, "reason": reason,
    }  # fmt: skip
    files, folder = RealFiles(), str(ledger_folder(settings))
    index = _record(settings, fields)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        head = checkpoint(folder, files)
        if head is not None and head.size > index:
            return prune(folder, files, pruning.minimum)
        if time.monotonic() > deadline:
            raise LedgerError(
                "the pruning is recorded, but not yet under a checkpoint; nothing was removed, run it again"
            )
        time.sleep(0.1)


def _record(settings: Settings, fields: dict[str, object]) -> int:
    """The index of the durable entry: through the running gate, or in its log when none runs."""
    if settings.gateway.control_socket.exists():
        try:
            answer = ask_gate(settings.gateway.control_socket, {"op": "log-prune", "fields": fields})
        except GateUnreachableError:
            pass  # what a killed gate left behind; opening its log says whether one runs
        else:
            result = answer.get("result")
            if not answer.get("ok") or not isinstance(result, int):
                raise LedgerError(f"the gate did not record the pruning: {answer.get('message')}")
            return result
    log, _ = open_ledger(settings)
    try:
        index = log.append(fields)
        if log.commit().failed:
            raise LedgerError("the pruning could not be recorded")
    finally:
        log.close()
    return index
