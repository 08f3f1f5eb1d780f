"""The commands of a replication connection, which PostgreSQL's SQL grammar does not know.

For: which command a text is, whether it reads the whole server or one database, and what it is asked of policy.
Not for: SQL on such a connection (`parse`), and not for deciding.
Invariant: a text that begins like a command and is not exactly one that is known here is refused; what the server takes for a command is
never read as SQL.
Source: PostgreSQL documentation, 55.4 (Streaming Replication Protocol) of versions 14 to 18.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lockgate.errors import RefusedStatementError
from lockgate.model.statement import Access, Action, Analysis, Kind, Opaque, Parsed

COMMANDS: Final = frozenset({
    "IDENTIFY_SYSTEM", "SHOW", "TIMELINE_HISTORY", "READ_REPLICATION_SLOT", "CREATE_REPLICATION_SLOT", "ALTER_REPLICATION_SLOT",
    "DROP_REPLICATION_SLOT", "START_REPLICATION", "BASE_BACKUP", "UPLOAD_MANIFEST",
})  # fmt: skip
_FIRST_WORD = re.compile(r"[^A-Za-z0-9_\"'$\x80-\U0010ffff]*([A-Za-z_]+)")
_NAME = r'(?:[a-z0-9_]+|"(?:[^"]|"")+")'
_SLOT = rf"\s+{_NAME}"
_WHOLE_TEXT: Final = {
    "IDENTIFY_SYSTEM": re.compile(r"IDENTIFY_SYSTEM"),
    "SHOW": re.compile(r"SHOW\s+[A-Za-z_][A-Za-z0-9_.]*"),
    "TIMELINE_HISTORY": re.compile(r"TIMELINE_HISTORY\s+[0-9]+"),
    "READ_REPLICATION_SLOT": re.compile(rf"READ_REPLICATION_SLOT{_SLOT}"),
    "CREATE_REPLICATION_SLOT": re.compile(rf"CREATE_REPLICATION_SLOT{_SLOT}(?:\s+TEMPORARY)?\s+(?:PHYSICAL|LOGICAL)\b.*", re.DOTALL),
    "ALTER_REPLICATION_SLOT": re.compile(rf"ALTER_REPLICATION_SLOT{_SLOT}\s*\(.*\)", re.DOTALL),
    "DROP_REPLICATION_SLOT": re.compile(rf"DROP_REPLICATION_SLOT{_SLOT}(?:\s+WAIT)?"),
    "START_REPLICATION": re.compile(r"START_REPLICATION\b.*", re.DOTALL),
    "BASE_BACKUP": re.compile(r"BASE_BACKUP\b.*", re.DOTALL),
    "UPLOAD_MANIFEST": re.compile(r"UPLOAD_MANIFEST"),
}  # fmt: skip
_LOGICAL_STREAM = re.compile(rf"START_REPLICATION\s+SLOT{_SLOT}\s+LOGICAL\s.*", re.DOTALL)
_KINDS: Final = {
    "START_REPLICATION": Kind.REPLICATION_STREAM, "BASE_BACKUP": Kind.BASE_BACKUP, "UPLOAD_MANIFEST": Kind.BASE_BACKUP,
    "CREATE_REPLICATION_SLOT": Kind.REPLICATION_SLOT, "ALTER_REPLICATION_SLOT": Kind.REPLICATION_SLOT,
    "DROP_REPLICATION_SLOT": Kind.REPLICATION_SLOT,
}  # fmt: skip
_LEAVES = (Access(Action.REPLICATE, 0, ""), Access(Action.READ, 0, ""), Access(Action.EXPORT, 0, ""))
_STAYS = (Access(Action.REPLICATE, 0, ""),)


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `whole_server` where what it reads is not of one database."""

    parsed: Parsed
    analysis: Analysis
    whole_server: bool


def is_command(text: str) -> bool:
    """Whether the text begins like a command: the server decides by its first word, and reads the whole text as that."""
    first = _FIRST_WORD.match(text)
    return first is not None and first[1].upper() in COMMANDS


def read_command(text: str) -> Command:
    """The command that a text is.

    Raises:
        RefusedStatementError: it is none that is known here.
    """
    first = _FIRST_WORD.match(text)
    bare = text.strip().removesuffix(";").rstrip()
    word = first[1].upper() if first is not None else ""
    pattern = _WHOLE_TEXT.get(word)
    if pattern is None or pattern.fullmatch(bare) is None:
        raise RefusedStatementError("replication-command", "the gate does not know this replication command")
    logical = _LOGICAL_STREAM.fullmatch(bare) is not None
    kind = _KINDS.get(word, Kind.REPLICATION)
    leaves = kind in (Kind.REPLICATION_STREAM, Kind.BASE_BACKUP)
    return Command(
        Parsed(text=text, kind=kind, shape=f"{word} LOGICAL" if logical else word),
        Analysis(
            kind=kind, accesses=_LEAVES if leaves else _STAYS, effect_free=False,
            opaque=(Opaque("replication", "it is a command of a replication connection"),),
        ),
        whole_server=leaves and not logical,
    )  # fmt: skip
