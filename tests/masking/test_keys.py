"""Keys are separate by every part of their name."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import InvariantError
from lockgate.masking.keys import KeyRing

_NAME = st.tuples(
    st.text(max_size=4), st.text(max_size=4), st.text(max_size=4), st.integers(0, 30), st.text(max_size=4)
)


def _key(ring: KeyRing, name: tuple[str, str, str, int, str]) -> bytes:
    return ring.key(class_=name[0], purpose=name[1], scope=name[2], epoch=name[3], use=name[4])


@given(_NAME, _NAME)
def test_two_names_share_a_key_only_when_they_are_the_same(
    one: tuple[str, str, str, int, str], other: tuple[str, str, str, int, str]
) -> None:
    ring = KeyRing(bytes(32))
    assert (_key(ring, one) == _key(ring, other)) == (one == other)


def test_parts_cannot_slide_into_their_neighbours() -> None:
    ring = KeyRing(bytes(32))
    assert _key(ring, ("ab", "c", "", 1, "")) != _key(ring, ("a", "bc", "", 1, ""))


def test_another_master_key_gives_other_keys_and_the_same_one_the_same() -> None:
    name = ("person.email", "billing", "crm", 1, "token")
    assert _key(KeyRing(bytes(32)), name) == _key(KeyRing(bytes(32)), name)
    assert _key(KeyRing(bytes(32)), name) != _key(KeyRing(bytes(31) + b"\1"), name)
    assert len(_key(KeyRing(bytes(32)), name)) == 32


def test_a_short_master_key_is_refused_and_the_ring_does_not_print_it() -> None:
    with pytest.raises(InvariantError):
        KeyRing(bytes(31))
    assert "41" not in repr(KeyRing(b"A" * 32))
    assert "AAAA" not in repr(KeyRing(b"A" * 32))


class Service:
    """A key service that makes HMACs with a key that it does not give out."""

    def __init__(self, length: int = 32) -> None:
        self.asked: list[bytes] = []
        self._length = length

    def derive(self, info: bytes) -> bytes:
        self.asked.append(info)
        return hmac.digest(b"kept elsewhere", info + b"\1", "sha256")[: self._length]


def test_a_key_service_takes_the_place_of_a_key_in_memory() -> None:
    service = Service()
    ring = KeyRing(service)
    first = ring.key(class_="person.email", purpose="p", scope="s", epoch=1, use="text")
    assert first == ring.key(class_="person.email", purpose="p", scope="s", epoch=1, use="text")
    assert len(service.asked) == 1
    assert ring.key(class_="person.email", purpose="p", scope="s", epoch=2, use="text") != first
    assert "elsewhere" not in repr(ring)


def test_a_key_of_another_length_is_not_used() -> None:
    with pytest.raises(InvariantError):
        KeyRing(Service(16)).key(class_="person.email", purpose="p", scope="s", epoch=1, use="text")
