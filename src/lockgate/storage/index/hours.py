"""Sealed hours as Parquet files, written by the engine.

For: lakes and DuckDB: one file for each hour in which something happened, with the columns of the index and the texts of its dictionaries.
Not for: hours that may still grow: an hour is sealed when every log that is open has an entry after it, and heartbeats see to that.
Source: evidence.md 2.2 item 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from lockgate.storage.index.engines import Engine
from lockgate.storage.index.schema import ENTRY

HOUR = timedelta(hours=1)
_KEPT = ", ".join(
    f"e.`{column.name}` AS `{column.name}`" for column in ENTRY if column.name not in ("shape", "columns", "treatment")
)
SQL = (
    f"SELECT {_KEPT}, s.sql AS shape, s.tables AS tables, u.names AS column_names, u.labels AS column_labels, u.dispositions AS column_dispositions "
    "FROM (SELECT * FROM entries WHERE `time` >= fromUnixTimestamp64Micro({first:Int64}, 'UTC') AND `time` < fromUnixTimestamp64Micro({last:Int64}, 'UTC')) AS e "
    "LEFT JOIN (SELECT DISTINCT id, sql, tables FROM shapes) AS s ON e.shape = s.id "
    "LEFT JOIN (SELECT DISTINCT id, names, labels, dispositions FROM used_columns) AS u ON e.columns = u.id ORDER BY `time`, log, `index` "
    "SETTINGS output_format_parquet_string_as_string = 1, output_format_parquet_compression_method = 'zstd'"
)
_HOURS = (
    "SELECT DISTINCT toUnixTimestamp(toStartOfHour(`time`)) AS hour FROM entries "
    "WHERE `time` >= fromUnixTimestamp64Micro({first:Int64}, 'UTC') AND `time` < fromUnixTimestamp64Micro({last:Int64}, 'UTC') ORDER BY hour"
)
_SEALED = (
    "SELECT min(newest) AS sealed FROM (SELECT log, toUnixTimestamp64Micro(max(`time`)) AS newest, argMax(kind, `index`) AS last "
    "FROM entries GROUP BY log) WHERE last != 'close'"
)


class Hours:
    """The files of one folder."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine, self._folder = engine, folder
        self._until = 0

    def path(self, hour: datetime) -> Path:
        """Where the file of an hour is."""
        return self._folder / f"{hour:%Y-%m-%d}" / f"{hour:%H}.parquet"

    def write(self, limit: int) -> int:
        """Write the files of sealed hours that are not there yet, at most so many; returns how many were written."""
        sealed = cast("int", self._engine.rows(_SEALED)[0]["sealed"])
        last = sealed - sealed % (3600 * 1_000_000)
        written = 0
        for hour in self._missing(last):
            if written == limit:
                return written
            self._write(hour)
            written += 1
            self._until = _ticks(hour + HOUR)
        self._until = max(self._until, last)
        return written

    def _missing(self, last: int) -> Iterator[datetime]:
        for row in self._engine.rows(_HOURS, {"first": self._until, "last": last}):
            hour = datetime.fromtimestamp(cast("int", row["hour"]), UTC)
            if not self.path(hour).exists():
                yield hour

    def _write(self, hour: datetime) -> None:
        """A file appears whole or not at all, and is never replaced."""
        path = self.path(hour)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        self._engine.export(SQL, {"first": _ticks(hour), "last": _ticks(hour + HOUR)}, "Parquet", fresh)
        fresh.replace(path)


def _ticks(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000
