"""What a witness remembers: the last checkpoint it cosigned of each log.

For: one small file per log, replaced durably before a cosignature leaves.
Not for: deciding (`ledger.witness`).
Source: C2SP tlog-witness ("MUST persist the new checkpoint before responding").
"""

from __future__ import annotations

from hashlib import sha256

from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.note import split_note
from lockgate.storage.durable import TEMPORARY, Folders, replace
from lockgate.storage.port import Files

_HEADS = "heads"


class WitnessState:
    """The heads of one witness; holds the lock of its folder."""

    def __init__(self, root: str, files: Files) -> None:
        """Open or begin the state in `root`.

        Raises:
            LedgerError: another witness uses the folder, or it cannot be read.
            CorruptLedgerError: a remembered head cannot be read; a witness that forgets must not go on.
        """
        self._root = root.rstrip("/")
        self._files = files
        try:
            Folders(files, self._root).make(_HEADS)
            self._lock = files.lock(f"{self._root}/lock")
            self.heads = self._load()
        except BlockingIOError:
            raise LedgerError("another witness uses this folder") from None
        except OSError as error:
            raise LedgerError(f"the witness's folder cannot be used: error {error.errno}") from error

    def _load(self) -> dict[str, Checkpoint]:
        heads: dict[str, Checkpoint] = {}
        for name in self._files.list(f"{self._root}/{_HEADS}"):
            if name.endswith(TEMPORARY):
                continue
            try:
                head = Checkpoint.parse(
                    split_note(self._files.read(f"{self._root}/{_HEADS}/{name}"))[0], extensions=True
                )
            except LedgerError as error:
                raise CorruptLedgerError("witness-state", f"the head `{name}` cannot be read: {error}") from None
            if head_name(head.origin) != name:
                raise CorruptLedgerError("witness-state", f"the head `{name}` is of another log")
            heads[head.origin] = head
        return heads

    def store(self, head: Checkpoint, note: bytes) -> None:
        """Remember a head durably.

        Raises:
            OSError: it could not be written; the old one stands, and nothing may be cosigned.
        """
        replace(self._files, self._root, f"{_HEADS}/{head_name(head.origin)}", note)
        self.heads[head.origin] = head

    def note(self, name: str) -> bytes | None:
        """The stored note of a head by its name, None when there is none."""
        if any(head_name(origin) == name for origin in self.heads):
            return self._files.read(f"{self._root}/{_HEADS}/{name}")
        return None

    def close(self) -> None:
        """Let go of the folder."""
        self._files.close(self._lock)


def head_name(origin: str) -> str:
    """The name under which a log's head is kept: the hex SHA-256 of its origin."""
    return sha256(origin.encode()).hexdigest()
