"""The org log, composed: the process that takes up the workers' checkpoints and asks the witnesses.

For: `serve`, which forks it before anything else runs, and `lockgate log anchor`.
Not for: the data path, which only looks at what this process leaves behind (`witness_watch`).
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lockgate.app.evidence import key_bytes, text_of
from lockgate.config.settings import Settings
from lockgate.control.witnessing import Answer, Witnessing, WitnessWatch
from lockgate.errors import ConfigError, LedgerError, LockgateError
from lockgate.ledger.note import Ed25519Signer, VerificationKey
from lockgate.ledger.trust import TrustPolicy
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.org_log import ORG, WITNESSED, OrgLog, log_folder
from lockgate.storage.port import RealFiles, UnsyncedFiles
from lockgate.transport.clock import utc_now
from lockgate.transport.witness_http import submit

ASK_SECONDS = 5.0
HEARTBEAT_SECONDS = 10.0
OPEN_AGAIN_SECONDS = 0.5


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


def org_signer(settings: Settings) -> Ed25519Signer:
    """The gate's log key under the name of its org log."""
    return Ed25519Signer.from_skey(text_of(settings.files.keys / "log.key").strip()).renamed(org_origin(settings))


def open_org_log(settings: Settings) -> OrgLog:
    """Open the org log.

    Raises:
        LedgerError: another process has it, or it cannot be read.
    """
    signer = org_signer(settings)
    ledger = settings.files.ledger
    ledger.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = UnsyncedFiles() if settings.ledger.unsafe_skip_sync else RealFiles()
    log = LedgerLog.open(
        log_folder(str(ledger), signer.name), origin=signer.name, signer=signer, files=files,
        text_key=key_bytes(settings.files.keys / "text.key"), clock=utc_now, entropy=os.urandom, segment_bytes=1 << 20,
    )  # fmt: skip
    key = VerificationKey.from_text(signer.vkey)
    return OrgLog(ledger=str(ledger), gateway=settings.gateway.name, log=log, files=files, key=key)


def _policy_files(settings: Settings) -> dict[str, str]:
    """Hash of every policy file by its name."""
    found = {}
    for path in sorted(settings.files.policies.glob("*.cedar")):
        try:
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            continue
    return found


@dataclass
class Anchor:
    """The work of the process, round by round."""

    settings: Settings
    org: OrgLog
    witnessing: Witnessing | None
    _last: bytes = b""
    _beat: float = 0.0

    @classmethod
    def open(cls, settings: Settings) -> Anchor:
        """Open the org log and the policy.

        Raises:
            ConfigError: the policy cannot be used.
            LedgerError: the log cannot be opened.
        """
        policy = trust_policy(settings)
        org = open_org_log(settings)
        return cls(settings, org, None if policy is None else Witnessing(policy, _ask, org.consistency))

    def round(self) -> bool:
        """Take up what is new, publish, ask the witnesses; true when nothing is missing."""
        for problem in self.org.gather():
            _say("log-problem", origin=problem.origin, kind=problem.kind, sentence=problem.sentence)
        policies = _policy_files(self.settings)
        digest = hashlib.sha256(json.dumps(policies, sort_keys=True).encode()).hexdigest()
        self.org.note_fact("policy", digest, {"event": "files", "files": policies})
        vkey = org_signer(self.settings).vkey
        self.org.note_fact("key", hashlib.sha256(vkey.encode()).hexdigest(), {"event": "signing", "key": vkey})
        if time.monotonic() - self._beat > HEARTBEAT_SECONDS:
            self.org.beat()
            self._beat = time.monotonic()
        note = self.org.publish()
        if self.witnessing is None or note == self._last:
            return True
        result = self.witnessing.round(note)
        for url, refused in result.problems.items():
            _say("witness-problem", witness=url, problem=refused)
        if result.ahead:
            _say("rollback", origin=org_origin(self.settings), ahead=result.ahead)
        if result.satisfied:
            self.org.cosigned(result.note)
            self._last = result.note
        return result.satisfied

    def run(self, stopped: Callable[[float], bool]) -> None:
        """Work until `stopped`, which waits that long, says so; then once more, so that the end of every log is taken up."""
        while not stopped(self.settings.ledger.witness_seconds):
            self._guarded()
        self._guarded()
        self.org.close()

    def _guarded(self) -> None:
        try:
            self.round()
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
    work.run(stop.wait)
    return 0


def start(settings: Settings) -> int:
    """Fork the org log's process and return its id; call it before there are threads or an event loop.

    It ends by itself when this process and all that it forks have ended, after taking up the end of every log.

    Raises:
        ConfigError: the policy cannot be used.
    """
    trust_policy(settings)
    ended, alive = os.pipe()
    process = os.fork()
    if process:
        os.close(ended)
        return process
    status = 1
    try:
        os.close(alive)
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        status = _child(settings, ended)
    finally:
        os._exit(status)


def is_running(process: int) -> bool:
    """Whether the org log's process is there."""
    try:
        return os.waitpid(process, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False


def _child(settings: Settings, ended: int) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # it ends when its parent has, and not before

    def stopped(seconds: float) -> bool:
        return bool(select.select([ended], [], [], seconds)[0])

    last = ""
    while True:
        try:
            Anchor.open(settings).run(stopped)
            return 0
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
        self._path = Path(log_folder(str(settings.files.ledger), org_origin(settings))) / WITNESSED
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
            facts = self._path.stat()
            if (facts.st_mtime_ns, facts.st_ino) != self._stamp:
                self._stamp = (facts.st_mtime_ns, facts.st_ino)
                self.watch.see(self._path.read_bytes())
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
