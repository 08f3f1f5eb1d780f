"""Cosignatures: a witness's statement that, at a time, this was the largest consistent tree of a log it had seen.

For: making and checking them, with Ed25519 and with ML-DSA-44.
Not for: deciding whether a checkpoint is consistent (`witness.py`) or how many are enough (`trust.py`). Time is an argument.
Source: C2SP tlog-cosignature; FIPS 204 for ML-DSA-44.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from lockgate.errors import LedgerError
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.note import SignatureLine, checked_name, key_id, key_parts

SEED_BYTES = 32
_TIME = struct.Struct(">Q")
_TIME_MAX = 2**63 - 1
_LABEL = b"subtree/v1\n\x00"
_SKEY_START = "PRIVATE+KEY+"


class Algorithm(Enum):
    """How a cosignature is made; the value is the byte in key texts and key ids."""

    ED25519 = b"\x04"
    MLDSA44 = b"\x06"

    @property
    def key_bytes(self) -> int:
        """Length of a public key."""
        return 32 if self is Algorithm.ED25519 else 1312


def _algorithm(kind: bytes) -> Algorithm:
    try:
        return Algorithm(kind)
    except ValueError:
        raise LedgerError("the key is not for cosignatures") from None


def _short(text: str) -> bytes:
    """A text of 1 to 255 bytes behind its length."""
    encoded = text.encode()
    if not 1 <= len(encoded) <= 255:
        raise LedgerError("a name or an origin has 1 to 255 bytes")
    return bytes([len(encoded)]) + encoded


def signed_message(algorithm: Algorithm, name: str, text: str, moment: int) -> bytes:
    """The bytes that a cosignature signs.

    Args:
        name: of the cosigner; only ML-DSA-44 commits to it.
        text: the checkpoint as it stands above the signature lines.
        moment: seconds since the epoch.

    Raises:
        LedgerError: the text is no checkpoint.
    """
    head = Checkpoint.parse(text, extensions=True)
    if algorithm is Algorithm.ED25519:
        return f"cosignature/v1\ntime {moment}\n{text}".encode()
    ends = struct.pack(">QQ", 0, head.size)
    return b"".join((_LABEL, _short(name), _TIME.pack(moment), _short(head.origin), ends, head.root))


@dataclass(frozen=True, slots=True)
class CosignerKey:
    """A witness's public key."""

    name: str
    algorithm: Algorithm
    public_key: bytes

    @classmethod
    def from_text(cls, text: str) -> CosignerKey:
        """The key that a verifier key text describes.

        Raises:
            LedgerError: it describes none, or not one for cosignatures.
        """
        name, identifier, kind, public_key = key_parts(text.strip())
        algorithm = _algorithm(kind)
        if len(public_key) != algorithm.key_bytes or key_id(name, public_key, kind) != identifier:
            raise LedgerError("the cosigner's key has the wrong length, or does not match its own key id")
        return cls(name, algorithm, public_key)

    @property
    def identifier(self) -> bytes:
        """The key id."""
        return key_id(self.name, self.public_key, self.algorithm.value)

    @property
    def vkey(self) -> str:
        """The text form."""
        encoded = base64.b64encode(self.algorithm.value + self.public_key).decode()
        return f"{checked_name(self.name)}+{self.identifier.hex()}+{encoded}"

    def moment(self, text: str, line: SignatureLine) -> int | None:
        """When this key cosigned the checkpoint `text`, in seconds since the epoch; None when `line` does not verify."""
        if (line.name, line.identifier) != (self.name, self.identifier) or len(line.signature) <= _TIME.size:
            return None
        moment = int(_TIME.unpack_from(line.signature)[0])
        signature = line.signature[_TIME.size :]
        if moment > _TIME_MAX:
            return None
        try:
            message = signed_message(self.algorithm, self.name, text, moment)
            if self.algorithm is Algorithm.ED25519:
                Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
            else:
                MLDSA44PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError, LedgerError, UnsupportedAlgorithm):
            return None
        return moment


class Cosigner:
    """A witness's private key, from a seed of 32 bytes."""

    __slots__ = ("_key", "_seed", "key")

    def __init__(self, name: str, algorithm: Algorithm, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise LedgerError("a cosigner's seed has 32 bytes")
        self._seed = seed
        self._key: Ed25519PrivateKey | MLDSA44PrivateKey
        try:
            if algorithm is Algorithm.ED25519:
                self._key = Ed25519PrivateKey.from_private_bytes(seed)
            else:
                self._key = MLDSA44PrivateKey.from_seed_bytes(seed)
        except UnsupportedAlgorithm:
            raise LedgerError("this build of `cryptography` has no ML-DSA-44") from None
        self.key = CosignerKey(checked_name(name), algorithm, self._key.public_key().public_bytes_raw())

    @classmethod
    def from_skey(cls, text: str) -> Cosigner:
        """The cosigner that a signing key text describes."""
        if not text.strip().startswith(_SKEY_START):
            raise LedgerError("the text is not a signing key")
        name, identifier, kind, seed = key_parts(text.strip()[len(_SKEY_START) :])
        cosigner = cls(name, _algorithm(kind), seed)
        if cosigner.key.identifier != identifier:
            raise LedgerError("the signing key does not match its own key id")
        return cosigner

    @property
    def skey(self) -> str:
        """The text form; a secret."""
        encoded = base64.b64encode(self.key.algorithm.value + self._seed).decode()
        return f"{_SKEY_START}{self.key.name}+{self.key.identifier.hex()}+{encoded}"

    def cosign(self, text: str, moment: int) -> SignatureLine:
        """The cosignature of the checkpoint `text` at `moment`, in seconds since the epoch."""
        if not 0 < moment <= _TIME_MAX:
            raise LedgerError("a cosignature's time is out of range")
        signature = self._key.sign(signed_message(self.key.algorithm, self.key.name, text, moment))
        return SignatureLine(self.key.name, self.key.identifier, _TIME.pack(moment) + signature)

    def __repr__(self) -> str:
        return f"Cosigner({self.key.name!r}, {self.key.algorithm.name})"
