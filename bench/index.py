"""Search at the size of a year: ingest into the index, and every named question on its first run.

Run with `make bench-index` (5 million entries; ENTRIES=500000 for less). Prints a table and, with `--write`, puts it between the
markers of docs/search.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import synthetic

from lockgate.control.questions import Filters
from lockgate.storage.index.engines import ChdbEngine
from lockgate.storage.index.indexer import Indexer
from lockgate.storage.index.logs import Logs
from lockgate.storage.port import RealFiles
from lockgate.storage.receipts import receipt

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "search.md"
MARK = re.compile(r"(<!-- search figures: begin -->\n).*?(<!-- search figures: end -->)", re.DOTALL)
QUARTER = "2026-08-03T00:00:00Z"
FILTERS: list[tuple[str, str, Filters]] = [
    ("readers", "of a busy column, 90 days", {"column": [synthetic.COMMON_COLUMN], "since": QUARTER}),
    ("readers", "of a label, the whole year", {"label": "person.email"}),
    ("statements", "of a rare principal, the newest 100", {"principal": "eve-2902", "limit": 100}),
    ("principal", "the busiest, the newest 1,000", {"principal": "ann-0000"}),
    ("run", "one of many", {"run": "run-124"}),
    ("text", "a rare text", {"text": "t.id_1234 "}),
    ("tables", "the whole year", {}),
    ("denials", "the whole year", {}),
    ("volume", "the whole year", {}),
    ("approvals", "the whole year", {}),
    ("policies", "the whole year", {}),
    ("sessions", "the whole year", {}),
]


def _memory() -> int:
    """Peak memory of this process in MB."""
    match = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(match[1]) // 1024 if match else 0


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) >> 20


def _cpu() -> float:
    """Seconds of processor time of this process and of those that have ended."""
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def measure(logs_folder: Path, index_folder: Path, processes: int) -> Iterator[tuple[str, bool]]:
    """Lines of the table, and whether each figure was good enough."""
    logs = Logs(str(logs_folder), RealFiles())
    (origin,) = logs.origins()
    entries = logs.sealed(origin)
    index = Indexer(ChdbEngine(index_folder), logs, days=10_000, processes=processes)
    cpu, begun = _cpu(), time.perf_counter()
    while index.catch_up(batches=64):
        continue
    seconds = time.perf_counter() - begun
    index.rest()
    busy = _cpu() - cpu
    free = entries / busy * processes
    rate = f"{entries / seconds:,.0f} entries/s | {seconds:.0f} s; {busy:.0f} s of processor time, so at most {free:,.0f} entries/s on {processes} free cores"
    yield f"| ingest of {entries:,} entries | {rate} |", entries / seconds >= 100_000
    yield f"| disk | {_size(index_folder):,} MB | of the index; the log has {_size(logs_folder):,} MB |", True
    index.close()
    index = Indexer(ChdbEngine(index_folder), logs, days=10_000)
    for name, which, filters in FILTERS:
        begun, cpu = time.perf_counter(), _cpu()
        answer = index.ask(name, filters)
        took, busy = time.perf_counter() - begun, _cpu() - cpu
        begun = time.perf_counter()
        index.ask(name, filters)
        again = time.perf_counter() - begun
        facts = f"{busy * 1000:.0f} ms of processor time; again {again * 1000:.0f} ms; {len(answer.rows):,} rows"
        yield f"| `{name}`: {which} | {took * 1000:.0f} ms | {facts} |", took <= 0.5
    begun = time.perf_counter()
    _, proof = receipt(logs.folder(origin), logs.files, entries // 3)
    yield (
        f"| one entry with its proof | {(time.perf_counter() - begun) * 1000:.0f} ms | {len(proof.encode()):,} bytes |",
        True,
    )
    yield f"| memory of the indexer, peak | {_memory():,} MB | |", True
    index.close()


def main() -> int:
    """Write the log when it is not there, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=5_000_000)
    parser.add_argument("--folder", type=Path, help="keep the log here and use it again")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/search.md")
    parser.add_argument("--verify", action="store_true", help="run the standalone verifier over the log as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)) / f"log-{options.entries}"
        if not folder.exists():
            begun = time.perf_counter()
            key = synthetic.write(folder / "bench-1", options.entries)
            (folder.parent / "log.pub").write_bytes(key + b"\n")
            print(f"wrote {options.entries:,} entries in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
        index_folder = Path(scratch) / "index"
        lines, enough = [], True
        for line, good in measure(folder, index_folder, os.cpu_count() or 1):
            print(line, file=sys.stderr, flush=True)
            lines.append(line)
            enough &= good
        shutil.rmtree(index_folder)
        if options.verify:
            begun = time.perf_counter()
            status = subprocess.run(
                [sys.executable, ROOT / "verifier/lockgate_verify.py", folder / "bench-1", "--key", folder.parent / "log.pub"],
                check=False, stdout=subprocess.DEVNULL,
            ).returncode  # fmt: skip
            lines.append(
                f"| the verifier over the whole log | {time.perf_counter() - begun:.0f} s | exit status {status} |"
            )
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, ClickHouse embedded (chdb-core-lite)"
    load = os.getloadavg()[0]
    note = f"{machine}; load of the machine {load:.1f} at the end."
    table = "\n".join(["| what | first run | |", "| --- | --- | --- |", *lines, "", note, ""])
    print(table)
    if options.write:
        text = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(MARK.sub(lambda m: f"{m[1]}{table}{m[2]}", text), encoding="utf-8")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
