"""One entry of each sort that leaves the gate as an event, with everything awkward in it; (index, entry, intent) each."""

from __future__ import annotations

WHO: dict[str, object] = {
    "session": "gw-1-7", "principal": "robo", "principal_kind": "Agent", "on_behalf_of": "ann", "binding": "claimed", "run": "run-7",
    "purpose": "training", "token": "t-9", "client": "10.0.0.9", "database": "shop", "environment": "production",
}  # fmt: skip


def _at(second: int, fields: dict[str, object]) -> dict[str, object]:
    return {**fields, "v": 1, "epoch": 3, "n": second, "time": f"2026-11-22T10:00:{second:02}.000250Z"}


READ: dict[str, object] = _at(3, {
    **WHO, "kind": "intent", "statement": "select", "shape": "SELECT email FROM customers WHERE id = ?", "tables": ["public.customers"],
    "columns": [{"name": "public.customers.email", "label": "person.email", "disposition": "masked"}], "decision": "permit",
    "rules": ["everyone-reads"], "policy": "ab" * 32, "text": "cd" * 32,
})  # fmt: skip
AWKWARD = 'SELECT "a|b=c\\d]" FROM "x\ny" -- <14>1 - evil CEF:0|a|b|\r\nsecond line \x00\x1b[31m ünï \u2028'


ENTRIES: list[tuple[int, dict[str, object], dict[str, object] | None]] = [
    (0, _at(0, {"kind": "boot", "origin": "gw/1", "build": "0.1.0", "keys": ["gw/1+00"], "previous": {"size": 0, "root": ""}}), None),
    (1, _at(1, {**WHO, "kind": "session", "event": "opened"}), None),
    (2, _at(2, {"kind": "session", "event": "refused", "client": "local", "database": "shop", "reason": "token expired", "sqlstate": "28P01"}), None),
    (3, READ, None),
    (4, _at(4, {"kind": "outcome", "intent": 3, "status": "complete", "rows": 5, "bytes": 120, "duration_us": 900,
                "receipt": [{"column": "email", "label": "person.email", "rule": "ff1", "mode": "position", "cells": 5}]}), READ),
    (5, _at(5, {**READ, "kind": "deny", "statement": "drop", "shape": "DROP TABLE customers", "decision": "deny", "rule": "no-drops",
                "sqlstate": "42501", "columns": []}), None),
    (6, _at(6, {**READ, "kind": "deny", "statement": "unreadable", "shape": "", "tables": [], "columns": [], "decision": "refuse",
                "rules": ["syntax"], "rule": "syntax", "sqlstate": "42601"}), None),
    (7, _at(7, {**READ, "kind": "deny", "shape": AWKWARD, "rule": "a|b=c]\nd", "decision": "deny", "sqlstate": "42501", "principal": 'o"r\n|=]'}), None),
    (8, _at(8, {"kind": "outcome", "intent": 3, "status": "unknown"}), READ),
    (9, _at(9, {"kind": "outcome", "intent": 3, "status": "error", "sqlstate": "57014", "rows": 0, "bytes": 0, "duration_us": 3}),
     {**READ, "statement": "update", "principal_kind": "Service", "tables": ["a.b", "a.c"]}),
    (10, _at(10, {"kind": "admin", "event": "request-opened", "principal": "bob", "database": "shop", "digest": "ef" * 32, "rules": ["hold-writes"]}), None),
    (11, _at(11, {"kind": "admin", "event": "request-approved", "request": 10, "approver": "ann", "principal": "bob", "database": "shop",
                  "digest": "ef" * 32}), None),
    (12, _at(12, {"kind": "admin", "event": "reloaded", "policy": "ab" * 32}), None),
    (13, _at(13, {"kind": "policy", "event": "activated", "policy": "cd" * 32}), None),
    (14, _at(14, {"kind": "run", "event": "opened", "run": "run-8", "purpose": "training", "model": "m", "principal": "robo"}), None),
    (15, _at(15, {"kind": "erasure", "event": "done", "by": "ann", "reason": "asked for", "database": "shop", "day": "2026-01-01", "statements": 7}), None),
    (16, _at(16, {"kind": "heartbeat", "sessions": 2}), None),
    (17, _at(17, {**WHO, "kind": "session", "event": "closed", "reason": "client left"}), None),
    (18, _at(18, {"kind": "close"}), None),
]  # fmt: skip
