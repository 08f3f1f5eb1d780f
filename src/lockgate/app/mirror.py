"""Copies in object storage, composed: the process that follows the logs into a bucket with object lock.

For: `lockgate mirror`, which `serve` keeps running when `[mirror]` names a bucket.
Not for: what is copied in which order (`storage.mirror`).
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import urllib.parse
from datetime import timedelta

from lockgate.config.settings import Settings
from lockgate.errors import ConfigError, LedgerError
from lockgate.storage.mirror import Mirror, S3Bucket
from lockgate.storage.port import RealFiles
from lockgate.transport.clock import utc_now


def open_mirror(settings: Settings) -> Mirror:
    """The copies of this gate's logs.

    Raises:
        ConfigError: no bucket is configured.
        LedgerError: it cannot be used.
    """
    mirror = settings.mirror
    if mirror.url is None:
        raise ConfigError(f"{settings.path}:1: no bucket is configured; set `url` in `[mirror]`")
    parts = urllib.parse.urlsplit(mirror.url)
    bucket = S3Bucket(parts.netloc, prefix=parts.path, endpoint=mirror.endpoint, region=mirror.region)
    return Mirror(str(settings.files.ledger), RealFiles(), bucket, utc_now, timedelta(days=mirror.retain_days))


def follow(settings: Settings, *, once: bool) -> int:
    """Copy what is new, again and again; returns the exit status."""
    mirror = open_mirror(settings)
    if once:
        mirror.round()
        return 0
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    last = ""
    while not stop.wait(settings.mirror.seconds):
        try:
            mirror.round()
            last = ""
        except LedgerError as error:
            if str(error) != last:
                sys.stderr.write(json.dumps({"event": "mirror-problem", "problem": str(error)}) + "\n")
            last = str(error)
    return 0
