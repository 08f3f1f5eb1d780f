"""Start-up packets: every form is told apart, every wrong length is refused before anything is read."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import ClientProtocolError, InvariantError, LimitExceededError
from lockgate.wire.postgres.startup import (
    CancelRequest,
    DirectTls,
    FirstPacket,
    GssEncRequest,
    SslRequest,
    StartupMessage,
    cancel_request,
    gss_enc_request,
    parse_first,
    ssl_request,
    startup_message,
)

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30)
PARAMETERS = st.dictionaries(TEXT.filter(bool), TEXT, max_size=10).map(lambda found: tuple(found.items()))


def packet(code: int, body: bytes) -> bytes:
    return struct.pack("!II", len(body) + 8, code) + body


@given(PARAMETERS, st.integers(0, 2))
def test_a_startup_message_survives_the_round_trip(parameters: tuple[tuple[str, str], ...], minor: int) -> None:
    encoded = startup_message(parameters, minor=minor)
    assert parse_first(encoded) == FirstPacket(StartupMessage(3, minor, parameters), len(encoded))
    assert parse_first(bytearray(encoded) + b"more") == FirstPacket(StartupMessage(3, minor, parameters), len(encoded))


@given(PARAMETERS, st.data())
def test_a_packet_cut_anywhere_is_incomplete(parameters: tuple[tuple[str, str], ...], data: st.DataObject) -> None:
    encoded = startup_message(parameters)
    assert parse_first(encoded[: data.draw(st.integers(0, len(encoded) - 1))]) is None


@given(st.integers(-(2**31), 2**31 - 1), st.binary(min_size=4, max_size=256))
def test_a_cancel_request_survives_the_round_trip_with_keys_of_any_length(process_id: int, key: bytes) -> None:
    encoded = cancel_request(process_id, key)
    assert parse_first(encoded) == FirstPacket(CancelRequest(process_id, key), len(encoded))


@pytest.mark.parametrize("size", [0, 3, 257, 300])
def test_cancel_keys_out_of_bounds_are_refused_both_ways(size: int) -> None:
    with pytest.raises(ClientProtocolError, match="cancel key"):
        parse_first(packet(80877102, bytes(4 + size)))
    with pytest.raises(InvariantError):
        cancel_request(1, bytes(size))


def test_a_cancel_key_is_not_printed() -> None:
    assert "sesame" not in repr(CancelRequest(1, b"sesame"))


def test_requests_for_encryption_are_told_apart_and_leave_what_follows() -> None:
    assert ssl_request() == bytes.fromhex("0000000804d2162f")
    assert gss_enc_request() == bytes.fromhex("0000000804d21630")
    assert parse_first(ssl_request() + b"smuggled") == FirstPacket(SslRequest(), 8)
    assert parse_first(gss_enc_request() + b"smuggled") == FirstPacket(GssEncRequest(), 8)


def test_direct_tls_is_recognised_by_its_first_byte_and_not_consumed() -> None:
    assert parse_first(b"\x16") == FirstPacket(DirectTls(), 0)
    assert parse_first(b"\x16\x03\x01\x02\x00\x01") == FirstPacket(DirectTls(), 0)


@pytest.mark.parametrize("length", [0, 3, 4, 7, 2**32 - 1, 2**31])
def test_a_length_too_small_for_a_packet_is_refused(length: int) -> None:
    with pytest.raises(ClientProtocolError, match="out of bounds"):
        parse_first(struct.pack("!I", length))


@pytest.mark.parametrize("length", [10_001, 2**31 - 1])
def test_a_length_above_the_limit_is_refused_from_four_bytes(length: int) -> None:
    with pytest.raises(LimitExceededError, match="limit of 10000"):
        parse_first(struct.pack("!I", length))


def test_the_limit_is_the_callers() -> None:
    encoded = startup_message((("user", "x" * 20_000),))
    assert parse_first(encoded, bytes_max=len(encoded)) is not None
    with pytest.raises(LimitExceededError):
        parse_first(encoded, bytes_max=len(encoded) - 1)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "no end"),
        (b"user", "no end"),
        (b"user\0x", "no end"),
        (b"user\0x\0", "no end"),
        (b"user\0x\0\0more", "after the end"),
        (b"user\0x\0user\0y\0\0", "given twice"),
        (b"user\0x\0user\0x\0\0", "given twice"),
        (b"user\0\xff\0\0", "not valid UTF-8"),
        (b"\xc0\x80\0x\0\0", "not valid UTF-8"),
    ],
)
def test_parameters_that_two_readers_could_read_differently_are_refused(body: bytes, sentence: str) -> None:
    with pytest.raises(ClientProtocolError, match=sentence):
        parse_first(packet(3 << 16, body))


@pytest.mark.parametrize("major", [0, 1, 2, 4, 0xFFFF])
def test_other_major_versions_are_refused_with_a_clear_sentence(major: int) -> None:
    with pytest.raises(ClientProtocolError, match=f"protocol {major}.7 is not spoken here, only protocol 3"):
        parse_first(packet(major << 16 | 7, b"user\0x\0\0"))


def test_an_unknown_request_code_is_refused() -> None:
    with pytest.raises(ClientProtocolError, match="request code 1 does not exist"):
        parse_first(packet(1234 << 16 | 1, b""))


@pytest.mark.parametrize("code", [80877103, 80877104])
def test_a_request_for_encryption_has_no_body(code: int) -> None:
    with pytest.raises(ClientProtocolError, match="after the end"):
        parse_first(packet(code, b"x"))


@given(st.one_of(st.binary(max_size=60), st.builds(packet, st.just(3 << 16), st.binary(max_size=60))))
def test_random_bytes_raise_nothing_but_the_clients_error(data: bytes) -> None:
    with contextlib.suppress(ClientProtocolError):
        parse_first(data)


@pytest.mark.parametrize("parameters", [(("", "x"),), (("a", "x"), ("a", "y")), (("a", "x\0user\0root"),)])
def test_parameters_that_cannot_be_sent_are_our_fault(parameters: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(InvariantError):
        startup_message(parameters)
