"""Growth curves: the gate's rate while something grows that should not matter, over its rate where that is smallest.

One command: `python bench/growth.py`. Points of a curve are taken in interleaved rounds on one gate; what is slower for everybody, a wide
result, stands beside PgBouncer and the database itself in the same rounds.
Not for: peers otherwise (`run`).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import plots
import psycopg
from places import Place, gate_place, peers
from run import markdown, pgbench

from lockgate.testing.engines import EmbeddedPostgres, debian_installation, scratch_directory
from support.gate import GateProcess
from support.servers import create_database, find_program

SETUP = """
CREATE TABLE points AS SELECT g AS id, g * 2 AS a FROM generate_series(1, 1000) g;
ALTER TABLE points ADD PRIMARY KEY (id);
"""
POLICY = '@id("other-{n}")\n@reason("somebody else")\npermit (principal == Person::"other{n}", action == Action::"read", resource);\n\n'
TABLES, POLICIES, WIDTHS = (10, 1000, 5000), (1, 100, 1000), (10, 1000, 10_000)
BATCH = 100
DRAWN = "\\set n random(1, {size})\n"
# Constants that are compared or computed with are lifted, so any number of values is one statement.
LIFTED = {
    "compared": "SELECT a FROM points WHERE id = :n;\n",
    "computed with": "SELECT a + :n FROM points WHERE id = 7;\n",
    "matched with others": "SELECT a FROM points WHERE id = 7 ORDER BY a + :n;\n",
}
# One inside of a call that the server matches with other expressions stays in the key, so each number makes a statement of its own.
KEPT = "SELECT a FROM points WHERE id = 7 ORDER BY abs(a + :n);\n"
ANY = 2_000_000_000
UNDRAWN = (
    "all for the first time",
    "bytes of the result, gate",
    "bytes of the result, PgBouncer",
    "bytes of the result, direct",
)
"""Curves of the table that the picture leaves out: of the first the size is no number of statements, of the others it has the ratios."""
WIDTH = "SELECT repeat('x', {size}) FROM points WHERE id = 7;\n"


class Curves:
    """Rates by curve and size."""

    def __init__(self, scratch: Path, seconds: int, only: str) -> None:
        self._scratch = scratch
        self._only = only
        self._arguments = ["-M", "simple", "-c", "8", "-T", str(seconds)]
        self._program = find_program("pgbench") or "/usr/lib/postgresql/15/bin/pgbench"
        self.rates: dict[str, dict[int, list[float]]] = {}

    def point(self, place: Place, curve: str, size: int, script: str) -> None:
        """One more figure of one point of a curve that is wanted."""
        if not re.search(self._only, curve):
            return
        path = self._scratch / "growth.sql"
        path.write_text(script)
        run = pgbench(self._program, place, self._scratch, "-f", str(path), *self._arguments)
        self.rates.setdefault(curve, {}).setdefault(size, []).append(run.rate)

    def relative(self) -> dict[str, list[tuple[float, float]]]:
        """Each curve over its first point, medians of rounds."""
        found = {}
        for curve, sizes in self.rates.items():
            first = next(iter(sizes.values()))
            found[curve] = [
                (float(size), statistics.median(a / b for a, b in zip(rates, first, strict=True)))
                for size, rates in sizes.items()
            ]
        return found

    def over(self, peer: str) -> list[tuple[float, float]]:
        """The gate's rate over a peer's for each width of a result, over the same ratio where it is smallest."""
        gate, other = (self.rates[f"bytes of the result, {name}"] for name in ("gate", peer))
        ratios = {size: [a / b for a, b in zip(gate[size], other[size], strict=True)] for size in gate}
        first = ratios[min(ratios)]
        return [
            (float(size), statistics.median(a / b for a, b in zip(r, first, strict=True))) for size, r in ratios.items()
        ]


@dataclass
class Stage:
    """A server, and gates before databases of it."""

    server: EmbeddedPostgres
    private: Path
    stack: ExitStack

    def gate(self, name: str, tables: int, policies: int) -> Place:
        """A running gate before a database with so many further tables, under so many further policies."""
        admin = create_database(self.server, f"bench_{name}", SETUP)
        with psycopg.connect(admin, autocommit=True) as connection:
            for first in range(0, tables, BATCH):
                made = range(first, min(first + BATCH, tables))
                connection.execute("; ".join(f"CREATE TABLE t{n} (id int PRIMARY KEY, a text, b int)" for n in made))
        gate = GateProcess(
            self.private / name, {"bench": (admin, "production")}, settings={"ledger": "unsafe_skip_sync = true", "limits": "links_max = 20000"},
            policies={"60-many.cedar": "".join(POLICY.format(n=n) for n in range(policies))} if policies else {},
        ).init()  # fmt: skip
        self.stack.callback(gate.stop)
        return gate_place(name, gate.start())


def signed_in(place: Place) -> psycopg.Connection[tuple[object, ...]]:
    """A client of a place."""
    return psycopg.connect(
        host="127.0.0.1", port=place.port, user=place.user, password=place.password, dbname="bench", sslmode="disable"
    )


def see_all(place: Place, size: int) -> None:
    """Have every statement of the curve whose constants are kept seen: first by the gate, then by a session that has it from then on, and so by all."""
    with signed_in(place) as connection:
        connection.autocommit = True  # what is decided within a transaction is known within transactions
        for _ in range(2):
            for number in range(1, size + 1):
                connection.execute(KEPT.replace(":n", str(number)).removesuffix("\n").encode())  # as pgbench sends it


def idle_memory(place: Place, stack: ExitStack, clients: int) -> float:
    """Bytes of the gate for each of so many clients that have signed in and say nothing."""
    before = place.memory_bytes()
    for _ in range(clients):
        stack.callback(signed_in(place).close)
    return (place.memory_bytes() - before) / clients


def main() -> int:
    """Measure, print a table, write JSON and a picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of one run; its first second does not count")
    parser.add_argument("--curves", default="", help="only curves in whose name this expression is found")
    parser.add_argument("--idle", type=int, default=1000, help="idle clients of the last curve")
    parser.add_argument("--kept", type=int, default=10_000, help="most distinct statements whose constants are kept")
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    if options.nice:
        os.nice(options.nice)
    installation = debian_installation(15)
    if installation is None:
        raise SystemExit("bench needs Debian's package postgresql-15")
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr)  # noqa: E731  one word for where progress goes
    with (
        scratch_directory() as scratch,
        tempfile.TemporaryDirectory() as private,
        EmbeddedPostgres(scratch / "pg", password="bench", installation=installation) as server,
        ExitStack() as stack,
    ):
        stage = Stage(server, Path(private), stack)
        place = stage.gate("gate", 0, 0)
        wanted: Callable[[str], bool] = lambda curve: bool(re.search(options.curves, curve))  # noqa: E731  as above
        grown = {("tables", size): stage.gate(f"tables{size}", size, 0) for size in TABLES if wanted("tables")}
        grown |= {("policies", size): stage.gate(f"policies{size}", 0, size) for size in POLICIES if wanted("policies")}
        create_database(
            server, "bench", "CREATE ROLE bench LOGIN PASSWORD 'bench';" + SETUP + "GRANT SELECT ON points TO bench"
        )
        beside = [p for p in stack.enter_context(peers(scratch, server)) if p.name in ("PgBouncer", "direct")]
        curves = Curves(scratch, options.seconds, options.curves)
        see_all(place, options.kept if wanted("kept") else 1)
        for number in range(options.rounds):
            for name, text in LIFTED.items():
                for size in (10, 1000, 100_000):
                    curves.point(place, f"distinct statements, constants {name}", size, DRAWN.format(size=size) + text)
            for size in sorted({10, 100, 1000, options.kept}):
                curves.point(place, "distinct statements, constants kept", size, DRAWN.format(size=size) + KEPT)
            curves.point(place, "all for the first time", 10, DRAWN.format(size=10) + KEPT)
            curves.point(place, "all for the first time", ANY, DRAWN.format(size=ANY) + KEPT)
            for size in WIDTHS:
                for other in (place, *beside):
                    curves.point(other, f"bytes of the result, {other.name}", size, WIDTH.format(size=size))
            for (curve, size), other in grown.items():
                curves.point(other, curve, size, WIDTH.format(size=10))
            curves.point(place, "idle clients", 1, WIDTH.format(size=10))
            say(f"round {number + 1} of {options.rounds}")
        each = idle_memory(place, stack, options.idle if wanted("idle") else 1)
        for _ in range(options.rounds):
            curves.point(place, "idle clients", options.idle, WIDTH.format(size=10))
    found = curves.relative()
    for peer in beside if any("bytes" in curve for curve in found) else ():
        found[f"bytes of the result, over {peer.name}"] = curves.over(peer.name)
    rows = {
        f"{curve}: {size:g}": {"rate over the smallest": value}
        for curve, points in found.items()
        for size, value in points
    }
    print("\n".join(markdown("growth", rows, ".2f")))
    print(f"{each / 1024:.0f} KiB for each of {options.idle} idle clients")
    if options.json:
        options.json.write_text(json.dumps({"rates": curves.rates, "idle_bytes": each}, indent=1))
    if options.svg:
        shown = {name: points for name, points in found.items() if not name.startswith(UNDRAWN)}
        options.svg.write_text(plots.lines("rate over the smallest", shown))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} failed")
