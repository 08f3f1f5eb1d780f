"""Every kind of tampering with what a real gate and a real witness left behind is found, each by its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockgate.ledger.cosignature import Algorithm, Cosigner
from lockgate.ledger.entry import decode
from lockgate.ledger.note import Ed25519Signer
from lockgate.ledger.proof import LogProof
from lockgate.ledger.trust import TrustPolicy
from support.produced import Produced
from support.tampering import all_entries, edited, flip, path_in, renumbered, rewrite, stated
from support.verifying import verifier

VERIFIED, BROKEN, UNUSABLE, NOT_VOUCHED, DIFFERS, GAPS = range(6)


@dataclass
class Evidence:
    """A copy of the logs that a test may change, and what an auditor has from elsewhere."""

    log: Path
    policy: Path
    key: Path
    earlier: Path
    signer: Callable[[Path], Ed25519Signer]

    @property
    def worker(self) -> Path:
        return self.log / "gate-1"

    @property
    def org(self) -> Path:
        return self.log / "gate-org"

    def sign_again(self, log: Path, changed: list[bytes], **how: bool) -> None:
        """Rewrite a log with the gate's own key."""
        rewrite(log, changed, self.signer(log), **how)


@pytest.fixture
def evidence(produced: Produced, tmp_path: Path) -> Evidence:
    gate = produced.gate.folder
    log = Path(shutil.copytree(gate / "log", tmp_path / "log", ignore=shutil.ignore_patterns("lock")))

    def signer(of: Path) -> Ed25519Signer:
        return Ed25519Signer.from_skey((gate / "keys/log.key").read_text().strip()).renamed(stated(of).origin)

    return Evidence(log, gate / "trust.policy", gate / "keys/log.pub", produced.earlier, signer)


def found(evidence: Evidence, *more: str, path: Path | None = None) -> tuple[int, set[str]]:
    """Exit status and names of findings."""
    options = verifier._parser().parse_args([str(path or evidence.log), "--policy", str(evidence.policy), *more])
    result = verifier._answer(options)
    return result.status, {kind for report in result.reports for kind in report.counts}


def test_what_a_gate_and_its_witness_left_is_verified(evidence: Evidence) -> None:
    assert found(evidence, "--max-age", "1h") == (VERIFIED, set())
    assert found(evidence, path=evidence.earlier) == (VERIFIED, set())
    for log in (evidence.worker, evidence.org):
        assert verifier.run([str(log), "--key", str(evidence.key)]) == VERIFIED


