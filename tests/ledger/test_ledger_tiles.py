"""Tiles: paths as C2SP writes them, and growth in any steps giving the same files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import CorruptLedgerError, LedgerError
from lockgate.ledger import tiles
from lockgate.ledger.tree import Tree, inclusion_proof, leaf_hash, verify_inclusion


@pytest.mark.parametrize(
    ("index", "path"),
    [
        (0, "tile/0/000"),
        (67, "tile/0/067"),
        (1067, "tile/0/x001/067"),
        (1234067, "tile/0/x001/x234/067"),
        (1000000, "tile/0/x001/x000/000"),
    ],
)
def test_tile_numbers_are_groups_of_three_digits(index: int, path: str) -> None:
    assert tiles.tile_path(0, index) == path
    assert tiles.entries_path(index, 7) == path.replace("tile/0/", "tile/entries/") + ".p/7"


@pytest.mark.parametrize("width", [0, 257, -1])
def test_a_tile_has_1_to_256_items(width: int) -> None:
    with pytest.raises(LedgerError):
        tiles.tile_path(0, 0, width)


@given(st.lists(st.binary(max_size=600), max_size=20))
def test_bundles_give_back_their_entries(entries: list[bytes]) -> None:
    assert tiles.split_bundle(tiles.bundle(entries)) == entries


def test_a_bundle_that_ends_inside_an_entry_is_corrupt() -> None:
    stored = tiles.bundle([b"one", b"two"])
    for cut in (1, len(stored) - 1, len(stored) - 4):
        with pytest.raises(CorruptLedgerError, match="entry-changed"):
            tiles.split_bundle(stored[:cut])


def stored_by(steps: list[int]) -> tuple[tiles.Growth, dict[str, bytes], list[bytes]]:
    growth = tiles.Growth.empty()
    files: dict[str, bytes] = {}
    entries: list[bytes] = []
    for count in steps:
        added = [b"entry %d" % (len(entries) + i) for i in range(count)]
        entries += added
        growth, step = growth.grow(added)
        for path, content in step.writes:
            assert files.setdefault(path, content) == content, "a tile is never written with other bytes"
    return growth, files, entries


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_growing_in_steps_stores_the_same_full_tiles_and_root_as_growing_at_once(steps: list[int]) -> None:
    growth, files, entries = stored_by(steps)
    once, at_once, _ = stored_by([sum(steps)])
    assert growth.tree.root == once.tree.root
    assert at_once.items() <= files.items()
    tree = Tree()
    for entry in entries:
        tree.append(leaf_hash(entry))
    assert tree.root == growth.tree.root


def test_proofs_read_from_tiles_of_three_levels_verify() -> None:
    size = 65_536 + 256 * 3 + 5
    growth, files, entries = stored_by([size])

    def read_tile(level: int, number: int, width: int) -> list[bytes]:
        return tiles.split_tile(files[tiles.tile_path(level, number, width)], width)

    read = tiles.tile_reader(size, read_tile)
    assert "tile/2/000.p/1" in files
    assert Tree.from_reader(size, read).root == growth.tree.root
    for index in (0, 255, 256, 65_535, 65_536, size - 1):
        proof = inclusion_proof(index, size, read)
        assert verify_inclusion(
            leaf=leaf_hash(entries[index]), index=index, size=size, proof=proof, root=growth.tree.root
        )
    with pytest.raises(LedgerError):
        read(0, size)


def test_a_tile_of_the_wrong_length_is_corrupt() -> None:
    for stored in (b"x" * 31, b"x" * 32, b"x" * 32 * 257):
        with pytest.raises(CorruptLedgerError, match="tile-changed"):
            tiles.split_tile(stored, 2)
