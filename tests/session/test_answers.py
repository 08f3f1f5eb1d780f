"""What a client is shown: masks, drift, redacted words, cursors, and nothing that goes around them."""

from __future__ import annotations

import pytest

from lockgate.errors import BackendProtocolError
from lockgate.model.plan import Order
from lockgate.model.statement import Kind
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.typed import from_backend
from support.scripted import (
    CITIES,
    CITY,
    EMAIL,
    EMAILS,
    PLAIN,
    TOTALS,
    begin,
    described,
    done,
    error_of,
    failure,
    grouped,
    knows,
    of,
    ready,
    script,
    select,
    tags,
)

RAW = b"raw@value.example"
OTHER = b"other@value.example"
READ_EMAIL = "SELECT email FROM people"


def row(*cells: bytes) -> be.DataRow:
    return be.DataRow(tuple(cells))


def test_a_masked_column_is_never_shown_in_clear() -> None:
    with script() as play:
        knows(play, EMAILS).client(fe.Query(READ_EMAIL))
        play.forwarded()
        shown = play.backend(described(("email", EMAIL)), row(RAW), done("SELECT 1"), ready())
        assert tags(shown) == "TDCZ"
        assert RAW not in b"".join(f.body for f in shown)
        (outcome,) = play.recorder.of_kind("outcome")
        assert outcome["receipt"] == [
            {"column": "email", "label": "person.email", "rule": "pseudonym-email", "mode": "position", "cells": 1}
        ]


def test_who_may_see_everything_sees_the_backend_s_own_bytes() -> None:
    with script("uma") as play:
        knows(play, EMAILS).client(fe.Query(READ_EMAIL))
        play.forwarded()
        shown = play.backend(described(("email", EMAIL)), row(RAW), done("SELECT 1"), ready())
        assert shown[1].encode() == row(RAW).encode()


def test_masked_rows_are_described_even_when_the_client_does_not_ask() -> None:
    with script() as play:
        knows(play, EMAILS).client(fe.Parse("", READ_EMAIL), fe.Bind("", ""), fe.Execute(""), fe.Sync())
        assert tags(play.forwarded()) == "PBDES"
        shown = play.backend(
            be.ParseComplete(), be.BindComplete(), described(("email", EMAIL)), row(RAW), done("SELECT 1"), ready()
        )
        assert tags(shown) == "12DCZ"
        assert RAW not in shown[2].body


def test_rows_of_another_shape_than_was_analysed_are_withheld() -> None:
    with script() as play:
        knows(play, EMAILS).client(fe.Query(READ_EMAIL))
        play.forwarded()
        shown = play.backend(described(("email", CITY)), row(RAW), done("SELECT 1"), ready())
        assert tags(shown) == "EZ"
        assert "rule=drift" in error_of(shown).fields["D"]
        assert [e["sqlstate"] for e in play.recorder.of_kind("outcome")] == ["0A000"]


def test_drift_of_an_unmasked_but_labelled_answer_is_withheld_too() -> None:
    with script("uma") as play:
        knows(play, EMAILS).client(fe.Query(READ_EMAIL))
        play.forwarded()
        shown = play.backend(described(("email", CITY)), row(RAW), done("SELECT 1"), ready())
        assert tags(shown) == "EZ"


def test_drift_inside_a_transaction_poisons_it() -> None:
    with script() as play:
        begin(play)
        knows(play, EMAILS).client(fe.Query(READ_EMAIL))
        play.forwarded()
        shown = play.backend(described(("email", CITY)), row(RAW), done("SELECT 1"), ready("T"))
        assert tags(shown) == "EZ"
        assert shown[-1].body == b"E"
        assert error_of(play.client(fe.Query(READ_EMAIL))).sqlstate == "25P02"
        knows(play, PLAIN).client(fe.Query("ROLLBACK"))
        play.forwarded()
        play.backend(done("ROLLBACK"), ready())


