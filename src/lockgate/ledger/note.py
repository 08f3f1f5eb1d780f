"""Signed notes with Ed25519: text, an empty line, signature lines; and the text forms of keys.

For: signing checkpoints so that tools of others can check them.
Not for: what the text says (see `checkpoint.py`), and not for making keys: seeds are arguments.
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


def key_id(name: str, public_key: bytes) -> bytes:
    """The four bytes that say which key signed."""
    return sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def _checked_name(name: str) -> str:
    if not name or "+" in name or any(c.isspace() for c in name) or not name.isprintable():
        raise LedgerError("a key name must not be empty or contain spaces or a plus sign")
    return name


class Ed25519Signer:
    """A signer from the 32 bytes of an Ed25519 seed."""

    __slots__ = ("_key", "_seed", "name", "public_key")

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != 32:
            raise LedgerError("an Ed25519 seed has 32 bytes")
        self.name = _checked_name(name)
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()

    @classmethod
    def from_skey(cls, text: str) -> Ed25519Signer:
        """The signer that a `log.key` text describes."""
        if not text.strip().startswith(_SKEY_START):
            raise LedgerError("the text is not a signing key")
        name, identifier, seed = _key_parts(text.strip()[len(_SKEY_START) :])
        signer = cls(name, seed)
        if key_id(name, signer.public_key) != identifier:
            raise LedgerError("the signing key does not match its own key id")
        return signer

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
    return f"{_checked_name(name)}+{key_id(name, public_key).hex()}+{base64.b64encode(_ED25519 + public_key).decode()}"


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A name and a raw Ed25519 public key."""

    name: str
    public_key: bytes

    @classmethod
    def from_text(cls, text: str) -> VerificationKey:
        """The key that a `log.pub` text describes."""
        name, identifier, public_key = _key_parts(text.strip())
        if key_id(name, public_key) != identifier:
            raise LedgerError("the verification key does not match its own key id")
        return cls(name, public_key)


def _key_parts(text: str) -> tuple[str, bytes, bytes]:
    """Name, key id and 32 key bytes of `name+hex+base64`."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise LedgerError("a key text has three parts")
    try:
        identifier, key = bytes.fromhex(parts[1]), strict_base64(parts[2])
    except ValueError:
        raise LedgerError("a key text is not well formed") from None
    if len(identifier) != 4 or len(key) != 33 or key[:1] != _ED25519:
        raise LedgerError("the key is not Ed25519")
    return _checked_name(parts[0]), identifier, key[1:]


def sign_note(text: str, signer: Signer) -> bytes:
    """The note: `text`, which ends with a newline, and one signature."""
    if not text.endswith("\n") or "\n\n" in text:
        raise LedgerError("a note's text ends with one newline and has no empty line")
    signed = key_id(signer.name, signer.public_key) + signer.sign(text.encode())
    return f"{text}\n\u2014 {signer.name} {base64.b64encode(signed).decode()}\n".encode()


def open_note(note: bytes, keys: Iterable[VerificationKey]) -> str:
    """The text of a note that at least one of `keys` signed, and no known key signed wrongly.

    Raises:
        LedgerError: the note is malformed, or no signature by a known key verifies.
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
    text += "\n"
    known = {(key.name, key_id(key.name, key.public_key)): key for key in keys}
    verified = False
    for line in signatures:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        signed = strict_base64(encoded)
        if dash != "\u2014" or len(signed) < 5:
            raise LedgerError("a signature line is malformed")
        key = known.get((name, signed[:4]))
        if key is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signed[4:], text.encode())
        except (InvalidSignature, ValueError):
            raise LedgerError("a signature does not verify") from None
        verified = True
    if not verified:
        raise LedgerError("no known key signed the note")
    return text
