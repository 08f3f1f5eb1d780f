"""The named questions in ClickHouse's SQL.

For: one text for the embedded engine and for a server; every value is a parameter, never part of the text.
Not for: what may be asked (`control.questions`).
Source: evidence.md 2.1 and 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

from lockgate.control import questions
from lockgate.control.questions import Filters, Question
from lockgate.storage.index.engines import Engine, Parameter, Row

SOURCE = "everything"
PIECE = 4000
"""Entries asked for at once, so that their numbers fit into an address."""
_TIME = "formatDateTime({}, '%Y-%m-%dT%H:%i:%S.%fZ', 'UTC')"
_TEXTS = tuple(sorted(questions.TEXT_FILTERS))


def ticks(time: str) -> int:
    """An entry's time, or any ISO 8601 one with a zone, as microseconds since 1970."""
    return round(datetime.fromisoformat(time).timestamp() * 1e6)


class Where:
    """Conditions and their parameters, built from filters."""

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.parameters: dict[str, Parameter] = {}

    def add(self, condition: str, **parameters: Parameter) -> None:
        """One more condition that must hold."""
        self.conditions.append(condition)
        self.parameters |= parameters

    @property
    def text(self) -> str:
        """The WHERE clause, or nothing."""
        return f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""


def _list(filters: Filters, key: str) -> list[str]:
    return list(cast("list[str]", filters.get(key) or []))


def matching_columns(filters: Filters, where: Where) -> str:
    """The condition that one labelled column fits everything asked of columns, for `arrayExists` and `arrayFilter`."""
    parts = []
    if filters.get("label"):
        where.parameters["label"] = str(filters["label"])
        parts.append("l = {label:String}")
    if filters.get("disposition"):
        where.parameters["disposition"] = str(filters["disposition"])
        parts.append("d = {disposition:String}")
    return " AND ".join(parts)


def _column_sets(filters: Filters, where: Where) -> str:
    """The ids of sets of columns that fit; empty text when nothing was asked of columns."""
    fits, wanted = matching_columns(filters, where), _list(filters, "column")
    if not fits and not wanted:
        return ""
    conditions = []
    for number, name in enumerate(wanted):
        where.parameters[f"column{number}"] = name
        conditions.append(_named(f"column{number}", fits))
    if not wanted:
        conditions.append(f"arrayExists((n, l, d) -> {fits}, names, labels, dispositions)")
    return f"SELECT id FROM used_columns WHERE {' AND '.join(conditions)}"


def _named(parameter: str, fits: str) -> str:
    more = f" AND {fits}" if fits else ""
    named = f"(n = {{{parameter}:String}} OR endsWith(n, concat('.', {{{parameter}:String}})))"
    return f"arrayExists((n, l, d) -> {named}{more}, names, labels, dispositions)"


def conditions(filters: Filters, *, skip: frozenset[str] = frozenset()) -> Where:
    """Everything that filters ask of an entry, but for what only an outcome says."""
    where = Where()
    for name, sign in (("since", ">="), ("until", "<")):
        if filters.get(name):
            where.add(
                f"`time` {sign} fromUnixTimestamp64Micro({{{name}:Int64}}, 'UTC')", **{name: ticks(str(filters[name]))}
            )
    for name in _TEXTS:
        if filters.get(name) is not None and name not in skip:
            where.add(f"`{name}` = {{{name}:String}}", **{name: str(filters[name])})
    for name in sorted(questions.NUMBER_FILTERS):
        if name in filters:
            where.add(f"`{name}` = {{{name}:UInt64}}", **{name: cast("int", filters[name])})
    for number, rule in enumerate(_list(filters, "rule")):
        where.add(f"(has(rules, {{rule{number}:String}}) OR rule = {{rule{number}:String}})", **{f"rule{number}": rule})
    for number, person in enumerate(_list(filters, "person")):
        where.add(f"has(persons, {{person{number}:String}})", **{f"person{number}": person})
    sets = _column_sets(filters, where)
    if sets:
        where.add(f"columns IN ({sets})")
    shapes = []
    for number, table in enumerate(_list(filters, "table")):
        where.parameters[f"table{number}"] = table
        named = f"t = {{table{number}:String}} OR endsWith(t, concat('.', {{table{number}:String}}))"
        shapes.append(f"arrayExists(t -> {named}, tables)")
    if filters.get("text"):
        where.parameters["text"] = str(filters["text"])
        shapes.append("positionCaseInsensitiveUTF8(sql, {text:String}) > 0")
    if shapes:
        where.add(f"shape IN (SELECT id FROM shapes WHERE {' AND '.join(shapes)})")
    return where


