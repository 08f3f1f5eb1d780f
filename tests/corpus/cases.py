"""Cases of a corpus file: what to send, in which form, and what must come of it.

For: the files `masking_attacks.sql` and `masking_benign.sql`, whose heads say the conventions, and the project's own schemas, whose
cases are texts with names.
Not for: running anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

_HEAD = re.compile(r"-- ([A-Z]+\d+) \| ([^|]*) \| expect=(\w+) \|\s*(.*)")
_DOLLAR = re.compile(r"\$(?:[A-Za-z_][A-Za-z_0-9]*)?\$")
_OPTION = re.compile(r"""([\w-]+)(?:=(\[[^\]]*\]|\S+))?""")


@dataclass(frozen=True, slots=True)
class Protocol:
    """The form a case is sent in; without anything: one simple query per statement.

    Args:
        extended: Parse, Bind, Describe, Execute.
        batch: a whole line is one simple query.
        pipeline: all statements before the first answer is read.
        binary: results in binary.
        bind: parameters in text.
        binary_bind: parameters in binary; of types whose binary form is their text.
        bind_auto: parameters are made up from their types.
        name: of the prepared statement; each statement is prepared under it, again and again.
        fetch: rows per Execute; 0 is all.
        parens: parentheses around the first expression.
        fastpath: a function call message instead of the statements, such as `f_email(1)`.
        startup: further start-up parameters.
        cancel: a cancel request follows each statement.
        after_failure: a failed statement comes before each statement that begins outside a transaction.
    """

    extended: bool = False
    batch: bool = False
    pipeline: bool = False
    binary: bool = False
    bind: tuple[str, ...] = ()
    binary_bind: bool = False
    bind_auto: bool = False
    name: str = ""
    fetch: int = 0
    parens: int = 0
    fastpath: str = ""
    startup: tuple[tuple[str, str], ...] = ()
    cancel: bool = False
    after_failure: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One case; `lines` are its lines as written, `statements` the same cut at their semicolons."""

    name: str
    technique: str
    expect: str
    note: str
    lines: tuple[str, ...]
    statements: tuple[str, ...]
    protocol: Protocol = field(default_factory=Protocol)
    requires: tuple[str, ...] = ()
    special: bool = False

    def with_protocol(self, **changes: object) -> Case:
        """The same statements in another form."""
        return replace(self, protocol=replace(self.protocol, **changes))  # type: ignore[arg-type]


def read_setup(path: Path) -> str:
    """The SQL between `-- @setup` and `-- @end`."""
    return path.read_text(encoding="utf-8").split("-- @setup\n", 1)[1].split("-- @end", 1)[0]


def read_cases(path: Path) -> list[Case]:
    """All cases of a file, in order."""
    found: list[Case] = []
    head: re.Match[str] | None = None
    text: list[str] = []
    options: list[str] = []
    requires: list[str] = []

    def close() -> None:
        if head is not None:
            found.append(Case(
                name=head[1], technique=head[2].strip(), expect=head[3], note=head[4],
                lines=tuple(line for line in text if line.strip()), statements=tuple(split("".join(text))),
                protocol=read_protocol(" ".join(options)), requires=tuple(requires), special=bool(options),
            ))  # fmt: skip
        text.clear()
        options.clear()
        requires.clear()

    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        matched = _HEAD.match(line)
        if matched:
            close()
            head = matched
        elif line.startswith("-- @proto "):
            options.append(line[len("-- @proto ") :].strip())
        elif line.startswith("-- @requires "):
            requires += line.split()[2:]
        elif not line.startswith(("-- ==", "-- @")):
            text.append(line)
    close()
    return found


