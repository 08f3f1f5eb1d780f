"""What every adapter of the driver matrix written in Python shares: cases come by stdin, one line of JSON goes out for each.

An adapter is a program of its own, so that a driver of any language is driven the same way and a crash is a result. It gets
`{"target": {...}, "cases": [{"name", "sql", "params"}]}` and answers `{"case", "rows", "error"}` lines. Cases use `{1}`, `{2}` for
parameters; the adapter writes them as its driver does. Besides the shared cases it runs what only its driver can do (`specials`).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Rows = Iterable[Iterable[Any]]


@dataclass(frozen=True)
class Target:
    """Where to connect; `writes` tells whether tables may be made."""

    host: str
    port: int
    user: str
    password: str
    dbname: str
    sslmode: str

    @property
    def dsn(self) -> str:
        """The key=value form."""
        return " ".join(f"{k}='{v}'" for k, v in vars(self).items())

    def url(self, scheme: str = "postgresql", *, ssl: bool = True) -> str:
        """The URL form."""
        mode = f"?sslmode={self.sslmode}" if ssl else ""
        return (
            f"{scheme}://{quote(self.user)}:{quote(self.password, safe='')}@{self.host}:{self.port}/{self.dbname}{mode}"
        )


class Adapter:
    """One driver on one target. Subclasses say how a case runs and what else their driver can do."""

    placeholder = "%s"

    def __init__(self, target: Target) -> None:
        self.target = target

    def rows(self, sql: str, params: Sequence[Any]) -> Rows:
        """Run one shared case in autocommit mode and return its rows."""
        raise NotImplementedError

    def specials(self) -> Mapping[str, Callable[[], Rows]]:
        """What only this driver does, by name; names that begin with `masked` read masked columns."""
        return {}

    def recover(self) -> None:
        """Make the connection usable again after an error."""

    def close(self) -> None:
        """Leave."""

    def write(self, sql: str) -> str:
        """The case's text with this driver's placeholders."""
        return re.sub(r"\{(\d+)\}", lambda m: self.placeholder.replace("#", m.group(1)), sql)


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of an error however deep its driver hides it; else the error's class."""
    seen: BaseException | None = error
    while seen is not None:
        for name in ("sqlstate", "pgcode"):
            code = getattr(seen, name, None)
            if isinstance(code, str) and code:
                return code
        seen = getattr(seen, "orig", None) or seen.__cause__
    found = re.search(r"\b(?:SQLSTATE:?\s*)?([0-9A-Z]{5})\b", " ".join(str(a) for a in error.args))
    return found.group(1) if found and any(c.isdigit() for c in found.group(1)) else type(error).__name__


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, memoryview | bytes | bytearray):
        return bytes(value).hex()
    return str(value)


def _report(adapter: Adapter, name: str, run: Callable[[], Rows]) -> None:
    line: dict[str, Any] = {"case": name, "rows": None, "error": None}
    try:
        line["rows"] = [[_plain(value) for value in row] for row in run()]
    except BaseException as error:  # noqa: BLE001  any error of a driver is a result here, a panic of Rust too
        line["error"] = sqlstate(error)
        line["text"] = str(error)[:300]
        adapter.recover()
    print(json.dumps(line), flush=True)


def main(make: Callable[[Target], Adapter]) -> None:
    """Run every case that came by stdin, then the driver's own."""
    asked = json.load(sys.stdin)
    adapter = make(Target(**asked["target"]))
    for case in asked["cases"]:
        sql, params = adapter.write(case["sql"]), case["params"]
        _report(adapter, case["name"], lambda sql=sql, params=params: adapter.rows(sql, params))  # type: ignore[misc]
    for name, run in adapter.specials().items():
        _report(adapter, name, run)
    adapter.close()
