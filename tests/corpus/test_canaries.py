"""What counts as a piece of a stored value."""

from __future__ import annotations

from corpus.canaries import Canaries


def test_what_every_made_up_address_ends_with_tells_nothing_wherever_it_stands() -> None:
    canaries = Canaries([("t.a", "abcd: frieda@m.example, 1234-5678", "wxyz1: clementine@k.example, 8899-1122")])
    assert not any(hit.long for hit in canaries.look(b"u_bqx@wm.example, 42"))
    assert any(hit.long for hit in canaries.look(b"abcd: frieda@m.example"))
