"""One worker of several: a process with its own clients, backends and log, and a channel to its parent.

For: `supervisor`, which starts it and starts it again.
Not for: a gate's only worker, which needs no parent (`Application.run`).

It ends when its parent says so, when it is told to by a signal, and at once when its parent is gone: nobody would find its sessions.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from lockgate import speed
from lockgate.app import COLLECT_AFTER, DRAIN_SECONDS, Application
from lockgate.app.places import login_places
from lockgate.config.build import settings_from
from lockgate.config.settings import Settings
from lockgate.errors import CredentialRejectedError, LockgateError
from lockgate.transport.board import Board
from lockgate.transport.channel import Channel
from lockgate.transport.logins import OWN_LOGINS
from lockgate.transport.plane import DataPlaneLoop
from lockgate.wire.postgres.startup import CancelRequest

LAST_WORDS_SECONDS = 10.0
"""How long a worker without clients waits for its parent's last entries before it closes its log."""
STOPPING = "the gate is stopping"


class Inherited(msgspec.Struct):
    """What a worker gets from its parent: its number, and open files by their numbers."""

    number: int
    channel: int
    board: int
    config: int
    listen: list[int]


class Family:
    """The other workers, reached through the parent and the board (implements `transport.peers.Peers`)."""

    def __init__(self, number: int, board: Board, channel: Channel) -> None:
        self._number = number
        self._board = board
        self._channel = channel

    async def admit(self, session: str, principal: str) -> str:
        """The parent counts the sessions of all."""
        try:
            return str(await self._channel.ask("admit", session=session, principal=principal))
        except LockgateError:
            return STOPPING

    def left(self, session: str) -> None:
        """Tell the parent."""
        self._channel.tell("left", session=session)

    async def cancel(self, worker: int, request: CancelRequest) -> bool:
        """The parent hands it on to the worker that the key names, if there is one."""
        try:
            return bool(
                await self._channel.ask("cancel", worker=worker, process=request.process_id, key=request.key.hex())
            )
        except LockgateError:
            return False

    def load(self, clients: int) -> None:
        """Write it where the others look."""
        self._board.set_clients(self._number, clients)

    def has_less_to_do(self, clients: int) -> bool:
        """Whether another worker has fewer clients."""
        return self._board.fewest_clients() < clients

    def news(self) -> None:
        """The parent tells the others."""
        self._channel.tell("news")


class Worker:
    """The process."""

    def __init__(self, settings: Settings, config: bytes, inherited: Inherited) -> None:
        self._settings = settings
        self._config = config
        self._inherited = inherited
        self._application: Application | None = None
        self._drained = asyncio.Event()
        self._close = asyncio.Event()

    async def run(self) -> None:
        """Serve until told to stop."""
        loop, inherited = asyncio.get_running_loop(), self._inherited
        places = login_places(self._settings)
        board = Board(inherited.board, workers=self._settings.gateway.workers, places=places)
        for place, numbers in board.logins(inherited.number).items():
            OWN_LOGINS.keep_in(place, numbers)
        channel = await Channel.over(socket.socket(fileno=inherited.channel), self._answer)
        application = Application(
            self._settings, worker=str(inherited.number), peers=Family(inherited.number, board, channel), config=self._config
        )  # fmt: skip
        self._application = application
        for database in self._settings.databases:
            place = database.host, database.port, database.dbname
            application.databases[database.name].known_as = board.told(inherited.number, place)
        gc.freeze()  # what is there now stays: the collector need not walk it while sessions wait
        gc.set_threshold(COLLECT_AFTER)
        loop.add_signal_handler(signal.SIGTERM, application.stop.set)
        loop.add_signal_handler(signal.SIGINT, _leave_it_to_the_parent)
        await application.begin()
        try:
            await application.accept([socket.socket(fileno=number) for number in inherited.listen])
            channel.tell("ready")
            await _first(application.stop, channel.ended)
            await application.drain(0.0 if channel.ended.is_set() else DRAIN_SECONDS)
        finally:
            await application.end()
            self._drained.set()
            channel.tell("drained")
            await _first(self._close, channel.ended, seconds=LAST_WORDS_SECONDS)
            application.close()
            await channel.close()

    async def _answer(self, asked: Mapping[str, Any]) -> object:
        """What the parent wants."""
        application, operation = self._application, asked["op"]
        if operation == "close":
            self._close.set()
            return None
        if application is None:
            raise CredentialRejectedError("the worker is still starting")
        if operation == "cancel":
            return application.gate.cancel_own(CancelRequest(int(asked["process"]), bytes.fromhex(asked["key"])))
        if operation == "record":
            return application.committer.append(asked["fields"])
        if operation == "drain":
            application.stop.set()
            await self._drained.wait()
            return True
        if operation == "operate":
            result = application.operator.operate(asked["asked"])
            return await result if inspect.isawaitable(result) else result
        raise CredentialRejectedError("unknown command")


def _leave_it_to_the_parent() -> None:
    """A terminal interrupts all processes at once; the parent says when to stop."""


async def _first(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Wait until one of the events has happened, or for so long."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def work(config: Path, inherited_text: str) -> None:
    """Be a worker of a gate.

    Args:
        config: where the settings came from; their text is inherited, so that all workers have the same.
        inherited_text: `Inherited` as JSON.

    Raises:
        LockgateError: something cannot be used.
    """
    inherited = msgspec.json.decode(inherited_text, type=Inherited)
    stored = os.pread(inherited.config, os.fstat(inherited.config).st_size, 0)
    settings = settings_from(stored.decode(), path=config, environment=os.environ)
    speed.use(settings.gateway.core)
    links = -(-settings.analysis.links_max // settings.gateway.workers)
    settings = replace(settings, analysis=replace(settings.analysis, links_max=links))

    async def main() -> None:
        await Worker(settings, stored, inherited).run()

    with asyncio.Runner(loop_factory=DataPlaneLoop) as runner:
        runner.run(main())
