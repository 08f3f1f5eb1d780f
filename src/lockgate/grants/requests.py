"""Requests for approval as a state machine.

For: open, approve, deny, expire, cancel, consume. An approval is good for exactly one execution of exactly one statement.
Not for: time, storage and messages; times are arguments, and every step answers with the request as it is now.
Invariants: nobody approves for their own chain; an agent approves nothing; a final state never changes.
Source: architecture section 3, step 7.

    pending -> approved -> consumed
       |          +------> expired | cancelled
       +-> denied | expired | cancelled
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from lockgate.errors import LockgateError
from lockgate.model.identity import Identity, Principal, PrincipalKind

FINISHED_MAX = 1000


class RequestState(str, Enum):
    """Where a request is; the last four are final."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    CONSUMED = "consumed"


class RequestRefusedError(LockgateError):
    """A step that is not allowed; `reason` is a stable word, the text a sentence for the person who tried."""

    sqlstate = "42501"

    def __init__(self, reason: str, sentence: str) -> None:
        self.reason = reason
        super().__init__(sentence)


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """One held statement.

    Args:
        id: what people say to name it.
        requester: names of the requester's chain, the actor first.
        binding: digest of everything the approval is bound to (`binding`).
        database: configured name.
        hold_groups: groups one of which the approver must be in, empty = whoever policy lets approve.
        rows_max: most rows the statement may touch, None when it writes none.
        created_at: when it was held.
        expires_at: pending and approved requests end then.
        state: where it is.
        decided_by: who approved or denied.
        decided_at: when.
    """

    id: str
    requester: tuple[str, ...]
    binding: bytes
    database: str
    hold_groups: tuple[str, ...]
    rows_max: int | None
    created_at: datetime
    expires_at: datetime
    state: RequestState = RequestState.PENDING
    decided_by: str | None = None
    decided_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """True when nothing can change it."""
        return self.state not in {RequestState.PENDING, RequestState.APPROVED}


def binding(
    identity: Identity,
    *,
    text: bytes,
    parameters: Sequence[bytes | None] = (),
    database: str,
    generation: int,
) -> bytes:
    """Digest of what an approval is bound to; every part is length-prefixed, so that no two statements share one.

    Args:
        identity: its chain, purpose and run are bound.
        text: the exact statement as sent.
        parameters: values of the bound parameters, None for NULL, including their formats and types where those can differ.
        database: configured name.
        generation: the catalog's generation.

    Shape: 32 bytes.
    """
    digest = hashlib.sha256(b"lockgate held statement 1\n")
    chain = [part for member in identity.chain for part in (member.kind.value.encode(), member.name.encode())]
    scope = [(identity.purpose or "").encode(), (identity.run or "").encode(), database.encode()]
    groups: tuple[Sequence[bytes | None], ...] = (chain, scope, [text, str(generation).encode()], parameters)
    for group in groups:
        digest.update(len(group).to_bytes(8, "big"))
        for part in group:
            digest.update(b"\x00" if part is None else b"\x01" + len(part).to_bytes(8, "big") + part)
    return digest.digest()


