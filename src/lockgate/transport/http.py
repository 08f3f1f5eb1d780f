"""`/healthz` and `/metrics` on loopback.

For: a load balancer's question and Prometheus' scrape.
Not for: anything that changes something, or that names a statement or a value.
Source: Prometheus text exposition format 0.0.4.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

T = TypeVar("T")
Facts = Mapping[str, object]
REQUEST_BYTES_MAX = 8192
LABEL_CHARS_MAX = 100
COUNTERS = {
    "cancels_unknown": "Cancel requests with a key that no session has.",
    "decisions": "Statements decided by policy.",
    "decisions_cached": "Decisions that were remembered.",
    "logins_failed": "Sign-ins that were refused.",
    "refusals": "Statements refused before policy was asked, by reason.",
    "reloads": "Edited files taken over or refused.",
    "statements": "Statements that ended.",
    "workers_started_again": "Workers that ended and were started again.",
}
GAUGES = {
    "held_requests": "Statements that wait for a person.",
    "ledger_commits": "Group commits of the ledger since the start.",
    "ledger_healthy": "1 while the ledger can write, else 0.",
    "ledger_lag": "Durable entries that are under no checkpoint yet.",
    "ledger_size": "Durable entries of the log.",
    "sessions": "Open sessions.",
    "workers": "Workers that accept clients.",
    "workers_configured": "Workers that there should be.",
}


def _added(one: float, other: float) -> float:
    return one + other


AGREED: dict[str, Callable[[float, float], float]] = {
    "ledger_healthy": min,
    "org_log_running": min,
    "witness_age_seconds": max,
}
"""Gauges whose values in several processes are not added up."""


class Metrics:
    """Counters and gauges of one gate (implements `session.ports.Counters`)."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self.gauges: dict[str, Callable[[], float]] = {}
        self._decided_again = 0
        self._completed_again = 0

    def count(self, name: str, **labels: str) -> None:
        """Count one fact; labels come from small closed sets."""
        self._counts[(name, tuple(sorted(labels.items())))] += 1

    def decided_again(self, count: int = 1) -> None:
        """Count permits that were remembered; the fast lane has no time for labels."""
        self._decided_again += count

    def completed_again(self, count: int = 1) -> None:
        """Count complete statements of the fast lane."""
        self._completed_again += count

    def _take_over(self) -> None:
        """Put what was counted without labels where it belongs."""
        again, done = self._decided_again, self._completed_again
        self._decided_again = self._completed_again = 0
        if again:
            self._counts["decisions_cached", ()] += again
            self._counts["decisions", (("effect", "permit"),)] += again
        if done:
            self._counts["statements", (("status", "complete"),)] += done

    def text(self) -> str:
        """Everything in Prometheus' text format."""
        return generate_latest(self).decode()

    def dump(self) -> dict[str, object]:
        """Everything as values that JSON can hold, for `merged`."""
        self._take_over()
        counts = [[name, list(map(list, labels)), value] for (name, labels), value in self._counts.items()]
        return {"counts": counts, "gauges": {name: read() for name, read in self.gauges.items()}}

    def with_counts_of(self, dump: Mapping[str, Any]) -> Metrics:
        """These with the counts of a process that has ended, so that no sum ever falls; its gauges are over."""
        together = self.merged([{"counts": dump.get("counts", []), "gauges": {}}])
        together.gauges = self.gauges
        return together

    def merged(self, dumps: Sequence[Mapping[str, Any]]) -> Metrics:
        """These together with what other processes dumped: counts are added up, and so are gauges unless `AGREED` says otherwise."""
        together = Metrics()
        for dump in (self.dump(), *dumps):
            for name, labels, value in dump["counts"]:
                together._counts[name, tuple((key, text) for key, text in labels)] += value
            for name, value in dump["gauges"].items():
                known = together.gauges.get(name)
                new = value if known is None else AGREED.get(name, _added)(known(), value)
                together.gauges[name] = partial(float, new)
        return together

    def collect(self) -> Iterator[Metric]:
        """Every counter and gauge as a family, in the order of names (what `prometheus_client` asks of a collector)."""
        self._take_over()
        families: dict[str, CounterMetricFamily] = {}
        for (name, labels), value in sorted(self._counts.items()):
            if name not in families:
                known = COUNTERS.get(name, name.replace("_", " "))
                families[name] = CounterMetricFamily(f"lockgate_{name}", known, labels=[key for key, _ in labels])
            families[name].add_metric([text[:LABEL_CHARS_MAX] for _, text in labels], value)
        yield from families.values()
        for name, read in sorted(self.gauges.items()):
            yield GaugeMetricFamily(f"lockgate_{name}", GAUGES.get(name, name.replace("_", " ")), read())


async def serve_http(
    host: str,
    port: int,
    *,
    metrics: Callable[[], str | Awaitable[str]],
    healthy: Callable[[], Facts | Awaitable[Facts]],
) -> asyncio.Server:
    """Listen for the two questions.

    Args:
        metrics: everything as text.
        healthy: facts; the answer is 503 when `ok` among them is false.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].split(b"?", 1)[0]
            if path == b"/metrics":
                _reply(writer, "200 OK", await _given(metrics()), "text/plain; version=0.0.4; charset=utf-8")
            elif path == b"/healthz":
                facts = await _given(healthy())
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


async def _given(value: T | Awaitable[T]) -> T:
    return await value if isinstance(value, Awaitable) else value


def _reply(writer: asyncio.StreamWriter, status: str, body: str, kind: str) -> None:
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + content)
