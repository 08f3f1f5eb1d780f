"""What the record itself costs: entries a second through the log, over a plain file with the same bytes and the same syncs.

One command: `make bench-append`. Each figure is a ratio of medians over interleaved rounds in one run; the peer writes the entries as they
are, one write and one fdatasync a group, and does nothing else. So 1.00 would be a log for nothing.

Not for: tests. Nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from lockgate.ledger.note import Ed25519Signer
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.port import Files, RealFiles, UnsyncedFiles

GROUPS = (1, 8, 32, 256, 1000)
FIELDS: dict[str, object] = {
    "kind": "intent", "session": "gate-1-0123456789abcdef", "principal": "report-writer", "principal_kind": "Agent", "on_behalf_of": "ann",
    "binding": "issued", "run": "nightly-42", "purpose": "reporting", "token": "0123456789abcdef", "client": "10.1.2.3", "database": "shop",
    "environment": "production", "statement": "select", "shape": "SELECT o.id, c.email, c.phone FROM orders o JOIN customers c ON c.id = o.customer "
    "WHERE o.placed > $1 AND c.country = $2 ORDER BY o.id LIMIT ?", "tables": ["public.customers", "public.orders"],
    "columns": [{"name": "public.customers.email", "label": "person.email", "disposition": "masked"},
                {"name": "public.customers.phone", "label": "person.phone", "disposition": "masked"}],
    "decision": "permit", "rules": ["read.everyone"], "policy": "a" * 64, "catalog": 17, "text": "b" * 64,
}  # fmt: skip


def open_log(folder: Path, files: Files) -> LedgerLog:
    """A fresh log."""
    return LedgerLog.open(
        str(folder), origin="bench/1", signer=Ed25519Signer("bench/1", bytes(32)), files=files, text_key=bytes(32),
        clock=lambda: datetime.now(UTC), entropy=os.urandom,
    )  # fmt: skip


def plain(folder: Path, group: int, groups: int, *, sync: bool) -> float:
    """Entries a second into a preallocated plain file."""
    entry = json.dumps(FIELDS, sort_keys=True, separators=(",", ":")).encode()
    block = entry * group
    handle = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT)
    os.pwrite(handle, bytes(len(block) * groups), 0)
    os.fsync(handle)
    begun = time.perf_counter()
    for number in range(groups):
        os.pwrite(handle, block, number * len(block))
        if sync:
            os.fdatasync(handle)
    seconds = time.perf_counter() - begun
    os.close(handle)
    return group * groups / seconds


def ledger(folder: Path, group: int, groups: int, *, sync: bool, tree: bool) -> float:
    """Entries a second through `append` and `commit`, with tiles and checkpoints every 2,000 entries when `tree`."""
    log = open_log(folder, RealFiles() if sync else UnsyncedFiles())
    begun = time.perf_counter()
    for _ in range(groups):
        for _ in range(group):
            log.append(FIELDS)
        log.commit()
        if tree and log.lag >= 2000:
            log.integrate()
    if tree:
        log.integrate()
    seconds = time.perf_counter() - begun
    log.close()
    return group * groups / seconds


def main() -> int:
    """Run and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entries", type=int, default=4000, help="about so many per measurement")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ways: dict[str, Callable[[Path, int, int], float]] = {
        "plain, synced": lambda f, g, n: plain(f, g, n, sync=True),
        "plain, not synced": lambda f, g, n: plain(f, g, n, sync=False),
        "log, durable": lambda f, g, n: ledger(f, g, n, sync=True, tree=False),
        "log, durable and signed": lambda f, g, n: ledger(f, g, n, sync=True, tree=True),
        "log, not synced, signed": lambda f, g, n: ledger(f, g, n, sync=False, tree=True),
    }
    found: dict[tuple[int, str], list[float]] = {}
    for _ in range(options.rounds):
        order = [(group, way) for group in GROUPS for way in ways]
        random.shuffle(order)
        for group, way in order:
            groups = max(3, min(options.entries // group, 400))
            with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
                found.setdefault((group, way), []).append(
                    ways[way](Path(folder) / "log" if "log" in way else Path(folder), group, groups)
                )
    medians = {key: statistics.median(rates) for key, rates in found.items()}
    rows = [
        {
            "group": group, "entries_per_second": {way: round(medians[group, way]) for way in ways},
            "durable_over_plain": medians[group, "log, durable"] / medians[group, "plain, synced"],
            "signed_over_plain": medians[group, "log, durable and signed"] / medians[group, "plain, synced"],
            "cpu_us_per_entry": 1e6 / medians[group, "log, not synced, signed"],
        }
        for group in GROUPS
    ]  # fmt: skip
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    print(
        "| entries a group | durable, over a plain synced file | with tree and checkpoints | microseconds an entry without sync |"
    )
    print("| --- | --- | --- | --- |")
    for row in rows:
        print(
            f"| {row['group']} | {row['durable_over_plain']:.2f} | {row['signed_over_plain']:.2f} | {row['cpu_us_per_entry']:.0f} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
