"""Two answers to one case, from twin databases: equal but for the pseudonyms, or a difference in words.

For: the definition of what may not depend on masked values: number and order of rows, unmasked columns, SQLSTATE, texts, tags.
Not for: looking for values. A cell may differ only by a pair of masks that was seen at the same row and column of both twins.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from corpus.client import Answer
from lockgate.errors import BackendProtocolError
from lockgate.masking.records import read_text
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.reports import read_fields

_OWN_NUMBERS = re.compile(
    rb"\b(request|entry)=\S+|(\blockgate_\w+?)_[0-9a-f]{6}(?=_(?:masked|clear|analysis))|\blg:\S+"
)
_SILENT = frozenset({tags.PARAMETER_STATUS, tags.BACKEND_KEY_DATA, tags.AUTHENTICATION})
_TEMPORARY = re.compile(rb"pg_(toast_)?temp_[0-9]+")
_COUNT = re.compile(rb"[0-9]+(?=\0)")
_SHOWN_FIELDS = "SVCMDHPpqWstcdn"
_MIXED_CELL_BYTES_MAX = 1 << 20
_SHORTEST_MASK = 4
_TAGGED = b"[secret-"
_FIELDS_MAX = 1664


class Pairs:
    """Masks of the same cell in both twins, learned from a plain reading of each table."""

    def __init__(self) -> None:
        self._pairs: set[tuple[bytes, bytes]] = set()
        self._forward: dict[bytes, bytes] = {}
        self._backward: dict[bytes, bytes] = {}
        self._pattern: re.Pattern[bytes] | None = None
        self.contradictions: list[str] = []

    def learn(self, column: str, here: bytes, there: bytes) -> None:
        """Remember a pair; pairs that are not one-to-one become contradictions, but for the short tags of secrets."""
        self._pairs.add((here, there))
        # As the server writes a mask that the client gives it, in text or binary.
        for head in (b"", b"\x01"):
            if here.startswith(head + b"{") and there.startswith(head + b"{"):
                self._pairs.add(tuple(head + _as_jsonb(one[len(head) :]) for one in (here, there)))  # type: ignore[arg-type]  # two of them
        forward, backward = self._forward.setdefault(here, there), self._backward.setdefault(there, here)
        if (forward, backward) != (there, here) and not here.startswith(_TAGGED):
            self.contradictions.append(f"{column}: equal masks in one twin are different ones in the other")
        self._pattern = None

    def is_mask(self, cell: bytes) -> bool:
        """True when exactly these bytes are the mask of some cell in either twin, as a plain reading showed it."""
        return cell in self._forward or cell in self._backward

    def equal(self, here: bytes | None, there: bytes | None) -> bool:
        """True when two cells may stand for the same."""
        if here == there:
            return True
        if here is None or there is None:
            return False
        fields = _binary_fields(here), _binary_fields(there)
        if fields[0] and fields[1]:
            kinds = [[kind for kind, _ in one] for one in fields]
            return kinds[0] == kinds[1] and all(self.equal(a, b) for (_, a), (_, b) in zip(*fields, strict=True))
        if here[:1] == there[:1] == b"(":
            with contextlib.suppress(BackendProtocolError):
                parts = read_text(here), read_text(there)
                if len(parts[0]) == len(parts[1]) and all(map(self.equal, *parts)):
                    return True
        here, there = scrubbed(here), scrubbed(there)
        return here == there or (here, there) in self._pairs or self._translated(here) == there

    def translated_row(self, row: Frame) -> tuple[bytes | None, ...]:
        """The row that the twin should show."""
        cells = (None if c is None else scrubbed(c) for c in be.cells(row.body))
        return tuple(c if c is None else self._forward.get(c) or self._translated(c) for c in cells)

    def translated(self, text: bytes) -> bytes:
        """A text in which the twin's masks stand for these."""
        return self._translated(text)

    def _translated(self, text: bytes) -> bytes:
        if len(text) > _MIXED_CELL_BYTES_MAX:
            return text
        if self._pattern is None:
            known = sorted((k for k, v in self._forward.items() if k != v and len(k) >= _SHORTEST_MASK), key=len)
            self._pattern = re.compile(b"|".join(map(re.escape, reversed(known))) or rb"(?!)")
        return self._pattern.sub(lambda m: self._forward[m[0]], text)


def _as_jsonb(document: bytes) -> bytes:
    """A document with its keys in the order of jsonb; the same bytes for what is none."""

    def sorted_keys(value: object) -> object:
        if isinstance(value, dict):
            return {k: sorted_keys(value[k]) for k in sorted(value, key=lambda k: (len(k.encode()), k.encode()))}
        return [sorted_keys(one) for one in value] if isinstance(value, list) else value

    try:
        return json.dumps(sorted_keys(json.loads(document)), ensure_ascii=False).encode()
    except ValueError:
        return document


