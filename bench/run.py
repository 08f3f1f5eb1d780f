"""The benchmark: pgbench against PostgreSQL directly, TCP relays, PgBouncer and gates, side by side.

One command: `make bench`. Every figure is a ratio taken in the same round; rounds are shuffled and interleaved, tables show
medians. Absolute numbers say little: machines are shared and noisy.

Not for: tests. Nothing here asserts a time. Growth curves are in `growth`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import plots
from places import Place, gate_place, peers

from lockgate import speed
from lockgate.testing.engines import EmbeddedPostgres, debian_installation, scratch_directory
from support.gate import GateProcess
from support.servers import create_database, find_program

MODES = (("simple", 1), ("simple", 8), ("simple", 32), ("prepared", 1), ("prepared", 8), ("prepared", 32))
PEOPLE = """
CREATE TABLE people AS SELECT g AS id, 'user' || g || '@shop-client.example' AS email, '+44 20 7946 ' || lpad((g % 10000)::text, 4, '0') AS phone,
  '4539 5700 ' || lpad((g % 10000)::text, 4, '0') || ' 0001' AS card FROM generate_series(1, 5000) g;
ALTER TABLE people ADD PRIMARY KEY (id);
CREATE TABLE plain AS SELECT g AS id, g * 2 AS a, g * 3 AS b, 'status ' || g % 7 AS c FROM generate_series(1, 5000) g;
ALTER TABLE plain ADD PRIMARY KEY (id);
CREATE TABLE wide AS SELECT g AS id, g * 2 AS a, g * 3 AS b, 'status ' || g % 7 AS c, md5(g::text) AS d, md5((g + 1)::text) AS e,
  g % 11 AS f, now() AS h, g::numeric / 7 AS i, 'a longer remark number ' || g AS j FROM generate_series(1, 50000) g;
ANALYZE;
"""
STATEMENTS = {
    "5,000 narrow rows": "SELECT id, a, b FROM plain ORDER BY id",
    "50,000 rows, 6 columns": "SELECT id, a, b, f, h, i FROM wide",
    "50,000 rows, 4 of 10 columns masked": "SELECT * FROM wide",
    "3 of 4 columns masked": "SELECT id, email, phone, card FROM people ORDER BY id",
}
COPY = "COPY (SELECT id, a, b, f, h, i FROM wide) TO STDOUT"


@dataclass
class Figures:
    """What was measured: cell -> place -> one figure per round."""

    rates: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    latencies: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    cpu_us: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def note(self, table: dict[str, dict[str, list[float]]], cell: str, place: str, value: float) -> None:
        """One more figure."""
        table.setdefault(cell, {}).setdefault(place, []).append(value)


def pgbench(program: str, place: Place, folder: Path, *arguments: str) -> tuple[float, list[int]]:
    """Transactions per second of one run, and each one's microseconds when `-l` is among the arguments."""
    logged = [f"--log-prefix={folder}/log"] if "-l" in arguments else []
    command = [program, "-n", "-j", "1", *logged, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=place.environment)
    found = re.search(r"tps = ([0-9.]+) \(without", done.stdout)
    if done.returncode != 0 or found is None:
        raise SystemExit(f"pgbench on {place.name}: {done.stderr.strip()[-800:]}")
    times = []
    for log in folder.glob("log.*"):
        times += [int(line.split()[2]) for line in log.read_text().splitlines()]
        log.unlink()
    return float(found.group(1)), times


def copied(psql: str, place: Place) -> float:
    """COPY OUT, three times on one link, per second."""
    begun = time.perf_counter()
    command = [psql, "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", *["-c", COPY] * 3]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=place.environment)
    if done.returncode != 0:
        raise SystemExit(f"psql on {place.name}: {done.stderr.strip()[-800:]}")
    return 3 / (time.perf_counter() - begun)


