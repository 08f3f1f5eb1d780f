"""`/healthz` and `/metrics` on loopback.

For: a load balancer's question and Prometheus' scrape.
Not for: anything that changes something, or that names a statement or a value.
Source: Prometheus text exposition format 0.0.4.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

REQUEST_BYTES_MAX = 8192


class Metrics:
    """Counters and gauges of one gate (implements `session.ports.Counters`)."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self.gauges: dict[str, Callable[[], float]] = {}

    def count(self, name: str, **labels: str) -> None:
        """Count one fact; labels come from small closed sets."""
        self._counts[(name, tuple(sorted(labels.items())))] += 1

    def text(self) -> str:
        """Everything in Prometheus' text format."""
        lines = []
        for (name, labels), value in sorted(self._counts.items()):
            inner = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels)
            lines.append(f"lockgate_{name}_total{{{inner}}} {value}" if inner else f"lockgate_{name}_total {value}")
        lines += [f"lockgate_{name} {read():g}" for name, read in sorted(self.gauges.items())]
        return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")[:100]


async def serve_http(
    host: str, port: int, *, metrics: Metrics, healthy: Callable[[], Mapping[str, object]]
) -> asyncio.Server:
    """Listen for the two questions.

    Args:
        healthy: facts; the answer is 503 when `ok` among them is false.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].split(b"?", 1)[0]
            if path == b"/metrics":
                _reply(writer, "200 OK", metrics.text(), "text/plain; version=0.0.4; charset=utf-8")
            elif path == b"/healthz":
                facts = healthy()
                body = "\n".join(f"{k}: {v}" for k, v in facts.items()) + "\n"
                _reply(
                    writer,
                    "200 OK" if facts.get("ok") else "503 Service Unavailable",
                    body,
                    "text/plain; charset=utf-8",
                )
            else:
                _reply(writer, "404 Not Found", "not found\n", "text/plain; charset=utf-8")
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, IndexError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(answer, host, port, limit=REQUEST_BYTES_MAX)


def _reply(writer: asyncio.StreamWriter, status: str, body: str, kind: str) -> None:
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + content)
