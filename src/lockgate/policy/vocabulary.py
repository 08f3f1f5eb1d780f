"""The words policies may use: the Cedar schema and the context of a request.

For: one place that names every entity type, action and context key; `docs/reference/policy.md` lists the same, and a test compares.
Not for: evaluation. Every context key but the optional ones is always present, so that policies need no `has` for them.
Source: architecture section 5; Cedar documentation, "Schema".
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from lockgate.errors import InvariantError

SCHEMA = """
entity Group;
entity Person, Service, Agent in [Group] = { owner?: Person, on_behalf_of?: Person };
entity Environment;
entity Database in [Environment] = { labels: Set<String> };
entity Schema in [Database] = { labels: Set<String> };
entity Table in [Schema] = { labels: Set<String> };
entity Column in [Table] = { labels: Set<String> };
type Statement = {
  kind: String, has_where: Bool, bounded: Bool, destructive: Bool, estimated_rows?: Long,
  opaque: Set<String>, functions: Set<String>, tables: Set<String>, in_transaction: Bool, copy: Bool,
  executes: Bool
};
type Facts = {
  purpose?: String, run?: String, binding: String, client_address: ipaddr, hour: Long, weekday: Long, statement: Statement
};
action connect, replicate appliesTo { principal: [Person, Service, Agent], resource: [Database], context: Facts };
action read, write, define, administer, execute, export, approve
  appliesTo { principal: [Person, Service, Agent], resource: [Table, Schema, Database], context: Facts };
action unmask appliesTo { principal: [Person, Service, Agent], resource: [Column], context: Facts };
"""
"""The Cedar schema. A policy that asks what no request can carry (`read` on a `Column`) is an error when it is loaded."""

CONTEXT_KEYS: tuple[str, ...] = ("purpose", "run", "binding", "client_address", "hour", "weekday", "statement")
STATEMENT_KEYS: tuple[str, ...] = (
    "kind", "has_where", "bounded", "destructive", "estimated_rows", "opaque", "functions", "tables", "in_transaction",
    "copy", "executes",
)  # fmt: skip

_NO_ADDRESS = "::"
_NO_STATEMENT: Mapping[str, object] = {
    "kind": "none", "has_where": False, "bounded": False, "destructive": False, "opaque": [], "functions": [],
    "tables": [], "in_transaction": False, "copy": False,
    "executes": True,
}  # fmt: skip


def context_text(
    facts: Mapping[str, object], *, reads: frozenset[str] | None, now: datetime, tables: Sequence[str] = ()
) -> str:
    """The context of one request as canonical JSON, which is also the exact cache key of everything a policy can read.

    Keys that no policy reads get a fixed value, so that they neither cost a conversion nor split the cache.

    Args:
        facts: what the caller knows; keys as in `CONTEXT_KEYS`; `statement` may be partial.
        reads: context keys the policies read, None when they may read all.
        now: an aware time; policies see it in UTC.
        tables: names of the tables accessed, for `statement.tables`.

    Raises:
        InvariantError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise InvariantError("the time of a decision has no time zone")
    utc = now.astimezone(UTC)
    known: dict[str, object] = {"binding": "claimed", "client_address": _NO_ADDRESS, **facts}
    known |= {"hour": utc.hour, "weekday": utc.isoweekday()}
    known["statement"] = _statement(facts.get("statement"), tables)
    for key, neutral in _NEUTRAL.items():
        if reads is not None and key not in reads:
            known[key] = neutral
    known["client_address"] = {"__extn": {"fn": "ip", "arg": _address(known["client_address"])}}
    return json.dumps({k: v for k, v in known.items() if v is not None}, sort_keys=True, default=_plain)


_NEUTRAL: Mapping[str, object] = {
    "purpose": None, "run": None, "binding": "claimed", "client_address": _NO_ADDRESS, "hour": 0, "weekday": 1,
    "statement": _NO_STATEMENT,
}  # fmt: skip


def _statement(given: object, tables: Sequence[str]) -> dict[str, object]:
    """The statement's facts with neutral values for what the caller does not know; `tables` and `copy` follow from the rest."""
    if not isinstance(given, Mapping):
        return dict(_NO_STATEMENT)
    derived = {"tables": sorted(set(tables)), "copy": str(given.get("kind", "")).startswith("copy")}
    facts = {**_NO_STATEMENT, **derived, **{str(k): v for k, v in given.items() if v is not None}}
    rows = facts.get("estimated_rows")
    if isinstance(rows, float):
        facts["estimated_rows"] = round(min(max(rows, 0.0), 2.0**62))
    return facts


def _address(given: object) -> str:
    """The address without IPv6 zone; what is no address (a Unix socket) reads as `::`, inside no network but `::/n`."""
    try:
        return str(ipaddress.ip_address(str(given).partition("%")[0]))
    except ValueError:
        return _NO_ADDRESS


def _plain(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise InvariantError(f"a context value of type `{type(value).__name__}` cannot be put to policy")
