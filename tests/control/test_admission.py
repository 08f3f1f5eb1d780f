"""Limits over all sessions of a gate: exact, whatever workers come and go."""

from __future__ import annotations

import random

from lockgate.control.admission import FULL, PRINCIPAL_FULL, Admission


def test_the_gates_limit_counts_the_sessions_of_all_workers() -> None:
    admission = Admission(links_max=3, principal_links_max=0)
    assert [admission.admit(worker, f"s{n}", "ann") for n, worker in enumerate("1221")] == ["", "", "", FULL]
    admission.left("2", "s1")
    assert admission.admit("1", "s9", "bot") == ""


def test_a_principals_limit_is_its_own() -> None:
    admission = Admission(links_max=100, principal_links_max=2)
    assert [admission.admit(w, f"a{n}", "ann") for n, w in enumerate("121")] == ["", "", PRINCIPAL_FULL]
    assert admission.admit("1", "b", "bot") == ""
    admission.left("2", "a1")
    assert admission.admit("1", "a3", "ann") == ""


def test_what_was_not_admitted_cannot_leave_and_nobody_leaves_twice() -> None:
    admission = Admission(links_max=2, principal_links_max=0)
    admission.admit("1", "a", "ann")
    for worker, session in (("2", "a"), ("1", "b"), ("1", "a"), ("1", "a")):
        admission.left(worker, session)
    assert admission.total == 0


def test_the_sessions_of_a_worker_end_with_it_and_those_of_others_do_not() -> None:
    admission = Admission(links_max=9, principal_links_max=2)
    admission.admit("1", "a", "ann")
    admission.admit("2", "b", "ann")
    admission.ended("2")
    admission.ended("2")
    assert admission.total == 1
    assert admission.admit("2", "c", "ann") == ""
    assert admission.admit("1", "d", "ann") == PRINCIPAL_FULL


def test_over_many_random_histories_the_count_is_that_of_a_list() -> None:
    chance = random.Random(7)
    admission = Admission(links_max=12, principal_links_max=4)
    there: dict[tuple[str, str], str] = {}
    for number in range(5000):
        worker, session, principal = chance.choice("123"), str(number), chance.choice("abcd")
        what = chance.random()
        if what < 0.55:
            full = len(there) >= 12 or list(there.values()).count(principal) >= 4
            assert bool(admission.admit(worker, session, principal)) == full
            if not full:
                there[worker, session] = principal
        elif what < 0.97 and there:
            gone = chance.choice(sorted(there))
            del there[gone]
            admission.left(*gone)
        elif what > 0.99:
            admission.ended(worker)
            there = {key: value for key, value in there.items() if key[0] != worker}
        assert admission.total == len(there)
