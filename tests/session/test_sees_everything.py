"""Who may do everything and sees everything is let through where nobody could look in; everybody else is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.model.statement import Kind, Opaque
from lockgate.session.wishes import Analyse, Analysed, Failed, FreshCatalog
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from support.scripted import (
    CITY,
    EMAIL,
    EMAILS,
    begin,
    catalog,
    described,
    done,
    error_of,
    knows,
    of,
    ready,
    script,
    tags,
    write,
)

REJECTED = Failed(
    "42P01", "rejected", report={"S": "ERROR", "C": "42P01", "M": "relation does not exist"}, reason="server-rejected"
)
LOCKED = Failed("55P03", "another session holds a lock", reason="analysis-lock")
UNKNOWN_TO_GRAMMAR = "SELECT 1; FROBNICATE ALL; SELECT 2"


@pytest.mark.parametrize("failure", [REJECTED, LOCKED])
def test_a_statement_that_cannot_be_analysed_goes_on_for_who_may_do_everything(failure: Failed) -> None:
    with script("root") as play:
        play.answer(Analyse, failure)
        play.client(fe.Query("SELECT * FROM mine"))
        assert tags(play.forwarded()) == "Q"
        assert tags(play.backend(described(("city", CITY)), be.DataRow((b"x",)), done("SELECT 1"), ready())) == "TDCZ"


@pytest.mark.parametrize("name", ["ann", "uma", "bot"])
@pytest.mark.parametrize("failure", [REJECTED, LOCKED])
def test_it_is_refused_for_everybody_else(name: str, failure: Failed) -> None:
    with script(name) as play:
        play.answer(Analyse, failure)
        shown = play.client(fe.Query("SELECT * FROM mine"))
        assert error_of(shown).sqlstate == failure.sqlstate
        assert play.forwarded() == []


def test_a_text_that_the_grammar_does_not_read_is_one_statement_with_all_its_answers() -> None:
    with script("root") as play:
        play.answer(Analyse, Analysed((), catalog()))
        knows(play, of(Kind.OTHER)).client(fe.Query(UNKNOWN_TO_GRAMMAR))
        assert tags(play.forwarded()) == "Q"
        row = (described(("city", CITY)), be.DataRow((b"1",)), done("SELECT 1"))
        assert tags(play.backend(*row, done("FROBNICATE"), *row, ready())) == "TDCCTDCZ"
        outcomes = [e for e in play.recorder.entries if e["kind"] == "outcome"]
        assert [e["status"] for e in outcomes] == ["complete"]
        intents = [e for e in play.recorder.entries if e["kind"] == "intent"]
        assert "FROBNICATE" not in str(intents)


@pytest.mark.parametrize("name", ["ann", "uma"])
def test_such_a_text_is_refused_for_everybody_else(name: str) -> None:
    with script(name) as play:
        play.answer(Analyse, Analysed((), catalog()))
        assert error_of(play.client(fe.Query(UNKNOWN_TO_GRAMMAR))).sqlstate == "0A000"
        assert play.forwarded() == []


@pytest.mark.parametrize(("name", "letters"), [("root", "TDCZ"), ("uma", "EZ"), ("ann", "EZ")])
def test_a_result_that_drifted_is_shown_only_to_who_sees_everything(name: str, letters: str) -> None:
    """A temporary table in the place of the one that was analysed has other columns."""
    with script(name) as play:
        knows(play, EMAILS).client(fe.Query("SELECT email FROM people"))
        play.forwarded()
        assert tags(play.backend(described(("city", CITY)), be.DataRow((b"x",)), done("SELECT 1"), ready())) == letters


@pytest.mark.parametrize(("known", "asked"), [(True, 0), (False, 1)])
def test_the_catalog_is_read_again_after_a_definition_only_for_what_it_does_not_know(known: bool, asked: int) -> None:
    unknown = replace(EMAILS, opaque=(Opaque("relation", "it is newer than the catalog snapshot"),))
    with script("root") as play:
        knows(play, of(Kind.CREATE)).client(fe.Query("CREATE TABLE t(id text)"))
        play.forwarded()
        play.backend(done("CREATE TABLE"), ready())
        if not known:
            knows(play, unknown)
        knows(play, EMAILS).client(fe.Query("SELECT email FROM people"))
        assert sum(isinstance(wish, FreshCatalog) for wish in play.asked) == asked
        play.forwarded()
        play.backend(done("SELECT 0"), ready())


@pytest.mark.parametrize("name", ["root", "ann"])
def test_a_relation_that_was_replaced_while_a_statement_was_analysed_is_looked_up_again(name: str) -> None:
    """Somebody dropped and made it again: the number that was found is of the one that is gone."""
    with script(name) as play:
        knows(play, write(relation=29_999))
        knows(play, write())
        assert tags(play.client(fe.Query("UPDATE orders SET total = '1' WHERE id = '1'"))) == ""
        assert sum(isinstance(wish, FreshCatalog) for wish in play.asked) == 1
        assert tags(play.forwarded()) == "Q"
        play.backend(done("UPDATE 1"), ready())


def test_a_relation_that_nobody_knows_is_refused() -> None:
    with script("root") as play:
        for _ in range(2):
            knows(play, write(relation=29_999))
        assert "rule=unknown-resource" in (error_of(play.client(fe.Query("UPDATE orders SET total = '1'"))).fields["D"])
        assert play.forwarded() == []


@pytest.mark.parametrize(("name", "letters"), [("root", "Q"), ("uma", ""), ("ann", "")])
def test_a_cursor_outlives_definitions_of_others_only_for_who_sees_everything(name: str, letters: str) -> None:
    with script(name) as play:
        begin(play)
        knows(play, EMAILS).client(fe.Query("DECLARE c CURSOR FOR SELECT email FROM people"))
        play.forwarded()
        play.backend(done("DECLARE CURSOR"), ready("T"))
        play.around.catalog = catalog(generation=2)
        shown = play.client(fe.Query("FETCH 1 FROM c"))
        assert tags(play.forwarded()) == letters
        if letters:
            play.backend(described(("email", EMAIL)), done("FETCH 0"), ready("T"))
        else:
            assert "rule=cursor-outdated" in error_of(shown).fields["D"]


@pytest.mark.parametrize("name", ["root", "uma"])
def test_a_text_that_reads_only_with_backslashes_goes_on_only_for_who_sees_everything(name: str) -> None:
    with script(name) as play:
        play.conversation.reported["standard_conforming_strings"] = "off"
        if name == "root":
            knows(play, of(Kind.OTHER)).client(fe.Query("SELECT 'a\\'b' AS x"))
            assert tags(play.forwarded()) == "Q"
            play.backend(done("SELECT 1"), ready())
        else:
            play.answer(Analyse, REJECTED)
            assert error_of(play.client(fe.Query("SELECT 'a\\'b' AS x"))).sqlstate == "42P01"


def test_a_text_that_is_too_long_to_be_read_is_passed_on_unread() -> None:
    with script("root") as play:
        knows(play, of(Kind.OTHER)).client(fe.Query("SELECT 1 -- " + "x" * (1 << 20)))
        assert tags(play.forwarded()) == "Q"
        play.backend(done("SELECT 1"), ready())
