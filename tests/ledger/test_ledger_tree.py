"""The tree against published roots and a tree written as RFC 6962 defines it."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import LedgerError
from lockgate.ledger.tree import (
    EMPTY_ROOT,
    Tree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


class Leaves:
    """A hash reader over leaves in memory."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves

    def __call__(self, level: int, index: int) -> bytes:
        part = self.leaves[index << level : (index + 1) << level]
        assert len(part) == 1 << level
        return naive_root(part)


def numbered(count: int) -> list[bytes]:
    return [b"%d" % i for i in range(count)]


def grown(leaves: list[bytes]) -> Tree:
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    return tree


@pytest.mark.parametrize("size", sorted(ROOTS))
def test_published_roots_are_reproduced(size: int) -> None:
    assert grown(LEAVES[:size]).root.hex() == ROOTS[size]
    assert naive_root(LEAVES[:size]).hex() == ROOTS[size]


@given(st.integers(0, 300))
def test_the_root_is_the_one_rfc_6962_defines(size: int) -> None:
    leaves = numbered(size)
    assert grown(leaves).root == naive_root(leaves)
    assert Tree.from_reader(size, Leaves(leaves)).root == naive_root(leaves)


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_resumed_tree_grows_like_one_that_never_stopped(first: int, more: int) -> None:
    leaves = numbered(first + more)
    tree = Tree.from_reader(first, Leaves(leaves[:first]))
    for leaf in leaves[first:]:
        tree.append(leaf_hash(leaf))
    assert tree.root == naive_root(leaves)


@given(st.data())
def test_inclusion_proofs_verify_and_changed_ones_do_not(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 200))
    index = data.draw(st.integers(0, size - 1))
    leaves = numbered(size)
    root, leaf = naive_root(leaves), leaf_hash(leaves[index])
    proof = inclusion_proof(index, size, Leaves(leaves))
    assert verify_inclusion(leaf=leaf, index=index, size=size, proof=proof, root=root)
    assert not verify_inclusion(leaf=leaf_hash(b"other"), index=index, size=size, proof=proof, root=root)
    assert not verify_inclusion(leaf=leaf, index=index, size=size, proof=[*proof, root], root=root)
    assert not verify_inclusion(leaf=leaf, index=size, size=size, proof=proof, root=root)
    if proof:
        assert not verify_inclusion(leaf=leaf, index=index, size=size, proof=proof[:-1], root=root)
        assert not verify_inclusion(leaf=leaf, index=index ^ 1, size=size, proof=proof, root=root)


@given(st.data())
def test_consistency_proofs_verify_and_changed_ones_do_not(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 200))
    old = data.draw(st.integers(0, new))
    leaves = numbered(new)
    old_root, new_root = naive_root(leaves[:old]), naive_root(leaves)
    proof = consistency_proof(old, new, Leaves(leaves))

    def holds(old_root: bytes, new_root: bytes, proof: list[bytes]) -> bool:
        return verify_consistency(old_size=old, new_size=new, old_root=old_root, new_root=new_root, proof=proof)

    assert holds(old_root, new_root, proof)
    assert not holds(leaf_hash(b"other"), new_root, proof)
    assert not holds(old_root, new_root, [*proof, old_root])
    if old > 0:
        assert not holds(old_root, leaf_hash(b"other"), proof)
    if proof:
        assert not holds(old_root, new_root, proof[:-1])


def test_five_kept_and_three_others_appended_is_found_although_the_size_is_equal() -> None:
    kept, old, forked = numbered(5), numbered(8), [*numbered(5), b"x", b"y", b"z"]
    proof = consistency_proof(5, 8, Leaves(forked))
    assert verify_consistency(
        old_size=5, new_size=8, old_root=naive_root(kept), new_root=naive_root(forked), proof=proof
    )
    assert not verify_consistency(
        old_size=8, new_size=8, old_root=naive_root(old), new_root=naive_root(forked), proof=[]
    )


def test_a_leaf_cannot_pass_for_a_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != grown([b"a", b"b"]).root


def test_proofs_outside_the_tree_are_refused() -> None:
    for index, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(LedgerError):
            inclusion_proof(index, size, Leaves(numbered(3)))
    with pytest.raises(LedgerError):
        consistency_proof(4, 3, Leaves(numbered(4)))
    with pytest.raises(LedgerError):
        Tree(3, [EMPTY_ROOT])
