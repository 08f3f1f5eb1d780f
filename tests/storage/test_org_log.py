"""The org log takes up workers' checkpoints, and none that contradicts what it took up before."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lockgate.errors import LedgerError
from lockgate.ledger.checkpoint import Checkpoint, sign_checkpoint
from lockgate.ledger.cosignature import Algorithm, Cosigner
from lockgate.ledger.entry import decode
from lockgate.ledger.note import Ed25519Signer, VerificationKey, open_note, split_note
from lockgate.ledger.tree import verify_consistency
from lockgate.ledger.witness import with_cosignatures
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.ledger_reader import entries
from lockgate.storage.org_log import WITNESSED, OrgLog, log_folder
from lockgate.testing.crash_files import CrashFiles
from support.verifying import verify

SEED = bytes(range(32))
ORG = Ed25519Signer("gate-1/org", SEED)
KEY = VerificationKey.from_text(ORG.vkey)


class Clock:
    """A clock that moves a little at every look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=7)
        return self.now


CLOCK = Clock()


def log(files: CrashFiles, origin: str, signer: Ed25519Signer | None = None) -> LedgerLog:
    return LedgerLog.open(
        log_folder("log", origin), origin=origin, signer=signer or ORG.renamed(origin), files=files, text_key=bytes(32), clock=CLOCK,
        entropy=random.Random(0).randbytes, segment_bytes=4096,
    )  # fmt: skip


def opened(files: CrashFiles) -> OrgLog:
    return OrgLog(ledger="log", gateway="gate-1", log=log(files, ORG.name), files=files, key=KEY)


def crashing() -> CrashFiles:
    files = CrashFiles(0)
    files.mkdir_all("log")
    return files


def work(worker: LedgerLog, count: int) -> None:
    for _ in range(count):
        worker.append({"kind": "heartbeat"})
    worker.commit()
    worker.integrate()


def stored(files: CrashFiles, kind: str) -> list[dict[str, object]]:
    found = [dict(decode(entry)) for _, entry in entries(log_folder("log", ORG.name), files)]
    return [fields for fields in found if fields["kind"] == kind]


def test_every_workers_checkpoint_is_taken_up_once_as_it_was_signed(tmp_path: Path) -> None:
    files = crashing()
    one, two = log(files, "gate-1/1"), log(files, "gate-1/2")
    org = opened(files)
    assert org.gather() == []
    work(one, 300)
    assert org.gather() == []
    assert org.gather() == []
    taken = stored(files, "checkpoint")
    assert [(e["origin"], e["size"]) for e in taken] == [("gate-1/1", 1), ("gate-1/2", 1), ("gate-1/1", 301)]
    assert str(taken[2]["note"]).encode() == files.read("log/gate-1-1/checkpoint")
    head = Checkpoint.parse(open_note(str(taken[2]["note"]).encode(), [KEY.renamed("gate-1/1")]))
    assert (head, taken[2]["root"]) == (org.last("gate-1/1"), head.root.hex())
    note = org.publish()
    assert Checkpoint.parse(open_note(note, [KEY])).size == 4
    for each in (one, two):
        each.close()
    org.close()
    files.dump(tmp_path)
    assert verify(tmp_path / log_folder("log", ORG.name), ORG.vkey).findings == []


def test_it_goes_on_where_it_was_with_and_without_its_shortcut() -> None:
    files = crashing()
    worker = log(files, "gate-1/1")
    for shortcut in (True, False):
        org = opened(files)
        work(worker, 10)
        org.gather()
        org.publish()
        org.close()
        if not shortcut:
            files.unlink(f"{log_folder('log', ORG.name)}/recorded")
        again = opened(files)
        assert again.last("gate-1/1") == org.last("gate-1/1")
        again.close()
    assert len(stored(files, "checkpoint")) == 2


def test_a_worker_that_lost_its_end_is_not_taken_up_and_said_once() -> None:
    files = crashing()
    worker = log(files, "gate-1/1")
    org = opened(files)
    image = {p: files.read(p) for p in ("log/gate-1-1/checkpoint",)}
    work(worker, 20)
    org.gather()
    files.unlink("log/gate-1-1/checkpoint")
    handle = files.open_append("log/gate-1-1/checkpoint")
    files.write(handle, image["log/gate-1-1/checkpoint"], 0)
    (problem,) = org.gather()
    assert (problem.origin, problem.kind) == ("gate-1/1", "rollback")
    assert org.gather() == []
    (said,) = stored(files, "admin")
    assert (said["event"], said["origin"], said["size"], said["recorded"]) == ("log-rollback", "gate-1/1", 1, 21)


