"""What operators and machines ask a gate: metrics, health, the control socket; and the group commit behind every session."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockgate.errors import GateUnreachableError
from lockgate.grants.requests import RequestRefusedError
from lockgate.ledger.blob import SealedText
from lockgate.ledger.entry import Template
from lockgate.transport.catalog_queries import RawCatalog, build_catalog
from lockgate.transport.committer import CommitResult, Committer
from lockgate.transport.control_socket import ask_gate, serve_control
from lockgate.transport.http import Metrics, serve_http


def test_metrics_are_counted_by_name_and_labels_and_escaped() -> None:
    metrics = Metrics()
    metrics.count("refusals", reason="opaque")
    metrics.count("refusals", reason="opaque")
    metrics.count("odd", text='a"b\\c\nd')
    metrics.gauges["sessions"] = lambda: 3
    families = {family.name: family for family in text_string_to_metric_families(metrics.text())}
    assert {name: family.type for name, family in families.items()} == {
        "lockgate_odd": "counter",
        "lockgate_refusals": "counter",
        "lockgate_sessions": "gauge",
    }
    found = {(s.name, *s.labels.values()): s.value for family in families.values() for s in family.samples}
    assert found == {
        ("lockgate_odd_total", 'a"b\\c\nd'): 1,
        ("lockgate_refusals_total", "opaque"): 2,
        ("lockgate_sessions",): 3,
    }


async def _get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("path", "ok", "status"),
    [
        ("/healthz", True, b"200"),
        ("/healthz", False, b"503"),
        ("/metrics?x=1", True, b"200"),
        ("/secrets", True, b"404"),
    ],
)
def test_the_two_questions_of_machines_are_answered_and_no_other(path: str, ok: bool, status: bytes) -> None:
    async def main() -> bytes:
        server = await serve_http("127.0.0.1", 0, metrics=Metrics().text, healthy=lambda: {"ok": ok})
        async with server:
            return await _get(server.sockets[0].getsockname()[1], path)

    assert asyncio.run(main()).split()[1] == status


def _operate(asked: Mapping[str, object]) -> object:
    if asked["op"] == "refuse":
        raise RequestRefusedError("not-yours", "not yours")
    return {"op": asked["op"]}


@pytest.mark.parametrize("depth", [1, 12])
def test_the_control_socket_answers_its_owner_only(tmp_path: Path, depth: int) -> None:
    path = tmp_path.joinpath(*["a long folder name"] * depth, "control.sock")

    async def main() -> list[dict[str, object]]:
        server = await serve_control(path, _operate)
        async with server:
            mode = stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)
            assert mode == (0o600, 0o700)
            questions: list[dict[str, object]] = [{"op": "list"}, {"op": "refuse"}, {"wrong": 1}]
            return [await asyncio.to_thread(ask_gate, path, question) for question in questions]

    assert asyncio.run(main()) == [
        {"ok": True, "result": {"op": "list"}},
        {"ok": False, "code": "not-yours", "message": "not yours"},
        {"ok": False, "code": "usage", "message": "not a command of the gate"},
    ]


def test_a_gate_that_does_not_run_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(GateUnreachableError):
        ask_gate(tmp_path / "nothing.sock", {"op": "list"})


@dataclass
class Result:
    durable: int
    failed: tuple[int, ...] = ()
    moved: Mapping[int, int] = field(default_factory=dict)


class Log:
    """A log in memory whose next commits can fail."""

    def __init__(self) -> None:
        self.buffered = 0
        self.size = 0
        self.integrated = 0
        self.healthy = True
        self.fails = False

    def append(self, fields: Mapping[str, object], *, keep: bool = False) -> int:
        self.buffered += 1
        return self.size + self.buffered - 1

    def seal_text(self, database: str, text: bytes, classes: tuple[str, ...]) -> SealedText:
        return SealedText("name")

    def template(self, fields: Mapping[str, object], holes: Sequence[str]) -> Template:
        raise NotImplementedError

    def append_filled(
        self, template: Template, low: tuple[object, ...], high: tuple[object, ...], *, keep: bool = False
    ) -> int:
        return self.append({}, keep=keep)

    def commit(self) -> Result:
        indices = tuple(range(self.size, self.size + self.buffered))
        self.buffered = 0
        if self.fails:
            return Result(self.size, failed=indices)
        self.size += len(indices)
        return Result(self.size)

    def piece(self, limit: int | None = None) -> object:
        return None

    def take(self, piece: object) -> None:
        raise NotImplementedError


def test_entries_of_one_turn_are_committed_together_in_the_next() -> None:
    async def main() -> None:
        log = Log()
        committer = Committer(log)
        told: list[int] = []
        committer.wait(lambda result: told.append(result.durable))
        for _ in range(5):
            committer.append({})
        assert committer.durable == 0
        await asyncio.sleep(0)
        assert (committer.durable, committer.commits, told) == (5, 1, [5])
        await asyncio.sleep(0)
        assert committer.commits == 1

    asyncio.run(main())


def test_what_could_not_be_written_is_never_reported_durable() -> None:
    async def main() -> None:
        log = Log()
        log.fails = True
        committer = Committer(log)
        told: list[CommitResult] = []
        committer.subscribe(told.append)
        committer.append({})
        await asyncio.sleep(0)
        assert (committer.durable, committer.failures, told[0].failed) == (0, 1, (0,))
        committer.unsubscribe(told.append)
        log.fails = False
        committer.append({})
        await asyncio.sleep(0)
        assert (committer.durable, len(told)) == (1, 1)

    asyncio.run(main())


def test_a_snapshot_names_labels_keys_and_partitions_by_oid() -> None:
    raw = RawCatalog(
        relations=[["100", "public", "people", "r", "t", "f", "f", "9"], ["12", "pg_catalog", "pg_class", "r", "f", "f", "f", "0"]],
        columns=[["100", "1", "id", "20", "-1", "t"], ["100", "2", "email", "25", "-1", "f"], ["12", "1", "oid", "26", "-1", "t"]],
        indexes=[
            ["100", "101", "pk", "1 2", "1", "t", "f", "t", "f", "t", "1 2"],
            ["100", "102", "expr", "0", "1", "f", "f", "t", "f", "t", "2"],
            ["100", "103", "broken", "1", "1", "t", "f", "t", "f", "f", "1"],
        ],
        partitioned=[["100", "2 0"]], functions=[["7", "public", "f", "sql", "i", "f", "f", "t", "vector"]],
        types=[["20", "pg_catalog", "int8", "b", "0", "N", "0", ""]], fingerprint="x",
    )  # fmt: skip
    found = build_catalog(
        raw, database="shop", environment="staging", server_version=150000, generation=3,
        labels=lambda schema, table, column: ("person.email" if column == "email" else "none", "name", 1.0, ()),
        default_label="unknown", server_settings={},
    )  # fmt: skip
    people = found.relations[100]
    assert {c.name: c.label for c in people.columns.values()} == {"id": "none", "email": "person.email"}
    assert found.relations[12].columns[1].label_by == "system"
    assert people.unique_keys == (frozenset({1}),)
    assert people.indexes[0].columns == (1,)
    assert people.indexes[1].expression_columns == frozenset({2})
    assert not people.indexes[2].unique
    assert (people.partition_columns, people.row_security, people.estimated_rows) == (frozenset({2}), True, 9.0)
    assert (found.generation, found.functions[7].strict, found.types[20].name) == (3, True, "int8")
    assert found.functions[7].extension == "vector"
