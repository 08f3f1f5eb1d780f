"""PgBouncer CVE-2025-2291: an expired password was accepted, because the pooler compared it without its date.

What opens a session here has its end in it, and the session ends with it.
"""

from __future__ import annotations

import time

import psycopg
import pytest

from attacks.series import Place
from corpus.client import Address, Client


def test_an_expired_credential_opens_nothing_and_its_session_ends(place: Place) -> None:
    token = place.gate.run("token", "bot", "--config", str(place.gate.config), "--ttl", "6s").stdout.strip()
    address = Address(place.gate.host, place.gate.port, "bot", token, "shop")
    with Client(address) as client:
        assert not client.simple("SELECT 1").errors
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (answer := client.simple("SELECT 1")).ended:
            time.sleep(0.3)
        assert answer.ended
    with Client(address) as again:
        assert again.greeting.ended
        assert [error.sqlstate for error in again.greeting.errors] == ["28P01"]


def test_a_role_whose_password_has_expired_on_the_database_is_not_used(place: Place) -> None:
    """The database's own word counts at every link: the gate keeps none open for the next session."""
    place.drop()
    place.client().simple("SELECT order_id FROM orders")
    with psycopg.connect(place.owner, autocommit=True) as owner:
        found = owner.execute(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'lg:%'"
        ).fetchall()
        assert found
        for (name,) in found:
            owner.execute(f"ALTER ROLE {name} VALID UNTIL '2001-01-01'".encode())
        place.drop()
        try:
            address = Address(place.gate.host, place.gate.port, "bot", place.gate.token("bot"), "shop")
            with Client(address) as client:
                answer = client.simple("SELECT order_id FROM orders")
                assert answer.errors
                assert not answer.rows
        finally:
            for (name,) in found:
                owner.execute(f"ALTER ROLE {name} VALID UNTIL 'infinity'".encode())


@pytest.mark.parametrize("ttl", ["13h", "0s", "-5m"])
def test_no_credential_is_made_for_longer_than_twelve_hours_or_for_no_time(place: Place, ttl: str) -> None:
    done = place.gate.run("token", "bot", "--config", str(place.gate.config), f"--ttl={ttl}", check=False)
    assert done.returncode != 0
    assert "lg1." not in done.stdout
