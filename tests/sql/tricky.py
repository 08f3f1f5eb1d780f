"""Queries whose columns come from where they do not seem to, and what must become of each when people's data is masked.

For: the same list on every server version, recorded (`trees/`) and live.
Not for: values; no row is ever read.
"""

from __future__ import annotations

SETUP = """
CREATE TABLE client(id bigint PRIMARY KEY, name text NOT NULL, mail text UNIQUE, tax varchar(11), born date, memo text,
                    doc jsonb, marks text[]);
CREATE TABLE visit(visit_id bigint PRIMARY KEY, client_id bigint NOT NULL REFERENCES client(id), price numeric, state text,
                   seen timestamptz DEFAULT now(), contact text, alias text);
CREATE VIEW loud AS SELECT id, upper(mail) AS mail, left(tax, 3) AS area FROM client;
CREATE VIEW loud_visits AS SELECT l.mail AS m2, v.price FROM loud l JOIN visit v ON v.client_id = l.id;
CREATE MATERIALIZED VIEW kept AS SELECT id, mail AS e, tax AS t FROM client;
CREATE FUNCTION mail_of(p bigint) RETURNS text LANGUAGE sql STABLE AS $$ SELECT mail FROM client WHERE id = p $$;
CREATE FUNCTION all_clients() RETURNS SETOF client LANGUAGE sql STABLE AS $$ SELECT * FROM client $$;
CREATE FUNCTION label(client) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1.name $$;
CREATE INDEX visit_state_contact ON visit(state);
"""

LABELS: dict[tuple[str, str], str] = {
    ("client", "name"): "person.name", ("client", "mail"): "person.email", ("client", "tax"): "person.national_id",
    ("client", "born"): "person.birth_date", ("client", "memo"): "text.free", ("client", "doc"): "text.free",
    ("client", "marks"): "text.free", ("visit", "contact"): "person.email", ("visit", "alias"): "person.email",
    ("loud", "mail"): "person.email", ("loud", "area"): "person.national_id", ("loud_visits", "m2"): "person.email",
    ("kept", "e"): "person.email", ("kept", "t"): "person.national_id",
}  # fmt: skip

MAIL, TAX, NAME, BORN = "person.email", "person.national_id", "person.name", "person.birth_date"