def results(filters: Filters, where: Where) -> bool:
    """Add what is asked of outcomes; true when anything is."""
    asked = False
    for name in sorted(questions.RESULT_TEXT_FILTERS & filters.keys()):
        where.add(f"`{name}` = {{{name}:String}}", **{name: str(filters[name])})
        asked = True
    for name in sorted(questions.RESULT_NUMBER_FILTERS & filters.keys()):
        where.add(f"`{name}` = {{{name}:UInt64}}", **{name: cast("int", filters[name])})
        asked = True
    return asked


class Asker:
    """Puts named questions to an engine."""

    def __init__(self, engine: Engine, source: str = SOURCE) -> None:
        self._engine = engine
        self._source = source

    def ask(self, question: Question, filters: Filters) -> tuple[list[Row], bool]:
        """The rows, and whether there are more."""
        limit = questions.limit_of(filters)
        rows = (
            self._listed(question, filters, limit + 1)
            if question.listing
            else self._counted(question, filters, limit + 1)
        )
        if question.listing:
            return rows[-limit:], len(rows) > limit
        return rows[:limit], len(rows) > limit

    # -- entries one by one -------------------------------------------------------------------------------------------------------

    def _listed(self, question: Question, filters: Filters, limit: int) -> list[Row]:
        """The newest entries, oldest first, with outcomes, texts, tables and columns."""
        keys = self._keys(question, filters, limit)
        found: list[Row] = []
        pieces = [(log, indices[i : i + PIECE]) for log, indices in keys.items() for i in range(0, len(indices), PIECE)]
        for log, indices in pieces:
            # An outcome is never before its intent; the range lets the engine skip what cannot hold it.
            rows = self._engine.rows(
                f"SELECT *, {_TIME.format('`time`')} AS at FROM {self._source} WHERE log = {{log:String}} AND intent IN {{wanted:Array(UInt64)}}"
                " AND intent BETWEEN {lowest:UInt64} AND {highest:UInt64}",
                {"log": log, "wanted": indices, "lowest": min(indices), "highest": max(indices)},
            )
            found += self._joined(question, rows, frozenset(indices))
        return sorted(found, key=lambda row: (str(row["time"]), str(row["log"]), cast("int", row["index"])))

    def _keys(self, question: Question, filters: Filters, limit: int) -> dict[str, list[int]]:
        either = question.name == "principal"
        where = conditions(filters, skip=frozenset({"principal"}) if either else frozenset())
        if either:
            who = "(principal = {who:String} OR on_behalf_of = {who:String} OR approver = {who:String})"
            where.add(who, who=str(filters["principal"]))
        kinds = question.listing if question.name != "statements" or "kind" not in filters else ()
        if results(filters, where):
            kinds = ("outcome", "deny")
        if kinds:
            where.add("kind IN {kinds:Array(String)}", kinds=list(kinds))
        if question.name == "approvals":
            where.add("startsWith(event, 'request-')")
        if question.name == "policies":
            where.add("(kind = 'policy' OR event = 'reloaded')")
        keys: dict[str, list[int]] = {}
        for row in self._engine.rows(
            f"SELECT log, intent FROM {self._source}{where.text} ORDER BY `time` DESC, log DESC, `index` DESC LIMIT {limit:d}",
            where.parameters,
        ):
            keys.setdefault(str(row["log"]), []).append(cast("int", row["intent"]))
        return keys

    def _joined(self, question: Question, rows: list[Row], wanted: frozenset[int]) -> list[Row]:
        texts = self._texts(
            "SELECT id, sql, tables FROM shapes WHERE id IN {ids:Array(UInt64)}", {row["shape"] for row in rows}
        )
        sets = self._texts(
            "SELECT id, names, labels, dispositions FROM used_columns WHERE id IN {ids:Array(UInt64)}", {row["columns"] for row in rows}
        )  # fmt: skip
        outcomes = {row["intent"]: row for row in rows if row["kind"] == "outcome"}
        found = []
        for row in rows:
            if row["kind"] == "outcome" and row["index"] not in wanted:
                continue
            outcome = (
                outcomes.get(row["intent"]) if row["kind"] == "intent" else row if row["kind"] == "outcome" else None
            )
            text, used = texts.get(row["shape"], {}), sets.get((outcome or row)["columns"], {})
            listed = zip(
                *(cast("list[str]", used.get(name, [])) for name in ("names", "labels", "dispositions")), strict=True
            )
            whole: Row = {**row, "time": row["at"], "shape": text.get("sql"), "tables": text.get("tables"),
                          "columns": [{"name": n, "label": label, "disposition": d} for n, label, d in listed]}  # fmt: skip
            for name in ("rows", "affected", "bytes", "duration_us"):
                whole[name] = None if outcome is None else outcome[name]
            for name in ("status", "sqlstate"):
                whole[name] = row[name] if outcome is None else outcome[name]
            found.append(tidied(question, whole))
        return found

    def _texts(self, sql: str, ids: set[object]) -> dict[object, Row]:
        wanted = sorted(cast("set[int]", ids - {0}))
        return {row["id"]: row for row in self._engine.rows(sql, {"ids": wanted})} if wanted else {}

    # -- counts -------------------------------------------------------------------------------------------------------------------

    def _counted(self, question: Question, filters: Filters, limit: int) -> list[Row]:
        where = conditions(filters)
        results(filters, where)
        if question.name == "readers":
            sql = self._readers(filters, where)
        else:
            sql = _COUNTED[question.name](filters, where, self._source)
        return (
            [tidied(question, row) for row in self._engine.rows(f"{sql} LIMIT {limit:d}", where.parameters)]
            if sql
            else []
        )

    def _readers(self, filters: Filters, where: Where) -> str:
        """For each disposition that occurs with what was asked for, the sets of columns that have it; empty text when none does."""
        fits, wanted = matching_columns(filters, where), _list(filters, "column")
        named = " OR ".join(
            f"n = {{column{i}:String}} OR endsWith(n, concat('.', {{column{i}:String}}))" for i in range(len(wanted))
        )
        fitting = " AND ".join(part for part in (f"({named})" if named else "", fits) if part)
        kinds = [
            str(row["kind"])
            for row in self._engine.rows(
                f"SELECT DISTINCT arrayJoin(arrayFilter((d, n, l) -> {fitting}, dispositions, names, labels)) AS kind FROM used_columns ORDER BY kind",
                where.parameters,
            )
        ]
        each = []
        for number, kind in enumerate(kinds):
            where.parameters[f"kind{number}"] = kind
            sets = f"SELECT id FROM used_columns WHERE arrayExists((n, l, d) -> {fitting} AND d = {{kind{number}:String}}, names, labels, dispositions)"
            each.append(f"toUInt64(columns IN ({sets})) * {1 << number}")
        # Which dispositions a statement has is one number until everything is counted: lists for millions of rows would take longer.
        which = f"[{', '.join(f'({1 << number}, {{kind{number}:String}})' for number in range(len(kinds)))}]"
        where.add("kind IN ('intent', 'outcome')")
        return (
            f"SELECT p.principal AS principal, p.on_behalf_of AS on_behalf_of, p.disposition AS disposition, {_SUMS}, {_SPAN} FROM ("
            f"SELECT *, arrayJoin(arrayFilter(x -> modulo(intDiv(held, x.1), 2) = 1, {which})).2 AS disposition FROM ("
            f"SELECT principal, on_behalf_of, log, {' + '.join(each)} AS held, {_STATEMENTS}, {_PARTS} "
            f"FROM {self._source}{where.text} GROUP BY principal, on_behalf_of, log, held)) AS p "
            "GROUP BY principal, on_behalf_of, disposition ORDER BY statements DESC, principal, on_behalf_of, disposition"
            if each
            else ""
        )


