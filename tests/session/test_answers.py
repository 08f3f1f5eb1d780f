"""What a client is shown: masks, drift, redacted words, cursors, and nothing that goes around them."""

from __future__ import annotations

import pytest

from lockgate.errors import BackendProtocolError
from lockgate.model.catalog import ColumnRef
from lockgate.model.plan import Order
from lockgate.model.statement import Kind
from lockgate.testing.script import Message
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
    tags,
)

RAW = b"raw@value.example"
OTHER = b"other@value.example"
READ_EMAIL, READ_CITY = "SELECT email FROM people", "SELECT city FROM people"


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


@pytest.mark.parametrize(("severity", "shown"), [("DEBUG1", "TCZ"), ("LOG", "TCZ"), ("WARNING", "TNCZ")])
def test_what_the_server_logs_for_itself_is_not_shown_to_masked_principals(severity: str, shown: str) -> None:
    with script() as play:
        knows(play, TOTALS).client(fe.Query("SELECT total FROM orders"))
        play.forwarded()
        notice = be.NoticeResponse({"S": severity, "V": severity, "C": "00000", "M": RAW.decode()})
        total = described(("total", next(iter(TOTALS.reads))))
        assert tags(play.backend(total, notice, done("SELECT 0"), ready())) == shown


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


@pytest.mark.parametrize("text", ["FETCH 1 FROM c", "FETCH ALL c", "MOVE c"])
def test_a_cursor_that_the_gate_does_not_know_is_refused_for_masked_principals(text: str) -> None:
    with script() as play:
        answer = play.client(fe.Query(text))
        assert error_of(answer).sqlstate == "34000"
        assert tags(answer) == "EZ"
        assert play.forwarded() == []


@pytest.mark.parametrize("text", ["EXECUTE p", "EXECUTE p((SELECT email FROM people LIMIT 1))"])
def test_an_execute_of_what_was_never_prepared_is_answered_as_the_server_would(text: str) -> None:
    with script() as play:
        answer = play.client(fe.Query(text))
        assert tags(answer) == "EZ"
        assert error_of(answer).sqlstate == "26000"
        assert play.forwarded() == []


def test_a_statement_prepared_in_sql_is_masked_when_it_is_executed() -> None:
    with script() as play:
        knows(play, EMAILS).client(fe.Query(f"PREPARE p AS {READ_EMAIL}"))
        assert tags(play.forwarded()) == "Q"
        assert tags(play.backend(done("PREPARE"), ready())) == "CZ"
        play.client(fe.Query("EXECUTE p"))
        assert tags(play.forwarded()) == "Q"
        shown = play.backend(described(("email", EMAIL)), row(RAW), done("SELECT 1"), ready())
        assert tags(shown) == "TDCZ"
        assert RAW not in shown[1].body


def test_an_execute_is_asked_as_reading_and_writing_anything_and_runs_for_who_may() -> None:
    with script("root") as play:
        knows(play, of(Kind.EXECUTE)).client(fe.Query("EXECUTE p"))
        assert tags(play.forwarded()) == "Q"
        (intent,) = play.recorder.of_kind("intent")
        assert intent["decision"] == "permit"
        shown = play.backend(described(("email", EMAIL)), row(RAW), done("SELECT 1"), ready())
        assert tags(shown) == "TDCZ"


def test_an_execute_is_denied_to_who_sees_everything_but_may_not_write() -> None:
    with script("uma", "production") as play:
        answer = knows(play, of(Kind.EXECUTE)).client(fe.Query("EXECUTE p"))
        assert error_of(answer).sqlstate == "42501"
        assert play.forwarded() == []


