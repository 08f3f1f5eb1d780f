"""The org log, composed: the process that takes up the workers' checkpoints and asks the witnesses.

For: `serve`, which forks it before anything else runs, and `lockgate log anchor`.
Not for: the data path, which only looks at what this process leaves behind (`witness_watch`).
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from lockgate.app.children import FIRST_SECONDS, LAST_SECONDS
from lockgate.app.evidence import gate_logs
from lockgate.config.settings import Settings
from lockgate.control.witnessing import Answer, Witnessing, WitnessWatch
from lockgate.errors import ConfigError, LedgerError, LockgateError
from lockgate.ledger.checkpoint import successor
from lockgate.ledger.note import split_note
from lockgate.ledger.trust import TrustPolicy
from lockgate.storage.gate_logs import GateLogs, current_number
from lockgate.storage.org_log import ORG, WITNESSED, OrgLog, log_folder
from lockgate.storage.port import RealFiles
from lockgate.transport.timestamping import is_available, roots_from, timestamp
from lockgate.transport.witness_http import submit

ASK_SECONDS = 5.0
HEARTBEAT_SECONDS = 10.0
OPEN_AGAIN_SECONDS = 0.5
START_SECONDS = 15.0


def org_origin(settings: Settings) -> str:
    """The origin of the gate's org log."""
    return f"{settings.gateway.name}/{ORG}"


def trust_policy(settings: Settings) -> TrustPolicy | None:
    """The policy that `[ledger] witness_policy` names; None when it is not set.

    Raises:
        ConfigError: the file cannot be used.
    """
    path = settings.ledger.witness_policy
    if path is None:
        return None
    try:
        return TrustPolicy.parse(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}:1: cannot be read: {error.strerror}") from None
    except LedgerError as error:
        raise ConfigError(f"{path}:1: {error}") from None


def _policy_files(settings: Settings) -> dict[str, str]:
    """Hash of every policy file by its name."""
    found = {}
    for path in sorted(settings.files.policies.glob("*.cedar")):
        try:
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            continue
    return found


def check_timestamping(settings: Settings) -> None:
    """Whether tokens can be asked for, when that is configured.

    Raises:
        ConfigError: the package or the roots are missing.
    """
    ledger = settings.ledger
    if ledger.timestamp_url is None:
        return
    if not is_available():
        raise ConfigError(
            f"{settings.path}:1: `timestamp_url` needs the extra `timestamps`: pip install 'lockgate[timestamps]'"
        )
    if ledger.timestamp_roots is None:
        raise ConfigError(f"{settings.path}:1: `timestamp_url` needs `timestamp_roots`, so that tokens can be checked")
    try:
        roots_from(ledger.timestamp_roots.read_bytes())
    except (OSError, LedgerError) as error:
        raise ConfigError(f"{ledger.timestamp_roots}:1: cannot be used: {error}") from None


class RolledBackError(LedgerError):
    """The org log must not be signed any more; its successor is to be opened."""

    def __init__(self) -> None:
        super().__init__("the logs were rolled back, and go on in their successors")


