"""RFC 3161 tokens from an authority on this machine, made with `openssl ts`, and checked by openssl again."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lockgate.errors import LedgerError
from lockgate.transport.timestamping import roots_from, timestamp
from lockgate.transport.witness_http import HttpAnswer

DATA = b"gate-1/org\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
CONFIG = """[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
"""


@dataclass
class Authority:
    """A time-stamping authority."""

    folder: Path
    url: str

    @property
    def roots(self) -> list[x509.Certificate]:
        return roots_from((self.folder / "ca.pem").read_bytes())


def _certificate(
    subject: str, key: rsa.RSAPrivateKey, issuer: str, issuer_key: rsa.RSAPrivateKey, *, ca: bool
) -> bytes:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    folder = tmp_path_factory.mktemp("tsa")
    ca, tsa = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    (folder / "ca.pem").write_bytes(_certificate("Test CA", ca, "Test CA", ca, ca=True))
    (folder / "tsa.pem").write_bytes(_certificate("Test TSA", tsa, "Test CA", ca, ca=False))
    (folder / "tsa.key").write_bytes(
        tsa.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "serial").write_text("01\n")
    (folder / "openssl.cnf").write_text(CONFIG.format(folder=folder))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            subprocess.run(
                ["openssl", "ts", "-reply", "-config", "openssl.cnf", "-queryfile", "query", "-out", "reply"],
                cwd=folder, check=True, capture_output=True,
            )  # fmt: skip
            body = (folder / "reply").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Authority(folder, f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()
    thread.join()
    server.server_close()


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
    other = roots_from(_certificate("Test CA", stranger, "Test CA", stranger, ca=True))
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
