"""Sealed hours as Parquet: every entry of an hour, once the hour cannot grow, in a file that never changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet
import pytest

from lockgate.storage.index.engines import ChdbEngine
from lockgate.storage.index.indexer import Indexer
from lockgate.storage.index.logs import Logs
from lockgate.storage.port import RealFiles
from support.record import Record


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbEngine]:
    opened = ChdbEngine(tmp_path_factory.mktemp("hours"))
    yield opened
    opened.close()


def test_sealed_hours_are_written_whole_and_once(engine: ChdbEngine, tmp_path: Path) -> None:
    first, second = Record(tmp_path / "log/gw-1"), Record(tmp_path / "log/gw-2", origin="gw/2", seed=3)
    for record in (first, second):
        record.step = timedelta(minutes=10)
        record.fill(160)
    logs = Logs(str(tmp_path / "log"), RealFiles())
    index = Indexer(engine, logs, days=10_000)
    index.rebuild()
    index.catch_up()
    hours = index.hours(tmp_path / "out")
    assert index.export_hours(hours, 2) == 2
    while index.export_hours(hours, 2):
        pass
    files = {path: path.read_bytes() for path in sorted((tmp_path / "out").rglob("*.parquet"))}
    sealed = min(first.now, second.now).replace(minute=0, second=0, microsecond=0)
    rows = [row for path in files for row in pyarrow.parquet.read_table(path).to_pylist()]
    (wanted,) = engine.rows(
        f"SELECT count() AS n FROM entries WHERE `time` < toDateTime({int(sealed.timestamp())}, 'UTC')"
    )
    assert len(rows) == int(str(wanted["n"])) > 100
    assert len({(row["log"], row["index"]) for row in rows}) == len(rows)
    for path in files:
        table = pyarrow.parquet.read_table(path)
        assert {f"{moment:%Y-%m-%d/%H}" for moment in table["time"].to_pylist()} == {f"{path.parent.name}/{path.stem}"}
    statement = next(
        row for row in rows if row["kind"] == "intent" and "customers" in row["shape"] and row["column_names"]
    )
    assert isinstance(statement["principal"], str)
    assert len(statement["column_names"]) == len(statement["column_labels"]) == len(statement["column_dispositions"])

    again = index.hours(tmp_path / "out")
    assert index.export_hours(again, 99) == 0
    second.close()
    first.fill(60)
    index.catch_up()
    assert index.export_hours(hours, 99) > 0, "a log that was closed in order holds up nobody"
    assert all(path.read_bytes() == stored for path, stored in files.items())
    first.close()
