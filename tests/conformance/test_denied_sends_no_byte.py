"""Promise 1 on the wire: what is denied or refused sends not one byte on the session's link to the database."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import psycopg
import pytest

from lockgate.testing.engines import EmbeddedPostgres
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame, FrameReader
from lockgate.wire.postgres.startup import startup_message
from support.gate import GateProcess
from support.relay import Relay, through
from support.servers import create_database, drop_database

SETUP = """
CREATE TABLE people(id bigint PRIMARY KEY, email text, city text);
INSERT INTO people SELECT g, 'person' || g || '@raw-value.example', 'York' FROM generate_series(1, 9) g;
CREATE TABLE orders(id bigint PRIMARY KEY, total int);
"""
STATEMENTS = (
    "UPDATE orders SET total = 1",  # denied: an agent writes nothing
    "DROP TABLE orders",
    "SELECT upper(email), current_query() FROM people",  # refused: nobody can see into it
    "EXPLAIN SELECT id FROM people WHERE email LIKE 'a%'",  # refused: a plan would show something of masked values
    "DO 'BEGIN END'",
    "COPY (DELETE FROM orders RETURNING id) TO STDOUT",
    "COPY people TO PROGRAM 'cat'",
    "SET session_replication_role = replica",
    "SELECT no_such_column FROM orders",  # answered by the analysis connection
    "SELEC 1",
)


class Client:
    """A raw client, because drivers hide what they send."""

    def __init__(self, gate: GateProcess, user: str) -> None:
        self._socket = socket.create_connection((gate.host, gate.port), timeout=60)
        self._frames = FrameReader(body_bytes_max=1 << 24)
        self._socket.sendall(startup_message([("user", user), ("database", "shop")]))
        assert self.next().tag == ord("R")
        self._socket.sendall(fe.Password.of_text(gate.token(user)).encode())
        self.answer()

    def next(self) -> Frame:
        while (frame := self._frames.next_frame()) is None:
            data = self._socket.recv(65536)
            assert data, "the gate closed the link"
            self._frames.feed(data)
        return frame

    def answer(self) -> str:
        found = ""
        while not found.endswith("Z"):
            found += chr(self.next().tag)
        return found

    def ask(self, *messages: fe.FrontendMessage) -> str:
        self._socket.sendall(b"".join(m.encode() for m in messages))
        return self.answer()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def place(pg15: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GateProcess, Relay]]:
    name = "nobyte"
    relay, dsn = through(create_database(pg15, name, SETUP))
    gate = GateProcess(tmp_path_factory.mktemp(name) / "gate", {"shop": (dsn, "production")}).init()
    gate.start()
    yield gate, relay
    assert gate.stop() == 0
    relay.close()
    drop_database(pg15, name)


def test_denied_and_refused_statements_send_no_byte_to_the_database(place: tuple[GateProcess, Relay]) -> None:
    gate, relay = place
    client = Client(gate, "bot")
    assert client.ask(fe.Query("SELECT id, email FROM people ORDER BY id")).endswith("CZ")
    before = len(relay.session())
    assert before > 0
    for text in STATEMENTS:
        assert client.ask(fe.Query(text)).strip("N") == "EZ", text
        assert client.ask(fe.Query(f"SELECT total FROM orders; {text}")) == "EZ", text
        assert len(relay.session()) == before, text
    for text in STATEMENTS:
        # Not even Sync: nothing of the pipeline reached the database, so it need not hear of its end.
        begun = len(relay.session())
        assert (
            client.ask(fe.Parse("", text), fe.Bind("", ""), fe.Describe("P", ""), fe.Execute(""), fe.Sync()) == "EZ"
        ), text
        assert len(relay.session()) == begun, text
        begun = len(relay.session())
        pipeline = [
            m for again in range(3) for m in (fe.Parse(f"s{again}", text), fe.Bind("", f"s{again}"), fe.Execute(""))
        ]
        assert client.ask(*pipeline, fe.Sync()) == "EZ", text
        assert len(relay.session()) == begun, text
    assert client.ask(fe.Query("SELECT total FROM orders")).endswith("CZ")
    client.close()


def test_a_session_that_was_only_denied_never_opened_a_link_for_its_statements(
    place: tuple[GateProcess, Relay],
) -> None:
    gate, relay = place
    client = Client(gate, "bot")
    assert client.ask(fe.Query("UPDATE orders SET total = 1")) == "EZ"
    assert not any(b"UPDATE orders" in sent for sent in relay.sent if b"application_name\0lg:" in sent)
    client.close()


def test_the_relay_itself_counts(pg15: EmbeddedPostgres) -> None:
    relay, dsn = through(pg15.dsn())
    with psycopg.connect(dsn, autocommit=True) as link:
        begun = len(relay.sent[0])
        link.execute("SELECT 12345")
        assert b"SELECT 12345" in relay.sent[0][begun:]
    relay.close()
