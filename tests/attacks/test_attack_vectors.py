"""Embeddings: neighbours are found and ranked as ever, the vectors themselves stay withheld.

Source: masking.md section 3; docs/reference/labels.md (`derived.embedding`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE EXTENSION vector;
CREATE TABLE notes(id int PRIMARY KEY, email text, embedding vector(3), half halfvec(3));
INSERT INTO notes SELECT g, 'canary' || g, ARRAY[g % 7, g % 5, g % 3]::real[]::vector, ARRAY[g % 7, g % 5, g % 3]::real[]::halfvec
  FROM generate_series(1, 40) g;
CREATE INDEX ON notes USING hnsw (embedding vector_l2_ops);
CREATE SCHEMA mine;
CREATE FUNCTION mine.l2_distance(vector, vector) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT 1.5::float8';
GRANT USAGE ON SCHEMA mine TO public
"""
Bot = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def dsn(pg18: EmbeddedPostgres) -> Iterator[str]:
    yield create_database(pg18, "attack_vectors", SCRIPT)
    drop_database(pg18, "attack_vectors")


@pytest.fixture(scope="module")
def bot(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    gate = GateProcess(tmp_path_factory.mktemp("vectors") / "gate", {"shop": (dsn, "production")}).init()
    gate.start()
    with gate.connect("bot", "shop") as connection:
        yield connection
    gate.stop()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM notes ORDER BY embedding <-> '[1,2,3]', id LIMIT 5",
        "SELECT id, 1 - (embedding <=> '[1,2,3]') FROM notes WHERE id < 20 ORDER BY embedding <=> '[1,2,3]', id LIMIT 5",
        "SELECT count(*) FROM notes WHERE l2_distance(embedding, '[1,2,3]'::vector) < 2",
        "SELECT a.id, b.id FROM notes a JOIN notes b ON a.embedding <#> b.embedding < -9 AND a.id < b.id ORDER BY 1, 2",
        "SELECT id FROM notes WHERE half <-> '[1,2,3]' < 2 ORDER BY id",
        "SELECT avg(embedding <-> '[0,0,1]')::numeric(9,3) FROM notes",
    ],
)
def test_neighbours_are_found_as_on_the_database(bot: Bot, dsn: str, text: str) -> None:
    with psycopg.connect(dsn) as direct:
        assert bot.execute(text.encode()).fetchall() == direct.execute(text.encode()).fetchall()


def test_vectors_themselves_are_withheld(bot: Bot) -> None:
    assert bot.execute("SELECT embedding, half FROM notes WHERE id = 5").fetchall() == [("[0,0,0]", "[0,0,0]")]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT embedding::text FROM notes",
        "SELECT embedding::real[] FROM notes",
        "SELECT embedding + '[1,1,1]' FROM notes",
        "SELECT vector_norm(embedding) FROM notes",
        "SELECT avg(embedding) FROM notes",
        "SELECT id FROM notes ORDER BY embedding",
        "SELECT id FROM notes WHERE embedding = '[0,0,1]'",
        "SELECT (embedding + '[1,1,1]') <-> '[1,2,3]' FROM notes",
        "SELECT mine.l2_distance(embedding, '[1,2,3]') FROM notes",
        "SELECT l2_distance(email::vector, '[1,2,3]') FROM notes",
    ],
)
def test_whatever_else_is_computed_from_them_says_nothing_of_them(bot: Bot, text: str) -> None:
    """Refused, or computed over stand-ins, which are the same in every row."""
    refused, rows = "", list[tuple[Any, ...]]()
    try:
        rows = bot.execute(text.encode()).fetchall()
    except psycopg.Error as error:
        refused = error.sqlstate or ""
    assert refused in ("0A000", "42501") or len(set(map(str, rows))) == 1
