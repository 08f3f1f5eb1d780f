"""A real witness process over HTTP: what it cosigns, refuses and remembers."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from lockgate.ledger.checkpoint import Checkpoint, sign_checkpoint
from lockgate.ledger.note import Ed25519Signer, SignatureLine, split_note
from lockgate.ledger.tree import Tree, consistency_proof, leaf_hash
from lockgate.ledger.trust import TrustPolicy
from lockgate.ledger.witness import Submission, with_cosignatures
from lockgate.transport.witness_http import submit
from support.witness import WitnessProcess

LOG = Ed25519Signer("gate-1/org", bytes(32))
LEAVES = [leaf_hash(bytes([n])) for n in range(9)]


def read(level: int, index: int) -> bytes:
    tree = Tree()
    for leaf in LEAVES[index << level : (index + 1) << level]:
        tree.append(leaf)
    return tree.root


def body(old: int, size: int, origin: str = LOG.name) -> bytes:
    tree = Tree()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    note = sign_checkpoint(Checkpoint(origin, size, tree.root), LOG.renamed(origin))
    return Submission(old, tuple(consistency_proof(old, size, read)), note).encode()


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WitnessProcess]:
    folder = tmp_path_factory.mktemp("witness")
    (folder / "org.pub").write_text(LOG.vkey + "\n")
    process = WitnessProcess(folder / "state", folder / "org.pub").start()
    yield process
    process.stop()


def test_it_cosigns_with_both_keys_remembers_over_a_restart_and_refuses_to_go_back(
    witness: WitnessProcess, tmp_path: Path
) -> None:
    first = submit(witness.url, body(0, 5), seconds=10)
    assert first.status == 200
    note = body(0, 5).partition(b"\n\n")[2]
    lines = [SignatureLine.parse(line) for line in first.body.decode().splitlines()]
    witness.write_policy(tmp_path / "trust.policy")
    policy = TrustPolicy.parse((tmp_path / "trust.policy").read_bytes())
    assert sorted(policy.check(with_cosignatures(note, lines)).moments) == [
        "witness.example/w1-ed25519",
        "witness.example/w1-mldsa44",
    ]

    port = witness.port
    witness.stop()
    witness.start()
    assert witness.port == port
    shrunk = submit(witness.url, body(0, 3), seconds=10)
    assert (shrunk.status, shrunk.content_type, shrunk.body) == (409, "text/x.tlog.size", b"5\n")
    assert submit(witness.url, body(5, 8), seconds=10).status == 200
    assert {"event": "witness-refused", "reason": "other-size", "status": 409} in witness.said


def test_a_successor_starts_anew_and_is_announced(witness: WitnessProcess) -> None:
    assert submit(witness.url, body(0, 2, "gate-1/org~2"), seconds=10).status == 200
    assert {"event": "witness-new-log", "origin": "gate-1/org~2", "size": 2} in witness.said
    assert submit(witness.url, body(0, 2, "gate-2/org"), seconds=10).status == 404


def test_anyone_can_compare_the_head_it_remembers(witness: WitnessProcess) -> None:
    link = http.client.HTTPConnection("127.0.0.1", witness.port, timeout=10)
    submit(witness.url, body(0, 1, "gate-1/org~3"), seconds=10)
    for _ in range(2):  # one connection serves both
        link.request("GET", f"/heads/{sha256(b'gate-1/org~3').hexdigest()}")
        answer = link.getresponse()
        assert Checkpoint.parse(split_note(answer.read())[0]).size == 1
    link.request("GET", "/heads/..%2flock")
    answer = link.getresponse()
    assert (answer.status, answer.read()) == (404, b"no such head\n")
    link.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /add-checkpoint HTTP/1.1\r\n\r\n", b"405"), (b"POST /other HTTP/1.1\r\n\r\n", b"404"), (b"nonsense\r\n\r\n", b"400"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /add-checkpoint HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 3\r\n\r\nold", b"400"),
    ],
)  # fmt: skip
def test_requests_that_are_no_submission_are_answered_and_do_no_harm(
    witness: WitnessProcess, sent: bytes, status: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", witness.port), timeout=10) as link:
        link.sendall(sent)
        assert link.recv(4096).split(b" ")[1] == status


def test_a_head_longer_than_the_limit_ends_the_connection(witness: WitnessProcess) -> None:
    with socket.create_connection(("127.0.0.1", witness.port), timeout=10) as link:
        link.sendall(b"GET / HTTP/1.1\r\n" + b"x" * 20_000)
        assert _reply(link) == b""


def _reply(link: socket.socket) -> bytes:
    try:
        return link.recv(10)
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "http://127.0.0.1:1", "http://", "nonsense", "http://127.0.0.1:99999"]
)
def test_a_witness_that_cannot_be_reached_is_status_0(url: str) -> None:
    assert submit(url, b"", seconds=2).status == 0


def test_its_keys_are_made_once_and_kept_from_others(witness: WitnessProcess) -> None:
    for name in ("ed25519.key", "mldsa44.key"):
        assert (witness.folder / name).stat().st_mode & 0o777 == 0o600
