"""The org log: one small log of a gate whose entries are the checkpoints of its workers' logs.

For: giving witnesses one root to look at, and being the first witness of the workers: a log that shrinks, forks or is rewritten
is not taken up, and said so.
Not for: asking witnesses (`control.witnessing`), nor deciding when; one thread of one process calls this.
Source: evidence.md 1.4, multi-writer; docs/reference/log.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger import tiles
from lockgate.ledger.checkpoint import Checkpoint, first_origin
from lockgate.ledger.entry import decode
from lockgate.ledger.note import VerificationKey, open_note, split_note
from lockgate.ledger.tree import consistency_proof, verify_consistency
from lockgate.storage.durable import Folders, replace
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.ledger_reader import checkpoint, entries
from lockgate.storage.port import Files
from lockgate.storage.tile_store import read_tile

ORG = "org"
TIMESTAMPS = "timestamps"
WITNESSED = "witnessed"
"""The newest checkpoint that enough witnesses cosigned, beside `checkpoint`."""
_RECORDED = "recorded"


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """What was last taken up of one log, and that log's checkpoint."""

    size: int
    root: str


class _Recorded(msgspec.Struct, forbid_unknown_fields=True):
    """The file that saves reading the whole org log at the start; a shortcut, not evidence."""

    size: int
    heads: dict[str, _Head]
    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a worker's log: `rollback`, `checkpoint-fork`, `bad-signature` or `tile-changed`."""

    origin: str
    kind: str
    sentence: str


def log_folder(ledger: str, origin: str) -> str:
    """The folder of the log with that origin: `gate-1/2` lies in `gate-1-2`."""
    return f"{ledger}/{origin.replace('/', '-')}"


def read_heads(root: str, files: Files) -> tuple[dict[str, str], dict[str, Checkpoint]]:
    """What an org log last noted of policies and keys, and last took up of each log, by origin; from its shortcut on."""
    start, facts, heads = 0, {}, {}
    with suppress(FileNotFoundError, msgspec.DecodeError, ValueError):
        stored = msgspec.json.decode(files.read(f"{root}/{_RECORDED}"), type=_Recorded)
        head = checkpoint(root, files)
        if head is not None and 0 <= stored.size <= head.size:
            start, facts = stored.size, dict(stored.facts)
            heads = {o: Checkpoint(o, h.size, bytes.fromhex(h.root)) for o, h in stored.heads.items()}
    for _, entry in entries(root, files, start):
        fields = decode(entry)
        if fields["kind"] == "checkpoint":
            taken = Checkpoint.parse(split_note(str(fields["note"]).encode())[0])
            heads[taken.origin] = taken
        elif fields["kind"] in {"policy", "key"} and isinstance(fields.get("digest"), str):
            facts[str(fields["kind"])] = str(fields["digest"])
    return facts, heads


def tile_consistency(root: str, files: Files, old: int, new: int) -> list[bytes]:
    """The proof that a stored log of `new` entries extends that of `old`.

    Raises:
        LedgerError: the tiles cannot be read.
    """

    def read(level: int, number: int, width: int) -> list[bytes]:
        return read_tile(files, root, level, number, width)

    try:
        return consistency_proof(old, new, tiles.tile_reader(new, read))
    except OSError as error:
        raise LedgerError("a tile of the log is missing") from error


