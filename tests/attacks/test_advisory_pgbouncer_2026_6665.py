"""PgBouncer CVE-2026-6665: a hostile server's SCRAM messages overflowed a buffer. And W-10, W-11: what a hostile server may ask for.

The gate ends such a login, tells the client that the database cannot be reached, and sends neither the password nor a proof to whom
it should not.
"""

from __future__ import annotations

import base64
import struct

import pytest

from attacks.series import Place
from corpus.client import Address, Client

Replies = list[bytes]


def asked(code: int, content: bytes = b"") -> bytes:
    """An authentication request."""
    return b"R" + struct.pack("!II", len(content) + 8, code) + content


SASL = asked(10, b"SCRAM-SHA-256\0\0")
OK = asked(0) + b"Z\0\0\0\x05I"
SALT = base64.b64encode(b"salt" * 4)


def first(nonce: bytes = b"fyko", salt: bytes = SALT, count: bytes = b"4096") -> bytes:
    """A server's first message that does not extend the client's nonce."""
    return asked(11, b"r=" + nonce + b",s=" + salt + b",i=" + count)


HOSTILE: dict[str, Replies] = {
    "a nonce of its own": [SASL, first()],
    "an endless nonce": [SASL, first(b"a" * 1_000_000)],
    "an endless salt": [SASL, first(salt=b"A" * 4_000_000)],
    "no salt": [SASL, first(salt=b"")],
    "iterations for a year": [SASL, first(count=b"2147483647")],
    "iterations beyond any integer": [SASL, first(count=b"9" * 5000)],
    "negative iterations": [SASL, first(count=b"-1")],
    "an extension": [SASL, asked(11, b"m=ext,r=a,s=YQ==,i=4096")],
    "the end without the middle": [SASL, asked(12, b"v=" + base64.b64encode(b"x" * 32))],
    "skipping its own proof": [SASL, OK],
    "channel binding only": [asked(10, b"SCRAM-SHA-256-PLUS\0\0")],
    "no mechanism": [asked(10, b"\0")],
    "a list without an end": [asked(10, b"SCRAM-SHA-256")],
    "MD5": [asked(5, b"salt")],
    "Kerberos": [asked(2)],
    "GSSAPI": [asked(7)],
    "an unknown method": [asked(99)],
    "a continuation of nothing": [asked(11, b"r=a,s=YQ==,i=4096")],
    "a length below four": [b"R\0\0\0\3"],
    "a negative length": [b"R\xff\xff\xff\xff" + b"\0" * 64],
    "two gigabytes": [b"R\x7f\xff\xff\xff" + b"\0" * 64],
    "another message": [b"D\0\0\0\6\0\0"],
    "nothing": [b""],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_login_of_the_database_ends_and_learns_nothing(place: Place, name: str) -> None:
    relay = place.relay
    relay.heard.clear()
    with Client(Address(place.gate.host, place.gate.port, "bot", place.gate.token("bot"), "shop")) as client:
        relay.greetings.append(HOSTILE[name])
        answer = client.simple("SELECT order_id FROM orders LIMIT 1")
        assert answer.errors
        assert not answer.rows
        heard = b"".join(relay.heard)
        passwords = [file.read_text().strip().encode() for file in (place.gate.folder / "keys").glob("*.password")]
        assert passwords
        assert not any(password in heard for password in passwords)
        assert b",p=" not in heard
        assert relay.greetings == []
        assert client.simple("SELECT order_id FROM orders LIMIT 1").rows != []  # the next link is to the real one
