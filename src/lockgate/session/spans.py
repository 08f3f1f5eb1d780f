"""Bytes of one round, measured without being decoded: the values of a Bind, the rows and the tag of an answer.

For: the fast lane, which must be sure of every byte and needs only lengths and counts. Each has a compiled form.
Not for: what the bytes mean (`wire.postgres`), and what follows (`fast`).
Source: PostgreSQL documentation 55.7 (message formats); ADR 12, 14.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from lockgate import speed
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.frames import message

PARAMETERS_BYTES_MAX: Final = 64 << 10
"""Longest parameters; longer ones are kept in another form, by the conversation."""

_INT16 = struct.Struct("!H")
_INT32 = struct.Struct("!i")
_READY: Final = message(tags.READY_FOR_QUERY, b"?")[:5]
_WRITTEN: Final = re.compile(
    rb"C(.{4})(INSERT 0 [0-9]{1,18}|UPDATE [0-9]{1,18}|DELETE [0-9]{1,18})\0" + re.escape(_READY) + rb"(.)", re.DOTALL
)


def parameters(data: bytes, offset: int, end: int) -> bytes | None:
    """The parameters of a Bind as they are sealed, which is as they travel; None when the message is not one to be sure of."""
    found = (bind_values if speed.core is None else speed.core.bind_values)(data, offset, end)
    if found is None or found[1] - found[0] > PARAMETERS_BYTES_MAX:
        return None
    return data[found[0] : found[1]]


def bind_values(data: bytes, offset: int, end: int) -> tuple[int, int] | None:
    """Where the values of a Bind begin and end; None when the message is not well-formed.

    Args:
        data: what holds the message.
        offset: where the parameter formats begin.
        end: where the message ends.
    """
    if not 0 <= offset <= end <= len(data):
        return None
    try:
        formats = _INT16.unpack_from(data, offset)[0]
        if formats and not _are_formats(data[offset + 2 : offset + 2 + 2 * formats]):
            return None
        start = offset = offset + 2 + 2 * formats
        count = _INT16.unpack_from(data, offset)[0]
        offset += 2
        for _ in range(count):
            size = _INT32.unpack_from(data, offset)[0]
            offset += 4
            if size > 0:
                offset += size
            elif size < -1:
                return None
        results = _INT16.unpack_from(data, offset)[0]
    except struct.error:
        return None
    if offset + 2 + 2 * results != end or formats not in (0, 1, count):
        return None
    if results and not _are_formats(data[offset + 2 : end]):
        return None
    return start, offset


def _are_formats(codes: bytes) -> bool:
    return not any(codes[::2]) and not codes[1::2].strip(b"\0\1")


def written(data: bytes, position: int, status: int) -> int | None:
    """The tag's count, where a write's tag and ReadyForQuery are all that follows; None when it is not."""
    found = _WRITTEN.fullmatch(data, position)
    if found is None or found[3][0] != status or _INT32.unpack(found[1])[0] != found.end(2) - found.start(1) + 1:
        return None
    return int(found[2].rsplit(b" ", 1)[-1])


def measured(data: bytes, position: int, status: int) -> tuple[int, int, int] | None:
    """`rows_and_tag` in the core in use."""
    found: tuple[int, int, int] | None = (rows_and_tag if speed.core is None else speed.core.rows_and_tag)(
        data, position, status
    )
    return found


def rows_and_tag(data: bytes, position: int, status: int) -> tuple[int, int, int] | None:
    """Rows, their bytes and the tag's count, where rows, `SELECT` and ReadyForQuery are all that follows; None when it is not."""
    last = len(data) - 6
    first, rows = position, 0
    unpack = _INT32.unpack_from
    while 0 <= position < last and data[position] == tags.DATA_ROW:
        length = unpack(data, position + 1)[0]
        if length < 4:
            return None
        position += 1 + length
        rows += 1
    if not 0 <= position < last or data[position] != tags.COMMAND_COMPLETE:
        return None
    end = position + 1 + unpack(data, position + 1)[0]
    if end != last or not data.startswith(_READY, end) or data[-1] != status:
        return None
    tag = data[position + 5 : end - 1]
    if not tag.startswith(b"SELECT ") or not tag[7:].isdigit() or len(tag) > 25 or data[end - 1] != 0:
        return None
    return rows, position - first, int(tag[7:])
