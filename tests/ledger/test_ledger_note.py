"""Signed notes, keys and checkpoints."""

from __future__ import annotations

import base64

import pytest

from lockgate.errors import LedgerError
from lockgate.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from lockgate.ledger.note import Ed25519Signer, VerificationKey, open_note, sign_note

# The key pair and note of the package documentation of golang.org/x/mod/sumdb/note.
GO_SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    GO_TEXT
    + "\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

SIGNER = Ed25519Signer("log.example/1", bytes(range(32)))
KEY = VerificationKey.from_text(SIGNER.vkey)


def test_the_published_key_signs_the_published_note() -> None:
    signer = Ed25519Signer.from_skey(GO_SKEY)
    assert (signer.skey, signer.vkey) == (GO_SKEY, GO_VKEY)
    assert sign_note(GO_TEXT, signer) == GO_NOTE
    assert open_note(GO_NOTE, [VerificationKey.from_text(GO_VKEY)]) == GO_TEXT


def test_any_flipped_bit_of_a_note_is_found() -> None:
    note = sign_note("one\ntwo\n", SIGNER)
    for position in range(len(note)):
        for bit in (1, 128):
            changed = bytearray(note)
            changed[position] ^= bit
            with pytest.raises(LedgerError):
                open_note(bytes(changed), [KEY])


def test_a_signature_by_an_unknown_key_beside_a_known_one_is_passed_over() -> None:
    other = Ed25519Signer("witness.example", bytes(32))
    line = sign_note("one\n", other).split(b"\n\n")[1]
    both = sign_note("one\n", SIGNER) + line
    assert open_note(both, [KEY]) == "one\n"
    with pytest.raises(LedgerError, match="no known key"):
        open_note(sign_note("one\n", other), [KEY])


@pytest.mark.parametrize("text", ["", "no newline", "empty\n\nline\n"])
def test_texts_that_are_no_note_are_not_signed(text: str) -> None:
    with pytest.raises(LedgerError):
        sign_note(text, SIGNER)


@pytest.mark.parametrize("name", ["", "with space", "with+plus", "with\nline"])
def test_names_that_break_a_signature_line_are_refused(name: str) -> None:
    with pytest.raises(LedgerError):
        Ed25519Signer(name, bytes(32))


@pytest.mark.parametrize(
    "text", ["", "a+b", "a+00000000+AA==", SIGNER.vkey[:-4], SIGNER.vkey.replace("log", "lot"), "a+zz+!!"]
)
def test_malformed_keys_are_refused(text: str) -> None:
    with pytest.raises(LedgerError):
        VerificationKey.from_text(text)
    with pytest.raises(LedgerError):
        Ed25519Signer.from_skey(text)
    with pytest.raises(LedgerError):
        Ed25519Signer.from_skey("PRIVATE+KEY+" + text)


def test_a_signer_does_not_show_its_seed() -> None:
    assert base64.b64encode(bytes(range(32))).decode()[:20] not in repr(SIGNER)


def test_a_checkpoint_reads_back() -> None:
    checkpoint = Checkpoint("log.example/1", 12, bytes(32))
    note = sign_checkpoint(checkpoint, SIGNER)
    assert note.startswith(b"log.example/1\n12\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n")
    assert open_checkpoint(note, [KEY]) == checkpoint


@pytest.mark.parametrize(
    "text",
    ["", "a\n1\n", "a\n-1\nAAAA\n", "a\n01\n" + "A" * 43 + "=\n", "\n1\n" + "A" * 43 + "=\n", "a\n1\nAAAA\n", "a\n1\n!\n",
     "a\n1\n" + "A" * 43 + "=\nextension\n"],
)  # fmt: skip
def test_texts_that_are_no_checkpoint_are_refused(text: str) -> None:
    with pytest.raises(LedgerError):
        Checkpoint.parse(text)
