"""The walk of `lockgate demo`: a real PostgreSQL, a real gate, real clients, real answers.

For: showing in a minute what the product promises, with nothing staged: every line printed came over the wire.
Not for: tests; a step whose answer is not as promised makes the demo fail all the same.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from lockgate.cli.common import say
from lockgate.config.build import load_settings
from lockgate.testing.engines import EmbeddedPostgres, embedded_installation, scratch_directory

PRINCIPALS = """\
[[principal]]
name = "ann"
kind = "person"
groups = ["writers"]

[[principal]]
name = "boss"
kind = "person"
groups = ["approvers", "unmaskers"]

[[principal]]
name = "copilot"
kind = "agent"
owner = "ann"

[[principal]]
name = "churn-trainer"
kind = "service"
"""
BOLD, DIM, GREEN, RED, END = (
    ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
)


class DemoFailedError(Exception):
    """A step did not answer as the product promises."""


class Demo:
    """One demo: its folder, its database, its gate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "gate" / "lockgate.toml"
        self.server: EmbeddedPostgres | None = None
        self.gate: subprocess.Popen[str] | None = None
        self.port = 0
        self.tokens: dict[str, str] = {}
        self.real: tuple[str, ...] = ()

    def lockgate(self, *arguments: str, environment: dict[str, str] | None = None, check: bool = True) -> str:
        """Run the command as a person would."""
        done = subprocess.run([sys.executable, "-m", "lockgate.cli.main", *arguments], capture_output=True, text=True, check=False,
                              env={**os.environ, **(environment or {})})  # fmt: skip
        if check and done.returncode != 0:
            raise DemoFailedError(f"lockgate {' '.join(arguments[:2])}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout if done.returncode == 0 or not check else done.stdout + done.stderr

    def start(self) -> None:
        """Engine, two databases, gate."""
        self.server = EmbeddedPostgres(self.folder / "pg", installation=embedded_installation())
        self.server.start()
        script = (Path(__file__).parent / "demo_shop.sql").read_text()
        for name, environment in (("shop", "production"), ("shop_dev", "development")):
            with psycopg.connect(self.server.dsn("postgres", user="postgres"), autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE {name}".encode())
            with psycopg.connect(self.server.dsn(name, user="postgres"), autocommit=True) as owner:
                owner.execute(script.encode())
                found = owner.execute("SELECT full_name, email, phone FROM customers WHERE id = 7").fetchone() or ()
                self.real = tuple(map(str, found))  # now, since a login past the running gate would be reported
            self.lockgate("init", "--dir", str(self.config.parent), "--database", f"{name}={self.server.dsn(name, user='postgres')}",
                          "--environment", environment, "--create-roles")  # fmt: skip
        (self.config.parent / "principals.toml").write_text(PRINCIPALS)
        self.gate = subprocess.Popen([sys.executable, "-m", "lockgate.cli.main", "serve", "--config", str(self.config), "--listen", "127.0.0.1:0"],
                                     stdout=subprocess.PIPE, text=True)  # fmt: skip
        ready = json.loads((self.gate.stdout.readline() if self.gate.stdout else "") or "{}")
        if not ready.get("ready"):
            raise DemoFailedError("the gate did not start")
        self.port = int(str(ready["listen"]).rsplit(":", 1)[1])
        for name in ("ann", "boss", "copilot", "churn-trainer"):
            self.tokens[name] = self.lockgate("token", name, "--config", str(self.config)).strip()

    def connect(self, who: str, database: str = "shop") -> psycopg.Connection[tuple[object, ...]]:
        """An ordinary client connection through the gate."""
        return psycopg.connect(host="127.0.0.1", port=self.port, user=who, password=self.tokens[who], dbname=database, sslmode="require",
                               autocommit=True)  # fmt: skip

    def stop(self) -> None:
        """Stop everything this demo started."""
        if self.gate is not None and self.gate.poll() is None:
            self.gate.send_signal(signal.SIGTERM)
            try:
                self.gate.wait(10)
            except subprocess.TimeoutExpired:
                self.gate.kill()
        if self.server is not None:
            self.server.stop()


def _title(number: int, text: str) -> None:
    say(f"\n{BOLD}{number}. {text}{END}")


def _ask(
    demo: Demo, who: str, text: str, database: str = "shop"
) -> tuple[list[tuple[object, ...]], psycopg.Error | None]:
    say(f"{DIM}{who}@{database}=>{END} {text}")
    with demo.connect(who, database) as client:
        client.add_notice_handler(lambda notice: say(f"   {DIM}NOTICE: {notice.message_primary}{END}"))
        try:
            cursor = client.execute(text.encode())
        except psycopg.Error as error:
            say(f"   {RED}{error.sqlstate}{END} {error.diag.message_primary}")
            for name, found in (("DETAIL", error.diag.message_detail), ("HINT", error.diag.message_hint)):
                if found:
                    say(f"   {DIM}{name}: {found}{END}")
            return [], error
        rows = cursor.fetchall() if cursor.description else []
        if cursor.description:
            say("   " + DIM + " | ".join(c.name for c in cursor.description) + END)
            for row in rows:
                say("   " + " | ".join(str(value) for value in row))
        else:
            say(f"   {cursor.statusmessage}")
        return rows, None


def _expect(true: bool, sentence: str) -> None:
    if not true:
        raise DemoFailedError(sentence)
    say(f"   {GREEN}ok{END} {sentence}")


def _masked(demo: Demo) -> None:
    _title(1, "An agent browses production: same rows, same shapes, no clear value")
    rows, _ = _ask(demo, "copilot", "SELECT id, full_name, email, phone, birth_date FROM customers WHERE id = 7")
    _expect(len(rows) == 1 and not set(demo.real) & set(map(str, rows[0])), "name, e-mail and phone are pseudonyms")
    joined, _ = _ask(demo, "copilot", "SELECT c.email, o.contact_email, o.amount FROM customers c JOIN orders o ON o.customer_id = c.id "
                     "WHERE c.id = 7 ORDER BY o.id LIMIT 2")  # fmt: skip
    _expect(all(row[0] == row[1] == rows[0][2] for row in joined), "one person has one pseudonym everywhere")
    lookup = f"SELECT id FROM customers WHERE email = '{rows[0][2]}'"  # noqa: S608  a mask has no quotes, and the gate reads it anyway
    found, _ = _ask(demo, "copilot", lookup)
    _expect(found == [(7,)], "a pseudonym that was shown finds its row")
    counted, _ = _ask(
        demo,
        "copilot",
        "SELECT split_part(email, '@', 2) AS provider, count(*) FROM customers GROUP BY 1 ORDER BY 2 DESC LIMIT 3",
    )
    _expect(len(counted) == 3, "statements that compute with masked values run over stand-ins")
    _, error = _ask(demo, "copilot", "SELECT query_to_xml('SELECT email FROM customers', true, true, '')")
    _expect(error is not None and error.sqlstate == "0A000", "what nobody can see into is refused, with a remedy")


def _stopped(demo: Demo) -> None:
    _title(2, "The agent drops a table that production inference reads")
    _, error = _ask(demo, "copilot", "DROP TABLE customer_features")
    _expect(error is not None and error.sqlstate == "42501", "denied before a byte reached the database")


def _held(demo: Demo) -> None:
    _title(3, "A person's UPDATE in production waits for another person")
    text = "UPDATE orders SET status = 'void' WHERE id = 42"
    result: list[psycopg.Error | None] = []
    worker = threading.Thread(target=lambda: result.append(_ask(demo, "ann", text)[1]))
    worker.start()
    number = ""
    for _ in range(100):
        waiting = [
            json.loads(line)
            for line in demo.lockgate("request", "list", "--config", str(demo.config), "--json").splitlines()
        ]
        if waiting:
            number = str(waiting[0]["id"])
            break
        time.sleep(0.05)
    say(f"{DIM}$ lockgate request approve {number}{END}   (as ann, then as boss)")
    own = demo.lockgate(
        "request",
        "approve",
        number,
        "--config",
        str(demo.config),
        environment={"LOCKGATE_TOKEN": demo.tokens["ann"]},
        check=False,
    )
    say("   " + own.strip().splitlines()[0])
    answer = demo.lockgate(
        "request", "approve", number, "--config", str(demo.config), environment={"LOCKGATE_TOKEN": demo.tokens["boss"]}
    )
    say("   " + answer.strip().splitlines()[0])
    worker.join(10)
    _expect(
        result == [None] and "approved" in answer and "approved" not in own.split("(", 1)[0],
        "held, approved by another person, run once",
    )
    say("   the same in development passes at once:")
    _, error = _ask(demo, "ann", text, "shop_dev")
    _expect(error is None, "one gate, several environments")


def _found(demo: Demo) -> None:
    _title(4, "Who read e-mail addresses, and what did they get?")
    _ask(demo, "boss", "SELECT email FROM customers WHERE id = 7")
    say(f"{DIM}$ lockgate log search --label person.email --environment production{END}")
    found = demo.lockgate(
        "log", "search", "--config", str(demo.config), "--label", "person.email", "--environment", "production"
    )
    for line in found.splitlines():
        say("   " + line)
    _expect(
        "customers.email=masked" in found and "customers.email=clear" in found,
        "masked for the agent, clear for the one who may",
    )


def _proved(demo: Demo) -> None:
    from lockgate.app.evidence import verifier_path, worker_logs

    _title(5, "A stranger verifies the record, offline, with a program that shares no code with the gate")
    time.sleep(1.2)
    folder = Path(worker_logs(load_settings(demo.config, environment=os.environ))[0].folder)
    for line in demo.lockgate("log", "verify", "--config", str(demo.config)).splitlines():
        say("   " + line)
    copy = demo.folder / "tampered"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("lock"))
    bundle = max((copy / "tile" / "entries").rglob("*"), key=lambda p: p.stat().st_size)
    stored = bytearray(bundle.read_bytes())
    stored[len(stored) // 2] ^= 1
    bundle.chmod(0o600)
    bundle.write_bytes(bytes(stored))
    done = subprocess.run([sys.executable, str(verifier_path()), str(copy), "--key", str(demo.config.parent / "keys" / "log.pub")],
                          capture_output=True, text=True, check=False)  # fmt: skip
    say("   one byte flipped in a copy:")
    for line in done.stdout.strip().splitlines()[-3:]:
        say("   " + line)
    _expect(done.returncode == 1, "the flipped byte was found and named")


@contextmanager
def _running(demo: Demo, *, keep: bool) -> Iterator[None]:
    try:
        yield
        if keep:
            _keep(demo)
    finally:
        demo.stop()


def _keep(demo: Demo) -> None:
    say("\nEverything is still running. Try:")
    for who, database in (("copilot", "shop"), ("ann", "shop_dev"), ("boss", "shop")):
        say(f"  PGPASSWORD=$({sys.executable} -m lockgate.cli.main token {who} --config {demo.config}) "
            f"psql 'host=127.0.0.1 port={demo.port} user={who} dbname={database} sslmode=require'")  # fmt: skip
    say("Ctrl-C ends it.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        say("")


STEPS: tuple[Callable[[Demo], None], ...] = (_masked, _stopped, _held, _found, _proved)


def walk(*, keep: bool) -> int:
    """Run every step; exit status 1 when one of them does not hold."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything started is stopped
    with tempfile.TemporaryDirectory() if os.geteuid() != 0 else scratch_directory() as place:
        demo = Demo(Path(place))
        say(f"{BOLD}Lockgate: one statement from a client to a proof{END}")
        say("starting PostgreSQL, two databases and the gate ...")
        try:
            with _running(demo, keep=keep):
                demo.start()
                for step in STEPS:
                    step(demo)
                say(f"\n{GREEN}All as promised{END}, in {time.monotonic() - began:.0f} s.")
                return 0
        except DemoFailedError as error:
            say(f"{RED}not as promised{END}: {error}")
            return 1
