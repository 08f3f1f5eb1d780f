"""Runs the whole matrix and writes its table into docs/compatibility.md: `make drivers-table`."""

from __future__ import annotations

import sys

from conformance.drivers.matrix import DRIVERS, Comparison, Driver, compare, run, stage
from lockgate.testing.engines import EmbeddedPostgres, debian_installation, scratch_directory
from support.tree import ROOT

PAGE = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- driver matrix: begin -->\n", "<!-- driver matrix: end -->\n"
HEAD = "| driver | version | ways | cases | answers that differ | errors of the gate's own | raw values |\n| --- | --- | --- | --- | --- | --- | --- |\n"


def row(driver: Driver, found: Comparison) -> str:
    """One line of the table."""
    counts = f"{found.cases} | {len(found.different)} | {len(found.errors)} | {len(found.raw)}"
    return f"| {driver.name} | {driver.version()} | {driver.ways} | {counts} |\n"


def main() -> int:
    """Every installed driver, or nothing is written."""
    missing = [f"{d.name}: {reason}" for d in DRIVERS if (reason := d.needs()) is not None]
    if missing:
        print("\n".join(missing))
        return 1
    rows = []
    with (
        scratch_directory() as scratch,
        EmbeddedPostgres(scratch / "pg", password="superuser", installation=debian_installation(15)) as server,
        stage(server, scratch / "gate") as (direct, gated, _),
    ):
        for driver in DRIVERS:
            expected, _ = run(driver, direct)
            got, printed = run(driver, gated)
            found = compare(expected, got, printed)
            rows.append(row(driver, found))
            print(rows[-1], *found.different, *found.errors, *found.raw, sep="\n")
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(before + BEGIN + HEAD + "".join(rows) + END + rest.partition(END)[2], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
