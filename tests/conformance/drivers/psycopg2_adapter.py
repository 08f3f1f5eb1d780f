"""psycopg2: simple queries only, named cursors, copy_expert, execute_values, lobject through the fast path."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg2
import psycopg2.extras

from conformance.drivers.program import Adapter, Rows, Target, main


class Psycopg2(Adapter):
    """psycopg2 on libpq."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.link = psycopg2.connect(target.dsn)
        self.link.autocommit = True

    def rows(self, sql: str, params: Sequence[Any]) -> Rows:
        with self.link.cursor() as cursor:
            cursor.execute(sql, list(params) or None)
            return list(cursor.fetchall()) if cursor.description else [(cursor.statusmessage,)]

    def specials(self) -> Mapping[str, Callable[[], Rows]]:
        return {
            "named cursor": lambda: self._named("SELECT id, name FROM things ORDER BY id"),
            "copy out": lambda: self._copy_out("COPY things TO STDOUT (FORMAT csv, HEADER)"),
            "copy in": self._copy_in,
            "execute_values": self._values,
            "transaction": self._transaction,
            "dictionaries": self._dictionaries,
            "masked named cursor": lambda: self._named("SELECT id, email, ssn FROM people"),
        }

    def _named(self, sql: str) -> Rows:
        self.link.autocommit = False
        try:
            with self.link, self.link.cursor(name="named") as cursor:
                cursor.itersize = 11
                cursor.execute(sql)
                return list(cursor)
        finally:
            self.link.autocommit = True

    def _copy_out(self, sql: str) -> Rows:
        out = io.StringIO()
        with self.link.cursor() as cursor:
            cursor.copy_expert(sql, out)
        return [(out.getvalue(),)]

    def _copy_in(self) -> Rows:
        with self.link.cursor() as cursor:
            cursor.copy_expert("COPY scratch (id, name) FROM STDIN", io.StringIO("6000\tsix\n6001\t\\N\n"))
            cursor.execute("DELETE FROM scratch WHERE id >= 6000 RETURNING id, name")
            return sorted(cursor.fetchall())

    def _values(self) -> Rows:
        with self.link.cursor() as cursor:
            psycopg2.extras.execute_values(
                cursor, "INSERT INTO scratch (id, name) VALUES %s", [(n, "v") for n in range(6100, 6300)]
            )
            cursor.execute("DELETE FROM scratch WHERE id >= 6100 RETURNING id")
            return [(len(cursor.fetchall()),)]

    def _transaction(self) -> Rows:
        self.link.autocommit = False
        try:
            with self.link.cursor() as cursor:
                cursor.execute("INSERT INTO scratch VALUES (6400, 'x')")
                self.link.rollback()
                cursor.execute("SELECT count(*) FROM scratch WHERE id = 6400")
                rows = cursor.fetchall()
                self.link.commit()
            return list(rows)
        finally:
            self.link.autocommit = True

    def _dictionaries(self) -> Rows:
        with self.link.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute("SELECT id, doc FROM things WHERE id < 4 ORDER BY id")
            return [(sorted(row.items()),) for row in cursor.fetchall()]

    def recover(self) -> None:
        self.link.rollback()

    def close(self) -> None:
        self.link.close()


if __name__ == "__main__":
    main(Psycopg2)
