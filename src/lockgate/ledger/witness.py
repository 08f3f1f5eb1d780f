"""The witness protocol: what a log submits, and what a witness must find before it cosigns.

For: both ends of `add-checkpoint`, as bytes and decisions.
Not for: HTTP (`transport`) and what a witness remembers (`storage`); the caller stores the new head before it cosigns.
Source: C2SP tlog-witness; RFC 6962 section 2.1.2 for the proof.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lockgate.errors import LedgerError
from lockgate.ledger.checkpoint import Checkpoint, first_origin
from lockgate.ledger.cosignature import CosignerKey
from lockgate.ledger.note import (
    NOTE_BYTES_MAX,
    SignatureLine,
    VerificationKey,
    note_of,
    open_note,
    split_note,
    strict_base64,
)
from lockgate.ledger.tree import EMPTY_ROOT, HASH_BYTES, verify_consistency

PROOF_LINES_MAX = 63
SIZE_TYPE = "text/x.tlog.size"
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint, and the proof that it extends the one of `old_size`."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes

    def encode(self) -> bytes:
        """The body of the request."""
        lines = [f"old {self.old_size}", *(base64.b64encode(step).decode() for step in self.proof), ""]
        return "\n".join(lines).encode() + b"\n" + self.note

    @classmethod
    def parse(cls, body: bytes) -> Submission:
        """The submission in a request's body.

        Raises:
            LedgerError: the body has not the form of one.
        """
        head, separator, note = body.partition(b"\n\n")
        if not separator or len(body) > NOTE_BYTES_MAX:
            raise LedgerError("a submission has an empty line after its proof")
        try:
            first, *steps = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise LedgerError("a submission's proof is not ASCII") from None
        old = _OLD.fullmatch(first)
        if old is None or len(steps) > PROOF_LINES_MAX:
            raise LedgerError("a submission begins with the old size and at most 63 hashes")
        proof = tuple(strict_base64(step) for step in steps)
        if any(len(step) != HASH_BYTES for step in proof):
            raise LedgerError("a hash of the proof has the wrong length")
        return cls(int(old[1]), proof, note)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a witness does not cosign: the HTTP status, and the body that the protocol gives it.

    Args:
        reason: a stable word for logs: `malformed`, `unknown-log`, `bad-signature`, `shrunk`, `other-size`, `fork`, `inconsistent`.
    """

    status: int
    reason: str
    body: str = ""

    @property
    def content_type(self) -> str:
        """The type of the body."""
        return SIZE_TYPE if self.reason == "other-size" else "text/plain; charset=utf-8"


def keys_for(origin: str, known: Mapping[str, Sequence[VerificationKey]]) -> list[VerificationKey]:
    """The keys that may sign for `origin`: its own, else those of the log that it succeeds, under its name."""
    own = known.get(origin)
    if own is None:
        own = [key.renamed(origin) for key in known.get(first_origin(origin), ())]
    return list(own)


def examine(
    body: bytes, known: Mapping[str, Sequence[VerificationKey]], latest: Mapping[str, Checkpoint]
) -> tuple[Submission, Checkpoint] | Refusal:
    """What a witness that remembers `latest` finds in a request: a checkpoint to cosign, or why not.

    Args:
        known: keys by the origins that this witness watches.
        latest: the last cosigned checkpoint by origin.
    """
    try:
        submission = Submission.parse(body)
        text = split_note(submission.note)[0]
        checkpoint = Checkpoint.parse(text, extensions=True)
    except LedgerError as error:
        return Refusal(400, "malformed", f"{error}\n")
    keys = keys_for(checkpoint.origin, known)
    if not keys:
        return Refusal(404, "unknown-log", "this witness does not watch that log\n")
    try:
        open_note(submission.note, keys)
    except LedgerError:
        return Refusal(403, "bad-signature", "no trusted key of the log signed the checkpoint\n")
    if submission.old_size > checkpoint.size:
        return Refusal(400, "shrunk", "the old size is larger than the checkpoint\n")
    before = latest.get(checkpoint.origin, Checkpoint(checkpoint.origin, 0, EMPTY_ROOT))
    if submission.old_size != before.size:
        return Refusal(409, "other-size", f"{before.size}\n")
    if submission.old_size == checkpoint.size and before.root != checkpoint.root:
        return Refusal(409, "fork", "the checkpoint of this size has another root\n")
    consistent = verify_consistency(
        old_size=before.size, new_size=checkpoint.size, old_root=before.root, new_root=checkpoint.root,
        proof=submission.proof,
    )  # fmt: skip
    if not consistent:
        return Refusal(422, "inconsistent", "the checkpoint does not extend the one cosigned before\n")
    return submission, checkpoint


def size_at_witness(body: bytes) -> int | None:
    """The size that a 409 answer of type `SIZE_TYPE` states, None when it states none."""
    found = re.fullmatch(rb"(0|[1-9][0-9]{0,18})\n", body)
    return int(found[1]) if found else None


def cosignatures(body: bytes, text: str, keys: Iterable[CosignerKey]) -> list[SignatureLine]:
    """The cosignatures of the checkpoint `text` in a witness's answer that one of `keys` made; all others are passed over."""
    trusted = list(keys)
    found: list[SignatureLine] = []
    try:
        lines = body[:NOTE_BYTES_MAX].decode().split("\n")
    except UnicodeDecodeError:
        return found
    for raw in filter(None, lines):
        try:
            line = SignatureLine.parse(raw)
        except LedgerError:
            continue
        if any(key.moment(text, line) is not None for key in trusted) and line not in found:
            found.append(line)
    return found


def with_cosignatures(note: bytes, lines: Iterable[SignatureLine]) -> bytes:
    """The note with further signature lines; one by a key that is there already is replaced."""
    text, old = split_note(note)
    kept = {(line.name, line.identifier): line for line in [*old, *lines]}
    return note_of(text, kept.values())
