"""Run one case on one connection, in the form it asks for.

For: statement to answer. Not for: judging answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from corpus.cases import Case, Protocol, in_parentheses
from corpus.client import Address, Answer, Client, is_refusal
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.frames import Frame

FORMS: Mapping[str, Mapping[str, object]] = {
    "extended": {"extended": True},
    "binary": {"extended": True, "binary": True},
    "pipeline": {"extended": True, "pipeline": True},
    "fetch-1": {"extended": True, "fetch": 1},
    "binary-fetch-1": {"extended": True, "binary": True, "fetch": 1},
    "after-failure": {"after_failure": True},
    "extended-after-failure": {"extended": True, "after_failure": True},
}
"""The further forms in which each case can be run."""

_FAILS = "SELECT 1/0"


@dataclass
class Run:
    """What one run of a case gave: the texts sent and the answers to them, in order; `left` is what its temporary tables show afterwards.

    `stored`: all rows of all tables, when it has changed some and may.
    """

    texts: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    left: list[Answer] = field(default_factory=list)
    residue: str = ""
    stored: Mapping[str, Sequence[Sequence[str | None]]] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """True when the gate said no to anything."""
        return any(answer.refused for answer in self.answers)

    @property
    def lost(self) -> bool:
        """True when a session that had begun was ended by the other side."""
        return any(answer.ended for answer in self.answers[1:])

    @property
    def first_refusal(self) -> str:
        """What the gate said first."""
        errors = [e for answer in self.answers for e in answer.errors if is_refusal(e)]
        return f"{errors[0].message} {errors[0].fields.get('D', '').split(' request=')[0]}" if errors else ""

    @property
    def first_error(self) -> str:
        """The first error of any origin."""
        errors = [e for answer in self.answers for e in answer.errors]
        return f"{errors[0].sqlstate} {errors[0].message}" if errors else ""


def run(
    address: Address,
    case: Case,
    fill_in: Callable[[str], str],
    function_oid: Callable[[str], int],
    before_end: Callable[[], str],
    temporary: Callable[[], Sequence[str]],
) -> Run:
    """Run a case in a session of its own.

    Args:
        fill_in: replaces placeholders in statements and parameters.
        function_oid: OID of a function by name, for the function call message.
        before_end: asked for the residue while the session still lives.
        temporary: asked for temporary tables, which the session then reads: nothing unmasked may be left in them.
    """
    protocol = case.protocol
    done = Run()
    with Client(address, protocol.startup) as client:
        done.texts.append("")
        done.answers.append(client.greeting)
        if client.greeting.ended:
            return done
        if protocol.fastpath:
            name, argument = re.fullmatch(r"(\w+)\((\w*)\)", protocol.fastpath).groups()  # type: ignore[union-attr]
            done.texts.append(argument)
            done.answers.append(client.function_call(function_oid(name), argument))
        run_on(client, case, fill_in, done)
        if not done.answers[-1].ended:
            done.residue = before_end()
            done.left = [client.simple(f"SELECT * FROM {table}") for table in temporary()]
    return done


def run_on(client: Client, case: Case, fill_in: Callable[[str], str], done: Run) -> None:
    """Run a case's statements on a connection that is there already."""
    protocol = case.protocol
    statements = [fill_in(s) for s in (case.lines if protocol.batch else case.statements)]
    if protocol.parens:
        statements = [in_parentheses(s, protocol.parens) for s in statements]
    bind = None if protocol.bind_auto else [fill_in(value) for value in protocol.bind]
    if protocol.pipeline:
        _pipeline(client, statements, protocol, bind or [], done)
        return
    for statement in statements:
        _one(client, statement, protocol, bind, done)
        if done.answers[-1].ended:
            return


def _one(client: Client, statement: str, protocol: Protocol, bind: list[str] | None, done: Run) -> None:
    if protocol.after_failure and (
        not done.answers or done.answers[-1].frames[-1].body == b"I"
    ):  # inside a transaction it would end the case
        client.simple(_FAILS)
    done.texts.append(statement + " " + " ".join(bind or ()))
    if not protocol.extended:
        done.answers.append(client.simple(statement, cancel=protocol.cancel))
        done.answers[-1].sent = statement
        return
    answer = client.extended(
        statement,
        bind=bind,
        binary=protocol.binary,
        name=protocol.name,
        fetch=protocol.fetch,
        binary_bind=protocol.binary_bind,
    )
    if protocol.name and answer.errors:
        # A named statement exists already: closed and prepared again, as a driver does after its error.
        client.send(fe.Close("S", protocol.name).encode(), fe.Sync().encode())
        again = client.read()
        more = client.extended(statement, bind=bind, binary=protocol.binary, name=protocol.name, fetch=protocol.fetch)
        answer = Answer(answer.frames + again.frames + more.frames, more.ended)
    answer.sent = statement
    done.answers.append(answer)


def _pipeline(client: Client, statements: list[str], protocol: Protocol, bind: list[str], done: Run) -> None:
    parts: list[bytes] = []
    for statement in statements:
        parts.append(fe.Parse("", statement).encode())
        parts += client.bound(bind, binary=protocol.binary, binary_bind=protocol.binary_bind)
        parts += [fe.Execute("", protocol.fetch).encode(), fe.Sync().encode()]
    client.send(*parts)
    whole = client.read(ready=len(statements))
    frames: list[Frame] = []
    answers: list[Answer] = []
    for frame in whole.frames:
        frames.append(frame)
        if frame.tag == tags.READY_FOR_QUERY:
            answers.append(Answer(frames, sent=statements[len(answers)]))
            frames = []
    if frames or whole.ended:
        answers.append(Answer(frames, whole.ended))
    done.texts += [" ".join(statements)] * len(answers)
    done.answers += answers
