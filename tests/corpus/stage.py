"""Where a corpus is played: two servers with twin databases, a gate before each, and what both show of masked columns.

For: set-up and the questions that only the owner of a database can answer. Not for: cases.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from corpus.canaries import Canaries
from corpus.client import Address, Client
from corpus.compare import Pairs
from corpus.twins import Replacement, Values, World, fill, kept_rows, layout, stored, stored_columns
from lockgate.testing.engines import EmbeddedPostgres, scratch_directory
from support.gate import GateProcess
from support.servers import installation_of

_DEBIAN_MAJOR = 15
FUNCTIONS = {
    "49-functions.cedar": '@id("agents-call") permit (principal is Agent, action == Action::"execute", resource);'
}
"""Agents may call functions, so that what becomes of a call is masking's to say."""

PRINCIPALS = """\
[[principal]]
name = "ann"
kind = "person"

[[principal]]
name = "bot"
kind = "agent"
owner = "ann"
"""
"""Who plays: an agent, who sees masked data, of a person."""
_RESIDUE = """
SELECT concat_ws(', ',
  (SELECT 'temporary objects: ' || string_agg(relname, ' ') FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname LIKE 'pg_temp%' AND relkind <> 'r' AND relkind <> 'i' HAVING count(*) > 0),
  (SELECT 'large objects: ' || count(*) FROM pg_largeobject_metadata HAVING count(*) > 0),
  (SELECT 'advisory locks: ' || count(*) FROM pg_locks WHERE locktype = 'advisory' HAVING count(*) > 0),
  (SELECT 'prepared transactions: ' || count(*) FROM pg_prepared_xacts HAVING count(*) > 0),
  (SELECT 'objects of the sessions: ' || count(*) FROM pg_class WHERE pg_get_userbyid(relowner) ~ '^lockgate'
    AND relpersistence <> 't' HAVING count(*) > 0),
  (SELECT 'functions of the sessions: ' || count(*) FROM pg_proc WHERE pg_get_userbyid(proowner) ~ '^lockgate' HAVING count(*) > 0))
"""
_TEMPORARY = """
SELECT coalesce(string_agg(quote_ident(relname), ' ' ORDER BY c.oid), '') FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE nspname ~ '^pg_temp' AND relkind = 'r'
"""


_SESSIONS_MAX = 64


