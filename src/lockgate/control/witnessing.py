"""Asking witnesses: one checkpoint goes to every witness of a policy, and their cosignatures come back.

For: the use case, with the wire and the tree as ports; what each witness said, by name.
Not for: HTTP (`transport`), and not for what follows from a missing quorum (`WitnessWatch` says, `app` acts).
Source: C2SP tlog-witness; evidence.md 1.4, witness and anchor ladder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lockgate.errors import LedgerError
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.note import SignatureLine, split_note
from lockgate.ledger.trust import TrustPolicy
from lockgate.ledger.witness import SIZE_TYPE, Submission, cosignatures, size_at_witness, with_cosignatures


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness answered; status 0 when it could not be reached."""

    status: int
    content_type: str = ""
    body: bytes = b""


Ask = Callable[[str, bytes], Answer]
"""Submit a body to the witness with that submission prefix; never raises."""


@dataclass(slots=True)
class Round:
    """What one round brought.

    Args:
        note: the checkpoint with every cosignature.
        satisfied: the quorum has cosigned it.
        problems: what went wrong, by URL: `unreachable`, `ahead`, `fork`, `inconsistent`, `refused-<status>`, `no-cosignature`.
        known: how many entries a witness remembers of a history that this log does not extend; 0 when each one's is extended.
    """

    note: bytes
    satisfied: bool = False
    problems: dict[str, str] = field(default_factory=dict)
    known: int = 0


class Witnessing:
    """The witnesses of one log, and how far each has followed it."""

    def __init__(self, policy: TrustPolicy, ask: Ask, consistency: Callable[[int, int], Sequence[bytes]]) -> None:
        self._policy = policy
        self._ask = ask
        self._consistency = consistency
        self._sizes: dict[str, int] = {}

    @property
    def urls(self) -> list[str]:
        """Where the witnesses are; each once."""
        return list(dict.fromkeys(w.url for w in self._policy.witnesses.values() if w.url))

    def round(self, note: bytes) -> Round:
        """Ask every witness to cosign a checkpoint that the log signed."""
        text = split_note(note)[0]
        checkpoint = Checkpoint.parse(text)
        result = Round(note)
        lines: list[SignatureLine] = []
        for url in self.urls:
            lines += self._one(url, note, checkpoint, result)
        result.note = with_cosignatures(note, lines)
        result.satisfied = self._policy.satisfied(self._policy.moments(result.note))
        return result

    def _one(self, url: str, note: bytes, checkpoint: Checkpoint, result: Round) -> list[SignatureLine]:
        answer = Answer(0)
        for _ in range(2):  # the second time with the size that the witness said
            old = self._sizes.get(url, 0)
            if old > checkpoint.size:
                result.known = max(result.known, old)
                result.problems[url] = "ahead"
                self._sizes.pop(url)  # ask anew next time
                return []
            try:
                proof = tuple(self._consistency(old, checkpoint.size))
            except LedgerError:
                result.problems[url] = "no-proof"
                return []
            answer = self._ask(url, Submission(old, proof, note).encode())
            size = size_at_witness(answer.body)
            if answer.status != 409 or answer.content_type.split(";")[0] != SIZE_TYPE or size is None or size == old:
                break
            self._sizes[url] = size
        if answer.status != 200:
            words = {0: "unreachable", 409: "fork", 422: "inconsistent"}
            result.problems[url] = words.get(answer.status, f"refused-{answer.status}")
            if answer.status in {409, 422}:
                result.known = max(result.known, self._sizes.pop(url, 0))
            return []
        keys = [witness.key for witness in self._policy.witnesses.values() if witness.url == url]
        found = cosignatures(answer.body, checkpoint.text, keys)
        if not found:
            result.problems[url] = "no-cosignature"
            return []
        self._sizes[url] = checkpoint.size
        return found


@dataclass(slots=True)
class WitnessWatch:
    """How old the last witnessed checkpoint is, and what that means for the data path.

    Args:
        alarm_seconds: from this age on, alarm.
        refuse_seconds: from this age on, refuse statements; 0 = never.
    """

    policy: TrustPolicy
    alarm_seconds: float
    refuse_seconds: float
    since: float
    _moment: int | None = None

    def see(self, note: bytes) -> None:
        """Take a new witnessed checkpoint into account; one that does not verify changes nothing."""
        try:
            moment = self.policy.quorum_moment(self.policy.check(note).moments)
        except LedgerError:
            return
        if moment is not None:
            self._moment = max(moment, self._moment or 0)

    def age(self, now: float) -> float:
        """Seconds since the quorum last cosigned, or since the gate started when it never has."""
        return max(0.0, now - (self.since if self._moment is None else self._moment))

    def alarms(self, now: float) -> bool:
        """True when somebody should look."""
        return self.age(now) > self.alarm_seconds

    def refuses(self, now: float) -> bool:
        """True when statements must be refused."""
        return 0 < self.refuse_seconds < self.age(now)
