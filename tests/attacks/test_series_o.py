"""Series O: what must not be refused, for the principals who see least.

At most one in a hundred of these may be refused; at present none is. Answers without a masked column are the server's own, byte for
byte. The start-up queries of tools (O-02 to O-05) are played by `make corpus` over the benign corpus, and drivers by the conformance tests.

Source: threats O-01 to O-12; architecture promise 1.
"""

from __future__ import annotations

import re

from attacks.series import Place
from corpus.client import Address, Client
from support.servers import Psql

CLEAR = (
    # O-07: the breadth of the language over columns that nothing hides
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r",
    ("WITH RECURSIVE r AS (SELECT order_id, user_id, 1 AS depth FROM orders WHERE order_id = 1 UNION ALL SELECT o.order_id, o.user_id, depth + 1\n"
     "FROM orders o JOIN r ON o.order_id = r.user_id WHERE depth < 4) SELECT * FROM r ORDER BY depth, order_id"),
    "SELECT order_id, sum(amount) OVER (PARTITION BY status ORDER BY order_id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM orders ORDER BY order_id LIMIT 5",
    "SELECT status, percentile_cont(0.5) WITHIN GROUP (ORDER BY amount), mode() WITHIN GROUP (ORDER BY number) FROM orders GROUP BY status ORDER BY status",
    "SELECT status, count(*) FROM orders GROUP BY GROUPING SETS ((status), ()) ORDER BY status NULLS LAST",
    "SELECT status, number % 2, sum(amount) FROM orders GROUP BY CUBE (1, 2) ORDER BY 1, 2",
    "SELECT o.order_id, l.n FROM orders o, LATERAL (SELECT o.number + 1 AS n) l WHERE o.order_id < 4 ORDER BY 1",
    "SELECT jsonb_path_query('{\"a\": [1, 2]}', '$.a[*]')", "SELECT '{\"a\": 1}'::jsonb @> '{\"a\": 1}'", "SELECT to_tsvector('simple', status) FROM orders ORDER BY order_id LIMIT 2",
    "SELECT order_id FROM orders WHERE to_tsvector('simple', status) @@ 'paid'::tsquery ORDER BY order_id LIMIT 3",
    "SELECT array_agg(order_id ORDER BY order_id) FROM orders WHERE order_id < 5", "SELECT string_agg(status, ',' ORDER BY order_id) FROM orders WHERE order_id < 5",
    "SELECT date_trunc('day', \"createdAt\"), count(*) FROM users GROUP BY 1", 'SELECT extract(dow FROM "createdAt") FROM users WHERE id = 1',
    "SELECT DISTINCT ON (status) status, order_id FROM orders ORDER BY status, order_id", "SELECT * FROM generate_series(1, 3) WITH ORDINALITY",
    "SELECT CASE WHEN amount > 100 THEN 'big' ELSE 'small' END, count(*) FROM orders GROUP BY 1 ORDER BY 1", "VALUES (1, 'a'), (2, 'b')",
    "SELECT order_id FROM orders WHERE status = ANY (ARRAY['paid', 'open']) ORDER BY order_id FETCH FIRST 3 ROWS ONLY",
    "SELECT order_id FROM orders ORDER BY amount DESC FETCH FIRST 2 ROWS WITH TIES", "SELECT count(*) FILTER (WHERE status = 'paid') FROM orders",
    "SELECT u.id, count(*) FROM users u JOIN orders o ON o.user_id = u.id GROUP BY u.id ORDER BY u.id LIMIT 5",
    "SELECT id FROM users WHERE EXISTS (SELECT 1 FROM orders WHERE user_id = users.id AND amount > 400) ORDER BY id",
    "SELECT status FROM orders UNION SELECT 'none' ORDER BY 1", "SELECT order_id FROM orders EXCEPT SELECT order_id FROM orders WHERE order_id > 3 ORDER BY 1",
    "SELECT regexp_replace(status, 'a', 'b') FROM orders ORDER BY order_id LIMIT 2", "SELECT format('%s-%s', order_id, status) FROM orders ORDER BY order_id LIMIT 2",
    "SELECT lag(amount) OVER (ORDER BY order_id), ntile(4) OVER (ORDER BY order_id) FROM orders ORDER BY order_id LIMIT 3",
    "SELECT count(*), avg(amount)::numeric(10,2), min(number), max(number) FROM orders", "SELECT pg_typeof(email), pg_typeof(id) FROM users LIMIT 1",
    "SELECT count(*) FROM users", "SELECT count(DISTINCT email) FROM users", "SELECT count(*) FROM users WHERE email IS NULL",
    "TABLE parent", "SELECT a.id FROM a.t AS a ORDER BY id LIMIT 2", "SELECT number::text || 'x' FROM orders ORDER BY order_id LIMIT 2",
    # O-08
    "BEGIN; SELECT 1; COMMIT", "BEGIN; SAVEPOINT a; SELECT count(*) FROM orders; ROLLBACK TO a; RELEASE a; COMMIT", "START TRANSACTION READ ONLY; COMMIT",
    "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE; COMMIT",
    # O-09
    "EXPLAIN (COSTS OFF) SELECT status, count(*) FROM orders GROUP BY status", "EXPLAIN (FORMAT JSON) SELECT order_id FROM orders WHERE order_id = 1",
    # O-10
    "SELECT 'DROP TABLE users; DELETE' AS \"update\"", 'SELECT 1 AS "delete" /* TRUNCATE */ -- GRANT', 'SELECT order_id AS "select" FROM orders WHERE order_id = 1',
    # what drivers and pools send
    "SELECT 1", "SELECT version()", "SHOW server_version", "SHOW transaction_read_only", "SELECT current_database(), current_schema(), pg_is_in_recovery()",
    "SET application_name = 'x'", "SET statement_timeout = '30s'", "SET TIME ZONE 'UTC'", "SET datestyle = 'ISO'", "SET extra_float_digits = 3",
    "SELECT set_config('TimeZone', 'UTC', false)", "SHOW search_path", "SELECT current_setting('server_version_num')",
    "SELECT nspname FROM pg_namespace WHERE nspname = 'public'", "SELECT relname FROM pg_class WHERE relname IN ('users', 'orders') ORDER BY 1",
    "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'orders' ORDER BY ordinal_position",
    "SELECT typname FROM pg_type WHERE oid = 25", "SELECT count(*) > 0 FROM pg_attribute", "DISCARD ALL", "DEALLOCATE ALL", "RESET ALL",
)  # fmt: skip

