"""PostgreSQL's own regression suite, directly and through the gate: `make regress`, with `REGRESS_PG=17` or `18` those.

Debian's source packages have the suites; what they run with is in `programs.py`. The library that the suites of 15 and 18 load is compiled;
for the others there are no headers, so what needs it fails directly as it does through the gate. Both runs give results files; a test counts as the
same when its file is the same. What the suite itself expects is not asked: a server that is newer than the source may differ from it, and does so in both runs.

The suite runs as a principal who may do everything, over a superuser role (`unsafe_superuser`). The differences are kept in
`differences/`; docs/compatibility.md explains each.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from lockgate.testing.engines import EmbeddedPostgres, scratch_directory
from regress import programs
from support.gate import GateProcess

RELEASES = {15: "bookworm", 17: "trixie", 18: "sid"}
"""Where Debian has the sources of a major version."""
PINNED = {
    17: (
        "pool/main/p/postgresql-17/postgresql-17_17.10.orig.tar.bz2",
        "078a03516dcdbdb705fecaf415ea3d13a956c589e46f09fed68a06fb00598c90",
    ),
    18: (
        "pool/main/p/postgresql-18/postgresql-18_18.6.orig.tar.bz2",
        "555610c24d53e4316da5b7d3fc25c279d96856d5e0e23ee308c328c5fa881d9f",
    ),
}
"""Archives in the pool for when a mirror's index is ahead of what it holds, with their SHA-256."""
SETTINGS = {
    "lc_messages": "C", "lc_monetary": "C", "lc_numeric": "C", "lc_time": "C", "bytea_output": "hex", "timezone_abbreviations": "Default",
}  # fmt: skip
"""What pg_regress sets for a database that it makes itself."""
SECONDS_MAX = 4 * 3600
"""One run takes minutes on a quiet machine, but the gate's half is bound by one core."""
PRINCIPALS = '[[principal]]\nname = "postgres"\nkind = "person"\ngroups = ["administrators"]\n'


def fetch(cache: Path, major: int, archive: Path | None = None) -> Path:
    """The suite's folder: from an archive at hand, from Debian's source package, or from the pinned one where that cannot be had."""
    found = sorted(cache.glob(f"postgresql-{major}.*/src/test/regress"))
    if found and archive is None:
        return found[-1]
    cache.mkdir(parents=True, exist_ok=True)
    archive = archive or _from_debian(cache, major) or _pinned(cache, major)
    if archive is None:
        raise SystemExit(f"there are no sources of PostgreSQL {major} to be had; name an archive with --archive")
    subprocess.run(["tar", "xf", str(archive), "--wildcards", "*/src/test/regress/*"], check=True, cwd=cache)
    return max(cache.glob(f"postgresql-{major}.*/src/test/regress"))


def _mirrors() -> list[str]:
    """The mirrors that this machine is configured for."""
    places = Path("/etc/apt/sources.list.d/debian.sources")
    hosts = re.findall(r"(?m)^URIs: (\S+)", places.read_text(encoding="utf-8")) if places.exists() else []
    if not hosts:
        raise SystemExit("no Debian mirror is configured in /etc/apt/sources.list.d/debian.sources")
    return list(dict.fromkeys(hosts))


def _from_debian(cache: Path, major: int) -> Path | None:
    """The archive of Debian's source package, None when the mirror does not have what its index names."""
    release = RELEASES.get(major)
    if release is None:
        return None
    lines = []
    for mirror in _mirrors():
        if not mirror.endswith("-security"):
            lines.append(f"deb-src {mirror} {release} main\n")
        elif release != "sid":
            lines.append(f"deb-src {mirror} {release}-security main\n")
    sources = cache / "sources.list"
    sources.write_text("".join(lines))
    lists = cache / f"lists-{major}"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    options = [
        f"Dir::Etc::sourcelist={sources}",
        "Dir::Etc::sourceparts=/dev/null",
        f"Dir::State::lists={lists}",
        "APT::Get::List-Cleanup=0",
    ]
    apt = [word for option in options for word in ("-o", option)]
    subprocess.run(["apt-get", "-qq", *apt, "update"], check=True, cwd=cache)
    shown = subprocess.run(
        ["apt-cache", *apt, "showsrc", f"postgresql-{major}"], check=True, capture_output=True, text=True
    ).stdout
    for version in reversed(dict.fromkeys(re.findall(r"(?m)^Version: (\S+)", shown))):
        command = ["apt-get", "-qq", *apt, "source", "--download-only", f"postgresql-{major}={version}"]
        if subprocess.run(command, check=False, cwd=cache).returncode == 0:
            return max(cache.glob(f"postgresql-{major}_*.orig.tar.*"))
    return None


def _pinned(cache: Path, major: int) -> Path | None:
    """The pinned archive of a version from the mirror's pool."""
    if major not in PINNED:
        return None
    path, digest = PINNED[major]
    target = cache / Path(path).name
    helper = ["/usr/lib/apt/apt-helper", "download-file", f"{_mirrors()[0]}/{path}", str(target), f"SHA256:{digest}"]
    subprocess.run(helper, check=True, stdout=sys.stderr)
    return target


