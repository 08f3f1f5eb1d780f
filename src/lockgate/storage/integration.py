"""One step of integration, cut out of a log so that it can be worked off beside it.

For: storing tiles and signing a checkpoint in a thread, while the log goes on appending and committing.
Not for: which entries, and what counts as integrated: `ledger_log` cuts a piece and takes it back.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockgate.errors import LedgerError
from lockgate.storage import wal_segments
from lockgate.storage.ledger_recovery import OpenIntents
from lockgate.storage.port import Files
from lockgate.storage.tile_store import TileStore


@dataclass(slots=True)
class Piece:
    """One step of integration, cut out of a log: `work` touches nothing that appending and committing use.

    Attributes:
        grown: the entries are under a checkpoint; they must be taken, whatever failed afterwards.
        stored: and everything before them may be forgotten.
    """

    tiles: TileStore
    entries: list[bytes]
    texts: list[bytes]
    archive: bool
    segment: str
    writer: wal_segments.Writer
    prepare: bool
    intents: OpenIntents | None
    files: Files
    root: str
    grown: bool = False
    stored: bool = False

    def work(self) -> None:
        """Store tiles, sign the checkpoint, and have a segment ready.

        Raises:
            LedgerError: writing failed; nothing is lost, cut another piece later.
            CorruptLedgerError: a stored file contradicts the log.
        """
        try:
            if self.entries:
                self.tiles.grow(self.entries, self.texts, archive=self.archive)
                self.grown = True
                if self.intents is not None:
                    self.intents.store(self.files, self.root, self.tiles.size)
                    self.stored = True
            if self.prepare:
                self.writer.prepare()
        except OSError as error:
            raise LedgerError(f"the ledger cannot be integrated: error {error.errno}") from error
