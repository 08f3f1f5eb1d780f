"""Names of prepared statements, cursors and portals: a name that comes to mean something else never carries another plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lockgate.model.catalog import Catalog
from lockgate.model.identity import Identity, Principal, PrincipalKind
from lockgate.model.statement import Access, Action, Analysis, Kind
from lockgate.policy.engine import Engine, PolicySet
from lockgate.policy.starter import STARTER
from lockgate.session.wishes import Analyse, Failed, Hold, HoldEnded
from lockgate.testing.script import NOON, Message, Script
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import frontend as fe
from lockgate.wire.postgres.frames import Frame
from support.scripted import (
    CITIES,
    CITY,
    EMAIL,
    EMAILS,
    begin,
    catalog,
    described,
    done,
    engine,
    error_of,
    failure,
    knows,
    of,
    ready,
    script,
    tags,
    who,
    write,
)

RAW = b"raw@value.example"
READ_EMAIL, READ_CITY = "SELECT email FROM people", "SELECT city FROM people"
ROWS = (described(("email", EMAIL)), be.DataRow((RAW,)), done("SELECT 1"))


def asked(
    play: Script,
    text: str,
    *analyses: Analysis,
    answers: tuple[Message, ...],
    status: str,
) -> None:
    """One simple query with the backend's answer, if it was forwarded."""
    if analyses:
        knows(play, *analyses)
    play.client(fe.Query(text))
    if play.forwarded():
        play.backend(*answers, ready(status))


def told(play: Script, status: str) -> list[Frame]:
    """The answer to what was just sent: the raw value, from a server that does what the names now mean."""
    shown = play.shown()
    return shown + play.backend(*ROWS, ready(status)) if play.forwarded() else shown


def safe(play: Script, shown: list[Frame]) -> None:
    assert RAW not in b"".join(frame.body for frame in shown)
    play.conversation.ended = True


def test_a_second_prepare_that_fails_does_not_change_what_execute_shows() -> None:
    with script() as play:
        asked(play, f"PREPARE s AS {READ_EMAIL}", EMAILS, answers=(done("PREPARE"),), status="I")
        asked(play, f"PREPARE s AS {READ_CITY}", CITIES, answers=(failure("42P05"),), status="I")
        play.client(fe.Query("EXECUTE s"))
        safe(play, told(play, "I"))


def test_a_second_declare_that_fails_does_not_change_what_fetch_shows() -> None:
    with script() as play:
        begin(play)
        asked(play, f"DECLARE c CURSOR FOR {READ_EMAIL}", EMAILS, answers=(done("DECLARE CURSOR"),), status="T")
        asked(play, "SAVEPOINT x", of(Kind.TRANSACTION), answers=(done("SAVEPOINT"),), status="T")
        asked(play, f"DECLARE c CURSOR FOR {READ_CITY}", CITIES, answers=(failure("42P03"),), status="E")
        asked(play, "ROLLBACK TO x", of(Kind.TRANSACTION), answers=(done("ROLLBACK"),), status="T")
        play.client(fe.Query("FETCH 1 FROM c"))
        safe(play, told(play, "T"))


@pytest.mark.parametrize("forget", ["DEALLOCATE s", "DEALLOCATE ALL", "DISCARD ALL"])
def test_a_name_prepared_by_protocol_and_given_up_in_sql_cannot_be_bound(forget: str) -> None:
    kind = Kind.DISCARD if forget.startswith("DISCARD") else Kind.DEALLOCATE
    with script() as play:
        knows(play, CITIES).client(fe.Parse("s", READ_CITY), fe.Sync())
        play.forwarded()
        play.backend(be.ParseComplete(), ready())
        asked(play, forget, of(kind), answers=(done(forget.split(maxsplit=1)[0]),), status="I")
        shown = play.client(fe.Bind("", "s"), fe.Describe("P", ""), fe.Execute(""), fe.Sync())
        assert error_of(shown).sqlstate == "26000"
        assert play.forwarded() == []


