"""A frame as the one message its reader expects.

For: readers that know from the tag, or from the state, which message it must be.
Not for: decoding itself (`frontend`, `backend`).
"""

from __future__ import annotations

from typing import TypeVar

from lockgate.errors import BackendProtocolError, ClientProtocolError
from lockgate.wire.postgres import backend, frontend
from lockgate.wire.postgres.frames import Frame

T = TypeVar("T")


def from_client(frame: Frame, expected: type[T]) -> T:
    """Decode a client's frame as `expected`.

    Raises:
        ClientProtocolError: it is malformed or another message.
    """
    decoded = frontend.decode(frame)
    if not isinstance(decoded, expected):
        raise ClientProtocolError(f"another message than {expected.__name__} where one was expected")
    return decoded


def from_backend(frame: Frame, expected: type[T]) -> T:
    """Decode a backend's frame as `expected`.

    Raises:
        BackendProtocolError: it is malformed or another message.
    """
    decoded = backend.decode(frame)
    if not isinstance(decoded, expected):
        raise BackendProtocolError(f"another message than {expected.__name__} where one was expected")
    return decoded