def tidied(question: Question, row: Mapping[str, object]) -> Row:
    """Only the fields of the question, in their order; a text that is not there is None."""
    found: Row = {}
    for name in question.columns:
        value = row.get(name)
        found[name] = None if value == "" else value
    if isinstance(row.get("reference"), list):
        found["log"], found["index"] = cast("list[object]", row["reference"])
    return found


_PARTS = "min(`time`) AS first, max(`time`) AS last, max(intent) AS at"
"""Of each group and log: its span, and its newest statement."""
_SPAN = f"{_TIME.format('min(p.first)')} AS first, {_TIME.format('max(p.last)')} AS last, argMax((p.log, p.at), (p.last, p.log)) AS reference"
_STATEMENTS = "countIf(kind != 'outcome') AS statements, sumIf(rows, kind = 'outcome') AS rows"
_SUMS = "sum(p.statements) AS statements, sum(p.rows) AS rows"


def _volume(filters: Filters, where: Where, source: str) -> str:
    """Counted by treatment, of which there are few; a treatment becomes pairs of label and disposition after that."""
    where.add("kind = 'outcome'")
    where.add("treatment != 0")
    fits = matching_columns(filters, where)
    pairs = (
        f"arrayFilter((p, l, d) -> {fits}, arrayZip(labels, dispositions), labels, dispositions)"
        if fits
        else "arrayZip(labels, dispositions)"
    )
    return (
        f"SELECT p.principal AS principal, p.pair.1 AS label, p.pair.2 AS disposition, {_SUMS}, sum(p.bytes) AS bytes, {_SPAN} FROM ("
        "SELECT e.*, arrayJoin(c.pairs) AS pair FROM ("
        f"SELECT principal, log, treatment, count() AS statements, sum(rows) AS rows, sum(bytes) AS bytes, {_PARTS} "
        f"FROM {source}{where.text} GROUP BY principal, log, treatment) AS e "
        f"INNER JOIN (SELECT treatment, any(arrayDistinct({pairs})) AS pairs FROM used_columns GROUP BY treatment) AS c ON e.treatment = c.treatment) AS p "
        "GROUP BY principal, label, disposition ORDER BY rows DESC, principal, label, disposition"
    )


