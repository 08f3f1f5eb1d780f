"""What masking is known to leave open: each gap of docs/masking.md is shown to be there, so that the list stays true.

A test that fails here is good news or bad: the gap has closed (take it out of the list), or it is wider than the list says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
import pytest

from attacks.series import Place

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "masking.md"


def equal_values_have_equal_masks(place: Place) -> bool:
    masks = Counter(row[0] for row in place.rows("SELECT contact_email FROM orders"))
    return sorted(masks.values()) == sorted(_counts(place, "SELECT count(*) FROM orders GROUP BY contact_email"))


def nulls_show(place: Place) -> bool:
    return place.rows("SELECT count(*) FROM orders WHERE contact_email IS NULL") == [[b"0"]]


def shared_domains_show(place: Place) -> bool:
    domains = {(row[0] or b"").rpartition(b"@")[2] for row in place.rows("SELECT email FROM users")}
    return len(domains) == 1


def lengths_show(place: Place) -> bool:
    shown = place.rows("SELECT id, ssn FROM users ORDER BY id LIMIT 9")
    return all(len(mask or b"") == len("701-44-1007") and (mask or b"").count(b"-") == 2 for _, mask in shown)


def years_show(place: Place) -> bool:
    shown = [(row[0] or b"").decode() for row in place.rows("SELECT birth_date FROM users ORDER BY id LIMIT 9")]
    stored = _texts(place, "SELECT birth_date::text FROM users ORDER BY id LIMIT 9")
    return [s[:4] for s in shown] == [s[:4] for s in stored] and all(s.endswith("-01-01") for s in shown)


def rows_show(place: Place) -> bool:
    return (
        place.rows("SELECT count(*) FROM users") == [[b"200"]]
        and len(place.rows("SELECT id FROM users WHERE id = 7")) == 1
    )


def places_and_ages_show(place: Place) -> bool:
    numbered = place.rows("SELECT txid_current() > 0")
    return numbered == [[b"t"]] and bool(place.rows("SELECT ctid, xmin FROM users WHERE id = 1"))


def estimates_show(place: Place) -> bool:
    plan = b" ".join(row[0] or b"" for row in place.rows("EXPLAIN SELECT id, hits FROM users"))
    pages = place.rows("SELECT relpages FROM pg_class WHERE relname = 'users'")
    return b"rows=200" in plan and int(pages[0][0] or b"0") > 0


def definitions_show(place: Place) -> bool:
    return bool(place.rows("SELECT pg_get_viewdef('contacts'::regclass)"))


def columns_labelled_none_show(place: Place) -> bool:
    return place.rows("SELECT DISTINCT v FROM a.t ORDER BY v", "ann") == [[b"open"], [b"paid"], [b"void"]]


def unlabelled_columns_show_to_people(place: Place) -> bool:
    people = place.rows("SELECT v FROM a.t WHERE id = 1", "ann")
    agents = place.rows("SELECT v FROM a.t WHERE id = 1", "bot")
    return people == [[b"open"]] and agents != people


def what_triggers_stop_shows(place: Place) -> bool:
    """The agent may write where this trigger is; it stops what it likes, and nobody knows why."""
    stopped = place.ask("INSERT INTO noisy VALUES (77, 'fail')")
    passed = place.ask("INSERT INTO noisy VALUES (77, 'fine')")
    return bool(stopped.errors) and not passed.errors


def counts_of_different_values_show(place: Place) -> bool:
    counted = _counts(place, "SELECT count(DISTINCT salary) FROM users WHERE id < 4")
    return place.rows("SELECT count(DISTINCT salary) FROM users WHERE id < 4") == [[str(counted[0]).encode()]]


def order_in_changed_copies_shows(place: Place) -> bool:
    """A changed row that stands before one that was not changed was put where another had been: it fitted there."""
    for text in (
        "CREATE TEMPORARY TABLE moved AS SELECT id, notes FROM users",
        "DELETE FROM moved WHERE id % 9 = 1",
        "SELECT count(*) FROM moved",
        "UPDATE moved SET id = -id WHERE id % 7 = 0",
    ):
        place.rows(text)
    numbers = [int(row[0] or b"0") for row in place.rows("SELECT id FROM moved")]
    place.rows("DROP TABLE moved")
    return numbers != sorted(numbers, key=lambda number: number < 0)


GAPS: Mapping[str, Callable[[Place], bool]] = {
    "KG-01": equal_values_have_equal_masks,
    "KG-02": nulls_show,
    "KG-03": shared_domains_show,
    "KG-04": lengths_show,
    "KG-05": years_show,
    "KG-06": rows_show,
    "KG-07": places_and_ages_show,
    "KG-08": estimates_show,
    "KG-09": definitions_show,
    "KG-10": columns_labelled_none_show,
    "KG-11": unlabelled_columns_show_to_people,
    "KG-12": what_triggers_stop_shows,
    "KG-13": counts_of_different_values_show,
    "KG-14": order_in_changed_copies_shows,
}


def _counts(place: Place, query: str) -> list[int]:
    return [int(text) for text in _texts(place, query)]


def _texts(place: Place, query: str) -> list[str]:
    with psycopg.connect(place.owner) as owner:
        return [str(row[0]) for row in owner.execute(query.encode()).fetchall()]


def test_the_list_in_the_documentation_is_the_list_of_tests() -> None:
    named = re.findall(r"\*\*(KG-\d+)\*\*", DOCUMENT.read_text(encoding="utf-8"))
    assert named == sorted(GAPS)


@pytest.mark.parametrize("gap", sorted(GAPS))
def test_a_listed_gap_is_open(place: Place, gap: str) -> None:
    assert GAPS[gap](place), f"{gap} is closed or wider than docs/masking.md says"


CLOSED = (
    "SELECT most_common_vals, n_distinct, correlation FROM pg_stats WHERE tablename = 'users'",
    "SELECT pg_relation_size('users')",
    "SELECT relpages, reltuples FROM pg_class c JOIN pg_statistic s ON s.starelid = c.oid",
    "EXPLAIN SELECT id FROM users WHERE email = 'x'",
    "EXPLAIN ANALYZE SELECT email FROM users WHERE ssn > '7'",
    "SELECT id FROM users ORDER BY email <-> 'x'",
    "SELECT last_value FROM s",
    "SELECT * FROM pg_locks",
    "SELECT query FROM pg_stat_activity",
    "SELECT statement FROM pg_prepared_statements",
    "SELECT current_query()",
    "SELECT * FROM pg_largeobject",
    "SELECT pg_export_snapshot()",
    "SELECT count(*) FROM pg_locks",
    "SELECT * FROM pg_stat_user_tables",
    "SELECT * FROM pg_stat_user_indexes",
    "SELECT * FROM pg_stat_io",
    "SELECT * FROM pg_stat_statements",
    "SELECT * FROM pg_stat_progress_copy",
)


@pytest.mark.parametrize("text", CLOSED)
def test_a_channel_that_is_not_on_the_list_is_closed(place: Place, text: str) -> None:
    answer = place.ask(text)
    assert answer.errors, f"open and not on the list of docs/masking.md: {text}"
    assert not answer.rows


def test_sizes_are_those_of_stand_ins(place: Place) -> None:
    text = "SELECT pg_column_size(email) FROM users ORDER BY id"
    shown = [int(row[0] or b"0") for row in place.rows(text)]
    assert len(shown) == 200
    assert shown != _counts(place, text)


def test_a_role_without_a_right_to_a_column_is_refused_it_through_the_gate_too(place: Place) -> None:
    """The second line that docs/masking.md asks of administrators."""
    with psycopg.connect(place.owner, autocommit=True) as owner:
        # All of them: other gates on this server have roles of that name too.
        roles = owner.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'lockgate_shop%masked'").fetchall()
        assert roles
        owner.execute("CREATE TABLE held(id int PRIMARY KEY, api_key text); INSERT INTO held VALUES (1, 'raw-value')")
        for (role,) in roles:
            owner.execute(f"REVOKE ALL ON held FROM {role}; GRANT SELECT (id) ON held TO {role}".encode())
        try:
            place.wait_for("SELECT id FROM held")
            place.wait_for("SELECT id FROM held", who="ann")  # another worker may have this session
            assert place.rows("SELECT id FROM held", "ann") == [[b"1"]]
            assert [e.sqlstate for e in place.ask("SELECT api_key FROM held", "ann").errors] == ["42501"]
        finally:
            owner.execute("DROP TABLE held")
