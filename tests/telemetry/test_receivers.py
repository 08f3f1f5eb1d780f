"""Each receiver on a real socket or file: what arrives, and what happens when nobody is there."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from standardwebhooks import Webhook as Library

from lockgate.app.exports import receiver
from lockgate.config.secret import Secret
from lockgate.config.settings import ExportSettings
from lockgate.errors import ConfigError
from lockgate.telemetry.follow import Fact, ReceiverError
from lockgate.telemetry.ocsf import event
from lockgate.telemetry.otlp import is_sampled
from support.entries import ENTRIES
from support.tls import make_authority

FACTS = [
    Fact("gw/1", i, entry, intent, made)
    for i, entry, intent in ENTRIES
    if (made := event("gw/1", i, entry, intent)) is not None
]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def export(url: str, **more: Any) -> ExportSettings:
    given: dict[str, Any] = {"form": "ocsf", "secret": None, "only": "all", "from_start": True, "sample": 0.0, **more}
    return ExportSettings(name="x", url=url, **given)


class Web:
    """An HTTP server that remembers posts and answers with what it is told."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200


@contextmanager
def web() -> Iterator[tuple[int, Web]]:
    seen = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.posts.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(seen.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_webhook_is_signed_as_the_specification_says_and_names_its_entry() -> None:
    with web() as (port, seen):
        receiver(export(f"http://127.0.0.1:{port}/hook?a=b", secret=Secret(SECRET))).send(FACTS)
    assert [headers["webhook-id"] for _, headers, _ in seen.posts] == [f"msg_gw-1_{fact.index}" for fact in FACTS]
    for path, headers, body in seen.posts:
        assert path == "/hook?a=b"
        found = Library(SECRET).verify(body, headers)
        assert found["data"]["metadata"]["uid"].startswith("gw/1#")
        with pytest.raises(Exception, match="No matching signature"):
            Library(SECRET).verify(body.replace(b"gw/1", b"gw/2"), headers)
    assert json.loads(seen.posts[1][2])["type"] == "lockgate.session.opened"


@pytest.mark.parametrize("status", [301, 400, 410, 429, 500, 503])
def test_a_webhook_that_is_not_taken_is_an_error(status: int) -> None:
    with web() as (port, seen):
        seen.status = status
        with pytest.raises(ReceiverError, match=str(status)):
            receiver(export(f"http://127.0.0.1:{port}/", secret=Secret(SECRET))).send(FACTS)
        assert len(seen.posts) == 1


def test_nobody_there_is_an_error_for_every_receiver_that_would_know() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    urls = (f"http://127.0.0.1:{port}/", f"syslog+tcp://127.0.0.1:{port}", f"syslog+tls://127.0.0.1:{port}")
    for url in urls:
        with pytest.raises(ReceiverError, match="does not answer"):
            receiver(export(url, secret=Secret(SECRET))).send(FACTS[:1])


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_\u00fc", "whsec_!!!!"])
def test_a_secret_that_is_none_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ConfigError, match="24 to 64 bytes") as refused:
        receiver(export("http://127.0.0.1:1/", secret=Secret(secret)))
    assert "c2hv" not in str(refused.value)


def _octets(stored: bytes) -> list[bytes]:
    """A receiver's reading of a stream."""
    found = []
    while stored:
        length, _, stored = stored.partition(b" ")
        found.append(stored[: int(length)])
        stored = stored[int(length) :]
    return found


@contextmanager
def stream(context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes], Callable[[], None]]]:
    """A TCP or TLS server; what each connection brought, and a way to wait for the next to end."""
    got: list[bytes] = []
    ended = threading.Semaphore(0)
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                link, _ = server.accept()
            except OSError:
                return
            try:
                link = link if context is None else context.wrap_socket(link, server_side=True)
                link.settimeout(5)
                whole = b""
                while part := link.recv(65536):
                    whole += part
                    if whole.endswith(b"bye"):
                        break
            except OSError:
                whole = b""
            link.close()
            got.append(whole)
            ended.release()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield (
            server.getsockname()[1],
            got,
            lambda: None if ended.acquire(timeout=10) else pytest.fail("nothing arrived"),
        )
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


@pytest.mark.parametrize("form", ["ocsf", "cef"])
def test_syslog_over_tcp_counts_octets(form: str) -> None:
    with stream() as (port, got, wait):
        made: Any = receiver(export(f"syslog+tcp://127.0.0.1:{port}", form=form))
        made.send(FACTS[:5])
        made.send(FACTS[5:])
        made._write.close()
        wait()
    messages = _octets(got[0])
    assert len(messages) == len(FACTS)
    texts = [message.decode().split("\ufeff", 1)[1] for message in messages]
    if form == "ocsf":
        assert [json.loads(text)["metadata"]["uid"] for text in texts] == [f"gw/1#{fact.index}" for fact in FACTS]
    else:
        assert all(text.startswith("CEF:0|Lockgate|") for text in texts)


