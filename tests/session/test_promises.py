"""What a session promises about its two sides: nothing denied goes out, nothing goes out unrecorded, order and errors hold."""

from __future__ import annotations

import pytest

from lockgate.model.statement import Access, Action, Analysis, Kind
from lockgate.session.wishes import Analyse, Durable, Failed, FreshCatalog
from lockgate.testing.script import ScriptError
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame
from lockgate.wire.postgres.typed import from_client
from support.scripted import (
    EMAILS,
    ORDERS,
    PLAIN,
    TOTALS,
    begin,
    described,
    done,
    error_of,
    failure,
    grouped,
    knows,
    of,
    ready,
    script,
    tags,
    write,
)

UPDATE = "UPDATE orders SET total = '1' WHERE id = '1'"
SELECT = "SELECT total FROM orders"
TOTAL = ("total", next(iter(TOTALS.reads)))


def rows(*cells: bytes) -> bytes:
    return b"".join(be.DataRow((cell,)).encode() for cell in cells)


# -- nothing denied goes out ------------------------------------------------------------------------------------------------------


def test_a_denied_statement_never_reaches_the_backend() -> None:
    with script("rea", "production") as play:
        answer = knows(play, write()).client(fe.Query(UPDATE))
        assert tags(answer) == "EZ"
        assert error_of(answer).sqlstate == "42501"
        assert "rule=" in error_of(answer).fields["D"]
        assert play.forwarded() == []
        assert [e["decision"] for e in play.recorder.of_kind("deny")] == ["deny"]
        assert play.recorder.of_kind("intent") == []


def test_a_denied_statement_of_the_extended_protocol_never_reaches_the_backend() -> None:
    with script("rea", "production") as play:
        answer = knows(play, write()).client(
            fe.Parse("", UPDATE), fe.Bind("", ""), fe.Describe("P", ""), fe.Execute(""), fe.Sync()
        )
        assert tags(answer) == "EZ"
        assert error_of(answer).sqlstate == "42501"
        assert play.forwarded() == []


def test_a_batch_is_decided_as_a_whole() -> None:
    with script("rea", "production") as play:
        answer = knows(play, TOTALS, write()).client(fe.Query(f"{SELECT}; {UPDATE}"))
        assert tags(answer) == "EZ"
        assert play.forwarded() == []
        assert play.recorder.of_kind("intent") == []


def test_a_batch_that_changes_names_on_its_way_is_refused_for_masked_principals() -> None:
    with script() as play:
        answer = play.client(fe.Query("SET search_path = other; SELECT email FROM people"))
        assert tags(answer) == "EZ"
        assert "rule=batch-changes-names" in error_of(answer).fields["D"]
        assert play.forwarded() == []


def test_a_statement_that_the_grammar_does_not_know_is_answered_and_not_forwarded() -> None:
    with script() as play:
        play.answer(Analyse, Failed("42601", "", report={"S": "ERROR", "C": "42601", "M": "syntax error"}))
        answer = play.client(fe.Query("SELEC 1"))
        assert tags(answer) == "EZ"
        assert play.forwarded() == []


def test_a_function_call_is_refused() -> None:
    with script() as play:
        answer = play.client(fe.FunctionCall(1, b"\0\0\0\0\0\0"))
        assert tags(answer) == "EZ"
        assert error_of(answer).sqlstate == "0A000"
        assert play.forwarded() == []
        assert play.recorder.of_kind("deny")[0]["rule"] == "function-call"


def test_copy_data_is_ignored_when_no_copy_runs() -> None:
    with script() as play:
        knows(play, TOTALS).client(fe.Query(SELECT))
        assert tags(play.forwarded()) == "Q"
        play.client(fe.CopyData(b"1\n"), fe.CopyDone())
        assert play.forwarded() == []
        assert tags(play.backend(described(TOTAL), rows(b"7"), done("SELECT 1"), ready())) == "TDCZ"


def test_copy_data_passes_while_a_copy_runs_and_not_after_it() -> None:
    copying = Analysis(
        Kind.COPY_IN, relations=frozenset({ORDERS}), accesses=(Access(Action.WRITE, ORDERS, "public.orders"),)
    )
    with script() as play:
        knows(play, copying).client(fe.Query("COPY orders FROM STDIN"))
        assert tags(play.forwarded()) == "Q"
        assert tags(play.backend(be.CopyInResponse(0, (0, 0)))) == "G"
        play.client(fe.CopyData(b"1\t2\n"), fe.CopyDone(), fe.CopyData(b"late"))
        assert tags(play.forwarded()) == "dc"
        assert tags(play.backend(done("COPY 1"), ready())) == "CZ"