def _binary_fields(cell: bytes) -> list[tuple[bytes, bytes | None]]:
    """Types and fields of a whole row in binary; empty for what is none."""
    count = int.from_bytes(cell[:4], "big")
    found: list[tuple[bytes, bytes | None]] = []
    at = 4
    while 0 < count <= _FIELDS_MAX and len(found) < count and at + 8 <= len(cell):
        kind, size = cell[at : at + 4], int.from_bytes(cell[at + 4 : at + 8], "big", signed=True)
        at += 8 + max(size, 0)
        found.append((kind, None if size < 0 else cell[at - size : at]))
    return found if found and len(found) == count and at == len(cell) else []


def scrubbed(text: bytes) -> bytes:
    """A text without the gate's own numbers: entries, requests, sessions and the names of its roles."""
    return _OWN_NUMBERS.sub(lambda m: (m[1] or m[2] or b"lg:") + b"*", text)


def difference(here: Sequence[Answer], there: Sequence[Answer], pairs: Pairs) -> str | None:
    """The first difference between two runs of a case, None when there is none."""
    if len(here) != len(there):
        return f"{len(here)} answers against {len(there)}"
    for number, (one, other) in enumerate(zip(here, there, strict=True), 1):
        found = _answers(_shown(one.frames), _shown(other.frames), pairs, one.sent)
        if found is None and one.ended != other.ended:
            found = "the connection ended in one twin only"
        if found is not None:
            return f"statement {number}: {found}"
    return None


Rows = Mapping[str, Sequence[Sequence[str | None]]]
"""Table to its rows."""


def stored_difference(here: Rows, there: Rows, *pairs: Pairs) -> str | None:
    """The first difference between what is stored in both twins, None when there is none; `pairs` say which cells are alike."""
    if here.keys() != there.keys():
        return "rows have changed in one twin only"
    for table, rows in here.items():
        others = there[table]
        if len(rows) != len(others):
            return f"{table} has {len(rows)} rows against {len(others)}"
        for number, (row, other) in enumerate(zip(rows, others, strict=True), 1):
            for column, cells in enumerate(zip(row, other, strict=True), 1):
                one, twin = (None if cell is None else cell.encode() for cell in cells)
                if not any(each.equal(one, twin) for each in pairs):
                    return f"stored in {table}, row {number}, column {column}: {_short(one)} against {_short(twin)}"
    return None


def _shown(frames: Iterable[Frame]) -> list[Frame]:
    return list(_without_temporary(_rows_of_copies(frame for frame in frames if frame.tag not in _SILENT)))


def _without_temporary(frames: Iterable[Frame]) -> Iterator[Frame]:
    """All but the rows about schemas of temporary tables: how many there are depends on how many sessions there have been at once."""
    left_out = 0
    after = False
    for frame in frames:
        after = after and frame.tag == tags.PORTAL_SUSPENDED
        if frame.tag == tags.DATA_ROW and any(_TEMPORARY.fullmatch(cell or b"") for cell in be.cells(frame.body)):
            left_out, after = left_out + 1, True
        elif frame.tag == tags.COMMAND_COMPLETE and left_out:
            counted = _COUNT.search(frame.body)
            count = b"%d" % (int(counted[0]) - left_out) if counted else b""
            yield Frame(frame.tag, _COUNT.sub(count, frame.body))
            left_out = 0
        elif not after:
            yield frame


def _rows_of_copies(frames: Iterable[Frame]) -> Iterator[Frame]:
    """COPY data as rows, whatever their format, so that they are compared as the rows of a query are."""
    copied: list[bytes] | None = None
    columns, binary = 0, False
    for frame in frames:
        if frame.tag == tags.COPY_DATA and copied is not None:
            copied.append(frame.body)
            continue
        yield from _rows_of_copy(copied or [], columns, binary=binary)
        copied = None
        if frame.tag == tags.COPY_OUT_RESPONSE:
            copied, columns, binary = [], int.from_bytes(frame.body[1:3], "big"), frame.body[0] == 1
        yield frame
    yield from _rows_of_copy(copied or [], columns, binary=binary)


def _rows_of_copy(copied: list[bytes], columns: int, *, binary: bool) -> Iterator[Frame]:
    data = b"".join(copied)
    for cells in _binary_rows(data) if binary else _text_rows(data, columns):
        yield Frame(tags.DATA_ROW, be.encode_row(cells)[5:])


def _text_rows(data: bytes, columns: int) -> Iterator[list[bytes | None]]:
    for line in data.splitlines():
        cells = line.split(b"\t")
        if len(cells) != columns:
            cells = line.split(b"|")
        if len(cells) != columns:
            (row,) = list(csv.reader([line.decode("utf-8", "surrogateescape")])) or [[]]
            cells = [cell.encode("utf-8", "surrogateescape") for cell in row]
        yield [None if cell == b"\\N" else cell for cell in cells]


def _binary_rows(data: bytes) -> Iterator[list[bytes | None]]:
    at = 19 + int.from_bytes(data[15:19], "big")
    while (count := int.from_bytes(data[at : at + 2], "big", signed=True)) >= 0 and at < len(data):
        at += 2
        cells: list[bytes | None] = []
        for _ in range(count):
            size = int.from_bytes(data[at : at + 4], "big", signed=True)
            at += 4
            cells.append(None if size < 0 else data[at : at + size])
            at += max(size, 0)
        yield cells


