"""The witness protocol over HTTP: the witness's listener, and how a log reaches one.

For: `POST <prefix>/add-checkpoint` with keep-alive, and `GET <prefix>/heads/<name>` for those who compare.
Not for: what is answered; a function decides. TLS is a proxy's, or the https of the URL on the asking side.
Source: C2SP tlog-witness; RFC 9112.
"""

from __future__ import annotations

import asyncio
import http.client
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

BODY_BYTES_MAX = 1_000_000
HEAD_BYTES_MAX = 16_384
IDLE_SECONDS = 60
_REASONS = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    413: "Content Too Large", 422: "Unprocessable Content", 500: "Internal Server Error",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, type and body of an answer."""

    status: int
    content_type: str = "text/plain; charset=utf-8"
    body: bytes = b""


Handle = Callable[[str, str, bytes], HttpAnswer]
"""(method, path, body) to an answer; it runs in the loop, so two requests never meet inside it."""


async def serve_witness(host: str, port: int, handle: Handle) -> asyncio.Server:
    """Listen for requests."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _one(reader, writer, handle):
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(answer, host, port, limit=HEAD_BYTES_MAX)


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handle) -> bool:
    """Answer one request; false when the connection ends after it."""
    async with asyncio.timeout(IDLE_SECONDS):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        words = head[0].split(" ")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        length = fields.get("content-length", "0")
        if len(words) != 3 or not length.isascii() or not length.isdecimal() or "transfer-encoding" in fields:
            _write(writer, HttpAnswer(400, body=b"the request is malformed\n"), keep=False)
            return False
        if len(length) > 9 or int(length) > BODY_BYTES_MAX:
            _write(writer, HttpAnswer(413, body=b"the body is too long\n"), keep=False)
            return False
        body = await reader.readexactly(int(length))
    keep = words[2] == "HTTP/1.1" and fields.get("connection", "").lower() != "close"
    _write(writer, handle(words[0], words[1].split("?", 1)[0], body), keep=keep)
    return keep


def _write(writer: asyncio.StreamWriter, answer: HttpAnswer, *, keep: bool) -> None:
    head = (
        f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}\r\nContent-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    writer.write(head.encode("latin-1") + answer.body)


def post(url: str, body: bytes, *, content_type: str, seconds: float) -> HttpAnswer:
    """Post to a URL from a thread that may wait; status 0 when nothing came back in time."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return HttpAnswer(0)
    try:
        link = kind(parts.hostname, parts.port, timeout=seconds)
    except (http.client.HTTPException, ValueError):
        return HttpAnswer(0)
    try:
        link.request("POST", parts.path or "/", body, {"Content-Type": content_type, "User-Agent": "lockgate"})
        answer = link.getresponse()
        return HttpAnswer(answer.status, answer.headers.get("Content-Type", ""), answer.read(BODY_BYTES_MAX))
    except (OSError, http.client.HTTPException, ValueError):
        return HttpAnswer(0)
    finally:
        link.close()


def submit(prefix: str, body: bytes, *, seconds: float) -> HttpAnswer:
    """Post a submission to a witness's submission prefix."""
    return post(f"{prefix.rstrip('/')}/add-checkpoint", body, content_type="text/plain; charset=utf-8", seconds=seconds)