def test_what_a_cursor_shows_is_masked_as_it_was_judged() -> None:
    with script() as play:
        begin(play)
        knows(play, EMAILS).client(fe.Query(f"DECLARE c CURSOR FOR {READ_EMAIL}"))
        play.forwarded()
        play.backend(done("DECLARE CURSOR"), ready("T"))
        play.client(fe.Query("FETCH 1 FROM c"))
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
        ("CREATE TEMP VIEW t AS SELECT 1", Kind.CREATE, "temporary-object"),
        ("PREPARE TRANSACTION 'x'", Kind.TRANSACTION, "two-phase"),
    ],
)
def test_what_goes_around_the_mask_is_refused_for_masked_principals(text: str, kind: Kind, rule: str) -> None:
    with script() as play:
        answer = knows(play, of(kind)).client(fe.Query(text))
        assert f"rule={rule} " in error_of(answer).fields["D"] + " "
        assert play.forwarded() == []


COPYING = "COPY people(email) TO STDOUT"


def confirmed(column: tuple[str, ColumnRef]) -> tuple[Message, ...]:
    """What a link says when it is asked for the columns of a COPY."""
    return (be.ParseComplete(), be.ParameterDescription(()), described(column), be.CloseComplete(), ready())


def test_copy_data_is_masked_once_the_link_has_confirmed_its_columns() -> None:
    with script() as play:
        knows(play, EMAILS).client(fe.Query(COPYING))
        assert tags(play.forwarded()) == "PDCS"
        assert play.backend(*confirmed(("email", EMAIL))) == []
        assert tags(play.forwarded()) == "Q"
        shown = play.backend(
            be.CopyOutResponse(0, (0,)), be.CopyData(RAW[:4]), be.CopyData(RAW[4:] + b"\n\\N\n"), be.CopyDone(), done("COPY 2"), ready()
        )  # fmt: skip
        assert tags(shown) == "HddcCZ"
        assert shown[2].body == b"\\N\n"
        assert shown[1].body.startswith(b"u_")
        assert RAW not in b"".join(f.body for f in shown)
        (outcome,) = play.recorder.of_kind("outcome")
        assert outcome["rows"] == 2
        assert [r["cells"] for r in outcome["receipt"]] == [1]  # type: ignore[attr-defined]


def test_copy_of_other_columns_than_were_analysed_is_not_sent() -> None:
    with script() as play:
        knows(play, EMAILS).client(fe.Query(COPYING))
        play.forwarded()
        shown = play.backend(*confirmed(("email", CITY)))
        assert "rule=drift" in error_of(shown).fields["D"]
        assert play.forwarded() == []
        assert not play.recorder.of_kind("intent")


def test_copy_by_the_extended_protocol_is_confirmed_before_it_runs() -> None:
    with script() as play:
        knows(play, EMAILS).client(fe.Parse("", COPYING), fe.Bind("", ""), fe.Execute(""), fe.Sync())
        assert tags(play.forwarded()) == "PBH"
        play.backend(be.ParseComplete(), be.BindComplete())
        assert tags(play.forwarded()) == "PDCH"
        shown = play.backend(*confirmed(("email", CITY))[:-1])
        assert "rule=drift" in error_of(shown).fields["D"]
        assert tags(play.forwarded()) == "PS"
        play.backend(failure("42601"), ready())


def test_copy_data_of_another_form_ends_the_link() -> None:
    talk = script()
    knows(talk, EMAILS).client(fe.Query(COPYING))
    talk.backend(*confirmed(("email", EMAIL)))
    with pytest.raises(BackendProtocolError):
        talk.backend(be.CopyOutResponse(0, (0,)), be.CopyData(RAW + b"\tmore\n"))


def test_copy_data_with_more_columns_is_withheld() -> None:
    with script() as play:
        knows(play, EMAILS).client(fe.Query(COPYING))
        play.backend(*confirmed(("email", EMAIL)))
        assert tags(play.forwarded()) == "PDCSQ"
        shown = play.backend(
            be.CopyOutResponse(0, (0, 0)), be.CopyData(RAW + b"\tx\n"), be.CopyDone(), done("COPY 1"), ready()
        )
        assert tags(shown) == "EZ"


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
