"""The database's own messages, when labelled columns are involved: the code stays, the words go.

For: ErrorResponse and NoticeResponse fields that could quote a value, a constraint, a statement or a place in code.
Not for: errors that the gate itself makes. The code stays an observable: which error occurs can depend on a value, and
statements in which it does are refused before they run; where it depends on the order of values only, all look alike.
Source: PostgreSQL documentation 55.8 (error and notice fields) and appendix A (error codes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_SEVERITIES = frozenset({"ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "DEBUG", "INFO", "LOG"})
_SQLSTATE = re.compile(r"[0-9A-Z]{5}", re.ASCII)
_UNKNOWN_STATE = "XX000"

_STATES = {
    "22001": "value too long",
    "22003": "number out of range",
    "22007": "invalid date or time",
    "22008": "date or time out of range",
    "22012": "division by zero",
    "22023": "invalid parameter value",
    "22P02": "invalid text representation",
    "23502": "not-null violation",
    "23503": "foreign key violation",
    "23505": "unique violation",
    "23514": "check violation",
    "23P01": "exclusion violation",
    "25006": "read-only transaction",
    "25P02": "transaction aborted",
    "40001": "serialization failure",
    "40P01": "deadlock detected",
    "42501": "insufficient privilege",
    "42601": "syntax error",
    "42703": "undefined column",
    "42883": "undefined function",
    "42P01": "undefined table",
    "53300": "too many connections",
    "55P03": "lock not available",
    "57014": "query cancelled",
    "57P01": "administrator shutdown",
    "P0001": "raised exception",
}
_CLASSES = {
    "00": "successful completion",
    "01": "warning",
    "02": "no data",
    "08": "connection exception",
    "0A": "feature not supported",
    "21": "cardinality violation",
    "22": "data exception",
    "23": "integrity constraint violation",
    "24": "invalid cursor state",
    "25": "invalid transaction state",
    "26": "invalid statement name",
    "28": "invalid authorization",
    "2B": "dependent privileges exist",
    "2D": "invalid transaction termination",
    "34": "invalid cursor name",
    "38": "external routine exception",
    "39": "external routine invocation exception",
    "3B": "savepoint exception",
    "3D": "invalid catalog name",
    "3F": "invalid schema name",
    "40": "transaction rollback",
    "42": "syntax error or access rule violation",
    "44": "check option violation",
    "53": "insufficient resources",
    "54": "program limit exceeded",
    "55": "object not in the needed state",
    "57": "operator intervention",
    "58": "system error",
    "72": "snapshot failure",
    "F0": "configuration error",
    "HV": "foreign data wrapper error",
    "P0": "procedural language error",
    "XX": "internal error",
}


_NOT_OF_ROWS = frozenset({"08", "25", "40", "55", "57", "58"})
"""Classes of errors that no row makes: connections, transactions, locks, operators, the system."""
ALIKE = "22000"
"""The one SQLSTATE of all errors that rows can make, where which of them comes first must not show."""


def redact_report(fields: Mapping[str, str], *, alike: bool = False) -> dict[str, str]:
    """The same report with severity and SQLSTATE only, and a fixed text by SQLSTATE.

    Args:
        fields: field letter to text, as in the message.
        alike: one error of a row must look like any other.
    """
    severity = fields.get("V", fields.get("S", "ERROR"))
    severity = severity if severity in _SEVERITIES else "ERROR"
    state = fields.get("C", _UNKNOWN_STATE)
    if not _SQLSTATE.fullmatch(state) or state[:2] not in _CLASSES:
        state = _UNKNOWN_STATE
    elif state not in _STATES:
        state = state[:2] + "000"  # a function can raise any five letters it likes: only the class is let through
    if alike and severity == "ERROR" and state[:2] not in _NOT_OF_ROWS:
        state = ALIKE
    words = _STATES.get(state, _CLASSES.get(state[:2], "error"))
    text = (
        f"lockgate: the database reported {state} ({words}); its text is withheld because labelled columns are involved"
    )
    return {"S": severity, "V": severity, "C": state, "M": text}
