"""Client certificates: who has one gets in as the principal it names and as nobody else; confusion of names, authorities and lists fails.

Source: threats I-10 (alternative names, expired lists, other trust domains, wildcards), I-14 (Warpgate GHSA-3cjp-w4cp-m9c8: showing a
public key is no proof), I-01.
"""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography.x509 import DNSName, RFC822Name, UniformResourceIdentifier
from psycopg.conninfo import make_conninfo

from lockgate.testing.engines import EmbeddedPostgres
from support.gate import PRINCIPALS, GateProcess
from support.servers import create_database, drop_database
from support.tls import Authority
from support.waiting import until

SPIFFE = "spiffe://prod.example/ns/jobs/sa/etl"
NAMES = (
    PRINCIPALS
    + f"""certificates = ["URI:{SPIFFE}", "DNS:etl.jobs.example"]

[[principal]]
name = "meg"
kind = "person"
certificates = ["CN:meg", "email:meg@people.example"]

[[principal]]
name = "off"
kind = "person"
disabled = true
certificates = ["CN:off"]
"""
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.write()
    made.write_revoked()
    return made


@pytest.fixture(scope="module")
def gate(
    pg15: EmbeddedPostgres, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GateProcess]:
    """A gate that takes certificates of one authority, and its list of revoked ones."""
    dsn = create_database(pg15, "certified", "CREATE TABLE t(id int PRIMARY KEY)")
    lines = f'tls_client_authorities = "{authority.folder}/authority.crt"\ntls_client_revoked = "{authority.folder}/authority.crl"'
    folder = tmp_path_factory.mktemp("certified") / "gate"
    running = (
        GateProcess(folder, {"shop": (dsn, "development")}, principals=NAMES, settings={"gateway": lines})
        .init()
        .start()
    )
    yield running
    assert running.stop() == 0
    drop_database(pg15, "certified")


def connect(
    gate: GateProcess, user: str, issued: dict[str, str], **more: str
) -> psycopg.Connection[tuple[object, ...]]:
    """As `user` with a certificate and nothing else."""
    known = {
        "host": gate.host,
        "port": str(gate.port),
        "user": user,
        "dbname": "shop",
        "sslmode": "require",
        "password": "no token",
    }
    return psycopg.connect(make_conninfo(**known, **issued, **more), autocommit=True)


def refused(gate: GateProcess, user: str, issued: dict[str, str]) -> str:
    """What a client is told that does not get in."""
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(gate, user, issued).execute("SELECT 1")
    return str(caught.value)


def is_refused(gate: GateProcess, user: str, issued: dict[str, str]) -> bool:
    try:
        connect(gate, user, issued).close()
    except psycopg.OperationalError:
        return True
    return False


def token_id(issued: dict[str, str]) -> str:
    """What stands for a certificate in the ledger and in the list of revoked credentials."""
    der = ssl.PEM_cert_to_DER_cert(Path(issued["sslcert"]).read_text())
    return f"x509-{hashlib.sha256(der).hexdigest()[:40]}"


def test_each_kind_of_name_opens_a_session_of_its_principal(gate: GateProcess, authority: Authority) -> None:
    for user, issued in (
        ("etl", authority.issue("x", UniformResourceIdentifier(SPIFFE))),
        ("etl", authority.issue("x", DNSName("other.example"), DNSName("etl.jobs.example"))),
        ("meg", authority.issue("meg")),
        ("meg", authority.issue("x", RFC822Name("meg@people.example"))),
    ):
        with connect(gate, user, issued) as client:
            assert client.execute("SELECT count(*) FROM t").fetchone() == (0,)
    found = gate.search("--principal", "etl")[-1]
    shown = gate.run("log", "show", "--config", str(gate.config), f"{found['log']}#{found['index']}").stdout
    assert '"binding": "attested"' in shown
    assert '"token": "x509-' in shown


def test_a_certificate_is_enough_with_tls_from_the_first_byte(gate: GateProcess, authority: Authority) -> None:
    with connect(gate, "meg", authority.issue("meg"), sslnegotiation="direct") as client:
        assert client.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(("user", "common_name", "names"), [
    ("etl", SPIFFE, ()), ("etl", "etl.jobs.example", ()), ("etl", "etl", ()), ("meg", "x", (DNSName("meg"),)),
    ("etl", "x", (UniformResourceIdentifier("spiffe://test.example/ns/jobs/sa/etl"),)), ("etl", "x", (DNSName(SPIFFE),)),
    ("etl", "x", (UniformResourceIdentifier(SPIFFE + "/admin"),)), ("etl", "x", (DNSName("*.jobs.example"),)), ("etl", "x", (DNSName("ETL.jobs.example"),)),
    ("meg", "Meg", ()), ("meg", "meg ", ()), ("meg", "x", (RFC822Name("meg@people.example.evil.example"),)), ("root", "root", ()),
])  # fmt: skip
def test_another_name_or_another_kind_of_name_opens_nothing(
    gate: GateProcess, authority: Authority, user: str, common_name: str, names: tuple[DNSName, ...]
) -> None:
    assert "the credential was not accepted" in refused(gate, user, authority.issue(common_name, *names))


def test_a_certificate_of_two_principals_is_nobodys(gate: GateProcess, authority: Authority) -> None:
    issued = authority.issue("meg", DNSName("etl.jobs.example"))
    for user in ("meg", "etl"):
        assert "the credential was not accepted" in refused(gate, user, issued)


def test_one_principals_certificate_does_not_open_anothers_session(gate: GateProcess, authority: Authority) -> None:
    issued = authority.issue("meg")
    assert "the credential was not accepted" in refused(gate, "root", issued)
    with psycopg.connect(
        gate.dsn("clara", "shop", **issued)
    ) as client:  # her token is a credential, whatever certificate is shown
        assert client.execute("SELECT 1").fetchone() == (1,)


def test_another_authoritys_certificate_ends_the_handshake(gate: GateProcess, tmp_path: Path) -> None:
    for name in ("authority", "somebody"):
        stranger = Authority(tmp_path, name)
        stranger.write()
        assert "the credential" not in refused(gate, "meg", stranger.issue("meg"))


def test_an_expired_certificate_and_one_for_servers_end_the_handshake(gate: GateProcess, authority: Authority) -> None:
    for issued in (authority.issue("meg", days=-1), authority.issue("meg", serves=True)):
        assert "the credential" not in refused(gate, "meg", issued)


def test_a_certificate_without_its_key_opens_nothing(gate: GateProcess, authority: Authority) -> None:
    """Showing what is public proves nothing."""
    mine, theirs = authority.issue("x"), authority.issue("meg")
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        context.load_cert_chain(theirs["sslcert"], mine["sslkey"])
    with pytest.raises(psycopg.OperationalError):
        connect(gate, "meg", {"sslcert": theirs["sslcert"], "sslkey": mine["sslkey"]})


def test_a_disabled_principal_and_a_revoked_id_are_rejected(gate: GateProcess, authority: Authority) -> None:
    assert "the credential was not accepted" in refused(gate, "off", authority.issue("off"))
    issued = authority.issue("meg")
    with connect(gate, "meg", issued) as client:
        gate.run("token", "--config", str(gate.config), "--revoke", token_id(issued))
        with pytest.raises(psycopg.OperationalError):
            _until_it_ends(client)
    assert "the credential was not accepted" in refused(gate, "meg", issued)


def test_the_list_of_revoked_certificates_is_read_again(gate: GateProcess, authority: Authority) -> None:
    issued, other = authority.issue("meg"), authority.issue("meg")
    connect(gate, "meg", issued).close()
    authority.revoke(issued)
    until(lambda: all(is_refused(gate, "meg", issued) for _ in range(5)))  # each worker reads it by itself
    assert "revoked" in refused(gate, "meg", issued)
    connect(gate, "meg", other).close()


def test_an_outdated_list_refuses_every_certificate_but_no_token(gate: GateProcess, authority: Authority) -> None:
    issued = authority.issue("meg")
    authority.write_revoked(current=False)
    try:
        until(lambda: all(is_refused(gate, "meg", issued) for _ in range(5)))
        gate.connect("clara", "shop").close()
    finally:
        authority.write_revoked()


def _until_it_ends(client: psycopg.Connection[tuple[object, ...]]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        client.execute("SELECT 1")
        time.sleep(0.2)
