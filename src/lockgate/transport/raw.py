"""A connected socket of the data plane, behind asyncio's transport interface.

For: protocols written for asyncio, on sockets that the data plane's loop reads and writes directly, with or without TLS.
Not for: opening sockets (`listener`, `pgclient`).
Invariant: the handshake of TLS happens on the bare socket: whatever was read before it stays with the protocol, nothing read is
carried across (CVE-2021-23214).
Source: asyncio documentation, Transports and Protocols (flow control, `eof_received`); ssl documentation, non-blocking sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from lockgate import speed
from lockgate.transport.plane import plane_of

READ_BYTES = 256 * 1024
WRITE_HIGH_BYTES = 256 * 1024
WRITE_LOW_BYTES = 64 * 1024
"""Unsent bytes above and below which the protocol is told to pause and to go on."""

_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_GONE = select.EPOLLHUP | select.EPOLLERR
_LATER = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_SHARED = bytearray(READ_BYTES)
_VIEW = memoryview(_SHARED)
"""Where every socket is read into: one thread, and bytes are copied out before anything else runs."""


class RawTransport(asyncio.Transport):
    """One socket; calls its protocol as an asyncio transport would."""

    def __init__(self, sock: socket.socket, protocol: asyncio.BaseProtocol) -> None:
        """Take over a connected socket.

        Args:
            sock: connected; it is made non-blocking.
            protocol: `connection_made` is called at once.
        """
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._plane = plane_of(self._loop)
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock: socket.socket | None = sock
        self._number = sock.fileno()
        self._peer = _peer(sock)
        self._tls = False
        self._out: deque[bytes | memoryview] = deque()
        self._unsent = 0
        self._paused_protocol = False
        self._reading = True
        self._closing = False
        self._ended = False
        self._mask = _IN
        self._protocol: Any = protocol
        self._end: Any = None
        self._plane.watch(self._number, _IN, self.ready)
        protocol.connection_made(self)

    # -- what the loop calls --------------------------------------------------------------------------------------------------

    def ready(self, events: int) -> None:
        """The socket is ready."""
        self._bounded(self._ready, events)

    def _ready(self, events: int) -> None:
        if events & _OUT:
            self._send_rest()
        if self._reading and events & (_IN | _GONE):
            self._read()
        elif events & _GONE and not self._ended:
            self._gone_while_not_reading()

    def _bounded(self, handle: Callable[..., object], *given: object) -> None:
        """Where loop and lane come in: what goes wrong with one socket ends it, and others go on."""
        try:
            handle(*given)
        except Exception as error:  # noqa: BLE001  the one boundary of this socket: nothing may rise into the loop
            self._lose(error)

    def attach(self, end: Any) -> bool:
        """Let a compiled lane read and write this socket while nothing waits here; false when it cannot.

        Args:
            end: called with the socket's events; it comes back with what it does not understand.
        """
        if self._sock is None or self._closing or self._out or self._mask < 0:
            return False
        self._end = end
        self._plane.hand_over(self._number, end)
        return True

    @property
    def number(self) -> int:
        """The socket's descriptor."""
        return self._number

    def deliver(self, data: bytes) -> None:
        """What an attached lane has read and leaves to the protocol."""
        self._bounded(self._protocol.data_received, data)

    def read_ended(self, error: BaseException | None) -> None:
        """An attached lane has read the end, or met this error."""
        if error is not None:
            self._lose(error)
        else:
            self._bounded(self._end_of_peer)

    def read_decrypted(self) -> None:
        """An attached lane has left something in TLS that the kernel does not announce any more."""
        self._bounded(self._read_decrypted)

    @property
    def secured(self) -> ssl.SSLSocket | None:
        """The socket, once its handshake is done."""
        return self._sock if self._tls and isinstance(self._sock, ssl.SSLSocket) else None

    def _let_go(self) -> None:
        """From here on nothing goes past this object."""
        if self._end is not None:
            self._end.drop()
            self._end = None
            self._plane.hand_over(self._number, self.ready)

    def _read(self) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            count = sock.recv_into(_SHARED)
        except _LATER:
            return
        except OSError as error:
            self._lose(error)
            return
        if count:
            self._protocol.data_received(bytes(_VIEW[:count]))
            if self._tls:
                self._read_decrypted()
        else:
            self._end_of_peer()

    def _end_of_peer(self) -> None:
        if self._protocol.eof_received():
            self._reading = False
            self._rewatch()
        else:
            self.close()

    def _read_decrypted(self) -> None:
        """Bytes that TLS has already taken from the kernel: epoll does not tell of them."""
        while self._reading and isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            try:
                count = self._sock.recv_into(_SHARED)
            except _LATER:
                return
            if not count:
                return
            self._protocol.data_received(bytes(_VIEW[:count]))

    def _gone_while_not_reading(self) -> None:
        if self._out or self._closing:
            self._lose(ConnectionResetError())
        else:
            # Nobody reads now. Whoever resumes reading gets what is left, and then the end.
            self._rewatch(nothing=True)

    def _send_rest(self) -> None:
        sock = self._sock
        if sock is None:
            return
        while self._out:
            part = self._out[0]
            try:
                count = sock.send(part)
            except _LATER:
                break
            except OSError as error:
                self._lose(error)
                return
            self._unsent -= count
            if count < len(part):
                self._out[0] = memoryview(part)[count:]
            else:
                self._out.popleft()
        if self._paused_protocol and self._unsent <= WRITE_LOW_BYTES:
            self._paused_protocol = False
            self._protocol.resume_writing()
        if not self._out and not self._ended:
            if self._closing:
                self._lose(None)
            else:
                if self._end is not None:
                    self._end.open = True
                self._rewatch()

    def _rewatch(self, *, nothing: bool = False) -> None:
        if self._sock is None:
            return
        mask = 0 if nothing else (_IN if self._reading else 0) | (_OUT if self._out else 0)
        if nothing:
            if self._mask >= 0:
                self._plane.unwatch(self._number)
                self._mask = -1
        elif self._mask < 0:
            self._plane.watch(self._number, mask, self._end or self.ready)
            self._mask = mask
        elif mask != self._mask:
            self._plane.rewatch(self._number, mask)
            self._mask = mask

    # -- asyncio.Transport ----------------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send now what the kernel takes, the rest when it can."""
        sock = self._sock
        if sock is None or self._closing or not data:
            return
        if not self._out:
            try:
                count = sock.send(data)
            except _LATER:
                count = 0
            except OSError as error:
                self._closing = True
                self._let_go()
                self._loop.call_soon(self._lose, error)
                return
            if count == len(data):
                return
            data = memoryview(data)[count:]
        if self._end is not None:
            self._end.open = False
        self._out.append(bytes(data))
        self._unsent += len(data)
        self._rewatch()
        if self._unsent > WRITE_HIGH_BYTES and not self._paused_protocol:
            self._paused_protocol = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send several pieces."""
        for data in list_of_data:
            self.write(data)

    def pause_reading(self) -> None:
        """Let the peer's bytes wait in the kernel."""
        self._reading = False
        self._rewatch()

    def resume_reading(self) -> None:
        """Read again; what TLS holds already is delivered in the loop's next turn."""
        if self._reading or self._closing:
            return
        self._reading = True
        self._rewatch()
        if self._tls:
            self._loop.call_soon(self._read_decrypted)

    def is_reading(self) -> bool:
        """Whether the peer is read."""
        return self._reading and not self._closing

    def is_closing(self) -> bool:
        """Whether `close` or `abort` was called, or the peer is gone."""
        return self._closing or self._sock is None

    def get_write_buffer_size(self) -> int:
        """Bytes the kernel has not taken yet."""
        return self._unsent

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what arrives from now on to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that is called now."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`peername`, `socket` and, once secured, `ssl_object`."""
        if name == "peername":
            return self._peer
        if name == "socket":
            return self._sock
        if name == "ssl_object" and self._tls:
            return self._sock
        return default

    def can_write_eof(self) -> bool:
        """No: sides are closed whole."""
        return False

    def close(self) -> None:
        """Send what is left, then close."""
        if self._closing or self._sock is None:
            return
        self._closing = True
        self._let_go()
        self._reading = False
        if self._out:
            self._rewatch()
        else:
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """Close at once."""
        if self._sock is None:
            return
        self._closing = True
        self._let_go()
        self._loop.call_soon(self._lose, None)

    def _lose(self, error: BaseException | None) -> None:
        if self._ended:
            return
        self._ended = self._closing = True
        self._let_go()
        self._reading = False
        self._out.clear()
        self._unsent = 0
        if error is None and self._tls and isinstance(self._sock, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self._sock.unwrap()  # tells the peer that this is the end and not a cut; its answer is not waited for
        self._detach()
        self._loop.call_soon(self._finished, error)

    def _detach(self) -> None:
        sock, self._sock = self._sock, None
        if sock is None:
            return
        if self._mask >= 0:
            self._plane.unwatch(self._number)
            self._mask = -1
        sock.close()

    def _finished(self, error: BaseException | None) -> None:
        self._protocol.connection_lost(error if isinstance(error, Exception) else None)

    # -- TLS ------------------------------------------------------------------------------------------------------------------

    async def first_byte(self) -> bytes:
        """Wait for the peer's first byte and look at it without taking it; then read as usual.

        Returns:
            One byte, or none when the peer has closed.
        """
        if self._mask >= 0:
            self._plane.unwatch(self._number)
            self._mask = -1
        found = None
        while found is None:
            await self._event(_IN)
            if self._sock is None:
                raise ConnectionResetError
            with contextlib.suppress(*_LATER):
                found = self._sock.recv(1, socket.MSG_PEEK)
        self._reading = True
        self._rewatch()
        return found

    async def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None = None
    ) -> None:
        """Secure the link; nothing is read for the protocol meanwhile.

        Raises:
            ssl.SSLError, OSError: the handshake failed.
        """
        if self._sock is None or self._out:
            raise ConnectionResetError
        self._let_go()
        if self._mask >= 0:
            self._plane.unwatch(self._number)
            self._mask = -1
        secured = context.wrap_socket(
            self._sock, server_side=server_side, server_hostname=server_hostname, do_handshake_on_connect=False
        )
        self._sock = secured
        try:
            await self._handshake(secured)
        except BaseException:
            self.abort()  # nothing can be written on a link whose handshake was left in the middle
            raise
        self._tls = True
        self._reading = True
        self._rewatch()
        self._loop.call_soon(self._read_decrypted)

    async def _handshake(self, secured: ssl.SSLSocket) -> None:
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                await self._event(_IN)
            except ssl.SSLWantWriteError:
                await self._event(_OUT)
            else:
                return

    async def _event(self, mask: int) -> None:
        """One readiness of the socket."""
        arrived = self._loop.create_future()

        def ready(_: int) -> None:
            if not arrived.done():
                arrived.set_result(None)

        self._plane.watch(self._number, mask, ready)
        try:
            await arrived
        finally:
            self._plane.unwatch(self._number)


def attached_lane(fast: Any, ledger: Any, client: object, backend: object, broken: Any) -> Any:
    """A compiled lane before two sockets, with or without TLS; None where there is none.

    Args:
        fast: the session's `FastLane`.
        ledger: where lanes append entries, None with the plain core.
        client, backend: the transports.
        broken: told of an error that nobody expected.
    """
    if (
        speed.lane is None
        or ledger is None
        or not (isinstance(client, RawTransport) and isinstance(backend, RawTransport))
    ):
        return None
    lane = speed.lane.Lane(fast, ledger, broken)
    ends = [(one, speed.lane.End(lane, one, one.number, one is client, one.secured)) for one in (client, backend)]
    if not all(one.attach(end) for one, end in ends):
        return None
    lane.attach(*(end for _, end in ends))
    return lane


def _peer(sock: socket.socket) -> Any:
    try:
        return sock.getpeername()
    except OSError:
        return None
