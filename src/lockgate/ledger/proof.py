"""A receipt: that one entry is in a log, with everything an offline check needs but the entry and the trust policy.

For: the `.tlog-proof` text, and checking it.
Not for: reading tiles; whoever makes a receipt brings the path.
Source: C2SP tlog-proof.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from lockgate.errors import LedgerError
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.note import NOTE_BYTES_MAX, split_note, strict_base64
from lockgate.ledger.tree import HASH_BYTES, leaf_hash, verify_inclusion
from lockgate.ledger.trust import TrustPolicy, Witnessed

HEADER = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class LogProof:
    """The proof that an entry stands at `index` under a checkpoint.

    Args:
        path: hashes from the leaf's sibling up to the root's child.
        note: the checkpoint with its signatures, as the log published it.
        extra: anything; not authenticated.
    """

    index: int
    path: tuple[bytes, ...]
    note: bytes
    extra: bytes = b""

    def encode(self) -> bytes:
        """The text of a `.tlog-proof` file."""
        lines = [
            HEADER,
            *([f"extra {base64.b64encode(self.extra).decode()}"] if self.extra else []),
            f"index {self.index}",
        ]
        lines += [base64.b64encode(step).decode() for step in self.path]
        return "\n".join(lines).encode() + b"\n\n" + self.note

    @classmethod
    def parse(cls, stored: bytes) -> LogProof:
        """The proof in a text.

        Raises:
            LedgerError: the text has not the form of one.
        """
        if len(stored) > NOTE_BYTES_MAX:
            raise LedgerError("a proof is too long")
        head, separator, note = stored.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise LedgerError("a proof is not ASCII above its checkpoint") from None
        if not separator or lines[0] != HEADER:
            raise LedgerError("a proof begins with its version and has an empty line before the checkpoint")
        extra = strict_base64(lines.pop(1)[6:]) if len(lines) > 1 and lines[1].startswith("extra ") else b""
        index = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
        if index is None:
            raise LedgerError("a proof states the entry's index")
        path = tuple(strict_base64(line) for line in lines[2:])
        if len(path) > 63 or any(len(step) != HASH_BYTES for step in path):
            raise LedgerError("a proof's path is malformed")
        return cls(int(index[1]), path, note, extra)

    @property
    def checkpoint(self) -> Checkpoint:
        """What the checkpoint states; nothing has been verified.

        Raises:
            LedgerError: it is no checkpoint.
        """
        return Checkpoint.parse(split_note(self.note)[0], extensions=True)


def verify_proof(proof: LogProof, entry: bytes, policy: TrustPolicy, *, origin: str | None = None) -> Witnessed:
    """Who vouches for the checkpoint under which `entry` stands at the proof's index.

    Args:
        origin: the log that it must be in; any that the policy lists by default.

    Raises:
        LedgerError: a signature, the quorum or the path is not as it must be.
    """
    witnessed = policy.check(proof.note)
    checkpoint = witnessed.checkpoint
    if origin is not None and checkpoint.origin != origin:
        raise LedgerError("the proof is of another log")
    if not verify_inclusion(
        leaf=leaf_hash(entry), index=proof.index, size=checkpoint.size, proof=proof.path, root=checkpoint.root
    ):
        raise LedgerError("the entry is not where the proof says")
    return witnessed
