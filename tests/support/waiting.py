"""Waiting for a fact that another process brings about.

Not for: a stay of some length: what happens after a time is said by what happened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg


def until(fact: Callable[[], bool], seconds: float = 120) -> None:
    """Ask again and again until it is true; an assertion fails when it has not become true in time."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def accepted(attempt: Callable[[], object], seconds: float = 120) -> None:
    """Try again and again until the database takes it: what was defined past a gate is noticed a little later."""

    def taken() -> bool:
        try:
            attempt()
        except psycopg.Error:
            return False
        return True

    until(taken, seconds)


@contextmanager
def cancelled_when_running(dsn: str, text: str, cancel: Callable[[], object]) -> Iterator[None]:
    """A statement is run inside; when the server runs it, and not before, a cancel request is sent: one that comes earlier would mean nothing.

    Args:
        dsn: of somebody who sees all sessions of the server.
        text: part of the statement.
        cancel: sends the request.
    """

    def running() -> bool:
        found = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND usename ~ '(masked|clear)$' AND strpos(query, %s) > 0"
        with psycopg.connect(dsn, autocommit=True) as owner:
            return owner.execute(found, [text]).fetchone() != (0,)

    def wait() -> None:
        until(running)
        cancel()

    sender = threading.Thread(target=wait)
    sender.start()
    try:
        yield
    finally:
        sender.join()
