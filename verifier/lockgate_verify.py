#!/usr/bin/env python3
"""Check a Lockgate log offline: `python3 lockgate_verify.py LOGDIR --key log.pub [--json]`.

For: an auditor who has a copy of one log's folder and, from somewhere else, the log's public key.
Not for: proving that everything was written to the log, or that nobody holds another version of it (that takes a witness).
Source: RFC 6962 section 2.1; C2SP signed-note, tlog-checkpoint, tlog-tiles; docs/reference/entries.md.

It needs Python and the `cryptography` package, shares no code with the gate, reads only, and follows no symbolic link.
Exit status: 0 verified, 1 the evidence is broken (each finding has a name), 2 the input cannot be used.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import stat
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256
HASH_BYTES = 32
FILE_BYTES_MAX = 1 << 28
SHOWN_PER_KIND = 10
BLOB_INDEX = 2**64 - 1
FRAME = struct.Struct(">II Q")
KINDS = frozenset(
    {
        "boot",
        "session",
        "intent",
        "outcome",
        "deny",
        "policy",
        "admin",
        "review",
        "erasure",
        "heartbeat",
        "run",
        "close", "checkpoint", "key",
    }
)  # fmt: skip
STATUSES = frozenset({"complete", "error", "unknown"})
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
HEX64 = re.compile(r"[0-9a-f]{64}")


class UnusableError(Exception):
    """The input is no log, or no key: nothing can be said about it."""


class MalformedError(Exception):
    """Stored bytes do not have the form they must have."""


# --- reading -----------------------------------------------------------------------------------------------------------


class Folder:
    """The log's folder; every path is built from numbers and hex names, and nothing outside is ever opened."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._plain: dict[Path, bool] = {root: True}

    def _is_plain(self, folder: Path) -> bool:
        known = self._plain.get(folder)
        if known is None:
            known = self._is_plain(folder.parent) and folder.is_dir() and not folder.is_symlink()
            self._plain[folder] = known
        return known

    def read(self, path: str) -> bytes | None:
        """The bytes of a regular file, None when there is none."""
        full = self.root / path
        if not self._is_plain(full.parent):
            return None
        try:
            handle = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(handle, "rb") as stream:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                return None
            if facts.st_size > FILE_BYTES_MAX:
                raise UnusableError(f"`{path}` is longer than {FILE_BYTES_MAX} bytes")
            return stream.read()

    def names(self, path: str) -> list[str]:
        """The sorted names in a folder, none when it is missing."""
        full = self.root / path
        if not self._is_plain(full):
            return []
        with os.scandir(full) as found:
            return sorted(entry.name for entry in found)


def tile_name(folder: str, index: int) -> str:
    """The path of a full tile: 1234067 is `x001/x234/067`."""
    text = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03d}/{text}"
    return f"tile/{folder}/{text}"


def partial_widths(folder: Folder, tile: str) -> list[int]:
    """The widths of the partial tiles that stand beside a full one's place."""
    names = [name for name in folder.names(f"{tile}.p") if NUMBER.fullmatch(name)]
    return sorted(width for width in map(int, names) if 0 < width < WIDTH)


def copies(folder: Folder, tile: str) -> list[tuple[int, bytes]]:
    """Every stored copy of a tile, as (width, bytes), widest first."""
    found = []
    for width in (WIDTH, *reversed(partial_widths(folder, tile))):
        stored = folder.read(tile if width == WIDTH else f"{tile}.p/{width}")
        if stored is not None:
            found.append((width, stored))
    return found


def split_bundle(stored: bytes) -> list[bytes]:
    """The entries of a bundle, each behind its length in two bytes."""
    entries, offset = [], 0
    while offset < len(stored):
        end = offset + 2 + int.from_bytes(stored[offset : offset + 2], "big")
        if offset + 2 > len(stored) or end > len(stored):
            raise MalformedError("it ends inside an entry")
        entries.append(stored[offset + 2 : end])
        offset = end
    return entries


