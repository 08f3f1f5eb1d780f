"""What a worker needs of the rest of its gate, and the answers of a gate that has one worker only.

For: limits that hold over all workers, cancel requests that arrived at the wrong one, and news for the others.
Not for: how workers are started and stopped (`app.supervisor`).
"""

from __future__ import annotations

from typing import Protocol

from lockgate.control.admission import Admission
from lockgate.wire.postgres.startup import CancelRequest


class Peers(Protocol):
    """The rest of the gate."""

    async def admit(self, session: str, principal: str) -> str:
        """Count one more session of this worker; empty, or why there may be none.

        Raises:
            LockgateError: nobody answers; then there may be none.
        """
        ...

    def left(self, session: str) -> None:
        """An admitted session is over."""
        ...

    async def cancel(self, worker: int, request: CancelRequest) -> bool:
        """Hand a cancel request to the worker whose key it may be; whether it was one of its sessions'."""
        ...

    def load(self, clients: int) -> None:
        """This worker has so many clients now."""
        ...

    def has_less_to_do(self, clients: int) -> bool:
        """Whether another worker has fewer clients than so many, and should have the next one."""
        ...

    def news(self) -> None:
        """A file that all workers read was changed by this one."""
        ...


class Alone:
    """The rest of a gate with one worker: nobody."""

    def __init__(self, worker: str, admission: Admission) -> None:
        self._worker = worker
        self._admission = admission

    async def admit(self, session: str, principal: str) -> str:
        """As the limits say."""
        return self._admission.admit(self._worker, session, principal)

    def left(self, session: str) -> None:
        """One less."""
        self._admission.left(self._worker, session)

    async def cancel(self, worker: int, request: CancelRequest) -> bool:
        """There is no other worker."""
        return False

    def load(self, clients: int) -> None:
        """Nobody wants to know."""

    def has_less_to_do(self, clients: int) -> bool:
        """There is no other worker."""
        return False

    def news(self) -> None:
        """Nobody wants to know."""
