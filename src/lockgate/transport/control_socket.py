"""The control socket: operators' commands as one JSON object a line, over a Unix socket that only its owner may open.

For: held requests while the gate runs.
Not for: reading the log, which needs no gate.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from lockgate.errors import GateUnreachableError, LockgateError

LINE_BYTES_MAX = 256 * 1024
SOCKET_PATH_BYTES_MAX = 100
Operations = Callable[[Mapping[str, object]], object]
"""What carries out commands: a value that JSON can hold, or something to await for one."""


async def serve_control(path: Path, operations: Operations) -> asyncio.Server:
    """Listen on the socket; file mode 0600 in a folder of mode 0700."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(await _answered(line, operations) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    with _only_for_owner(path) as place:
        return await asyncio.start_unix_server(answer, place, limit=LINE_BYTES_MAX)


@contextlib.contextmanager
def _only_for_owner(path: Path) -> Iterator[str]:
    """A place for the socket that nobody else may open, from its first moment on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    old = os.umask(0o177)
    try:
        with _short(path) as place:
            yield place
    finally:
        os.umask(old)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """The socket's path in a form that fits into a socket address, however deep its folder lies (unix(7): 107 bytes)."""
    if len(str(path).encode()) <= SOCKET_PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def _answered(line: bytes, operations: Operations) -> bytes:
    try:
        asked = json.loads(line)
        if not isinstance(asked, dict):
            raise TypeError
        result = operations(asked)
        return json.dumps({"ok": True, "result": await result if inspect.isawaitable(result) else result}).encode()
    except LockgateError as error:
        return json.dumps(
            {"ok": False, "code": getattr(error, "reason", error.sqlstate), "message": str(error)}
        ).encode()
    except (ValueError, KeyError, TypeError):
        return json.dumps({"ok": False, "code": "usage", "message": "not a command of the gate"}).encode()


def ask_gate(path: Path, question: Mapping[str, object], *, seconds: float = 10.0) -> dict[str, object]:
    """Put one question to a running gate.

    Raises:
        GateUnreachableError: nobody answers on the socket.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(seconds)
            with _short(path) as place:
                link.connect(place)
            link.sendall(json.dumps(question).encode() + b"\n")
            received = b""
            while not received.endswith(b"\n"):
                part = link.recv(65536)
                if not part:
                    break
                received += part
        answer = json.loads(received)
    except (OSError, ValueError) as error:
        raise GateUnreachableError(f"no gate answers on {path}; is `lockgate serve` running?") from error
    return answer if isinstance(answer, dict) else {}
