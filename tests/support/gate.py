"""A real gate in a process of its own, for tests and benchmarks: `lockgate init`, `serve`, `token` as a person would use them.

Not for: tests of single rooms, which need no process.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import psycopg

from lockgate.cli.main import main
from lockgate.testing.engines import EmbeddedPostgres
from support.servers import create_database, drop_database

COMMAND = [sys.executable, "-m", "lockgate.cli.main"]

HERE = frozenset({"init", "token", "request", "session", "log", "policy", "catalog"})
"""Commands that end by themselves and leave nothing behind in their process."""
VERIFY = ("log", "verify")
"""It runs the standalone verifier, a program that prints for itself."""
SETTLED_SECONDS = 2.0

_CALLING = threading.Lock()
"""Where a command prints and what its environment is are the process's, not a thread's."""

PRINCIPALS = """\
[[principal]]
name = "root"
kind = "person"
groups = ["administrators"]

[[principal]]
name = "clara"
kind = "person"
groups = ["unmaskers", "writers"]

[[principal]]
name = "ann"
kind = "person"
groups = ["writers"]

[[principal]]
name = "boss"
kind = "person"
groups = ["approvers"]

[[principal]]
name = "bot"
kind = "agent"
owner = "ann"

[[principal]]
name = "etl"
kind = "service"
groups = ["writers"]
"""


@dataclass
class GateProcess:
    """One gate: its folder, its process, its address.

    Args:
        folder: where `init` writes; made when missing.
        databases: name -> (DSN of an administrator, environment).
        policies: further policy files, name -> text.
        settings: lines put into `lockgate.toml` by section, such as {"limits": "hold_seconds = 2"}.
    """

    folder: Path
    databases: dict[str, tuple[str, str]]
    principals: str = PRINCIPALS
    policies: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    host: str = "127.0.0.1"
    port: int = 0
    metrics: str = ""
    tokens: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """The gate's lockgate.toml."""
        return self.folder / "lockgate.toml"

    @property
    def log_folder(self) -> Path:
        """The worker's log."""
        return next((self.folder / "log").glob("*-1"))

    @property
    def log_folders(self) -> list[Path]:
        """The logs of all workers."""
        return sorted((self.folder / "log").glob("*-[0-9]*"))

    def init(self) -> GateProcess:
        """Run `lockgate init --create-roles` for every database and write principals, policies and settings."""
        for name, (dsn, environment) in self.databases.items():
            self.call(
                "init",
                "--dir",
                str(self.folder),
                "--database",
                f"{name}={dsn}",
                "--environment",
                environment,
                "--create-roles",
            )
        (self.folder / "principals.toml").write_text(self.principals)
        for name, text in self.policies.items():
            (self.folder / "policies" / name).write_text(text)
        text = self.config.read_text()
        own = self.settings.get("gateway", "")
        for key, quote, variable in (("workers", "", "LOCKGATE_TEST_WORKERS"), ("core", '"', "LOCKGATE_TEST_CORE")):
            value = os.environ.get(variable, "")
            if value and key not in own:
                text = text.replace("[gateway]\n", f"[gateway]\n{key} = {quote}{value}{quote}\n", 1)
        for section, lines in self.settings.items():
            text = text.replace(f"[{section}]\n", f"[{section}]\n{lines}\n", 1)
        self.config.write_text(text)
        return self

    def use_superuser(self, password: str) -> GateProcess:
        """Let who may see everything work as the role `postgres` (`unsafe_superuser`); before `start`."""
        secret = self.folder / "keys" / "superuser"
        secret.write_text(password)
        secret.chmod(0o600)
        text = re.sub(r"(?m)^clear_(role|password).*\n", "", self.config.read_text())
        lines = 'clear_role = "postgres"\nclear_password = "file:keys/superuser"\nunsafe_superuser = true\n'
        self.config.write_text(text.replace("[[database]]\n", "[[database]]\n" + lines))
        return self

    def call(self, *arguments: str) -> str:
        """What one `lockgate` command prints that must succeed."""
        return self.run(*arguments).stdout

    def label(self, database: str, label: str, *columns: str) -> None:
        """Give columns a label, or `none`; those without a schema are in `public`."""
        for column in columns:
            name = column if column.count(".") > 1 else f"public.{column}"
            self.call("catalog", "label", "--config", str(self.config), "--database", database, name, label)

    def run(
        self, *arguments: str, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one `lockgate` command; one of `HERE` in this process, as a new one costs most of a second to begin."""
        more = {**self.environment, **(environment or {})}
        if arguments[0] in HERE and arguments[:2] != VERIFY:
            done = _run_here(arguments, more)
        else:
            done = subprocess.run(
                [*COMMAND, *arguments],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
                env={**os.environ, **more},
            )
        if check and done.returncode != 0:
            raise AssertionError(f"lockgate {arguments[0]} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return done

    def start(self) -> GateProcess:
        """Serve on a free port and wait until it accepts."""
        return self.launch([*COMMAND, "serve", "--config", str(self.config), "--listen", f"{self.host}:0"])

    def launch(self, command: list[str]) -> GateProcess:
        """Start a serving program and wait for its ready line."""
        with (self.folder / "stderr.txt").open("a") as errors:
            self.process = subprocess.Popen(
                command, text=True, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, **self.environment}
            )
        if self.process.stdout is None:
            raise AssertionError("no output of the gate")
        line = self.process.stdout.readline()
        if not line:
            self.stop()
            raise AssertionError(f"the gate did not start: {(self.folder / 'stderr.txt').read_text()[-2000:]}")
        ready = json.loads(line)
        self.port = int(ready["listen"].rsplit(":", 1)[1])
        self.metrics = ready.get("metrics", "")
        return self

    def stop(self) -> int:
        """SIGTERM and wait; returns the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.returncode

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()

    def token(self, principal: str, *arguments: str) -> str:
        """A credential, made once per principal and arguments."""
        key = (principal, *arguments)
        if key not in self.tokens:
            self.tokens[key] = self.call("token", principal, "--config", str(self.config), *arguments).strip()
        return self.tokens[key]

    def dsn(self, principal: str, database: str, *, sslmode: str = "require", **more: str) -> str:
        """A key=value DSN through the gate."""
        parts = {
            "host": self.host,
            "port": str(self.port),
            "user": principal,
            "password": self.token(principal),
            "dbname": database,
            "sslmode": sslmode,
            **more,
        }
        return " ".join(f"{k}={v}" for k, v in parts.items())

    def connect(self, principal: str, database: str, **more: str) -> psycopg.Connection[tuple[object, ...]]:
        """An autocommit psycopg connection through the gate."""
        return psycopg.connect(self.dsn(principal, database, **more), autocommit=True)

    def search(self, *arguments: str) -> list[dict[str, object]]:
        """`lockgate log search --json` as objects; statements that run, or whose outcomes wait for company, get a moment to end."""
        deadline = time.monotonic() + SETTLED_SECONDS
        while True:
            done = self.run("log", "search", "--config", str(self.config), "--json", *arguments)
            found: list[dict[str, object]] = [json.loads(line) for line in done.stdout.splitlines()]
            under_way = any(row.get("kind") == "intent" and row.get("status") is None for row in found)
            if not under_way or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    def published(self, name: str) -> float:
        """The value of a metric, over all its labels and workers; 0 of one that nothing has counted yet."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split(" ")[0].split("{")[0] == f"lockgate_{name}")

    @contextmanager
    def reloads(self, seconds: float = 120.0) -> Iterator[None]:
        """Files are edited inside; afterwards every worker has taken them over, or has refused to."""
        before, deadline = self.published("reloads_total"), time.monotonic() + seconds
        yield
        while self.published("reloads_total") < before + len(self.log_folders):
            if time.monotonic() > deadline:
                raise AssertionError("the gate did not look at what was edited")
            time.sleep(0.05)

    def wait_for_request(self, seconds: float = 120.0) -> dict[str, object]:
        """The first held request."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines = self.call("request", "list", "--config", str(self.config), "--json").splitlines()
            if lines:
                found: dict[str, object] = json.loads(lines[0])
                return found
            time.sleep(0.05)
        raise AssertionError("nothing was held")

    def verify(self) -> subprocess.CompletedProcess[str]:
        """The standalone verifier over the log."""
        return self.run("log", "verify", "--config", str(self.config), check=False)


def replaced(path: Path, text: str) -> None:
    """Another file in the place of this one, at once: a gate that meets an empty one takes nobody for known."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _run_here(arguments: tuple[str, ...], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """One command in this process, with what it prints and its exit status."""
    printed, said = io.StringIO(), io.StringIO()
    with (
        _CALLING,
        patch.dict(os.environ, environment),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(said),
    ):
        status = main(list(arguments))
    return subprocess.CompletedProcess([*COMMAND, *arguments], status, printed.getvalue(), said.getvalue())


@contextmanager
def served(
    server: EmbeddedPostgres,
    name: str,
    script: str,
    folder: Path,
    *,
    alias: str = "",
    environment: str = "production",
    clear: Iterable[str] = (),
    principals: str = PRINCIPALS,
    policies: dict[str, str] | None = None,
) -> Iterator[GateProcess]:
    """A gate before a new database, which is dropped at the end.

    Args:
        name: of the database on the server.
        script: what is in it.
        folder: the gate's own folder is made in it.
        alias: what clients call the database; its name when left out.
        clear: columns without a label, as somebody would say who knows them.
    """
    database = alias or name
    known = {database: (create_database(server, name, script), environment)}
    running = GateProcess(folder / "gate", known, principals=principals, policies=policies or {}).init()
    running.label(database, "none", *clear)
    yield running.start()
    running.stop()
    drop_database(server, name)
