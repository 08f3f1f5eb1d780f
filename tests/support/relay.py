"""A TCP relay between a gate and its database that counts what is sent, for tests that say "not one byte".

For: also a database that has been taken over: told so, the relay answers a session's message, or the next login, with bytes of its own.
Not for: changing anything else of what passes.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit


class Relay:
    """A TCP relay that counts, per connection, the bytes that flow to the database."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.sent: list[bytearray] = []
        self.instead: tuple[bytes, bytes, bool] | None = None
        self.greetings: list[list[bytes]] = []
        self.heard: list[bytes] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.greetings:
                    self._play(near, self.greetings.pop(0))
                    continue
                far = socket.create_connection(self._target)
                counted = bytearray()
                self.sent.append(counted)
                pair = [
                    threading.Thread(target=self._copy, args=(near, far, counted), daemon=True),
                    threading.Thread(target=self._copy, args=(far, near, None), daemon=True),
                ]
                self._threads += pair
                for thread in pair:
                    thread.start()

    def answer(self, trigger: bytes, with_bytes: bytes, *, end: bool = False) -> None:
        """The next message of a session that has `trigger` in it is not passed on but answered with these bytes, and the link ended."""
        self.instead = (trigger, with_bytes, end)

    def _play(self, near: socket.socket, answers: list[bytes]) -> None:
        """One login answered by ourselves: each of the gate's messages by the next of these."""
        near.settimeout(60)
        with suppress(OSError):
            for one in answers:
                self.heard.append(near.recv(65536))
                near.sendall(one)
            while more := near.recv(65536):
                self.heard.append(more)
        near.close()

    def _copy(self, source: socket.socket, target: socket.socket, counted: bytearray | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if counted is not None:
                    counted += data
                    if self.instead is not None and self.instead[0] in data and b"application_name\0lg:" in counted:
                        (_, answer, ends), self.instead = self.instead, None
                        source.sendall(answer)
                        if ends:
                            break
                        continue
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def session(self) -> bytearray:
        """What was sent on the one link that a session opened, as its start-up packet says."""
        (found,) = [sent for sent in self.sent if b"application_name\0lg:" in sent]
        return found

    def sessions(self) -> int:
        """How many bytes were sent on all links that sessions opened."""
        return sum(len(sent) for sent in self.sent if b"application_name\0lg:" in sent)

    def close(self) -> None:
        """Stop accepting, and wait until every link is over."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(60)


def through(dsn: str) -> tuple[Relay, str]:
    """A relay before the server of a DSN, and the DSN that goes through it."""
    parts = urlsplit(dsn)
    relay = Relay(parts.hostname or "127.0.0.1", parts.port or 5432)
    user = parts.netloc.rsplit("@", 1)[0]
    return relay, urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{relay.port}"))
