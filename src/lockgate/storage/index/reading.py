"""The named questions answered by reading the log itself.

For: answers without an index: none is configured, none is running, or somebody wants to compare.
Not for: speed; every entry is read. Rows are the same as those of the index (a test compares them).
Source: docs/reference/entries.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

from lockgate.control import questions
from lockgate.control.questions import Answer, Filters, Question, is_named
from lockgate.ledger.entry import decode
from lockgate.storage.index.logs import Logs
from lockgate.storage.index.questions import ticks, tidied

Row = dict[str, object]
_FROM_OUTCOME = ("rows", "affected", "bytes", "duration_us", "status", "sqlstate")
_LISTS = ("tables", "columns", "rules", "persons")


def ask(logs: Logs, question: Question, filters: Filters) -> Answer:
    """One question over all logs."""
    covered: dict[str, int] = {}
    rows = list(_rows(logs, covered))
    limit = questions.limit_of(filters)
    fitting = [row for row in rows if _fits(row, question, filters)]
    if question.listing:
        fitting = [row for row in fitting if _is_listed(row, question, filters)]
        fitting.sort(key=lambda row: (str(row["time"]), str(row["log"]), cast("int", row["index"])))
        found = [tidied(question, row) for row in fitting]
        return Answer(question.name, found[-limit:], covered, more=len(found) > limit, source="log")
    found = [tidied(question, row) for row in _COUNTED[question.name](fitting, filters)]
    return Answer(question.name, found[:limit], covered, more=len(found) > limit, source="log")


def _rows(logs: Logs, covered: dict[str, int]) -> Iterator[Row]:
    """One row for each entry but outcomes, which are joined to their intents."""
    for origin in logs.origins():
        rows: dict[int, Row] = {}
        covered[origin] = 0
        for index, stored in logs.entries(origin):
            covered[origin] = index + 1
            entry = decode(stored)
            if entry["kind"] == "outcome":
                row = rows.get(cast("int", entry.get("intent")))
                if row is not None:
                    row.update({name: entry.get(name) for name in ("status", "sqlstate")})
                    row.update({name: entry.get(name) or 0 for name in ("rows", "affected", "bytes", "duration_us")})
                    row["ended"] = entry["time"]
                    if entry.get("columns"):
                        row["columns"] = entry["columns"]
                continue
            row = {name: entry.get(name) for name in questions.QUESTIONS["statements"].columns}
            row.update({name: None for name in _FROM_OUTCOME if name != "sqlstate" or entry["kind"] != "deny"})
            row.update({"log": origin, "index": index, "intent": index, "request": _text(entry.get("request"))})
            row["approver"] = entry.get("approver") or entry.get("by")
            row.update({name: entry.get(name) or [] for name in _LISTS})
            if not entry.get("statement"):
                row["tables"] = None
            rows[index] = row
        yield from rows.values()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _is_listed(row: Row, question: Question, filters: Filters) -> bool:
    if question.name == "approvals":
        return row["kind"] == "admin" and str(row["event"]).startswith("request-")
    if question.name == "policies":
        return row["kind"] == "policy" or (row["kind"] == "admin" and row["event"] == "reloaded")
    return row["kind"] in question.listing or (question.name == "statements" and "kind" in filters)


def _fits(row: Row, question: Question, filters: Filters) -> bool:
    """Whether an entry is what filters ask for."""
    moment = ticks(str(row["time"]))
    if filters.get("since") and moment < ticks(str(filters["since"])):
        return False
    if filters.get("until") and moment >= ticks(str(filters["until"])):
        return False
    exact = (
        questions.TEXT_FILTERS
        | questions.RESULT_TEXT_FILTERS
        | questions.RESULT_NUMBER_FILTERS
        | questions.NUMBER_FILTERS
    ) & filters.keys()
    if question.name == "principal":
        exact -= {"principal"}
        if filters["principal"] not in (row["principal"], row["on_behalf_of"], row["approver"]):
            return False
    if any(row.get(name) != filters[name] for name in exact):
        return False
    rules = {*cast("list[str]", row["rules"]), str(row["rule"])}
    if not all(rule in rules for rule in _given(filters, "rule")):
        return False
    if not set(_given(filters, "person")) <= set(cast("list[str]", row["persons"])):
        return False
    tables = cast("list[str]", row["tables"] or [])
    if not all(any(is_named(table, wanted) for table in tables) for wanted in _given(filters, "table")):
        return False
    if filters.get("text") and str(filters["text"]).lower() not in str(row["shape"] or "").lower():
        return False
    return _uses(row, filters)


def _given(filters: Filters, key: str) -> list[str]:
    return list(cast("list[str]", filters.get(key) or []))


def _asked(row: Row, filters: Filters) -> list[Mapping[str, str]]:
    """The labelled columns of a row that have the label and disposition asked for."""
    return [
        column
        for column in cast("list[Mapping[str, str]]", row["columns"] or [])
        if all(filters.get(key) in (None, column.get(key)) for key in ("label", "disposition"))
    ]


def _uses(row: Row, filters: Filters) -> bool:
    wanted = _given(filters, "column")
    if not wanted and not filters.get("label") and not filters.get("disposition"):
        return True
    names = [column["name"] for column in _asked(row, filters)]
    return all(any(is_named(name, one) for name in names) for one in wanted) if wanted else bool(names)


class _Counts:
    """Groups of rows, each with its numbers."""

    def __init__(self) -> None:
        self.groups: dict[tuple[object, ...], Row] = {}

    def add(self, key: Mapping[str, object], row: Row, *, name: str = "statements") -> None:
        """Count a statement into the group of `key`."""
        identity = tuple(str(value) for value in key.values())
        group = self.groups.setdefault(
            identity,
            {**key, name: 0, "rows": 0, "bytes": 0, "who": set(), "first": row["time"], "newest": {}},
        )
        group[name] = cast("int", group[name]) + 1
        for number in ("rows", "bytes"):
            group[number] = cast("int", group[number]) + cast("int", row.get(number) or 0)
        cast("set[object]", group["who"]).add(row["principal"])
        group["principals"] = len(cast("set[object]", group["who"]))
        group["first"] = min(str(group["first"]), str(row["time"]))
        newest = cast("dict[str, tuple[str, int]]", group["newest"])
        last, at = newest.get(str(row["log"]), ("", 0))
        last, at = max(last, str(row.get("ended") or row["time"])), max(at, cast("int", row["index"]))
        newest[str(row["log"])] = last, at
        group["last"], group["log"] = max((moment, log) for log, (moment, _) in newest.items())
        group["index"] = newest[str(group["log"])][1]

    def sorted(self, by: str, *then: str) -> list[Row]:
        """The largest first."""
        return sorted(
            self.groups.values(), key=lambda group: (-cast("int", group[by]), *(_ordered(group[name]) for name in then))
        )


def _ordered(value: object) -> object:
    return value if isinstance(value, list) else str(value or "")


def _readers(rows: Iterable[Row], filters: Filters) -> list[Row]:
    counts, wanted = _Counts(), _given(filters, "column")
    for row in rows:
        if row["kind"] != "intent":
            continue
        fitting = [c for c in _asked(row, filters) if not wanted or any(is_named(c["name"], one) for one in wanted)]
        for disposition in sorted({c["disposition"] for c in fitting}):
            counts.add(
                {"principal": row["principal"], "on_behalf_of": row["on_behalf_of"], "disposition": disposition}, row
            )
    return counts.sorted("statements", "principal", "on_behalf_of", "disposition")


def _volume(rows: Iterable[Row], filters: Filters) -> list[Row]:
    counts = _Counts()
    for row in rows:
        if row["kind"] != "intent" or not row.get("ended"):
            continue
        for label, disposition in sorted({(c["label"], c["disposition"]) for c in _asked(row, filters)}):
            counts.add(
                {"principal": row["principal"], "label": label, "disposition": disposition},
                {**row, "time": row["ended"]},
            )
    return counts.sorted("rows", "principal", "label", "disposition")


def _text_counts(rows: Iterable[Row], _: Filters) -> list[Row]:
    counts = _Counts()
    for row in rows:
        if row["kind"] in ("intent", "deny"):
            counts.add({name: row[name] for name in ("statement", "shape", "tables")}, row)
    return counts.sorted("statements", "shape", "tables")


def _tables(rows: Iterable[Row], _: Filters) -> list[Row]:
    counts = _Counts()
    for row in rows:
        if row["kind"] == "intent":
            for table in cast("list[str]", row["tables"] or []):
                counts.add({"table": table}, row)
    return counts.sorted("statements", "table")


def _denials(rows: Iterable[Row], _: Filters) -> list[Row]:
    counts = _Counts()
    for row in rows:
        if row["kind"] == "deny":
            counts.add({name: row[name] for name in ("rule", "decision", "sqlstate")}, row, name="denials")
    return counts.sorted("denials", "rule", "decision", "sqlstate")


_COUNTED: dict[str, Callable[[Iterable[Row], Filters], list[Row]]] = {
    "readers": _readers, "volume": _volume, "text": _text_counts, "tables": _tables, "denials": _denials,
}  # fmt: skip
