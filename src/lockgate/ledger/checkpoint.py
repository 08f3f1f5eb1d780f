"""A checkpoint: the origin, size and root hash of a log, as the text of a signed note.

For: writing and reading that text.
Not for: signatures (`note.py`), nor deciding which checkpoint may be signed (`lockgate.storage`).
Source: C2SP tlog-checkpoint.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from lockgate.errors import LedgerError
from lockgate.ledger.note import Signer, VerificationKey, open_note, sign_note, strict_base64
from lockgate.ledger.tree import HASH_BYTES

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_SUCCESSOR = re.compile(r"[2-9]|[1-9][0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log promises: under this origin, this many entries with this root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str, *, extensions: bool = False) -> Checkpoint:
        """The checkpoint that `text` states.

        Args:
            extensions: accept further lines, as a witness of other people's logs must; no log of ours has them, nobody checks them.

        Raises:
            LedgerError: the text is not three lines, or a line is malformed.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not lines[0]:
            raise LedgerError("a checkpoint has three lines")
        if not all(lines[3:]) or (len(lines) > 3 and not extensions):
            raise LedgerError("a checkpoint has three lines")
        if _SIZE.fullmatch(lines[1]) is None:
            raise LedgerError("a checkpoint's size is not a number")
        root = strict_base64(lines[2])
        if len(root) != HASH_BYTES:
            raise LedgerError("a checkpoint's root has the wrong length")
        return cls(lines[0], int(lines[1]), root)


def successor(origin: str, number: int) -> str:
    """The origin of the `number`-th log that took the place of `origin`; the first of all is number 1 and has no mark."""
    if number < 1 or "~" in origin:
        raise LedgerError("a successor is numbered from 1, and named after the first log")
    return origin if number == 1 else f"{origin}~{number}"


def first_origin(origin: str) -> str:
    """The origin of the first log of a succession."""
    name, mark, number = origin.rpartition("~")
    return name if mark and _SUCCESSOR.fullmatch(number) else origin


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """The signed note of a checkpoint."""
    return sign_note(checkpoint.text, signer)


def open_checkpoint(note: bytes, keys: Iterable[VerificationKey]) -> Checkpoint:
    """The checkpoint in a note that one of `keys` signed.

    Raises:
        LedgerError: malformed, or not signed by a known key.
    """
    return Checkpoint.parse(open_note(note, keys))
