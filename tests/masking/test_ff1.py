"""FF1 against the published sample vectors, and the permutation built on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import InvariantError
from lockgate.masking.ff1 import Ff1, Permutation

_K128 = "2B7E151628AED2A6ABF7158809CF4F3C"
_K192 = _K128 + "EF4359D8D580AA4F"
_K256 = _K192 + "7F036D6F04FC6A94"
_T10 = "39383736353433323130"
_T11 = "3737373770717273373737"
_LETTERS = "0123456789abcdefghi"

# NIST SP 800-38G, "Examples with intermediate values", FF1 samples 1 to 9.
_SAMPLES = [
    (_K128, 10, "", "0123456789", "2433477484"),
    (_K128, 10, _T10, "0123456789", "6124200773"),
    (_K128, 36, _T11, _LETTERS, "a9tv40mll9kdu509eum"),
    (_K192, 10, "", "0123456789", "2830668132"),
    (_K192, 10, _T10, "0123456789", "2496655549"),
    (_K192, 36, _T11, _LETTERS, "xbj3kv35jrawxv32ysr"),
    (_K256, 10, "", "0123456789", "6657667009"),
    (_K256, 10, _T10, "0123456789", "1001623463"),
    (_K256, 36, _T11, _LETTERS, "xs8a0azh2avyalyzuwd"),
]


@pytest.mark.parametrize(("key", "radix", "tweak", "plain", "cipher"), _SAMPLES)
def test_the_nist_samples_are_reproduced(key: str, radix: int, tweak: str, plain: str, cipher: str) -> None:
    ff1 = Ff1(bytes.fromhex(key), radix, bytes.fromhex(tweak))
    assert ff1.encrypt(plain) == cipher
    assert ff1.decrypt(cipher) == plain


@given(st.sampled_from([2, 10, 26, 36, 256, 65536]), st.data(), st.binary(max_size=40), st.sampled_from([16, 24, 32]))
def test_decrypt_undoes_encrypt(radix: int, data: st.DataObject, tweak: bytes, key_length: int) -> None:
    shortest = next(n for n in range(2, 30) if radix**n >= 10**6)
    digits = data.draw(st.lists(st.integers(0, radix - 1), min_size=shortest, max_size=shortest + 60))
    ff1 = Ff1(bytes(range(key_length)), radix, tweak)
    assert ff1.decrypt_digits(ff1.encrypt_digits(digits)) == tuple(digits)


def test_the_fast_round_and_the_general_round_agree() -> None:
    ff1 = Ff1(bytes(32), 10, b"ab")
    for length in range(6, 80):
        value = int("7" * length)
        shown = ff1.encrypt_int(value, length)
        shape = ff1._shape(length, shown, None)
        shape.short = False
        assert ff1.encrypt_int(value, length) == shown


@pytest.mark.parametrize(("radix", "length"), [(10, 5), (2, 19), (36, 3), (256, 2), (10, 0), (65536, 1)])
def test_a_domain_below_one_million_is_refused(radix: int, length: int) -> None:
    with pytest.raises(InvariantError):
        Ff1(bytes(16), radix).encrypt_digits([0] * length)


def test_numbers_outside_the_domain_and_strange_letters_are_refused() -> None:
    ff1 = Ff1(bytes(16), 10)
    for call in (
        lambda: ff1.encrypt_int(10**6, 6),
        lambda: ff1.encrypt_int(-1, 6),
        lambda: ff1.encrypt("12345a"),
        lambda: ff1.encrypt_digits([10] * 6),
        lambda: Ff1(bytes(15), 10),
        lambda: Ff1(bytes(16), 1),
    ):
        with pytest.raises(InvariantError):
            call()


@given(st.integers(10**6, 10**12), st.data(), st.binary(max_size=8))
def test_a_permutation_stays_in_range_and_is_undone(size: int, data: st.DataObject, tweak: bytes) -> None:
    permutation = Permutation(bytes(16))
    value = data.draw(st.integers(0, size - 1))
    image = permutation.forward(value, size, tweak)
    assert 0 <= image < size
    assert permutation.backward(image, size, tweak) == value


def test_a_permutation_of_too_few_values_is_refused() -> None:
    with pytest.raises(InvariantError):
        Permutation(bytes(16)).forward(0, 999_999)
    with pytest.raises(InvariantError):
        Permutation(bytes(16)).forward(10**6, 10**6)
