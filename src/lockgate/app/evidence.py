"""The gate's own logs, composed from settings: finding, opening and verifying them.

For: `Application` and the command line.
Not for: what a log is (`ledger`) and how it lies on disk (`storage`).

Each worker writes a log of its own. Whoever reads the record reads all of them: those of workers that run, and those of workers
that a gate with another number of them had.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockgate.config.settings import Settings
from lockgate.errors import ConfigError, CorruptLedgerError, LedgerError
from lockgate.ledger.checkpoint import first_origin, successor
from lockgate.ledger.note import Ed25519Signer
from lockgate.masking.keys import KeyRing
from lockgate.storage.gate_logs import GateLogs, current_number
from lockgate.storage.index.logs import Logs
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.ledger_reader import open_text
from lockgate.storage.org_log import ORG
from lockgate.storage.port import Files, RealFiles, UnsyncedFiles
from lockgate.transport.clock import utc_now

AGAIN_SECONDS = 0.1
FIRST_WORKER = "1"
"""The name of a gate's only worker, or of its first."""


def text_of(path: Path) -> str:
    """The text of a file of the configuration.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}:1: cannot be read ({type(error).__name__}); `lockgate init` writes it") from error


def key_bytes(path: Path) -> bytes:
    """A secret key file: hexadecimal, at least 32 bytes.

    Raises:
        ConfigError: missing, readable by others, or not a key.
    """
    try:
        mode = path.stat().st_mode & 0o077
        value = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}:1: is not a key file ({type(error).__name__}); restore it from a backup, a new key makes new pseudonyms"
        ) from error
    if mode:
        raise ConfigError(f"{path}:1: is readable by others; run `chmod 600` on it")
    if len(value) < 32:
        raise ConfigError(f"{path}:1: holds fewer than 32 bytes")
    return value


def masking_keys(settings: Settings) -> KeyRing:
    """The keys of the pseudonyms: from the place that `[masking] key` names, else from the folder of keys."""
    key = settings.masking.key
    return KeyRing(bytes.fromhex(key.reveal().strip()) if key else key_bytes(settings.files.keys / "pseudonym.key"))


def gate_logs(settings: Settings, files: Files | None = None) -> GateLogs:
    """The logs of this gate.

    Raises:
        ConfigError: a key is missing.
    """
    keys = settings.files.keys
    settings.files.ledger.mkdir(mode=0o700, parents=True, exist_ok=True)
    real = UnsyncedFiles() if settings.ledger.unsafe_skip_sync else RealFiles()
    return GateLogs(
        ledger=str(settings.files.ledger), gateway=settings.gateway.name, files=files or real,
        signer=Ed25519Signer.from_skey(text_of(keys / "log.key").strip()), text_key=key_bytes(keys / "text.key"),
        person_key=key_bytes(keys / "person.key"), clock=utc_now, entropy=os.urandom,
    )  # fmt: skip


def current_log_number(settings: Settings) -> int:
    """The number of the gate's current logs; more than 1 after a disk was set back."""
    return current_number(str(settings.files.ledger), settings.gateway.name, RealFiles())


def logs_of(settings: Settings) -> Logs:
    """Every log of this gate that has a checkpoint: workers', the org log, and those that went before."""
    return Logs(str(settings.files.ledger), RealFiles())


@dataclass(frozen=True, slots=True)
class WorkerLog:
    """The current log of one worker: the worker's name, the log's origin and its folder."""

    worker: str
    origin: str
    folder: str


def worker_logs(settings: Settings) -> list[WorkerLog]:
    """The current log of every worker that has written one, whether it runs now or not; the first worker's first."""
    number, gate = current_log_number(settings), settings.gateway.name
    found = []
    for origin, folder in logs_of(settings).folders().items():
        first = first_origin(origin)
        name, _, worker = first.rpartition("/")
        if name == gate and worker != ORG and origin == successor(first, number):
            found.append(WorkerLog(worker, origin, folder))
    return sorted(found, key=lambda log: (len(log.worker), log.worker))


def workers_with_logs(settings: Settings) -> list[str]:
    """The names of all workers that have a log; of a gate that never ran, its first worker."""
    return [log.worker for log in worker_logs(settings)] or [FIRST_WORKER]


def open_ledger(
    settings: Settings,
    files: Files | None = None,
    *,
    worker: str = FIRST_WORKER,
    config: bytes | None = None,
    patience: float = 0.0,
) -> tuple[LedgerLog, int]:
    """Open a worker's log, recovering it first, and the number of the gate's current logs.

    Args:
        config: what the settings were read from; what the file has now by default.
        patience: how long to wait for another process that still has it open, in seconds.
    """
    facts = {"config": hashlib.sha256(settings.path.read_bytes() if config is None else config).hexdigest()}
    deadline = time.monotonic() + patience
    while True:
        try:
            return gate_logs(settings, files).open_worker(worker, facts)
        except CorruptLedgerError:
            raise
        except LedgerError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(AGAIN_SECONDS)


def log_text(settings: Settings, folder: str, entry: Mapping[str, object], index: int) -> bytes:
    """The decrypted statement text of an entry of the log in a folder, with its parameters behind a zero byte."""
    key = key_bytes(settings.files.keys / "text.key")
    return open_text(folder, str(entry["text"]), key, files=RealFiles(), near=index)


def verifier_path() -> Path:
    """The standalone verifier: beside the sources, or inside the installed package.

    Raises:
        ConfigError: this installation has none.
    """
    here = Path(__file__).resolve()
    for path in (
        here.parents[3] / "verifier" / "lockgate_verify.py",
        here.parents[1] / "verifier" / "lockgate_verify.py",
    ):
        if path.exists():
            return path
    raise ConfigError(
        "the standalone verifier is not part of this installation; take verifier/lockgate_verify.py from the sources"
    )


def verify_log(settings: Settings, arguments: Sequence[str] = ()) -> int:
    """Run the standalone verifier, which shares no code with the gate, over this gate's logs; returns its exit status."""
    public = settings.files.keys / "log.pub"
    if not public.is_file():
        raise ConfigError(
            f"{public}:1: is missing; it is the public half of log.key and belongs in every copy you give away"
        )
    policy = settings.ledger.witness_policy
    trust = ["--policy", str(policy)] if policy is not None and policy.is_file() else []
    command = [
        sys.executable,
        str(verifier_path()),
        str(settings.files.ledger),
        "--key",
        str(public),
        *trust,
        *arguments,
    ]
    return subprocess.run(command, check=False).returncode