def test_after_a_withheld_answer_the_rest_of_its_batch_is_not_shown() -> None:
    with script() as play:
        knows(play, EMAILS, EMAILS).client(fe.Query(f"{READ_EMAIL}; {READ_EMAIL}"))
        play.forwarded()
        second = (described(("email", EMAIL)), row(OTHER), done("SELECT 1"))
        shown = play.backend(described(("email", CITY)), row(RAW), done("SELECT 1"), *second, ready())
        assert tags(shown) == "EZ"
        assert [e["status"] for e in play.recorder.of_kind("outcome")] == ["error", "not-run"]


def test_rows_whose_order_depends_on_masked_values_are_sorted_by_what_is_shown() -> None:
    orders = []
    for cells in ((RAW, OTHER), (OTHER, RAW)):
        with script() as play:
            knows(play, grouped(("email", EMAIL))).client(fe.Query("SELECT DISTINCT email FROM people"))
            play.forwarded()
            rows = [row(cell) for cell in cells]
            shown = play.backend(described(("email", EMAIL)), *rows, done("SELECT 2"), ready())
            assert tags(shown) == "TDDCZ"
            assert play.recorder.of_kind("intent")[0]["order"] == Order.SORT.value
            orders.append([f.body for f in shown])
    assert orders[0] == orders[1]


def test_errors_are_redacted_when_a_labelled_relation_is_involved() -> None:
    with script() as play:
        knows(play, EMAILS).client(fe.Query(READ_EMAIL))
        play.forwarded()
        shown = play.backend(failure("22P02", RAW.decode(), D=RAW.decode(), t="people"), ready())
        assert error_of(shown).sqlstate == "22P02"
        assert RAW not in shown[0].body
        assert set(error_of(shown).fields) == {"S", "V", "C", "M"}


def test_notices_are_redacted_when_a_labelled_relation_is_involved() -> None:
    with script() as play:
        knows(play, CITIES).client(fe.Query("SELECT city FROM people"))
        play.forwarded()
        notice = be.NoticeResponse({"S": "NOTICE", "C": "00000", "M": RAW.decode()})
        shown = play.backend(described(("city", CITY)), notice, done("SELECT 0"), ready())
        assert tags(shown) == "TNCZ"
        assert RAW not in shown[1].body


def test_the_error_of_a_commit_is_redacted_after_a_labelled_relation_was_touched() -> None:
    with script() as play:
        begin(play)
        knows(play, EMAILS).client(fe.Query(READ_EMAIL))
        play.forwarded()
        play.backend(described(("email", EMAIL)), done("SELECT 0"), ready("T"))
        knows(play, PLAIN).client(fe.Query("COMMIT"))
        play.forwarded()
        shown = play.backend(failure("23505", RAW.decode()), ready())
        assert error_of(shown).sqlstate == "23505"
        assert RAW not in shown[0].body


def test_the_database_s_own_words_are_shown_where_nothing_labelled_is_involved() -> None:
    with script() as play:
        knows(play, TOTALS).client(fe.Query("SELECT total FROM orders"))
        play.forwarded()
        assert error_of(play.backend(failure("22012", "division by zero"), ready())).message == "division by zero"


def test_the_database_s_own_words_are_shown_to_who_sees_everything() -> None:
    with script("uma") as play:
        knows(play, EMAILS).client(fe.Query(READ_EMAIL))
        play.forwarded()
        assert error_of(play.backend(failure("23505", RAW.decode()), ready())).message == RAW.decode()


@pytest.mark.parametrize(("name", "shown"), [("ann", ""), ("uma", "A")])
def test_notifications_carry_nothing_past_the_mask(name: str, shown: str) -> None:
    with script(name) as play:
        knows(play, EMAILS).client(fe.Query(READ_EMAIL))
        play.forwarded()
        told = play.backend(be.NotificationResponse(1, "channel", RAW.decode()), described(("email", EMAIL)))
        assert tags(told) == f"{shown}T"
        play.backend(done("SELECT 0"), ready())


