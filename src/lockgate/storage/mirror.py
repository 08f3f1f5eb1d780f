"""Copies of the logs in object storage that forgets nothing: what lies there cannot be removed before its time, not even by us.

For: putting bundles, texts, tiles and then the checkpoint of every log into a bucket with object lock, and going on where it stopped.
Not for: deciding how often (`app.mirror`), and not for evidence on its own: a copy is checked like any log, by the verifier.
Source: evidence.md 1.4, witness and anchor ladder, step 4; C2SP tlog-tiles (paths are keys).

The package `boto3` (extra `mirror`) is imported when it is needed. Credentials come from its own chain: files, environment, instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

import msgspec

from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger import tiles
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.note import split_note
from lockgate.ledger.tree import HASH_BYTES
from lockgate.storage.durable import replace
from lockgate.storage.ledger_reader import minimum
from lockgate.storage.port import Files
from lockgate.storage.tile_store import TEXTS

_CURSOR = "mirrored"


class Bucket(Protocol):
    """Where copies go."""

    def put(self, key: str, stored: bytes, until: datetime) -> None:
        """Store an object that nobody can remove before `until`; once more with the same bytes does no harm.

        Raises:
            LedgerError: it could not be stored.
        """


class S3Bucket:
    """A bucket of S3 or a compatible service, with object lock in compliance mode."""

    def __init__(self, name: str, *, prefix: str = "", endpoint: str | None = None, region: str | None = None) -> None:
        """Reach the bucket.

        Raises:
            LedgerError: the package is missing, or the bucket has no object lock.
        """
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise LedgerError("copies need the extra `mirror`: pip install 'lockgate[mirror]'") from None
        self._errors: tuple[type[Exception], ...] = (BotoCoreError, ClientError)
        self._name = name
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        config = Config(connect_timeout=10, read_timeout=30, retries={"max_attempts": 3, "mode": "standard"})
        try:
            self._client: Any = boto3.client("s3", endpoint_url=endpoint, region_name=region, config=config)
            locked = self._client.get_object_lock_configuration(Bucket=name)
        except self._errors as error:
            raise LedgerError(f"the bucket cannot be used, or has no object lock ({type(error).__name__})") from None
        if locked.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise LedgerError("the bucket has no object lock; make one with object lock enabled")

    def put(self, key: str, stored: bytes, until: datetime) -> None:
        """Store an object in compliance mode."""
        try:
            self._client.put_object(
                Bucket=self._name, Key=self._prefix + key, Body=stored, ChecksumAlgorithm="SHA256", ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=until,
            )  # fmt: skip
        except self._errors as error:
            raise LedgerError(f"an object could not be stored ({type(error).__name__})") from None


class _Cursor(msgspec.Struct, forbid_unknown_fields=True):
    """How far a log was copied; losing it costs repeated uploads."""

    size: int = 0
    note: str = ""
    long_texts: list[str] = []


@dataclass
class Mirror:
    """Copies logs below one folder."""

    ledger: str
    files: Files
    bucket: Bucket
    clock: Callable[[], datetime]
    retain: timedelta

    def round(self) -> int:
        """Copy what is new of every log; how many objects that were.

        Raises:
            LedgerError: something could not be read or stored; what was stored before stays, call again.
            CorruptLedgerError: one log is not what was copied of it; the others have been copied.
        """
        count, problem = 0, None
        for name in self.files.list(self.ledger):
            try:
                with suppress(FileNotFoundError, NotADirectoryError):
                    note = self.files.read(f"{self.ledger}/{name}/checkpoint")
                    count += self._log(name, note)
            except CorruptLedgerError as error:
                problem = problem or error
        if problem is not None:
            raise problem
        return count

    def _log(self, name: str, note: bytes) -> int:
        """Copy one log up to the checkpoint that `note` is: entries, texts, tiles, and the checkpoint last."""
        root = f"{self.ledger}/{name}"
        head = Checkpoint.parse(split_note(note)[0])
        cursor = self._cursor(root)
        digest = sha256(note).hexdigest()
        if (cursor.size, cursor.note) == (head.size, digest):
            return 0
        if cursor.size > head.size:
            raise CorruptLedgerError("rollback", f"more of `{head.origin}` was copied than is here")
        until = self.clock() + self.retain
        long_texts = self._long_texts(root)
        paths = [*self._paths(root, cursor.size, head.size), *self._packs(root, cursor.size, head.size)]
        paths += sorted(set(long_texts) - set(cursor.long_texts))
        for path in paths:
            self.bucket.put(f"{name}/{path}", self._read(root, path), until)
        self.bucket.put(f"{name}/checkpoint", note, until)
        try:
            replace(self.files, root, _CURSOR, msgspec.json.encode(_Cursor(head.size, digest, long_texts)))
        except OSError as error:
            raise LedgerError(f"the place of the copy cannot be kept: error {error.errno}") from error
        return len(paths) + 1

    def _cursor(self, root: str) -> _Cursor:
        with suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode(self.files.read(f"{root}/{_CURSOR}"), type=_Cursor)
        return _Cursor()

    def _paths(self, root: str, old: int, new: int) -> Iterator[str]:
        """Bundles and hash tiles that a tree of `new` entries has and one of `old` had not, entries first."""
        first = max(old, minimum(root, self.files)) // tiles.WIDTH
        for number in range(first, -(-new // tiles.WIDTH)):
            yield tiles.entries_path(number, min(tiles.WIDTH, new - number * tiles.WIDTH))
        level, before, now = 0, old, new
        while now:
            for number in range(before // tiles.WIDTH, -(-now // tiles.WIDTH)):
                yield tiles.tile_path(level, number, min(tiles.WIDTH, now - number * tiles.WIDTH))
            level, before, now = level + 1, before // tiles.WIDTH, now // tiles.WIDTH

    def _packs(self, root: str, old: int, new: int) -> Iterator[str]:
        """Packs of sealed texts that came with entries of the checkpoint and not of the one before."""
        for pack in self.files.list(f"{root}/{TEXTS}"):
            parts = pack.split("-")
            if len(parts) == 3 and parts[0].isdecimal() and parts[1].isdecimal() and old <= int(parts[0]) < new:
                yield f"{TEXTS}/{pack}"

    def _long_texts(self, root: str) -> list[str]:
        """Sealed texts that have files of their own."""
        prefixes = [prefix for prefix in self.files.list(f"{root}/blob") if len(prefix) == 2]
        return [f"blob/{p}/{n}" for p in prefixes for n in self.files.list(f"{root}/blob/{p}") if len(n) == 64]

    def _read(self, root: str, path: str) -> bytes:
        """A file of the log; a partial tile that has become full meanwhile is cut out of the full one."""
        try:
            return self.files.read(f"{root}/{path}")
        except FileNotFoundError:
            full, mark, width = path.rpartition(".p/")
            if not mark:
                raise CorruptLedgerError("tile-missing", f"`{path}` is not there") from None
        stored = self.files.read(f"{root}/{full}")
        if full.startswith("tile/entries/"):
            return tiles.bundle(tiles.split_bundle(stored)[: int(width)])
        return stored[: int(width) * HASH_BYTES]