@pytest.mark.parametrize("name", ["client_encoding", "names"])
def test_settings_on_which_reading_depends_are_pinned(name: str) -> None:
    text = "SET NAMES 'LATIN1'" if name == "names" else "SET client_encoding = 'LATIN1'"
    with script("uma") as play:
        answer = knows(play, of(Kind.SET)).client(fe.Query(text))
        assert "rule=pinned-setting" in error_of(answer).fields["D"]
        assert play.forwarded() == []


# -- nothing goes out unrecorded --------------------------------------------------------------------------------------------------


def test_nothing_with_an_effect_is_forwarded_before_its_intent_is_durable() -> None:
    with script(durable=False) as play:
        knows(play, write()).client(fe.Query(UPDATE))
        assert play.waiting_for == "Durable"
        assert play.forwarded() == []
        assert len(play.recorder.of_kind("intent")) == 1
        play.commit()
        assert tags(play.forwarded()) == "Q"
        assert tags(play.backend(done("UPDATE 1"), ready())) == "CZ"


def test_a_bound_statement_with_an_effect_waits_for_its_intent_too() -> None:
    with script(durable=False) as play:
        knows(play, write()).client(fe.Parse("", UPDATE), fe.Bind("", ""), fe.Execute(""), fe.Sync())
        assert tags(play.forwarded()) == "P"
        assert play.waiting_for == "Durable"
        play.commit()
        assert tags(play.forwarded()) == "BDES"
        answers = (be.ParseComplete(), be.BindComplete(), be.NoData(), done("UPDATE 1"), ready())
        assert tags(play.backend(*answers)) == "12CZ"


def test_an_effect_free_statement_may_overlap_but_its_answer_waits() -> None:
    with script(durable=False) as play:
        knows(play, TOTALS).client(fe.Query(SELECT))
        assert tags(play.forwarded()) == "Q"
        assert play.backend(described(TOTAL), rows(b"7"), done("SELECT 1"), ready()) == []
        assert tags(play.commit()) == "TDCZ"


def test_a_select_that_is_not_proven_free_of_effects_waits() -> None:
    calling = Analysis(Kind.SELECT, accesses=(Access(Action.READ, ORDERS, "public.orders"),), effect_free=False)
    with script(durable=False) as play:
        knows(play, calling).client(fe.Query("SELECT total FROM orders FOR UPDATE"))
        assert play.forwarded() == []
        play.commit()
        assert tags(play.forwarded()) == "Q"
        assert tags(play.backend(done("SELECT 0"), ready())) == "CZ"


def test_without_a_ledger_nothing_is_forwarded() -> None:
    with script(durable=False) as play:
        knows(play, write()).client(fe.Query(UPDATE))
        answer = play.fail()
        assert tags(answer) == "EZ"
        assert error_of(answer).sqlstate == "58030"
        assert play.forwarded() == []


def test_a_batch_whose_second_intent_cannot_be_written_runs_nothing_and_says_so_of_the_first() -> None:
    with script(durable=False) as play:
        play.answer(Durable, 0, None)
        answer = knows(play, write(), write()).client(fe.Query(f"{UPDATE}; {UPDATE}"))
        assert error_of(answer).sqlstate == "58030"
        assert play.forwarded() == []
        assert [e["status"] for e in play.recorder.of_kind("outcome")] == ["not-run"]


def test_a_denial_that_cannot_be_recorded_says_that_the_ledger_is_down() -> None:
    with script("rea", "production", durable=False) as play:
        knows(play, write()).client(fe.Query(UPDATE))
        answer = play.fail()
        assert error_of(answer).sqlstate == "58030"
        assert play.forwarded() == []


def test_every_answered_statement_has_one_outcome_that_names_its_intent() -> None:
    with script() as play:
        knows(play, TOTALS, write()).client(fe.Query(f"{SELECT}; {UPDATE}"))
        play.forwarded()
        play.backend(described(TOTAL), rows(b"7", b"8"), done("SELECT 2"), done("UPDATE 3"), ready())
        intents = [i for i, e in enumerate(play.recorder.entries) if e["kind"] == "intent"]
        outcomes = play.recorder.of_kind("outcome")
        assert [e["intent"] for e in outcomes] == intents
        assert [(e["rows"], e["affected"], e["status"]) for e in outcomes] == [(2, 2, "complete"), (0, 3, "complete")]


