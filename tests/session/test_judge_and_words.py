"""Judging one statement, what the record says of it, and the fixed words of a session."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lockgate.model.plan import PASS
from lockgate.model.statement import Access, Action, Analysis, Kind, Opaque, WriteFact
from lockgate.session import texts
from lockgate.session.evidence import TEXT_BYTES_MAX, Evidence
from lockgate.session.judge import Ask, Verdict, is_bounded, judge
from lockgate.sql.parse import split_and_parse
from lockgate.testing.script import NOON, ScriptedClock, ScriptedRecorder
from support.scripted import CITIES, EMAILS, ORDERS, PEOPLE, catalog, engine, of, who, write

ENGINE = engine()


def ask(name: str, environment: str = "development", **more: object) -> Ask:
    around = catalog(environment)
    clearance = ENGINE.clearance(who(name), around, context={}, now=NOON)
    return replace(Ask(who(name), "shop", clearance, around, ENGINE, NOON, "127.0.0.1", frozenset()), **more)  # type: ignore[arg-type]


def verdict(text: str, analysis: Analysis, asked: Ask) -> Verdict:
    (parsed,) = split_and_parse(text)
    return judge(parsed, analysis, asked)


def test_a_permitted_statement_of_a_masked_principal_has_a_plan_with_masks() -> None:
    found = verdict("SELECT email FROM people", EMAILS, ask("ann"))
    assert (found.effect, found.plan.masks, found.plan.touches_labelled) == ("permit", True, True)


def test_a_statement_over_a_labelled_relation_is_guarded_even_when_it_reads_nothing_labelled() -> None:
    found = verdict("SELECT city FROM people", CITIES, ask("ann"))
    assert (found.effect, found.plan.masks, found.plan.touches_labelled) == ("permit", False, True)


@pytest.mark.parametrize(
    ("bounded", "selective", "estimate", "expected"),
    [
        (True, False, None, True), (False, True, 100, True), (False, True, 101, False), (False, True, None, False),
        (False, False, 1, False),
    ],
)  # fmt: skip
def test_a_write_is_bounded_by_a_key_or_by_a_predicate_with_a_small_estimate(
    bounded: bool, selective: bool, estimate: int | None, expected: bool
) -> None:
    fact = WriteFact(Kind.UPDATE, ORDERS, bounded=bounded, selective=selective)
    assert is_bounded(Analysis(Kind.UPDATE, writes=(fact,)), estimate, 100) is expected


def test_one_unbounded_write_makes_the_statement_unbounded() -> None:
    facts = (WriteFact(Kind.UPDATE, ORDERS, True, True), WriteFact(Kind.UPDATE, PEOPLE, False, False))
    assert not is_bounded(Analysis(Kind.UPDATE, writes=facts), None, 100)


@pytest.mark.parametrize(("bounded", "effect"), [(True, "hold"), (False, "deny")])
def test_a_write_to_production_is_held_when_bounded_and_denied_when_not(bounded: bool, effect: str) -> None:
    found = verdict("UPDATE orders SET total = '1'", write(bounded=bounded), ask("ann", "production"))
    assert found.effect == effect


def test_opaque_parts_are_refused_for_masked_principals_only() -> None:
    opaque = replace(CITIES, opaque=(Opaque("public.f", "its body is not known"),))
    assert verdict("SELECT city FROM people", opaque, ask("ann")).rule == "opaque"
    assert verdict("SELECT city FROM people", opaque, ask("uma")).effect == "permit"


def test_a_plan_that_was_made_before_is_used_as_it_is() -> None:
    (parsed,) = split_and_parse("FETCH 1 FROM c")
    plan = verdict("SELECT email FROM people", EMAILS, ask("ann")).plan
    assert judge(parsed, EMAILS, ask("ann"), plan=plan).plan == plan


def test_the_inner_columns_of_declare_are_not_its_own_result() -> None:
    found = verdict("DECLARE c CURSOR FOR SELECT email FROM people", EMAILS, ask("ann"))
    assert (found.plan.columns, found.plan.masks, found.plan.touches_labelled) == ((), False, True)


def test_defining_something_over_masked_columns_is_refused() -> None:
    over = Analysis(
        Kind.ALTER, relations=frozenset({PEOPLE}), accesses=(Access(Action.DEFINE, PEOPLE, "public.people"),)
    )
    assert verdict("ALTER TABLE people ADD COLUMN x int", over, ask("ann")).rule == "definition-on-labelled"
    view = Analysis(Kind.CREATE, accesses=(Access(Action.DEFINE, 0, ""),))
    assert verdict("CREATE VIEW v AS SELECT 1", view, ask("ann")).rule == "definition"


def evidence() -> tuple[Evidence, ScriptedRecorder]:
    recorder = ScriptedRecorder()
    identity = who("bot", behalf="ann", purpose="training", run="run-1")
    return Evidence(recorder, ScriptedClock(), session="s1", identity=identity, database="shop", environment="production",
                    client="10.0.0.1"), recorder  # fmt: skip


def test_an_intent_names_who_for_whom_why_and_what_but_no_literal() -> None:
    kept, recorder = evidence()
    asked = ask("ann")
    text = "SELECT email FROM people WHERE city = 'secret literal'"
    kept.intent(verdict(text, EMAILS, asked), asked.catalog, asked.clearance, text=text, request="7", approver="boss")
    (entry,) = recorder.entries
    assert {k: entry[k] for k in ("kind", "principal", "on_behalf_of", "run", "purpose", "request", "approver", "s")} == {
        "kind": "intent", "principal": "bot", "on_behalf_of": "ann", "run": "run-1", "purpose": "training", "request": "7",
        "approver": "boss", "s": 1,
    }  # fmt: skip
    assert entry["tables"] == ["public.people"]
    assert entry["columns"] == [{"name": "public.people.email", "label": "person.email", "disposition": "masked"}]
    assert "secret literal" not in str(entry)
    assert b"secret literal" in recorder.sealed[str(entry["text"])]


def test_entries_of_a_session_are_numbered_without_gaps() -> None:
    kept, recorder = evidence()
    kept.opened()
    kept.unreadable(text="x", sqlstate="42601", rule="syntax")
    kept.closed("client-left")
    assert [entry["s"] for entry in recorder.entries] == [1, 2, 3]


def test_a_very_long_text_is_kept_by_its_beginning_length_and_hash() -> None:
    kept, recorder = evidence()
    kept.unreadable(text=b"x" * (TEXT_BYTES_MAX + 1), sqlstate="54000", rule="statement-too-long")
    (sealed,) = recorder.sealed.values()
    assert len(sealed) < 40_000
    assert b"4194305 bytes, SHA-256" in sealed


@pytest.mark.parametrize(("sqlstate", "decision"), [("42501", "deny"), ("57014", "deny"), ("0A000", "refuse")])
def test_a_denial_says_whether_policy_or_the_gate_said_no(sqlstate: str, decision: str) -> None:
    kept, recorder = evidence()
    asked = ask("ann")
    found = replace(verdict("SELECT email FROM people", EMAILS, asked), sqlstate=sqlstate, rule="r")
    kept.denial(found, asked.catalog, asked.clearance, text="")
    assert recorder.entries[0]["decision"] == decision


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET application_name = 'x'", "SET SESSION application_name = 'lg:s x'"),
        ("SET LOCAL application_name TO 'x'", "SET LOCAL application_name = 'lg:s x'"),
        ("SET application_name = 'a''b'; SELECT 1", "SET SESSION application_name = 'lg:s a''b';SELECT 1"),
        ("SET work_mem = '1MB'", None),
        ("SELECT 'SET application_name = 1'", None),
    ],
)
def test_application_names_are_prefixed_and_everything_else_goes_as_it_is(text: str, expected: str | None) -> None:
    sent = texts.prefixed_application_name(split_and_parse(text), "s")
    assert (sent.replace("; SELECT", ";SELECT") if sent else sent) == expected


def test_a_hold_notice_says_until_when_and_that_nothing_has_run() -> None:
    notice = texts.held("7", datetime(2026, 1, 1, 12, 30, 5, tzinfo=UTC))
    assert "request 7" in notice
    assert "12:30:05 UTC" in notice
    assert "nothing has run" in notice


def test_a_kind_that_touches_nothing_needs_only_connect() -> None:
    found = verdict("SHOW server_version", of(Kind.SHOW), ask("ann"))
    assert (found.effect, found.plan) == ("permit", PASS)
