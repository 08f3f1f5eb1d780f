"""A certificate of our own for receivers in tests."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockgate.cli.x509 import self_signed


def make_authority(folder: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's context that trusts a fresh certificate, and the server's that shows it."""
    certificate, key = self_signed(host, now=datetime.now(UTC), lasts=timedelta(hours=1))
    (folder / "cert.pem").write_text(certificate)
    (folder / "key.pem").write_text(key)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return ssl.create_default_context(cafile=str(folder / "cert.pem")), serving
