"""A small world for crash runs: two workers' logs, the org log, a witness and a bucket, on files that crash and fail on demand.

Everything follows from one seed: which entries, which errors, where the process is killed, what the power cut leaves, when old
entries are pruned and when new ones are copied. At the end the promises are checked: nothing acknowledged is lost, no number of a
session is missing without a word about it, the witness finds no contradiction, and the auditor's verifier finds nothing, in the logs
and in their copies.
"""

from __future__ import annotations

import errno
import random
import shutil
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockgate.control.witnessing import Answer, Witnessing
from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger.checkpoint import Checkpoint, successor
from lockgate.ledger.cosignature import Algorithm, Cosigner
from lockgate.ledger.entry import decode, time_text
from lockgate.ledger.note import Ed25519Signer, VerificationKey, split_note
from lockgate.ledger.trust import TrustPolicy
from lockgate.ledger.witness import Refusal, examine
from lockgate.storage.gate_logs import GateLogs
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.ledger_reader import checkpoint, entries, minimum
from lockgate.storage.mirror import Mirror
from lockgate.storage.org_log import OrgLog, log_folder
from lockgate.storage.pruning import cut, prune
from lockgate.testing.crash_files import CrashFiles, Killed
from support.verifying import verify

SEED = bytes(range(32))
ORG = Ed25519Signer("gate-1/org", SEED)
KEY = VerificationKey.from_text(ORG.vkey)
WORKERS = ("1", "2")
WITNESS = Cosigner("witness.example/w", Algorithm.ED25519, bytes(32))
POLICY = TrustPolicy.parse(f"log {ORG.vkey}\nwitness w {WITNESS.key.vkey} http://w\nquorum w\n".encode())
ORG_NAME = "org"
LEFT_OPEN = frozenset({"outcome-missing"})
"""What may be found at the end of a log that was left when it could not be signed any more."""
FAULTS = ("write", "fdatasync", "fsync_dir", "link", "rename", "open_append", "unlink", "mkdir", "any", "writing")


@dataclass
class Clock:
    """A clock that moves a little at every look, and is stepped."""

    now: datetime = datetime(2026, 11, 22, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=7)
        return self.now


@dataclass
class Copies:
    """A bucket that refuses now and then, and never lets go of what it has."""

    dice: random.Random
    stored: dict[str, bytes] = field(default_factory=dict)
    refusing: float = 0.02
    strict: bool = True

    def put(self, key: str, stored: bytes, until: datetime) -> None:
        """Keep an object; one of a full tile or bundle has one content for ever."""
        if self.dice.random() < self.refusing:
            raise LedgerError("an object could not be stored")
        if self.strict and "/tile/" in key and self.stored.get(key, stored) != stored:
            raise AssertionError(f"{key} was copied with two contents")
        self.stored[key] = stored


