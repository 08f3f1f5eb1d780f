"""Which sessions there are, and whether there may be one more: limits that hold for a gate, however many workers it has.

For: the process that knows of every session: a gate's only worker, or the parent of several.
Not for: whether a principal may connect at all, which is policy's.
"""

from __future__ import annotations

from collections import Counter

FULL = "the gate has as many sessions as it may have"
PRINCIPAL_FULL = "this principal has as many sessions as it may have"


class Admission:
    """Every session of a gate by worker."""

    def __init__(self, *, links_max: int, principal_links_max: int) -> None:
        """Args:
        links_max: sessions at one time.
        principal_links_max: sessions of one principal at one time; 0 means no limit of its own.
        """
        self._links_max = links_max
        self._principal_links_max = principal_links_max
        self._sessions: dict[str, dict[str, str]] = {}
        self._by_principal: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How many sessions there are."""
        return self._by_principal.total()

    def admit(self, worker: str, session: str, principal: str) -> str:
        """Count one more session of a worker; empty, or why there may be none."""
        if self.total >= self._links_max:
            return FULL
        if self._principal_links_max and self._by_principal[principal] >= self._principal_links_max:
            return PRINCIPAL_FULL
        self._sessions.setdefault(worker, {})[session] = principal
        self._by_principal[principal] += 1
        return ""

    def left(self, worker: str, session: str) -> None:
        """A session is over; one that was never admitted is no error."""
        principal = self._sessions.get(worker, {}).pop(session, None)
        if principal is not None:
            self._forget(principal)

    def ended(self, worker: str) -> None:
        """A worker is gone, and its sessions with it."""
        for principal in self._sessions.pop(worker, {}).values():
            self._forget(principal)

    def _forget(self, principal: str) -> None:
        self._by_principal[principal] -= 1
        if not self._by_principal[principal]:
            del self._by_principal[principal]
