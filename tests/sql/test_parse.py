from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import RefusedStatementError
from lockgate.model.statement import Kind, Parsed
from lockgate.sql.parse import MAX_SHAPE, reading_alike, split_and_parse


def one(text: str) -> Parsed:
    (parsed,) = split_and_parse(text)
    return parsed


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", Kind.EMPTY), (" ; -- nothing\n", Kind.EMPTY), ("SELECT 1", Kind.SELECT), ("TABLE a", Kind.SELECT),
        ("VALUES (1)", Kind.SELECT), ("INSERT INTO a VALUES (1)", Kind.INSERT), ("UPDATE a SET b = 1", Kind.UPDATE),
        ("DELETE FROM a", Kind.DELETE), ("MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE", Kind.MERGE),
        ("COPY a TO STDOUT", Kind.COPY_OUT), ("COPY a FROM STDIN", Kind.COPY_IN), ("COPY a FROM '/x'", Kind.COPY_FILE),
        ("COPY (SELECT 1) TO PROGRAM 'x'", Kind.COPY_FILE), ("EXPLAIN SELECT 1", Kind.EXPLAIN),
        ("DECLARE c CURSOR FOR SELECT 1", Kind.DECLARE), ("FETCH 1 FROM c", Kind.FETCH), ("MOVE 1 IN c", Kind.FETCH),
        ("CLOSE c", Kind.CLOSE), ("PREPARE p AS SELECT 1", Kind.PREPARE), ("EXECUTE p", Kind.EXECUTE),
        ("DEALLOCATE p", Kind.DEALLOCATE), ("BEGIN", Kind.TRANSACTION), ("SET jit = off", Kind.SET), ("RESET ALL", Kind.SET),
        ("SET CONSTRAINTS ALL DEFERRED", Kind.SET), ("SHOW jit", Kind.SHOW), ("DISCARD ALL", Kind.DISCARD),
        ("TRUNCATE a", Kind.TRUNCATE), ("DROP TABLE a", Kind.DROP), ("ALTER TABLE a ADD b int", Kind.ALTER),
        ("ALTER SYSTEM SET jit = off", Kind.ALTER), ("CREATE TABLE a (b int)", Kind.CREATE), ("CREATE VIEW a AS SELECT 1", Kind.CREATE),
        ("CREATE TABLE a AS SELECT 1", Kind.CREATE_TABLE_AS), ("SELECT 1 AS b INTO a", Kind.CREATE_TABLE_AS),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", Kind.CREATE_FUNCTION), ("GRANT SELECT ON a TO b", Kind.GRANT),
        ("CREATE ROLE a", Kind.ROLE), ("DO 'BEGIN END'", Kind.DO), ("CALL p()", Kind.CALL), ("LOCK a", Kind.LOCK),
        ("LISTEN a", Kind.LISTEN), ("NOTIFY a, 'b'", Kind.LISTEN), ("VACUUM a", Kind.MAINTENANCE), ("COMMENT ON TABLE a IS 'b'", Kind.COMMENT),
        ("LOAD 'x'", Kind.OTHER),
    ],
)  # fmt: skip
def test_each_statement_has_its_kind(text: str, kind: Kind) -> None:
    assert one(text).kind is kind


def test_statements_are_cut_at_their_own_bytes() -> None:
    first, second = split_and_parse("SELECT 'é' ; -- c\n /* d */ SELECT 'ü', 2; ")
    assert (first.text, second.text) == ("SELECT 'é'", "SELECT 'ü', 2")


@pytest.mark.parametrize(
    ("text", "inner", "kind"),
    [
        (
            "EXPLAIN (ANALYZE, FORMAT json) SELECT a FROM t WHERE x = 'SELECT'",
            "SELECT a FROM t WHERE x = 'SELECT'",
            Kind.SELECT,
        ),
        ("EXPLAIN ANALYZE VERBOSE DELETE FROM t", "DELETE FROM t", Kind.DELETE),
        ("DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT * FROM t", "SELECT * FROM t", Kind.SELECT),
        ("PREPARE p(int) AS SELECT $1", "SELECT $1", Kind.SELECT),
        ("COPY (SELECT a, ')' FROM t) TO STDOUT (FORMAT csv)", "SELECT a, ')' FROM t", Kind.SELECT),
        ("COPY (DELETE FROM t RETURNING a) TO STDOUT", "DELETE FROM t RETURNING a", Kind.DELETE),
        (
            "CREATE TABLE x AS WITH y AS (SELECT 1) SELECT * FROM y WITH NO DATA",
            "WITH y AS (SELECT 1) SELECT * FROM y",
            Kind.SELECT,
        ),
        ("CREATE TABLE x AS EXECUTE q", "EXECUTE q", Kind.EXECUTE),
        ("SELECT a, b INTO TEMP TABLE z FROM t WHERE q = 5", "SELECT a, b FROM t WHERE q = 5", Kind.SELECT),
    ],
)
def test_the_statement_inside_is_found_in_the_text(text: str, inner: str, kind: Kind) -> None:
    parsed = one(text)
    assert (parsed.inner, parsed.inner_kind) == (inner, kind)


