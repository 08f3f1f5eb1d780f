"""PgBouncer CVE-2026-6667: whoever could reach the administrative console could end other clients.

What ends, approves or reads others' sessions needs a right of its own here: the operators' socket is its owner's, a decision needs a
credential that may approve, and the database's own functions for it are refused to principals who see masks.
"""

from __future__ import annotations

import json
import socket
import stat

import pytest

from attacks.series import Place


def test_the_operators_socket_is_its_owners(place: Place) -> None:
    path = place.gate.folder / "run" / "control.sock"
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("operation", ["request-approve", "request-deny"])
def test_a_decision_needs_the_credential_of_somebody_who_may_decide(place: Place, operation: str) -> None:
    path = place.gate.folder / "run" / "control.sock"
    for token in ("", "nonsense", place.gate.token("bot")):
        with socket.socket(socket.AF_UNIX) as made:
            made.settimeout(60)
            made.connect(str(path))
            asked = {"op": operation, "id": "1", "token": token, "principal": "boss"}
            made.sendall(json.dumps(asked).encode() + b"\n")
            answer = made.makefile().readline()
        assert '"ok": false' in answer
        assert "approved" not in answer


@pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_cancel_backend"])
def test_another_session_is_not_ended_by_its_number(place: Place, function: str) -> None:
    place.drop("ann")
    other = place.client("ann")
    for number in (other.pid, 1):
        assert place.ask(f"SELECT {function}({number})").errors
    assert place.ask(f"SELECT {function}(pid) FROM pg_stat_activity").errors
    assert not place.ask("SELECT 1", "ann").errors
