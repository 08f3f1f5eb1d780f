"""Errors and notices: read in any state, written whatever the text holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import BackendProtocolError, InvariantError
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.backend import decode
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.reports import ErrorResponse, NoticeResponse, Report, error, notice, read_fields


def test_an_error_of_our_own_has_both_severities_and_its_parts_in_order() -> None:
    encoded = error("42501", "denied", severity="FATAL", detail="why", hint="what next")
    assert encoded[5:] == b"SFATAL\0VFATAL\0C42501\0Mdenied\0Dwhy\0Hwhat next\0\0"
    assert encoded[0] == tags.ERROR_RESPONSE


def test_a_notice_of_our_own_leaves_out_what_is_not_given() -> None:
    assert notice("00000", "careful")[5:] == b"SNOTICE\0VNOTICE\0C00000\0Mcareful\0\0"
    assert notice("00000", "careful")[0] == tags.NOTICE_RESPONSE


@given(st.text())
def test_any_message_can_be_sent_and_grows_no_fields(text: str) -> None:
    encoded = error("XX000", text)
    decoded = decode(Frame(encoded[0], encoded[5:]))
    assert isinstance(decoded, ErrorResponse)
    assert list(decoded.fields) == ["S", "V", "C", "M"]
    assert "\0" not in decoded.message


@pytest.mark.parametrize("sqlstate", ["", "4250", "425011", "4250a", "42 01", "42501\n"])
def test_an_sqlstate_of_our_own_must_be_one(sqlstate: str) -> None:
    with pytest.raises(InvariantError):
        error(sqlstate, "denied")


@given(st.binary(max_size=80))
def test_random_bytes_are_a_report_or_the_backends_error(body: bytes) -> None:
    for tag in (tags.ERROR_RESPONSE, tags.NOTICE_RESPONSE):
        try:
            decoded = decode(Frame(tag, body))
        except BackendProtocolError:
            continue
        assert isinstance(decoded, Report)
        assert len(decoded.sqlstate) == 5
        again = decoded.encode()
        assert decode(Frame(again[0], again[5:])) == decoded


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b"\0", {}),
        (b"Mtext\0\0", {"M": "text"}),
        (b"Mtext\0", {"M": "text"}),
        (b"Mtext", {"M": "text"}),
        (b"M", {"M": ""}),
        (b"Mfirst\0Msecond\0\0", {"M": "first"}),
        (b"M\xff\xfe\0\0", {"M": "\udcff\udcfe"}),
        (b"\xe9odd\0\0", {"\xe9": "odd"}),
    ],
)
def test_a_report_is_read_even_when_parts_are_missing(body: bytes, fields: dict[str, str]) -> None:
    assert read_fields(body) == fields


def test_bytes_after_the_end_of_a_report_are_refused() -> None:
    with pytest.raises(BackendProtocolError, match="after the end"):
        read_fields(b"Mtext\0\0Dmore\0\0")


def test_a_report_without_its_parts_still_answers() -> None:
    empty = ErrorResponse({})
    assert (empty.sqlstate, empty.severity, empty.message) == ("XX000", "ERROR", "")
    assert ErrorResponse({"C": "bad\n!"}).sqlstate == "XX000"
    assert NoticeResponse({"S": "WARNUNG", "V": "WARNING", "C": "01000"}).severity == "WARNING"
    assert NoticeResponse({"S": "WARNUNG", "C": "01000"}).severity == "WARNUNG"


def test_a_report_is_not_printed_because_it_can_quote_rows() -> None:
    assert "sesame" not in repr(ErrorResponse({"D": "Key (name)=(sesame)"}))


@pytest.mark.parametrize("code", ["", "MM", "\0", "\u0100"])
def test_a_field_code_that_is_not_one_byte_is_our_fault(code: str) -> None:
    with pytest.raises(InvariantError):
        ErrorResponse({code: "x"}).encode()
