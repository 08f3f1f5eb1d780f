"""The index and a reading of the log give the same answers; killed, torn and restarted, each entry is in it exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from lockgate.control.questions import QUESTIONS, Filters
from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.storage.index import columns, indexer, reading, schema
from lockgate.storage.index.engines import ChdbEngine, IndexUnavailableError
from lockgate.storage.index.indexer import Indexer
from lockgate.storage.index.logs import Logs
from lockgate.storage.port import RealFiles
from lockgate.storage.pruning import prune
from support.record import Record

SINCE, UNTIL = "2026-10-02T00:00:00Z", "2026-10-20T00:00:00.000001Z"
ASKED: list[tuple[str, Filters]] = [
    *((name, {}) for name, question in QUESTIONS.items() if not question.needs),
    ("readers", {"column": ["customers.email"]}),
    ("readers", {"column": ["public.customers.email"], "since": SINCE, "until": UNTIL, "disposition": "clear"}),
    ("readers", {"label": "person.name", "environment": "production"}),
    ("readers", {"column": ["nobody"]}),
    ("principal", {"principal": "ann"}),
    ("principal", {"principal": "bob", "since": SINCE, "limit": 7}),
    ("run", {"run": "run-7"}),
    ("text", {"text": "JOIN ORDERS"}),
    ("text", {"text": "'ünï'' \\ TAB'"}),
    ("statements", {"column": ["email"], "disposition": "masked"}),
    ("statements", {"disposition": "masked", "database": "hr"}),
    ("statements", {"table": ["customers", "public.orders"]}),
    ("statements", {"table": ["archive.customers"]}),
    ("statements", {"table": ["rders"]}),
    ("readers", {"column": ["mail"]}),
    ("statements", {"column": ["ustomers.email"]}),
    ("statements", {"sqlstate": "42501"}),
    ("statements", {"status": "complete", "limit": 5}),
    ("statements", {"rows": 17}),
    ("statements", {"kind": "admin"}),
    ("statements", {"kind": "boot"}),
    ("statements", {"rule": ["reads"], "statement": "update"}),
    ("statements", {"rule": ["no-writes"]}),
    ("statements", {"log": "gw/2", "limit": 3}),
    ("statements", {"index": 3}),
    ("statements", {"text": "'; DROP TABLE entries --"}),
    ("statements", {"principal": "ann' OR 1=1 --"}),
    ("denials", {"rule": ["unknown-node"]}),
    ("volume", {"label": "person.email"}),
    ("volume", {"principal": "eve", "disposition": "clear"}),
    ("tables", {"run": "run-7"}),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbEngine]:
    opened = ChdbEngine(tmp_path_factory.mktemp("index") / "it's here")
    yield opened
    opened.close()


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    made = Record(tmp_path / "log" / "gw-1")
    yield made
    made.close()


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(str(tmp_path / "log"), RealFiles())


@pytest.fixture
def index(engine: ChdbEngine, logs: Logs) -> Indexer:
    made = Indexer(engine, logs, days=10_000)
    made.rebuild()
    return made


def _size(engine: ChdbEngine) -> object:
    (row,) = engine.rows("SELECT count() AS rows, uniqExact(log, `index`) AS different FROM entries")
    assert row["rows"] == row["different"]
    return row["rows"]


def test_the_index_says_what_a_reading_of_the_logs_says(
    index: Indexer, logs: Logs, record: Record, tmp_path: Path
) -> None:
    other = Record(tmp_path / "log" / "gw-2", origin="gw/2", seed=2)
    for one in (record, other):
        one.fill(700)
        one.statement(closed=False)
        one.commit(integrate=False)
    for name, filters in ASKED:
        found, wanted = index.ask(name, filters), reading.ask(logs, QUESTIONS[name], filters)
        assert found.rows == wanted.rows, (name, filters)
        assert (found.covered, found.more, found.behind) == (wanted.covered, wanted.more, 0)
    other.close()


def test_every_question_finds_something_and_refers_to_entries(index: Indexer, logs: Logs, record: Record) -> None:
    record.fill(500)
    needed: dict[str, object] = {"column": ["email"], "principal": "ann", "run": "run-7", "text": "from"}
    for name, question in QUESTIONS.items():
        rows = index.ask(name, {need: needed[need] for need in question.needs if need in needed}).rows
        assert rows, name
        for row in rows:
            assert row["log"] == "gw/1"
            assert 0 <= int(str(row["index"])) < record.log.size


def test_what_is_durable_but_under_no_checkpoint_is_in_the_answer(
    index: Indexer, record: Record, engine: ChdbEngine
) -> None:
    record.fill(60)
    before = len(index.ask("statements", {}).rows)
    record.statement()
    record.commit(integrate=False)
    for _ in range(2):
        answer = index.ask("statements", {})
        assert len(answer.rows) == before + 1
        assert answer.rows[-1]["status"] == "complete"
    assert _size(engine) == record.log.integrated
    record.log.integrate()
    assert len(index.ask("statements", {}).rows) == before + 1
    assert _size(engine) == record.log.integrated


def test_an_outcome_finds_its_intent_of_long_ago(
    index: Indexer, logs: Logs, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "OPEN_MAX", 3)
    monkeypatch.setattr(indexer, "BATCH", 16)
    opened = [record.statement(closed=False) for _ in range(40)]
    record.fill(200)
    for number, intent in enumerate(opened):
        record.log.append(
            {
                "kind": "outcome",
                "intent": intent,
                "status": "complete",
                "rows": 1000 + number,
                "bytes": 1,
                "duration_us": 1,
            }
        )
    record.commit()
    index.catch_up()
    for name in ("statements", "volume", "readers"):
        filters: Filters = {"label": "person.email"} if name == "readers" else {}
        assert index.ask(name, filters).rows == reading.ask(logs, QUESTIONS[name], filters).rows


class _Torn:
    """An engine that fails at one insert: before it, or after it was stored and nobody heard so."""

    def __init__(self, engine: ChdbEngine, fails_at: int, *, stored: bool) -> None:
        self._engine, self._left, self._stored = engine, fails_at, stored
        self.run, self.rows, self.export, self.close = engine.run, engine.rows, engine.export, engine.close

    def insert(self, table: str, stored: bytes, *, token: str) -> None:
        self._left -= 1
        if self._left != 0 or self._stored:
            self._engine.insert(table, stored, token=token)
        if self._left == 0:
            raise IndexUnavailableError("torn")


class _Late:
    """An engine whose insert of entries is not heard of, and arrives only when somebody inserts entries again."""

    def __init__(self, engine: ChdbEngine) -> None:
        self._engine = engine
        self.waits: list[tuple[bytes, str]] | None = []
        self.run, self.rows, self.export, self.close = engine.run, engine.rows, engine.export, engine.close

    def insert(self, table: str, stored: bytes, *, token: str) -> None:
        if table == "entries" and self.waits == []:
            self.waits.append((stored, token))
            raise IndexUnavailableError("torn")
        if table == "entries" and self.waits:
            (late, its), self.waits = self.waits[0], None
            self._engine.insert(table, late, token=its)
        self._engine.insert(table, stored, token=token)


@pytest.mark.parametrize("grown", [False, True])
@pytest.mark.parametrize("again", [False, True])
def test_an_insert_that_arrives_late_is_neither_lost_nor_doubled(
    engine: ChdbEngine, logs: Logs, record: Record, grown: bool, again: bool
) -> None:
    record.step = timedelta(seconds=1)  # one month, so one block, which grows
    record.fill(40)
    Indexer(engine, logs, days=10_000).rebuild()
    late = _Late(engine)
    index = Indexer(late, logs, days=10_000)
    with pytest.raises(IndexUnavailableError, match="torn"):
        index.catch_up()
    if grown:
        record.fill(40)
    if again:
        index = Indexer(late, logs, days=10_000)
    for _ in range(2):
        with suppress(IndexUnavailableError):
            index.catch_up()
    assert late.waits is None
    assert index.catch_up() == 0
    assert _size(engine) == record.log.integrated


@pytest.mark.parametrize("stored", [False, True])
def test_an_insert_that_fails_or_is_not_heard_of_leaves_nothing_out_and_nothing_twice(
    engine: ChdbEngine, logs: Logs, record: Record, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    monkeypatch.setattr(indexer, "BATCH", 64)
    Indexer(engine, logs, days=10_000).rebuild()
    failures = 0
    for turn in range(10):
        record.fill(130)
        torn = Indexer(_Torn(engine, 1 + turn % 5, stored=stored), logs, days=10_000)
        try:
            torn.catch_up()
        except IndexUnavailableError:
            failures += 1
            if turn < 5:
                assert torn.catch_up() == 0  # the same process goes on
    assert failures > 5
    last = Indexer(engine, logs, days=10_000)
    assert last.catch_up() == 0
    assert _size(engine) == record.log.integrated
    assert last.ask("volume", {}).rows == reading.ask(logs, QUESTIONS["volume"], {}).rows


def test_several_processes_decode_a_long_backlog_into_the_same_index(
    index: Indexer, engine: ChdbEngine, logs: Logs, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "BATCH", 32)
    record.fill(500)
    beside = Indexer(engine, logs, days=10_000, processes=1)
    assert beside.catch_up(batches=3) > 0
    assert beside.catch_up() == 0
    beside.rest()
    assert _size(engine) == record.log.integrated
    for name in ("volume", "text"):
        filters: Filters = {"text": "from"} if name == "text" else {}
        assert index.ask(name, filters).rows == reading.ask(logs, QUESTIONS[name], filters).rows


def test_an_index_of_another_log_is_not_continued(
    engine: ChdbEngine, logs: Logs, record: Record, tmp_path: Path
) -> None:
    record.fill(200)
    Indexer(engine, logs, days=10_000).rebuild()
    Indexer(engine, logs, days=10_000).catch_up()
    for count in (20, 900):
        other = Record(tmp_path / f"other{count}" / "gw-1", seed=9)
        other.fill(count)
        other.close()
        with pytest.raises(CorruptLedgerError, match="--rebuild"):
            Indexer(engine, Logs(str(tmp_path / f"other{count}"), RealFiles()), days=10_000).catch_up()


def test_entries_older_than_the_searchable_days_leave_the_index_and_not_the_log(
    index: Indexer, engine: ChdbEngine, logs: Logs, record: Record
) -> None:
    record.fill(100)
    index.catch_up()
    stored = _size(engine)
    short = Indexer(engine, logs, days=30, now=lambda: record.now + timedelta(days=31))
    engine.run("OPTIMIZE TABLE entries FINAL")
    assert _size(engine) == 0
    record.fill(10)
    for again in (short, Indexer(engine, logs, days=30, now=lambda: record.now + timedelta(days=31))):
        assert again.catch_up() == 0
        assert _size(engine) == 0
    assert isinstance(stored, int)
    assert record.log.integrated > stored
    assert reading.ask(logs, QUESTIONS["statements"], {}).rows


def test_an_index_of_another_version_is_built_anew_and_one_of_this_version_is_not(
    engine: ChdbEngine, logs: Logs, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.fill(100)
    Indexer(engine, logs, days=10_000).rebuild()
    assert Indexer(engine, logs, days=10_000).catch_up() == 0
    stored = _size(engine)
    Indexer(engine, logs, days=10_000)
    assert _size(engine) == stored
    monkeypatch.setattr(schema, "VERSION", 99)
    newer = Indexer(engine, logs, days=10_000)
    assert _size(engine) == 0
    newer.catch_up()
    assert _size(engine) == stored
    monkeypatch.undo()
    Indexer(engine, logs, days=10_000)
    assert _size(engine) == 0


def test_pruned_entries_leave_the_index_and_a_rebuild_begins_behind_them(
    index: Indexer, engine: ChdbEngine, logs: Logs, record: Record
) -> None:
    opened = record.statement(closed=False)
    record.fill(900)
    index.catch_up()
    prune(str(record.folder), RealFiles(), 256)
    record.log.append(
        {
            "kind": "outcome", "intent": opened, "status": "complete", "rows": 1, "bytes": 1, "duration_us": 1,
            "columns": [{"name": "public.customers.email", "label": "person.email", "disposition": "clear"}],
        }
    )  # fmt: skip
    record.fill(20)
    assert index.catch_up() == 0
    assert _size(engine) == record.log.integrated - 256
    index.rebuild()
    again = Indexer(engine, logs, days=10_000)
    assert again.catch_up() == 0
    assert _size(engine) == record.log.integrated - 256
    for name, filters in ASKED:
        assert again.ask(name, filters).rows == reading.ask(logs, QUESTIONS[name], filters).rows, (name, filters)
    assert min(int(str(row["index"])) for row in again.ask("statements", {}).rows) >= 256


@pytest.mark.parametrize(
    ("name", "filters"),
    [
        ("nothing", {}),
        ("statements", {"colour": "red"}),
        ("statements", {"principal": 7}),
        ("statements", {"column": "email"}),
        ("statements", {"limit": 0}),
        ("statements", {"rows": -1}),
        ("readers", {}),
        ("run", {}),
    ],
)
def test_what_is_no_question_is_refused(index: Indexer, name: str, filters: Filters) -> None:
    with pytest.raises(LedgerError):
        index.ask(name, filters)
