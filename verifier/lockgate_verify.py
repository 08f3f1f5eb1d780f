#!/usr/bin/env python3
"""Check the record of a Lockgate gate offline: its logs, receipts of single entries, and lists made from it.

For: an auditor who has a copy of the files and, from somewhere else, the log's public key or a trust policy.
Not for: proving that everything was written to the log, or that nobody holds another version of it (that takes a witness).
Source: RFC 6962 section 2.1; C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-cosignature, tlog-policy, tlog-proof;
docs/reference/entries.md and log.md of the project; docs/verify.md shows how it is used.

It needs Python and the `cryptography` package, shares no code with the gate, reads only, and follows no symbolic link.

Exit status: 0 verified; 1 the evidence is broken; 2 the input cannot be used; 3 nothing is broken, but too few witnesses
vouch for it, or it is too old; 4 nothing is broken, but what was claimed differs from the record; 5 nothing is broken, but
there are gaps or oddities that somebody must explain. Each finding has a name; FINDINGS below lists them all.
"""

from __future__ import annotations

import argparse
import base64
import calendar
import gc
import json
import os
import re
import shlex
import stat
import struct
import sys
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID

try:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
except ImportError:  # an older `cryptography`: such cosignatures count as absent, and the report says so
    MLDSA44PublicKey = None  # type: ignore[assignment, misc]

WIDTH = 256
HASH_BYTES = 32
FILE_BYTES_MAX = 1 << 28
PROOF_BYTES_MAX = 1 << 20
SHOWN_PER_KIND = 5
LISTED_MAX = 100_000
SILENCE_SECONDS = 60
AHEAD_SECONDS = 300
BLOB_INDEX = 2**64 - 1
FRAME = struct.Struct(">II Q")
BLOB_SEED = zlib.crc32(BLOB_INDEX.to_bytes(8, "big"))
KINDS = frozenset({
    "boot", "session", "intent", "outcome", "deny", "policy", "admin", "review", "erasure", "heartbeat", "run", "close",
    "checkpoint", "key",
})  # fmt: skip
STATUSES = frozenset({"complete", "error", "rolled-back", "not-run", "unknown"})
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
HEX64 = re.compile(r"[0-9a-f]{64}")
ED25519, COSIGN_ED25519, COSIGN_MLDSA44 = 1, 4, 6
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
PROOF_SUFFIX = ".tlog-proof"

VERIFIED, BROKEN, UNUSABLE, NOT_VOUCHED, DIFFERS, GAPS = 0, 1, 2, 3, 4, 5
FINDINGS: dict[str, tuple[int, str]] = {
    "entry-changed": (BROKEN, "a record was altered after it was stored"),
    "entry-missing": (BROKEN, "records were taken out"),
    "entry-malformed": (BROKEN, "a record is not what a gate writes"),
    "tile-changed": (BROKEN, "the stored hashes were altered"),
    "tile-missing": (BROKEN, "stored hashes were taken out"),
    "root-mismatch": (BROKEN, "records and hashes were both replaced: they fit each other, but not the signature"),
    "timestamp-invalid": (BROKEN, "a time stamp does not fit what it stands beside, or nobody you trust made it"),
    "bad-signature": (BROKEN, "a signature does not fit what it signs"),
    "unknown-key": (BROKEN, "it is signed, but by a key that you did not say to trust"),
    "checkpoint-fork": (BROKEN, "two histories were signed: a checkpoint states other records than this log has"),
    "history-rewritten": (BROKEN, "records that others had already seen were replaced and signed again"),
    "rollback": (BROKEN, "the log was longer: an old checkpoint was put back, or its end was cut off"),
    "counter-gap": (BROKEN, "the gate numbers its records, and a number is missing or out of turn"),
    "session-gap": (BROKEN, "each session numbers its records, and a number is missing or out of turn"),
    "epoch-reused": (BROKEN, "two openings of the log have one number: a copy was continued"),
    "boot-missing": (BROKEN, "a new opening of the log does not begin with its boot record"),
    "boot-mismatch": (BROKEN, "a boot record names another past than the one before it"),
    "outcome-without-intent": (BROKEN, "an outcome belongs to no statement"),
    "outcome-twice": (BROKEN, "a statement has two outcomes"),
    "blob-changed": (BROKEN, "a sealed statement text was altered"),
    "blob-missing": (BROKEN, "a sealed statement text is gone, and no erasure record says why"),
    "proof-invalid": (BROKEN, "the receipt does not prove that the entry is in the log"),
    "quorum-missing": (NOT_VOUCHED, "fewer witnesses than your policy asks for have cosigned"),
    "not-covered": (NOT_VOUCHED, "nothing that witnesses cosigned covers this log"),
    "timestamp-missing": (NOT_VOUCHED, "you asked for time stamps, and there is none that holds"),
    "stale": (NOT_VOUCHED, "nothing recent: the log ended, stopped reaching its witnesses, or this is an old copy"),
    "claim-differs": (DIFFERS, "the list or number you were given is not what the record says"),
    "outcome-missing": (GAPS, "a statement has no outcome although the gate worked on later"),
    "end-lost": (GAPS, "records that others had seen are gone: the disk was set back, and the gate says so"),
    "silence": (GAPS, "the gate was open but wrote nothing, not even a heartbeat"),
    "time-backwards": (GAPS, "a record is earlier than the one before"),
    "time-ahead": (GAPS, "a record claims a later time than the witness that saw it"),
    "erasure-unfinished": (GAPS, "an erasure was begun and never reported done"),
}
"""Every finding: the exit status it leads to, and what it means."""
VERDICTS = {
    VERIFIED: "VERIFIED", BROKEN: "BROKEN", UNUSABLE: "CANNOT VERIFY", NOT_VOUCHED: "NOT VOUCHED FOR", DIFFERS: "CLAIM DIFFERS",
    GAPS: "GAPS TO EXPLAIN",
}  # fmt: skip


class UnusableError(Exception):
    """The input is no log, or no key: nothing can be said about it."""


class MalformedError(Exception):
    """Stored bytes do not have the form they must have."""


# --- reading -----------------------------------------------------------------------------------------------------------


class Folder:
    """A log's folder; every path is built from numbers and hex names, and nothing outside is ever opened."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._plain: dict[str, bool] = {"": True}
        self._names: dict[str, frozenset[str]] = {}

    def _is_plain(self, folder: str) -> bool:
        known = self._plain.get(folder)
        if known is None:
            full = self.root / folder
            known = self._is_plain(folder.rpartition("/")[0]) and full.is_dir() and not full.is_symlink()
            self._plain[folder] = known
        return known

    def read(self, path: str) -> bytes | None:
        """The bytes of a regular file, None when there is none."""
        if not self._is_plain(path.rpartition("/")[0]):
            return None
        try:
            handle = os.open(f"{self.root}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                return None
            if facts.st_size > FILE_BYTES_MAX:
                raise UnusableError(f"`{path}` is longer than {FILE_BYTES_MAX} bytes")
            parts = []
            while part := os.read(handle, max(facts.st_size + 1, 4096)):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(handle)

    def names(self, path: str) -> list[str]:
        """The sorted names in a folder, none when it is missing."""
        if not self._is_plain(path):
            return []
        with os.scandir(self.root / path) as found:
            return sorted(entry.name for entry in found)

    def forget(self) -> None:
        """Look into folders again."""
        self._names.clear()
        self._plain = {"": True}

    def has(self, path: str) -> bool:
        """Whether a name was there when its folder was first looked into."""
        folder, _, name = path.rpartition("/")
        known = self._names.get(folder)
        if known is None:
            known = self._names[folder] = frozenset(self.names(folder))
        return name in known


def tile_name(folder: str, index: int) -> str:
    """The path of a full tile: 1234067 is `x001/x234/067`."""
    text = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03d}/{text}"
    return f"tile/{folder}/{text}"


def copies(folder: Folder, tile: str) -> list[tuple[int, bytes]]:
    """Every stored copy of a tile, as (width, bytes), widest first."""
    found = []
    stored = folder.read(tile)
    if stored is not None:
        found.append((WIDTH, stored))
    if folder.has(f"{tile}.p"):
        names = [int(name) for name in folder.names(f"{tile}.p") if NUMBER.fullmatch(name)]
        for width in sorted((width for width in names if 0 < width < WIDTH), reverse=True):
            stored = folder.read(f"{tile}.p/{width}")
            if stored is not None:
                found.append((width, stored))
    return found


def split_bundle(stored: bytes) -> list[bytes]:
    """The entries of a bundle, each behind its length in two bytes."""
    entries, offset, length = [], 0, len(stored)
    try:
        while offset < length:
            end = offset + 2 + (stored[offset] << 8 | stored[offset + 1])
            entries.append(stored[offset + 2 : end])
            offset = end
    except IndexError:
        offset = -1
    if offset != length:
        raise MalformedError("it ends inside an entry")
    return entries


def frames(stored: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """The whole frames of a write-ahead segment or a pack of texts, and where they end."""
    found, offset, end = [], 0, len(stored) - FRAME.size
    while offset <= end:
        length, crc, index = FRAME.unpack_from(stored, offset)
        start = offset + FRAME.size
        payload = stored[start : start + length]
        seed = BLOB_SEED if index == BLOB_INDEX else zlib.crc32(index.to_bytes(8, "big"))
        if not length or len(payload) < length or zlib.crc32(payload, seed) != crc:
            break
        found.append((index, payload))
        offset = start + length
    return found, offset


# --- tree --------------------------------------------------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962: the hash of a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962: the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: list[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    while len(hashes) > 1:
        pairs = iter(hashes)
        hashes = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return hashes[0]


class Tree:
    """A growing tree: the roots of its perfect subtrees, largest first."""

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)

    def copy(self) -> Tree:
        """The same tree, to grow apart."""
        return Tree(self.size, self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        self._add(leaf, self.size)
        self.size += 1

    def append_tile(self, root: bytes) -> None:
        """Add the root over the next full tile; the tree must consist of full tiles."""
        self._add(root, self.size // WIDTH)
        self.size += WIDTH

    def _add(self, item: bytes, before: int) -> None:
        while before & 1:
            item = node_hash(self._peaks.pop(), item)
            before >>= 1
        self._peaks.append(item)

    @property
    def root(self) -> bytes:
        """The root hash."""
        if not self._peaks:
            return sha256(b"").digest()
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_of_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion path leads to, None when the path has the wrong length (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size:
        return None
    node, last, root = index, size - 1, leaf
    for step in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            root = node_hash(step, root)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, step)
        node, last = node >> 1, last >> 1
    return root if last == 0 else None


# --- keys, notes, witnesses --------------------------------------------------------------------------------------------


def strict_base64(text: str) -> bytes:
    """The bytes of a text in its one base64 form; ValueError when it is in another."""
    plain = base64.b64decode(text, validate=True)
    if base64.b64encode(plain).decode() != text:
        raise ValueError
    return plain


@dataclass(frozen=True)
class Key:
    """A verification key: its name, its kind (1 for logs, 4 and 6 for witnesses) and its raw bytes."""

    name: str
    kind: int
    raw: bytes

    @property
    def identifier(self) -> bytes:
        """The four bytes in front of its signatures."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.raw).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> Key:
        """The key in a text such as `name+0a1b2c3d+base64`; ValueError when it is none."""
        name, identifier, encoded = text.strip().split("+", 2)
        stored = strict_base64(encoded)
        key = cls(name, stored[0] if stored else 0, stored[1:])
        lengths = {ED25519: 32, COSIGN_ED25519: 32, COSIGN_MLDSA44: 1312}
        if not name or len(key.raw) != lengths.get(key.kind) or key.identifier.hex() != identifier:
            raise ValueError
        return key

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature fits."""
        try:
            if self.kind == COSIGN_MLDSA44:
                if MLDSA44PublicKey is None:
                    return False
                MLDSA44PublicKey.from_public_bytes(self.raw).verify(signature, message)
            else:
                Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError, UnsupportedAlgorithm):
            return False
        return True


def read_keys(text: str) -> list[Key]:
    """The log keys of a `log.pub` file, one a line."""
    keys = []
    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            key = Key.parse(line)
        except ValueError:
            raise UnusableError("the key file is not a verification key, or its key id is wrong") from None
        if key.kind != ED25519:
            raise UnusableError("the key file has a key that is not for logs")
        keys.append(key)
    if not keys:
        raise UnusableError("the key file is empty")
    return keys


@dataclass(frozen=True)
class Note:
    """A signed note: its text, and its signature lines as (name, key id, signature)."""

    text: bytes
    lines: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, stored: bytes) -> Note | None:
        """The note in some bytes, None when they do not have the form of one."""
        text, separator, signatures = stored.rpartition(b"\n\n")
        lines = signatures.split(b"\n")
        if not separator or lines.pop() != b"" or not 1 <= len(lines) <= 100:
            return None
        found = []
        for line in lines:
            try:
                dash, name, encoded = line.decode().split(" ")
                signed = strict_base64(encoded)
            except ValueError:
                return None
            if dash != "\u2014" or not name or len(signed) < 5:
                return None
            found.append((name, signed[:4], signed[4:]))
        return cls(text + b"\n", tuple(found))


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint states, and what is wrong with its signature ("" when nothing is)."""

    origin: str
    size: int
    root: bytes
    note: Note
    fault: str = ""
    signer: str = ""


