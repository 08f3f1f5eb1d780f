"""Tiles and checkpoints on files: loading the right edge of a log, and growing it.

For: entries and sealed texts become immutable files, then a checkpoint is signed over them.
Not for: which entries are durable enough to be signed over (`ledger_log`).
Source: C2SP tlog-tiles and tlog-checkpoint; evidence.md 1.4, order of durability.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing, suppress

from lockgate.errors import CorruptLedgerError, InvariantError, LedgerError
from lockgate.ledger import blob, tiles, wal
from lockgate.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from lockgate.ledger.note import Signer, VerificationKey
from lockgate.ledger.tree import Tree, leaf_hash
from lockgate.storage.durable import Batch, Folders, remove_quietly, replace
from lockgate.storage.port import Files

TEXTS = "blob/packs"
"""Folder of packs of sealed texts, named after the entries they came with: `<first index>-<size>-<hash>`."""


def read_wide(files: Files, root: str, path_of: Callable[[int], str], width: int) -> bytes:
    """A tile or bundle with at least `width` items: that partial one, else the full one, else a wider partial one.

    Raises:
        FileNotFoundError: there is none.
    """
    for candidate in (width, tiles.WIDTH):
        with suppress(FileNotFoundError):
            return files.read(f"{root}/{path_of(candidate)}")
    folder = f"{root}/{path_of(1).rsplit('/', 1)[0]}"
    wider = sorted(int(n) for n in files.list(folder) if n.isdecimal() and len(n) <= 3 and int(n) > width)
    if not wider:
        raise FileNotFoundError(path_of(width))
    return files.read(f"{folder}/{wider[0]}")


def read_bundle(files: Files, root: str, number: int, width: int) -> list[bytes]:
    """The first `width` entries of a bundle.

    Raises:
        FileNotFoundError: there is no such bundle.
        CorruptLedgerError: the bundle is malformed or too short.
    """
    entries = tiles.split_bundle(read_wide(files, root, lambda w: tiles.entries_path(number, w), width))
    if len(entries) < width:
        raise CorruptLedgerError("entry-missing", "an entry bundle has too few entries")
    return entries[:width]


def read_tile(files: Files, root: str, level: int, number: int, width: int) -> list[bytes]:
    """The first `width` hashes of a tile; raises like `read_bundle`."""
    return tiles.split_tile(read_wide(files, root, lambda w: tiles.tile_path(level, number, w), width), width)


class TileStore:
    """The integrated part of one log, and its growth."""

    def __init__(self, *, files: Files, root: str, folders: Folders, origin: str, signer: Signer) -> None:
        self._files = files
        self._folders = folders
        self._root = root
        self.origin = origin
        self._signer = signer
        self._growth = tiles.Growth.empty()
        self._unarchived: tuple[Checkpoint, bytes] | None = None

    @property
    def size(self) -> int:
        """How many entries are under the checkpoint."""
        return self._growth.tree.size

    @property
    def root(self) -> bytes:
        """The root hash under the checkpoint."""
        return self._growth.tree.root

    def load(self, trusted: Iterable[VerificationKey]) -> bool:
        """Read checkpoint and right edge; false when there is no checkpoint yet.

        Raises:
            CorruptLedgerError: signature, origin, tiles or entries contradict the checkpoint.
        """
        try:
            note = self._files.read(f"{self._root}/checkpoint")
        except FileNotFoundError:
            if self._files.list(f"{self._root}/checkpoints"):
                raise CorruptLedgerError("rollback", "the log has old checkpoints but no `checkpoint`") from None
            return False
        own = VerificationKey(self._signer.name, self._signer.public_key)
        try:
            checkpoint = open_checkpoint(note, [own, *trusted])
        except LedgerError as error:
            raise CorruptLedgerError("bad-signature", str(error)) from None
        if checkpoint.origin != self.origin:
            raise CorruptLedgerError("checkpoint-fork", "the checkpoint is of another log")
        sizes = [int(n) for n in self._files.list(f"{self._root}/checkpoints") if n.isdecimal() and len(n) < 20]
        if max(sizes, default=0) > checkpoint.size:
            raise CorruptLedgerError("rollback", "`checkpoint` is older than another one signed before")
        try:
            self._growth = self._edge(checkpoint.size)
        except FileNotFoundError:
            raise CorruptLedgerError("rollback", "the checkpoint covers more than what is stored") from None
        if self.root != checkpoint.root:
            raise CorruptLedgerError("tile-changed", "the tiles do not have the root that the checkpoint states")
        self._unarchived = checkpoint, note
        self._archive()
        return True

    def _edge(self, size: int) -> tiles.Growth:
        levels: list[list[bytes]] = []
        partial = {level: (number, width) for level, number, width in tiles.tile_widths(size)}
        for level in range(max(partial, default=-1) + 1):
            number, width = partial.get(level, (0, 0))
            levels.append(read_tile(self._files, self._root, level, number, width) if width else [])
        number, width = partial.get(0, (0, 0))
        tail = read_bundle(self._files, self._root, number, width) if width else []
        if [leaf_hash(entry) for entry in tail] != (levels[0] if levels else []):
            raise CorruptLedgerError("entry-changed", "the last entries do not match their hashes")

        def edge_tile(level: int, number: int, width: int) -> list[bytes]:
            if partial.get(level) != (number, width):
                raise InvariantError("only the right edge is read")
            return levels[level]

        return tiles.Growth(Tree.from_reader(size, tiles.tile_reader(size, edge_tile)), levels, tail)

    def grow(self, entries: list[bytes], texts: list[bytes], *, archive: bool = True) -> None:
        """Store `entries` and sealed `texts`, then sign and store a checkpoint over them. Nothing changes on an error.

        Args:
            archive: keep the checkpoint under its size as well.

        Raises:
            OSError: something could not be written; the same call may be repeated with the same entries, or more.
            CorruptLedgerError: a file is there with other bytes.
        """
        self._archive()
        growth, step = self._growth.grow(entries)
        with closing(Batch(self._files, self._root, self._folders)) as batch:
            if texts:
                pack = wal.frames(texts, wal.BLOB_INDEX, same=True)
                name = f"{self.size}-{growth.tree.size}-{blob.blob_name(pack)[:16]}"
                batch.put(f"{TEXTS}/{name}", pack, kind="blob-changed")
            for path, stored in step.writes:
                batch.put(path, stored, kind="entry-changed" if path.startswith("tile/entries/") else "tile-changed")
            batch.sync()
        checkpoint = Checkpoint(self.origin, growth.tree.size, growth.tree.root)
        note = sign_checkpoint(checkpoint, self._signer)
        replace(self._files, self._root, "checkpoint", note)
        self._growth = growth
        self._unarchived = (checkpoint, note) if archive else None
        with suppress(OSError):  # the entries are signed over; the next step archives first
            self._archive()
        for path in step.completed:
            with suppress(OSError):
                self._remove_partial(path)

    def _archive(self) -> None:
        """Keep the newest checkpoint under its size; two checkpoints of one size must state one root."""
        if self._unarchived is None:
            return
        checkpoint, note = self._unarchived
        path = f"checkpoints/{checkpoint.size}"
        try:
            if self._files.read(f"{self._root}/{path}").split(b"\n")[:3] != note.split(b"\n")[:3]:
                raise CorruptLedgerError("checkpoint-fork", "two checkpoints of one size differ")
        except FileNotFoundError:
            with closing(Batch(self._files, self._root, self._folders)) as batch:
                batch.put(path, note, kind="checkpoint-fork")
                batch.sync()
        self._unarchived = None

    def _remove_partial(self, path: str) -> None:
        """Remove partial tiles that a full one has replaced, as tlog-tiles allows."""
        folder = f"{self._root}/{path}.p"
        for name in self._files.list(folder):
            remove_quietly(self._files, f"{folder}/{name}")
        if self._files.list(folder) == []:
            self._files.rmdir(folder)

    def store_text(self, name: str, sealed: bytes) -> None:
        """Store one long sealed text in a file of its own, durably."""
        with closing(Batch(self._files, self._root, self._folders)) as batch:
            batch.put(f"blob/{name[:2]}/{name}", sealed, kind="blob-changed")
            batch.sync()
