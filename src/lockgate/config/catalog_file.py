"""`catalog.toml`: the label of every column, per database, as people review it.

For: reading labels with every problem at once, and rendering or editing the text without disturbing what people wrote.
Not for: finding labels (`classification`) or reading the database.

One section per database: `[name]`, an optional `default`, and one line per column, `"schema.table.column" = "person.email"` or
`{ label = ..., by = ..., score = ... }`. Identifiers with other characters than letters, digits, `_` and `$` are quoted as in SQL.
Keys inside a JSON column follow after `->`: `"public.people.prefs->contact->phone"`.
Source: architecture section 5 (labels); PostgreSQL documentation 4.1.1 (identifiers).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lockgate.config.lines import Path, locate, parse, quote, scan, text_value
from lockgate.config.load import Problems, suggestion
from lockgate.errors import ConfigError
from lockgate.model.catalog import LABELS

DECIDERS = ("person", "name", "lineage", "content", "default")
"""Who may have decided a label; a plain text in the file was decided by a person."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_IDENTIFIER = re.compile(r'"((?:[^"]|"")+)"|([^".>-](?:[^".-]|-(?!>))*)')
_KEY_LENGTH_MAX = 1024


@dataclass(frozen=True, slots=True, order=True)
class ColumnKey:
    """One column by name, or a place inside a JSON column when `path` is not empty."""

    schema: str
    table: str
    column: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        names = ".".join(_quoted(name) for name in (self.schema, self.table, self.column))
        return "->".join([names, *(_quoted(step) for step in self.path)])


@dataclass(frozen=True, slots=True)
class ColumnLabel:
    """A label, who decided it and how sure they were (0 to 1)."""

    label: str
    by: str = "person"
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class CatalogSection:
    """Labels of one database; `default` is the label of columns without a line."""

    default: str = "unknown"
    columns: Mapping[ColumnKey, ColumnLabel] = field(default_factory=dict)

    def json_labels(self, schema: str, table: str, column: str) -> tuple[tuple[tuple[str, ...], str], ...]:
        """(path, label) of every labelled key inside a JSON column, in the order of the paths."""
        place = (schema, table, column)
        found = [
            (k.path, v.label) for k, v in self.columns.items() if k.path and place == (k.schema, k.table, k.column)
        ]
        return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """Every section of the file, by database name."""

    sections: Mapping[str, CatalogSection]

    def section(self, database: str) -> CatalogSection:
        """The section of a database, empty (everything `unknown`) when the file has none."""
        return self.sections.get(database, CatalogSection())


def parse_key(text: str) -> ColumnKey | None:
    """`schema.table.column` with optional `->key` steps; None when the text is neither."""
    if len(text) > _KEY_LENGTH_MAX:
        return None
    names: list[str] = []
    path: list[str] = []
    position = 0
    while True:
        match = _IDENTIFIER.match(text, position)
        if match is None:
            return None
        word = match.group(1).replace('""', '"') if match.group(1) is not None else match.group(2)
        (path if len(names) == 3 else names).append(word)
        position = match.end()
        if position == len(text):
            break
        separator = "->" if len(names) == 3 else "."
        if not text.startswith(separator, position):
            return None
        position += len(separator)
    return ColumnKey(names[0], names[1], names[2], tuple(path)) if len(names) == 3 else None


def parse_catalog(text: str, *, file: str) -> CatalogFile:
    """Read `catalog.toml`.

    Raises:
        ConfigError: with every problem as `file:line: sentence`.
    """
    parsed = parse(text, file)
    if isinstance(parsed, str):
        raise ConfigError(parsed)
    problems = Problems(file, locate(text))
    sections: dict[str, CatalogSection] = {}
    for database, given in parsed.items():
        if isinstance(given, Mapping):
            sections[database] = _section(database, given, problems)
        else:
            problems.add((database,), f"`{database}` stands outside a section; write `[database name]` above it")
    if problems.found:
        raise ConfigError(problems.sentences())
    return CatalogFile(sections)


def _section(database: str, given: Mapping[str, object], problems: Problems) -> CatalogSection:
    default = given.get("default", "unknown")
    if default not in {"unknown", "none"}:
        problems.add((database, "default"), "`default` must be `unknown` or `none`")
        default = "unknown"
    columns: dict[ColumnKey, ColumnLabel] = {}
    for name, value in given.items():
        if name == "default":
            continue
        at = (database, name)
        key = parse_key(name)
        if key is None:
            problems.add(at, f"`{name}` is not `schema.table.column`; quote the whole key, and odd names as in SQL")
            continue
        if key in columns:
            problems.add(at, f"`{name}` names a column that has a line already; remove one of them")
            continue
        label = _label(value, at, problems)
        if label is not None:
            columns[key] = label
    return CatalogSection(default=str(default), columns=columns)


def _label(value: object, at: Path, problems: Problems) -> ColumnLabel | None:
    table = value if isinstance(value, Mapping) else {"label": value}
    unknown = [str(key) for key in table if key not in {"label", "by", "score"}]
    for key in unknown:
        problems.add(at, f"unknown key `{key}` beside a label{suggestion(key, ['label', 'by', 'score'])}")
    label = table.get("label")
    if not isinstance(label, str):
        problems.add(at, "a label is a text in quotes, or a table with `label`, `by` and `score`")
        return None
    if label not in LABELS:
        problems.add(at, f"unknown label `{label}`{suggestion(label, LABELS)}")
        return None
    by, score = table.get("by", "person"), table.get("score", 1.0)
    if not isinstance(by, str) or by not in DECIDERS:
        problems.add(at, f"`by` must be one of {', '.join(f'`{d}`' for d in DECIDERS)}")
        return None
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
        problems.add(at, "`score` must be a number from 0 to 1")
        return None
    return None if unknown else ColumnLabel(label=label, by=by, score=float(score))


def render_section(database: str, columns: Sequence[tuple[ColumnKey, ColumnLabel]], *, default: str = "unknown") -> str:
    """One section with one line for every column, tables in order of their names, columns in the order given.

    A label that a person decided is written as a plain text, any other with who decided and the score.
    """
    tables: dict[tuple[str, str], list[tuple[ColumnKey, ColumnLabel]]] = {}
    for key, label in columns:
        tables.setdefault((key.schema, key.table), []).append((key, label))
    parts = [f"[{quote(database)}]", f"default = {text_value(default)}  # label of columns that have no line"]
    for (schema, table), items in sorted(tables.items()):
        parts += ["", f"# {_shown(schema)}.{_shown(table)}"]
        parts += [_line(key, label) for key, label in items]
    return "\n".join(parts) + "\n"


def merged(
    found: Iterable[tuple[ColumnKey, ColumnLabel]], existing: CatalogSection
) -> list[tuple[ColumnKey, ColumnLabel]]:
    """Columns as found now, with every label that a person decided kept, and JSON keys kept below their column.

    Lines of columns that no longer exist are dropped.
    """
    inner: dict[ColumnKey, list[tuple[ColumnKey, ColumnLabel]]] = {}
    for key, label in existing.columns.items():
        if key.path:
            inner.setdefault(ColumnKey(key.schema, key.table, key.column), []).append((key, label))
    lines: list[tuple[ColumnKey, ColumnLabel]] = []
    for key, label in found:
        kept = existing.columns.get(key)
        lines.append((key, kept if kept is not None and kept.by == "person" else label))
        lines += sorted(inner.get(key, ()), key=lambda item: item[0])
    return lines


def replace_section(text: str, database: str, section: str) -> str:
    """The text with one database's section put in place of the old one, or added at the end; the rest is untouched."""
    lines = text.split("\n")
    headers = [(number - 1, path) for number, path, header in scan(text) if header]
    start = next((number for number, path in headers if path == (database,)), None)
    if start is None:
        before = text.rstrip("\n")
        return f"{before}\n\n{section}" if before else section
    end = next((number for number, _ in headers if number > start), len(lines))
    while end < len(lines) and end > start + 1 and lines[end - 1].lstrip().startswith("#"):
        end -= 1  # comments right above the next header belong to it
    following = "\n".join(lines[end:])
    before = "\n".join(lines[:start])
    parts = [before, section.rstrip("\n")] if before else [section.rstrip("\n")]
    return "\n".join(parts) + ("\n\n" + following if following.strip() else "\n")


def set_label(text: str, database: str, key: ColumnKey, label: str) -> str:
    """The text with one column's label decided by a person: its line replaced (comment kept) or added to its section.

    Raises:
        ConfigError: the label is unknown, or the text would no longer be a catalog.
    """
    if label not in LABELS:
        raise ConfigError(f"unknown label `{label}`{suggestion(label, LABELS)}")
    lines = text.split("\n")
    last = None
    for number, path, header in scan(text):
        if path[:1] != (database,):
            continue
        if not header and len(path) == 2 and parse_key(str(path[1])) == key:
            lines[number - 1] = _line(key, ColumnLabel(label)) + _comment(lines[number - 1])
            return _checked("\n".join(lines))
        last = number
    if last is None:
        return _checked(replace_section(text, database, render_section(database, [(key, ColumnLabel(label))])))
    lines.insert(last, _line(key, ColumnLabel(label)))
    return _checked("\n".join(lines))


def _checked(text: str) -> str:
    parse_catalog(text, file="catalog.toml")
    return text


def _comment(line: str) -> str:
    """The comment at the end of a line, with the space before it."""
    bare = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'", lambda m: "x" * len(m.group()), line)
    position = bare.find("#")
    return "" if position < 0 else "  " + line[position:].rstrip()


def _line(key: ColumnKey, label: ColumnLabel) -> str:
    name = str(key)
    shown = f"'{name}'" if '"' in name and "'" not in name and name.isprintable() else text_value(name)
    if label.by == "person":
        return f"{shown} = {text_value(label.label)}"
    return f'{shown} = {{ label = {text_value(label.label)}, by = "{label.by}", score = {round(label.score, 2)} }}'


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _shown(name: str) -> str:
    """A name for a comment, which must stay on its line."""
    return "".join(c if c.isprintable() else "?" for c in _quoted(name))
