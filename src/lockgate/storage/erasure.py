"""Finding what an erasure concerns, and destroying it.

For: `lockgate log erase`: the keys of days and classes, and the slots of single texts that name a person.
Not for: deciding that something may be erased, and writing the `erasure` entries (the caller does, before and after).
Source: evidence.md 1.4, privacy; docs/verify.md.

Nothing in a log is touched: leaves commit to ciphertext, so every proof stays valid when the keys are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lockgate.errors import LedgerError
from lockgate.ledger import wal
from lockgate.ledger.blob import blob_name
from lockgate.ledger.entry import decode
from lockgate.storage.ledger_reader import entries
from lockgate.storage.port import Files
from lockgate.storage.text_keys import Label, keys_folder
from lockgate.storage.tile_store import TEXTS
from lockgate.storage.wal_segments import segments


@dataclass(frozen=True, slots=True)
class Mention:
    """An entry that has a person's token."""

    log: str
    index: int
    fields: Mapping[str, object]


def mentions(roots: Sequence[str], files: Files, token: str) -> Iterator[Mention]:
    """Every entry of the logs whose values have the token, oldest first within a log."""
    wanted = token.encode()
    for root in roots:
        for index, entry in entries(root, files):
            if wanted not in entry:
                continue
            fields = decode(entry)
            named = fields.get("persons")
            if isinstance(named, list) and token in named:
                yield Mention(root, index, fields)


def sealed_texts(root: str, files: Files) -> Iterator[bytes]:
    """Every sealed text of a log: packs, single files, and what the write-ahead log still holds."""
    paths = [f"{root}/{TEXTS}/{name}" for name in files.list(f"{root}/{TEXTS}")]
    paths += [path for _, _, path in segments(files, root)]
    for path in paths:
        try:
            stored = files.read(path)
        except FileNotFoundError:
            continue  # a segment that was integrated meanwhile; its texts are in a pack
        for index, payload in wal.scan(stored)[0]:
            if index == wal.BLOB_INDEX:
                yield payload
    for folder in files.list(f"{root}/blob"):
        if len(folder) == 2:
            for name in files.list(f"{root}/blob/{folder}"):
                if len(name) == 64:
                    yield files.read(f"{root}/blob/{folder}/{name}")


def slots_of(root: str, files: Files, names: set[str]) -> dict[str, tuple[str, int]]:
    """The slots of the named texts.

    Raises:
        LedgerError: a text is missing, or has no slot of its own: then it cannot be erased alone.
    """
    found: dict[str, tuple[str, int]] = {}
    missing = set(names)
    for sealed in sealed_texts(root, files):
        if not missing:
            break
        name = blob_name(sealed)
        if name in missing:
            slot = Label.of(sealed).slot
            if slot is None:
                raise LedgerError("a text that names the person has no key of its own; erase its day and class instead")
            found[name] = slot
            missing.discard(name)
    if missing:
        raise LedgerError(f"{len(missing)} texts that name the person are not there")
    return found


@dataclass(frozen=True, slots=True)
class PersonTexts:
    """What erasing a person concerns: texts by name with their slots, and in how many entries they are named."""

    slots: Mapping[str, tuple[str, int]]
    statements: int


def texts_of_person(roots: Sequence[str], files: Files, token: str) -> PersonTexts:
    """Every text that names the person, in all logs."""
    by_log: dict[str, set[str]] = {}
    statements = 0
    for mention in mentions(roots, files, token):
        text = mention.fields.get("text")
        if isinstance(text, str):
            by_log.setdefault(mention.log, set()).add(text)
            statements += 1
    slots: dict[str, tuple[str, int]] = {}
    for root, names in by_log.items():
        slots |= slots_of(root, files, names)
    return PersonTexts(slots, statements)


def keys_of(roots: Sequence[str]) -> str:
    """The folder of text keys that the logs share."""
    return keys_folder(roots[0])