def test_a_flipped_bit(evidence: Evidence) -> None:
    for log in (evidence.worker, evidence.org):
        bundle = next(path for path in sorted((log / "tile/entries").rglob("*")) if path.is_file())
        flip(bundle, bundle.stat().st_size // 2)
        status, names = found(evidence)
        assert (status, names & {"entry-changed", "entry-missing"} != set()) == (BROKEN, True)
        flip(bundle, bundle.stat().st_size // 2)
    flip(next((evidence.worker / "blob/packs").iterdir()), 100)
    assert "blob-changed" in found(evidence)[1]


def test_a_dropped_record_signed_again(evidence: Evidence) -> None:
    kept = all_entries(evidence.worker)
    del kept[50]
    evidence.sign_again(evidence.worker, kept, old_checkpoints=False)
    status, names = found(evidence)
    assert status == BROKEN
    assert {"counter-gap", "history-rewritten"} <= names


def test_a_dropped_statement_with_every_counter_made_to_fit(evidence: Evidence) -> None:
    kept = all_entries(evidence.worker)
    gone = next(i for i, entry in enumerate(kept) if decode(entry)["kind"] == "intent")
    kept = [e for i, e in enumerate(kept) if i != gone and decode(e).get("intent") != gone]
    kept = [
        edited(e, intent=int(str(f["intent"])) - 1 - (i > gone)) if "intent" in (f := decode(e)) else e
        for i, e in enumerate(kept)
    ]
    evidence.sign_again(evidence.worker, renumbered(kept), old_checkpoints=False)
    assert {"session-gap", "history-rewritten"} <= found(evidence)[1]
    shutil.rmtree(evidence.org)
    assert "session-gap" in found(evidence)[1], "also when nobody else has seen it"


def test_a_dropped_tail_signed_again(evidence: Evidence) -> None:
    evidence.sign_again(evidence.worker, all_entries(evidence.worker)[:60], old_checkpoints=False)
    status, names = found(evidence)
    assert (status, "rollback" in names) == (BROKEN, True)


def test_swapped_records_signed_again(evidence: Evidence) -> None:
    kept = all_entries(evidence.worker)
    kept[20], kept[21] = kept[21], kept[20]
    evidence.sign_again(evidence.worker, kept, old_checkpoints=False)
    assert {"counter-gap", "session-gap", "history-rewritten"} <= found(evidence)[1]


def test_an_old_checkpoint_replayed_with_all_that_belonged_to_it(evidence: Evidence) -> None:
    shutil.rmtree(evidence.worker)
    shutil.copytree(evidence.earlier / "gate-1", evidence.worker)
    assert found(evidence) == (BROKEN, {"rollback"})
    shutil.rmtree(evidence.log)
    shutil.copytree(evidence.earlier, evidence.log)
    assert found(evidence) == (VERIFIED, set()), "everything put back to an earlier moment fits together"
    for log in ("gate-1", "gate-org"):
        assert "rollback" in found(evidence, "--seen", str(evidence.policy.parent / "log" / log / "checkpoint"))[1], (
            "unless somebody kept a checkpoint"
        )


def test_a_forked_log(evidence: Evidence) -> None:
    """Up to the earlier moment as others saw it, and from there on another history."""
    before = len(all_entries(evidence.earlier / "gate-1"))
    kept = all_entries(evidence.worker)
    other = [
        edited(e, client="10.9.9.9") if i >= before and decode(e)["kind"] == "intent" else e for i, e in enumerate(kept)
    ]
    evidence.sign_again(evidence.worker, other)
    assert {"checkpoint-fork", "history-rewritten"} <= found(evidence)[1]


def test_a_reused_epoch(evidence: Evidence) -> None:
    kept = all_entries(evidence.worker)
    first = decode(kept[0])["epoch"]
    evidence.sign_again(evidence.worker, [edited(entry, epoch=first) for entry in kept], old_checkpoints=False)
    assert {"epoch-reused", "history-rewritten"} <= found(evidence)[1]


def test_history_signed_again_with_every_key_of_the_gate_after_a_witness_saw_it(evidence: Evidence) -> None:
    """Whoever holds the gate's keys rewrites a statement and the org log above it, without a contradiction between them."""
    kept = all_entries(evidence.worker)
    target = next(i for i, entry in enumerate(kept) if decode(entry)["kind"] == "intent")
    evidence.sign_again(
        evidence.worker,
        [edited(e, client="10.9.9.9") if i == target else e for i, e in enumerate(kept)],
        old_checkpoints=False,
    )
    seen = evidence.log.parent / "seen"
    shutil.copy(evidence.org / "checkpoint", seen)
    state, note = stated(evidence.worker), (evidence.worker / "checkpoint").read_text()
    org = all_entries(evidence.org)
    for at, fields in enumerate(map(decode, org)):
        if fields["kind"] == "checkpoint" and int(str(fields["size"])) > target:
            org[at] = edited(org[at], size=state.size, root=state.root.hex(), note=note)
    witnessed = (evidence.org / "witnessed").read_bytes()
    evidence.sign_again(evidence.org, org, old_checkpoints=False)
    assert (evidence.org / "witnessed").read_bytes() == witnessed
    status, names = found(evidence)
    assert (status, "history-rewritten" in names) == (BROKEN, True)
    (evidence.org / "witnessed").unlink()
    status, names = found(evidence)
    assert "quorum-missing" in names, "without the cosigned checkpoint nobody vouches for it"
    assert "history-rewritten" in found(evidence, "--seen", str(seen))[1], "and who kept one sees it"


def test_what_witnesses_did_not_cosign_is_named_apart_from_what_is_broken(evidence: Evidence) -> None:
    strict = evidence.log.parent / "strict"
    other = Cosigner("absent.example/w9", Algorithm.MLDSA44, bytes(32)).key.vkey
    lines = [line for line in evidence.policy.read_text().splitlines() if not line.startswith(("quorum", "group"))]
    names = [line.split()[1] for line in lines if line.startswith("witness")]
    strict.write_text(
        "\n".join([*lines, f"witness absent {other}", f"group all all {' '.join(names)} absent", "quorum all"])
    )
    evidence.policy = strict
    assert found(evidence) == (NOT_VOUCHED, {"quorum-missing"})


def test_a_log_that_the_org_log_does_not_know_is_not_covered(evidence: Evidence) -> None:
    shutil.copytree(evidence.worker, evidence.log / "gate-2")
    kept = [
        edited(e, **({"origin": "gate/2"} if decode(e)["kind"] == "boot" else {})) for e in all_entries(evidence.worker)
    ]
    note = (evidence.log / "gate-2/checkpoint").read_text().replace("gate/1", "gate/2")
    (evidence.log / "gate-2/checkpoint").write_text(note)
    rewrite(evidence.log / "gate-2", kept, evidence.signer(evidence.log / "gate-2"), old_checkpoints=False)
    status, names = found(evidence)
    assert "not-covered" in names
    assert status in (NOT_VOUCHED, BROKEN)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("kind=intent principal=clara column=shop.public.people.email", VERIFIED),
        ("principal=nobody", DIFFERS),
        ("statement=insert principal=clara", DIFFERS),
    ],
)
def test_a_list_is_compared_with_the_entries_themselves(evidence: Evidence, given: str, status: int) -> None:
    rows = [{"log": "gate/1", "index": i} for i, e in enumerate(all_entries(evidence.worker))
            if (f := decode(e))["kind"] == "intent" and f["principal"] == "clara" and "people" in str(f["shape"])]  # fmt: skip
    claim = evidence.log.parent / "claim.jsonl"
    claim.write_text("\n".join(map(json.dumps, rows)))
    assert found(evidence, "--recount", given, "--claim", str(claim))[0] == status
    assert found(evidence, "--recount", given, "--expect", str(len(rows)))[0] == status
    claim.write_text("\n".join(map(json.dumps, rows[1:])))
    assert found(evidence, "--recount", given, "--claim", str(claim)) == (DIFFERS, {"claim-differs"})


