"""Row filters: conditions that policies put on the rows of a table, with what they say of the principal filled in.

For: the templates of `@row_filter`, their placeholders, and joining the filters of several policies and members of a chain.
Not for: SQL: whether a condition is one is the server's to say, when a statement with it is analysed.
Invariant: an attribute that is not there is no attribute: no condition is made, and the table is not read.
Source: architecture section 5 (an obligation that cannot be carried out means deny); threats R-11 to R-13.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from lockgate.model.identity import Identity

PLACEHOLDERS = ("principal", "on_behalf_of", "owner", "purpose", "run", "groups")
"""What a filter may name in braces; `groups` is an array of texts, the others are texts."""

LETTERS_MAX = 2000
_NAMED = re.compile(r"\{([^{}]*)\}")
_UNFIT = re.compile(r"[\\\0]")


def problem(template: str) -> str:
    """What is wrong with a filter's text; empty when nothing is."""
    if not template.strip() or len(template) > LETTERS_MAX:
        return f"`@row_filter` must be a condition of at most {LETTERS_MAX} letters"
    unknown = sorted(set(_NAMED.findall(template)) - set(PLACEHOLDERS))
    if unknown or re.search(r"[{}]", _NAMED.sub("", template)):
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        return f"`@row_filter` may name {known} in braces and nothing else"
    if "\\" in template or "$" in template or ";" in template:
        return "`@row_filter` must have no backslash, no dollar sign and no semicolon"
    return ""


def attributes(identity: Identity, groups: Sequence[str]) -> Mapping[str, str | tuple[str, ...] | None]:
    """What is known of a session's principal, by placeholder."""
    behalf = identity.on_behalf_of
    return {
        "principal": identity.principal.name, "on_behalf_of": None if behalf is None else behalf.name,
        "owner": identity.principal.owner, "purpose": identity.purpose, "run": identity.run, "groups": tuple(groups),
    }  # fmt: skip


def filled(template: str, known: Mapping[str, str | tuple[str, ...] | None]) -> str | None:
    """The condition for one principal; None when an attribute is missing, or cannot be written into SQL."""
    parts: list[str] = []
    position = 0
    for found in _NAMED.finditer(template):
        value = known.get(found[1])
        if value is None or value == "":
            return None
        texts = (value,) if isinstance(value, str) else value
        if any(_UNFIT.search(text) for text in texts):
            return None
        quoted = ["'" + text.replace("'", "''") + "'" for text in texts]
        shown = quoted[0] if isinstance(value, str) else f"ARRAY[{', '.join(quoted)}]"
        parts += [
            template[position : found.start()],
            f"{shown}::pg_catalog.text" + ("" if isinstance(value, str) else "[]"),
        ]
        position = found.end()
    return "".join([*parts, template[position:]])


def either(conditions: Iterable[str]) -> str:
    """Rows that one of several policies shows."""
    return " OR ".join(f"({condition})" for condition in dict.fromkeys(conditions))


def both(conditions: Iterable[str]) -> str:
    """Rows that every member of a chain may see."""
    return " AND ".join(f"({condition})" for condition in dict.fromkeys(conditions))
