"""The one place where a statement is judged: what policy says, what must be refused, what happens to its answer.

For: simple queries, the extended protocol, COPY and cursors alike; there is no other way to a verdict.
Not for: waiting or forwarding (`conversation.py`), and not for reading SQL (`sql`).
Invariant: whatever is not understood ends in a refusal with a named reason.
Source: architecture section 3, steps 4 and 5; masking.md 2.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from lockgate.errors import RefusedStatementError
from lockgate.masking.copy_formats import copy_shape
from lockgate.masking.order_rules import KEPT_ORDER
from lockgate.masking.plan import make_plan
from lockgate.masking.stand_in_plan import plan_without, stand_in_plan
from lockgate.model.catalog import Catalog, OwnTable
from lockgate.model.decision import Clearance, Decision, Effect, Request
from lockgate.model.identity import Identity
from lockgate.model.plan import PASS, Order, Plan, Sought
from lockgate.model.statement import Access, Action, Analysis, Kind, Parsed
from lockgate.policy.engine import Engine
from lockgate.session.runs import Prepared
from lockgate.sql.functions import FIRST_USER_OID

WRITES = frozenset({Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.MERGE, Kind.COPY_IN, Kind.TRUNCATE})

SETTINGS_FOR_MASKED = frozenset({
    "application_name", "datestyle", "intervalstyle", "timezone", "time zone", "extra_float_digits", "bytea_output",
    "client_min_messages", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout",
    "idle_session_timeout", "jit", "search_path", "client_encoding", "names", "standard_conforming_strings", "work_mem",
    "default_transaction_isolation", "default_transaction_read_only", "default_transaction_deferrable", "transaction_isolation",
    "transaction_read_only", "transaction_deferrable", "transaction", "session characteristics", "xmloption", "geqo", "xmlbinary",
    "tcp_keepalives_idle", "tcp_keepalives_interval", "constraints", "lc_monetary", "lc_numeric", "lc_time", "lc_messages",
    "synchronize_seqscans", "quote_all_identifiers", "row_security", "default_tablespace", "default_table_access_method", "check_function_bodies",
})  # fmt: skip
"""Settings a masked principal may change: none of them shows data or steers the planner to an order of masked values."""

PINNED = {
    "client_encoding": ("utf8", "utf-8", "unicode"),
    "names": ("utf8", "utf-8", "unicode"),
    "standard_conforming_strings": ("on", "true", "yes", "1", "t", "y"),
}
"""Settings on which reading a statement depends: only these values, but for who may do and see everything."""

ENCODING = frozenset({"client_encoding", "names"})
SAFE_ENCODINGS = frozenset({
    "sqlascii", "euccn", "eucjp", "eucjis2004", "euckr", "euctw", "muleinternal", "koi8", "koi8r", "koi8u", "win", "alt",
    *(f"latin{n}" for n in range(1, 11)), *(f"iso8859{n}" for n in (*range(1, 11), *range(13, 17))),
    *(f"{word}{n}" for word in ("win", "windows") for n in (866, 874, *range(1250, 1259))),
})  # fmt: skip
"""Encodings in which a byte below 128 is that letter and nothing else, so that quotes and semicolons are seen."""

REFUSED_FOR_MASKED: Mapping[Kind, str] = {
    Kind.LISTEN: "LISTEN and NOTIFY carry payloads past the mask",
    Kind.DO: "DO runs code that cannot be analysed",
    Kind.CALL: "CALL runs code that cannot be analysed",
    Kind.CREATE_FUNCTION: "a function, trigger or rule could read masked columns unseen",
    Kind.COPY_FILE: "COPY with files or programs leaves the gate",
    **dict.fromkeys(
        (Kind.REPLICATION, Kind.REPLICATION_SLOT, Kind.REPLICATION_STREAM, Kind.BASE_BACKUP),
        "replication reads past every mask",
    ),
    Kind.OTHER: "this kind of statement is not known to the gate",
}

DDL_FOR_MASKED = ("create table", "create unlogged", "create index", "create unique", "create sequence", "create schema",
                  "create type", "create domain", "alter table", "alter sequence", "alter index")  # fmt: skip
CALLS_IN_DEFINITIONS = frozenset({
    "now", "nextval", "gen_random_uuid", "uuidv4", "uuidv7", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "random",
    "lower", "upper", "length", "char_length", "btrim", "coalesce", "date_trunc", "abs", "round",
    "=", "<>", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "||", "~", "~*", "!~", "!~*", "~~", "~~*", "!~~", "!~~*",
})  # fmt: skip
"""Functions and operators that a masked principal's definitions may call."""
_TEMPORARY_TABLE = re.compile(
    r"(create|drop|alter)\s+((local|global)\s+)?((temp|temporary)\s+)?(table|index|unique)\b", re.IGNORECASE
)
DDL = frozenset({Kind.CREATE, Kind.ALTER, Kind.CREATE_TABLE_AS, Kind.COMMENT, Kind.MAINTENANCE, Kind.GRANT, Kind.ROLE})


