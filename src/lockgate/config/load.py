"""Text of `lockgate.toml` to typed values, key by key, collecting every problem.

For: unknown keys, wrong types and bounds, each with file, line and remedy. Not for: rules between keys (`build`).
Source: style.md 3.7.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from lockgate.config.lines import Path, line_of, locate, parse
from lockgate.config.schema import REPEATED, SECTIONS, Form, Key
from lockgate.config.settings import Address

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})")
_REFERENCE = re.compile(r"(file|env):.+", re.DOTALL)

Value = str | int | float | bool | FilePath | Address | None
Values = dict[str, Value]


@dataclass(slots=True)
class Problems:
    """Problems found so far in one file; they are sorted by line when read."""

    file: str
    lines: Mapping[Path, int]
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, path: Path, sentence: str) -> None:
        """Record a problem at a key."""
        self.found.append((line_of(self.lines, path), sentence))

    def sentences(self) -> list[str]:
        """All of them as `file:line: sentence`."""
        return [f"{self.file}:{line}: {sentence}" for line, sentence in sorted(self.found)]


@dataclass(frozen=True, slots=True)
class Draft:
    """Checked values per section, and one mapping per `[[database]]` and `[[export]]`; keys with problems are absent."""

    sections: Mapping[str, Values]
    databases: Sequence[Values]
    exports: Sequence[Values]


def read(text: str, *, file: str, folder: FilePath) -> tuple[Draft | None, Problems]:
    """Check every key on its own.

    Args:
        text: the file's content.
        file: its name for messages.
        folder: where relative paths start.
    """
    parsed = parse(text, file)
    if isinstance(parsed, str):
        place, _, sentence = parsed.removeprefix(f"{file}:").partition(": ")
        return None, Problems(file, {}, [(int(place), sentence)])
    problems = Problems(file, locate(text))
    known = [*SECTIONS, *REPEATED]
    for key in parsed:
        if key not in known:
            problems.add((key,), f"unknown section `{key}`{suggestion(key, known)}")
    sections = {name: _section(parsed.get(name, {}), (name,), SECTIONS[name], problems, folder) for name in SECTIONS}
    repeated: dict[str, list[Values]] = {}
    for name, keys in REPEATED.items():
        given = parsed.get(name, [])
        if not isinstance(given, list):
            problems.add((name,), f"`{name}` must be an array of tables; write `[[{name}]]`")
            given = []
        repeated[name] = [_section(table, (name, i), keys, problems, folder) for i, table in enumerate(given)]
    return Draft(sections, repeated["database"], repeated["export"]), problems


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...` for the nearest known word, else the list of known words when it is short."""
    words = list(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"; did you mean `{near[0]}`?"
    return f"; known are {', '.join(f'`{w}`' for w in words)}" if len(words) <= 20 else ""


def _section(given: object, at: Path, keys: Sequence[Key], problems: Problems, folder: FilePath) -> Values:
    if not isinstance(given, Mapping):
        problems.add(at, f"`{at[0]}` must be a table; write `[{at[0]}]`")
        return {}
    declared = {key.name: key for key in keys}
    for name in given:
        if name not in declared:
            problems.add((*at, str(name)), f"unknown key `{name}` in `{at[0]}`{suggestion(str(name), declared)}")
    values: Values = {}
    for key in keys:
        if key.name not in given:
            if key.required:
                problems.add(at, f"`{at[0]}` lacks `{key.name}`; add it: {key.sentence[0].lower()}{key.sentence[1:]}")
            else:
                values[key.name] = _default(key, folder)
            continue
        checked = _check(key, given[key.name], folder)
        if isinstance(checked, _Wrong):
            problems.add((*at, key.name), f"`{key.name}` {checked.sentence}")
        else:
            values[key.name] = checked
    return values


@dataclass(frozen=True, slots=True)
class _Wrong:
    sentence: str


def _default(key: Key, folder: FilePath) -> Value:
    if key.default is None:
        return None
    checked = _check(key, key.default, folder)
    return None if isinstance(checked, _Wrong) else checked


def _check(key: Key, value: object, folder: FilePath) -> Value | _Wrong:
    if key.form is Form.BOOLEAN:
        return value if isinstance(value, bool) else _Wrong("must be `true` or `false`, without quotes")
    if key.form in {Form.WHOLE, Form.SECONDS}:
        return _number(key, value)
    if not isinstance(value, str):
        return _Wrong("must be a text in quotes")
    if not value or len(value) > 1024 or any(c < " " or c == "\x7f" for c in value):
        return _Wrong("must be a text of 1 to 1024 characters without control characters")
    if key.form is Form.PATH:
        return (folder / value).absolute()
    if key.form is Form.ADDRESS:
        return address(value) or _Wrong("must be `host:port`, such as `127.0.0.1:6432` or `[::1]:6432`")
    if key.form is Form.NAME and not NAME.fullmatch(value):
        return _Wrong("must be 1 to 63 letters, digits, `_`, `.` or `-`, beginning with a letter or digit")
    if key.form is Form.CHOICE and value not in key.choices:
        return _Wrong(f"must be one of {', '.join(f'`{c}`' for c in key.choices)}")
    if key.form is Form.SECRET and not _REFERENCE.fullmatch(value):
        return _Wrong("is not a reference to a secret; write `file:<path>` or `env:<NAME>`, never the secret itself")
    return value


def _number(key: Key, value: object) -> int | float | _Wrong:
    kinds = (int,) if key.form is Form.WHOLE else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        return _Wrong(f"must be a {'whole ' if key.form is Form.WHOLE else ''}number, without quotes")
    if not key.lowest <= value <= key.highest:
        return _Wrong(f"must be between {key.lowest:.16g} and {key.highest:.16g}{f' {key.unit}' if key.unit else ''}")
    return float(value) if key.form is Form.SECONDS else value


def address(text: str) -> Address | None:
    """`host:port`, with brackets around an IPv6 address; None when it is not one."""
    host, separator, port = text.rpartition(":")
    if not separator or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 <= int(port) <= 65_535:
        return None
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        return Address(host, int(port)) if _is_ipv6(host) else None
    return Address(host, int(port)) if _HOST.fullmatch(host) else None


def is_loopback(host: str) -> bool:
    """True for loopback addresses, `localhost` and folders of Unix sockets."""
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
