"""Series K: what got through the masks of others.

Source: threats K-01 to K-40; architecture promise 5. Where those are played that are not here, `threats` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg
import pytest

from attacks.series import SIMPLE, Place, by_case

MASKED: Mapping[str, Sequence[str]] = {
    "K-01": ("SELECT to_jsonb(u) FROM users u", "SELECT row_to_json(u) FROM users u", "SELECT json_agg(u) FROM users u", "SELECT u FROM users u",
             "SELECT l.x FROM users u, LATERAL (SELECT u AS x) l", "SELECT ((x.u).email) FROM (SELECT u FROM users u) x",
             "SELECT u FROM users u UNION ALL SELECT u FROM users u", "UPDATE users u SET hits = 1 WHERE id = 1 RETURNING to_jsonb(u)",
             "INSERT INTO b.t SELECT 1, to_jsonb(u)::text FROM users u WHERE id = 1 RETURNING v"),
    "K-02": ("SELECT status FROM orders WHERE false UNION ALL SELECT ssn FROM users", "VALUES ('x'), ((SELECT ssn FROM users WHERE id = 1))",
             "SELECT id, hits FROM users WHERE false UNION ALL SELECT id, salary FROM users"),
    "K-03": ("WITH x AS (SELECT email AS m FROM users) SELECT m FROM x", "SELECT y.z FROM (SELECT x.m AS z FROM (SELECT email AS m FROM users) x) y"),
    "K-05": ("SELECT CASE WHEN ssn = '701-44-1007' THEN ssn END FROM users WHERE id = 1",),
    "K-07": ("SELECT string_agg(email, ',') FROM users", "SELECT min(email), max(ssn) FROM users", "SELECT id, max(ssn) FROM users GROUP BY id"),
    "K-09": ("EXPLAIN (VERBOSE) SELECT email FROM users WHERE email > 'c'", "EXPLAIN (FORMAT JSON, ANALYZE) SELECT email FROM users"),
    "K-11": ("SELECT ssn FROM users", "SELECT ssn FROM public.users", "SELECT public.users.ssn FROM public.users"),
    "K-13": ("SELECT order_id FROM orders o WHERE EXISTS (SELECT 1 FROM users u WHERE u.email = o.contact_email AND u.ssn LIKE '70%')",
             "SELECT ssn FROM users INTERSECT SELECT '701-44-1007'", "SELECT o.order_id FROM orders o, users u WHERE u.ssn > '705' LIMIT 3"),
    "K-14": ("SELECT substr(ssn, 1, 1), count(*) FROM users GROUP BY 1 UNION ALL SELECT 'label', 0",),
    "K-15": ("SELECT id, email FROM users ORDER BY ssn", "SELECT id FROM users ORDER BY email", "SELECT id, rank() OVER (ORDER BY ssn), email FROM users"),
    "K-16": ("SELECT count(*) FILTER (WHERE ssn LIKE '70%') FROM users",),
    "K-17": ("UPDATE users SET notes = ssn WHERE id = 1 RETURNING notes", "CREATE TABLE loot AS SELECT email FROM users", "SELECT e, s FROM copied",
             "CREATE TEMP TABLE loot AS SELECT email FROM users", "UPDATE orders SET status = u.ssn FROM users u WHERE u.id = user_id AND order_id = 1 RETURNING status",
             "INSERT INTO users(id, full_name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET notes = users.ssn RETURNING notes"),
    "K-19": ("SELECT read_sql(1)", "SELECT tell(1)", "SELECT over('x'::text)"),
    "K-20": ("SELECT public.md5(email) FROM users", "SET search_path = public, pg_catalog; SELECT md5(email) FROM users", "SELECT md5(email) FROM users"),
    "K-21": ("SELECT email::name, email::bytea, ssn::bpchar FROM users",),
    "K-23": ("BEGIN; DECLARE c CURSOR FOR SELECT email, ssn FROM users; FETCH ALL FROM c; COMMIT", "COPY users TO STDOUT", "COPY (SELECT * FROM users) TO STDOUT"),
    "K-27": ("SELECT most_common_vals, histogram_bounds FROM pg_stats", "SELECT * FROM pg_stats_ext_exprs", "SELECT stavalues1 FROM pg_statistic"),
    "K-28": ("SELECT * FROM renamed", "SELECT mail, area FROM contacts", "SELECT * FROM pg_catalog.pg_stats_ext"),
    "K-29": ("SELECT '' = email, email IS NULL FROM users WHERE id = 1",),
    "K-31": ("SELECT substr(email, 1, 6), substr(email, 7) FROM users", "SELECT encode(email::bytea, 'base64'), encode(email::bytea, 'hex') FROM users",
             "SELECT translate(ssn, '0123456789', 'abcdefghij') FROM users", "SELECT string_to_array(ssn, NULL) FROM users",
             "SELECT regexp_split_to_table(ssn, '') FROM users WHERE id = 1", "SELECT to_json(email) FROM users"),
    "K-33": ("SELECT left(ssn, 6) || right(ssn, 5) FROM users", "SELECT left(ssn, 6), right(ssn, 5) FROM users"),
    "K-34": ("SET ROLE postgres; SELECT email FROM users", "SET SESSION AUTHORIZATION DEFAULT; SELECT email FROM users"),
    "K-35": ("UPDATE users SET hits = 2 WHERE id = 1 RETURNING old.ssn", "SELECT xmin, ctid, email FROM users"),
    "K-36": ("SELECT notes FROM users", "SELECT prefs FROM users", "SELECT prefs->'phone', prefs #>> '{phone}' FROM users",
             "SELECT jsonb_path_query(prefs, '$.phone') FROM users"),
    "K-38": ("SELECT to_tsvector('simple', notes) FROM users", "SELECT id FROM users WHERE to_tsvector('simple', notes) @@ 'canary1'::tsquery",
             "SELECT ts_headline(notes, 'refund'::tsquery) FROM users"),
}  # fmt: skip


DENIED: Mapping[str, Sequence[str]] = {
    "K-40": ("SELECT * FROM pg_logical_slot_get_changes('x', NULL, NULL)", "SELECT * FROM pg_logical_slot_peek_binary_changes('x', NULL, NULL)",
             "SELECT pg_create_logical_replication_slot('x', 'test_decoding')", "CREATE PUBLICATION x FOR ALL TABLES"),
}  # fmt: skip


def test_the_log_of_changes_is_closed_before_a_byte(place: Place) -> None:
    assert by_case(DENIED, place.let_through) == {}


def test_what_got_through_others_shows_nothing_stored(place: Place) -> None:
    before = place.state()
    assert by_case(MASKED, place.shown) == {}
    assert by_case(MASKED, lambda texts: place.shown(texts, "ann", SIMPLE)) == {}
    assert place.state() == before


@pytest.mark.parametrize("probe", ["email = '{}'", "email LIKE '{}'", "email < '{}'", "'{}' IN (email, ssn)"])
def test_predicates_on_masked_columns_tell_nothing_of_a_guess(place: Place, probe: str) -> None:
    """K-06, K-13: the number of rows and the errors are the same for a stored value and another one."""
    text = f"SELECT id FROM users WHERE {probe}"
    answers = [place.ask(text.format(value)) for value in ("canary1@raw-value.example", "canaryX@raw-value.example")]
    assert len(answers[0].rows) == len(answers[1].rows) or probe.startswith("email <")
    assert [e.sqlstate for e in answers[0].errors] == [e.sqlstate for e in answers[1].errors]


def test_an_order_by_a_hidden_value_is_not_the_real_order(place: Place) -> None:
    """K-15: these values are drawn so that their order has nothing to do with any number that stands in for them."""
    with psycopg.connect(place.owner, autocommit=True) as owner:
        owner.execute(
            "CREATE TABLE drawn(id int PRIMARY KEY, email text); INSERT INTO drawn SELECT g, md5(g::text) || '@x' FROM generate_series(1, 60) g"
        )
        real = [row[0] for row in owner.execute("SELECT id FROM drawn ORDER BY email").fetchall()]
        try:
            place.wait_for("SELECT id FROM drawn ORDER BY id")
            for text in (
                "SELECT id FROM drawn ORDER BY email",
                "SELECT id FROM drawn ORDER BY email DESC",
                "SELECT id FROM drawn ORDER BY upper(email)",
            ):
                ids = [int(row[0] or b"0") for row in place.ask(text).rows]
                assert ids not in (real, real[::-1]), text
        finally:
            owner.execute("DROP TABLE drawn")


def test_labels_stay_with_columns_that_are_renamed_and_with_new_children(place: Place) -> None:
    """K-18: a column that nobody has named yet is masked for agents; a child, a partition and their copies follow their parent."""
    with psycopg.connect(place.owner, autocommit=True) as owner:
        owner.execute("CREATE TABLE kid () INHERITS (users); INSERT INTO kid SELECT * FROM ONLY users WHERE id < 4")
        owner.execute("ALTER TABLE kid ADD harmless text; UPDATE kid SET harmless = email")
        try:
            assert (
                place.shown(["SELECT ssn, email FROM kid", "SELECT harmless FROM kid", "SELECT email FROM users"]) == []
            )
            assert place.rows("SELECT id FROM users WHERE id = 1") == [[b"1"], [b"1"]], "of the parent and the child"
        finally:
            owner.execute("DROP TABLE kid")


def test_a_renamed_column_stays_masked_for_people_who_see_what_has_no_label(place: Place) -> None:
    """K-18."""
    with psycopg.connect(place.owner, autocommit=True) as owner:
        owner.execute("ALTER TABLE users RENAME COLUMN notes TO harmless; ALTER TABLE orders RENAME TO bookings")
        try:
            place.wait_for("SELECT harmless FROM users", who="ann")
            place.wait_for("SELECT contact_email FROM bookings", who="ann")
            assert (
                place.shown(
                    ["SELECT harmless FROM users", "SELECT contact_email FROM bookings", "SELECT * FROM users"], "ann"
                )
                == []
            )
        finally:
            owner.execute("ALTER TABLE users RENAME COLUMN harmless TO notes; ALTER TABLE bookings RENAME TO orders")
    place.wait_for("SELECT order_id, notes FROM users, orders LIMIT 1", who="root")
    for who in ("bot", "ann"):  # nobody is left with the names of before
        place.wait_until("SELECT order_id FROM orders WHERE order_id = 1", [[b"1"]], who)


def test_a_masked_value_cannot_be_written_back(place: Place) -> None:
    """K-25, K-29: neither a mask nor a guess becomes a stored value."""
    before = place.state()
    shown = place.rows("SELECT email FROM users WHERE id = 1")[0][0] or b""
    for value in (shown.decode(), "guess@raw-value.example"):
        for who in ("bot", "ann", "etl"):
            assert place.ask(f"UPDATE users SET email = '{value}' WHERE id = 1", who).errors
    assert place.state() == before


def test_a_literal_that_was_guessed_is_not_in_clear_in_the_record(place: Place) -> None:
    """K-26."""
    place.ask("SELECT id FROM users WHERE email = 'guessed-9431@raw-value.example'")
    recorded = b"".join(path.read_bytes() for path in (place.gate.folder / "log").rglob("*") if path.is_file())
    assert recorded
    assert b"guessed-9431" not in recorded


def test_equal_values_have_equal_masks_wherever_they_stand(place: Place) -> None:
    """K-29, K-30: joins by mask hold, different values stay different, and no mask is another person's stored value."""
    users = {row[0]: row[1] for row in place.rows("SELECT id, email FROM users ORDER BY id")}
    for user, mail in place.rows("SELECT user_id, contact_email FROM orders ORDER BY order_id"):
        assert users[user] == mail
    assert len(set(users.values())) == len(users)
    with psycopg.connect(place.owner) as owner:
        stored = {str(row[0]).encode() for row in owner.execute("SELECT email FROM users").fetchall()}
    assert not stored & {value for value in users.values() if value}


def test_counts_without_columns_are_right(place: Place) -> None:
    """K-10."""
    assert place.rows("SELECT count(*) FROM users") == [[b"200"]]
    assert len(place.rows("SELECT FROM users")) == 200


def test_names_with_quotes_in_them_are_only_names(place: Place) -> None:
    """K-24: what the gate writes into a statement over stand-ins has the names of tables and columns, whatever they are."""
    table, column = '"o\'dd ""; --t"', '"e\'mail"" || $x$ /* "'
    with psycopg.connect(place.owner, autocommit=True) as owner:
        owner.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, {column} text)".encode())
        owner.execute(f"INSERT INTO {table} SELECT id, email FROM users".encode())
        try:
            place.wait_for(f"SELECT id FROM {table}")
            texts = [
                f"SELECT {column} FROM {table}",
                f"SELECT upper(t.{column}), id FROM {table} t ORDER BY t.{column} LIMIT 9",
            ]
            assert place.refused(texts) == []
            assert place.shown(texts) == []
        finally:
            owner.execute(f"DROP TABLE {table}".encode())
