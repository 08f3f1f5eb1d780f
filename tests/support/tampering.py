"""What somebody with the files, and perhaps the gate's key, could do to a log."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from lockgate.ledger import tiles
from lockgate.ledger.checkpoint import Checkpoint, sign_checkpoint
from lockgate.ledger.entry import decode, encode
from lockgate.ledger.note import Signer, split_note
from lockgate.ledger.tree import inclusion_proof
from lockgate.storage.port import RealFiles
from lockgate.storage.tile_store import read_tile


def flip(path: Path, position: int = 40) -> None:
    """Change one bit of a file."""
    stored = bytearray(path.read_bytes())
    stored[position % len(stored)] ^= 1
    path.write_bytes(stored)


def stated(log: Path) -> Checkpoint:
    """What a log's checkpoint states."""
    return Checkpoint.parse(split_note((log / "checkpoint").read_bytes())[0])


def all_entries(log: Path) -> list[bytes]:
    """Every entry under the checkpoint."""
    stored: list[bytes] = []
    size = stated(log).size
    for number in range((size + 255) // 256):
        width = min(256, size - number * 256)
        stored += tiles.split_bundle((log / tiles.entries_path(number, width)).read_bytes())
    return stored


def rewrite(log: Path, entries: Iterable[bytes], signer: Signer | None, *, old_checkpoints: bool = True) -> None:
    """Store other entries with tiles that fit, and a checkpoint over them when there is a key."""
    growth, step = tiles.Growth.empty().grow(list(entries))
    shutil.rmtree(log / "tile")
    for path, stored in step.writes:
        (log / path).parent.mkdir(parents=True, exist_ok=True)
        (log / path).write_bytes(stored)
    if signer is not None:
        checkpoint = Checkpoint(stated(log).origin, growth.tree.size, growth.tree.root)
        (log / "checkpoint").write_bytes(sign_checkpoint(checkpoint, signer))
    if not old_checkpoints:
        shutil.rmtree(log / "checkpoints", ignore_errors=True)


def edited(entry: bytes, **fields: object) -> bytes:
    """An entry with other values in some fields."""
    return encode({**decode(entry), **fields})


def renumbered(entries: Iterable[bytes]) -> list[bytes]:
    """Entries whose counters within each epoch are made to fit again."""
    found, counter = [], -1
    for entry in entries:
        counter = 0 if decode(entry)["kind"] == "boot" else counter + 1
        found.append(edited(entry, n=counter))
    return found


def path_in(log: Path, index: int, note: bytes) -> list[bytes]:
    """The inclusion path of an entry under a checkpoint of the log."""
    size = Checkpoint.parse(split_note(note)[0]).size
    reader = tiles.tile_reader(
        size, lambda level, number, width: read_tile(RealFiles(), str(log), level, number, width)
    )
    return inclusion_proof(index, size, reader)
