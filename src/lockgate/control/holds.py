"""Held statements: who waits for whom, and what an approver sees.

For: opening a request when policy holds a statement, deciding it by a person whose credential was verified, waking the session.
Not for: the states (`grants.requests`) and the decision who may approve (`policy.engine`).
Source: architecture section 3, step 7; threats J-01 to J-14.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lockgate.errors import CredentialRejectedError
from lockgate.grants.requests import HeldRequest, RequestRefusedError, Requests, RequestState
from lockgate.model.catalog import Catalog
from lockgate.model.decision import Decision, Effect, Request
from lockgate.model.identity import Identity, Principal
from lockgate.model.statement import Access, Action
from lockgate.session.wishes import HoldEnded

STATEMENT_SHOWN_CHARS = 2000


@dataclass
class Waiting:
    """A held statement with what its approver must see: facts and the exact text, control characters made visible."""

    request: HeldRequest
    identity: Identity
    environment: str
    statement: str
    facts: Mapping[str, object]
    accesses: tuple[Access, ...]
    context: Mapping[str, object]
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Holds:
    """Every held statement of one gate (implements `session.ports.Holds`)."""

    def __init__(
        self, *, hold_seconds: float, now: Callable[[], datetime], record: Callable[[Mapping[str, object]], int],
        may_approve: Callable[[Principal, Request, tuple[str, ...]], Decision], pending_max: int = 1000, prefix: str = "",
    ) -> None:  # fmt: skip
        """Args:
        prefix: stands before the number of each request, and says to whom of several it belongs.
        """
        self._seconds = hold_seconds
        self._now = now
        self._record = record
        self._may_approve = may_approve
        self._prefix = prefix
        self._requests = Requests(pending_max=pending_max)
        self._waiting: dict[str, Waiting] = {}

    def open(self, *, identity: Identity, database: str, environment: str, statement: str, digest: str, groups: tuple[str, ...],
             facts: Mapping[str, object], accesses: tuple[Access, ...], context: Mapping[str, object]) -> tuple[str, datetime]:  # fmt: skip
        """Open a request; returns its number and when it expires."""
        now = self._now()
        # The number of a request is the index of its entry: it is never given twice, and the record of it is found by it.
        index = self._record({
            "kind": "admin", "event": "request-opened", "principal": identity.principal.name, "database": database, "digest": digest,
        })  # fmt: skip
        number = f"{self._prefix}{index}"
        request = self._requests.open(
            number, requester=[p.name for p in identity.chain], binding=bytes.fromhex(digest), database=database, hold_groups=groups,
            rows_max=None, created_at=now, expires_at=now + timedelta(seconds=self._seconds),
        )  # fmt: skip
        self._waiting[number] = Waiting(request, identity, environment, visible(statement), facts, accesses, context)
        return number, request.expires_at

    async def wait(self, number: str) -> HoldEnded:
        """Wait for the end of one request; the caller's cancellation ends the request too."""
        waiting = self._waiting[number]
        try:
            remaining = (waiting.request.expires_at - self._now()).total_seconds()
            async with asyncio.timeout(max(0.0, remaining)):
                await waiting.ended.wait()
        except TimeoutError:
            self._requests.expire(self._now())
            self._ended(number, "expired")
            return HoldEnded("expired")
        except asyncio.CancelledError:
            with contextlib.suppress(RequestRefusedError):  # decided in the same moment
                self._requests.cancel(number)
            self._ended(number, "cancelled")
            raise
        request = self._requests.get(number)
        if request is not None and request.state is RequestState.APPROVED:
            self._requests.consume(number, request.binding, now=self._now())
            self._waiting.pop(number, None)
            return HoldEnded("approved", request.decided_by or "")
        self._waiting.pop(number, None)
        return HoldEnded("denied")

    def _ended(self, number: str, how: str) -> None:
        self._waiting.pop(number, None)
        self._record({"kind": "admin", "event": f"request-{how}", "request": number})

    def decide(self, number: str, approver: Identity, *, approve: bool) -> dict[str, object]:
        """Approve or deny as a person; policy decides who may.

        Raises:
            RequestRefusedError: unknown, over, or not for this approver.
            CredentialRejectedError: the credential acts for somebody else.
        """
        waiting = self._waiting.get(number)
        if waiting is None:
            raise RequestRefusedError("unknown-request", "there is no request with this number waiting")
        if approver.on_behalf_of is not None:
            raise CredentialRejectedError("a delegated credential cannot decide requests")
        accesses = tuple(Access(Action.APPROVE, a.relation, a.name) for a in waiting.accesses)
        asked = Request(
            waiting.identity,
            waiting.request.database,
            tuple(dict.fromkeys(accesses)),
            {"statement": dict(waiting.context)},
        )
        decision = self._may_approve(approver.principal, asked, waiting.request.hold_groups)
        if decision.effect is not Effect.PERMIT:
            reason = decision.reasons[0]
            self._record({"kind": "admin", "event": "approval-refused", "request": number, "approver": approver.principal.name,
                          "rules": [r.rule for r in decision.reasons]})  # fmt: skip
            raise RequestRefusedError(reason.rule, reason.sentence)
        step = self._requests.approve if approve else self._requests.deny
        done = step(number, approver.principal, now=self._now())
        self._record({"kind": "admin", "event": f"request-{done.state.value}", "request": number, "approver": approver.principal.name,
                      "token": approver.token_id, "rules": [r.rule for r in decision.reasons], "digest": done.binding.hex()})  # fmt: skip
        waiting.ended.set()
        return self.describe(waiting, state=done.state.value)

    def listing(self) -> list[dict[str, object]]:
        """Every waiting request, oldest first."""
        return [self.describe(w, state=w.request.state.value) for w in self._waiting.values()]

    def show(self, number: str) -> dict[str, object]:
        """One waiting request.

        Raises:
            RequestRefusedError: it is not waiting.
        """
        waiting = self._waiting.get(number)
        if waiting is None:
            raise RequestRefusedError("unknown-request", "there is no request with this number waiting")
        return self.describe(waiting, state=waiting.request.state.value)

    def describe(self, waiting: Waiting, *, state: str) -> dict[str, object]:
        """What people and programs are shown."""
        return {
            "id": waiting.request.id, "state": state, "principal": waiting.identity.principal.name,
            "on_behalf_of": waiting.identity.on_behalf_of.name if waiting.identity.on_behalf_of else None,
            "run": waiting.identity.run, "purpose": waiting.identity.purpose, "database": waiting.request.database,
            "environment": waiting.environment, "statement": waiting.statement, "facts": dict(waiting.facts),
            "expires": waiting.request.expires_at.isoformat(), "digest": waiting.request.binding.hex(),
            "groups": list(waiting.request.hold_groups),
        }  # fmt: skip


def visible(text: str) -> str:
    """The exact statement with what a reader could not see spelled out: control, bidirectional and zero-width characters.

    A text that is too long says so at its beginning and its end, so that nothing hides behind blanks (threats J-08).
    """
    shown = "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)
    if len(shown) <= STATEMENT_SHOWN_CHARS:
        return shown
    half = STATEMENT_SHOWN_CHARS // 2
    return f"[{len(text)} characters, the middle is not shown]\n{shown[:half]}\n[...]\n{shown[-half:]}"


def empty_catalog(database: str, environment: str) -> Catalog:
    """A catalog that only names the database, for questions about nothing smaller."""
    return Catalog(database, environment, 0, 0, {}, {}, {})
