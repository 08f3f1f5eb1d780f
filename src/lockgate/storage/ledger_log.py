"""The log of one gateway worker: append, commit, integrate, recover.

For: entries that are durable before anything relies on them, and signed over only when durable.
Not for: what entries say, threads or timers; one event loop calls this, and decides when.
Source: evidence.md 1.4, write path and crash recovery; architecture section 1 promise 4, section 7.

A group commit: `append` and `seal_text` only fill a buffer; `commit` writes the buffer with one write and one fdatasync;
`integrate` turns durable entries into tiles and a signed checkpoint. Sealed texts travel in the same group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from lockgate import __version__, speed
from lockgate.errors import CorruptLedgerError, InvariantError, LedgerError
from lockgate.ledger import wal
from lockgate.ledger.blob import NO_CLASS, SealedText
from lockgate.ledger.checkpoint import Checkpoint
from lockgate.ledger.entry import SCHEMA_VERSION, Template, encode, time_text
from lockgate.ledger.note import Signer, VerificationKey, key_id
from lockgate.storage import wal_segments
from lockgate.storage.durable import Folders
from lockgate.storage.integration import Piece
from lockgate.storage.ledger_recovery import Dropped, OpenIntents, read_history, settle
from lockgate.storage.log_state import Buffered, CommitResult, LogState
from lockgate.storage.port import Files
from lockgate.storage.text_keys import TextKeys, keys_folder
from lockgate.storage.tile_store import TileStore

SEGMENT_BYTES = 8 << 20
ARCHIVE_AFTER = timedelta(minutes=10)
"""A signed checkpoint is kept under its size at most so often, and at every opening and closing; the org log has them all."""
_INLINE_TEXT_BYTES_MAX = 64 << 10


class LedgerLog(LogState):
    """One log: the only writer of its folder."""

    def __init__(self, *, root: str, files: Files, tiles: TileStore, keys: TextKeys, lock: int) -> None:
        """Use `open`."""
        self._root = root
        self._files = files
        self._tiles = tiles
        self._keys = keys
        self._lock = lock
        self._clock: Callable[[], datetime]
        self._epoch = 0
        self._counter = 0
        self._last_time = ""
        self._buffer: list[Buffered] = []
        self._texts: list[tuple[str, bytes]] = []
        self._kept_bytes = 0
        self._kept_bytes_max = 0
        self._settled = 0
        self._integrated = 0
        self._fresh: list[bytes] = []
        self._fresh_texts: list[bytes] = []
        self._intents = OpenIntents()
        self._dropped = Dropped()
        self._account: Buffered | None = None
        self._archived: datetime | None = None
        self._closing = self._closed = False
        self.healthy = True
        self.suspended = False
        """While true, entries that nobody asked to keep are dropped as if they could not be written."""

    @classmethod
    def open(
        cls,
        root: str,
        *,
        origin: str,
        signer: Signer,
        files: Files,
        text_key: bytes,
        clock: Callable[[], datetime],
        entropy: Callable[[int], bytes],
        trusted: Iterable[VerificationKey] = (),
        facts: Mapping[str, object] | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        kept_bytes_max: int = 16 << 20,
        person_key: bytes = b"",
        floor: Checkpoint | None = None,
    ) -> LedgerLog:
        """Open or begin the log in `root`, recover it, and write its `boot` entry.

        Args:
            trusted: earlier keys of this log, whose checkpoints are accepted.
            facts: further fields of the `boot` entry, such as `config`.
            segment_bytes: length of a preallocated segment.
            kept_bytes_max: bound of entries that wait with `keep` while nothing can be written.
            person_key: key of the blind index; without it no values are indexed.
            floor: what somebody else remembers of this log; with fewer entries it is `rolled-back`, and nothing is signed.

        Raises:
            LedgerError: another process has it open, or it cannot be read or written.
            CorruptLedgerError: what is stored contradicts itself.
        """
        root = root.rstrip("/")
        lock: int | None = None
        try:
            folders = Folders(files, root)
            folders.make()
            lock = files.lock(f"{root}/lock")
            for folder in ("wal", "checkpoints"):
                folders.make(folder)
            store = TileStore(files=files, root=root, folders=folders, origin=origin, signer=signer)
            keys = TextKeys(
                folder=keys_folder(root), files=files, text_key=text_key, entropy=entropy, person_key=person_key
            )
            log = cls(root=root, files=files, tiles=store, keys=keys, lock=lock)
            log._clock = clock
            log._kept_bytes_max = kept_bytes_max
            log._recover(trusted, segment_bytes, floor)
            log._begin_epoch(origin, signer, facts or {})
        except OSError as error:
            if lock is not None:
                files.close(lock)
            held = isinstance(error, BlockingIOError)
            raise LedgerError(
                "the log is open in another process: a gate runs on this folder already"
                if held
                else f"the log cannot be opened: error {error.errno}"
            ) from error
        except LedgerError:
            if lock is not None:
                files.close(lock)
            raise
        return log

    def _recover(self, trusted: Iterable[VerificationKey], segment_bytes: int, floor: Checkpoint | None) -> None:
        """Integrate whatever is durable, and find where the last epoch ended."""
        stored = self._tiles.load(trusted)
        found = wal_segments.segments(self._files, self._root)
        tail = wal_segments.read_tail(self._files, [path for _, _, path in found], self._tiles.size)
        if not stored and not tail.entries and self._files.list(f"{self._root}/tile/entries"):
            raise CorruptLedgerError("rollback", "the log has tiles but neither checkpoint nor write-ahead log")
        if floor is not None and self._tiles.size + len(tail.entries) < floor.size:
            raise CorruptLedgerError(
                "rolled-back", f"the log has fewer than the {floor.size} entries that are known of it"
            )
        if tail.entries:
            wal_segments.secure(self._files, [path for _, _, path in found])
            self._tiles.grow(tail.entries, tail.blobs)
        self._integrated = self._tiles.size
        history = read_history(self._files, self._root, self._tiles.size)
        self._intents = history.intents
        self._last_time = history.last_time
        self._epoch = max([history.epoch, *(epoch for epoch, _, _ in found)]) + 1
        self._writer = wal_segments.Writer(
            files=self._files, root=self._root, epoch=self._epoch, segment_bytes=segment_bytes
        )
        self._writer.begin()
        self._writer.remove_others()

    def _begin_epoch(self, origin: str, signer: Signer, facts: Mapping[str, object]) -> None:
        unknown = sorted(self._intents.open)
        boot: dict[str, object] = {
            "kind": "boot",
            "origin": origin,
            "build": __version__,
            "keys": [f"{signer.name}+{key_id(signer.name, signer.public_key).hex()}"],
            "previous": {"size": self._tiles.size, "root": self._tiles.root.hex()},
        }
        self.append({**facts, **boot})
        for intent in unknown:
            self.append({"kind": "outcome", "intent": intent, "status": "unknown"})
        if self.commit().failed:
            raise LedgerError("the log cannot be written")
        self.integrate()

    @property
    def root(self) -> str:
        """The log's folder."""
        return self._root

    @property
    def origin(self) -> str:
        """The log's origin."""
        return self._tiles.origin

    @property
    def size(self) -> int:
        """How many entries are durable."""
        return self._integrated + len(self._fresh)

    @property
    def integrated(self) -> int:
        """How many entries are under the checkpoint."""
        return self._integrated

    @property
    def lag(self) -> int:
        """How many durable entries are not yet under the checkpoint."""
        return len(self._fresh)

    @property
    def epoch(self) -> int:
        """The number of this opening of the log."""
        return self._epoch

    def append(self, fields: Mapping[str, object], *, keep: bool = False) -> int:
        """Give the entry the next index and buffer it; nothing is written before `commit`.

        Args:
            fields: `kind` and the kind's own fields; `v`, `time`, `epoch` and `n` are filled in.
            keep: when writing fails, try again at the next commit instead of dropping it.

        Raises:
            LedgerError: the entry is too long or malformed, or too many entries wait.
        """
        if self._closed:
            raise LedgerError("the log is closed")
        now = time_text(self._clock())
        stamped: dict[str, object] = {**fields, "v": SCHEMA_VERSION, "epoch": self._epoch}
        if now < self._last_time:
            stamped["clock"], now = now, self._last_time
        stamped["time"] = now
        stamped["n"] = self._counter + len(self._buffer)
        encoded = encode(stamped)
        if keep and self._kept_bytes + len(encoded) > self._kept_bytes_max:
            raise LedgerError("too many entries wait for the ledger")
        self._last_time = now
        self._kept_bytes += len(encoded) if keep else 0
        self._buffer.append(Buffered(encoded, keep, stamped))
        return self.size + len(self._buffer) - 1

    def template(self, fields: Mapping[str, object], holes: Sequence[str]) -> Template:
        """An entry of which only `holes` (and what `append` fills in) differ from one time to the next.

        Args:
            fields: the constant fields, `kind` among them.
            holes: whole numbers, and `text`, the name of a sealed text; none may sort behind `time`.
        """
        if any(name > "time" for name in holes):
            raise InvariantError("a hole of a template sorts behind `time`")
        stamped = {**fields, "v": SCHEMA_VERSION, "epoch": self._epoch}
        return Template(stamped, sorted((*holes, "n", "time")), frozenset({"text", "time"}))

    def append_filled(
        self, template: Template, low: tuple[object, ...], high: tuple[object, ...], *, keep: bool = False
    ) -> int:
        """Give an entry made from a template the next index and buffer it; otherwise as `append`.

        Args:
            template: from `template` of this log.
            low: values of the holes that sort before `n`.
            high: values of the holes between `n` and `time`.
            keep: as for `append`.
        """
        now = time_text(self._clock())
        if self._closed or now < self._last_time:
            return self.append(_unstamped(template.fields((*low, 0, *high, now.encode()))), keep=keep)
        buffer = self._buffer
        values = (*low, self._counter + len(buffer), *high, now.encode())
        encoded = template.fill(values)
        if keep:
            if self._kept_bytes + len(encoded) > self._kept_bytes_max:
                raise LedgerError("too many entries wait for the ledger")
            self._kept_bytes += len(encoded)
        self._last_time = now
        buffer.append(Buffered(encoded, keep, None, template, values))
        return self._integrated + len(self._fresh) + len(buffer) - 1

    def seal_text(self, database: str, text: bytes, classes: tuple[str, ...] = NO_CLASS) -> SealedText:
        """Encrypt a text under the keys of its database, dataset classes and day, buffer it, and return what entries say of it.

        Raises:
            LedgerError: the text is longer than a frame may be.
        """
        if len(text) > wal.PAYLOAD_BYTES_MAX - 1024:
            raise LedgerError("a text is too long to be stored")
        known, sealed = self._keys.seal(database, time_text(self._clock())[:10], text, classes)
        if sealed is not None:
            self._texts.append((known.name, sealed))
        return known

    @property
    def text_keys(self) -> TextKeys:
        """The keys of sealed texts."""
        return self._keys

    def buffer_text(self, name: str, sealed: bytes) -> None:
        """Have a text stored with the next commit that was sealed with `text_keys`."""
        self._texts.append((name, sealed))

    def notice_erasures(self) -> None:
        """Forget text keys in memory that an erasure has destroyed on disk."""
        self._keys.notice_erasures()

    @property
    def direct(self) -> bool | None:
        """Whether compiled code may write the segment itself, and syncs it (true) or not; None when it may not."""
        return self._files.direct

    def could_not_write(self) -> CommitResult:
        """Compiled code could not write the segment itself: as when `commit` could not."""
        return self._fail(self.size)

    def commit(self) -> CommitResult:
        """Make everything buffered durable with one write and one sync, or report what was dropped.

        After an error the segment is never used again: a failed sync says nothing about what is on the disk. Every later
        call tries a new segment, so the log recovers by itself.
        """
        if self.healthy and not self._buffer and not self._texts:
            return CommitResult(self.size)
        first = self.size
        waiting = self._buffer[self._settled :] if self.suspended else []
        if self.suspended:
            del self._buffer[self._settled :]
        try:
            self._write(first)
        except OSError:
            self._buffer += waiting
            return self._fail(first)
        (settle if speed.lane is None else speed.lane.settle)(self._buffer, first, self._intents, self._fresh)
        self._counter += len(self._buffer)
        self._buffer = waiting
        self._texts.clear()
        self._kept_bytes = self._settled = 0
        if self._account is not None:
            self._account, self._dropped = None, Dropped()
        self.healthy = True
        if not waiting:
            return CommitResult(self.size)
        # What is dropped has indices from `durable` on, as after a failure: nobody may take it for written. The rest goes next time.
        result = CommitResult(self.size, *self._drop_unkept(self.size))
        self._settled = len(self._buffer)
        return result

    def _write(self, first: int) -> None:
        self._keys.store_new()
        long = [text for text in self._texts if len(text[1]) > _INLINE_TEXT_BYTES_MAX]
        for name, sealed in long:
            self._tiles.store_text(name, sealed)
        inline = [text for text in self._texts if text not in long] if long else self._texts
        self._writer.write((_group if speed.lane is None else speed.lane.group)(inline, self._buffer, first))
        self._fresh_texts += [sealed for _, sealed in inline]

    def _fail(self, first: int) -> CommitResult:
        """Leave the segment, and drop what is not kept."""
        self.healthy = False
        self._writer.abandon()
        if not self._buffer and not self._texts:
            return CommitResult(first)
        return CommitResult(first, *self._drop_unkept(first))

    def _drop_unkept(self, first: int) -> tuple[tuple[int, ...], dict[int, int]]:
        """Drop what is not kept, and give the rest the indices that became free: the dropped ones, and old to new ones."""
        kept: list[tuple[int, Buffered]] = []
        failed: dict[int, None] = {}
        for index, entry in enumerate(self._buffer, first):
            if entry.keep and entry.fields.get("intent") not in failed:
                kept.append((index, entry))
            else:
                failed[index] = None
                self._dropped.add(entry.fields)
        if failed:
            kept = self._account_for_dropped(kept)
        moved: dict[int, int] = {}
        for position, (index, entry) in enumerate(kept):
            entry.fields["n"] = self._counter + position
            intent = entry.fields.get("intent")
            if isinstance(intent, int):
                entry.fields["intent"] = moved.get(intent, intent)
            entry.encoded = encode(entry.fields)
            entry.template = None  # its fields are others now
            if first + position != index >= 0:
                moved[index] = first + position
        self._buffer = [entry for _, entry in kept]
        self._kept_bytes = sum(len(entry.encoded) for entry in self._buffer)
        wanted = {entry.fields.get("text") for entry in self._buffer}
        self._texts = [(name, sealed) for name, sealed in self._texts if name in wanted]
        self._keys.forget_texts()
        return tuple(failed), moved

    def _account_for_dropped(self, kept: list[tuple[int, Buffered]]) -> list[tuple[int, Buffered]]:
        """Say in the log how many entries were dropped, and which of a session's numbers are missing for it.

        It stands before everything that was kept and that comes later: nothing behind a gap is ever on the disk without it.
        """
        if self._account is not None:
            self._account.fields.update(self._dropped.entry())
            return kept
        now = str(kept[0][1].fields["time"]) if kept else max(self._last_time, time_text(self._clock()))
        self._last_time = max(self._last_time, now)
        fields: dict[str, object] = {**self._dropped.entry(), "v": SCHEMA_VERSION, "epoch": self._epoch, "time": now}
        self._account = Buffered(b"", keep=True, given=fields)
        return [(-1, self._account), *kept]

    def integrate(self, limit: int | None = None) -> None:
        """Put durable entries under a signed checkpoint, then remove segments that are no longer needed.

        Args:
            limit: at most so many entries now; `lag` says what is left.

        Raises:
            LedgerError: writing failed; nothing is lost, call again later.
            CorruptLedgerError: a stored file contradicts the log.
        """
        piece = self.piece(limit)
        if piece is not None:
            try:
                piece.work()
            finally:
                self.take(piece)

    def piece(self, limit: int | None = None) -> Piece | None:
        """What `integrate` would do now, to be worked off in another thread while entries go on being appended and committed.

        Only one piece may be under way; its result counts once `take` has it. None when there is nothing to do.
        """
        count = len(self._fresh) if limit is None else min(len(self._fresh), max(1, limit))
        prepare = self._writer.wants_spare
        if not count and not prepare:
            return None
        return Piece(
            tiles=self._tiles, entries=self._fresh[:count], texts=list(self._fresh_texts) if count else [],
            archive=self._archives() if count else False, segment=self._writer.path, writer=self._writer, prepare=prepare,
            intents=self._intents.copy() if count == len(self._fresh) else None, files=self._files, root=self._root,
        )  # fmt: skip

    def take(self, piece: Piece) -> None:
        """Take over what a piece has done, also when it failed half-way."""
        if not piece.grown:
            return
        self._fresh = self._fresh[len(piece.entries) :]
        del self._fresh_texts[: len(piece.texts)]
        self._integrated += len(piece.entries)
        if piece.stored:
            self._writer.remove_before(piece.segment)

    def _archives(self) -> bool:
        """Whether the next checkpoint is to be kept."""
        now = self._clock()
        if not self._closing and self._archived is not None and timedelta() <= now - self._archived < ARCHIVE_AFTER:
            return False
        self._archived = now
        return True

    def close(self) -> None:
        """Write `close`, integrate, and let go of the folder; an error is raised after everything is released."""
        if self._closed:
            return
        self._closing = True
        try:
            self.append({"kind": "close"})
            if self.commit().failed:
                raise LedgerError("the ledger could not be closed in writing")
            self.integrate()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the folder without another word."""
        if not self._closed:
            self._closed = True
            self._writer.close()
            with suppress(OSError):
                self._files.close(self._lock)


def _group(texts: list[tuple[str, bytes]], buffer: list[Buffered], first: int) -> bytes:
    """The frames of one commit: sealed texts by name, then entries."""
    sealed = wal.frames([sealed for _, sealed in texts], wal.BLOB_INDEX, same=True)
    return sealed + wal.frames([entry.encoded for entry in buffer], first)


def _unstamped(fields: dict[str, object]) -> dict[str, object]:
    """The fields without those that `append` fills in."""
    return {name: value for name, value in fields.items() if name not in ("v", "epoch", "n", "time")}
