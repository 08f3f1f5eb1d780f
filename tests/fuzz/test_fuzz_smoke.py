"""A short, repeatable walk over every fuzz target: seeds, cut, joined, flipped and repeated by dice of a fixed seed."""

from __future__ import annotations

import random
import struct

import pytest

from fuzz.targets import TARGETS, seeds

ROUNDS = {"dialogue": 250, "text": 250}
FOUND: list[tuple[str, bytes]] = [
    ("client_stream", b"Q\xff\xff\xff\xff"),
    ("backend_stream", b"D\x00\x00\x00\x0a\x00\x01\xff\xff\xff\x80"),
    ("row", b"\x00\x01\x80\x00\x00\x00"),
    ("first_packet", b"\x00\x00\x00\x08\x04\xd2\x16\x2f" * 3),
]
"""Bytes that broke something once, here or in another product."""


def mutated(data: bytes, dice: random.Random) -> bytes:
    """One of the usual harms."""
    what = dice.randrange(6)
    if not data or what == 0:
        return dice.randbytes(dice.randrange(1, 120))
    at = dice.randrange(len(data))
    if what == 1:
        return data[:at]
    if what == 2:
        return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]
    if what == 3:
        return data[:at] + struct.pack("!I", dice.choice([0, 3, 4, 5, 0x7FFFFFFF, 0xFFFFFFFF])) + data[at + 4 :]
    if what == 4:
        return data[:at] + data[at // 2 :]
    return data[:at] + dice.randbytes(dice.randrange(1, 30)) + data[at:]


@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_break_it(target: str) -> None:
    dice = random.Random(20261125)
    known = seeds(target)
    for seed in known:
        TARGETS[target](seed)
    for _ in range(ROUNDS.get(target, 700)):
        data = dice.choice(known)
        for _ in range(dice.randrange(1, 4)):
            data = mutated(data, dice)
        if target == "dialogue":
            data = dice.randbytes(dice.randrange(20, 200))
        try:
            TARGETS[target](data[:4096])
        except BaseException as error:
            raise AssertionError(f"{target}: {data[:4096].hex()}") from error


@pytest.mark.parametrize(("target", "data"), FOUND)
def test_what_broke_once_does_not_break_again(target: str, data: bytes) -> None:
    TARGETS[target](data)
