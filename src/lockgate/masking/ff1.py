"""FF1 format-preserving encryption, and keyed permutations of any integer range on top of it.

For: `Ff1` (numerals of one radix) and `Permutation` (integers below any size, by cycle walking).
Not for: what the numerals mean; values, types and labels are other modules' business.
Source: NIST SP 800-38G, algorithms 7 and 8 (FF1); domains below one million are refused, as its revision 1 demands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from struct import Struct
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from lockgate import speed
from lockgate.errors import InvariantError

MINIMUM_DOMAIN = 10**6
"""SP 800-38G revision 1: radix ** length must be at least one million."""

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_DIGIT = {letter: number for number, letter in enumerate(_ALPHABET)}
_ROUNDS = 10
_CACHED_SHAPES = 1024
_NARROW_BYTES = 12
"""Longest half that fits the compiled rounds; of a radix that is no power of two it must be below 2 ** 63 as well."""


class _Shape:
    """What is constant for one (length, tweak): the split, and the PRF's chaining value after all constant blocks."""

    __slots__ = ("b", "base", "chain", "d", "low", "high", "prefix", "shift", "short", "step")

    def __init__(self, high: int, low: int, b: int, prefix: bytes, chain: int) -> None:
        self.high = high
        self.low = low
        self.b = b
        self.d = 4 * ((b + 3) // 4) + 4
        self.prefix = prefix
        self.chain = chain
        self.short = len(prefix) + 1 + b == 16 and self.d <= 16
        self.base = chain ^ (int.from_bytes(prefix, "big") << (8 * (b + 1)))
        self.shift = 8 * (16 - self.d)
        self.step = 1 << (8 * b)


class Ff1:
    """FF1 under one key, radix and default tweak.

    One object must not be used by two threads at once: it keeps one AES context.
    """

    def __init__(self, key: bytes, radix: int, tweak: bytes = b"") -> None:
        """Prepare the cipher.

        Args:
            key: an AES key of 16, 24 or 32 bytes.
            radix: number of digits, 2 to 65536.
            tweak: used where a call gives none.
        """
        if len(key) not in (16, 24, 32) or not 2 <= radix <= 1 << 16:
            raise InvariantError("FF1 needs an AES key and a radix between 2 and 65536")
        self.radix = radix
        self._binary = radix & (radix - 1) == 0
        self._tweak = tweak
        self._key = key
        self._shapes: dict[tuple[int, bytes], _Shape] = {}
        self._lengths: dict[int, int] = {}

    @cached_property
    def _context(self) -> CipherContext:
        # Made at first use, because most statements need few of a label's ciphers. Blocks are chained by hand:
        # FF1 defines its PRF on the bare block cipher.
        return Cipher(algorithms.AES(self._key), modes.ECB()).encryptor()  # noqa: S305

    @cached_property
    def _aes(self) -> Callable[[bytes], bytes]:
        return self._context.update

    def encrypt(self, numerals: str, tweak: bytes | None = None) -> str:
        """Encrypt a numeral string: digits, then lower-case letters, radix at most 36."""
        digits = [self._digit(letter) for letter in numerals]
        return "".join(_ALPHABET[digit] for digit in self.encrypt_digits(digits, tweak))

    def decrypt(self, numerals: str, tweak: bytes | None = None) -> str:
        """The inverse of `encrypt`."""
        digits = [self._digit(letter) for letter in numerals]
        return "".join(_ALPHABET[digit] for digit in self.decrypt_digits(digits, tweak))

    def encrypt_digits(self, digits: Sequence[int], tweak: bytes | None = None) -> tuple[int, ...]:
        """Encrypt a sequence of digits below the radix, most significant first."""
        return self._split(self.encrypt_int(self._join(digits), len(digits), tweak), len(digits))

    def decrypt_digits(self, digits: Sequence[int], tweak: bytes | None = None) -> tuple[int, ...]:
        """The inverse of `encrypt_digits`."""
        return self._split(self.decrypt_int(self._join(digits), len(digits), tweak), len(digits))

    def encrypt_int(self, value: int, length: int, tweak: bytes | None = None) -> int:
        """Encrypt the number whose `length` digits in this radix are the numeral string."""
        shape = self._shape(length, value, tweak)
        high, low = shape.high, shape.low
        a, b = divmod(value, low)
        if shape.short:
            # One block in and one block out per round: the usual case, up to about 28 decimal digits without tweak.
            aes, base, step, shift = self._aes, shape.base, shape.step, shape.shift
            for number in range(0, _ROUNDS, 2):
                block = base ^ (number * step + b)
                a = (a + (int.from_bytes(aes(block.to_bytes(16, "big")), "big") >> shift)) % high
                block = base ^ (number * step + step + a)
                b = (b + (int.from_bytes(aes(block.to_bytes(16, "big")), "big") >> shift)) % low
        else:
            for number in range(0, _ROUNDS, 2):
                a = (a + self._prf(shape, number, b)) % high
                b = (b + self._prf(shape, number + 1, a)) % low
        return a * low + b

    def encrypt_many(self, values: Sequence[tuple[int, int, bytes]]) -> list[int]:
        """`encrypt_int` of many (value, length, tweak), with one AES call per round for all of them that fit."""
        found: list[int] = [0] * len(values)
        together: list[tuple[int, _Shape, int]] = []
        for number, (value, length, tweak) in enumerate(values):
            shape = self._shape(length, value, tweak)
            if shape.short and shape.b <= _NARROW_BYTES and (self._binary or shape.low < 1 << 63):
                together.append((number, shape, length))
            else:
                found[number] = self.encrypt_int(value, length, tweak)
        if together:
            self._many(values, together, found)
        return found

    def _many(
        self, values: Sequence[tuple[int, int, bytes]], together: list[tuple[int, _Shape, int]], found: list[int]
    ) -> None:
        halves = [divmod(values[number][0], shape.low) for number, shape, _ in together]
        if speed.core is not None:
            items = [
                (self._length(length, shape), shape.base.to_bytes(16, "big"), *pair)
                for (_, shape, length), pair in zip(together, halves, strict=True)
            ]
            halves = self.rounds.encrypt(items)
        else:
            halves = self._rounds_together([shape for _, shape, _ in together], halves)
        for (number, shape, _), (a, b) in zip(together, halves, strict=True):
            found[number] = a * shape.low + b

    def _rounds_together(self, shapes: list[_Shape], halves: list[tuple[int, int]]) -> list[tuple[int, int]]:
        upper, lower = [a for a, _ in halves], [b for _, b in halves]
        unpack, aes = Struct(f"!{2 * len(shapes)}Q").unpack, self._aes
        for number in range(_ROUNDS):
            blocks = b"".join(
                [(s.base ^ (number * s.step + half)).to_bytes(16, "big") for s, half in zip(shapes, lower, strict=True)]
            )
            words = unpack(aes(blocks))
            made = [
                ((high << 64 | low) >> s.shift) for s, high, low in zip(shapes, words[::2], words[1::2], strict=True)
            ]
            if number & 1:
                upper, lower = lower, [(half + y) % s.low for s, half, y in zip(shapes, upper, made, strict=True)]
            else:
                upper, lower = lower, [(half + y) % s.high for s, half, y in zip(shapes, upper, made, strict=True)]
        return list(zip(upper, lower, strict=True))

    @cached_property
    def rounds(self) -> Any:
        """The compiled core's rounds under this key."""
        return speed.core.Rounds(self._context.update_into, self._key)

    @cached_property
    def wide_rounds(self) -> Any:
        """The compiled core's rounds for long texts."""
        return speed.core.WideRounds(self._context.update_into)

    def prepared(self, length: int, tweak: bytes) -> tuple[int, int, int]:
        """For the compiled rounds: number of the shape, and the two halves of the constant block."""
        shape = self._shape(length, 0, tweak)
        if not shape.short:
            raise InvariantError("a shape is too large for the compiled rounds")
        return self._length(length, shape), shape.base >> 64, shape.base & (1 << 64) - 1

    def prepared_wide(self, length: int, tweak: bytes) -> tuple[bytes, bytes]:
        """For the compiled rounds over long texts: the chaining value and what is left of the constant part."""
        shape = self._shape(length, 0, tweak)
        return shape.chain.to_bytes(16, "big"), shape.prefix

    def _length(self, length: int, shape: _Shape) -> int:
        if length not in self._lengths:
            self._lengths[length] = self.rounds.shape(shape.b, shape.high, shape.low)
        return self._lengths[length]

    def decrypt_int(self, value: int, length: int, tweak: bytes | None = None) -> int:
        """The inverse of `encrypt_int`."""
        shape = self._shape(length, value, tweak)
        a, b = divmod(value, shape.low)
        for number in range(_ROUNDS - 1, 0, -2):
            b = (b - self._prf(shape, number, a)) % shape.low
            a = (a - self._prf(shape, number - 1, b)) % shape.high
        return a * shape.low + b

    def _prf(self, shape: _Shape, number: int, half: int) -> int:
        data = shape.prefix + bytes((number,)) + half.to_bytes(shape.b, "big")
        state = shape.chain
        for offset in range(0, len(data), 16):
            state ^= int.from_bytes(data[offset : offset + 16], "big")
            state = int.from_bytes(self._aes(state.to_bytes(16, "big")), "big")
        stream = state.to_bytes(16, "big")
        if shape.d > 16:
            blocks = (state ^ number for number in range(1, (shape.d + 15) // 16))
            stream += self._aes(b"".join(block.to_bytes(16, "big") for block in blocks))
        return int.from_bytes(stream[: shape.d], "big")

    def _shape(self, length: int, value: int, tweak: bytes | None) -> _Shape:
        used = self._tweak if tweak is None else tweak
        shape = self._shapes.get((length, used))
        if shape is None:
            shape = self._make_shape(length, used)
            if len(self._shapes) >= _CACHED_SHAPES:
                self._shapes.clear()
            self._shapes[length, used] = shape
        if not 0 <= value < shape.high * shape.low:
            raise InvariantError("an FF1 numeral string is outside its domain")
        return shape

    def _make_shape(self, length: int, tweak: bytes) -> _Shape:
        if not 2 <= length < 1 << 32 or self.radix**length < MINIMUM_DOMAIN:
            raise InvariantError("FF1 needs a domain of at least one million values")
        high_digits = length // 2
        low_digits = length - high_digits
        high, low = self.radix**high_digits, self.radix**low_digits
        b = ((low - 1).bit_length() + 7) // 8
        header = (
            b"\x01\x02\x01"
            + self.radix.to_bytes(3, "big")
            + bytes((_ROUNDS, high_digits % 256))
            + length.to_bytes(4, "big")
            + len(tweak).to_bytes(4, "big")
        )
        constant = tweak + bytes(-(len(tweak) + b + 1) % 16)
        whole = len(constant) // 16 * 16
        chain = 0
        data = header + constant[:whole]
        for offset in range(0, len(data), 16):
            chain ^= int.from_bytes(data[offset : offset + 16], "big")
            chain = int.from_bytes(self._aes(chain.to_bytes(16, "big")), "big")
        return _Shape(high, low, b, constant[whole:], chain)

    def _digit(self, letter: str) -> int:
        digit = _DIGIT.get(letter, self.radix)
        if digit >= self.radix or self.radix > len(_ALPHABET):
            raise InvariantError("a letter is no digit of this radix")
        return digit

    def _join(self, digits: Sequence[int]) -> int:
        value = 0
        for digit in digits:
            if not 0 <= digit < self.radix:
                raise InvariantError("a digit is outside the radix")
            value = value * self.radix + digit
        return value

    def _split(self, value: int, length: int) -> tuple[int, ...]:
        digits = []
        for _ in range(length):
            value, digit = divmod(value, self.radix)
            digits.append(digit)
        return tuple(reversed(digits))


class Permutation:
    """A keyed bijection of the integers below any size of at least one million.

    FF1 in radix 2 on the shortest bit string that holds the range, repeated until the result is inside it (cycle walking):
    a bijection of the range because FF1 is one of the larger set; fewer than two steps on average.
    """

    def __init__(self, key: bytes) -> None:
        self.ff1 = Ff1(key, 2)
        """The cipher whose cycles are walked."""

    def forward(self, value: int, size: int, tweak: bytes = b"") -> int:
        """The image of `value`, which must be below `size`; the size is part of the tweak."""
        length, tweak = walk_shape(value, size, tweak)
        while True:
            value = self.ff1.encrypt_int(value, length, tweak)
            if value < size:
                return value

    def backward(self, value: int, size: int, tweak: bytes = b"") -> int:
        """The inverse of `forward`."""
        length, tweak = walk_shape(value, size, tweak)
        while True:
            value = self.ff1.decrypt_int(value, length, tweak)
            if value < size:
                return value


def walk_shape(value: int, size: int, tweak: bytes) -> tuple[int, bytes]:
    """Bits and tweak of the cipher that permutes the integers below a size."""
    if size < MINIMUM_DOMAIN or not 0 <= value < size:
        raise InvariantError("a permutation needs at least one million values and a value among them")
    return (size - 1).bit_length(), size.to_bytes((size.bit_length() + 7) // 8, "big") + b"/" + tweak
