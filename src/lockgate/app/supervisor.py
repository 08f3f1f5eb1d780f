"""The parent of several workers: starts them, starts them again, and knows what none of them knows alone.

For: limits over all sessions, cancel requests and operators' commands on their way to the right worker, and what a gate has once.
Not for: clients: it never reads a byte of them, so that whatever goes wrong with them ends at one worker.
Source: docs/adr/0009-several-workers.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import msgspec

from lockgate.app import DRAIN_SECONDS
from lockgate.app.completeness import Completeness
from lockgate.app.documents import check_keys, read_documents
from lockgate.app.front import Front
from lockgate.app.places import analysis_targets, listening_at, login_places, shown
from lockgate.app.worker import Inherited
from lockgate.config.settings import Address, Settings
from lockgate.control.admission import Admission
from lockgate.errors import ConfigError, CredentialRejectedError, LockgateError, UnknownWorkerError
from lockgate.grants.requests import RequestRefusedError
from lockgate.transport.board import Board
from lockgate.transport.channel import Channel
from lockgate.transport.http import Metrics
from lockgate.transport.logins import OWN_LOGINS, Counts, Place

START_SECONDS = 60.0
FORWARDED_SECONDS = 8.0
ASKED_SECONDS = 60.0
"""For what the database must be asked."""
END_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A worker that ends after less than this is started again later each time."""
PAUSE_SECONDS_MAX = 30.0
UNRECORDED_MAX = 1000


@dataclass
class Child:
    """One worker, whatever process it is at the moment."""

    number: int
    process: asyncio.subprocess.Process | None = None
    channel: Channel | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    dumped: Mapping[str, Any] = field(default_factory=dict)
    """Its last numbers, which count on when it has ended."""

    async def ask(self, operation: str, *, seconds: float = FORWARDED_SECONDS, **fields: object) -> object:
        """Ask it, if it is ready.

        Raises:
            UnknownWorkerError: it is not, or ended meanwhile.
            LockgateError: it answers with an error.
        """
        if self.channel is None or not self.ready.is_set():
            raise UnknownWorkerError
        return await self.channel.ask(operation, seconds=seconds, **fields)

    async def operate(self, asked: Mapping[str, object]) -> object:
        """Have it carry out a command of the control socket."""
        return await self.ask("operate", asked=dict(asked))


