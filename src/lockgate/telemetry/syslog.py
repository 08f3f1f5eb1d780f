"""Events as lines for older SIEMs: CEF, and messages of RFC 5424.

For: receivers that read text; every field is escaped, so that no statement, name or reason can end a field, a line or a message.
Not for: deciding what is sent (`ocsf`), nor sending (`sinks`).
Source: ArcSight Common Event Format, implementation standard (escapes); RFC 5424 sections 6.2, 6.3.3, 7; RFC 6587 3.4.1 (octet counting).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lockgate import __version__

LOG_AUDIT = 13
"""Facility of RFC 5424."""
MESSAGE_BYTES_MAX = 60_000
"""A longer message is cut, between characters; one datagram holds it."""
_SEVERITIES = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2, 6: 0}
"""OCSF severity to syslog severity."""
_CEF_SEVERITIES = {1: 2, 2: 4, 3: 6, 4: 8, 5: 10, 6: 10}
_LINE_ENDS = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

Event = Mapping[str, Any]


def header(value: object) -> str:
    """A field of the CEF header: backslash and bar escaped, nothing that ends a line."""
    return _CONTROL.sub(" ", str(value)).replace("\\", "\\\\").replace("|", "\\|")


def extension(value: object) -> str:
    """A value of the CEF extension: backslash and equals sign escaped, line ends as a backslash and an n, no other control characters."""
    lines = _LINE_ENDS.split(str(value))
    return "\\n".join(_CONTROL.sub(" ", line).replace("\\", "\\\\").replace("=", "\\=") for line in lines)


def cef(event: Event) -> str:
    """One event in CEF."""
    unmapped, endpoint = event.get("unmapped", {}), event.get("src_endpoint", {})
    user = event.get("user") if event["class_uid"] == 3002 else event.get("actor", {}).get("user")
    address = endpoint.get("ip")
    fields: list[tuple[str, object]] = [
        ("rt", event["time"]),
        ("externalId", event["metadata"]["uid"]),
        ("act", event.get("action")),
        ("outcome", event.get("status")),
        ("reason", event.get("status_code")),
        ("suser", (user or {}).get("name")),
        ("src" if address is None or ":" not in address else "c6a2", address),
        ("c6a2Label", "Source IPv6 Address" if address is not None and ":" in address else None),
        ("shost", endpoint.get("name")),
        ("cs1Label", "database"),
        ("cs1", event.get("database", {}).get("name") or event.get("service", {}).get("name")),
        ("cs2Label", "statement"),
        ("cs2", event.get("query_info", {}).get("query_string")),
        ("cs3Label", "rule"),
        ("cs3", event.get("status_detail")),
        ("cs4Label", "run"),
        ("cs4", unmapped.get("run")),
        ("cs5Label", "tables"),
        ("cs5", ", ".join(map(str, unmapped.get("tables", []))) or None),
        ("cs6Label", "onBehalfOf"),
        ("cs6", unmapped.get("on_behalf_of")),
        ("cn1Label", "rows"),
        ("cn1", unmapped.get("rows")),
        ("msg", event.get("message")),
    ]
    given = {name for name, value in fields if value is not None}
    kept = [
        (n, v) for n, v in fields if v is not None and (not n.endswith("Label") or n.removesuffix("Label") in given)
    ]
    head = "|".join(
        header(part) for part in ("CEF:0", "Lockgate", "Lockgate", __version__, event["type_uid"], event["type_name"])
    )
    return f"{head}|{_CEF_SEVERITIES[event['severity_id']]}|{' '.join(f'{name}={extension(value)}' for name, value in kept)}"


def _name(value: str, length: int) -> str:
    """A header field of RFC 5424: printable ASCII without spaces, or `-`."""
    return re.sub(r"[^!-~]", "_", value)[:length] or "-"


def _parameter(value: object) -> str:
    """A value of structured data: quote, backslash and closing bracket escaped."""
    return re.sub(r'(["\\\]])', r"\\\1", _CONTROL.sub(" ", str(value)))


def rfc5424(event: Event, text: str, *, host: str) -> bytes:
    """One message: header, where the event is in the ledger, and `text` in UTF-8 behind a byte order mark."""
    priority = LOG_AUDIT * 8 + _SEVERITIES[event["severity_id"]]
    metadata = event["metadata"]
    software = f'[origin software="Lockgate" swVersion="{_parameter(__version__)}"]'
    sequence = f'[meta sequenceId="{metadata["sequence"] % 2147483647 + 1}"]'
    head = f"<{priority}>1 {metadata['original_time']} {_name(host, 255)} lockgate {_name(metadata['log_name'], 128)} {event['type_uid']} {software}{sequence}"
    message = head.encode() + b" \xef\xbb\xbf" + _CONTROL.sub(" ", text).encode("utf-8", "replace")
    return (
        message if len(message) <= MESSAGE_BYTES_MAX else message[:MESSAGE_BYTES_MAX].decode("utf-8", "ignore").encode()
    )


def octet_counted(message: bytes) -> bytes:
    """A message on a stream: its length, a space, itself."""
    return str(len(message)).encode() + b" " + message
