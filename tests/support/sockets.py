"""Raw connections to a gate, for tests that speak the protocol byte by byte.

For: what such tests share. Not for: a client; `corpus.client` is one.
"""

from __future__ import annotations

import socket
import ssl


def drain(made: socket.socket) -> bytes:
    """Everything until the gate closes."""
    received = b""
    try:
        while part := made.recv(65536):
            received += part
    except (ConnectionResetError, ssl.SSLError):
        pass
    return received
