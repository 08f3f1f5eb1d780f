"""A log of synthetic entries, with the cardinalities of a real one, spread over a year.

For: measuring search and verification at a size that no test has the time for; the log is real: tiles, tree, signed checkpoint.
Not for: tests; they use entries that a gate wrote.
Source: evidence.md 2.1: 3,500 identities, 1,500 tables, 3,000 shapes, a quarter with a run; few are busy, most are rare.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

import msgspec

from lockgate.ledger.note import Ed25519Signer
from lockgate.ledger.tree import EMPTY_ROOT
from lockgate.storage.durable import Folders
from lockgate.storage.port import UnsyncedFiles
from lockgate.storage.tile_store import TileStore

IDENTITIES, TABLES, SHAPES, RUNS = 3500, 1500, 3000, 20_000
LABELS = ("person.email", "person.name", "person.phone", "payment.card", "person.birth_date", "address.street")
DAYS = 365
END = datetime(2026, 11, 1, tzinfo=UTC)
WRITTEN_AT_ONCE = 51_200
COMMON_COLUMN = "public.table_0007.email"

_ENCODE = msgspec.json.Encoder(order="deterministic").encode


def _weights(count: int) -> list[float]:
    """Few are busy, most are rare."""
    return list(accumulate(1 / (rank + 3) for rank in range(count)))


class _Shape:
    def __init__(self, number: int, chance: random.Random) -> None:
        tables = sorted({f"public.table_{chance.randrange(TABLES):04}" for _ in range(chance.choice((1, 1, 2, 3)))})
        if number % 40 == 7:
            tables[0] = "public.table_0007"
        self.statement = chance.choices(("select", "update", "insert", "delete"), (90, 5, 4, 1))[0]
        words = [f"t.column_{chance.randrange(60)}" for _ in range(chance.randrange(3, 12))]
        self.sql = (
            f"SELECT {', '.join(words)} FROM {' JOIN '.join(tables)} t WHERE t.id_{number} = ? AND t.state IN (?, ?)"
        )
        self.tables = tables
        names = ["email", "name", "phone", "card", "birth_date", "street"]
        chosen = sorted(chance.sample(range(6), chance.choice((0, 1, 2, 3))))
        self.columns = [[{"name": f"{tables[0]}.{names[i]}", "label": LABELS[i], "disposition": disposition} for i in chosen]
                        for disposition in ("masked", "clear")]  # fmt: skip


def entries(count: int, *, seed: int = 1, sealed: list[bytes] | None = None) -> Iterator[bytes]:
    """The bytes of `count` entries, in order.

    Args:
        sealed: what the entries refer to as their sealed texts is added to this list; noise of a likely length.
    """
    chance = random.Random(seed)
    shapes = [_Shape(number, chance) for number in range(SHAPES)]
    shape_weights, who_weights = _weights(SHAPES), _weights(IDENTITIES)
    names = [f"{('ann', 'bob', 'eve', 'svc', 'agent')[n % 5]}-{n:04}" for n in range(IDENTITIES)]
    moment, step = END - timedelta(days=DAYS), timedelta(days=DAYS) / max(count, 1)
    numbers = [0] * IDENTITIES

    def numbered(who: int) -> dict[str, object]:
        numbers[who] += 1
        return {"session": f"bench-{who}", "s": numbers[who]}

    def text_of(n: int) -> str:
        if sealed is None:
            return f"{n * 2654435761 % 2**61:064x}"
        sealed.append(b"\x01\x10" + chance.randbytes(16 + 12 + 200))
        return hashlib.sha256(sealed[-1]).hexdigest()

    def stamped(n: int, fields: dict[str, object]) -> bytes:
        return _ENCODE({**fields, "v": 1, "epoch": 1, "n": n, "time": (moment + step * n).isoformat(timespec="microseconds")[:26] + "Z"})  # fmt: skip

    yield stamped(
        0,
        {
            "kind": "boot",
            "origin": "bench/1",
            "build": "0",
            "keys": [],
            "previous": {"size": 0, "root": EMPTY_ROOT.hex()},
        },
    )
    n = 1
    while n < count:
        who = chance.choices(range(IDENTITIES), cum_weights=who_weights)[0]
        shape = chance.choices(shapes, cum_weights=shape_weights)[0]
        fields: dict[str, object] = {
            **numbered(who), "principal": names[who], "principal_kind": ("Person", "Person", "Person", "Service", "Agent")[who % 5],
            "binding": "claimed", "token": f"t{who}", "client": f"10.0.{who % 250}.{who % 200}", "database": f"db{who % 8}",
            "environment": ("production", "staging", "development")[who % 3], "statement": shape.statement, "shape": shape.sql,
            "tables": shape.tables, "columns": shape.columns[who % 7 == 0], "policy": f"{n * 40 // count:064x}", "catalog": 1,
            "rules": [f"permit-{who % 30}"], "text": text_of(n),
        }  # fmt: skip
        if who % 4 == 0:
            fields |= {"run": f"run-{(who * 31 + n * 5 * RUNS // count // 400 * 400) % RUNS}", "purpose": "training"}
        if chance.random() < 0.03:
            yield stamped(n, {**fields, "kind": "deny", "decision": "deny", "rule": f"deny-{shape.statement}-{who % 20}", "sqlstate": "42501"})  # fmt: skip
            n += 1
            continue
        yield stamped(n, {**fields, "kind": "intent", "decision": "permit"})
        if n + 1 < count:
            rows = chance.randrange(1, 1000)
            yield stamped(n + 1, {"kind": "outcome", "intent": n, "status": "complete", "rows": rows, "bytes": rows * 80,
                                  "duration_us": rows * 30, "receipt": [], **numbered(who)})  # fmt: skip
        n += 2


def write(folder: Path, count: int, *, texts: bool = False) -> bytes:
    """A log of that many entries in `folder`, with what they refer to when `texts`; returns the text of its verification key."""
    signer = Ed25519Signer("bench/1", bytes(range(32)))
    files = UnsyncedFiles()
    folder.mkdir(parents=True)
    folders = Folders(files, str(folder))
    folders.make()
    folders.make("checkpoints")
    store = TileStore(files=files, root=str(folder), folders=folders, origin="bench/1", signer=signer)
    waiting: list[bytes] = []
    sealed: list[bytes] = []
    for entry in entries(count, sealed=sealed if texts else None):
        waiting.append(entry)
        if len(waiting) == WRITTEN_AT_ONCE:
            store.grow(waiting, list(sealed))
            sealed.clear()
            waiting = []
    store.grow(waiting, list(sealed))
    return signer.vkey.encode()
