"""Keys of sealed texts: one random key per database, dataset class and day, wrapped by the master text key.

For: sealing statement texts so that destroying a small file erases a day of one class of one database, and destroying 32 bytes
erases one text that names a person.
Not for: finding what to erase, and the ledger entries that say so (`erasure`).
Source: evidence.md 1.4, privacy (envelope encryption).

The key of a text is combined of the keys of every class it touches and, when values in it can name a person, of a slot of its
own. Its label says which: ids of 16 bytes, then the id of the slots' file and the slot's number in 4 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lockgate.errors import LedgerError
from lockgate.ledger import blob
from lockgate.ledger.keyed import KeyedHash
from lockgate.ledger.persons import PersonIndex
from lockgate.storage.durable import Folders, replace
from lockgate.storage.port import Files

ID_BYTES = 16
SLOT_BYTES = 32
SLOTS = 8192
SLOTS_PREFIX = "slots-"
ERASED = "erased"
"""A file that is replaced after every erasure, so that running gates forget keys they have in memory."""
CLASSES_MAX = 12
_NUMBER_BYTES = 4
_CACHED_TEXTS_MAX = 4096
_CACHED_TEXT_BYTES_MAX = 8192


class KeyFile(msgspec.Struct, forbid_unknown_fields=True):
    """A data key as stored: whose it is in clear, the key itself wrapped."""

    database: str
    dataset: str
    day: str
    wrapped: bytes


def keys_folder(root: str) -> str:
    """The folder of data keys, beside the logs of all workers."""
    return f"{root.rsplit('/', 1)[0]}/keys" if "/" in root else "keys"


def _aad(database: str, dataset: str, day: str, identifier: bytes) -> bytes:
    whose = blob.blob_name(f"{database}\0{dataset}".encode())
    return b"\0".join((identifier.hex().encode(), day.encode(), whose.encode()))


@dataclass(frozen=True, slots=True)
class Label:
    """Which keys open a sealed text: ids of class keys, and the slot as (file, number) or None."""

    classes: tuple[bytes, ...]
    slot: tuple[str, int] | None

    @classmethod
    def of(cls, sealed: bytes) -> Label:
        """The label of a sealed text.

        Raises:
            LedgerError: it is malformed.
        """
        stored = blob.label(sealed)
        slot = None
        if len(stored) % ID_BYTES == _NUMBER_BYTES and len(stored) > 2 * ID_BYTES:
            number = int.from_bytes(stored[-_NUMBER_BYTES:], "big")
            slot = SLOTS_PREFIX + stored[-_NUMBER_BYTES - ID_BYTES : -_NUMBER_BYTES].hex(), number
            stored = stored[: -_NUMBER_BYTES - ID_BYTES]
        if not stored or len(stored) % ID_BYTES:
            raise LedgerError("a sealed text names no key")
        return cls(tuple(stored[i : i + ID_BYTES] for i in range(0, len(stored), ID_BYTES)), slot)


@dataclass(slots=True)
class _Cipher:
    """What seals texts of the same classes: their ids, the cipher of their combined key, and what mixes slots into that key."""

    label: bytes
    key: bytes
    mixer: KeyedHash
    cipher: AESGCM


class TextKeys:
    """Data keys of one process: made when first needed, stored by `store_new` before a text that needs them is.

    Attributes:
        unstored: new keys by name that `store_new` will store.
        day: the day whose keys are in use.
        ciphers: what seals texts of that day, by database and classes.
    """

    def __init__(
        self, *, folder: str, files: Files, text_key: bytes, entropy: Callable[[int], bytes], person_key: bytes = b""
    ) -> None:
        if len(text_key) != blob.KEY_BYTES:
            raise LedgerError("the text key has 32 bytes")
        self._folder = folder
        self._files = files
        self._folders = Folders(files, folder)
        self._master = text_key
        self._index = PersonIndex(person_key) if person_key else None
        self._entropy = entropy
        self.day = ""
        self._keys: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        self.ciphers: dict[tuple[str, tuple[str, ...]], _Cipher] = {}
        self.unstored: dict[str, bytes] = {}
        self._texts: dict[tuple[str, tuple[str, ...], bytes], blob.SealedText] = {}
        self._slots: tuple[bytes, bytes] = (b"", b"")
        self._next_slot = SLOTS
        self._erased: bytes | None = None

    def seal(
        self, database: str, day: str, text: bytes, classes: tuple[str, ...] = blob.NO_CLASS
    ) -> tuple[blob.SealedText, bytes | None]:
        """What an entry says of the text, and its sealed bytes unless the same text was sealed lately."""
        if day != self.day:
            self.day = day
            self.forget_keys()
        known = self._texts.get((database, classes, text))
        if known is not None:
            return known, None
        cipher = self.cipher(database, classes)
        index = self._index if classes not in (blob.NO_CLASS, blob.SECRET_CLASS) else None
        named = index.tokens(text) if index is not None else ()
        if named:
            slot, secret = self._slot()
            key = cipher.mixer.digest(secret)
            sealed = blob.seal(key, text, self._entropy(blob.NONCE_BYTES), cipher.label + slot)
        else:
            sealed = blob.seal(cipher.cipher, text, self._entropy(blob.NONCE_BYTES), cipher.label)
        return self.note(database, classes, text, blob.blob_name(sealed), named), sealed

    def note(self, database: str, classes: tuple[str, ...], text: bytes, name: str, named: tuple[str, ...] = ()) -> blob.SealedText:  # fmt: skip
        """Remember that a text was sealed under this name."""
        found = blob.SealedText(name, named)
        if len(text) <= _CACHED_TEXT_BYTES_MAX:
            if len(self._texts) >= _CACHED_TEXTS_MAX:
                self._texts.clear()
            self._texts[database, classes, text] = found
        return found

    @property
    def sealed_texts(self) -> dict[tuple[str, tuple[str, ...], bytes], blob.SealedText]:
        """Texts that were sealed lately."""
        return self._texts

    @property
    def entropy(self) -> Callable[[int], bytes]:
        """Where nonces come from."""
        return self._entropy

    def cipher(self, database: str, classes: tuple[str, ...]) -> _Cipher:
        """What seals texts of these classes today."""
        return self.ciphers.get((database, classes)) or self._cipher(database, classes)

    def forget_texts(self) -> None:
        """Seal every text anew: what was sealed lately may not have been stored."""
        self._texts.clear()

    def forget_keys(self) -> None:
        """Use no key again that was used before."""
        self._keys.clear()
        self.ciphers.clear()
        self._texts.clear()
        self._next_slot = SLOTS

    def notice_erasures(self) -> None:
        """Forget keys in memory when an erasure has happened since the last call, here or in another process."""
        try:
            stamp = self._files.read(f"{self._folder}/{ERASED}")
        except OSError:
            stamp = b""
        if self._erased is not None and stamp != self._erased:
            self.forget_keys()
        self._erased = stamp

    def _cipher(self, database: str, classes: tuple[str, ...]) -> _Cipher:
        if not 0 < len(classes) <= CLASSES_MAX:
            raise LedgerError("a text belongs to at least one dataset class, and not to too many")
        keys = [self._key(database, dataset) for dataset in classes]
        key = blob.combined([key for _, key in keys])
        made = _Cipher(b"".join(identifier for identifier, _ in keys), key, KeyedHash(key), AESGCM(key))
        self.ciphers[database, classes] = made
        return made

    def _key(self, database: str, dataset: str) -> tuple[bytes, bytes]:
        known = self._keys.get((database, dataset))
        if known is None:
            identifier, key = self._entropy(ID_BYTES), self._entropy(blob.KEY_BYTES)
            aad = _aad(database, dataset, self.day, identifier)
            wrapped = blob.seal(self._master, key, self._entropy(blob.NONCE_BYTES), aad)
            self.unstored[identifier.hex()] = msgspec.json.encode(KeyFile(database, dataset, self.day, wrapped))
            known = self._keys[database, dataset] = identifier, key
        return known

    def _slot(self) -> tuple[bytes, bytes]:
        """A slot that no text has used: its label and its secret; many are stored at once, so that a text waits for none."""
        if self._next_slot >= SLOTS:
            self._slots = self._entropy(ID_BYTES), self._entropy(SLOT_BYTES * SLOTS)
            self.unstored[SLOTS_PREFIX + self._slots[0].hex()] = self._slots[1]
            self._next_slot = 0
        number, (identifier, secrets) = self._next_slot, self._slots
        self._next_slot += 1
        label = identifier + number.to_bytes(_NUMBER_BYTES, "big")
        return label, secrets[number * SLOT_BYTES : (number + 1) * SLOT_BYTES]

    def store_new(self) -> None:
        """Make every new key durable."""
        if not self.unstored:
            return
        self._folders.make()
        for name in list(self.unstored):
            replace(self._files, self._folder, name, self.unstored[name])
            del self.unstored[name]


def read_key(folder: str, files: Files, identifier: bytes) -> KeyFile | None:
    """A stored data key, None when it is destroyed.

    Raises:
        LedgerError: the file is malformed.
    """
    try:
        return msgspec.json.decode(files.read(f"{folder}/{identifier.hex()}"), type=KeyFile)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        raise LedgerError("a text key file is malformed") from None


def read_slot(folder: str, files: Files, slot: tuple[str, int]) -> bytes | None:
    """The secret in a slot, None when it is destroyed."""
    with suppress(FileNotFoundError):
        secret = files.read(f"{folder}/{slot[0]}")[slot[1] * SLOT_BYTES : (slot[1] + 1) * SLOT_BYTES]
        if len(secret) == SLOT_BYTES and any(secret):
            return secret
    return None


def open_sealed(*, folder: str, files: Files, text_key: bytes, sealed: bytes) -> bytes:
    """The text of a sealed blob.

    Raises:
        LedgerError: one of its keys was destroyed, or key or bytes are wrong.
    """
    label = Label.of(sealed)
    keys: list[bytes] = []
    for identifier in label.classes:
        stored = read_key(folder, files, identifier)
        if stored is None:
            raise LedgerError("the text was erased: its key is destroyed")
        if blob.label(stored.wrapped) != _aad(stored.database, stored.dataset, stored.day, identifier):
            raise LedgerError("a text key file belongs to another database, class or day")
        keys.append(blob.open_(text_key, stored.wrapped))
    key = blob.combined(keys)
    if label.slot is not None:
        secret = read_slot(folder, files, label.slot)
        if secret is None:
            raise LedgerError("the text was erased: its slot is destroyed")
        key = blob.combined((key, secret))
    return blob.open_(key, sealed)


def matching_keys(
    *, folder: str, files: Files, database: str = "", dataset: str = "", day: str = "", before: str = ""
) -> list[str]:
    """Ids of the stored keys of a database, class and day; what is left empty matches all.

    Args:
        before: only keys of days before this one.
    """
    found = []
    for name in files.list(folder):
        if len(name) != 2 * ID_BYTES or set(name) - set("0123456789abcdef"):
            continue
        stored = read_key(folder, files, bytes.fromhex(name))
        if (
            stored is not None
            and database in ("", stored.database)
            and dataset in ("", stored.dataset)
            and day in ("", stored.day)
            and (not before or stored.day < before)
        ):
            found.append(name)
    return found


def _overwrite(files: Files, path: str, places: Sequence[tuple[int, int]]) -> None:
    """Write zeros over (offset, length) places of a file, durably."""
    handle = files.open_append(path)
    try:
        for offset, length in places:
            files.write(handle, bytes(length), offset)
        files.fdatasync(handle)
    finally:
        files.close(handle)


def destroy_keys(*, folder: str, files: Files, names: Sequence[str]) -> None:
    """Overwrite and remove stored keys; one that is gone already is no error."""
    for name in names:
        path = f"{folder}/{name}"
        with suppress(FileNotFoundError):
            _overwrite(files, path, [(0, files.size(path))])
            files.unlink(path)
    if names:
        files.fsync_dir(folder)


def destroy_slots(*, folder: str, files: Files, slots: Sequence[tuple[str, int]]) -> None:
    """Overwrite the secrets of single texts; a file of slots that is gone already is no error."""
    by_file: dict[str, list[tuple[int, int]]] = {}
    for name, number in slots:
        by_file.setdefault(name, []).append((number * SLOT_BYTES, SLOT_BYTES))
    for name, places in by_file.items():
        with suppress(FileNotFoundError):
            files.size(f"{folder}/{name}")  # opening would make it
            _overwrite(files, f"{folder}/{name}", places)


def announce_erasure(*, folder: str, files: Files, stamp: bytes) -> None:
    """Tell every running process to forget the keys it holds."""
    Folders(files, folder).make()
    replace(files, folder, ERASED, stamp)