@pytest.mark.parametrize("taken", [True, False])
def test_a_portal_of_the_protocol_cannot_stand_in_for_a_cursor_of_sql(taken: bool) -> None:
    with script() as play:
        begin(play)
        asked(play, f"DECLARE c CURSOR FOR {READ_EMAIL}", EMAILS, answers=(done("DECLARE CURSOR"),), status="T")
        asked(play, "SAVEPOINT x", of(Kind.TRANSACTION), answers=(done("SAVEPOINT"),), status="T")
        knows(play, CITIES).client(fe.Parse("z", READ_CITY), fe.Bind("c" if taken else "cursor c", "z"), fe.Sync())
        play.forwarded()
        if taken:
            play.backend(be.ParseComplete(), failure("42P03"), ready("E"))
            asked(play, "ROLLBACK TO x", of(Kind.TRANSACTION), answers=(done("ROLLBACK"),), status="T")
        else:
            play.backend(be.ParseComplete(), be.BindComplete(), ready("T"))
        play.client(fe.Query("FETCH 1 FROM c"))
        safe(play, told(play, "T"))


def test_a_cursor_that_was_closed_and_declared_again_is_shown_by_what_it_is_now() -> None:
    with script() as play:
        begin(play)
        asked(play, f"DECLARE c CURSOR FOR {READ_CITY}", CITIES, answers=(done("DECLARE CURSOR"),), status="T")
        asked(play, "CLOSE c", of(Kind.CLOSE), answers=(done("CLOSE CURSOR"),), status="T")
        asked(play, f"DECLARE c CURSOR FOR {READ_EMAIL}", EMAILS, answers=(done("DECLARE CURSOR"),), status="T")
        play.client(fe.Query("FETCH 1 FROM c"))
        shown = told(play, "T")
        assert tags(shown) == "TDCZ"
        safe(play, shown)


@pytest.mark.parametrize("forget", ["CLOSE c", "CLOSE ALL", "DISCARD ALL"])
def test_a_cursor_that_was_closed_is_not_known_any_more(forget: str) -> None:
    kind = Kind.DISCARD if forget.startswith("DISCARD") else Kind.CLOSE
    with script() as play:
        declare = f"DECLARE c CURSOR WITH HOLD FOR {READ_CITY}"
        asked(play, declare, CITIES, answers=(done("DECLARE CURSOR"),), status="I")
        asked(play, forget, of(kind), answers=(done(forget.split(maxsplit=1)[0]),), status="I")
        shown = play.client(fe.Query("FETCH 1 FROM c"))
        if kind is Kind.DISCARD:
            play.forwarded()
            shown += play.backend(*context(b"public"))
        assert error_of(shown).sqlstate == "34000"
        assert play.forwarded() == []


@pytest.mark.parametrize(
    "text",
    [
        f"CLOSE s; DECLARE s CURSOR FOR {READ_EMAIL}; FETCH 1 FROM s",
        f"DECLARE t CURSOR FOR {READ_EMAIL}; FETCH 1 FROM s",
        "CLOSE s; FETCH 1 FROM s",
    ],
)
def test_a_batch_that_makes_a_name_anew_is_not_judged_by_what_the_name_was(text: str) -> None:
    with script() as play:
        begin(play)
        asked(play, f"DECLARE s CURSOR FOR {READ_CITY}", CITIES, answers=(done("DECLARE CURSOR"),), status="T")
        shown = play.client(fe.Query(text))
        assert "rule=batch-changes-names" in error_of(shown).fields["D"]
        assert shown[-1].body == b"E"
        assert play.forwarded() == []


def test_a_fetch_in_the_batch_that_declares_its_cursor_is_shown_by_what_it_declares() -> None:
    """As psqlODBC reads with `UseDeclareFetch`; an older cursor of the name has no say in it."""
    with script() as play:
        begin(play)
        asked(play, f"DECLARE s CURSOR FOR {READ_CITY}", CITIES, answers=(done("DECLARE CURSOR"),), status="T")
        knows(play, EMAILS).client(fe.Query(f"DECLARE s CURSOR FOR {READ_EMAIL}; FETCH 1 FROM s"))
        assert tags(play.forwarded()) == "Q"
        shown = play.backend(done("DECLARE CURSOR"), *ROWS, ready("T"))
        assert tags(shown) == "CTDCZ"
        safe(play, shown)