def test_recounts_join_statements_with_their_outcomes(evidence: Evidence) -> None:
    def counted(text: str) -> tuple[int, int]:
        result = verifier._answer(
            verifier._parser().parse_args([str(evidence.log), "--policy", str(evidence.policy), "--recount", text])
        )
        population = result.populations["gate/1"]
        return len(population.indices), population.rows

    fields = [decode(e) for e in all_entries(evidence.worker)]
    outcomes = {f["intent"]: f for f in fields if f["kind"] == "outcome"}
    reads = [(i, f) for i, f in enumerate(fields) if f["kind"] == "intent" and f.get("columns")]
    rows = sum(int(str(outcomes[i]["rows"])) for i, _ in reads if "rows" in outcomes[i])
    assert counted("label=person.email disposition=clear") == (len(reads), rows)
    assert counted("column=people.email kind=outcome rows=1")[0] == sum(outcomes[i].get("rows") == 1 for i, _ in reads)
    assert counted("status=complete")[0] == sum(f["status"] == "complete" for f in outcomes.values())
    assert counted("kind=session event=opened principal=ann") == (1, 0)
    assert counted("since=2000-01-01 until=2001-01-01T00:00:00Z") == (0, 0)
    assert counted("since=1h shape='INSERT INTO people'")[0] == 1
    assert counted("log=gate/1 table=people statement=insert")[0] == 1


def proven(log: Path, index: int, checkpoint: str, extra: bytes = b"", policy: TrustPolicy | None = None) -> bytes:
    stored = (log / checkpoint).read_bytes()
    note = stored if policy is None else policy.slim(stored)
    return LogProof(index, tuple(path_in(log, index, note)), note, extra).encode()


def receipts(evidence: Evidence, folder: Path, index: int, *, org: bool) -> Path:
    """A receipt of an entry, and one of the worker's checkpoint in the org log, as `--prove` writes them."""
    folder.mkdir(exist_ok=True)
    proof = folder / f"gate-1-{index}.tlog-proof"
    proof.write_bytes(proven(evidence.worker, index, "checkpoint"))
    proof.with_suffix(".json").write_bytes(all_entries(evidence.worker)[index])
    if org:
        size = stated(evidence.worker).size
        at, entry = next((i, e) for i, e in enumerate(all_entries(evidence.org)) if decode(e).get("size") == size)
        (folder / f"gate-1-{index}.org.tlog-proof").write_bytes(
            proven(evidence.org, at, "witnessed", entry, TrustPolicy.parse(evidence.policy.read_bytes()))
        )
    return proof


