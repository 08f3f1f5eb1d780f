"""Warpgate GHSA-c94j-vqr5-3mxr, 868r-97g5-r9g4, vgvv-x7xg-6cqg, h5rc-j5f5-3gcm, f5v4-2wr6-hqmg: rights that grew, logins of one taken for another's.

Rights come from the principals' file and policies alone: no part of a credential, no start-up parameter and no name that the client
chooses adds to them. (GHSA-3cjp-w4cp-m9c8, a key that was offered only: `test_attack_client_certificates.py`; memory by the length
of a packet: `test_advisory_pggat_length.py`.)
"""

from __future__ import annotations

import base64
import json

import pytest

from attacks.series import Place
from corpus.client import Address, Client


def changed(token: str, **claims: object) -> str:
    """A credential whose payload says something else, with the signature that it had."""
    prefix, body, signature = token.split(".")
    payload = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))) | claims
    return f"{prefix}.{base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b'=').decode()}.{signature}"


@pytest.mark.parametrize(
    "claims", [{"sub": "root"}, {"exp": 4102444800}, {"groups": ["administrators"]}, {"obo": "root"}, {"db": []}]
)
def test_a_credential_says_only_what_was_signed(place: Place, claims: dict[str, object]) -> None:
    token = changed(place.gate.token("bot"), **claims)
    user = str(claims.get("sub", "bot"))
    for text in (token, token.rsplit(".", 1)[0] + ".", token.rsplit(".", 1)[0], token.replace("lg1.", "lg0.")):
        with Client(Address(place.gate.host, place.gate.port, user, text, "shop")) as client:
            assert client.greeting.ended


def test_one_principals_credential_is_not_anothers(place: Place) -> None:
    for user in ("root", "clara", "ann", "etl"):
        with Client(Address(place.gate.host, place.gate.port, user, place.gate.token("bot"), "shop")) as client:
            assert client.greeting.ended


@pytest.mark.parametrize(("name", "value"), [
    ("application_name", "root"), ("application_name", "lg:000000000000 root"), ("options", "-c lockgate.principal=root"),
    ("options", "-c role=postgres"), ("session_authorization", "postgres"), ("is_superuser", "on"), ("user_name", "root"),
])  # fmt: skip
def test_no_start_up_parameter_adds_to_rights(place: Place, name: str, value: str) -> None:
    address = Address(place.gate.host, place.gate.port, "bot", place.gate.token("bot"), "shop")
    with Client(address, [(name, value)] if name != "application_name" else []) as client:
        if client.greeting.ended:
            assert name != "application_name"
            return
        client.simple(f"SET application_name = '{value}'")
        answer = client.simple("SELECT email FROM users WHERE id = 1")
        assert all(b"raw-value" not in frame.body for frame in answer.frames)
        assert client.simple("DELETE FROM users").errors


def test_nobody_gives_rights_to_themselves_by_sql(place: Place) -> None:
    before = place.state()
    for who in ("bot", "ann", "clara"):
        for text in ("GRANT pg_read_all_data TO current_user", "ALTER ROLE current_user SUPERUSER", "SET ROLE postgres", "SET SESSION AUTHORIZATION postgres",
                     "CREATE ROLE me SUPERUSER", "SELECT set_config('role', 'postgres', false)"):  # fmt: skip
            assert place.ask(text, who).errors, (who, text)
    assert place.state() == before
