"""Receipts of entries: the entry's bytes and the proof that a log has them.

For: what `--prove` writes and anyone may check without the log.
Not for: checking (`ledger.proof`, and the verifier, which shares no code with it).
Source: C2SP tlog-proof.
"""

from __future__ import annotations

from lockgate.errors import LedgerError
from lockgate.ledger import tiles
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.note import split_note
from lockgate.ledger.proof import LogProof
from lockgate.ledger.tree import inclusion_proof
from lockgate.storage.port import Files
from lockgate.storage.tile_store import read_bundle, read_tile


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
    current = Checkpoint.parse(split_note(note)[0])
    if index >= current.size:
        raise LedgerError(f"entry {index} is under no checkpoint yet; ask again in a second")
    reader = tiles.tile_reader(current.size, lambda level, number, width: read_tile(files, root, level, number, width))
    number, offset = divmod(index, tiles.WIDTH)
    try:
        path = inclusion_proof(index, current.size, reader)
        entry = read_bundle(files, root, number, min(tiles.WIDTH, current.size - number * tiles.WIDTH))[offset]
    except FileNotFoundError:
        raise LedgerError(f"entry {index} is not stored any more") from None
    return entry, LogProof(index, tuple(path), note)