def _replaced(files: CrashFiles, note: bytes) -> None:
    files.unlink("log/gate-1-1/checkpoint")
    files.write(files.open_append("log/gate-1-1/checkpoint"), note, 0)


@pytest.mark.parametrize(("size", "kind"), [(21, "checkpoint-fork"), (22, "checkpoint-fork"), (30, "tile-missing")])
def test_another_history_under_the_gates_own_key_is_found(size: int, kind: str) -> None:
    files = crashing()
    worker, org = log(files, "gate-1/1"), opened(files)
    work(worker, 20)
    org.gather()
    work(worker, 1)
    forged = Checkpoint("gate-1/1", size, bytes(32))
    _replaced(files, sign_checkpoint(forged, ORG.renamed("gate-1/1")))
    assert [p.kind for p in org.gather()] == [kind]
    assert len(stored(files, "checkpoint")) == 1


def test_a_strangers_checkpoint_and_another_gates_folder_are_not_taken_up() -> None:
    files = crashing()
    log(files, "gate-1/1", Ed25519Signer("gate-1/1", bytes(32)))
    log(files, "gate-2/1", Ed25519Signer("gate-2/1", SEED))
    org = opened(files)
    assert [(p.origin, p.kind) for p in org.gather()] == [("gate-1-1", "bad-signature")]
    assert stored(files, "checkpoint") == []


def test_policies_and_keys_are_noted_when_they_change() -> None:
    files = crashing()
    org = opened(files)
    for digest in ("a", "a", "b"):
        org.note_fact("policy", digest, {"event": "files", "files": {"one.cedar": digest}})
    org.publish()
    org.close()
    again = opened(files)
    again.note_fact("policy", "b", {"event": "files"})
    again.publish()
    assert [e["digest"] for e in stored(files, "policy")] == ["a", "b"]


def test_a_cosigned_checkpoint_is_kept_beside_and_as_the_newest_one() -> None:
    files = crashing()
    worker, org = log(files, "gate-1/1"), opened(files)
    org.gather()
    witness = Cosigner("witness.example/w", Algorithm.ED25519, bytes(32))
    first = org.publish()
    cosigned = with_cosignatures(first, [witness.cosign(split_note(first)[0], 5)])
    org.cosigned(cosigned)
    folder = log_folder("log", ORG.name)
    assert files.read(f"{folder}/{WITNESSED}") == files.read(f"{folder}/checkpoint") == cosigned
    work(worker, 5)
    org.gather()
    second = org.publish()
    org.cosigned(cosigned)  # the answer came late
    assert files.read(f"{folder}/checkpoint") == second
    old, new = (Checkpoint.parse(split_note(n)[0]) for n in (first, second))
    proof = org.consistency(old.size, new.size)
    assert verify_consistency(old_size=old.size, new_size=new.size, old_root=old.root, new_root=new.root, proof=proof)
    org.close()
    opened(files).close()


def test_what_cannot_be_written_is_taken_up_again_later() -> None:
    files = crashing()
    worker, org = log(files, "gate-1/1"), opened(files)
    work(worker, 3)
    files.fail("fdatasync", 28, times=3)
    org.gather()
    with pytest.raises(LedgerError):
        org.publish()
    files.heal()
    org.publish()
    assert [e["size"] for e in stored(files, "checkpoint")] == [4]


def test_a_time_stamp_is_kept_with_the_checkpoint_that_it_is_for() -> None:
    files = crashing()
    org = opened(files)
    note = org.publish()
    org.stamped(note, b"token")
    folder = f"{log_folder('log', ORG.name)}/timestamps"
    assert files.list(folder) == ["1.checkpoint", "1.tsr"]
    assert files.read(f"{folder}/1.checkpoint") == note
    files.fail("write", 28)
    with pytest.raises(LedgerError, match="time stamp"):
        org.stamped(note, b"token")
