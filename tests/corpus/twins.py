"""Twin databases: the same rows in the same places, but other values in the masked columns.

For: a random bijection per class of values that keeps documented public shape (kind of each character, public mail domains, calling
codes, the year of a date, the Luhn check; lengths where they are public) and nothing else.
Not for: gates or clients. Both twins are filled by the same way, row after row, so that their pages are laid out alike.
"""

from __future__ import annotations

import calendar
import json
import random
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import psycopg

from lockgate.masking.numerals import iban_valid, luhn_valid
from lockgate.masking.words import PUBLIC_MAIL_PROVIDERS, calling_code_length

_ATTEMPTS = 10_000
_PLAIN = set(string.ascii_letters + string.digits)
_WORDS = string.ascii_lowercase
_LETTERS_AND_DIGITS = string.ascii_letters + string.digits
_LETTERS = _LETTERS_AND_DIGITS + " .,-@%_'\"()[]{}\\é"
_STEP_BYTES = 5
_SECRET_MAX = 32


@dataclass(frozen=True, slots=True)
class Masked:
    """A masked column.

    Args:
        table: its table, as written in SQL.
        column: its name, quoted where SQL needs it.
        kind: how its values are replaced, see `Bijection`.
        group: columns of one group share one bijection.
        keys: for documents: paths whose text is replaced; everything else in them stays.
    """

    table: str
    column: str
    kind: str
    group: str
    keys: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class World:
    """One schema with data, and what is masked in it.

    Args:
        name: short word for reports.
        setup: SQL that makes and fills it.
        tables: table -> the columns of its unmasked key, in the order in which they can be filled.
        masked: the masked columns.
        refresh: materialised views to refresh after filling.
        policies: policies beside the starter policies.
        watched: one query whose answer changes with the data.
        emptied: statements that empty what cases may write to.
        labels: `schema.table.column` -> label, instead of what `init` would propose; every other column is `none`.
        made: (table, column) of columns that the database computes from masked ones.
    """

    name: str
    setup: str
    tables: Mapping[str, str]
    masked: tuple[Masked, ...]
    refresh: tuple[str, ...] = ()
    policies: Mapping[str, str] = field(default_factory=dict)
    watched: str = ""
    emptied: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    made: tuple[tuple[str, str], ...] = ()

    def extended(self, setup: str, tables: Mapping[str, str]) -> World:
        """The world with more in it."""
        return replace(self, setup=self.setup + "\n" + setup, tables={**self.tables, **tables})


CORPUS_MASKED = (
    Masked("people", "full_name", "text", "name"),
    Masked("people", "email", "email", "email"),
    Masked("people", "ssn", "text", "ssn"),
    Masked("people", "card", "card", "card"),
    Masked("people", "dob", "date", "dob"),
    Masked("people", "address", "text", "address"),
    Masked("people", "notes", "text", "notes"),
    Masked("people", "prefs", "json", "prefs", (("phone",), ("contact", "alt"))),
    Masked("people", "api_key", "text", "api_key"),
    Masked("people", "secret", "bytes", "secret"),
    Masked("people", "tags", "array", "tags"),
    Masked("orders", "ship_to", "text", "address"),
    Masked("orders", "contact_email", "email", "email"),
)

CORPUS_POLICY = """\
@id("bot-writes-orders")
@reason("the corpus gives its agent this table")
permit (principal == Agent::"bot", action == Action::"write", resource == Table::"public.orders");

@id("bot-writes-scratch")
@reason("the corpus gives its agent this schema")
permit (principal == Agent::"bot", action == Action::"write", resource in Schema::"scratch");
"""


def corpus_world(setup: str) -> World:
    """The schema at the head of the attack corpus, with a schema `scratch` beside it."""
    return World(
        name="corpus",
        setup=setup + "\nCREATE SCHEMA scratch; CREATE TABLE scratch.sink(id bigint, a text, b text);",
        tables={"people": "id", "orders": "order_id"},
        masked=CORPUS_MASKED,
        refresh=("mv_people",),
        policies={"40-corpus.cedar": CORPUS_POLICY},
        watched="SELECT (SELECT md5(string_agg(p::text, '' ORDER BY id)) FROM people p), (SELECT md5(string_agg(o::text, '' ORDER BY"
        " order_id)) FROM orders o), (SELECT count(*) FROM scratch.sink)",
        emptied=("TRUNCATE scratch.sink",),
    )


