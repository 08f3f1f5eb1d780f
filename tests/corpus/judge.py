"""Judge the cases of a corpus: attacks against twins and canaries, benign statements against the direct connection.

For: one verdict per case and form. Not for: printing (`report`).
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from corpus.canaries import Canaries, Hit
from corpus.cases import Case
from corpus.client import Answer
from corpus.compare import Pairs, difference, scrubbed, stored_difference
from corpus.forms import Run, run
from corpus.stage import Stage, Twin
from corpus.twins import World
from lockgate.errors import BackendProtocolError
from lockgate.masking.records import read_text, write_text
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import tags

LEAK, TWIN, NOT_REFUSED, LOST, WRONG = "LEAK", "TWIN DIFFERENCE", "NOT REFUSED", "CONNECTION LOST", "WRONG"
OVER, UNSTABLE, OK, WORKING, REFUSED, SKIPPED = "over-refused", "unstable", "ok", "working", "refused", "skipped"
FAILURES = frozenset({LEAK, TWIN, NOT_REFUSED, LOST, WRONG})
"""Verdicts that make the whole run fail."""

_COPY_MARKS = re.compile(rb'[\t,|"\n]')
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "CREATE", "DO ", "CALL", "TRUNCATE")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one case in one form; `remarks` say why, in the order found."""

    world: str
    case: str
    form: str
    expect: str
    verdict: str
    remarks: tuple[str, ...] = ()
    statements: tuple[str, ...] = field(default=())


