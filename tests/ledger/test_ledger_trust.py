"""Trust policies and receipts: what a stranger needs to believe one entry."""

from __future__ import annotations

import itertools

import pytest

from lockgate.errors import LedgerError
from lockgate.ledger.checkpoint import Checkpoint, sign_checkpoint
from lockgate.ledger.cosignature import Algorithm, Cosigner
from lockgate.ledger.note import Ed25519Signer, split_note
from lockgate.ledger.proof import LogProof, verify_proof
from lockgate.ledger.tree import Tree, inclusion_proof, leaf_hash
from lockgate.ledger.trust import TrustPolicy
from lockgate.ledger.witness import with_cosignatures

LOG = Ed25519Signer("gate-1/org", bytes(32))
NAMES = ("X1", "X2", "X3", "Y1", "Y2", "Y3")
COSIGNERS = {
    name: Cosigner(f"{name}.example", Algorithm.MLDSA44 if name == "X1" else Algorithm.ED25519, bytes(31) + bytes([n]))
    for n, name in enumerate(NAMES)
}
# The example of the specification: two of three X, and any Y.
POLICY = "\n".join(
    [
        "# logs", f"log {LOG.vkey} https://log.example/", "",
        *(f"witness\t{n}  {COSIGNERS[n].key.vkey}  https://{n}.example/ " for n in NAMES),
        "group X-witnesses 2 X1 X2 X3", "group Y-witnesses any Y1 Y2 Y3", "group X-and-Y all X-witnesses Y-witnesses",
        "quorum X-and-Y", "",
    ]
)  # fmt: skip
ENTRIES = [b"one", b"two", b"three", b"four", b"five"]


def parsed(text: str = POLICY) -> TrustPolicy:
    return TrustPolicy.parse(text.encode())


def tree_note(*names: str, moment: int = 1000) -> bytes:
    tree = Tree()
    for entry in ENTRIES:
        tree.append(leaf_hash(entry))
    note = sign_checkpoint(Checkpoint(LOG.name, tree.size, tree.root), LOG)
    text = split_note(note)[0]
    return with_cosignatures(note, [COSIGNERS[n].cosign(text, moment + i) for i, n in enumerate(names)])


def receipt(index: int, note: bytes) -> LogProof:
    tree_at = {0: [leaf_hash(e) for e in ENTRIES]}

    def read(level: int, at: int) -> bytes:
        tree = Tree()
        for leaf in tree_at[0][at << level : (at + 1) << level]:
            tree.append(leaf)
        return tree.root

    return LogProof(index, tuple(inclusion_proof(index, len(ENTRIES), read)), note)


def test_the_quorum_of_the_specifications_example() -> None:
    policy = parsed()
    for count in range(len(NAMES) + 1):
        for chosen in itertools.combinations(NAMES, count):
            expected = sum(n.startswith("X") for n in chosen) >= 2 and any(n.startswith("Y") for n in chosen)
            assert policy.satisfied(chosen) is expected


def test_a_checkpoint_is_believed_when_log_and_quorum_signed_it() -> None:
    policy = parsed()
    witnessed = policy.check(tree_note("X1", "X3", "Y2"))
    assert witnessed.checkpoint.size == 5
    assert witnessed.moments == {"X1": 1000, "X3": 1001, "Y2": 1002}
    with pytest.raises(LedgerError, match="too few"):
        policy.check(tree_note("X1", "X3"))
    stranger = sign_checkpoint(Checkpoint(LOG.name, 0, bytes(32)), Ed25519Signer(LOG.name, bytes(31) + b"\x01"))
    with pytest.raises(LedgerError, match="no known key"):
        policy.check(stranger)


def test_the_moment_of_the_quorum_is_that_of_its_last_needed_member() -> None:
    policy = parsed()
    assert policy.quorum_moment({"X1": 10, "X2": 20, "X3": 30, "Y1": 40}) == 20
    assert policy.quorum_moment({"X1": 10, "X2": 20, "Y1": 5}) == 5
    assert policy.quorum_moment({"X1": 10, "Y1": 40}) is None