# -- transactions and pipelines ---------------------------------------------------------------------------------------------------


def test_a_refusal_inside_a_pipeline_skips_to_sync_and_spoils_the_implicit_transaction() -> None:
    with script("ann") as play:
        knows(play, write()).client(fe.Parse("a", UPDATE), fe.Bind("", "a"), fe.Execute(""))
        assert tags(play.forwarded()) == "PBDE"
        knows(play, of(Kind.DO)).client(fe.Parse("b", "DO 'x'"), fe.Bind("", "b"), fe.Execute(""), fe.Sync())
        assert tags(play.forwarded()) == "H"
        answer = play.backend(be.ParseComplete(), be.BindComplete(), be.NoData(), done("UPDATE 1"))
        assert tags(answer) == "12CE"
        spoiled = play.forwarded()
        assert tags(spoiled) == "PS"
        assert b"lockgate_refused" in spoiled[0].body
        assert tags(play.backend(failure("42601"), ready())) == "Z"


def test_a_refused_statement_poisons_its_transaction_until_rollback() -> None:
    with script() as play:
        begin(play)
        answer = knows(play, of(Kind.DO)).client(fe.Query("DO 'x'"))
        assert tags(answer) == "EZ"
        assert answer[-1].body == b"E"
        again = play.client(fe.Query(SELECT))
        assert error_of(again).sqlstate == "25P02"
        assert again[-1].body == b"E"
        assert play.forwarded() == []
        knows(play, PLAIN).client(fe.Query("ROLLBACK"))
        assert tags(play.forwarded()) == "Q"
        assert tags(play.backend(done("ROLLBACK"), ready())) == "CZ"


def test_the_commit_of_a_poisoned_transaction_is_spoiled_first() -> None:
    with script() as play:
        begin(play)
        knows(play, of(Kind.DO)).client(fe.Query("DO 'x'"))
        knows(play, PLAIN).client(fe.Query("COMMIT"))
        spoiler = play.forwarded()
        assert tags(spoiler) == "Q"
        assert b"lockgate_refused" in spoiler[0].body
        assert play.backend(failure("42601"), ready("E")) == []
        assert [f.body for f in play.forwarded()] == [b"COMMIT\0"]
        assert tags(play.backend(done("ROLLBACK"), ready())) == "CZ"


def test_the_commit_of_a_poisoned_transaction_is_spoiled_first_in_the_extended_protocol() -> None:
    with script() as play:
        begin(play)
        knows(play, of(Kind.DO)).client(fe.Query("DO 'x'"))
        knows(play, PLAIN).client(fe.Parse("", "COMMIT"), fe.Bind("", ""), fe.Execute(""), fe.Sync())
        assert tags(play.forwarded()) == "PH"
        assert tags(play.backend(be.ParseComplete())) == "1"
        (spoiler,) = play.forwarded()
        assert b"lockgate_refused" in spoiler.body
        assert play.backend(failure("42601"), ready("E")) == []
        assert tags(play.forwarded()) == "BES"
        assert tags(play.backend(be.BindComplete(), done("ROLLBACK"), ready())) == "2CZ"


def test_a_parse_in_a_poisoned_transaction_is_answered_as_the_server_would() -> None:
    with script() as play:
        begin(play)
        knows(play, of(Kind.DO)).client(fe.Query("DO 'x'"))
        answer = play.client(fe.Parse("", SELECT), fe.Bind("", ""), fe.Execute(""), fe.Sync())
        assert error_of(answer).sqlstate == "25P02"
        assert [(chr(f.tag), f.body) for f in answer[1:]] == [("Z", b"E")]
        assert play.forwarded() == []
        knows(play, PLAIN).client(fe.Query("ROLLBACK"))
        play.forwarded()
        play.backend(done("ROLLBACK"), ready())


def test_a_failed_statement_of_a_batch_ends_the_others_as_not_run() -> None:
    with script() as play:
        knows(play, write(), write()).client(fe.Query(f"{UPDATE}; {UPDATE}"))
        play.forwarded()
        assert tags(play.backend(failure(), ready())) == "EZ"
        assert [e["status"] for e in play.recorder.of_kind("outcome")] == ["error", "not-run"]


