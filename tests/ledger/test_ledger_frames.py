"""Frames of the write-ahead log, and sealed texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import LedgerError
from lockgate.ledger import blob, wal

KEY, NONCE = bytes(range(32)), bytes(12)


@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(min_size=1, max_size=80)), max_size=6), st.integers(0, 64)
)
def test_scan_gives_back_every_frame_before_zeros(frames: list[tuple[int, bytes]], zeros: int) -> None:
    stored = b"".join(wal.frame(index, payload) for index, payload in frames)
    assert wal.scan(stored + bytes(zeros)) == (frames, len(stored))


@given(st.data())
def test_scan_stops_at_the_first_frame_that_is_cut_or_changed(data: st.DataObject) -> None:
    frames = [(i, b"payload %d" % i) for i in range(5)]
    parts = [wal.frame(*frame) for frame in frames]
    stored = bytearray(b"".join(parts))
    position = data.draw(st.integers(0, len(stored) - 1))
    hit = position // len(parts[0])
    assert wal.scan(bytes(stored[:position])) == (frames[:hit], hit * len(parts[0]))
    stored[position] ^= 1 << data.draw(st.integers(0, 7))
    assert wal.scan(bytes(stored)) == (frames[:hit], hit * len(parts[0]))


@given(st.binary(max_size=200))
def test_scan_never_reads_past_the_end(stored: bytes) -> None:
    frames, end = wal.scan(stored)
    assert end == sum(wal.HEADER_BYTES + len(payload) for _, payload in frames) <= len(stored)


@pytest.mark.parametrize("payload", [b"", bytes(wal.PAYLOAD_BYTES_MAX + 1)], ids=["empty", "too long"])
def test_empty_and_oversized_payloads_are_refused(payload: bytes) -> None:
    with pytest.raises(LedgerError):
        wal.frame(0, payload)


@given(st.binary(max_size=300), st.binary(max_size=255))
def test_a_sealed_text_opens_with_its_key_only(text: bytes, aad: bytes) -> None:
    sealed = blob.seal(KEY, text, NONCE, aad)
    assert blob.open_(KEY, sealed) == text
    assert blob.label(sealed) == aad
    with pytest.raises(LedgerError):
        blob.open_(bytes(32), sealed)


def test_any_changed_byte_of_a_sealed_text_is_found() -> None:
    sealed = blob.seal(KEY, b"select 1", NONCE, b"key 1")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(LedgerError):
            blob.open_(KEY, bytes(changed))
        with pytest.raises(LedgerError):
            blob.open_(KEY, sealed[:position])


def test_keys_nonces_and_labels_of_a_wrong_length_are_refused() -> None:
    for key, nonce, aad in ((b"x", NONCE, b""), (KEY, b"x", b""), (KEY, NONCE, bytes(256))):
        with pytest.raises(LedgerError):
            blob.seal(key, b"", nonce, aad)
    with pytest.raises(LedgerError):
        blob.open_(b"x", blob.seal(KEY, b"", NONCE, b""))


def test_a_text_is_named_by_its_ciphertext_not_by_its_plaintext() -> None:
    one, two = blob.seal(KEY, b"same", NONCE, b""), blob.seal(KEY, b"same", bytes(11) + b"\1", b"")
    assert blob.blob_name(one) != blob.blob_name(two)
