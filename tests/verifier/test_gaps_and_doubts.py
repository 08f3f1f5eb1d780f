"""What is not broken but must be explained or vouched for: silence, clocks, age, erasures half done, ends lost, pruned beginnings."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lockgate.ledger.cosignature import Algorithm, Cosigner
from lockgate.ledger.entry import decode, time_text
from lockgate.ledger.note import Ed25519Signer
from lockgate.ledger.tiles import bundle
from lockgate.ledger.tree import EMPTY_ROOT
from support.produced import Produced
from support.tampering import all_entries, edited, rewrite, stated
from support.verifying import verifier

VERIFIED, BROKEN, _, NOT_VOUCHED, _, GAPS = range(6)


@pytest.fixture
def log(produced: Produced, tmp_path: Path) -> Path:
    """A copy of all logs, with the worker's in `gate-1`."""
    shutil.copy(produced.gate.folder / "keys/log.pub", tmp_path)
    shutil.copy(produced.gate.folder / "trust.policy", tmp_path)
    return Path(shutil.copytree(produced.gate.folder / "log", tmp_path / "log", ignore=shutil.ignore_patterns("lock")))


@pytest.fixture
def signer(produced: Produced) -> Ed25519Signer:
    return Ed25519Signer.from_skey((produced.gate.folder / "keys/log.key").read_text().strip())


def found(path: Path, key: Path, *more: str) -> tuple[int, set[str]]:
    """Exit status and names of findings with the logs' key only."""
    result = verifier._answer(verifier._parser().parse_args([str(path), "--key", str(key), *more]))
    return result.status, {kind for report in result.reports for kind in report.counts}


def last_boot(entries: Sequence[bytes]) -> int:
    return max(i for i, entry in enumerate(entries) if decode(entry)["kind"] == "boot")


def later(entry: bytes, seconds: int) -> bytes:
    moment = datetime.fromisoformat(str(decode(entry)["time"])) + timedelta(seconds=seconds)
    return edited(entry, time=time_text(moment))


def test_silence_while_the_gate_was_open_is_to_be_explained_and_between_its_runs_is_not(
    log: Path, signer: Ed25519Signer
) -> None:
    worker, key = log / "gate-1", log.parent / "log.pub"
    kept = all_entries(worker)
    boot = last_boot(kept)
    paused = [later(e, 90) if i >= boot else e for i, e in enumerate(kept)]
    rewrite(worker, paused, signer.renamed("gate/1"), old_checkpoints=False)
    assert found(worker, key) == (VERIFIED, set())
    silent = [later(e, 90) if i > boot + 1 else e for i, e in enumerate(kept)]
    rewrite(worker, silent, signer.renamed("gate/1"))
    assert found(worker, key) == (GAPS, {"silence"})
    assert found(worker, key, "--silence", "5m") == (VERIFIED, set())
    assert found(worker, key, "--silence", "0s") == (VERIFIED, set())


def test_a_record_from_after_its_own_cosignature_is_to_be_explained(log: Path, signer: Ed25519Signer) -> None:
    worker = log / "gate-1"
    witness = Cosigner("witness.example/clock", Algorithm.ED25519, bytes(32))
    policy = log.parent / "own.policy"
    policy.write_text(f"log {(log.parent / 'log.pub').read_text().strip()}\nwitness w {witness.key.vkey}\nquorum w\n")
    kept = all_entries(worker)
    rewrite(worker, kept, signer.renamed("gate/1"))
    note = (worker / "checkpoint").read_text()
    end = int(datetime.fromisoformat(str(decode(kept[-1])["time"])).timestamp())
    for moment, expected in ((end + 1, (VERIFIED, set())), (end - 3600, (GAPS, {"time-ahead"}))):
        line = witness.cosign(note.split("\n\n")[0] + "\n", moment)
        (worker / "checkpoint").write_text(note + line.text)
        assert found(worker, log.parent / "log.pub", "--policy", str(policy)) == expected


