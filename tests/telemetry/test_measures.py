"""Measures from the ledger, and a dashboard whose queries a real Prometheus answers."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockgate.telemetry.follow import Fact
from lockgate.telemetry.measures import Measures
from lockgate.telemetry.ocsf import event
from lockgate.transport.http import Metrics, serve_http
from support.entries import ENTRIES
from support.tree import ROOT

FACTS = [
    Fact("gw/1", i, entry, intent, made)
    for i, entry, intent in ENTRIES
    if (made := event("gw/1", i, entry, intent)) is not None
]
DASHBOARD = ROOT / "docs/reference/grafana-dashboard.json"


@pytest.fixture
def measures() -> Iterator[Measures]:
    made = Measures("127.0.0.1", 0)
    yield made
    made.close()


def _scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        found: str = answer.read().decode()
    return found


def test_entries_are_counted_by_what_they_did(measures: Measures) -> None:
    measures.send(FACTS)
    found = {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(_scraped(measures.port))
        for sample in family.samples
    }

    def value(name: str, *labels: str) -> float:
        return found[f"lockgate_ledger_{name}", frozenset(labels)]

    agent = ("shop", "production", "Agent")
    assert value("statements_total", *agent, "complete") == 1
    assert value("statements_total", *agent, "unknown") == 1
    assert value("statements_total", "shop", "production", "Service", "error") == 1
    assert value("denials_total", *agent, "no-drops") == 1
    assert value("rows_total", *agent) == 5
    assert value("label_uses_total", *agent, "person.email", "masked") == 2
    assert value("statement_seconds_bucket", *agent, "0.001") == 1
    assert value("sessions_total", "refused") == 1


def _queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"].replace("$__rate_interval", "30s") for panel in panels for target in panel["targets"]]


def _gate() -> Metrics:
    """Counters as a gate has them."""
    metrics = Metrics()
    for name, labels in (("statements", {"status": "complete"}), ("decisions", {"effect": "permit"}), ("decisions_cached", {}),
                         ("refusals", {"reason": "opaque"}), ("logins_failed", {})):  # fmt: skip
        metrics.count(name, **labels)
    for name in ("sessions", "ledger_lag", "ledger_healthy", "held_requests"):
        metrics.gauges[name] = lambda: 1.0
    return metrics


def test_every_metric_of_the_dashboard_exists(measures: Measures) -> None:
    measures.send(FACTS)
    text = _scraped(measures.port) + _gate().text()
    wanted = {name for query in _queries() for name in re.findall(r"lockgate_\w+", query)}
    assert len(wanted) > 12
    assert [name for name in sorted(wanted) if not re.search(rf"^{name}(\{{| )", text, re.MULTILINE)] == []


def test_no_metric_has_a_label_that_does_not_end(measures: Measures) -> None:
    measures.send(FACTS)
    names = {
        label for f in text_string_to_metric_families(_scraped(measures.port)) for s in f.samples for label in s.labels
    }
    assert names == {
        "database",
        "environment",
        "principal_kind",
        "status",
        "rule",
        "label",
        "disposition",
        "event",
        "le",
    }


def _ask(port: int, query: str) -> Any:
    address = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(address, timeout=5) as answer:
        return json.load(answer)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")
def test_a_real_prometheus_answers_every_query_of_the_dashboard(measures: Measures, tmp_path: Path) -> None:
    measures.send(FACTS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def scene() -> None:
        gate = _gate()
        server = await serve_http("127.0.0.1", 0, metrics=gate.text, healthy=dict)
        targets = [f"127.0.0.1:{measures.port}", f"127.0.0.1:{server.sockets[0].getsockname()[1]}"]
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "lockgate", "static_configs": [{"targets": targets}]}],
        }
        (tmp_path / "prometheus.yml").write_text(json.dumps(config))
        process = await asyncio.create_subprocess_exec(
            "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}",
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            empty = _queries()
            deadline = time.monotonic() + 90
            while empty and time.monotonic() < deadline:
                await asyncio.sleep(1)
                measures.send(FACTS)
                for name in ("statements", "decisions", "refusals"):
                    gate.count(
                        name,
                        **{
                            "statements": {"status": "complete"},
                            "decisions": {"effect": "permit"},
                            "refusals": {"reason": "x"},
                        }[name],
                    )
                empty = await asyncio.to_thread(_unanswered, port, empty)
            assert [
                query for query in empty if "clear" not in query
            ] == []  # nobody saw anything in clear: an empty answer
        finally:
            process.terminate()
            await process.wait()
            server.close()

    asyncio.run(scene())


def _unanswered(port: int, queries: list[str]) -> list[str]:
    left = []
    for query in queries:
        try:
            found = _ask(port, query)
        except urllib.error.HTTPError as error:
            if error.code == 400:
                pytest.fail(f"not PromQL: {query}")
            return queries
        except OSError:
            return queries
        assert found["status"] == "success"
        if not found["data"]["result"]:
            left.append(query)
    return [] if left and all("clear" in query for query in left) else left
