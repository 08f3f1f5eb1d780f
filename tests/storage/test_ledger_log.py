"""The log on files that crash and fail: what commit called durable is there afterwards, and the verifier agrees."""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger.entry import decode
from lockgate.ledger.note import Ed25519Signer, VerificationKey
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.ledger_reader import entries
from lockgate.storage.log_state import CommitResult
from lockgate.storage.port import Files, RealFiles
from lockgate.testing.crash_files import CrashFiles
from support.verifying import verify

ROOT = "log/gw-1"
SIGNER = Ed25519Signer("gw/1", bytes(range(32)))


class Clock:
    """A clock that moves a little at every look, and can be set."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=7)
        return self.now


def opened(
    files: Files, *, seed: int = 0, root: str = ROOT, clock: Clock | None = None, kept: int = 1 << 20
) -> LedgerLog:
    return LedgerLog.open(
        root,
        origin="gw/1",
        signer=SIGNER,
        files=files,
        text_key=bytes(32),
        clock=clock or Clock(),
        entropy=random.Random(seed).randbytes,
        segment_bytes=4096,
        kept_bytes_max=kept,
    )


def crashing(seed: int = 0) -> CrashFiles:
    files = CrashFiles(seed)
    files.mkdir_all("log")
    return files


def stored(files: Files) -> list[Mapping[str, object]]:
    return [decode(entry) for _, entry in entries(ROOT, files)]


def health(log: LedgerLog) -> str:
    return "healthy" if log.healthy else "failing"


def intent(number: int) -> dict[str, object]:
    return {"kind": "intent", "session": "s", "request": number}


def findings(files: CrashFiles, folder: Path) -> list[str]:
    files.dump(folder)
    report = verify(folder / ROOT, SIGNER.vkey)
    return [f"{kind} {index} {sentence}" for kind, index, sentence in report.findings]


def test_a_new_log_begins_with_boot_and_ends_with_close(tmp_path: Path) -> None:
    files = crashing()
    log = opened(files)
    assert log.append(intent(1)) == 1
    assert log.commit() == CommitResult(2)
    assert (log.size, log.integrated, log.lag, log.healthy) == (2, 1, 1, True)
    log.append({"kind": "outcome", "intent": 1, "status": "complete", "rows": 3})
    log.close()
    found = stored(files)
    assert [entry["kind"] for entry in found] == ["boot", "intent", "outcome", "close"]
    assert [entry["n"] for entry in found] == [0, 1, 2, 3]
    assert findings(files, tmp_path) == []
    with pytest.raises(LedgerError, match="closed"):
        log.append(intent(2))


def test_appending_does_no_input_or_output() -> None:
    files = crashing()
    log = opened(files)
    calls = files.calls
    log.append(intent(1))
    log.seal_text("db", b"select 1")
    assert files.calls == calls


def test_a_group_is_one_write_and_one_sync() -> None:
    files = crashing()
    log = opened(files)
    for number in range(20):
        log.append(intent(number))
    calls = files.calls
    assert log.commit().durable == 21
    assert files.calls == calls + 2
    assert log.commit().durable == 21
    assert files.calls == calls + 2, "nothing to commit costs nothing"


def test_intents_cut_off_by_a_crash_get_an_unknown_outcome(tmp_path: Path) -> None:
    files = crashing()
    log = opened(files)
    done, cut = log.append(intent(1)), log.append(intent(2))
    log.append({"kind": "outcome", "intent": done, "status": "complete"})
    log.commit()
    files.crash()
    log = opened(files)
    last = stored(files)[-1]
    assert (last["kind"], last["intent"], last["status"]) == ("outcome", cut, "unknown")
    assert log.epoch == 2
    assert findings(files, tmp_path) == []
    files.crash()
    opened(files)
    assert [e["kind"] for e in stored(files)[-2:]] == ["outcome", "boot"], "an unknown outcome is written once"


def test_a_failed_sync_reports_nothing_durable_and_gives_the_indices_again(tmp_path: Path) -> None:
    files = crashing()
    log = opened(files)
    files.fail("fdatasync", errno.EIO)
    dropped = log.append(intent(1))
    kept = log.append({"kind": "heartbeat"}, keep=True)
    assert log.commit() == CommitResult(1, failed=(dropped,))
    assert kept == 2, "what accounts for the dropped one takes its place, before the kept one"
    assert health(log) == "failing"
    assert log.append(intent(2)) == 3
    assert log.commit() == CommitResult(4)
    assert health(log) == "healthy"
    files.crash()
    opened(files)
    kinds = [entry["kind"] for entry in stored(files)]
    assert kinds == ["boot", "admin", "heartbeat", "intent", "boot", "outcome"]
    account = stored(files)[1]
    assert (account["event"], account["dropped"], account["sessions"]) == ("entries-dropped", 1, {})
    assert findings(files, tmp_path) == []


def test_an_outcome_of_a_dropped_intent_is_dropped_with_it() -> None:
    files = crashing()
    log = opened(files)
    files.fail("write", errno.EIO)
    first = log.append(intent(1))
    second = log.append({"kind": "outcome", "intent": first, "status": "complete"}, keep=True)
    assert log.commit().failed == (first, second)


def test_an_outcome_follows_a_kept_intent_to_its_new_index() -> None:
    files = crashing()
    log = opened(files)
    files.fail("write", errno.EIO)
    log.append(intent(1))
    log.append(intent(2))
    moved = log.append(intent(3), keep=True)
    log.append({"kind": "outcome", "intent": moved, "status": "complete"}, keep=True)
    assert log.commit().moved == {3: 2, 4: 3}
    log.commit()
    assert stored(files)[-1]["intent"] == 2


def test_a_full_disk_refuses_and_then_the_log_recovers_by_itself(tmp_path: Path) -> None:
    files = crashing()
    log = opened(files)
    files.fail("write", errno.ENOSPC, times=None)
    for number in range(5):
        log.append({**intent(number), "s": 10 + number})
        outcome = log.append({"kind": "heartbeat", "request": number}, keep=True)
        result = log.commit()
        assert result.durable == 1
        assert outcome not in result.failed
        assert not log.healthy
        log.integrate()
    files.heal()
    assert log.commit().durable == 7
    assert log.healthy
    assert [entry.get("request") for entry in stored(files)[1:]] == [None, 0, 1, 2, 3, 4]
    assert stored(files)[1]["sessions"] == {"s": [10, 14]}, "which numbers of the session are missing, and why"
    assert stored(files)[1]["dropped"] == 5
    log.close()
    assert findings(files, tmp_path) == []


def test_an_idle_log_that_failed_recovers_at_the_next_commit() -> None:
    files = crashing()
    log = opened(files)
    files.fail("fdatasync", errno.EIO)
    log.append({"kind": "heartbeat"}, keep=True)
    log.commit()
    assert not log.healthy
    assert log.commit() == CommitResult(2)
    assert log.healthy


def test_a_suspended_log_drops_statements_and_keeps_on_recording(tmp_path: Path) -> None:
    files = crashing()
    log = opened(files)
    log.suspended = True
    refused = log.append({**intent(1), "s": 4})
    kept = log.append({"kind": "heartbeat"}, keep=True)
    assert log.commit() == CommitResult(1, failed=(refused,)), "nothing dropped lies below `durable`"
    assert (kept, log.healthy) == (2, True)
    also = log.append({**intent(2), "s": 5})
    assert also == 3
    assert log.commit() == CommitResult(3, failed=(also,)), "what was kept is written though more is refused"
    assert [entry["kind"] for entry in stored(files)] == ["boot", "admin", "heartbeat"]
    assert stored(files)[1]["sessions"] == {"s": [4, 4]}
    log.suspended = False
    assert log.append(intent(3)) == 4
    assert log.commit() == CommitResult(5)
    assert stored(files)[3]["sessions"] == {"s": [5, 5]}
    log.close()
    assert findings(files, tmp_path) == []


def test_a_busy_log_keeps_few_checkpoints_and_every_start_and_end() -> None:
    files, clock = crashing(), Clock()
    log = opened(files, clock=clock)
    for number in range(30):
        log.append(intent(number))
        log.commit()
        log.integrate()
        clock.now += timedelta(seconds=60)
    assert sorted(map(int, files.list(f"{ROOT}/checkpoints"))) == [1, 12, 22]
    log.close()
    assert sorted(map(int, files.list(f"{ROOT}/checkpoints"))) == [1, 12, 22, 32]


def test_waiting_entries_are_bounded() -> None:
    files = crashing()
    log = opened(files, kept=300)
    for _ in range(3):
        log.append({"kind": "heartbeat"}, keep=True)
    with pytest.raises(LedgerError, match="too many"):
        log.append({"kind": "heartbeat"}, keep=True)
    log.commit()
    log.append({"kind": "heartbeat"}, keep=True)


def test_integration_that_fails_is_repeated_without_a_second_copy(tmp_path: Path) -> None:
    operations = ("open_append", "write", "fdatasync", "link", "unlink", "rename", "fsync_dir", "mkdir", "read")
    for operation in operations:
        for at in range(1, 14):
            files = crashing()
            log = opened(files)
            for number in range(300):
                log.append(intent(number))
            log.seal_text("db", b"select %d" % number)
            log.commit()
            files.fail(operation, errno.EIO, at=at)
            try:
                log.integrate()
            except LedgerError:
                log.append(intent(301))
                log.commit()
            files.heal()
            log.integrate()
            assert log.lag == 0
            log.close()
            assert findings(files, tmp_path / f"{operation}{at}") == []


def test_time_never_runs_backwards_and_the_clock_is_kept_beside_it(tmp_path: Path) -> None:
    files, clock = crashing(), Clock()
    log = opened(files, clock=clock)
    clock.now -= timedelta(hours=1)
    log.append(intent(1))
    log.commit()
    last = stored(files)[-1]
    assert str(last["clock"]) < str(last["time"]) == str(stored(files)[0]["time"])
    files.crash()
    opened(files, clock=clock).close()
    assert findings(files, tmp_path) == []


def test_a_second_opener_is_refused_and_files_are_real(tmp_path: Path) -> None:
    root = str(tmp_path / "gw-1")
    log = opened(RealFiles(), root=root)
    with pytest.raises(LedgerError, match="another process"):
        opened(RealFiles(), root=root)
    for number in range(600):
        log.append({**intent(number), "text": log.seal_text("db", b"select %d" % number).name, "database": "db"})
        if number % 50 == 0:
            log.commit()
            log.integrate(limit=20)
    log.close()
    opened(RealFiles(), root=root).close()
    report = verify(Path(root), SIGNER.vkey)
    assert report.findings == []
    assert (report.size, report.texts, report.pending) == (600 + 600 + 4, 600, 0)
    assert (Path(root) / "checkpoint").stat().st_mode & 0o777 == 0o600


def test_a_rotated_key_is_trusted_only_when_named() -> None:
    files = crashing()
    opened(files).close()
    new = Ed25519Signer("gw/1", bytes(32))

    def reopened(trusted: list[VerificationKey]) -> LedgerLog:
        return LedgerLog.open(
            ROOT, origin="gw/1", signer=new, files=files, text_key=bytes(32), clock=Clock(),
            entropy=random.Random(0).randbytes, trusted=trusted, segment_bytes=4096,
        )  # fmt: skip

    with pytest.raises(CorruptLedgerError, match="bad-signature"):
        reopened([])
    reopened([VerificationKey.from_text(SIGNER.vkey)]).close()


def test_what_is_stored_must_agree_with_the_checkpoint() -> None:
    def broken(path: str, change: bytes | None) -> str:
        files = crashing()
        log = opened(files)
        for number in range(10):
            log.append(intent(number))
        log.close()
        if change is None:
            files.unlink(path)
        else:
            handle = files.open_append(path)
            files.write(handle, change, 40)
        with pytest.raises(CorruptLedgerError) as caught:
            opened(files)
        return caught.value.kind

    assert broken(f"{ROOT}/checkpoint", b"A") == "bad-signature"
    assert broken(f"{ROOT}/checkpoint", None) == "rollback"
    assert broken(f"{ROOT}/tile/entries/000.p/12", None) == "rollback"
    assert broken(f"{ROOT}/tile/0/000.p/12", None) == "rollback"
    assert broken(f"{ROOT}/tile/entries/000.p/12", b"?") == "entry-changed"
    assert broken(f"{ROOT}/tile/0/000.p/12", b"?") == "entry-changed"


def test_an_older_checkpoint_put_back_is_found_at_opening() -> None:
    files = crashing()
    log = opened(files)
    old = files.read(f"{ROOT}/checkpoint")
    log.close()
    handle = files.open_append(f"{ROOT}/checkpoint")
    files.truncate(handle, 0)
    files.write(handle, old, 0)
    with pytest.raises(CorruptLedgerError, match="rollback"):
        opened(files)


def _one_life(files: CrashFiles, dice: random.Random, promised: dict[int, int], clock: Clock) -> None:
    """Open, work with errors now and then, and note for every durable index what was promised to be there."""
    try:
        log = opened(files, seed=dice.randrange(1 << 30), clock=clock)
    except OSError as error:
        raise AssertionError("an operating system error came through") from error
    except CorruptLedgerError:
        raise
    except LedgerError:
        return
    numbers: dict[int, int] = {}
    for _ in range(dice.randrange(12)):
        if dice.random() < 0.15:
            operation = dice.choice(["write", "fdatasync", "fsync_dir", "link", "rename", "open_append", "any"])
            files.fail(
                operation, dice.choice([errno.EIO, errno.ENOSPC]), at=dice.randint(1, 6), times=dice.choice([1, 2])
            )
        for _ in range(dice.randrange(1, 40)):
            number = dice.randrange(1 << 40)
            text = log.seal_text("db", b"select %d" % dice.randrange(50)).name
            fields = {**intent(number), "text": text, "database": "db", "padding": "x" * dice.randrange(200)}
            numbers[log.append(fields, keep=dice.random() < 0.2)] = number
        result = log.commit()
        for index in result.failed:
            del numbers[index]
        numbers = {result.moved.get(index, index): number for index, number in numbers.items()}
        promised.update((index, number) for index, number in numbers.items() if index < result.durable)
        numbers = {index: number for index, number in numbers.items() if index >= result.durable}
        if dice.random() < 0.4:
            try:
                log.integrate(limit=dice.choice([None, 10]))
            except CorruptLedgerError:
                raise
            except LedgerError:
                pass
    if dice.random() < 0.2:
        files.heal()
        log.close()


@pytest.mark.parametrize("seed", [*range(100), 437])  # 437 once found a temporary file written twice
def test_no_acknowledged_entry_is_lost_whatever_crashes_and_fails(seed: int, tmp_path: Path) -> None:
    files, dice, clock = crashing(seed), random.Random(seed), Clock()
    promised: dict[int, int] = {}
    for _ in range(4):
        if dice.random() < 0.3:
            files.fail("any", errno.EIO, at=dice.randint(1, 60))
        _one_life(files, dice, promised, clock)
        files.crash()
    opened(files, seed=seed, clock=clock)
    found = stored(files)
    assert {index: found[index].get("request") for index in promised} == promised
    assert findings(files, tmp_path) == []


def test_entries_made_from_a_template_are_the_entries_that_append_makes() -> None:
    clock = Clock()
    log = opened(files := crashing(), clock=clock)
    intent = log.template({"kind": "intent", "b": "%d"}, ("s", "text"))
    outcome = log.template({"kind": "outcome", "status": "complete"}, ("affected", "intent", "rows"))
    began = log.size
    first = log.append_filled(intent, (), (1, b"name"))
    log.append_filled(outcome, (7, first), (8,), keep=True)
    clock.now -= timedelta(hours=1)
    second = log.append_filled(intent, (), (2, b"other"))
    assert log.commit().durable == began + 3
    filled = stored(files)[-3:]
    assert [entry["n"] for entry in filled] == list(range(began, began + 3))
    assert {"s": 1, "text": "name", "b": "%d", "kind": "intent"}.items() <= filled[0].items()
    assert {"affected": 7, "intent": first, "rows": 8, "status": "complete"}.items() <= filled[1].items()
    assert str(filled[2]["clock"]) < str(filled[2]["time"]) == str(filled[1]["time"])
    log.close()
    # The open intents are followed for filled entries too: only the second has no outcome.
    again = opened(files)
    unknown = [entry["intent"] for entry in stored(files) if entry.get("status") == "unknown"]
    assert unknown == [second]
    again.close()


def test_kept_entries_made_from_a_template_stand_behind_the_account_of_the_dropped() -> None:
    log = opened(files := crashing())
    intent = log.template({"kind": "intent"}, ("s", "text"))
    outcome = log.template({"kind": "outcome", "status": "complete"}, ("affected", "intent", "rows"))
    first = log.append_filled(intent, (), (1, b"name"))
    log.commit()
    dropped = log.append_filled(intent, (), (2, b"name"))
    kept = log.append_filled(outcome, (0, first), (0,), keep=True)
    lost = log.append_filled(outcome, (0, dropped), (0,), keep=True)
    files.fail("write", errno.ENOSPC)
    result = log.commit()
    assert (set(result.failed), dict(result.moved)) == ({dropped, lost}, {})
    assert log.commit().durable == dropped + 2  # with an entry that says how many were dropped
    assert stored(files)[kept]["intent"] == first
    log.close()


def test_a_piece_is_worked_off_while_the_log_goes_on(tmp_path: Path) -> None:
    log = opened(files := crashing())
    for number in range(300):
        log.append({"kind": "heartbeat", "x": number})
    log.commit()
    began, integrated = log.size, log.integrated
    piece = log.piece()
    assert piece is not None
    worker = threading.Thread(target=piece.work)
    worker.start()
    for number in range(20):
        log.append({"kind": "heartbeat", "x": number})
        log.commit()
    worker.join()
    assert (log.size, log.integrated) == (began + 20, integrated)
    log.take(piece)
    assert (log.size, log.integrated, log.lag) == (began + 20, began, 20)
    assert log.piece(5) is not None
    log.integrate()
    assert log.lag == 0
    files.crash()
    again = opened(files)
    assert [entry["x"] for entry in stored(files) if entry["kind"] == "heartbeat"] == [*range(300), *range(20)]
    again.close()


def test_segments_are_removed_while_entries_never_stop_coming() -> None:
    log = opened(files := crashing())
    for _ in range(40):
        for number in range(20):
            log.append({"kind": "heartbeat", "x": number})
        log.commit()
        piece = log.piece()
        log.append({"kind": "heartbeat"})
        log.commit()
        if piece is not None:
            piece.work()
            log.take(piece)
    assert len(files.list(f"{ROOT}/wal")) <= 4
    log.close()