def read_checkpoint(stored: bytes, keys: Sequence[Key]) -> Checkpoint | None:
    """The checkpoint in a signed note, None when it does not have the form of one.

    One key signs all logs of a gate, each under the log's origin as its name, so a key is looked for under that name.
    """
    note = Note.parse(stored)
    if note is None:
        return None
    try:
        origin, size, root_text, end = note.text.decode().split("\n")
        root = strict_base64(root_text)
    except ValueError:
        return None
    if not origin or end or NUMBER.fullmatch(size) is None or len(root) != HASH_BYTES:
        return None
    signer, fault = "", "unknown-key"
    for raw in dict.fromkeys(key.raw for key in keys):
        key = Key(origin, ED25519, raw)
        for name, identifier, signature in note.lines:
            if (name, identifier) == (origin, key.identifier):
                fault = "" if key.verifies(signature, note.text) else "bad-signature"
                signer = f"{origin}+{identifier.hex()}"
    return Checkpoint(origin, int(size), root, note, fault, signer if not fault else "")


@dataclass(frozen=True)
class Policy:
    """Whom to trust: log keys, witness keys by name, groups as (threshold, members), and the name of the quorum."""

    logs: tuple[Key, ...]
    witnesses: Mapping[str, Key]
    groups: Mapping[str, tuple[int, tuple[str, ...]]]
    quorum: str

    def moments(self, checkpoint: Checkpoint) -> dict[str, int]:
        """When each witness cosigned, in seconds since the epoch; what does not verify does not count."""
        found: dict[str, int] = {}
        for witness, key in self.witnesses.items():
            for name, identifier, stored in checkpoint.note.lines:
                if (name, identifier) != (key.name, key.identifier) or len(stored) <= 8:
                    continue
                moment = int.from_bytes(stored[:8], "big")
                if moment < 1 << 63 and key.verifies(stored[8:], _cosigned(key, checkpoint, moment)):
                    found[witness] = max(moment, found.get(witness, 0))
        return found

    def reached(self, cosigned: Iterable[str], name: str | None = None) -> bool:
        """Whether these witnesses are enough."""
        name = self.quorum if name is None else name
        if name == "none":
            return True
        threshold, members = self.groups.get(name, (0, ()))
        there = set(cosigned)
        return name in there if not members else sum(self.reached(there, m) for m in members) >= threshold

    def since(self, moments: Mapping[str, int]) -> int | None:
        """The latest time at which a quorum vouched; None when there is none."""
        for moment in sorted(set(moments.values()), reverse=True):
            if self.reached(name for name, at in moments.items() if at >= moment):
                return moment
        return None


def _cosigned(key: Key, checkpoint: Checkpoint, moment: int) -> bytes:
    """The bytes that a witness signs."""
    if key.kind == COSIGN_ED25519:
        return f"cosignature/v1\ntime {moment}\n".encode() + checkpoint.note.text
    name, origin = key.name.encode(), checkpoint.origin.encode()
    if len(name) > 255 or len(origin) > 255:
        return b""
    names = bytes([len(name)]) + name + struct.pack(">Q", moment) + bytes([len(origin)]) + origin
    return b"subtree/v1\n\x00" + names + struct.pack(">QQ", 0, checkpoint.size) + checkpoint.root


def read_policy(text: str) -> Policy:
    """The policy in a tlog-policy file; UnusableError with the line that is wrong."""
    logs: list[Key] = []
    witnesses: dict[str, Key] = {}
    groups: dict[str, tuple[int, tuple[str, ...]]] = {}
    quorum, members_seen = "", set[str]()
    for number, line in enumerate(text.split("\n"), 1):
        words = line.replace("\t", " ").split()
        if not words or words[0].startswith("#"):
            continue
        known = witnesses.keys() | groups.keys()
        try:
            if words[0] == "log" and len(words) in (2, 3):
                logs.append(_key_of(words[1], (ED25519,), logs))
            elif words[0] == "witness" and len(words) in (3, 4) and words[1] not in known | {"none"}:
                witnesses[words[1]] = _key_of(words[2], (COSIGN_ED25519, COSIGN_MLDSA44), witnesses.values())
            elif words[0] == "group" and len(words) > 3 and words[1] not in known | {"none"}:
                members = tuple(words[3:])
                threshold = {"any": 1, "all": len(members)}.get(words[2]) or int(words[2])
                if not 1 <= threshold <= len(members) or not known >= set(members) or members_seen & set(members):
                    raise ValueError
                if len(set(members)) != len(members):
                    raise ValueError
                members_seen |= set(members)
                groups[words[1]] = threshold, members
            elif words[0] == "quorum" and len(words) == 2 and not quorum and words[1] in known | {"none"}:
                quorum = words[1]
            else:
                raise ValueError
        except ValueError:
            raise UnusableError(f"line {number} of the policy file cannot be read") from None
    if not quorum:
        raise UnusableError("the policy file has no `quorum` line")
    return Policy(tuple(logs), witnesses, groups, quorum)


def _key_of(text: str, kinds: tuple[int, ...], others: Iterable[Key]) -> Key:
    key = Key.parse(text)
    if key.kind not in kinds or any(other.raw == key.raw for other in others):
        raise ValueError
    return key


# --- time stamps -------------------------------------------------------------------------------------------------------


Node = tuple[int, bytes, bytes]
"""An element of DER: its tag, its content, and its bytes as a whole."""

OIDS = {
    name: bytes.fromhex(stored)
    for name, stored in {
        "signed-data": "2a864886f70d010702", "tst-info": "2a864886f70d0109100104", "content-type": "2a864886f70d010903",
        "digest": "2a864886f70d010904", "certificate": "2a864886f70d010910020c", "certificate-v2": "2a864886f70d010910022f",
        "sha256": "608648016503040201", "sha384": "608648016503040202", "sha512": "608648016503040203",
        "pss": "2a864886f70d01010a",
    }.items()
}  # fmt: skip
HASHES: dict[bytes, hashes.HashAlgorithm] = {
    OIDS["sha256"]: hashes.SHA256(),
    OIDS["sha384"]: hashes.SHA384(),
    OIDS["sha512"]: hashes.SHA512(),
}
CHAIN_MAX = 8
CERTIFICATE_ERRORS = (
    ValueError, Warning, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion, x509.ExtensionNotFound, x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip
"""What reading or checking a certificate of a stranger may end in."""
SEQUENCE, SET, INTEGER, OCTETS, OID = 0x30, 0x31, 0x02, 0x04, 0x06


def der(stored: bytes) -> list[Node]:
    """The elements in some DER, one behind the other; MalformedError when it is none."""
    found, at = [], 0
    while at < len(stored):
        begin = at
        head = stored[at : at + 2]
        if len(head) < 2 or head[0] & 0x1F == 0x1F:
            raise MalformedError("it is not DER")
        length, at = head[1], at + 2
        if length & 0x80:
            wide = length & 0x7F
            length = int.from_bytes(stored[at : at + wide], "big")
            if not 1 <= wide <= 4 or length < 0x80 or stored[at] == 0:
                raise MalformedError("a length is not as DER writes it")
            at += wide
        if at + length > len(stored):
            raise MalformedError("it ends inside an element")
        found.append((head[0], stored[at : at + length], stored[begin : at + length]))
        at += length
    return found


def inside(node: Node, tag: int, least: int = 1) -> list[Node]:
    """The elements in an element that must have this tag, and at least so many of them."""
    if node[0] != tag:
        raise MalformedError("an element is of another kind")
    parts = der(node[1])
    if len(parts) < least:
        raise MalformedError("an element is missing")
    return parts


def only(stored: bytes) -> Node:
    """The one element in some DER."""
    parts = der(stored)
    if len(parts) != 1:
        raise MalformedError("it is not one element")
    return parts[0]


@dataclass(frozen=True)
class Stamp:
    """What a time-stamping authority's token says (RFC 3161), and what is needed to believe it (RFC 5652)."""

    info: bytes
    imprint: bytes
    moment: float
    certificates: tuple[x509.Certificate, ...]
    signer: list[Node]

    @classmethod
    def parse(cls, response: bytes) -> Stamp:
        """The token in an authority's response; MalformedError when it is none."""
        status, token = inside(only(response), SEQUENCE, 2)[:2]
        if inside(status, SEQUENCE)[0][1] not in (b"\x00", b"\x01"):
            raise MalformedError("the authority refused")
        kind, wrapped = inside(token, SEQUENCE, 2)[:2]
        if kind[:2] != (OID, OIDS["signed-data"]):
            raise MalformedError("it is not signed data")
        parts = inside(inside(wrapped, 0xA0)[0], SEQUENCE, 4)
        content = inside(parts[2], SEQUENCE, 2)
        if content[0][:2] != (OID, OIDS["tst-info"]):
            raise MalformedError("it does not sign a time")
        octets = inside(content[1], 0xA0)[0]
        facts = inside(only(octets[1]), SEQUENCE, 5)
        algorithm, imprint = inside(facts[2], SEQUENCE, 2)[:2]
        if octets[0] != OCTETS or inside(algorithm, SEQUENCE)[0][1] != OIDS["sha256"] or facts[4][0] != 0x18:
            raise MalformedError("it is not about a SHA-256 at a time")
        signers = inside(parts[-1], SET)
        if len(signers) != 1:
            raise MalformedError("it has several signers")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "error"
                )  # what a later version of `cryptography` will not read is not read here either
                stored = [x509.load_der_x509_certificate(c[2]) for p in parts[3:-1] if p[0] == 0xA0 for c in der(p[1])]
            moment = re.fullmatch(rb"([0-9]{14})(\.[0-9]{1,9})?Z", facts[4][1])
            if moment is None:
                raise MalformedError("its time is not in UTC")
            seconds = calendar.timegm(time.strptime(moment[1].decode(), "%Y%m%d%H%M%S")) + float(moment[2] or 0)
        except CERTIFICATE_ERRORS:
            raise MalformedError("a certificate or its time cannot be read") from None
        return cls(octets[1], imprint[1], seconds, tuple(stored), inside(signers[0], SEQUENCE, 5))

    def check(self, data: bytes, roots: Sequence[x509.Certificate]) -> None:
        """Whether an authority that one of `roots` vouches for signed the time for `data`; MalformedError with what is wrong."""
        if self.imprint != sha256(data).digest():
            raise MalformedError("it is about something else")
        digest = HASHES.get(inside(self.signer[2], SEQUENCE)[0][1])
        if digest is None or self.signer[3][0] != 0xA0:
            raise MalformedError("it is signed in a way that is not known here")
        said = {
            parts[0][1]: inside(parts[1], SET)[0] for parts in (inside(a, SEQUENCE, 2) for a in der(self.signer[3][1]))
        }
        signed = hashes.Hash(digest)
        signed.update(self.info)
        if said.get(OIDS["content-type"], (0, b"", b""))[1] != OIDS["tst-info"]:
            raise MalformedError("its signature is for something else than a time")
        if said.get(OIDS["digest"], (0, b"", b""))[1] != signed.finalize():
            raise MalformedError("its signature is for another time")
        signer = self._signer(said)
        try:
            usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
            if not usage.critical or [*usage.value] != [ExtendedKeyUsageOID.TIME_STAMPING]:
                raise MalformedError("its signer is no time-stamping authority")
            _verify_signature(signer, self.signer[4:6], b"\x31" + self.signer[3][2][1:], digest)
        except (*CERTIFICATE_ERRORS, IndexError):
            raise MalformedError("its signature is wrong") from None
        if not _leads_to(signer, self.certificates, roots, self.moment):
            raise MalformedError("no root that you trust vouches for its signer")

    def _signer(self, said: Mapping[bytes, Node]) -> x509.Certificate:
        """The certificate that the signed attributes name by its hash."""
        second = OIDS["certificate-v2"] in said
        attribute = said.get(OIDS["certificate-v2"] if second else OIDS["certificate"])
        if attribute is None:
            raise MalformedError("it does not name its signer's certificate")
        named = inside(inside(inside(attribute, SEQUENCE)[0], SEQUENCE)[0], SEQUENCE)
        kind: hashes.HashAlgorithm = hashes.SHA256()
        if not second:
            kind = hashes.SHA1()  # noqa: S303  what RFC 3161 itself names a certificate by; the signature does the rest
        elif named[0][0] == SEQUENCE:
            kind = HASHES.get(inside(named.pop(0), SEQUENCE)[0][1], kind)
        for certificate in self.certificates if named else ():
            if certificate.fingerprint(kind) == named[0][1]:
                return certificate
        raise MalformedError("its signer's certificate is not in it")


