"""The logs of one gate, by origin.

For: finding every log below a folder, and reading entries of each while its writer goes on.
Not for: proof (`ledger`, and the verifier).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger.tiles import WIDTH
from lockgate.storage import ledger_reader
from lockgate.storage.port import Files
from lockgate.storage.tile_store import read_bundle


class Logs:
    """Every log below one folder."""

    def __init__(self, folder: str, files: Files) -> None:
        self._folder = folder.rstrip("/")
        self._files = files

    @property
    def files(self) -> Files:
        """How its files are read."""
        return self._files

    def folders(self) -> dict[str, str]:
        """Origin and folder of each log that has a checkpoint."""
        found = {}
        for name in self._files.list(self._folder):
            root = f"{self._folder}/{name}"
            with suppress(NotADirectoryError):  # files lie beside the logs
                current = ledger_reader.checkpoint(root, self._files)
                if current is not None:
                    found[current.origin] = root
        return found

    def origins(self) -> list[str]:
        """The origins in their order."""
        return sorted(self.folders())

    def folder(self, origin: str) -> str:
        """Where that log is.

        Raises:
            LedgerError: there is none of that origin.
        """
        found = self.folders().get(origin)
        if found is None:
            raise LedgerError(f"there is no log `{origin}`")
        return found

    def sealed(self, origin: str) -> int:
        """How many entries are under its checkpoint: these never change."""
        current = ledger_reader.checkpoint(self.folder(origin), self._files)
        return 0 if current is None else current.size

    def minimum(self, origin: str) -> int:
        """The lowest index that was not pruned."""
        return ledger_reader.minimum(self.folder(origin), self._files)

    def entries(self, origin: str, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Every durable entry from `start` on with its index, those under no checkpoint yet included."""
        return ledger_reader.entries(self.folder(origin), self._files, start)

    def sealed_entries(self, origin: str, first: int, last: int) -> list[bytes]:
        """Entries [first, last), which must be under the checkpoint."""
        return sealed_entries(self.folder(origin), self._files, first, last)

    def entry(self, origin: str, index: int) -> bytes | None:
        """One entry, or None when there is none or it was pruned."""
        if index < self.minimum(origin):
            return None
        if index < self.sealed(origin):
            return self.sealed_entries(origin, index, index + 1)[0]
        return next((stored for at, stored in islice(self.entries(origin, index), 1) if at == index), None)


def sealed_entries(root: str, files: Files, first: int, last: int) -> list[bytes]:
    """Entries [first, last) of the log in a folder, from its bundles only.

    Raises:
        CorruptLedgerError: a bundle is missing or malformed.
    """
    found: list[bytes] = []
    for number in range(first // WIDTH, -(-last // WIDTH)):
        base = number * WIDTH
        try:
            bundle = read_bundle(files, root, number, min(WIDTH, last - base))
        except FileNotFoundError:
            raise CorruptLedgerError("entry-missing", f"entry bundle {number} is missing") from None
        found += bundle[max(0, first - base) :]
    return found
