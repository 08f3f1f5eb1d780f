"""The number of logins past the gate is never too large, and every one is in it sooner or later."""

from __future__ import annotations

import random
from collections import Counter

from lockgate.control.completeness import BLIND_AFTER, Counted, Logged, Reconciliation, Totals

OWN = frozenset({"gate_masked", "gate_clear", "gate_analysis"})
NOW = "2026-11-22T10:00:00.000000Z"


def reading(sessions: int | None, own: int, **more: object) -> Counted:
    return Counted(sessions, "then", own, **more)  # type: ignore[arg-type]


def after(*readings: Counted, totals: Totals | None = None) -> Reconciliation:
    found = Reconciliation(own_roles=OWN, totals=totals)
    for counted in readings:
        found.take(counted, NOW)
    return found


def test_nothing_went_past_when_both_count_the_same_however_late_the_database_is() -> None:
    found = after(reading(100, 1), reading(100, 6), reading(103, 9), reading(110, 12), reading(111, 12))
    assert (found.totals.logins, found.totals.own, found.totals.bypassing) == (11, 12, 0)


def test_a_login_past_the_gate_is_counted_once_and_stays_counted() -> None:
    found = after(reading(100, 1), reading(102, 2), reading(103, 2))
    assert found.totals.bypassing == 1
    assert not found.take(reading(103, 3), NOW), "the database is late with the gate's own: the number does not shrink"
    assert found.totals.bypassing == 1
    assert found.take(reading(106, 4), NOW)
    assert found.totals.bypassing == 2


def test_the_first_readings_own_login_is_in_the_start_where_the_server_can_be_told_to_count_it() -> None:
    assert after(reading(100, 1, exact=True), reading(103, 2, exact=True)).totals.bypassing == 2
    assert after(reading(100, 1), reading(103, 2)).totals.bypassing == 1, (
        "else one login may be missing from the number"
    )


def test_an_attempt_whose_end_only_the_database_knows_is_not_held_against_anybody() -> None:
    found = after(reading(10, 1), reading(12, 1, uncertain=1))
    assert found.totals.bypassing == 0


def test_a_login_under_way_that_the_database_counted_already_is_no_bypass_and_hides_none_for_long() -> None:
    found = after(reading(10, 1), reading(13, 2, pending=2))
    assert found.totals.bypassing == 0
    found.take(reading(16, 5), NOW)
    assert found.totals.bypassing == 1


def test_what_happened_while_the_gate_was_down_counts_and_after_a_kill_is_not_attributed() -> None:
    first = after(reading(100, 1), reading(105, 5))
    ended = Totals(**first.state(clean=True))  # type: ignore[arg-type]
    assert after(reading(109, 1), totals=ended).totals.bypassing == 3
    killed = Totals(**first.state(clean=False))  # type: ignore[arg-type]
    found = after(reading(109, 1), reading(111, 2), totals=killed)
    assert (found.totals.unattributed, found.totals.bypassing) == (3, 1)


def test_statistics_that_begin_anew_are_counted_and_do_not_make_up_logins() -> None:
    found = after(reading(100, 1), Counted(2, "later", 4), Counted(9, "later", 5))
    assert (found.totals.resets, found.totals.logins, found.totals.bypassing) == (1, 9, 4)
    assert after(reading(100, 1), reading(3, 4)).totals.resets == 1


def test_a_database_that_does_not_count_is_called_blind_until_it_does() -> None:
    unmoved = [reading(5, n) for n in range(1, BLIND_AFTER + 2)]
    assert after(*unmoved).is_blind
    assert not after(*unmoved, reading(6, 9)).is_blind
    assert not after(*(reading(None, n) for n in range(9))).is_blind, "an old server does not count at all"


def test_statements_of_other_roles_are_counted_from_the_first_reading_on() -> None:
    before = {"gate_masked": 50, "eve": 900}
    found = after(reading(1, 1, calls=before), reading(1, 2, calls={**before, "gate_masked": 70}))
    assert (found.totals.statements, found.totals.statements_bypassing) == (20, 0)
    assert found.take(reading(1, 3, calls={"gate_masked": 70, "eve": 905, "bob": 2}), NOW)
    assert (found.totals.statements, found.totals.statements_bypassing) == (27, 7)
    found.take(reading(1, 4, calls={"eve": 3}), NOW)
    assert found.totals.statements_bypassing == 10, "counts that began anew are added, not subtracted"
    assert "statements" not in after(reading(1, 1)).fields()


def test_roles_past_the_gate_are_named_and_the_gates_own_are_not() -> None:
    found = after(reading(1, 1, present={"eve": 2, "gate_clear": 1}))
    assert found.fields()["roles"] == ["eve"]


def test_over_many_random_histories_the_number_is_never_too_large_and_exact_when_all_is_counted() -> None:
    for seed in range(200):
        dice = random.Random(seed)
        actual = past = own = counted = 0
        found = after(reading(0, 0))
        for _ in range(30):
            own += dice.randrange(4)
            new = dice.randrange(2)
            past += new
            actual = own + past
            counted = dice.randint(counted, actual)
            found.take(reading(counted, own), NOW)
            assert found.totals.bypassing <= past, seed
        found.take(reading(actual, own), NOW)
        assert found.totals.bypassing == past, seed


def test_the_servers_own_log_names_who_stayed_too_shortly_and_counts_what_was_audited() -> None:
    found = after(reading(100, 1, logged=Logged("log-1", 10)))
    assert (found.totals.logged, found.totals.log_name, found.totals.log_position) == (0, "log-1", 10)
    own = Logged("log-1", 90, Counter(gate_clear=4, eve=0), Counter(gate_clear=9))
    assert not found.take(reading(101, 2, logged=own), NOW)
    assert found.take(reading(102, 2, logged=Logged("log-2", 5, Counter(eve=1), Counter())), NOW)
    assert found.take(reading(102, 2, logged=Logged("log-2", 9, Counter(), Counter(eve=3))), NOW)
    said = found.fields()
    numbers = ("logged", "logged_bypassing", "audited", "audited_bypassing", "roles")
    assert [said[name] for name in numbers] == [5, 1, 12, 3, ["eve"]]
    assert "logged" not in after(reading(100, 1), reading(101, 2)).fields()
    again = Reconciliation(own_roles=OWN, totals=found.totals)
    assert not again.take(reading(103, 1), NOW), "a server whose log cannot be read any more is not an alarm by itself"
    assert again.fields()["logged_bypassing"] == 1