class Judge:
    """Plays cases of one world; `direct` goes past the gate, to see that the checks find what an unprotected server shows.

    With `writing` cases may change rows, and what they store must be the same in both twins too.
    """

    def __init__(self, stage: Stage, world: World, *, direct: bool = False, writing: bool = False) -> None:
        self._stage = stage
        self._world = world
        self._direct = direct
        self._writing = writing
        self._stored_pairs = stage.stored_pairs(world) if writing else Pairs()

    def both(self, case: Case) -> tuple[Run, Run]:
        """Play a case on both twins."""
        return self._play(case, self._stage.x), self._play(case, self._stage.y)

    def unlike(self, here: Run, there: Run) -> str | None:
        """What is not the same in two runs: answers, and what they stored."""
        pairs = self._stage.pairs[self._world.name]
        found = difference([*here.answers, *here.left], [*there.answers, *there.left], pairs)
        return found or stored_difference(here.stored, there.stored, self._stored_pairs, pairs)

    def attack(self, case: Case, form: str = "as written") -> Verdict:
        """Play an attack on both twins."""
        here, there = self.both(case)
        remarks: list[str] = []
        verdict = OK
        leaks = list(self.leaks(here, there)) + [f"twin: {leak}" for leak in self.leaks(there, here, twin=True)]
        unlike = self.unlike(here, there)
        if unlike is None and here.residue != there.residue:
            unlike = f"residue: {here.residue} against {there.residue}"
        if case.expect == "MASK" and (here.refused or any(a.ended for a in here.answers)):
            verdict = OVER
            remarks.append(here.first_refusal)
        if case.expect == "REFUSE" and not here.refused:
            verdict = NOT_REFUSED
            remarks.append(here.first_error or "ran")
        if unlike is not None:
            once_more = self._play(case, self._stage.x)
            again = self.unlike(here, once_more)
            verdict = UNSTABLE if again is not None else TWIN
            remarks.append(unlike)
        if here.residue:
            verdict = LEAK
            remarks.append(f"residue: {here.residue}")
        if leaks:
            verdict = LEAK
            remarks += leaks[:4]
        if here.lost or there.lost:
            verdict = LOST
            remarks.insert(0, f"the gate ended the connection: {here.first_error or there.first_error}")
        if case.expect == "EITHER" and verdict == OK and here.refused:
            remarks.append(here.first_refusal)
        return Verdict(self._world.name, case.name, form, case.expect, verdict, tuple(remarks), case.statements)

    def benign(self, case: Case, form: str = "as written") -> Verdict:
        """Play a benign case through the gate and past it, and on the twin."""
        if "vector" in case.requires and self._stage.major < 18:
            return self._verdict(case, form, SKIPPED, "needs the extension vector")
        if "run once by the owner" in case.note:
            return self._verdict(case, form, SKIPPED, "part of the set-up")
        stage = self._stage
        here, there = self._play(case, stage.x), self._play(case, stage.y)
        leaks = list(self.leaks(here, there))
        if leaks:
            return self._verdict(case, form, LEAK, *leaks[:4])
        if here.lost or there.lost:
            return self._verdict(case, form, LOST, here.first_error or there.first_error)
        if here.refused:
            return self._verdict(case, form, REFUSED, here.first_refusal)
        # A mask means something to the gate only: past it, the value itself is the question.
        direct = self._play(case, stage.x, direct=True)
        wrong = self._unequal(here, direct) if case.expect == "CLEAR" else self._unmasked(here, direct)
        if wrong:
            return self._verdict(case, form, WRONG, wrong)
        unlike = difference(here.answers, there.answers, stage.pairs[self._world.name])
        if unlike is not None:
            again = difference(here.answers, self._play(case, stage.x).answers, stage.pairs[self._world.name])
            return self._verdict(case, form, WORKING if again is not None else TWIN, unlike)
        return self._verdict(case, form, WORKING)

    def _verdict(self, case: Case, form: str, verdict: str, *remarks: str) -> Verdict:
        return Verdict(self._world.name, case.name, form, case.expect, verdict, remarks, case.statements)

    def _play(self, case: Case, twin: Twin, *, direct: bool = False) -> Run:
        world, past = self._world, direct or self._direct
        address = twin.direct_address(world) if past else twin.gate_address(world)

        def fill_in(text: str) -> str:
            return self._stage.originals(twin, world, text) if past else self._stage.placeholders(twin, world, text)

        writes = any(word in " ".join(case.lines).upper() for word in _WRITES)
        before = twin.ask(world, world.watched) if writes else ""
        done = run(
            address, case, fill_in, lambda name: twin.function_oid(world, name), lambda: twin.residue(world), lambda: twin.temporary(world)
        )  # fmt: skip
        if writes and before != twin.ask(world, world.watched):
            if self._writing:
                done.stored = twin.stored(world)
            else:
                done.residue = f"{done.residue} changed rows".strip()
            for each in (self._stage.x, self._stage.y):  # both, so that their catalogues stay laid out alike
                self._stage.restore(each, world)
        return done

    def leaks(self, here: Run, there: Run, *, twin: bool = False) -> Iterator[str]:
        """Pieces of stored values in a run; `there` is the same case on the other twin."""
        canaries = self._stage.canaries[self._world.name][1 if twin else 0]
        sent = " ".join(here.texts).encode()
        others = [*there.answers, *there.left]
        for number, answer in enumerate([*here.answers, *here.left]):
            other = others[number] if number < len(others) else Answer()
            yield from _leaks_of(answer, other, canaries, sent, number, self._stage.pairs[self._world.name])

    def _unequal(self, here: Run, direct: Run) -> str:
        silent = (tags.PARAMETER_STATUS, tags.BACKEND_KEY_DATA)
        for number, (one, other) in enumerate(zip(here.answers[1:], direct.answers[1:], strict=False), 1):
            shown = [[(f.tag, f.body) for f in answer.frames if f.tag not in silent] for answer in (one, other)]
            if shown[0] == shown[1]:
                continue
            if any("TEMP" in text.upper() for text in here.texts) and _but_for_tables(one) == _but_for_tables(other):
                continue  # a temporary table has another number in each session
            if other.errors and [_without_origin(e) for e in one.errors] == [_without_origin(e) for e in other.errors]:
                continue
            if one.errors or other.errors:
                return f"statement {number}: {_error(one)} against {_error(other)} directly"
            if len(one.rows) != len(other.rows):
                return f"statement {number}: {len(one.rows)} rows against {len(other.rows)} directly"
            for row, (cells, expected) in enumerate(zip(one.rows, other.rows, strict=True), 1):
                if cells != expected:
                    return f"statement {number}, row {row}: {cells!r:.160} against {expected!r:.160} directly"
            return f"statement {number}: messages beside rows differ"
        return ""

    def _unmasked(self, here: Run, direct: Run) -> str:
        masks = self._stage.masks_by_value(self._stage.x, self._world)
        for number, (one, other) in enumerate(zip(here.answers[1:], direct.answers[1:], strict=False), 1):
            if one.errors and not other.errors:
                return f"statement {number}: {_error(one)}, which works directly"
            if len(one.rows) != len(other.rows):
                return f"statement {number}: {len(one.rows)} rows against {len(other.rows)} directly"
            if any(f.format for f in one.fields) or "LIMIT" in here.texts[number].upper():
                continue  # which rows come may depend on their order, which the gate may change
            expected = Counter(tuple(_masked(c, masks) for c in row) for row in other.rows)
            found = Counter(tuple(row) for row in one.rows)
            if _differ_in_columns_of_masks(one.rows, other.rows, masks):
                continue  # values computed from stand-ins: other ones, but as often equal to each other
            for row in list((found - expected).keys())[:1]:
                return f"statement {number}: a row that nothing explains: {row!r:.200}"
        return ""


