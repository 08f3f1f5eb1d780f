"""Search, composed from settings: the indexer's process, questions to it, and the way without one.

For: `serve`, which starts the process, and the command line, which asks.
Not for: gateways: none of them imports an engine.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import cast

import msgspec

from lockgate.app.children import Parent
from lockgate.app.evidence import log_text, logs_of, worker_logs
from lockgate.app.org import trust_policy
from lockgate.config.build import load_settings
from lockgate.config.settings import Settings
from lockgate.control import questions
from lockgate.control.questions import Answer, Filters
from lockgate.errors import ConfigError, GateUnreachableError, LedgerError, LockgateError
from lockgate.ledger.checkpoint import successor
from lockgate.ledger.proof import SUFFIX
from lockgate.storage.index import reading
from lockgate.storage.index.clickhouse import ClickHouseEngine, Server
from lockgate.storage.index.engines import ChdbEngine, Engine
from lockgate.storage.index.indexer import BATCH, Indexer
from lockgate.storage.org_log import ORG, log_folder
from lockgate.storage.receipts import ABOVE, Witnessing, receipt
from lockgate.transport.clock import utc_now
from lockgate.transport.control_socket import ask_gate, serve_control

FOLLOW_SECONDS = 1.0
RETRY_SECONDS_MAX = 30.0
ANSWER_SECONDS = 60.0
PIECES = 16
"""Batches stored between two looks at the socket while there is a long backlog."""

FILES_AT_ONCE = 24
"""Parquet files written between two looks at the socket."""


def open_engine(settings: Settings) -> Engine:
    """The engine that `[index]` names.

    Raises:
        ConfigError: none is configured, or its extra is not installed.
        IndexUnavailableError: it cannot be used.
    """
    index = settings.index
    if index.folder is not None:
        return ChdbEngine(index.folder)
    if index.server is not None:
        return ClickHouseEngine(Server.from_url(index.server), index.password.reveal() if index.password else "")
    raise ConfigError(f"{settings.path}:1: no index is configured; set `url` in `[index]`")


def ask(settings: Settings, name: str, filters: Filters) -> Answer:
    """A named question: to the running index, else by reading the log.

    Raises:
        LedgerError: there is no such question, or it is asked wrongly.
    """
    question = questions.check(name, filters)
    if settings.index.folder is not None or settings.index.server is not None:
        try:
            answered = ask_gate(
                settings.index.socket, {"op": "ask", "question": name, "filters": dict(filters)}, seconds=ANSWER_SECONDS
            )
        except GateUnreachableError:
            answered = {}
        if answered.get("ok"):
            return msgspec.convert(answered["result"], Answer)
    return reading.ask(logs_of(settings), question, filters)


def prove(settings: Settings, rows: list[dict[str, object]], folder: Path, *, post_quantum: bool = False) -> list[Path]:
    """Write a receipt for each entry that rows refer to: its bytes, and the proof that its log has it.

    Where witnesses cosigned the org log, a second receipt (`.org`) leads from the log's checkpoint to what they cosigned.

    Args:
        post_quantum: with all cosignatures of ML-DSA-44, 3 KB each; otherwise only with those without which the policy is not met.

    Returns:
        The proofs, one for each entry; the entry's bytes are beside it with the ending `.json`.

    Raises:
        LedgerError: an entry is under no checkpoint yet, or not stored any more.
        ConfigError: the folder cannot be written.
    """
    logs = logs_of(settings)
    proofs = []
    orgs: dict[str, Witnessing] = {}
    policy = None if post_quantum else trust_policy(settings)
    slim = None if policy is None else policy.slim

    def witnessing(log: str) -> Witnessing:
        """The witnesses of the org log that belongs to a log, which has the same number."""
        org = successor(f"{settings.gateway.name}/{ORG}", int(log.rpartition("~")[2]) if "~" in log else 1)
        if org not in orgs:
            orgs[org] = Witnessing(log_folder(str(settings.files.ledger), org), logs.files, slim)
        return orgs[org]

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for log, index in sorted({(str(row["log"]), cast("int", row["index"])) for row in rows}):
            root, path = logs.folder(log), folder / f"{log.replace('/', '-')}-{index}{SUFFIX}"
            vouched = witnessing(log).receipts(root, log, index)
            entry, proof = vouched[:2] if vouched is not None else receipt(root, logs.files, index)
            path.write_bytes(proof.encode())
            if vouched is not None:
                path.with_name(f"{path.stem}{ABOVE}{SUFFIX}").write_bytes(vouched[2].encode())
            path.with_suffix(".json").write_bytes(entry)
            proofs.append(path)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from error
    return proofs


def entry_of(settings: Settings, log: str | None, index: int) -> tuple[str, dict[str, object] | None]:
    """One entry of a log, from the log itself.

    Args:
        log: the log's origin; may be left out while the gate has the log of one worker only.

    Raises:
        LedgerError: there is no log yet, or none of that origin.
        ConfigError: there are several, and none is named.
    """
    logs = logs_of(settings)
    origins = logs.origins()
    if not origins:
        raise LedgerError("there is no log yet")
    current = [one.origin for one in worker_logs(settings)]
    if log is None and len(current) > 1:
        raise ConfigError(f"--log: several workers have one: {', '.join(current)}")
    origin = origins[0] if log is None else log
    stored = logs.entry(origin, index)
    return origin, None if stored is None else cast("dict[str, object]", msgspec.json.decode(stored))


def entry_text(settings: Settings, origin: str, entry: Mapping[str, object], index: int) -> bytes:
    """The decrypted text of an entry of the log with that origin."""
    return log_text(settings, logs_of(settings).folder(origin), entry, index)


class IndexProcess:
    """The indexer as a process: follows the logs, answers on its socket."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._indexer = Indexer(
            open_engine(settings),
            logs_of(settings),
            days=settings.index.days,
            processes=os.cpu_count() or 1,
            now=utc_now,
        )
        folders = [Path(e.url.removeprefix("parquet:")) for e in settings.exports if e.url.startswith("parquet:")]
        self._hours = [self._indexer.hours(folder) for folder in folders]
        self._stop = asyncio.Event()

    async def run(self, *, rebuild: bool = False, once: bool = False, with_parent: int | None = None) -> None:
        """Serve until SIGTERM or SIGINT.

        Args:
            rebuild: throw the index away first.
            once: end when everything is in the index.
            with_parent: process id of the one that started this one, to end with it.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            if rebuild:
                self._indexer.rebuild()
            if once:
                self._indexer.catch_up()
                for hours in self._hours:
                    while self._indexer.export_hours(hours, FILES_AT_ONCE):
                        continue
                _say({"event": "indexed", **self._indexer.facts()})
                return
            server = await serve_control(self._settings.index.socket, self.operate)
            _say({"ready": True, "index": str(self._settings.index.socket)})
            await self._follow(Parent(with_parent))
            server.close()
            self._settings.index.socket.unlink(missing_ok=True)
        finally:
            self._indexer.close()

    async def _follow(self, parent: Parent) -> None:
        pause = FOLLOW_SECONDS
        while not self._stop.is_set() and not parent.is_gone:
            try:
                left = self._indexer.catch_up(batches=PIECES)
                pause = 0.0 if left > BATCH else FOLLOW_SECONDS
                if not left:
                    self._indexer.rest()
                    written = [self._indexer.export_hours(hours, FILES_AT_ONCE) for hours in self._hours]
                    pause = 0.0 if FILES_AT_ONCE in written else pause
            except (LockgateError, OSError) as error:
                pause = min(RETRY_SECONDS_MAX, 2 * (pause or FOLLOW_SECONDS))
                _say({"event": "index-waits", "problem": str(error), "again_in_seconds": pause})
            try:
                await asyncio.wait_for(self._stop.wait(), pause or 0.001)
            except TimeoutError:
                continue

    def operate(self, asked: Mapping[str, object]) -> object:
        """One command of the index's socket: `ask` a named question, or `facts`."""
        if asked["op"] == "facts":
            return dict(self._indexer.facts())
        if asked["op"] == "ask":
            filters = asked.get("filters", {})
            if not isinstance(filters, dict):
                raise LedgerError("filters are an object")
            return asdict(self._indexer.ask(str(asked["question"]), filters))
        raise LedgerError("the index knows `ask` and `facts`")


def _say(fact: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


def index(config: Path, *, rebuild: bool = False, once: bool = False, with_parent: int | None = None) -> None:
    """Run the indexer until it is told to stop.

    Raises:
        ConfigError: no index is configured, or something cannot be used.
        IndexUnavailableError: another process has the index open.
    """
    settings = load_settings(config, environment=os.environ)

    async def main() -> None:
        await IndexProcess(settings).run(rebuild=rebuild, once=once, with_parent=with_parent)

    asyncio.run(main())
