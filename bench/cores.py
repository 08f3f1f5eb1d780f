"""The functions that have a compiled form, timed in both: nanoseconds per row, message or entry, the best of many short runs.

One command: `python bench/cores.py`.
Not for: what a gate makes of them (`run`).
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

from lockgate import speed
from lockgate.ledger import wal
from lockgate.session.spans import bind_values, rows_and_tag
from lockgate.sql.lifting import lift
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import scan_rows

ROWS = be.DataRow((b"12345", b"status 3", None, b"2026-01-01")).encode() * 1000
ANSWER = be.DataRow((b"12345",)).encode() + be.CommandComplete("SELECT 1").encode() + be.ReadyForQuery("I").encode()
BIND = fe.Bind("", "P_0", (), (b"123456",), ()).encode()
ENTRIES = [b"x" * 600] * 16


def best(call: Callable[[], object], number: int, items: int) -> float:
    """Nanoseconds per item."""
    return min(timeit.repeat(call, number=number, repeat=25)) / number / items * 1e9


def framed() -> bytes:
    """A group of entries."""
    return wal.frames(ENTRIES, 7)


def main() -> None:
    """Print one table."""
    core = speed.core
    cases: list[tuple[str, Callable[[], object], Callable[[], object] | None, int, int]] = [
        ("pass a row", lambda: scan_rows(ROWS, 0, 68, 100), core and (lambda: core.scan(ROWS, 0, 68, 100)), 5, 1000),
        ("measure an answer", lambda: rows_and_tag(ANSWER, 0, 73), core and (lambda: core.rows_and_tag(ANSWER, 0, 73)), 500, 1),
        ("find a Bind's values", lambda: bind_values(BIND, 10, len(BIND)), core and (lambda: core.bind_values(BIND, 10, len(BIND))), 500, 1),
        ("frame an entry", framed, core and (lambda: core.frames(ENTRIES, 7, False)), 50, 16),
        ("lift a constant", lambda: lift(b"SELECT abalance FROM pgbench_accounts WHERE aid = 123456;"), None, 200, 1),
    ]  # fmt: skip
    speed.use(speed.PLAIN)
    print("| nanoseconds | plain | compiled |\n| --- | --- | --- |")
    for name, plain, fast, number, items in cases:
        quick = f"{best(fast, number, items):.0f}" if fast else "-"
        print(f"| {name} | {best(plain, number, items):.0f} | {quick} |")


if __name__ == "__main__":
    main()