def _text(_: Filters, where: Where, source: str) -> str:
    where.add("kind IN ('intent', 'deny', 'outcome')")
    return (
        f"SELECT s.statement AS statement, s.sql AS shape, s.tables AS tables, {_SUMS}, uniqExactMerge(p.who) AS principals, {_SPAN} FROM ("
        f"SELECT shape, log, {_STATEMENTS}, uniqExactState(principal) AS who, {_PARTS} FROM {source}{where.text} GROUP BY shape, log) AS p "
        "INNER JOIN (SELECT DISTINCT id, statement, sql, tables FROM shapes) AS s ON p.shape = s.id "
        "GROUP BY statement, shape, tables ORDER BY statements DESC, shape, tables"
    )


def _tables(_: Filters, where: Where, source: str) -> str:
    where.add("kind IN ('intent', 'outcome')")
    return (
        f"SELECT s.table AS table, {_SUMS}, {_SPAN} FROM ("
        f"SELECT shape, log, {_STATEMENTS}, {_PARTS} FROM {source}{where.text} GROUP BY shape, log) AS p "
        "INNER JOIN (SELECT DISTINCT id, arrayJoin(tables) AS table FROM shapes) AS s ON p.shape = s.id "
        "GROUP BY table ORDER BY statements DESC, table"
    )


def _denials(_: Filters, where: Where, source: str) -> str:
    where.add("kind = 'deny'")
    return (
        f"SELECT p.rule AS rule, p.decision AS decision, p.sqlstate AS sqlstate, sum(p.denials) AS denials, uniqExactMerge(p.who) AS principals, {_SPAN} "
        f"FROM (SELECT rule, decision, sqlstate, log, count() AS denials, uniqExactState(principal) AS who, {_PARTS} FROM {source}{where.text} "
        "GROUP BY rule, decision, sqlstate, log) AS p GROUP BY rule, decision, sqlstate ORDER BY denials DESC, rule, decision, sqlstate"
    )


_COUNTED = {"volume": _volume, "text": _text, "tables": _tables, "denials": _denials}
