"""Rows of a masked answer that are larger than what can be masked at once: withheld with an error, and the session goes on."""

from __future__ import annotations

from lockgate.testing.script import Message, Script
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame
from support.scripted import EMAIL, EMAILS, described, done, error_of, knows, ready, script, tags

PIECE = 1 << 20
TEXT = "SELECT email FROM people"
LARGE = be.DataRow((b"x" * ((1 << 24) + 1),))
SMALL = be.DataRow((b"ann@mail.example",))


def answered(play: Script, *messages: Message) -> list[Frame]:
    """The backend's answer in pieces, as a socket gives it."""
    data = b"".join(message.encode() for message in messages)
    return [frame for at in range(0, len(data), PIECE) for frame in play.backend(data[at : at + PIECE])]


def asked(play: Script, *messages: Message) -> None:
    knows(play, EMAILS).client(*messages)
    play.forwarded()


def test_a_row_too_large_to_be_masked_ends_its_answer_and_not_the_session() -> None:
    with script() as play:
        asked(play, fe.Query(TEXT))
        shown = answered(play, described(("email", EMAIL)), SMALL, LARGE, SMALL, LARGE, done("SELECT 4"), ready())
        assert tags(shown) == "TDEZ"
        assert "rule=row-size" in error_of(shown).fields["D"]
        assert "xxx" not in error_of(shown).message
        play.client(fe.Query(TEXT))
        play.forwarded()
        assert tags(answered(play, described(("email", EMAIL)), SMALL, done("SELECT 1"), ready())) == "TDCZ"
        assert [e["sqlstate"] for e in play.recorder.of_kind("outcome")] == ["0A000", "00000"]


def test_what_follows_in_its_pipeline_is_not_shown_however_large() -> None:
    with script() as play:
        step = (fe.Bind("", ""), fe.Describe("P", ""), fe.Execute("", 0))
        asked(play, fe.Parse("", TEXT), *step, *step, fe.Sync())
        described_ = described(("email", EMAIL))
        one = (be.BindComplete(), described_, SMALL, LARGE, done("SELECT 2"))
        assert tags(answered(play, be.ParseComplete(), *one, *one, ready())) == "12TDEZ"


def test_copied_rows_are_withheld_as_well() -> None:
    with script() as play:
        asked(play, fe.Query("COPY people(email) TO STDOUT"))
        play.backend(
            be.ParseComplete(), be.ParameterDescription(()), described(("email", EMAIL)), be.CloseComplete(), ready()
        )
        play.forwarded()
        data = be.CopyData(b"x" * ((1 << 24) + 1)), be.CopyData(b"ann@mail.example\n")
        shown = answered(play, be.CopyOutResponse(0, (0,)), *data, be.CopyDone(), done("COPY 2"), ready())
        assert tags(shown) == "HEZ"
        assert "rule=row-size" in error_of(shown).fields["D"]