def test_old_records_and_old_cosignatures_are_stale_only_when_asked(log: Path, produced: Produced) -> None:
    key = log.parent / "log.pub"
    assert found(produced.earlier / "gate-1", key) == (VERIFIED, set())
    assert found(produced.earlier / "gate-1", key, "--max-age", "1s") == (NOT_VOUCHED, {"stale"})
    assert found(log / "gate-1", key, "--max-age", "1s") == (VERIFIED, set()), "it was closed in order"
    policy = ("--policy", str(log.parent / "trust.policy"))
    assert found(log, key, *policy, "--max-age", "1h") == (VERIFIED, set())
    time.sleep(2.1)  # cosignatures are dated to the second
    assert found(log, key, *policy, "--max-age", "1s") == (NOT_VOUCHED, {"stale"})


def test_an_erasure_that_was_never_reported_done(log: Path, signer: Ed25519Signer) -> None:
    worker, key = log / "gate-1", log.parent / "log.pub"
    kept = all_entries(worker)
    what = {"kind": "erasure", "day": "2026-11-22", "keys": ["0" * 32], "by": "ops", "reason": "r"}
    rewrite(
        worker, [*kept[:-1], edited(kept[-1], event="begun", **what)], signer.renamed("gate/1"), old_checkpoints=False
    )
    assert found(worker, key) == (GAPS, {"erasure-unfinished"})
    begun, done = edited(kept[-1], event="begun", **what), edited(kept[-1], event="done", **what)
    rewrite(worker, [*kept[:-1], begun, edited(done, n=int(str(decode(begun)["n"])) + 1)], signer.renamed("gate/1"))
    assert found(worker, key) == (VERIFIED, set())


def test_an_end_that_was_lost_is_told_apart_from_one_that_was_cut_off(log: Path, signer: Ed25519Signer) -> None:
    worker, key, next_ = log / "gate-1", log.parent / "log.pub", log / "gate-1~2"
    kept = all_entries(worker)
    rewrite(worker, kept[:60], signer.renamed("gate/1"), old_checkpoints=False)
    shutil.rmtree(worker / "wal", ignore_errors=True)
    assert found(log, key) == (BROKEN, {"rollback"})
    shutil.copytree(worker, next_)
    shutil.rmtree(next_ / "blob")
    (next_ / "checkpoint").write_text((worker / "checkpoint").read_text().replace("gate/1", "gate/1~2"))
    end = stated(worker)
    boot = edited(kept[0], origin="gate/1~2", previous={"size": 0, "root": EMPTY_ROOT.hex()}, keys=[],
                  succeeds={"origin": "gate/1", "size": end.size, "root": end.root.hex()})  # fmt: skip
    rewrite(next_, [boot], signer.renamed("gate/1~2"))
    assert found(log, key) == (GAPS, {"end-lost"})
    rewrite(
        next_,
        [edited(boot, succeeds={"origin": "gate/1", "size": 59, "root": end.root.hex()})],
        signer.renamed("gate/1~2"),
    )
    assert found(log, key) == (BROKEN, {"boot-mismatch", "end-lost"})


def test_a_pruned_beginning_needs_an_entry_that_says_so(log: Path, signer: Ed25519Signer) -> None:
    worker, key = log / "gate-1", log.parent / "log.pub"
    kept = all_entries(worker)
    assert len(kept) > 256
    (worker / "tile/entries/000").unlink()
    assert found(worker, key) == (BROKEN, {"entry-missing"})
    (worker / "tile/entries/000.p").mkdir(exist_ok=True)
    first = worker / "tile/entries/000.p/11"
    first.write_bytes(bundle(kept[:11]))
    assert "entry-missing" in found(worker, key)[1]
    said = edited(kept[-1], kind="policy", event="pruned", minimum=256)
    rewrite(worker, [*kept[:-1], said], signer.renamed("gate/1"), old_checkpoints=False)
    (worker / "tile/entries/000").unlink()
    assert found(worker, key) == (VERIFIED, set())
    first.parent.mkdir(exist_ok=True)
    first.write_bytes(bundle(kept[:11]))
    assert found(worker, key) == (VERIFIED, set()), "a copy may have more than the log"
    first.unlink()
    (worker / "tile/0/000").unlink()
    assert found(worker, key)[0] == BROKEN, "the hashes of what was pruned must stay"
