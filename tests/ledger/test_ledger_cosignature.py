"""Cosignatures of both kinds, against the bytes that C2SP tlog-cosignature prescribes."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from lockgate.errors import LedgerError
from lockgate.ledger.cosignature import Algorithm, Cosigner, CosignerKey
from lockgate.ledger.note import Ed25519Signer, SignatureLine, split_note
from lockgate.ledger.witness import with_cosignatures

NAME = "witness.example/w1"
BOTH = [Cosigner(NAME, algorithm, bytes(range(32))) for algorithm in Algorithm]
# The checkpoint that the specification shows; the keys of its signers are not published.
TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
SHOWN = (
    TEXT
    + "\n\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()
ROOT = base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")


def test_the_note_of_the_specification_has_the_form_we_read() -> None:
    text, lines = split_note(SHOWN)
    assert text == TEXT
    assert [line.name for line in lines] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    assert int.from_bytes(lines[1].signature[:8], "big") == 1679315147, "the time that the specification prints"
    assert len(lines[1].signature) == 72
    assert "".join(line.text for line in lines) == SHOWN.decode().split("\n\n")[1]


def test_an_ed25519_cosignature_signs_header_time_and_note() -> None:
    line = BOTH[0].cosign(TEXT, 1679315147)
    message = f"cosignature/v1\ntime 1679315147\n{TEXT}".encode()
    Ed25519PublicKey.from_public_bytes(BOTH[0].key.public_key).verify(line.signature[8:], message)
    assert line.signature[:8].hex() == "00000000641850cb"
    expected = hashlib.sha256(NAME.encode() + b"\n\x04" + BOTH[0].key.public_key).digest()[:4]
    assert line.identifier == BOTH[0].key.identifier == expected


def test_an_ml_dsa_44_cosignature_signs_the_structure_of_the_specification() -> None:
    line = BOTH[1].cosign(TEXT, 1679315147)
    message = bytes.fromhex(
        "737562747265652f76310a00"  # subtree/v1, newline, zero
        "12" + NAME.encode().hex() + "00000000641850cb"
        "1b" + b"example.com/behind-the-sofa".hex() + "0000000000000000" + f"{20852163:016x}" + ROOT.hex()
    )
    MLDSA44PublicKey.from_public_bytes(BOTH[1].key.public_key).verify(line.signature[8:], message)
    assert len(line.signature) == 8 + 2420
    expected = hashlib.sha256(NAME.encode() + b"\n\x06" + BOTH[1].key.public_key).digest()[:4]
    assert line.identifier == BOTH[1].key.identifier == expected


@pytest.mark.parametrize("cosigner", BOTH)
def test_key_texts_survive_the_round(cosigner: Cosigner) -> None:
    assert CosignerKey.from_text(cosigner.key.vkey) == cosigner.key
    assert Cosigner.from_skey(cosigner.skey).key == cosigner.key
    assert "PRIVATE" not in repr(cosigner)


@pytest.mark.parametrize("cosigner", BOTH)
def test_a_cosignature_holds_for_one_checkpoint_time_name_and_key(cosigner: Cosigner) -> None:
    line = cosigner.cosign(TEXT, 1_700_000_000)
    assert cosigner.key.moment(TEXT, line) == 1_700_000_000
    assert cosigner.key.moment(TEXT.replace("20852163", "20852164"), line) is None
    later = SignatureLine(line.name, line.identifier, bytes(7) + b"\x01" + line.signature[8:])
    assert cosigner.key.moment(TEXT, later) is None
    for other in (Cosigner("witness.example/w2", cosigner.key.algorithm, bytes(range(32))), *BOTH):
        if other.key != cosigner.key:
            assert other.key.moment(TEXT, line) is None
    # The key id alone does not decide: a line that claims another key's is refused by its signature.
    stranger = Cosigner(NAME, cosigner.key.algorithm, bytes(32)).cosign(TEXT, 1_700_000_000)
    assert cosigner.key.moment(TEXT, SignatureLine(NAME, cosigner.key.identifier, stranger.signature)) is None


@pytest.mark.parametrize("cosigner", BOTH)
def test_every_flipped_bit_of_a_cosignature_is_found(cosigner: Cosigner) -> None:
    line = cosigner.cosign(TEXT, 1_700_000_000)
    for position in range(0, len(line.signature), 1 if cosigner is BOTH[0] else 101):
        changed = bytearray(line.signature)
        changed[position] ^= 1
        assert cosigner.key.moment(TEXT, SignatureLine(line.name, line.identifier, bytes(changed))) is None
    for cut in (0, 7, 8, 40, len(line.signature) - 1):
        assert cosigner.key.moment(TEXT, SignatureLine(line.name, line.identifier, line.signature[:cut])) is None


def test_extension_lines_are_under_an_ed25519_cosignature_and_not_under_an_ml_dsa_one() -> None:
    with_line = TEXT + "an extension\n"
    for cosigner, covered in ((BOTH[0], True), (BOTH[1], False)):
        line = cosigner.cosign(with_line, 1_700_000_000)
        assert cosigner.key.moment(with_line, line) is not None
        assert (cosigner.key.moment(TEXT, line) is None) is covered


def test_a_log_key_is_no_witness_key_and_the_other_way_round() -> None:
    log = Ed25519Signer(NAME, bytes(32))
    with pytest.raises(LedgerError, match="not for cosignatures"):
        CosignerKey.from_text(log.vkey)
    with pytest.raises(LedgerError, match="not for cosignatures"):
        Cosigner.from_skey(log.skey)
    for cosigner in BOTH:
        with pytest.raises(LedgerError):
            Ed25519Signer.from_skey(cosigner.skey)


@pytest.mark.parametrize("change", ["x", "+00000000+", "++"])
def test_damaged_key_texts_are_refused(change: str) -> None:
    good = BOTH[0].key.vkey
    with pytest.raises(LedgerError):
        CosignerKey.from_text(good.replace("+", change, 1))
    with pytest.raises(LedgerError):
        CosignerKey.from_text(good[:-8])
    with pytest.raises(LedgerError, match="32 bytes"):
        Cosigner(NAME, Algorithm.MLDSA44, bytes(31))


@pytest.mark.parametrize("moment", [0, -1, 2**63])
def test_times_out_of_range_are_not_signed(moment: int) -> None:
    with pytest.raises(LedgerError):
        BOTH[0].cosign(TEXT, moment)


def test_a_newer_cosignature_replaces_the_older_of_the_same_key() -> None:
    once = with_cosignatures(SHOWN, [BOTH[0].cosign(TEXT, 5), BOTH[1].cosign(TEXT, 5)])
    twice = with_cosignatures(once, [BOTH[0].cosign(TEXT, 6)])
    text, lines = split_note(twice)
    assert text == TEXT
    assert len(lines) == 4
    assert [BOTH[0].key.moment(text, line) for line in lines] == [None, None, 6, None]
