"""CEF and RFC 5424: nothing that somebody wrote into a statement ends a field, a line or a message."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.telemetry.ocsf import event
from lockgate.telemetry.syslog import MESSAGE_BYTES_MAX, cef, extension, header, octet_counted, rfc5424
from support.entries import AWKWARD, ENTRIES

EVENTS: list[Any] = [
    made for index, entry, intent in ENTRIES if (made := event("gw/1", index, entry, intent)) is not None
]
MESSAGE = re.compile(
    r"<(\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]{1,255} lockgate [!-~]{1,128} \d{6}"
    r' \[origin software="Lockgate" swVersion="[^"\]\\]*"\]\[meta sequenceId="\d+"\] \ufeff(.*)'
)


def parse_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """A receiver's reading: seven bars that are not escaped, then keys and values."""
    parts = re.split(r"(?<!\\)((?:\\\\)*)\|", line, maxsplit=7)
    heads = [parts[i] + (parts[i + 1] if i + 1 < len(parts) else "") for i in range(0, len(parts) - 1, 2)]
    pairs = re.split(r"(?:^| )([A-Za-z0-9]+)=", parts[-1])[1:]
    found = {
        key: re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True)
    }
    return [re.sub(r"\\(.)", r"\1", part) for part in heads], found


@pytest.mark.parametrize("made", EVENTS, ids=lambda made: made["metadata"]["uid"])
def test_each_event_is_one_line_that_reads_back(made: Any) -> None:
    line = cef(made)
    assert line.isprintable()
    heads, fields = parse_cef(line)
    assert heads[:3] == ["CEF:0", "Lockgate", "Lockgate"]
    assert heads[5] == made["type_name"]
    assert fields["externalId"] == made["metadata"]["uid"]
    assert int(heads[6]) <= 10
    message = rfc5424(made, line, host="gate 1\n").decode()
    found = MESSAGE.fullmatch(message)
    assert found is not None
    assert found[2] == line
    assert 13 * 8 <= int(found[1]) <= 13 * 8 + 7


def test_a_statement_full_of_syntax_stays_one_value() -> None:
    (made,) = [made for made in EVENTS if made.get("query_info", {}).get("query_string") == AWKWARD]
    _, fields = parse_cef(cef(made))
    assert fields["cs2"].split() == re.sub(r"[\x00-\x09\x1b\u2028]", " ", AWKWARD).split()
    assert fields["suser"] == 'o"r\n|=]'
    assert set(fields) <= {
        "rt", "externalId", "act", "outcome", "reason", "suser", "src", "cs1Label", "cs1", "cs2Label", "cs2", "cs3Label", "cs3",
        "cs4Label", "cs4", "cs5Label", "cs5", "cs6Label", "cs6", "msg",
    }  # fmt: skip


@given(st.text())
def test_any_text_is_escaped(text: str) -> None:
    for escaped, ends in ((header(text), "|"), (extension(text), "=")):
        assert re.search(rf"(?<!\\)(\\\\)*{re.escape(ends)}", escaped) is None
        assert re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", escaped) is None
        assert len(escaped) - len(escaped.rstrip("\\")) in range(0, len(escaped) + 1, 2)


def test_addresses_of_both_families_have_their_fields() -> None:
    base = EVENTS[1]
    _, fields = parse_cef(cef({**base, "src_endpoint": {"ip": "2001:db8::1"}}))
    assert (fields["c6a2"], fields["c6a2Label"]) == ("2001:db8::1", "Source IPv6 Address")
    assert "src" not in fields


def test_a_message_that_is_too_long_is_cut_between_characters() -> None:
    message = rfc5424(EVENTS[0], "ü" * MESSAGE_BYTES_MAX, host="h")
    assert MESSAGE_BYTES_MAX - 2 < len(message) <= MESSAGE_BYTES_MAX
    assert message.decode().endswith("ü")
    assert octet_counted(b"abc") == b"3 abc"
