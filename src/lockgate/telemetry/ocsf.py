"""Entries become OCSF events.

For: SIEMs and lakes that speak the Open Cybersecurity Schema Framework; a pure function of entries, with a version.
Not for: sending, nor anything that is not in an entry; statements come without literals, as they are in the log.
Source: OCSF 1.8.0 (also valid under 1.9.0-dev); docs/reference/exports.md.

| entry | class | activity |
| --- | --- | --- |
| `outcome` with its `intent`, `deny` | Datastore Activity 6005 | by the kind of the statement |
| `session` | Authentication 3002 | Logon, Logoff |
| `admin` `request-approved` | User Access Management 3005 | Assign Privileges |
| other `admin`, `policy`, `run` | API Activity 6003 | Create, Update |
| `boot`, `close`, `erasure` | Event Log Activity 1008 | Start, Stop, Delete |
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lockgate import __version__

MAPPING_VERSION = "1"
"""Changes when an entry becomes another event than before."""
SCHEMA_VERSION = "1.8.0"

Entry = Mapping[str, object]
Event = dict[str, object]

READ, UPDATE, QUERY, WRITE, CREATE, DELETE, OTHER = 1, 2, 4, 5, 6, 7, 99
_ACTIVITIES = {
    "select": QUERY, "values": QUERY, "table": QUERY, "show": READ, "explain": READ, "fetch": READ, "copy": QUERY,
    "insert": WRITE, "merge": WRITE, "update": UPDATE, "delete": DELETE, "truncate": DELETE, "drop": DELETE, "create": CREATE, "alter": UPDATE,
}  # fmt: skip
_ACTIVITY_NAMES = {READ: "Read", UPDATE: "Update", QUERY: "Query", WRITE: "Write", CREATE: "Create", DELETE: "Delete"}
_USER_TYPES = {"Person": (1, "User"), "Service": (4, "Service")}
INFORMATIONAL, LOW, MEDIUM, HIGH = 1, 2, 3, 4
_SEVERITIES = {INFORMATIONAL: "Informational", LOW: "Low", MEDIUM: "Medium", HIGH: "High"}
_CLASSES = {
    6005: (6, "Application Activity", "Datastore Activity"), 6003: (6, "Application Activity", "API Activity"),
    3002: (3, "Identity & Access Management", "Authentication"), 3005: (3, "Identity & Access Management", "User Access Management"),
    1008: (1, "System Activity", "Event Log Activity"),
}  # fmt: skip


def event(log: str, index: int, entry: Entry, intent: Entry | None = None) -> Event | None:
    """The event of one entry; None for a kind that says nothing to others, such as a heartbeat.

    Args:
        log: origin of its log.
        index: its place in it; both are the event's identity, so that a receiver can remove repeats and ask for the proof.
        intent: for an `outcome`, the entry it names.
    """
    kind = entry.get("kind")
    if kind == "outcome" and intent is not None:
        made = _statement(f"{log}#{entry.get('intent')}", entry, intent)
    elif kind == "deny":
        made = _statement(f"{log}#{index}", entry, entry)
    elif kind == "session":
        made = _session(entry)
    elif kind == "admin" and entry.get("event") == "request-approved":
        made = _grant(entry)
    elif kind in ("admin", "policy", "run"):
        made = _operation(entry)
    elif kind in ("boot", "close", "erasure"):
        made = _log_activity(log, entry)
    else:
        return None
    base = _base(log, index, entry)
    if made.get("action_id") is not None:
        base["metadata"] = {**base["metadata"], "profiles": ["security_control"]}
    return {**base, **_clean(made)}


def _base(log: str, index: int, entry: Entry) -> dict[str, Any]:
    return {
        "time": round(datetime.fromisoformat(str(entry["time"])).timestamp() * 1000),
        "metadata": {
            "version": SCHEMA_VERSION, "uid": f"{log}#{index}", "log_name": log, "sequence": index, "log_provider": "Lockgate",
            "log_version": MAPPING_VERSION, "event_code": str(entry["kind"]), "original_time": str(entry["time"]),
            "product": {"name": "Lockgate", "vendor_name": "Lockgate", "version": __version__},
        },
    }  # fmt: skip


def _class(uid: int, activity: int, name: str, severity: int) -> Event:
    category, category_name, class_name = _CLASSES[uid]
    return {
        "category_uid": category, "category_name": category_name, "class_uid": uid, "class_name": class_name, "activity_id": activity,
        "activity_name": name, "type_uid": uid * 100 + activity, "type_name": f"{class_name}: {name}", "severity_id": severity,
        "severity": _SEVERITIES[severity],
    }  # fmt: skip


def _status(success: bool | None, code: object = None, detail: object = None) -> Event:
    number, name = {True: (1, "Success"), False: (2, "Failure"), None: (0, "Unknown")}[success]
    return {"status_id": number, "status": name, "status_code": code, "status_detail": detail}


def _clean(value: Mapping[str, object]) -> Event:
    """Without what is absent; an object of which nothing is left is absent too."""
    found: Event = {}
    for key, item in value.items():
        kept = (
            _clean(item)
            if isinstance(item, Mapping)
            else [_clean(i) if isinstance(i, Mapping) else i for i in item]
            if isinstance(item, list)
            else item
        )
        if kept is not None and kept not in ("", {}, []):
            found[key] = kept
    return found


def _user(entry: Entry, key: str = "principal") -> Event:
    kind = str(entry.get("principal_kind") or "") if key == "principal" else "Person"
    number, name = _USER_TYPES.get(kind, (99, kind) if kind else (0, "Unknown"))
    return {"name": entry.get(key) or "unknown", "uid": entry.get(key) or "unknown", "type_id": number, "type": name}


def _actor(entry: Entry) -> Event:
    return {"user": _user(entry), "session": {"uid": entry.get("session"), "credential_uid": entry.get("token")}}


def _endpoint(address: object) -> Event:
    """A client's address; what is no IP address, such as a Unix socket, is a name."""
    text = str(address or "")
    try:
        return {"ip": str(ipaddress.ip_address(text))}
    except ValueError:
        return {"name": text or "unknown"}


