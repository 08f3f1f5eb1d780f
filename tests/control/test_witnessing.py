"""Asking witnesses, with witnesses that decide as the real one does."""

from __future__ import annotations

from lockgate.control.witnessing import Answer, Witnessing, WitnessWatch
from lockgate.ledger.checkpoint import Checkpoint, sign_checkpoint
from lockgate.ledger.cosignature import Algorithm, Cosigner
from lockgate.ledger.note import Ed25519Signer, VerificationKey, split_note
from lockgate.ledger.tree import Tree, consistency_proof, leaf_hash
from lockgate.ledger.trust import TrustPolicy
from lockgate.ledger.witness import Refusal, examine

LOG = Ed25519Signer("gate-1/org", bytes(32))
KNOWN = {LOG.name: [VerificationKey.from_text(LOG.vkey)]}
LEAVES = [leaf_hash(bytes([n])) for n in range(40)]


class FakeWitness:
    """Decides by `examine`, remembers in memory."""

    def __init__(self, name: str) -> None:
        self.keys = [Cosigner(name, a, bytes(31) + name.encode()[-1:]) for a in Algorithm]
        self.heads: dict[str, Checkpoint] = {}
        self.asked = 0
        self.reachable = True

    def answer(self, body: bytes) -> Answer:
        self.asked += 1
        if not self.reachable:
            return Answer(0)
        found = examine(body, KNOWN, self.heads)
        if isinstance(found, Refusal):
            return Answer(found.status, found.content_type, found.body.encode())
        submission, head = found
        self.heads[head.origin] = head
        text = split_note(submission.note)[0]
        return Answer(200, "text/plain", "".join(k.cosign(text, 1000 + head.size).text for k in self.keys).encode())


def read(level: int, index: int) -> bytes:
    tree = Tree()
    for leaf in LEAVES[index << level : (index + 1) << level]:
        tree.append(leaf)
    return tree.root


def note(size: int, leaves: list[bytes] | None = None) -> bytes:
    tree = Tree()
    for leaf in (leaves or LEAVES)[:size]:
        tree.append(leaf)
    return sign_checkpoint(Checkpoint(LOG.name, size, tree.root), LOG)


def policy(*witnesses: FakeWitness, quorum: str = "any") -> TrustPolicy:
    lines = [f"log {LOG.vkey}"]
    names = []
    for number, witness in enumerate(witnesses):
        lines += [f"witness w{number}-{k.key.algorithm.name} {k.key.vkey} http://w{number}" for k in witness.keys]
        lines.append(f"group w{number} all w{number}-ED25519 w{number}-MLDSA44")
        names.append(f"w{number}")
    lines += [f"group all-of-them {quorum} {' '.join(names)}", "quorum all-of-them", ""]
    return TrustPolicy.parse("\n".join(lines).encode())


def asking(*witnesses: FakeWitness, quorum: str = "any") -> Witnessing:
    by_url = {f"http://w{n}": w for n, w in enumerate(witnesses)}
    return Witnessing(
        policy(*witnesses, quorum=quorum),
        lambda url, body: by_url[url].answer(body),
        lambda old, new: consistency_proof(old, new, read),
    )


def test_both_cosignatures_of_every_witness_come_back_in_one_note() -> None:
    one, two = FakeWitness("w1"), FakeWitness("w2")
    witnessing = asking(one, two, quorum="all")
    for size in (3, 3, 17, 40):
        result = witnessing.round(note(size))
        assert (result.satisfied, result.problems, result.known) == (True, {}, 0)
        assert len(split_note(result.note)[1]) == 5
        assert policy(one, two, quorum="all").check(result.note).checkpoint.size == size
    assert one.asked == 4, "its size is remembered, so each round is one request"


def test_a_restarted_gate_learns_the_witness_size_from_its_answer() -> None:
    witness = FakeWitness("w1")
    asking(witness).round(note(17))
    result = asking(witness).round(note(20))
    assert result.satisfied
    assert witness.asked == 3


def test_a_witness_that_is_down_is_named_and_the_others_count() -> None:
    one, two = FakeWitness("w1"), FakeWitness("w2")
    one.reachable = False
    assert asking(one, two).round(note(3)).satisfied
    result = asking(one, two, quorum="all").round(note(3))
    assert not result.satisfied
    assert result.problems == {"http://w0": "unreachable"}


def test_a_rolled_back_log_is_told_how_far_the_witness_is_and_gets_no_cosignature() -> None:
    witness = FakeWitness("w1")
    asking(witness).round(note(20))
    witnessing = asking(witness)
    for _ in range(2):
        result = witnessing.round(note(12))
        assert not result.satisfied
        assert (result.known, result.problems) == (20, {"http://w0": "ahead"})
    assert witness.heads[LOG.name].size == 20


def test_a_rewritten_log_gets_no_cosignature() -> None:
    witness = FakeWitness("w1")
    asking(witness).round(note(20))
    other = [leaf_hash(leaf) for leaf in LEAVES]
    for size, word in ((20, "fork"), (30, "inconsistent")):
        result = asking(witness).round(note(size, other))
        assert (result.problems, result.known) == ({"http://w0": word}, 20)


def test_age_runs_from_the_quorum_and_refusal_is_a_choice() -> None:
    witness = FakeWitness("w1")
    trusted = policy(witness)
    watch = WitnessWatch(trusted, alarm_seconds=60, refuse_seconds=0, since=900.0)
    assert (watch.age(950.0), watch.alarms(950.0), watch.alarms(961.0)) == (50.0, False, True)
    assert not watch.refuses(1e9)
    cosigned = asking(witness).round(note(3)).note  # at 1003
    watch.see(cosigned)
    watch.see(note(3))
    watch.see(b"garbage")
    assert watch.age(1010.0) == 7.0
    assert watch.age(990.0) == 0.0, "a clock behind the witness's"
    strict = WitnessWatch(trusted, alarm_seconds=5, refuse_seconds=30, since=1000.0)
    strict.see(cosigned)
    assert [strict.refuses(at) for at in (1033.0, 1034.0)] == [False, True]
