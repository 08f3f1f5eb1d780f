"""Where the index lives: an engine in this process, or a server.

For: the one port that `indexer` and `questions` use, and the embedded engine behind it.
Not for: SQL; every statement comes from `schema`, `questions` and `indexer`, and is the same text for every engine.
Source: chDB documentation; evidence.md 2.1 (one process per folder), 2.2.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from lockgate.errors import ConfigError, LockgateError

Parameter = str | int | Sequence[str] | Sequence[int]
Parameters = Mapping[str, Parameter]
Row = dict[str, object]

MEMORY_BYTES_MAX = 1 << 30
"""Memory that one statement of the engine may use."""
SETTINGS = {
    "output_format_json_quote_64bit_integers": "0",
    "max_memory_usage": str(MEMORY_BYTES_MAX),
    "max_bytes_before_external_group_by": str(MEMORY_BYTES_MAX // 2),
    "max_bytes_before_external_sort": str(MEMORY_BYTES_MAX // 2),
}
"""The same for every statement and engine."""


class IndexUnavailableError(LockgateError):
    """The index cannot be reached or refuses; the log can still be read."""

    exit_status = 3


class Engine(Protocol):
    """Something that speaks ClickHouse's SQL."""

    def run(self, sql: str) -> None:
        """A statement without rows.

        Raises:
            IndexUnavailableError: it failed.
        """
        ...

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """The rows of a question; values reach it as parameters only."""
        ...

    def insert(self, table: str, stored: bytes, *, token: str) -> None:
        """Store one block in Native format; a block with a token that was seen before is not stored again."""
        ...

    def export(self, sql: str, parameters: Parameters, kind: str, path: Path) -> None:
        """Write the rows of a question to a file in one of the engine's formats."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def escaped(value: str) -> str:
    """A text as a parameter carries it."""
    return (
        value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")
    )


def parameter(value: Parameter) -> str:
    """A value as both engines read it for `{name:Type}`."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, int):
        return str(value)
    listed = [str(v) if isinstance(v, int) else "'" + escaped(v).replace("'", "\\'") + "'" for v in value]
    return f"[{','.join(listed)}]"


_ROWS = msgspec.json.Decoder(Row)


def parsed(lines: bytes) -> list[Row]:
    """Rows from one JSON object a line."""
    return _ROWS.decode_lines(lines)


class ChdbEngine:
    """ClickHouse inside this process; one process at a time per folder."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, made when missing, for its owner only.

        Raises:
            ConfigError: the extra `index` is not installed.
            IndexUnavailableError: another process has it open, or it is damaged.
        """
        try:
            session = importlib.import_module("chdb.session")
        except ImportError as error:
            raise ConfigError("the search index needs the extra `index`: pip install 'lockgate[index]'") from error
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._spool = folder / "spool"
        shutil.rmtree(self._spool, ignore_errors=True)
        self._spool.mkdir(mode=0o700)
        try:
            self._session = session.Session(str(folder / "data"))
        except RuntimeError as error:
            raise IndexUnavailableError(f"the index cannot be opened: {_code(error)}") from error
        for name, value in SETTINGS.items():
            self.run(f"SET {name} = {value}")

    def run(self, sql: str) -> None:
        """A statement without rows."""
        self._query(sql, "Null", {})

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """The rows of a question."""
        return parsed(self._query(sql, "JSONEachRow", parameters or {}))

    def insert(self, table: str, stored: bytes, *, token: str) -> None:
        """Store one block."""
        path = self._spool / "block"
        path.write_bytes(stored)
        names = f"SETTINGS insert_deduplication_token = '{escaped(token)}'" if token else ""
        place = escaped(str(path)).replace("'", "\\'")
        self.run(f"INSERT INTO {table} SELECT * FROM file('{place}', 'Native') {names}")

    def export(self, sql: str, parameters: Parameters, kind: str, path: Path) -> None:
        """Write rows to a file."""
        path.write_bytes(self._query(sql, kind, parameters))

    def _query(self, sql: str, kind: str, parameters: Parameters) -> bytes:
        try:
            found: bytes = self._session.query(
                sql, kind, params={name: parameter(value) for name, value in parameters.items()}
            ).bytes()
        except RuntimeError as error:
            raise IndexUnavailableError(f"the index refuses: {_code(error)}") from error
        return found

    def close(self) -> None:
        """Close the folder."""
        self._session.close()
        with suppress(OSError):
            os.rmdir(self._spool)


def _code(error: Exception) -> str:
    """The engine's own code and its name; its text may repeat values, so it stays out of our messages."""
    text = str(error)
    code = text.split(".", 1)[0] if text.startswith("Code: ") else "unknown error"
    name = text.rpartition("(")[2].rstrip(") \n") if text.rstrip().endswith(")") else ""
    return f"{code} {name}".strip() if name.replace("_", "").isupper() else code
