"""The logs of one gate together: which ones are current, opening them, and what follows when one has lost its end.

For: refusing to sign over a disk that was set back. A log that is shorter than somebody remembers is left as it is, and every log
of the gate goes on in a successor that names it.
Not for: asking witnesses; the caller says what they know.
Source: evidence.md 1.4, crash recovery; docs/reference/log.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger.checkpoint import Checkpoint, successor
from lockgate.ledger.note import Ed25519Signer, VerificationKey, split_note
from lockgate.storage.durable import replace
from lockgate.storage.ledger_log import SEGMENT_BYTES, LedgerLog
from lockgate.storage.ledger_reader import checkpoint
from lockgate.storage.org_log import ORG, OrgLog, log_folder, read_heads, tile_consistency
from lockgate.storage.port import Files

ROLLED_BACK = "rolled-back"


class _Succession(msgspec.Struct, forbid_unknown_fields=True):
    """The file: the number of the current logs, and why there is more than one: `origin` had `size` entries, `known` are known."""

    number: int = 1
    reason: str = ""
    origin: str = ""
    size: int = 0
    known: int = 0


def _read(ledger: str, gateway: str, files: Files) -> _Succession:
    try:
        return msgspec.json.decode(files.read(f"{ledger}/{gateway}.succession"), type=_Succession)
    except FileNotFoundError:
        return _Succession()
    except (OSError, msgspec.DecodeError):
        raise LedgerError("the file that numbers the gate's logs cannot be read") from None


def current_number(ledger: str, gateway: str, files: Files) -> int:
    """The number of a gate's current logs, from 1.

    Raises:
        LedgerError: it cannot be read.
    """
    return _read(ledger, gateway, files).number


@dataclass(frozen=True, slots=True)
class GateLogs:
    """Opens the current logs of a gate; every process of the gate has one of these."""

    ledger: str
    gateway: str
    files: Files
    signer: Ed25519Signer
    text_key: bytes
    clock: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    person_key: bytes = b""
    segment_bytes: int = SEGMENT_BYTES

    def _succession(self) -> _Succession:
        return _read(self.ledger, self.gateway, self.files)

    @property
    def number(self) -> int:
        """The number of the current logs, from 1.

        Raises:
            LedgerError: it cannot be read.
        """
        return self._succession().number

    def origin(self, name: str) -> str:
        """The origin of the current log of a worker, or of the org log."""
        return successor(f"{self.gateway}/{name}", self.number)

    def folder(self, name: str) -> str:
        """Where the current log of a worker, or the org log, lies."""
        return log_folder(self.ledger, self.origin(name))

    def succeed(self, number: int, *, origin: str, size: int, known: int) -> int:
        """Begin the next logs of the gate, unless somebody did since `number` was current; the number that is current now.

        Args:
            origin: the log that lost its end.
            size: how many entries it has.
            known: how many entries somebody remembers.

        Raises:
            LedgerError: the file cannot be written.
        """
        try:
            lock = self.files.lock(f"{self.ledger}/{self.gateway}.lock")
        except OSError as error:
            raise LedgerError("another process numbers the gate's logs") from error
        try:
            if self.number == number:
                new = _Succession(number + 1, ROLLED_BACK, origin, size, known)
                replace(self.files, self.ledger, f"{self.gateway}.succession", msgspec.json.encode(new))
            return self.number
        except OSError as error:
            raise LedgerError(f"the gate's logs cannot be numbered: error {error.errno}") from error
        finally:
            self.files.close(lock)

    def _succeeds(self, name: str) -> dict[str, object]:
        """What the first entry of a successor says of the log before."""
        why = self._succession()
        if why.number == 1:
            return {}
        before = successor(f"{self.gateway}/{name}", why.number - 1)
        head = checkpoint(log_folder(self.ledger, before), self.files)
        end: Mapping[str, object] = {} if head is None else {"size": head.size, "root": head.root.hex()}
        because = {"reason": why.reason, "log": why.origin, "entries": why.size, "known": why.known}
        return {"succeeds": {"origin": before, **end}, "because": because}

    def _open(self, name: str, facts: Mapping[str, object], floor: Checkpoint | None, segment_bytes: int) -> LedgerLog:
        origin = self.origin(name)
        return LedgerLog.open(
            log_folder(self.ledger, origin), origin=origin, signer=self.signer.renamed(origin), files=self.files, text_key=self.text_key,
            person_key=self.person_key, clock=self.clock, entropy=self.entropy, facts={**facts, **self._succeeds(name)},
            segment_bytes=segment_bytes, floor=floor,
        )  # fmt: skip

    def open_worker(self, name: str, facts: Mapping[str, object]) -> tuple[LedgerLog, int]:
        """Open a worker's log, or its successor when the org log knows more of it than it has; and the number of that log.

        Raises:
            LedgerError: it cannot be opened.
            CorruptLedgerError: what is stored contradicts itself.
        """
        while True:
            number = self.number
            floor = self._taken(self.origin(name))
            try:
                return self._open(name, facts, floor, self.segment_bytes), number
            except CorruptLedgerError as error:
                if error.kind != ROLLED_BACK or floor is None:
                    raise
            head = checkpoint(self.folder(name), self.files)
            self.succeed(number, origin=self.origin(name), size=0 if head is None else head.size, known=floor.size)

    def _taken(self, origin: str) -> Checkpoint | None:
        """What the org log last took up of a log."""
        try:
            return read_heads(self.folder(ORG), self.files)[1].get(origin)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LedgerError(f"the org log cannot be read: error {error.errno}") from error

    def open_org(self, known: Callable[[bytes], int]) -> OrgLog:
        """Open the org log, or its successor when a witness remembers another history of it.

        Args:
            known: how many entries a witness remembers of a history that the given signed checkpoint does not extend, else 0.

        Raises:
            LedgerError: it cannot be opened.
            CorruptLedgerError: what is stored contradicts itself.
        """
        self.check_org(known)
        key = VerificationKey.from_text(self.signer.vkey)
        log = self._open(ORG, {}, None, min(self.segment_bytes, 1 << 20))
        return OrgLog(ledger=self.ledger, gateway=self.gateway, log=log, files=self.files, key=key)

    def check_org(self, known: Callable[[bytes], int]) -> None:
        """Begin the next logs when a witness remembers another history of the org log; nothing is signed before that is clear."""
        number = self.number
        try:
            note = self.files.read(f"{self.folder(ORG)}/checkpoint")
        except FileNotFoundError:
            return
        except OSError as error:
            raise LedgerError(f"the org log cannot be read: error {error.errno}") from error
        head = Checkpoint.parse(split_note(note)[0])
        entries = known(note)
        if entries:
            self.succeed(number, origin=head.origin, size=head.size, known=entries)

    def org_consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the org log of `new` entries on disk extends that of `old`.

        Raises:
            LedgerError: the tiles cannot be read.
        """
        return tile_consistency(self.folder(ORG), self.files, old, new)
