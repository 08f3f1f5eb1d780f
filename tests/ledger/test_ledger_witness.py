"""What a witness cosigns and what it refuses, request by request."""

from __future__ import annotations

import pytest

from lockgate.errors import LedgerError
from lockgate.ledger.checkpoint import Checkpoint, first_origin, sign_checkpoint, successor
from lockgate.ledger.cosignature import Algorithm, Cosigner
from lockgate.ledger.note import Ed25519Signer, VerificationKey
from lockgate.ledger.tree import EMPTY_ROOT, Tree, consistency_proof, leaf_hash
from lockgate.ledger.witness import Refusal, Submission, cosignatures, examine, size_at_witness

ORIGIN = "gate-1/org"
SIGNER = Ed25519Signer(ORIGIN, bytes(32))
KNOWN = {ORIGIN: [VerificationKey.from_text(SIGNER.vkey)]}
LEAVES = [leaf_hash(bytes([n])) for n in range(20)]


def read(level: int, index: int) -> bytes:
    tree = Tree()
    for leaf in LEAVES[index << level : (index + 1) << level]:
        tree.append(leaf)
    return tree.root


def head(size: int, *, origin: str = ORIGIN, fork: bool = False) -> Checkpoint:
    tree = Tree()
    for leaf in LEAVES[:size]:
        tree.append(leaf_hash(leaf) if fork else leaf)
    return Checkpoint(origin, size, tree.root)


def submission(old: int, new: Checkpoint, signer: Ed25519Signer = SIGNER) -> bytes:
    proof = consistency_proof(old, new.size, read) if 0 < old < new.size else []
    return Submission(old, tuple(proof), sign_checkpoint(new, signer)).encode()


def refused(body: bytes, latest: Checkpoint | None = None) -> Refusal:
    found = examine(body, KNOWN, {ORIGIN: latest} if latest else {})
    assert isinstance(found, Refusal)
    return found


def accepted(body: bytes, latest: Checkpoint | None = None) -> Checkpoint:
    found = examine(body, KNOWN, {latest.origin: latest} if latest else {})
    assert not isinstance(found, Refusal), found
    return found[1]


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 1), (0, 20), (1, 2), (3, 7), (7, 8), (8, 20), (13, 13)])
def test_a_checkpoint_that_extends_the_last_one_is_accepted(old: int, new: int) -> None:
    assert accepted(submission(old, head(new)), head(old) if old else None) == head(new)


def test_the_body_has_the_form_of_the_specification() -> None:
    body = submission(8, head(20))
    first, *steps = body.split(b"\n\n")[0].decode().split("\n")
    assert first == "old 8"
    assert all(len(step) == 44 for step in steps)
    assert Submission.parse(body).encode() == body


def test_a_log_that_shrinks_forks_or_jumps_is_refused_by_name() -> None:
    assert (refused(submission(8, head(7)), head(8)).status, refused(submission(8, head(7)), head(8)).reason) == (
        400,
        "shrunk",
    )
    behind = refused(submission(7, head(9)), head(8))
    assert (behind.status, behind.reason, behind.body, behind.content_type) == (
        409,
        "other-size",
        "8\n",
        "text/x.tlog.size",
    )
    assert size_at_witness(behind.body.encode()) == 8
    fork = refused(submission(8, head(8, fork=True)), head(8))
    assert (fork.status, fork.reason) == (409, "fork")
    assert size_at_witness(fork.body.encode()) is None
    other = refused(submission(8, head(20, fork=True)), head(8))
    assert (other.status, other.reason) == (422, "inconsistent")
    assert refused(submission(0, head(5)), head(8)).reason == "other-size"


def test_a_first_submission_needs_no_proof_and_may_have_none() -> None:
    with_proof = Submission(0, (bytes(32),), sign_checkpoint(head(5), SIGNER)).encode()
    assert refused(with_proof).status == 422
    assert (
        refused(Submission(0, (), sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), SIGNER)).encode()).reason == "fork"
    )
    assert accepted(submission(0, Checkpoint(ORIGIN, 0, EMPTY_ROOT))).size == 0


def test_unknown_logs_and_strangers_signatures_are_refused() -> None:
    unknown = submission(0, head(3, origin="other/org"), Ed25519Signer("other/org", bytes(32)))
    assert (refused(unknown).status, refused(unknown).reason) == (404, "unknown-log")
    stranger = submission(0, head(3), Ed25519Signer(ORIGIN, bytes(31) + b"\x01"))
    assert (refused(stranger).status, refused(stranger).reason) == (403, "bad-signature")
    # A known key's name with a wrong signature.
    broken = submission(0, head(3)).replace(b"\n3\n", b"\n4\n")
    assert refused(broken).status == 403


@pytest.mark.parametrize(
    "body",
    [
        b"", b"old 0\n", b"old 00\n\n", b"old -1\n\n", b"old 1 \n\n", b"new 1\n\n", b"old 1\nAAAA\n\n", b"old 1\nnot base64\n\n", b"\n\n",
        b"old 1\n" + b"A" * 43 + b"=\n" * 64 + b"\n", b"old 0\n\nno note", "old é\n\n".encode(), b"old 0\n\n\xff\xfe",
    ],
)  # fmt: skip
def test_malformed_requests_are_refused(body: bytes) -> None:
    assert (refused(body).status, refused(body).reason) == (400, "malformed")


def test_more_than_63_hashes_are_refused() -> None:
    body = Submission(1, (bytes(32),) * 64, sign_checkpoint(head(5), SIGNER)).encode()
    assert refused(body).status == 400


def test_a_successor_log_is_known_by_the_key_of_the_first() -> None:
    origin = successor(ORIGIN, 2)
    assert (origin, first_origin(origin), first_origin(ORIGIN)) == ("gate-1/org~2", ORIGIN, ORIGIN)
    again = submission(0, head(3, origin=origin), SIGNER.renamed(origin))
    assert accepted(again, head(20)).origin == origin, "the end of the first log does not bind its successor"
    assert refused(submission(0, head(3, origin=origin), SIGNER)).status == 403, "the key's name is the log's"
    for bad in ("gate-1/org~1", "gate-1/org~02", "gate-1/org~", "gate-1/org~x"):
        assert first_origin(bad) == bad
    with pytest.raises(LedgerError):
        successor(origin, 3)
    assert successor(ORIGIN, 1) == ORIGIN


def test_only_cosignatures_by_trusted_keys_are_taken_from_an_answer() -> None:
    text = head(3).text
    ed, pq = (Cosigner("witness.example/w", algorithm, bytes(32)) for algorithm in Algorithm)
    stranger = Cosigner("witness.example/w", Algorithm.ED25519, bytes(31) + b"\x01")
    lines = [ed.cosign(text, 9), pq.cosign(text, 9), stranger.cosign(text, 9), ed.cosign(head(4).text, 9)]
    body = "".join(line.text for line in lines).encode() + b"garbage\n\xe2\x80\x94 x y\n"
    assert cosignatures(body, text, [ed.key, pq.key]) == lines[:2]
    assert cosignatures(b"\xff", text, [ed.key]) == []


@pytest.mark.parametrize("body", [b"", b"5", b"05\n", b"-5\n", b"5\n5\n", b"x\n"])
def test_a_size_has_one_form(body: bytes) -> None:
    assert size_at_witness(body) is None
