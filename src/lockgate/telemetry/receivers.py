"""Receivers that take text: files of JSON lines, syslog, webhooks.

For: events as the receiver's form wants them, and an error when they were not taken.
Not for: sockets and files (`Post` functions come from outside).
Source: RFC 5424, RFC 6587; Standard Webhooks (identity, time and signature in headers); docs/reference/exports.md.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from lockgate.errors import ConfigError
from lockgate.telemetry.follow import Fact, ReceiverError
from lockgate.telemetry.syslog import cef, octet_counted, rfc5424

_JSON = msgspec.json.Encoder(order="deterministic")

Post = Callable[[bytes, Mapping[str, str]], int]
"""Sends a body with headers and returns an HTTP status; raises OSError."""
Write = Callable[[bytes], None]
"""Hands bytes over to whoever keeps them; raises OSError."""


def json_line(fact: Fact) -> bytes:
    """An event as one line."""
    return _JSON.encode(fact.event) + b"\n"


class Lines:
    """JSON lines of OCSF events."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def send(self, facts: Sequence[Fact]) -> None:
        """Append all of them at once."""
        try:
            self._write(b"".join(map(json_line, facts)))
        except OSError as error:
            raise ReceiverError(f"the file cannot be written: error {error.errno}") from error


class Syslog:
    """RFC 5424 messages with CEF or OCSF inside."""

    def __init__(self, write: Write, *, host: str, form: str, stream: bool) -> None:
        self._write, self._host, self._form, self._stream = write, host, form, stream

    def send(self, facts: Sequence[Fact]) -> None:
        """One message each; on a stream all in one write."""
        messages = []
        for fact in facts:
            text = cef(fact.event) if self._form == "cef" else _JSON.encode(fact.event).decode()
            messages.append(rfc5424(fact.event, text, host=self._host))
        try:
            for part in [b"".join(map(octet_counted, messages))] if self._stream else messages:
                self._write(part)
        except OSError as error:
            raise ReceiverError(f"the syslog receiver does not answer: {type(error).__name__}") from error


class Webhook:
    """Standard Webhooks: one signed POST for each event; the identity is the entry, so that a repeat can be recognised."""

    def __init__(self, post: Post, secret: str, *, now: Callable[[], datetime]) -> None:
        """Raises:
        ConfigError: the extra `webhooks` is not installed, or the secret is not base64.
        """
        try:
            library: Any = importlib.import_module("standardwebhooks")
        except ImportError as error:
            raise ConfigError("webhooks need the extra `webhooks`: pip install 'lockgate[webhooks]'") from error
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if not 24 <= len(key) <= 64:
            raise ConfigError("the secret of a webhook is `whsec_` and 24 to 64 bytes in base64")
        self._signer: Any = library.Webhook(key)
        self._post, self._now = post, now

    def send(self, facts: Sequence[Fact]) -> None:
        """Deliver one after the other; any answer but 2xx is an error."""
        for fact in facts:
            identity = f"msg_{fact.log.replace('/', '-')}_{fact.index}"
            body = _JSON.encode({"type": kind_of(fact), "timestamp": fact.entry["time"], "data": fact.event})
            moment = self._now().astimezone(UTC)
            headers = {
                "content-type": "application/json", "webhook-id": identity, "webhook-timestamp": str(int(moment.timestamp())),
                "webhook-signature": self._signer.sign(identity, moment, body.decode()),
            }  # fmt: skip
            try:
                status = self._post(body, headers)
            except OSError as error:
                raise ReceiverError(f"the webhook's receiver does not answer: {type(error).__name__}") from error
            if not 200 <= status < 300:
                raise ReceiverError(f"the webhook's receiver answers {status}")


def kind_of(fact: Fact) -> str:
    """The type of a webhook: `lockgate.outcome`, `lockgate.session.opened`."""
    happened = fact.entry.get("event")
    return f"lockgate.{fact.entry['kind']}" + (f".{happened}" if happened else "")
