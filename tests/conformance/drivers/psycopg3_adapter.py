"""psycopg 3: text and binary, prepared, pipeline, COPY both ways and formats, server cursors, transactions, notifications."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg

from conformance.drivers.program import Adapter, Rows, Target, main


class Psycopg3(Adapter):
    """psycopg 3 on libpq."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.link = psycopg.connect(target.dsn, autocommit=True)

    def rows(self, sql: str, params: Sequence[Any]) -> Rows:
        cursor = self.link.execute(sql.encode(), params or None)
        return cursor.fetchall() if cursor.description else [(cursor.statusmessage,)]

    def specials(self) -> Mapping[str, Callable[[], Rows]]:
        return {
            "binary": lambda: self._binary("SELECT * FROM things ORDER BY id LIMIT 30"),
            "prepared": self._prepared,
            "pipeline": self._pipeline,
            "pipeline with an error": self._broken_pipeline,
            "server cursor": lambda: self._served("SELECT id, name FROM things ORDER BY id"),
            "copy out text": lambda: self._copy_out("COPY (SELECT id, name, tags FROM things ORDER BY id) TO STDOUT"),
            "copy out csv": lambda: self._copy_out("COPY things TO STDOUT (FORMAT csv, HEADER)"),
            "copy out binary": lambda: self._copy_out("COPY things (id, weight) TO STDOUT (FORMAT binary)"),
            "copy in": self._copy_in,
            "copy in failed": self._copy_in_failed,
            "transaction": self._transaction,
            "savepoint": self._savepoint,
            "executemany returning": self._many,
            "masked binary": lambda: self._binary("SELECT id, email, ssn, dob, phone, ip FROM people ORDER BY id"),
            "masked server cursor": lambda: self._served("SELECT id, email, dob FROM people"),
            "masked pipeline": self._masked_pipeline,
        }

    def _binary(self, sql: str) -> Rows:
        return self.link.execute(sql.encode(), binary=True).fetchall()

    def _prepared(self) -> Rows:
        sql = "SELECT id, name FROM things WHERE id = %s"
        return [row for n in range(8) for row in self.link.execute(sql, (n,), prepare=True).fetchall()]

    def _pipeline(self) -> Rows:
        with self.link.pipeline():
            cursors = [self.link.execute("SELECT id, weight FROM things WHERE id = %s", (n,)) for n in range(1, 40)]
        return [row for cursor in cursors for row in cursor.fetchall()]

    def _broken_pipeline(self) -> Rows:
        found = []
        try:
            with self.link.pipeline() as pipe:
                self.link.execute("SELECT 1")
                self.link.execute("SELECT 1/0")
                self.link.execute("SELECT 2")
                pipe.sync()
        except psycopg.Error as error:
            found.append((error.sqlstate,))
        return [*found, *self.link.execute("SELECT 3").fetchall()]

    def _masked_pipeline(self) -> Rows:
        with self.link.pipeline():
            cursors = [self.link.execute("SELECT id, email FROM people WHERE id = %s", (n,)) for n in range(1, 20)]
        return [row for cursor in cursors for row in cursor.fetchall()]

    def _served(self, sql: str) -> Rows:
        with self.link.transaction(), self.link.cursor(name="served") as cursor:
            cursor.execute(sql.encode())
            rows = cursor.fetchmany(7)
            while more := cursor.fetchmany(50):
                rows += more
        return rows

    def _copy_out(self, sql: str) -> Rows:
        with self.link.cursor().copy(sql.encode()) as copy:
            return [(b"".join(bytes(part) for part in copy),)]

    def _copy_in(self) -> Rows:
        rows: list[Any] = []
        for form in ("", " (FORMAT binary)"):
            with self.link.cursor().copy(f"COPY scratch (id, name) FROM STDIN{form}".encode()) as copy:
                copy.set_types(("int4", "text"))
                for n in range(100):
                    copy.write_row((5000 + n, f"copied {n}"))
            rows += self.link.execute("SELECT count(*), min(name) FROM scratch WHERE id >= 5000").fetchall()
            self.link.execute("DELETE FROM scratch WHERE id >= 5000")
        return rows

    def _copy_in_failed(self) -> Rows:
        found = []
        for data in ("not a number\tx\n", None):
            try:
                with self.link.cursor().copy("COPY scratch (id, name) FROM STDIN") as copy:
                    copy.write("1\tone\n" if data is None else data)
                    if data is None:
                        raise ZeroDivisionError
            except psycopg.Error as error:
                found.append((error.sqlstate,))
            except ZeroDivisionError:
                found.append(("stopped by the client",))
        return [*found, *self.link.execute("SELECT count(*) FROM scratch WHERE id = 1").fetchall()]

    def _transaction(self) -> Rows:
        with self.link.transaction(force_rollback=True):
            self.link.execute("INSERT INTO scratch VALUES (7000, 'x')")
            inside = self.link.execute("SELECT count(*) FROM scratch WHERE id = 7000").fetchall()
        return inside + self.link.execute("SELECT count(*) FROM scratch WHERE id = 7000").fetchall()

    def _savepoint(self) -> Rows:
        found: list[Any] = []
        with self.link.transaction(force_rollback=True):
            self.link.execute("INSERT INTO scratch VALUES (7001, 'x')")
            try:
                with self.link.transaction():
                    self.link.execute("INSERT INTO scratch VALUES ('no number', 'x')")
            except psycopg.Error as error:
                found.append((error.sqlstate,))
            found += self.link.execute("SELECT count(*) FROM scratch WHERE id = 7001").fetchall()
        return found

    def _many(self) -> Rows:
        cursor = self.link.cursor()
        cursor.executemany(
            "INSERT INTO scratch VALUES (%s, %s) RETURNING id, name",
            [(n, f"many {n}") for n in range(8000, 8050)],
            returning=True,
        )
        rows = []
        while True:
            rows += cursor.fetchall()
            if not cursor.nextset():
                break
        self.link.execute("DELETE FROM scratch WHERE id >= 8000")
        return rows

    def recover(self) -> None:
        if self.link.closed:
            self.link = psycopg.connect(self.target.dsn, autocommit=True)
        elif self.link.info.transaction_status:
            self.link.rollback()

    def close(self) -> None:
        self.link.close()


if __name__ == "__main__":
    main(Psycopg3)
