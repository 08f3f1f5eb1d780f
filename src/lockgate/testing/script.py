"""A session's conversation played from a script: no sockets, no database, no clock, and nothing that happens by itself.

For: tests of what a session forwards, shows and records, message by message; a plug-in author can play their own policies.
Not for: a running gate, nor what drivers of real sockets do (`transport.link`): back-pressure, cancel requests, time.
Invariant: nothing goes unnoticed. An answer that was scripted and not asked for, a byte for the client or the backend that no one
looked at, and a question that the backend was never made to answer are all errors when the script ends.
Source: `session.wishes`; architecture section 3.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

from lockgate.ledger.blob import SealedText
from lockgate.ledger.entry import Template
from lockgate.masking.keys import KeyRing
from lockgate.masking.pseudonyms import PseudonymPool
from lockgate.model.catalog import Catalog, ColumnRef, FoundLabel
from lockgate.model.decision import Clearance
from lockgate.model.identity import Identity
from lockgate.model.statement import Access
from lockgate.policy.engine import Engine
from lockgate.session.cache import BoundedCache
from lockgate.session.conversation import Conversation
from lockgate.session.fast import FastLane
from lockgate.session.state import Judged
from lockgate.session.together import Together
from lockgate.session.wishes import (
    BackendOpened,
    Drain,
    Durable,
    Failed,
    FreshCatalog,
    NextMessage,
    OpenBackend,
    Substitute,
    Wish,
)
from lockgate.wire.postgres.frames import Frame, FrameReader

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
"""The time at which a script begins, unless it says otherwise."""
_BODY_BYTES_MAX = 1 << 24


class ScriptError(AssertionError):
    """The conversation did something that the script does not have, or left out something that it has."""


class Message(Protocol):
    """A message of either side, such as `frontend.Query` or `backend.ReadyForQuery`."""

    def encode(self) -> bytes:
        """Encode the message."""
        ...


@dataclass
class ScriptedRecorder:
    """A ledger in a list (implements `session.ports.Recorder`); an entry's place in the list is its index."""

    entries: list[dict[str, object]] = field(default_factory=list)
    sealed: dict[str, bytes] = field(default_factory=dict)

    def append(self, fields: Mapping[str, object], *, keep: bool = False) -> int:
        """Keep one entry and return its index."""
        self.entries.append(dict(fields))
        return len(self.entries) - 1

    def template(self, fields: Mapping[str, object], holes: Sequence[str]) -> Template:
        """A template whose filled entries are kept as their fields."""
        texts = frozenset({"text", "time"})
        return Template({**fields, "v": 1}, sorted((*holes, "n", "time")), texts)

    def append_filled(
        self, template: Template, low: tuple[object, ...], high: tuple[object, ...], *, keep: bool = False
    ) -> int:
        """Keep one entry and return its index."""
        fields = template.fields((*low, 0, *high, b""))
        return self.append({name: value for name, value in fields.items() if name not in ("v", "n", "time")}, keep=keep)

    def seal_text(self, database: str, text: bytes, classes: tuple[str, ...]) -> SealedText:
        """Keep a text in clear under a name."""
        name = f"text {len(self.sealed)}"
        self.sealed[name] = text
        return SealedText(name)

    def of_kind(self, kind: str) -> list[dict[str, object]]:
        """Entries of one kind, oldest first."""
        return [entry for entry in self.entries if entry["kind"] == kind]


@dataclass
class ScriptedClock:
    """A clock that stands until it is moved (implements `session.ports.Clock`)."""

    time: datetime = NOON
    ticks: int = 0

    def now(self) -> datetime:
        """The time it was set to."""
        return self.time

    def ticks_us(self) -> int:
        """The ticks it was set to."""
        return self.ticks


@dataclass
class ScriptedCounters:
    """Facts by name and labels (implements `session.ports.Counters`)."""

    counted: Counter[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=Counter)

    def count(self, name: str, **labels: str) -> None:
        """Count one fact."""
        self.counted[(name, tuple(sorted(labels.items())))] += 1

    def decided_again(self, count: int = 1) -> None:
        """Count remembered permits."""
        for _ in range(count):
            self.count("decisions_cached")
            self.count("decisions", effect="permit")

    def completed_again(self, count: int = 1) -> None:
        """Count complete statements."""
        for _ in range(count):
            self.count("statements", status="complete")

    def of(self, name: str, **labels: str) -> int:
        """How often a fact was counted."""
        return self.counted[(name, tuple(sorted(labels.items())))]


@dataclass
class ScriptedHolds:
    """Held statements by number, with everything the session told (implements `session.ports.Holds`)."""

    clock: ScriptedClock
    opened: list[dict[str, object]] = field(default_factory=list)

    def open(self, *, identity: Identity, database: str, environment: str, statement: str, digest: str, groups: tuple[str, ...],
             facts: Mapping[str, object], accesses: tuple[Access, ...], context: Mapping[str, object]) -> tuple[str, datetime]:  # fmt: skip
        """Keep the request; it expires in five minutes of the scripted clock."""
        self.opened.append({"identity": identity, "database": database, "environment": environment, "statement": statement,
                            "digest": digest, "groups": groups, "facts": facts, "accesses": accesses, "context": context})  # fmt: skip
        return str(len(self.opened)), self.clock.now() + timedelta(minutes=5)


