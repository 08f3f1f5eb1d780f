"""Keys for pseudonyms: one per masking class, purpose, scope, epoch and use.

For: deriving them from the master key so that no two uses share one, and rotation is a new epoch.
Not for: keeping, reading or rotating the master key.
Source: RFC 5869 (HKDF); docs/adr/0003-pseudonym-constructions.md.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lockgate.errors import InvariantError

KEY_BYTES = 32
_CACHED_KEYS = 4096
_DOMAIN = b"lockgate/masking/1"


class Master(Protocol):
    """Whoever holds the master key: bytes in this process, or a key service that never gives it out."""

    def derive(self, info: bytes) -> bytes:
        """32 bytes that depend on `info` and the master key, as a keyed pseudo-random function gives them.

        A key service that can make HMAC-SHA-256 of `info` and the byte 1 makes what HKDF-Expand makes of its key.
        """
        ...


class HeldMaster:
    """A master key in this process's memory."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise InvariantError("the masking master key must have at least 32 bytes")
        self._key = bytes(key)

    def __repr__(self) -> str:
        return "HeldMaster(...)"

    def derive(self, info: bytes) -> bytes:
        """HKDF-SHA-256 without salt."""
        return HKDF(SHA256(), KEY_BYTES, None, info).derive(self._key)


class KeyRing:
    """Derives 32-byte keys from one master key and remembers a bounded number of them."""

    __slots__ = ("_keys", "_master")

    def __init__(self, master: bytes | Master) -> None:
        self._master: Master = HeldMaster(master) if isinstance(master, bytes) else master
        self._keys: dict[tuple[str, str, str, int, str], bytes] = {}

    def __repr__(self) -> str:
        return "KeyRing(...)"

    def key(self, *, class_: str, purpose: str, scope: str, epoch: int, use: str) -> bytes:
        """The key of one use.

        Args:
            class_: the masking class, a label.
            purpose: what the session's work is for; sessions of one purpose see the same pseudonyms.
            scope: the data source, or a narrower audience.
            epoch: number of the rotation.
            use: which construction of the class uses the key.
        """
        name = (class_, purpose, scope, epoch, use)
        key = self._keys.get(name)
        if key is None:
            key = self._master.derive(_info(class_, purpose, scope, str(epoch), use))
            if len(key) != KEY_BYTES:
                raise InvariantError("the holder of the master key gave a key of another length")
            if len(self._keys) >= _CACHED_KEYS:
                self._keys.clear()
            self._keys[name] = key
        return key


def _info(*parts: str) -> bytes:
    # Each part behind its length: no two different tuples give the same bytes.
    info = _DOMAIN
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        info += len(data).to_bytes(4, "big") + data
    return info
