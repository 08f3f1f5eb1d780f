"""Series W: the wire protocol, played against the gate by clients and servers that keep no rule.

For: what no other file plays, and the table that says where each case of the series and each advisory is played.
Source: threats 4.2 and W-01 to W-35.
"""

from __future__ import annotations

import ast
import socket
import ssl
from collections.abc import Sequence

import pytest

from attacks.series import Place
from corpus.client import Address, Client
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres import startup, tags
from lockgate.wire.postgres.frames import Frame
from support.tree import ROOT
from support.waiting import until

P, B, D, E, C = fe.Parse, fe.Bind, fe.Describe, fe.Execute, fe.Close
S = fe.Sync()

SERIES: dict[str, Sequence[str]] = {
    "W-01": ("attacks/test_advisory_pgbouncer_2021_3935.py", "attacks/test_hostile_wire.py::test_bytes_before_the_tls_handshake_end_the_connection"),
    "W-02": ("conformance/test_direct_tls.py::test_another_application_protocol_is_refused", "attacks/test_advisory_warpgate_2000.py"),
    "W-03": ("attacks/test_advisory_warpgate_2373.py", "attacks/test_hostile_wire.py::test_encryption_requests_do_not_go_on_for_ever"),
    "W-04": ("attacks/test_hostile_wire.py::test_a_startup_parameter_that_does_not_pass_is_refused_by_name", "transport/test_login_parameters.py"),
    "W-05": ("wire/test_startup.py", "attacks/test_hostile_wire.py::test_a_malformed_start_is_ended_with_an_error"),
    "W-06": ("attacks/test_hostile_wire.py::test_a_malformed_start_is_ended_with_an_error", "attacks/test_advisory_pggat_length.py"),
    "W-07": ("attacks/test_advisory_pgx_2024_27304.py",),
    "W-08": ("attacks/test_advisory_pgx_2026_4427.py",),
    "W-09": ("attacks/test_advisory_pgbouncer_2026_6666.py",),
    "W-10": ("attacks/test_advisory_pgbouncer_2026_6665.py", "wire/test_scram.py"),
    "W-11": ("attacks/test_advisory_pgbouncer_2026_6665.py",),
    "W-12": ("attacks/test_advisory_pgbouncer_2015_4054.py",),
    "W-13": ("conformance/test_denied_sends_no_byte.py", "conformance/test_protocol.py::test_a_dialogue_is_the_same_through_the_gate"),
    "W-14": ("attacks/test_series_w.py::test_a_refusal_in_the_middle_of_a_thousand_steps_keeps_answers_and_masks_in_order",),
    "W-15": ("conformance/test_protocol.py::test_a_dialogue_is_the_same_through_the_gate", "attacks/test_attack_held_then_changed.py"),
    "W-16": ("conformance/test_protocol.py::test_a_dialogue_is_the_same_through_the_gate",),
    "W-17": ("conformance/test_protocol.py::test_a_dialogue_is_the_same_through_the_gate", "attacks/test_advisory_pgx_2024_27304.py"),
    "W-18": ("attacks/test_series_w.py::test_portals_in_turn_are_masked_each_by_its_own_plan",),
    "W-19": ("attacks/test_series_w.py::test_rows_without_a_description_are_masked",),
    "W-20": ("attacks/test_series_w.py::test_results_of_utility_statements_show_nothing",),
    "W-21": ("attacks/test_attack_copy.py",),
    "W-22": ("attacks/test_series_w.py::test_copy_in_is_decided_as_a_write", "conformance/test_protocol.py::test_a_dialogue_is_the_same_through_the_gate"),
    "W-23": ("attacks/test_hostile_wire.py::test_a_startup_parameter_that_does_not_pass_is_refused_by_name", "attacks/test_series_w.py::test_a_server_that_begins_to_replicate_ends_the_session"),
    "W-24": ("attacks/test_hostile_wire.py::test_function_call_messages_are_refused_and_the_session_goes_on",),
    "W-25": ("attacks/test_advisory_pgbouncer_38.py", "attacks/test_advisory_pgdog_1505.py", "attacks/test_hostile_wire.py::test_a_cancel_with_a_wrong_key_does_nothing"),
    "W-26": ("attacks/test_series_w.py::test_keys_are_of_the_length_that_the_version_asks_for", "attacks/test_hostile_wire.py::test_version_3_2_is_spoken_and_newer_ones_are_negotiated"),
    "W-27": ("attacks/test_series_x.py::test_strings_cannot_be_given_another_meaning", "attacks/test_attack_search_path.py"),
    "W-28": ("attacks/test_series_w.py::test_a_notification_that_nobody_asked_for_is_not_shown", "attacks/test_advisory_pgbouncer_2026_6666.py::test_a_notice_in_any_form_shows_nothing"),
    "W-29": ("attacks/test_hostile_wire.py::test_a_client_that_never_reads_does_not_grow_the_gate", "attacks/test_hostile_wire.py::test_half_open_logins_do_not_block_a_good_one",
             "attacks/test_hostile_wire.py::test_a_handshake_left_in_the_middle_ends_and_costs_nothing"),
    "W-30": ("attacks/test_series_w.py::test_a_server_that_dies_in_the_middle_is_no_success",),
    "W-31": ("drills/test_kill.py",),
    "W-32": ("attacks/test_series_w.py::test_nothing_of_a_session_is_left_for_the_next",),
    "W-33": ("attacks/test_series_w.py::test_a_proxy_header_is_not_believed",),
    "W-34": ("attacks/test_series_w.py::test_the_name_asked_for_by_tls_chooses_nothing",),
    "W-35": ("fuzz/test_fuzz_smoke.py", "attacks/test_hostile_wire.py::test_random_bytes_never_break_the_gate"),
}  # fmt: skip

