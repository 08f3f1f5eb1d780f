"""`make crash RUNS=1000 [FIRST=0]`: crash runs from consecutive seeds, with a verdict for a person.

For: many more seeds than the tests take. A seed that fails belongs into tests/drills/test_crash_runs.py.
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.crash_world import run


def main() -> int:
    """Run the seeds; returns the exit status."""
    runs, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    failed = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + runs):
            try:
                wrong = run(seed, Path(folder) / "logs")
            except Exception:  # noqa: BLE001  any error of a run is its result
                wrong = [traceback.format_exc()]
            if wrong:
                failed.append(seed)
                print(f"seed {seed}:", *wrong[:5], sep="\n  ", flush=True)
    print(f"{runs} crash runs in {time.monotonic() - started:.0f} s, {len(failed)} failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
