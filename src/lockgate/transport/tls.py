"""TLS towards clients: the context that the listener secures links with, and what a client's certificate says.

For: certificate and key of the gate, the application protocol, authorities of client certificates and their lists of revoked ones.
Not for: who a certificate is (`identity.certificates`), and TLS towards databases (`pgclient`).
Source: ssl documentation; RFC 5280, section 5 (lists of revoked certificates); RFC 7301 (application protocol).
"""

from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path

from lockgate.errors import ConfigError
from lockgate.identity.certificates import KINDS, PeerCertificate

APPLICATION_PROTOCOL = "postgresql"
"""What TLS without a request before it must be for, so that bytes meant for another service are not read as PostgreSQL's."""


def server_context(
    certificate: Path | None, key: Path | None, authorities: Path | None, revoked: Path | None
) -> ssl.SSLContext | None:
    """The context of a listener; None for one without a certificate.

    Args:
        certificate: chain shown to clients.
        key: its private key.
        authorities: who may sign clients' certificates; with them a certificate is asked for, and whoever has none goes on without.
        revoked: lists of revoked client certificates, one from each authority; with it a certificate whose authority has no current
            list is refused.

    Raises:
        ConfigError: a file is not what it should be.
    """
    if certificate is None or key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([APPLICATION_PROTOCOL])
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{certificate}:1: is not a certificate with its key") from error
    if authorities is None:
        return context
    context.verify_mode = ssl.CERT_OPTIONAL
    _load(context, authorities, "has no certificate of an authority")
    if not context.get_ca_certs():
        raise ConfigError(f"{authorities}:1: has no certificate of an authority")
    if revoked is not None:
        _load(context, revoked, "has no list of revoked certificates")
        if not context.cert_store_stats()["crl"]:
            raise ConfigError(f"{revoked}:1: has no list of revoked certificates")
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    return context


def _load(context: ssl.SSLContext, file: Path, otherwise: str) -> None:
    try:
        context.load_verify_locations(file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{file}:1: {otherwise}") from error


def peer_certificate(secured: ssl.SSLSocket) -> PeerCertificate | None:
    """What the certificate says that the other side showed and TLS has verified; None when it showed none."""
    der, fields = secured.getpeercert(binary_form=True), secured.getpeercert()
    if not der or not fields:
        return None
    names = {
        f"{kind}:{value}" for kind, value in _pairs(fields.get("subjectAltName")) if kind in KINDS and kind != "CN"
    }
    subject = fields.get("subject")
    for part in subject if isinstance(subject, tuple) else ():
        names |= {f"CN:{value}" for kind, value in _pairs(part) if kind == "commonName"}
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(fields["notAfter"])), UTC)
    return PeerCertificate(frozenset(names), f"x509-{hashlib.sha256(der).hexdigest()[:40]}", until)


def _pairs(found: object) -> list[tuple[str, str]]:
    """Pairs of texts out of what the library gives, whose shape differs from one kind of name to another."""
    pairs = [tuple(one) for one in found if isinstance(one, tuple)] if isinstance(found, tuple) else []
    return [(str(one[0]), str(one[1])) for one in pairs if len(one) == 2]