ADVISORIES: dict[str, str] = {
    "PgBouncer CVE-2025-12819": "test_advisory_pgbouncer_2025_12819.py", "PgBouncer CVE-2025-2291": "test_advisory_pgbouncer_2025_2291.py",
    "PgBouncer CVE-2026-6664": "test_advisory_pgbouncer_2026_6664.py", "PgBouncer CVE-2026-6665": "test_advisory_pgbouncer_2026_6665.py",
    "PgBouncer CVE-2026-6666": "test_advisory_pgbouncer_2026_6666.py", "PgBouncer CVE-2026-6667": "test_advisory_pgbouncer_2026_6667.py",
    "PgBouncer CVE-2021-3935": "test_advisory_pgbouncer_2021_3935.py", "PgBouncer CVE-2015-6817": "test_advisory_pgbouncer_2015_6817.py",
    "PgBouncer CVE-2015-4054": "test_advisory_pgbouncer_2015_4054.py", "PgBouncer CVE-2012-4575": "test_advisory_pgbouncer_2015_4054.py",
    "PgBouncer #38": "test_advisory_pgbouncer_38.py", "pgdog #1505": "test_advisory_pgdog_1505.py",
    "pgx CVE-2024-27304": "test_advisory_pgx_2024_27304.py", "pgx CVE-2026-4427": "test_advisory_pgx_2026_4427.py",
    "pgx CVE-2026-32286": "test_advisory_pgx_2026_4427.py", "pggat": "test_advisory_pggat_length.py",
    "Warpgate GHSA-c94j-vqr5-3mxr": "test_advisory_warpgate_ghsa.py", "Warpgate GHSA-3cjp-w4cp-m9c8": "test_attack_client_certificates.py",
    "Warpgate GHSA-868r-97g5-r9g4": "test_advisory_warpgate_ghsa.py", "Warpgate GHSA-vgvv-x7xg-6cqg": "test_advisory_warpgate_ghsa.py",
    "Warpgate GHSA-h5rc-j5f5-3gcm": "test_advisory_warpgate_ghsa.py", "Warpgate GHSA-f5v4-2wr6-hqmg": "test_advisory_warpgate_ghsa.py",
    "Warpgate #1421": "test_advisory_pgbouncer_2021_3935.py", "Warpgate #2000": "test_advisory_warpgate_2000.py",
    "Warpgate #2373": "test_advisory_warpgate_2373.py", "Boundary CVE-2026-7776": "test_hostile_wire.py",
}  # fmt: skip


