"""A small protocol client: names and order of messages as a test writes them, answers as raw bytes.

Not for: reading results; psycopg does that.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Self

from lockgate.wire.postgres import startup
from support.gate import GateProcess


class WireClient:
    """One logged-in link through the gate; use it as a context manager."""

    def __init__(self, gate: GateProcess, principal: str, database: str) -> None:
        self._link = socket.create_connection((gate.host, gate.port), timeout=60)
        self._link.sendall(startup.startup_message([("user", principal), ("database", database)], minor=0))
        self._until(b"R")
        self._link.sendall(self._message(b"p", gate.token(principal).encode() + b"\x00"))
        self._until(b"Z")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    @staticmethod
    def _message(tag: bytes, body: bytes = b"") -> bytes:
        return tag + struct.pack("!I", len(body) + 4) + body

    @classmethod
    def parse(cls, name: str, text: str) -> bytes:
        """Parse without parameter types."""
        return cls._message(b"P", f"{name}\0{text}\0".encode() + struct.pack("!H", 0))

    @classmethod
    def bind(cls, portal: str, name: str) -> bytes:
        """Bind without parameters, text results."""
        return cls._message(b"B", f"{portal}\0{name}\0".encode() + struct.pack("!HHH", 0, 0, 0))

    @classmethod
    def execute(cls, portal: str) -> bytes:
        """Execute without a row limit."""
        return cls._message(b"E", f"{portal}\0".encode() + struct.pack("!I", 0))

    @classmethod
    def close(cls, kind: str, name: str) -> bytes:
        """Close a statement (`S`) or portal (`P`)."""
        return cls._message(b"C", f"{kind}{name}\0".encode())

    @classmethod
    def simple(cls, text: str) -> bytes:
        """The message of a simple query."""
        return cls._message(b"Q", text.encode() + b"\x00")

    def at_once(self, *pipelines: Sequence[bytes]) -> bytes:
        """Several pipelines in one write, each with its Sync; everything up to the last of all their ends."""
        first = self._send(b"".join(b"".join(messages) + self._message(b"S") for messages in pipelines))
        ends = len(pipelines) + sum(message[:1] == b"Q" for messages in pipelines for message in messages)
        return first + b"".join(self._until(b"Z") for _ in range(1, ends))

    def query(self, text: str) -> bytes:
        """A simple query; everything up to ReadyForQuery, or to the end when the gate closes."""
        return self._send(self._message(b"Q", text.encode() + b"\x00"))

    def extended(self, *messages: bytes) -> bytes:
        """Messages and a Sync."""
        return self._send(b"".join(messages) + self._message(b"S"))

    def copy_in(self, text: str, data: bytes) -> bytes:
        """A COPY FROM STDIN with its data; a refused one ends before."""
        self._link.sendall(self._message(b"Q", text.encode() + b"\x00"))
        answer = self._until(b"GZ")
        if answer[-6:-5] == b"Z":
            return answer
        return self._send(self._message(b"d", data) + self._message(b"c"))

    def _send(self, data: bytes) -> bytes:
        try:
            self._link.sendall(data)
            return self._until(b"Z")
        except (ConnectionError, BrokenPipeError):
            return b""

    def _until(self, tags: bytes) -> bytes:
        received = b""
        while True:
            head = self._exactly(5)
            if not head:
                return received
            body = self._exactly(struct.unpack("!I", head[1:])[0] - 4)
            received += head + body
            if head[:1] in tags:
                return received

    def _exactly(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            part = self._link.recv(count - len(got))
            if not part:
                return b""
            got += part
        return got