def test_a_bound_fetch_is_not_shown_by_what_its_cursor_was_at_bind() -> None:
    with script() as play:
        begin(play)
        asked(play, f"DECLARE c CURSOR FOR {READ_CITY}", CITIES, answers=(done("DECLARE CURSOR"),), status="T")
        play.client(fe.Parse("x", "FETCH 1 FROM c"), fe.Bind("f", "x"), fe.Sync())
        assert tags(play.forwarded()) == "PH"
        play.backend(be.ParseComplete())
        assert tags(play.forwarded()) == "BS"
        play.backend(be.BindComplete(), ready("T"))
        asked(play, "CLOSE c", of(Kind.CLOSE), answers=(done("CLOSE CURSOR"),), status="T")
        asked(play, f"DECLARE c CURSOR FOR {READ_EMAIL}", EMAILS, answers=(done("DECLARE CURSOR"),), status="T")
        shown = play.client(fe.Execute("f"), fe.Sync())
        assert error_of(shown).sqlstate == "34000"
        assert "rule=cursor-changed" in error_of(shown).fields["D"]
        assert shown[-1].body == b"E"
        assert play.forwarded() == []


@pytest.mark.parametrize("what", ["labels", "policies"])
def test_a_cursor_that_was_declared_under_other_labels_or_policies_is_declared_again(what: str) -> None:
    with script() as play:
        begin(play)
        asked(play, f"DECLARE c CURSOR FOR {READ_CITY}", CITIES, answers=(done("DECLARE CURSOR"),), status="T")
        if what == "labels":
            play.around.catalog = catalog(generation=2)
        else:
            play.around.engine = engine()
        shown = play.client(fe.Query("FETCH 1 FROM c"))
        assert error_of(shown).sqlstate == "34000"
        assert "rule=cursor-outdated" in error_of(shown).fields["D"]
        assert play.forwarded() == []


@pytest.mark.parametrize(
    "text",
    [f"DECLARE lockgate_context CURSOR FOR {READ_CITY}", "CLOSE lockgate_context", "DEALLOCATE lockgate_context"],
)
def test_the_gate_s_own_names_are_not_the_client_s(text: str) -> None:
    for name in ("ann", "uma"):
        with script(name) as play:
            shown = play.client(fe.Query(text))
            assert "rule=reserved-name" in error_of(shown).fields["D"]
            assert play.forwarded() == []


def test_the_gate_s_own_names_cannot_be_parsed_or_bound() -> None:
    with script() as play:
        for messages in ((fe.Parse("lockgate_context", READ_CITY),), (fe.Bind("lockgate_context", ""),)):
            shown = play.client(*messages, fe.Sync())
            assert tags(shown) == "EZ"
            assert "rule=reserved-name" in error_of(shown).fields["D"]
            assert play.forwarded() == []


def context(*found: bytes) -> tuple[Message, ...]:
    """The server's answer to the session's own question where names resolve."""
    rows: tuple[Message, ...] = tuple(be.DataRow((cell,)) for cell in found)
    told: tuple[Message, ...] = (be.ParseComplete(), be.BindComplete(), *rows, done("SELECT 1"))
    end: tuple[Message, ...] = (be.CloseComplete(), be.CloseComplete(), ready())
    return told + end


def test_a_session_that_touched_its_names_judges_nothing_without_knowing_where_they_resolve() -> None:
    with script() as play:
        asked(play, "SET search_path = other", of(Kind.SET), answers=(done("SET"),), status="I")
        for _ in range(2):
            play.client(fe.Query(READ_EMAIL))
            assert tags(play.forwarded()) == "PBECCS"
            shown = play.backend(*context())
            assert error_of(shown).sqlstate == "57P03"
            assert "rule=names-unknown" in error_of(shown).fields["D"]
            assert play.forwarded() == []


def test_a_decision_made_before_is_not_used_where_names_may_resolve_elsewhere() -> None:
    with script() as play:
        asked(play, READ_CITY, CITIES, answers=(described(("city", CITY)), done("SELECT 0")), status="I")
        asked(play, "SET search_path = other", of(Kind.SET), answers=(done("SET"),), status="I")
        play.client(fe.Query(READ_CITY))
        assert tags(play.forwarded()) == "PBECCS"
        shown = play.backend(*context())
        assert play.forwarded() == []
        assert error_of(shown).sqlstate == "57P03"


