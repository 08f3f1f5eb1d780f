"""One ledger entry as bytes: compact JSON with sorted keys.

For: writing an entry once and reading it back; the leaf of the tree is exactly these bytes.
Not for: the meaning of a kind's own fields, which docs/reference/entries.md lists and the writers fill.
Source: evidence.md 1.3 and 1.4; C2SP tlog-tiles (an entry bundle prefixes each entry with a uint16 length).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from lockgate.errors import LedgerError

SCHEMA_VERSION = 1
ENTRY_BYTES_MAX = 65_535
KINDS = frozenset(
    {
        "boot", "session", "intent", "outcome", "deny", "policy", "admin", "review", "erasure", "heartbeat", "run", "close",
        "checkpoint", "key",
    }
)  # fmt: skip
"""Every kind of entry; a kind that is not here is neither written nor read."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_ENCODER = msgspec.json.Encoder(order="deterministic")


def time_text(moment: datetime) -> str:
    """An aware datetime as ISO 8601 UTC with microseconds, the only form an entry's `time` may have."""
    if moment.tzinfo is None:
        raise LedgerError("an entry's time needs a time zone")
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def _check(fields: Mapping[str, object]) -> None:
    if fields.get("v") != SCHEMA_VERSION or isinstance(fields.get("v"), bool):
        raise LedgerError("an entry needs `v`, the schema version")
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise LedgerError("an entry needs a known `kind`")
    moment = fields.get("time")
    if not isinstance(moment, str) or _TIME.fullmatch(moment) is None:
        raise LedgerError("an entry needs `time` in ISO 8601 UTC with microseconds")


def encode(fields: Mapping[str, object]) -> bytes:
    """The entry's bytes: sorted keys, UTF-8, no spaces.

    Raises:
        LedgerError: `v`, `kind` or `time` is missing or wrong, a value has no JSON form, or the entry is longer than 65,535 bytes.
    """
    _check(fields)
    try:
        encoded = _ENCODER.encode(fields)
    except (TypeError, ValueError, RecursionError) as error:
        raise LedgerError("an entry has a value without a JSON form") from error
    if len(encoded) > ENTRY_BYTES_MAX:
        raise LedgerError(f"an entry of {len(encoded)} bytes is longer than {ENTRY_BYTES_MAX}")
    return encoded


class Template:
    """An entry whose fields are constant but for a few holes: filling them is one formatting of bytes.

    A filled template has exactly the bytes that `encode` gives for the same fields; `fields` gives those back.

    Args:
        fields: the constant fields.
        holes: names of the others, in sorted order; a hole holds a whole number, or text of ASCII letters, digits and `-:.T` only.
        texts: which of the holes are text.
    """

    __slots__ = ("_constant", "_pattern", "holes", "intent_at", "kind", "names_intent", "pieces")

    def __init__(self, fields: Mapping[str, object], holes: Sequence[str], texts: frozenset[str]) -> None:
        if list(holes) != sorted(set(holes)) or any(name in fields for name in holes):
            raise LedgerError("the holes of a template come sorted, and are no constant fields")
        probe = {name: "" if name in texts else 0 for name in holes} | {"time": "2000-01-01T00:00:00.000000Z"}
        encode({**fields, **probe})
        self.kind = str(fields["kind"])
        self.holes = tuple(holes)
        self.names_intent = self.kind == "outcome" and "intent" in holes
        self.intent_at = self.holes.index("intent") if self.names_intent else 0
        self._constant = dict(fields)
        pieces, pattern, separator = [b""], [], b"{"
        for name in sorted((*fields, *holes)):
            key = separator + _ENCODER.encode(name) + b":"
            separator = b","
            if name in fields:
                pieces[-1] += key + _ENCODER.encode(fields[name])
                continue
            quote = b'"' if name in texts else b""
            pieces[-1] += key + quote
            pieces.append(quote)
            pattern.append(b"%b" if name in texts else b"%d")
        pieces[-1] += b"}"
        self.pieces = tuple(pieces)
        """The bytes between the holes."""
        doubled = [piece.replace(b"%", b"%%") for piece in pieces]
        self._pattern = b"".join(a + b for a, b in zip(doubled, (*pattern, b""), strict=True))

    def fill(self, values: tuple[object, ...]) -> bytes:
        """The entry's bytes; `values` are those of the holes in order, texts as ASCII bytes."""
        return self._pattern % values

    def fields(self, values: tuple[object, ...]) -> dict[str, object]:
        """The entry's fields."""
        filled = {n: v.decode("ascii") if isinstance(v, bytes) else v for n, v in zip(self.holes, values, strict=True)}
        return {**self._constant, **filled}


def decode(entry: bytes) -> dict[str, object]:
    """The fields of an entry.

    Raises:
        LedgerError: the bytes are no entry of this schema version.
    """
    if len(entry) > ENTRY_BYTES_MAX:
        raise LedgerError("an entry is too long")
    try:
        fields = msgspec.json.decode(entry, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerError("an entry is not a JSON object") from error
    _check(fields)
    return fields
