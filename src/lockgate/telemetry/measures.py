"""Numbers from the ledger for Prometheus: what statements did, to which labels, by whose kind.

For: rates and durations without any work in the way of a statement; they follow the ledger like every export.
Not for: single principals, tables or texts: a search answers those, a label per person would not end.
Source: Prometheus naming (base units, `_total`); docs/reference/exports.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from lockgate.telemetry.follow import Fact

_WHERE = ("database", "environment", "principal_kind")
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class Measures:
    """Counters since this process began, and the address that Prometheus scrapes."""

    def __init__(self, host: str, port: int) -> None:
        self._registry = CollectorRegistry()
        self._statements = Counter(
            "lockgate_ledger_statements", "Statements by how they ended.", (*_WHERE, "status"), registry=self._registry
        )
        self._denials = Counter(
            "lockgate_ledger_denials",
            "Statements denied or refused, by rule.",
            (*_WHERE, "rule"),
            registry=self._registry,
        )
        self._rows = Counter("lockgate_ledger_rows", "Rows that clients were sent.", _WHERE, registry=self._registry)
        self._bytes = Counter(
            "lockgate_ledger_bytes", "Bytes of rows that clients were sent.", _WHERE, registry=self._registry
        )
        self._labels = Counter("lockgate_ledger_label_uses", "Statements that used a column with a label, masked or clear.",
                               (*_WHERE, "label", "disposition"), registry=self._registry)  # fmt: skip
        self._seconds = Histogram("lockgate_ledger_statement_seconds", "From forwarding a statement to its end.", _WHERE, buckets=SECONDS,
                                  registry=self._registry)  # fmt: skip
        self._sessions = Counter(
            "lockgate_ledger_sessions", "Sessions opened, refused and closed.", ("event",), registry=self._registry
        )
        self._server, self._thread = start_http_server(port, host, self._registry)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_port)

    def send(self, facts: Sequence[Fact]) -> None:
        """Count them."""
        for fact in facts:
            self._count(fact)

    def _count(self, fact: Fact) -> None:
        entry, statement = fact.entry, fact.intent or fact.entry
        where = [str(statement.get(name) or "") for name in _WHERE]
        kind = entry.get("kind")
        if kind == "deny":
            self._denials.labels(*where, str(entry.get("rule") or "")).inc()
        elif kind == "session":
            self._sessions.labels(str(entry.get("event") or "")).inc()
        elif kind == "outcome":
            self._statements.labels(*where, str(entry.get("status") or "")).inc()
            self._rows.labels(*where).inc(_number(entry.get("rows")))
            self._bytes.labels(*where).inc(_number(entry.get("bytes")))
            if entry.get("duration_us") is not None:
                self._seconds.labels(*where).observe(_number(entry.get("duration_us")) / 1e6)
            columns = statement.get("columns")
            used = (
                {(str(c.get("label")), str(c.get("disposition"))) for c in columns if isinstance(c, dict)}
                if isinstance(columns, list)
                else set()
            )
            for label, disposition in used:
                self._labels.labels(*where, label, disposition).inc()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _number(value: object) -> float:
    return float(value) if isinstance(value, int) and value > 0 else 0.0
