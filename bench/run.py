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
from places import TLS, Place, gate_place, peers

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
NOT_FOR_ROWS = f"plain|Unix|{TLS}"
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


@dataclass(frozen=True)
class Steady:
    """One run of pgbench without its first second, in which sessions sign in, open their backends and see statements first."""

    rate: float
    cpu_us: float
    times: list[int]


def pgbench(program: str, place: Place, folder: Path, *arguments: str, more: int = 2) -> Steady:
    """Transactions per second of one run, the place's processor time for each, and with `-l` each one's microseconds."""
    logged = [f"--log-prefix={folder}/log"] if "-l" in arguments else []
    command = [program, "-n", "-j", "1", "-P", "1", *logged, *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=place.environment
    )
    seconds: list[tuple[float, float, float, float]] = []
    said = []
    for line in process.stderr or ():
        said.append(line)
        if found := re.match(r"progress: ([0-9.]+) s, ([0-9.]+) tps", line):
            seconds.append((float(found.group(1)), float(found.group(2)), place.cpu_seconds(), time.time()))
    if process.wait() == 0 and len(seconds) < 2 and more:
        print(f"{place.name}: nothing within the first seconds; again, for longer", file=sys.stderr)
        at = arguments.index("-T") + 1
        longer = (*arguments[:at], str(2 * int(arguments[at])), *arguments[at + 1 :])
        return pgbench(program, place, folder, *longer, more=more - 1)
    if process.wait() != 0 or len(seconds) < 2:
        raise SystemExit(f"pgbench on {place.name}: {''.join(said).strip()[-800:]}")
    count = sum(rate * (at - before) for (at, rate, _, _), (before, *_) in zip(seconds[1:], seconds, strict=False))
    times = []
    for log in folder.glob("log.*"):
        for line in log.read_text().splitlines():
            words = line.split()
            if int(words[4]) + int(words[5]) / 1e6 > seconds[0][3]:
                times.append(int(words[2]))
        log.unlink()
    used = (seconds[-1][2] - seconds[0][2]) * 1e6 / max(1.0, count)
    return Steady(count / (seconds[-1][0] - seconds[0][0]), used, times)


def copied(psql: str, place: Place) -> float:
    """COPY OUT, three times on one link, per second."""
    begun = time.perf_counter()
    command = [psql, "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", *["-c", COPY] * 3]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=place.environment)
    if done.returncode != 0:
        raise SystemExit(f"psql on {place.name}: {done.stderr.strip()[-800:]}")
    return 3 / (time.perf_counter() - begun)


