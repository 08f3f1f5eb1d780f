"""The same trees, tiles, notes and cosignatures in a second, independent implementation: the package `aics-tlog`.

Its wheel asks for Python 3.12, its sources run on 3.11: where pip would not install it, it is fetched by hash and unpacked.
"""

from __future__ import annotations

import hashlib
import importlib
import subprocess
import sys
import zipfile
from types import ModuleType

import pytest

from lockgate.ledger import tiles
from lockgate.ledger.checkpoint import Checkpoint, sign_checkpoint
from lockgate.ledger.cosignature import Algorithm, Cosigner
from lockgate.ledger.note import Ed25519Signer, split_note
from lockgate.ledger.tree import Tree, consistency_proof, inclusion_proof
from lockgate.ledger.witness import with_cosignatures

VERSION = "0.2.1"
SHA256 = "e8cd2be003001576353bbd1a139b68252baf85df8e5d356c5ff26f3c417efdfc"
LOG = Ed25519Signer("log.example/1", bytes(range(32)))
ROOT_SIZES = (1, 2, 3, 255, 256, 257, 700)
ENTRIES = [b"entry %d" % n for n in range(max(ROOT_SIZES))]


@pytest.fixture(scope="module")
def aics(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("aics")
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check", "--only-binary", ":all:",
            "--python-version", "3.12", "--dest", str(folder), f"aics-tlog=={VERSION}",
        ],
        check=False, capture_output=True, timeout=120,
    )  # fmt: skip
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        pytest.skip("the package aics-tlog cannot be fetched here")
    assert hashlib.sha256(wheels[0].read_bytes()).hexdigest() == SHA256
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder)
    sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module("aics_tlog")
        for name in ("checkpoint", "cosign", "note", "tiles", "tree"):
            importlib.import_module(f"aics_tlog.{name}")
    finally:
        sys.path.remove(str(folder))
    return module


def grown(size: int) -> tuple[Tree, dict[str, bytes]]:
    edge, step = tiles.Growth.empty().grow(ENTRIES[:size])
    return edge.tree, dict(step.writes)


@pytest.mark.parametrize("size", ROOT_SIZES)
def test_roots_tiles_and_bundles_are_the_same_bytes(aics: ModuleType, size: int) -> None:
    tree, files = grown(size)
    assert tree.root == aics.tree.MerkleTree(ENTRIES[:size]).root()
    assert files == aics.tiles.materialise_tiles(ENTRIES[:size])


def test_proofs_are_the_same_hashes(aics: ModuleType) -> None:
    other = aics.tree.MerkleTree(ENTRIES)
    files = grown(700)[1]
    read = tiles.tile_reader(
        700, lambda level, number, width: tiles.split_tile(files[tiles.tile_path(level, number, width)], width)
    )
    for index in (0, 1, 255, 256, 511, 512, 699):
        assert inclusion_proof(index, 700, read) == other.inclusion_proof(index, 700)
    for old in (1, 2, 255, 256, 300, 512, 699):
        proof = consistency_proof(old, 700, read)
        assert proof == other.consistency_proof(old, 700)
        assert aics.tree.verify_consistency(old, 700, other.root(old), other.root(700), proof)


def test_the_other_verifier_accepts_our_checkpoint_and_cosignature_and_no_changed_one(aics: ModuleType) -> None:
    tree = grown(700)[0]
    note = sign_checkpoint(Checkpoint(LOG.name, tree.size, tree.root), LOG)
    text = split_note(note)[0]
    witness = Cosigner("witness.example/w", Algorithm.ED25519, bytes(32))
    post_quantum = Cosigner("witness.example/w", Algorithm.MLDSA44, bytes(32))
    cosigned = with_cosignatures(note, [witness.cosign(text, 1_700_000_000), post_quantum.cosign(text, 1_700_000_000)])
    log, known = aics.note.parse_vkey(LOG.vkey), aics.note.parse_vkey(witness.key.vkey)

    def judged(stored: bytes, now: int) -> object:
        parsed = aics.note.parse_note(stored)
        return aics.checkpoint.verify_checkpoint(parsed, log, [known], 1, max_age_seconds=60, now=now)

    good = judged(cosigned, 1_700_000_030)
    assert (good.ok, good.size, good.timestamps) == (True, 700, {"witness.example/w": 1_700_000_000})  # type: ignore[attr-defined]
    assert not judged(cosigned, 1_700_000_100).ok, "stale"  # type: ignore[attr-defined]
    assert not judged(note, 1_700_000_030).ok, "no cosignature"  # type: ignore[attr-defined]
    assert not judged(cosigned.replace(b"\n700\n", b"\n701\n"), 1_700_000_030).ok  # type: ignore[attr-defined]


def test_our_key_accepts_the_other_implementations_cosignature(aics: ModuleType) -> None:
    tree = grown(3)[0]
    checkpoint = Checkpoint(LOG.name, tree.size, tree.root)
    witness = Cosigner("witness.example/w", Algorithm.ED25519, bytes(32))
    private = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519").Ed25519PrivateKey
    made = aics.cosign.sign_cosignature(
        private.from_private_bytes(bytes(32)), witness.key.name, 77, checkpoint.origin, checkpoint.size, checkpoint.root
    )[1]
    line = witness.cosign(checkpoint.text, 77)
    assert (made.name, made.key_id, made.signature) == (line.name, line.identifier, line.signature)
