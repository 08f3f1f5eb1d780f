"""Where a session's role may not silence the server's log, what only the session sees is analysed without a line in it, or refused.

Source: promise 5; masking.md 1.2; docs/adr/0018-own-link.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

SCRIPT = """
CREATE TABLE people(id int PRIMARY KEY, email text, city text);
INSERT INTO people SELECT i, 'canary' || i || '@real.example', 'Ulm ' || i % 2 FROM generate_series(1, 6) i;
CREATE VIEW mails AS SELECT id, email FROM people;
CREATE TABLE ruled(id int, city text); CREATE RULE r AS ON INSERT TO ruled DO INSTEAD INSERT INTO people (id, city) VALUES (new.id, new.city);
CREATE TABLE secured(id int, city text); ALTER TABLE secured ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON secured USING (id IN (SELECT id FROM people WHERE email > 'canary3'));
GRANT ALL ON ruled, secured TO PUBLIC;
"""
Link = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def gate(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    dsn = create_database(pg15, "not_silent", SCRIPT)
    running = GateProcess(tmp_path_factory.mktemp("not-silent") / "gate", {"dev": (dsn, "development")}).init()
    running.label("dev", "none", "people.city", "ruled.city", "secured.city")
    with psycopg.connect(dsn, autocommit=True) as owner:
        roles = owner.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'lockgate%masked'").fetchall()
        for (role,) in roles:
            owner.execute(f'REVOKE SET ON PARAMETER log_min_messages FROM "{role}"'.encode())
    running.start()
    yield running
    running.stop()
    drop_database(pg15, "not_silent")


@pytest.fixture
def bot(gate: GateProcess) -> Iterator[Link]:
    with gate.connect("bot", "dev") as connection:
        yield connection


def shown(bot: Link, text: str, *given: object) -> list[tuple[object, ...]]:
    rows = bot.execute(text.encode(), given or None).fetchall()
    assert "canary" not in str(rows)
    return rows


def test_work_in_temporary_tables_goes_on_and_stays_masked(bot: Link, pg15: EmbeddedPostgres) -> None:
    masked = shown(bot, "SELECT id, email FROM people ORDER BY id")
    before = pg15.log_text()
    bot.execute("CREATE TEMP TABLE t AS SELECT id, email, city FROM people")
    assert shown(bot, "SELECT id, email FROM t ORDER BY id") == masked
    assert shown(bot, "SELECT t.id FROM t JOIN people p ON p.email = t.email WHERE p.id = %s", 2) == [(2,)]
    assert shown(bot, "SELECT city, count(*) FROM t GROUP BY city ORDER BY city") == [("Ulm 0", 3), ("Ulm 1", 3)]
    bot.execute("CREATE TEMP TABLE plain(id int, city text)")
    assert bot.execute("INSERT INTO plain SELECT id, city FROM t").rowcount == 6
    assert bot.execute("UPDATE plain SET city = 'x' WHERE id = %s", (3,)).rowcount == 1
    assert bot.execute("DELETE FROM plain WHERE id < 3 RETURNING id").rowcount == 2
    with bot.transaction():
        assert shown(bot, "SELECT email FROM t WHERE id = 1") == [(masked[0][1],)]
    assert shown(bot, "SELECT count(*) FROM pg_proc WHERE proname LIKE 'lockgate%'") == [(0,)]
    assert "QUERY :commandType" not in pg15.log_text()[len(before) :]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT upper(email) FROM t", "SELECT id FROM t ORDER BY email", "SELECT t.id FROM t JOIN mails USING (id)", "INSERT INTO ruled SELECT id, city FROM t",
        "SELECT s.id FROM secured s JOIN t USING (id)", "UPDATE t SET email = 'x'", "SELECT id FROM t WHERE email = 'canary1@real.example' OR length(email) > 3",
    ],
)  # fmt: skip
def test_what_a_stored_tree_does_not_say_is_refused(bot: Link, text: str) -> None:
    bot.execute("CREATE TEMP TABLE t AS SELECT id, email, city FROM people")
    with pytest.raises((psycopg.errors.FeatureNotSupported, psycopg.errors.InsufficientPrivilege)) as refused:
        bot.execute(text.encode())
    assert "canary" not in str(refused.value)


def test_a_read_only_transaction_cannot_be_asked(bot: Link) -> None:
    bot.execute("CREATE TEMP TABLE t AS SELECT id, email FROM people")
    bot.execute("BEGIN READ ONLY")
    with pytest.raises(psycopg.errors.FeatureNotSupported) as refused:
        bot.execute("SELECT email, 1 FROM t")
    assert "analysis-not-silent" in (refused.value.diag.message_detail or "")