def run_suite(suite: Path, place: Path, loaded: Path, target: dict[str, str], tests: list[str]) -> Path:
    """One run; its results folder."""
    engine = programs.installed(int(target["major"]))
    tools = programs.psql_of(engine)
    place.mkdir()
    place.chmod(0o777)
    for name in ("results", "testtablespace", "sql", "expected"):
        (place / name).mkdir(exist_ok=True)
        (place / name).chmod(0o777)
    command = [
        str(programs.runner(engine)), f"--inputdir={suite}", f"--outputdir={place}", f"--dlpath={loaded}", f"--bindir={tools.bin_directory}",
        f"--host={target['host']}", f"--port={target['port']}", f"--user={target['user']}", "--dbname=regression", "--use-existing",
        "--max-connections=10", *(tests or [f"--schedule={suite / 'parallel_schedule'}"]),
    ]  # fmt: skip
    environment = {**os.environ, **tools.environment, "PGPASSWORD": target["password"], "PGSSLMODE": target["sslmode"]}
    with (place / "output.txt").open("w") as output:
        subprocess.run(
            command,
            check=False,
            cwd=place,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=SECONDS_MAX,
        )
    return place / "results"


def server(place: Path, major: int) -> EmbeddedPostgres:
    """A fresh server with the database of the suite."""
    found = EmbeddedPostgres(
        place,
        password="superuser",
        installation=programs.installed(major),
        settings={"max_prepared_transactions": "2", "timezone": "PST8PDT"},
    )
    found.start()
    with psycopg.connect(found.dsn(), autocommit=True) as link:
        link.execute("CREATE DATABASE regression TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
        for name, value in SETTINGS.items():
            link.execute(f"ALTER DATABASE regression SET {name} TO '{value}'".encode())
    return found


@contextmanager
def stage(place: Path, major: int) -> Iterator[tuple[EmbeddedPostgres, GateProcess]]:
    """A fresh server that `lockgate init` has made ready, and the gate, which does not serve yet.

    The server that is asked directly is made ready as well: the roles and default privileges are seen in catalogues, gate or not.
    """
    place.mkdir()
    place.chmod(0o755)
    running = server(place / "pg", major)
    gate = GateProcess(
        place / "gate", {"regression": (running.dsn("regression"), "development")}, principals=PRINCIPALS
    )
    try:
        gate.init()
        gate.use_superuser(running.password)
        yield running, gate
    finally:
        gate.stop()
        running.stop()


def compare(direct: Path, gated: Path, differences: Path) -> tuple[list[str], list[str]]:
    """Names of tests that gave the same and of those that differ; the differences are written."""
    shutil.rmtree(differences, ignore_errors=True)
    differences.mkdir(parents=True)
    same, differing = [], []
    for one in sorted(direct.glob("*.out")):
        other = gated / one.name
        left = _readable(one, direct)
        right = _readable(other, gated) if other.exists() else []
        if left == right:
            same.append(one.stem)
            continue
        differing.append(one.stem)
        diff = difflib.unified_diff(left, right, "direct", "gate", n=2)
        (differences / f"{one.stem}.diff").write_text("\n".join(line.rstrip("\n") for line in diff), encoding="utf-8")
    return same, differing


def _readable(path: Path, folder: Path) -> list[str]:
    text = path.read_bytes().decode("utf-8", "backslashreplace")
    text = re.sub(
        r"\blockgate_regression_[0-9a-f]{6}_", "lockgate_regression_", text
    )  # each `lockgate init` names its own roles
    return text.replace(str(folder.parent), "PLACE").splitlines()


def main() -> int:
    """Both runs and the count."""
    parser = argparse.ArgumentParser(description="PostgreSQL's regression suite directly and through the gate")
    parser.add_argument("tests", nargs="*", help="only these tests, in this order")
    parser.add_argument("--major", type=int, default=15, choices=(15, 16, 17, 18))
    parser.add_argument("--archive", type=Path, help="the sources, where Debian has none: postgresql-16.X.tar.bz2")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/lockgate/regress")
    parser.add_argument("--most", type=int, default=3, help="more differing tests than this fail")
    parser.add_argument("--differences", type=Path, default=Path("build/regress"))
    arguments = parser.parse_args()
    major = arguments.major
    suite = fetch(arguments.cache, major, arguments.archive)
    with scratch_directory("lockgate-regress-") as scratch:
        shutil.copytree(suite, scratch / "suite")
        suite = scratch / "suite"
        loaded = programs.libraries(programs.installed(major), suite, scratch)
        for folder in (suite, loaded):
            subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
        with stage(scratch / "direct-stage", major) as (first, _):
            target = {
                "major": str(major), "host": "127.0.0.1", "port": str(first.port), "user": "postgres",
                "password": first.password, "sslmode": "disable",
            }  # fmt: skip
            direct = run_suite(suite, scratch / "direct", loaded, target, arguments.tests)
        with stage(scratch / "gate-stage", major) as (_, gate):
            gate.start()
            target = {
                "major": str(major), "host": gate.host, "port": str(gate.port), "user": "postgres",
                "password": gate.token("postgres", "--ttl", "12h"), "sslmode": "require",
            }  # fmt: skip
            gated = run_suite(suite, scratch / "gated", loaded, target, arguments.tests)
        print((gate.folder / "stderr.txt").read_text()[-3000:], file=sys.stderr)
        same, differing = compare(direct, gated, arguments.differences)
        for name, folder in (("direct", direct), ("gate", gated)):
            print(name, "\n".join((folder.parent / "output.txt").read_text().splitlines()[-6:]), file=sys.stderr)
    print(
        f"{len(same)} of {len(same) + len(differing)} tests give the same through the gate; different: {', '.join(differing) or 'none'}"
    )
    enough = bool(same) and len(differing) <= arguments.most
    return 0 if enough or arguments.tests else 1


if __name__ == "__main__":
    sys.exit(main())
