"""Client messages: decoding undoes encoding, and every count, length and string is checked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import ClientProtocolError, InvariantError
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.frames import Frame, FrameReader
from lockgate.wire.postgres.frontend import (
    Bind,
    Close,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    FrontendMessage,
    FunctionCall,
    Kind,
    Parse,
    Password,
    Query,
    SaslInitial,
    Sync,
    Terminate,
    decode,
)

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30)
KINDS: st.SearchStrategy[Kind] = st.sampled_from(["S", "P"])
OIDS = st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple)
FORMATS = st.lists(st.integers(0, 1), max_size=5).map(tuple)
VALUES = st.lists(st.none() | st.binary(max_size=20), max_size=5).map(tuple)
BINDS = st.builds(Bind, TEXT, TEXT, FORMATS, VALUES, FORMATS).filter(
    lambda bind: len(bind.parameter_formats) in (0, 1, len(bind.parameters))
)
MESSAGES = st.one_of(
    st.builds(Query, TEXT),
    st.builds(Parse, TEXT, TEXT, OIDS),
    BINDS,
    st.builds(Describe, KINDS, TEXT),
    st.builds(Execute, TEXT, st.integers(-(2**31), 2**31 - 1)),
    st.builds(Close, KINDS, TEXT),
    st.sampled_from([Sync(), Flush(), CopyDone(), Terminate()]),
    st.builds(CopyData, st.binary(max_size=30)),
    st.builds(CopyFail, TEXT),
    st.builds(FunctionCall, st.integers(0, 2**32 - 1), st.binary(max_size=20)),
    st.builds(Password, st.binary(max_size=30)),
)


@given(st.lists(MESSAGES, max_size=5))
def test_messages_survive_the_round_trip(messages: list[FrontendMessage]) -> None:
    reader = FrameReader(body_bytes_max=1000, limits=tags.FRONTEND_LIMITS, known=tags.FRONTEND)
    reader.feed(b"".join(message.encode() for message in messages))
    found = []
    while frame := reader.next_frame():
        found.append(decode(frame))
    assert found == messages


@given(st.builds(Frame, st.sampled_from(sorted(tags.FRONTEND)) | st.integers(0, 255), st.binary(max_size=60)))
def test_random_bodies_decode_to_what_encodes_to_them_or_are_the_clients_error(frame: Frame) -> None:
    try:
        decoded = decode(frame)
    except ClientProtocolError:
        return
    assert decoded.encode() == frame.encode()


@given(MESSAGES, st.data())
def test_a_body_cut_short_or_grown_is_refused(message: FrontendMessage, data: st.DataObject) -> None:
    if isinstance(message, CopyData | Password | FunctionCall):
        return
    body = message.encode()[5:]
    with pytest.raises(ClientProtocolError, match="after the end"):
        decode(Frame(message.encode()[0], body + b"\0"))
    if body:
        cut = data.draw(st.integers(0, len(body) - 1))
        with pytest.raises(ClientProtocolError):
            decode(Frame(message.encode()[0], body[:cut]))


@pytest.mark.parametrize(
    "text", [b"", b"select 1", b"select 1\0; drop table t\0", b"\0\0", b"\xff\0", b"\xed\xa0\x80\0"]
)
def test_a_query_text_that_is_not_one_string_is_refused(text: bytes) -> None:
    with pytest.raises(ClientProtocolError):
        decode(Frame(tags.QUERY, text))


def test_a_query_keeps_its_bytes() -> None:
    decoded = decode(Frame(tags.QUERY, "sélect".encode() + b"\0"))
    assert isinstance(decoded, Query)
    assert (decoded.text, decoded.raw) == ("sélect", "sélect".encode())


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xfe", b"\x80\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\x02"])
def test_a_parameter_with_a_wrong_length_is_refused(length: bytes) -> None:
    with pytest.raises(ClientProtocolError, match="Bind"):
        decode(Frame(tags.BIND, b"\0\0\0\0" + b"\0\x01" + length + b"x" + b"\0\0"))


@pytest.mark.parametrize("place", ["parameter", "result"])
@pytest.mark.parametrize("code", [b"\0\x02", b"\xff\xff"])
def test_a_format_code_that_does_not_exist_is_refused(code: bytes, place: str) -> None:
    lists = (b"\0\x01" + code, b"\0\0") if place == "parameter" else (b"\0\0", b"\0\x01" + code)
    with pytest.raises(ClientProtocolError, match="format code"):
        decode(Frame(tags.BIND, b"\0\0" + lists[0] + b"\0\0" + lists[1]))


def test_parameter_formats_must_match_the_parameters() -> None:
    with pytest.raises(ClientProtocolError, match="2 formats for 1 parameters"):
        decode(Frame(tags.BIND, Bind("", "", (0, 1), (b"x",)).encode()[5:]))


def test_counts_are_unsigned_as_the_server_reads_them() -> None:
    many = Bind("", "", (), (None,) * 65_535, ())
    assert decode(Frame(tags.BIND, many.encode()[5:])) == many
    with pytest.raises(InvariantError):
        Bind("", "", (), (None,) * 65_536, ()).encode()


@pytest.mark.parametrize(
    ("formats", "expected"), [((), [0, 0, 0]), ((1,), [1, 1, 1]), ((0, 1, 0), [0, 1, 0])], ids=["none", "one", "each"]
)
def test_formats_of_results_are_none_one_or_each(formats: tuple[int, ...], expected: list[int]) -> None:
    bind = Bind("", "", result_formats=formats)
    assert [bind.format_of_result(index, 3) for index in range(3)] == expected


def test_formats_that_fit_no_column_count_are_the_clients_error() -> None:
    with pytest.raises(ClientProtocolError, match="2 formats for 3 values"):
        Bind("", "", result_formats=(0, 1)).format_of_result(0, 3)
    with pytest.raises(InvariantError):
        Bind("", "").format_of_result(3, 3)
    with pytest.raises(InvariantError):
        Bind("", "").format_of_result(-1, 3)


def test_formats_of_parameters_follow_the_same_rule() -> None:
    assert Bind("", "", (1,), (b"a", b"b")).format_of_parameter(1) == 1
    assert Bind("", "", (), (b"a", b"b")).format_of_parameter(1) == 0


@pytest.mark.parametrize("tag", [tags.DESCRIBE, tags.CLOSE])
def test_what_is_neither_statement_nor_portal_is_refused(tag: int) -> None:
    with pytest.raises(ClientProtocolError, match="neither"):
        decode(Frame(tag, b"Xname\0"))


def test_an_unknown_message_type_is_refused() -> None:
    with pytest.raises(ClientProtocolError, match="`Z` does not exist"):
        decode(Frame(ord("Z"), b""))


def test_a_password_is_read_by_what_was_asked_for() -> None:
    assert Password.of_text("sesame").text() == "sesame"
    assert Password.of_sasl_initial("SCRAM-SHA-256", b"n,,").sasl_initial() == SaslInitial("SCRAM-SHA-256", b"n,,")
    assert Password(b"X\0\xff\xff\xff\xff").sasl_initial() == SaslInitial("X", None)
    for raw in (b"", b"a\0b\0", b"a"):
        with pytest.raises(ClientProtocolError):
            Password(raw).text()
    for raw in (b"", b"X\0", b"X\0\0\0\0\x05n,,", b"X\0\0\0\0\x01n,,", b"X\0\xff\xff\xff\xfe"):
        with pytest.raises(ClientProtocolError):
            Password(raw).sasl_initial()


def test_passwords_parameters_and_copied_rows_are_not_printed() -> None:
    shown = repr([Password(b"sesame"), Bind("", "", (), (b"sesame",)), CopyData(b"sesame"), FunctionCall(1, b"sesame")])
    assert "sesame" not in shown


def test_a_text_with_a_zero_byte_is_never_sent() -> None:
    with pytest.raises(InvariantError):
        Query("select 1\0")
    with pytest.raises(InvariantError):
        Parse("a\0b", "select 1").encode()
    with pytest.raises(InvariantError):
        Execute("\ud800").encode()
