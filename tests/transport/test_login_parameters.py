"""Start-up parameters: an allow-list, whatever way they are written."""

from __future__ import annotations

import pytest

from lockgate.errors import ClientProtocolError, CredentialRejectedError
from lockgate.transport.login import STARTUP_PARAMETERS, Startup, read_parameters, rejected
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres.frames import FrameReader
from lockgate.wire.postgres.startup import StartupMessage
from lockgate.wire.postgres.typed import from_backend


def read(**parameters: str) -> Startup:
    pairs = {"user": "ann", **parameters}
    return read_parameters(StartupMessage(3, 0, tuple(pairs.items())), encrypted=True)


def test_the_database_is_the_user_s_name_when_none_is_given() -> None:
    assert (read().user, read().database, read(database="shop").database) == ("ann", "ann", "shop")


def test_a_client_without_a_user_is_refused() -> None:
    with pytest.raises(ClientProtocolError, match="no user"):
        read(user="")


@pytest.mark.parametrize(
    "name",
    ["session_replication_role", "role", "search_path_", "enable_seqscan", "log_statement", "row_security", "x" * 500],
)
def test_a_parameter_that_is_not_on_the_list_is_refused_by_name(name: str) -> None:
    with pytest.raises(ClientProtocolError, match=name[:63]):
        read(**{name: "on"})
    with pytest.raises(ClientProtocolError):
        read(options=f"-c {name}=on")


@pytest.mark.parametrize(
    ("value", "meant"),
    [("true", "physical"), ("on", "physical"), ("1", "physical"), ("YES", "physical"), ("database", "logical"), ("off", ""), ("", "")],
)  # fmt: skip
def test_what_is_asked_of_replication_is_read_and_never_passed_on(value: str, meant: str) -> None:
    assert read(replication=value).replication == meant
    assert read(replication=value).parameters == {}


@pytest.mark.parametrize("value", ["t", "physical", "logical", "2", "database ", "datab"])
def test_another_value_of_replication_is_refused(value: str) -> None:
    with pytest.raises(ClientProtocolError, match="replication"):
        read(replication=value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-c search_path=a", {"search_path": "a"}),
        ("-csearch_path=a  --work-mem=1MB", {"search_path": "a", "work_mem": "1MB"}),
        ("-c search_path=a,\\ b", {"search_path": "a, b"}),
        ("", {}),
    ],
)
def test_settings_inside_options_are_read_as_the_server_reads_them(options: str, expected: dict[str, str]) -> None:
    assert read(options=options).parameters == expected


@pytest.mark.parametrize(
    "options", ["-c", "-B 5", "--", "-c search_path", "-c options=-crole=x", "search_path=a", "-c -c"]
)
def test_anything_else_inside_options_is_refused(options: str) -> None:
    with pytest.raises(ClientProtocolError):
        read(options=options)


@pytest.mark.parametrize("value", ["LATIN1", "SQL_ASCII", "utf8x"])
def test_the_encoding_is_pinned_wherever_it_is_set(value: str) -> None:
    for parameters in (
        {"client_encoding": value},
        {"Client_Encoding": value},
        {"options": f"-c client_encoding={value}"},
    ):
        with pytest.raises(ClientProtocolError, match="UTF8"):
            read(**parameters)
    assert read(client_encoding="'utf-8'").parameters == {"client_encoding": "'utf-8'"}


def test_plain_strings_are_pinned() -> None:
    for parameters in ({"standard_conforming_strings": "off"}, {"options": "-c standard_conforming_strings=off"}):
        with pytest.raises(ClientProtocolError):
            read(**parameters)


def test_protocol_extensions_are_named_and_not_used() -> None:
    found = read(**{"_pq_.b": "1", "_pq_.a": "2"})
    assert (found.unsupported, found.parameters) == (("_pq_.a", "_pq_.b"), {})


def test_the_list_holds_nothing_that_steers_rights_or_replication() -> None:
    assert STARTUP_PARAMETERS.isdisjoint(
        {"role", "session_authorization", "replication", "row_security", "session_replication_role"}
    )


def test_every_rejected_credential_is_answered_in_the_same_words() -> None:
    def told(error: CredentialRejectedError) -> be.ErrorResponse:
        reader = FrameReader(body_bytes_max=4096)
        reader.feed(rejected(error))
        frame = reader.next_frame()
        assert frame is not None
        return from_backend(frame, be.ErrorResponse)

    one, two = told(CredentialRejectedError("expired")), told(CredentialRejectedError("unknown principal"))
    assert one.fields == two.fields
    assert one.sqlstate == "28P01"
