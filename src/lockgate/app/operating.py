"""Commands of the control socket, as one worker carries them out.

For: operators' questions about held statements and sessions, and entries that commands need in the worker's log.
Not for: finding the worker that a command is about (`supervisor`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from lockgate.control.holds import Holds
from lockgate.errors import CredentialRejectedError, LedgerError, UnknownWorkerError
from lockgate.model.identity import Identity
from lockgate.transport.committer import Committer
from lockgate.transport.http import Metrics
from lockgate.transport.listener import Gate

ENDED = "an operator ended this session"
Asked = Mapping[str, object]


@dataclass(frozen=True)
class Operator:
    """One worker's.

    Args:
        verified: (credential, whose it should be, for which database) -> identity.
        notice_erasures: forget keys that were destroyed.
        reload: take over edited files at once; whether there were any.
        healthy: what `/healthz` tells of this worker.
        questions: commands that ask about a database, by name.
    """

    worker: str
    holds: Holds
    gate: Gate
    committer: Committer
    metrics: Metrics
    verified: Callable[[str, str, str], Identity]
    notice_erasures: Callable[[], None]
    reload: Callable[[], bool]
    healthy: Callable[[], Mapping[str, object]]
    questions: Mapping[str, Callable[[Asked], Awaitable[object]]]

    def operate(self, asked: Asked) -> object:
        """Carry out one command.

        Raises:
            LockgateError: it is not known, or cannot be carried out.
            KeyError: something is missing in it.
        """
        operation = asked["op"]
        known: dict[str, Callable[[Asked], object]] = {
            "request-list": lambda _: self.holds.listing(), "request-show": lambda a: self.holds.show(str(a["id"])),
            "request-approve": self._decide, "request-deny": self._decide, "log-erasure": self._record_erasure,
            "log-prune": self._record_pruning, "session-list": lambda _: self._sessions(), "session-end": self._end_session,
            "reload": lambda _: {self.worker: self.reload()}, "worker-list": lambda _: [self._facts()],
            "metrics": lambda _: self.metrics.dump(), "health": lambda _: dict(self.healthy()),
            **self.questions,
        }  # fmt: skip
        carry_out = known.get(str(operation))
        if carry_out is None:
            raise CredentialRejectedError("unknown command")
        return carry_out(asked)

    def _decide(self, asked: Asked) -> object:
        token, principal, number = str(asked["token"]), str(asked["principal"]), str(asked["id"])
        shown = self.holds.show(number)
        identity = self.verified(token, principal, str(shown["database"]))
        return self.holds.decide(number, identity, approve=asked["op"] == "request-approve")

    # -- sessions -----------------------------------------------------------------------------------------------------------------

    def _sessions(self) -> list[dict[str, object]]:
        """Who is there: nothing of what they say."""
        now = asyncio.get_running_loop().time()
        found: list[dict[str, object]] = []
        for link in self.gate.sessions.values():
            talk = link.conversation
            identity = talk.identity
            found.append({
                "session": talk.session_id, "worker": self.worker, "principal": identity.principal.name,
                "on_behalf_of": identity.on_behalf_of.name if identity.on_behalf_of else None, "run": identity.run,
                "database": talk.around.database, "client": talk.client_address, "idle": link.is_idle,
                "silent_seconds": round(max(0.0, now - link.last_heard)),
            })  # fmt: skip
        return found

    def _end_session(self, asked: Asked) -> dict[str, object]:
        """End a session because an operator says so; that he did is an entry."""
        for link in tuple(self.gate.sessions.values()):
            if link.conversation.session_id == asked["session"]:
                self.committer.append({
                    "kind": "admin", "event": "session-ended", "session": link.conversation.session_id,
                    "principal": link.conversation.identity.principal.name, "by": str(asked["by"])[:128],
                })  # fmt: skip
                link.shut_down(ENDED)
                return {"ended": 1}
        return {"ended": 0}

    def _facts(self) -> dict[str, object]:
        return {"worker": self.worker, "process": os.getpid(), "sessions": len(self.gate.sessions)}

    # -- entries that commands need -----------------------------------------------------------------------------------------------

    def _record_pruning(self, asked: Asked) -> int:
        """Make the entry of a pruning durable; whoever asked removes the entries once it is under a checkpoint."""
        fields = asked["fields"]
        if asked.get("worker") != self.worker:
            raise UnknownWorkerError
        if not isinstance(fields, dict) or (fields.get("kind"), fields.get("event")) != ("policy", "pruned"):
            raise CredentialRejectedError("not a pruning")
        return self._durable(fields)

    def _record_erasure(self, asked: Asked) -> object:
        """Make an `erasure` entry durable before what it says is done (docs/reference/entries.md)."""
        fields = asked["fields"]
        if not isinstance(fields, dict) or fields.get("kind") != "erasure":
            raise CredentialRejectedError("not an erasure")
        index = self._durable(fields)
        self.notice_erasures()
        return {self.worker: index}

    def _durable(self, fields: Mapping[str, object]) -> int:
        index = self.committer.append(fields)
        self.committer.commit()
        if self.committer.durable <= index:
            raise LedgerError("the ledger cannot be written")
        return index
