"""The questions that the record answers by name: what may be asked, and what an answer looks like.

For: one list for the command line, the index's socket and whoever shows answers; each answer names the log and the index of an entry.
Not for: answering: `storage` does, from the index or by reading the log, and both must say the same.
Source: evidence.md 2.2; docs/search.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lockgate.errors import LedgerError

LIMIT = 1000
"""Rows of an answer when nobody said how many."""
LIMIT_MAX = 100_000
TEXT_FILTERS = frozenset({
    "log", "kind", "session", "principal", "on_behalf_of", "run", "purpose", "database", "environment", "statement", "decision",
    "client",
})  # fmt: skip
"""Fields that must be equal to a text."""
RESULT_TEXT_FILTERS = frozenset({"sqlstate", "status"})
RESULT_NUMBER_FILTERS = frozenset({"rows", "bytes"})
"""What only the outcome of a statement says (a denial has an SQLSTATE of its own)."""
NUMBER_FILTERS = frozenset({"index", "intent"})
LIST_FILTERS = frozenset({"table", "column", "rule", "person"})
"""Names that must all be there; a table or column may be named by its last parts, a person by the token of the blind index."""
OTHER_FILTERS = frozenset({"since", "until", "label", "disposition", "text", "limit"})
FILTERS = TEXT_FILTERS | RESULT_TEXT_FILTERS | RESULT_NUMBER_FILTERS | NUMBER_FILTERS | LIST_FILTERS | OTHER_FILTERS

Filters = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Question:
    """One named question.

    Args:
        name: the word it is asked by.
        sentence: what it answers.
        columns: fields of a row, in the order in which people read them.
        needs: filters of which at least one must be given.
        listing: kinds of entries that are listed one by one; empty when rows are counts.
    """

    name: str
    sentence: str
    columns: tuple[str, ...]
    needs: tuple[str, ...] = ()
    listing: tuple[str, ...] = ()


_REFERENCE = ("log", "index")
_COUNTED = ("first", "last", *_REFERENCE)
_STATEMENT = (
    "time", "kind", "event", "principal", "on_behalf_of", "database", "environment", "statement", "decision", "rows", "affected",
    "bytes", "sqlstate", "status", "duration_us", "shape", "tables", "columns", "rules", "rule", "policy", "session", "run", "purpose",
    "client", "token", "request", "approver", "intent", *_REFERENCE,
)  # fmt: skip
_ACTS = ("intent", "deny", "session", "admin", "run", "erasure", "policy")

QUESTIONS = {
    question.name: question
    for question in (
        Question("statements", "statements with what came of them, oldest first", _STATEMENT, listing=("intent", "deny")),
        Question("readers", "who used a column, masked or in clear, how often and when", (
            "principal", "on_behalf_of", "disposition", "statements", "rows", *_COUNTED), needs=("column", "label")),
        Question("principal", "everything a principal did, had done for it, or approved", _STATEMENT, needs=("principal",), listing=_ACTS),
        Question("run", "everything that happened in a run", _STATEMENT, needs=("run",), listing=_ACTS),
        Question("text", "statements without literals that contain a text", (
            "statement", "shape", "tables", "statements", "principals", "rows", *_COUNTED), needs=("text",)),
        Question("tables", "which tables were touched", ("table", "statements", "rows", *_COUNTED)),
        Question("denials", "what was denied or refused, by rule", ("rule", "decision", "sqlstate", "denials", "principals", *_COUNTED)),
        Question("volume", "rows and bytes by principal and label", (
            "principal", "label", "disposition", "statements", "rows", "bytes", *_COUNTED)),
        Question("approvals", "requests for approval and what was decided", (
            "time", "event", "request", "principal", "approver", "database", "rules", *_REFERENCE), listing=("admin",)),
        Question("policies", "changes of policy", ("time", "kind", "event", "policy", *_REFERENCE), listing=("policy", "admin")),
        Question("sessions", "sign-ins: opened, refused, closed", (
            "time", "event", "principal", "on_behalf_of", "database", "client", "session", *_REFERENCE), listing=("session",)),
    )
}  # fmt: skip
"""Every question by name."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a question.

    Args:
        covered: for each log how many of its entries the answer knows; later ones were not there yet.
        behind: entries that are in the logs and not yet in the index; 0 when the answer is complete.
        more: there are more rows than were asked for.
        source: `index`, or `log` when there is none.
    """

    question: str
    rows: list[dict[str, object]]
    covered: dict[str, int] = field(default_factory=dict)
    behind: int = 0
    more: bool = False
    source: str = "index"


def check(name: str, filters: Filters) -> Question:
    """The question of that name, when it may be asked like this.

    Raises:
        LedgerError: there is no such question or filter, a value has the wrong type, or the question needs another filter.
    """
    question = QUESTIONS.get(name)
    if question is None:
        raise LedgerError(f"there is no question `{name}`; known are {', '.join(QUESTIONS)}")
    for key, value in filters.items():
        if key not in FILTERS:
            raise LedgerError(f"unknown filter: {key}")
        if not _fits(key, value):
            raise LedgerError(f"filter `{key}` has a value of the wrong type")
    if question.needs and not any(filters.get(need) for need in question.needs):
        raise LedgerError(f"the question `{name}` needs {' or '.join(f'`{need}`' for need in question.needs)}")
    return question


def _fits(key: str, value: object) -> bool:
    if key in LIST_FILTERS:
        return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    if key == "limit":
        return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LIMIT_MAX
    if key in RESULT_NUMBER_FILTERS | NUMBER_FILTERS:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63
    return isinstance(value, str)


def limit_of(filters: Filters) -> int:
    """How many rows at most."""
    found = filters.get("limit")
    return found if isinstance(found, int) else LIMIT


def is_named(name: str, wanted: str) -> bool:
    """`public.people.email` is named by itself, by `people.email` and by `email`."""
    return name == wanted or name.endswith(f".{wanted}")
