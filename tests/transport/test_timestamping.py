"""RFC 3161 tokens from an authority on this machine, made with `openssl ts`, and checked by openssl again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from lockgate.errors import LedgerError
from lockgate.transport.timestamping import roots_from, timestamp
from lockgate.transport.witness_http import HttpAnswer
from support.authority import Authority, authority_in, certificate

DATA = b"gate-1/org\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority_in(tmp_path_factory.mktemp("tsa")) as made:
        yield made


def test_a_token_is_verified_kept_and_accepted_by_openssl(authority: Authority, tmp_path: Path) -> None:
    token = timestamp(DATA, authority.url, authority.roots, seconds=20)
    (tmp_path / "data").write_bytes(DATA)
    (tmp_path / "token").write_bytes(token)

    def verified(data: str) -> int:
        return subprocess.run(
            ["openssl", "ts", "-verify", "-data", data, "-in", "token", "-CAfile", str(authority.folder / "ca.pem")],
            cwd=tmp_path, check=False, capture_output=True,
        ).returncode  # fmt: skip

    assert verified("data") == 0
    (tmp_path / "other").write_bytes(DATA.replace(b"7", b"8"))
    assert verified("other") != 0


def test_a_token_for_other_data_or_of_another_authority_is_refused(authority: Authority) -> None:
    kept: list[HttpAnswer] = []

    def real(url: str, body: bytes, *, content_type: str, seconds: float) -> HttpAnswer:
        from lockgate.transport.witness_http import post

        kept.append(post(url, body, content_type=content_type, seconds=seconds))
        return kept[-1]

    timestamp(DATA, authority.url, authority.roots, seconds=20, send=real)

    def replayed(url: str, body: bytes, *, content_type: str, seconds: float) -> HttpAnswer:
        return kept[0]

    with pytest.raises(LedgerError, match="does not verify"):
        timestamp(b"other", authority.url, authority.roots, seconds=20, send=replayed)
    with pytest.raises(LedgerError, match="does not verify"):
        timestamp(DATA, authority.url, authority.roots, seconds=20, send=replayed)  # another nonce
    stranger = rsa.generate_private_key(65537, 2048)
    other = roots_from(certificate("Test CA", stranger, "Test CA", stranger, ca=True))
    with pytest.raises(LedgerError, match="does not verify"):
        timestamp(DATA, authority.url, other, seconds=20)


@pytest.mark.parametrize(
    "answer",
    [
        HttpAnswer(0), HttpAnswer(500), HttpAnswer(200, "text/html", b"hello"), HttpAnswer(200, "application/timestamp-reply", b"garbage"),
        HttpAnswer(200, "application/timestamp-reply", b""),
    ],
)  # fmt: skip
def test_answers_that_are_no_token_are_refused(authority: Authority, answer: HttpAnswer) -> None:
    def send(url: str, body: bytes, *, content_type: str, seconds: float) -> HttpAnswer:
        return answer

    with pytest.raises(LedgerError):
        timestamp(DATA, authority.url, authority.roots, seconds=1, send=send)
    with pytest.raises(LedgerError, match="no certificate"):
        roots_from(b"nothing")
