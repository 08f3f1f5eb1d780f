"""The type byte of every message.

For: one name per message and direction, and how long a client's messages may be.
Not for: the packets before start-up, which have no type byte (see `startup`).
Source: PostgreSQL documentation, "Message Formats"; limits as in the server's `SocketBackend`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# Sent by the client.
BIND: Final = ord("B")
CLOSE: Final = ord("C")
COPY_FAIL: Final = ord("f")
DESCRIBE: Final = ord("D")
EXECUTE: Final = ord("E")
FLUSH: Final = ord("H")
FUNCTION_CALL: Final = ord("F")
PARSE: Final = ord("P")
PASSWORD: Final = ord("p")
QUERY: Final = ord("Q")
SYNC: Final = ord("S")
TERMINATE: Final = ord("X")

# Sent by both.
COPY_DATA: Final = ord("d")
COPY_DONE: Final = ord("c")

# Sent by the backend.
AUTHENTICATION: Final = ord("R")
BACKEND_KEY_DATA: Final = ord("K")
BIND_COMPLETE: Final = ord("2")
CLOSE_COMPLETE: Final = ord("3")
COMMAND_COMPLETE: Final = ord("C")
COPY_BOTH_RESPONSE: Final = ord("W")
COPY_IN_RESPONSE: Final = ord("G")
COPY_OUT_RESPONSE: Final = ord("H")
DATA_ROW: Final = ord("D")
EMPTY_QUERY_RESPONSE: Final = ord("I")
ERROR_RESPONSE: Final = ord("E")
FUNCTION_CALL_RESPONSE: Final = ord("V")
NEGOTIATE_PROTOCOL_VERSION: Final = ord("v")
NO_DATA: Final = ord("n")
NOTICE_RESPONSE: Final = ord("N")
NOTIFICATION_RESPONSE: Final = ord("A")
PARAMETER_DESCRIPTION: Final = ord("t")
PARAMETER_STATUS: Final = ord("S")
PARSE_COMPLETE: Final = ord("1")
PORTAL_SUSPENDED: Final = ord("s")
READY_FOR_QUERY: Final = ord("Z")
ROW_DESCRIPTION: Final = ord("T")

ROWS: Final = frozenset({DATA_ROW, COPY_DATA})

FRONTEND: Final = frozenset(
    {
        *(BIND, CLOSE, COPY_DATA, COPY_DONE, COPY_FAIL, DESCRIBE, EXECUTE),
        *(FLUSH, FUNCTION_CALL, PARSE, PASSWORD, QUERY, SYNC, TERMINATE),
    }
)

SMALL_BODY_BYTES_MAX: Final = 10_000
PASSWORD_BODY_BYTES_MAX: Final = 65_535

FRONTEND_LIMITS: Final[Mapping[int, int]] = MappingProxyType(
    {
        PASSWORD: PASSWORD_BODY_BYTES_MAX,
        **dict.fromkeys(
            (CLOSE, COPY_DONE, COPY_FAIL, DESCRIBE, EXECUTE, FLUSH, SYNC, TERMINATE),
            SMALL_BODY_BYTES_MAX,
        ),
    }
)
"""Largest body per tag; a tag that is absent carries statements or values and has the reader's own maximum."""


def tag_name(tag: int) -> str:
    """Write a type byte so that it is safe in a sentence: the letter, or its number in hexadecimal."""
    return chr(tag) if 0x20 < tag < 0x7F and tag != ord("`") else f"0x{tag:02x}"