@dataclass
class World:
    """One run."""

    seed: int
    files: CrashFiles = field(init=False)
    dice: random.Random = field(init=False)
    clock: Clock = field(default_factory=Clock)
    heads: dict[str, Checkpoint] = field(default_factory=dict)
    promised: dict[tuple[str, int], int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    lives: int = 0
    witness_away: bool = False
    was_set_back: bool = False
    number: int = 1
    minima: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By log, below which entry whatever was promised may have been pruned."""

    def __post_init__(self) -> None:
        self.files = CrashFiles(self.seed)
        self.files.mkdir_all("log")
        self.dice = random.Random(self.seed)
        self.side = random.Random(
            -1 - self.seed
        )  # of its own, so that seeds from before pruning and copies mean what they meant
        self.bucket = Copies(self.side)

    # --- the parts ---

    @property
    def logs(self) -> GateLogs:
        return GateLogs(
            ledger="log", gateway="gate-1", files=self.files, signer=ORG.renamed("gate-1/1"), text_key=bytes(32), clock=self.clock,
            entropy=self.dice.randbytes, segment_bytes=4096,
        )  # fmt: skip

    def worker(self, name: str) -> LedgerLog:
        return self.logs.open_worker(name, {})[0]

    def org(self) -> OrgLog:
        logs = self.logs
        return logs.open_org(lambda note: Witnessing(POLICY, self.ask, logs.org_consistency).round(note).known)

    def ask(self, _: str, body: bytes) -> Answer:
        """The witness, which has a disk of its own and never forgets."""
        if self.witness_away:
            return Answer(0)
        found = examine(body, {ORG.name: [KEY]}, self.heads)
        if isinstance(found, Refusal):
            return Answer(found.status, found.content_type, found.body.encode())
        submission, head = found
        self.heads[head.origin] = head
        return Answer(200, "text/plain", WITNESS.cosign(split_note(submission.note)[0], 1 + head.size).text.encode())

    # --- one life of the process ---

    def live(self, *, kill_at: int = 0, power_cut: bool = False, faults: bool = True) -> None:
        """Open everything, work, and end in order, by a kill or by a power cut."""
        self.lives += 1
        self.files.kill_at = self.files.points + kill_at if kill_at else 0
        try:
            self._work(faults=faults)
        except Killed:
            pass
        except CorruptLedgerError:
            raise
        except LedgerError:
            pass  # it could not be opened, or not be closed in writing
        if power_cut:
            self.files.crash()
        else:
            self.files.kill()

    def _work(self, *, faults: bool) -> None:
        if faults and self.dice.random() < 0.2:
            self.files.fail(self.dice.choice(FAULTS), errno.EIO, at=self.dice.randint(1, 60))
        self.logs.check_org(lambda note: Witnessing(POLICY, self.ask, self.logs.org_consistency).round(note).known)
        opened = [self.worker(name) for name in WORKERS[: self.dice.choice((1, 2, 2))]]
        org = self.org()
        if len({origin.partition("~")[2] for origin in [org.origin, *(log.origin for log in opened)]}) > 1:
            raise LedgerError("other logs are current since one of them was opened; the gate starts again")
        logs = {log.origin: log for log in opened}
        witnessing = Witnessing(POLICY, self.ask, org.consistency)
        open_sessions = {origin: f"{origin}-{self.lives}" for origin in logs}
        for _ in range(self.dice.randrange(14)):
            if faults and self.dice.random() < 0.15:
                self._trouble()
            if self.dice.random() < 0.1:
                self.clock.now += timedelta(seconds=self.dice.choice((-7200, -3, 5, 900, 90_000)))
            for origin, log in logs.items():
                self._statements(origin, log, open_sessions[origin])
                if self.side.random() < 0.1:
                    self._prune(origin, log)
            self._anchor(org, witnessing)
            if self.side.random() < 0.2:
                self._copy()
        if self.dice.random() < 0.4:
            self.files.heal()
            for log in logs.values():
                log.close()
            self._anchor(org, witnessing)
            org.close()

    def _trouble(self) -> None:
        """A disk that fails once or twice, is full for a while, or was remounted read-only until it is healed."""
        kind = self.dice.random()
        if kind < 0.2:
            self.files.heal()
        elif kind < 0.35:
            self.files.fail("writing", errno.EROFS, times=self.dice.choice((20, 60)))
        elif kind < 0.5:
            for operation in ("write", "open_append", "mkdir"):
                self.files.fail(operation, errno.ENOSPC, times=self.dice.choice((5, 30)))
        else:
            number = self.dice.choice((errno.EIO, errno.ENOSPC))
            self.files.fail(
                self.dice.choice(FAULTS), number, at=self.dice.randint(1, 6), times=self.dice.choice((1, 2))
            )

    def _statements(self, origin: str, log: LedgerLog, session: str) -> None:
        """Some statements of one session: intents, outcomes of earlier ones, one commit, sometimes tiles."""
        given: dict[int, int] = {}
        for _ in range(self.dice.randrange(30)):
            mark = self.dice.randrange(1 << 40)
            self.numbers[session] += 1
            text = log.seal_text("db", b"select %d" % self.dice.randrange(50)).name
            fields = {"kind": "intent", "session": session, "s": self.numbers[session], "request": mark, "text": text,
                      "database": "db", "padding": "x" * self.dice.randrange(200)}  # fmt: skip
            given[log.append(fields, keep=self.dice.random() < 0.2)] = mark
            if self.dice.random() < 0.5:
                self.numbers[session] += 1
                log.append({"kind": "outcome", "session": session, "s": self.numbers[session], "intent": max(given), "status": "complete"},
                           keep=True)  # fmt: skip
        log.suspended = self.dice.random() < 0.05
        result = log.commit()
        for index in result.failed:
            given.pop(index, None)
        for index, mark in given.items():
            now = result.moved.get(index, index)
            if now < result.durable:
                self.promised[origin, now] = mark
        if self.dice.random() < 0.5:
            try:
                log.integrate(limit=self.dice.choice((None, 10)))
            except CorruptLedgerError:
                raise
            except LedgerError:
                pass

    def _prune(self, origin: str, log: LedgerLog) -> None:
        """Remove what is older than some time, as a gate does: recorded, put under a checkpoint, then done; or a repetition of that."""
        try:
            to = cut(
                log.root, self.files, time_text(self.clock.now - timedelta(seconds=self.side.choice((0, 1, 60, 4000))))
            )
            if to > minimum(log.root, self.files):
                said = log.append({"kind": "policy", "event": "pruned", "minimum": to}, keep=True)
                result = log.commit()
                if said in result.failed:
                    return
                log.integrate()
                if log.integrated <= result.moved.get(said, said):
                    return
            self.minima[origin] = max(self.minima[origin], to)
            prune(log.root, self.files, to)
        except CorruptLedgerError:
            raise
        except (LedgerError, OSError):
            pass  # the disk failed; it is asked for again later

    def _copy(self) -> None:
        """Copy what is new into the bucket."""
        try:
            Mirror("log", self.files, self.bucket, self.clock, timedelta(days=30)).round()
        except CorruptLedgerError:
            if not self.was_set_back:
                raise
        except (LedgerError, OSError):
            pass

    def _anchor(self, org: OrgLog, witnessing: Witnessing) -> None:
        if self.dice.random() < 0.4:
            return
        self.witness_away = self.dice.random() < 0.1
        try:
            problems = org.gather()
            if problems:
                raise AssertionError(f"the org log found {problems}")
            result = witnessing.round(org.publish())
        except CorruptLedgerError:
            raise
        except LedgerError:
            return
        if result.known:
            if not self.was_set_back:
                raise AssertionError(f"the witness found {result.problems}")
            self.logs.succeed(self.logs.number, origin=org.origin, size=org.size, known=result.known)
            raise LedgerError("other logs are current; the gate starts again")
        if not set(result.problems.values()) <= {"no-proof", "unreachable"}:
            raise AssertionError(f"the witness found {result.problems}")
        try:
            if result.satisfied:
                org.cosigned(result.note)
        except CorruptLedgerError:
            raise
        except LedgerError:
            pass

    # --- a disk that is set back ---

    def set_back(self, image: CrashFiles) -> None:
        """Put an old image of the whole disk back; what was promised since is lost, and somebody must notice if somebody can."""
        self.was_set_back = True
        self.bucket.strict = False  # nobody may have noticed: another history is copied beside the first one then
        before = self.logs.number
        org = self.logs.origin(ORG_NAME)
        self.files = image.image()
        self.number = self.logs.number
        if self.number == before:
            head = checkpoint(self.logs.folder(ORG_NAME), self.files)
            known = self.heads.get(org)
            if known is not None and head is not None and known.size > head.size:
                self.number = before + 1
        for origin in {origin for origin, _ in self.promised}:
            found = self._entries(log_folder("log", origin))
            lost = {
                (log, index)
                for (log, index), mark in self.promised.items()
                if log == origin and found.get(index, {}).get("request") != mark
            }
            self.promised = {key: mark for key, mark in self.promised.items() if key not in lost}

    def _entries(self, root: str) -> dict[int, dict[str, object]]:
        try:
            return {index: dict(decode(entry)) for index, entry in entries(root, self.files)}
        except FileNotFoundError:
            return {}

    # --- the end ---

    def _recover_all(self) -> list[str]:
        """Open everything without errors, as a gate does that starts again until it may sign."""
        while True:
            number = self.logs.number
            self.logs.check_org(lambda note: Witnessing(POLICY, self.ask, self.logs.org_consistency).round(note).known)
            for name in WORKERS:
                self.worker(name).close()
            org = self.org()
            wrong = [f"org log: {p}" for p in org.gather()]
            result = Witnessing(POLICY, self.ask, org.consistency).round(org.publish())
            if result.known and self.was_set_back:
                self.logs.succeed(number, origin=org.origin, size=org.size, known=result.known)
                org.abandon()
            elif self.logs.number == number:
                org.close()
                return wrong if result.satisfied else [*wrong, f"witness: {result.problems}"]
            else:
                org.close()

    def check(self, folder: Path) -> list[str]:
        """Everything that is wrong after a last recovery without errors."""
        self.witness_away = False
        wrong = self._recover_all()
        if self.logs.number < self.number:
            wrong.append(f"the disk was set back, and the logs have number {self.logs.number}, not {self.number}")
        self.files.kill()
        self.files.dump(folder)
        for number in range(1, self.logs.number + 1):
            for name in (*WORKERS, ORG_NAME):
                origin = successor(f"gate-1/{name}", number)
                root = log_folder("log", origin)
                names = self.files.list(root)
                if not names or (number < self.logs.number and "checkpoint" not in names):
                    continue  # never begun, or left before it was ever signed
                report = verify(folder / root, ORG.renamed(origin).vkey)
                findings = [
                    f for f in report.findings if f[0] != "silence"
                ]  # the clock of this world is stepped forward
                findings = [f for f in findings if number == self.logs.number or f[0] not in LEFT_OPEN]
                wrong += [f"{origin}: {kind} {index} {sentence}" for kind, index, sentence in findings]
                wrong += self._read(origin, root)
        return wrong + self._check_copies(folder)

    def _check_copies(self, folder: Path) -> list[str]:
        """What the verifier finds in the bucket, where every log has just been copied for the last time."""
        if self.was_set_back:
            return []  # the bucket may know more than the disk then, as the witness does
        self.bucket.refusing = 0
        self._copy()
        shutil.rmtree(folder / "copies", ignore_errors=True)
        for key, stored in self.bucket.stored.items():
            path = folder / "copies" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stored)
        wrong = []
        for name in sorted({key.split("/")[0] for key in self.bucket.stored}):
            origin = name[: len("gate-1")] + "/" + name[len("gate-1") + 1 :]
            report = verify(folder / "copies" / name, ORG.renamed(origin).vkey)
            wrong += [
                f"copy of {origin}: {kind} {index} {sentence}"
                for kind, index, sentence in report.findings
                if kind != "silence"
            ]
            if report.size != self._head_size(name):
                wrong.append(f"copy of {origin}: has {report.size} entries")
        return wrong

    def _head_size(self, name: str) -> int:
        head = checkpoint(f"log/{name}", self.files)
        return 0 if head is None else head.size

    def _read(self, origin: str, root: str) -> list[str]:
        found = self._entries(root)
        wrong = [
            f"{origin}: entry {index} was acknowledged and is not there"
            for (log, index), mark in self.promised.items()
            if log == origin and found.get(index, {}).get("request") != mark and index >= self.minima[origin]
        ]
        first = min(found, default=0)
        if first > self.minima[origin]:
            wrong.append(
                f"{origin}: entries before {first} are not there, and only those before {self.minima[origin]} were to go"
            )
        seen: dict[str, list[int]] = defaultdict(list)
        missing: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for fields in found.values():
            if isinstance(fields.get("s"), int):
                seen[str(fields["session"])].append(int(str(fields["s"])))
            dropped = fields.get("sessions") if fields.get("event") == "entries-dropped" else None
            for session, (first, last) in dropped.items() if isinstance(dropped, dict) else ():
                missing[session].append((first, last))
        for session, numbers in seen.items():
            wrong += [
                f"{origin}: number {gap} of session {session} is missing without a word"
                for gap in set(range(min(numbers) if first else 1, max(numbers))) - set(numbers)
                if not any(first <= gap <= last for first, last in missing[session])
            ]
        return wrong


def run(seed: int, folder: Path) -> list[str]:
    """One run of several lives; what is wrong at its end."""
    world = World(seed)
    images = [world.files.image()]
    for _ in range(world.dice.randint(2, 5)):
        kill_at = world.dice.randint(1, 400) if world.dice.random() < 0.6 else 0
        world.live(kill_at=kill_at, power_cut=world.dice.random() < 0.5)
        if world.dice.random() < 0.15:
            world.set_back(world.dice.choice(images))
        images.append(world.files.image())
    wrong = world.check(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return wrong
