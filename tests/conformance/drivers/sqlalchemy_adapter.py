"""SQLAlchemy: reflection, core and ORM over psycopg, psycopg2 and (async) asyncpg."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from conformance.drivers.program import Adapter, Rows, Target, main


class Base(DeclarativeBase):
    """Declared tables."""


class Scratch(Base):
    """The table that may be written."""

    __tablename__ = "scratch"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


class SqlAlchemy(Adapter):
    """SQLAlchemy with three drivers below."""

    placeholder = ":p#"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.engine = sa.create_engine(target.url("postgresql+psycopg"))
        self.second = sa.create_engine(target.url("postgresql+psycopg2"))

    def rows(self, sql: str, params: Sequence[Any]) -> Rows:
        with self.engine.connect() as link:
            result = link.execute(sa.text(sql.replace("::", r"\:\:")), {f"p{n}": v for n, v in enumerate(params, 1)})
            rows: Rows = [tuple(row) for row in result] if result.returns_rows else [(result.rowcount,)]
            link.commit()
            return rows

    def specials(self) -> Mapping[str, Callable[[], Rows]]:
        return {
            "reflection": lambda: self._reflect(self.engine),
            "reflection with psycopg2": lambda: self._reflect(self.second),
            "orm": self._orm,
            "async": lambda: asyncio.run(self._async("SELECT id, name FROM things ORDER BY id")),
            "streamed": self._streamed,
            "masked core": self._masked_core,
            "masked async": lambda: asyncio.run(self._async("SELECT id, email, dob FROM people ORDER BY id")),
        }

    def _reflect(self, engine: sa.Engine) -> Rows:
        metadata = sa.MetaData()
        metadata.reflect(engine, views=True)
        inspector = sa.inspect(engine)
        rows: list[Any] = []
        for name in sorted(metadata.tables):
            rows += [(name, c.name, str(c.type), c.nullable) for c in metadata.tables[name].columns]
            rows += [(name, str(i["column_names"]), i["unique"]) for i in inspector.get_indexes(name)]
            rows += [
                (
                    name,
                    str(inspector.get_foreign_keys(name)),
                    str(inspector.get_pk_constraint(name)["constrained_columns"]),
                )
            ]
        return rows

    def _orm(self) -> Rows:
        with Session(self.engine) as session:
            session.add_all([Scratch(id=n, name=f"orm {n}") for n in range(4000, 4010)])
            session.commit()
            found = session.scalars(sa.select(Scratch).where(Scratch.id >= 4000).order_by(Scratch.id)).all()
            rows = [(one.id, one.name) for one in found]
            for one in found:
                session.delete(one)
            session.commit()
        return rows

    async def _async(self, sql: str) -> Rows:
        target = self.target
        engine = create_async_engine(target.url("postgresql+asyncpg", ssl=False) + f"?ssl={target.sslmode}")
        async with engine.connect() as link:
            rows = [tuple(row) for row in (await link.execute(sa.text(sql))).all()]
        await engine.dispose()
        return rows

    def _streamed(self) -> Rows:
        with self.engine.connect() as link:
            result = link.execution_options(stream_results=True, yield_per=17).execute(
                sa.text("SELECT id FROM things ORDER BY id")
            )
            return [tuple(row) for row in result]

    def _masked_core(self) -> Rows:
        people = sa.Table("people", sa.MetaData(), autoload_with=self.engine)
        with self.engine.connect() as link:
            asked = sa.select(people.c.id, people.c.email, people.c.ssn).where(people.c.id < 9).order_by(people.c.id)
            return [tuple(row) for row in link.execute(asked)]

    def close(self) -> None:
        self.engine.dispose()
        self.second.dispose()


if __name__ == "__main__":
    main(SqlAlchemy)