@dataclass(frozen=True, slots=True)
class Ask:
    """Everything a verdict depends on.

    Args:
        statement: facts the session adds: `in_transaction`, `estimated_rows`.
        decided_by: the snapshot by which policies decide, where the session itself sees more than that.
    """

    identity: Identity
    database: str
    clearance: Clearance
    catalog: Catalog
    engine: Engine
    now: datetime
    client_address: str
    unsafe_order: frozenset[int]
    in_transaction: bool = False
    estimated_rows: int | None = None
    bounded_rows: int = 1000
    row_limited: bool = False
    unpinned: bool = False
    decided_by: Catalog | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one statement: permit with a plan, hold, deny or refuse.

    `sqlstate` is empty when the statement may run (or may run once approved); `instead` is the text that runs in its place, where
    masked columns are replaced by stand-ins. `named` is the prepared statement that a PREPARE makes or an EXECUTE runs,
    `makes` the temporary table that a statement makes.
    """

    parsed: Parsed
    analysis: Analysis
    decision: Decision
    plan: Plan = PASS
    sqlstate: str = ""
    rule: str = ""
    sentence: str = ""
    hint: str = ""
    instead: str = ""
    context: Mapping[str, object] = field(default_factory=dict)
    named: Prepared | None = None
    makes: OwnTable | None = None

    @property
    def effect(self) -> str:
        """`permit`, `hold`, `deny` or `refuse`, as recorded."""
        if not self.sqlstate:
            return self.decision.effect.value
        return "deny" if self.sqlstate == "42501" else "refuse"


def judge(parsed: Parsed, analysis: Analysis, ask: Ask, *, plan: Plan | None = None) -> Verdict:
    """Judge one analysed statement.

    Args:
        plan: the plan of a cursor or prepared statement that this statement reads from, made when that was judged.
    """
    context = _context(parsed, analysis, ask)
    request = Request(ask.identity, ask.database, _accesses(analysis), context)
    decision = ask.engine.decide(request, ask.decided_by or ask.catalog, now=ask.now)
    if decision.effect is Effect.HOLD:
        facts = context["statement"]
        return replace(
            _judged(parsed, analysis, ask, decision, plan), context=facts if isinstance(facts, Mapping) else {}
        )
    return _judged(parsed, analysis, ask, decision, plan)


PAST_POSITION = frozenset({
    "transform", "control", "mixed-output", "mixed-columns", "mixed-classes", "not-comparable", "compared-with-constant", "row-choice",
    "row-order", "row-error", "copy-labelled", KEPT_ORDER,
})  # fmt: skip
"""Refusals that say only that masking the answer is not enough: the statement may still run over stand-ins."""


def over_stand_ins(verdict: Verdict, ask: Ask) -> tuple[Plan, tuple[Sought, ...]] | None:
    """The plan of a refused statement that may run over stand-ins, and the values it looks for; None when its refusal stands."""
    plainly = verdict.rule == "explain" and not verdict.parsed.executes
    fills = verdict.parsed.kind is Kind.INSERT and verdict.rule in ("write-source", "write-predicate")
    if (verdict.rule not in PAST_POSITION and not plainly and not fills) or verdict.decision.effect is Effect.DENY:
        return None
    try:
        if plainly:
            hidden = ask.clearance.masked
            made = plan_without(verdict.analysis, catalog=ask.catalog, masked=hidden, unsafe_order=ask.unsafe_order)
            return made, ()
        return stand_in_plan(
            verdict.analysis, kind=verdict.parsed.kind, catalog=ask.catalog, masked=ask.clearance.masked
        )
    except RefusedStatementError:
        return None


def _judged(parsed: Parsed, analysis: Analysis, ask: Ask, decision: Decision, plan: Plan | None) -> Verdict:
    if decision.effect is Effect.DENY:
        reason = decision.reasons[0]
        return Verdict(parsed, analysis, decision, sqlstate="42501", rule=reason.rule, sentence=reason.sentence,
                       hint="Ask whoever keeps the policies, or request access with the rule named above.")  # fmt: skip
    if decision.row_limit is not None and not _can_be_limited(parsed, analysis):
        return Verdict(parsed, analysis, decision, sqlstate="42501", rule="row-limit",
                       sentence="you may see a limited number of rows here, and those of this statement cannot be counted as they are shown",
                       hint="Select the rows plainly.")  # fmt: skip
    try:
        _refuse_settings(parsed, ask)
        if not ask.clearance.complete:
            _refuse_for_masked(parsed, analysis, ask)
        made = plan if plan is not None else make_plan(
            analysis, catalog=ask.catalog, clearance=ask.clearance, row_limited=ask.row_limited,
            explain=parsed.kind is Kind.EXPLAIN, cursor=parsed.kind is Kind.DECLARE, unsafe_order=ask.unsafe_order,
            by_pseudonym=decision.by_pseudonym and parsed.kind in (Kind.UPDATE, Kind.DELETE),
        )  # fmt: skip
        made = without_result(parsed, made)
    except RefusedStatementError as refused:
        return Verdict(parsed, analysis, decision, sqlstate=refused.sqlstate, rule=refused.reason, sentence=refused.sentence,
                       hint=refused.hint)  # fmt: skip
    return Verdict(parsed, analysis, decision, plan=made)


def _can_be_limited(parsed: Parsed, analysis: Analysis) -> bool:
    """Whether a row limit holds for what the statement shows: it counts rows as they pass, and takes back none that were written."""
    if parsed.kind in (Kind.SELECT, Kind.COPY_OUT, Kind.EXPLAIN):
        return analysis.effect_free
    moves = parsed.kind not in (Kind.UPDATE, Kind.DELETE) and bool(analysis.reads)
    return parsed.kind in WRITES and not moves and not analysis.row_description


def without_result(parsed: Parsed, plan: Plan) -> Plan:
    """EXPLAIN, DECLARE and PREPARE analyse an inner statement whose columns are not their own result; COPY's are its data."""
    if parsed.kind is Kind.COPY_OUT and (plan.masks or plan.order is not Order.KEEP):
        copy_shape(dict(parsed.options), [column.name for column in plan.columns])
        return plan
    if parsed.kind in (Kind.EXPLAIN, Kind.DECLARE, Kind.PREPARE, Kind.CREATE_TABLE_AS, Kind.COPY_OUT, Kind.COPY_IN):
        return Plan(touches_labelled=plan.touches_labelled, lookups=plan.lookups, errors_alike=plan.errors_alike)
    return plan