def test_a_prepared_name_that_is_taken_is_refused_as_the_server_would() -> None:
    with script() as play:
        knows(play, TOTALS).client(fe.Parse("a", SELECT), fe.Sync())
        play.forwarded()
        play.backend(be.ParseComplete(), ready())
        answer = play.client(fe.Parse("a", "SELECT email FROM people"), fe.Sync())
        assert error_of(answer).sqlstate == "42P05"
        assert tags(answer) == "EZ"
        assert play.forwarded() == []


def test_a_name_whose_parse_failed_is_free_again() -> None:
    with script() as play:
        knows(play, TOTALS).client(fe.Parse("a", SELECT), fe.Sync())
        play.forwarded()
        play.backend(failure("42P01"), ready())
        play.client(fe.Parse("a", SELECT), fe.Sync())
        assert tags(play.forwarded()) == "PS"
        play.backend(be.ParseComplete(), ready())


def test_a_closed_name_is_free_again_and_cannot_be_bound() -> None:
    with script() as play:
        knows(play, TOTALS).client(fe.Parse("a", SELECT), fe.Close("S", "a"), fe.Sync())
        play.forwarded()
        play.backend(be.ParseComplete(), be.CloseComplete(), ready())
        answer = play.client(fe.Bind("", "a"), fe.Sync())
        assert error_of(answer).sqlstate == "26000"
        assert tags(answer) == "EZ"
        assert play.forwarded() == []


def test_bind_without_parse_is_refused() -> None:
    with script() as play:
        answer = play.client(fe.Bind("", "nothing"), fe.Execute(""), fe.Sync())
        assert tags(answer) == "EZ"
        assert error_of(answer).sqlstate == "26000"
        assert play.forwarded() == []


def test_several_statements_cannot_be_prepared_as_one() -> None:
    with script() as play:
        answer = play.client(fe.Parse("", f"{SELECT}; {SELECT}"), fe.Sync())
        assert error_of(answer).sqlstate == "42601"
        assert tags(answer) == "EZ"
        assert play.forwarded() == []


def executes(sent: list[Frame]) -> list[int]:
    """The row counts of the Execute messages among some."""
    return [from_client(frame, fe.Execute).max_rows for frame in sent if frame.tag == ord("E")]


def test_rows_whose_order_depends_on_masked_values_are_read_whole_and_handed_out_in_pieces() -> None:
    column = ("email", next(iter(EMAILS.reads)))
    with script() as play:
        knows(play, grouped(column)).client(
            fe.Parse("", "SELECT DISTINCT email FROM people"), fe.Bind("", ""), fe.Execute("", 2), fe.Flush()
        )
        sent = play.forwarded()
        assert tags(sent) == "PBDEH"
        assert executes(sent) == [0]
        stored = [be.DataRow((f"{name}@firm.example".encode(),)) for name in ("zoe", "ann", "bob")]
        play.backend(be.ParseComplete(), be.BindComplete())
        first = play.backend(described(column), *stored, done("SELECT 3"))
        assert tags(first) == "DDs"
        play.client(fe.Execute("", 2), fe.Sync())
        sent = play.forwarded()
        assert executes(sent) == [0]
        last = play.backend(done("SELECT 0"), ready())
        assert tags(last) == "DCZ"
        assert last[1].body == b"SELECT 1\0"
        shown = [frame.body for frame in (*first, *last) if frame.tag == ord("D")]
        assert shown == sorted(shown)
        assert not any(name in body for body in shown for name in (b"zoe", b"ann@", b"bob@"))


def test_who_asks_for_exactly_as_many_rows_as_there_are_asks_once_more() -> None:
    column = ("email", next(iter(EMAILS.reads)))
    with script() as play:
        knows(play, grouped(column)).client(
            fe.Parse("", "SELECT DISTINCT email FROM people"),
            fe.Bind("", ""),
            fe.Execute("", 1),
            fe.Execute("", 0),
            fe.Sync(),
        )
        play.forwarded()
        row = be.DataRow((b"zoe@firm.example",))
        play.backend(be.ParseComplete(), be.BindComplete())
        assert tags(play.backend(described(column), row, done("SELECT 1"))) == "Ds"
        rest = play.backend(done("SELECT 0"), ready())
        assert (rest[0].tag, rest[0].body) == (ord("C"), b"SELECT 0\0")