@pytest.mark.parametrize(
    ("text", "sqlstate"), [("FETCH 1 FROM c", "34000"), ("EXECUTE c", "26000"), ("FETCH ALL c", "34000")]
)
def test_a_cursor_or_prepared_statement_that_the_gate_does_not_know_is_refused_for_masked_principals(
    text: str, sqlstate: str
) -> None:
    with script() as play:
        answer = play.client(fe.Query(text))
        assert error_of(answer).sqlstate == sqlstate
        assert tags(answer) == "EZ"
        assert play.forwarded() == []


def test_execute_takes_constants_only_for_masked_principals() -> None:
    prepared = select(("email", EMAIL))
    with script() as play:
        knows(play, prepared).client(fe.Query(f"PREPARE p(text) AS {READ_EMAIL}"))
        play.forwarded()
        play.backend(done("PREPARE"), ready())
        answer = play.client(fe.Query("EXECUTE p((SELECT email FROM people LIMIT 1))"))
        assert "rule=execute-arguments" in error_of(answer).fields["D"]
        assert play.forwarded() == []


@pytest.mark.parametrize(
    ("declare", "tag", "fetch"),
    [
        (f"DECLARE c CURSOR FOR {READ_EMAIL}", "DECLARE CURSOR", "FETCH 1 FROM c"),
        (f"PREPARE c AS {READ_EMAIL}", "PREPARE", "EXECUTE c"),
    ],
)
def test_what_a_cursor_or_prepared_statement_shows_is_masked_as_it_was_judged(
    declare: str, tag: str, fetch: str
) -> None:
    with script() as play:
        begin(play)
        knows(play, EMAILS).client(fe.Query(declare))
        play.forwarded()
        play.backend(done(tag), ready("T"))
        play.client(fe.Query(fetch))
        assert tags(play.forwarded()) == "Q"
        shown = play.backend(described(("email", EMAIL)), row(RAW), done("FETCH 1"), ready("T"))
        assert tags(shown) == "TDCZ"
        assert RAW not in shown[1].body


@pytest.mark.parametrize(
    ("text", "kind", "rule"),
    [
        ("DO 'x'", Kind.DO, "kind-do"),
        ("CALL p()", Kind.CALL, "kind-call"),
        ("LISTEN c", Kind.LISTEN, "kind-listen"),
        ("SET enable_seqscan = off", Kind.SET, "setting"),
        ("SET session_replication_role = replica", Kind.SET, "setting"),
        ("CREATE TEMP TABLE t(i int)", Kind.CREATE, "temporary-object"),
        ("PREPARE TRANSACTION 'x'", Kind.TRANSACTION, "two-phase"),
    ],
)
def test_what_goes_around_the_mask_is_refused_for_masked_principals(text: str, kind: Kind, rule: str) -> None:
    with script() as play:
        answer = knows(play, of(kind)).client(fe.Query(text))
        assert f"rule={rule} " in error_of(answer).fields["D"] + " "
        assert play.forwarded() == []


def test_a_copy_out_of_a_masked_column_is_refused() -> None:
    with script() as play:
        copying = knows(play, EMAILS).client(fe.Query("COPY people(email) TO STDOUT"))
        assert error_of(copying).sqlstate == "0A000"
        assert play.forwarded() == []


def test_the_backend_may_not_say_what_was_not_asked() -> None:
    talk = script()
    knows(talk, TOTALS).client(fe.Query("SELECT total FROM orders"))
    with pytest.raises(BackendProtocolError):
        talk.backend(be.ParseComplete())
    alone = script()
    with pytest.raises(BackendProtocolError):
        alone.backend(row(RAW))


def test_an_error_that_answers_nothing_is_the_end_of_the_link() -> None:
    with script() as play:
        shown = play.backend(failure("57P01", "terminating connection"))
        assert from_backend(shown[0], be.ErrorResponse).sqlstate == "57P01"
        assert play.conversation.replies.lost
