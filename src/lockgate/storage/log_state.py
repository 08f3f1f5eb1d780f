"""What a log knows of its buffer and its size, what it says of a commit, and one entry that waits.

For: `ledger_log`; with the compiled core these attributes are those of a compiled class, so that lanes append and commit without asking Python.
Not for: what is done with them.
Source: ADR 17.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from lockgate import speed
from lockgate.ledger.entry import Template


class CommitResult(NamedTuple):
    """What became of the buffered entries.

    Args:
        durable: every index below is durable.
        failed: indices that were given out and dropped; they will be given out again.
        moved: kept entries whose index changed because entries before them were dropped, old to new.
    """

    durable: int
    failed: tuple[int, ...] = ()
    moved: Mapping[int, int] = MappingProxyType({})


@dataclass(slots=True)
class Buffered:
    """An entry that has an index but is not durable; one made from a template has its fields only when they are needed."""

    encoded: bytes
    keep: bool
    given: dict[str, object] | None
    template: Template | None = None
    values: tuple[object, ...] = ()

    @property
    def fields(self) -> dict[str, object]:
        """The entry's fields, which may be changed before it is encoded again."""
        if self.given is None:
            self.given = self.template.fields(self.values) if self.template is not None else {}
        return self.given


if TYPE_CHECKING or speed.built_lane() is None:

    class LogState:
        """The attributes by their types; `ledger_log` sets them."""

        _buffer: list[Any]
        _texts: list[tuple[str, bytes]]
        _fresh: list[bytes]
        _fresh_texts: list[bytes]
        _counter: int
        _kept_bytes: int
        _kept_bytes_max: int
        _integrated: int
        _settled: int
        _last_time: str
        _account: Buffered | None
        _closed: bool
        _intents: Any
        _writer: Any
        healthy: bool
        suspended: bool

else:
    LogState = speed.built_lane().LogState
