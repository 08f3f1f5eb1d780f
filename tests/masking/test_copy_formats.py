"""COPY data are cut into rows and written again byte for byte, however they arrive, for whatever a real server writes."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence

import psycopg
import pytest

from lockgate.errors import BackendProtocolError, RefusedStatementError
from lockgate.masking.copy_formats import SIGNATURE, CopyCodec, CopyShape, copy_shape
from lockgate.sql.parse import split_and_parse
from lockgate.testing.engines import EmbeddedPostgres
from support.servers import MakeDatabase

ODD = (
    "", "plain", "\\N", "\\.", "\\", "a\\b", "tab\there", "new\nline", "return\rhere", 'quote"d', "''", ",", ";", "|x", "é日本",
    "\x01\x08\x0b\x0c", "NULL", "null", " spaced ", "a\\tb", "\\\\N", "x\n\\.\ny", "-", "^", "]", "~", '{1,"2",NULL}',
)  # fmt: skip
OPTIONS = (
    "", "DELIMITER '|'", "DELIMITER '-'", "DELIMITER ']'", "DELIMITER '^'", "HEADER", "FORMAT csv", "FORMAT csv, HEADER",
    "FORMAT csv, DELIMITER ';', NULL 'NULL'", "FORMAT csv, QUOTE '~', ESCAPE '\\'", "FORMAT csv, ESCAPE '\\'",
    "FORMAT csv, FORCE_QUOTE *", "FORMAT csv, FORCE_QUOTE (b, c)", "FORMAT csv, NULL ' '", "FORMAT csv, QUOTE '''', DELIMITER E'\\t'",
    "FORMAT binary", "FORMAT csv, ENCODING 'UTF8'", "FORMAT text, DELIMITER E'\\x01'", "FORMAT csv, ESCAPE '^', QUOTE '^'",
)  # fmt: skip
SCRIPT = "CREATE TABLE odd(a int, b text, c text, d text[])"


@pytest.fixture(params=(15, 18))
def connection(request: pytest.FixtureRequest, make_database: MakeDatabase) -> Iterator[psycopg.Connection]:
    server: EmbeddedPostgres = request.getfixturevalue(f"pg{request.param}")
    with psycopg.connect(make_database(server, SCRIPT), autocommit=True) as opened:
        with opened.cursor() as cursor:
            shuffled = random.Random(7).sample(ODD, len(ODD))
            rows = [(n, one, two, [one, None, two]) for n, (one, two) in enumerate(zip(ODD, shuffled, strict=True))]
            cursor.executemany(
                "INSERT INTO odd VALUES (%s, %s, %s, %s)", [*rows, (99, None, "", None), (98, "", None, [])]
            )
        yield opened


def shape_of(statement: str, columns: Sequence[str]) -> CopyShape:
    (parsed,) = split_and_parse(statement)
    return copy_shape(dict(parsed.options), columns)


def stream(connection: psycopg.Connection, statement: str) -> list[bytes]:
    with connection.cursor().copy(statement.encode()) as copy:
        return [bytes(piece) for piece in copy]


def rows_of(shape: CopyShape, columns: int, pieces: Sequence[bytes]) -> tuple[list[list[bytes | None]], bytes]:
    """Rows, and everything written again."""
    codec, rows, written = CopyCodec(shape, columns), [], []
    for piece in pieces:
        for is_row, body in codec.feed(piece):
            written.append(codec.encode(body) if is_row else body)
            if is_row:
                rows.append(cells(body))
    codec.finish()
    return rows, b"".join(written)


def cells(body: bytes) -> list[bytes | None]:
    found, position = [], 2
    for _ in range(int.from_bytes(body[:2], "big")):
        (size,) = struct.unpack_from("!i", body, position)
        position += 4
        found.append(None if size == -1 else body[position : position + size])
        position += max(size, 0)
    assert position == len(body)
    return found


@pytest.mark.parametrize("columns", [("a", "b", "c", "d"), ("b",), ("c", "a")])
def test_whatever_a_server_writes_is_read_and_written_again(
    connection: psycopg.Connection, columns: tuple[str, ...]
) -> None:
    expected = connection.execute(
        f"SELECT {', '.join(c + '::text' for c in columns)} FROM odd ORDER BY odd.a".encode()
    ).fetchall()
    texts = [[None if cell is None else cell.encode() for cell in row] for row in expected]
    for options in OPTIONS:
        if ("HEADER" in options and "csv" not in options and connection.info.server_version < 150000) or (
            "FORCE_QUOTE (" in options and "b" not in columns
        ):
            continue
        listed = options.replace("(b, c)", "(b)") if "c" not in columns else options
        query = f"COPY (SELECT {', '.join(columns)} FROM odd ORDER BY a) TO STDOUT" + (f" ({listed})" if listed else "")
        pieces = stream(connection, query)
        shape = shape_of(query, columns)
        rows, written = rows_of(shape, len(columns), pieces)
        assert written == b"".join(pieces), query
        if not shape.binary:
            assert rows == texts, query
        assert len(rows) == len(expected), query
        whole = b"".join(pieces)
        for size in (1, 7, len(whole)):
            cut = [whole[at : at + size] for at in range(0, len(whole), size)]
            assert rows_of(shape, len(columns), cut) == (rows, written), (query, size)


@pytest.mark.parametrize(
    "statement",
    ["COPY t TO STDOUT CSV HEADER QUOTE '~' FORCE QUOTE b", "COPY t TO STDOUT WITH DELIMITER '|'", "COPY BINARY t TO STDOUT",
     "COPY t TO STDOUT WITH CSV NULL 'x' ESCAPE '\\'"],
)  # fmt: skip
def test_the_old_spelling_of_options_means_the_same(statement: str) -> None:
    shape = shape_of(statement, ("a", "b"))
    assert shape.format == ("binary" if "BINARY" in statement else "csv" if "CSV" in statement else "text")
    if "QUOTE" in statement:
        assert shape == CopyShape("csv", b",", b"", header=True, quote=b"~", escape=b"~", forced=frozenset({1}))


@pytest.mark.parametrize(
    ("options", "reason"),
    [("NULL ''", "copy-null"), ("NULL 'guess'", "copy-null"), ("ENCODING 'LATIN1'", "copy-option"), ("FORMAT parquet", "copy-option"),
     ("FREEZE", "copy-option"), ("FORMAT csv, QUOTE '€'", "copy-option"), ("ON_ERROR ignore", "copy-option")],
)  # fmt: skip
def test_what_could_hide_a_value_or_is_not_known_is_refused(options: str, reason: str) -> None:
    with pytest.raises(RefusedStatementError) as caught:
        shape_of(f"COPY t TO STDOUT ({options})", ("a",))
    assert caught.value.reason == reason


HEADER = SIGNATURE + bytes(8)


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        (CopyShape("binary"), b"PGCOPY\n\xff\r\n\1" + bytes(8)),
        (CopyShape("binary"), SIGNATURE + b"\0\1\0\0" + bytes(4)),
        (CopyShape("binary"), HEADER + b"\0\2\0\0\0\1a\0\0\0\1b" + b"\xff\xff"),
        (CopyShape("binary"), HEADER + b"\0\1\xff\xff\xff\xfe"),
        (CopyShape("binary"), HEADER + b"\xff\xff\0"),
        (CopyShape("binary"), HEADER + b"\0\1\0\0\0\2a"),
        (CopyShape("binary"), HEADER),
        (CopyShape(), b"a\tb\n"),
        (CopyShape(), b"a"),
        (CopyShape("csv", b",", b""), b'"a"b\n'),
        (CopyShape("csv", b",", b""), b'a"b\n'),
        (CopyShape("csv", b",", b""), b'"a\n'),
    ],
)
def test_what_is_no_such_data_is_an_error(shape: CopyShape, data: bytes) -> None:
    with pytest.raises(BackendProtocolError):
        rows_of(shape, 1, [data])


def test_a_binary_header_with_an_extension_passes_whole() -> None:
    header = SIGNATURE + bytes(4) + b"\0\0\0\3abc"
    data = header + b"\0\1\0\0\0\1x" + b"\xff\xff"
    rows, written = rows_of(CopyShape("binary"), 1, [data[:13], data[13:26], data[26:]])
    assert (rows, written) == ([[b"x"]], data)
