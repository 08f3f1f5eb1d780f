"""A raw link after login, to a server or to a gate: bytes are sent as they are, answers come back as frames."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Self

from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame, FrameReader
from lockgate.wire.postgres.scram import ScramClient
from lockgate.wire.postgres.startup import startup_message


class WireLink:
    """One authenticated link; use it as a context manager."""

    def __init__(self, host: str, port: int, user: str, password: str, database: str) -> None:
        self._socket = socket.create_connection((host, port), timeout=30)
        self._frames = FrameReader(body_bytes_max=1 << 28)
        self.send(startup_message([("user", user), ("database", database), ("client_encoding", "UTF8")]))
        scram = ScramClient(password, b"wirelinknonce0001")
        while (frame := self._next()).tag != ord("Z"):
            asked = be.decode(frame) if frame.tag == ord("R") else None
            if isinstance(asked, be.AuthenticationCleartextPassword):
                self.send(fe.Password.of_text(password).encode())
            elif isinstance(asked, be.AuthenticationSASL):
                self.send(fe.Password.of_sasl_initial("SCRAM-SHA-256", scram.client_first()).encode())
            elif isinstance(asked, be.AuthenticationSASLContinue):
                self.send(fe.Password(scram.client_final(asked.content)).encode())

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def read_until(self, ends: Callable[[Frame], bool]) -> list[Frame]:
        """Frames up to and with the first that ends it."""
        found = []
        while True:
            found.append(self._next())
            if ends(found[-1]):
                return found

    def ask(self, data: bytes, turns: int) -> list[Frame]:
        """Send, and read until ReadyForQuery has come `turns` times."""
        self.send(data)
        found = []
        for _ in range(turns):
            found += self.read_until(lambda frame: frame.tag == ord("Z"))
        return found

    def rest(self) -> list[Frame]:
        """Everything until the link is closed."""
        found = []
        with contextlib.suppress(ConnectionResetError):
            while True:
                found.append(self._next())
        return found

    def _next(self) -> Frame:
        while (frame := self._frames.next_frame()) is None:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError
            self._frames.feed(data)
        return frame

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