def test_syslog_over_tls_checks_whom_it_talks_to(tmp_path: Path) -> None:
    trusted, serving = make_authority(tmp_path, "127.0.0.1")
    with stream(serving) as (port, got, wait):
        made: Any = receiver(export(f"syslog+tls://127.0.0.1:{port}"), context=trusted)
        made.send(FACTS)
        made._write.close()
        wait()
        assert len(_octets(got[0])) == len(FACTS)
        with pytest.raises(ReceiverError):
            receiver(export(f"syslog+tls://127.0.0.1:{port}")).send(FACTS)


def test_a_stream_that_the_receiver_closed_is_opened_again() -> None:
    with stream() as (port, got, wait):
        made: Any = receiver(export(f"syslog+tcp://127.0.0.1:{port}"))
        made._write(b"bye")
        wait()
        made.send(FACTS[:1])
        made._write.close()
        wait()
    assert len(_octets(got[1])) == 1


def test_syslog_over_udp_is_one_datagram_each() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        made: Any = receiver(export(f"syslog+udp://127.0.0.1:{server.getsockname()[1]}", form="cef"))
        made.send(FACTS)
        messages = [server.recv(65536) for _ in FACTS]
        made._write.close()
    assert all(message.startswith(b"<1") and b"CEF:0|" in message for message in messages)


def test_lines_are_whole_even_after_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "out" / "events.jsonl"
    made = receiver(export(f"file:{path}"))
    made.send(FACTS)
    path.write_bytes(path.read_bytes()[:-7])
    made.send(FACTS)
    lines = path.read_text().rstrip("\n").split("\n")
    assert len(lines) == 2 * len(FACTS)
    assert [json.loads(line)["metadata"]["uid"] for line in lines[len(FACTS) :]] == [
        fact.event["metadata"]["uid"] for fact in FACTS
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    path.mkdir()
    with pytest.raises(ReceiverError, match="cannot be written"):
        made.send(FACTS)


def test_a_collector_gets_logs_and_sampled_spans() -> None:
    with web() as (port, seen):
        made: Any = receiver(export(f"otlp+http://127.0.0.1:{port}", sample=1.0))
        made.send(FACTS)
        made.send(FACTS)
        made.close()
    logs = [ExportLogsServiceRequest.FromString(body) for path, _, body in seen.posts if path == "/v1/logs"]
    traces = [ExportTraceServiceRequest.FromString(body) for path, _, body in seen.posts if path == "/v1/traces"]
    assert logs[0] == logs[1]
    assert traces[0] == traces[1]
    records = logs[0].resource_logs[0].scope_logs[0].log_records
    assert len(records) == len(FACTS)
    assert len({record.span_id for record in records if record.span_id}) == 3
    spans = traces[0].resource_spans[0].scope_spans[0].spans
    assert [span.name for span in spans] == ["SELECT public.customers", "SELECT public.customers", "UPDATE a.b a.c"]
    assert {span.span_id for span in spans} == {record.span_id for record in records if record.span_id}
    assert len({span.trace_id for span in spans}) == 1
    found = {a["key"]: a["value"] for a in MessageToDict(spans[0])["attributes"]}
    assert found["db.query.text"] == {"stringValue": "SELECT email FROM customers WHERE id = ?"}
    assert found["db.response.returned_rows"] == {"intValue": "5"}


def test_a_collector_gets_no_spans_unless_asked_and_its_refusal_is_an_error() -> None:
    with web() as (port, seen):
        made: Any = receiver(export(f"otlp+http://127.0.0.1:{port}"))
        made.send(FACTS)
        assert {path for path, _, _ in seen.posts} == {"/v1/logs"}
        seen.status = 400
        with pytest.raises(ReceiverError, match="collector"):
            made.send(FACTS)
        made.close()


def test_sessions_are_sampled_whole_and_in_their_share() -> None:
    chosen = [is_sampled({"session": f"s-{i}"}, 0.25) for i in range(2000)]
    assert 400 < sum(chosen) < 600
    assert not any(is_sampled({"session": f"s-{i}"}, 0.0) for i in range(200))
    assert all(is_sampled({"session": f"s-{i}"}, 1.0) for i in range(200))
    assert datetime.now(UTC).tzinfo is UTC
