"""TLS on both ends of a pair of sockets in one thread: contexts with a certificate of their own, and the handshake between a transport and its peer.

Not for: what is said over it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockgate.cli.x509 import self_signed
from lockgate.transport.raw import RawTransport


@dataclass(frozen=True)
class Tls:
    """Contexts of the two sides of a link."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def contexts(folder: Path, version: ssl.TLSVersion) -> Tls:
    """Both, with a certificate of their own."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    for file, text in zip(
        (certificate, key), self_signed("localhost", now=datetime.now(UTC), lasts=timedelta(days=1)), strict=True
    ):
        file.write_text(text)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(certificate, key)
    client.load_verify_locations(certificate)
    client.check_hostname = False
    server.maximum_version = version
    return Tls(server, client)


async def shaken(
    transport: RawTransport, context: ssl.SSLContext, *, peer: socket.socket, its: ssl.SSLContext, server_side: bool
) -> ssl.SSLSocket:
    """Shake hands on both ends of a pair; the peer's end."""
    secured = its.wrap_socket(peer, server_side=not server_side, do_handshake_on_connect=False)
    ours = asyncio.create_task(transport.start_tls(context, server_side=server_side))
    await asyncio.sleep(0)  # it must not read before it is told to
    is_done = False
    while not (is_done and ours.done()):
        if not is_done:
            with contextlib.suppress(ssl.SSLWantReadError):
                secured.do_handshake()
                is_done = True
        await asyncio.sleep(0)
    await ours
    return secured
