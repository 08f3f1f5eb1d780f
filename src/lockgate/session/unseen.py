"""What is asked of policy for a statement that nobody could look into.

For: statements whose meaning only the server knows: by name, about objects of an open transaction, or not analysed at all.
Not for: deciding; and nobody who sees a single mask is ever judged by these.
Source: architecture section 1, promise 3; section 7 (analysis unavailable).
"""

from __future__ import annotations

from dataclasses import replace

from lockgate.model.statement import Access, Action, Analysis, Kind, Opaque, Parsed, WriteFact

EXECUTES_ANYTHING = Analysis(
    kind=Kind.EXECUTE,
    accesses=(Access(Action.READ, 0, ""), Access(Action.WRITE, 0, "")),
    opaque=(Opaque("EXECUTE", "it runs a statement by name"),),
    writes=(WriteFact(Kind.UPDATE, 0, bounded=False, selective=False),),
)
UNSEEN = replace(EXECUTES_ANYTHING, accesses=(*EXECUTES_ANYTHING.accesses, Access(Action.DEFINE, 0, "")))
"""What is asked for a statement about objects that only the session's open transaction can see."""

EVERYTHING = replace(
    UNSEEN,
    kind=Kind.OTHER,
    accesses=(
        *UNSEEN.accesses, Access(Action.EXECUTE, 0, ""), Access(Action.EXPORT, 0, ""), Access(Action.ADMINISTER, 0, ""),
    ),
)  # fmt: skip
"""What is asked for a statement that could not be analysed: it may do anything."""

UNREADABLE = "(a text that the gate's grammar does not read)"
"""Shape of such a text: nothing of it may be shown in clear."""


def unreadable(text: str) -> Parsed:
    """A whole text as one statement of unknown kind; it may hold several."""
    return Parsed(text=text, kind=Kind.OTHER, shape=UNREADABLE, destructive=True)
