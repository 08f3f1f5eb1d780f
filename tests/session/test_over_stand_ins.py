"""A statement over stand-ins: another text goes to the backend, and everything the client and the record see is the client's own."""

from __future__ import annotations

from lockgate.model.statement import Analysis, Kind, Output, Use, UseKind
from lockgate.session.wishes import Substitute, Substituted
from lockgate.testing.script import Script
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.typed import from_client
from support.scripted import EMAIL, EMAILS, TEXT, described, done, error_of, failure, knows, ready, script, tags

UPPER = "SELECT upper(email) FROM people"
INSTEAD = 'SELECT upper(email) FROM (SELECT 1) AS "people"'
SHOWN = be.RowDescription((be.Field("upper", 0, 0, TEXT, -1, -1, 0),))


def uppers(kind: Kind = Kind.SELECT) -> Analysis:
    return Analysis(
        kind, (Output("upper", TEXT, frozenset({EMAIL}), plain=False, literal=True),),
        (Use(UseKind.TRANSFORM, frozenset({EMAIL}), "function upper"),), EMAILS.levels, EMAILS.reads, EMAILS.relations, EMAILS.accesses,
        effect_free=True, row_description=SHOWN.encode()[5:],
    )  # fmt: skip


def substituted(text: str = INSTEAD) -> Substituted:
    return Substituted(text, SHOWN.encode()[5:], effect_free=True)


def rewritten(play: Script, analysis: Analysis | None = None, text: str = INSTEAD) -> Script:
    return knows(play, analysis or uppers()).answer(Substitute, substituted(text))


def test_another_text_is_forwarded_and_its_rows_are_shown_as_they_come() -> None:
    with script() as play:
        rewritten(play).client(fe.Query(UPPER))
        (sent,) = play.forwarded()
        assert from_client(sent, fe.Query).text == INSTEAD
        shown = play.backend(SHOWN, be.DataRow((b"S1",)), done("SELECT 1"), ready())
        assert tags(shown) == "TDCZ"
        asked = next(wish for wish in play.asked if isinstance(wish, Substitute))
        assert asked.masked == frozenset({EMAIL})
        (intent,) = play.recorder.of_kind("intent")
        assert play.recorder.sealed[str(intent["text"])] == UPPER.encode()
        (outcome,) = play.recorder.of_kind("outcome")
        assert outcome["receipt"] == [
            {"column": "upper", "label": "person.email", "rule": "stand-in", "mode": "source", "cells": 1}
        ]


def test_the_second_sight_asks_nobody() -> None:
    with script() as play:
        rewritten(play).client(fe.Query(UPPER))
        play.forwarded()
        play.backend(SHOWN, done("SELECT 0"), ready())
        play.client(fe.Query(UPPER))
        assert from_client(play.forwarded()[0], fe.Query).text == INSTEAD
        play.backend(SHOWN, done("SELECT 0"), ready())


def test_only_the_statement_that_needs_it_is_another_one_in_a_batch() -> None:
    with script() as play:
        knows(play, EMAILS, uppers()).answer(Substitute, substituted()).client(
            fe.Query(f"SELECT email FROM people; {UPPER}")
        )
        (sent,) = play.forwarded()
        assert from_client(sent, fe.Query).text == f"SELECT email FROM people; {INSTEAD}"
        play.backend(described(("email", EMAIL)), done("SELECT 0"), SHOWN, done("SELECT 0"), ready())
        play.shown()


def test_a_prepared_statement_keeps_its_parameters_and_is_bound_as_the_client_says() -> None:
    with script() as play:
        rewritten(play).client(
            fe.Parse("s", UPPER, (TEXT,)), fe.Bind("", "s", (), (b"x",)), fe.Execute("", 1), fe.Sync()
        )
        sent = play.forwarded()
        assert tags(sent) == "PBDES"
        parse = from_client(sent[0], fe.Parse)
        assert (parse.name, parse.text, parse.parameter_types) == ("s", INSTEAD, (TEXT,))
        rows = (SHOWN, be.DataRow((b"S1",)), be.PortalSuspended())
        shown = play.backend(be.ParseComplete(), be.BindComplete(), *rows, ready())
        assert tags(shown) == "12DsZ"


def test_a_prepared_statement_whose_text_would_be_another_one_now_is_prepared_again() -> None:
    with script() as play:
        rewritten(play).client(fe.Parse("s", UPPER), fe.Sync())
        play.forwarded()
        play.backend(be.ParseComplete(), ready())
        play.conversation.cache.clear()
        rewritten(play, text=INSTEAD + " x").client(fe.Bind("", "s"), fe.Sync())
        frames = play.forwarded()
        assert tags(frames) == "CPS"
        assert from_client(frames[1], fe.Parse).text == INSTEAD + " x"
        play.backend(be.CloseComplete(), be.ParseComplete(), ready())
        assert tags(play.forwarded()) == "BS"
        play.backend(be.BindComplete(), ready())


def test_what_cannot_be_rewritten_is_refused_with_both_reasons() -> None:
    with script() as play:
        answer = knows(play, uppers()).client(fe.Query(UPPER))
        assert error_of(answer).fields["D"].startswith("rule=transform")
        assert "stand-ins" in error_of(answer).fields["H"]
        assert play.forwarded() == []


def test_errors_of_the_other_text_are_a_code_and_fixed_words() -> None:
    with script() as play:
        rewritten(play).client(fe.Query(UPPER))
        play.forwarded()
        shown = play.backend(failure("22012", "lockgate_b of the other text", P="77", W="line"), ready())
        assert set(error_of(shown).fields) == {"S", "V", "C", "M"}
        assert "lockgate_b" not in error_of(shown).message


def test_an_answer_of_another_shape_is_withheld() -> None:
    with script() as play:
        rewritten(play).client(fe.Query(UPPER))
        play.forwarded()
        shown = play.backend(described(("upper", EMAIL)), be.DataRow((b"raw",)), done("SELECT 1"), ready())
        assert tags(shown) == "EZ"


def test_a_cursor_over_stand_ins_is_fetched_in_pieces() -> None:
    declare = f"DECLARE c CURSOR WITH HOLD FOR {UPPER}"
    with script() as play:
        rewritten(play, text=f"DECLARE c CURSOR WITH HOLD FOR {INSTEAD}").client(fe.Query(declare))
        assert b"SELECT 1" in play.forwarded()[0].body
        play.backend(done("DECLARE CURSOR"), ready())
        play.client(fe.Query("FETCH 1 FROM c"))
        assert from_client(play.forwarded()[0], fe.Query).text == "FETCH 1 FROM c"
        shown = play.backend(SHOWN, be.DataRow((b"S1",)), done("FETCH 1"), ready())
        assert tags(shown) == "TDCZ"


def test_a_computed_value_is_not_looked_for_among_stand_ins() -> None:
    looks = Analysis(
        Kind.SELECT, uppers().outputs, (Use(UseKind.EQUAL, frozenset({EMAIL}), "=", literal=True),), EMAILS.levels, EMAILS.reads,
        EMAILS.relations, EMAILS.accesses, effect_free=True, row_description=SHOWN.encode()[5:],
    )  # fmt: skip
    with script() as play:
        answer = knows(play, looks).client(fe.Query("SELECT upper(email) FROM people WHERE email = 'u_x@gmail.com'"))
        assert error_of(answer).sqlstate == "0A000"
        assert not [wish for wish in play.asked if isinstance(wish, Substitute)]