def frames(stored: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """The whole frames of a write-ahead segment or a pack of texts, and where they end."""
    found, offset = [], 0
    while offset + FRAME.size <= len(stored):
        length, crc, index = FRAME.unpack_from(stored, offset)
        payload = stored[offset + FRAME.size : offset + FRAME.size + length]
        if not length or len(payload) < length or zlib.crc32(payload, zlib.crc32(index.to_bytes(8, "big"))) != crc:
            break
        found.append((index, payload))
        offset += FRAME.size + length
    return found, offset


# --- tree --------------------------------------------------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962: the hash of a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962: the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree: the roots of its perfect subtrees, largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        size = self.size
        while size & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            size >>= 1
        self._peaks.append(leaf)
        self.size += 1

    @property
    def root(self) -> bytes:
        """The root hash."""
        if not self._peaks:
            return sha256(b"").digest()
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


# --- keys and checkpoints ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """A verification key: its name, its four-byte id and its raw bytes."""

    name: str
    identifier: bytes
    raw: bytes


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint states, and what is wrong with its signature ("" when nothing is)."""

    origin: str
    size: int
    root: bytes
    fault: str
    signer: str = ""


def strict_base64(text: str) -> bytes:
    """The bytes of a text in its one base64 form; ValueError when it is in another."""
    plain = base64.b64decode(text, validate=True)
    if base64.b64encode(plain).decode() != text:
        raise ValueError
    return plain


def read_keys(text: str) -> list[Key]:
    """The keys of a `log.pub` file, one a line."""
    keys = []
    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            name, identifier, encoded = line.split("+", 2)
            key = strict_base64(encoded)
        except ValueError:
            raise UnusableError("the key file is not a verification key") from None
        expected = sha256(name.encode() + b"\n" + key).digest()[:4]
        if len(key) != 33 or key[0] != 1 or identifier != expected.hex():
            raise UnusableError("the key file is not an Ed25519 verification key, or its key id is wrong")
        keys.append(Key(name, expected, key[1:]))
    if not keys:
        raise UnusableError("the key file is empty")
    return keys


def signature_fault(text: bytes, lines: list[bytes], keys: list[Key]) -> tuple[str, str]:
    """The name of what is wrong with the signature lines, and who signed."""
    signer = ""
    for line in lines:
        parts = line.split(b" ")
        if len(parts) != 3 or parts[0] != "\u2014".encode():
            return "bad-signature", ""
        try:
            signed = strict_base64(parts[2].decode())
        except ValueError:
            return "bad-signature", ""
        for key in keys:
            if (key.name.encode(), key.identifier) == (parts[1], signed[:4]):
                try:
                    Ed25519PublicKey.from_public_bytes(key.raw).verify(signed[4:], text)
                except (InvalidSignature, ValueError):
                    return "bad-signature", ""
                signer = f"{key.name}+{key.identifier.hex()}"
    return ("", signer) if signer else ("unknown-key", "")


def read_checkpoint(note: bytes, keys: list[Key]) -> Checkpoint | None:
    """The checkpoint in a signed note, None when it does not have the form of one."""
    text, separator, signatures = note.rpartition(b"\n\n")
    text += b"\n"
    lines = signatures.split(b"\n")
    if not separator or lines.pop() != b"" or not 1 <= len(lines) <= 100:
        return None
    try:
        origin, size, root_text, end = text.decode().split("\n")
        root = strict_base64(root_text)
    except ValueError:
        return None
    if not origin or end or NUMBER.fullmatch(size) is None or len(root) != HASH_BYTES:
        return None
    return Checkpoint(origin, int(size), root, *signature_fault(text, lines, keys))


# --- the report --------------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """Everything found in one log."""

    origin: str = ""
    size: int = 0
    root: str = ""
    signer: str = ""
    checked: int = 0
    checkpoints: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    epochs: list[int] = field(default_factory=list)
    first_time: str = ""
    last_time: str = ""
    unknown_outcomes: int = 0
    open_intents: int = 0
    texts: int = 0
    texts_erased: int = 0
    pending: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[str, int | None, str]] = field(default_factory=list)

    def find(self, kind: str, sentence: str, index: int | None = None) -> None:
        """Add a finding; only the first few of a kind are kept in full."""
        self.counts[kind] += 1
        if self.counts[kind] <= SHOWN_PER_KIND:
            self.findings.append((kind, index, sentence))


# --- entries -----------------------------------------------------------------------------------------------------------


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedError("a key appears twice")
    return fields


def _no_constant(_: str) -> object:
    raise MalformedError("a number is not a number")


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def parse_entry(entry: bytes) -> dict[str, object]:
    """The fields of an entry, with those that every entry has checked."""
    try:
        fields = json.loads(entry.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise MalformedError("it is not JSON") from None
    if not isinstance(fields, dict):
        raise MalformedError("it is not a JSON object")
    if _whole(fields.get("v")) != 1:
        raise MalformedError("its schema version is not 1")
    kind, moment = fields.get("kind"), fields.get("time")
    if not isinstance(kind, str) or kind not in KINDS:
        raise MalformedError("its kind is unknown")
    if not isinstance(moment, str) or TIME.fullmatch(moment) is None:
        raise MalformedError("its time is not in UTC with microseconds")
    if _whole(fields.get("epoch")) is None or _whole(fields.get("n")) is None:
        raise MalformedError("it has no epoch or counter")
    if kind == "outcome" and (_whole(fields.get("intent")) is None or fields.get("status") not in STATUSES):
        raise MalformedError("an outcome needs `intent` and a known `status`")
    text = fields.get("text")
    if text is not None and (not isinstance(text, str) or HEX64.fullmatch(text) is None):
        raise MalformedError("its text is not named by a hash")
    return fields


class Story:
    """What the entries say one after another: epochs, counters, time, intents and outcomes, texts."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._epoch = -1
        self._counter = -1
        self._state = bytearray()  # per entry: 0 no intent, 1 intent without outcome, 2 intent with outcome
        self._boot = 0
        self._worked = 0  # where the last epoch began in which more was written than the end of an earlier one
        self.texts: list[tuple[bytes, int, str, str]] = []
        self.erased: set[tuple[str, str]] = set()
        self.erased_names: set[bytes] = set()

    def add(self, index: int, entry: bytes, root_before: bytes) -> None:
        """Take the next entry into account; `root_before` is the root of everything before it."""
        self._state.append(0)
        try:
            fields = parse_entry(entry)
        except MalformedError as error:
            self._report.find("entry-malformed", str(error), index)
            return
        kind, moment = str(fields["kind"]), str(fields["time"])
        report = self._report
        report.kinds[kind] += 1
        if moment < report.last_time:
            report.find("time-backwards", f"{moment} comes after {report.last_time}", index)
        report.first_time = report.first_time or moment
        report.last_time = max(report.last_time, moment)
        self._follow_epoch(index, fields, root_before)
        if kind == "intent":
            self._state[index] = 1
        elif kind == "outcome":
            self._outcome(index, fields)
        elif kind == "erasure":
            self._erasure(fields)
        if isinstance(fields.get("text"), str):
            name = bytes.fromhex(str(fields["text"]))
            self.texts.append((name, index, str(fields.get("database", "")), moment[:10]))

    def _follow_epoch(self, index: int, fields: dict[str, object], root_before: bytes) -> None:
        epoch, counter = _whole(fields["epoch"]) or 0, _whole(fields["n"]) or 0
        report = self._report
        if fields["kind"] == "boot":
            if epoch <= self._epoch:
                report.find("epoch-reused", f"epoch {epoch} begins after epoch {self._epoch}", index)
            if fields.get("previous") != {"size": index, "root": root_before.hex()}:
                report.find("boot-mismatch", "a boot entry names another past than the one before it", index)
            if fields.get("origin") != report.origin:
                report.find("boot-mismatch", "a boot entry is of another log", index)
            if counter:
                report.find("counter-gap", f"epoch {epoch} begins at counter {counter}", index)
            report.epochs.append(epoch)
            self._boot = index
        else:
            if epoch != self._epoch:
                kind = "epoch-reused" if epoch < self._epoch else "boot-missing"
                report.find(kind, f"epoch {epoch} appears in epoch {self._epoch} without a boot entry", index)
            elif counter != self._counter + 1:
                report.find("counter-gap", f"counter {counter} follows counter {self._counter}", index)
            if fields["kind"] not in {"outcome", "close"}:
                self._worked = self._boot
        self._epoch, self._counter = epoch, counter

    def _outcome(self, index: int, fields: dict[str, object]) -> None:
        intent = _whole(fields["intent"])
        state = self._state[intent] if intent is not None and intent < index else 0
        if state == 0:
            self._report.find("outcome-without-intent", "an outcome names no earlier intent", index)
        elif state == 2:
            self._report.find("outcome-twice", f"intent {intent} has a second outcome", index)
        elif intent is not None:
            self._state[intent] = 2
        if fields["status"] == "unknown":
            self._report.unknown_outcomes += 1

    def _erasure(self, fields: dict[str, object]) -> None:
        self.erased.add((str(fields.get("database")), str(fields.get("day"))))
        names = fields.get("blobs")
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str) and HEX64.fullmatch(name):
                self.erased_names.add(bytes.fromhex(name))

    def finish(self) -> None:
        """Count intents without outcome; one from before a boot after which work went on is broken evidence."""
        for index, state in enumerate(self._state):
            if state != 1:
                continue
            if index < self._worked:
                self._report.find(
                    "outcome-missing", "a statement has no outcome although the gate worked on later", index
                )
            else:
                self._report.open_intents += 1


