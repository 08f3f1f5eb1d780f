"""What policy answers: a decision with reasons and obligations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from lockgate.model.catalog import ColumnRef
from lockgate.model.identity import Identity
from lockgate.model.statement import Access


class Effect(str, Enum):
    """Permit, deny, or hold for a person's approval."""

    PERMIT = "permit"
    DENY = "deny"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Reason:
    """The rule that decided, by its `@id`, and a sentence for people."""

    rule: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is put to policy for one statement.

    Args:
        identity: who, with the chain.
        database: configured name of the database.
        accesses: every (action, resource) the statement needs; all must be permitted for every member of the chain.
        context: statement facts, by the keys listed in docs/reference/policy.md; JSON-able values only.
    """

    identity: Identity
    database: str
    accesses: tuple[Access, ...]
    context: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """Permit, deny or hold, why, and until when the answer may be reused.

    Args:
        effect: the answer.
        reasons: deciding rules.
        revision: hash of the policy set.
        hold_groups: groups whose members may approve (from `@hold`), empty = anyone policy lets approve.
        row_limit: most rows the result may have, from `@row_limit`.
        by_pseudonym: what is written may be chosen by equality with pseudonyms, from `@choose_by_pseudonym`.
        expires_at: do not reuse after this, None when no time entered the answer.
    """

    effect: Effect
    reasons: tuple[Reason, ...]
    revision: str
    hold_groups: tuple[str, ...] = ()
    row_limit: int | None = None
    by_pseudonym: bool = False
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Clearance:
    """Which labelled columns a chain may not see, and of which tables only some rows, over one catalog snapshot.

    `masked` holds every labelled column without `unmask` for some member of the chain; `complete` is true when it is empty.

    Args:
        filters: table -> condition that its rows must meet, from `@row_filter`; partitions and children have their parents'.
        unreadable: tables with a filter that cannot be written for this principal: nothing of them may be read.
    """

    masked: frozenset[ColumnRef]
    revision: str
    generation: int
    filters: Mapping[int, str] = field(default_factory=dict)
    unreadable: frozenset[int] = frozenset()

    @property
    def complete(self) -> bool:
        """True when the chain may see everything in clear."""
        return not self.masked