class Bijection:
    """Value to value, one-to-one, drawn at random from a seed; the same value always becomes the same.

    With `lengths` the length changes too where it is not public; without it every kind keeps it.
    """

    def __init__(self, seed: str, *, lengths: bool = True) -> None:
        self._random = random.Random(seed)
        self._lengths = lengths
        self._forward: dict[str, str] = {}
        self._used: set[str] = set()
        self._domains: dict[str, str] = {}

    def text(self, value: str) -> str:
        """Each letter becomes a letter of its case, each digit a digit; everything else stays."""
        return self._drawn(value, lambda: self._shaped(value))

    def free(self, value: str) -> str:
        """Any text, none at all among them: nothing of it is public."""
        if not self._lengths:
            return self.text(value)
        return self._drawn(value, lambda: self._any(_LETTERS, self._random.randint(0, 2 * len(value) + 2)))

    def secret(self, value: str) -> str:
        """Any letters and digits, one at least and at most 32 or as many as there are."""
        if not self._lengths:
            return self.text(value)
        return self._drawn(
            value, lambda: self._any(_LETTERS_AND_DIGITS, self._random.randint(1, max(len(value), _SECRET_MAX)))
        )

    def name(self, value: str) -> str:
        """Any words that are as long in steps of five bytes."""
        return self._drawn(value, lambda: self._step(value, f"{_WORDS} -'")) if self._lengths else self.text(value)

    def amount(self, value: str) -> str:
        """Any number of up to six digits before the point, and as many behind it."""
        if not self._lengths:
            return self.number(value)
        behind = len(value.partition(".")[2])

        def draw() -> str:
            whole = self._random.choice(("", "-")) + str(self._random.randrange(10 ** self._random.randint(1, 6)))
            return whole.replace("-0", "0") + ("." + self._any(string.digits, behind) if behind else "")

        return self._drawn(value, draw)

    def card(self, value: str) -> str:
        """As `text`, with a right check digit staying right and a wrong one wrong."""
        digits = re.sub(r"\D", "", value)

        def draw() -> str:
            for _ in range(_ATTEMPTS):
                drawn = self._shaped(value)
                if luhn_valid(re.sub(r"\D", "", drawn)) == luhn_valid(digits):
                    return drawn
            raise ValueError("no card number found")

        return self._drawn(value, draw)

    def phone(self, value: str) -> str:
        """As `text` behind the calling code."""
        kept = calling_code_length(re.sub(r"\D", "", value)) if value.startswith("+") else 0
        cut = max((m.end() for m in islice(re.finditer(r"\d", value), kept)), default=0)
        return self._drawn(value, lambda: value[:cut] + self._shaped(value[cut:]))

    def iban(self, value: str) -> str:
        """As `text` behind the country, wrong check digits staying wrong."""

        def draw() -> str:
            while iban_valid(drawn := value[:2] + self._shaped(value[2:])) != iban_valid(value):
                pass
            return drawn

        return self._drawn(value, draw)

    def number(self, value: str) -> str:
        """As many digits, the first one not zero."""

        def draw() -> str:
            while (drawn := self._shaped(value)).startswith("0") and not value.startswith("0"):
                pass
            return drawn

        return self._drawn(value, draw)

    def inet(self, value: str) -> str:
        """Another address."""

        def draw() -> str:
            if self._lengths and re.fullmatch(r"\d+\.\d+\.\d+\.\d+", value):
                return ".".join(str(self._random.randrange(256)) for _ in range(4))
            while not (drawn := self._shaped(value)) or any(
                int(part) > 255 or (part[0] == "0" and len(part) > 1) for part in drawn.split(".")
            ):
                pass
            return drawn

        return self._drawn(value, draw)

    def email(self, value: str) -> str:
        """Local part and domain are as long in steps of five bytes; domains one-to-one among themselves, those of public providers stay."""
        local, at, domain = value.rpartition("@")
        if not at:
            return self.text(value)
        return self._drawn(value, lambda: f"{self._part(local)}@{self._domain(domain)}")

    def date(self, value: str) -> str:
        """Another day of the same year; a time behind it stays."""
        year, rest = int(value[:4]), value[10:]

        def draw() -> str:
            month = self._random.randint(1, 12)
            day = self._random.randint(1, calendar.monthrange(year, month)[1])
            return f"{year:04}-{month:02}-{day:02}{rest}"

        return self._drawn(value, draw)

    def bytes(self, value: str) -> str:
        """Random bytes, in PostgreSQL's hexadecimal form."""
        size = (len(value) - 2) // 2
        return self._drawn(
            value,
            lambda: "\\x" + self._random.randbytes(self._random.randint(1, 2 * size) if self._lengths else size).hex(),
        )

    def array(self, value: str) -> str:
        """A one-dimensional array of as many elements."""
        if value == "{}":
            return value
        parts = value.strip("{}").split(",")
        if not self._lengths:
            return "{" + ",".join(self.text(part) for part in parts) + "}"

        def draw() -> str:
            return "{" + ",".join(self._any(_WORDS, self._random.randint(1, 9)) for _ in parts) + "}"

        return self._drawn(value, draw)

    def json(self, value: str, keys: Sequence[tuple[str, ...]]) -> str:
        """The texts under `keys` as `text`."""
        document = json.loads(value)
        for path in keys:
            place = document
            for key in path[:-1]:
                place = place.get(key, {}) if isinstance(place, dict) else {}
            if isinstance(place, dict) and isinstance(place.get(path[-1]), str):
                place[path[-1]] = self.phone(place[path[-1]])
        return json.dumps(document)

    def _any(self, letters: str, size: int) -> str:
        return "".join(self._random.choice(letters) for _ in range(size))

    def _step(self, value: str, letters: str) -> str:
        """Letters of a length that cannot be told from that of the value."""
        size = len(value.encode())
        first = size // _STEP_BYTES * _STEP_BYTES
        shortest, longest = (0, 2 * _STEP_BYTES - 1) if first < 2 * _STEP_BYTES else (first, first + _STEP_BYTES - 1)
        return self._any(letters, self._random.randint(max(shortest, 1), longest))

    def _part(self, value: str) -> str:
        return self._step(value, _LETTERS_AND_DIGITS) if self._lengths else self._shaped(value)

    def _shaped(self, value: str) -> str:
        return "".join(self._like(letter) for letter in value)

    def _like(self, letter: str) -> str:
        if letter.isdigit():
            return self._random.choice(string.digits)
        if letter not in _PLAIN and not letter.isalpha():
            return letter
        alphabet = string.ascii_uppercase if letter.isupper() else string.ascii_lowercase
        if letter not in _PLAIN:  # keep the number of bytes: a letter outside ASCII becomes another one
            alphabet = "ÀÁÂÃÈÉÊ" if letter.isupper() else "àáâãèéê"
        return self._random.choice(alphabet)

    def _domain(self, domain: str) -> str:
        if domain in PUBLIC_MAIL_PROVIDERS:
            return domain
        if domain not in self._domains:
            taken = {*self._domains, *self._domains.values()}
            tail = "." + domain.rpartition(".")[2]
            while True:
                drawn = (self._step(domain, _WORDS) if self._lengths else self._shaped(domain))[: -len(tail)] + tail
                if drawn not in taken and drawn != tail:
                    break
            self._domains[domain] = drawn
        return self._domains[domain]

    def _drawn(self, value: str, draw: Callable[[], str]) -> str:
        if value not in self._forward:
            for _ in range(_ATTEMPTS):
                drawn = draw()
                if drawn != value and drawn not in self._used:
                    break
            else:
                raise ValueError("a class has more values than its shape allows")
            self._forward[value] = drawn
            self._used.add(drawn)
        return self._forward[value]