def test_every_case_of_the_series_is_played_by_a_test_that_exists() -> None:
    assert list(SERIES) == [f"W-{number:02}" for number in range(1, 36)]
    missing = []
    for places in SERIES.values():
        for place in places:
            file, _, name = place.partition("::")
            path = ROOT / "tests" / file
            tests = (
                [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
                if path.exists()
                else []
            )
            if not any(test.startswith("test_") and test == (name or test) for test in tests):
                missing.append(place)
    assert missing == []


def test_every_advisory_is_named_in_the_file_that_plays_it() -> None:
    missing = []
    for advisory, file in ADVISORIES.items():
        text = (ROOT / "tests" / "attacks" / file).read_text()
        if advisory.rsplit(" ", 1)[-1].removeprefix("GHSA-").removeprefix("CVE-") not in text:
            missing.append(advisory)
    assert missing == []


def sent(*messages: object) -> bytes:
    """Messages as bytes."""
    return b"".join(m if isinstance(m, bytes) else m.encode() for m in messages)  # type: ignore[attr-defined]


def letters(frames: Sequence[Frame]) -> str:
    """Kinds of messages."""
    return "".join(chr(frame.tag) for frame in frames)


def shows(place: Place, frames: Sequence[Frame]) -> bool:
    """Whether something stored in a masked column is in these messages."""
    data = b"\0".join(frame.body for frame in frames)
    return any(secret in data for secret in place.secrets)


def test_a_refusal_in_the_middle_of_a_thousand_steps_keeps_answers_and_masks_in_order(place: Place) -> None:
    """W-14."""
    place.drop()
    client = place.client()
    steps = [sent(P("", f"SELECT {n} AS n, email FROM users WHERE id = 3"), B("", ""), E("", 0)) for n in range(1000)]
    steps[500] = sent(P("", "DELETE FROM users"), B("", ""), E("", 0))
    client.send(b"".join(steps), sent(S, P("", "SELECT 7777"), B("", ""), E("", 0), S))
    first, second = client.read(), client.read()
    assert letters(first.frames) == "12DC" * 500 + "EZ"
    assert [row[0] for row in first.rows] == [str(n).encode() for n in range(500)]
    assert len({row[1] for row in first.rows}) == 1
    assert not shows(place, first.frames)
    assert second.rows == [[b"7777"]]


def test_portals_in_turn_are_masked_each_by_its_own_plan(place: Place) -> None:
    """W-18."""
    place.drop()
    client = place.client()
    client.simple("BEGIN")
    client.send(sent(
        P("m", "SELECT email FROM users ORDER BY id"), P("c", "SELECT order_id FROM orders ORDER BY order_id"), B("m", "m"), B("c", "c"), E("m", 2), E("c", 2),
        E("m", 2), E("c", 2), P("", "DECLARE d CURSOR FOR SELECT email FROM users ORDER BY id"), B("", ""), E("", 0), P("", "FETCH 3 FROM d"), B("", ""), E("", 0), S,
    ))  # fmt: skip
    answer = client.read()
    assert not shows(place, answer.frames)
    assert (
        b"\0\0\0\x011" in b"".join(frame.body for frame in answer.frames if frame.tag == tags.DATA_ROW) or answer.errors
    )
    client.simple("ROLLBACK")


def test_rows_without_a_description_are_masked(place: Place) -> None:
    """W-19: Execute without Describe, in both formats, of a new statement and of one prepared before."""
    place.drop()
    client = place.client()
    for formats in ((), (1,)):
        client.send(
            sent(
                P("w19", "SELECT email, ssn, birth_date FROM users WHERE id < 9"),
                B("", "w19", (), (), formats),
                E("", 0),
                S,
            )
        )
        client.send(sent(B("", "w19", (), (), formats), E("", 0), C("S", "w19"), S))
        for answer in (client.read(), client.read()):
            assert len(answer.rows) == 8
            assert not shows(place, answer.frames)


@pytest.mark.parametrize("text", ["SHOW search_path", "EXPLAIN SELECT email FROM users", "EXECUTE nothing", "FETCH 1 FROM nothing", "CALL proc()",
                                  "EXPLAIN ANALYZE SELECT email FROM users", "PREPARE w20 AS SELECT email FROM users"])  # fmt: skip
def test_results_of_utility_statements_show_nothing(place: Place, text: str) -> None:
    """W-20."""
    place.drop()
    client = place.client()
    client.send(sent(P("", text), D("S", ""), B("", ""), D("P", ""), E("", 0), S))
    answer = client.read()
    assert not shows(place, answer.frames)
    assert not answer.ended


def test_copy_in_is_decided_as_a_write(place: Place) -> None:
    """W-22: refused before the copy begins, and its data is then nobody's."""
    place.drop()
    before, client = place.state(), place.client()
    client.send(
        sent(
            fe.Query("COPY users (id, full_name, email) FROM STDIN"),
            b"d\0\0\0\x0c901\tx\ty\n",
            b"c\0\0\0\4",
            fe.Query("SELECT 5"),
        )
    )
    answer = client.read(2)
    assert answer.errors
    assert "G" not in letters(answer.frames)
    assert answer.rows == [[b"5"]]
    assert place.state() == before


def test_a_server_that_begins_to_replicate_ends_the_session(place: Place) -> None:
    """W-23: CopyBothResponse is no answer to any statement."""
    place.drop()
    client = place.client()
    place.relay.answer(b"2323", b"W\0\0\0\7\0\0\0" + b"d\0\0\0\x1dcanary1@raw-value.example")
    client.send(sent(fe.Query("SELECT order_id FROM orders WHERE order_id = 2323")))
    answer = client.read()
    assert answer.ended
    assert not shows(place, answer.frames)
    place.drop()


def test_keys_are_of_the_length_that_the_version_asks_for(place: Place) -> None:
    """W-26: four bytes, or longer ones from 3.2 on; never the same twice."""
    found = []
    for minor, length in ((0, 4), (2, 32), (0, 4), (2, 32)):
        with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as made:
            made.sendall(startup.startup_message([("user", "bot"), ("database", "shop")], minor=minor))
            made.recv(9)
            made.sendall(fe.Password.of_text(place.gate.token("bot")).encode())
            answer = b""
            while not answer.endswith(b"Z\0\0\0\5I"):
                answer += made.recv(65536)
        at = answer.rindex(b"K\0\0\0")
        key = answer[at + 9 : at + 1 + int.from_bytes(answer[at + 1 : at + 5], "big")]
        assert len(key) == length
        found.append(key)
    assert len(set(found)) == 4


def test_a_notification_that_nobody_asked_for_is_not_shown(place: Place) -> None:
    """W-28."""
    place.drop()
    client = place.client()
    told = be.NotificationResponse(7, "word", "canary1@raw-value.example").encode()
    place.relay.answer(
        b"2828",
        told
        + b"I\0\0\0\4" * 0
        + b"E\0\0\0\x1dSERROR\0C22P02\0Mcanary\0\0" * 0
        + told
        + b"C\0\0\0\x0dSELECT 0\0Z\0\0\0\5I",
    )
    client.send(sent(fe.Query("SELECT email FROM users WHERE id = 2828")))
    assert not shows(place, client.read().frames)
    place.drop()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT order_id FROM orders WHERE order_id = 3030",
        "COPY (SELECT order_id FROM orders WHERE order_id < 3030) TO STDOUT",
        "COMMIT",
    ],
)
def test_a_server_that_dies_in_the_middle_is_no_success(place: Place, text: str) -> None:
    """W-30: the client gets no success, the record says that the outcome is unknown."""
    place.drop("root")
    client = place.client("root")
    client.simple("BEGIN")
    client.simple("SELECT order_id FROM orders WHERE order_id = 1")
    place.relay.answer(text.encode()[-20:], b"D\0\0\0\x20\0\1\0\0", end=True)
    client.send(sent(fe.Query(text)))
    answer = client.read()
    assert answer.ended
    assert "C" not in letters(answer.frames)
    place.drop("root")
    asked = ("--principal", "root", "--limit", "3")
    until(lambda: any(entry.get("status") == "unknown" for entry in place.gate.search(*asked)))


