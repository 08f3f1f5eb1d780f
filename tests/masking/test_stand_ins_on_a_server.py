"""Stand-ins on real servers: never an error, never more of a value than its public shape, equal for equal values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import psycopg
import pytest

from lockgate.masking.substitution import Substitution
from lockgate.model.catalog import Catalog, ColumnRef, Relation
from lockgate.model.statement import Given, Restriction
from lockgate.testing.engines import EmbeddedPostgres
from sql.live import read_catalog
from support.servers import MakeDatabase

TEXTS: dict[str, list[str]] = {
    "person.name": ["Ada Lovelace", "", "é日本 X", "a'b\\c", "x" * 500],
    "person.email": ["ada@corp.test", "bob@corp.test", "cy@gmail.com", "ann@evil-gmail.com", "no mail", "@", "a@", "a@b@c.test", "é@é.test", "a\nb@x.test"],
    "person.phone": ["+49 30 1234567", "+1 (212) 555-0100", "030-1234567", "12345", "call me", "+999 123 456 789 x12", "٣٤٥٦٧٨٩"],
    "person.national_id": ["101-11-1007", "AB 12 34 56 C", "é12345678", "12345", "99-99-99-99-99-99-99"],
    "payment.card": ["4539 5701 0013 0031", "4111111111111111", "1234", "4111x"],
    "payment.iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "XX"],
    "network.address": ["10.1.2.3", "2001:db8::1", "999.1.1.1", "host", ":::"],
    "network.mac": ["08:00:2b:01:02:03", "0800.2b01.0203", "08", "zz:zz"],
    "secret.credential": ["sk_live_abcdef", ""], "text.free": ["called Ada"], "person.address": ["5 Yew Lane"],
    "person.birth_date": ["1975-06-07", "07.06.1975", "in spring"], "unknown": ["what"],
}  # fmt: skip
TYPED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("person.birth_date", "date", ("1975-06-07", "0044-03-15 BC", "infinity", "-infinity", "20000-01-01", "9999-12-31", "0001-01-01")),
    ("person.birth_date", "timestamp", ("1999-12-31 23:59:59.5", "infinity", "20000-01-01")),
    ("person.birth_date", "timestamptz", ("1980-01-01 00:30:00+02", "-infinity", "9999-12-31 23:00-10")),
    ("person.national_id", "bigint", ("0", "5", "-5", "1234567", "-9223372036854775808", "9223372036854775807")),
    ("person.national_id", "integer", ("0", "1234567", "-2147483648", "2147483647")),
    ("person.national_id", "smallint", ("7", "-32768")),
    ("person.national_id", "numeric", ("0", "1234567", "1.5", "NaN", "123.00", "12345678901234567890123456789012345678901234567890")),
    ("person.national_id", "numeric(4,2)", ("12.34", "99.99")), ("person.phone", "numeric(10,2)", ("12345678.00", "1.00")),
    ("person.national_id", "uuid", ("3f2504e0-4f89-41d3-9a0c-0305e82c3301", "00000000-0000-0000-0000-000000000000")),
    ("network.address", "inet", ("10.1.2.3/8", "2001:db8::1", "::ffff:1.2.3.4")), ("network.address", "cidr", ("10.0.0.0/8", "2001:db8::/32")),
    ("network.mac", "macaddr", ("08:00:2b:01:02:03",)), ("network.mac", "macaddr8", ("08:00:2b:ff:fe:01:02:03",)),
    ("person.email", "varchar(20)", ("ada@gmail.com",)), ("person.name", "varchar(3)", ("Ada",)), ("person.name", "char(30)", ("Ada L.",)),
    ("person.name", "name", ("ada",)), ("person.national_id", "varchar(11)", ("101-11-1007",)), ("person.email", "text[]", ("{a@b.test,NULL}", "{}", "{{a,b},{c,d}}")),
    ("text.free", "jsonb", ('{"a": 1, "b": {"c": "x"}}', "[1]", "7", "null")), ("text.free", "json", ('{"a": 1, "a": 2}',)),
    ("finance.salary", "numeric(12,2)", ("1234.56",)), ("finance.salary", "money", ("12.34",)), ("finance.salary", "double precision", ("1e300", "NaN")),
    ("secret.credential", "bytea", ("\\x0102",)), ("health.code", "mood", ("good",)), ("person.birth_date", "int4range", ("[1,5)",)),
    ("location.coordinates", "point", ("(1,2)",)), ("unknown", "boolean", ("t",)), ("unknown", "bit(3)", ("101",)), ("unknown", "interval", ("1 day",)),
    ("person.phone", "phone", ("+49 30 1234567",)), ("unknown", "xml", ("<a/>",)), ("unknown", "mood[]", ("{good}",)), ("unknown", "time(3)", ("12:13",)),
)  # fmt: skip
TYPES_SCRIPT = "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN phone AS varchar(20);"


def substituted(catalog: Catalog, table: str, *hidden: str, filters: Mapping[int, str] | None = None) -> str:
    """The subquery of one table in which the named columns are masked."""
    relation = next(r for r in catalog.relations.values() if r.name == table)
    masked = frozenset(ColumnRef(relation.oid, c.attnum) for c in relation.columns.values() if c.name in hidden)
    return Substitution(catalog, masked, masked, filters or {}, frozenset()).subquery(relation.oid)


@pytest.fixture
def make(postgres: EmbeddedPostgres, make_database: MakeDatabase):  # type: ignore[no-untyped-def]
    with psycopg.connect(make_database(postgres, TYPES_SCRIPT), autocommit=True, prepare_threshold=None) as connection:
        yield connection


def table_of(connection: psycopg.Connection, label: str, kind: str, values: tuple[str, ...]) -> Catalog:
    connection.execute("DROP TABLE IF EXISTS t")
    connection.execute(f"CREATE TABLE t(id int PRIMARY KEY, v {kind})".encode())
    for number, value in enumerate((*values, None, values[0]), 1):
        connection.execute(f"INSERT INTO t VALUES (%s, %s::text::{kind})".encode(), (number, value))
    return read_catalog(connection, {("t", "v"): label})


def test_texts_of_every_label_become_stand_ins_that_hold_nothing_of_them(make: psycopg.Connection) -> None:
    for label, values in TEXTS.items():
        catalog = table_of(make, label, "text", tuple(values))
        rows = make.execute(substituted(catalog, "t", "v")[1:-1].encode()).fetchall()
        assert len(rows) == len(values) + 2, label
        assert rows[-2][1] is None
        assert rows[-1][1] == rows[0][1], (label, "equal values have equal stand-ins")
        for value, (_, shown) in zip(values, rows, strict=False):
            assert shown != value, label
            assert not any(piece in shown for piece in _pieces(value, label)), (label, value, shown)


def _pieces(value: str, label: str) -> list[str]:
    """Every three characters of a value in a row that are no separators, zeros or public parts."""
    public = {"person.email": "gmail.com", "person.birth_date": value, "person.phone": value[:4]}.get(label, "")
    parts = [value[i : i + 3] for i in range(len(value) - 2)]
    return [p for p in parts if p not in public and sum(c.isalnum() and c != "0" for c in p) == 3]


def test_values_of_every_type_become_values_of_that_type(make: psycopg.Connection) -> None:
    for label, kind, values in TYPED:
        catalog = table_of(make, label, kind, values)
        subquery = substituted(catalog, "t", "v")
        rows = make.execute(f"SELECT id, v::text, pg_typeof(v)::text FROM {subquery} s ORDER BY id".encode()).fetchall()
        assert len(rows) == len(values) + 2, (label, kind)
        assert rows[-2][1] is None
        assert rows[-1][1] == rows[0][1], (label, kind)
        expected = make.execute("SELECT pg_typeof(v)::text, v::text FROM t ORDER BY id").fetchall()
        bases = {"phone": "character varying"}
        assert {row[2] for row in rows} == {bases.get(expected[0][0], expected[0][0])}, (label, kind)


@pytest.mark.parametrize("style", ["SQL, DMY", "German", "Postgres, MDY", "ISO, YMD"])
def test_no_setting_of_the_session_changes_what_the_text_means(make: psycopg.Connection, style: str) -> None:
    days = ("1975-06-07", "20000-01-01", "infinity", "0044-03-15 BC")
    for kind in ("date", "timestamp", "timestamptz"):
        catalog = table_of(make, "person.birth_date", kind, days)
        query = f"SELECT extract(year from v) FROM {substituted(catalog, 't', 'v')} s WHERE v IS NOT NULL ORDER BY id".encode()
        make.execute(
            f"SET datestyle = '{style}'; SET standard_conforming_strings = off; SET search_path = public, pg_catalog".encode()
        )
        assert [int(row[0]) for row in make.execute(query).fetchall()] == [1975, 9999, 2000, 1, 1975], (kind, style)
        make.execute("RESET ALL")


def test_what_is_shown_does_not_change_when_values_are_renamed(make: psycopg.Connection) -> None:
    """The property itself, on the server: two tables that differ by a renaming that keeps the public shape look the same."""
    renamed = {
        "person.name": ("Ada Lovelace", "Zoe Quimby's"), "person.email": ("ada@corp.test", "zoe@firm.test"),
        "person.phone": ("+49 30 1234567", "+49 89 7654321"), "person.national_id": ("101-11-1007", "987-65-4321"),
        "payment.card": ("4539 5701 0013 0031", "9876 5432 1098 7654"), "payment.iban": ("DE89 3704 0044 0532 0130 00", "DE12 9876 5432 1098 7654 32"),
        "network.address": ("10.1.2.3", "99.88.77.66"), "network.mac": ("08:00:2b:01:02:03", "ff:ee:dd:cc:bb:aa"),
        "person.birth_date": ("1975-06-07", "1975-12-31"), "secret.credential": ("sk_live", "abcdefg"), "text.free": ("one", "two"),
    }  # fmt: skip
    for label, pair in renamed.items():
        shown = []
        for value in pair:
            catalog = table_of(make, label, "text", (value, value + "9", "x" + value))
            shown.append(make.execute(substituted(catalog, "t", "v")[1:-1].encode()).fetchall())
        assert shown[0] == shown[1], label


def test_numbers_follow_the_first_row_over_all_columns_of_a_class(make: psycopg.Connection) -> None:
    make.execute("CREATE TABLE a(id int PRIMARY KEY, mail text); CREATE TABLE b(x text, mail text, n int)")
    make.execute("INSERT INTO a VALUES (5, 'z@one.test'), (3, 'y@two.test'), (9, 'x@one.test')")
    make.execute("INSERT INTO b VALUES ('p', 'x@one.test', 1), ('q', 'new@three.test', 2), ('r', NULL, 3)")
    catalog = read_catalog(make, {("a", "mail"): "person.email", ("b", "mail"): "person.email"})
    masked = frozenset(
        ColumnRef(r.oid, c.attnum) for r in catalog.relations.values() for c in r.columns.values() if c.name == "mail"
    )
    both = Substitution(catalog, masked, masked, {}, frozenset())
    oids = {r.name: r.oid for r in catalog.relations.values()}
    rows = make.execute(f"SELECT id, mail FROM {both.subquery(oids['a'])} s".encode()).fetchall()
    assert rows == [(3, "s1@d-s1.example"), (5, "s2@d-s2.example"), (9, "s3@d-s2.example")]
    rows = make.execute(f"SELECT x, mail FROM {both.subquery(oids['b'])} s".encode()).fetchall()
    assert rows == [("p", "s3@d-s2.example"), ("q", "s4@d-s3.example"), ("r", None)]


def test_rows_outside_a_filter_are_neither_shown_nor_numbered(make: psycopg.Connection) -> None:
    make.execute("CREATE TABLE a(id int PRIMARY KEY, name text); INSERT INTO a VALUES (1, 'hidden'), (2, 'seen')")
    catalog = read_catalog(make, {("a", "name"): "person.name"})
    oid = next(r.oid for r in catalog.relations.values() if r.name == "a")
    rows = make.execute(substituted(catalog, "a", "name", filters={oid: "id > 1"})[1:-1].encode()).fetchall()
    assert rows == [(2, "Person S2")]


ASKED: tuple[tuple[str, tuple[Restriction, ...]], ...] = (
    ("id = 5", (Restriction("id", "=", (5,)),)), ("id = '5'", (Restriction("id", "=", ("5",)),)), ("id < -1", (Restriction("id", "<", (-1,)),)),
    ("id >= 3 AND id <= 7", (Restriction("id", ">=", (3,)), Restriction("id", "<=", (7,)))), ("id IN (2, 9, 11)", (Restriction("id", "in", (2, 9, 11)),)),
    ("code = 'c''1'", (Restriction("code", "=", ("c'1",)),)), ("code IN ('c2', 'c0')", (Restriction("code", "in", ("c2", "c0")),)),
    ("token = '00000000-0000-0000-0000-000000000003'", (Restriction("token", "=", ("00000000-0000-0000-0000-000000000003",)),)),
    ("id = 50000000000", (Restriction("id", "=", (50000000000,)),)),
)  # fmt: skip


def asked_table(make: psycopg.Connection, table: str = "a") -> tuple[Catalog, Relation]:
    make.execute(
        f"CREATE TABLE {table}(id int PRIMARY KEY, code text, token uuid, mail text, second text, phone text, born date)".encode()
    )
    make.execute(
        f"INSERT INTO {table} SELECT g, CASE g % 3 WHEN 1 THEN 'c''1' ELSE 'c' || g % 3 END, lpad(g::text, 32, '0')::uuid,"
        " CASE WHEN g <> 5 THEN 'm' || g % 4 || '@d' || g % 2 || '.test' END, CASE WHEN g <> 6 THEN 'm' || g % 3 || '@d1.test' END,"
        " '+49 30 ' || 1000000 + g % 5, '1975-06-07' FROM generate_series(1, 12) g".encode()
    )
    labels = {
        (table, "mail"): "person.email",
        (table, "phone"): "person.phone",
        (table, "second"): "person.email",
        (table, "born"): "person.birth_date",
    }
    catalog = read_catalog(make, labels)
    return catalog, next(r for r in catalog.relations.values() if r.name == table)


@pytest.mark.parametrize("numbered", [("mail",), ("mail", "phone"), ("mail", "second", "phone", "born")])
def test_of_the_rows_that_are_asked_for_the_same_is_seen_as_of_the_whole_table(
    make: psycopg.Connection, numbered: tuple[str, ...]
) -> None:
    """Which values are equal, which are NULL, and the shape; only the numbers are other ones, and they come from these rows alone."""
    catalog, relation = asked_table(make)
    masked = frozenset(
        ColumnRef(relation.oid, c.attnum)
        for c in relation.columns.values()
        if c.label in ("person.email", "person.phone", "person.birth_date")
    )
    reads = frozenset(m for m in masked if relation.columns[m.attnum].name in numbered)
    whole = Substitution(catalog, masked, reads, {}, frozenset())
    for condition, asked in ASKED:
        narrow = whole.narrowed({relation.oid: asked}, ())
        assert narrow is not None, condition
        assert narrow.subquery(relation.oid) != whole.subquery(relation.oid)
        rows = [
            make.execute(
                f"SELECT * FROM {made.subquery(relation.oid)} s WHERE {condition} ORDER BY id".encode()
            ).fetchall()
            for made in (whole, narrow)
        ]
        alone = make.execute(narrow.subquery(relation.oid)[1:-1].encode()).fetchall()
        assert alone == rows[1], "nothing else is in it"
        assert [row[:3] for row in rows[0]] == [row[:3] for row in rows[1]]
        for at in (3, 5, 6):
            among = [[row[at] for row in one] for one in rows]
            assert [[a == b for b in among[0]] for a in among[0]] == [[a == b for b in among[1]] for a in among[1]], (
                condition
            )
            assert [v is None for v in among[0]] == [v is None for v in among[1]]
        mails = [[value for row in one for value in row[3:5]] for one in rows]
        assert [[a == b for b in mails[0]] for a in mails[0]] == [[a == b for b in mails[1]] for a in mails[1]], (
            condition
        )


def test_values_of_rows_that_are_not_asked_for_decide_no_number(make: psycopg.Connection) -> None:
    catalog, relation = asked_table(make)
    masked = frozenset(
        ColumnRef(relation.oid, c.attnum) for c in relation.columns.values() if c.name in ("mail", "phone")
    )
    for condition, asked in ASKED:
        narrow = Substitution(catalog, masked, masked, {}, frozenset()).narrowed({relation.oid: asked}, ())
        assert narrow is not None
        text = narrow.subquery(relation.oid)[1:-1].encode()
        before = make.execute(text).fetchall()
        with make.transaction(force_rollback=True):
            make.execute(
                f"UPDATE a SET mail = 'm' || id % 2 || '@d1.test', phone = 'none' WHERE ({condition}) IS NOT TRUE".encode()
            )
            assert make.execute(text).fetchall() == before, condition


def test_what_may_be_compared_otherwise_or_is_hidden_narrows_nothing(make: psycopg.Connection) -> None:
    catalog, relation = asked_table(make)
    mail = frozenset(ColumnRef(relation.oid, c.attnum) for c in relation.columns.values() if c.name == "mail")
    whole = Substitution(catalog, mail, mail, {}, frozenset())
    given = Given(parameter=True, at=1)
    for one, types in (
        (Restriction("mail", "=", ("x",)), ()),
        (Restriction("nothing", "=", ("x",)), ()),
        (Restriction("born", "=", ("1975-06-07",)), ()),
        (Restriction("code", "<", ("x",)), ()),
        (Restriction("code", "=", (7,)), ()),
        (Restriction("code", "=", ("a\\b",)), ()),
        (Restriction("id", "=", (1 << 63,)), ()),
        (Restriction("id", "=", (given,)), ()),
        (Restriction("id", "=", (given,)), (1700,)),
        (Restriction("code", "=", (given,)), (1043,)),
        (Restriction("id", "any", (given,)), (1009,)),
        (Restriction("id", "any", (5,)), ()),
    ):
        assert whole.narrowed({relation.oid: (one,)}, types) is None, one
    for types, text in (((20,), "= $1::pg_catalog.int8"), ((1007,), "= ANY ($1::pg_catalog.int4[])")):
        narrow = whole.narrowed(
            {relation.oid: (Restriction("id", "any" if types == (1007,) else "=", (given,)),)}, types
        )
        assert narrow is not None
        assert text in narrow.subquery(relation.oid).replace("OPERATOR(pg_catalog.=)", "=")
    hidden = Substitution(catalog, mail, mail, {}, frozenset(), frozenset({ColumnRef(relation.oid, 1)}))
    assert hidden.narrowed({relation.oid: (Restriction("id", "=", (5,)),)}, ()) is None


@pytest.mark.parametrize(
    "forced", ["enable_hashjoin = off; SET enable_nestloop = off", "enable_seqscan = off", "enable_hashagg = off"]
)
def test_no_plan_shows_the_order_of_values(make: psycopg.Connection, forced: str) -> None:
    make.execute(
        "CREATE TABLE a(id int PRIMARY KEY, city text, name text); CREATE INDEX ON a (name); CREATE INDEX ON a (city, name)"
    )
    make.execute(
        "INSERT INTO a SELECT g, 'c' || g % 3, chr(122 - g % 26) || g FROM generate_series(1, 60) g; ANALYZE a"
    )
    catalog = read_catalog(make, {("a", "name"): "person.name"})
    make.execute(f"SET {forced}".encode())
    subquery = substituted(catalog, "a", "name")
    for text in (f"SELECT id, name FROM {subquery} s", f"SELECT id FROM {subquery} s WHERE city = 'c1'"):
        found = [row[0] for row in make.execute(text.encode()).fetchall()]
        assert found == sorted(found)
    make.execute("RESET ALL")


def test_filtered_rows_are_not_ordered_by_what_is_masked_in_the_answer(make: psycopg.Connection) -> None:
    make.execute("CREATE TABLE a(id int PRIMARY KEY, mail text NOT NULL UNIQUE); CREATE INDEX ON a (id, mail)")
    catalog = read_catalog(make, {("a", "mail"): "person.email"})
    relation = next(r for r in catalog.relations.values() if r.name == "a")
    hidden = frozenset({ColumnRef(relation.oid, 2)})
    filters = {relation.oid: "mail LIKE '%'"}
    assert (
        Substitution(catalog, frozenset(), frozenset(), filters, frozenset())
        .subquery(relation.oid)
        .endswith("AS lockgate_b)")
    )
    text = Substitution(catalog, frozenset(), frozenset(), filters, frozenset(), hidden).subquery(relation.oid)
    assert text.endswith('ORDER BY lockgate_b."id")')


def test_masked_columns_that_a_statement_does_not_read_are_not_read(make: psycopg.Connection) -> None:
    make.execute("CREATE TABLE a(id int PRIMARY KEY, name text, other text)")
    catalog = read_catalog(make, {("a", "name"): "person.name", ("a", "other"): "person.name"})
    relation = next(r for r in catalog.relations.values() if r.name == "a")
    masked = frozenset({ColumnRef(relation.oid, 2), ColumnRef(relation.oid, 3)})
    text = Substitution(catalog, masked, frozenset({ColumnRef(relation.oid, 2)}), {}, frozenset()).subquery(
        relation.oid
    )
    assert 'lockgate_b."name"' in text
    assert 'lockgate_b."other"' not in text


def test_documents_keep_their_labelled_paths_only(make: psycopg.Connection) -> None:
    make.execute("CREATE TABLE a(id int PRIMARY KEY, d jsonb)")
    document = '{"theme": "dark", "n": 5, "phone": "123", "contact": {"alt": "x@y.test", "z": 1}, "who": "Ada", "deep": {"theme": "t"}}'
    make.execute("INSERT INTO a VALUES (1, %s::text::jsonb), (2, '[1]'), (3, NULL)", (document,))
    catalog = read_catalog(make, {("a", "d"): "text.free"})
    relation = next(r for r in catalog.relations.values() if r.name == "a")
    paths = (
        (("theme",), "none"),
        (("n",), "none"),
        (("phone",), "person.phone"),
        (("contact", "alt"), "person.email"),
        (("deep",), "none"),
    )
    column = replace(relation.columns[2], json_labels=paths)
    changed = replace(relation, columns={**relation.columns, 2: column})
    catalog = replace(catalog, relations={**catalog.relations, relation.oid: changed})
    rows = make.execute(substituted(catalog, "a", "d")[1:-1].encode()).fetchall()
    assert rows[0][1] == {"theme": "dark", "n": 5, "phone": "[phone]", "contact": {"alt": "[email]"}}
    assert [row[1] for row in rows[1:]] == [{}, None]


def test_the_planner_expects_no_other_rows_where_a_masked_value_chooses_the_partition(make: psycopg.Connection) -> None:
    expected = []
    for letter in ("a", "z"):  # the rows that repeat a number are a partition of their own, and then are not
        make.execute("DROP TABLE IF EXISTS l")
        make.execute("CREATE TABLE l(v text, n int) PARTITION BY LIST (left(v, 1))")
        make.execute("CREATE TABLE l_a PARTITION OF l FOR VALUES IN ('a')")
        make.execute("CREATE TABLE l_z PARTITION OF l DEFAULT")
        make.execute(
            f"INSERT INTO l SELECT CASE WHEN n % 7 = 0 THEN '{letter}' ELSE 'z' END || n,"
            f" CASE WHEN n % 7 = 0 THEN 5 ELSE n END FROM generate_series(1, 3000) n".encode()
        )
        make.execute("ANALYZE l, l_a, l_z")
        subquery = substituted(read_catalog(make, {("l", "v"): "text.free"}), "l", "v")
        (plan,) = make.execute(
            f"EXPLAIN (FORMAT JSON) SELECT n FROM {subquery} s WHERE n = (SELECT 5)".encode()
        ).fetchall()
        expected.append(plan[0][0]["Plan"]["Plan Rows"])
    assert expected[0] == expected[1]
