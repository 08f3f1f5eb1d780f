from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import RefusedStatementError
from lockgate.sql.tree import LINE, read_trees, unwrap
from sql.live import Seen, analysed, replay

RECORDINGS = {path.stem: replay(path) for path in sorted((Path(__file__).parent / "trees").glob("*.json"))}
TREES = [(name, text, seen) for name, (_, all_seen) in RECORDINGS.items() for text, seen in all_seen.items()]


def wrapped(text: str) -> str:
    """The server's own wrapping (print.c, format_node_dump)."""
    lines: list[bytes] = []
    data, at = text.encode(), 0
    while True:
        line = data[at : at + LINE]
        at += len(line)
        if at >= len(data):
            return b"\n".join([*lines, line]).decode() + "\n"
        if data[at : at + 1] == b" ":
            at += 1
        elif (cut := line.rfind(b" ", 1)) > 0:
            at -= len(line) - cut - 1
            line = line[:cut]
        lines.append(line)


@given(st.lists(st.text("abcdef:{}()\\ \n0", min_size=1, max_size=100), max_size=30))
def test_unwrapping_undoes_the_servers_wrapping_or_refuses(words: list[str]) -> None:
    escaped = ["".join("\\" + c if c in " \n(){}\\" else c for c in word) for word in words]
    text = " ".join(escaped)
    try:
        found = unwrap(wrapped(text))
    except RefusedStatementError:
        return
    assert found == text


@pytest.mark.parametrize(
    ("name", "text", "seen"), TREES, ids=[f"{name}-{number}" for number, (name, _, _) in enumerate(TREES)]
)
def test_recorded_trees_are_read(name: str, text: str, seen: Seen) -> None:
    assert read_trees(seen.tree)
    assert wrapped(unwrap(seen.tree)) == seen.tree


@pytest.mark.parametrize(
    "text",
    ["", "()", "<>", "({QUERY})x", "({QUERY}", "({VAR :varno 1})", "({NEWNODE :a 1})", "({QUERY :a 1 :a 2})", "({QUERY a 1})",
     "({QUERY :newfield {VAR :varno 1}})", "({QUERY :newfield true})", "(" * 5_000, "({QUERY :rtable (i 1 x)})",
     "({QUERY :rtable }", "{QUERY}", "(1)", "x" * 79],
)  # fmt: skip
def test_anything_unexpected_is_refused(text: str) -> None:
    with pytest.raises(RefusedStatementError):
        read_trees(text)


@given(st.sampled_from(TREES), st.randoms(use_true_random=False), st.integers(1, 4))
def test_a_damaged_tree_is_refused_or_read_but_never_breaks(
    chosen: tuple[str, str, Seen], random: Random, times: int
) -> None:
    name, text, seen = chosen
    words = unwrap(seen.tree).split(" ")
    for _ in range(times):
        at = random.randrange(len(words))
        match random.randrange(4):
            case 0:
                del words[at]
            case 1:
                words.insert(at, random.choice(words))
            case 2:
                words[at] = random.choice(words)
            case _:
                words[at] = random.choice(["<>", "-1", "99999", "(", ")", "{", "}", ":x", "()", "true"])
    damaged = Seen(wrapped(" ".join(words)), seen.parameter_types, seen.row_description)
    try:
        analysed(text, damaged, RECORDINGS[name][0])
    except RefusedStatementError:
        return
