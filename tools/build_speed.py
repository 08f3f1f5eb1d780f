"""Builds the compiled core beside its sources: Cython makes C of it, the C compiler a module.

For: `make install` and the wheel (`hatch_build.py`); `make asan` adds options of the C compiler as arguments. A missing compiler or Cython is no error: the plain core does the work then.
Not for: choosing a core (`lockgate.speed`).
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "src" / "lockgate"
NAMES = {"_speed": (), "_lane": ("-lcrypto", "-lz")}
"""The modules, and the libraries each is linked with: the lane needs the headers of OpenSSL and zlib, which Python has loaded anyway."""


def targets() -> list[Path]:
    """Where the modules go."""
    return [FOLDER / (name + str(sysconfig.get_config_var("EXT_SUFFIX"))) for name in NAMES]


def build(*options: str) -> str:
    """Build each module unless it is there and newer than its source; "" or why one could not be built.

    Args:
        options: further ones of the C compiler.
    """
    problems = [
        _build(FOLDER / f"{name}.pyx", made, NAMES[name], options) for name, made in zip(NAMES, targets(), strict=True)
    ]
    return next((problem for problem in problems if problem), "")


def _build(source: Path, made: Path, libraries: tuple[str, ...], options: tuple[str, ...]) -> str:
    newest = max(one.stat().st_mtime for one in (source, *source.parent.glob("*.pxi"), *source.parent.glob("*.h")))
    if made.exists() and made.stat().st_mtime > newest:
        return ""
    made.unlink(missing_ok=True)
    if importlib.util.find_spec("Cython") is None:
        return "Cython is not installed"
    with tempfile.TemporaryDirectory() as folder:
        middle, ready = Path(folder) / f"{source.stem}.c", Path(folder) / made.name
        include = sysconfig.get_paths()["include"]
        steps = (
            [sys.executable, "-m", "cython", "-3", str(source), "-o", str(middle)],
            [
                "cc",
                "-O3",
                "-shared",
                "-fPIC",
                *options,
                f"-I{include}",
                f"-I{FOLDER}",
                str(middle),
                "-o",
                str(ready),
                *libraries,
            ],
        )
        for step in steps:
            try:
                done = subprocess.run(step, capture_output=True, text=True, check=False)
            except OSError as error:
                return f"`{step[0]}` cannot be run: {error.strerror}"
            if done.returncode != 0:
                return f"`{' '.join(step[:4])}` failed: {done.stderr.strip()[-400:]}"
        made.write_bytes(ready.read_bytes())
        made.chmod(0o755)
    return ""


def main() -> int:
    """Build, and say what came of it; never fails."""
    problem = build(*sys.argv[1:])
    if problem:
        sys.stderr.write(f"the compiled core was not built, the plain one is used: {problem}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