def _verify_signature(
    signer: x509.Certificate, how: Sequence[Node], signed: bytes, digest: hashes.HashAlgorithm
) -> None:
    """InvalidSignature when it does not fit."""
    key, kind, signature = signer.public_key(), inside(how[0], SEQUENCE)[0][1], how[1][1]
    if isinstance(key, rsa.RSAPublicKey) and kind == OIDS["pss"]:
        key.verify(signature, signed, padding.PSS(padding.MGF1(digest), padding.PSS.AUTO), digest)
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(digest))
    elif isinstance(key, Ed25519PublicKey):
        key.verify(signature, signed)
    else:
        raise InvalidSignature


def _leads_to(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], moment: float
) -> bool:
    """Whether certificates that were valid at that time lead from one to a root."""
    at = datetime.fromtimestamp(moment, UTC)
    current = leaf
    for _ in range(CHAIN_MAX):
        if not current.not_valid_before_utc <= at <= current.not_valid_after_utc:
            return False
        if any(
            _issued(current, root) and root.not_valid_before_utc <= at <= root.not_valid_after_utc for root in roots
        ):
            return True
        above = next(
            (other for other in others if other != current and _may_issue(other) and _issued(current, other)), None
        )
        if above is None:
            return False
        current = above
    return False


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except CERTIFICATE_ERRORS:
        return False


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except CERTIFICATE_ERRORS:
        return False
    return True


# --- entries -----------------------------------------------------------------------------------------------------------


def _no_constant(_: str) -> object:
    raise MalformedError("a number is not a number")


_SCAN = json.JSONDecoder(object_pairs_hook=list, parse_constant=_no_constant).scan_once  # type: ignore[attr-defined]
"""Reads JSON with objects as lists of pairs, so that a key that appears twice is seen."""


def parse_entry(entry: bytes) -> dict[str, object]:
    """The fields of an entry, with those that every entry has checked; objects inside stay lists of pairs."""
    try:
        text = entry.decode()
        pairs, end = _SCAN(text, 0)
    except (ValueError, RecursionError, StopIteration):
        raise MalformedError("it is not JSON") from None
    if not text.startswith("{") or end != len(text):
        raise MalformedError("it is not a JSON object")
    fields: dict[str, object] = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedError("a key appears twice")
    version, kind, moment = fields.get("v"), fields.get("kind"), fields.get("time")
    if version != 1 or version is True:
        raise MalformedError("its schema version is not 1")
    if type(kind) is not str or kind not in KINDS:
        raise MalformedError("its kind is unknown")
    if type(moment) is not str or TIME.fullmatch(moment) is None:
        raise MalformedError("its time is not in UTC with microseconds")
    epoch, counter = fields.get("epoch"), fields.get("n")
    if type(epoch) is not int or type(counter) is not int or epoch < 0 or counter < 0:
        raise MalformedError("it has no epoch or counter")
    if kind == "outcome":
        intent = fields.get("intent")
        if type(intent) is not int or intent < 0 or fields.get("status") not in STATUSES:
            raise MalformedError("an outcome needs `intent` and a known `status`")
    if "text" in fields:
        name = fields["text"]
        if type(name) is not str or HEX64.fullmatch(name) is None:
            raise MalformedError("its text is not named by a hash")
    return fields