def test_quorum_none_asks_for_no_witness() -> None:
    policy = parsed(f"log {LOG.vkey}\nquorum none\n")
    assert policy.check(tree_note()).moments == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no `quorum`"),
        ("quorum w", "line 1 .*not defined"),
        ("quorum none\nquorum none", "line 2 .*second"),
        (f"log {LOG.vkey}\nlog {LOG.renamed('other').vkey}\nquorum none", "line 2 .*two logs"),
        (f"log {COSIGNERS['X1'].key.vkey}\nquorum none", "line 1 .*log's Ed25519"),
        (f"witness a {LOG.vkey}\nquorum a", "line 1 .*not for cosignatures"),
        (f"witness a {COSIGNERS['X2'].key.vkey}\nwitness b {COSIGNERS['X2'].key.vkey}\nquorum a", "line 2 .*one key"),
        (f"witness none {COSIGNERS['X2'].key.vkey}\nquorum none", "line 1 .*taken"),
        (f"witness a {COSIGNERS['X2'].key.vkey}\ngroup g 2 a\nquorum g", "line 2 .*threshold"),
        (f"witness a {COSIGNERS['X2'].key.vkey}\ngroup g 0 a\nquorum g", "line 2 .*threshold"),
        (f"witness a {COSIGNERS['X2'].key.vkey}\ngroup g some a\nquorum g", "line 2 .*threshold"),
        (f"witness a {COSIGNERS['X2'].key.vkey}\ngroup g any a a\nquorum g", "line 2 .*twice"),
        (f"witness a {COSIGNERS['X2'].key.vkey}\ngroup g any a\ngroup h any a\nquorum g", "line 3 .*twice"),
        (f"witness a {COSIGNERS['X2'].key.vkey}\ngroup g any none\nquorum g", "line 2 .*not defined"),
        ("group g any\nquorum g", "line 1 .*number of words"),
        ("quorum none # why", "line 1 .*number of words"),
        ("trust everyone\nquorum none", "line 1 .*none of"),
        ("quorum none\r\n", "control characters"),
    ],
)
def test_a_wrong_line_is_named(text: str, problem: str) -> None:
    with pytest.raises(LedgerError, match=problem):
        parsed(text)


def test_names_are_octets() -> None:
    policy = TrustPolicy.parse(b"witness \xff " + COSIGNERS["X2"].key.vkey.encode() + b"\nquorum \xff\n")
    assert policy.satisfied(["\udcff"])


def test_a_receipt_shows_its_entry_and_nothing_else() -> None:
    policy, note = parsed(), tree_note("X1", "X2", "Y1")
    for index, entry in enumerate(ENTRIES):
        proof = LogProof.parse(receipt(index, note).encode())
        assert proof == receipt(index, note)
        assert verify_proof(proof, entry, policy, origin=LOG.name).checkpoint.size == 5
        with pytest.raises(LedgerError, match="not where"):
            verify_proof(proof, entry + b"!", policy)
        with pytest.raises(LedgerError, match="not where"):
            verify_proof(LogProof((index + 1) % 5, proof.path, note), entry, policy)
    with pytest.raises(LedgerError, match="another log"):
        verify_proof(receipt(0, note), b"one", policy, origin="gate-2/org")
    with pytest.raises(LedgerError, match="too few"):
        verify_proof(receipt(0, tree_note("X1", "Y1")), b"one", policy)


def test_a_receipt_has_the_lines_of_the_specification() -> None:
    proof = LogProof(4, receipt(4, tree_note()).path, tree_note(), b"more")
    lines = proof.encode().decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra bW9yZQ==", "index 4"]
    assert lines[4] == ""
    assert LogProof.parse(proof.encode()) == proof


@pytest.mark.parametrize(
    "change",
    [
        (b"@v1", b"@v2"), (b"index 0", b"index 00"), (b"index 0", b"Index 0"), (b"index 0\n", b""), (b"index 0", b"index 0\nAAAA"),
        (b"index 0", b"extra AA==\nextra AA==\nindex 0"), (b"\n\n", b"\n"), (b"index", b"\xffindex"),
    ],
)  # fmt: skip
def test_malformed_receipts_are_refused(change: tuple[bytes, bytes]) -> None:
    with pytest.raises(LedgerError):
        LogProof.parse(receipt(0, tree_note()).encode().replace(*change, 1))


def test_a_slim_note_has_post_quantum_cosignatures_only_where_the_policy_needs_them() -> None:
    policy = parsed()
    everyone = tree_note(*NAMES)
    slim = policy.slim(everyone)
    assert [line.name for line in split_note(slim)[1]] == [LOG.name, *(f"{n}.example" for n in NAMES if n != "X1")]
    assert policy.check(slim).checkpoint == policy.check(everyone).checkpoint
    needed = tree_note("X1", "X2", "Y1")
    assert set(policy.slim(needed).splitlines()) == set(needed.splitlines())
    assert policy.check(policy.slim(needed)).checkpoint.size == len(ENTRIES)
