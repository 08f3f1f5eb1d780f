"""Network addresses: bijections that keep family and spelling."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.masking.network import Addresses, Hardware, parse_address
from lockgate.masking.numerals import Numerals

_NUMERALS = Numerals(bytes(32), bytes(31) + b"\1", bytes(31) + b"\2")
_ADDRESSES, _HARDWARE = Addresses(_NUMERALS), Hardware(_NUMERALS)


@given(st.ip_addresses())
def test_an_address_stays_in_its_family_and_goes_back(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    shown = _ADDRESSES.text(str(address))
    assert shown is not None
    assert ipaddress.ip_address(shown).version == address.version
    assert _ADDRESSES.text(shown, backward=True) == str(address)


def test_the_prefix_length_stays() -> None:
    shown = _ADDRESSES.text("10.1.2.3/8")
    assert shown is not None
    assert shown.endswith("/8")


@pytest.mark.parametrize(
    "text",
    [
        "010.1.1.1",
        "FE80::1",
        "fe80::1%eth0",
        "10.0.0.1/33",
        "10.0.0.1/08",
        "10.0.0.1/" + "1" * 5000,
        "1" * 5000,
        "1.2.3",
        "",
        "/",
    ],
)
def test_text_that_is_no_canonical_address_has_no_address_as_mask(text: str) -> None:
    assert _ADDRESSES.text(text) is None


def test_a_network_keeps_zero_host_bits() -> None:
    assert _ADDRESSES.network(int(ipaddress.ip_address("10.1.2.0")), 32, 24) % 256 == 0
    assert _ADDRESSES.network(int(ipaddress.ip_address("10.0.0.0")), 32, 8) == 0


@given(st.integers(0, 2**48 - 1), st.sampled_from([":", "-"]), st.booleans())
def test_a_mac_keeps_separator_and_case_and_goes_back(value: int, separator: str, upper: bool) -> None:
    text = value.to_bytes(6, "big").hex(separator)
    text = text.upper() if upper else text
    shown = _HARDWARE.text(text)
    assert shown is not None
    assert shown in (shown.lower(), shown.upper())
    assert _HARDWARE.text(shown, backward=True) == text


def test_a_mac_of_decimal_digits_stays_one() -> None:
    shown = _HARDWARE.text("00:11:22:33:44:55")
    assert shown is not None
    assert shown.replace(":", "").isdigit()


@pytest.mark.parametrize(
    "text", ["aa:bb:cc:dd:ee", "aa:bb-cc:dd:ee:ff", "Aa:bb:cc:dd:ee:ff", "aabbccddeeff", "gg:bb:cc:dd:ee:ff"]
)
def test_text_that_is_no_mac_has_none_as_mask(text: str) -> None:
    assert _HARDWARE.text(text) is None


def test_an_eui_64_is_masked_too() -> None:
    shown = _HARDWARE.text("08:00:2b:ff:fe:01:02:03")
    assert shown is not None
    assert len(shown) == 23


def test_parsing_refuses_zones_and_prefixes() -> None:
    assert parse_address("fe80::1%1") is None
    assert parse_address("10.0.0.0/8") is None
    assert parse_address("::1") is not None
