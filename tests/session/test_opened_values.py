"""Values compared with masked columns: what is forwarded is opened, what is recorded is the client's own."""

from __future__ import annotations

from dataclasses import replace

from lockgate.masking.pseudonyms import Pseudonym
from lockgate.model.statement import Analysis, Given, Kind, Use, UseKind
from lockgate.testing.script import Script
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.typed import from_client
from support.scripted import CITIES, EMAIL, TEXT, done, error_of, failure, knows, ready, script, tags

REAL = "ada@corp.test"
CONSTANT, PARAMETER = Given(False, 36), Given(True, 1)


def compared(given: Given) -> Analysis:
    use = Use(UseKind.EQUAL, frozenset({EMAIL}), "operator =", True, givens=frozenset({given}))
    return replace(CITIES, uses=(*CITIES.uses, use), compared=((given, TEXT),), parameter_types=(TEXT,))


def mask(played: Script, value: str = REAL) -> str:
    pseudonym = Pseudonym(
        "person.email", played.around.key_ring, purpose="", scope=played.around.environment, epoch=played.around.epoch
    )
    return pseudonym.text(value)


def text_with(value: str) -> str:
    text = f"SELECT city FROM people WHERE email='{value}'"
    assert text.index("'") == CONSTANT.at
    return text


def test_a_constant_is_opened_in_what_is_forwarded_and_not_in_what_is_recorded() -> None:
    with script() as play:
        text = text_with(mask(play))
        knows(play, compared(CONSTANT)).client(fe.Query(text))
        (frame,) = play.forwarded()
        assert from_client(frame, fe.Query).text == text_with(REAL)
        play.backend(be.CommandComplete("SELECT 0"), ready())
        assert not any(REAL in str(entry) for entry in play.recorder.entries)


def test_each_statement_of_a_batch_is_opened_at_its_own_place() -> None:
    with script() as play:
        one = text_with(mask(play))
        knows(play, CITIES, compared(CONSTANT), compared(CONSTANT)).client(
            fe.Query(f"SELECT city FROM people /* é */;  {one} ;{one}")
        )
        (frame,) = play.forwarded()
        opened = text_with(REAL)
        assert from_client(frame, fe.Query).text == f"SELECT city FROM people /* é */;  {opened} ;{opened}"
        play.backend(*[done("SELECT 0")] * 3, ready())


def test_a_constant_inside_a_cursor_is_opened() -> None:
    with script() as play:
        inner = text_with(mask(play))
        analysis = replace(compared(CONSTANT), kind=Kind.SELECT)
        knows(play, analysis).client(fe.Query(f"DECLARE c CURSOR WITH HOLD FOR {inner}"))
        (frame,) = play.forwarded()
        assert from_client(frame, fe.Query).text == f"DECLARE c CURSOR WITH HOLD FOR {text_with(REAL)}"
        play.backend(done("DECLARE CURSOR"), ready())


def test_a_parameter_is_opened_in_the_forwarded_bind() -> None:
    with script() as play:
        text = "SELECT city FROM people WHERE email = $1"
        knows(play, compared(PARAMETER)).client(fe.Parse("", text, (TEXT,)))
        assert tags(play.forwarded()) == "P"
        play.client(fe.Bind("", "", (0,), (mask(play).encode(),)), fe.Execute(""), fe.Sync())
        frames = play.forwarded()
        assert tags(frames) == "BDES"
        assert from_client(frames[0], fe.Bind).parameters == (REAL.encode(),)
        assert from_client(frames[0], fe.Bind).parameter_formats == (0,)
        play.backend(be.ParseComplete(), be.BindComplete(), be.NoData(), done("SELECT 0"), ready())


def test_a_value_that_cannot_be_read_stops_the_statement_before_its_intent() -> None:
    with script() as play:
        knows(play, compared(PARAMETER)).client(fe.Parse("", "SELECT city FROM people WHERE email = $1", (TEXT,)))
        play.forwarded()
        play.client(fe.Bind("", "", (0,), (b"\xff",)), fe.Sync())
        assert tags(play.forwarded()) == "H"
        shown = play.backend(be.ParseComplete())
        assert "rule=lookup-value" in error_of(shown).fields["D"]
        assert not play.recorder.of_kind("intent")
        assert tags(play.forwarded()) == "PS"  # a text that fails whatever the pipeline did
        play.backend(failure("42601"), ready())


def test_a_statement_that_was_opened_under_another_epoch_is_prepared_again_before_it_is_bound() -> None:
    with script() as play:
        knows(play, compared(CONSTANT)).client(fe.Parse("s", text_with(mask(play))), fe.Sync())
        frames = play.forwarded()
        assert from_client(frames[0], fe.Parse).text == text_with(REAL)
        play.backend(be.ParseComplete(), ready())
        play.around.epoch = 2
        play.client(fe.Bind("", "s"), fe.Sync())
        frames = play.forwarded()
        assert tags(frames) == "CPS"
        held = from_client(frames[1], fe.Parse)
        assert held.name == "s"
        assert held.text not in (text_with(REAL), text_with(mask(play)))
        play.backend(be.CloseComplete(), be.ParseComplete(), ready())
        assert tags(play.forwarded()) == "BS"
        assert tags(play.backend(be.BindComplete(), ready())) == "2Z"


def test_a_statement_that_the_server_does_not_take_again_is_not_bound() -> None:
    with script() as play:
        knows(play, compared(CONSTANT)).client(fe.Parse("s", text_with(mask(play))), fe.Sync())
        play.forwarded()
        play.backend(be.ParseComplete(), ready())
        play.around.epoch = 2
        play.client(fe.Bind("", "s"), fe.Sync())
        play.forwarded()
        shown = play.backend(be.CloseComplete(), failure("42P01"), ready())
        assert "rule=prepared-outdated" in error_of(shown).fields["D"]
        assert play.forwarded() == []
        assert error_of(play.client(fe.Bind("", "s"), fe.Sync())).sqlstate == "26000"


def test_who_may_see_the_column_compares_with_what_they_typed() -> None:
    with script("uma") as play:
        text = text_with(REAL)
        knows(play, compared(CONSTANT)).client(fe.Query(text))
        (frame,) = play.forwarded()
        assert from_client(frame, fe.Query).text == text
        play.backend(done("SELECT 0"), ready())