def measure(places: list[Place], *, rounds: int, seconds: int, scratch: Path, say: Callable[[str], None]) -> Figures:
    """Interleaved, shuffled rounds of every cell."""
    program, psql = find_program("pgbench") or "/usr/lib/postgresql/15/bin/pgbench", find_program("psql") or "psql"
    cells: dict[str, list[str]] = {}
    for mode, clients in MODES:
        more = ["-l"] if clients == 1 else []
        cells[f"{mode} x{clients}"] = ["-S", "-M", mode, "-c", str(clients), "-T", str(seconds), *more]
    for number, (cell, text) in enumerate(STATEMENTS.items()):
        script = scratch / f"statement{number}.sql"
        script.write_text(text + "\n")
        cells[cell] = ["-f", str(script), "-c", "1", "-T", str(seconds)]
    figures, shuffled = Figures(), random.Random(7)
    for number in range(rounds):
        for cell, arguments in cells.items():
            for place in shuffled.sample(places, len(places)):
                before = place.cpu_seconds()
                rate, times = pgbench(program, place, scratch, *arguments)
                figures.note(figures.rates, cell, place.name, rate)
                if place.pid:
                    used = (place.cpu_seconds() - before) * 1e6 / max(1.0, rate * seconds)
                    figures.note(figures.cpu_us, cell, place.name, used)
                if times:
                    times.sort()
                    for share in (50, 99):
                        figures.note(
                            figures.latencies, f"{cell} p{share}", place.name, times[len(times) * share // 100]
                        )
        for place in shuffled.sample(places, len(places)):
            figures.note(figures.rates, "COPY OUT", place.name, copied(psql, place))
        say(f"round {number + 1} of {rounds}")
    return figures


def ratios(table: dict[str, dict[str, list[float]]], base: str) -> dict[str, dict[str, float]]:
    """The median over rounds of each place's figure divided by the base's in the same round."""
    return {
        cell: {
            name: statistics.median(a / b for a, b in zip(values, row[base], strict=True))
            for name, values in row.items()
            if name != base
        }
        for cell, row in table.items()
    }


def added(table: dict[str, dict[str, list[float]]], base: str) -> dict[str, dict[str, float]]:
    """The median over rounds of each place's figure minus the base's in the same round."""
    return {
        cell: {
            name: statistics.median(a - b for a, b in zip(values, row[base], strict=True))
            for name, values in row.items()
            if name != base
        }
        for cell, row in table.items()
    }


def markdown(title: str, cells: dict[str, dict[str, float]], form: str) -> list[str]:
    """One table."""
    names = list(next(iter(cells.values())))
    lines = [f"| {title} | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for cell, row in cells.items():
        lines.append(f"| {cell} | " + " | ".join(format(row[name], form) for name in names) + " |")
    return [*lines, ""]


@contextlib.contextmanager
def everything() -> Iterator[tuple[list[Place], Path]]:
    """A database, its peers and three gates before it."""
    installation = debian_installation(15)
    if installation is None:
        raise SystemExit("bench needs Debian's package postgresql-15")
    program = find_program("pgbench") or "/usr/lib/postgresql/15/bin/pgbench"
    with (
        scratch_directory() as scratch,
        tempfile.TemporaryDirectory() as private,
        EmbeddedPostgres(scratch / "pg", password="bench", installation=installation) as server,
        contextlib.ExitStack() as stack,
    ):
        admin = create_database(server, "bench", "CREATE ROLE bench LOGIN PASSWORD 'bench' CREATEROLE;" + PEOPLE)
        subprocess.run([program, "-i", "-q", "-s", "5", admin], check=True, capture_output=True)
        found = stack.enter_context(peers(scratch, server))
        kinds = {
            "gate": {}, "gate, not synced": {"ledger": "unsafe_skip_sync = true"},
            "gate, not synced, plain": {"ledger": "unsafe_skip_sync = true", "gateway": 'core = "plain"'},
        }  # fmt: skip
        for number, (name, settings) in enumerate(kinds.items()):
            gate = GateProcess(Path(private) / str(number), {"bench": (admin, "production")}, settings=settings).init()
            stack.callback(gate.stop)
            found.append(gate_place(name, gate.start()))
        psql = find_program("psql") or "psql"
        grant = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO bench"
        subprocess.run([psql, "-q", "-c", grant, admin], check=True)
        yield found, scratch


def main() -> int:
    """Start everything, measure, print tables, write JSON and a picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--nice", type=int, default=0, help="priority of everything measured; below 0 needs root")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--svg", type=Path, help="write a picture of the rates here")
    options = parser.parse_args()
    if options.nice:
        os.nice(options.nice)
    with everything() as (places, scratch):
        figures = measure(
            places,
            rounds=options.rounds,
            seconds=options.seconds,
            scratch=scratch,
            say=lambda t: print(t, file=sys.stderr),
        )
    rates = ratios(figures.rates, "PgBouncer")
    print("\n".join(markdown("rate over PgBouncer", rates, ".2f")))
    print("\n".join(markdown("added microseconds over direct", added(figures.latencies, "direct"), ".0f")))
    cpu = {
        cell: {name: statistics.median(values) for name, values in row.items()} for cell, row in figures.cpu_us.items()
    }
    print("\n".join(markdown("processor microseconds per statement", cpu, ".0f")))
    print(
        f"{options.rounds} rounds of {options.seconds} s, medians; gates: {speed.name()} core unless said; Python {sys.version.split()[0]}"
    )
    if options.json:
        options.json.write_text(json.dumps(vars(figures), indent=1))
    if options.svg:
        options.svg.write_text(
            plots.bars("statements per second over PgBouncer", {c: rates[c] for c in rates if " x" in c})
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
