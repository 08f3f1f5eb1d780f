"""Receipts of entries: the entry's bytes and the proof that a log has them.

For: what `--prove` writes and anyone may check without the log.
Not for: checking (`ledger.proof`, and the verifier, which shares no code with it).
Source: C2SP tlog-proof.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from lockgate.errors import LedgerError
from lockgate.ledger import tiles
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.entry import decode
from lockgate.ledger.note import split_note
from lockgate.ledger.proof import LogProof
from lockgate.ledger.tree import inclusion_proof
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import Files
from lockgate.storage.tile_store import read_bundle, read_tile

ABOVE = ".org"
"""What stands before the ending of a second receipt: that the org log has the checkpoint of the first."""


def receipt(root: str, files: Files, index: int) -> tuple[bytes, LogProof]:
    """The bytes of an entry, and its proof under the newest checkpoint.

    Raises:
        LedgerError: the entry is under no checkpoint yet, or not stored any more.
    """
    root = root.rstrip("/")
    try:
        note = files.read(f"{root}/checkpoint")
    except FileNotFoundError:
        raise LedgerError("the log has no checkpoint yet") from None
    return _under(root, files, index, note)


def _under(root: str, files: Files, index: int, note: bytes) -> tuple[bytes, LogProof]:
    """The bytes of an entry, and its proof under a checkpoint of the log."""
    size = Checkpoint.parse(split_note(note)[0]).size
    if index >= size:
        raise LedgerError(f"entry {index} is under no checkpoint yet; ask again in a second")
    reader = tiles.tile_reader(size, lambda level, number, width: read_tile(files, root, level, number, width))
    number, offset = divmod(index, tiles.WIDTH)
    try:
        path = inclusion_proof(index, size, reader)
        entry = read_bundle(files, root, number, min(tiles.WIDTH, size - number * tiles.WIDTH))[offset]
    except FileNotFoundError:
        raise LedgerError(f"entry {index} is not stored any more") from None
    return entry, LogProof(index, tuple(path), note)


class Witnessing:
    """What the witnesses' newest cosigned checkpoint of an org log covers; read once, asked for many entries."""

    def __init__(self, org: str, files: Files, slim: Callable[[bytes], bytes] | None = None) -> None:
        """Read the org log in a folder; it may be that there is none, or that nobody cosigned.

        Args:
            org: the folder.
            files: how it is read.
            slim: leaves cosignatures out of the receipts that are not needed there.
        """
        self._org = org
        self._files = files
        self._taken: dict[str, list[tuple[int, int]]] = {}  # size, and where the org log has it, by origin
        self._note = b""
        with suppress(FileNotFoundError):
            self._note = files.read(f"{org}/witnessed")
            self._note = self._note if slim is None else slim(self._note)
        size = Checkpoint.parse(split_note(self._note)[0]).size if self._note else 0
        for at, entry in entries(org, files) if size else ():
            if at >= size:
                break
            fields = decode(entry)
            if fields["kind"] == "checkpoint":
                self._taken.setdefault(str(fields["origin"]), []).append((int(str(fields["size"])), at))

    def receipts(self, root: str, origin: str, index: int) -> tuple[bytes, LogProof, LogProof] | None:
        """The entry, its proof under a checkpoint that the org log took up, and the proof of that under the cosigned root.

        Returns:
            None when nothing that was cosigned covers the entry.
        """
        heads = self._taken.get(origin, [])
        place = bisect_right(heads, index, key=lambda taken: taken[0])
        if place == len(heads):
            return None
        head, above = _under(self._org, self._files, heads[place][1], self._note)
        entry, proof = _under(root, self._files, index, str(decode(head)["note"]).encode())
        return entry, proof, replace(above, extra=head)
