"""Which of several equal values comes first tells the order in which rows were read, where equal ones look different.

Source: promise 5; an index over a masked column that covers a statement gives rows in the order of its values. `up` and `down` hold the same
but for the masked names, which run in opposite orders, so whatever differs between them tells those names.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess, served

_TABLE = """
CREATE TABLE {0}(full_name text, n int NOT NULL, k text COLLATE folded NOT NULL, c citext NOT NULL, v numeric NOT NULL, f float8 NOT NULL, d interval NOT NULL, pad text);
INSERT INTO {0} SELECT {1}, g, CASE g % 2 WHEN 0 THEN 'KEY' ELSE 'key' END || g / 2, CASE g % 2 WHEN 0 THEN 'KEY' ELSE 'key' END || g / 2,
  ('1.' || repeat('0', g))::numeric, CASE g % 2 WHEN 0 THEN '-0' ELSE '0' END::float8, CASE g % 2 WHEN 0 THEN '1 day' ELSE '24:00' END::interval, repeat('p', 900) FROM generate_series(1, 40) g;
CREATE UNIQUE INDEX ON {0}(k COLLATE "C"); CREATE UNIQUE INDEX ON {0}(c text_ops); CREATE INDEX ON {0}(full_name) INCLUDE (n, k, c, v, f, d); ANALYZE {0};
"""
SETUP = (
    "CREATE EXTENSION citext; DO $$ BEGIN CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
    ' EXCEPTION WHEN feature_not_supported THEN CREATE COLLATION folded FROM "C"; END $$;'
    + _TABLE.format("up", "'Ann ' || lpad(g::text, 4, '0')")
    + _TABLE.format("down", "'Ann ' || lpad((99 - g)::text, 4, '0')")
    + "ALTER DATABASE ties SET enable_seqscan = off; ALTER DATABASE ties SET enable_bitmapscan = off; ALTER DATABASE ties SET jit = off;"
)
_OVERFLOW = "CASE n WHEN 3 THEN interval '2000000000 days' WHEN 5 THEN interval '2000000000 days' WHEN 9 THEN interval '-2000000000 days' END"
STATEMENTS = (
    "SELECT string_agg(k, ',' ORDER BY k) FROM {} WHERE full_name IS NOT NULL", "SELECT k FROM {} WHERE full_name IS NOT NULL ORDER BY k LIMIT 5",
    "SELECT c FROM {} WHERE full_name IS NOT NULL ORDER BY c LIMIT 5", "SELECT mode() WITHIN GROUP (ORDER BY v) FROM {}", "SELECT mode() WITHIN GROUP (ORDER BY d) FROM {}",
    "SELECT percentile_disc(0.3) WITHIN GROUP (ORDER BY f) FROM {}", "SELECT percentile_cont(0) WITHIN GROUP (ORDER BY f) FROM {}",
    "SELECT range_agg(numrange(v, 9)) FROM {}", "SELECT range_intersect_agg(numrange(v, 9)) FROM {}",
    f"SELECT sum({_OVERFLOW}) FROM {{}}", f"SELECT avg({_OVERFLOW}) FROM {{}}",
)  # fmt: skip


@pytest.fixture(scope="module")
def gate(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    clear = [f"{table}.{column}" for table in ("up", "down") for column in ("k", "c")]
    with served(postgres, "ties", SETUP, tmp_path_factory.mktemp("ties"), clear=clear) as running:
        yield running


def _answer(connection: psycopg.Connection, text: str) -> object:
    """What the server writes: values that are equal may look different."""
    try:
        found = connection.execute(text.encode()).pgresult
    except psycopg.Error as error:
        return error.sqlstate
    return found and [[found.get_value(row, column) for column in range(found.nfields)] for row in range(found.ntuples)]


def test_ties_between_values_that_look_different_tell_nothing(gate: GateProcess, postgres: EmbeddedPostgres) -> None:
    with (
        psycopg.connect(gate.dsn("bot", "ties"), autocommit=True) as masked,
        psycopg.connect(postgres.dsn("ties"), autocommit=True) as owner,
    ):
        told = []
        for text in STATEMENTS:
            up, down = (_answer(masked, text.format(table)) for table in ("up", "down"))
            assert up == down, text
            told += [text] if _answer(owner, text.format("up")) != _answer(owner, text.format("down")) else []
        assert len(told) >= len(STATEMENTS) - 3, (
            "without the gate they do tell, but for the collation where it cannot be had"
        )


def test_a_row_that_is_not_the_only_one_of_its_key_has_a_number_of_its_own(gate: GateProcess) -> None:
    with psycopg.connect(gate.dsn("bot", "ties"), autocommit=True) as masked:
        found = masked.execute("SELECT count(*), count(DISTINCT upper(full_name)) FROM up WHERE k = 'key3'").fetchone()
    assert found is not None
    assert found[0] == found[1]