class OrgLog:
    """Takes up the workers' checkpoints; the only user of its log."""

    def __init__(self, *, ledger: str, gateway: str, log: LedgerLog, files: Files, key: VerificationKey) -> None:
        """Use an open log.

        Args:
            ledger: the folder in which all logs of the gate lie.
            gateway: the gate's name, with which every origin begins.
            log: the org log itself.
            key: the key of all logs of the gate, under any name.
        """
        self._ledger = ledger
        self._gateway = gateway
        self._log = log
        self._files = files
        self._key = key
        self._said: set[tuple[str, str, int]] = set()
        self._facts, self._heads = read_heads(log.root, files)

    def last(self, origin: str) -> Checkpoint | None:
        """What was last taken up of a log."""
        return self._heads.get(origin)

    def gather(self) -> list[Problem]:
        """Take up every worker's checkpoint that moved on, durably; what was wrong with others, each once.

        Raises:
            LedgerError: something cannot be read; call again later.
        """
        try:
            return self._gather()
        except OSError as error:
            raise LedgerError(f"a log cannot be read: error {error.errno}") from error

    def _gather(self) -> list[Problem]:
        problems: list[Problem] = []
        for name in self._files.list(self._ledger):
            folder = f"{self._ledger}/{name}"
            if not name.startswith(f"{self._gateway}-") or folder == self._log.root:
                continue
            with suppress(FileNotFoundError, NotADirectoryError):
                problems += self._take(folder, self._files.read(f"{folder}/checkpoint"))
        self._log.commit()
        return problems

    def _take(self, folder: str, note: bytes) -> list[Problem]:
        """Append one checkpoint, if it is new and extends the one before."""
        try:
            origin = Checkpoint.parse(split_note(note)[0]).origin
            head = Checkpoint.parse(open_note(note, [self._key.renamed(origin)]))
        except LedgerError as error:
            return self._say(Problem(folder.rsplit("/", 1)[-1], "bad-signature", str(error)), 0)
        if log_folder(self._ledger, origin) != folder or first_origin(origin) == f"{self._gateway}/{ORG}":
            return []
        before = self._heads.get(origin)
        if before == head:
            return []
        problem = None if before is None else self._contradiction(folder, before, head)
        if problem is not None:
            return self._say(problem, head.size)
        self._log.append(
            {"kind": "checkpoint", "origin": origin, "size": head.size, "root": head.root.hex(), "note": note.decode()},
            keep=True,
        )
        self._heads[origin] = head
        return []

    def _contradiction(self, folder: str, before: Checkpoint, head: Checkpoint) -> Problem | None:
        if head.size < before.size:
            return Problem(head.origin, "rollback", f"the log has {head.size} entries, {before.size} were taken up")
        if head.size == before.size:
            return Problem(head.origin, "checkpoint-fork", f"two checkpoints of {head.size} entries differ")
        try:
            proof = tile_consistency(folder, self._files, before.size, head.size)
        except CorruptLedgerError as error:
            return Problem(head.origin, error.kind, str(error))
        except LedgerError:
            return Problem(head.origin, "tile-missing", "the tiles of the checkpoint are not there")
        extends = verify_consistency(
            old_size=before.size, new_size=head.size, old_root=before.root, new_root=head.root, proof=proof
        )
        return None if extends else Problem(head.origin, "checkpoint-fork", "the log does not extend what was taken up")

    def _say(self, problem: Problem, size: int) -> list[Problem]:
        """A problem that was not said before, after writing it down."""
        what = problem.origin, problem.kind, size
        if what in self._said:
            return []
        self._said.add(what)
        before = self._heads.get(problem.origin)
        self._log.append(
            {
                "kind": "admin", "event": f"log-{problem.kind}", "origin": problem.origin, "size": size,
                "recorded": 0 if before is None else before.size,
            },
            keep=True,
        )  # fmt: skip
        return [problem]

    def note_fact(self, kind: str, digest: str, fields: Mapping[str, object]) -> None:
        """Append a `policy` or `key` entry when `digest` is another than the last one of that kind."""
        if self._facts.get(kind) != digest:
            self._log.append({**fields, "kind": kind, "digest": digest}, keep=True)
            self._facts[kind] = digest

    def beat(self) -> None:
        """Append a heartbeat, so that a silent end shows."""
        self._log.append({"kind": "heartbeat"})

    def publish(self) -> bytes:
        """Put everything under a checkpoint of the org log, and return that.

        Raises:
            LedgerError: writing failed; nothing is lost, call again later.
        """
        if self._log.commit().failed or not self._log.healthy:
            raise LedgerError("the org log cannot be written")
        try:
            if self._log.lag:
                self._log.integrate()
                heads = {origin: _Head(head.size, head.root.hex()) for origin, head in self._heads.items()}
                stored = msgspec.json.encode(_Recorded(self._log.size, heads, self._facts))
                replace(self._files, self._log.root, _RECORDED, stored)
            return self._files.read(f"{self._log.root}/checkpoint")
        except OSError as error:
            raise LedgerError(f"the org log cannot be published: error {error.errno}") from error

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the org log of `new` entries extends that of `old`.

        Raises:
            LedgerError: the tiles cannot be read.
        """
        return tile_consistency(self._log.root, self._files, old, new)

    def cosigned(self, note: bytes) -> None:
        """Keep the checkpoint with the cosignatures it has got: as `witnessed`, and as `checkpoint` while it is the newest.

        Raises:
            LedgerError: writing failed.
        """
        try:
            replace(self._files, self._log.root, WITNESSED, note)
            current = self._files.read(f"{self._log.root}/checkpoint")
            if split_note(current)[0] == split_note(note)[0]:
                replace(self._files, self._log.root, "checkpoint", note)
        except OSError as error:
            raise LedgerError(f"the cosigned checkpoint cannot be written: error {error.errno}") from error

    def stamped(self, note: bytes, token: bytes) -> None:
        """Keep a time-stamping authority's token, and the checkpoint that it is for, under the checkpoint's size.

        Raises:
            LedgerError: writing failed.
        """
        size = Checkpoint.parse(split_note(note)[0]).size
        try:
            Folders(self._files, self._log.root).make(TIMESTAMPS)
            replace(self._files, self._log.root, f"{TIMESTAMPS}/{size}.checkpoint", note)
            replace(self._files, self._log.root, f"{TIMESTAMPS}/{size}.tsr", token)
        except OSError as error:
            raise LedgerError(f"the time stamp cannot be written: error {error.errno}") from error

    @property
    def origin(self) -> str:
        """The log's origin."""
        return self._log.origin

    @property
    def size(self) -> int:
        """How many of its entries are under its checkpoint."""
        return self._log.integrated

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def abandon(self) -> None:
        """Let go of the log without another word: it must not be signed any more."""
        self._log.abandon()
