"""Receivers follow the ledger: in order, at least once, and none of them holds up another or the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from lockgate.telemetry import follow
from lockgate.telemetry.follow import Fact, Follower, ReceiverError
from lockgate.telemetry.ocsf import Entry


class Log:
    """Two logs in memory, of which `seal` says how much is under a checkpoint."""

    def __init__(self) -> None:
        self.logs: dict[str, list[Entry]] = {"a/1": [], "a/2": []}
        self.under: dict[str, int] = {"a/1": 0, "a/2": 0}
        self.pruned = 0

    def add(self, log: str, **fields: object) -> int:
        number = len(self.logs[log])
        self.logs[log].append(
            {
                "v": 1,
                "epoch": 1,
                "n": number,
                "time": f"2026-11-22T10:{number // 60:02}:{number % 60:02}.000000Z",
                **fields,
            }
        )
        return number

    def statement(self, log: str) -> None:
        intent = self.add(log, kind="intent", principal="ann", statement="select", shape="SELECT ?", database="shop")
        self.add(log, kind="outcome", intent=intent, status="complete", rows=1)

    def seal(self) -> None:
        self.under = {origin: len(entries) for origin, entries in self.logs.items()}

    def minimum(self, origin: str) -> int:
        return self.pruned

    def origins(self) -> list[str]:
        return sorted(self.logs)

    def sealed(self, origin: str) -> int:
        return self.under[origin]

    def decoded(self, origin: str, first: int, last: int) -> list[Entry]:
        return self.logs[origin][first:last]


class Memory:
    """A cursor in memory."""

    def __init__(self) -> None:
        self.positions: dict[str, int] | None = None

    def load(self) -> dict[str, int] | None:
        return None if self.positions is None else dict(self.positions)

    def store(self, positions: Mapping[str, int]) -> None:
        self.positions = dict(positions)


class Sink:
    """Remembers what it was sent, and refuses when told so."""

    def __init__(self) -> None:
        self.got: list[tuple[str, int]] = []
        self.refuses = 0
        self.facts: list[Fact] = []

    def send(self, facts: Sequence[Fact]) -> None:
        if self.refuses:
            self.refuses -= 1
            self.got += [(f.log, f.index) for f in facts[:1]]
            raise ReceiverError("no")
        self.got += [(f.log, f.index) for f in facts]
        self.facts += facts


@pytest.fixture
def log() -> Log:
    made = Log()
    for _ in range(5):
        made.statement("a/1")
        made.statement("a/2")
    made.seal()
    return made


def test_outcomes_leave_in_order_once_they_are_under_a_checkpoint(log: Log) -> None:
    sink = Sink()
    follower = Follower(log, sink, Memory(), from_start=True)
    assert follower.lag == 20
    while follower.step():
        pass
    assert sink.got == [("a/1", i) for i in range(1, 10, 2)] + [("a/2", i) for i in range(1, 10, 2)]
    log.statement("a/1")
    assert follower.step() == 0
    log.seal()
    assert follower.step() == 2
    assert sink.got[-1] == ("a/1", 11)
    assert follower.lag == 0


def test_a_new_receiver_begins_now_unless_it_wants_everything(log: Log) -> None:
    sink, cursor = Sink(), Memory()
    follower = Follower(log, sink, cursor, from_start=False)
    assert follower.step() == 0
    log.statement("a/2")
    log.seal()
    again = Follower(log, sink, cursor, from_start=False)
    assert again.step() == 2
    assert sink.got == [("a/2", 11)]


def test_what_a_receiver_refused_is_sent_again_and_nothing_is_left_out(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "BATCH", 3)
    monkeypatch.setattr(follow, "INTENTS_MAX", 1)
    sink, cursor = Sink(), Memory()
    for turn in range(40):
        sink.refuses = turn % 2
        follower = Follower(log, sink, cursor, from_start=True)  # every turn a new process
        try:
            follower.step()
        except ReceiverError:
            continue
    wanted = {("a/1", i) for i in range(1, 10, 2)} | {("a/2", i) for i in range(1, 10, 2)}
    assert set(sink.got) == wanted
    assert len(sink.got) > len(wanted)
    assert {(f.event["query_info"]["query_string"]) for f in sink.facts} == {"SELECT ?"}


def test_only_the_kinds_asked_for_are_sent(log: Log) -> None:
    log.add(
        "a/1", kind="deny", principal="ann", statement="drop", shape="DROP", decision="deny", rule="r", sqlstate="42501"
    )
    log.seal()
    sink = Sink()
    follower = Follower(log, sink, Memory(), from_start=True, only=frozenset({"deny"}))
    while follower.step():
        pass
    assert sink.got == [("a/1", 10)]


def test_what_was_pruned_before_a_receiver_got_it_is_passed_over(log: Log) -> None:
    log.pruned = 5  # the outcome with index 5 is there, its intent with index 4 is not
    sink = Sink()
    follower = Follower(log, sink, Memory(), from_start=True)
    while follower.step():
        pass
    assert sink.got == [("a/1", 7), ("a/1", 9), ("a/2", 7), ("a/2", 9)]
