"""Sending events to the systems of others: datagrams, streams with and without TLS, HTTP posts.

For: what exports need of the network, each call with a time limit; a lost connection is opened again at the next call.
Not for: what is sent (`telemetry`).
Source: RFC 5425 (syslog over TLS), RFC 5426 (over UDP), RFC 6587 (over TCP).
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

SECONDS = 10.0


class Datagrams:
    """UDP: nobody says whether it arrived."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None

    def __call__(self, message: bytes) -> None:
        """Send one datagram."""
        if self._socket is None:
            family = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0][0]
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.sendto(message, self._address)

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Stream:
    """TCP, or TLS when there is a context."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self._address, self._context = (host, port), context
        self._socket: socket.socket | None = None

    def __call__(self, message: bytes) -> None:
        """Write it all, on a connection of which the other side has not closed its end."""
        if self._socket is not None and self._is_closed(self._socket):
            self.close()
        try:
            if self._socket is None:
                self._socket = self._connected()
            self._socket.sendall(message)
        except OSError:
            self.close()
            raise

    @staticmethod
    def _is_closed(link: socket.socket) -> bool:
        """A syslog receiver never writes: anything to read is its goodbye."""
        link.setblocking(False)
        try:
            return not link.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
            link.settimeout(SECONDS)

    def _connected(self) -> socket.socket:
        plain = socket.create_connection(self._address, timeout=SECONDS)
        if self._context is None:
            return plain
        try:
            return self._context.wrap_socket(plain, server_hostname=self._address[0])
        except OSError:
            plain.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None


class HttpPost:
    """POST to one address; redirections are not followed."""

    def __init__(self, url: str, *, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._tls = parts.hostname or "", parts.port, parts.scheme == "https"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._context = context

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer, whose text nobody reads."""
        if self._tls:
            context = self._context or ssl.create_default_context()
            link: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=SECONDS, context=context
            )
        else:
            link = http.client.HTTPConnection(self._host, self._port, timeout=SECONDS)
        try:
            link.request("POST", self._path, body, dict(headers))
            return link.getresponse().status
        except http.client.HTTPException as error:
            raise ConnectionError("not an answer in HTTP") from error
        finally:
            link.close()