def test_a_receipt_proves_one_entry_up_to_the_witness_and_no_other(evidence: Evidence, tmp_path: Path) -> None:
    proof = receipts(evidence, tmp_path / "proofs", 7, org=True)
    assert found(evidence, path=proof) == (VERIFIED, set())
    assert found(evidence, path=proof.parent) == (VERIFIED, set())
    receipts(evidence, tmp_path / "proofs", 8, org=False)
    assert found(evidence, path=proof.parent) == (NOT_VOUCHED, {"quorum-missing"})
    assert verifier.run([str(proof.parent), "--key", str(evidence.key)]) == VERIFIED
    entry = proof.with_suffix(".json")
    flip(entry, 30)
    assert found(evidence, path=proof) == (BROKEN, {"proof-invalid"})
    flip(entry, 30)
    for damaged in (
        b"",
        b"c2sp.org/tlog-proof@v1\nindex 7\n\n",
        proof.read_bytes().replace(b"index 7", b"index 8"),
        proof.read_bytes()[:-20],
    ):
        original = proof.read_bytes()
        proof.write_bytes(damaged)
        assert found(evidence, path=proof) == (BROKEN, {"proof-invalid"})
        proof.write_bytes(original)
    above = proof.with_name("gate-1-7.org.tlog-proof")
    for changed, step in ((proof, 11), (above, 97)):
        for position in range(0, len(changed.read_bytes()), step):
            flip(changed, position)
            assert found(evidence, path=proof)[0] in (BROKEN, NOT_VOUCHED), (changed.name, position)
            flip(changed, position)
    assert verifier.run([str(tmp_path / "missing.tlog-proof"), "--key", str(evidence.key)]) == BROKEN


def test_a_second_receipt_about_another_checkpoint_vouches_for_nothing(evidence: Evidence, tmp_path: Path) -> None:
    proof = receipts(evidence, tmp_path / "proofs", 7, org=True)
    size = stated(evidence.worker).size
    others = (
        i
        for i, e in enumerate(all_entries(evidence.org))
        if decode(e)["kind"] == "checkpoint" and decode(e)["size"] != size
    )
    at = next(others)
    proof.with_name("gate-1-7.org.tlog-proof").write_bytes(
        proven(evidence.org, at, "witnessed", all_entries(evidence.org)[at])
    )
    assert found(evidence, path=proof) == (BROKEN, {"proof-invalid"})


def test_an_org_log_that_holds_something_the_worker_did_not_sign(evidence: Evidence) -> None:
    org = all_entries(evidence.org)
    at = max(i for i, entry in enumerate(org) if decode(entry)["kind"] == "checkpoint")
    note = str(decode(org[at])["note"])
    for changed, name in (
        (note.replace("gate/1\n", "gate/9\n", 1), "unknown-key"),
        (note[:-6] + "AAAA=\n", "bad-signature"),
    ):
        evidence.sign_again(
            evidence.org, [edited(e, note=changed) if i == at else e for i, e in enumerate(org)], old_checkpoints=False
        )
        assert found(evidence)[1] & {"bad-signature", name}, name


def test_an_org_log_that_contradicts_the_checkpoints_it_holds(evidence: Evidence) -> None:
    org = all_entries(evidence.org)
    taken = [i for i, entry in enumerate(org) if decode(entry)["kind"] == "checkpoint"]
    evidence.sign_again(
        evidence.org,
        [edited(e, root="00" * 32) if i == taken[-1] else e for i, e in enumerate(org)],
        old_checkpoints=False,
    )
    assert "entry-malformed" in found(evidence)[1]
    smaller = edited(org[taken[-1]], size=1)
    evidence.sign_again(evidence.org, [*org[: taken[-1] + 1], *renumbered([smaller])], old_checkpoints=False)
    assert "rollback" in found(evidence)[1]


def test_what_is_said_to_have_been_seen_or_cosigned_must_be_signed_itself(evidence: Evidence, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    note = (evidence.worker / "checkpoint").read_text()
    at = note.rindex(" ") + 20
    kept.write_text(note[:at] + ("B" if note[at] == "A" else "A") + note[at + 1 :])
    assert "bad-signature" in found(evidence, "--seen", str(kept))[1]
    (evidence.org / "witnessed").write_text("gate/org\n")
    assert "bad-signature" in found(evidence)[1]
