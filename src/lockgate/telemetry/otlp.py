"""Events and statements over OTLP: a log record for each event, a span for each statement that ended.

For: collectors, next to the traces of applications; off unless configured, spans sampled.
Not for: metrics (Prometheus scrapes them).
Source: OpenTelemetry semantic conventions for databases 1.44; the SDK's exporters do the protocol.

A span's trace is the session, its identity the entry: computed, not rolled, so a repeat is the same span and every gate samples alike.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from lockgate import __version__
from lockgate.errors import ConfigError
from lockgate.telemetry.follow import Fact, ReceiverError

SECONDS = 10.0


class Otlp:
    """Sends to one collector's HTTP endpoint."""

    def __init__(self, endpoint: str, *, sample: float) -> None:
        """Args:
        endpoint: without `/v1/logs` and `/v1/traces`, which are added.
        sample: share of sessions whose statements become spans, 0 to 1.

        Raises:
            ConfigError: the extra `otlp` is not installed.
        """
        try:
            logs: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http._log_exporter")
            traces: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        except ImportError as error:
            raise ConfigError("OTLP needs the extra `otlp`: pip install 'lockgate[otlp]'") from error
        resources: Any = importlib.import_module("opentelemetry.sdk.resources")
        self._resource = resources.Resource({"service.name": "lockgate", "service.version": __version__})
        self._logs: Any = logs.OTLPLogExporter(endpoint=f"{endpoint.rstrip('/')}/v1/logs", timeout=SECONDS)
        self._spans: Any = traces.OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=SECONDS)
        self._sample = sample

    def send(self, facts: Sequence[Fact]) -> None:
        """All log records in one request, all spans in another."""
        spans = [span for fact in facts if (span := self._span(fact)) is not None]
        for exporter, batch in ((self._logs, [self._record(fact) for fact in facts]), (self._spans, spans)):
            if batch and exporter.export(batch).name != "SUCCESS":
                raise ReceiverError("the OTLP collector does not take what is sent")

    def close(self) -> None:
        """Let go of both connections."""
        self._logs.shutdown()
        self._spans.shutdown()

    def _record(self, fact: Fact) -> Any:
        api: Any = importlib.import_module("opentelemetry._logs")
        sdk: Any = importlib.import_module("opentelemetry.sdk._logs")
        severity = {1: "INFO", 2: "INFO2", 3: "WARN"}.get(fact.event["severity_id"], "ERROR")
        statement = fact.intent or fact.entry
        sampled = fact.entry["kind"] == "outcome"
        record = api.LogRecord(
            timestamp=nanoseconds(str(fact.entry["time"])), observed_timestamp=nanoseconds(str(fact.entry["time"])),
            severity_text=severity, severity_number=api.SeverityNumber[severity], body=dict(fact.event),
            attributes={"event.name": fact.event["type_name"], "lockgate.log": fact.log, "lockgate.index": fact.index, **attributes(fact)},
            trace_id=trace_id(statement) if sampled else 0, span_id=span_id(fact) if sampled else 0,
        )  # fmt: skip
        return sdk.ReadableLogRecord(record, self._resource, self._scope())

    def _span(self, fact: Fact) -> Any:
        """The statement as a span, when its session is sampled."""
        if fact.entry["kind"] != "outcome" or fact.intent is None or not is_sampled(fact.intent, self._sample):
            return None
        trace: Any = importlib.import_module("opentelemetry.trace")
        sdk: Any = importlib.import_module("opentelemetry.sdk.trace")
        context = trace.SpanContext(
            trace_id(fact.intent), span_id(fact), is_remote=False, trace_flags=trace.TraceFlags(1)
        )
        failed = fact.event["status_id"] == 2
        return sdk.ReadableSpan(
            name=summary(fact.intent), context=context, resource=self._resource, attributes=attributes(fact), kind=trace.SpanKind.SERVER,
            status=trace.Status(trace.StatusCode.ERROR if failed else trace.StatusCode.UNSET), instrumentation_scope=self._scope(),
            start_time=nanoseconds(str(fact.intent["time"])), end_time=nanoseconds(str(fact.entry["time"])),
        )  # fmt: skip

    def _scope(self) -> Any:
        instrumentation: Any = importlib.import_module("opentelemetry.sdk.util.instrumentation")
        return instrumentation.InstrumentationScope("lockgate", __version__)


def nanoseconds(time: str) -> int:
    """An entry's time since 1970."""
    return round(datetime.fromisoformat(time).timestamp() * 1e6) * 1000


def trace_id(statement: Any) -> int:
    """The trace of a session."""
    return int.from_bytes(sha256(f"trace {statement.get('session')}".encode()).digest()[:16], "big")


def span_id(fact: Fact) -> int:
    """The span of an entry."""
    return int.from_bytes(sha256(f"span {fact.log}#{fact.index}".encode()).digest()[:8], "big")


def is_sampled(statement: Any, share: float) -> bool:
    """Whether a session's statements become spans; by its trace, so that all of them do or none."""
    return (trace_id(statement) & (2**56 - 1)) < share * 2**56


def summary(statement: Any) -> str:
    """`SELECT public.customers`: the operation and what it touches, of low cardinality."""
    return " ".join([str(statement.get("statement") or "statement").upper(), *map(str, statement.get("tables") or [])])[
        :255
    ]


def attributes(fact: Fact) -> dict[str, Any]:
    """Attributes of a statement; of other entries only who and where."""
    statement = fact.intent or fact.entry
    listed = statement.get("tables")
    tables = listed if isinstance(listed, list) else []
    found = {
        "db.system.name": "postgresql" if statement.get("database") else None, "db.namespace": statement.get("database"),
        "db.operation.name": str(statement["statement"]).upper() if statement.get("statement") else None,
        "db.collection.name": tables[0] if len(tables) == 1 else None, "db.query.text": statement.get("shape") or None,
        "db.query.summary": summary(statement) if statement.get("statement") else None,
        "db.response.status_code": fact.entry.get("sqlstate"), "db.response.returned_rows": fact.entry.get("rows"),
        "enduser.id": statement.get("principal"), "session.id": statement.get("session"),
        "lockgate.on_behalf_of": statement.get("on_behalf_of"), "lockgate.run": statement.get("run"), "lockgate.purpose": statement.get("purpose"),
        "lockgate.decision": statement.get("decision"), "lockgate.environment": statement.get("environment"),
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}
