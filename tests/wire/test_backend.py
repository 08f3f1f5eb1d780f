"""Backend messages: decoding undoes encoding, and a lying backend is caught."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import BackendProtocolError, InvariantError
from lockgate.wire.postgres import backend, tags
from lockgate.wire.postgres.backend import BackendMessage, decode
from lockgate.wire.postgres.frames import BackendReader, Frame

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
INT32 = st.integers(-(2**31), 2**31 - 1)
OID = st.integers(0, 2**32 - 1)
INT16 = st.integers(-(2**15), 2**15 - 1)
BIT = st.integers(0, 1)
FORMATS = st.lists(BIT, max_size=5).map(tuple)
FIELDS = st.builds(backend.Field, TEXT, OID, INT16, OID, INT16, INT32, BIT)
REPORTS = st.dictionaries(st.sampled_from("SVCMDHPpqWstcdnFLR"), TEXT)
BARE: list[BackendMessage] = [
    backend.AuthenticationOk(),
    backend.AuthenticationCleartextPassword(),
    backend.EmptyQueryResponse(),
    backend.ParseComplete(),
    backend.BindComplete(),
    backend.CloseComplete(),
    backend.NoData(),
    backend.PortalSuspended(),
    backend.CopyDone(),
]
STATUSES = st.sampled_from(backend.STATUSES)
MESSAGES: st.SearchStrategy[BackendMessage] = st.one_of(
    st.sampled_from(BARE),
    st.builds(backend.AuthenticationMD5Password, st.binary(min_size=4, max_size=4)),
    st.builds(backend.AuthenticationSASL, st.lists(TEXT.filter(bool), max_size=3).map(tuple)),
    st.builds(backend.AuthenticationSASLContinue, st.binary(max_size=30)),
    st.builds(backend.AuthenticationSASLFinal, st.binary(max_size=30)),
    st.builds(backend.BackendKeyData, INT32, st.binary(min_size=4, max_size=256)),
    st.builds(backend.ParameterStatus, TEXT, TEXT),
    st.builds(backend.ReadyForQuery, STATUSES),
    st.builds(backend.RowDescription, st.lists(FIELDS, max_size=4).map(tuple)),
    st.builds(backend.ParameterDescription, st.lists(OID, max_size=4).map(tuple)),
    st.builds(backend.DataRow, st.lists(st.none() | st.binary(max_size=20), max_size=4).map(tuple)),
    st.builds(backend.CommandComplete, TEXT),
    st.builds(backend.ErrorResponse, REPORTS),
    st.builds(backend.NoticeResponse, REPORTS),
    st.builds(backend.CopyInResponse, BIT, FORMATS),
    st.builds(backend.CopyOutResponse, BIT, FORMATS),
    st.builds(backend.CopyBothResponse, BIT, FORMATS),
    st.builds(backend.CopyData, st.binary(max_size=30)),
    st.builds(backend.NotificationResponse, INT32, TEXT, TEXT),
    st.builds(backend.NegotiateProtocolVersion, INT32, st.lists(TEXT, max_size=3).map(tuple)),
    st.builds(backend.FunctionCallResponse, st.none() | st.binary(max_size=20)),
)
ALL_TAGS = sorted(
    {getattr(tags, name) for name in dir(tags) if name.isupper() and isinstance(getattr(tags, name), int)}
    - {10_000, 65_535}
)
OPEN_ENDED = (
    backend.CopyData,
    backend.BackendKeyData,
    backend.Report,
    backend.AuthenticationSASLContinue,
    backend.AuthenticationSASLFinal,
)


@given(st.lists(MESSAGES, max_size=5))
def test_messages_survive_the_round_trip(messages: list[BackendMessage]) -> None:
    reader = BackendReader(body_bytes_max=1000)
    reader.feed(b"".join(message.encode() for message in messages))
    found = []
    while frame := reader.next():
        assert isinstance(frame, Frame)
        found.append(decode(frame))
    assert found == messages


@given(st.builds(Frame, st.sampled_from(ALL_TAGS) | st.integers(0, 255), st.binary(max_size=60)))
def test_random_bodies_decode_to_what_encodes_to_them_or_are_the_backends_error(frame: Frame) -> None:
    try:
        decoded = decode(frame)
    except BackendProtocolError:
        return
    if not isinstance(decoded, backend.Report):
        assert decoded.encode() == frame.encode()


@given(MESSAGES, st.data())
def test_a_body_cut_short_or_grown_is_refused(message: BackendMessage, data: st.DataObject) -> None:
    if isinstance(message, OPEN_ENDED):
        return
    tag, body = message.encode()[0], message.encode()[5:]
    with pytest.raises(BackendProtocolError):
        decode(Frame(tag, body + b"\0"))
    if body:
        with pytest.raises(BackendProtocolError):
            decode(Frame(tag, body[: data.draw(st.integers(0, len(body) - 1))]))


@pytest.mark.parametrize("size", [0, 3, 257])
def test_cancel_keys_out_of_bounds_are_refused_both_ways(size: int) -> None:
    with pytest.raises(BackendProtocolError, match="cancel key"):
        decode(Frame(tags.BACKEND_KEY_DATA, bytes(4 + size)))
    with pytest.raises(InvariantError):
        backend.BackendKeyData(1, bytes(size)).encode()


def test_a_cancel_key_is_not_printed() -> None:
    assert "sesame" not in repr(backend.BackendKeyData(1, b"sesame"))


def test_a_transaction_status_that_does_not_exist_is_refused_both_ways() -> None:
    with pytest.raises(InvariantError):
        backend.ReadyForQuery("X").encode()
    with pytest.raises(BackendProtocolError, match="transaction status"):
        decode(Frame(tags.READY_FOR_QUERY, b"X"))


def test_a_copy_format_that_does_not_exist_is_refused_both_ways() -> None:
    for body in (b"\x02\0\0", b"\0\0\x01\0\x02"):
        with pytest.raises(BackendProtocolError, match="format"):
            decode(Frame(tags.COPY_OUT_RESPONSE, body))
    for response in (backend.CopyOutResponse(2, ()), backend.CopyInResponse(0, (2,))):
        with pytest.raises(InvariantError):
            response.encode()


@pytest.mark.parametrize("count", [-1, 2, 2**31 - 1])
def test_a_count_of_options_that_lies_is_refused_without_allocating(count: int) -> None:
    with pytest.raises(BackendProtocolError, match="count of options"):
        decode(Frame(tags.NEGOTIATE_PROTOCOL_VERSION, struct.pack("!ii", 196608, count) + b"_pq_.x\0"))


def test_the_minor_version_is_the_same_in_both_ways_of_writing_it() -> None:
    assert backend.NegotiateProtocolVersion(196610).minor == backend.NegotiateProtocolVersion(2).minor == 2


def test_an_unknown_message_type_is_refused_and_written_safely() -> None:
    with pytest.raises(BackendProtocolError, match="`0x0a` does not exist"):
        decode(Frame(10, b""))
