"""Listening sockets whose clients become sockets of the data plane.

For: accepting.
Not for: what an accepted client is asked (`listener`).
Source: socket(7), SO_REUSEADDR and SO_REUSEPORT; accept(2).
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


class RawServer:
    """Accepts on one or several sockets until it is closed."""

    def __init__(self, sockets: list[socket.socket], protocol: Callable[[], asyncio.Protocol]) -> None:
        self.sockets = tuple(sockets)
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._closed = False
        for one in sockets:
            self._loop.add_reader(one.fileno(), self._accept, one)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # No descriptors or memory left: those who wait are accepted when there is room again.
                self._loop.remove_reader(listening.fileno())
                self._loop.call_later(_PAUSE_SECONDS, self._again, listening)
                return
            try:
                RawTransport(accepted, self._protocol())
            except OSError:
                accepted.close()  # gone before it was looked at

    def _again(self, listening: socket.socket) -> None:
        if not self._closed:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def close(self) -> None:
        """Listen no more; accepted clients stay."""
        if self._closed:
            return
        self._closed = True
        for one in self.sockets:
            with contextlib.suppress(ValueError):
                self._loop.remove_reader(one.fileno())
            one.close()


async def serve_raw(
    protocol: Callable[[], asyncio.Protocol], host: str, port: int, *, shared: bool = False
) -> RawServer:
    """Listen on every address of `host`.

    Args:
        protocol: makes the protocol of each client.
        shared: other processes listen on the same port too, and the kernel spreads clients over them.
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
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return RawServer(sockets, protocol)