def test_nothing_of_a_session_is_left_for_the_next(place: Place) -> None:
    """W-32."""
    gate = place.gate
    address = Address(gate.host, gate.port, "root", gate.token("root"), "shop")
    with Client(address) as one:
        for text in ("SET work_mem = '77MB'", "CREATE TEMP TABLE left_over(x int)", "SELECT pg_advisory_lock(3232)", "LISTEN left_over",
                     "PREPARE left_over AS SELECT 1", "BEGIN", "DECLARE left_over CURSOR WITH HOLD FOR SELECT 1", "COMMIT"):  # fmt: skip
            assert not one.simple(text).errors, text
    with Client(address) as two:
        assert two.simple("SHOW work_mem").rows != [[b"77MB"]]
        assert two.simple("SELECT pg_try_advisory_lock(3232)").rows == [[b"t"]]
        for text in ("SELECT * FROM left_over", "EXECUTE left_over", "FETCH left_over"):
            assert two.simple(text).errors, text
        assert two.simple("SELECT count(*) FROM pg_listening_channels()").rows == [[b"0"]]


@pytest.mark.parametrize("header", [
    b"PROXY TCP4 10.9.9.9 10.0.0.1 1 6432\r\n", b"PROXY TCP4 10.9.9.9 10.0.0.1 1 6432\r\n" * 2, b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x09\x09\x09\x0a\0\0\1\0\1\x19\x20",
])  # fmt: skip
def test_a_proxy_header_is_not_believed(place: Place, header: bytes) -> None:
    """W-33."""
    with socket.create_connection((place.gate.host, place.gate.port), timeout=60) as made:
        made.sendall(header + startup.startup_message([("user", "bot"), ("database", "shop")]))
        answer = b""
        while part := made.recv(65536):
            answer += part
    assert b"R\0\0\0" not in answer


def test_the_name_asked_for_by_tls_chooses_nothing(place: Place) -> None:
    """W-34: neither a server name nor the order of application protocols leads anywhere else."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1", "postgresql"])
    for name in ("shop", "hr.internal", "production"):
        plain = socket.create_connection((place.gate.host, place.gate.port), timeout=60)
        with context.wrap_socket(plain, server_hostname=name) as made:
            made.sendall(startup.startup_message([("user", "bot"), ("database", "no such database")]))
            assert made.recv(9)[:1] == b"R"
            made.sendall(fe.Password.of_text(place.gate.token("bot")).encode())
            assert made.recv(65536)[:1] == b"E"
