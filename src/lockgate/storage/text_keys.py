"""Keys of sealed texts: one random key per database and day, wrapped by the master text key.

For: sealing statement texts so that destroying one small file erases a day of one database.
Not for: the ledger entry that says so (`erasure`, written by whoever calls `erase`).
Source: evidence.md 1.4, privacy (envelope encryption).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec

from lockgate.errors import LedgerError
from lockgate.ledger import blob
from lockgate.storage.durable import Folders, replace
from lockgate.storage.port import Files

_ID_BYTES = 16
_CACHED_TEXTS_MAX = 4096


class _KeyFile(msgspec.Struct, forbid_unknown_fields=True):
    """A data key as stored: whose it is in clear, the key itself wrapped."""

    database: str
    day: str
    wrapped: bytes


def keys_folder(root: str) -> str:
    """The folder of data keys, beside the logs of all workers."""
    return f"{root.rsplit('/', 1)[0]}/keys" if "/" in root else "keys"


def _aad(database: str, day: str, identifier: bytes) -> bytes:
    return b"\0".join((identifier.hex().encode(), day.encode(), blob.blob_name(database.encode()).encode()))


class TextKeys:
    """Data keys of one process: made when first needed, stored by `store_new` before a text that needs them is."""

    def __init__(self, *, folder: str, files: Files, text_key: bytes, entropy: Callable[[int], bytes]) -> None:
        if len(text_key) != blob.KEY_BYTES:
            raise LedgerError("the text key has 32 bytes")
        self._folder = folder
        self._files = files
        self._folders = Folders(files, folder)
        self._master = text_key
        self._entropy = entropy
        self._day = ""
        self._keys: dict[str, tuple[bytes, bytes]] = {}
        self._unstored: dict[bytes, bytes] = {}
        self._names: dict[tuple[str, bytes], str] = {}

    def seal(self, database: str, day: str, text: bytes) -> tuple[str, bytes | None]:
        """The name of the sealed text, and its bytes unless the same text of this database was sealed lately."""
        if day != self._day:
            self._day = day
            self._keys.clear()
            self._names.clear()
        name = self._names.get((database, text))
        if name is not None:
            return name, None
        identifier, key = self._key(database, day)
        sealed = blob.seal(key, text, self._entropy(blob.NONCE_BYTES), identifier)
        name = blob.blob_name(sealed)
        if len(text) <= 8192:
            if len(self._names) >= _CACHED_TEXTS_MAX:
                self._names.clear()
            self._names[database, text] = name
        return name, sealed

    def forget_texts(self) -> None:
        """Seal every text anew: what was sealed lately may not have been stored."""
        self._names.clear()

    def _key(self, database: str, day: str) -> tuple[bytes, bytes]:
        known = self._keys.get(database)
        if known is None:
            identifier, key = self._entropy(_ID_BYTES), self._entropy(blob.KEY_BYTES)
            wrapped = blob.seal(self._master, key, self._entropy(blob.NONCE_BYTES), _aad(database, day, identifier))
            self._unstored[identifier] = msgspec.json.encode(_KeyFile(database, day, wrapped))
            known = self._keys[database] = identifier, key
        return known

    def store_new(self) -> None:
        """Make every new key durable."""
        if not self._unstored:
            return
        self._folders.make()
        for identifier in list(self._unstored):
            replace(self._files, self._folder, identifier.hex(), self._unstored[identifier])
            del self._unstored[identifier]


def open_sealed(*, folder: str, files: Files, text_key: bytes, sealed: bytes) -> bytes:
    """The text of a sealed blob.

    Raises:
        LedgerError: its key was destroyed, or key or bytes are wrong.
    """
    identifier = blob.label(sealed)
    if len(identifier) != _ID_BYTES:
        raise LedgerError("a sealed text names no key")
    try:
        stored = msgspec.json.decode(files.read(f"{folder}/{identifier.hex()}"), type=_KeyFile)
    except FileNotFoundError:
        raise LedgerError("the text was erased: its key is destroyed") from None
    except msgspec.DecodeError:
        raise LedgerError("a text key file is malformed") from None
    if blob.label(stored.wrapped) != _aad(stored.database, stored.day, identifier):
        raise LedgerError("a text key file belongs to another database or day")
    return blob.open_(blob.open_(text_key, stored.wrapped), sealed)


def erase(*, folder: str, files: Files, database: str, day: str) -> list[str]:
    """Destroy the keys of one database and day (`2026-11-22`); their ids, for the `erasure` entry.

    A process that is still sealing for that day keeps its key in memory: erase finished days.
    """
    destroyed = []
    for name in files.list(folder):
        path = f"{folder}/{name}"
        with suppress(FileNotFoundError, msgspec.DecodeError):
            stored = msgspec.json.decode(files.read(path), type=_KeyFile)
            if (stored.database, stored.day) != (database, day):
                continue
            handle = files.open_append(path)
            try:
                files.write(handle, bytes(files.size(path)), 0)
                files.fdatasync(handle)
            finally:
                files.close(handle)
            files.unlink(path)
            destroyed.append(name)
    if destroyed:
        files.fsync_dir(folder)
    return destroyed
