"""What the processes of one gate tell each other: numbers that outlive a process, questions and answers over a pair of sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from lockgate.errors import LedgerError, UnknownWorkerError
from lockgate.transport.board import Board
from lockgate.transport.channel import Channel, ToldError
from lockgate.transport.logins import Counts, Logins
from lockgate.transport.told import KEPT_MAX, ToldHere

PLACES = [("db", 5432, "shop"), ("db", 5432, "other"), ("db", 5432, "shop")]


def board(workers: int = 2) -> tuple[int, Board]:
    handle = Board.made(workers=workers, places=PLACES)
    return handle, Board(handle, workers=workers, places=PLACES)


def test_what_a_process_counted_is_known_after_it_was_killed() -> None:
    handle, seen = board()
    child = os.fork()
    if not child:
        mine = Board(handle, workers=2, places=PLACES)
        logins = Logins()
        for place, numbers in mine.logins(2).items():
            logins.keep_in(place, numbers)
        mine.set_clients(2, 7)
        for step in (logins.complete, logins.complete, lambda place: logins.fail(place, authenticated=True)):
            logins.begin(PLACES[0])
            step(PLACES[0])
        logins.begin(PLACES[0])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert seen.all_logins(PLACES[0]) == Counts(completed=2, uncertain=1, pending=1)
    assert seen.fewest_clients() == 7
    seen.ended(2)
    assert seen.all_logins(PLACES[0]) == Counts(completed=2, uncertain=2, pending=0)
    assert seen.all_logins(PLACES[1]) == Counts(0, 0, 0)
    assert seen.fewest_clients() == 0
    os.close(handle)


def test_a_worker_that_does_not_run_has_no_clients_to_compare_with() -> None:
    handle, seen = board(3)
    seen.set_clients(1, 5)
    assert seen.fewest_clients() == 5
    seen.set_clients(3, 2)
    assert seen.fewest_clients() == 2
    os.close(handle)


def test_a_login_that_fails_before_authentication_is_no_login() -> None:
    logins = Logins()
    logins.begin(PLACES[0])
    assert logins.counts(PLACES[0]) == Counts(0, 0, 1)
    logins.fail(PLACES[0], authenticated=False)
    assert logins.counts(PLACES[0]) == Counts(0, 0, 0)


async def between(
    answering: Callable[[Mapping[str, Any]], Any], talk: Callable[[Channel, Channel], Awaitable[None]]
) -> None:
    one, other = socket.socketpair()
    asking, answerer = await Channel.over(one, lambda _: None), await Channel.over(other, answering)
    try:
        await talk(asking, answerer)
    finally:
        await asking.close()
        await answerer.close()


def test_answers_find_their_questions_in_any_order_and_however_long() -> None:
    async def answering(asked: Mapping[str, Any]) -> object:
        await asyncio.sleep((7 - asked["number"] % 7) / 1000)
        return [asked["number"], "x" * 1000 * asked["number"]]

    async def talk(asking: Channel, _: Channel) -> None:
        found = await asyncio.gather(*(asking.ask("any", number=n) for n in range(200)))
        assert found == [[n, "x" * 1000 * n] for n in range(200)]

    asyncio.run(between(answering, talk))


def test_errors_come_back_as_errors_and_an_unexpected_one_without_its_text() -> None:
    def answering(asked: Mapping[str, Any]) -> None:
        raise {"known": LedgerError("the disk is full"), "unknown": ValueError("a secret")}[asked["op"]]

    async def talk(asking: Channel, _: Channel) -> None:
        with pytest.raises(ToldError, match="the disk is full") as caught:
            await asking.ask("known")
        assert caught.value.reason == "58030"
        with pytest.raises(ToldError) as unexpected:
            await asking.ask("unknown")
        assert "secret" not in str(unexpected.value)

    asyncio.run(between(answering, talk))


def test_who_asks_somebody_that_is_gone_is_told_at_once() -> None:
    async def answering(_: Mapping[str, Any]) -> None:
        await asyncio.sleep(60)

    async def talk(asking: Channel, answerer: Channel) -> None:
        waiting = asyncio.ensure_future(asking.ask("any"))
        await asyncio.sleep(0.05)
        await answerer.close()
        with pytest.raises(UnknownWorkerError):
            await waiting
        await asking.ended.wait()
        with pytest.raises(UnknownWorkerError):
            await asking.ask("any")
        asking.tell("any")

    asyncio.run(between(answering, talk))


def test_who_gets_no_answer_in_time_is_told_so_and_a_late_answer_confuses_nobody() -> None:
    async def answering(asked: Mapping[str, Any]) -> object:
        await asyncio.sleep(asked["seconds_to_wait"])
        return asked["seconds_to_wait"]

    async def talk(asking: Channel, _: Channel) -> None:
        with pytest.raises(UnknownWorkerError):
            await asking.ask("any", seconds=0.02, seconds_to_wait=0.1)
        assert await asking.ask("any", seconds_to_wait=0.2) == 0.2

    asyncio.run(between(answering, talk))


def test_every_worker_knows_the_numbers_that_the_others_told_and_at_which_place() -> None:
    handle, first = board()
    second = Board(handle, workers=2, places=PLACES)
    here, there, elsewhere = first.told(1, PLACES[0]), second.told(2, PLACES[0]), second.told(2, PLACES[1])
    here.put(4711, (1 << 24) + 5)
    assert [one.get(4711) for one in (here, there, elsewhere)] == [(1 << 24) + 5, (1 << 24) + 5, None]
    there.put(4711, (2 << 24) + 6)  # the server gave the number out again, to a backend of the other worker
    assert [one.get(4711) for one in (here, there)] == [(2 << 24) + 6] * 2
    here.put(4711 + KEPT_MAX, (1 << 24) + 7)  # the same slot
    assert [one.get(4711 + KEPT_MAX) for one in (here, there)] == [(1 << 24) + 7] * 2
    assert there.get(4711) == (2 << 24) + 6
    there.put(4711 + 2 * KEPT_MAX, (2 << 24) + 8)
    assert here.get(4711) is None
    for process, told in ((1 << 22, 5), (5, 1 << 31), (5, 0), (0, 0)):
        here.put(process, told)
        assert there.get(process) is None
    here.put(0, 9)
    assert (there.get(0), elsewhere.get(0)) == (9, None)
    assert first.fewest_clients() == 0
    assert first.all_logins(PLACES[1]) == Counts(0, 0, 0)
    os.close(handle)


def test_numbers_of_one_process_are_bounded() -> None:
    told = ToldHere()
    for process in range(KEPT_MAX + 10):
        told.put(process, process + 1)
    assert (told.get(9), told.get(10), told.get(KEPT_MAX)) == (None, 11, KEPT_MAX + 1)
