"""How long the standalone verifier needs for a log of N entries, beside the bare hashing of the same entries: `python bench/verification.py`.

For: the figure that an auditor asks for, and a profile of where the time goes (`--profile`).
Not for: correctness, which tests/verifier has. CPU seconds of one process are measured, so that a busy machine counts less.
Source: evidence.md 6; architecture section 8 (ratios against a peer in one run).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from synthetic import entries, write

VERIFIER = Path(__file__).resolve().parents[1] / "verifier" / "lockgate_verify.py"


def hashing_alone(count: int, *, sample: int) -> float:
    """CPU seconds to hash `count` entries into a tree, from a sample of them."""
    stored = [entry for _, entry in zip(range(sample), entries(count), strict=False)]
    began = time.process_time()
    hashes = [hashlib.sha256(b"\0" + entry).digest() for entry in stored]
    while len(hashes) > 1:
        hashes = [hashlib.sha256(b"\1" + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes) - 1, 2)]
    return (time.process_time() - began) * count / len(stored)


def verifying(folder: Path, key: Path, *more: str) -> tuple[float, str]:
    """CPU seconds of one run, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, str(VERIFIER), str(folder), "--key", str(key), "--silence", "0s", *more],
                          capture_output=True, text=True, check=False)  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"the log was not verified:\n{done.stdout}{done.stderr}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done.stdout


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where the log is, or is made and kept; a temporary one by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockgate-bench-") as scratch:
        place = options.folder or Path(scratch) / "log"
        key = place.with_suffix(".pub")
        if not place.exists():
            key.write_bytes(write(place, options.entries, texts=True) + b"\n")
        count = options.entries
        peer = hashing_alone(count, sample=min(count, 100_000))
        seconds, printed = verifying(place, key)
        recount, _ = verifying(place, key, "--recount", "column=table_0007.email disposition=clear")
    per_entry = seconds / count * 1e6
    print(printed)
    print(f"entries {count:,}; python {sys.version.split()[0]}; {os.cpu_count()} cores")
    print("| what | CPU seconds | per entry | over hashing alone |")
    print("| --- | --- | --- | --- |")
    for name, value in (("hashing alone", peer), ("full verification", seconds), ("with a recount", recount)):
        print(f"| {name} | {value:.1f} | {value / count * 1e6:.1f} us | {value / peer:.1f} |")
    print(f"\n5 million entries at this rate: {per_entry * 5:.0f} s on one core")


if __name__ == "__main__":
    main()
