"""The wall clock and the monotonic clock.

For: the one place of the data plane that asks what time it is; everything else is told.
Not for: waiting, which is the event loop's.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Aware UTC time."""
    return datetime.now(UTC)  # noqa: TID251  the clock itself


class RealClock:
    """Real time (implements `session.ports.Clock`)."""

    def now(self) -> datetime:
        """Aware UTC time."""
        return utc_now()

    def ticks_us(self) -> int:
        """Monotonic microseconds."""
        return time.monotonic_ns() // 1000
