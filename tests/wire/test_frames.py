"""Frames: any cut gives the same messages, lengths are checked from the header, rows pass at any size."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import (
    BackendProtocolError,
    ClientProtocolError,
    InvariantError,
    LimitExceededError,
    LockgateError,
)
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.frames import BackendReader, Frame, FrameReader, message

FRAMES = st.lists(
    st.builds(Frame, st.sampled_from([tags.DATA_ROW, tags.COPY_DATA, ord("T"), ord("Z")]), st.binary(max_size=40))
)
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=20)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """Cut a stream into pieces of the given sizes, over and over."""
    found: list[bytes] = []
    position = 0
    while position < len(stream):
        size = cuts[len(found) % len(cuts)]
        found.append(stream[position : position + size])
        position += size
    return found


def header(tag: int, length: int) -> bytes:
    return struct.pack("!Bi", tag, length)


@given(FRAMES, CUTS, st.booleans())
def test_any_cut_gives_the_same_frames(frames: list[Frame], cuts: list[int], drain: bool) -> None:
    reader = FrameReader(body_bytes_max=40)
    found: list[Frame] = []
    for piece in pieces(b"".join(frame.encode() for frame in frames), cuts):
        reader.feed(piece)
        while (drain or not found) and (frame := reader.next_frame()):
            found.append(frame)
    while frame := reader.next_frame():
        found.append(frame)
    assert found == frames
    assert reader.buffered == 0


@given(FRAMES, CUTS, st.booleans())
def test_any_cut_gives_the_same_frames_and_the_same_span_bytes(
    frames: list[Frame], cuts: list[int], drain: bool
) -> None:
    passed = {tags.DATA_ROW, tags.COPY_DATA}
    reader = BackendReader(body_bytes_max=40)
    reader.passthrough = frozenset(passed)
    found: list[Frame | bytes] = []
    for piece in pieces(b"".join(frame.encode() for frame in frames), cuts):
        reader.feed(piece)
        while drain and (item := reader.next()):
            found.append(item)
    while item := reader.next():
        found.append(item)
    stream = b"".join(item.encode() if isinstance(item, Frame) else item for item in found)
    assert stream == b"".join(frame.encode() for frame in frames)
    assert [item for item in found if isinstance(item, Frame)] == [f for f in frames if f.tag not in passed]
    assert reader.rows == sum(frame.tag in passed for frame in frames)
    assert reader.span_bytes == sum(len(item) for item in found if isinstance(item, bytes))
    assert not reader.mid_message
    assert reader.buffered == 0


@given(FRAMES, CUTS)
def test_without_passthrough_the_backend_reader_is_a_frame_reader(frames: list[Frame], cuts: list[int]) -> None:
    reader = BackendReader(body_bytes_max=40)
    found: list[Frame | bytes] = []
    for piece in pieces(b"".join(frame.encode() for frame in frames), cuts):
        reader.feed(piece)
        while item := reader.next():
            found.append(item)
    assert found == frames
    assert reader.rows == reader.span_bytes == 0


@given(st.lists(st.binary(max_size=30)), st.frozensets(st.integers(0, 255), max_size=2))
def test_random_bytes_raise_nothing_but_the_errors_of_the_peer(chunks: list[bytes], passed: frozenset[int]) -> None:
    client = FrameReader(body_bytes_max=100, limits=tags.FRONTEND_LIMITS, known=tags.FRONTEND)
    backend = BackendReader(body_bytes_max=100)
    backend.passthrough = passed
    for chunk in chunks:
        client.feed(chunk)
        backend.feed(chunk)
        try:
            while client.next_frame():
                pass
        except ClientProtocolError:
            pass
        try:
            while backend.next():
                pass
        except BackendProtocolError:
            pass


@pytest.mark.parametrize("length", [0, 1, 3, -1, -(2**31)])
def test_a_length_that_does_not_count_itself_is_the_peers_error_and_stays_one(length: int) -> None:
    client = FrameReader(body_bytes_max=100)
    client.feed(header(tags.QUERY, length))
    for _ in range(2):
        with pytest.raises(ClientProtocolError, match="out of bounds"):
            client.next_frame()
    for passed in (frozenset[int](), frozenset({tags.DATA_ROW})):
        backend = BackendReader(body_bytes_max=100)
        backend.passthrough = passed
        backend.feed(header(tags.DATA_ROW, length))
        for _ in range(2):
            with pytest.raises(BackendProtocolError, match="out of bounds"):
                backend.next()


def test_a_length_that_wraps_at_4_gb_smuggles_nothing() -> None:
    reader = FrameReader(body_bytes_max=2**31)
    reader.feed(struct.pack("!BI", tags.BIND, 2**32 - 4) + message(tags.QUERY, b"drop\0"))
    with pytest.raises(ClientProtocolError):
        reader.next_frame()


@pytest.mark.parametrize("length", [105, 2**31 - 1])
def test_a_long_message_is_refused_from_its_header_alone(length: int) -> None:
    reader = FrameReader(body_bytes_max=100)
    reader.feed(header(tags.QUERY, length))
    with pytest.raises(LimitExceededError, match="limit of 100"):
        reader.next_frame()


def test_the_longest_body_allowed_is_read() -> None:
    reader = FrameReader(body_bytes_max=100)
    reader.feed(message(tags.QUERY, b"x" * 100))
    assert reader.next_frame() == Frame(tags.QUERY, b"x" * 100)


def test_a_tag_may_have_a_shorter_limit_but_never_a_longer_one() -> None:
    reader = FrameReader(body_bytes_max=100, limits={tags.SYNC: 10, tags.QUERY: 1000})
    reader.feed(header(tags.SYNC, 15))
    with pytest.raises(LimitExceededError, match="limit of 10"):
        reader.next_frame()
    reader = FrameReader(body_bytes_max=100, limits={tags.SYNC: 10, tags.QUERY: 1000})
    reader.feed(header(tags.QUERY, 105))
    with pytest.raises(LimitExceededError, match="limit of 100"):
        reader.next_frame()


def test_a_tag_that_does_not_exist_is_refused_before_its_body_arrives() -> None:
    reader = FrameReader(body_bytes_max=2**31, known=tags.FRONTEND)
    reader.feed(b"GET / HTTP/1.1\r\n")
    with pytest.raises(ClientProtocolError, match="message type `G` does not exist"):
        reader.next_frame()


@pytest.mark.parametrize("blame", [BackendProtocolError, LockgateError])
def test_the_blame_is_never_put_on_the_client_for_another_peer(blame: type[LockgateError]) -> None:
    reader = FrameReader(body_bytes_max=1, blame=blame)
    reader.feed(header(tags.QUERY, 100))
    with pytest.raises(blame) as caught:
        reader.next_frame()
    assert not isinstance(caught.value, ClientProtocolError)


def test_a_frame_of_a_backend_beyond_the_limit_is_the_backends_error() -> None:
    reader = BackendReader(body_bytes_max=10)
    reader.feed(header(tags.ERROR_RESPONSE, 2**31 - 1))
    with pytest.raises(BackendProtocolError, match="limit of 10"):
        reader.next()


def test_a_large_message_in_small_pieces_is_joined_once() -> None:
    body = bytes(range(256)) * 65_536
    stream = message(tags.COPY_DATA, body) + message(tags.COPY_DONE, b"")
    for reader in (FrameReader(body_bytes_max=len(body)), BackendReader(body_bytes_max=len(body))):
        take = reader.next_frame if isinstance(reader, FrameReader) else reader.next
        found = []
        for start in range(0, len(stream), 4096):
            reader.feed(stream[start : start + 4096])
            while frame := take():
                found.append(frame)
        assert found == [Frame(tags.COPY_DATA, body), Frame(tags.COPY_DONE, b"")]
        assert reader.buffered == 0


def test_a_row_larger_than_any_limit_streams_through_in_spans() -> None:
    reader = BackendReader(body_bytes_max=10)
    reader.passthrough = frozenset({tags.DATA_ROW})
    reader.feed(header(tags.DATA_ROW, 2**31 - 1))
    assert reader.next() == header(tags.DATA_ROW, 2**31 - 1)
    assert reader.mid_message
    for _ in range(3):
        reader.feed(b"x" * 1000)
        assert reader.next() == b"x" * 1000
        assert reader.next() is None
        assert reader.buffered == 0
    assert (reader.rows, reader.span_bytes) == (1, 3005)


def test_consecutive_rows_are_one_span_and_the_message_after_them_is_a_frame() -> None:
    row = message(tags.DATA_ROW, b"\0\0")
    reader = BackendReader(body_bytes_max=100)
    reader.passthrough = frozenset({tags.DATA_ROW})
    reader.feed(row * 3 + message(tags.COMMAND_COMPLETE, b"SELECT 3\0") + row)
    assert [reader.next() for _ in range(4)] == [row * 3, Frame(tags.COMMAND_COMPLETE, b"SELECT 3\0"), row, None]
    assert reader.rows == 4


def test_passthrough_can_change_between_messages_and_inside_an_unfinished_one() -> None:
    row = message(tags.DATA_ROW, b"\0\0")
    reader = BackendReader(body_bytes_max=100)
    reader.feed(row + message(tags.ROW_DESCRIPTION, b"\0\0") + row + row[:6])
    assert reader.next() == Frame(tags.DATA_ROW, b"\0\0")
    reader.passthrough = frozenset({tags.DATA_ROW})
    assert reader.next() == Frame(tags.ROW_DESCRIPTION, b"\0\0")
    assert reader.next() == row + row[:6]
    reader.passthrough = frozenset()
    reader.feed(row[6:] + row)
    assert reader.next() == row[6:]
    assert reader.next() == Frame(tags.DATA_ROW, b"\0\0")
    assert reader.rows == 2


def test_rows_before_a_wrong_length_are_given_out_first() -> None:
    row = message(tags.DATA_ROW, b"\0\0")
    reader = BackendReader(body_bytes_max=100)
    reader.passthrough = frozenset({tags.DATA_ROW})
    reader.feed(row + header(tags.DATA_ROW, 3))
    assert reader.next() == row
    with pytest.raises(BackendProtocolError):
        reader.next()


def test_a_frame_encodes_to_its_bytes() -> None:
    assert Frame(tags.SYNC, b"").encode() == b"S\x00\x00\x00\x04"


def test_a_message_longer_than_the_protocol_allows_is_our_fault() -> None:
    class Long(bytes):
        def __len__(self) -> int:
            return 2**31 - 4

    with pytest.raises(InvariantError):
        message(tags.QUERY, Long())
