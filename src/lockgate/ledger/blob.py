"""Sealed texts: AES-256-GCM under a key that can be destroyed, named by the hash of the ciphertext.

For: keeping statement texts readable for those with the key, and erasable without breaking a proof.
Not for: where keys live (`lockgate.storage.text_keys`). Nonces and keys are arguments; a nonce must never repeat under a key.
Source: evidence.md 1.4, privacy; NIST SP 800-38D.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lockgate.errors import LedgerError
from lockgate.ledger.keyed import KeyedHash

KEY_BYTES = 32
NONCE_BYTES = 12
NO_CLASS = ("none",)
"""The dataset classes of a text that concerns no labelled data."""
UNKNOWN_CLASS = ("unknown",)
"""The dataset classes of a text that may concern anything."""
SECRET_CLASS = ("secret",)
"""The dataset classes of a text that may hold a password; its values are not indexed."""
_TAG_BYTES = 16
_VERSION = b"\x01"


class SealedText(NamedTuple):
    """What an entry says of a sealed text: its name, and the tokens of the values in it (`lockgate.ledger.persons`)."""

    name: str
    persons: tuple[str, ...] = ()


def combined(keys: Sequence[bytes]) -> bytes:
    """One key that needs all of `keys`: without any of them nothing can be opened.

    Raises:
        LedgerError: there is none, or one has the wrong length.
    """
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise LedgerError("a key has the wrong length")
    key = keys[0]
    for further in keys[1:]:
        key = KeyedHash(key).digest(further)
    return key


def seal(key: bytes | AESGCM, plaintext: bytes, nonce: bytes, aad: bytes) -> bytes:
    """The sealed text: version, length and bytes of `aad`, nonce, ciphertext.

    Args:
        key: 32 bytes, or the cipher made of them: making one costs as much as sealing a short text.
        plaintext: what to hide.
        nonce: 12 bytes, never used before with this key.
        aad: at most 255 bytes that stay readable and are authenticated, such as the key's id.
    """
    if (isinstance(key, bytes) and len(key) != KEY_BYTES) or len(nonce) != NONCE_BYTES or len(aad) > 255:
        raise LedgerError("a key, nonce or label has the wrong length")
    cipher = AESGCM(key) if isinstance(key, bytes) else key
    head = _VERSION + bytes([len(aad)]) + aad
    return head + nonce + cipher.encrypt(nonce, plaintext, head)


def _split(sealed: bytes) -> tuple[bytes, bytes]:
    end = 2 + sealed[1] if len(sealed) > 2 else 0
    if sealed[:1] != _VERSION or len(sealed) < end + NONCE_BYTES + _TAG_BYTES:
        raise LedgerError("a sealed text is malformed")
    return sealed[:end], sealed[end:]


def label(sealed: bytes) -> bytes:
    """The readable part that was given as `aad`."""
    return _split(sealed)[0][2:]


def open_(key: bytes, sealed: bytes) -> bytes:
    """The plaintext.

    Raises:
        LedgerError: wrong key or changed bytes.
    """
    if len(key) != KEY_BYTES:
        raise LedgerError("a key has the wrong length")
    head, rest = _split(sealed)
    try:
        return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], head)
    except InvalidTag:
        raise LedgerError("a sealed text cannot be opened with this key") from None


def blob_name(sealed: bytes) -> str:
    """The name of a sealed text: the hex SHA-256 of its bytes, which entries refer to."""
    return sha256(sealed).hexdigest()