@dataclass
class Twin:
    """One of the two sides."""

    server: EmbeddedPostgres
    gate: GateProcess
    values: dict[str, Values] = field(default_factory=dict)
    kept: dict[str, dict[str, bytes]] = field(default_factory=dict)
    masks: dict[str, dict[tuple[str, str, str], bytes]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    owners: dict[str, psycopg.Connection[tuple[object, ...]]] = field(default_factory=dict)

    def close(self) -> None:
        """End the owner's connections."""
        for connection in self.owners.values():
            connection.close()

    def gate_address(self, world: World) -> Address:
        """Through the gate, as the agent."""
        gate = self.gate
        return Address(gate.host, gate.port, "bot", gate.token("bot"), world.name)

    def direct_address(self, world: World) -> Address:
        """Past the gate, as the role of masked sessions."""
        with self.gate.config.open("rb") as file:
            settings = next(d for d in tomllib.load(file)["database"] if d["name"] == world.name)
        password = (self.gate.folder / settings["session_password"].removeprefix("file:")).read_text().strip()
        return Address("127.0.0.1", self.server.port, settings["session_role"], password, settings["dbname"])

    def ask(self, world: World, query: str) -> str:
        """One row of the owner's, as text."""
        if world.name not in self.owners:
            self.owners[world.name] = psycopg.connect(self.server.dsn(world.name), autocommit=True)
        return str(self.owners[world.name].execute(query.encode()).fetchone())

    def residue(self, world: World) -> str:
        """What the session left behind, in words."""
        return self.ask(world, _RESIDUE).removeprefix("('").removesuffix("',)")

    def stored(self, world: World) -> dict[str, list[list[str | None]]]:
        """All rows that there are, as the owner sees them."""
        return stored(self.server.dsn(world.name), world)

    def temporary(self, world: World) -> tuple[str, ...]:
        """Temporary tables that there are, quoted; their session can read them, nobody else."""
        return tuple(self.ask(world, _TEMPORARY).removeprefix("('").removesuffix("',)").split())

    def function_oid(self, world: World, name: str) -> int:
        """OID of a function."""
        return int(re.sub(r"\D", "", self.ask(world, f"SELECT '{name}'::regproc::oid")))


def _make_temporary_schemas(dsn: str) -> None:
    """Have the server make its schemas for temporary tables, which it keeps, so that both twins list the same ones."""
    with ExitStack() as stack:
        for _ in range(_SESSIONS_MAX):
            session = stack.enter_context(psycopg.connect(dsn, autocommit=True))
            session.execute("CREATE TEMP TABLE made(a text)")


class Stage:
    """Both twins, running; a context manager."""

    def __init__(self, worlds: Sequence[World], *, major: int = _DEBIAN_MAJOR, seed: int = 1) -> None:
        self.worlds = worlds
        self.major = major
        self.pairs = {world.name: Pairs() for world in worlds}
        self.canaries: dict[str, tuple[Canaries, Canaries]] = {}
        self._seed = seed
        self._stack = ExitStack()
        self.of_one_length: list[str] = []

    def __enter__(self) -> Self:
        try:
            scratch = self._stack.enter_context(scratch_directory("lockgate-corpus-"))
            self.x = self._twin(scratch / "x", replaced=False)
            self.y = self._twin(scratch / "y", replaced=True)
            for world in self.worlds:
                self._learn(world)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _twin(self, folder: Path, *, replaced: bool) -> Twin:
        installation = installation_of(self.major)
        if installation is None:
            raise LookupError(f"PostgreSQL {self.major} is not installed")
        folder.mkdir()
        folder.chmod(0o777)
        server = EmbeddedPostgres(
            folder / "data", password="superuser", installation=installation, settings={"autovacuum": "off"}
        )
        self._stack.enter_context(server)
        values: dict[str, Values] = {}
        kept: dict[str, dict[str, bytes]] = {}
        for world in self.worlds:
            with psycopg.connect(server.dsn(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {world.name} TEMPLATE template0".encode())
            with psycopg.connect(server.dsn(world.name), autocommit=True) as connection:
                connection.execute(world.setup.encode())
            _make_temporary_schemas(server.dsn(world.name))
        # All objects exist before any row differs: what a server stores of rows takes OIDs from the same counter.
        for world in self.worlds:
            values[world.name], kept[world.name] = self._fill(server.dsn(world.name), world, replaced=replaced)
        gate = GateProcess(
            folder / "gate",
            {world.name: (server.dsn(world.name), "production") for world in self.worlds},
            principals=PRINCIPALS,
            policies=FUNCTIONS | {name: text for world in self.worlds for name, text in world.policies.items()},
        )
        gate.init()
        self._write_labels(folder / "gate" / "catalog.toml")
        gate.start()
        self._stack.callback(gate.stop)
        twin = Twin(server, gate, values, kept)
        self._stack.callback(twin.close)
        return twin

    def _fill(self, dsn: str, world: World, *, replaced: bool) -> tuple[Values, dict[str, bytes]]:
        """A twin's rows: of other lengths where lengths are not public, unless they would then lie on other pages, which is public."""
        kept = kept_rows(dsn, world)
        if not replaced:
            return fill(dsn, world, kept, None)
        first = layout(self.x.server.dsn(world.name), world)
        filled = fill(dsn, world, kept, Replacement(world, self._seed))
        if layout(dsn, world) == first:
            return filled
        self.of_one_length.append(world.name)
        return fill(dsn, world, kept, Replacement(world, self._seed, lengths=False))

    def _write_labels(self, path: Path) -> None:
        """Where a world says its labels itself, they replace what `init` proposed."""
        text = path.read_text(encoding="utf-8")
        for world in self.worlds:
            if world.labels:
                lines = [f"[{world.name}]", 'default = "none"']
                lines += [f"'{key}' = \"{label}\"" for key, label in world.labels.items()]
                kept = re.sub(rf"(?ms)^\[{world.name}\]\n.*?(?=^\[|\Z)", "", text)
                text = kept + "\n" + "\n".join(lines) + "\n"
        path.write_text(text, encoding="utf-8")

    def _learn(self, world: World) -> None:
        """Read each table once in text and once in binary through both gates, by its unmasked key."""
        for twin in (self.x, self.y):
            twin.masks[world.name] = {}
        with Client(self.x.gate_address(world)) as here, Client(self.y.gate_address(world)) as there:
            clients = ((self.x, here), (self.y, there))
            for table, key in world.tables.items():
                columns = [m.column for m in world.masked if m.table == table]
                columns += [column for owner, column in world.made if owner == table]
                for column in columns:
                    for binary in (False, True):
                        self._learn_column(world, table, key, column, clients, binary=binary)
        self.canaries[world.name] = (
            Canaries(list(self._value_pairs(world, self.x, self.y)), self._public(world)),
            Canaries(list(self._value_pairs(world, self.y, self.x)), self._public(world)),
        )

    def _learn_column(
        self, world: World, table: str, key: str, column: str, clients: Sequence[tuple[Twin, Client]], *, binary: bool
    ) -> None:
        seen: list[list[list[bytes | None]]] = []
        source = self._own_rows(world, table)
        for twin, client in clients:
            answer = client.extended(f"SELECT {key}, {column} FROM {source} ORDER BY {key}", binary=binary)
            if answer.errors or answer.ended:
                reason = answer.errors[0].message if answer.errors else "the connection ended"
                twin.unreadable.append(f"{world.name}: {table}.{column}: {reason}")
                return
            seen.append(answer.rows)
            if not binary:
                masks = twin.masks[world.name]
                for *row_key, mask in answer.rows:
                    masks[table, column, b"/".join(part or b"" for part in row_key).decode()] = mask or b""
        for (*_, one), (*_, other) in zip(*seen, strict=True):
            if one is not None and other is not None:
                self.pairs[world.name].learn(f"{table}.{column}", one, other)

    def _own_rows(self, world: World, table: str) -> str:
        """Where a table's own rows are read: in those of tables that inherit from it, a key may come again."""
        with psycopg.connect(self.x.server.dsn(world.name), autocommit=True) as connection:
            return stored_columns(connection, table)[1]

    @staticmethod
    def _value_pairs(world: World, here: Twin, there: Twin) -> Iterator[tuple[str, str, str]]:
        taken: set[tuple[str, str]] = set()
        for (table, column), values in here.values[world.name].items():
            for value, other in zip(values, there.values[world.name][table, column], strict=True):
                if value and other and (value, other) not in taken:
                    taken.add((value, other))
                    yield f"{table}.{column}", value, other

    @staticmethod
    def _public(world: World) -> bytes:
        """What everyone knows: the names in the schema."""
        return " ".join(re.findall(r"[a-z_]+", re.sub(r"'[^']*'", " ", world.setup.lower()))).encode()

    def placeholders(self, twin: Twin, world: World, text: str) -> str:
        """`{sur:email:7}` becomes the mask seen for column `email` in the row with key 7."""

        def mask(match: re.Match[str]) -> str:
            for (_, column, key), value in twin.masks[world.name].items():
                if (column, key) == (match[1], match[2]):
                    return value.decode()
            return "no such mask"

        return re.sub(r"\{sur:(\w+):(\w+)\}", mask, text)

    def originals(self, twin: Twin, world: World, text: str) -> str:
        """`{sur:email:7}` becomes the stored value, for the same question past the gate."""

        def value(match: re.Match[str]) -> str:
            for masked in world.masked:
                if masked.column == match[1]:
                    source, key = self._own_rows(world, masked.table), world.tables[masked.table]
                    query = f"SELECT {match[1]}::text FROM {source} WHERE {key}::text = '{match[2]}'"
                    return twin.ask(world, query)[2:-3]
            return "no such value"

        return re.sub(r"\{sur:(\w+):(\w+)\}", value, text)

    def masks_by_value(self, twin: Twin, world: World) -> dict[bytes, bytes]:
        """Stored value, as the server prints it, to the mask that the gate shows for it."""
        found: dict[bytes, bytes] = {}
        for table, key in world.tables.items():
            columns = [m.column for m in world.masked if m.table == table]
            with Client(replace(twin.direct_address(world), user="postgres", password=twin.server.password)) as client:
                rows = client.simple(f"SELECT {key}, {', '.join(columns)} FROM {self._own_rows(world, table)}").rows
            for row in rows:
                row_key = b"/".join(part or b"" for part in row[: len(row) - len(columns)]).decode()
                for column, cell in zip(columns, row[len(row) - len(columns) :], strict=True):
                    mask = twin.masks[world.name].get((table, column, row_key))
                    if cell and mask is not None:
                        found[cell] = mask
        return found

    def stored_pairs(self, world: World) -> Pairs:
        """What a stored cell of one twin is in the other, and what the database makes of it."""
        pairs = Pairs()
        for (table, column), values in self.x.values[world.name].items():
            for here, there in zip(values, self.y.values[world.name][table, column], strict=True):
                if here is not None and there is not None:
                    for one, other in ((here, there), (here.upper(), there.upper())):
                        pairs.learn(f"{table}.{column}", one.encode(), other.encode())
        return pairs

    def restore(self, twin: Twin, world: World) -> None:
        """Put the rows back as they were at the beginning."""
        with psycopg.connect(twin.server.dsn(world.name), autocommit=True) as connection:
            connection.execute(f"TRUNCATE {', '.join(world.tables)}".encode())
            for statement in world.emptied:
                connection.execute(statement.encode())
            for table, lines in twin.kept[world.name].items():
                columns = ", ".join(stored_columns(connection, table)[0])
                with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
                    copy.write(lines)
            connection.execute("VACUUM (FREEZE, ANALYZE)")
