"""Who acts: principals and the chain a session acts under."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class PrincipalKind(str, Enum):
    """The three kinds of principal; values are the Cedar entity types."""

    PERSON = "Person"
    SERVICE = "Service"
    AGENT = "Agent"


class Binding(str, Enum):
    """How well a run or purpose is bound to the session (evidence.md 4.1)."""

    CLAIMED = "claimed"
    ATTESTED = "attested"
    ISSUED = "issued"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated identity: person, service or agent; `certificates` are names in client certificates that are its own."""

    name: str
    kind: PrincipalKind
    groups: tuple[str, ...] = ()
    owner: str | None = None
    disabled: bool = False
    certificates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """What a verified credential says: principal, chain, run and purpose.

    `databases` empty means every database. `purpose` and `run` come only from the credential.
    """

    principal: Principal
    on_behalf_of: Principal | None
    token_id: str
    expires_at: datetime
    databases: tuple[str, ...] = ()
    purpose: str | None = None
    run: str | None = None
    binding: Binding = Binding.ISSUED

    @property
    def chain(self) -> tuple[Principal, ...]:
        """Every principal whose rights are needed: the actor, then the person it acts for."""
        return (self.principal,) if self.on_behalf_of is None else (self.principal, self.on_behalf_of)
