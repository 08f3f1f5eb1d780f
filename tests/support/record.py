"""A small log as a gate writes it, with everything that questions ask about."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockgate.ledger.note import Ed25519Signer
from lockgate.storage.ledger_log import LedgerLog
from lockgate.storage.port import RealFiles

PEOPLE = ("ann", "bob", "eve", "robo", "nightly")
SHAPES: tuple[tuple[str, str, list[str], list[tuple[str, str]]], ...] = (
    ("select", "SELECT email FROM customers WHERE id = ?", ["public.customers"], [("public.customers.email", "person.email")]),
    ("select", "SELECT c.name, o.total FROM customers c JOIN orders o ON ? = o.id", ["public.customers", "public.orders"],
     [("public.customers.name", "person.name"), ("public.orders.card", "payment.card")]),
    ("update", "UPDATE orders SET total = ? WHERE id = ?", ["public.orders"], []),
    ("select", "SELECT 'ünï'' \\ tab' AS x, email FROM archive.customers", ["archive.customers"], [("archive.customers.email", "person.email")]),
)  # fmt: skip


class Record:
    """A log in a real folder, whose clock jumps so that entries are of several months."""

    def __init__(self, folder: Path, *, origin: str = "gw/1", seed: int = 1) -> None:
        self.folder = folder
        self.now = datetime(2026, 9, 28, 22, tzinfo=UTC)
        self.chance = random.Random(seed)
        self.step = timedelta(hours=3)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.signer = Ed25519Signer(origin, bytes(range(32)))
        self.log = LedgerLog.open(
            str(folder), origin=origin, signer=self.signer, files=RealFiles(), text_key=bytes(32), person_key=bytes(32),
            clock=self._tick, entropy=self.chance.randbytes,
        )  # fmt: skip

    def _tick(self) -> datetime:
        self.now += self.step * self.chance.random()
        return self.now

    def _who(self) -> dict[str, object]:
        name = self.chance.choice(PEOPLE)
        agent = name in ("robo", "nightly")
        return {
            "session": f"s-{self.chance.randrange(9)}", "principal": name, "principal_kind": "Agent" if agent else "Person", "binding": "claimed",
            "client": "127.0.0.1", "database": self.chance.choice(("shop", "hr")), "environment": self.chance.choice(("production", "staging")),
            "token": f"t-{name}", **({"on_behalf_of": "ann", "run": "run-7", "purpose": "training"} if agent else {}),
        }  # fmt: skip

    def statement(self, *, closed: bool = True, **more: object) -> int:
        """An intent, usually with its outcome."""
        kind, shape, tables, columns = self.chance.choice(SHAPES)
        disposition = self.chance.choice(("clear", "masked"))
        index = self.log.append({
            **self._who(), "kind": "intent", "statement": kind, "shape": shape, "tables": tables, "decision": "permit", "rules": ["reads", "p-1"],
            "columns": [{"name": n, "label": label, "disposition": disposition} for n, label in columns], "policy": "ab" * 32, **more,
        })  # fmt: skip
        if closed:
            rows = self.chance.randrange(1, 90)
            self.log.append({"kind": "outcome", "intent": index, "status": "complete", "rows": rows,
                             "affected": rows if index % 3 else None, "bytes": self.chance.randrange(900), "duration_us": 250, "receipt": []})  # fmt: skip
        return index

    def denial(self) -> int:
        """A statement that was denied."""
        kind, shape, tables, columns = self.chance.choice(SHAPES)
        return self.log.append({
            **self._who(), "kind": "deny", "statement": kind, "shape": shape, "tables": tables, "decision": self.chance.choice(("deny", "refuse")),
            "columns": [{"name": n, "label": label, "disposition": "masked"} for n, label in columns], "rules": ["no-writes"],
            "rule": self.chance.choice(("no-writes", "unknown-node")), "sqlstate": "42501", "policy": "ab" * 32,
        })  # fmt: skip

    def other(self) -> int:
        """An entry that is no statement."""
        number = self.chance.randrange(6)
        if number == 0:
            return self.log.append(
                {"kind": "policy", "event": "activated", "policy": f"{self.chance.randrange(4):064x}"}
            )
        if number == 1:
            opened = self.log.append(
                {
                    "kind": "admin",
                    "event": "request-opened",
                    "principal": "bob",
                    "database": "shop",
                    "rules": ["hold-writes"],
                }
            )
            return self.log.append(
                {"kind": "admin", "event": "request-approved", "request": opened, "principal": "bob", "approver": "ann"}
            )
        if number == 2:
            return self.log.append({"kind": "admin", "event": "reloaded", "policy": "cd" * 32})
        if number == 3:
            return self.log.append({"kind": "heartbeat", "sessions": 3})
        return self.log.append(
            {**self._who(), "kind": "session", "event": self.chance.choice(("opened", "closed", "refused"))}
        )

    def fill(self, count: int) -> None:
        """About so many entries, committed and under a checkpoint."""
        for _ in range(count // 2):
            self.chance.choices((self.statement, self.denial, self.other), (8, 2, 3))[0]()
        self.commit()

    def commit(self, *, integrate: bool = True) -> None:
        """Make everything durable; under a checkpoint too, unless told otherwise."""
        assert not self.log.commit().failed
        if integrate:
            self.log.integrate()

    def close(self) -> None:
        """Let go of the folder."""
        self.log.close()
