"""Signed notes: text, an empty line, signature lines; Ed25519 log signatures; and the text forms of keys.

For: signing checkpoints so that tools of others can check them.
Not for: what the text says (see `checkpoint.py`), witnesses' signatures (`cosignature.py`), and not for making keys: seeds are
arguments.
Source: C2SP signed-note; the key texts are those of Go's golang.org/x/mod/sumdb/note.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lockgate.errors import LedgerError

_ED25519 = b"\x01"
_SKEY_START = "PRIVATE+KEY+"
NOTE_BYTES_MAX = 1_000_000
_SIGNATURES_MAX = 100


class Signer(Protocol):
    """What signs checkpoints; a key in a file now, a hardware key behind the same three members later."""

    @property
    def name(self) -> str:
        """The key's name, by C2SP advice the log's origin."""

    @property
    def public_key(self) -> bytes:
        """The raw Ed25519 public key, 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature of `message`, 64 bytes."""


def strict_base64(text: str) -> bytes:
    """The bytes of `text`, which must be the one base64 form they have.

    Raises:
        LedgerError: it is not.
    """
    try:
        plain = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise LedgerError("a text is not base64") from None
    if base64.b64encode(plain).decode() != text:
        raise LedgerError("a text is not in its one base64 form")
    return plain


def key_id(name: str, public_key: bytes, kind: bytes = _ED25519) -> bytes:
    """The four bytes that say which key signed, and how."""
    return sha256(name.encode() + b"\n" + kind + public_key).digest()[:4]


def checked_name(name: str) -> str:
    """`name` when a signature line can carry it.

    Raises:
        LedgerError: it cannot.
    """
    if not name or "+" in name or any(c.isspace() for c in name) or not name.isprintable():
        raise LedgerError("a key name must not be empty or contain spaces or a plus sign")
    return name


class Ed25519Signer:
    """A signer from the 32 bytes of an Ed25519 seed."""

    __slots__ = ("_key", "_seed", "name", "public_key")

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != 32:
            raise LedgerError("an Ed25519 seed has 32 bytes")
        self.name = checked_name(name)
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()

    @classmethod
    def from_skey(cls, text: str) -> Ed25519Signer:
        """The signer that a `log.key` text describes."""
        if not text.strip().startswith(_SKEY_START):
            raise LedgerError("the text is not a signing key")
        name, identifier, kind, seed = key_parts(text.strip()[len(_SKEY_START) :])
        signer = cls(name, seed) if kind == _ED25519 else None
        if signer is None or key_id(name, signer.public_key) != identifier:
            raise LedgerError("the signing key is not Ed25519, or does not match its own key id")
        return signer

    def renamed(self, name: str) -> Ed25519Signer:
        """The same key under the name of another log of the same gate."""
        return Ed25519Signer(name, self._seed)

    @property
    def skey(self) -> str:
        """The text of `log.key`; a secret."""
        identifier = key_id(self.name, self.public_key).hex()
        return f"{_SKEY_START}{self.name}+{identifier}+{base64.b64encode(_ED25519 + self._seed).decode()}"

    @property
    def vkey(self) -> str:
        """The text of `log.pub`."""
        return vkey_text(self.name, self.public_key)

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature of `message`."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"Ed25519Signer({self.name!r})"


def vkey_text(name: str, public_key: bytes) -> str:
    """The text form of a verification key."""
    return f"{checked_name(name)}+{key_id(name, public_key).hex()}+{base64.b64encode(_ED25519 + public_key).decode()}"


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A name and a raw Ed25519 public key, for a log's own signatures."""

    name: str
    public_key: bytes

    @classmethod
    def from_text(cls, text: str) -> VerificationKey:
        """The key that a `log.pub` text describes."""
        name, identifier, kind, public_key = key_parts(text.strip())
        if kind != _ED25519 or len(public_key) != 32:
            raise LedgerError("the verification key is not a log's Ed25519 key")
        if key_id(name, public_key) != identifier:
            raise LedgerError("the verification key does not match its own key id")
        return cls(name, public_key)

    @property
    def identifier(self) -> bytes:
        """The key id."""
        return key_id(self.name, self.public_key)

    @property
    def vkey(self) -> str:
        """The text form."""
        return vkey_text(self.name, self.public_key)

    def renamed(self, name: str) -> VerificationKey:
        """The same key under the name of another log of the same gate."""
        return VerificationKey(checked_name(name), self.public_key)

    def verifies(self, text: str, signature: bytes) -> bool:
        """True when `signature` is this key's over the note text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


def key_parts(text: str) -> tuple[str, bytes, bytes, bytes]:
    """Name, key id, kind and key bytes of `name+hex+base64`.

    Raises:
        LedgerError: the text is no key.
    """
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise LedgerError("a key text has three parts")
    try:
        identifier, key = bytes.fromhex(parts[1]), strict_base64(parts[2])
    except ValueError:
        raise LedgerError("a key text is not well formed") from None
    if len(identifier) != 4 or len(parts[1]) != 8 or len(key) < 33:
        raise LedgerError("a key text is not well formed")
    return checked_name(parts[0]), identifier, key[:1], key[1:]


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One line under a note: who claims to have signed, and the signature."""

    name: str
    identifier: bytes
    signature: bytes

    @property
    def text(self) -> str:
        """The line, with its newline."""
        return f"\u2014 {self.name} {base64.b64encode(self.identifier + self.signature).decode()}\n"

    @classmethod
    def parse(cls, line: str) -> SignatureLine:
        """The line without its newline.

        Raises:
            LedgerError: it has not the form of one.
        """
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        signed = strict_base64(encoded)
        if dash != "\u2014" or len(signed) < 5:
            raise LedgerError("a signature line is malformed")
        return cls(name, signed[:4], signed[4:])


def sign_note(text: str, signer: Signer) -> bytes:
    """The note: `text`, which ends with a newline, and one signature."""
    if not text.endswith("\n") or "\n\n" in text:
        raise LedgerError("a note's text ends with one newline and has no empty line")
    line = SignatureLine(signer.name, key_id(signer.name, signer.public_key), signer.sign(text.encode()))
    return f"{text}\n{line.text}".encode()


def split_note(note: bytes) -> tuple[str, list[SignatureLine]]:
    """The text of a note and its signature lines, none of which has been checked.

    Raises:
        LedgerError: the note is malformed.
    """
    if len(note) > NOTE_BYTES_MAX:
        raise LedgerError("a note is too long")
    try:
        text, separator, lines = note.decode().rpartition("\n\n")
    except UnicodeDecodeError:
        raise LedgerError("a note is not UTF-8") from None
    signatures = lines.split("\n")
    if not separator or signatures.pop() or not 1 <= len(signatures) <= _SIGNATURES_MAX:
        raise LedgerError("a note has no signature lines")
    return text + "\n", [SignatureLine.parse(line) for line in signatures]


def note_of(text: str, lines: Iterable[SignatureLine]) -> bytes:
    """The note with that text and those signature lines."""
    return f"{text}\n{''.join(line.text for line in lines)}".encode()


def open_note(note: bytes, keys: Iterable[VerificationKey]) -> str:
    """The text of a note that at least one of `keys` signed, and no known key signed wrongly.

    Raises:
        LedgerError: the note is malformed, or no signature by a known key verifies.
    """
    text, lines = split_note(note)
    known = {(key.name, key.identifier): key for key in keys}
    verified = False
    for line in lines:
        key = known.get((line.name, line.identifier))
        if key is None:
            continue
        if not key.verifies(text, line.signature):
            raise LedgerError("a signature does not verify")
        verified = True
    if not verified:
        raise LedgerError("no known key signed the note")
    return text
