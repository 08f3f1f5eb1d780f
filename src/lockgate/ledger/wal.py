"""Frames of the write-ahead log: length, CRC-32, index, payload.

For: finding after a crash which frames were written whole.
Not for: files, segments and syncing (`lockgate.storage`); a CRC finds torn writes, only the tree finds tampering.
Source: evidence.md 1.4. The same frame carries sealed texts: their index is `BLOB_INDEX`.
"""

from __future__ import annotations

import struct
from zlib import crc32

from lockgate import speed
from lockgate.errors import LedgerError

_HEADER = struct.Struct(">II Q")
HEADER_BYTES = _HEADER.size
PAYLOAD_BYTES_MAX = 1 << 24
BLOB_INDEX = 2**64 - 1
"""The index of a frame whose payload is a sealed text, not an entry."""


def frame(index: int, payload: bytes) -> bytes:
    """One frame; the CRC covers index and payload, and an empty payload is refused so that zeros are never a frame."""
    if not 0 < len(payload) <= PAYLOAD_BYTES_MAX:
        raise LedgerError("a frame's payload is empty or too long")
    return _HEADER.pack(len(payload), crc32(payload, crc32(index.to_bytes(8, "big"))), index) + payload


def frames(payloads: list[bytes], index: int, *, same: bool = False) -> bytes:
    """The frames of payloads one after the other, with indices from `index` on, or all with this one.

    Raises:
        LedgerError: a payload is empty or too long.
    """
    if speed.core is not None:
        found: bytes = speed.core.frames(payloads, index, same)
        return found
    return b"".join(frame(index if same else index + number, payload) for number, payload in enumerate(payloads))


def scan(stored: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """Every whole frame as (index, payload) up to the first that is not, and the offset where that one begins."""
    frames: list[tuple[int, bytes]] = []
    offset, view = 0, memoryview(stored)
    while offset + HEADER_BYTES <= len(stored):
        length, crc, index = _HEADER.unpack_from(stored, offset)
        end = offset + HEADER_BYTES + length
        if not 0 < length <= PAYLOAD_BYTES_MAX or end > len(stored):
            break
        if crc32(view[offset + HEADER_BYTES : end], crc32(index.to_bytes(8, "big"))) != crc:
            break
        frames.append((index, bytes(view[offset + HEADER_BYTES : end])))
        offset = end
    return frames, offset
