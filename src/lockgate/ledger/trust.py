"""A trust policy: which logs count, which witnesses there are, and how many of them must have cosigned a checkpoint.

For: reading the policy file and judging a checkpoint by it, offline.
Not for: reaching witnesses; their URLs are handed out as text.
Source: C2SP tlog-policy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from lockgate.errors import LedgerError
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.cosignature import CosignerKey
from lockgate.ledger.note import VerificationKey, note_of, open_note, split_note
from lockgate.ledger.witness import keys_for

POLICY_BYTES_MAX = 1_000_000
NONE = "none"
SMALL_BYTES_MAX = 128
"""An Ed25519 cosignature has 72 bytes, one with ML-DSA-44 has 2,428."""


@dataclass(frozen=True, slots=True)
class KnownLog:
    """A log that the policy accepts."""

    key: VerificationKey
    url: str


@dataclass(frozen=True, slots=True)
class KnownWitness:
    """A witness that the policy knows."""

    name: str
    key: CosignerKey
    url: str


@dataclass(frozen=True, slots=True)
class Group:
    """Witnessed when at least `threshold` of its members are."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint that a policy accepts, and when each witness cosigned it, in seconds since the epoch."""

    checkpoint: Checkpoint
    moments: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Logs, witnesses, groups, and the name of the witness or group that is the quorum."""

    logs: tuple[KnownLog, ...]
    witnesses: Mapping[str, KnownWitness]
    groups: Mapping[str, Group]
    quorum: str

    @classmethod
    def parse(cls, stored: bytes) -> TrustPolicy:
        """The policy in a file.

        Raises:
            LedgerError: with the number of the first line that is wrong.
        """
        return _Reader().read(stored)

    def log_keys(self) -> dict[str, list[VerificationKey]]:
        """The logs' keys by origin."""
        keys: dict[str, list[VerificationKey]] = {}
        for log in self.logs:
            keys.setdefault(log.key.name, []).append(log.key)
        return keys

    def moments(self, note: bytes) -> dict[str, int]:
        """When each known witness cosigned the note; cosignatures that do not verify do not count."""
        text, lines = split_note(note)
        found: dict[str, int] = {}
        for witness in self.witnesses.values():
            times = [moment for line in lines if (moment := witness.key.moment(text, line)) is not None]
            if times:
                found[witness.name] = max(times)
        return found

    def satisfied(self, cosigned: Collection[str]) -> bool:
        """True when these witnesses are enough."""
        return self.quorum == NONE or self._witnessed(self.quorum, cosigned)

    def _witnessed(self, name: str, cosigned: Collection[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self._witnessed(member, cosigned) for member in group.members) >= group.threshold

    def quorum_moment(self, moments: Mapping[str, int]) -> int | None:
        """The latest time from which on the quorum had been reached at that moment; None when it is not reached."""
        for moment in sorted(set(moments.values()), reverse=True):
            if self.satisfied([name for name, at in moments.items() if at >= moment]):
                return moment
        return None

    def slim(self, note: bytes) -> bytes:
        """The note without post-quantum cosignatures that the policy does not need: each is more than a whole receipt may be."""
        text, lines = split_note(note)
        large = [line for line in lines if len(line.signature) > SMALL_BYTES_MAX]
        kept = [line for line in lines if line not in large]
        while large and not self.satisfied(self.moments(note_of(text, kept))):
            kept.append(large.pop(0))
        return note_of(text, kept)

    def check(self, note: bytes) -> Witnessed:
        """Who vouches for a checkpoint.

        Raises:
            LedgerError: no accepted log signed it, or the quorum is not reached.
        """
        origin = Checkpoint.parse(split_note(note)[0], extensions=True).origin
        text = open_note(note, keys_for(origin, self.log_keys()))
        moments = self.moments(note)
        if not self.satisfied(moments):
            raise LedgerError("too few witnesses cosigned the checkpoint")
        return Witnessed(Checkpoint.parse(text, extensions=True), moments)


class _Reader:
    """Reads a policy line by line; a line may only refer to names of lines above it."""

    def __init__(self) -> None:
        self._logs: list[KnownLog] = []
        self._witnesses: dict[str, KnownWitness] = {}
        self._groups: dict[str, Group] = {}
        self._members: set[str] = set()
        self._quorum: str | None = None

    def read(self, stored: bytes) -> TrustPolicy:
        if len(stored) > POLICY_BYTES_MAX or any(
            (byte < 0x20 and byte not in b"\t\n") or byte == 0x7F for byte in stored
        ):
            raise LedgerError("a policy file is too long, or has control characters")
        # Names are octets; surrogates carry those that are not UTF-8 through unchanged.
        for number, line in enumerate(stored.decode("utf-8", "surrogateescape").split("\n"), 1):
            words = [word for word in line.replace("\t", " ").split(" ") if word]
            if not words or words[0].startswith("#"):
                continue
            try:
                self._line(words)
            except LedgerError as error:
                raise LedgerError(f"line {number} of the policy: {error}") from None
        if self._quorum is None:
            raise LedgerError("the policy has no `quorum` line")
        return TrustPolicy(tuple(self._logs), self._witnesses, self._groups, self._quorum)

    def _line(self, words: list[str]) -> None:
        match words:
            case ["log", vkey, *rest] if len(rest) <= 1:
                self._log(vkey, "".join(rest))
            case ["witness", name, vkey, *rest] if len(rest) <= 1:
                self._witness(name, vkey, "".join(rest))
            case ["group", name, threshold, *members] if members:
                self._group(name, threshold, members)
            case ["quorum", name]:
                if self._quorum is not None:
                    raise LedgerError("there is a second `quorum`")
                if name != NONE:
                    self._must_be_known(name)
                self._quorum = name
            case _:
                raise LedgerError(
                    "the line is none of `log`, `witness`, `group`, `quorum`, or has the wrong number of words"
                )

    def _log(self, vkey: str, url: str) -> None:
        key = VerificationKey.from_text(vkey)
        if any(log.key.public_key == key.public_key for log in self._logs):
            raise LedgerError("two logs have one key")
        self._logs.append(KnownLog(key, url))

    def _witness(self, name: str, vkey: str, url: str) -> None:
        self._must_be_new(name)
        key = CosignerKey.from_text(vkey)
        if any(known.key.public_key == key.public_key for known in self._witnesses.values()):
            raise LedgerError("two witnesses have one key")
        self._witnesses[name] = KnownWitness(name, key, url)

    def _group(self, name: str, threshold: str, members: list[str]) -> None:
        self._must_be_new(name)
        for member in members:
            self._must_be_known(member)
            if member in self._members:
                raise LedgerError(f"`{member}` is a member twice")
            self._members.add(member)
        words = {"any": 1, "all": len(members)}
        if threshold not in words and not (threshold.isascii() and threshold.isdecimal() and len(threshold) < 5):
            raise LedgerError("a group's threshold is `any`, `all` or a number")
        count = words.get(threshold, 0) or int(threshold)
        if not 1 <= count <= len(members):
            raise LedgerError("a group's threshold is at least 1 and at most the number of its members")
        self._groups[name] = Group(name, count, tuple(members))

    def _must_be_new(self, name: str) -> None:
        if name == NONE or name in self._witnesses or name in self._groups:
            raise LedgerError(f"the name `{name}` is taken")

    def _must_be_known(self, name: str) -> None:
        if name not in self._witnesses and name not in self._groups:
            raise LedgerError(f"the name `{name}` is not defined above")
