"""Masked rows: the same gate, the same statement, asked by someone who sees three of ten columns masked and by someone who sees all.

One command: `python bench/masking.py`. Every figure is a ratio of two rates taken one after the other in the same round; tables show medians.
The client reads and throws away, so that it is not what is measured. Nothing here asserts a time. Other traffic is in `run`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import psycopg.pq
from places import Place, gate_place, peers

from lockgate.testing.engines import EmbeddedPostgres, debian_installation, scratch_directory
from lockgate.wire.postgres import frontend as fe
from support.gate import GateProcess
from support.servers import create_database

SEEN, HIDDEN = "clara", "ann"
"""Who sees labelled columns, and who sees their masks."""

TABLE = """
CREATE TABLE orders (id int PRIMARY KEY, email text, phone text, card text, a int, b int, status text, made timestamptz, price numeric(12,2), shelf text);
INSERT INTO orders SELECT g, 'user' || g || '@shop' || g % 500 || '.example', '+44 20 ' || lpad((g / 10000)::text, 4, '0') || ' ' || lpad((g % 10000)::text, 4, '0'),
  '4539 57' || lpad((g / 10000)::text, 2, '0') || ' ' || lpad((g % 10000)::text, 4, '0') || ' 0001', g * 2, g * 3, 'status ' || g % 7, now(), g / 7.0,
  'a longer shelf number ' || g FROM generate_series(1, {rows}) g;
ANALYZE orders;
"""
SELECT = "SELECT * FROM orders ORDER BY id"
COPY = "COPY (SELECT * FROM orders ORDER BY id) TO STDOUT"
_BOUND = (
    fe.Bind("", "", (), (), (1,)).encode()
    + fe.Describe("P", "").encode()
    + fe.Execute("", 0).encode()
    + fe.Sync().encode()
)
ASKED = {
    "text": fe.Query(SELECT).encode(),
    "binary": fe.Parse("", SELECT).encode() + _BOUND,
    "COPY text": fe.Query(COPY).encode(),
    "COPY binary": fe.Query(COPY + " (FORMAT binary)").encode(),
    "COPY csv": fe.Query(COPY + " (FORMAT csv)").encode(),
}


class Reader:
    """One link that asks and throws the answer away."""

    def __init__(self, place: Place) -> None:
        words = (
            f"host=127.0.0.1 port={place.port} user={place.user} password={place.password} dbname=bench sslmode=disable"
        )
        self._link = psycopg.pq.PGconn.connect(words.encode())
        if self._link.status != psycopg.pq.ConnStatus.OK:
            raise SystemExit(self._link.error_message.decode())
        self._socket = socket.socket(fileno=self._link.socket)
        self._socket.setblocking(True)
        self._room = memoryview(bytearray(1 << 20))

    def ask(self, message: bytes) -> int:
        """Bytes of one answer."""
        self._socket.sendall(message)
        total, last = 0, b""
        while True:
            count = self._socket.recv_into(self._room)
            total += count
            last = (last + bytes(self._room[max(0, count - 6) : count]))[-6:]
            if not count or last.startswith(b"Z\0\0\0\5"):
                return total


@contextlib.contextmanager
def everything(rows: int, *, relay: bool = False) -> Iterator[tuple[dict[str, GateProcess], Place, list[Place]]]:
    """A database, a gate of each core before it, and a plain relay where that is asked for."""
    installation = debian_installation(15)
    if installation is None:
        raise SystemExit("bench needs Debian's package postgresql-15")
    with (
        scratch_directory() as scratch,
        tempfile.TemporaryDirectory() as private,
        EmbeddedPostgres(scratch / "pg", password="bench", installation=installation) as server,
        contextlib.ExitStack() as stack,
    ):
        admin = create_database(server, "bench", TABLE.format(rows=rows))
        gates = {}
        for core in ("compiled", "plain"):
            settings = {"ledger": "unsafe_skip_sync = true", "gateway": f'core = "{core}"'}
            gate = GateProcess(Path(private) / core, {"bench": (admin, "production")}, settings=settings).init()
            stack.callback(gate.stop)
            gates[core] = gate.start()
        direct, relays = Place("direct", server.port, "postgres", "bench"), []
        if relay:
            found = [
                place for place in stack.enter_context(peers(scratch, server)) if place.name in ("haproxy", "socat")
            ]
            relays = [replace(found[-1], user=direct.user, password=direct.password)] if found else []
        yield gates, direct, relays


def main() -> int:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each cell in a round")
    parser.add_argument("--cores", default="compiled,plain")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    with everything(options.rows) as (gates, direct, _):
        shuffled = random.Random(7)
        links: dict[tuple[str, str], tuple[Reader, Place]] = {("direct", SEEN): (Reader(direct), direct)}
        for core in options.cores.split(","):
            for principal in (SEEN, HIDDEN):
                place = gate_place(core, gates[core], principal)
                links[core, principal] = (Reader(place), place)
        for number in range(options.rounds + 1):
            for form, message in ASKED.items():
                for key in shuffled.sample(list(links), len(links)):
                    reader, place = links[key]
                    used, begun, times = place.cpu_seconds(), time.perf_counter(), 0
                    while time.perf_counter() - begun < options.seconds or not times:
                        reader.ask(message)
                        times += 1
                    rate = times * options.rows / (time.perf_counter() - begun)
                    if number:  # the first round warms up
                        cell = found.setdefault(form, {})
                        cell.setdefault(f"{key[0]} {key[1]}", []).append(rate)
                        cell.setdefault(f"{key[0]} {key[1]} cpu", []).append(
                            (place.cpu_seconds() - used) * 1e9 / times / options.rows
                        )
    cores = options.cores.split(",")
    print(
        "| 3 of 10 columns masked / unmasked | "
        + " | ".join(cores)
        + " | unmasked / direct | "
        + " | ".join(f"{c}: gate's ns a row, unmasked and masked" for c in cores)
        + " |"
    )
    print("| --- |" + " --- |" * (2 * len(cores) + 1))
    for form, cell in found.items():
        shares = [_share(cell, f"{core} {HIDDEN}", f"{core} {SEEN}") for core in cores]
        costs = [
            f"{statistics.median(cell[f'{core} {SEEN} cpu']):.0f}, {statistics.median(cell[f'{core} {HIDDEN} cpu']):.0f}"
            for core in cores
        ]
        print(
            f"| {form} | "
            + " | ".join(shares)
            + f" | {_share(cell, f'{cores[0]} {SEEN}', f'direct {SEEN}')} | "
            + " | ".join(costs)
            + " |"
        )
    print(f"{options.rounds} rounds, {options.rows} rows; medians")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


def _share(cell: dict[str, list[float]], one: str, base: str) -> str:
    return f"{statistics.median(a / b for a, b in zip(cell[one], cell[base], strict=True)):.2f}"


if __name__ == "__main__":
    sys.exit(main())
