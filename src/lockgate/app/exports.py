"""Exports, composed from settings: one thread for each receiver, in a process of its own.

For: `serve`, which starts the process, and `lockgate export`.
Not for: gateways, which never wait for a receiver.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from lockgate.app.children import Parent
from lockgate.app.evidence import logs_of
from lockgate.config.build import load_settings
from lockgate.config.settings import ExportSettings, Settings
from lockgate.errors import ConfigError, LockgateError
from lockgate.storage.export_files import CursorFile, LineFile, LogSource
from lockgate.telemetry.follow import Follower, Receiver
from lockgate.telemetry.measures import Measures
from lockgate.telemetry.otlp import Otlp
from lockgate.telemetry.receivers import Lines, Syslog, Webhook
from lockgate.transport.clock import utc_now
from lockgate.transport.senders import Datagrams, HttpPost, Stream

FOLLOW_SECONDS = 1.0
RETRY_SECONDS_MAX = 60.0
PARQUET = "parquet:"
_ONLY = {"all": frozenset[str](), "statements": frozenset({"outcome", "deny"}), "denials": frozenset({"deny"})}


def receiver(export: ExportSettings, *, context: ssl.SSLContext | None = None) -> Receiver:
    """What takes the events of one `[[export]]`.

    Args:
        context: for TLS; the system's authorities by default.

    Raises:
        ConfigError: its extra is not installed, or the secret cannot be used.
    """
    scheme, _, rest = export.url.partition(":")
    if scheme == "file":
        return Lines(LineFile(Path(rest)))
    if scheme.startswith("otlp+"):
        return Otlp(export.url.removeprefix("otlp+"), sample=export.sample)
    parts = urlsplit(export.url)
    if scheme == "prometheus":
        return _measures(export.url, parts.hostname or "", parts.port or 0)
    if scheme.startswith("syslog+"):
        host, port = parts.hostname or "", parts.port or 514
        tls = (context or ssl.create_default_context()) if scheme == "syslog+tls" else None
        write: Callable[[bytes], None] = Datagrams(host, port) if scheme == "syslog+udp" else Stream(host, port, tls)
        return Syslog(write, host=socket.gethostname(), form=export.form, stream=scheme != "syslog+udp")
    secret = export.secret.reveal() if export.secret else ""
    return Webhook(HttpPost(export.url, context=context), secret, now=utc_now)


def _measures(url: str, host: str, port: int) -> Receiver:
    try:
        return Measures(host, port)
    except OSError as error:
        raise ConfigError(f"`{url}` cannot be listened on: {error.strerror}") from error


def follower(settings: Settings, export: ExportSettings, *, context: ssl.SSLContext | None = None) -> Follower:
    """One receiver's way through the logs, from where it was."""
    cursor = CursorFile(settings.files.ledger.parent / "exports" / f"{export.name}.json")
    source = LogSource(logs_of(settings))
    return Follower(
        source, receiver(export, context=context), cursor, from_start=export.from_start, only=_ONLY[export.only]
    )


class ExportProcess:
    """Every receiver, each with its own thread and its own pace."""

    def __init__(self, settings: Settings) -> None:
        """Raises:
        ConfigError: there is nothing to do, or a receiver cannot be set up.
        """
        self._followers = {e.name: follower(settings, e) for e in settings.exports if not e.url.startswith(PARQUET)}
        if not self._followers:
            raise ConfigError(f"{settings.path}:1: no receiver is configured; add an `[[export]]`")
        self._stop = threading.Event()

    def run(self, *, once: bool = False, with_parent: int | None = None) -> int:
        """Follow until SIGTERM or SIGINT.

        Args:
            once: end when every receiver has everything, or at the first that does not take it.
            with_parent: process id of the one that started this one, to end with it.
        """
        if once:
            return self._once()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        threads = [
            threading.Thread(target=self._follow, args=pair, name=pair[0], daemon=True)
            for pair in self._followers.items()
        ]
        for thread in threads:
            thread.start()
        _say({"ready": True, "exports": sorted(self._followers)})
        parent = Parent(with_parent)
        while not parent.is_gone and not self._stop.wait(FOLLOW_SECONDS):
            continue
        self._stop.set()
        for thread in threads:
            thread.join(FOLLOW_SECONDS)
        return 0

    def _once(self) -> int:
        for name, one in self._followers.items():
            while one.step():
                continue
            _say({"event": "exported", "export": name, "sent": one.sent})
        return 0

    def _follow(self, name: str, one: Follower) -> None:
        pause = FOLLOW_SECONDS
        while not self._stop.is_set():
            try:
                pause = 0.0 if one.step() else FOLLOW_SECONDS
            except (LockgateError, OSError) as error:
                pause = min(RETRY_SECONDS_MAX, 2 * (pause or FOLLOW_SECONDS))
                _say({"event": "export-waits", "export": name, "problem": str(error), "again_in_seconds": pause})
            self._stop.wait(pause)


def _say(fact: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


def export(config: Path, *, once: bool = False, with_parent: int | None = None) -> int:
    """Run the exports until told to stop.

    Raises:
        ConfigError: no receiver is configured, or one cannot be set up.
        ReceiverError: with `once`, a receiver did not take what it was sent.
    """
    return ExportProcess(load_settings(config, environment=os.environ)).run(once=once, with_parent=with_parent)
