"""Waiting for a fact that another process brings about.

Not for: a stay of some length: what happens after a time is said by what happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def until(fact: Callable[[], bool], seconds: float = 120) -> None:
    """Ask again and again until it is true; an assertion fails when it has not become true in time."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