# query, labels of the masked outputs ("-" is clear) and order; or the reason of the refusal
CASES: tuple[tuple[str, str], ...] = (
    ("SELECT * FROM client", f"- {NAME} {MAIL} {TAX} {BORN} text.free text.free text.free keep"),
    ("SELECT c FROM client c", f"{NAME} keep"),
    ("SELECT row_to_json(c) FROM client c", "transform"),
    ("SELECT c.label FROM client c", "opaque"),
    ("WITH x(a, b) AS (SELECT mail, tax FROM client) SELECT b AS mail, a AS tax FROM x", f"{TAX} {MAIL} keep"),
    (("WITH RECURSIVE t(n, e) AS (SELECT 1, mail FROM client WHERE id = 1 UNION ALL SELECT n + 1, e FROM t WHERE n < 5) "
     "SELECT n, e FROM t"), f"- {MAIL} keep"),
    (("WITH RECURSIVE t(i, e) AS (SELECT id, mail FROM client WHERE id = 1 UNION SELECT v.visit_id, v.contact FROM visit v "
     "JOIN t ON v.contact = t.e) SELECT * FROM t"), f"- {MAIL} sort"),
    ("WITH RECURSIVE t(n, e, f) AS (SELECT 1, mail, 'x' FROM client UNION ALL SELECT n + 1, f, e FROM t WHERE n < 5) SELECT e FROM t",
     "mixed-output"),
    ("SELECT state FROM visit WHERE false UNION ALL SELECT tax FROM client", "mixed-output"),
    ("SELECT mail FROM client UNION SELECT contact FROM visit", f"{MAIL} sort"),
    ("SELECT mail FROM client UNION SELECT tax FROM client", "mixed-classes"),
    ("SELECT 'guess' INTERSECT SELECT mail FROM client", "compared-with-constant"),
    ("SELECT CASE WHEN c.mail = v.contact THEN c.mail ELSE v.contact END FROM client c, visit v WHERE c.id = 1 AND v.visit_id = 1",
     f"{MAIL} keep"),
    ("SELECT CASE mail WHEN 'guess' THEN 1 ELSE 2 END FROM client", "- keep"),
    ("SELECT CASE WHEN tax LIKE '1%' THEN 1 ELSE 2 END FROM client", "transform"),
    ("SELECT coalesce(nullif('guess', mail), mail) FROM client", "mixed-output"),
    ("SELECT visit_id, (SELECT mail FROM client WHERE id = v.client_id) FROM visit v LIMIT 3", f"- {MAIL} keep"),
    ("SELECT string_agg(mail, ',' ORDER BY id) FROM client", "transform"),
    ("SELECT mail_of(1)", "opaque"),
    ("SELECT tax FROM all_clients()", "opaque"),
    ("SELECT query_to_xml('select 1', true, true, '')", "opaque"),
    ("SELECT x.e FROM client c, LATERAL (SELECT c.mail AS e) x", f"{MAIL} keep"),
    ("SELECT v FROM client c CROSS JOIN LATERAL (VALUES (c.mail), (c.tax)) l(v)", "mixed-output"),
    ("SELECT unnest(marks) FROM client", "control"),
    ("SELECT k FROM client c, jsonb_each_text(to_jsonb(c)) j(k, v)", "transform"),
    ("SELECT count(*) FROM client c, generate_series(1, right(c.tax, 4)::int)", "transform"),
    ("SELECT rank() OVER (ORDER BY born) FROM client", "control"),
    ("SELECT row_number() OVER (PARTITION BY contact ORDER BY seen, visit_id), visit_id FROM visit", "- - sort"),
    ("SELECT row_number() OVER (PARTITION BY contact ORDER BY seen), visit_id FROM visit", "row-choice"),
    ("SELECT mail FROM client JOIN (SELECT contact AS mail FROM visit) x USING (mail)", f"{MAIL} sort"),
    ("SELECT mail FROM client FULL JOIN (SELECT contact AS mail FROM visit) x USING (mail)", f"{MAIL} sort"),
    ("SELECT mail FROM client NATURAL JOIN (SELECT contact AS mail FROM visit) x", f"{MAIL} sort"),
    ("VALUES ((SELECT mail FROM client WHERE id = 1), 1)", f"{MAIL} - keep"),
    ("SELECT count(*) FILTER (WHERE tax LIKE '1%') FROM client", "control"),
    ("SELECT count(mail), count(DISTINCT mail), count(*) FROM client", "- - - keep"),
    ("SELECT m2 FROM loud_visits", "transform"),
    ("SELECT id FROM loud", "- keep"),
    ("SELECT price FROM loud_visits", "- keep"),
    ("SELECT e, t FROM kept", f"{MAIL} {TAX} keep"),
    ("SELECT id FROM client WHERE mail = $1", "- keep"),
    ("SELECT id FROM client WHERE (id, tax) > (1, '150')", "control"),
    ("SELECT mail = ANY (SELECT contact FROM visit) FROM client WHERE id = 1", "- keep"),
    ("SELECT id FROM client ORDER BY (SELECT mail FROM client c2 WHERE c2.id = client.id)", "control"),
    ("SELECT g FROM generate_series(1, 9) g LIMIT (SELECT length(mail) FROM client WHERE id = 1)", "transform"),
    ("SELECT born, count(*) FROM client GROUP BY born", "not-comparable"),
    ("SELECT contact, count(*) AS n FROM visit GROUP BY contact ORDER BY n", f"{MAIL} - sort-ties"),
    ("SELECT contact, count(*) FROM visit GROUP BY contact ORDER BY sum(price)", "row-order"),
    ("SELECT contact, count(*) FROM visit GROUP BY contact LIMIT 5", "row-choice"),
    ("SELECT contact, array_agg(visit_id) FROM visit GROUP BY contact", "row-choice"),
    ("SELECT contact, array_agg(visit_id ORDER BY visit_id) FROM visit GROUP BY contact", f"{MAIL} - sort"),
    ("SELECT sum(v.price), min(v.visit_id) FROM client c JOIN visit v ON v.contact = c.mail", "- - keep"),
    ("SELECT sum(v.price::float8) FROM client c JOIN visit v ON v.contact = c.mail", "row-choice"),
    ("SELECT v.visit_id, c.mail FROM visit v LEFT JOIN client c ON c.id = v.client_id AND c.mail = v.contact ORDER BY v.visit_id LIMIT 5",
     f"- {MAIL} keep"),
    ("SELECT v.visit_id, c.mail FROM client c JOIN visit v ON c.mail = v.contact ORDER BY v.visit_id LIMIT 5", "row-choice"),
    ("SELECT id FROM client WHERE mail IS NOT NULL LIMIT 3", "row-choice"),
    ("SELECT id, mail IS NULL FROM client LIMIT 3", "- - keep"),
    ("SELECT id FROM (SELECT id, mail IS NULL AS n FROM client) x WHERE n LIMIT 3", "row-choice"),
    ("SELECT pg_typeof(mail) FROM client LIMIT 1", "- keep"),
    ('SELECT mail::varchar, tax::text, mail COLLATE "C" FROM client', f"{MAIL} {TAX} {MAIL} keep"),
    ("SELECT mail::varchar(3) FROM client", "transform"),
    ("SELECT * FROM pg_authid", "opaque"),
    ("SELECT rolname FROM pg_roles", "- keep"),
    ("SELECT * FROM pg_stats", "opaque"),
    ("SELECT mail AS \"a name with spaces (and) {brackets} \\ 'quotes' :relid\", id AS \"<>\" FROM client", f"{MAIL} - keep"),
    ("INSERT INTO visit(visit_id, client_id) VALUES (1, 2) RETURNING visit_id, contact", f"- {MAIL} keep"),
    ("INSERT INTO visit(visit_id, client_id, contact) SELECT 1, id, mail FROM client", "write-target"),
    ("INSERT INTO visit(visit_id, client_id, state) SELECT 1, id, mail FROM client", "write-source"),
    ("INSERT INTO visit(visit_id, client_id) VALUES (1, 2) ON CONFLICT (visit_id) DO UPDATE SET state = visit.contact",
     "write-source"),
    ("UPDATE visit v SET state = c.tax FROM client c WHERE c.id = v.client_id", "write-source"),
    ("UPDATE visit SET (state, price) = (SELECT mail, 1 FROM client WHERE id = 1) WHERE visit_id = 1", "write-source"),
    ("UPDATE client SET memo = 'x' WHERE id = 1", "write-target"),
    ("UPDATE visit SET state = 'x' WHERE contact = alias", "write-predicate"),
    ("UPDATE visit SET state = 'x' WHERE visit_id = 1 RETURNING contact", f"{MAIL} keep"),
    ("DELETE FROM visit WHERE contact IS NULL", "write-predicate"),
    ("WITH d AS (DELETE FROM visit WHERE visit_id = 1 RETURNING contact) SELECT * FROM d", f"{MAIL} keep"),
    ("MERGE INTO visit v USING client c ON v.contact = c.mail WHEN MATCHED THEN DELETE", "write-predicate"),
    ("MERGE INTO visit v USING client c ON v.client_id = c.id WHEN MATCHED THEN UPDATE SET state = 'x'", "keep"),
    ("SELECT nextval('x'::text::regclass)", "opaque"),
    ("SELECT set_config('search_path', 'x', false)", "- keep"),
    ("SELECT set_config('jit', 'off', false)", "- keep"),
)  # fmt: skip

