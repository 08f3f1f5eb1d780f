"""Series E: errors, counters and side channels are results like any other.

Source: threats E-01 to E-22; architecture promise 5.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping, Sequence

import psycopg

from attacks.series import Place, by_case
from corpus.client import Answer
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres import tags

MASKED: Mapping[str, Sequence[str]] = {
    "E-01": ("SELECT ssn::int FROM users WHERE id = 1", "SELECT email::int FROM users", "SELECT full_name::uuid FROM users"),
    "E-02": ("UPDATE users SET full_name = NULL WHERE id = 1", "INSERT INTO users(id, full_name) SELECT id + 900, NULL FROM users WHERE id = 1"),
    "E-03": ("INSERT INTO users(id, full_name, email) SELECT 901, 'x', email FROM users WHERE id = 1", "INSERT INTO users(id, full_name) VALUES (1, 'x')"),
    "E-04": ("DELETE FROM users WHERE id = 2", "INSERT INTO orders(order_id, user_id) VALUES (999, 99999)"),
    "E-05": ("SELECT tell(1)",),
    "E-06": ("COPY users(id, ssn) FROM STDIN", "COPY orders(order_id, user_id) FROM STDIN"),
    "E-07": ("SELECT (replace(ssn, '-', '')::bigint * 9000000000)::int FROM users", "SELECT 1 / (ascii(substr(ssn, 1, 1)) - 55) FROM users",
             "SELECT 1 / (id - 1), email FROM users"),
    "E-08": ("SELECT email::regclass FROM users", "SELECT ('{' || email)::json FROM users", "SELECT ('<' || email)::xml FROM users",
             "SELECT to_date(full_name, 'YYYY') FROM users", "SELECT email::regtype, email::regproc FROM users",
             "SELECT timestamptz '2026-01-01' AT TIME ZONE email FROM users"),
    "E-11": ("SET client_min_messages = debug5; SELECT email FROM users WHERE id = 1", "SET debug_print_plan = on", "SET log_min_messages = debug5",
             "DO $$ BEGIN RAISE NOTICE '%', (SELECT email FROM users WHERE id = 1); END $$"),
    "E-12": ("EXPLAIN SELECT id FROM users WHERE email LIKE 'canary1%'", "EXPLAIN (ANALYZE) SELECT id FROM users WHERE email LIKE 'canary1%'",
             "EXPLAIN (VERBOSE) SELECT email FROM users"),
    "E-16": ("SELECT pid, query FROM pg_stat_activity", "SELECT * FROM pg_locks", "SELECT * FROM pg_stat_statements", "SELECT most_common_vals FROM pg_stats"),
}  # fmt: skip

TRIGGERS = (
    "INSERT INTO noisy VALUES (1, 'x')", "INSERT INTO noisy VALUES (2, 'fail')", "DELETE FROM quiet WHERE id = 3",
    "BEGIN; DELETE FROM quiet WHERE id = 4; COMMIT", "BEGIN; DELETE FROM quiet WHERE id = 5; SET CONSTRAINTS ALL IMMEDIATE; COMMIT",
)  # fmt: skip

HIT = "canary1@raw-value.example"
MISS = "canary1@raw-valuf.example"


def outcome(answer: Answer) -> list[tuple[int, bytes]]:
    """Everything a client sees but the number of its own request."""
    kept = []
    for frame in answer.frames:
        if frame.tag == tags.ERROR_RESPONSE:
            kept.append((frame.tag, b"|".join(f"{e.sqlstate}{e.message}".encode() for e in answer.errors)))
        elif frame.tag != tags.PARAMETER_STATUS:
            kept.append((frame.tag, frame.body))
    return kept


def test_errors_notices_plans_and_activity_show_nothing_stored(place: Place) -> None:
    before = place.state()
    assert by_case(MASKED, place.shown) == {}
    assert place.state() == before


def test_triggers_of_unlabelled_tables_may_say_what_they_like(place: Place) -> None:
    """E-05, E-11: what code says while it runs is not shown, also when only a foreign key leads to it, and at COMMIT."""
    assert place.shown(TRIGGERS) == []
    assert place.ask("INSERT INTO noisy VALUES (3, 'fail')").errors[0].sqlstate == "P0001"
    assert not place.ask("INSERT INTO noisy VALUES (4, 'x')").errors


def test_a_guess_that_is_right_looks_like_one_that_is_wrong(place: Place) -> None:
    """E-09, E-12, E-17: rows, tags, errors and plans are equal for a stored value and for one that is not."""
    for text in (
        "SELECT id FROM users WHERE email = '{}'", "SELECT count(*) FROM users WHERE email = '{}'", "EXPLAIN SELECT id FROM users WHERE email = '{}'",
        "EXPLAIN SELECT id FROM users WHERE email < '{}'", "UPDATE users SET hits = 1 WHERE email = '{}'", "DELETE FROM orders WHERE contact_email = '{}'",
        "SELECT 1 / (CASE WHEN email = '{}' THEN 0 ELSE 1 END) FROM users WHERE id = 1", "INSERT INTO users(id, full_name, email) VALUES (950, 'x', '{}')",
        "SELECT id FROM users WHERE email IN ('{}', 'x')", "SELECT id FROM users WHERE '{}' = ANY (ARRAY[email])",
        "SELECT nullif(email, '{}') IS NULL FROM users WHERE id = 1",
    ):  # fmt: skip
        for who in ("bot", "ann"):
            hit, miss = place.ask(text.format(HIT), who), place.ask(text.format(MISS), who)
            seen, other = (
                outcome(hit),
                [(tag, body.replace(MISS.encode(), HIT.encode())) for tag, body in outcome(miss)],
            )
            assert [t for t, _ in seen] == [t for t, _ in other], text
            assert len(hit.rows) == len(miss.rows), text
            assert [e.sqlstate for e in hit.errors] == [e.sqlstate for e in miss.errors], text


def test_a_guess_that_is_bound_tells_as_little(place: Place) -> None:
    """E-17: at Parse, Bind, Describe and Execute."""
    found = []
    for value in (HIT, MISS):
        client = place.client()
        client.send(
            fe.Parse("", "SELECT id FROM users WHERE email = $1").encode(),
            *client.bound([value]),
            fe.Execute("").encode(),
            fe.Sync().encode(),
        )
        answer = client.read()
        found.append(([f.tag for f in answer.frames], [e.sqlstate for e in answer.errors], len(answer.rows)))
    assert found[0] == found[1]


def test_an_error_position_points_into_the_clients_own_text(place: Place) -> None:
    """E-10."""
    text = "SELECT order_id, no_such_column FROM orders"
    (error,) = place.ask(text).errors
    assert error.sqlstate == "42703"
    assert int(error.fields["P"]) == text.index("no_such_column") + 1


def test_relations_that_hold_secrets_are_refused_without_a_row(place: Place) -> None:
    """E-15: and with the same SQLSTATE."""
    there, absent = place.ask("SELECT * FROM pg_authid"), place.ask("SELECT * FROM pg_statistic")
    assert [e.sqlstate for e in there.errors] == [e.sqlstate for e in absent.errors] != []
    assert there.rows + absent.rows == []


def test_a_denied_statement_uses_up_no_sequence_value(place: Place) -> None:
    """E-19."""
    before = place.state()
    for text in ("SELECT nextval('s')", "INSERT INTO parent SELECT nextval('s')", "SELECT 1; SELECT nextval('s')"):
        assert place.ask(text).errors
    assert place.state() == before


def test_logs_and_metrics_of_the_gate_have_no_literal_and_no_row(place: Place) -> None:
    """E-20, E-21, E-22."""
    place.ask(f"SELECT id FROM users WHERE email = '{HIT}' AND upper(email) = 'mark-8812'")
    place.ask("SELECT id, email FROM users ORDER BY id")
    written = (place.gate.folder / "stderr.txt").read_bytes()
    if place.gate.metrics:
        with urllib.request.urlopen(f"http://{place.gate.metrics}/metrics", timeout=10) as reply:
            written += reply.read()
    for word in (b"mark-8812", b"canary", b"raw-value", b"Quenby"):
        assert word not in written


def test_a_lock_of_another_session_ends_in_an_error_that_says_nothing(place: Place) -> None:
    """E-18: analysis waits for no lock longer than its limit, and says only that there is one."""
    with psycopg.connect(place.owner) as owner:
        owner.execute("LOCK TABLE parent IN ACCESS EXCLUSIVE MODE")
        (error,) = place.ask("SELECT id FROM parent WHERE id = 41").errors
        assert error.sqlstate == "55P03"
        assert "41" not in error.message
        owner.rollback()


def test_what_another_has_asked_is_not_remembered_for_one(place: Place) -> None:
    """E-14: decisions are remembered by principal, so that no one learns from a faster answer that another has asked."""
    text = "SELECT order_id, 'asked-once' FROM orders WHERE order_id = 7"

    def judged_anew() -> float:
        with urllib.request.urlopen(f"http://{place.gate.metrics}/metrics", timeout=10) as reply:
            lines = reply.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("lockgate_decisions_cached"))

    place.ask(text)
    before = judged_anew()
    place.ask(text, "ann")
    assert judged_anew() == before
