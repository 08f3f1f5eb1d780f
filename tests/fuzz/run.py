"""Coverage-guided fuzzing of one target for some seconds: `make fuzz` runs every one. Needs atheris (`make drivers` installs it).

A finding is a traceback and a file `crash-...` with the bytes; it becomes a case of `test_fuzz_smoke.py`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["lockgate"]):
    from fuzz.targets import TARGETS, seeds


def main() -> None:
    """`run.py TARGET SECONDS`."""
    name, seconds = sys.argv[1], sys.argv[2]
    corpus = Path(tempfile.mkdtemp(prefix=f"lockgate-fuzz-{name}-"))
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed{number}").write_bytes(seed)
    atheris.Setup(
        [sys.argv[0], str(corpus), f"-max_total_time={seconds}", "-max_len=8192", "-print_final_stats=1"], TARGETS[name]
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
