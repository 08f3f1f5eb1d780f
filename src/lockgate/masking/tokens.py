"""Reversible text tokens: any string becomes letters and digits, different strings different ones.

For: values whose shape cannot be kept (names, local parts, domains, short numbers, anything unexpected).
Not for: choosing where a token is used; the pseudonyms of each label do.
Source: SP 800-38G (FF1 in radix 256 as a wide block); docs/adr/0003-pseudonym-constructions.md, section 2.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from lockgate.masking.ff1 import Ff1

BLOCK_BYTES = 5
"""Padded length is a multiple of this, so that base32 needs no padding and the exact length does not show."""

SHORTEST_BYTES = 10
LONGEST_BYTES = 1000
"""Longer values get a keyed tag instead, which has no inverse."""

_LONG_TAG_LETTERS = 51  # not a multiple of eight: never equal to a token


class TokenMaker:
    """Makes and opens tokens under one key."""

    def __init__(self, key: bytes, tag_key: bytes) -> None:
        self.ff1 = Ff1(key, 256)
        self._tag_key = tag_key

    def encode(self, value: str, tweak: bytes = b"") -> str:
        """The token of `value`: lower-case base32 of its padded bytes under FF1; injective for each tweak."""
        data = to_bytes(value)
        if len(data) > LONGEST_BYTES:
            return self.tag(value, _LONG_TAG_LETTERS)
        length = max(SHORTEST_BYTES, (len(data) + BLOCK_BYTES) // BLOCK_BYTES * BLOCK_BYTES)
        padded = data + b"\x80" + bytes(length - len(data) - 1)
        sealed = self.ff1.encrypt_int(int.from_bytes(padded, "big"), length, tweak)
        return base64.b32encode(sealed.to_bytes(length, "big")).decode("ascii").lower()

    def decode(self, token: str, tweak: bytes = b"") -> str | None:
        """The value of a token, None for anything that is no token of this key and tweak."""
        if len(token) % 8 or not token.isascii() or token != token.lower():
            return None
        try:
            sealed = base64.b32decode(token.upper())
        except (binascii.Error, ValueError):
            return None
        if not SHORTEST_BYTES <= len(sealed) <= LONGEST_BYTES + BLOCK_BYTES:
            return None
        opened = self.ff1.decrypt_int(int.from_bytes(sealed, "big"), len(sealed), tweak)
        data = opened.to_bytes(len(sealed), "big").rstrip(b"\0")
        if not data.endswith(b"\x80"):
            return None
        value = from_bytes(data[:-1])
        if value is None or not hmac.compare_digest(self.encode(value, tweak), token):
            return None
        return value

    def tag(self, value: str, letters: int) -> str:
        """At most 51 letters of a keyed hash: 5 bits each, not reversible, collisions possible when short."""
        digest = hmac.digest(self._tag_key, to_bytes(value), "sha256")
        return base64.b32encode(digest).decode("ascii").lower()[: min(letters, _LONG_TAG_LETTERS)]


def to_bytes(value: str) -> bytes:
    """Bytes of a string as the masks hash and encrypt it; total, and different for different strings."""
    return value.encode("utf-8", "surrogatepass")


def from_bytes(data: bytes) -> str | None:
    """The inverse of `to_bytes`, None for bytes that no string has."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