def measure(
    places: list[Place],
    *,
    rounds: int,
    seconds: int,
    scratch: Path,
    only: str,
    say: Callable[[str], None],
    until: float,
) -> Figures:
    """Interleaved, shuffled rounds of every cell whose name the expression `only` is found in.

    Rows are measured in the first round only, and by fewer places: they move less. No round begins that would end after `until`.
    """
    program, psql = find_program("pgbench") or "/usr/lib/postgresql/15/bin/pgbench", find_program("psql") or "psql"
    cells: dict[str, list[str]] = {}
    for mode, clients in MODES:
        more = ["-l"] if clients == 1 else []
        cells[f"{mode} x{clients}"] = ["-S", "-M", mode, "-c", str(clients), "-T", str(seconds), *more]
    for number, (cell, text) in enumerate(STATEMENTS.items()):
        script = scratch / f"statement{number}.sql"
        script.write_text(text + "\n")
        cells[cell] = ["-f", str(script), "-c", "1", "-T", str(seconds)]
    cells = {cell: arguments for cell, arguments in cells.items() if re.search(only, cell)}
    figures, shuffled = Figures(), random.Random(7)
    lasted = 0.0
    for number in range(rounds):
        if number and time.monotonic() + lasted > until:
            say(f"{number} of {rounds} rounds: there is no time for another")
            break
        few = [place for place in places if not re.search(NOT_FOR_ROWS, place.name)]
        begun = time.monotonic()
        for cell, arguments in cells.items():
            rows = cell in STATEMENTS
            if rows and number:
                continue
            asked = few if rows else places
            for place in shuffled.sample(asked, len(asked)):
                run = pgbench(program, place, scratch, *arguments)
                figures.note(figures.rates, cell, place.name, run.rate)
                if place.pid:
                    figures.note(figures.cpu_us, cell, place.name, run.cpu_us)
                if times := sorted(run.times):
                    for share in (50, 99):
                        figures.note(
                            figures.latencies, f"{cell} p{share}", place.name, times[len(times) * share // 100]
                        )
            if not rows:
                lasted = time.monotonic() - begun
        for place in shuffled.sample(few, len(few)) if re.search(only, "COPY OUT") and not number else ():
            figures.note(figures.rates, "COPY OUT", place.name, copied(psql, place))
        say(f"round {number + 1} of {rounds}")
    return figures


def ratios(table: dict[str, dict[str, list[float]]], base: str) -> dict[str, dict[str, float]]:
    """The median over rounds of each place's figure divided by the base's in the same round; over the base's with TLS, with TLS."""

    def like(name: str) -> str:
        return base + TLS if name.endswith(TLS) else base

    return {
        cell: {
            name: statistics.median(a / b for a, b in zip(values, row[like(name)], strict=True))
            for name, values in row.items()
            if name != like(name)
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
    names = list(dict.fromkeys(name for row in cells.values() for name in row))
    lines = [f"| {title} | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for cell, row in cells.items():
        lines.append(
            f"| {cell} | " + " | ".join(format(row[name], form) if name in row else "-" for name in names) + " |"
        )
    return [*lines, ""]


def sockets(scratch: Path) -> Path:
    """A folder for the server's Unix socket that its own user can write."""
    folder = scratch / "s"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    return folder


@contextlib.contextmanager
def everything(only: str) -> Iterator[tuple[list[Place], Path]]:
    """A database, its peers and gates before it: those whose name the expression `only` is found in."""
    installation = debian_installation(15)
    if installation is None:
        raise SystemExit("bench needs Debian's package postgresql-15")
    program = find_program("pgbench") or "/usr/lib/postgresql/15/bin/pgbench"
    with (
        scratch_directory() as scratch,
        tempfile.TemporaryDirectory() as private,
        EmbeddedPostgres(
            scratch / "pg",
            password="bench",
            installation=installation,
            settings={"unix_socket_directories": str(sockets(scratch))},
        ) as server,
        contextlib.ExitStack() as stack,
    ):
        admin = create_database(server, "bench", "CREATE ROLE bench LOGIN PASSWORD 'bench' CREATEROLE;" + PEOPLE)
        subprocess.run([program, "-i", "-q", "-s", "5", admin], check=True, capture_output=True)
        found = stack.enter_context(peers(scratch, server))
        unsynced = {"ledger": "unsafe_skip_sync = true"}
        kinds = {
            "gate": {}, "gate, not synced": unsynced, "gate, not synced, Unix socket": unsynced,
            "gate, not synced" + TLS: unsynced, "gate, not synced, plain": {**unsynced, "gateway": 'core = "plain"'}, "gate, plain": {"gateway": 'core = "plain"'},
        }  # fmt: skip
        found = [
            place
            for place in found
            if place.name == "PgBouncer"
            or (place.name == "PgBouncer" + TLS and any(name.endswith(TLS) and re.search(only, name) for name in kinds))
            or (re.search(only, place.name) and (only or place.name != "socat"))
        ]
        for number, (name, settings) in enumerate(kinds.items()):
            if not re.search(only, name):
                continue
            gate = GateProcess(Path(private) / str(number), {"bench": (admin, "production")}, settings=settings).init()
            if "Unix" in name:
                text = gate.config.read_text()
                gate.config.write_text(text.replace('host = "127.0.0.1"', f'host = "{sockets(scratch)}"'))
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
    parser.add_argument("--seconds", type=int, default=4, help="of one run; its first second does not count")
    parser.add_argument("--cells", default="", help="only cells in whose name this expression is found")
    parser.add_argument("--places", default="", help="only places in whose name this is found, and PgBouncer")
    parser.add_argument("--nice", type=int, default=0, help="priority of everything measured; below 0 needs root")
    parser.add_argument("--minutes", type=float, default=12, help="no round begins that would end later than this")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--svg", type=Path, help="write a picture of the rates here")
    options = parser.parse_args()
    if options.nice:
        os.nice(options.nice)
    until = time.monotonic() + 60 * options.minutes
    with everything(options.places) as (places, scratch):
        figures = measure(
            places,
            rounds=options.rounds,
            seconds=options.seconds,
            scratch=scratch,
            only=options.cells,
            say=lambda t: print(t, file=sys.stderr),
            until=until,
        )
    rates = ratios(figures.rates, "PgBouncer")
    print("\n".join(markdown("rate over PgBouncer", rates, ".2f")))
    if any("direct" in row for row in figures.latencies.values()):
        print("\n".join(markdown("added microseconds over direct", added(figures.latencies, "direct"), ".0f")))
    cpu = {
        cell: {name: statistics.median(values) for name, values in row.items()} for cell, row in figures.cpu_us.items()
    }
    print("\n".join(markdown("processor microseconds per statement", cpu, ".0f")))
    print(
        f"{max(len(v) for row in figures.rates.values() for v in row.values())} rounds of {options.seconds} s, medians; gates: {speed.name()} core unless said; Python {sys.version.split()[0]}"
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