# --- the checks --------------------------------------------------------------------------------------------------------


class Check:
    """All checks of one log, in the order an auditor would do them."""

    def __init__(self, folder: Folder, keys: list[Key]) -> None:
        self._folder = folder
        self._keys = keys
        self._report = Report()
        self._wanted: dict[int, list[bytes]] = {}
        self._tiles: list[list[bytes]] = []

    def run(self) -> Report:
        """Check everything."""
        report, folder = self._report, self._folder
        note = folder.read("checkpoint")
        if note is None:
            if not folder.names("checkpoints") and not folder.names("tile") and not folder.names("wal"):
                raise UnusableError("the folder is not a log: it has no `checkpoint`")
            report.find("rollback", "`checkpoint` is missing although the log has entries")
            return report
        checkpoint = read_checkpoint(note, self._keys)
        if checkpoint is None:
            report.find("bad-signature", "`checkpoint` is not a signed checkpoint")
            return report
        if checkpoint.fault:
            report.find(checkpoint.fault, _fault_sentence("checkpoint", checkpoint.fault))
        report.origin, report.size, report.signer = checkpoint.origin, checkpoint.size, checkpoint.signer
        report.root = checkpoint.root.hex()
        self._read_old_checkpoints(checkpoint)
        story = Story(report)
        self._walk(checkpoint, story)
        story.finish()
        self._check_texts(story)
        self._check_end(checkpoint.size)
        return report

    def _read_old_checkpoints(self, newest: Checkpoint) -> None:
        self._wanted[newest.size] = [newest.root]
        report = self._report
        for name in self._folder.names("checkpoints"):
            note = self._folder.read(f"checkpoints/{name}") if NUMBER.fullmatch(name) else None
            if note is None:
                continue
            old = read_checkpoint(note, self._keys)
            fault = "bad-signature" if old is None else old.fault
            if old is None or fault:
                report.find(fault, _fault_sentence(f"checkpoints/{name}", fault))
                continue
            report.checkpoints += 1
            if old.origin != newest.origin or old.size != int(name):
                report.find("checkpoint-fork", f"`checkpoints/{name}` is of another log or size")
            elif old.size > newest.size:
                report.find(
                    "rollback", f"a checkpoint of {old.size} entries was signed, `checkpoint` has {newest.size}"
                )
            else:
                self._wanted.setdefault(old.size, []).append(old.root)

    def _walk(self, checkpoint: Checkpoint, story: Story) -> None:
        """Every entry bundle against its tile, both against the signed root, old checkpoints on the way."""
        by_entries, by_tiles = Tree(), Tree()
        report, size = self._report, checkpoint.size
        differing: list[int] = []
        for number in range((size + WIDTH - 1) // WIDTH):
            width = min(WIDTH, size - number * WIDTH)
            entries = self._bundle(number, width)
            hashes = [leaf_hash(entry) for entry in entries]
            stored = self._tile(0, number, width)
            if stored is not None:
                differing += [
                    number * WIDTH + i for i, (a, b) in enumerate(zip(hashes, stored, strict=False)) if a != b
                ]
            for position in range(len(entries)):
                index = number * WIDTH + position
                self._compare_root(by_entries)
                story.add(index, entries[position], by_entries.root if _is_boot(entries[position]) else b"")
                by_entries.append(hashes[position])
            for leaf in hashes if stored is None else stored:
                by_tiles.append(leaf)
            if len(entries) < width:
                report.find(
                    "entry-missing", f"entries from {number * WIDTH + len(entries)} to {size - 1} are not there"
                )
                break
            self._keep(0, number, hashes)
        report.checked = by_entries.size
        signed_tiles = by_tiles.size == size and by_tiles.root == checkpoint.root
        signed_entries = by_entries.size == size and by_entries.root == checkpoint.root
        for index in differing:
            if signed_entries:
                report.find(
                    "tile-changed", "a hash tile does not match the entry, which the checkpoint confirms", index
                )
            else:
                report.find("entry-changed", "an entry does not match its hash", index)
        if by_entries.size == size:
            self._compare_root(by_entries)
            self._compare_upper_tiles(size)
            if not signed_entries and not signed_tiles and not differing:
                report.find("root-mismatch", "entries and tiles agree, but are not what the checkpoint signed")

    def _compare_root(self, tree: Tree) -> None:
        for root in self._wanted.pop(tree.size, ()):
            if root != tree.root and tree.size != self._report.size:
                self._report.find(
                    "checkpoint-fork", f"a checkpoint of {tree.size} entries has another root than this log"
                )
            elif root != tree.root and root.hex() != self._report.root:
                self._report.find("checkpoint-fork", f"two checkpoints of {tree.size} entries differ")

    def _bundle(self, number: int, width: int) -> list[bytes]:
        """The entries of the widest copy of a bundle that has enough; all copies must agree."""
        best: list[bytes] = []
        name = tile_name("entries", number)
        for at, stored in copies(self._folder, name):
            try:
                entries = split_bundle(stored)
            except MalformedError as error:
                self._report.find("entry-changed", f"bundle {number} with {at} entries: {error}", number * WIDTH)
                continue
            if len(entries) != at:
                self._report.find("entry-missing", f"a copy of bundle {number} has {len(entries)} of {at} entries")
            if not best:
                best = entries
            elif entries != best[: len(entries)]:
                self._report.find("entry-changed", f"two copies of bundle {number} differ", number * WIDTH)
        return best[:width]

    def _tile(self, level: int, number: int, width: int) -> list[bytes] | None:
        """The hashes of a tile, None when it is missing or malformed, which is a finding."""
        best = b""
        for at, stored in copies(self._folder, tile_name(str(level), number)):
            if len(stored) != at * HASH_BYTES:
                self._report.find("tile-changed", f"tile {number} of level {level} has the wrong length")
            elif not best:
                best = stored
            elif not best.startswith(stored):
                self._report.find("tile-changed", f"two copies of tile {number} of level {level} differ")
        if len(best) < width * HASH_BYTES:
            self._report.find("tile-missing", f"tile {number} of level {level} is not there")
            return None
        return [best[i : i + HASH_BYTES] for i in range(0, width * HASH_BYTES, HASH_BYTES)]

    def _keep(self, level: int, number: int, hashes: list[bytes]) -> None:
        """Put the hash of a full tile into the tile above, and compare that one when it is full."""
        if len(hashes) < WIDTH:
            return
        while len(hashes) > 1:
            hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
        if len(self._tiles) == level:
            self._tiles.append([])
        above = self._tiles[level]
        above.append(hashes[0])
        if len(above) == WIDTH:
            self._tiles[level] = []
            self._compare_tile(level + 1, number // WIDTH, above)
            self._keep(level + 1, number // WIDTH, above)

    def _compare_upper_tiles(self, size: int) -> None:
        for level, above in enumerate(self._tiles, 1):
            if above:
                self._compare_tile(level, size // WIDTH ** (level + 1), above)

    def _compare_tile(self, level: int, number: int, expected: list[bytes]) -> None:
        stored = self._tile(level, number, len(expected))
        if stored is not None and stored != expected:
            self._report.find("tile-changed", f"tile {number} of level {level} does not follow from the tiles below it")

    def _check_texts(self, story: Story) -> None:
        present: set[bytes] = set()
        report, folder = self._report, self._folder
        for name in folder.names("blob/packs"):
            stored = folder.read(f"blob/packs/{name}")
            if stored is None or name.endswith(".tmp"):
                continue
            found, end = frames(stored)
            if end != len(stored) or any(index != BLOB_INDEX for index, _ in found):
                report.find("blob-changed", f"the pack of texts `{printable(name)}` is damaged")
            present.update(sha256(payload).digest() for _, payload in found)
        for prefix in folder.names("blob"):
            for name in folder.names(f"blob/{prefix}") if re.fullmatch("[0-9a-f]{2}", prefix) else ():
                stored = folder.read(f"blob/{prefix}/{name}") if HEX64.fullmatch(name) else None
                if stored is None:
                    continue
                if sha256(stored).hexdigest() != name:
                    report.find("blob-changed", f"the text `{name}` does not match its name")
                present.add(bytes.fromhex(name))
        pending = {sha256(payload).digest() for index, payload in self._pending_frames() if index == BLOB_INDEX}
        for text, index, database, day in story.texts:
            report.texts += 1
            if text in present or text in pending:
                continue
            if text in story.erased_names or (database, day) in story.erased:
                report.texts_erased += 1
            else:
                report.find("blob-missing", "the sealed text is not there, and no erasure entry says so", index)

    def _pending_frames(self) -> Iterator[tuple[int, bytes]]:
        for name in self._folder.names("wal"):
            stored = self._folder.read(f"wal/{name}") if re.fullmatch(r"[0-9]+-[0-9]+", name) else None
            yield from frames(stored or b"")[0]

    def _check_end(self, size: int) -> None:
        """Entries after the checkpoint: those the write-ahead log still has are pending, others were signed away."""
        waiting = {index for index, _ in self._pending_frames() if size <= index < BLOB_INDEX}
        self._report.pending = len(waiting)
        last, width = divmod(size, WIDTH)
        beyond = [w for w, _ in copies(self._folder, tile_name("entries", last)) if w > width]
        if beyond and size not in waiting:
            self._report.find("rollback", f"the log has stored entries after {size}, where `checkpoint` ends")


def _is_boot(entry: bytes) -> bool:
    return b'"kind":"boot"' in entry


def _fault_sentence(path: str, fault: str) -> str:
    return f"`{path}` is signed by no known key" if fault == "unknown-key" else f"the signature of `{path}` is wrong"


# --- the program -------------------------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """Text from the log without control characters, for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


def verify(folder: Path, key_text: str) -> Report:
    """Check the log in `folder` with the keys of a `log.pub` file."""
    if not folder.is_dir():
        raise UnusableError("the log's folder is not there")
    return Check(Folder(folder.resolve()), read_keys(key_text)).run()


def as_json(report: Report) -> str:
    """The report for programs."""
    shown = {k: v for k, v in vars(report).items() if k not in {"findings", "counts", "kinds"}}
    shown["verified"] = not report.findings
    shown["kinds"] = dict(sorted(report.kinds.items()))
    shown["finding_counts"] = dict(sorted(report.counts.items()))
    shown["findings"] = [{"kind": k, "index": i, "sentence": s} for k, i, s in report.findings]
    return json.dumps(shown, indent=2, sort_keys=True)


def as_text(report: Report) -> str:
    """The report for people."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report.kinds.items()))
    lines = [
        f"log          {printable(report.origin)}",
        f"checkpoint   {report.size} entries, root {report.root}",
        f"signed by    {printable(report.signer) or 'nobody known'}; {report.checkpoints} older or equal checkpoints checked",
        f"entries      {report.checked} checked ({kinds})",
        f"time         {report.first_time} to {report.last_time}; {len(report.epochs)} starts of the gate",
        f"statements   {report.open_intents} without outcome yet, {report.unknown_outcomes} with unknown outcome after a crash",
        f"texts        {report.texts} referred to, {report.texts_erased} erased",
        f"not covered  {report.pending} entries written after the checkpoint",
        "",
    ]
    for kind, index, sentence in report.findings:
        lines.append(f"  {kind}: {'' if index is None else f'entry {index}: '}{sentence}")
    for kind, count in report.counts.items():
        if count > SHOWN_PER_KIND:
            lines.append(f"  {kind}: {count - SHOWN_PER_KIND} more")
    if report.findings:
        lines.append(f"BROKEN: {sum(report.counts.values())} findings ({', '.join(sorted(report.counts))})")
    else:
        lines.append("VERIFIED: every entry is what was signed, in order and without a gap.")
        lines.append("This does not show that no other version of the log exists: compare the root with a witness's.")
    return "\n".join(lines)


def run(arguments: list[str]) -> int:
    """The program: arguments in, exit status out."""
    parser = argparse.ArgumentParser(prog="lockgate_verify", description="Check a Lockgate log offline.")
    parser.add_argument("folder", metavar="LOGDIR", help="folder of one log: the one with the file `checkpoint`")
    parser.add_argument("--key", required=True, metavar="FILE", help="the log's public key, `log.pub`, from elsewhere")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:
        return 2 if stop.code else 0
    try:
        with Path(options.key).open("rb") as stream:
            key_text = stream.read(100_000).decode()
        report = verify(Path(options.folder), key_text)
    except UnusableError as error:
        problem = str(error)
    except (OSError, ValueError) as error:
        problem = f"reading failed: {type(error).__name__}"
    except (MemoryError, RecursionError):
        problem = "the input is too large to be checked"
    else:
        print(as_json(report) if options.json else as_text(report))
        return 1 if report.findings else 0
    if options.json:
        print(json.dumps({"verified": False, "unusable": problem}))
    print(f"cannot verify: {problem}", file=sys.stderr)
    return 2


def main() -> None:
    """Entry point, also of a zipapp."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
