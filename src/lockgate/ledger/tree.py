"""The Merkle tree of RFC 6962: hashes, an incremental root, proofs and their verification.

For: proving that an entry is in a tree and that one tree extends another.
Not for: where hashes are stored; proofs read them through a `HashReader` (see `tiles.py`).
Source: RFC 6962 section 2.1; RFC 9162 sections 2.1.3.2 and 2.1.4.2 (verification).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

from lockgate import speed
from lockgate.errors import LedgerError

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

HashReader = Callable[[int, int], bytes]
"""Hash of the perfect subtree over leaves [index << level, (index + 1) << level), asked as (level, index)."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf, kept apart from nodes by the prefix 0x00."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node, kept apart from leaves by the prefix 0x01."""
    return sha256(b"\x01" + left + right).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """`leaf_hash` of each entry."""
    if speed.lane is not None:
        held = list(entries)
        return [found for at in range(0, len(held), 256) for found in speed.lane.leaf_hashes(held[at : at + 256])]
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def node_hashes(hashes: Sequence[bytes]) -> list[bytes]:
    """`node_hash` of each pair of neighbours."""
    pairs = zip(hashes[::2], hashes[1::2], strict=True)
    return [sha256(b"\x01" + left + right).digest() for left, right in pairs]


class Tree:
    """A growing tree that keeps only the roots of its perfect subtrees: at most 64 hashes."""

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Resume a tree.

        Args:
            size: number of leaves so far.
            peaks: roots of the perfect subtrees, largest first, one per 1 bit of `size`.
        """
        if len(peaks) != size.bit_count():
            raise LedgerError("a tree needs one peak per bit of its size")
        self.size = size
        self._peaks = list(peaks)

    @classmethod
    def from_reader(cls, size: int, read: HashReader) -> Tree:
        """The tree of `size` leaves whose hashes `read` has."""
        return cls(size, [read(level, index) for level, index in _cover(0, size)])

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        node, size = leaf, self.size
        while size & 1:
            node = node_hash(self._peaks.pop(), node)
            size >>= 1
        self._peaks.append(node)
        self.size += 1

    def append_subtree(self, root: bytes, height: int) -> None:
        """Add 2 ** `height` leaves at once, by the root over them; the tree's size must be a multiple of that."""
        if self.size % (1 << height):
            raise LedgerError("a subtree is added where it does not begin")
        node, size = root, self.size >> height
        while size & 1:
            node = node_hash(self._peaks.pop(), node)
            size >>= 1
        self._peaks.append(node)
        self.size += 1 << height

    @property
    def root(self) -> bytes:
        """The root hash of all leaves so far."""
        return _fold(self._peaks) if self._peaks else EMPTY_ROOT

    def copy(self) -> Tree:
        """An independent tree with the same leaves."""
        return Tree(self.size, self._peaks)


def _fold(peaks: Sequence[bytes]) -> bytes:
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def _cover(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The perfect subtrees (level, index) that make up leaves [start, end) of a node that begins at `start`, left to right."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def range_hash(start: int, end: int, read: HashReader) -> bytes:
    """The hash of the node over leaves [start, end), where `start` is aligned as RFC 6962 splits."""
    return _fold([read(level, index) for level, index in _cover(start, end)])


def _split(count: int) -> int:
    """The largest power of two smaller than `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, read: HashReader) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves."""
    if not 0 <= index < size:
        raise LedgerError("a proof was asked for a leaf outside the tree")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_hash(middle, end, read))
            end = middle
        else:
            path.append(range_hash(start, middle, read))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, read: HashReader) -> list[bytes]:
    """The proof that the tree of `new` leaves extends the tree of `old` leaves; empty when they are equal or `old` is 0."""
    if not 0 <= old <= new:
        raise LedgerError("a proof was asked for trees in the wrong order")
    if old in (0, new):
        return []
    start, end, path, whole = 0, new, [], True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(range_hash(middle, end, read))
            end = middle
        else:
            path.append(range_hash(start, middle, read))
            start, whole = middle, False
    if not whole:
        path.append(range_hash(start, end, read))
    return path[::-1]


def verify_inclusion(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """True when `proof` shows that `leaf` is leaf `index` of the tree with this size and root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    first, last, node = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            node = node_hash(step, node)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            node = node_hash(node, step)
        first, last = first >> 1, last >> 1
    return last == 0 and node == root


def verify_consistency(
    *, old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """True when `proof` shows that the new tree begins with all leaves of the old one (RFC 9162, 2.1.4.2)."""
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if not 0 < old_size < new_size or not proof:
        return False
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    first, last = old_size - 1, new_size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    old_node = new_node = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            old_node, new_node = node_hash(step, old_node), node_hash(step, new_node)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            new_node = node_hash(new_node, step)
        first, last = first >> 1, last >> 1
    return last == 0 and old_node == old_root and new_node == new_root