MASKED = (
    # O-12 and what else masked columns can do
    "SELECT email, count(*) FROM users GROUP BY email", "SELECT contact_email, sum(amount) FROM orders GROUP BY contact_email",
    "SELECT u.email, o.amount FROM users u JOIN orders o ON o.contact_email = u.email ORDER BY o.order_id LIMIT 5",
    "SELECT DISTINCT contact_email FROM orders", "SELECT id, email, full_name, ssn FROM users ORDER BY id LIMIT 5", "SELECT * FROM users ORDER BY id LIMIT 5",
    "SELECT coalesce(u.email, o.contact_email) FROM orders o LEFT JOIN users u ON u.id = o.user_id ORDER BY o.order_id LIMIT 4",
    "SELECT email FROM users WHERE id = 3 UNION SELECT contact_email FROM orders WHERE user_id = 3",
    "SELECT address_of_mail FROM renamed ORDER BY id LIMIT 3", "SELECT id, e FROM copied ORDER BY id", "SELECT prefs FROM users WHERE id = 3",
    "SELECT contact_email, order_id, row_number() OVER (PARTITION BY contact_email ORDER BY order_id) FROM orders ORDER BY order_id LIMIT 5",
    "WITH x AS (SELECT id, email AS m FROM users) SELECT m FROM x ORDER BY id LIMIT 2", "SELECT count(*) FROM users WHERE email IS NOT NULL AND id < 9",
)  # fmt: skip


def test_harmless_statements_are_answered_as_the_server_would(place: Place) -> None:
    gate = place.gate
    port = re.search(r":(\d+)/", place.owner)
    assert port is not None
    direct = Client(
        Address(
            "127.0.0.1", int(port[1]), "postgres", place.owner.split(":")[2].split("@")[0].replace("%20", " "), "series"
        )
    )
    with direct, Client(Address(gate.host, gate.port, "bot", gate.token("bot"), "shop")) as client:
        refused, unlike = [], []
        for text in CLEAR:
            here, there = client.simple(text), direct.simple(text)
            if here.errors:
                refused.append(f"{text}: {here.errors[0].message}")
            elif (here.rows, here.fields) != (there.rows, there.fields) and "current_database" not in text:
                unlike.append(text)
    assert unlike == []
    assert refused == []


def test_masked_columns_can_be_shown_grouped_and_joined(place: Place) -> None:
    assert place.refused(MASKED) == []
    assert place.shown(MASKED) == []


def test_psql_describes_what_is_there(place: Place, psql: Psql) -> None:
    """O-01."""
    for command in (
        "\\d",
        "\\d users",
        "\\d+ orders",
        "\\df",
        "\\dn",
        "\\dt",
        "\\dv",
        "\\l",
        "\\du",
        "\\dp users",
        "\\di",
        "\\dT",
        "\\sv renamed",
    ):
        done = psql.run(place.gate.dsn("bot", "shop"), "-c", command)
        assert done.returncode == 0, (command, done.stderr)
        assert "raw-value" not in done.stdout
