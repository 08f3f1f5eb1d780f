"""Many answers to one decision: deny beats hold, hold beats permit; obligations are joined.

For: the arithmetic of obligations. Not for: asking Cedar.
Source: architecture section 5 (obligations are annotations on policies).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lockgate.model.decision import Decision, Effect, Reason
from lockgate.policy.policies import Policy


@dataclass(frozen=True, slots=True)
class Answer:
    """What Cedar said of one (principal, action, resource), with the policies that determined it.

    `failed` means that the question could not be judged; then `permitted` is false.
    """

    subject: str
    action: str
    resource: str
    permitted: bool
    failed: bool
    policies: tuple[Policy, ...]

    @property
    def holds(self) -> bool:
        """True when every permit that allows this asks for a person's approval."""
        return self.permitted and all(policy.holds for policy in self.policies)

    @property
    def hold_groups(self) -> frozenset[str]:
        """Groups any of whose members may approve, empty for whoever may approve."""
        groups = [set(policy.hold_groups) for policy in self.policies if policy.holds]
        return frozenset().union(*groups) if groups and all(groups) else frozenset()

    @property
    def row_limit(self) -> int | None:
        """The most generous limit among the permits; None when one of them sets none."""
        limits = [policy.row_limit for policy in self.policies if not policy.holds or self.holds]
        known = [limit for limit in limits if limit is not None]
        return max(known) if known and len(known) == len(limits) else None

    @property
    def by_pseudonym(self) -> bool:
        """Whether a permit that counts lets a write choose rows by what masked columns show."""
        return any(
            policy.by_pseudonym for policy in self.policies if policy.permits and (not policy.holds or self.holds)
        )

    def without_obligations(self) -> Answer:
        """The same answer with only the permits that ask for nothing; a denial when none is left."""
        if not self.permitted:
            return self
        plain = tuple(policy for policy in self.policies if policy.unconditional)
        return replace(self, permitted=bool(plain), policies=plain)


def combine(answers: Sequence[Answer], *, revision: str) -> Decision:
    """One decision out of the answers for every access and every member of the chain."""
    denials = [reason for answer in answers if not answer.permitted for reason in _denials(answer)]
    if denials or not answers:
        nothing = Reason("no-permit", "nothing was asked, so nothing permits it")
        return Decision(effect=Effect.DENY, reasons=_unique(denials or [nothing]), revision=revision)
    holding = [answer for answer in answers if answer.holds]
    groups = _joint_groups(holding)
    if groups is None:
        sentence = "the statement needs approvals from groups that have no member list in common"
        return Decision(effect=Effect.DENY, reasons=(Reason("hold-conflict", sentence),), revision=revision)
    limits = [answer.row_limit for answer in answers if answer.row_limit is not None]
    deciding = holding or answers
    return Decision(
        effect=Effect.HOLD if holding else Effect.PERMIT,
        reasons=_unique([reason for answer in deciding for reason in _permits(answer)]),
        revision=revision,
        hold_groups=groups,
        row_limit=min(limits) if limits else None,
        by_pseudonym={answer.by_pseudonym for answer in answers if answer.action == "write"} == {True},
    )


def _joint_groups(holding: Sequence[Answer]) -> tuple[str, ...] | None:
    """Groups that satisfy every hold at once; None when there is none."""
    joint: frozenset[str] | None = None
    for answer in holding:
        if answer.hold_groups:
            joint = answer.hold_groups if joint is None else joint & answer.hold_groups
    if joint is None:
        return ()
    return tuple(sorted(joint)) or None


def _denials(answer: Answer) -> list[Reason]:
    asked = f"`{answer.action}` on {answer.resource} for {answer.subject}"
    if answer.failed:
        return [Reason("policy-error", f"policy could not be evaluated for {asked}")]
    forbids = [policy for policy in answer.policies if not policy.permits]
    if not forbids:
        return [Reason("no-permit", f"no policy permits {asked}")]
    return [Reason(policy.id, policy.reason or f"policy `{policy.id}` forbids {asked}") for policy in forbids]


def _permits(answer: Answer) -> list[Reason]:
    verb = "holds" if answer.holds else "permits"
    asked = f"`{answer.action}` on {answer.resource}"
    return [Reason(policy.id, policy.reason or f"policy `{policy.id}` {verb} {asked}") for policy in answer.policies]


def _unique(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    """First reason of each rule, in order: a statement over many tables names each rule once."""
    found: dict[tuple[str, str], Reason] = {}
    for reason in reasons:
        key = (reason.rule, reason.sentence if reason.rule == "no-permit" else "")
        found.setdefault(key, reason)
    return tuple(found.values())
