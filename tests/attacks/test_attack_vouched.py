"""A function is seen into on an administrator's word for exactly the definition that was read, and what it makes of a masked value stays masked.

Source: promise 5; masking.md 2.3 (opaque: refuse, with the name of the function that an administrator may allow after review).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SLUG = "CREATE OR REPLACE FUNCTION slug(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN {}; END $$"
SCRIPT = f"""
CREATE TABLE people(id int PRIMARY KEY, email text, city text);
INSERT INTO people SELECT i, 'canary' || i || '@real.example', 'Ulm ' || i FROM generate_series(1, 5) i;
{SLUG.format("replace(lower(t), ' ', '-')")};
CREATE FUNCTION peek(t text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT min(email) FROM people); END $$
"""
POLICY = """
@id("bots-execute") permit (principal is Agent, action == Action::"execute", resource);
@id("own") @row_filter("city = 'Ulm 1'") permit (principal == Agent::"kim", action == Action::"read", resource == Table::"public.people");
@id("kim-executes") permit (principal == Agent::"kim", action == Action::"execute", resource);
"""
KIM = '\n[[principal]]\nname = "kim"\nkind = "agent"\nowner = "ann"\n'


@pytest.fixture(scope="module")
def gate(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(pg15, "attack_vouched", SCRIPT)
    folder = tmp_path_factory.mktemp("vouched") / "gate"
    running = GateProcess(folder, {"dev": (dsn, "development")}, policies={"60-bots.cedar": POLICY}).init()
    principals = folder / "principals.toml"
    principals.write_text(principals.read_text() + KIM)
    config = running.config.read_text()
    running.config.write_text(config.replace('name = "dev"\n', 'name = "dev"\nvouched = "functions.txt"\n', 1))
    catalog = folder / "catalog.toml"
    lines = catalog.read_text().splitlines()
    catalog.write_text(
        "\n".join('"public.people.city" = "none"' if "people.city" in one else one for one in lines) + "\n"
    )
    told = running.run("catalog", "functions", "--config", str(running.config), "--database", "dev").stdout.splitlines()
    (folder / "functions.txt").write_text(
        "# read by whoever keeps the data\n" + next(one for one in told if ".slug " in one) + "\n"
    )
    running.start()
    yield running
    running.stop()
    drop_database(pg15, "attack_vouched")


def test_the_word_is_for_one_definition_and_no_other(gate: GateProcess) -> None:
    with gate.connect("bot", "dev") as bot, gate.connect("kim", "dev") as kim:
        assert bot.execute("SELECT slug(city) FROM people WHERE id = 2").fetchone() == ("ulm-2",)
        for text in ("SELECT slug(email) FROM people ORDER BY id", "SELECT id FROM people WHERE slug(email) LIKE 'canary%'",
                     "SELECT count(*) FROM people GROUP BY slug(email)", "SELECT p.email, slug(p.email) FROM people p"):  # fmt: skip
            try:
                found = str(bot.execute(text.encode()).fetchall())
            except psycopg.errors.FeatureNotSupported as refused:
                found = str(refused)
            assert "canary1" not in found
            assert "canary2" not in found
        with pytest.raises(psycopg.errors.FeatureNotSupported) as unknown:
            bot.execute("SELECT peek(city) FROM people")
        assert "public.peek" in str(unknown.value)
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as limited:
            kim.execute("SELECT slug(city) FROM people")
        assert "public.slug" in str(limited.value)
        told = gate.run(
            "explain", "SELECT peek(city) FROM people", "--as", "bot", "--config", str(gate.config), check=False
        ).stdout
        assert "public.peek" in told
        assert "vouch" in told
        with psycopg.connect(gate.databases["dev"][0], autocommit=True) as owner:
            owner.execute(SLUG.format("(SELECT min(email) FROM people)").encode())
        assert "public.slug" in refused_in_the_end(bot, "SELECT slug(city), 1 FROM people WHERE id = 2")


def refused_in_the_end(bot: psycopg.Connection[tuple[object, ...]], text: str) -> str:
    """The refusal of a statement that runs until the gate has seen what was defined past it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            bot.execute(text.encode())
        except psycopg.errors.FeatureNotSupported as refused:
            return str(refused)
        time.sleep(0.3)
    return ""
