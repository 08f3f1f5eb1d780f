"""How often this process logged in to which database, counted where every login passes.

For: comparing with what the database itself counted (`lockgate.control.completeness`).
Not for: limits; nothing asks this before a login.
"""

from __future__ import annotations

from collections import Counter

Place = tuple[str, int, str]
"""Host, port and database of a server."""


class Logins:
    """Logins by place: those that were completed, and those of which only the database knows how they ended."""

    def __init__(self) -> None:
        self.completed: Counter[Place] = Counter()
        self.uncertain: Counter[Place] = Counter()


OWN_LOGINS = Logins()
"""This process's own."""
