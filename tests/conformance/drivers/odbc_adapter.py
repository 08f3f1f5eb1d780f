"""ODBC: unixODBC, the psqlODBC driver and pyodbc; its catalogue functions are queries of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyodbc

from conformance.drivers.program import Adapter, Rows, Target, main


class Odbc(Adapter):
    """psqlODBC (Unicode); parameters are sent by the protocol, catalogue functions included."""

    placeholder = "?"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.link = self._connect("")

    def _connect(self, more: str) -> pyodbc.Connection:
        t = self.target
        text = f"DRIVER={{PostgreSQL Unicode}};SERVER={t.host};PORT={t.port};DATABASE={t.dbname};UID={t.user};PWD={{{t.password}}};SSLMODE={t.sslmode};"
        return pyodbc.connect(text + more, autocommit=True)

    def rows(self, sql: str, params: Sequence[Any]) -> Rows:
        cursor = self.link.cursor()
        cursor.execute(sql, *params)
        rows: Rows = [tuple(row) for row in cursor.fetchall()] if cursor.description else [(cursor.rowcount,)]
        cursor.close()
        return rows

    def specials(self) -> Mapping[str, Callable[[], Rows]]:
        return {
            "tables": lambda: [tuple(r)[2:4] for r in self.link.cursor().tables(schema="public")],
            "columns": lambda: [tuple(r)[2:7] for r in self.link.cursor().columns(table="people")],
            "primary keys": lambda: [tuple(r)[2:5] for r in self.link.cursor().primaryKeys(table="things")],
            "statistics": lambda: [tuple(r)[3:9] for r in self.link.cursor().statistics(table="people")],
            "type information": lambda: [tuple(r)[:2] for r in self.link.cursor().getTypeInfo()],
            "declare and fetch": self._fetch,
            "transaction": self._transaction,
            "masked declare and fetch": self._masked_fetch,
        }

    def _fetch(self) -> Rows:
        with self._connect("UseDeclareFetch=1;Fetch=13;") as link:
            return [tuple(r) for r in link.execute("SELECT id, name FROM things ORDER BY id").fetchall()]

    def _masked_fetch(self) -> Rows:
        with self._connect("UseDeclareFetch=1;Fetch=13;") as link:
            return [tuple(r) for r in link.execute("SELECT id, email, ssn FROM people").fetchall()]

    def _transaction(self) -> Rows:
        self.link.autocommit = False
        try:
            self.link.execute("INSERT INTO scratch VALUES (1700, 'x')")
            self.link.rollback()
            rows = [tuple(r) for r in self.link.execute("SELECT count(*) FROM scratch WHERE id = 1700").fetchall()]
            self.link.commit()
        finally:
            self.link.autocommit = True
        return rows

    def recover(self) -> None:
        self.link.rollback()

    def close(self) -> None:
        self.link.close()


if __name__ == "__main__":
    main(Odbc)
