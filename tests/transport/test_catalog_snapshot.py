"""The catalogue is read whole once and then only as far as users made it; the snapshot is the same either way."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest

from lockgate.model.catalog import Catalog
from lockgate.testing.engines import EmbeddedPostgres
from lockgate.transport.catalog_queries import RawCatalog, build_catalog, fingerprint, read_catalog
from lockgate.transport.pgclient import PgClient, Target
from support.servers import MakeDatabase

pytestmark = pytest.mark.timeout(120)
FIRST = (
    "CREATE TABLE a(id int PRIMARY KEY, email text); CREATE TYPE mood AS ENUM ('x'); CREATE VIEW v AS SELECT id FROM a"
)
SECOND = "ALTER TABLE a ADD COLUMN b text; CREATE TABLE c(x mood); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP VIEW v"
OWN = "ALTER FUNCTION pg_catalog.lower(text) COST 3"
"""What only a superuser does: it changes something that the server brings itself."""


def built(raw: RawCatalog, before: Catalog | None) -> Catalog:
    return build_catalog(
        raw, database="d", environment="development", server_version=15, generation=1, labels=lambda s, t, c: ("none", "name", 1.0, ()),
        default_label="unknown", server_settings={}, before=before,
    )  # fmt: skip


def uncounted(catalog: Catalog) -> Catalog:
    """The snapshot without its estimates of rows: the server counts its own tables again when it likes, between two readings too."""
    return replace(catalog, relations={oid: replace(r, estimated_rows=0.0) for oid, r in catalog.relations.items()})


def test_a_snapshot_of_what_users_made_is_the_whole_one(
    postgres: EmbeddedPostgres, make_database: MakeDatabase
) -> None:
    dsn = make_database(postgres, FIRST)
    name = dsn.rsplit("/", 1)[1]

    async def main() -> None:
        client = await PgClient.open(Target("127.0.0.1", postgres.port, name, "postgres", postgres.password), {})
        first = await read_catalog(client)
        assert not first.users_only
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute(SECOND.encode())
        own = first.fingerprint.partition(":")[0]
        part, whole = await read_catalog(client, known=own), await read_catalog(client)
        assert part.users_only
        assert part.fingerprint == whole.fingerprint != first.fingerprint
        assert len(part.functions) < 5 < len(whole.functions)
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute(b"ANALYZE pg_catalog.pg_class")
        whole = await read_catalog(client)
        assert uncounted(built(part, built(first, None))) == uncounted(built(whole, None))
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute(OWN.encode())
        assert (await fingerprint(client))[0] != own
        assert not (await read_catalog(client, known=own)).users_only
        client.close()

    asyncio.run(main())
