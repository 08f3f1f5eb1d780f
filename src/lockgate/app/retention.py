"""Retention, composed: pruning what the policy no longer keeps, with or without a running gate.

For: `lockgate log prune`.
Not for: what may be removed from a log (`storage.pruning`), and not for texts alone (`erasing`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from lockgate.app.evidence import WorkerLog, open_ledger, worker_logs
from lockgate.config.settings import Settings
from lockgate.errors import ConfigError, GateUnreachableError, LedgerError, UnknownWorkerError
from lockgate.ledger.entry import time_text
from lockgate.storage.ledger_reader import checkpoint, minimum
from lockgate.storage.port import RealFiles
from lockgate.storage.pruning import Pruned, cut, prune
from lockgate.transport.control_socket import ask_gate

WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class LogPruning:
    """What pruning would do to one worker's log: entries from `first` up to `minimum` go."""

    log: WorkerLog
    first: int
    minimum: int

    @property
    def size(self) -> int:
        """How many entries go."""
        return self.minimum - self.first


@dataclass(frozen=True)
class Pruning:
    """What pruning would do to each log of the gate's workers: entries from before `before` go."""

    logs: tuple[LogPruning, ...]
    before: str

    @property
    def size(self) -> int:
        """How many entries go."""
        return sum(log.size for log in self.logs)

    @property
    def minima(self) -> dict[str, int]:
        """With which entry each log would begin, by origin."""
        return {one.log.origin: one.minimum for one in self.logs}


def planned(settings: Settings, before: datetime | None, now: datetime) -> Pruning:
    """What may go from the logs of this gate's workers.

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
    files, moment = RealFiles(), time_text(before or limit)
    found = []
    for log in worker_logs(settings):
        first = minimum(log.folder, files)
        found.append(LogPruning(log, first, max(first, cut(log.folder, files, moment))))
    return Pruning(tuple(found), moment)


def carry_out(settings: Settings, pruning: Pruning, *, by: str, reason: str) -> int:
    """Log by log: record it there, wait until that is under a checkpoint, and remove the entries; how many texts went with them.

    Raises:
        LedgerError: it could not be recorded or carried out; run it again.
    """
    try:
        return sum(_prune(settings, one, pruning.before, by, reason).texts for one in pruning.logs if one.size)
    except OSError as error:
        raise LedgerError(f"the pruning was not finished: {error.strerror}; run it again") from error


def _prune(settings: Settings, one: LogPruning, before: str, by: str, reason: str) -> Pruned:
    fields: dict[str, object] = {
        "kind": "policy", "event": "pruned", "minimum": one.minimum, "before": before,
        "sealed_days": settings.ledger.sealed_days, "by": by, "reason": reason,
    }  # fmt: skip
    files, folder = RealFiles(), one.log.folder
    index = _record(settings, one.log.worker, fields)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        head = checkpoint(folder, files)
        if head is not None and head.size > index:
            return prune(folder, files, one.minimum)
        if time.monotonic() > deadline:
            raise LedgerError(
                "the pruning is recorded, but not yet under a checkpoint; nothing was removed, run it again"
            )
        time.sleep(0.1)


def _record(settings: Settings, worker: str, fields: dict[str, object]) -> int:
    """The index of the durable entry: through the running gate, or in the log itself when no worker of a gate has it open."""
    if settings.gateway.control_socket.exists():
        try:
            answer = ask_gate(settings.gateway.control_socket, {"op": "log-prune", "worker": worker, "fields": fields})
        except GateUnreachableError:
            pass  # what a killed gate left behind; opening its log says whether one runs
        else:
            result = answer.get("result")
            if answer.get("code") != UnknownWorkerError.reason:
                if not answer.get("ok") or not isinstance(result, int):
                    raise LedgerError(f"the gate did not record the pruning: {answer.get('message')}")
                return result
    log, _ = open_ledger(settings, worker=worker)
    try:
        index = log.append(fields)
        if log.commit().failed:
            raise LedgerError("the pruning could not be recorded")
    finally:
        log.close()
    return index
