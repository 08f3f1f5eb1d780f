"""Every mask is a value that a real PostgreSQL accepts, and the same value in text and binary."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import pq, sql

from lockgate.masking.keys import KeyRing
from lockgate.masking.rows import RowMasker
from lockgate.masking.rules import rule_for
from lockgate.model.catalog import LABELS, Catalog, Type
from lockgate.model.plan import ColumnPlan, Disposition, Plan
from lockgate.testing.engines import EmbeddedPostgres
from support.servers import MakeDatabase

_VALUES = (
    "'Ada Lovelace'::text", "'ada@corp.test'::varchar(60)", "'ada@gmail.com'::varchar(20)", "'+49 30 1234567'::varchar",
    "'ab'::char(10)", "'Ada L.'::char(40)", "'x'::varchar(3)", "'é日本'::text", "'nm'::name", "'q'::\"char\"",
    "5::int2", "(-7)::int2", "123456789::int4", "(-123456789)::int4", "7::int8", "4111111111111111::int8",
    "(-2147483648)::int4", "9223372036854775807::int8", "4111111111111111::numeric", "123.00::numeric(10,2)",
    "1.5::numeric", "'NaN'::numeric", "-5::numeric(38)", "12345678901234567890::numeric", "0::numeric",
    "1200000000::numeric", "5::numeric(3)", "4111111111110000::numeric(20,4)", "1.5::float4", "1e300::float8", "true",
    "date '1975-06-07'", "date '0044-03-15 BC'", "date 'infinity'", "timestamp '1999-12-31 23:59:59.5'",
    "timestamptz '1980-06-01 00:30:00+02'", "timestamptz '-infinity'", "timestamp '20000-01-01'", "time '12:13'",
    "timetz '12:13+05'", "interval '1 day 2h'", "'3f2504e0-4f89-41d3-9a0c-0305e82c3301'::uuid", "'\\x0102'::bytea",
    """'{"a":{"b":"x","n":5},"c":[1,"y",null,true],"key1":2}'::jsonb""", """'{"a":{"b":"x"},"a":1}'::json""",
    "'[1,2]'::jsonb", "'\"s\"'::jsonb", "'7'::json", "'null'::jsonb", "inet '10.1.2.3/8'", "inet '2001:db8::1'",
    "inet '::ffff:1.2.3.4'", "cidr '10.1.2.0/24'", "cidr '10.0.0.0/8'", "cidr '2001:db8::/32'",
    "macaddr '08:00:2b:01:02:03'", "macaddr8 '08:00:2b:ff:fe:01:02:03'", "macaddr '00:11:22:33:44:55'",
    "array['a b','c,\"\\',null,'']::text[]", "'[2:3]={x,y}'::varchar(30)[]", "array[[1,2],[3,4]]::int[]", "'{}'::int[]",
    "array[1.5,2]::float8[]", "array[123.00,5]::numeric(9,2)[]", "array['a','b']::char(5)[]",
    "array[date '1960-02-03']", "'a'::mood", "row(1,'x')::pair", "int4range(1,5)", "point '(1,2)'",
    "box '(1,2),(3,4)'", "array[box '(1,2),(3,4)']", "'a b'::tsvector", "xmlparse(content '<a>1</a>')", "B'1010'",
    "B'1010'::varbit(9)", "B'101'::bit(3)", "5::money", "5::oid", "'pg_class'::regclass", "'(1,2)'::tid",
    "'+4930123456'::phone", "array['a','b']::mood[]", "'0/1'::pg_lsn",
)  # fmt: skip
_STYLES = ("ISO, MDY", "SQL, DMY", "German", "Postgres, MDY", "Postgres, DMY")
_JSON_LABELS = ((("a", "b"), "person.email"), (("a", "n"), "none"), (("c",), "payment.card"))


_SCRIPT = """
    CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN phone AS varchar(20);
"""


@pytest.fixture
def server(postgres: EmbeddedPostgres, make_database: MakeDatabase) -> Iterator[psycopg.Connection]:
    with psycopg.connect(make_database(postgres, _SCRIPT), autocommit=True) as connection:
        yield connection


def _catalog(server: psycopg.Connection) -> Catalog:
    rows = server.execute(
        "SELECT oid, typnamespace::regnamespace::text, typname, typtype::text, CASE WHEN typtype = 'd' THEN typbasetype "
        "WHEN typcategory = 'A' THEN typelem ELSE 0 END, typcategory::text FROM pg_type"
    )
    return Catalog("d", "development", 15, 1, {}, {}, {row[0]: Type(*row) for row in rows})


def _ask(connection: psycopg.Connection, query: str, form: int, *parameter: tuple[bytes, int, int]) -> pq.abc.PGresult:
    values, oids, forms = zip(*parameter, strict=True) if parameter else ((), (), ())
    result = connection.pgconn.exec_params(query.encode(), values, oids, forms, form)
    assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message
    return result


def _masked(plan: Plan, cell: bytes, form: int, mod: int, style: str, catalog: Catalog) -> bytes | None:
    masker = RowMasker(
        plan, key_ring=KeyRing(bytes(32)), purpose="p", scope="s", epoch=1, formats=[form], type_names=catalog.types,
        type_mods=[mod], date_style=style,
    )  # fmt: skip
    shown = masker.mask(struct.pack("!hi", 1, len(cell)) + cell)
    return None if shown[2:6] == b"\xff\xff\xff\xff" else shown[6:]


@pytest.mark.parametrize("style", _STYLES)
def test_the_server_accepts_each_mask_and_text_agrees_with_binary(server: psycopg.Connection, style: str) -> None:
    server.execute(sql.SQL("SET datestyle = {}").format(style))
    catalog = _catalog(server)
    for value in _VALUES:
        _check(server, catalog, value, style)


def _check(server: psycopg.Connection, catalog: Catalog, value: str, style: str) -> None:
    answers = [_ask(server, f"SELECT {value}", form) for form in (0, 1)]
    oid, mod = answers[0].ftype(0), answers[0].fmod(0)
    named = server.execute("SELECT format_type(%s, %s)", (oid, mod)).fetchone()
    assert named is not None
    query = f"SELECT $1::{named[0]}"
    seen = set()
    for label in LABELS:
        column = ColumnPlan("c", "s.t.c", label, Disposition.MASKED, rule_for(label, oid, catalog), oid, _JSON_LABELS)
        plan = Plan((column,), masks=True, touches_labelled=True)
        text, binary = (
            _masked(plan, answers[form].get_value(0, 0) or b"", form, mod, style, catalog) for form in (0, 1)
        )
        assert (text is None) == (binary is None), (value, label)
        if text is None or binary is None or (text, binary) in seen:
            continue
        seen.add((text, binary))
        as_text = _ask(server, query, 0, (text, oid, 0)).get_value(0, 0)
        assert as_text == _ask(server, query, 0, (binary, oid, 1)).get_value(0, 0), (value, label)
        assert binary == _ask(server, query, 1, (binary, oid, 1)).get_value(0, 0), (value, label)