class Replacement:
    """Bijections for all masked columns of a world."""

    def __init__(self, world: World, seed: int, *, lengths: bool = True) -> None:
        self._columns = {(m.table, m.column): m for m in world.masked}
        self._bijections = {m.group: Bijection(f"{seed}/{world.name}/{m.group}", lengths=lengths) for m in world.masked}

    def value(self, table: str, column: str, value: str | None) -> str | None:
        """The twin's value in one cell."""
        masked = self._columns.get((table, column))
        if masked is None or value is None or (not value and masked.kind != "free"):
            return value
        bijection = self._bijections[masked.group]
        if masked.kind == "json":
            return bijection.json(value, masked.keys)
        replaced: str = getattr(bijection, masked.kind)(value)
        return replaced


Values = dict[tuple[str, str], list[str | None]]
"""(table, column) -> its values in the order of rows, for the masked columns."""


Kept = dict[str, tuple[list[str], list[list[str | None]]]]
"""Table to the columns that hold values of their own, and its rows."""


def kept_rows(dsn: str, world: World) -> Kept:
    """The rows as they were made."""
    kept: Kept = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in world.tables:
            columns, source = stored_columns(connection, table)
            kept[table] = columns, _copied(connection, f"SELECT {', '.join(columns)} FROM {source}")
    return kept


