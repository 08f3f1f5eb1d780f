"""Every command in docs/verify.md does what the document says, on what a real gate wrote."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from support.authority import certificate
from support.gate import COMMAND
from support.produced import Produced
from support.verifying import PROGRAM

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "verify.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
EXPECTED = {
    "lockgate_verify.py log --key log.pub\n": (0, "VERIFIED: every record is what was signed"),
    "--max-age 24h": (0, "vouched for"),
    "--seen last/gate-1/checkpoint": (0, "VERIFIED"),
    "--timestamp-roots roots.pem": (3, "timestamp-missing"),
    "--json > answer.jsonl": (0, ""),
    "--claim answer.jsonl": (0, "in both"),
    "--prove proofs": (0, '"kind"'),
    "lockgate_verify.py proofs": (0, "VERIFIED: each entry is in its log"),
    "log search --person": (0, "clara"),
    '--reason "request 7"\n': (0, "would erase: 1 texts"),
    '--reason "request 7" --yes': (0, "erased: 1 texts"),
    '--reason "retention" --yes': (1, "nothing matches"),
    "lockgate log completeness": (0, "0 of "),
}
"""Exit status and a piece of the output, by a piece of the command."""


@pytest.fixture(scope="module")
def desk(produced: Produced, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An auditor's folder, with the names that the document uses."""
    desk = tmp_path_factory.mktemp("desk")
    gate = Path(shutil.copytree(produced.gate.folder, desk / "gate"))
    (desk / "log").symlink_to(gate / "log")
    shutil.copy(PROGRAM, desk)
    shutil.copy(gate / "keys/log.pub", desk)
    shutil.copy(gate / "trust.policy", desk)
    anybody = rsa.generate_private_key(65537, 2048)
    (desk / "roots.pem").write_bytes(certificate("CA", anybody, "CA", anybody, ca=True))
    for log in ("gate-1", "gate-org"):
        (desk / "last" / log).mkdir(parents=True)
        shutil.copy(produced.earlier / log / "checkpoint", desk / "last" / log)
    return desk


def test_the_commands_of_the_document_work_in_their_order(desk: Path) -> None:
    commands = [line for block in BLOCKS for line in block.splitlines() if line]
    seen = set()
    for command in commands:
        (piece,) = [piece for piece in EXPECTED if piece in command + "\n"]
        seen.add(piece)
        ready = command.replace("python3 ", f"{sys.executable} ", 1)
        ready = re.sub(r"^lockgate ", f"{' '.join(COMMAND)} ", ready)
        environment = {**os.environ, "LOCKGATE_CONFIG": str(desk / "gate/lockgate.toml")}
        done = subprocess.run(
            ["sh", "-c", ready], cwd=desk, capture_output=True, text=True, check=False, timeout=60, env=environment
        )
        status, words = EXPECTED[piece]
        assert (done.returncode, words in done.stdout) == (status, True), f"{command}\n{done.stdout}{done.stderr}"
    assert seen == set(EXPECTED)


def test_a_receipt_is_small_and_needs_neither_the_log_nor_the_network(desk: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "LOCKGATE_CONFIG": str(desk / "gate/lockgate.toml")}
    subprocess.run(
        [*COMMAND, "log", "show", "9", "--prove", str(tmp_path / "proofs")],
        check=True,
        capture_output=True,
        env=environment,
        timeout=60,
    )
    proofs = sorted((tmp_path / "proofs").glob("*.tlog-proof"))
    assert len(proofs) == 2
    assert all(len(proof.read_bytes()) <= 2048 for proof in proofs)
    offline = ["unshare", "--net"] if os.geteuid() == 0 and shutil.which("unshare") else []
    done = subprocess.run([*offline, sys.executable, str(PROGRAM), str(tmp_path / "proofs"), "--policy", str(desk / "trust.policy")],
                          capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)  # fmt: skip
    assert (done.returncode, "witnesses" in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_policy_that_asks_for_post_quantum_cosignatures_needs_receipts_that_have_them(
    desk: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "LOCKGATE_CONFIG": str(desk / "gate/lockgate.toml")}
    strict = tmp_path / "strict.policy"
    strict.write_text((desk / "trust.policy").read_text().replace(" any ", " all "))
    statuses = []
    for number, more in enumerate(([], ["--post-quantum"])):
        proofs = tmp_path / str(number)
        subprocess.run([*COMMAND, "log", "show", "9", "--prove", str(proofs), *more], check=True, capture_output=True, env=environment, timeout=60)  # fmt: skip
        statuses.append(subprocess.run([sys.executable, str(PROGRAM), str(proofs), "--policy", str(strict)],
                                       capture_output=True, check=False, timeout=60).returncode)  # fmt: skip
    assert statuses == [3, 0]