def _context(entry: Entry) -> Event:
    names = ("environment", "on_behalf_of", "binding", "run", "purpose", "model", "request", "approver", "by")
    return {name: entry.get(name) for name in names}


def _statement(uid: str, entry: Entry, intent: Entry) -> Event:
    """A statement that ran, or did not."""
    kind = str(intent.get("statement") or "")
    activity = _ACTIVITIES.get(kind.split("_", 1)[0].split(" ", 1)[0], OTHER)
    denied = entry["kind"] == "deny"
    status = None if entry.get("status") == "unknown" else not denied and entry.get("status") == "complete"
    tables = _list(intent.get("tables"))
    shape = str(intent.get("shape") or kind or "unknown")
    return {
        **_class(6005, activity, _ACTIVITY_NAMES.get(activity, kind or "Other"), MEDIUM if denied else INFORMATIONAL),
        **_status(status, entry.get("sqlstate"), entry.get("rule") or entry.get("status")),
        "message": f"{kind or 'statement'} by {intent.get('principal') or 'unknown'}: {'refused' if denied else entry.get('status')}",
        "actor": {**_actor(intent), "authorizations": [{"decision": intent.get("decision"), "policy": _policy(intent)}]},
        "src_endpoint": _endpoint(intent.get("client")),
        "database": {"name": intent.get("database") or "unknown", "type_id": 1, "type": "Relational"},
        "table": {"name": tables[0]} if tables else None,
        "query_info": {"query_string": shape, "bytes": entry.get("bytes"), "uid": uid},
        "type_id": 3 if tables else 1, "type": "Table" if tables else "Database",
        "action_id": 2 if denied else 1, "action": "Denied" if denied else "Allowed",
        "disposition_id": 2 if denied else 1, "disposition": "Blocked" if denied else "Allowed",
        "policy": _policy(intent),
        "unmapped": {**_context(intent), "tables": tables, "columns": _list(entry.get("columns")) or _list(intent.get("columns")),
                     "rules": _list(intent.get("rules")), "rows": entry.get("rows"), "affected": entry.get("affected"),
                     "duration_us": entry.get("duration_us"), "receipt": _list(entry.get("receipt"))},
    }  # fmt: skip


