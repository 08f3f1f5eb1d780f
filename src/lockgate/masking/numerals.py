"""Pseudonyms of numbers that people are known by: phone, national id, card, IBAN.

For: shape-keeping bijections; separators, lengths and the kind of each letter stay, check digits stay right or wrong.
Not for: dates, amounts and other numbers, which are withheld.
Source: SP 800-38G (FF1); ISO/IEC 7812-1 annex B (Luhn); ISO 13616-1 (IBAN); docs/adr/0003-pseudonym-constructions.md, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lockgate.masking.ff1 import MINIMUM_DOMAIN, Ff1, Permutation
from lockgate.masking.words import calling_code_length

_SHORTEST_DIGITS = 6
_PHONE = re.compile(r"\+?[0-9 ().\-/#*,;:xXeEtT]{1,64}", re.ASCII)
_ID = re.compile(r"[0-9A-Za-z .\-/]{1,64}", re.ASCII)
_CARD = re.compile(r"[0-9 \-]{1,64}", re.ASCII)
_IBAN = re.compile(r"[A-Za-z]{2}[0-9]{2}[0-9A-Za-z]{5,30}", re.ASCII)

_DOUBLED = str.maketrans("0123456789", "0246813579")  # twice each digit, its digits added

Step = Callable[[int], int]


class Numerals:
    """The ciphers one label's numbers share. `backward` on any call gives the inverse."""

    def __init__(self, digits_key: bytes, mixed_key: bytes, integer_key: bytes) -> None:
        self.digits = Ff1(digits_key, 10)
        self.mixed = Permutation(mixed_key)
        self.integers = Permutation(integer_key)

    def phone(self, value: str, *, backward: bool = False) -> str | None:
        """All digits but the calling code after a leading `+`; None when fewer than six are left."""
        if not _PHONE.fullmatch(value):
            return None
        digits = _only_digits(value)
        kept = calling_code_length(digits) if value.startswith("+") else 0
        if len(digits) - kept < _SHORTEST_DIGITS:
            return None
        tweak = b"+" + digits[:kept].encode("ascii") if kept else b""
        shown = digits[:kept] + self.decimal(digits[kept:], tweak, backward)
        return _merge(value, shown)

    def identifier(self, value: str, *, backward: bool = False) -> str | None:
        """All digits and letters, each staying a digit, capital or small letter; None when the shape has too few values."""
        if not _ID.fullmatch(value):
            return None
        body = "".join(letter for letter in value if letter.isalnum())
        if body.isdigit() and len(body) >= _SHORTEST_DIGITS:
            return _merge(value, self.decimal(body, b"id", backward))
        shown = self._permute_shape(body, b"id", backward)
        return None if shown is None else _merge(value, shown)

    def card(self, value: str, *, backward: bool = False) -> str | None:
        """All digits; a number that passes the Luhn check becomes one that passes, one that fails one that fails."""
        digits = _only_digits(value)
        if not _CARD.fullmatch(value) or not _SHORTEST_DIGITS < len(digits) <= 32:
            return None
        if luhn_valid(digits):
            body = self.decimal(digits[:-1], b"luhn", backward)
            return _merge(value, body + luhn_digit(body))
        shown = self.decimal(digits, b"other", backward)
        while luhn_valid(shown):  # cycle walking: the cycle comes back to `digits`, which fails the check
            shown = self.decimal(shown, b"other", backward)
        return _merge(value, shown)

    def iban(self, value: str, *, backward: bool = False) -> str | None:
        """All but the country; right check digits stay right, wrong ones wrong."""
        compact = value.replace(" ", "").replace("-", "")
        if not _IBAN.fullmatch(compact) or len(value) > 64:
            return None
        country, check, body = compact[:2], compact[2:4], compact[4:]
        tweak = country.encode("ascii")
        if iban_valid(compact):
            shown = self._permute_shape(body, b"valid" + tweak, backward)
            if shown is None:
                return None
            return _merge(value, country + iban_check_digits(country, shown) + shown)
        rest = self._permute_shape(check + body, b"wrong" + tweak, backward)
        while rest is not None and iban_valid(country + rest):
            rest = self._permute_shape(rest, b"wrong" + tweak, backward)
        return None if rest is None else _merge(value, country + rest)

    def integer(self, value: int, limit: int, *, backward: bool = False) -> int | None:
        """An integer of the same sign and number of digits, at most `limit` in size; None when `limit` is too small for that.

        Numbers below one million are permuted among themselves, because their own digit counts have too few values;
        so are negative ones above minus ten million.
        """
        among = integer_range(value, limit)
        if among is None:
            return None
        low, high, tweak = among
        move = self.integers.backward if backward else self.integers.forward
        shown = low + move(abs(value) - low, high - low, tweak)
        return -shown if value < 0 else shown

    def card_integer(self, value: int, limit: int, *, backward: bool = False) -> int | None:
        """As `integer`, keeping the Luhn check of numbers of eight digits or more right or wrong."""
        low, high = _digit_class(abs(value), limit)
        if value < 10**7 or value > limit:
            return self.integer(value, limit, backward=backward)
        move = self.integers.backward if backward else self.integers.forward
        if luhn_valid(str(value)):
            first, last = low // 10, (high - 1) // 10 + 1

            def step(number: int) -> int:
                body = str(first + move(number // 10 - first, last - first, b"luhn"))
                return int(body + luhn_digit(body))

            return _walk(step, value, lambda number: number <= limit)
        return _walk(
            lambda number: low + move(number - low, high - low, b"other"),
            value,
            lambda number: not luhn_valid(str(number)),
        )

    def bits(self, value: int, bits: int, *, backward: bool = False) -> int:
        """A number of `bits` bits, at least 20."""
        move = self.mixed.backward if backward else self.mixed.forward
        return move(value, 1 << bits, b"bits")

    def decimal(self, digits: str, tweak: bytes, backward: bool = False) -> str:
        """Six or more decimal digits, leading zeros and all."""
        move = self.digits.decrypt_int if backward else self.digits.encrypt_int
        return str(move(int(digits), len(digits), tweak)).zfill(len(digits))

    def _permute_shape(self, body: str, tweak: bytes, backward: bool) -> str | None:
        rank, size, shape = 0, 1, []
        for letter in body:
            start, radix = kind_of(letter)
            rank = rank * radix + ord(letter) - start
            size *= radix
            shape.append((start, radix))
        if size < MINIMUM_DOMAIN:
            return None
        classes = bytes(start for start, _ in shape)
        move = self.mixed.backward if backward else self.mixed.forward
        rank = move(rank, size, tweak + b"/" + classes)
        letters = []
        for start, radix in reversed(shape):
            rank, digit = divmod(rank, radix)
            letters.append(chr(start + digit))
        return "".join(reversed(letters))


def integer_range(value: int, limit: int) -> tuple[int, int, bytes] | None:
    """The sizes that an integer's is permuted among, from the first to below the second, and the tweak; None when they are too few."""
    size = abs(value)
    if size > limit:
        return None
    low, high = _digit_class(size, limit)
    if value < 0 and size < 10 * MINIMUM_DOMAIN:
        low, high = 1, min(10 * MINIMUM_DOMAIN, limit + 1)  # zero has no sign
    if high - low < MINIMUM_DOMAIN:
        return None
    return low, high, b"-" if value < 0 else b"+"


def luhn_digit(body: str) -> str:
    """The check digit that makes `body` pass the Luhn check."""
    doubled = sum(map(int, body[::-1][::2].translate(_DOUBLED)))
    return str(-(doubled + sum(map(int, body[::-1][1::2]))) % 10)


def luhn_valid(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others."""
    return luhn_digit(digits[:-1]) == digits[-1]


def iban_check_digits(country: str, body: str) -> str:
    """The two check digits of an IBAN."""
    return str(98 - _mod97(body + country + "00")).zfill(2)


def iban_valid(compact: str) -> bool:
    """Whether the check digits are the ones that `iban_check_digits` gives."""
    return iban_check_digits(compact[:2], compact[4:]) == compact[2:4]


def _mod97(letters: str) -> int:
    return int("".join(str(int(letter, 36)) for letter in letters)) % 97


def _walk(step: Step, value: int, accept: Callable[[int], bool]) -> int:
    # Cycle walking: `value` itself is acceptable, so its cycle comes back to an acceptable number.
    value = step(value)
    while not accept(value):
        value = step(value)
    return value


def _digit_class(size: int, limit: int) -> tuple[int, int]:
    if size < MINIMUM_DOMAIN:
        return 0, min(MINIMUM_DOMAIN, limit + 1)
    low = 10 ** (len(str(size)) - 1)
    return low, min(low * 10, limit + 1)


def kind_of(letter: str) -> tuple[int, int]:
    """The first of the letters that a letter may become, and how many they are."""
    if letter <= "9":
        return 48, 10
    return (65, 26) if letter <= "Z" else (97, 26)


def _only_digits(value: str) -> str:
    return "".join(letter for letter in value if "0" <= letter <= "9")


def _merge(value: str, shown: str) -> str:
    # Put the new digits and letters where the old ones stood; all other characters stay.
    if len(shown) == len(value):
        return shown
    numeric = shown.isdigit()
    letters = iter(shown)
    return "".join(next(letters) if ("0" <= old <= "9" or (not numeric and old.isalnum())) else old for old in value)
