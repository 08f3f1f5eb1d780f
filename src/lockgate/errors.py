"""Error families and the one table of codes.

For: what stops work, by who must act, and what SQLSTATE, exit status and HTTP status it becomes.
Not for: denial, which is a `Decision`; nothing here may carry a literal, a row value or a secret.
Source: PostgreSQL documentation, appendix A (error codes).
"""

from __future__ import annotations


class LockgateError(Exception):
    """Root of every error that Lockgate raises on purpose."""

    sqlstate = "XX000"
    exit_status = 1


class ConfigError(LockgateError):
    """The configuration, a policy, a catalog or a key file cannot be used; `problems` lists all of them."""

    sqlstate = "F0000"
    exit_status = 2

    def __init__(self, problems: list[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("; ".join(self.problems))


class ClientProtocolError(LockgateError):
    """The client sent bytes that are not the protocol; the link ends."""

    sqlstate = "08P01"


class BackendProtocolError(LockgateError):
    """The backend sent bytes that are not the protocol; the session ends."""

    sqlstate = "08P01"


class LimitExceededError(ClientProtocolError):
    """A message is larger than a configured limit."""

    sqlstate = "54000"


class CredentialRejectedError(LockgateError):
    """The credential is unknown, expired, revoked or not meant for this use."""

    sqlstate = "28P01"


class RefusedStatementError(LockgateError):
    """A statement that we cannot judge; `reason` is a stable word, the text is a sentence.

    Args:
        reason: stable identifier such as `unknown-node`, used in metrics and ledger entries.
        sentence: what was refused, without literals or values.
        hint: what the person can do instead.
    """

    sqlstate = "0A000"

    def __init__(self, reason: str, sentence: str, *, hint: str = "", sqlstate: str = "0A000") -> None:
        self.reason = reason
        self.sentence = sentence
        self.hint = hint
        self.sqlstate = sqlstate
        super().__init__(sentence)


class LedgerError(LockgateError):
    """The ledger cannot write or read."""

    sqlstate = "58030"


class CorruptLedgerError(LedgerError):
    """Stored evidence contradicts itself; `kind` names how."""

    def __init__(self, kind: str, sentence: str) -> None:
        self.kind = kind
        super().__init__(f"{kind}: {sentence}")


class GateUnreachableError(LockgateError):
    """The gate's control socket does not answer."""

    exit_status = 3


class UnknownWorkerError(LockgateError):
    """A command is about a worker that the gate does not have, or not now."""

    reason = "no-such-worker"

    def __init__(self) -> None:
        super().__init__("the gate has no such worker now")


class InvariantError(LockgateError):
    """A fact that others rely on does not hold: our fault."""