def _policy(entry: Entry) -> Event | None:
    revision = entry.get("policy")
    return {"uid": revision, "name": "policies", "version": str(revision)[:16]} if revision else None


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _session(entry: Entry) -> Event:
    """A sign-in, or the end of a session."""
    happened = str(entry.get("event"))
    closed, opened = happened == "closed", happened == "opened"
    return {
        **_class(3002, 2 if closed else 1, "Logoff" if closed else "Logon", INFORMATIONAL if opened or closed else MEDIUM),
        **_status(opened or closed, entry.get("sqlstate"), entry.get("reason") or (None if opened else happened)),
        "message": f"session {happened} for {entry.get('principal') or 'unknown'}",
        "user": _user(entry), "actor": _actor(entry), "session": {"uid": entry.get("session"), "credential_uid": entry.get("token")},
        "src_endpoint": _endpoint(entry.get("client")), "service": {"name": entry.get("database") or "lockgate"}, "is_remote": True,
        "unmapped": _context(entry),
    }  # fmt: skip


def _grant(entry: Entry) -> Event:
    """A request that a person approved: the requester may run exactly that statement, once."""
    return {
        **_class(3005, 1, "Assign Privileges", INFORMATIONAL), **_status(True),
        "message": f"request {entry.get('request')} approved by {entry.get('approver') or 'unknown'}",
        "actor": {"user": _user(entry, "approver")}, "user": _user(entry), "privileges": ["run one held statement"],
        "resources": [{"name": str(entry.get("database") or "unknown"), "uid": str(entry.get("digest") or entry.get("request") or "")}],
        "unmapped": {**_context(entry), "rules": _list(entry.get("rules"))},
    }  # fmt: skip


def _operation(entry: Entry) -> Event:
    """Something that people or the gate did to the gate itself."""
    kind, happened = str(entry["kind"]), str(entry.get("event") or "unknown")
    created = happened in ("request-opened", "opened")
    return {
        **_class(6003, 1 if created else 3, "Create" if created else "Update", INFORMATIONAL if kind != "policy" else LOW), **_status(True),
        "message": f"{kind} {happened}", "api": {"operation": f"{kind}.{happened}", "service": {"name": "lockgate"}},
        "actor": {"user": _user(entry)} if entry.get("principal") else {"app_name": "lockgate"},
        "src_endpoint": {"svc_name": "lockgate"},
        "resources": [{"name": str(entry.get("run") or entry.get("request") or entry.get("policy") or happened), "type": kind}],
        "unmapped": {**_context(entry), "policy": entry.get("policy"), "rules": _list(entry.get("rules")), "digest": entry.get("digest")},
    }  # fmt: skip


def _log_activity(log: str, entry: Entry) -> Event:
    """What happened to the log itself."""
    kind = str(entry["kind"])
    activity, name = {"boot": (6, "Start"), "close": (7, "Stop"), "erasure": (2, "Delete")}[kind]
    return {
        **_class(1008, activity, name, MEDIUM if kind == "erasure" else INFORMATIONAL), **_status(True),
        "message": f"{kind} of log {log}" + (f" {entry['event']}" if entry.get("event") else ""),
        "log_name": log, "log_provider": "Lockgate", "log_type_id": 2, "log_type": "Application",
        "actor": {"user": {"name": entry["by"], "uid": entry["by"], "type_id": 1, "type": "User"}} if entry.get("by") else {"app_name": "lockgate"},
        "unmapped": {name: entry.get(name) for name in ("epoch", "database", "dataset", "day", "before", "reason", "statements", "previous")},
    }  # fmt: skip
