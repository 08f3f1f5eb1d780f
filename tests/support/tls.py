"""Certificates of our own: one for receivers in tests, and an authority that signs and revokes those of clients."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lockgate.cli.x509 import self_signed


def make_authority(folder: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's context that trusts a fresh certificate, and the server's that shows it."""
    certificate, key = self_signed(host, now=datetime.now(UTC), lasts=timedelta(hours=1))
    (folder / "cert.pem").write_text(certificate)
    (folder / "key.pem").write_text(key)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return ssl.create_default_context(cafile=str(folder / "cert.pem")), serving


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@dataclass
class Authority:
    """Signs certificates of clients; `folder` gets `<name>.crt` and `<name>.key`, the authority's own and its list of revoked ones."""

    folder: Path
    name: str = "authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    revoked: list[int] = field(default_factory=list)

    @property
    def own(self) -> x509.Name:
        """Its name."""
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    def write(self) -> Path:
        """Its certificate."""
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder().subject_name(self.own).issuer_name(self.own).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=2)).not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True).sign(self.key, hashes.SHA256())
        )  # fmt: skip
        place = self.folder / f"{self.name}.crt"
        place.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return place

    def write_revoked(self, *, current: bool = True) -> Path:
        """Its list of revoked certificates."""
        now = datetime.now(UTC) - timedelta(days=0 if current else 30)
        made = x509.CertificateRevocationListBuilder().issuer_name(self.own)
        made = made.last_update(now - timedelta(hours=1)).next_update(now + timedelta(days=1))
        for serial in self.revoked:
            one = (
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(hours=1)).build()
            )
            made = made.add_revoked_certificate(one)
        place = self.folder / f"{self.name}.crl"
        place.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return place

    def issue(self, common_name: str, *names: x509.GeneralName, days: int = 1, serves: bool = False) -> dict[str, str]:
        """A client's certificate and key, as libpq's parameters; negative `days`: it has expired. `serves`: it is a server's."""
        now, key = datetime.now(UTC), _key()
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH
        made = (
            x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self.own).public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2)).not_valid_after(now + timedelta(days=days, seconds=-60))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )  # fmt: skip
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = made.sign(self.key, hashes.SHA256())
        stem = self.folder / f"{signed.serial_number}"
        stem.with_suffix(".crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        stem.with_suffix(".key").write_bytes(_pem(key))
        stem.with_suffix(".key").chmod(0o600)
        return {"sslcert": str(stem.with_suffix(".crt")), "sslkey": str(stem.with_suffix(".key"))}

    def revoke(self, issued: dict[str, str]) -> None:
        """Put a certificate on the list, which is written anew."""
        self.revoked.append(int(Path(issued["sslcert"]).stem))
        self.write_revoked()


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip
