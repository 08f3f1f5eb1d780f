"""One client's link and its backend link: moves bytes and fulfils the conversation's wishes.

For: running a `Conversation` on sockets, with back-pressure in both directions.
Not for: deciding: every byte it sends was produced by the conversation or its replies.
Source: architecture sections 3 and 7.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from lockgate.errors import BackendProtocolError, InvariantError, LockgateError
from lockgate.session.conversation import Conversation
from lockgate.session.fast import FastLane
from lockgate.session.texts import ledger_unavailable
from lockgate.session.wishes import (
    Analyse,
    AnalyseHere,
    BackendOpened,
    Drain,
    Durable,
    Estimate,
    Failed,
    FreshCatalog,
    Hold,
    HoldEnded,
    NextMessage,
    OpenBackend,
    Substitute,
    Wish,
)  # fmt: skip
from lockgate.transport.committer import CommitResult, Committer
from lockgate.transport.database import Database
from lockgate.transport.own_link import OwnLink
from lockgate.transport.pgclient import Opened, Target, send_cancel
from lockgate.transport.raw import attached_lane
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import FrameReader

UNREAD_BYTES_MAX = 256 * 1024
"""Client bytes kept while the conversation waits for something else; beyond this the client's socket is not read."""

JOINED_BYTES_MAX = 64 * 1024

BackendOpener = Callable[[], Coroutine[Any, Any, tuple[Opened, Target, str] | Failed]]
HoldWaiter = Callable[[str], Coroutine[Any, Any, HoldEnded]]


class _BackendSide(asyncio.Protocol):
    """Callbacks of the backend link, handed to the session link."""

    def __init__(self, owner: SessionLink) -> None:
        self._owner = owner

    def data_received(self, data: bytes) -> None:
        self._owner.backend_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.backend_lost()

    def pause_writing(self) -> None:
        self._owner.pause_client()

    def resume_writing(self) -> None:
        self._owner.resume_client()


