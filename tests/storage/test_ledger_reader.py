"""Reading a log: entries beside a running writer, statements joined with their outcomes, sealed texts and their erasure."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from lockgate.errors import LedgerError
from lockgate.ledger.entry import decode
from lockgate.ledger.note import Ed25519Signer
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.ledger_reader import checkpoint, entries, open_text
from lockgate.storage.text_keys import destroy_keys, keys_folder, matching_keys
from lockgate.testing.crash_files import CrashFiles

ROOT = "log/gw-1"
TEXT_KEY = bytes(range(32))


class Setting:
    """A log with a clock that tests may move."""

    def __init__(self) -> None:
        self.files = CrashFiles()
        self.files.mkdir_all("log")
        self.now = datetime(2026, 11, 22, 10, tzinfo=UTC)
        self.log = self.open()

    def open(self) -> LedgerLog:
        return LedgerLog.open(
            ROOT,
            origin="gw/1",
            signer=Ed25519Signer("gw/1", bytes(32)),
            files=self.files,
            text_key=TEXT_KEY,
            clock=self.tick,
            entropy=random.Random(1).randbytes,
            segment_bytes=1 << 14,
        )

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def statement(self, **fields: object) -> int:
        index = self.log.append({"kind": "intent", "principal": "ada", "database": "shop", **fields})
        self.log.append({"kind": "outcome", "intent": index, "status": "complete", "rows": 3, "bytes": 40})
        self.log.commit()
        return index


@pytest.fixture
def setting() -> Setting:
    return Setting()


@pytest.mark.parametrize("start", [0, 1, 255, 256, 257, 300, 500, 610, 10_000])
def test_entries_come_in_order_from_tiles_and_then_from_the_write_ahead_log(setting: Setting, start: int) -> None:
    for number in range(300):
        setting.statement(request=number)
        if number in {10, 128, 200}:
            setting.log.integrate()
    expected = list(range(start, 601))
    assert [index for index, _ in entries(ROOT, setting.files, start)] == expected
    if start < 601:
        assert decode(next(entries(ROOT, setting.files, start))[1])["n"] == start


def test_a_log_nobody_wrote_has_no_entries() -> None:
    files = CrashFiles()
    assert list(entries("nowhere", files)) == []
    assert checkpoint("nowhere", files) is None


def test_a_text_opens_before_and_after_integration(setting: Setting) -> None:
    long = b"select '" + b"x" * 100_000 + b"'"
    for text in (b"select 1", long):
        name = setting.log.seal_text("shop", text).name
        index = setting.statement(text=name)
        for _ in range(2):
            assert open_text(ROOT, name, TEXT_KEY, files=setting.files) == text
            assert open_text(ROOT, name, TEXT_KEY, files=setting.files, near=index) == text
            setting.log.integrate()
    with pytest.raises(LedgerError, match="cannot be opened"):
        open_text(ROOT, name, bytes(32), files=setting.files)
    with pytest.raises(LedgerError, match="not there"):
        open_text(ROOT, "0" * 64, TEXT_KEY, files=setting.files)
    with pytest.raises(LedgerError, match="64 hex digits"):
        open_text(ROOT, "../../etc/passwd", TEXT_KEY, files=setting.files)


def test_the_same_text_is_stored_once_a_day_and_database(setting: Setting) -> None:
    name = setting.log.seal_text("shop", b"select 1").name
    assert setting.log.seal_text("shop", b"select 1").name == name
    assert setting.log.seal_text("other", b"select 1").name != name
    setting.now += timedelta(days=1)
    assert setting.log.seal_text("shop", b"select 1").name != name


def test_a_text_that_was_dropped_is_sealed_again(setting: Setting) -> None:
    name = setting.log.seal_text("shop", b"select 1").name
    setting.log.append({"kind": "intent", "text": name})
    setting.files.fail("write", 5, at=2)
    assert setting.log.commit().failed
    again = setting.log.seal_text("shop", b"select 1").name
    setting.statement(text=again)
    assert open_text(ROOT, again, TEXT_KEY, files=setting.files) == b"select 1"


def test_no_plaintext_reaches_any_file(setting: Setting) -> None:
    setting.statement(text=setting.log.seal_text("shop", b"select 'hunter2'").name)
    setting.log.close()
    for folder in setting.files._folders.values():
        assert not any(b"hunter2" in file.seen for file in folder.seen.values())


def test_destroying_a_days_key_erases_its_texts_and_no_others(setting: Setting) -> None:
    gone, other = setting.log.seal_text("shop", b"select 1").name, setting.log.seal_text("other", b"select 2").name
    setting.statement()
    setting.now += timedelta(days=1)
    next_day = setting.log.seal_text("shop", b"select 3").name
    setting.statement()
    folder = keys_folder(ROOT)
    (key,) = matching_keys(folder=folder, files=setting.files, database="shop", day="2026-11-22")
    destroy_keys(folder=folder, files=setting.files, names=[key])
    destroy_keys(folder=folder, files=setting.files, names=[key])
    assert matching_keys(folder=folder, files=setting.files, database="shop", day="2026-11-22") == []
    with pytest.raises(LedgerError, match="erased"):
        open_text(ROOT, gone, TEXT_KEY, files=setting.files)
    assert open_text(ROOT, other, TEXT_KEY, files=setting.files) == b"select 2"
    assert open_text(ROOT, next_day, TEXT_KEY, files=setting.files) == b"select 3"


def test_a_key_file_put_under_another_day_is_refused(setting: Setting) -> None:
    name = setting.log.seal_text("shop", b"select 1").name
    setting.statement()
    (path,) = (f"{keys_folder(ROOT)}/{key}" for key in setting.files.list(keys_folder(ROOT)))
    stored = setting.files.read(path).replace(b"2026-11-22", b"2026-11-23")
    setting.files.write(setting.files.open_append(path), stored, 0)
    with pytest.raises(LedgerError, match="another database, class or day"):
        open_text(ROOT, name, TEXT_KEY, files=setting.files)
