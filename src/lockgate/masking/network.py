"""Pseudonyms of network and hardware addresses.

For: bijections of IPv4, IPv6, MAC and EUI-64 addresses that keep family, prefix length and spelling.
Not for: keeping subnets: two neighbours become unrelated addresses.
Source: SP 800-38G (FF1, radix 2); docs/adr/0003-pseudonym-constructions.md, section 5.
"""

from __future__ import annotations

import ipaddress
import re

from lockgate.masking.numerals import Numerals

_MAC = re.compile(
    r"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}(?:[0-9A-Fa-f]{2}\1[0-9A-Fa-f]{2}\1)?[0-9A-Fa-f]{2}", re.ASCII
)
_SHORTEST_NETWORK = 20  # 2 ** 20 is the first power of two above one million


class Addresses:
    """IP addresses as text or numbers."""

    def __init__(self, numerals: Numerals) -> None:
        self._numerals = numerals

    def text(self, value: str, *, backward: bool = False) -> str | None:
        """An address or `address/prefix` in its canonical spelling; None for anything else."""
        address, slash, prefix = value.partition("/")
        parsed = parse_address(address)
        if parsed is None or str(parsed) != address:
            return None
        if slash and (prefix_length(prefix, parsed.max_prefixlen) is None or prefix != str(int(prefix))):
            return None
        shown = self.number(int(parsed), parsed.max_prefixlen, backward=backward)
        return str(type(parsed)(shown)) + slash + prefix

    def number(self, value: int, bits: int, *, backward: bool = False) -> int:
        """The address as a number of 32 or 128 bits."""
        return self._numerals.bits(value, bits, backward=backward)

    def network(self, value: int, bits: int, prefix: int) -> int:
        """A network number: its first `prefix` bits, the others zero; zero when there are fewer than twenty."""
        if prefix < _SHORTEST_NETWORK:
            return 0
        return self._numerals.bits(value >> (bits - prefix), prefix) << (bits - prefix)


class Hardware:
    """MAC (48 bits) and EUI-64 addresses."""

    def __init__(self, numerals: Numerals) -> None:
        self._numerals = numerals

    def text(self, value: str, *, backward: bool = False) -> str | None:
        """Pairs of hexadecimal digits with one kind of separator and one case; None for anything else."""
        if not _MAC.fullmatch(value) or (value != value.lower() and value != value.upper()):
            return None
        separator = value[2]
        digits = value.replace(separator, "")
        shown = format(self.number(int(digits, 16), 4 * len(digits), backward=backward), f"0{len(digits)}x")
        if digits != digits.lower():
            shown = shown.upper()
        return separator.join(shown[start : start + 2] for start in range(0, len(shown), 2))

    def number(self, value: int, bits: int, *, backward: bool = False) -> int:
        """The address as a number of 48 or 64 bits; one without hexadecimal letters stays one without.

        So the case of the letters, which the text form keeps, is never lost.
        """
        lettered = _lettered(value, bits)
        if not lettered:
            length = bits // 4
            shown = self._numerals.decimal(format(value, f"0{length}x"), b"mac", backward=backward)
            return int(shown, 16)
        value = self._numerals.bits(value, bits, backward=backward)
        while not _lettered(value, bits):
            value = self._numerals.bits(value, bits, backward=backward)
        return value


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that `text` spells, without zone; None when it spells none."""
    if "%" in text or "/" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def prefix_length(text: str, bits: int) -> int | None:
    """The prefix length that `text` spells, None when it is no number up to `bits`."""
    if not 1 <= len(text) <= 3 or not text.isascii() or not text.isdigit() or int(text) > bits:
        return None
    return int(text)


def _lettered(value: int, bits: int) -> bool:
    return not format(value, f"0{bits // 4}x").isdigit()