class ScriptedSurroundings:
    """One database as a session sees it (implements `session.ports.Surroundings`); catalog and engine may be replaced at any time."""

    def __init__(self, catalog: Catalog, engine: Engine) -> None:
        self.database = catalog.database
        self.environment = catalog.environment
        self.key_ring = KeyRing(b"a scripted key of thirty-two bytes")
        self.pseudonyms = PseudonymPool(self.key_ring)
        self.epoch = 1
        self.bounded_rows = 100
        self.order_buffer_bytes_max = 1 << 20
        self.unsafe_order: frozenset[int] = frozenset()
        self.content = "off"
        self.looked_at: dict[ColumnRef, int] = {}
        self.known_as: dict[int, int] = {}
        self.learnt: list[FoundLabel] = []
        self.catalog: Catalog = catalog
        self.engine: Engine = engine

    def learn(self, found: Sequence[FoundLabel]) -> None:
        """Keep what was found."""
        self.learnt += found

    def clearance(self, identity: Identity, context: Mapping[str, object], now: datetime) -> Clearance:
        """What the chain may not see, by the engine."""
        return self.engine.clearance(identity, self.catalog, context=context, now=now)


class Script:
    """Plays one conversation; use it as a context manager, so that it checks at the end that nothing was left over.

    `OpenBackend` and `FreshCatalog` are answered by themselves unless `answer` says otherwise, `Substitute` with a refusal; `Drain` is answered when the backend has
    answered everything, as in a real session. Every other wish needs a scripted answer.

    Args:
        identity: whose session.
        catalog: what the database contains.
        engine: the policies.
        durable: every ledger entry is on disk at once; when false, `commit` and `fail` decide.
        fast: what both sides send goes through the session's fast lane first, as on real sockets.
        cache, together: decisions and learnt statements shared with another script; its own by default.
        kind: of conversation.

    Attributes:
        recorder, clock, counters, holds, around: the doubles that the conversation was given.
        passed_fast, answered_fast: how often the fast lane took what the client and the backend sent.
        conversation: the real thing.
    """

    def __init__(
        self, identity: Identity, catalog: Catalog, engine: Engine, *, durable: bool = True, cache: BoundedCache[Judged] | None = None, fast: bool = False,
        together: Together | None = None, kind: type[Conversation] = Conversation, session_id: str = "0123456789ab", client_address: str = "127.0.0.1",
    ) -> None:  # fmt: skip
        self.recorder = ScriptedRecorder()
        self.clock = ScriptedClock()
        self.counters = ScriptedCounters()
        self.holds = ScriptedHolds(self.clock)
        self.around = ScriptedSurroundings(catalog, engine)
        self.conversation = kind(
            identity=identity, surroundings=self.around, recorder=self.recorder, clock=self.clock, counters=self.counters, holds=self.holds,
            session_id=session_id, client_address=client_address, reported={}, body_bytes_max=_BODY_BYTES_MAX,
            cache=cache if cache is not None else BoundedCache(entries_max=1000, bytes_max=1 << 22), together=together,
        )  # fmt: skip
        self.fast = FastLane(self.conversation) if fast else None
        self.asked: list[Wish] = []
        self.passed_fast = self.answered_fast = 0
        self._always_durable = durable
        self._durable = 0
        self._answers: dict[type[object], deque[object]] = {}
        self._messages: deque[Frame] = deque()
        self._left = False
        self._shown = FrameReader(body_bytes_max=_BODY_BYTES_MAX)
        self._forwarded = FrameReader(body_bytes_max=_BODY_BYTES_MAX)
        self._steps = self.conversation.run()
        self._wish: Wish | None = next(self._steps)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self.finish()

    # -- what the script says ---------------------------------------------------------------------------------------------------

    def answer(self, wish: type[Wish], *answers: object) -> Self:
        """Answers to the next wishes of one kind, in order, given before or after the wish is there."""
        self._answers.setdefault(wish, deque()).extend(answers)
        self._play()
        return self

    def client(self, *messages: Message) -> list[Frame]:
        """The client sends these in one piece; returns what it has been shown since anybody looked last."""
        if self.fast is not None:
            if isinstance(self._wish, NextMessage) and not self._messages:
                forward = self.fast.ask(b"".join(message.encode() for message in messages))
                if forward is not None:
                    self.passed_fast += 1
                    if self.fast.withheld is None:
                        self._forwarded.feed(forward)
                    elif self._always_durable:
                        self._release()
                    return self.shown()
            self.fast.settle()
        self._messages.extend(_frames(messages))
        self._play()
        return self.shown()

    def leave(self) -> None:
        """The client is gone without a word."""
        self._left = True
        self._play()

    def backend(self, *messages: Message | bytes) -> list[Frame]:
        """The backend answers this in one piece; returns what the client has been shown since anybody looked last."""
        data = b"".join(m if isinstance(m, bytes) else m.encode() for m in messages)
        if self.fast is not None:
            shown = self.fast.answer(data, self._on_disk)
            if shown is not None:
                self.answered_fast += 1
                self._shown.feed(shown)
                return self.shown()
        self.conversation.replies.receive(data)
        self._play()
        return self.shown()

    def commit(self) -> list[Frame]:
        """Everything recorded until now is on disk; returns what the client has been shown since."""
        self._durable = len(self.recorder.entries)
        if self.fast is not None and self.fast.withheld is not None:
            self._release()
        self._play()
        return self.shown()

    def _release(self) -> None:
        if self.fast is not None:
            self._forwarded.feed(self.fast.release(self._on_disk)[0])

    def fail(self) -> list[Frame]:
        """The entry that the conversation waits for could not be written; returns what the client has been shown since."""
        if not isinstance(self._wish, Durable):
            raise ScriptError(f"no entry is waited for, but {self.waiting_for}")
        self._send(None)
        self._play()
        return self.shown()

    # -- what the conversation did ----------------------------------------------------------------------------------------------

    def shown(self) -> list[Frame]:
        """Messages to the client since anybody looked last."""
        return _taken(self._shown)

    def forwarded(self) -> list[Frame]:
        """Messages to the backend since anybody looked last."""
        return _taken(self._forwarded)

    @property
    def waiting_for(self) -> str:
        """Name of the wish that is not answered yet; `NextMessage` between messages, empty when the conversation is over."""
        return "" if self._wish is None else type(self._wish).__name__

    def finish(self) -> None:
        """Check that the script was played to its end.

        Raises:
            ScriptError: something scripted was not used, something sent was not looked at, or something asked was not answered.
        """
        left = [f"{len(given)} answers to {wish.__name__}" for wish, given in self._answers.items() if given]
        left += [f"message `{chr(m.tag)}` of the client" for m in self._messages]
        left += [f"message `{chr(f.tag)}` to the client" for f in self.shown()]
        left += [f"message `{chr(f.tag)}` to the backend" for f in self.forwarded()]
        if not self.conversation.ended and not self._left:
            left += [f"answer of the backend to `{expected.kind}`" for expected in self.conversation.replies.owed]
            if not isinstance(self._wish, NextMessage):
                left.append(f"wish {self.waiting_for}")
        if self.conversation.replies.reader.buffered:
            left.append("bytes of the backend")
        if left:
            raise ScriptError("left over at the end of the script: " + ", ".join(left))

    # -- playing ----------------------------------------------------------------------------------------------------------------

    def _play(self) -> None:
        """Go on until the conversation waits for something that is not there."""
        while True:
            self._pump()
            ready, answer = self._fulfil()
            if not ready:
                break
            self._send(answer)
        self._collect()

    def _send(self, answer: object) -> None:
        try:
            self._wish = self._steps.send(answer)
            self.asked.append(self._wish)
        except StopIteration:
            self._wish = None
        self._collect()

    def _fulfil(self) -> tuple[bool, object]:
        wish = self._wish
        if wish is None:
            return False, None
        scripted = self._answers.get(type(wish))
        if scripted:
            return True, scripted.popleft()
        if isinstance(wish, NextMessage):
            return (True, self._messages.popleft()) if self._messages else (self._left, None)
        if isinstance(wish, Drain):
            return self.conversation.replies.drained or self.conversation.replies.lost, None
        if isinstance(wish, Durable):
            return wish.index < self._on_disk, wish.index
        if isinstance(wish, OpenBackend):
            return True, BackendOpened({}, "public")
        if isinstance(wish, FreshCatalog):
            return True, self.around.catalog
        if isinstance(wish, Substitute):
            return True, Failed("0A000", "the script has no stand-ins", reason="stand-in")
        return False, None

    @property
    def _on_disk(self) -> int:
        return len(self.recorder.entries) if self._always_durable else self._durable

    def _pump(self) -> None:
        shown = self.conversation.replies.pump(self._on_disk)
        self._collect()
        self._shown.feed(shown)

    def _collect(self) -> None:
        """Take what the conversation wrote, as a driver does after each step."""
        self._shown.feed(b"".join(self.conversation.to_client))
        self._forwarded.feed(b"".join(self.conversation.to_backend))
        self.conversation.to_client.clear()
        self.conversation.to_backend.clear()


def _frames(messages: tuple[Message, ...]) -> list[Frame]:
    reader = FrameReader(body_bytes_max=_BODY_BYTES_MAX)
    reader.feed(b"".join(message.encode() for message in messages))
    return _taken(reader)


def _taken(reader: FrameReader) -> list[Frame]:
    found = []
    while (frame := reader.next_frame()) is not None:
        found.append(frame)
    return found
