"""Errors and notices of a backend.

For: reading them whatever state they are in, and writing our own.
Not for: deciding which fields a client may see. A report of a backend can quote row values in any field.
Source: PostgreSQL documentation, "Error and Notice Message Fields".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lockgate.errors import BackendProtocolError, InvariantError
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.frames import message as frame_bytes

SEVERITY: Final = "S"
SEVERITY_NOT_LOCALIZED: Final = "V"
CODE: Final = "C"
MESSAGE: Final = "M"
DETAIL: Final = "D"
HINT: Final = "H"

_SQLSTATE: Final = re.compile(r"[0-9A-Z]{5}")
_UNKNOWN: Final = "XX000"


@dataclass(frozen=True, slots=True)
class Report:
    """The fields of an error or notice by their one-letter codes, in the order received.

    Always an `ErrorResponse` or a `NoticeResponse`.
    """

    fields: Mapping[str, str] = field(repr=False)

    @property
    def sqlstate(self) -> str:
        """The SQLSTATE, or XX000 when it is missing or is none."""
        code = self.fields.get(CODE, "")
        return code if _SQLSTATE.fullmatch(code) else _UNKNOWN

    @property
    def severity(self) -> str:
        """The severity in English where the backend gives it, else as it gives it; `ERROR` when missing."""
        return self.fields.get(SEVERITY_NOT_LOCALIZED) or self.fields.get(SEVERITY) or "ERROR"

    @property
    def message(self) -> str:
        """The primary message, or an empty text."""
        return self.fields.get(MESSAGE, "")


@dataclass(frozen=True, slots=True)
class ErrorResponse(Report):
    """A statement or the session failed."""

    def encode(self) -> bytes:
        """Encode the message."""
        return frame_bytes(tags.ERROR_RESPONSE, _body(self.fields))


@dataclass(frozen=True, slots=True)
class NoticeResponse(Report):
    """A remark that fails nothing."""

    def encode(self) -> bytes:
        """Encode the message."""
        return frame_bytes(tags.NOTICE_RESPONSE, _body(self.fields))


def read_fields(body: bytes) -> dict[str, str]:
    """Read the fields of a report, forgiving what is missing, because an error must not hide behind its own form.

    The last text and the list may lack their terminators; any field may be absent; of a repeated field the first
    counts; bytes that are not UTF-8 stay as they are, because the client may have asked for another encoding, but in the SQLSTATE.

    Raises:
        BackendProtocolError: bytes after the end of the list.
    """
    fields: dict[str, str] = {}
    position = 0
    while position < len(body) and body[position]:
        end = body.find(0, position)
        end = len(body) if end < 0 else end
        code = chr(body[position])
        text = body[position + 1 : end].decode("utf-8", "replace" if code == "C" else "surrogateescape")
        fields.setdefault(code, text)
        position = end + 1
    if position + 1 < len(body):
        raise BackendProtocolError("error or notice: there are bytes after the end of the message")
    return fields


def error(
    sqlstate: str, message: str, *, severity: str = "ERROR", detail: str | None = None, hint: str | None = None
) -> bytes:
    """Encode an error of our own; `severity` is ERROR, FATAL or PANIC.

    Raises:
        InvariantError: `sqlstate` is not five digits or capital letters.
    """
    return ErrorResponse(_own(severity, sqlstate, message, {DETAIL: detail, HINT: hint})).encode()


def notice(
    sqlstate: str, message: str, *, severity: str = "NOTICE", detail: str | None = None, hint: str | None = None
) -> bytes:
    """Encode a notice of our own; `severity` is WARNING, NOTICE, DEBUG, INFO or LOG.

    Raises:
        InvariantError: `sqlstate` is not five digits or capital letters.
    """
    return NoticeResponse(_own(severity, sqlstate, message, {DETAIL: detail, HINT: hint})).encode()


def _own(severity: str, sqlstate: str, message: str, more: Mapping[str, str | None]) -> dict[str, str]:
    if not _SQLSTATE.fullmatch(sqlstate):
        raise InvariantError("an SQLSTATE to send is not five digits or capital letters")
    fields = {SEVERITY: severity, SEVERITY_NOT_LOCALIZED: severity, CODE: sqlstate, MESSAGE: message}
    return fields | {code: text for code, text in more.items() if text is not None}


def _body(fields: Mapping[str, str]) -> bytes:
    parts: list[bytes] = []
    for code, text in fields.items():
        if len(code) != 1 or not 0 < ord(code) < 0x100:
            raise InvariantError("the code of a report's field is not one byte")
        # An error must get through, so what cannot be sent is replaced here and not refused.
        parts.append(code.encode("latin-1") + _encoded(text.replace("\0", "\ufffd")))
    return b"\0".join([*parts, b"\0"])


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
