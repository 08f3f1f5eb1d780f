"""Two databases that differ in masked values only give the same answers, cell for cell, when statements compute with those values.

Stand-ins have no key and no dependence on a value but its public shape, so nothing needs to be mapped before answers are compared.
Source: promise 5; docs/adr/0011-stand-ins.md; masking.md 5 (twins).
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import GateProcess
from support.servers import create_database, drop_database

TABLES = """
CREATE TABLE people(id int PRIMARY KEY, full_name text NOT NULL, email text UNIQUE, ssn varchar(11), phone varchar(20), birth_date date,
  card char(19), city text, api_key text, client_ip inet);
CREATE INDEX ON people (lower(email)); CREATE INDEX ON people (city, email); CREATE INDEX ON people (birth_date, id);
CREATE INDEX ON people (ssn) WHERE city = 'Ulm';
CREATE TABLE orders(id int PRIMARY KEY, person_id int REFERENCES people, contact_email text, total numeric, status text);
CREATE INDEX ON orders (contact_email);
CREATE TABLE visits(visitor_name text, at int); CREATE TABLE parts(email text, at int) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (50); CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (50) TO (999);
CREATE TABLE rooms(email text, birth_date date, city text, at int, size float8) PARTITION BY HASH (email);
CREATE TABLE rooms_1 PARTITION OF rooms FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE rooms_2 PARTITION OF rooms FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE room_notes(email text, city text) PARTITION BY HASH (email); CREATE TABLE room_notes_1 PARTITION OF room_notes FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE VIEW contacts AS SELECT p.id, upper(p.email) AS mail, left(p.ssn, 3) AS area, o.total FROM people p JOIN orders o ON o.person_id = p.id;
CREATE MATERIALIZED VIEW often AS SELECT visitor_name AS visitor, count(*) AS n, min(at) % 4 AS first FROM visits GROUP BY 1;
"""
STATEMENTS = (
    "SELECT id FROM people ORDER BY email", "SELECT id FROM people ORDER BY full_name DESC, ssn LIMIT 7 OFFSET 3",
    "SELECT id, upper(email), reverse(ssn), right(card, 4) FROM people WHERE id < 40", "SELECT * FROM people ORDER BY card LIMIT 20",
    "SELECT count(*) FROM people WHERE ssn < '500-00-0000'", "SELECT id FROM people WHERE email LIKE '%a%' OR phone LIKE '+49 3%'",
    "SELECT count(*) FROM people WHERE full_name ~ '^[A-M]' AND length(full_name) > 0", "SELECT min(ssn), max(email), min(birth_date), max(card) FROM people",
    "SELECT id, rank() OVER (ORDER BY birth_date), ntile(4) OVER (ORDER BY card) FROM people",
    "SELECT id, lag(email) OVER (PARTITION BY city ORDER BY ssn), first_value(phone) OVER (ORDER BY full_name) FROM people",
    "SELECT a.id, count(*) FROM people a JOIN people b ON a.ssn > b.ssn GROUP BY a.id ORDER BY 2, 1",
    "SELECT split_part(email, '@', 2), count(*) FROM people GROUP BY 1", "SELECT lower(full_name), array_agg(id) FROM people GROUP BY 1",
    "SELECT string_agg(email, ',') FROM people", "SELECT array_agg(ssn ORDER BY email) FROM people", "SELECT DISTINCT lower(contact_email) FROM orders",
    "SELECT DISTINCT ON (city) id, lower(email) FROM people ORDER BY city, email", "SELECT percentile_disc(0.3) WITHIN GROUP (ORDER BY email) FROM people",
    "SELECT o.id, p.id FROM orders o JOIN people p ON lower(p.email) = lower(o.contact_email) LIMIT 30",
    "SELECT o.id FROM orders o LEFT JOIN people p ON p.email || '' = o.contact_email WHERE p.id IS NULL",
    "SELECT id FROM people WHERE lower(email) IN (SELECT lower(contact_email) FROM orders WHERE total > 40) LIMIT 9",
    "SELECT upper(email) FROM people UNION SELECT upper(contact_email) FROM orders", "SELECT lower(email) FROM people EXCEPT SELECT lower(contact_email) FROM orders",
    "SELECT lower(email) FROM people INTERSECT ALL SELECT lower(contact_email) FROM orders",
    "WITH RECURSIVE r(n, e) AS (SELECT 1, (SELECT min(email) FROM people) UNION ALL SELECT n + 1, e || n FROM r WHERE n < 4) SELECT * FROM r",
    "SELECT p.id, l.c FROM people p, LATERAL (SELECT count(*) AS c FROM orders o WHERE o.contact_email > p.email) l ORDER BY l.c DESC, 1 LIMIT 9",
    "SELECT g FROM generate_series(1, 500) g LIMIT (SELECT length(max(email)) FROM people)", "SELECT count(*) FROM people p, generate_series(1, right(p.ssn, 2)::int)",
    "SELECT c FROM people, regexp_split_to_table(ssn, '') c WHERE id = 1", "SELECT id, CASE WHEN ssn LIKE '1%' THEN 1 ELSE 1 / 0 END FROM people WHERE id < 3",
    "SELECT ssn::date FROM people", "SELECT full_name::int FROM people LIMIT 1", "SELECT (replace(ssn, '-', '')::bigint * 9000000000)::int FROM people",
    "SELECT mail, sum(total) FROM contacts GROUP BY mail ORDER BY 2 LIMIT 5", "SELECT area, count(*) FROM contacts GROUP BY area", "SELECT mail FROM contacts LIMIT 5",
    "SELECT initcap(visitor_name), at FROM visits LIMIT 6", "SELECT upper(visitor_name), count(*) FROM visits GROUP BY 1", "SELECT at FROM visits ORDER BY visitor_name LIMIT 4",
    "SELECT upper(email), at FROM parts", "SELECT at FROM ONLY parts_1 ORDER BY email LIMIT 3", "SELECT tableoid::regclass::text, count(*) FROM parts GROUP BY 1 ORDER BY 1",
    "SELECT extract(year from birth_date), left(city, 2), count(*) FROM people GROUP BY 1, 2", "SELECT id FROM people WHERE birth_date BETWEEN '1960-05-01' AND '1960-05-31'",
    "SELECT md5(ssn), sha256(ssn::bytea), hashtext(email) FROM people LIMIT 3", "SELECT host(client_ip), client_ip << '10.0.0.0/8' FROM people WHERE id < 9",
    "SELECT row_to_json(p) FROM people p LIMIT 3", "SELECT k, count(*) FROM people p, jsonb_each_text(to_jsonb(p)) j(k, v) GROUP BY k, v IS NULL ORDER BY 1, 2",
    "SELECT p::text FROM people p ORDER BY p.email LIMIT 2", "SELECT coalesce(nullif('101-11-1007', ssn), ssn) FROM people WHERE id = 1", "SELECT id FROM people WHERE (id, ssn) > (5, '150')",
    "SELECT count(*) FROM people GROUP BY left(full_name, 1) ORDER BY 1 LIMIT 3", "SELECT id FROM people TABLESAMPLE SYSTEM (50) REPEATABLE (1) ORDER BY email", "SELECT corr(ascii(email), id) FROM people",
    "SELECT id FROM people WHERE city = 'Ulm' AND ssn > '0' LIMIT 5", "SELECT lower(api_key), id FROM people LIMIT 3", "SELECT DISTINCT lower(api_key) FROM people",
    "SELECT lower(email), left(phone, 9), upper(ssn) FROM people WHERE id = 7", "SELECT upper(p.email) = upper(o.contact_email), o.id FROM people p, orders o WHERE p.id < 60 AND o.id IN (3, 4, 5, 9) ORDER BY 2, p.id",
    "SELECT 1 / (ascii(email) - 115) FROM people WHERE id = 7", "SELECT p.id FROM people p LEFT JOIN orders o ON o.contact_email > p.email WHERE p.id BETWEEN 3 AND 9 ORDER BY p.email, o.id",
    "SELECT count(*) FROM people WHERE id = 3 AND ssn > '000-00-0001'", "SELECT lower(a.email) FROM people a WHERE a.id = 7 UNION SELECT lower(email) FROM people WHERE email > 's5'",
    "SELECT width_bucket(extract(year from birth_date), 1950, 2010, 60), mode() WITHIN GROUP (ORDER BY ssn) FROM people GROUP BY 1 ORDER BY 1",
)  # fmt: skip
PLACED = (
    "SELECT city, at FROM rooms LIMIT 9", "SELECT string_agg(city, ',') FROM rooms", "SELECT city, row_number() OVER () FROM rooms",
    "SELECT array_agg(at) FROM rooms GROUP BY city LIMIT 2", "SELECT DISTINCT ON (city) city, at FROM rooms", "SELECT r.at, o.id FROM rooms r JOIN orders o ON o.total = r.at LIMIT 20",
    "SELECT at, lag(at) OVER () FROM rooms WHERE city = 'Ulm'", "SELECT extract(year FROM birth_date), at FROM rooms LIMIT 30", "SELECT array_agg(birth_date) FROM rooms",
    "SELECT upper(email), at FROM rooms LIMIT 9", "SELECT email, count(*) FROM rooms GROUP BY email ORDER BY 2 DESC LIMIT 6", "SELECT max(email), min(email) FROM rooms", "SELECT email FROM rooms ORDER BY email",
    "SELECT a.email, b.email FROM rooms a JOIN rooms b ON a.at = b.at AND a.email > b.email LIMIT 30", "SELECT split_part(email, '@', 2), string_agg(email, ' ') FROM rooms GROUP BY 1 LIMIT 4",
    "SELECT email, size FROM rooms ORDER BY size LIMIT 9", "SELECT upper(email), size FROM rooms ORDER BY size",
    "SELECT visitor, n FROM often LIMIT 7", "SELECT visitor, n FROM often ORDER BY n DESC LIMIT 5", "SELECT o.visitor, p.id FROM often o JOIN people p ON p.full_name = o.visitor LIMIT 20", "SELECT lower(visitor) FROM often",
)  # fmt: skip
"""Over tables whose rows are stored by a masked column, without a key."""


def people(seed: int) -> list[str]:
    """Rows of one twin: what is not masked is the same in both; equal values stay equal, and shapes stay."""
    draw, same = random.Random(seed), random.Random(0)
    taken: set[str] = set()

    def renamed(shape: str) -> str:
        while True:
            made = "".join(
                draw.choice("0123456789") if c == "0" else draw.choice("abcdefghijklmnopqrstuvwxyz") if c == "a" else c
                for c in shape
            )
            if made not in taken:
                taken.add(made)
                return made

    names = [renamed("aaaa aaaaaa") for _ in range(20)]
    domains = [*(f"{renamed('aaaaaa')}.example" for _ in range(5)), "gmail.com", "gmx.de"]
    rows = []
    for n in range(1, 121):
        null = same.random() < 0.1
        mail = f"{renamed('aaaaa00')}@{domains[same.randrange(7)]}"
        values = [
            str(n), f"'{names[same.randrange(20)]}'", "NULL" if null else f"'{mail}'", "NULL" if null else f"'{renamed('000-00-0000')}'",
            f"'+49 {renamed('000 0000000')}'", f"'{1940 + same.randrange(60)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}'",
            f"'{renamed('0000 0000 0000 0000')}'", same.choice(["'Ulm'", "'Bonn'", "'Kiel'"]), f"'{renamed('aaaa_aaaaaaaa')}'",
            f"'{draw.randint(1, 254)}.{draw.randint(1, 254)}.{draw.randint(1, 254)}.{draw.randint(1, 254)}'",
        ]  # fmt: skip
        rows.append(f"INSERT INTO people VALUES ({', '.join(values)})")
        for order in range(same.randrange(4)):
            contact = f"'{mail}'" if same.random() < 0.8 else f"'{renamed('aaaaa00')}@gmail.com'"
            rows.append(f"INSERT INTO orders VALUES ({n * 10 + order}, {n}, {contact}, {same.randrange(90)}, 'open')")
        rows.append(f"INSERT INTO visits VALUES ('{names[same.randrange(20)]}', {same.randrange(99)})")
        rows.append(f"INSERT INTO parts VALUES ('{mail}', {same.randrange(99)})")
        rows.append(
            f"INSERT INTO rooms VALUES ('{mail}', {values[5]}, {values[7]}, {same.randrange(20)}, {same.random()})"
        )
    return rows


@pytest.fixture(scope="module")
def gate(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    folder = tmp_path_factory.mktemp("twins") / "gate"
    made = {
        name: (
            create_database(
                postgres,
                f"twin_{name}",
                TABLES + ";\n".join(people(seed)) + "; REFRESH MATERIALIZED VIEW often; ANALYZE",
            ),
            "production",
        )
        for seed, name in enumerate(("one", "two"), 1)
    }
    running = GateProcess(folder, made).init()
    running.start()
    yield running
    running.stop()
    for name in made:
        drop_database(postgres, f"twin_{name}")


def answer(connection: psycopg.Connection, text: str, *, binary: bool) -> object:
    cursor = connection.cursor(binary=binary)
    try:
        rows = cursor.execute(text.encode()).fetchall()
    except psycopg.Error as error:
        return error.sqlstate, str(error).split("entry=")[0]
    return [c.name for c in cursor.description or ()], rows


def test_twins_cannot_be_told_apart_by_what_is_computed(gate: GateProcess) -> None:
    ran = 0
    with (
        psycopg.connect(gate.dsn("bot", "one"), autocommit=True) as one,
        psycopg.connect(gate.dsn("bot", "two"), autocommit=True) as two,
    ):
        for text in STATEMENTS:
            for binary in (False, True):
                answers = [answer(connection, text, binary=binary) for connection in (one, two)]
                assert answers[0] == answers[1], text
                ran += isinstance(answers[0], tuple) and isinstance(answers[0][0], list)
        # A table of which one row is asked for here has all its rows where a view reads it.
        whole = "SELECT count(*) FROM contacts c, people p WHERE p.id = 7 AND upper(p.email) IS NOT NULL"
        assert one.execute(whole).fetchone() == one.execute("SELECT count(*) FROM orders").fetchone()
        assert one.execute("SELECT lower(email) FROM people WHERE id = 7").fetchone() == ("s7@d-s1.example",)
    assert ran >= 2 * (len(STATEMENTS) - 8), "most of them must run, or nothing was shown"


def test_rows_stored_by_a_masked_column_come_in_an_order_that_says_nothing_of_it(gate: GateProcess) -> None:
    with (
        psycopg.connect(gate.dsn("bot", "one"), autocommit=True) as one,
        psycopg.connect(gate.dsn("bot", "two"), autocommit=True) as two,
    ):
        for rounded in ("1", "-15"):
            for connection in (one, two):
                connection.execute(f"SET extra_float_digits = {rounded}".encode())
            for text in PLACED:
                answers = [answer(connection, text, binary=rounded != "1") for connection in (one, two)]
                assert answers[0] == answers[1], text
                assert isinstance(answers[0], tuple), text
                assert isinstance(answers[0][0], list), (text, answers[0])
        told = answer(one, "SELECT r.email, n.email FROM rooms r, room_notes n LIMIT 3", binary=False)
        assert isinstance(told, tuple)
        assert told[0] == "0A000"


def test_twins_cannot_be_told_apart_piece_by_piece(gate: GateProcess) -> None:
    shown = []
    for name in ("one", "two"):
        with psycopg.connect(gate.dsn("bot", name), autocommit=True) as connection, connection.transaction():
            connection.execute("DECLARE c SCROLL CURSOR FOR SELECT id, upper(email) FROM people ORDER BY ssn")
            steps = [
                connection.execute(step).fetchall()
                for step in (
                    "FETCH 3 FROM c",
                    "FETCH BACKWARD 2 FROM c",
                    "FETCH LAST FROM c",
                    "FETCH ABSOLUTE 9 FROM c",
                )
            ]
            with connection.cursor().copy(
                "COPY (SELECT id, upper(full_name) FROM people ORDER BY email LIMIT 9) TO STDOUT (FORMAT binary)"
            ) as copy:
                shown.append((steps, b"".join(bytes(part) for part in copy)))
    assert shown[0] == shown[1]


def test_rows_that_parameters_choose_are_the_only_ones_that_are_numbered(gate: GateProcess) -> None:
    """Also where the server finds out the parameter's type itself."""
    shown = []
    for name in ("one", "two"):
        with psycopg.connect(gate.dsn("bot", name), autocommit=True) as connection:
            texts: list[tuple[str, tuple[object, ...]]] = [
                ("SELECT lower(email) FROM people WHERE id = %s", (7,)),
                ("SELECT lower(email) FROM people WHERE id = ANY(%s) ORDER BY id", ([7, 9],)),
                ("SELECT lower(email) FROM people p WHERE p.id BETWEEN %s AND %s ORDER BY id", (7, 9)),
            ]
            answers: list[object] = [connection.execute(text.encode(), given).fetchall() for text, given in texts]
            for unknown in (
                b"SELECT lower(email) FROM people WHERE id = $1",
                b"SELECT $1::bigint, lower(email) FROM people WHERE id = $1",
            ):
                found = connection.pgconn.exec_params(unknown, [b"7"])
                answers.append((found.ntuples, found.get_value(0, found.nfields - 1)))
            shown.append(answers)
    assert shown[0] == shown[1]
    assert shown[0][0] == [("s7@d-s1.example",)]
    assert shown[0][3:] == [(1, b"s7@d-s1.example")] * 2
