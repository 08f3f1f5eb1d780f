"""A frame as the message its reader expects: any other message is the peer's error."""

from __future__ import annotations

import pytest

from lockgate.errors import BackendProtocolError, ClientProtocolError
from lockgate.wire.postgres import backend, frontend, tags
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.typed import from_backend, from_client


def test_the_expected_message_is_given_back() -> None:
    assert from_client(Frame(tags.QUERY, b"select 1\0"), frontend.Query) == frontend.Query("select 1")
    assert from_backend(Frame(tags.READY_FOR_QUERY, b"I"), backend.ReadyForQuery) == backend.ReadyForQuery("I")


def test_another_message_is_the_error_of_the_peer_that_sent_it() -> None:
    with pytest.raises(ClientProtocolError, match="Query"):
        from_client(Frame(tags.SYNC, b""), frontend.Query)
    with pytest.raises(BackendProtocolError, match="ReadyForQuery"):
        from_backend(Frame(tags.NO_DATA, b""), backend.ReadyForQuery)


def test_a_malformed_message_is_the_error_of_the_peer_that_sent_it() -> None:
    with pytest.raises(ClientProtocolError):
        from_client(Frame(tags.QUERY, b""), frontend.Query)
    with pytest.raises(BackendProtocolError):
        from_backend(Frame(tags.READY_FOR_QUERY, b""), backend.ReadyForQuery)
