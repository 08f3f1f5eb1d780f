"""What sessions of one worker know together: statements that one of them has learnt to answer, for all under the same conditions.

For: the fast lane of a session that sees a text first, where another session has seen it.
Not for: deciding. What is kept here was judged for one session, and is handed to those only for which the same verdict would be made.
Invariant: a `Context` is all that a verdict and its entries depend on beside the statement itself, and stands for one value of it; nothing of
it ever means another. What differs between sessions of one context (their entries' fields, their masks) is never kept here.
Source: architecture section 3, last paragraph; ADR 21.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from lockgate.model.plan import Plan
from lockgate.session.cache import BoundedCache
from lockgate.session.judge import Verdict
from lockgate.session.runs import Prepared

ENTRIES_MAX: Final = 250_000
BYTES_MAX: Final = 256 << 20
CONTEXTS_MAX: Final = 1024
COUNTED: Final = 5 << 10
"""Bytes that a statement takes beside its texts: with the decision on it, the process was measured to grow by 9.4 kB for each."""
ABOUT_MAX: Final = 1024
"""Different descriptions of statements for entries that one context remembers."""


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """What entries say of a statement beside its text, the classes of data in it, and its plan; one object for all statements that share it."""

    fields: dict[str, object]
    classes: tuple[str, ...]
    plan: Plan


@dataclass(frozen=True, slots=True)
class Learnt:
    """A statement as a fast lane knows it, without what belongs to one session; as in `remembered.Known`."""

    verdict: Verdict
    text: bytes
    prepared: Prepared
    checked: bool
    description: bytes
    about: About
    altered: bool


class Context:
    """One set of conditions: principal chain, purpose, database, names, definitions, policies, what may be seen, and the hour."""

    def __init__(self, learnt: BoundedCache[Learnt]) -> None:
        self._learnt = learnt
        self._abouts: dict[str, About] = {}

    def find(self, status: str, kind: str, key: Hashable) -> Learnt | None:
        """What was learnt under these conditions of exactly this key.

        Args:
            status: of the transaction.
            kind: what the key is: keys of different kinds are never the same.
        """
        return self._learnt.get((self, status, kind, key))

    def keep(self, status: str, kind: str, key: Hashable, learnt: Learnt) -> None:
        """Remember it for others."""
        size = COUNTED + 8 * len(learnt.text) + len(learnt.description) + 2 * len(learnt.verdict.instead)
        self._learnt.put((self, status, kind, key), learnt, size)

    def about(self, fields: dict[str, object], classes: tuple[str, ...], plan: Plan) -> About:
        """The one object for statements of which entries say the same, whatever their constants."""
        name = repr((fields, classes))
        found = self._abouts.get(name)
        if found is not None and found.plan == plan:
            return found
        if len(self._abouts) >= ABOUT_MAX:
            self._abouts.clear()
        made = self._abouts[name] = About(fields, classes, plan)
        return made


class Together:
    """The contexts of one worker, and what was learnt under them: at most 250,000 statements and 256 MB, which about 45,000 short ones fill."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._learnt: BoundedCache[Learnt] = BoundedCache(entries_max=entries_max, bytes_max=bytes_max)
        self._contexts: OrderedDict[Hashable, Context] = OrderedDict()

    def __len__(self) -> int:
        """How many statements are known."""
        return len(self._learnt)

    def context(self, conditions: Hashable) -> Context:
        """The context for exactly these conditions; a forgotten one is made anew and knows nothing."""
        found = self._contexts.get(conditions)
        if found is None:
            found = self._contexts[conditions] = Context(self._learnt)
            if len(self._contexts) > CONTEXTS_MAX:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(conditions)
        return found
