"""Pruning by policy: what goes, what stays, and that what stays can still be proven."""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass
from datetime import timedelta

import pytest

from lockgate.errors import LedgerError
from lockgate.ledger import tiles
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.entry import decode
from lockgate.ledger.note import split_note
from lockgate.ledger.proof import verify_proof
from lockgate.ledger.tree import verify_consistency
from lockgate.ledger.trust import TrustPolicy
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.ledger_reader import entries, minimum, open_text
from lockgate.storage.org_log import tile_consistency
from lockgate.storage.pruning import cut, prune
from lockgate.storage.receipts import receipt
from lockgate.testing.crash_files import CrashFiles, Killed
from support.crash_world import ORG, Clock

ROOT = "log/gate-1-1"
SIGNER = ORG.renamed("gate-1/1")
POLICY = TrustPolicy.parse(f"log {SIGNER.vkey}\nquorum none\n".encode())
DAY_THREE = "2026-11-24T00:00:00.000000Z"


@dataclass
class Stage:
    """A log of three days, 400 statements each, with short and long texts."""

    files: CrashFiles
    clock: Clock
    texts: list[str]
    heads: list[Checkpoint]


def opened(files: CrashFiles, clock: Clock) -> LedgerLog:
    return LedgerLog.open(
        ROOT, origin=SIGNER.name, signer=SIGNER, files=files, text_key=bytes(32), clock=clock, entropy=random.Random(0).randbytes,
        segment_bytes=1 << 16,
    )  # fmt: skip


def head(files: CrashFiles) -> Checkpoint:
    return Checkpoint.parse(split_note(files.read(f"{ROOT}/checkpoint"))[0])


@pytest.fixture(scope="module")
def stage() -> Stage:
    files, clock = CrashFiles(0), Clock()
    files.mkdir_all("log")
    log = opened(files, clock)
    texts, heads = [], []
    for day in range(3):
        for number in range(400):
            long_text = b"x" * 70_000 if number % 150 == 7 else b""
            name = log.seal_text("db", b"select %d %d -- " % (day, number) + long_text).name
            texts.append(name)
            log.append({"kind": "intent", "request": 1000 * day + number, "text": name, "database": "db"})
            if number % 50 == 49:
                log.commit()
                log.integrate()
                heads.append(head(files))
        clock.now += timedelta(days=1)
    log.close()
    return Stage(files, clock, texts, heads)


def pruned(stage: Stage) -> tuple[CrashFiles, int]:
    """A copy of the log with everything before the third day gone, the entry that says so included."""
    files = stage.files.image()
    to = cut(ROOT, files, DAY_THREE)
    log = opened(files, stage.clock)
    log.append({"kind": "policy", "event": "pruned", "minimum": to})
    log.commit()
    log.close()
    prune(ROOT, files, to)
    return files, to


def test_whole_bundles_older_than_the_time_go_and_nothing_newer(stage: Stage) -> None:
    files, to = pruned(stage)
    assert to == 768
    left = {index: decode(entry) for index, entry in entries(ROOT, files)}
    assert min(left) == minimum(ROOT, files) == to
    assert [e["request"] for e in left.values() if e["kind"] == "intent"][-400:] == list(range(2000, 2400))
    assert files.list(f"{ROOT}/tile/entries") == ["003", *[n for n in files.list(f"{ROOT}/tile/entries") if n > "003"]]
    assert cut(ROOT, stage.files, "2000") == 0
    assert cut(ROOT, stage.files, "3000") == 1024, "the last bundle stays, it is where the log goes on"


def test_every_proof_of_what_remains_holds(stage: Stage) -> None:
    files, to = pruned(stage)
    size = head(files).size
    for index in (to, to + 1, 1000, size - 1):
        entry, proof = receipt(ROOT, files, index)
        assert verify_proof(proof, entry, POLICY).checkpoint.size == size
    with pytest.raises(LedgerError, match="not stored any more"):
        receipt(ROOT, files, to - 1)
    for old in stage.heads:
        now = head(files)
        proof_ = tile_consistency(ROOT, files, old.size, now.size)
        assert verify_consistency(
            old_size=old.size, new_size=now.size, old_root=old.root, new_root=now.root, proof=proof_
        ), "hash tiles stay, so old checkpoints still lead to the newest"


def test_texts_go_with_their_day_and_those_that_remain_are_readable(stage: Stage) -> None:
    files, _ = pruned(stage)
    for name in stage.texts[800:]:
        open_text(ROOT, name, bytes(32), files=files)
    gone = 0
    for name in stage.texts[:400]:
        try:
            open_text(ROOT, name, bytes(32), files=files)
        except LedgerError:
            gone += 1
    assert gone == 400
    stored = {
        name
        for prefix in files.list(f"{ROOT}/blob")
        if len(prefix) == 2
        for name in files.list(f"{ROOT}/blob/{prefix}")
    }
    assert not stored & set(stage.texts[:400])


def test_a_pruned_log_opens_again_with_and_without_its_shortcut(stage: Stage) -> None:
    files, _ = pruned(stage)
    opened(files, stage.clock).close()
    files.unlink(f"{ROOT}/open-intents")
    log = opened(files, stage.clock)
    assert log.epoch == 4
    log.append({"kind": "heartbeat"})
    log.close()


def test_pruning_can_be_cut_off_anywhere_and_repeated(stage: Stage) -> None:
    plain, to = pruned(stage)
    expected = [entry for _, entry in entries(ROOT, plain)]
    for kill_at in range(1, 40):
        files = stage.files.image()
        files.kill_at = files.points + kill_at
        try:
            prune(ROOT, files, to)
            finished = True
        except Killed:
            finished = False
        files.crash()
        opened(files, Clock(stage.clock.now)).close()
        prune(ROOT, files, to)
        assert [e for i, e in entries(ROOT, files) if i < to + 300] == expected[:300]
        if finished:
            return
    raise AssertionError("it never finished")


def test_pruning_that_fails_says_so(stage: Stage) -> None:
    files = stage.files.image()
    files.fail("unlink", errno.EROFS, times=None)
    with pytest.raises(LedgerError, match="error 30"):
        prune(ROOT, files, 512)
    for wrong in (100, -256, 100 * tiles.WIDTH):
        with pytest.raises(LedgerError, match="whole bundles"):
            prune(ROOT, stage.files, wrong)
