"""Listening sockets whose clients become sockets of the data plane.

For: accepting.
Not for: what an accepted client is asked (`listener`).
Source: socket(7), SO_REUSEADDR; accept(2).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from lockgate.transport.raw import RawTransport

BACKLOG = 1024
ACCEPTED_AT_ONCE = 64
"""Clients accepted in one turn of the loop, so that a storm of them does not hold up those who are there."""
_PAUSE_SECONDS = 1.0
_LEFT_TO_OTHERS_SECONDS = 0.02
"""How long a client is left to others who listen on the same socket; then it is taken whoever has less to do."""


class RawServer:
    """Accepts on one or several sockets until it is closed."""

    def __init__(
        self,
        sockets: list[socket.socket],
        protocol: Callable[[], asyncio.Protocol],
        left_to_others: Callable[[], bool] = lambda: False,
    ) -> None:
        """Args:
        sockets: listening, not blocking; other processes may have them too.
        protocol: makes the protocol of each client.
        left_to_others: whether another process should have the next client.
        """
        self.sockets = tuple(sockets)
        self._protocol = protocol
        self._left_to_others = left_to_others
        self._loop = asyncio.get_running_loop()
        self._closed = False
        for one in sockets:
            self._loop.add_reader(one.fileno(), self._ready, one)

    def _ready(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if self._left_to_others():
                self._pause(listening, _LEFT_TO_OTHERS_SECONDS)
                return
            if not self._accept(listening):
                return

    def _accept(self, listening: socket.socket) -> bool:
        try:
            accepted, _ = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError:
            # No descriptors or memory left: those who wait are accepted when there is room again.
            self._pause(listening, _PAUSE_SECONDS)
            return False
        try:
            RawTransport(accepted, self._protocol())
        except OSError:
            accepted.close()  # gone before it was looked at
        return True

    def _pause(self, listening: socket.socket, seconds: float) -> None:
        self._loop.remove_reader(listening.fileno())
        self._loop.call_later(seconds, self._again, listening)

    def _again(self, listening: socket.socket) -> None:
        if not self._closed:
            self._loop.add_reader(listening.fileno(), self._ready, listening)
            self._accept(listening)

    def close(self) -> None:
        """Listen no more; accepted clients stay."""
        if self._closed:
            return
        self._closed = True
        for one in self.sockets:
            with contextlib.suppress(ValueError):
                self._loop.remove_reader(one.fileno())
            one.close()


async def listening(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of `host`; child processes may inherit them and share the clients.

    Raises:
        OSError: an address cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((f, a) for f, _, _, _, a in found):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets
