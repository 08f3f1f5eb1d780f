"""asyncpg: binary results, its own type introspection, prepared statements, cursors, COPY both ways, notifications of errors."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import asyncpg

from conformance.drivers.program import Adapter, Rows, Target, main


class Asyncpg(Adapter):
    """asyncpg, one connection on one loop."""

    placeholder = "$#"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.runner = asyncio.Runner()
        self.link = self.runner.run(
            asyncpg.connect(
                host=target.host,
                port=target.port,
                user=target.user,
                password=target.password,
                database=target.dbname,
                ssl=target.sslmode,
            )
        )

    def rows(self, sql: str, params: Sequence[Any]) -> Rows:
        if params:
            return [tuple(row) for row in self.runner.run(self.link.fetch(sql, *params))]
        return self.runner.run(self._prepared(sql))

    async def _prepared(self, sql: str) -> Rows:
        statement = await self.link.prepare(sql)
        rows = [tuple(row) for row in await statement.fetch()]
        return rows if statement.get_attributes() else [(statement.get_statusmsg(),)]

    def specials(self) -> Mapping[str, Callable[[], Rows]]:
        found: dict[str, Callable[[], Coroutine[Any, Any, Rows]]] = {
            "cursor": lambda: self._cursor("SELECT id, name FROM things ORDER BY id"),
            "simple script": self._script,
            "copy out": self._copy_out,
            "copy in": self._copy_in,
            "executemany": self._many,
            "transaction": self._transaction,
            "introspection": self._introspection,
            "masked cursor": lambda: self._cursor("SELECT id, email, dob, ip FROM people"),
        }
        return {name: (lambda run=run: self.runner.run(run())) for name, run in found.items()}  # type: ignore[misc]

    async def _cursor(self, sql: str) -> Rows:
        async with self.link.transaction():
            return [tuple(row) async for row in self.link.cursor(sql, prefetch=9)]

    async def _script(self) -> Rows:
        return [(await self.link.execute("SELECT 1; SELECT 2; SELECT id FROM things"),)]

    async def _copy_out(self) -> Rows:
        out = io.BytesIO()
        await self.link.copy_from_query("SELECT id, name FROM things ORDER BY id", output=out, format="csv")
        await self.link.copy_from_table("things", columns=["id", "weight"], output=out, format="binary")
        return [(out.getvalue(),)]

    async def _copy_in(self) -> Rows:
        await self.link.copy_records_to_table(
            "scratch", records=[(n, f"r{n}") for n in range(9000, 9200)], columns=["id", "name"]
        )
        return [(await self.link.execute("DELETE FROM scratch WHERE id >= 9000"),)]

    async def _many(self) -> Rows:
        await self.link.executemany("INSERT INTO scratch VALUES ($1, $2)", [(n, "m") for n in range(9300, 9400)])
        return [(await self.link.execute("DELETE FROM scratch WHERE id >= 9300"),)]

    async def _transaction(self) -> Rows:
        found: list[Any] = []
        try:
            async with self.link.transaction():
                await self.link.execute("INSERT INTO scratch VALUES (9500, 'x')")
                await self.link.fetch("SELECT 1/0")
        except asyncpg.PostgresError as error:
            found.append((error.sqlstate,))
        found.append((await self.link.fetchval("SELECT count(*) FROM scratch WHERE id = 9500"),))
        return found

    async def _introspection(self) -> Rows:
        await self.link.reload_schema_state()
        rows = await self.link.fetch(
            "SELECT ARRAY[ROW(1, 'x')::pair, ROW(NULL, 'y')::pair], 'warm'::heat, int4range(1, 5)"
        )
        return [tuple(row) for row in rows]

    def recover(self) -> None:
        return

    def close(self) -> None:
        self.runner.run(self.link.close())
        self.runner.close()


if __name__ == "__main__":
    main(Asyncpg)
