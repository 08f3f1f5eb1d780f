"""PgBouncer CVE-2015-6817: with auth_query, an unknown user was logged in as the user of the query itself.

A session is opened for the principal of the credential or not at all; whoever is unknown is nobody.
"""

from __future__ import annotations

import psycopg
import pytest

from attacks.series import Place
from corpus.client import Address, Client


@pytest.mark.parametrize("user", ["nobody", "postgres", "lockgate", "root ", "ROOT", "root\x01", "", "bot,root", "*"])
def test_an_unknown_user_is_nobody_whatever_credential_comes_along(place: Place, user: str) -> None:
    for token in (place.gate.token("root"), place.gate.token("bot"), "postgres", ""):
        with Client(Address(place.gate.host, place.gate.port, user, token, "shop")) as client:
            assert client.greeting.ended


def test_a_role_of_the_database_is_no_principal(place: Place) -> None:
    with psycopg.connect(place.owner, autocommit=True) as owner:
        names = [str(name) for (name,) in owner.execute("SELECT rolname FROM pg_roles").fetchall()]
    passwords = [file.read_text().strip() for file in (place.gate.folder / "keys").glob("*.password")]
    for name in names:
        for password in passwords:
            with Client(Address(place.gate.host, place.gate.port, name, password, "shop")) as client:
                assert client.greeting.ended