def test_a_batch_judged_before_the_session_touched_its_names_is_judged_anew() -> None:
    text = "ROLLBACK; UPDATE orders SET total = '1'"
    with script() as play:
        begin(play)
        answers = (done("ROLLBACK"), done("UPDATE 1"))
        asked(play, text, of(Kind.TRANSACTION), write(), answers=answers, status="I")
        asked(play, "SET search_path = other", of(Kind.SET), answers=(done("SET"),), status="I")
        for first in ("BEGIN", "SET search_path = public"):
            if first != "BEGIN":
                knows(play, of(Kind.SET))
            play.client(fe.Query(first))
            assert tags(play.forwarded()) == "Q"
            play.backend(done(first.split(maxsplit=1)[0]), ready("T"))
        play.client(fe.Query(text))
        assert tags(play.forwarded()) == "PBECCS"
        shown = play.backend(*context(b"public")[:-1], ready("T"))
        assert play.forwarded() == []
        assert "rule=batch-changes-names" in error_of(shown).fields["D"]


def test_set_config_moves_names_as_set_does() -> None:
    calls = replace(of(Kind.SELECT), functions=("pg_catalog.set_config",))
    with script() as play:
        asked(play, "SELECT set_config('search_path', 'other', false)", calls, answers=(done("SELECT 1"),), status="I")
        knows(play, CITIES).client(fe.Query(READ_CITY))
        assert tags(play.forwarded()) == "PBECCS"
        play.backend(*context(b"other"))
        assert tags(play.forwarded()) == "Q"
        play.backend(*ROWS, ready("I"))
        text = f"SELECT set_config('search_path', 'public', false); {READ_CITY}"
        knows(play, calls, CITIES).client(fe.Query(text))
        play.forwarded()
        shown = play.backend(*context(b"other"))
        assert "rule=batch-changes-names" in error_of(shown).fields["D"]
        assert play.forwarded() == []


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT", "ROLLBACK TO x"])
def test_a_batch_in_which_a_transaction_may_give_back_another_search_path_is_refused(end: str) -> None:
    with script() as play:
        asked(play, "SET search_path = other", of(Kind.SET), answers=(done("SET"),), status="I")
        play.client(fe.Query(f"{end}; {READ_EMAIL}"))
        assert tags(play.forwarded()) == "PBECCS"
        shown = play.backend(*context(b"other"))
        assert "rule=batch-changes-names" in error_of(shown).fields["D"]
        assert play.forwarded() == []


def test_drift_of_an_answer_without_labelled_columns_is_withheld_from_masked_principals() -> None:
    with script() as play:
        knows(play, CITIES).client(fe.Query("SELECT * FROM things"))
        shown = told(play, "I")
        assert "rule=drift" in error_of(shown).fields["D"]
        safe(play, shown)


def test_the_shape_of_an_answer_is_compared_even_when_the_client_does_not_ask_for_it() -> None:
    with script() as play:
        knows(play, CITIES).client(fe.Parse("", READ_CITY), fe.Bind("", ""), fe.Execute(""), fe.Sync())
        assert tags(play.forwarded()) == "PBDES"
        shown = play.backend(be.ParseComplete(), be.BindComplete(), *ROWS, ready())
        assert tags(shown) == "12EZ"
        safe(play, shown)


def test_a_statement_that_could_not_be_analysed_is_not_permitted_as_a_read() -> None:
    rule = (
        '@id("dan") @reason("dan defines") permit (principal == Person::"dan", action == Action::"define", resource);'
    )
    dan = Principal("dan", PrincipalKind.PERSON, ("unmaskers",))
    policies = Engine(PolicySet.load({**STARTER, "dan.cedar": rule}), {"dan": dan})
    identity = Identity(dan, None, "token-1", NOON + timedelta(hours=1))
    create = Analysis(Kind.CREATE, accesses=(Access(Action.DEFINE, 0, ""),))
    with Script(identity, catalog("production"), policies) as play:
        asked(play, "CREATE TABLE t(id text)", create, answers=(done("CREATE TABLE"),), status="I")
        play.answer(Analyse, Failed("42P01", "", report={"S": "ERROR", "C": "42P01", "M": "no such table"}))
        play.client(fe.Query("WITH d AS (DELETE FROM orders RETURNING id) SELECT * FROM d JOIN t USING (id)"))
        assert play.forwarded() == []