def test_a_portal_whose_rows_must_be_put_in_order_is_not_read_by_fetch() -> None:
    column = ("email", next(iter(EMAILS.reads)))
    with script() as play:
        knows(play, grouped(column)).client(
            fe.Parse("", "SELECT DISTINCT email FROM people"), fe.Bind("p", ""), fe.Flush()
        )
        play.forwarded()
        play.backend(be.ParseComplete(), be.BindComplete())
        answer = play.client(fe.Query("FETCH 1 FROM p"))
        assert "rule=row-order" in error_of(answer).fields["D"]
        assert "Q" not in tags(play.forwarded())


def test_an_application_name_keeps_the_prefix_that_leads_to_the_ledger() -> None:
    with script() as play:
        knows(play, of(Kind.SET)).client(fe.Query("SET application_name = 'it''s mine'"))
        (sent,) = play.forwarded()
        assert sent.body == b"SET SESSION application_name = 'lg:0123456789ab it''s mine'\0"
        told = play.backend(be.ParameterStatus("application_name", "lg:0123456789ab it's mine"), done("SET"), ready())
        assert told[0].body == b"application_name\0it's mine\0"


def test_after_a_set_the_session_asks_what_names_mean_before_it_judges() -> None:
    with script() as play:
        knows(play, of(Kind.SET)).client(fe.Query("SET search_path = other"))
        play.forwarded()
        play.backend(done("SET"), ready())
        play.client(fe.Query(SELECT))
        assert tags(play.forwarded()) == "PBECCS"
        context = (be.ParseComplete(), be.BindComplete(), be.DataRow((b"other",)), done("SELECT 1"))
        assert play.backend(*context, be.CloseComplete(), be.CloseComplete(), ready()) == []
        asked = [wish for wish in play.asked if isinstance(wish, Analyse)]
        assert asked[-1].search_path == "other"
        knows(play, TOTALS)
        assert tags(play.forwarded()) == "Q"
        play.backend(described(TOTAL), done("SELECT 0"), ready())


def test_a_script_that_is_not_played_to_its_end_says_what_is_left() -> None:
    play = knows(script(), TOTALS)
    with pytest.raises(ScriptError, match="1 answers to Analyse"):
        play.finish()
    play.client(fe.Query(SELECT))
    with pytest.raises(ScriptError, match="message `Q` to the backend, answer of the backend to `query`"):
        play.finish()


def test_a_ledger_that_fails_inside_a_transaction_poisons_it() -> None:
    with script(durable=False) as play:
        knows(play, PLAIN).client(fe.Query("BEGIN"))
        play.commit()
        assert tags(play.forwarded()) == "Q"
        play.backend(done("BEGIN"), ready("T"))
        knows(play, write()).client(fe.Query(UPDATE))
        answer = play.fail()
        assert (error_of(answer).sqlstate, answer[-1].body) == ("58030", b"E")
        assert error_of(play.client(fe.Query(SELECT))).sqlstate == "25P02"
        assert play.forwarded() == []
        play.conversation.ended = True


def test_a_text_that_is_too_long_to_be_judged_is_refused_before_it_is_read() -> None:
    long = "SELECT 1 -- " + "x" * (1 << 20)
    with script() as play:
        for messages in ((fe.Query(long),), (fe.Parse("", long), fe.Sync())):
            answer = play.client(*messages)
            assert tags(answer) == "EZ"
            assert error_of(answer).sqlstate == "54000"
            assert play.forwarded() == []


def test_a_text_that_could_be_read_in_two_ways_is_refused() -> None:
    with script() as play:
        play.conversation.reported["standard_conforming_strings"] = "off"
        answer = play.client(fe.Query("SELECT 'a\\' || total FROM orders"))
        assert "rule=string-escapes" in error_of(answer).fields["D"]
        assert play.forwarded() == []


def test_after_a_definition_the_next_statement_is_judged_over_a_fresh_catalog() -> None:
    with script("ann") as play:
        knows(play, of(Kind.CREATE)).client(fe.Query("CREATE TABLE t(id text)"))
        play.forwarded()
        play.backend(done("CREATE TABLE"), ready())
        knows(play, TOTALS).client(fe.Query(SELECT))
        assert sum(isinstance(wish, FreshCatalog) for wish in play.asked) == 1
        play.forwarded()
        play.backend(described(TOTAL), done("SELECT 0"), ready())
