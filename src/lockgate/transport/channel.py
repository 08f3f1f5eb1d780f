"""Questions and answers between the parent of a gate's workers and one of them, over a pair of connected sockets.

For: what a worker cannot know alone: sessions of others, cancel requests for others, commands of operators.
Not for: statements, rows or anything else of the data path.

A frame is four bytes of length and one JSON object: a question has `op` and, when it wants an answer, `id`; an answer has `to`.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any

from lockgate.errors import LockgateError, UnknownWorkerError

FRAME_BYTES_MAX = 64 * 1024 * 1024
ANSWER_SECONDS = 10.0
Answering = Callable[[Mapping[str, Any]], Any]
"""What answers questions: a value that JSON can hold, or something to await for one."""


class ToldError(LockgateError):
    """The other side answered with an error; `reason` is its word for it."""

    def __init__(self, reason: str, sentence: str) -> None:
        self.reason = reason
        super().__init__(sentence)


class Channel:
    """One side of the pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answering: Answering) -> None:
        """Use `over`."""
        self._reader = reader
        self._writer = writer
        self._answering = answering
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.ended = asyncio.Event()
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    @classmethod
    async def over(cls, sock: socket.socket, answering: Answering) -> Channel:
        """Begin to listen on a connected socket."""
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        return cls(reader, writer, answering)

    def _send(self, fields: Mapping[str, object]) -> None:
        if not self.ended.is_set():
            body = json.dumps(fields).encode()
            self._writer.write(len(body).to_bytes(4, "big") + body)

    def tell(self, operation: str, **fields: object) -> None:
        """Say something that wants no answer."""
        self._send({**fields, "op": operation})

    async def ask(self, operation: str, *, seconds: float = ANSWER_SECONDS, **fields: object) -> object:
        """Ask, and wait for the answer.

        Raises:
            ToldError: the answer is an error.
            UnknownWorkerError: the other side is gone, or does not answer in time.
        """
        if self.ended.is_set():
            raise UnknownWorkerError
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({**fields, "op": operation, "id": number})
            async with asyncio.timeout(seconds):
                return await waiting
        except TimeoutError:
            raise UnknownWorkerError from None
        finally:
            self._waiting.pop(number, None)

    async def _listen(self) -> None:
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(4), "big")
                if length > FRAME_BYTES_MAX:
                    return
                self._take(json.loads(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, KeyError, TypeError):
            return
        finally:
            self.ended.set()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(UnknownWorkerError())

    def _take(self, frame: Mapping[str, Any]) -> None:
        if "to" not in frame:
            task = asyncio.get_running_loop().create_task(self._answer(frame))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        waiting = self._waiting.get(int(frame["to"]))
        if waiting is None or waiting.done():
            return
        if "error" in frame:
            waiting.set_exception(ToldError(str(frame["error"]), str(frame["message"])))
        else:
            waiting.set_result(frame.get("result"))

    async def _answer(self, frame: Mapping[str, Any]) -> None:
        answer: dict[str, object] = {"to": frame.get("id")}
        try:
            result = self._answering(frame)
            answer["result"] = await result if inspect.isawaitable(result) else result
        except LockgateError as error:
            answer |= {"error": getattr(error, "reason", error.sqlstate), "message": str(error)}
        except Exception as error:  # noqa: BLE001  one question's trouble is not the others'; its text could hold a value
            answer |= {"error": "XX000", "message": f"internal error ({type(error).__name__})"}
        if "id" in frame:
            self._send(answer)

    async def close(self) -> None:
        """Hang up."""
        self._listening.cancel()
        self.ended.set()
        self._writer.close()
        for task in tuple(self._tasks):
            task.cancel()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
