"""The corpora as tests: nothing leaks, nothing differs between twins, clear answers are the server's own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.canaries import Canaries
from corpus.cases import read_cases, read_protocol, read_setup, split
from corpus.client import Answer
from corpus.compare import Pairs, difference
from corpus.judge import FAILURES, LEAK, TWIN, Judge, Verdict
from corpus.report import working_share
from corpus.second import second_cases, second_world
from corpus.stage import Stage
from corpus.third import third_benign, third_cases, third_world
from corpus.twins import World, corpus_world
from lockgate.testing.engines import debian_installation
from lockgate.wire.postgres import backend as be
from lockgate.wire.postgres import tags
from lockgate.wire.postgres.frames import Frame

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "corpus"
ATTACKS, BENIGN = CORPUS / "masking_attacks.sql", CORPUS / "masking_benign.sql"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    if not ATTACKS.exists():
        pytest.skip("the shared corpus is not beside the repository")
    if debian_installation(15) is None:
        pytest.skip("Debian package postgresql-15 is not installed")
    with Stage([corpus_world(read_setup(ATTACKS)), second_world(), third_world()]) as running:
        yield running


def world_of(stage: Stage, name: str) -> World:
    return next(world for world in stage.worlds if world.name == name)


def failed(verdicts: list[Verdict]) -> list[str]:
    return [f"{v.case}: {v.verdict}: {v.remarks}" for v in verdicts if v.verdict in FAILURES]


def test_a_position_behind_masks_of_other_lengths_is_the_same_position() -> None:
    pairs = Pairs()
    pairs.learn("t.c", b"u_abcd", b"u_abcdefg")

    def failed_at(position: int, text: str) -> Answer:
        return Answer([Frame(tags.ERROR_RESPONSE, b"SERROR\0C42703\0P%d\0\0" % position)], sent=text)

    here, there = "SELECT 'u_abcd', x", "SELECT 'u_abcdefg', x"
    assert difference([failed_at(18, here)], [failed_at(21, there)], pairs) is None
    assert difference([failed_at(8, here)], [failed_at(8, there)], pairs) is None
    assert difference([failed_at(18, here)], [failed_at(18, there)], pairs) is not None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_attack_of_the_corpus_shows_a_masked_value_or_tells_twins_apart(stage: Stage) -> None:
    judge = Judge(stage, world_of(stage, "corpus"))
    assert failed([judge.attack(case) for case in read_cases(ATTACKS)]) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_generated_attack_on_the_second_schema_shows_a_masked_value_or_tells_twins_apart(stage: Stage) -> None:
    judge = Judge(stage, world_of(stage, "second"))
    assert failed([judge.attack(case) for case in second_cases()]) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_generated_attack_on_the_third_schema_shows_a_masked_value_or_tells_twins_apart(stage: Stage) -> None:
    judge = Judge(stage, world_of(stage, "third"))
    assert failed([judge.attack(case) for case in third_cases()]) == []
    assert failed([judge.benign(case) for case in third_benign()]) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_benign_cases_are_answered_as_the_server_would_and_half_of_them_work(stage: Stage) -> None:
    judge = Judge(stage, world_of(stage, "corpus"))
    verdicts = [judge.benign(case) for case in read_cases(BENIGN)]
    assert failed(verdicts) == []
    assert working_share(verdicts) >= 0.5


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_checks_find_the_leaks_of_a_server_without_a_gate(stage: Stage) -> None:
    judge = Judge(stage, world_of(stage, "corpus"), direct=True)
    shown = [
        judge.attack(case) for case in read_cases(ATTACKS) if case.name in {"A001", "A019", "A020", "A032", "A161"}
    ]
    # What can be made of a date is found by the twins alone, but for a piece that stands in it by chance.
    assert [(v.case, v.verdict) for v in shown if v.verdict != LEAK and (v.case, v.verdict) != ("A032", TWIN)] == []
    assert len(shown) == 5


def test_statements_are_cut_where_psql_cuts_them() -> None:
    text = "SELECT ';'; SELECT E'\\';'; DO $x$ BEGIN; END $x$; /* ; /* ; */ ; */ SELECT 1 -- ;\n; SELECT \"a;b\""
    assert [s[-12:] for s in split(text)] == [
        "SELECT ';'",
        "ELECT E'\\';'",
        "GIN; END $x$",
        "ELECT 1 -- ;",
        'SELECT "a;b"',
    ]


def test_protocol_lines_are_understood_and_unknown_words_are_errors() -> None:
    assert read_protocol('extended bind=["a b", 3]').bind == ("a b", "3")
    assert read_protocol("extended bind=auto").bind_auto
    assert read_protocol("fastpath f_email(1)").fastpath == "f_email(1)"
    assert read_protocol("startup replication=database").startup == (("replication", "database"),)
    assert read_protocol("simple repeat-paren=5000").parens == 5000
    with pytest.raises(ValueError, match="unknown word"):
        read_protocol("extended sideways")


@pytest.mark.parametrize(
    "shown",
    [
        b"quenby-77",
        b"QUENBY-77",
        b"77-ybneuq",
        base64.b64encode(b"quenby-77"),
        base64.b64encode(b"x" + b"quenby-77"),
        b"quenby-77".hex().encode(),
        hashlib.md5(b"quenby-77").hexdigest().encode(),
        hashlib.sha256(b"quenby-77").hexdigest().encode(),
        b"say: enby-7!",
    ],
)
def test_canaries_are_found_in_every_transform(shown: bytes) -> None:
    canaries = Canaries([("t.c", "quenby-77", "aslopt-31")])
    assert list(canaries.look(b"..." + shown + b"..."))


def test_a_piece_that_the_client_sent_or_that_twins_share_is_no_canary() -> None:
    canaries = Canaries([("t.c", "quenby@mail.example", "aslopt@mail.example")])
    assert not list(canaries.look(b"quenby", own=b"select 'quenby'"))
    assert not list(canaries.look(b"@mail.example"))


def rows(*values: bytes) -> Answer:
    return Answer([Frame(tags.DATA_ROW, be.encode_row([value])[5:]) for value in values])


def test_twins_may_differ_by_learned_masks_and_by_nothing_else() -> None:
    pairs = Pairs()
    pairs.learn("c", b"u_aaaa", b"u_cccc")
    pairs.learn("c", b"u_bbbb", b"u_dddd")
    assert difference([rows(b"u_bbbb", b"1")], [rows(b"u_dddd", b"1")], pairs) is None
    assert difference([rows(b"x u_bbbb,u_aaaa")], [rows(b"x u_dddd,u_cccc")], pairs) is None
    assert difference([rows(b"u_bbbb")], [rows(b"u_cccc")], pairs) is not None
    assert difference([rows(b"5")], [rows(b"6")], pairs) is not None
    assert difference([rows(b"1", b"1")], [rows(b"1")], pairs) is not None


def test_rows_may_stand_in_another_order_only_where_both_twins_sort_them_by_their_masks() -> None:
    pairs = Pairs()
    pairs.learn("c", b"u_aaaa", b"u_dddd")
    pairs.learn("c", b"u_bbbb", b"u_cccc")
    assert difference([rows(b"u_aaaa", b"u_bbbb")], [rows(b"u_cccc", b"u_dddd")], pairs) is None
    assert difference([rows(b"u_bbbb", b"u_aaaa")], [rows(b"u_dddd", b"u_cccc")], pairs) is not None


def test_rows_that_are_sorted_by_their_masks_may_be_read_in_pieces() -> None:
    pairs = Pairs()
    pairs.learn("c", b"u_aaaa", b"u_dddd")
    pairs.learn("c", b"u_bbbb", b"u_cccc")
    cut = Frame(tags.PORTAL_SUSPENDED, b"")
    here = Answer([*rows(b"u_aaaa").frames, cut, *rows(b"u_bbbb").frames, cut])
    there = Answer([*rows(b"u_cccc").frames, cut, *rows(b"u_dddd").frames, cut])
    assert difference([here], [there], pairs) is None
    assert difference([here], [Answer([*rows(b"u_cccc", b"u_dddd").frames, cut, cut])], pairs) is not None


def binary_row(*fields: bytes) -> bytes:
    return len(fields).to_bytes(4, "big") + b"".join(b"\0\0\0\x19" + len(f).to_bytes(4, "big") + f for f in fields)


def test_masks_of_other_lengths_inside_a_whole_row_in_binary_are_no_difference() -> None:
    pairs = Pairs()
    pairs.learn("c", b"u_aaaa", b"u_cccccc")
    here, there = binary_row(b"u_aaaa", b"x"), binary_row(b"u_cccccc", b"x")
    assert difference([rows(here)], [rows(there)], pairs) is None
    assert difference([rows(binary_row(b"u_aaaa", b"y"))], [rows(there)], pairs) is not None
    assert difference([rows(here)], [rows(there + b"z")], pairs) is not None


def copied(header: bytes, *data: bytes) -> Answer:
    return Answer([Frame(tags.COPY_OUT_RESPONSE, header), *(Frame(tags.COPY_DATA, part) for part in data)])


def test_copied_rows_are_compared_as_rows_in_every_format() -> None:
    pairs = Pairs()
    pairs.learn("c", b"u_aaaa", b"u_dddd")
    pairs.learn("c", b"u_bbbb", b"u_cccc")
    head = b"\0\0\2" + bytes(4)
    assert (
        difference([copied(head, b"u_aaaa\t1\nu_bbbb\t2\n")], [copied(head, b"u_cccc\t2\n", b"u_dddd\t1\n")], pairs)
        is None
    )
    assert difference([copied(head, b"u_aaaa,1\nu_bbbb,\n")], [copied(head, b"u_cccc,\nu_dddd,1\n")], pairs) is None
    assert (
        difference([copied(head, b"u_bbbb\t1\nu_aaaa\t2\n")], [copied(head, b"u_dddd\t2\nu_cccc\t1\n")], pairs)
        is not None
    )
    binary = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    rows = [b"\0\1\0\0\0\6" + value for value in (b"u_aaaa", b"u_bbbb", b"u_cccc", b"u_dddd")]
    ends = b"\xff\xff"
    sent = (
        copied(b"\1\0\1\0\1", binary, rows[0], rows[1], ends),
        copied(b"\1\0\1\0\1", binary + rows[2] + rows[3] + ends),
    )
    assert difference([sent[0]], [sent[1]], pairs) is None
    assert difference([sent[0]], [copied(b"\1\0\1\0\1", binary + rows[3] + ends)], pairs) is not None


def test_generated_cases_have_names_of_their_own() -> None:
    names = [case.name for case in (*second_cases(), *third_cases(), *third_benign())]
    assert len(set(names)) == len(names) > 700
    assert all(case.statements for case in second_cases())
