"""SCRAM client: the RFC's vector, PostgreSQL's own verifiers, and backends that cheat."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import BackendProtocolError, InvariantError
from lockgate.wire.postgres.scram import ScramClient, saslprep

# RFC 7677 section 3.
NONCE = b"rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def begun() -> ScramClient:
    client = ScramClient("pencil", NONCE, user="user")
    client.client_first()
    return client


def test_the_vector_of_the_rfc_is_reproduced() -> None:
    client = ScramClient("pencil", NONCE, user="user")
    assert client.client_first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert client.client_final(SERVER_FIRST) == CLIENT_FINAL
    assert not client.verified
    client.verify(SERVER_FINAL)
    assert client.verified


def test_the_user_name_is_empty_as_in_libpq_or_escaped() -> None:
    assert ScramClient("x", b"abc").client_first() == b"n,,n=,r=abc"
    assert ScramClient("x", b"abc", user="a=b,c").client_first() == b"n,,n=a=3Db=2Cc,r=abc"


@pytest.mark.parametrize(
    ("password", "verifier"),
    [
        # Made by PostgreSQL 15: CREATE ROLE ... PASSWORD, then pg_authid.rolpassword.
        (
            "p\u00e4ss\u00a0w\u00adord\u2163",
            (
                "zvg9+mInWoywlMYUvjT2tQ==$jkanHHEyc4sBKC17YpuctOWMKK75KIZSovqsfJcM+4Q=:"
                "7Ig+vMhb2/hdF6K70SmPEG9FfgBrAES8s1IBu5EPz8c="
            ),
        ),
        (
            "\u06271",
            (
                "kYRzm5hj89aPbu7COpVyOA==$6XWmL3QCddnkx7n1APdU9d9yfXXxjI8eD3GxY/F8LAk=:"
                "H0PCnt1TzUfy7sieMh9FJKdhqnu3Lh/07GBPzsiiqFY="
            ),
        ),
        (
            "\u00ad",
            (
                "8SBk21sUTDxt0J+EjOYdqA==$EfBH85zRGiCNfVDUDdCXrF3WH4DXXJUW6aM4lsfcpPw=:"
                "zxJvuqnhpDT5kuoOzkobet+deAioedpcU1+R2DfevnI="
            ),
        ),
        (
            "pencil",
            (
                "EwB/ZsN7+HkYOfUg0sngQg==$Fi5xdMMz1N267ANfhPc4pl2hDI0khf623KX4YliAJQE=:"
                "sbL8WMY3eMtIsseajBG9hkXIGoKB/K6PRQj58ZySNQ0="
            ),
        ),
    ],
    ids=["prepared", "bidi refused", "empty after mapping", "ascii"],
)
def test_a_server_that_holds_the_verifier_of_postgresql_accepts_the_proof(password: str, verifier: str) -> None:
    salt, keys = verifier.split("$")
    stored_key, server_key = (base64.b64decode(key) for key in keys.split(":"))
    client = ScramClient(password, b"abc")
    first = client.client_first()
    server_first = b"r=abcdef,s=" + salt.encode() + b",i=4096"
    without_proof, proof = client.client_final(server_first).split(b",p=")
    signed = b",".join((first[3:], server_first, without_proof))
    signature = hmac.digest(stored_key, signed, "sha256")
    client_key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored_key
    client.verify(b"v=" + base64.b64encode(hmac.digest(server_key, signed, "sha256")))


@pytest.mark.parametrize(
    "server_first",
    [
        b"",
        b"r=rOprNGfwEbeRWgbNEkqOx",
        b"m=x," + SERVER_FIRST,
        SERVER_FIRST + b",x=1",
        SERVER_FIRST + b"\n",
        SERVER_FIRST + b"\0",
        SERVER_FIRST.replace(b"i=4096", b"i=-4096"),
        SERVER_FIRST.replace(b"i=4096", b"i=04096"),
        SERVER_FIRST.replace(b"i=4096", b"i=99999999999"),
        SERVER_FIRST.replace(b"s=W22ZaJ0SNY7soEsUEjb6gQ==", b"s="),
        SERVER_FIRST.replace(b"s=W22ZaJ0SNY7soEsUEjb6gQ==", b"s===="),
        SERVER_FIRST.replace(b"s=W22ZaJ0SNY7soEsUEjb6gQ==", b"s=W22"),
        SERVER_FIRST.replace(b"r=rOpr", b"r=xOpr"),
        b"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"r=rOpr,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"r=" + NONCE + b"x" * 9000 + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    ],
)
def test_a_first_message_that_is_not_exactly_the_form_is_refused(server_first: bytes) -> None:
    with pytest.raises(BackendProtocolError):
        begun().client_final(server_first)


@pytest.mark.parametrize("count", [1, 4095, 1_000_001, 4_294_967_295])
def test_iterations_out_of_bounds_are_refused_before_any_work(count: int) -> None:
    with pytest.raises(BackendProtocolError, match="out of bounds"):
        begun().client_final(SERVER_FIRST.replace(b"4096", str(count).encode()))


@pytest.mark.parametrize(
    "server_final",
    [
        b"",
        b"v=",
        b"v=AAAA",
        SERVER_FINAL.replace(b"6rr", b"7rr"),
        SERVER_FINAL + b",x=1",
        b"e=other-error",
        b"v=" + b"A" * 9000,
    ],
)
def test_a_backend_that_cannot_prove_the_password_is_refused(server_final: bytes) -> None:
    client = begun()
    client.client_final(SERVER_FIRST)
    with pytest.raises(BackendProtocolError):
        client.verify(server_final)
    assert not client.verified


def test_steps_out_of_order_are_our_fault() -> None:
    with pytest.raises(InvariantError):
        ScramClient("x", b"abc").client_final(SERVER_FIRST)
    with pytest.raises(InvariantError):
        begun().verify(SERVER_FINAL)
    client = begun()
    client.client_final(SERVER_FIRST)
    with pytest.raises(InvariantError):
        client.client_final(SERVER_FIRST)


@pytest.mark.parametrize("nonce", [b"", b"a,b", b"a b", b"\x80", b"a\n"])
def test_a_nonce_that_would_break_the_message_is_our_fault(nonce: bytes) -> None:
    with pytest.raises(InvariantError):
        ScramClient("x", nonce)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_random_bytes_raise_nothing_but_the_backends_error(first: bytes, final: bytes) -> None:
    with pytest.raises(BackendProtocolError):
        begun().client_final(first)
    client = begun()
    client.client_final(SERVER_FIRST)
    with pytest.raises(BackendProtocolError):
        client.verify(final)


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("user", b"user"),
        ("tab\there", b"tab\there"),
        ("I\u00adX", b"IX"),
        ("\u00aa", b"a"),
        ("\u2168", b"IX"),
        ("a\u200bb", b"a b"),
        ("\u0627\u0628", "\u0627\u0628".encode()),
        ("\u06271", "\u06271".encode()),
        ("\u06271\u0628", "\u06271\u0628".encode()),
        ("\u2168\u0007", "\u2168\u0007".encode()),
        ("\u2168\u0378", "\u2168\u0378".encode()),
        ("\u0627\u2168\u0628", "\u0627\u2168\u0628".encode()),
        ("\u00ad", "\u00ad".encode()),
    ],
)
def test_passwords_are_prepared_or_taken_as_they_are(password: str, prepared: bytes) -> None:
    assert saslprep(password) == prepared


def test_a_password_that_is_no_text_is_our_fault() -> None:
    with pytest.raises(InvariantError):
        saslprep("\ud800")
