"""Data frames: pandas over SQLAlchemy, polars and connectorx (binary, CSV and cursor protocols), ADBC (binary COPY)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import connectorx
import pandas as pd
import polars as pl
import sqlalchemy as sa

from conformance.drivers.program import Adapter, Rows, Target, main

PLAIN = "SELECT id, name, flag, ratio, big, made FROM things ORDER BY id"
MASKED = "SELECT id, email, ssn, city, height FROM people ORDER BY id"


class Pandas(Adapter):
    """pandas: read_sql with parameters and in chunks, to_sql into a table."""

    placeholder = ":p#"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.engine = sa.create_engine(target.url("postgresql+psycopg"))

    def rows(self, sql: str, params: Sequence[Any]) -> Rows:
        values = {f"p{n}": v for n, v in enumerate(params, 1)}
        with self.engine.connect() as link:
            return _rows(pd.read_sql(sa.text(sql.replace("::", r"\:\:")), link, params=values))

    def specials(self) -> Mapping[str, Callable[[], Rows]]:
        return {
            "chunks": self._chunks,
            "to_sql": self._to_sql,
            "read_sql_table": self._table,
            "masked read_sql_table": self._masked_table,
        }

    def _chunks(self) -> Rows:
        with self.engine.connect().execution_options(stream_results=True) as link:
            return [row for part in pd.read_sql(sa.text(PLAIN), link, chunksize=37) for row in _rows(part)]

    def _to_sql(self) -> Rows:
        frame = pd.DataFrame({"id": range(2000, 2100), "name": [f"pd {n}" for n in range(100)]})
        written = frame.to_sql("scratch", self.engine, if_exists="append", index=False, method="multi")
        with self.engine.begin() as link:
            gone = link.execute(sa.text("DELETE FROM scratch WHERE id >= 2000")).rowcount
        return [(written, gone)]

    def _table(self) -> Rows:
        return _rows(pd.read_sql_table("things", self.engine, columns=["id", "made", "weight"]).sort_values("id"))

    def _masked_table(self) -> Rows:
        return _rows(pd.read_sql_table("people", self.engine, columns=["id", "email", "phone"]).sort_values("id"))

    def close(self) -> None:
        self.engine.dispose()


class Polars(Adapter):
    """polars over connectorx, and connectorx itself with each of its protocols."""

    def rows(self, sql: str, params: Sequence[Any]) -> Rows:
        if params:
            raise NotImplementedError("connectorx has no parameters")
        return list(pl.read_database_uri(sql, self.target.url()).rows())

    def specials(self) -> Mapping[str, Callable[[], Rows]]:
        found: dict[str, Callable[[], Rows]] = {}
        for protocol in ("binary", "csv", "cursor"):
            for name, sql in (("", PLAIN), ("masked ", MASKED)):
                found[f"{name}{protocol}"] = lambda p=protocol, s=sql: self._read(s, p)  # type: ignore[misc]
        found["partitioned"] = self._partitioned
        return found

    def _read(self, sql: str, protocol: str) -> Rows:
        return _rows(connectorx.read_sql(self.target.url(), sql, protocol=protocol))

    def _partitioned(self) -> Rows:
        frame = connectorx.read_sql(
            self.target.url(), "SELECT id, name FROM things", partition_on="id", partition_num=3
        )
        return _rows(frame.sort_values("id"))


class Adbc(Adapter):
    """ADBC: results as Arrow through COPY in binary format; bulk ingestion."""

    placeholder = "$#"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.link = adbc.connect(target.url(), autocommit=True)

    def rows(self, sql: str, params: Sequence[Any]) -> Rows:
        with self.link.cursor() as cursor:
            cursor.execute(sql, list(params) or None)
            return [tuple(row.values()) for row in cursor.fetch_arrow_table().to_pylist()]

    def specials(self) -> Mapping[str, Callable[[], Rows]]:
        return {
            "ingest": self._ingest,
            "without copy": lambda: self._plain(PLAIN),
            "masked without copy": lambda: self._plain(MASKED),
        }

    def _plain(self, sql: str) -> Rows:
        with self.link.cursor(adbc_stmt_kwargs={"adbc.postgresql.use_copy": "false"}) as cursor:
            cursor.execute(sql)
            return [tuple(row.values()) for row in cursor.fetch_arrow_table().to_pylist()]

    def _ingest(self) -> Rows:
        import pyarrow as pa

        table = pa.table({"id": pa.array(range(1500, 1600), pa.int32()), "name": [f"a {n}" for n in range(100)]})
        with self.link.cursor() as cursor:
            written = cursor.adbc_ingest("scratch", table, mode="append")
            cursor.execute("DELETE FROM scratch WHERE id >= 1500 AND id < 1600")
        return [(written,)]

    def close(self) -> None:
        self.link.close()


def _rows(frame: Any) -> Rows:
    return [tuple(None if pd.isna(v) is True else v for v in row) for row in frame.itertuples(index=False)]


if __name__ == "__main__":
    main({"pandas": Pandas, "polars": Polars, "adbc": Adbc}[sys.argv[1]])