def _answers(here: list[Frame], there: list[Frame], pairs: Pairs, sent: str) -> str | None:
    counts = [sum(f.tag in (tags.DATA_ROW, tags.COPY_DATA) for f in frames) for frames in (here, there)]
    if counts[0] != counts[1]:
        return f"{counts[0]} rows against {counts[1]}"
    row = 0
    if [f.tag for f in here] == [f.tag for f in there]:
        # Where a result read in pieces is cut is the same in both, so that what is left to compare are its rows.
        here, there = ([f for f in one if f.tag != tags.PORTAL_SUSPENDED] for one in (here, there))
    here, there = _in_one_order(here, there, pairs)
    for one, other in zip(here, there, strict=False):
        if one.tag != other.tag:
            return f"message `{tags.tag_name(one.tag)}` against `{tags.tag_name(other.tag)}`{_codes(one, other)}"
        if one.tag == tags.DATA_ROW:
            row += 1
            found = _rows(one, other, pairs)
            if found is not None:
                return f"row {row}, {found}"
        elif one.tag in (tags.ERROR_RESPONSE, tags.NOTICE_RESPONSE):
            found = _reports(one, other, pairs, sent)
            if found is not None:
                return found
        elif one.tag == tags.ROW_DESCRIPTION and _shape(one) == _shape(other):
            continue
        elif one.body != other.body and not pairs.equal(one.body, other.body):
            return f"message `{tags.tag_name(one.tag)}` differs"
    return None if len(here) == len(there) else "one answer has more messages"


def _shape(frame: Frame) -> list[be.Field]:
    """The columns of a description, without numbers of tables: a temporary table has another one in each twin."""
    return [field._replace(table_oid=0) for field in Answer([frame]).fields]


def _in_one_order(here: list[Frame], there: list[Frame], pairs: Pairs) -> tuple[list[Frame], list[Frame]]:
    """Put the twin's rows into this order where both are sorted by the masks as shown.

    An order by pseudonyms tells nothing of the values and is not the twin's order. It is accepted for a stretch of rows only
    when the stretch is sorted in both twins and has the same rows.
    """
    there = list(there)
    position = 0
    while position < min(len(here), len(there)):
        one, other = here[position], there[position]
        if one.tag == other.tag == tags.DATA_ROW and _rows(one, other, pairs) is not None:
            end = _sorted_stretch(here, there, position, pairs)
            if end is None:
                break
            by_row: dict[tuple[bytes | None, ...], list[Frame]] = {}
            for frame in there[position:end]:
                by_row.setdefault(tuple(c if c is None else scrubbed(c) for c in be.cells(frame.body)), []).append(
                    frame
                )
            there[position:end] = [by_row[pairs.translated_row(frame)].pop() for frame in here[position:end]]
            position = end
        else:
            position += 1
    return here, there


def _sorted_stretch(here: list[Frame], there: list[Frame], start: int, pairs: Pairs) -> int | None:
    missing: Counter[tuple[bytes | None, ...]] = Counter()
    for end in range(start, min(len(here), len(there))):
        if not here[end].tag == there[end].tag == tags.DATA_ROW:
            return None
        if end > start and (here[end - 1].body > here[end].body or there[end - 1].body > there[end].body):
            return None
        for row, step in (
            (pairs.translated_row(here[end]), 1),
            (tuple(c if c is None else scrubbed(c) for c in be.cells(there[end].body)), -1),
        ):
            missing[row] += step
            if not missing[row]:
                del missing[row]
        if not missing:
            return end + 1
    return None


def _rows(one: Frame, other: Frame, pairs: Pairs) -> str | None:
    cells, twins = be.cells(one.body), be.cells(other.body)
    if len(cells) != len(twins):
        return "the number of columns differs"
    for column, (cell, twin) in enumerate(zip(cells, twins, strict=True), 1):
        if not pairs.equal(cell, twin):
            return f"column {column}: {_short(cell)} against {_short(twin)}"
    return None


def _reports(one: Frame, other: Frame, pairs: Pairs, sent: str) -> str | None:
    fields, twins = read_fields(one.body), read_fields(other.body)
    for code in _SHOWN_FIELDS:
        if code == "P" and fields.get(code, "").isdecimal():
            # Masks in the client's own text may be longer in the twin's: what stands behind them moves.
            before = pairs.translated(sent[: int(fields[code]) - 1].encode())
            fields[code] = str(len(before.decode("utf-8", "replace")) + 1)
        if not pairs.equal(fields.get(code, "").encode(), twins.get(code, "").encode()):
            return f"field {code} of an error or notice: {fields.get(code)!r} against {twins.get(code)!r}"
    return None


def _codes(*frames: Frame) -> str:
    found = [read_fields(f.body) for f in frames if f.tag == tags.ERROR_RESPONSE]
    return "".join(f" ({fields.get('C')}: {fields.get('M')})" for fields in found)


def _short(cell: bytes | None) -> str:
    return "NULL" if cell is None else repr(cell[:60])[1:]
