"""Time stamps (RFC 3161) of an authority made with openssl, as the standalone verifier checks them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from lockgate.ledger.checkpoint import Checkpoint, sign_checkpoint
from lockgate.ledger.note import Ed25519Signer
from lockgate.transport.timestamping import timestamp
from support.authority import Authority, authority_in, certificate
from support.produced import Produced
from support.tampering import stated
from support.verifying import PROGRAM, verifier

VERIFIED, BROKEN, UNUSABLE, NOT_VOUCHED = 0, 1, 2, 3


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority_in(tmp_path_factory.mktemp("tsa")) as made:
        yield made


@dataclass
class Stamped:
    """An org log with one token."""

    log: Path
    key: Path
    roots: Path
    signer: Ed25519Signer
    text: str

    @property
    def token(self) -> Path:
        return next((self.log / "timestamps").glob("*.tsr"))

    def found(self, *more: str) -> tuple[int, set[str], tuple[int, int, int]]:
        """The exit status, the findings, and when how much was stamped."""
        command = [
            sys.executable,
            str(PROGRAM),
            str(self.log),
            "--key",
            str(self.key),
            "--json",
            *(more or ("--timestamp-roots", str(self.roots))),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        (report,) = json.loads(done.stdout)["logs"]
        return (
            done.returncode,
            set(report["finding_counts"]),
            (report["stamps"], report["stamped_size"], report["stamped_at"]),
        )


@pytest.fixture
def stamped(produced: Produced, authority: Authority, tmp_path: Path) -> Stamped:
    gate = produced.gate.folder
    log = Path(shutil.copytree(gate / "log/gate-org", tmp_path / "org", ignore=shutil.ignore_patterns("lock")))
    head = stated(log)
    note = (log / "checkpoint").read_bytes()
    text = note.decode().partition("\n\n")[0] + "\n"
    folder = log / "timestamps"
    folder.mkdir()
    (folder / f"{head.size}.checkpoint").write_bytes(note)
    (folder / f"{head.size}.tsr").write_bytes(timestamp(text.encode(), authority.url, authority.roots, seconds=20))
    signer = Ed25519Signer.from_skey((gate / "keys/log.key").read_text()).renamed(head.origin)
    return Stamped(log, gate / "keys/log.pub", authority.folder / "ca.pem", signer, text)


def test_a_token_that_holds_is_counted_and_none_is_asked_for_unless_roots_are_given(stamped: Stamped) -> None:
    status, findings, (stamps, size, moment) = stamped.found()
    assert (status, findings, stamps, size) == (VERIFIED, set(), 1, stated(stamped.log).size)
    assert abs(moment - stamped.token.stat().st_mtime) < 60
    stamped.token.write_bytes(b"no token")
    assert stamped.found("--silence", "60s")[:2] == (VERIFIED, set())
    stamped.token.unlink()
    assert stamped.found()[:2] == (NOT_VOUCHED, {"timestamp-missing"})


def test_a_token_for_something_else_or_of_a_stranger_is_found(stamped: Stamped, authority: Authority) -> None:
    good = stamped.token.read_bytes()
    stamped.token.write_bytes(timestamp(stamped.text.encode() + b"x", authority.url, authority.roots, seconds=20))
    assert stamped.found()[:2] == (BROKEN, {"timestamp-invalid", "timestamp-missing"})
    stamped.token.write_bytes(good)
    assert stamped.found()[0] == VERIFIED
    beside = stamped.token.with_suffix(".checkpoint")
    note = beside.read_bytes()
    beside.write_bytes(b"no checkpoint")
    assert stamped.found()[:2] == (BROKEN, {"timestamp-invalid", "timestamp-missing"})
    beside.write_bytes(note)
    stranger = rsa.generate_private_key(65537, 2048)
    stamped.roots = stamped.log.parent / "stranger.pem"
    stamped.roots.write_bytes(certificate("Test CA", stranger, "Test CA", stranger, ca=True))
    assert stamped.found()[:2] == (BROKEN, {"timestamp-invalid", "timestamp-missing"})
    stamped.roots.write_text("nothing")
    assert (
        verifier.run([str(stamped.log), "--key", str(stamped.key), "--timestamp-roots", str(stamped.roots)]) == UNUSABLE
    )


def test_history_that_was_stamped_cannot_be_signed_again(stamped: Stamped, authority: Authority) -> None:
    head = stated(stamped.log)
    other = sign_checkpoint(Checkpoint(head.origin, head.size - 1, bytes(32)), stamped.signer)
    text = other.decode().partition("\n\n")[0] + "\n"
    stamped.token.with_suffix(".checkpoint").write_bytes(other)
    stamped.token.write_bytes(timestamp(text.encode(), authority.url, authority.roots, seconds=20))
    assert stamped.found()[:2] == (BROKEN, {"history-rewritten"})


def test_no_changed_byte_of_a_token_changes_what_it_shows(stamped: Stamped, authority: Authority) -> None:
    """Bytes that nobody signed may change; whatever else does is found, and none ends in a traceback."""
    good, data, roots = stamped.token.read_bytes(), stamped.text.encode(), authority.roots
    moment = verifier.Stamp.parse(good).moment
    unfelt = 0
    for position in range(len(good)):
        for bit in (0x01, 0x80):
            changed = bytearray(good)
            changed[position] ^= bit
            try:
                stamp = verifier.Stamp.parse(bytes(changed))
                stamp.check(data, roots)
            except verifier.MalformedError:
                continue
            assert stamp.moment == moment
            unfelt += 1
    assert unfelt < len(good) / 8
    for length in range(0, len(good), 7):
        with pytest.raises(verifier.MalformedError):
            verifier.Stamp.parse(good[:length])