class Supervisor:
    """The parent of a gate's workers."""

    def __init__(self, settings: Settings, config: bytes) -> None:
        """Args:
        config: what the settings were read from; all workers get this text, also those that are started later.

        Raises:
            ConfigError: with every problem that workers would find.
        """
        read_documents(settings)
        check_keys(settings)
        self._settings = settings
        self._places = login_places(settings)
        count = settings.gateway.workers
        self._board_handle = Board.made(workers=count, places=self._places)
        self._board = Board(self._board_handle, workers=count, places=self._places)
        self._config_handle = os.memfd_create("lockgate-config", os.MFD_CLOEXEC)
        os.write(self._config_handle, config)
        limits = settings.limits
        self._admission = Admission(links_max=limits.links_max, principal_links_max=limits.principal_links_max)
        self._children = [Child(number) for number in range(1, count + 1)]
        self._sockets: list[socket.socket] = []
        self._unrecorded: list[Mapping[str, object]] = []
        self._stop = asyncio.Event()
        self.metrics = Metrics()
        completeness = Completeness(settings, analysis_targets(settings), self._record, self._logins)
        self.metrics.gauges |= {**completeness.gauges(), "workers_configured": lambda: float(count)}
        self.metrics.gauges["workers"] = lambda: float(len(self._ready()))
        self._front = Front(
            settings, operate=self.operate, metrics=self._metrics_text, healthy=self.health, completeness=completeness
        )

    def _ready(self) -> list[Child]:
        return [child for child in self._children if child.ready.is_set()]

    def _logins(self, place: Place) -> Counts:
        """Logins of all processes of the gate: the workers', also those that were killed, and the parent's own."""
        pairs = zip(self._board.all_logins(place), OWN_LOGINS.counts(place), strict=True)
        return Counts(*(theirs + own for theirs, own in pairs))

    def _record(self, fields: Mapping[str, object]) -> None:
        """Have the first worker that is there write an entry; while none is, it waits."""
        for child in self._ready():
            if child.channel is not None:
                child.channel.tell("record", fields=dict(fields))
                return
        self._unrecorded = [*self._unrecorded, fields][-UNRECORDED_MAX:]

    # -- running ------------------------------------------------------------------------------------------------------------------

    async def run(self, listen: Address | None = None) -> None:
        """Serve until SIGTERM or SIGINT, then have all workers drain.

        Raises:
            ConfigError: a worker cannot be started; nothing has begun then.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self._sockets = await listening_at(listen or self._settings.gateway.listen)
        address = shown(self._sockets)
        await self._front.look()
        keepers = [loop.create_task(self._keep(child)) for child in self._children]
        try:
            if await self._all_ready(keepers):
                await self._front.open(address)
                await self._stop.wait()
        finally:
            self._stop.set()
            await self._end(keepers)

    async def _all_ready(self, keepers: list[asyncio.Task[None]]) -> bool:
        """Wait for every worker; false when told to stop meanwhile.

        Raises:
            ConfigError: one ended before it was ready, or takes too long.
        """

        async def ready() -> None:
            for child in self._children:
                await child.ready.wait()

        async def stopped() -> None:
            await self._stop.wait()

        waiting = [asyncio.create_task(ready()), asyncio.create_task(stopped())]
        done, _ = await asyncio.wait([*waiting, *keepers], timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()
        if waiting[0] not in done and waiting[1] not in done:
            raise ConfigError("a worker did not start; what it said stands above")
        return waiting[1] not in done

    async def _end(self, keepers: list[asyncio.Task[None]]) -> None:
        for sock in self._sockets:
            sock.close()
        drained = (child.ask("drain", seconds=DRAIN_SECONDS + FORWARDED_SECONDS) for child in self._ready())
        await asyncio.gather(*drained, return_exceptions=True)
        await self._front.close()
        for child in self._children:
            if child.channel is not None:
                child.channel.tell("close")
        _, late = await asyncio.wait(keepers, timeout=END_SECONDS)
        for child in self._children:
            if late and child.process is not None and child.process.returncode is None:
                child.process.kill()
        await asyncio.wait(keepers)

    async def _keep(self, child: Child) -> None:
        """Run a worker for as long as the gate runs; one that never was ready is not started again."""
        loop, pause, began = asyncio.get_running_loop(), 0.0, 0.0
        was_ready = False
        while not self._stop.is_set():
            began = loop.time()
            status, ready = await self._live(child)
            was_ready = was_ready or ready
            if self._stop.is_set() or not was_ready:
                return
            pause = 0.0 if loop.time() - began > STEADY_SECONDS else min(PAUSE_SECONDS_MAX, max(0.25, 2 * pause))
            said = {"event": "worker-ended", "worker": child.number, "status": status, "again_in_seconds": pause}
            sys.stderr.write(json.dumps(said) + "\n")
            sys.stderr.flush()
            self.metrics.count("workers_started_again")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause or 0.001)

    async def _live(self, child: Child) -> tuple[int, bool]:
        """One process of a worker, from start to end: its exit status, and whether it ever was ready."""
        ours, theirs = socket.socketpair()
        inherited = Inherited(
            child.number, theirs.fileno(), self._board_handle, self._config_handle, [s.fileno() for s in self._sockets]
        )
        child.channel = await Channel.over(ours, partial(self._answer, child))
        command = (sys.executable, "-m", "lockgate.cli.main", "serve", "--config", str(self._settings.path))
        child.process = await asyncio.create_subprocess_exec(
            *command, "--as-worker", msgspec.json.encode(inherited).decode(), stdout=asyncio.subprocess.DEVNULL,
            pass_fds=(inherited.channel, inherited.board, inherited.config, *inherited.listen),
        )  # fmt: skip
        theirs.close()
        try:
            status = await child.process.wait()
        finally:
            was_ready = child.ready.is_set()
            child.ready.clear()
            await child.channel.close()
            child.channel = None
            self._board.ended(child.number)
            self._admission.ended(str(child.number))
            self.metrics = self.metrics.with_counts_of(child.dumped)
            child.dumped = {}
        return status, was_ready

    # -- what workers want --------------------------------------------------------------------------------------------------------

    async def _answer(self, child: Child, asked: Mapping[str, Any]) -> object:
        operation = asked["op"]
        if operation == "admit":
            return self._admission.admit(str(child.number), str(asked["session"]), str(asked["principal"]))
        if operation == "left":
            self._admission.left(str(child.number), str(asked["session"]))
        elif operation == "cancel":
            return await self._cancel(int(asked["worker"]), asked["process"], asked["key"])
        elif operation == "news":
            others = (other.operate({"op": "reload"}) for other in self._ready() if other is not child)
            await asyncio.gather(*others, return_exceptions=True)
        elif operation == "ready":
            child.ready.set()
            waiting, self._unrecorded = self._unrecorded, []
            for fields in waiting:
                self._record(fields)
        elif operation == "drained" and not self._stop.is_set() and child.channel is not None:
            child.channel.tell("close")  # somebody ended this worker alone
        return None

    async def _cancel(self, worker: int, process: object, key: object) -> bool:
        """Ask the worker that a cancel key names; it alone can tell whether the key is one of its sessions'."""
        for child in self._ready():
            if child.number == worker:
                with suppress(LockgateError):
                    return bool(await child.ask("cancel", process=process, key=key))
        return False

    # -- what operators want ------------------------------------------------------------------------------------------------------

    async def operate(self, asked: Mapping[str, object]) -> object:
        """One command of the control socket, carried out by the worker it is about, or by all.

        Raises:
            LockgateError: it cannot be carried out.
        """
        operation = str(asked["op"])
        if operation in ("request-list", "session-list", "worker-list"):
            found = await self._from_all(asked)
            rows = [row for rows in found for row in cast("list[dict[str, object]]", rows)]
            return sorted(rows, key=lambda row: str(row.get("expires", ""))) if operation == "request-list" else rows
        if operation in ("request-show", "request-approve", "request-deny"):
            return await self._about_request(asked)
        if operation in ("log-erasure", "reload"):
            answers = await self._from_all(asked)
            return {name: value for answer in answers for name, value in cast("dict[str, object]", answer).items()}
        if operation == "session-end":
            answers = await self._from_all(asked)
            return {"ended": sum(cast("dict[str, int]", answer)["ended"] for answer in answers)}
        if operation == "log-prune":
            return await self._child(str(asked["worker"])).operate(asked)
        if operation in ("explain", "functions", "catalog-section"):
            return await self._any().ask("operate", seconds=ASKED_SECONDS, asked=dict(asked))
        raise CredentialRejectedError("unknown command")

    def _any(self) -> Child:
        for child in self._ready():
            return child
        raise UnknownWorkerError

    def _child(self, number: str) -> Child:
        for child in self._children:
            if str(child.number) == number:
                return child
        raise UnknownWorkerError

    async def _from_all(self, asked: Mapping[str, object]) -> list[object]:
        """What every worker that is there answers; one that ends meanwhile is not there.

        Raises:
            UnknownWorkerError: none is there.
            LockgateError: one of them answers with an error.
        """
        answers = await asyncio.gather(*(child.operate(asked) for child in self._ready()), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, UnknownWorkerError):
                raise answer
        there = [answer for answer in answers if not isinstance(answer, UnknownWorkerError)]
        if not there:
            raise UnknownWorkerError
        return there

    async def _about_request(self, asked: Mapping[str, object]) -> object:
        """A command about a held statement: its number begins with its worker's."""
        worker = str(asked["id"]).partition("-")[0]
        try:
            return await self._child(worker).operate(asked)
        except UnknownWorkerError:
            raise RequestRefusedError("unknown-request", "there is no request with this number waiting") from None

    # -- what monitors want -------------------------------------------------------------------------------------------------------

    async def _dumps(self) -> list[Mapping[str, Any]]:
        async def dump(child: Child) -> None:
            with suppress(LockgateError):
                child.dumped = cast("Mapping[str, Any]", await child.operate({"op": "metrics"}))

        ready = self._ready()
        await asyncio.gather(*(dump(child) for child in ready))
        return [child.dumped for child in ready if child.dumped]

    async def _metrics_text(self) -> str:
        dumps = await self._dumps()
        return self.metrics.merged(dumps).text()

    async def health(self) -> Mapping[str, object]:
        """The gate is well when all of its workers are."""
        found = await asyncio.gather(
            *(child.operate({"op": "health"}) for child in self._ready()), return_exceptions=True
        )
        facts = [cast("Mapping[str, Any]", one) for one in found if isinstance(one, Mapping)]
        policies = {str(one["policy"]) for one in facts}
        return {
            "ok": len(facts) == len(self._children) and all(one["ok"] for one in facts),
            "ledger": "writing" if facts and all(one["ledger"] == "writing" for one in facts) else "unavailable",
            "sessions": sum(int(one["sessions"]) for one in facts),
            "policy": policies.pop() if len(policies) == 1 else "changing",
            "workers": f"{len(facts)} of {len(self._children)}",
        }


def supervise(
    settings: Settings, config: bytes, listen: Address | None, gauges: Mapping[str, Callable[[], float]]
) -> None:
    """Run a gate of several workers until it is told to stop.

    Raises:
        ConfigError: something cannot be used; nothing has started.
    """

    async def main() -> None:
        supervisor = Supervisor(settings, config)
        supervisor.metrics.gauges |= gauges
        await supervisor.run(listen)

    asyncio.run(main())
