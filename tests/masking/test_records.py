"""Whole rows as values: read as a real server writes them, masked field by field."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import pq

from lockgate.errors import BackendProtocolError
from lockgate.masking.records import mask_binary, mask_text
from lockgate.testing.engines import EmbeddedPostgres
from support.servers import MakeDatabase

ODD = ("", "plain", "a,b", "(x)", 'say "hi"', "back\\slash", " blank ", "new\nline", "é日本", "NULL", "{1}", "\\", '"')
SCRIPT = "CREATE TABLE odd(a text, n int, b text, c text[]); ALTER TABLE odd DROP COLUMN n; ALTER TABLE odd ADD m int"


@pytest.fixture
def server(postgres: EmbeddedPostgres, make_database: MakeDatabase) -> Iterator[psycopg.Connection]:
    with psycopg.connect(make_database(postgres, SCRIPT), autocommit=True) as connection:
        yield connection


def ask(connection: psycopg.Connection, form: int, query: str, *values: bytes | None) -> bytes:
    result = connection.pgconn.exec_params(query.encode(), values, result_format=form)
    assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message
    return result.get_value(0, 0) or b""


def test_a_row_comes_out_as_it_went_in_but_for_its_masked_field(server: psycopg.Connection) -> None:
    query = "SELECT r FROM (SELECT ROW($1::text, $2::text, ARRAY[$1::text, NULL], 5)::odd AS r) x"
    for one in (*ODD, None):
        for other in ODD:
            values = tuple(None if v is None else v.encode() for v in (one, other))
            text, binary = (ask(server, form, query, *values) for form in (0, 1))
            assert mask_text(text, [None] * 4) == text
            assert mask_binary(binary, [None] * 4, [25, 25, 1009, 23]) == binary
            changed = b"m" + other.encode()
            masks = [None, lambda raw: b"m" + raw, None, None]
            assert mask_text(text, masks) == ask(server, 0, query, values[0], changed)
            assert mask_binary(binary, masks, [25, 25, 1009, 23]) == ask(server, 1, query, values[0], changed)


def test_a_mask_may_make_a_field_null() -> None:
    assert mask_text(b'("a b",x)', [lambda _raw: None, None]) == b"(,x)"
    binary = b"\0\0\0\1\0\0\0\x19\0\0\0\1x"
    assert mask_binary(binary, [lambda _raw: None], [25]) == b"\0\0\0\1\0\0\0\x19\xff\xff\xff\xff"


@pytest.mark.parametrize("raw", [b"", b"(", b"(a", b"(a)", b"(a,b,c)", b"(a,b)x", b'("a,b)', b"a,b)", b"(a,b\\"])
def test_a_value_of_another_shape_is_an_error(raw: bytes) -> None:
    with pytest.raises(BackendProtocolError):
        mask_text(raw, [None, None])


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0\0\0\2", b"\0\0\0\1\0\0\0\x17\0\0\0\1x", b"\0\0\0\1\0\0\0\x19\0\0\0\2x", b"\0\0\0\1\0\0\0\x19\0\0\0\1x!"],
)
def test_a_binary_value_of_another_shape_is_an_error(raw: bytes) -> None:
    with pytest.raises(BackendProtocolError):
        mask_binary(raw, [None], [25])