@dataclass
class Anchor:
    """The work of the process, round by round."""

    settings: Settings
    logs: GateLogs
    org: OrgLog
    witnessing: Witnessing | None
    number: int
    _last: bytes = b""
    _stamped: float | None = None
    _beat: float = 0.0

    @classmethod
    def open(cls, settings: Settings) -> Anchor:
        """Open the org log and the policy.

        Raises:
            ConfigError: the policy cannot be used.
            LedgerError: the log cannot be opened.
        """
        policy = trust_policy(settings)
        logs = gate_logs(settings)

        def known(note: bytes) -> int:
            return 0 if policy is None else Witnessing(policy, _ask, logs.org_consistency).round(note).known

        org = logs.open_org(known)
        witnessing = None if policy is None else Witnessing(policy, _ask, org.consistency)
        return cls(settings, logs, org, witnessing, logs.number)

    def round(self) -> bool:
        """Take up what is new, publish, ask the witnesses; true when nothing is missing.

        Raises:
            RolledBackError: a witness knows another history of the org log, or other logs are current now.
        """
        if self.logs.number != self.number:
            raise RolledBackError
        for problem in self.org.gather():
            _say("log-problem", origin=problem.origin, kind=problem.kind, sentence=problem.sentence)
        policies = _policy_files(self.settings)
        digest = hashlib.sha256(json.dumps(policies, sort_keys=True).encode()).hexdigest()
        self.org.note_fact("policy", digest, {"event": "files", "files": policies})
        vkey = self.logs.signer.renamed(self.org.origin).vkey
        self.org.note_fact("key", hashlib.sha256(vkey.encode()).hexdigest(), {"event": "signing", "key": vkey})
        if time.monotonic() - self._beat > HEARTBEAT_SECONDS:
            self.org.beat()
            self._beat = time.monotonic()
        note = self.org.publish()
        if self.witnessing is None or note == self._last:
            self._stamp(note)
            return True
        result = self.witnessing.round(note)
        for url, refused in result.problems.items():
            _say("witness-problem", witness=url, problem=refused)
        if result.known:
            _say("rolled-back", origin=self.org.origin, entries=self.org.size, known=result.known)
            self.logs.succeed(self.number, origin=self.org.origin, size=self.org.size, known=result.known)
            raise RolledBackError
        if result.satisfied:
            self.org.cosigned(result.note)
            self._last = result.note
            self._stamp(result.note)
        return result.satisfied

    def _stamp(self, note: bytes) -> None:
        """Have a time-stamping authority confirm the checkpoint, every `timestamp_seconds`; without one, later."""
        ledger = self.settings.ledger
        if ledger.timestamp_url is None or ledger.timestamp_roots is None:
            return
        if self._stamped is not None and time.monotonic() - self._stamped < ledger.timestamp_seconds:
            return
        text = split_note(note)[0].encode()
        try:
            roots = roots_from(ledger.timestamp_roots.read_bytes())
            self.org.stamped(note, timestamp(text, ledger.timestamp_url, roots, seconds=ASK_SECONDS))
            self._stamped = time.monotonic()
        except (LedgerError, OSError) as error:
            _say("timestamp-problem", problem=str(error))

    def run(self, stopped: Callable[[float], bool]) -> None:
        """Work until `stopped`, which waits that long, says so; then once more, so that the end of every log is taken up."""
        try:
            while not stopped(self.settings.ledger.witness_seconds):
                self._guarded()
            self._guarded()
        except RolledBackError:
            self.org.abandon()
            raise
        self.org.close()

    def _guarded(self) -> None:
        try:
            self.round()
        except RolledBackError:
            raise
        except LedgerError as error:
            _say("org-log-problem", problem=str(error))


def _ask(url: str, body: bytes) -> Answer:
    found = submit(url, body, seconds=ASK_SECONDS)
    return Answer(found.status, found.content_type, found.body)


def _say(event: str, **facts: object) -> None:
    sys.stderr.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stderr.flush()


def anchor(settings: Settings, *, once: bool) -> int:
    """Run the org log in this process, for `lockgate log anchor`; returns the exit status."""
    work = Anchor.open(settings)
    if once:
        try:
            return 0 if work.round() else 1
        finally:
            work.org.close()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while True:
        try:
            work.run(stop.wait)
            return 0
        except RolledBackError:
            work = Anchor.open(settings)


class Process:
    """The org log's process, as the gate sees it."""

    def __init__(self) -> None:
        """Make what the gate and its child share; call it before forking."""
        self._shared = mmap.mmap(-1, 1)
        self.guard = 0

    def tell(self, *, running: bool) -> None:
        """Say, below the fork, whether the process that writes the log runs."""
        self._shared[0] = running

    def is_running(self) -> bool:
        """Whether it is there: the one that writes the log, not only the one that starts it again."""
        try:
            return os.waitpid(self.guard, os.WNOHANG)[0] == 0 and self._shared[0] == 1
        except ChildProcessError:
            return False