def test_what_only_the_open_transaction_can_see_is_not_taken_for_a_bounded_write() -> None:
    rule = """@id("dan-defines") @reason("dan defines") permit (principal == Person::"dan", action == Action::"define", resource);
@id("dan-writes") @reason("dan writes few rows") permit (principal == Person::"dan", action == Action::"write", resource)
when { context.statement.bounded };"""
    dan = Principal("dan", PrincipalKind.PERSON, ("unmaskers",))
    policies = Engine(PolicySet.load({**STARTER, "dan.cedar": rule}), {"dan": dan})
    identity = Identity(dan, None, "token-1", NOON + timedelta(hours=1))
    create = Analysis(Kind.CREATE, accesses=(Access(Action.DEFINE, 0, ""),))
    with Script(identity, catalog("production"), policies) as play:
        begin(play)
        asked(play, "CREATE TABLE t(id text)", create, answers=(done("CREATE TABLE"),), status="T")
        play.answer(Analyse, Failed("42P01", "", report={"S": "ERROR", "C": "42P01", "M": "no such table"}))
        shown = play.client(fe.Query("DELETE FROM orders USING t"))
        assert play.forwarded() == []
        assert error_of(shown).sqlstate == "42501"


def test_an_error_of_the_gate_s_own_fails_the_transaction_as_the_server_s_would() -> None:
    for message in (fe.Bind("", "nothing"), fe.FunctionCall(1, b"\0\0\0\0\0\0"), fe.Parse("", "SELECT 1; SELECT 2")):
        with script("uma") as play:
            begin(play)
            shown = play.client(message, fe.Sync())
            if "S" in tags(play.forwarded()):
                shown += play.backend(ready("T"))
            assert len(error_of(shown).sqlstate) == 5
            assert shown[-1].body == b"E"
            play.conversation.ended = True


def test_an_error_of_the_gate_s_own_spoils_what_its_pipeline_did_before() -> None:
    with script() as play:
        knows(play, write()).client(fe.Parse("", "UPDATE orders SET total = '1'"), fe.Bind("", ""), fe.Execute(""))
        assert tags(play.forwarded()) == "PBDE"
        play.client(fe.Bind("", "nothing"), fe.Sync())
        assert tags(play.forwarded()) == "H"
        shown = play.backend(be.ParseComplete(), be.BindComplete(), be.NoData(), done("UPDATE 1"))
        assert error_of(shown).sqlstate == "26000"
        assert tags(play.forwarded()) == "PS"
        play.conversation.ended = True


def test_a_principal_that_lost_its_group_is_judged_anew() -> None:
    with script() as play:
        asked(play, "UPDATE orders SET total = '1'", write(), answers=(done("UPDATE 1"),), status="I")
        play.around.engine = engine(ann=Principal("ann", PrincipalKind.PERSON, disabled=True))
        knows(play, write())
        shown = play.client(fe.Query("UPDATE orders SET total = '1'"))
        assert error_of(shown).sqlstate == "42501"
        assert play.forwarded() == []


def test_a_label_that_was_set_while_a_statement_waited_for_approval_is_kept() -> None:
    returning = Analysis(
        Kind.UPDATE, EMAILS.outputs, EMAILS.uses, EMAILS.levels, EMAILS.reads, EMAILS.relations,
        write().accesses, write().writes, row_description=EMAILS.row_description,
    )  # fmt: skip
    unlabelled: Catalog = catalog("production", label="none")
    with Script(who("ann"), unlabelled, engine()) as play:
        knows(play, returning).client(fe.Query("UPDATE people SET city = 'x' WHERE id = '1' RETURNING email"))
        play.around.catalog = catalog("production", generation=2)
        play.answer(Hold, HoldEnded("approved", "boss"))
        shown = told(play, "I")
        assert "rule=changed-while-held" in error_of(shown).fields["D"]
        safe(play, shown)
