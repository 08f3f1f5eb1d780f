"""Parts of bodies: what does not fit is an error, in either direction."""

from __future__ import annotations

import pytest

from lockgate.errors import ClientProtocolError, InvariantError
from lockgate.wire.postgres import body
from lockgate.wire.postgres.body import BodyReader


def reader(content: bytes) -> BodyReader:
    return BodyReader(content, "Thing", ClientProtocolError)


def test_integers_are_read_with_their_sign_and_in_network_order() -> None:
    content = reader(b"\xff\xfe" * 2 + b"\xff\xff\xff\xfe" * 2 + b"\x07")
    assert content.uint16() == 65_534
    assert content.int16() == -2
    assert content.int32() == -2
    assert content.uint32() == 2**32 - 2
    assert content.byte() == 7
    assert content.at_end()
    content.finish()


def test_reading_beyond_the_end_names_the_message() -> None:
    for read in ("uint16", "int16", "int32", "uint32", "byte", "value", "oids", "formats"):
        with pytest.raises(ClientProtocolError, match="Thing: the message ends too early"):
            getattr(reader(b""), read)()
    with pytest.raises(ClientProtocolError):
        reader(b"abc").take(-1)
    with pytest.raises(ClientProtocolError, match="too early"):
        reader(b"\xff\xff\0\0\0\x01").oids()


def test_a_problem_never_quotes_the_body() -> None:
    for content in (b"sesame", b"sesame\xff\0"):
        with pytest.raises(ClientProtocolError) as caught:
            reader(content).text()
        assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("number", [-(2**31) - 1, 2**32])
def test_integers_that_do_not_fit_are_our_fault(number: int) -> None:
    for encode in (body.int16, body.uint16, body.int32, body.uint32):
        with pytest.raises(InvariantError):
            encode(number)


def test_values_lists_and_strings_survive_the_round_trip() -> None:
    assert reader(body.value(None)).value() is None
    assert reader(body.value(b"")).value() == b""
    assert reader(body.oids([0, 2**32 - 1])).oids() == (0, 2**32 - 1)
    assert reader(body.formats([0, 1])).formats() == (0, 1)
    assert reader(body.string("é")).text() == "é"


def test_format_codes_of_our_own_exist() -> None:
    with pytest.raises(InvariantError):
        body.formats([2])