def start(settings: Settings) -> Process:
    """Fork the org log's process; call it before there are threads or an event loop.

    It is started again when it dies, and ends by itself when this process and all that it forks have ended, after taking up the end
    of every log.

    Raises:
        ConfigError: the policy cannot be used.
    """
    asks = trust_policy(settings) is not None
    check_timestamping(settings)
    ended, alive = os.pipe()
    ready, known = os.pipe()
    process = Process()
    process.guard = os.fork()
    if process.guard:
        os.close(ended)
        os.close(known)
        if asks:  # no worker signs before the witnesses had a chance to say that the disk was set back
            select.select([ready], [], [], START_SECONDS)
        os.close(ready)
        return process
    status = 1
    try:
        os.close(alive)
        os.close(ready)
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        status = _guard(settings, process, ended, known)
    finally:
        os._exit(status)


def _guard(settings: Settings, shared: Process, ended: int, known: int | None) -> int:
    """Run the org log in a process below this one, and again when it dies, later each time; the gate's own cannot fork any more."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # it ends when its parent has, and not before
    pause = FIRST_SECONDS
    while True:
        begun = time.monotonic()
        process = os.fork()
        if not process:
            _work(settings, ended, known)
        shared.tell(running=True)
        if known is not None:
            os.close(known)
            known = None
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        shared.tell(running=False)
        if status == 0:
            return 0
        pause = FIRST_SECONDS if time.monotonic() - begun > LAST_SECONDS else min(LAST_SECONDS, 2 * pause)
        _say("org-log-ended", status=status, again_in_seconds=pause)
        if _is_over(ended, pause):
            return 1


def _work(settings: Settings, ended: int, known: int | None) -> NoReturn:
    status = 1
    try:
        if known is not None:
            _look_before_signing(settings)
            os.close(known)
        status = _child(settings, ended)
    finally:
        os._exit(status)


def _is_over(ended: int, seconds: float) -> bool:
    """Wait, and say whether the gate has ended."""
    return bool(select.select([ended], [], [], seconds)[0])


def _look_before_signing(settings: Settings) -> None:
    """Ask the witnesses how much they know of the org log as it lies on the disk."""
    try:
        policy, logs = trust_policy(settings), gate_logs(settings)
        if policy is not None:
            logs.check_org(lambda note: Witnessing(policy, _ask, logs.org_consistency).round(note).known)
    except LockgateError as error:
        _say("org-log-problem", problem=str(error))


def _child(settings: Settings, ended: int) -> int:
    stopped = partial(_is_over, ended)
    last = ""
    while True:
        try:
            Anchor.open(settings).run(stopped)
            return 0
        except RolledBackError:
            continue
        except LockgateError as error:
            # Such as the process of a gate that was killed, which is about to end.
            if str(error) != last:
                _say("org-log-problem", problem=str(error))
            last = str(error)
            if stopped(OPEN_AGAIN_SECONDS):
                return 1


class Watched:
    """What the data path knows of the witnesses: how old the last quorum is."""

    def __init__(self, settings: Settings, watch: WitnessWatch) -> None:
        self._settings = settings
        self._stamp: tuple[int, int] = (0, 0)
        self._alarmed = False
        self.watch = watch

    @classmethod
    def of(cls, settings: Settings) -> Watched | None:
        """The watch of this gate; None when no policy is configured.

        Raises:
            ConfigError: the policy cannot be used.
        """
        policy = trust_policy(settings)
        if policy is None:
            return None
        ledger = settings.ledger
        return cls(
            settings, WitnessWatch(policy, ledger.witness_alarm_seconds, ledger.witness_refuse_seconds, time.time())
        )

    def look(self) -> bool:
        """Read the witnessed checkpoint when it is new, alarm when it is old; true when statements must be refused."""
        try:
            number = current_number(str(self._settings.files.ledger), self._settings.gateway.name, RealFiles())
            origin = successor(org_origin(self._settings), number)
            path = Path(log_folder(str(self._settings.files.ledger), origin)) / WITNESSED
            facts = path.stat()
            if (facts.st_mtime_ns, facts.st_ino) != self._stamp:
                self._stamp = (facts.st_mtime_ns, facts.st_ino)
                self.watch.see(path.read_bytes())
        except OSError:
            pass
        now = time.time()
        alarms = self.watch.alarms(now)
        if alarms != self._alarmed:
            self._alarmed = alarms
            _say("witness-late" if alarms else "witness-back", age=round(self.watch.age(now)))
        return self.watch.refuses(now)

    @property
    def age(self) -> float:
        """Seconds since a quorum cosigned."""
        return self.watch.age(time.time())