class SessionLink(asyncio.Protocol):
    """An authenticated client and its backend."""

    def __init__(
        self, *, conversation: Conversation, database: Database, committer: Committer, frames: FrameReader, open_backend: BackendOpener,
        wait_for_hold: HoldWaiter, on_end: Callable[[SessionLink], None],
    ) -> None:  # fmt: skip
        self.conversation = conversation
        self.fast = FastLane(conversation)
        self.frames = frames
        self._database = database
        self._committer = committer
        self._open_backend = open_backend
        self._wait_for_hold = wait_for_hold
        self._on_end = on_end
        self._client: asyncio.Transport | None = None
        self._backend: asyncio.Transport | None = None
        self._backend_target: tuple[Target, int, bytes] | None = None
        self._steps = conversation.run()
        self._wish: Wish | None = None
        self._task: asyncio.Task[None] | None = None
        self._keep: Opened | None = None
        self._own = OwnLink(lambda: self._ended)
        self._reading = True
        self._stepping = False
        self._eof = False
        self._ended = False
        self._cancelled = False
        self._time = asyncio.get_running_loop().time
        self.last_heard = self._time()
        self._failed: dict[int, None] = {}
        self._moved: dict[int, int] = {}
        committer.subscribe(self._after_commit)

    # -- client side ----------------------------------------------------------------------------------------------------------

    def begin(self, transport: asyncio.Transport) -> None:
        """Take over a logged-in client."""
        self._client = transport
        self._wish = next(self._steps)
        self.step()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self.last_heard = self._time()
        if type(self._wish) is NextMessage and not self.frames.buffered and not self._stepping and not self._ended:
            try:
                forward = self.fast.ask(data)
            except Exception as error:  # noqa: BLE001  the task boundary, for the fast lane
                self._broken(error)
                return
            if forward is not None and self._backend is not None:
                if self.fast.withheld is None:
                    self._backend.write(forward)
                else:
                    self._committer.wait(self._after_commit)
                return
        self._settle()
        try:
            self.frames.feed(data)
        except LockgateError as error:
            self._fatal(error.sqlstate, str(error))
            return
        self.step()

    def eof_received(self) -> bool:
        """The client has nothing more to say; what it asked is still answered."""
        self._eof = True
        self.step()
        # TLS cannot be half closed: there the link ends, as asyncio would warn otherwise.
        return self._client is not None and self._client.get_extra_info("ssl_object") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: what waits for it ends, nothing runs later by surprise."""
        self.end("client-gone")

    def pause_writing(self) -> None:
        """The client does not read: the backend is not read either."""
        if self._backend is not None and not self._backend.is_closing():
            self._backend.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._backend is not None and not self._backend.is_closing():
            self._backend.resume_reading()

    def pause_client(self) -> None:
        """Stop reading the client."""
        if self._reading and self._client is not None and not self._client.is_closing():
            self._reading = False
            self._client.pause_reading()

    def resume_client(self) -> None:
        """Read the client again."""
        if not self._reading and self._client is not None and not self._client.is_closing():
            self._reading = True
            self._client.resume_reading()

    # -- backend side ---------------------------------------------------------------------------------------------------------

    def backend_data(self, data: bytes) -> None:
        """Bytes from the backend: matched, masked, and shown once the intent is durable."""
        if self._ended:
            return
        if self._own.takes(data):
            return
        self.fast.leave()
        if self.fast.asked is not None:
            try:
                shown = self.fast.answer(data, self._committer.durable)
            except Exception as error:  # noqa: BLE001  the same boundary
                self._broken(error)
                return
            if shown is not None:
                if self._client is not None:
                    self._client.write(shown)
                return
        self.conversation.replies.receive(data)
        self._show()

    def _show(self) -> None:
        try:
            shown = self.conversation.replies.pump(self._committer.durable)
        except Exception as error:  # noqa: BLE001  the same boundary, for the backend's bytes
            self._broken(error)
            return
        if shown and self._client is not None:
            self._client.write(shown)
        if self.conversation.replies.needed_index >= self._committer.durable:
            self._committer.wait(self._after_commit)
        if isinstance(self._wish, Drain) or self.conversation.to_backend:
            self.step()

    def backend_lost(self) -> None:
        """The database closed its link: the client is told once, and must connect again."""
        self._own.lost()
        if self._ended:
            return
        self._settle()
        self.conversation.replies.abandon("unknown", "08006")
        if self.conversation.replies.lost:
            self.end("backend-lost")
        else:
            self._fatal("08006", "lockgate: the database closed the connection")

    # -- the conversation -----------------------------------------------------------------------------------------------------

    def step(self, answer: object = None, *, answered: bool = False) -> None:
        """Run the conversation as far as its wishes can be fulfilled now."""
        if self._stepping or self._ended:
            return
        self._stepping = True
        try:
            while not self._ended:
                if not answered:
                    ready, answer = self._fulfil()
                    if not ready:
                        break
                answered = False
                given, answer = answer, None
                self._wish = self._steps.send(given)
                del given
            # Once, for everything that this turn produced: a pipeline of five messages is one write, not five.
            self._flush()
        except StopIteration:
            self._flush()
            self.end("client-left")
        except Exception as error:  # noqa: BLE001  the one task boundary: whatever went wrong, deny, record, close
            self._flush()
            self._broken(error)
        finally:
            self._stepping = False
        if not self._ended:
            self._flow()

    def _flow(self) -> None:
        waiting = not isinstance(self._wish, NextMessage)
        if waiting and self.frames.buffered > UNREAD_BYTES_MAX:
            self.pause_client()
        elif not waiting:
            self.resume_client()

    def _fulfil(self) -> tuple[bool, object]:
        """(True, answer) when the wish can be answered at once; else (False, _) and something will call `step` later."""
        wish = self._wish
        if isinstance(wish, NextMessage):
            frame = self.frames.next_frame()
            return (frame is not None or self._eof), frame
        if isinstance(wish, Drain):
            return (self.conversation.replies.drained or self.conversation.replies.lost), None
        if isinstance(wish, Durable):
            return self._durable(wish.index)
        if self._task is None:
            if wish is None:
                raise InvariantError("a conversation without a wish")
            self._task = asyncio.get_running_loop().create_task(self._fulfil_later(wish))
        return False, None

    def _durable(self, index: int) -> tuple[bool, object]:
        if index in self._failed:
            del self._failed[index]
            return True, None
        index = self._moved.pop(index, index)
        if index < self._committer.durable:
            return True, index
        self._committer.wait(self._after_commit)
        return False, None

    async def _fulfil_later(self, wish: Wish) -> None:
        """The wishes that take time. This is the task boundary of a session: anything unexpected ends it, closed."""
        try:
            answer: object = await self._answer(wish)
        except asyncio.CancelledError:
            if self._ended:
                raise
            answer = Failed("57014", "canceling statement due to user request", reason="cancelled")
            if isinstance(wish, Hold):
                answer = HoldEnded("cancelled")
        except Exception as error:  # noqa: BLE001  the same boundary, for what runs beside the loop
            self._task = None
            self._broken(error)
            return
        self._task = None
        self.step(answer, answered=True)

    async def _answer(self, wish: Wish) -> object:
        if isinstance(wish, Analyse):
            return await self._database.analyse(wish)
        if isinstance(wish, AnalyseHere | Substitute):
            return await self._own.answer(wish, self._keep, self._database)
        if isinstance(wish, FreshCatalog):
            return await self._database.fresh()
        if isinstance(wish, Estimate):
            return await self._database.estimate(wish.text)
        if isinstance(wish, Hold):
            return await self._wait_for_hold(wish.request_id)
        if isinstance(wish, OpenBackend):
            return await self._opened()
        raise InvariantError("a wish that nobody fulfils")

    async def _opened(self) -> BackendOpened | Failed:
        result = await self._open_backend()
        if isinstance(result, Failed):
            return result
        opened, target, search_path = result
        transport = opened.writer.transport
        if not isinstance(transport, asyncio.Transport):
            raise InvariantError("a backend link that cannot be read")
        self._backend = transport
        self._backend_target = (target, opened.process_id, opened.cancel_key)
        self._keep = opened  # the stream objects would close the transport when collected
        transport.set_protocol(_BackendSide(self))
        lanes = None if self.conversation.replicates else self._committer.lanes
        self.fast.lane = attached_lane(self.fast, lanes, self._client, transport, self._broken)
        return BackendOpened(opened.parameters, search_path)

    def _settle(self) -> None:
        """Leave to the replies what the fast lane has under way; what it withholds is written or refused first."""
        if self.fast.withheld is not None:
            self._committer.commit()
        self.fast.settle()

    def _flush(self) -> None:
        conversation = self.conversation
        if conversation.to_client and self._client is not None:
            data = b"".join(conversation.to_client)
            conversation.to_client.clear()
            self._client.write(data)
        if conversation.to_backend:
            parts = (
                [b"".join(conversation.to_backend)]
                if _is_small(conversation.to_backend)
                else list(conversation.to_backend)
            )
            conversation.to_backend.clear()
            if self._backend is not None and not self._backend.is_closing():
                while parts:
                    self._backend.write(parts.pop(0))

    def _after_commit(self, result: CommitResult) -> None:
        if self._ended:
            return
        if self.fast.withheld is not None:
            forward, data = self.fast.release(result.durable)
            if forward and self._backend is not None:
                self._backend.write(forward)
            self.frames.feed(data)
            self.step()
        if result.failed:
            self.fast.settle()
            running = [r for e in self.conversation.replies.owed for r in e.runs if r.intent in result.failed]
            if running:
                for run in running:
                    run.closed = True  # its intent's index is given out again: no outcome may name it
                # It was forwarded while its intent was being written, and the write failed: its answer must never be seen.
                if self._client is not None:
                    self._client.write(ledger_unavailable())
                self._drop_backend()
                self.end("ledger-unavailable")
                return
        # Only what is waited for now: an index that became free is given out again, to anybody.
        self._failed.clear()
        self._moved.clear()
        if isinstance(self._wish, Durable):
            index = self._wish.index
            if index in result.failed:
                self._failed[index] = None
            elif index in result.moved:
                self._moved[index] = result.moved[index]
            self.step()
        elif not self.conversation.replies.drained:
            self._show()

    # -- cancel and end -------------------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """A cancel request with this session's key: ends a hold, an analysis, or what the backend runs."""
        if self._ended:
            return
        self._settle()
        if self._task is not None:
            # Not before it has begun: a task that is cancelled before its first step never answers the wish.
            asyncio.get_running_loop().call_soon(self._task.cancel)
        elif self._backend_target is not None and not self.conversation.replies.drained:
            target, process_id, key = self._backend_target
            task = asyncio.get_running_loop().create_task(_cancel_quietly(target, process_id, key))
            _BACKGROUND.add(task)
            task.add_done_callback(_BACKGROUND.discard)

    def enforce_limits(self, now: float, *, idle_seconds: float, statement_seconds: float) -> None:
        """End a session that has been idle for too long; cancel a statement that runs for too long; 0 means no limit.

        Args:
            now: the event loop's time.
        """
        if self.fast.lane is not None:
            self.last_heard = max(self.last_heard, self.fast.lane.heard_us / 1e6)
        self.fast.leave()
        if self.fast.asked is not None and not 0 < statement_seconds < now - self.last_heard:
            return
        self._settle()
        waits_for_client = isinstance(self._wish, NextMessage) and self.conversation.replies.drained
        if waits_for_client:
            self._cancelled = False
            if idle_seconds and now - self.last_heard > idle_seconds:
                self._fatal("57P05", "lockgate: the session was idle for too long")
        elif (
            statement_seconds
            and now - self.last_heard > statement_seconds
            and not isinstance(self._wish, Hold)
            and not self._cancelled
        ):
            self._cancelled = True
            self.cancel()

    def expire(self) -> None:
        """The credential's time is over."""
        self._fatal("28000", "lockgate: the credential of this session has expired; sign in again")

    def shut_down(self, why: str = "the gate is stopping; connect again") -> None:
        """The gate is stopping, or an operator says so."""
        self._fatal("57P01", f"lockgate: {why}")

    @property
    def is_idle(self) -> bool:
        """True when nothing is being answered and no transaction is open."""
        self.fast.leave()
        return (
            self.fast.asked is None
            and isinstance(self._wish, NextMessage)
            and self.conversation.replies.drained
            and self.conversation.replies.status == "I"
        )

    def _broken(self, error: Exception) -> None:
        """An error that nobody expected must not show its text: it could hold a value."""
        if isinstance(error, LockgateError):
            self._fatal(error.sqlstate, f"lockgate: {error}")
        else:
            self._fatal("XX000", f"lockgate: internal error ({type(error).__name__}); the session is closed")

    def _fatal(self, sqlstate: str, sentence: str) -> None:
        self._settle()
        if self._client is not None and not self._ended and not self.conversation.replies.mid_message:
            self._client.write(be.error(sqlstate, sentence, severity="FATAL"))
        self._drop_backend()
        self.end("protocol")

    def _drop_backend(self) -> None:
        if self._backend is not None:
            self._backend.abort()

    def end(self, reason: str) -> None:
        """Close both sides and record the end."""
        if self._ended:
            return
        self._settle()
        self._ended = True
        self.fast.lane = None
        self._committer.unsubscribe(self._after_commit)
        if self._task is not None:
            self._task.cancel()
        if self._backend is not None and not self._backend.is_closing():
            if not self.conversation.replies.drained and self._backend_target is not None:
                task = asyncio.get_running_loop().create_task(_cancel_quietly(*self._backend_target))
                _BACKGROUND.add(task)
                task.add_done_callback(_BACKGROUND.discard)
            self._backend.write(fe.Terminate().encode())
            self._backend.close()
        self.conversation.replies.abandon("unknown", "08006")
        with contextlib.suppress(LockgateError):
            self.conversation.evidence.closed(reason)
        if self._client is not None:
            self._client.close()
        self._steps.close()
        self._on_end(self)


def _is_small(parts: list[bytes]) -> bool:
    """Whether joining costs less than one more system call per part."""
    return all(len(part) <= JOINED_BYTES_MAX for part in parts)


_BACKGROUND: set[asyncio.Task[None]] = set()


async def _cancel_quietly(target: Target, process_id: int, key: bytes) -> None:
    with contextlib.suppress(LockgateError, OSError, TimeoutError, BackendProtocolError):
        await send_cancel(target, process_id, key)
