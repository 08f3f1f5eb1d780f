"""A ClickHouse server as index: the same statements as the embedded engine's, over HTTP, with the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.control.questions import QUESTIONS, Filters
from lockgate.errors import ConfigError
from lockgate.storage.index import reading
from lockgate.storage.index.clickhouse import ClickHouseEngine, Server
from lockgate.storage.index.engines import ChdbEngine, IndexUnavailableError, Parameters, Row
from lockgate.storage.index.indexer import Indexer
from lockgate.storage.index.logs import Logs
from lockgate.storage.port import RealFiles
from support.clickhouse_double import clickhouse
from support.record import Record


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbEngine]:
    opened = ChdbEngine(tmp_path_factory.mktemp("server"))
    yield opened
    opened.close()


class _Noting:
    """The embedded engine, and what it was told."""

    def __init__(self, engine: ChdbEngine) -> None:
        self._engine = engine
        self.statements: list[str] = []
        self.export, self.close = engine.export, engine.close

    def run(self, sql: str) -> None:
        self.statements.append(sql)
        self._engine.run(sql)

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        self.statements.append(sql)
        return self._engine.rows(sql, parameters)

    def insert(self, table: str, stored: bytes, *, token: str) -> None:
        self.statements.append(f"INSERT INTO {table} FORMAT Native")
        self._engine.insert(table, stored, token=token)


ASKED: list[tuple[str, Filters]] = [
    *((name, {}) for name, question in QUESTIONS.items() if not question.needs),
    ("readers", {"column": ["customers.email"], "since": "2026-10-01T00:00:00Z"}),
    ("text", {"text": "'ünï'' \\ TAB'"}),
    ("principal", {"principal": "ann"}),
    ("run", {"run": "run-7"}),
]


def test_a_server_hears_the_same_statements_and_gives_the_same_answers(engine: ChdbEngine, tmp_path: Path) -> None:
    record = Record(tmp_path / "log" / "gw-1")
    record.fill(400)
    record.statement()
    record.commit(integrate=False)
    logs = Logs(str(tmp_path / "log"), RealFiles())
    here = _Noting(engine)
    answers = []
    with clickhouse(engine, tmp_path, password="pass word") as (url, seen):
        there = ClickHouseEngine(Server.from_url(url), "pass word")
        for one in (here, there):
            index = Indexer(one, logs, days=10_000)
            index.rebuild()
            answers.append([index.ask(name, filters) for name, filters in ASKED])
        there.close()
    assert seen.statements == here.statements
    assert seen.problems == []
    assert seen.users == {"gate"}
    assert answers[0] == answers[1]
    assert [answer.rows for answer in answers[1]] == [reading.ask(logs, QUESTIONS[n], f).rows for n, f in ASKED]
    record.close()


def test_a_connection_that_the_server_closed_is_opened_again(engine: ChdbEngine, tmp_path: Path) -> None:
    with clickhouse(engine, tmp_path) as (url, seen):
        there = ClickHouseEngine(Server.from_url(url))
        assert there.rows("SELECT 1 AS one") == [{"one": 1}]
        seen.drop_after = 1
        assert there.rows("SELECT 2 AS two") == [{"two": 2}]
        there.close()
        seen.drop_after = 1
        with pytest.raises(IndexUnavailableError, match="does not answer"):
            there.rows("SELECT 3")


def test_a_refusal_tells_its_code_and_not_its_text(engine: ChdbEngine, tmp_path: Path) -> None:
    with clickhouse(engine, tmp_path, password="right") as (url, _):
        wrong = ClickHouseEngine(Server.from_url(url), "wrong")
        with pytest.raises(IndexUnavailableError, match=r"refuses: Code: 516$"):
            wrong.rows("SELECT 1")
        right = ClickHouseEngine(Server.from_url(url), "right")
        for engine_ in (right, engine):
            with pytest.raises(IndexUnavailableError, match="Code: 6") as refused:
                engine_.rows("SELECT toUInt8({value:String})", {"value": "somebody@example.com"})
            assert "somebody" not in str(refused.value)
        right.close()
    gone = ClickHouseEngine(Server.from_url(url), "right")
    with pytest.raises(IndexUnavailableError, match="does not answer"):
        gone.rows("SELECT 1")


@pytest.mark.parametrize(
    "url", ["http://x/y", "clickhouse:///db", "clickhouse://gate:secret@x/y", "chdb://folder", "clickhouse://"]
)
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Server.from_url(url)
    assert "secret" not in str(refused.value)


def test_an_address_has_defaults_and_may_ask_for_tls() -> None:
    assert Server.from_url("clickhouse://h") == Server("h", 8123, "default", "default", tls=False)
    assert Server.from_url("clickhouses://a%40b@h/d") == Server("h", 8443, "a@b", "d", tls=True)


def test_values_stay_values_however_they_are_spelt(engine: ChdbEngine, tmp_path: Path) -> None:
    awkward = [
        "it's",
        'a"b',
        "back\\slash",
        "back\\newline \\0 \\t",
        "at the end\\",
        "tab\tnew\nline\r",
        "nul\0",
        "ünï",
        "{x:String}",
        "']; DROP TABLE entries; --",
        "",
    ]
    with clickhouse(engine, tmp_path) as (url, _):
        there = ClickHouseEngine(Server.from_url(url))
        for one in (engine, there):
            for value in awkward:
                assert one.rows("SELECT {v:String} AS v", {"v": value}) == [{"v": value}]
            assert one.rows("SELECT {v:Array(String)} AS v", {"v": awkward}) == [{"v": awkward}]
            assert one.rows("SELECT {v:Array(UInt64)} AS v", {"v": [2**63, 0]}) == [{"v": [2**63, 0]}]
        there.close()
