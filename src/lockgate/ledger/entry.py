"""One ledger entry as bytes: compact JSON with sorted keys.

For: writing an entry once and reading it back; the leaf of the tree is exactly these bytes.
Not for: the meaning of a kind's own fields, which docs/reference/entries.md lists and the writers fill.
Source: evidence.md 1.3 and 1.4; C2SP tlog-tiles (an entry bundle prefixes each entry with a uint16 length).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


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
