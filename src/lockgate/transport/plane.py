"""The data plane's loop: one epoll under asyncio's loop, whose ready sockets are handled before asyncio hears of anything.

For: sessions' sockets without a task, a callback object or a pass through asyncio per message; asyncio keeps login, analysis,
holds, control and timers. Both run in one thread, so nothing needs a lock.
Not for: what is done with bytes (`raw`, `link`) and what is committed when (`committer`).
Source: ADR 12; `asyncio.SelectorEventLoop(selector)`; epoll(7): an epoll may be watched by another.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import time
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any, TypeVarTuple, Unpack

from lockgate import speed
from lockgate.errors import InvariantError

EVENTS_MAX = 512
"""Ready sockets taken from the kernel at once."""

Handler = Callable[[int], None]
Ts = TypeVarTuple("Ts")


class DataPlaneSelector(selectors.BaseSelector):
    """The selector of a `DataPlaneLoop`: asyncio's own sockets in an inner one, the data plane's around it.

    Attributes:
        woken: asyncio was given something to run; set by the loop.
        before_wait: called before every wait; what it returns bounds the wait in seconds, None does not.
        lanes: where compiled lanes append; compiled turns commit it themselves instead of calling `before_wait`.
    """

    def __init__(self) -> None:
        self._inner = selectors.EpollSelector()
        self._epoll = select.epoll()
        self._epoll.register(self._inner.fileno(), select.EPOLLIN)
        self._handlers: dict[int, Handler] = {}
        self.woken = False
        self.before_wait: Callable[[], float | None] = _nothing
        self.lanes: Any = None

    # -- the data plane's sockets ---------------------------------------------------------------------------------------------

    def watch(self, descriptor: int, mask: int, handler: Handler) -> None:
        """Call `handler` with the ready events of a descriptor; it must not raise, and must not block."""
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, mask)

    def rewatch(self, descriptor: int, mask: int) -> None:
        """Wait for other events."""
        self._epoll.modify(descriptor, mask)

    def unwatch(self, descriptor: int) -> None:
        """Wait for nothing any more; before the descriptor is closed."""
        del self._handlers[descriptor]
        self._epoll.unregister(descriptor)

    def hand_over(self, descriptor: int, handler: Handler) -> None:
        """Have another handler for a descriptor that is watched."""
        if descriptor in self._handlers:
            self._handlers[descriptor] = handler

    @staticmethod
    def moved() -> None:
        """Something ran in this thread that may have changed what sessions remember."""
        if speed.lane is not None:
            speed.lane.moved()

    # -- asyncio's side -------------------------------------------------------------------------------------------------------

    def register(self, fileobj: Any, events: int, data: object = None) -> selectors.SelectorKey:
        """Watch one of asyncio's descriptors."""
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Watch one of asyncio's descriptors no more."""
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: object = None) -> selectors.SelectorKey:
        """Watch one of asyncio's descriptors for something else."""
        return self._inner.modify(fileobj, events, data)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """The key of one of asyncio's descriptors."""
        return self._inner.get_key(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Asyncio's descriptors."""
        return self._inner.get_map()

    def close(self) -> None:
        """Close both; nothing may be watched any more."""
        self._epoll.close()
        self._inner.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Run the data plane until asyncio has something to do, then say what."""
        end = None if timeout is None else time.monotonic() + timeout
        number, handlers, inner = self._epoll.fileno(), self._handlers, self._inner.fileno()
        self.woken = False
        self.moved()
        if speed.lane is not None:
            asked = speed.lane.run(self, number, inner, handlers, -1.0 if end is None else end)
            return self._inner.select(0) if asked else []
        while True:
            bound = self.before_wait()
            if self.woken:
                wait = 0.0
            elif end is None:
                wait = -1.0 if bound is None else bound
            else:
                wait = max(0.0, end - time.monotonic())
                if bound is not None and bound < wait:
                    wait = bound
            if self._turn(number, wait, handlers, inner):
                return self._inner.select(0)
            if self.woken or (end is not None and time.monotonic() >= end):
                return []

    def _turn(self, _: int, wait: float, handlers: Mapping[int, Handler], inner: int) -> bool:
        """Handle what is ready; whether asyncio's own selector is."""
        asked = False
        for descriptor, events in self._epoll.poll(wait, EVENTS_MAX):
            handler = handlers.get(descriptor)
            if handler is not None:
                handler(events)
            elif descriptor == inner:
                asked = True
        return asked


def _nothing() -> float | None:
    return None


class DataPlaneLoop(asyncio.SelectorEventLoop):
    """An event loop over a `DataPlaneSelector`, which hears at once when a handler gives asyncio something to run."""

    def __init__(self) -> None:
        self.plane = DataPlaneSelector()
        super().__init__(self.plane)

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback of asyncio in its next turn."""
        self.plane.woken = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback of asyncio at a time."""
        self.plane.woken = True
        return super().call_at(when, callback, *args, context=context)


def plane_of(loop: asyncio.AbstractEventLoop) -> DataPlaneSelector:
    """The data plane under a loop.

    Raises:
        InvariantError: it is another kind of loop.
    """
    if not isinstance(loop, DataPlaneLoop):
        raise InvariantError("sessions need a loop with a data plane")
    return loop.plane