WRITES: tuple[tuple[str, bool, bool], ...] = (
    ("UPDATE visit SET state = 'x' WHERE visit_id = 1", True, True),
    ("UPDATE visit SET state = 'x' WHERE visit_id IN (1, 2)", True, True),
    ("UPDATE visit SET state = 'x' WHERE visit_id = ANY($1)", True, True),
    ("UPDATE visit SET state = 'x' WHERE visit_id IN (SELECT visit_id FROM visit)", False, False),
    ("UPDATE visit SET state = 'x' WHERE visit_id = visit_id", False, False),
    ("UPDATE visit SET state = 'x' WHERE visit_id = 1 OR true", False, False),
    ("UPDATE visit SET state = 'x' WHERE 1 = 1 AND price > 5", False, True),
    ("DELETE FROM visit", False, False),
    ("DELETE FROM visit WHERE visit_id = $1", True, True),
    ("INSERT INTO visit(visit_id, client_id) SELECT id, id FROM client", True, True),
)
"""Statement, bounded, selective."""

REACHES: tuple[tuple[str, bool, bool], ...] = (
    ("DELETE FROM visit WHERE (visit_id, client_id) IN ((1, 2), (3, 4))", True, True),
    ("DELETE FROM visit WHERE visit_id = 1 OR price > 5", False, True),
    ("DELETE FROM visit WHERE visit_id = 1 OR client_id = client_id", False, False),
    ("UPDATE visit v SET state = 'x' FROM client c WHERE c.id = v.visit_id AND c.id = 4", True, True),
    ("DELETE FROM visit v USING client c WHERE c.id = v.client_id AND c.id = $1", False, True),
    ("DELETE FROM visit v USING client c WHERE c.id < v.visit_id AND c.id = 4", False, False),
)
"""More of the same, asked of a live server only."""

HANDED_ON: tuple[tuple[str, bool], ...] = (
    ("SELECT price FROM (SELECT price, contact FROM visit UNION ALL SELECT price, contact FROM visit) u", False),
    ("WITH w AS (SELECT * FROM visit), x AS MATERIALIZED (SELECT * FROM w) SELECT price FROM x", False),
    ("SELECT id FROM client WHERE EXISTS (SELECT * FROM visit)", False),
    (
        "SELECT price FROM (SELECT price, u.m FROM (SELECT price, contact AS m FROM visit UNION ALL SELECT 1, 'x') u UNION ALL SELECT 2, 'y') v",
        True,
    ),
    ("SELECT price FROM (SELECT price, contact FROM visit UNION SELECT price, contact FROM visit) u", True),
    ("SELECT price FROM (SELECT DISTINCT price, contact FROM visit) u", True),
    ("SELECT price FROM (SELECT price, length(contact) AS n FROM visit UNION ALL SELECT price, 1 FROM visit) u", True),
    ("WITH w AS (SELECT price, contact || 'x' AS m FROM visit) SELECT price FROM w", True),
    (
        "WITH RECURSIVE w AS (SELECT price, contact FROM visit UNION ALL SELECT price, contact FROM w WHERE price < 0) SELECT price FROM w",
        True,
    ),
    ("SELECT u FROM (SELECT price, contact FROM visit UNION ALL SELECT price, contact FROM visit) u", True),
)
"""Statement, and whether it reads `visit.contact`."""
