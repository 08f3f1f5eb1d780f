"""Play generated statements on twins, find what shows, and make it small.

For: many statements a second over two connections that stay open. Not for: making statements (`queries`) or worlds (`schemas`).
What looks wrong is played again in sessions of its own before it counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from corpus.cases import Case
from corpus.client import Client, is_refusal
from corpus.forms import Run, run_on
from corpus.judge import FAILURES, Judge
from corpus.stage import Stage, Twin
from corpus.twins import World
from generator.choices import Choices, shrink
from generator.queries import CLEAR, make_case
from generator.schemas import Made

_SHOWN_MAX = 0.2
_PIECE = 6
_WRITES = re.compile(r"\b(INSERT INTO|UPDATE \w+ (a )?SET|DELETE FROM|MERGE INTO)\b")


@dataclass
class Found:
    """A statement that shows something, in its smallest form."""

    world: str
    case: Case
    verdict: str
    remarks: tuple[str, ...]

    def __str__(self) -> str:
        protocol = self.case.protocol
        form = [w for w in ("extended", "binary", "pipeline", "after_failure") if getattr(protocol, w)]
        text = " ;; ".join(self.case.statements)
        return "\n    ".join([f"{self.case.name} {self.verdict} {form} fetch={protocol.fetch}: {text}", *self.remarks])


@dataclass
class Tally:
    """How a run went."""

    played: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    unstable: int = 0
    stored: int = 0
    found: list[Found] = field(default_factory=list)
    clear: list[str] = field(default_factory=list)


class Player:
    """Plays the statements of one world."""

    def __init__(self, stage: Stage, world: World, made: Made) -> None:
        self._stage = stage
        self.world = world
        self._made = made
        self._judge = Judge(stage, world, writing=True)
        self._clients: dict[int, Client] = {}

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def clear_columns(self) -> Iterator[str]:
        """Masked columns whose values a plain reading shows as they are stored."""
        for masked in self.world.masked:
            stored = set(self._stage.x.values[self.world.name].get((masked.table, masked.column), ())) - {None}
            shown = [
                mask.decode("utf-8", "replace")
                for (table, column, _), mask in self._stage.x.masks[self.world.name].items()
                if (table, column) == (masked.table, masked.column) and len(mask) >= _PIECE
            ]
            if shown and sum(value in stored for value in shown) > _SHOWN_MAX * len(shown):
                yield f"{masked.table}.{masked.column} is shown in clear"

    def play(self, choices: Choices, name: str, tally: Tally) -> None:
        """Make one statement, play it, and keep what it shows."""
        case = make_case(choices, self._made, name)
        tally.played[case.technique] += 1
        if _keeps(case):
            here, there = self._judge.both(case)
            tally.stored += bool(here.stored)
        else:
            here, there = self._once(case, self._stage.x), self._once(case, self._stage.y)
        if here.refused:
            key = case.technique, refusal(here)
            tally.refused[key] += 1
            tally.examples.setdefault(key, " ;; ".join(case.statements))
        elif not here.first_error:
            tally.answered[case.technique] += 1
        else:
            tally.errors[here.first_error[:60]] += 1
        if case.technique == CLEAR:
            self._compare(case, here, tally)
        if not self._suspicious(here, there):
            return
        self.close()
        verdict = self._judge.attack(case)
        if verdict.verdict not in FAILURES:
            tally.unstable += 1
            return

        def fails(record: Sequence[int]) -> bool:
            smaller = make_case(Choices(record=record), self._made, name)
            return self._judge.attack(smaller).verdict == verdict.verdict

        small = make_case(Choices(record=shrink(choices.record, fails)), self._made, name)
        judged = self._judge.attack(small)
        tally.found.append(Found(self.world.name, small, judged.verdict, judged.remarks))

    def _compare(self, case: Case, here: Run, tally: Tally) -> None:
        """What uses no masked column is answered as the server answers it; which rows a LIMIT takes of equals is the planner's."""
        if here.refused:
            return
        direct = self._once(case, self._stage.x, direct=True)
        limited = " LIMIT " in case.statements[0]
        rows = [Counter(tuple(row) for a in run.answers for row in a.rows) for run in (here, direct)]
        sizes = [sum(counter.values()) for counter in rows]
        errors = [[e.sqlstate for a in run.answers for e in a.errors] for run in (here, direct)]
        if (
            errors[0] != errors[1]
            or (sizes[0] != sizes[1] and not _counts_by_place(case))
            or (rows[0] != rows[1] and not limited and not _by_place(case))
        ):
            tally.found.append(Found(self.world.name, case, "WRONG", (f"{sizes} rows, errors {errors}",)))

    def _suspicious(self, here: Run, there: Run) -> bool:
        if any(a.ended for a in (*here.answers, *there.answers)):
            return True
        if self._judge.unlike(here, there) is not None:
            return True
        return any(True for _ in self._judge.leaks(here, there)) or any(
            True for _ in self._judge.leaks(there, here, twin=True)
        )

    def _once(self, case: Case, twin: Twin, *, direct: bool = False) -> Run:
        place = 0 if direct else id(twin)
        client = self._clients.get(place)
        if client is None:
            address = twin.direct_address(self.world) if direct else twin.gate_address(self.world)
            client = self._clients[place] = Client(address)
        done = Run()
        run_on(client, case, lambda text: self._stage.placeholders(twin, self.world, text), done)
        if done.answers[-1].ended:
            client.close()
            del self._clients[place]
        elif done.answers[-1].frames[-1].body != b"I":
            client.simple("ROLLBACK")
        return done


def _keeps(case: Case) -> bool:
    """Whether the statements may change rows and keep the change."""
    text = " ".join(case.statements)
    return _WRITES.search(text) is not None and "ROLLBACK" not in text


def _by_place(case: Case) -> bool:
    """Whether the statement leaves open which of equal rows come first, so that their order shows in values."""
    text = case.statements[0]
    return any(word in text for word in ("OVER (", "array_agg(", "string_agg(", "DISTINCT ON"))


def _counts_by_place(case: Case) -> bool:
    """Whether it leaves open how many rows there are: a LIMIT inside of it takes any of equal rows, or the differing ones among them count."""
    inside = re.sub(r" LIMIT \S+( OFFSET \S+)?$", "", case.statements[0])
    return " LIMIT " in inside or ("DISTINCT" in inside and _by_place(case))


def refusal(done: Run) -> str:
    """Why something was refused: the rule, and what kept it from running over stand-ins."""
    errors = [e for answer in done.answers for e in answer.errors if is_refusal(e)]
    rule = re.search(r"rule=(\S+)", errors[0].fields.get("D", ""))
    over = re.search(r"Over stand-ins it cannot run either: (.*?)\.?$", errors[0].fields.get("H", ""))
    what = re.search(r"`([^`]*)` (?:cannot be seen into|would)", errors[0].message)
    words = [rule[1] if rule else "?", what[1] if what else "", over[1] if over else ""]
    return ": ".join(word for word in words if word)
