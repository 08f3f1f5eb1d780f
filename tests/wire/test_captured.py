"""Bytes of real clients and a real server: every message is read, and encodes to the very same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockgate.wire.postgres import backend, frontend, startup, tags
from lockgate.wire.postgres.frames import BackendReader, Frame, FrameReader

CAPTURED = json.loads((Path(__file__).parent / "captured_postgresql_15.json").read_text())
CONVERSATIONS = ["psycopg", "asyncpg", "negotiation"]


def stream(conversation: str, side: str) -> bytes:
    return bytes.fromhex("".join(CAPTURED[conversation][side]))


def client_messages(conversation: str) -> list[frontend.FrontendMessage]:
    data = stream(conversation, "client")
    first = startup.parse_first(data)
    assert first is not None
    assert isinstance(first.packet, startup.StartupMessage)
    encoded = startup.startup_message(first.packet.parameters, minor=first.packet.minor)
    assert encoded == data[: first.consumed]
    reader = FrameReader(body_bytes_max=10_000, limits=tags.FRONTEND_LIMITS, known=tags.FRONTEND)
    reader.feed(data[first.consumed :])
    found = []
    while frame := reader.next_frame():
        found.append(frontend.decode(frame))
        assert found[-1].encode() == frame.encode()
    assert reader.buffered == 0
    return found


def backend_messages(conversation: str) -> list[backend.BackendMessage]:
    reader = BackendReader(body_bytes_max=10_000)
    reader.feed(stream(conversation, "backend"))
    found = []
    while frame := reader.next():
        assert isinstance(frame, Frame)
        found.append(backend.decode(frame))
        assert found[-1].encode() == frame.encode()
    assert reader.buffered == 0
    return found


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_every_message_of_the_client_is_read_and_encodes_to_itself(conversation: str) -> None:
    assert client_messages(conversation)[-1] == frontend.Terminate()


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_every_message_of_the_backend_is_read_and_encodes_to_itself(conversation: str) -> None:
    assert isinstance(backend_messages(conversation)[-1], backend.ReadyForQuery | backend.CommandComplete)


def test_the_conversations_hold_the_kinds_they_were_recorded_for() -> None:
    clients = {type(message) for name in CONVERSATIONS for message in client_messages(name)}
    assert clients >= {frontend.Bind, frontend.CopyData, frontend.CopyDone, frontend.Flush, frontend.Describe}
    backends = {type(message) for name in CONVERSATIONS for message in backend_messages(name)}
    assert backends >= {
        *(backend.NegotiateProtocolVersion, backend.PortalSuspended, backend.ParameterDescription),
        *(backend.CopyInResponse, backend.CopyOutResponse, backend.NotificationResponse, backend.EmptyQueryResponse),
    }


def test_an_error_of_the_server_is_read_with_its_code() -> None:
    reports = [message for message in backend_messages("psycopg") if isinstance(message, backend.Report)]
    assert [(type(report), report.sqlstate, report.severity) for report in reports] == [
        (backend.NoticeResponse, "00000", "NOTICE"),
        (backend.ErrorResponse, "22012", "ERROR"),
    ]


def test_a_server_of_version_15_negotiates_down_with_the_whole_number() -> None:
    assert backend_messages("negotiation")[0] == backend.NegotiateProtocolVersion(3 << 16, ("_pq_.thing",))