def object_of(value: object) -> dict[str, object]:
    """An object inside an entry, from its list of pairs; empty when it is none."""
    try:
        return dict(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        return {}


def texts_in(value: object) -> list[str]:
    """The texts in a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


_DAYS: dict[str, int] = {}


def seconds_of(moment: str) -> int:
    """An entry's time in whole seconds since the epoch."""
    day = _DAYS.get(moment[:10])
    if day is None:
        year, month, number = int(moment[0:4]), int(moment[5:7]), int(moment[8:10])
        day = _DAYS[moment[:10]] = calendar.timegm((year, month, number, 0, 0, 0))
    return day + int(moment[11:13]) * 3600 + int(moment[14:16]) * 60 + int(moment[17:19])


def time_text(seconds: int) -> str:
    """Seconds since the epoch for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(min(max(seconds, 0), 253_402_300_799)))


# --- recounting --------------------------------------------------------------------------------------------------------


@dataclass
class Population:
    """What a filter selects: indices of statements, their rows and bytes."""

    indices: list[int] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0


class Recount:
    """Selects statements by the filters of `lockgate log search`, from the entries themselves.

    A statement is an `intent` or a `deny`, together with its outcome; with `kind=` it is an entry of that kind, and with
    `kind=outcome` an outcome of a statement that the other filters select.
    """

    EQUAL = frozenset({
        "session", "principal", "on_behalf_of", "run", "purpose", "database", "environment", "decision", "statement", "client",
        "token", "policy", "request", "approver", "event",
    })  # fmt: skip
    OF_OUTCOME = frozenset({"rows", "bytes", "sqlstate", "status"})
    LISTS: Mapping[str, str] = {"table": "tables", "rule": "rules", "person": "persons"}
    OTHER = frozenset({"kind", "since", "until", "label", "disposition", "column", "shape", "log", "index", "intent"})

    def __init__(self, text: str, now: float) -> None:
        self.text = text
        self.wanted: list[tuple[str, str]] = []
        try:
            words = shlex.split(text)
        except ValueError:
            raise UnusableError("--recount: a quotation is not closed") from None
        for word in words:
            name, equals, value = word.partition("=")
            name = name.lstrip("-").replace("-", "_")
            name = {"tables": "table", "columns": "column", "rules": "rule", "text": "shape"}.get(name, name)
            if not equals or name not in self.EQUAL | self.OF_OUTCOME | self.OTHER | set(self.LISTS):
                raise UnusableError(f"--recount: `{printable(word)}` is not a filter; write NAME=VALUE")
            self.wanted.append((name, _moment(value, now) if name in {"since", "until"} else value))
        kinds = [value for name, value in self.wanted if name == "kind"]
        self.kinds = frozenset(kinds) - {"outcome"} or frozenset({"intent", "deny"})
        self.of_outcomes = "outcome" in kinds
        self.log = next((value for name, value in self.wanted if name == "log"), "")
        self._later = [(name, value) for name, value in self.wanted if name in self.OF_OUTCOME]
        self._waiting: dict[int, None] = {}
        self.population = Population()

    def add(self, index: int, fields: Mapping[str, object], origin: str) -> None:
        """Take one entry into account."""
        kind = fields["kind"]
        if kind == "outcome":
            intent = fields["intent"]
            if intent in self._waiting:
                del self._waiting[intent]
                if all(_equals(fields.get(name), value) for name, value in self._later):
                    self._count(index if self.of_outcomes else intent, fields)
            return
        if kind not in self.kinds or not self._selects(index, fields, origin):
            return
        if kind == "intent":
            self._waiting[index] = None
        elif not self.of_outcomes and all(_equals(fields.get(name), value) for name, value in self._later):
            self._count(index, fields)

    def finish(self) -> None:
        """Statements without outcome count as well, unless something of the outcome was asked for."""
        if not self._later and not self.of_outcomes:
            self.population.indices.extend(self._waiting)
            self.population.indices.sort()
        self._waiting = {}

    def _count(self, index: int, fields: Mapping[str, object]) -> None:
        rows, size = fields.get("rows"), fields.get("bytes")
        self.population.indices.append(index)
        self.population.rows += rows if isinstance(rows, int) else 0
        self.population.bytes += size if isinstance(size, int) else 0

    def _selects(self, index: int, fields: Mapping[str, object], origin: str) -> bool:
        column_filters: list[tuple[str, str]] = []
        for name, value in self.wanted:
            if name in {"column", "label", "disposition"}:
                column_filters.append((name, value))
            elif name in self.OF_OUTCOME or name == "kind":
                continue
            elif not self._fits(name, value, index, fields, origin):
                return False
        return not column_filters or _columns_fit(column_filters, fields)

    def _fits(self, name: str, value: str, index: int, fields: Mapping[str, object], origin: str) -> bool:
        moment = str(fields["time"])
        if name == "since":
            return moment >= value
        if name == "until":
            return moment < value
        if name == "log":
            return origin == value
        if name in {"index", "intent"}:
            return str(index) == value
        if name == "shape":
            return value.lower() in str(fields.get("shape") or "").lower()
        if name in self.LISTS:
            database = fields.get("database")
            return any(is_named(f"{database}.{item}", value) for item in texts_in(fields.get(self.LISTS[name])))
        return _equals(fields.get(name), value)


def _equals(stored: object, wanted: str) -> bool:
    return stored is not None and str(stored) == wanted


def is_named(name: str, wanted: str) -> bool:
    """`shop.public.people.email` is named by itself and by its last parts."""
    return name == wanted or name.endswith(f".{wanted}")


def _columns_fit(filters: Sequence[tuple[str, str]], fields: Mapping[str, object]) -> bool:
    """Whether one column fits label and disposition, and every column asked for is among those that do."""
    listed = fields.get("columns")
    columns = map(object_of, listed if isinstance(listed, list) else ())
    fitting = [
        f"{fields.get('database')}.{column.get('name')}"
        for column in columns
        if all(column.get(name) == value for name, value in filters if name != "column")
    ]
    wanted = [value for name, value in filters if name == "column"]
    return bool(fitting) and all(any(is_named(name, value) for name in fitting) for value in wanted)


def _moment(text: str, now: float) -> str:
    """A time as entries write it: `24h` or `90d` ago, or ISO 8601 in UTC."""
    ago = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if ago:
        seconds = now - int(ago[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[ago[2]]
        return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(seconds))
    given = re.fullmatch(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(\.\d{1,6})?)?(?:Z|\+00:00)?", text)
    if not given:
        raise UnusableError(f"--recount: `{printable(text)}` is not a time such as 24h or 2026-11-22T10:00:00Z")
    return f"{given[1]}T{given[2] or '00:00'}{given[3] or ':00'}.{(given[4] or '.')[1:].ljust(6, '0')}Z"


@dataclass(frozen=True)
class Claim:
    """What somebody says a recount must give: a number, or a list of (log or "", index)."""

    number: int | None = None
    rows: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def read(cls, stored: bytes) -> Claim:
        """A list as `lockgate log search --json` prints it, one object a line, or one index a line."""
        rows = []
        for line in filter(None, map(bytes.strip, stored.splitlines())):
            try:
                item = json.loads(line)
            except ValueError:
                raise UnusableError("the claimed list has a line that is neither an object nor an index") from None
            index = item.get("index") if isinstance(item, dict) else item
            if not isinstance(index, int) or isinstance(index, bool):
                raise UnusableError("the claimed list has a line without an index")
            rows.append((str(item.get("log") or "") if isinstance(item, dict) else "", index))
        return cls(rows=frozenset(rows), number=None)


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
    dropped: int = 0
    clock_steps: int = 0
    texts: int = 0
    texts_erased: int = 0
    erasures: int = 0
    pruned: int = 0
    pending: int = 0
    witnesses: dict[str, int] = field(default_factory=dict)
    through: str = ""  # the org log by way of which witnesses vouch for this one
    vouched_size: int = 0
    vouched_at: int | None = None
    stamps: int = 0
    stamped_size: int = 0
    stamped_at: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[str, int | None, str]] = field(default_factory=list)

    def find(self, kind: str, sentence: str, index: int | None = None) -> None:
        """Add a finding; only the first few of a kind are kept in full."""
        self.counts[kind] += 1
        if self.counts[kind] <= SHOWN_PER_KIND:
            self.findings.append((kind, index, sentence))


class Heads:
    """Checkpoints of one log in the order in which an org log took them up: size, place in the org log, root."""

    ROW = struct.Struct(">QQ32s")

    def __init__(self) -> None:
        self._rows = bytearray()
        self._last = 0
        self.shrank: int | None = None
        self.newest: tuple[int, int, bytes, bytes] = 0, 0, b"", b""

    def add(self, size: int, index: int, root: bytes, note: bytes) -> None:
        """The next one; one that is smaller than the one before is remembered and left out."""
        if size < self._last:
            self.shrank = index
            return
        self._last = size
        self._rows += self.ROW.pack(size, index, root)
        self.newest = index, size, root, note

    def __iter__(self) -> Iterator[tuple[int, int, bytes]]:
        """Each as (size, index, root), smallest first."""
        return self.ROW.iter_unpack(self._rows)

    def covered(self, size: int) -> int:
        """The size of the newest that stands below a size of the org log."""
        return max((own for own, index, _ in self if index < size), default=0)


# --- what the entries say ----------------------------------------------------------------------------------------------


class Story:
    """What the entries say one after another: epochs, counters, time, intents and outcomes, texts, erasures."""

    def __init__(self, report: Report, keys: Sequence[Key], recount: Recount | None, silence: int) -> None:
        self._report = report
        self._silence = silence
        self._raw_keys = [key.raw for key in keys]
        self._recount = recount
        self._epoch = -1
        self._counter = -1
        self._known = True  # false after a gap: what came before is not there
        self._gapped = False
        self._state = (
            bytearray()
        )  # per entry: 0 no intent, 1 intent without outcome, 2 intent with outcome, 3 not there
        self._boot = 0
        self._worked = 0  # where the last epoch began in which more was written than the end of an earlier one
        self._sessions: dict[str, int] = {}
        self._session_gaps: list[tuple[str, int, int, int]] = []
        self._dropped: dict[str, list[tuple[int, int]]] = {}
        self._second = 0
        self._time = ""
        self.texts = bytearray()  # 32 bytes of name and 8 of index for each text referred to
        self.erasing: Counter[str] = Counter()
        self.erased_names: set[bytes] = set()
        self.erased_keys: set[bytes] = set()
        self.erased_days: list[tuple[str, str, str]] = []
        self.succeeds: dict[str, object] = {}  # of a log that took the place of another
        self.heads: dict[str, Heads] = {}  # of an org log: the checkpoints it took up, by origin
        self.minimum = 0

    def skip(self, count: int) -> None:
        """Entries that are not there."""
        self._state.extend(b"\x03" * count)
        self._known = False
        self._gapped = True
        self._sessions.clear()  # that the entries are missing is a finding or a pruning; not their sessions' numbers as well

    def add_all(self, base: int, entries: Sequence[bytes], root_before: Callable[[int], bytes]) -> None:
        """Take the next entries into account; `root_before` gives the root of everything before an index.

        Most of the time of a verification is spent here, so what nearly every entry needs is done in this one loop.
        """
        report, state, sessions, kinds = self._report, self._state, self._sessions, list[str]()
        state.extend(bytes(len(entries)))
        for index, entry in enumerate(entries, base):
            try:
                fields: dict[str, Any] = parse_entry(entry)
            except MalformedError as error:
                report.find("entry-malformed", str(error), index)
                continue
            kind, moment, counter = fields["kind"], fields["time"], fields["n"]
            kinds.append(kind)
            if moment < self._time:
                report.find("time-backwards", f"{moment} comes after {self._time}", index)
            else:
                if moment[:19] != self._time[:19]:
                    self._clock(index, kind, moment)
                self._time = moment
            if kind == "boot" or counter != self._counter + 1 or fields["epoch"] != self._epoch:
                self._turn(index, kind, fields, root_before)
                self._epoch, self._known = fields["epoch"], True
            elif kind not in {"outcome", "close"}:
                self._worked = self._boot
            self._counter = counter
            session = fields.get("session")
            if session is not None:
                number = fields.get("s")
                if kind != "session" and type(session) is str and sessions.get(session, -2) + 1 == number:
                    sessions[session] = number
                elif number is not None:
                    self._in_session(index, session, number, fields)
            if kind == "outcome":
                intent = fields["intent"]
                if intent < index and state[intent] == 1 and fields["status"] != "unknown":
                    state[intent] = 2
                else:
                    self._outcome(index, fields)
            elif kind == "intent":
                state[index] = 1
            elif kind not in {"deny", "session", "heartbeat"}:
                self._seldom(index, kind, fields, moment)
            if "text" in fields:
                self.texts += bytes.fromhex(fields["text"]) + index.to_bytes(8, "big")
            if "clock" in fields:
                report.clock_steps += 1
            if self._recount is not None:
                self._recount.add(index, fields, report.origin)
        report.kinds.update(kinds)
        report.last_time = self._time

    def _clock(self, index: int, kind: str, moment: str) -> None:
        second = seconds_of(moment)
        if self._second and kind != "boot" and self._known and second - self._second > self._silence > 0:
            self._report.find(
                "silence", f"nothing was written for {second - self._second} seconds before {moment}", index
            )
        self._second = second
        if not self._report.first_time:
            self._report.first_time = moment

    def _turn(self, index: int, kind: str, fields: Mapping[str, object], root_before: Callable[[int], bytes]) -> None:
        """A boot entry, or a counter that does not simply go on."""
        epoch: int = fields["epoch"]  # type: ignore[assignment]
        counter: int = fields["n"]  # type: ignore[assignment]
        report = self._report
        if kind != "boot":
            if not self._known:
                return
            if epoch != self._epoch:
                name = "epoch-reused" if epoch < self._epoch else "boot-missing"
                report.find(name, f"epoch {epoch} appears in epoch {self._epoch} without a boot entry", index)
            else:
                report.find("counter-gap", f"counter {counter} follows counter {self._counter}", index)
            return
        if epoch <= self._epoch:
            report.find("epoch-reused", f"epoch {epoch} begins after epoch {self._epoch}", index)
        if counter:
            report.find("counter-gap", f"epoch {epoch} begins at counter {counter}", index)
        previous = object_of(fields.get("previous"))
        if previous.get("size") != index or previous.get("root") != root_before(index).hex():
            report.find("boot-mismatch", "a boot entry names another past than the one before it", index)
        if fields.get("origin") != report.origin:
            report.find("boot-mismatch", "a boot entry is of another log", index)
        if "succeeds" in fields and not index:
            self.succeeds = object_of(fields["succeeds"])
        named = [key.rpartition("+")[2] for key in texts_in(fields.get("keys"))]
        known = {Key(report.origin, ED25519, raw).identifier.hex() for raw in self._raw_keys}
        if not known >= set(named):
            report.find("unknown-key", f"epoch {epoch} signs with a key that you did not give", index)
        report.epochs.append(epoch)
        self._boot = index
        self._sessions.clear()

    def _in_session(self, index: int, session: object, number: object, fields: Mapping[str, object]) -> None:
        if not isinstance(session, str) or type(number) is not int:
            self._report.find("entry-malformed", "its session or counter has the wrong type", index)
            return
        last = self._sessions.get(session)
        if last is None:
            if number != 1 and not self._gapped:
                self._session_gaps.append((session, 0, number, index))
        elif number != last + 1:
            self._session_gaps.append((session, last, number, index))
        if fields.get("event") == "closed":
            self._sessions.pop(session, None)
        else:
            self._sessions[session] = number

    def _outcome(self, index: int, fields: Mapping[str, object]) -> None:
        intent: int = fields["intent"]  # type: ignore[assignment]
        state = self._state[intent] if intent < index else 0
        if state == 1:
            self._state[intent] = 2
        elif state == 0:
            self._report.find("outcome-without-intent", "an outcome names no earlier intent", index)
        elif state == 2:
            self._report.find("outcome-twice", f"intent {intent} has a second outcome", index)
        if fields["status"] == "unknown":
            self._report.unknown_outcomes += 1

    def _seldom(self, index: int, kind: str, fields: Mapping[str, object], moment: str) -> None:
        if kind == "erasure":
            self._erasure(fields, moment)
        elif kind == "checkpoint":
            origin, size, root, note = (fields.get(name) for name in ("origin", "size", "root", "note"))
            if not isinstance(size, int) or not all(isinstance(part, str) for part in (origin, root, note)):
                self._report.find("entry-malformed", "a checkpoint entry needs origin, size, root and note", index)
                return
            if size < 0 or HEX64.fullmatch(str(root)) is None:
                self._report.find("entry-malformed", "a checkpoint entry needs a size and a root", index)
                return
            heads = self.heads.setdefault(str(origin), Heads())
            heads.add(size, index, bytes.fromhex(str(root)), str(note).encode())
        elif fields.get("event") == "entries-dropped":
            count = fields.get("dropped")
            self._report.dropped += count if isinstance(count, int) else 0
            for session, numbers in object_of(fields.get("sessions")).items():
                if isinstance(numbers, list) and len(numbers) == 2:
                    self._dropped.setdefault(session, []).append((numbers[0], numbers[1]))
        elif kind == "policy" and fields.get("event") == "pruned" and isinstance(fields.get("minimum"), int):
            self.minimum = max(self.minimum, int(str(fields["minimum"])))

    def _erasure(self, fields: Mapping[str, object], moment: str) -> None:
        what = json.dumps(
            [fields.get(name) for name in ("database", "dataset", "day", "before", "person", "texts", "keys")]
        )
        if fields.get("event") == "begun":
            self.erasing[what] += 1
            return
        self.erasing[what] -= 1
        self._report.erasures += 1
        self.erased_names |= {bytes.fromhex(name) for name in texts_in(fields.get("texts")) if HEX64.fullmatch(name)}
        keys = texts_in(fields.get("keys"))
        self.erased_keys |= {bytes.fromhex(name) for name in keys if re.fullmatch("[0-9a-f]{32}", name)}
        if "person" not in fields and not fields.get("dataset"):
            first = last = str(fields.get("day") or "")
            if not first:
                last = str(fields.get("before") or moment[:11])
            self.erased_days.append((str(fields.get("database") or ""), first, last))

    def finish(self) -> None:
        """Count intents without outcome, and what is left of gaps and erasures."""
        report = self._report
        index = self._state.find(1)
        while index >= 0:
            if index < self.minimum:
                pass  # its outcome may have been pruned where it was not
            elif index < self._worked:
                report.find("outcome-missing", "no outcome, although the gate worked on after a later start", index)
            else:
                report.open_intents += 1
            index = self._state.find(1, index + 1)
        for session, last, number, where in self._session_gaps:
            missing = range(last + 1, number)
            ranges = self._dropped.get(session, [])
            if number <= last or not all(any(a <= m <= b for a, b in ranges) for m in missing):
                report.find(
                    "session-gap", f"number {number} follows number {last} in session {printable(session)}", where
                )
        for count in self.erasing.values():
            if count > 0:
                report.find("erasure-unfinished", "an erasure was begun, and no entry says that it was done")
        if self._recount is not None:
            self._recount.finish()


# --- one log -----------------------------------------------------------------------------------------------------------


@dataclass
class Options:
    """What the auditor asked for."""

    keys: Sequence[Key]
    policy: Policy | None = None
    seen: Sequence[bytes] = ()
    recount: Recount | None = None
    max_age: int = 0
    silence: int = SILENCE_SECONDS
    now: float = 0.0
    roots: Sequence[x509.Certificate] = ()


class Check:
    """All checks of one log, in the order an auditor would do them."""

    def __init__(self, folder: Folder, options: Options) -> None:
        self._folder = folder
        self._options = options
        self._keys = options.keys
        self.report = Report()
        self.recount = options.recount
        self._wanted: dict[int, list[tuple[bytes, str, str]]] = {}
        self._tiles: list[list[bytes]] = []
        self._tree = Tree()
        self._hashes: list[bytes] = []
        self._absent: list[tuple[int, int]] = []  # entries that are not there, as ranges
        self._partial = Tree()  # the tree up to somewhere in the bundle at hand
        self.taken_up = Heads()  # what an org log says of this log
        self.succeeded = False  # another log says that it took the place of this one, whose end was lost
        self.story = Story(self.report, self._keys, None, options.silence)

    def expect(self, size: int, root: bytes, kind: str, source: str) -> None:
        """Somebody saw this root at this size: `kind` is the finding when the log has another."""
        self._wanted.setdefault(size, []).append((root, kind, source))

    @property
    def origin(self) -> str:
        """The name of the log by its checkpoint, unverified."""
        stored = self._folder.read("checkpoint")
        found = None if stored is None else read_checkpoint(stored, self._keys)
        return "" if found is None else found.origin

    @property
    def replaces(self) -> str:
        """The name of the log whose place this one took, by its first entry, unverified; "" when it is the first."""
        try:
            first = [split_bundle(stored)[0] for _, stored in copies(self._folder, tile_name("entries", 0)) if stored]
            fields = parse_entry(first[0]) if first else {}
        except MalformedError:
            return ""
        return str(object_of(fields.get("succeeds")).get("origin", ""))

    def run(self) -> Report:
        """Check everything."""
        report, folder = self.report, self._folder
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
        if self.recount is not None and self.recount.log not in ("", report.origin):
            self.recount = None
        elif self.recount is not None:
            self.recount = Recount(self.recount.text, self._options.now)
        self.story = Story(report, self._keys, self.recount, self._options.silence)
        self._read_old_checkpoints(checkpoint)
        self._read_vouched(checkpoint)
        self._read_stamps(checkpoint)
        self._walk(checkpoint)
        for size in sorted(size for size in self._wanted if size > checkpoint.size):
            for _, _, source in self._wanted[size]:
                self._longer(source, size)
        self.story.finish()
        self._check_pruned()
        self._check_texts()
        self._check_end(checkpoint.size)
        self._check_age()
        return report

    def _longer(self, source: str, size: int) -> None:
        """Somebody saw more entries than there are."""
        kind = "end-lost" if self.succeeded else "rollback"
        self.report.find(kind, f"{source} states {size} entries, `checkpoint` has {self.report.size}")

    def _read_old_checkpoints(self, newest: Checkpoint) -> None:
        self.expect(newest.size, newest.root, "root-mismatch", "`checkpoint`")
        report = self.report
        stored = [(f"checkpoints/{name}", self._folder.read(f"checkpoints/{name}"), name)
                  for name in self._folder.names("checkpoints") if NUMBER.fullmatch(name)]  # fmt: skip
        for path, note, name in stored:
            old = None if note is None else read_checkpoint(note, self._keys)
            fault = "bad-signature" if old is None else old.fault
            if old is None or fault:
                report.find(fault, _fault_sentence(path, fault))
                continue
            report.checkpoints += 1
            if old.origin != newest.origin or old.size != int(name):
                report.find("checkpoint-fork", f"`{path}` is of another log or size")
            else:
                self.expect(old.size, old.root, "checkpoint-fork", f"`{path}`")
        for note in self._options.seen:
            seen = read_checkpoint(note, self._keys)
            if seen is not None and seen.origin == newest.origin:
                if seen.fault:
                    report.find(seen.fault, _fault_sentence("the checkpoint you kept", seen.fault))
                else:
                    self.expect(seen.size, seen.root, "history-rewritten", "the checkpoint you kept")

    def _read_vouched(self, newest: Checkpoint) -> None:
        """The newest checkpoint for which there is a quorum: `witnessed` beside `checkpoint`, or that itself."""
        policy, report = self._options.policy, self.report
        if policy is None:
            return
        stored = self._folder.read("witnessed")
        older = None if stored is None else read_checkpoint(stored, self._keys)
        if stored is not None and (older is None or older.fault or older.origin != newest.origin):
            report.find("bad-signature", "`witnessed` is not a signed checkpoint of this log")
            older = None
        if older is not None:
            self.expect(older.size, older.root, "history-rewritten", "the checkpoint that witnesses cosigned")
        for checkpoint in (newest, older):
            moments = {} if checkpoint is None or checkpoint.fault else policy.moments(checkpoint)
            report.witnesses = report.witnesses or moments
            if checkpoint is not None and policy.reached(moments):
                report.witnesses = moments
                report.vouched_size, report.vouched_at = checkpoint.size, policy.since(moments)
                return

    def _read_stamps(self, newest: Checkpoint) -> None:
        """Every time-stamping authority's token, and the checkpoint that it is for, which is one more that somebody saw."""
        report, folder = self.report, self._folder
        for name in folder.names("timestamps") if self._options.roots else ():
            if not name.endswith(".tsr"):
                continue
            path = f"timestamps/{name}"
            note = folder.read(f"{path[:-4]}.checkpoint")
            stamped = None if note is None else read_checkpoint(note, self._keys)
            if stamped is None or stamped.fault or stamped.origin != newest.origin:
                report.find("timestamp-invalid", f"`{printable(path)}` stands beside no signed checkpoint of this log")
                continue
            try:
                stamp = Stamp.parse(folder.read(path) or b"")
                stamp.check(stamped.note.text, self._options.roots)
            except MalformedError as error:
                report.find("timestamp-invalid", f"`{printable(path)}`: {error}")
                continue
            self.expect(
                stamped.size, stamped.root, "history-rewritten", f"the checkpoint that `{printable(path)}` is for"
            )
            report.stamps += 1
            if stamped.size >= report.stamped_size:
                report.stamped_size, report.stamped_at = stamped.size, int(stamp.moment)

    # the tree

    def root_at(self, size: int) -> bytes:
        """The root over the first `size` entries, where that lies in the bundle at hand."""
        if not self._tree.size <= self._partial.size <= size:
            self._partial = self._tree.copy()
        for leaf in self._hashes[self._partial.size - self._tree.size : size - self._tree.size]:
            self._partial.append(leaf)
        return self._partial.root

    def _walk(self, checkpoint: Checkpoint) -> None:
        """Every entry bundle against its tile, both against the signed root, checkpoints that others saw on the way."""
        report, size = self.report, checkpoint.size
        by_tiles: Tree | None = None  # when the stored hashes differ from the entries
        sizes = sorted(self._wanted, reverse=True)
        heads = iter(self.taken_up)
        head = next(heads, None)
        differing: list[int] = []
        complete = True
        for number in range((size + WIDTH - 1) // WIDTH):
            base, width = number * WIDTH, min(WIDTH, size - number * WIDTH)
            entries = self._bundle(number, width)
            tile = self._tile(0, number, width)
            hashes = [sha256(b"\x00" + entry).digest() for entry in entries]
            if tile is not None and b"".join(hashes) != b"".join(tile[: len(hashes)]):
                differing += [base + i for i, (a, b) in enumerate(zip(hashes, tile, strict=False)) if a != b]
                by_tiles = by_tiles or self._tree.copy()
            self._hashes = hashes if len(hashes) == width else hashes + (tile or [])[len(hashes) :]
            self.story.add_all(base, entries, self.root_at)
            if len(entries) < width:
                complete = False
                self._missing(base + len(entries), base + width)
            if len(self._hashes) < width:
                break
            while sizes and sizes[-1] <= base + width:
                self._compare_root(sizes.pop())
            while head is not None and head[0] <= base + width:
                if self.root_at(head[0]) != head[2]:
                    report.find(
                        "history-rewritten", f"entry {head[1]} of the org log states another root at {head[0]} entries"
                    )
                head = next(heads, None)
            if by_tiles is not None:
                for leaf in self._hashes if tile is None else tile:
                    by_tiles.append(leaf)
            report.checked += len(entries)
            self._grow(number, width)
        if head is not None and head[0] > size:
            self._longer(f"entry {head[1]} of the org log", head[0])
        self._conclude(checkpoint, by_tiles, differing, complete=complete)

    def _grow(self, number: int, width: int) -> None:
        if width == WIDTH:
            root = perfect_root(self._hashes)
            self._tree.append_tile(root)
            self._keep(0, number, root)
        else:
            for leaf in self._hashes:
                self._tree.append(leaf)
        self._hashes = []

    def _missing(self, start: int, end: int) -> None:
        """Entries that are not there: whether they were pruned, a later entry says."""
        self.story.skip(end - start)
        if self._absent and self._absent[-1][1] == start:
            start = self._absent.pop()[0]
        self._absent.append((start, end))

    def _check_pruned(self) -> None:
        """A copy may still have the very first entries, and a pruning that was interrupted has not come to the last ones."""
        for start, end in self._absent:
            if end <= self.story.minimum:
                self.report.pruned += end - start
            else:
                why = "" if start else ", and no policy entry says that they were pruned"
                self.report.find("entry-missing", f"entries from {start} to {end - 1} are not there{why}")

    def _conclude(self, checkpoint: Checkpoint, by_tiles: Tree | None, differing: list[int], *, complete: bool) -> None:
        report, tree, size = self.report, self._tree, checkpoint.size
        signed_entries = tree.size == size and tree.root == checkpoint.root
        signed_tiles = by_tiles is not None and by_tiles.size == size and by_tiles.root == checkpoint.root
        for index in differing:
            if signed_entries:
                report.find("tile-changed", "a hash does not match its entry, which the checkpoint confirms", index)
            else:
                report.find("entry-changed", "the entry does not match its hash", index)
        if tree.size < size:
            if complete or not self._absent or self._absent[0][0]:
                report.find("entry-missing", f"entries from {tree.size} to {size - 1} are not there")
            return
        for level, above in enumerate(self._tiles, 1):
            if above:
                self._compare_tile(level, size // WIDTH ** (level + 1), above)
        if not signed_entries and not signed_tiles and not differing:
            report.find("root-mismatch", "entries and tiles agree, but are not what the checkpoint signed")

    def _compare_root(self, size: int) -> None:
        wanted = self._wanted.pop(size, [])
        if size == self.report.size and len({root for root, _, _ in wanted}) < 2:
            return  # whether it is the right one is said at the end
        own = self.root_at(size)
        for root, kind, source in wanted:
            if size == self.report.size and root.hex() == self.report.root:
                continue
            if root != own or size == self.report.size:
                self.report.find(kind, f"{source} states another root at {size} entries than this log has")

    def _copies(self, name: str, width: int) -> list[tuple[int, bytes]]:
        """Stored copies; looked for again when too few are there, because a running gate replaces partial ones by full ones."""
        found = copies(self._folder, name)
        if not found or found[0][0] < width:
            self._folder.forget()
            found = copies(self._folder, name)
        return found

    def _bundle(self, number: int, width: int) -> list[bytes]:
        """The entries of the widest copy of a bundle that has enough; all copies must agree."""
        best: list[bytes] = []
        for at, stored in self._copies(tile_name("entries", number), width):
            try:
                entries = split_bundle(stored)
            except MalformedError as error:
                self.report.find("entry-changed", f"bundle {number} with {at} entries: {error}", number * WIDTH)
                continue
            if len(entries) != at:
                self.report.find("entry-missing", f"a copy of bundle {number} has {len(entries)} of {at} entries")
            if not best:
                best = entries
            elif entries != best[: len(entries)]:
                self.report.find("entry-changed", f"two copies of bundle {number} differ", number * WIDTH)
        return best[:width]

    def _tile(self, level: int, number: int, width: int) -> list[bytes] | None:
        """The hashes of a tile, None when it is missing or malformed, which is a finding."""
        best = b""
        for at, stored in self._copies(tile_name(str(level), number), width):
            if len(stored) != at * HASH_BYTES:
                self.report.find("tile-changed", f"tile {number} of level {level} has the wrong length")
            elif not best:
                best = stored
            elif not best.startswith(stored):
                self.report.find("tile-changed", f"two copies of tile {number} of level {level} differ")
        if len(best) < width * HASH_BYTES:
            self.report.find("tile-missing", f"tile {number} of level {level} is not there")
            return None
        return [best[i : i + HASH_BYTES] for i in range(0, width * HASH_BYTES, HASH_BYTES)]

    def _keep(self, level: int, number: int, root: bytes) -> None:
        """Put the root of a full tile into the tile above, and compare that one when it is full."""
        if len(self._tiles) == level:
            self._tiles.append([])
        above = self._tiles[level]
        above.append(root)
        if len(above) == WIDTH:
            self._tiles[level] = []
            self._compare_tile(level + 1, number // WIDTH, above)
            self._keep(level + 1, number // WIDTH, perfect_root(above))

    def _compare_tile(self, level: int, number: int, expected: list[bytes]) -> None:
        stored = self._tile(level, number, len(expected))
        if stored is not None and stored != expected:
            self.report.find("tile-changed", f"tile {number} of level {level} does not follow from the tiles below it")

    # texts, the end, age

    def _check_texts(self) -> None:
        present, erased = self._stored_texts()
        present |= {sha256(payload).digest() for index, payload in self._pending_frames() if index == BLOB_INDEX}
        texts, story = self.story.texts, self.story
        self.report.texts = len(texts) // 40
        erased |= story.erased_names
        for name, index in struct.iter_unpack(">32sQ", texts):
            if name in erased:
                self.report.texts_erased += 1
            elif name not in present:
                if self._erased_with_its_day(index):
                    self.report.texts_erased += 1
                elif index >= story.minimum:
                    self.report.find(
                        "blob-missing", "its sealed text is not there, and no erasure entry says why", index
                    )

    def _stored_texts(self) -> tuple[set[bytes], set[bytes]]:
        """Names of all texts in packs and files, and of those among them whose key was destroyed."""
        present: set[bytes] = set()
        erased: set[bytes] = set()
        report, folder, keys = self.report, self._folder, self.story.erased_keys

        def add(payload: bytes) -> bytes:
            name = sha256(payload).digest()
            present.add(name)
            if keys and any(payload[at : at + 16] in keys for at in range(2, 2 + payload[1] - 15, 16)):
                erased.add(name)
            return name

        for pack in folder.names("blob/packs"):
            stored = folder.read(f"blob/packs/{pack}")
            if stored is None or pack.endswith(".tmp"):
                continue
            found, end = frames(stored)
            if end != len(stored) or any(index != BLOB_INDEX for index, _ in found):
                report.find("blob-changed", f"the pack of texts `{printable(pack)}` is damaged")
            for _, payload in found:
                add(payload)
        for prefix in folder.names("blob"):
            for file in folder.names(f"blob/{prefix}") if re.fullmatch("[0-9a-f]{2}", prefix) else ():
                stored = folder.read(f"blob/{prefix}/{file}") if HEX64.fullmatch(file) else None
                if stored is None:
                    continue
                present.add(bytes.fromhex(file))
                if add(stored or bytes(2)).hex() != file:
                    report.find("blob-changed", f"the text `{file}` does not match its name")
        return present, erased

    def _erased_with_its_day(self, index: int) -> bool:
        """Whether an erasure of whole days covers the text of an entry."""
        if not self.story.erased_days:
            return False
        number, offset = divmod(index, WIDTH)
        entries = self._bundle(number, min(WIDTH, self.report.size - number * WIDTH))
        try:
            fields = parse_entry(entries[offset])
        except (MalformedError, IndexError):
            return False
        database, day = str(fields.get("database", "")), str(fields["time"])[:10]
        return any(
            whose in ("", database) and (first == day if first else day < last)
            for whose, first, last in self.story.erased_days
        )

    def _pending_frames(self) -> Iterator[tuple[int, bytes]]:
        for name in self._folder.names("wal"):
            stored = self._folder.read(f"wal/{name}") if re.fullmatch(r"[0-9]+-[0-9]+", name) else None
            yield from frames(stored or b"")[0]

    def _check_end(self, size: int) -> None:
        """Entries after the checkpoint: those the write-ahead log still has are pending, others were signed away."""
        waiting = {index for index, _ in self._pending_frames() if size <= index < BLOB_INDEX}
        self.report.pending = len(waiting)
        last, width = divmod(size, WIDTH)
        beyond = [w for w, _ in copies(self._folder, tile_name("entries", last)) if w > width]
        if beyond and size not in waiting:
            self.report.find("rollback", f"the log has stored entries after {size}, where `checkpoint` ends")

    def _check_age(self) -> None:
        report, options = self.report, self._options
        if report.vouched_at is not None and report.vouched_size >= report.size and report.last_time:
            ahead = seconds_of(report.last_time) - report.vouched_at
            if ahead > AHEAD_SECONDS:
                report.find("time-ahead", f"the last record is {ahead} seconds later than the cosignature over it")
        if options.max_age and report.last_time and not report.kinds["close"]:
            age = int(options.now) - seconds_of(report.last_time)
            if age > options.max_age:
                report.find("stale", f"the last record is {age} seconds old, and the log was not closed")


def _fault_sentence(path: str, fault: str) -> str:
    return f"`{path}` is signed by no known key" if fault == "unknown-key" else f"the signature of `{path}` is wrong"


# --- all logs of a gate ------------------------------------------------------------------------------------------------


@dataclass
class Result:
    """What came out: a report for each log, or for receipts, and the comparison with a claim."""

    reports: list[Report] = field(default_factory=list)
    populations: dict[str, Population] = field(default_factory=dict)
    recount: str = ""
    claim: str = ""
    receipts: int = 0
    policy: bool = False
    partly: bool = False

    @property
    def status(self) -> int:
        """The exit status: of several findings the most serious one's."""
        statuses = {FINDINGS[kind][0] for report in self.reports for kind in report.counts}
        return next((status for status in (BROKEN, NOT_VOUCHED, DIFFERS, GAPS) if status in statuses), VERIFIED)


def check_gate(root: Path, options: Options) -> Result:
    """Check one log, or all logs in a folder with their org log."""
    if not root.is_dir():
        raise UnusableError("the log's folder is not there")
    if any((root / name).exists() for name in ("checkpoint", "checkpoints", "tile", "wal")):
        folders = [root]
    else:
        folders = sorted(
            path for path in root.iterdir() if path.is_dir() and not path.is_symlink() and (path / "tile").exists()
        )
        if not folders:
            raise UnusableError("the folder is not a log: it has no `checkpoint`, and no folder in it has one")
    checks = [Check(Folder(folder.resolve()), options) for folder in folders]
    orgs = [check for check in checks if re.fullmatch(r".*/org(~[0-9]+)?", check.origin)]
    replaced = {check.replaces for check in checks}
    for check in checks:
        check.succeeded = check.origin in replaced
    result = Result(policy=options.policy is not None)
    for org in orgs:
        result.reports.append(org.run())
        _check_heads(org, options)
    for check in (check for check in checks if check not in orgs):
        org_of = next((org for org in orgs if check.origin in org.story.heads), None)
        if org_of is not None:
            check.taken_up = org_of.story.heads[check.origin]
        result.reports.append(check.run())
        if org_of is not None:
            covered = check.taken_up.covered(org_of.report.vouched_size)
            check.report.vouched_size = min(covered, check.report.size)
            check.report.vouched_at, check.report.through = org_of.report.vouched_at, org_of.report.origin
        if check.recount is not None:
            result.populations[check.report.origin] = check.recount.population
    _check_successors(checks)
    origins = {report.origin for report in result.reports}
    for note in options.seen:
        kept = read_checkpoint(note, options.keys)
        if kept is None or kept.origin not in origins:
            raise UnusableError("a checkpoint given with --seen is none, or of none of these logs")
    _check_vouched(result.reports, [org.report for org in orgs], options)
    if options.roots and not any(report.stamps for report in result.reports):
        (orgs or checks)[0].report.find("timestamp-missing", "no token in the folder `timestamps` holds")
    return result


def _check_successors(checks: Sequence[Check]) -> None:
    """A log that took the place of another must name the end that the other has."""
    by_origin = {check.report.origin: check.report for check in checks}
    for check in checks:
        said = check.story.succeeds
        before = by_origin.get(str(said.get("origin")))
        if before is not None and (said.get("size"), said.get("root")) != (before.size, before.root):
            check.report.find(
                "boot-mismatch", f"it took the place of {printable(before.origin)}, and names another end than that has"
            )


def _check_heads(org: Check, options: Options) -> None:
    """Checkpoints that the org log took up: the newest of each log must be signed, and say what the entry says."""
    for origin, heads in org.story.heads.items():
        index, size, root, note = heads.newest
        head = read_checkpoint(note, options.keys)
        if head is None or head.fault:
            org.report.find("bad-signature", "it holds a checkpoint whose signature is wrong", index)
        elif (head.origin, head.size, head.root) != (origin, size, root):
            org.report.find("entry-malformed", "it says something else than the checkpoint in it", index)
        if heads.shrank is not None:
            org.report.find(
                "rollback", f"log {printable(origin)} is shorter here than in an entry before", heads.shrank
            )


def _check_vouched(reports: Sequence[Report], orgs: Sequence[Report], options: Options) -> None:
    """Quorum and freshness: of the org log when there is one, else of each log."""
    policy = options.policy
    for report in orgs or reports:
        if policy is None or policy.quorum == "none":
            return
        if report.vouched_at is None:
            names = ", ".join(sorted(report.witnesses)) or "none"
            report.find(
                "quorum-missing",
                f"the policy asks for `{printable(policy.quorum)}`; valid cosignatures: {printable(names)}",
            )
        elif options.max_age and options.now - report.vouched_at > options.max_age:
            report.find("stale", f"the cosignatures are {int(options.now - report.vouched_at)} seconds old")
    for report in reports:
        known = any(org.vouched_at is not None for org in orgs)
        if known and report not in orgs and report.size and not report.vouched_size:
            report.find("not-covered", "the cosigned part of the org log does not mention this log")


def compare_claim(result: Result, claim: Claim) -> None:
    """Find what a list or number says that the entries do not, and the other way round."""
    found = {(log, index) for log, population in result.populations.items() for index in population.indices}
    report = result.reports[-1]
    if claim.number is not None:
        result.claim = f"{claim.number} claimed, {len(found)} counted"
        if claim.number != len(found):
            report.find("claim-differs", f"{claim.number} were claimed, the entries have {len(found)}")
        return
    only = next(iter(result.populations)) if len(result.populations) == 1 else ""
    listed = {(log or only, index) for log, index in claim.rows}
    result.claim = f"{len(listed)} listed, {len(found)} counted, {len(found & listed)} in both"
    for log, index in sorted(found - listed):
        report.find("claim-differs", f"the list leaves out entry {index} of {printable(log)}", index)
    for log, index in sorted(listed - found):
        report.find(
            "claim-differs", f"the list has entry {index} of {printable(log)}, which does not belong to it", index
        )


# --- receipts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Receipt:
    """A tlog-proof: where an entry stands, the path to the root, and the checkpoint with that root."""

    index: int
    path: tuple[bytes, ...]
    note: bytes
    extra: bytes

    @classmethod
    def parse(cls, stored: bytes) -> Receipt:
        """The receipt in a file; MalformedError when it is none."""
        head, separator, note = stored.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
            extra = strict_base64(lines.pop(1)[6:]) if len(lines) > 1 and lines[1].startswith("extra ") else b""
            path = tuple(strict_base64(line) for line in lines[2:])
        except ValueError:
            raise MalformedError("it is not a tlog-proof") from None
        number = lines[1].removeprefix("index ") if len(lines) > 1 and lines[1].startswith("index ") else ""
        if not separator or lines[0] != PROOF_HEADER or NUMBER.fullmatch(number) is None or len(path) > 63:
            raise MalformedError("it is not a tlog-proof")
        if any(len(step) != HASH_BYTES for step in path):
            raise MalformedError("its path is not made of hashes")
        return cls(int(number), path, note, extra)

    def checkpoint(self, entry: bytes, keys: Sequence[Key], *, kind: str) -> Checkpoint:
        """The signed checkpoint under which the entry stands; MalformedError when it does not."""
        checkpoint = read_checkpoint(self.note, keys)
        if checkpoint is None:
            raise MalformedError(f"its {kind} is not a signed checkpoint")
        if checkpoint.fault:
            raise MalformedError(_fault_sentence(f"its {kind}", checkpoint.fault).replace("`", ""))
        if root_of_path(leaf_hash(entry), self.index, checkpoint.size, self.path) != checkpoint.root:
            raise MalformedError("the entry is not where the receipt says")
        return checkpoint


def check_receipts(path: Path, entry: Path | None, options: Options) -> Result:
    """Check one receipt, or all receipts in a folder."""
    proofs = [path]
    if path.is_dir():
        proofs = sorted(
            found for found in path.glob(f"*{PROOF_SUFFIX}") if not found.name.endswith(f".org{PROOF_SUFFIX}")
        )
    result = Result(receipts=len(proofs), policy=options.policy is not None)
    by_log: dict[str, Report] = {}
    for proof in proofs:
        try:
            checkpoint, fields, index, vouching = _check_receipt(proof, entry, options)
        except MalformedError as error:
            by_log.setdefault("", Report(origin="(no log)")).find("proof-invalid", f"{printable(proof.name)}: {error}")
            continue
        report = by_log.setdefault(checkpoint.origin, Report(origin=checkpoint.origin))
        if checkpoint.size >= report.size:
            report.size, report.root, report.signer = checkpoint.size, checkpoint.root.hex(), checkpoint.signer
        report.checked += 1
        report.kinds[str(fields["kind"])] += 1
        moment = str(fields["time"])
        report.first_time, report.last_time = min(report.first_time or moment, moment), max(report.last_time, moment)
        _vouch(report, vouching, options, f"entry {index}")
    result.reports = list(by_log.values())
    return result


def _check_receipt(
    proof: Path, entry: Path | None, options: Options
) -> tuple[Checkpoint, dict[str, object], int, Checkpoint]:
    """The log's checkpoint, the entry, its index, and the checkpoint that witnesses are asked about: the org log's if there is one."""
    receipt = Receipt.parse(_small(proof) or b"")
    stored = _small(entry) if entry is not None else _small(proof.with_suffix(".json")) or receipt.extra
    if not stored:
        raise MalformedError("the entry itself is missing: name it with --entry")
    checkpoint = receipt.checkpoint(stored, options.keys, kind="checkpoint")
    fields = parse_entry(stored)
    above = proof.with_name(proof.name.removesuffix(PROOF_SUFFIX) + f".org{PROOF_SUFFIX}")
    if not above.is_file():
        return checkpoint, fields, receipt.index, checkpoint
    second = Receipt.parse(_small(above) or b"")
    head = _small(above.with_suffix(".json")) or second.extra
    vouching = second.checkpoint(head, options.keys, kind="org checkpoint")
    said = parse_entry(head)
    if (said.get("origin"), said.get("size"), said.get("root")) != (
        checkpoint.origin,
        checkpoint.size,
        checkpoint.root.hex(),
    ):
        raise MalformedError("the org log's entry is about another checkpoint")
    return checkpoint, fields, receipt.index, vouching


def _vouch(report: Report, checkpoint: Checkpoint, options: Options, what: str) -> None:
    policy = options.policy
    if policy is None:
        return
    moments = policy.moments(checkpoint)
    moment = policy.since(moments)
    report.witnesses |= moments
    if not policy.reached(moments):
        report.find("quorum-missing", f"{what}: valid cosignatures: {', '.join(sorted(moments)) or 'none'}")
    elif moment is not None:
        report.vouched_size, report.vouched_at = checkpoint.size, moment
        if options.max_age and options.now - moment > options.max_age:
            report.find("stale", f"{what}: the cosignatures are {int(options.now - moment)} seconds old")


def _small(path: Path) -> bytes | None:
    """The bytes of a file of a receipt; None when it is missing or too long to be one."""
    try:
        with path.open("rb") as stream:
            stored = stream.read(PROOF_BYTES_MAX + 1)
    except OSError:
        return None
    return stored if len(stored) <= PROOF_BYTES_MAX else None


# --- showing -----------------------------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """Text from the log without control characters, for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


def as_json(result: Result) -> str:
    """The result for programs."""
    reports = []
    for report in result.reports:
        shown = {k: v for k, v in vars(report).items() if k not in {"findings", "counts", "kinds"}}
        shown["kinds"] = dict(sorted(report.kinds.items()))
        shown["finding_counts"] = dict(sorted(report.counts.items()))
        shown["findings"] = [{"kind": k, "index": i, "sentence": s} for k, i, s in report.findings]
        reports.append(shown)
    whole: dict[str, object] = {
        "verified": result.status == VERIFIED, "status": result.status, "verdict": VERDICTS[result.status],
        "logs": reports, "receipts": result.receipts,
    }  # fmt: skip
    if result.recount:
        whole["recount"] = {
            "filter": result.recount, "claim": result.claim,
            "logs": {
                log: {"count": len(p.indices), "rows": p.rows, "bytes": p.bytes, "indices": p.indices[:LISTED_MAX],
                      "all_listed": len(p.indices) <= LISTED_MAX}
                for log, p in result.populations.items()
            },
        }  # fmt: skip
    return json.dumps(whole, indent=2, sort_keys=True)


def as_text(result: Result) -> str:
    """The result for people."""
    lines: list[str] = []
    for report in result.reports:
        lines += [
            *(_receipts(report) if result.receipts else _facts(report, policy=result.policy)),
            *_findings(report),
            "",
        ]
    if result.recount:
        lines += _recounted(result)
    counts: Counter[str] = Counter()
    for report in result.reports:
        counts.update(report.counts)
    verdict = VERDICTS[result.status]
    if result.status == VERIFIED:
        what = (
            "each entry is in its log"
            if result.receipts
            else "every record is what was signed, in order and without a gap"
        )
        lines.append(f"{verdict}: {what}.")
        lines += _advice(result)
    else:
        number = sum(counts.values())
        lines.append(f"{verdict}: {number:,} finding{'s' if number > 1 else ''} ({', '.join(sorted(counts))})")
        if result.status not in {BROKEN, UNUSABLE}:
            lines.append("No record was altered, removed or put out of order as far as the signed checkpoint goes.")
    return "\n".join(lines)


def _facts(report: Report, *, policy: bool) -> list[str]:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in report.kinds.most_common())
    rows = [
        ("records", f"{report.checked:,} of {report.size:,} checked: {kinds}" if report.checked else f"0 of {report.size:,} checked"),
        ("time", f"{report.first_time or '-'} to {report.last_time or '-'}; opened {len(report.epochs)} time{'s' * (len(report.epochs) != 1)}"),
        ("signed", f"by {printable(report.signer) or 'no key that you trust'}; root {report.root}"),
        ("history", f"{report.checkpoints:,} kept checkpoints compared"),
        ("witnesses", _witnesses(report, policy=policy)),
    ]  # fmt: skip
    if report.stamped_at is not None:
        rows.append(
            ("time stamps", f"{report.stamps:,} hold; the newest says that {report.stamped_size:,} records were there at {time_text(report.stamped_at)}")
        )  # fmt: skip
    if report.kinds["intent"] or report.kinds["deny"]:
        rows += [
            ("statements", (f"{report.kinds['intent']:,} forwarded, {report.kinds['deny']:,} denied or refused; {report.open_intents:,} still without "
             f"outcome, {report.unknown_outcomes:,} cut off by a crash")),
            ("texts", f"{report.texts:,} sealed, {report.texts_erased:,} of them erased by {report.erasures:,} erasures"),
        ]  # fmt: skip
    if report.pruned:
        rows.append(
            ("pruned", f"{report.pruned:,} records at the beginning, by an entry of the log; their hashes were checked")
        )
    if report.dropped:
        rows.append(
            (
                "refused",
                f"{report.dropped:,} records could not be written; their statements were refused, which the log says",
            )
        )
    if report.clock_steps:
        rows.append(("clock", f"{report.clock_steps:,} records say that the gate's clock had gone back"))
    if report.pending:
        rows.append(("not covered", f"{report.pending:,} records written after the checkpoint"))
    return [f"log {printable(report.origin) or '(unknown)'}", *(f"  {name:<12} {text}" for name, text in rows)]


def _receipts(report: Report) -> list[str]:
    if not report.checked:
        return [f"receipts {printable(report.origin)}"]
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in report.kinds.most_common())
    lines = [f"receipts from log {printable(report.origin)}", f"  entries      {report.checked:,} proven: {kinds}; {report.first_time} to {report.last_time}",
             f"  signed       by {printable(report.signer)}; {report.size:,} records, root {report.root}"]  # fmt: skip
    if report.witnesses:
        lines.append(f"  witnesses    {_moments(report)}")
    return lines


def _witnesses(report: Report, *, policy: bool) -> str:
    if not policy:
        return "not asked: give --policy to have cosignatures checked"
    vouched = (
        "" if report.vouched_at is None else f"; {report.vouched_size:,} of {report.size:,} records are vouched for"
    )
    if report.through:
        return f"by way of {printable(report.through)}{vouched}"
    return (_moments(report) or "no valid cosignature of a witness in your policy") + vouched


def _moments(report: Report) -> str:
    return ", ".join(f"{printable(name)} at {time_text(at)}" for name, at in sorted(report.witnesses.items()))


def _findings(report: Report) -> list[str]:
    lines = []
    for kind, count in sorted(report.counts.items(), key=lambda item: (FINDINGS[item[0]][0], item[0])):
        lines += ["", f"  ! {kind}: {FINDINGS[kind][1]}"]
        shown = [(index, sentence) for name, index, sentence in report.findings if name == kind]
        lines += [f"      {'' if index is None else f'entry {index}: '}{sentence}" for index, sentence in shown]
        if count > len(shown):
            lines.append(f"      and {count - len(shown):,} more")
    return lines


def _recounted(result: Result) -> list[str]:
    lines = [f"recount      {printable(result.recount)}"]
    for log, population in sorted(result.populations.items()):
        lines.append(
            f"  {printable(log)}: {len(population.indices):,} entries, {population.rows:,} rows, {population.bytes:,} bytes"
        )
    if result.claim:
        lines.append(f"  claim: {result.claim}")
    return [*lines, ""]


def _advice(result: Result) -> list[str]:
    """What a verified log does not show, and what would."""
    if result.receipts:
        return [] if result.policy else ["No witness was asked: give --policy to know that others saw the same log."]
    later = sum(report.size - report.vouched_size for report in result.reports if report.vouched_at is not None)
    lines = [] if result.policy else [
        "This does not show that no other version of the log exists: give --policy with the witnesses you trust."]  # fmt: skip
    if result.policy and later > 0:
        many = f"{later:,} records are" if later > 1 else "One record is"
        lines.append(f"{many} younger than the witnesses' last look: for that, only the gate's own key vouches.")
    lines.append(
        "Keep `checkpoint` for the next time, and give it then with --seen: history before it cannot be rewritten unnoticed."
    )
    return lines


# --- the program -------------------------------------------------------------------------------------------------------


def verify(folder: Path, key_text: str) -> Report:
    """Check one log with the keys of a `log.pub` file."""
    if not folder.is_dir():
        raise UnusableError("the log's folder is not there")
    return Check(Folder(folder.resolve()), Options(read_keys(key_text), now=time.time())).run()


def duration(text: str) -> int:
    """`90s`, `30m`, `24h` or `7d` in seconds."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if not found:
        raise UnusableError(f"`{printable(text)}` is not a duration such as 24h")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lockgate_verify", description="Check the record of a Lockgate gate offline.",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog="""examples:
  lockgate_verify.py log/gate-1 --key log.pub                        one log
  lockgate_verify.py log --policy trust.policy --max-age 24h         all logs of a gate, with witnesses
  lockgate_verify.py log/gate-1 --key log.pub --seen last/checkpoint not rewritten since the last audit
  lockgate_verify.py log/gate-1 --key log.pub --recount "column=customers.email since=90d" --claim answer.jsonl
  lockgate_verify.py proofs/gate-1-17.tlog-proof --policy trust.policy

exit status: 0 verified, 1 broken, 2 unusable input, 3 not vouched for, 4 claim differs, 5 gaps to explain""",
    )  # fmt: skip
    parser.add_argument(
        "path",
        metavar="PATH",
        help="folder of one log, folder of all logs, a receipt (.tlog-proof), or a folder of receipts",
    )
    parser.add_argument("--key", metavar="FILE", help="the logs' public key, `log.pub`, from elsewhere than the copy")
    parser.add_argument(
        "--policy", metavar="FILE", help="a C2SP tlog-policy: logs, witnesses and the quorum that you ask for"
    )
    parser.add_argument(
        "--max-age", metavar="TIME", help="with this, records or cosignatures older than 24h, 7d, ... are a finding"
    )
    parser.add_argument(
        "--timestamp-roots",
        metavar="FILE",
        help="certificates (PEM) that you trust for time stamps (RFC 3161): every token is checked",
    )
    parser.add_argument(
        "--seen",
        metavar="FILE",
        action="append",
        default=[],
        help="a checkpoint you kept or got from a witness; may be repeated",
    )
    parser.add_argument(
        "--recount", metavar="FILTER", help="count statements: NAME=VALUE ... as in `lockgate log search`"
    )
    parser.add_argument("--expect", metavar="N", type=int, help="with --recount: the number you were told")
    parser.add_argument(
        "--claim",
        metavar="FILE",
        help="with --recount: the list you were given, `lockgate log search --json`; - reads it from standard input",
    )
    parser.add_argument("--entry", metavar="FILE", help="the entry of a receipt (default: beside it, ending in .json)")
    parser.add_argument(
        "--silence",
        metavar="TIME",
        default=f"{SILENCE_SECONDS}s",
        help="how long an open gate may write nothing; 0s: any (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def read_roots(path: str | None) -> list[x509.Certificate]:
    """The certificates in a file, none without one; UnusableError when it has none."""
    if path is None:
        return []
    try:
        return x509.load_pem_x509_certificates(_bytes_of(path))
    except ValueError:
        raise UnusableError("the file of --timestamp-roots has no certificate that can be read") from None


def _bytes_of(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read(FILE_BYTES_MAX)
    with Path(path).open("rb") as stream:
        return stream.read(FILE_BYTES_MAX)


def _answer(options: argparse.Namespace) -> Result:
    policy = read_policy(_bytes_of(options.policy).decode("utf-8", "surrogateescape")) if options.policy else None
    keys = read_keys(_bytes_of(options.key)[:100_000].decode()) if options.key else []
    keys += policy.logs if policy is not None else ()
    if not keys:
        raise UnusableError("say whom you trust: --key log.pub, or a --policy with a `log` line")
    now = time.time()
    if (options.expect is not None or options.claim) and not options.recount:
        raise UnusableError("--expect and --claim need --recount")
    asked = Options(keys, policy, [_bytes_of(path) for path in options.seen], Recount(options.recount, now) if options.recount else None,
                    duration(options.max_age) if options.max_age else 0, duration(options.silence), now, read_roots(options.timestamp_roots))  # fmt: skip
    path = Path(options.path)
    if path.name.endswith(PROOF_SUFFIX) or (path.is_dir() and any(path.glob(f"*{PROOF_SUFFIX}"))):
        return check_receipts(path, Path(options.entry) if options.entry else None, asked)
    result = check_gate(path, asked)
    if options.recount:
        result.recount = options.recount
        claim = (
            Claim(options.expect)
            if options.expect is not None
            else Claim.read(_bytes_of(options.claim))
            if options.claim
            else None
        )
        if claim is not None:
            compare_claim(result, claim)
    return result


def run(arguments: list[str]) -> int:
    """The program: arguments in, exit status out."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        return UNUSABLE if stop.code else VERIFIED
    gc.disable()  # nothing here makes cycles, and looking for them would take a tenth of the time
    try:
        result = _answer(options)
    except UnusableError as error:
        problem = str(error)
    except (OSError, ValueError) as error:
        problem = f"reading failed: {type(error).__name__}"
    except (MemoryError, RecursionError):
        problem = "the input is too large to be checked"
    else:
        print(as_json(result) if options.json else as_text(result))
        return result.status
    if options.json:
        print(json.dumps({"verified": False, "status": UNUSABLE, "unusable": problem}))
    print(f"cannot verify: {problem}", file=sys.stderr)
    return UNUSABLE


def main() -> None:
    """Entry point, also of a zipapp."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
