"""Builds the compiled core beside its sources: Cython makes C of it, the C compiler a module.

For: `make install` and the wheel (`hatch_build.py`). A missing compiler or Cython is no error: the plain core does the work then.
Not for: choosing a core (`lockgate.speed`).
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "lockgate" / "_speed.pyx"


def target() -> Path:
    """Where the module goes."""
    return SOURCE.with_name("_speed" + str(sysconfig.get_config_var("EXT_SUFFIX")))


def build() -> str:
    """Build unless it is there and newer than its source; "" or why it could not be built."""
    made = target()
    newest = max(source.stat().st_mtime for source in (SOURCE, *SOURCE.parent.glob("_speed*.pxi")))
    if made.exists() and made.stat().st_mtime > newest:
        return ""
    made.unlink(missing_ok=True)
    if importlib.util.find_spec("Cython") is None:
        return "Cython is not installed"
    with tempfile.TemporaryDirectory() as folder:
        middle, ready = Path(folder) / "_speed.c", Path(folder) / made.name
        include = sysconfig.get_paths()["include"]
        steps = (
            [sys.executable, "-m", "cython", "-3", str(SOURCE), "-o", str(middle)],
            ["cc", "-O2", "-shared", "-fPIC", f"-I{include}", str(middle), "-o", str(ready)],
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
    problem = build()
    if problem:
        sys.stderr.write(f"the compiled core was not built, the plain one is used: {problem}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