class Requests:
    """Every open request of one gate, and the most recent finished ones."""

    def __init__(self, *, pending_max: int) -> None:
        self._pending_max = pending_max
        self._open: dict[str, HeldRequest] = {}
        self._finished: OrderedDict[str, HeldRequest] = OrderedDict()

    def open(
        self,
        request_id: str,
        *,
        requester: Sequence[str],
        binding: bytes,
        database: str,
        hold_groups: Sequence[str],
        rows_max: int | None,
        created_at: datetime,
        expires_at: datetime,
    ) -> HeldRequest:
        """Hold a statement.

        Raises:
            RequestRefusedError: the id is taken, or too many requests are open.
        """
        if request_id in self._open or request_id in self._finished:
            raise RequestRefusedError("duplicate-request", "a request with this number exists")
        if len(self._open) >= self._pending_max:
            raise RequestRefusedError("too-many-requests", "too many statements wait for approval; try again later")
        if not requester or len(binding) != hashlib.sha256().digest_size or expires_at <= created_at:
            raise RequestRefusedError("bad-request", "a request needs a requester, a digest and a time to wait")
        request = HeldRequest(
            id=request_id,
            requester=tuple(requester),
            binding=binding,
            database=database,
            hold_groups=tuple(hold_groups),
            rows_max=rows_max,
            created_at=created_at,
            expires_at=expires_at,
        )
        self._open[request_id] = request
        return request

    def get(self, request_id: str) -> HeldRequest | None:
        """A request by id, open or recently finished."""
        return self._open.get(request_id) or self._finished.get(request_id)

    def pending(self) -> tuple[HeldRequest, ...]:
        """Requests that wait for an approver, oldest first."""
        waiting = (r for r in self._open.values() if r.state is RequestState.PENDING)
        return tuple(sorted(waiting, key=lambda r: (r.created_at, r.id)))

    def approve(self, request_id: str, approver: Principal, *, now: datetime) -> HeldRequest:
        """Approve; the statement may then run once.

        Raises:
            RequestRefusedError: not pending, expired, or this approver may not decide it.
        """
        return self._decide(request_id, approver, RequestState.APPROVED, now=now)

    def deny(self, request_id: str, approver: Principal, *, now: datetime) -> HeldRequest:
        """Deny, under the same rules as `approve`.

        Raises:
            RequestRefusedError: not pending, expired, or this approver may not decide it.
        """
        return self._decide(request_id, approver, RequestState.DENIED, now=now)

    def cancel(self, request_id: str) -> HeldRequest:
        """End an open request for its requester.

        Raises:
            RequestRefusedError: it is not open.
        """
        return self._finish(self._require_open(request_id), RequestState.CANCELLED)

    def consume(self, request_id: str, binding: bytes, *, now: datetime) -> HeldRequest:
        """Use an approval: once, in time, and only for the statement it was given for.

        Raises:
            RequestRefusedError: not approved, expired, or another statement.
        """
        request = self._live(request_id, now)
        if request.state is not RequestState.APPROVED:
            raise RequestRefusedError("not-approved", f"request {request_id} is not approved")
        if request.binding != binding:
            raise RequestRefusedError("other-statement", f"request {request_id} was approved for another statement")
        return self._finish(request, RequestState.CONSUMED)

    def take(self, binding: bytes, *, now: datetime) -> HeldRequest | None:
        """Consume the oldest live approval for this statement, for a client that left and came back; None without one."""
        waiting = [r for r in self._open.values() if r.state is RequestState.APPROVED and r.binding == binding]
        live = [r for r in waiting if now < r.expires_at]
        if not live:
            return None
        return self._finish(min(live, key=lambda r: (r.created_at, r.id)), RequestState.CONSUMED)

    def expire(self, now: datetime) -> tuple[HeldRequest, ...]:
        """End every open request whose time is over, and say which."""
        over = [r for r in self._open.values() if now >= r.expires_at]
        return tuple(self._finish(request, RequestState.EXPIRED) for request in over)

    def _decide(self, request_id: str, approver: Principal, state: RequestState, *, now: datetime) -> HeldRequest:
        request = self._live(request_id, now)
        if request.state is not RequestState.PENDING:
            raise RequestRefusedError("not-pending", f"request {request_id} has been decided")
        if approver.kind is PrincipalKind.AGENT:
            raise RequestRefusedError("agents-never-approve", "an agent never decides a request")
        if approver.disabled:
            raise RequestRefusedError("disabled-principal", f"principal `{approver.name}` is disabled")
        if approver.name in request.requester:
            raise RequestRefusedError("requester-never-approves", "nobody decides a request of their own chain")
        if request.hold_groups and not set(request.hold_groups) & set(approver.groups):
            groups = ", ".join(request.hold_groups)
            raise RequestRefusedError("not-in-hold-group", f"request {request_id} needs a member of {groups}")
        decided = replace(request, decided_by=approver.name, decided_at=now)
        if state is RequestState.DENIED:
            return self._finish(decided, state)
        self._open[request_id] = replace(decided, state=state)
        return self._open[request_id]

    def _live(self, request_id: str, now: datetime) -> HeldRequest:
        request = self._require_open(request_id)
        if now >= request.expires_at:
            self._finish(request, RequestState.EXPIRED)
            raise RequestRefusedError("expired", f"request {request_id} has expired")
        return request

    def _require_open(self, request_id: str) -> HeldRequest:
        request = self._open.get(request_id)
        if request is not None:
            return request
        finished = self._finished.get(request_id)
        if finished is None:
            raise RequestRefusedError("unknown-request", "there is no request with this number")
        raise RequestRefusedError(finished.state.value, f"request {request_id} is {finished.state.value}")

    def _finish(self, request: HeldRequest, state: RequestState) -> HeldRequest:
        done = replace(request, state=state)
        self._open.pop(request.id, None)
        self._finished[request.id] = done
        if len(self._finished) > FINISHED_MAX:
            self._finished.popitem(last=False)
        return done
