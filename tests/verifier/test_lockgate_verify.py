"""The verifier finds every kind of tampering, each by its name, and never answers with a traceback."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import zipapp
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lockgate.ledger import tiles
from lockgate.ledger.checkpoint import Checkpoint, sign_checkpoint
from lockgate.ledger.entry import decode, encode
from lockgate.ledger.note import Ed25519Signer
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.port import RealFiles
from support.tampering import all_entries, edited, flip, rewrite
from support.verifying import PROGRAM, verifier, verify

SECOND = b'{"epoch":1,"kind":"heartbeat","n":3,"time":"2026-11-22T10:00:00.000000Z","v":2}'
SIGNER = Ed25519Signer("gw/1", bytes(range(32)))
COUNT = 400
Change = Callable[[dict[str, object]], None]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of two epochs, more than one tile, with several checkpoints and texts."""
    root = tmp_path_factory.mktemp("honest") / "gw-1"
    moments = (datetime(2026, 11, 22, 10, tzinfo=UTC) + timedelta(seconds=i) for i in range(10_000))

    def opened() -> LedgerLog:
        return LedgerLog.open(
            str(root), origin="gw/1", signer=SIGNER, files=RealFiles(), text_key=bytes(32), clock=lambda: next(moments),
            entropy=random.Random(1).randbytes, segment_bytes=1 << 16,
        )  # fmt: skip

    log = opened()
    for number in range(COUNT // 2):
        text = log.seal_text("shop", b"select %d" % number if number else b"x" * 70_000).name
        index = log.append({"kind": "intent", "request": number, "database": "shop", "text": text})
        log.append({"kind": "outcome", "intent": index, "status": "complete"})
        log.commit()
        if number in {20, 140}:
            log.integrate()
    log.close()
    opened().close()
    return root


@pytest.fixture
def log(honest: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(honest, tmp_path / "gw-1"))


def kinds(log: Path) -> set[str]:
    return {kind for kind, _, _ in verify(log, SIGNER.vkey).findings}


def test_an_honest_log_is_verified(log: Path) -> None:
    report = verify(log, SIGNER.vkey)
    assert report.findings == []
    assert (report.size, report.texts, report.pending, report.open_intents) == (COUNT + 4, COUNT // 2, 0, 0)


def test_a_flipped_bit_in_an_entry(log: Path) -> None:
    flip(log / tiles.entries_path(0), 5000)
    found = verify(log, SIGNER.vkey).findings
    assert "entry-changed" in {kind for kind, _, _ in found}


def test_a_flipped_bit_in_any_byte_of_a_bundle(log: Path) -> None:
    path = log / tiles.entries_path(0)
    original = path.read_bytes()
    for position in random.Random(1).sample(range(len(original)), 25):
        flip(path, position)
        assert kinds(log) & {"entry-changed", "entry-missing"}, position
        path.write_bytes(original)


@pytest.mark.parametrize("path", ["tile/0/000", f"tile/0/001.p/{COUNT + 4 - 256}", "tile/1/000.p/1"])
def test_a_flipped_bit_in_a_tile(log: Path, path: str) -> None:
    flip(log / path)
    assert kinds(log) == {"tile-changed"}


def test_a_missing_tile(log: Path) -> None:
    (log / "tile/0/000").unlink()
    assert kinds(log) == {"tile-missing"}


def test_an_old_partial_copy_that_differs(log: Path) -> None:
    folder = log / "tile/entries/001.p"
    assert len(list(folder.iterdir())) > 1, "there are older partial copies to change"
    flip(min(folder.iterdir(), key=lambda path: int(path.name)), 40)
    assert kinds(log) == {"entry-changed"}


def test_a_flipped_bit_anywhere_in_the_checkpoint(log: Path) -> None:
    original = (log / "checkpoint").read_bytes()
    for position in range(len(original)):
        flip(log / "checkpoint", position)
        assert kinds(log) & {"bad-signature", "unknown-key"}, position
        (log / "checkpoint").write_bytes(original)


def test_a_flipped_bit_in_a_text(log: Path) -> None:
    (single,) = (path for path in log.glob("blob/??/*") if len(path.name) == 64)
    flip(single, 1000)
    assert kinds(log) == {"blob-changed"}
    flip(single, 1000)
    flip(next(iter(sorted((log / "blob/packs").iterdir()))), 60)
    assert "blob-changed" in kinds(log)


def test_a_missing_text_unless_its_erasure_is_an_entry(log: Path) -> None:
    shutil.rmtree(log / "blob")
    assert kinds(log) == {"blob-missing"}
    entries = all_entries(log)
    last = decode(entries[-1])
    entries[-1] = encode({**last, "kind": "erasure", "database": "shop", "day": "2026-11-22", "reason": "request 7"})
    rewrite(log, entries, SIGNER, old_checkpoints=False)
    report = verify(log, SIGNER.vkey)
    assert report.findings == []
    assert report.texts_erased == COUNT // 2


def test_a_dropped_record_with_tiles_rewritten_to_fit(log: Path) -> None:
    entries = all_entries(log)
    rewrite(log, entries[:100] + entries[101:], None)
    assert {"entry-missing", "counter-gap"} <= kinds(log)


def test_a_dropped_record_signed_again(log: Path) -> None:
    entries = all_entries(log)
    rewrite(log, entries[:100] + entries[101:], SIGNER, old_checkpoints=False)
    assert "counter-gap" in kinds(log)


def test_a_replaced_record_with_tiles_rewritten_to_fit(log: Path) -> None:
    entries = all_entries(log)
    entries[101] = edited(entries[101], request=99_999)
    rewrite(log, entries, None)
    assert kinds(log) >= {"root-mismatch", "checkpoint-fork"}


def test_a_dropped_tail(log: Path) -> None:
    shutil.rmtree(log / "tile/entries/001.p")
    assert kinds(log) == {"entry-missing"}


def test_a_dropped_tail_with_the_older_checkpoint_put_back(log: Path) -> None:
    older = sorted((log / "checkpoints").iterdir(), key=lambda path: int(path.name))
    shutil.copy(older[0], log / "checkpoint")
    assert kinds(log) == {"rollback"}
    for newer in older[1:]:
        newer.unlink()
    assert kinds(log) == {"rollback"}, "the tiles still show it"


def test_swapped_records(log: Path) -> None:
    entries = all_entries(log)
    entries[7], entries[9] = entries[9], entries[7]
    rewrite(log, entries, None)
    assert {"root-mismatch", "counter-gap", "time-backwards"} <= kinds(log)
    rewrite(log, entries, SIGNER, old_checkpoints=False)
    assert {"counter-gap", "time-backwards"} <= kinds(log)


def test_a_second_history_signed_with_the_same_key(log: Path) -> None:
    entries = all_entries(log)
    entries[11] = edited(entries[11], request=99_999)
    rewrite(log, entries, SIGNER)
    assert "checkpoint-fork" in kinds(log)


def test_a_reused_epoch(log: Path) -> None:
    entries = [edited(entry, epoch=1) for entry in all_entries(log)]
    rewrite(log, entries, SIGNER, old_checkpoints=False)
    assert "epoch-reused" in kinds(log)


@pytest.mark.parametrize(
    ("index", "fields", "kind"),
    [
        (5, {"v": 1, "epoch": 9}, "boot-missing"),
        (0, {"previous": {"size": 3, "root": ""}}, "boot-mismatch"),
        (COUNT + 2, {"previous": {"size": COUNT + 2, "root": "00"}}, "boot-mismatch"),
        (COUNT + 2, {"origin": "other"}, "boot-mismatch"),
        (2, {"intent": 2}, "outcome-without-intent"),
        (4, {"intent": 1}, "outcome-twice"),
        (4, {"status": "fine"}, "entry-malformed"),
        (4, {"intent": -1}, "entry-malformed"),
        (3, {"text": "../../etc/passwd"}, "entry-malformed"),
        (3, {"text": "0" * 64}, "blob-missing"),
        (3, {"time": "2025-01-01T00:00:00.000000Z"}, "time-backwards"),
        (0, {"n": 1}, "counter-gap"),
        (3, {"session": "one", "s": "1"}, "entry-malformed"),
        (3, {"kind": "checkpoint", "origin": "o", "size": 1, "root": "00" * 32}, "entry-malformed"),
        (3, {"kind": "checkpoint", "origin": "o", "size": -1, "root": "00" * 32, "note": ""}, "entry-malformed"),
        (3, {"kind": "checkpoint", "origin": "o", "size": 1, "root": "00", "note": ""}, "entry-malformed"),
    ],
)
def test_a_history_that_contradicts_itself(log: Path, index: int, fields: dict[str, object], kind: str) -> None:
    entries = all_entries(log)
    entries[index] = edited(entries[index], **fields)
    rewrite(log, entries, SIGNER, old_checkpoints=False)
    assert kind in kinds(log)


def test_an_intent_without_outcome_from_before_a_later_start(log: Path) -> None:
    entries = all_entries(log)
    entries[2] = edited(entries[2], kind="heartbeat")
    rewrite(log, entries, SIGNER, old_checkpoints=False)
    assert kinds(log) == {"boot-mismatch"}, "the next start has only ended: its first statement is yet to come"
    entries[-1] = edited(entries[-1], kind="heartbeat")
    rewrite(log, entries, SIGNER, old_checkpoints=False)
    assert kinds(log) == {"boot-mismatch", "outcome-missing"}


def test_a_log_without_its_checkpoint_was_longer_once(log: Path) -> None:
    (log / "checkpoint").unlink()
    assert kinds(log) == {"rollback"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--recount", "color=red"], "is not a filter"),
        (["--recount", "principal='ann"], "quotation"),
        (["--recount", "since=yesterday"], "is not a time"),
        (["--max-age", "soon"], "is not a duration"),
        (["--expect", "3"], "need --recount"),
        (["--seen", "NOTHING"], "--seen"),
        (["--recount", "principal=ann", "--claim", "NOTHING"], "neither an object nor an index"),
        (["--policy", "NOTHING"], "line 1 of the policy file"),
        (["--policy", "EMPTY"], "no `quorum` line"),
    ],
)
def test_questions_that_cannot_be_answered_are_said_to_be_so(
    log: Path, key: Path, arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "NOTHING").write_text("nothing at all\n")
    (tmp_path / "EMPTY").write_text("# nobody\n")
    given = [str(tmp_path / word) if word in ("NOTHING", "EMPTY") else word for word in arguments]
    assert verifier.run([str(log), "--key", str(key), *given]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "entry",
    [
        SECOND,
        b"",
        b"{",
        b"[]",
        b"[" * 60_000,
        b"\xff\xfe",
        b'{"v":1,"v":1}',
        b'{"v":NaN}',
        b'{"v":1' + b"0" * 6000 + b"}",
    ],
    ids=range(9),
)
def test_entries_that_are_no_entries(log: Path, entry: bytes) -> None:
    entries = all_entries(log)
    entries[3] = entry
    rewrite(log, entries, SIGNER, old_checkpoints=False)
    assert "entry-malformed" in kinds(log)


def test_an_entry_that_says_something_twice(log: Path) -> None:
    entries = all_entries(log)
    assert entries[3].endswith(b'"v":1}')
    entries[3] = entries[3][:-1] + b',"v":1}'
    rewrite(log, entries, SIGNER, old_checkpoints=False)
    assert "entry-malformed" in kinds(log)


def test_a_key_that_did_not_sign(log: Path) -> None:
    other = Ed25519Signer("gw/1", bytes(32))
    assert {kind for kind, _, _ in verify(log, other.vkey).findings} == {"unknown-key"}
    both = f"{other.vkey}\n{SIGNER.vkey}\n"
    assert verify(log, both).findings == []


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "log.pub"
    path.write_text(SIGNER.vkey + "\n")
    return path


def test_the_program_says_so_in_words_in_json_and_by_its_exit_status(log: Path, key: Path) -> None:
    good = run(PROGRAM, log, "--key", key)
    assert (good.returncode, good.stderr) == (0, "")
    assert "VERIFIED" in good.stdout
    assert json.loads(run(PROGRAM, log, "--key", key, "--json").stdout)["verified"] is True
    flip(log / "tile/0/000")
    bad = run(PROGRAM, log, "--key", key)
    assert bad.returncode == 1
    assert "BROKEN: 1 finding (tile-changed)" in bad.stdout
    report = json.loads(run(PROGRAM, log, "--key", key, "--json").stdout)
    assert [finding["kind"] for log_ in report["logs"] for finding in log_["findings"]] == ["tile-changed"]


def test_the_program_runs_as_a_zipapp_and_needs_nothing_of_the_package(log: Path, key: Path, tmp_path: Path) -> None:
    source = tmp_path / "app"
    source.mkdir()
    shutil.copy(PROGRAM, source)
    zipapp.create_archive(source, tmp_path / "verify.pyz", main="lockgate_verify:main")
    assert run(tmp_path / "verify.pyz", log, "--key", key).returncode == 0
    assert "lockgate." not in PROGRAM.read_text()


@pytest.mark.parametrize("content", ["", "nonsense", "a+b+c", "gw/1+00000000+AAAA", "\x00" * 50])
def test_a_key_file_that_is_none_is_unusable(log: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    assert verifier.run([str(log), "--key", str(tmp_path / "key")]) == 2


def test_a_folder_that_is_no_log_is_unusable(tmp_path: Path, key: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing", key):
        result = run(PROGRAM, folder, "--key", key)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr
    assert verifier.run([]) == 2


def test_symbolic_links_pipes_and_long_files_are_not_read(log: Path, key: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.move(log / "tile/entries/000", outside / "000")
    (log / "tile/entries/000").symlink_to(outside / "000")
    assert "entry-missing" in kinds(log)
    (log / "tile/entries/000").unlink()
    os.mkfifo(log / "tile/entries/000")
    assert "entry-missing" in kinds(log)
    (log / "tile/entries/000").unlink()
    shutil.move(log / "tile", outside / "tile")
    (log / "tile").symlink_to(outside / "tile")
    assert "entry-missing" in kinds(log)
    with (log / "checkpoint").open("wb") as stream:
        stream.truncate(1 << 29)
    assert verifier.run([str(log), "--key", str(key)]) == 2


def test_a_checkpoint_of_an_absurd_size_ends_soon(log: Path) -> None:
    (log / "checkpoint").write_bytes(sign_checkpoint(Checkpoint("gw/1", 9 * 10**18, bytes(32)), SIGNER))
    assert "entry-missing" in kinds(log)


def test_random_damage_is_always_found_and_never_a_traceback(log: Path, tmp_path: Path) -> None:
    dice = random.Random(7)
    paths = [
        p for p in log.rglob("*") if p.is_file() and p.parent.name != "wal" and p.name not in {"lock", "open-intents"}
    ]
    for _ in range(60):
        path = dice.choice(paths)
        original = path.read_bytes()
        damage = dice.choice([b"", dice.randbytes(50), original[: len(original) // 2], original + b"x"])
        path.write_bytes(damage)
        assert kinds(log), path
        path.write_bytes(original)
    assert kinds(log) == set()
