"""Tiles: the tree and its entries as files of 256 items each.

For: paths, bundles of entries, and which tiles a growing tree completes.
Not for: writing files; `lockgate.storage` does.
Source: C2SP tlog-tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lockgate import speed
from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger.entry import ENTRY_BYTES_MAX
from lockgate.ledger.tree import HASH_BYTES, HashReader, Tree, leaf_hashes, node_hashes

WIDTH = 256
TILE_HEIGHT = 8


def _number(index: int) -> str:
    """A tile number as groups of three digits, all but the last with an `x`: 1234067 is `x001/x234/067`."""
    if index < 0:
        raise LedgerError("a tile number is negative")
    text = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03d}/{text}"
    return text


def _path(folder: str, index: int, width: int) -> str:
    if not 1 <= width <= WIDTH:
        raise LedgerError("a tile has 1 to 256 items")
    return f"tile/{folder}/{_number(index)}" + ("" if width == WIDTH else f".p/{width}")


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """The path of a hash tile, below the log's folder."""
    return _path(str(level), index, width)


def entries_path(index: int, width: int = WIDTH) -> str:
    """The path of an entry bundle, below the log's folder."""
    return _path("entries", index, width)


def tile_widths(size: int) -> Iterator[tuple[int, int, int]]:
    """The rightmost, partial tiles of a tree of `size` leaves, as (level, index, width)."""
    level = 0
    while size:
        if size % WIDTH:
            yield level, size // WIDTH, size % WIDTH
        level, size = level + 1, size // WIDTH


def bundle(entries: Iterable[bytes]) -> bytes:
    """An entry bundle: each entry behind its length in two bytes, big-endian."""
    if speed.lane is not None:
        made: bytes = speed.lane.bundle(list(entries))
        return made
    parts: list[bytes] = []
    for entry in entries:
        length = len(entry)
        if length > ENTRY_BYTES_MAX:
            raise LedgerError("an entry is too long for a bundle")
        parts += (length.to_bytes(2, "big"), entry)
    return b"".join(parts)


def split_bundle(stored: bytes) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        CorruptLedgerError: the lengths do not fit the bytes.
    """
    entries, offset = [], 0
    while offset < len(stored):
        length = int.from_bytes(stored[offset : offset + 2], "big")
        end = offset + 2 + length
        if offset + 2 > len(stored) or end > len(stored):
            raise CorruptLedgerError("entry-changed", "an entry bundle ends inside an entry")
        entries.append(stored[offset + 2 : end])
        offset = end
    return entries


def split_tile(stored: bytes, width: int) -> list[bytes]:
    """The first `width` hashes of a tile.

    Raises:
        CorruptLedgerError: the tile is shorter, or no whole number of hashes.
    """
    if len(stored) % HASH_BYTES or not width * HASH_BYTES <= len(stored) <= WIDTH * HASH_BYTES:
        raise CorruptLedgerError("tile-changed", "a tile has the wrong length")
    return [stored[i : i + HASH_BYTES] for i in range(0, width * HASH_BYTES, HASH_BYTES)]


def fold(hashes: list[bytes]) -> bytes:
    """The hash above a power of two of neighbouring hashes."""
    if speed.lane is not None:
        found: bytes = speed.lane.fold(hashes)
        return found
    while len(hashes) > 1:
        hashes = node_hashes(hashes)
    return hashes[0]


def tile_reader(size: int, read_tile: Callable[[int, int, int], list[bytes]]) -> HashReader:
    """A hash reader over the tiles of a tree of `size` leaves; `read_tile` is asked as (level, index, width)."""

    def read(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        number, offset = divmod(index << height, WIDTH)
        width = min(WIDTH, (size >> (tile_level * TILE_HEIGHT)) - number * WIDTH)
        if offset + (1 << height) > width:
            raise LedgerError("a hash outside the tree was asked for")
        return fold(read_tile(tile_level, number, width)[offset : offset + (1 << height)])

    return read


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of growth stores: path and bytes, entries before hashes; `completed` are tiles now full that were partial."""

    writes: tuple[tuple[str, bytes], ...]
    completed: tuple[str, ...]


class Growth:
    """The right edge of a tiled tree: enough to append entries and to say which files that makes."""

    __slots__ = ("_bundle", "_levels", "tree")

    def __init__(self, tree: Tree, levels: list[list[bytes]], tail: list[bytes]) -> None:
        """Resume.

        Args:
            tree: the tree so far.
            levels: hashes of the partial tile of each level, lowest first.
            tail: entries of the partial bundle.
        """
        self.tree = tree
        self._levels = levels
        self._bundle = tail

    @classmethod
    def empty(cls) -> Growth:
        """The edge of a tree without leaves."""
        return cls(Tree(), [], [])

    def grow(self, entries: Iterable[bytes]) -> tuple[Growth, Step]:
        """The edge after `entries`, and every file that must be stored for it; `self` stays as it is."""
        tree = self.tree.copy()
        levels = [list(level) for level in self._levels]
        tail = list(self._bundle)
        bundles: list[tuple[str, bytes]] = []
        hashes: list[tuple[str, bytes]] = []
        completed: list[str] = []
        if not levels:
            levels.append([])
        # A tile at a time: what is done per entry is what a busy gate spends most of its ledger's time on.
        waiting = list(entries)
        position = 0
        while position < len(waiting):
            taken = waiting[position : position + WIDTH - len(tail)]
            position += len(taken)
            tail += taken
            leaves = leaf_hashes(taken)
            levels[0] += leaves
            if len(tail) < WIDTH:
                for leaf in leaves:
                    tree.append(leaf)
                break
            number = tree.size // WIDTH
            bundles.append((entries_path(number), bundle(tail)))
            if len(taken) < WIDTH:
                completed.append(entries_path(number))
            tail = []
            full, levels[0] = levels[0], []
            root = fold(full)
            if len(leaves) == WIDTH:
                tree.append_subtree(root, TILE_HEIGHT)
            else:
                for leaf in leaves:
                    tree.append(leaf)
            path = tile_path(0, number)
            hashes.append((path, b"".join(full)))
            if len(taken) < WIDTH:
                completed.append(path)
            _push(levels, root, tree.size // WIDTH, hashes, completed)
        if tail:
            bundles.append((entries_path(tree.size // WIDTH, len(tail)), bundle(tail)))
        for level, number, width in tile_widths(tree.size):
            hashes.append((tile_path(level, number, width), b"".join(levels[level])))
        return Growth(tree, levels, tail), Step((*bundles, *hashes), tuple(completed))


def _push(
    levels: list[list[bytes]], node: bytes, count: int, hashes: list[tuple[str, bytes]], completed: list[str]
) -> None:
    """Put the hash of full tile number `count` (from 1) into the tile above, and every full tile's hash into the tile above that."""
    level = 1
    while True:
        if level == len(levels):
            levels.append([])
        levels[level].append(node)
        if len(levels[level]) < WIDTH:
            return
        path = tile_path(level, count // WIDTH - 1)
        hashes.append((path, b"".join(levels[level])))
        completed.append(path)
        node, count = fold(levels[level]), count // WIDTH
        levels[level] = []
        level += 1