def _but_for_tables(answer: Answer) -> list[object]:
    """Messages, descriptions without the numbers of tables."""
    fields = [field._replace(table_oid=0) for field in answer.fields]
    return [
        fields,
        *(
            (f.tag, f.body)
            for f in answer.frames
            if f.tag not in (tags.ROW_DESCRIPTION, tags.PARAMETER_STATUS, tags.BACKEND_KEY_DATA)
        ),
    ]


def _masked(cell: bytes | None, masks: Mapping[bytes, bytes]) -> bytes | None:
    """What a cell should look like; a whole row as one value, field by field."""
    if not cell or cell in masks:
        return masks[cell] if cell else cell
    if cell.startswith(b"(") and cell.endswith(b")"):
        with contextlib.suppress(BackendProtocolError):
            return write_text([_masked(field, masks) for field in read_text(cell)])
    return cell


def _differ_in_columns_of_masks(
    here: Sequence[Sequence[bytes | None]], there: Sequence[Sequence[bytes | None]], masks: Mapping[bytes, bytes]
) -> bool:
    """Whether each column has the same cells in both answers, or as many equal ones, of which those that are the same in both
    (NULL, a public mail domain) are no masked values.
    """
    for one, other in zip(zip(*here, strict=True), zip(*there, strict=True), strict=True):
        mine, theirs = Counter(one), Counter(other)
        if mine == theirs:
            continue
        kept = mine.keys() & theirs.keys() | {None}
        if any(mine[cell] != theirs[cell] or _masked(cell, masks) != cell for cell in kept):
            return False
        if sorted(mine.values()) != sorted(theirs.values()):
            return False
    return True


def _without_origin(error: be.ErrorResponse) -> dict[str, str]:
    """All fields but file, line and routine in the server's source."""
    return {code: text for code, text in error.fields.items() if code not in "FLR"}


def _error(answer: Answer) -> str:
    return f"{answer.errors[0].sqlstate} {answer.errors[0].message}" if answer.errors else "no error"


def _leaks_of(
    answer: Answer, other: Answer, canaries: Canaries, sent: bytes, number: int, pairs: Pairs
) -> Iterator[str]:
    same_length = len(answer.frames) == len(other.frames)
    for position, frame in enumerate(answer.frames):
        twin = scrubbed(other.frames[position].body).lower() if same_length else b""
        parts: Sequence[bytes | None] = [scrubbed(frame.body)]
        twins: Sequence[bytes | None] = [twin]
        if frame.tag == tags.DATA_ROW:
            parts = _fields(be.cells(frame.body))
            same = twin and other.frames[position].tag == frame.tag
            twins = _fields(be.cells(other.frames[position].body)) if same else []
        elif frame.tag == tags.COPY_DATA:
            # Values between separators, as far as a piece of a pseudonym must be told from a piece of a value.
            parts = _COPY_MARKS.split(frame.body)
            twins = _COPY_MARKS.split(other.frames[position].body) if same_length else []
        for column, part in enumerate(parts):
            counterpart = (twins[column] if column < len(twins) else None) or b""
            for hit in canaries.look(part or b"", sent) if part else ():
                if not hit.long and part is not None and pairs.is_mask(part):
                    continue  # a few characters of a random pseudonym: the plain reading has shown that it is one
                if _counts(hit, counterpart.lower()):
                    yield (
                        f"statement {number}, message `{tags.tag_name(frame.tag)}`, part {column + 1}: a piece of"
                        f" {hit.where} ({hit.transform}): {hit.piece.decode('utf-8', 'replace')!r}"
                    )
                    break


def _fields(cells: Sequence[bytes | None]) -> list[bytes | None]:
    """Cells, and of whole rows that are one value their fields."""
    found: list[bytes | None] = []
    for cell in cells:
        inner = None
        if cell and cell.startswith(b"(") and cell.endswith(b")"):
            with contextlib.suppress(BackendProtocolError):
                inner = read_text(cell)
        found += [cell] if inner is None else inner
    return found


def _counts(hit: Hit, counterpart: bytes) -> bool:
    return hit.long or counterpart[hit.position : hit.position + len(hit.twin)] == hit.twin