def read_protocol(text: str) -> Protocol:
    """What stands behind `-- @proto`."""
    given: dict[str, object] = {}
    words = dict(_OPTION.findall(re.sub(r"fastpath (\S+)", r"fastpath=\1", text)))
    if "startup" in words:
        del words["startup"]
        given["startup"] = tuple(words.items())
        words = {}
    for word, value in words.items():
        match word:
            case "simple" | "then":
                pass
            case "extended" | "batch" | "pipeline" | "binary" | "cancel":
                given[word] = True
            case "bind":
                given.update(
                    {"bind_auto": True} if value == "auto" else {"bind": tuple(str(v) for v in json.loads(value))}
                )
            case "fetch" | "max_rows" | "fetch-size":
                given.update(fetch=int(value), extended=True)
            case "repeat-paren":
                given["parens"] = int(value)
            case "name" | "fastpath":
                given[word] = value
            case _:
                raise ValueError(f"unknown word behind @proto: {word}")
    if given.get("pipeline") or given.get("binary"):
        given["extended"] = True
    return Protocol(**given)  # type: ignore[arg-type]


def in_parentheses(statement: str, depth: int) -> str:
    """`SELECT email FROM` with the expression inside `depth` pairs of parentheses."""
    return re.sub(r"(?i)^(\s*SELECT\s+)(\S+)", lambda m: m[1] + "(" * depth + m[2] + ")" * depth, statement, count=1)


def split(text: str) -> list[str]:
    """Cut SQL at its semicolons, as psql does; comments before a statement go with it."""
    statements: list[str] = []
    start = 0
    for position in _ends(text):
        statement = text[start:position].strip()
        start = position + 1
        if statement:
            statements.append(statement)
    return statements


def _ends(text: str) -> Iterator[int]:
    position, size, depth = 0, len(text), 0
    atomic = re.compile(r"(?i)\bBEGIN\s+ATOMIC\b")
    while position < size:
        letter = text[position]
        dollar = _DOLLAR.match(text, position) if letter == "$" else None
        if dollar and not (position and (text[position - 1].isalnum() or text[position - 1] == "_")):
            end = text.find(dollar[0], dollar.end())
            position = size if end < 0 else end + len(dollar[0])
        elif letter in "'\"":
            escapes = letter == "'" and position > 0 and text[position - 1] in "eE"
            position = _quoted_end(text, position + 1, letter, escapes)
        elif text.startswith("--", position):
            end = text.find("\n", position)
            position = size if end < 0 else end
        elif text.startswith("/*", position):
            position = _comment_end(text, position)
        else:
            if atomic.match(text, position):
                depth += 1
            elif depth and re.match(r"(?i)\bEND\b", text[position : position + 4]):
                depth -= 1
            if letter == ";" and not depth:
                yield position
            position += 1
    yield size


def _quoted_end(text: str, position: int, quote: str, escapes: bool) -> int:
    while position < len(text):
        if escapes and text[position] == "\\":
            position += 2
        elif text[position] == quote:
            if text[position + 1 : position + 2] != quote:
                return position + 1
            position += 2
        else:
            position += 1
    return len(text)


def _comment_end(text: str, position: int) -> int:
    depth = 0
    while position < len(text):
        if text.startswith("/*", position):
            depth += 1
            position += 2
        elif text.startswith("*/", position):
            depth -= 1
            position += 2
            if not depth:
                return position
        else:
            position += 1
    return len(text)


def made_attacks(prefix: str, texts: Mapping[str, str], since: Mapping[str, int], major: int) -> list[Case]:
    """Attacks on a schema of the project's own; `since`: the major version that can first read one."""
    return [_made(f"{prefix}/{name}", text, "EITHER") for name, text in texts.items() if since.get(name, 0) <= major]


def made_work(
    prefix: str, clear: Mapping[str, str], mask: Mapping[str, str], since: Mapping[str, int], major: int
) -> list[Case]:
    """Statements on such a schema that must work: those that use no masked column, and those that do."""
    return [
        _made(f"{kind.lower()}-{prefix}/{name}", text, kind)
        for kind, texts in (("CLEAR", clear), ("MASK", mask))
        for name, text in texts.items()
        if since.get(name, 0) <= major
    ]


def _made(name: str, text: str, expect: str) -> Case:
    return Case(name, name.partition("/")[2], expect, "made for this schema", (text,), tuple(split(text)), Protocol())