def _accesses(analysis: Analysis) -> tuple[Access, ...]:
    return analysis.accesses or (Access(Action.CONNECT, 0, ""),)


def _context(parsed: Parsed, analysis: Analysis, ask: Ask) -> dict[str, object]:
    identity = ask.identity
    bounded = is_bounded(analysis, ask.estimated_rows, ask.bounded_rows)
    statement: dict[str, object] = {
        "kind": parsed.kind.value,
        "has_where": parsed.has_where,
        "bounded": bounded,
        "destructive": (parsed.destructive or not bounded) and not analysis.own,
        "opaque": sorted({o.what for o in analysis.opaque}),
        "functions": sorted(set(analysis.functions)),
        "in_transaction": ask.in_transaction,
        "executes": parsed.executes,
    }
    if ask.estimated_rows is not None:
        statement["estimated_rows"] = ask.estimated_rows
    context: dict[str, object] = {
        "binding": identity.binding.value,
        "client_address": ask.client_address,
        "hour": ask.now.hour,
        "weekday": ask.now.isoweekday(),
        "statement": statement,
    }
    if identity.purpose:
        context["purpose"] = identity.purpose
    if identity.run:
        context["run"] = identity.run
    return context


def is_bounded(analysis: Analysis, estimated_rows: int | None, bounded_rows: int) -> bool:
    """Whether every write touches few rows: a unique key is given, or a real predicate and a small estimate (architecture 5)."""
    return all(
        w.bounded or (w.selective and estimated_rows is not None and estimated_rows <= bounded_rows)
        for w in analysis.writes
    )


def _is_safe(encoding: str) -> bool:
    return encoding.strip("'\"").lower().replace("-", "").replace("_", "") in SAFE_ENCODINGS


def is_unpinned(parsed: Parsed) -> bool:
    """Whether a statement gives a pinned setting another value."""
    allowed = PINNED.get(parsed.name) if parsed.kind is Kind.SET else None
    return bool(allowed and parsed.value) and parsed.value.strip("'\"").lower() not in (allowed or ())


def _refuse_settings(parsed: Parsed, ask: Ask) -> None:
    if is_unpinned(parsed) and not (ask.unpinned and (parsed.name not in ENCODING or _is_safe(parsed.value))):
        raise RefusedStatementError(
            "pinned-setting", f"`{parsed.name}` is pinned to `{PINNED[parsed.name][0]}`, because statements are read under it",
            hint=f"Leave `{parsed.name}` as it is.",
        )  # fmt: skip


