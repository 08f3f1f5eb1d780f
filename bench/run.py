"""The benchmark: pgbench against PostgreSQL directly, PgBouncer, and the gate with and without synced evidence, side by side.

One command: `make bench`. Every figure is a ratio taken in the same round; rounds are shuffled and interleaved, the table shows
medians. Absolute numbers say little: machines are shared and noisy.

Not for: tests. Nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from lockgate.testing.engines import EmbeddedPostgres, debian_installation, free_port, scratch_directory
from support.gate import GateProcess
from support.servers import create_database, find_program

MODES = (("simple", 1), ("simple", 8), ("simple", 32), ("prepared", 1), ("prepared", 8), ("prepared", 32))
MASKED_SQL = "SELECT id, email, phone, card FROM people ORDER BY id\n"
CLEAR_SQL = "SELECT id, a, b FROM plain ORDER BY id\n"
PEOPLE = """
CREATE TABLE people AS SELECT g AS id, 'user' || g || '@shop-client.example' AS email, '+44 20 7946 ' || lpad((g % 10000)::text, 4, '0') AS phone,
  '4539 5700 ' || lpad((g % 10000)::text, 4, '0') || ' 0001' AS card FROM generate_series(1, 5000) g;
ALTER TABLE people ADD PRIMARY KEY (id);
CREATE TABLE plain AS SELECT g AS id, g * 2 AS a, g * 3 AS b, 'status ' || g % 7 AS c FROM generate_series(1, 5000) g;
ALTER TABLE plain ADD PRIMARY KEY (id);
ANALYZE;
"""


@dataclass
class Place:
    """Where pgbench connects, under a name."""

    name: str
    host: str
    port: int
    user: str
    database: str
    password: str
    results: dict[str, list[float]] = field(default_factory=dict)


def pgbench(program: str, place: Place, *arguments: str) -> float:
    """Transactions per second of one run."""
    environment = {**os.environ, "PGPASSWORD": place.password, "PGSSLMODE": "disable"}
    command = [program, "-n", "-h", place.host, "-p", str(place.port), "-U", place.user, *arguments, place.database]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    found = re.search(r"tps = ([0-9.]+) \(without", done.stdout)
    if done.returncode != 0 or found is None:
        raise SystemExit(f"pgbench on {place.name}: {done.stderr.strip()[-800:]}")
    return float(found.group(1))


def start_pgbouncer(program: str, folder: Path, server: EmbeddedPostgres) -> tuple[subprocess.Popen[bytes], int]:
    """PgBouncer in session mode, as a peer that audits nothing."""
    port = free_port()
    (folder / "users.txt").write_text('"bench" "bench"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\nbench = host=127.0.0.1 port={server.port} dbname=bench user=bench password=bench\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = plain\nauth_file = {folder}/users.txt\npool_mode = session\nserver_reset_query =\n"
        f"max_client_conn = 200\ndefault_pool_size = 100\nunix_socket_dir =\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    lower: dict[str, object] = {}
    if os.geteuid() == 0:
        for path in (folder, folder / "users.txt", folder / "pgbouncer.ini"):
            path.chmod(0o777 if path.is_dir() else 0o644)
        lower = {"user": "nobody"}
    process = subprocess.Popen([program, "-q", str(folder / "pgbouncer.ini")], **lower)  # type: ignore[call-overload]
    time.sleep(0.5)
    return process, port


def measure(
    places: list[Place], program: str, *, rounds: int, seconds: int, scripts: Path, say: Callable[[str], None]
) -> None:
    """Interleaved, shuffled rounds of every cell."""
    (scripts / "masked.sql").write_text(MASKED_SQL)
    (scripts / "clear.sql").write_text(CLEAR_SQL)
    cells: list[tuple[str, list[str]]] = [
        (f"{mode} x{clients}", ["-S", "-M", mode, "-c", str(clients), "-j", "1", "-T", str(seconds)])
        for mode, clients in MODES
    ]
    cells.append(("5,000 rows, nothing masked x1", ["-f", str(scripts / "clear.sql"), "-c", "1", "-T", str(seconds)]))
    cells.append(
        ("5,000 rows, 3 of 4 columns masked x1", ["-f", str(scripts / "masked.sql"), "-c", "1", "-T", str(seconds)])
    )
    shuffled = random.Random(7)
    for number in range(rounds):
        for cell, arguments in cells:
            order = list(places)
            shuffled.shuffle(order)
            for place in order:
                place.results.setdefault(cell, []).append(pgbench(program, place, *arguments))
        say(f"round {number + 1} of {rounds}")


def table(places: list[Place], base: str) -> list[str]:
    """Markdown: the median over rounds of each place's rate divided by the base's rate in the same round."""
    peer = next(p for p in places if p.name == base)
    others = [p for p in places if p.name != base]
    lines = [f"| tps over {base} | " + " | ".join(p.name for p in others) + " |", "| --- |" + " --- |" * len(others)]
    for cell, rates in peer.results.items():
        ratios = [statistics.median(a / b for a, b in zip(p.results[cell], rates, strict=True)) for p in others]
        lines.append(f"| {cell} | " + " | ".join(f"{r:.2f}" for r in ratios) + " |")
    return lines


def main() -> int:
    """Start everything, measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    installation = debian_installation(15)
    program, bouncer = find_program("pgbench") or "/usr/lib/postgresql/15/bin/pgbench", find_program("pgbouncer")
    if installation is None or bouncer is None:
        raise SystemExit("bench needs Debian's packages postgresql-15 and pgbouncer")
    with (
        scratch_directory() as scratch,
        tempfile.TemporaryDirectory() as private,
        EmbeddedPostgres(scratch / "pg", password="bench", installation=installation) as server,
    ):
        admin = create_database(server, "bench", "CREATE ROLE bench LOGIN PASSWORD 'bench' CREATEROLE;" + PEOPLE)
        subprocess.run([program, "-i", "-q", "-s", "5", admin], check=True, capture_output=True)
        create_database(server, "unused", "")
        gates = [
            GateProcess(Path(private) / name, {"bench": (admin, "production")}, settings=settings).init()
            for name, settings in (("durable", {}), ("unsynced", {"ledger": "unsafe_skip_sync = true"}))
        ]
        peer, port = start_pgbouncer(bouncer, scratch, server)
        try:
            for gate in gates:
                gate.start()
            grant = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO bench"
            subprocess.run([program.replace("pgbench", "psql"), "-q", "-c", grant, admin], check=True)
            places = [
                Place("PgBouncer", "127.0.0.1", port, "bench", "bench", "bench"),
                Place("direct", "127.0.0.1", server.port, "bench", "bench", "bench"),
                Place(
                    "gate, evidence synced",
                    "127.0.0.1",
                    gates[0].port,
                    "bot",
                    "bench",
                    gates[0].token("bot", "--ttl", "12h"),
                ),
                Place(
                    "gate, evidence not synced",
                    "127.0.0.1",
                    gates[1].port,
                    "bot",
                    "bench",
                    gates[1].token("bot", "--ttl", "12h"),
                ),
            ]
            measure(
                places,
                program,
                rounds=options.rounds,
                seconds=options.seconds,
                scripts=scratch,
                say=lambda t: print(t, file=sys.stderr),
            )
        finally:
            for gate in gates:
                gate.stop()
            peer.terminate()
            peer.wait()
    print("\n".join(table(places, "PgBouncer")))
    print(
        f"\n{options.rounds} rounds of {options.seconds} s each, medians; core: plain Python {sys.version.split()[0]}"
    )
    if options.json:
        options.json.write_text(json.dumps({p.name: p.results for p in places}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