@pytest.mark.parametrize(
    ("options", "executes"),
    [("", False), ("ANALYZE", True), ("(ANALYZE false)", False), ("(ANALYZE 0)", False), ("(ANALYZE off, ANALYZE on)", True),
     ("(ANALYZE maybe)", True), ("(VERBOSE)", False)],
)  # fmt: skip
def test_explain_executes_unless_analyze_is_clearly_off(options: str, executes: bool) -> None:
    assert one(f"EXPLAIN {options} SELECT 1").executes is executes


def test_details_are_read() -> None:
    assert one("SET LOCAL Search_Path = 'a'").local
    assert (one("SET jit TO 'off'").name, one("SET jit TO 'off'").value) == ("jit", "off")
    assert one("ROLLBACK TO a").value == "rollback-to"
    assert one("PREPARE TRANSACTION 'x'").value == "prepare-transaction"
    assert one("FETCH ALL FROM c").row_limit is None
    assert one("FETCH 5 FROM c").row_limit == 5
    assert one("DECLARE c SCROLL CURSOR FOR SELECT 1").scroll
    assert one("COPY t(a, b) TO STDOUT").columns == ("a", "b")
    assert one("DROP TABLE s.a, b").tables == (("s", "a"), ("", "b"))
    assert one("SELECT $2, $10").parameters == 10
    assert one("UPDATE a SET b = 1 WHERE c = 2").has_where
    assert not one("DELETE FROM a").has_where


@pytest.mark.parametrize(
    "text",
    ["DROP TABLE a", "TRUNCATE a", "ALTER TABLE a DROP b", "DROP ROLE a", "CREATE OR REPLACE VIEW a AS SELECT 1"],
)
def test_what_destroys_is_destructive(text: str) -> None:
    assert one(text).destructive


@pytest.mark.parametrize(
    "text",
    ["CREATE TEMP TABLE a (b int)", "SELECT 1 AS b INTO TEMP a", "CREATE TEMP VIEW a AS SELECT 1", "CREATE TABLE pg_temp.a (b int)",
     "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE TEMP SEQUENCE a", "DROP TABLE pg_temp.a"],
)  # fmt: skip
def test_temporary_objects_are_noticed(text: str) -> None:
    assert one(text).temporary


@pytest.mark.parametrize(
    "text",
    ["SELECT 'hush', E'hush\\'', $$hush$$, $q$hush$q$, U&'hush', x'abcd', b'01', 987654 -- hush\n /* hush */", "ALTER ROLE a PASSWORD 'hush'",
     "DO $$ hush $$", "SET a.b = 'hush'", "COMMENT ON TABLE a IS 'hush'",
     "CREATE SUBSCRIPTION s CONNECTION 'password=hush' PUBLICATION p"],
)  # fmt: skip
def test_a_shape_has_no_literal_and_no_comment(text: str) -> None:
    shape = one(text).shape
    assert "hush" not in shape
    assert "987654" not in shape


def test_a_shape_is_capped() -> None:
    assert len(one("SELECT " + "abcdefgh, " * 5_000 + "1").shape) <= MAX_SHAPE


@pytest.mark.parametrize(
    "text",
    ["SELECT 'a\0'", "SELECT \udcff", "SELECT " + "(" * 20_000 + "1" + ")" * 20_000, "SELECT 1" + "+1" * 300_000,
     "SELECT " + "NOT " * 9_000 + "true", "SELECT 1" + " UNION SELECT 1" * 5_000, "SELECT a" + " ISNULL" * 19_000,
     "SELECT 1" + ";SELECT 1" * 2_000, "SELECT " + "(SELECT " * 3_000 + "1" + ")" * 3_000],
    ids=lambda text: text[:12].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_what_cannot_be_read_safely_is_refused(text: str) -> None:
    with pytest.raises(RefusedStatementError):
        split_and_parse(text)


def test_a_syntax_error_has_the_servers_state() -> None:
    with pytest.raises(RefusedStatementError) as caught:
        split_and_parse("SELEC 1")
    assert (caught.value.reason, caught.value.sqlstate) == ("syntax", "42601")


@given(st.lists(st.sampled_from(
    ["SELECT", "FROM", "WITH", "(", ")", ",", ";", "a", "'b'", "$1", "::", "INTO", "TEMP", "TABLE", "EXPLAIN", "COPY", "TO", "STDOUT", "DECLARE", "c", "CURSOR", "FOR", "PREPARE", "AS", "CREATE"]
), max_size=14))  # fmt: skip
def test_any_text_is_read_or_refused(words: list[str]) -> None:
    try:
        found = split_and_parse(" ".join(words))
    except RefusedStatementError:
        return
    assert found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 'a\\b', 'c'", "SELECT  E'a\\\\b', 'c'"),
        ("SELECT E'a\\\\b', $$\\$$", "SELECT E'a\\\\b', $$\\$$"),
        ("SELECT 'it''s \\'", "SELECT  E'it''s \\\\'"),
    ],
)
def test_strings_are_written_so_that_every_session_reads_them_alike(text: str, expected: str) -> None:
    assert reading_alike(text) == expected