def _refuse_for_masked(parsed: Parsed, analysis: Analysis, ask: Ask) -> None:
    if any(oid >= FIRST_USER_OID and oid not in ask.catalog.relations for oid in analysis.relations):
        raise RefusedStatementError(
            "unknown-relation", "the statement is about a relation that is not known any more, so it is not known what of it is masked",
            hint="Run it again.",
        )  # fmt: skip
    if parsed.kind in REFUSED_FOR_MASKED:
        raise RefusedStatementError(
            f"kind-{parsed.kind.value}", f"{REFUSED_FOR_MASKED[parsed.kind]}, so it is refused for principals who see masked data",
            hint="Someone with `unmask` on every label of this database may run it.",
        )  # fmt: skip
    if (
        parsed.temporary
        and parsed.kind in DDL | {Kind.DROP}
        and not (analysis.own and _TEMPORARY_TABLE.match(parsed.shape))
    ):
        raise RefusedStatementError(
            "temporary-object", "temporary objects other than tables, and such that are made of others, are refused for principals who see "
            "masked data", hint="Make a temporary table, by its columns or from a query.",
        )  # fmt: skip
    if parsed.kind is Kind.SET and parsed.name not in SETTINGS_FOR_MASKED and ("reset", "all") not in parsed.options:
        raise RefusedStatementError("setting", f"setting `{parsed.name}` is not on the list that masked principals may change",
                                    hint="See docs/reference/policy.md for the list.")  # fmt: skip
    if parsed.kind is Kind.TRANSACTION and "prepare" in parsed.value:
        raise RefusedStatementError(
            "two-phase", "two-phase commit outlives the session and is refused for principals who see masked data"
        )
    if parsed.kind in DDL:
        _refuse_ddl(parsed, analysis, ask)
    if parsed.kind in DDL:
        _refuse_code(parsed)
    if parsed.kind in (Kind.COPY_OUT, Kind.COPY_IN, Kind.CREATE_TABLE_AS):
        _refuse_copies(parsed, analysis, ask)


def _refuse_ddl(parsed: Parsed, analysis: Analysis, ask: Ask) -> None:
    makes = parsed.temporary and _TEMPORARY_TABLE.match(parsed.shape)
    if parsed.kind is not Kind.CREATE_TABLE_AS and not makes and not parsed.shape.lower().startswith(DDL_FOR_MASKED):
        raise RefusedStatementError(
            "definition", "this definition could move masked data to where its label does not follow; it is refused for principals who see "
            "masked data", hint="Someone with `unmask` on every label of this database may run it.",
        )  # fmt: skip
    masked = {ref.relation for ref in ask.clearance.masked}
    names = {ask.catalog.relations[oid].name for oid in masked if oid in ask.catalog.relations}
    if any(oid in masked for oid in analysis.relations) or any(name in names for _, name in parsed.tables):
        raise RefusedStatementError(
            "definition-on-labelled", "defining something over a table with masked columns could show or relabel their values",
            hint="Someone with `unmask` on the table's labels may run it.",
        )  # fmt: skip


def _refuse_code(parsed: Parsed) -> None:
    """Defaults, checks, domains and USING run later and unseen: only calls that show and do nothing may stand in them."""
    odd = next((name for name in parsed.calls if name.lower() not in CALLS_IN_DEFINITIONS), None)
    if odd is not None:
        raise RefusedStatementError(
            "code-in-definition", f"`{odd[:63]}` in a definition would run later without being judged; it is refused for principals who see "
            "masked data", hint="Someone with `unmask` on every label of this database may run it.",
        )  # fmt: skip


def _refuse_copies(parsed: Parsed, analysis: Analysis, ask: Ask) -> None:
    if parsed.kind is Kind.COPY_OUT and analysis.writes:
        raise RefusedStatementError(
            "copy-of-a-write", "COPY of a statement that changes data is refused for principals who see masked data",
            hint="Send the statement by itself; RETURNING shows its rows.",
        )  # fmt: skip
    if parsed.kind is Kind.COPY_OUT:
        return
    touched = sorted(ask.catalog.column_name(ref) for ref in analysis.reads & ask.clearance.masked)
    if touched:
        raise RefusedStatementError(
            "copy-labelled", f"this would copy `{touched[0]}`, which is masked for you, to where its label does not follow",
            hint="Leave the masked columns out.",
        )  # fmt: skip
    if analysis.opaque:
        raise RefusedStatementError(
            "opaque", f"`{analysis.opaque[0].what}` cannot be seen into: {analysis.opaque[0].why}"
        )