def fill(dsn: str, world: World, kept: Kept, replacement: Replacement | None) -> tuple[Values, dict[str, bytes]]:
    """Put rows in instead of those that are there, in the same order, replaced where asked.

    Returns:
        The values of the masked columns, and each table's rows in COPY's form.
    """
    values: Values = {}
    filled: dict[str, bytes] = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {', '.join(world.tables)}".encode())
        for table, (columns, old_rows) in kept.items():
            rows = old_rows
            if replacement is not None:
                rows = [[replacement.value(table, c, v) for c, v in zip(columns, row, strict=True)] for row in old_rows]
            lines = "".join("\t".join(map(_escaped, row)) + "\n" for row in rows)
            filled[table] = lines.encode()
            with connection.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as copy:
                copy.write(filled[table])
            for position, column in enumerate(columns):
                if any((m.table, m.column) == (table, column) for m in world.masked):
                    values[table, column] = [row[position] for row in rows]
        for view in world.refresh:
            connection.execute(f"REFRESH MATERIALIZED VIEW {view}".encode())
        connection.execute("VACUUM (FREEZE, ANALYZE)")
    return values, filled


def stored(dsn: str, world: World) -> dict[str, list[list[str | None]]]:
    """All rows of all tables, with what the database computed, in the order in which they lie; by their key where partitions order them."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        found: dict[str, list[list[str | None]]] = {}
        for table, key in world.tables.items():
            source = stored_columns(connection, table)[1]
            order = f"{key}, ctid" if source == table else "ctid"
            found[table] = _copied(connection, f"SELECT * FROM {source} ORDER BY {order}")
        return found


def _copied(connection: psycopg.Connection[tuple[object, ...]], query: str) -> list[list[str | None]]:
    with connection.cursor().copy(f"COPY ({query}) TO STDOUT".encode()) as copy:
        text = b"".join(bytes(part) for part in copy).decode()
    return [[_unescaped(c) for c in line.split("\t")] for line in text.split("\n")[:-1]]


_LAYOUT = """
SELECT coalesce(string_agg(concat_ws(' ', c.oid::regclass, relpages, relallvisible), ';' ORDER BY c.relname COLLATE "C", c.oid), '')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE relkind IN ('r', 'm', 'i', 't') AND nspname !~ '^(pg_|information_schema)' OR nspname = 'pg_toast' AND c.oid >= 16384
"""


def layout(dsn: str, world: World) -> list[str]:
    """On how many pages everything is, and on which page each row: public, and so the same in twins."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = [str(connection.execute(_LAYOUT).fetchone())]
        for table, key in world.tables.items():
            source = stored_columns(connection, table)[1]
            query = f"SELECT md5(string_agg((ctid::text::point)[0]::text, ' ' ORDER BY {key})) FROM {source}"
            found.append(str(connection.execute(query.encode()).fetchone()))
    return found


def stored_columns(connection: psycopg.Connection[tuple[object, ...]], table: str) -> tuple[list[str], str]:
    """The columns that hold values of their own, quoted, and where a table's own rows are read."""
    query = (
        "SELECT quote_ident(attname), relkind = 'r' FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum"
    )
    rows = connection.execute(query, [table]).fetchall()
    return [str(name) for name, _ in rows], f"ONLY {table}" if rows and rows[0][1] else table


_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def _escaped(value: str | None) -> str:
    return "\\N" if value is None else "".join(_ESCAPES.get(letter, letter) for letter in value)


def _unescaped(value: str) -> str | None:
    if value == "\\N":
        return None
    return re.sub(r"\\(.)", lambda m: {"t": "\t", "n": "\n", "r": "\r"}.get(m[1], m[1]), value)
