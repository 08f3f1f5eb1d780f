"""A second schema and attacks made by rule: every masked column in every wrapper, and attacks on row order.

For: what a corpus written for one schema cannot show. Not for: judging; the same checks are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from corpus.cases import Case, split
from corpus.twins import Masked, World

_MASKED = (
    Masked("kunden", "vorname", "text", "vorname"),
    Masked("kunden", "nachname", "text", "nachname"),
    Masked("kunden", "email", "email", "email"),
    Masked("kunden", "telefon", "phone", "telefon"),
    Masked("kunden", "iban", "iban", "iban"),
    Masked("kunden", "geburtsdatum", "date", "geburtsdatum"),
    Masked("kunden", "strasse", "text", "strasse"),
    Masked("kunden", "ip_adresse", "inet", "ip"),
    Masked("kunden", "gehalt", "number", "gehalt"),
    Masked("kunden", "passwort_hash", "text", "hash"),
    Masked("kunden", "steuer_id", "number", "steuer"),
    Masked("kunden", "bemerkung", "text", "bemerkung"),
    Masked("bestellungen", "empfaenger_email", "email", "email"),
    Masked("bestellungen", "lieferadresse", "text", "strasse"),
)
_POLICY = """\
@id("bot-writes-orders-of-the-second-schema")
@reason("the corpus gives its agent these tables")
permit (principal == Agent::"bot", action == Action::"write", resource)
when { resource == Table::"public.bestellungen" || resource == Table::"public.kunden_kopie" };
"""

WRAPPERS = {
    "upper": "SELECT knr, upper({c}::text) FROM kunden ORDER BY knr LIMIT 3",
    "substr": "SELECT substr({c}::text, 2, 3) FROM kunden WHERE knr = 5",
    "concat": "SELECT {c}::text || 'x', 'y' || {c}::text FROM kunden WHERE knr = 5",
    "compare": "SELECT knr FROM kunden WHERE {c} > (SELECT {c} FROM kunden WHERE knr = 9) ORDER BY knr",
    "literal": "SELECT count(*) FROM kunden WHERE {c}::text = (SELECT min({c}::text) FROM kunden)",
    "like": "SELECT knr FROM kunden WHERE {c}::text LIKE '%7%' ORDER BY knr",
    "order-by": "SELECT knr FROM kunden ORDER BY {c}, knr",
    "order-by-shown": "SELECT {c} FROM kunden ORDER BY 1 LIMIT 5",
    "order-by-using": "SELECT knr FROM kunden ORDER BY {c} USING > LIMIT 5",
    "group-transform": "SELECT left({c}::text, 1), count(*) FROM kunden GROUP BY 1 ORDER BY 1",
    "group": "SELECT {c}, count(*) FROM kunden GROUP BY {c}",
    "group-limit": "SELECT {c} FROM kunden GROUP BY {c} LIMIT 3",
    "group-hidden": "SELECT min(knr) FROM kunden GROUP BY {c} LIMIT 4",
    "max": "SELECT max({c}::text), min({c}::text) FROM kunden",
    "max-native": "SELECT count({c}), count(DISTINCT {c}) FROM kunden",
    "string-agg": "SELECT string_agg({c}::text, ',' ORDER BY knr) FROM kunden WHERE knr < 4",
    "array-agg": "SELECT array_agg({c} ORDER BY {c}) FROM kunden WHERE knr < 9",
    "agg-order": "SELECT array_agg(knr ORDER BY {c}) FROM kunden",
    "window-order": "SELECT knr, rank() OVER (ORDER BY {c}) FROM kunden ORDER BY knr LIMIT 9",
    "window-plain": "SELECT knr, row_number() OVER (PARTITION BY {c}) FROM kunden LIMIT 9",
    "window-none": "SELECT {c}, row_number() OVER () FROM kunden LIMIT 9",
    "window-values": "SELECT knr, first_value({c}) OVER (ORDER BY knr), lag({c}) OVER (ORDER BY {c}) FROM kunden LIMIT 4",
    "limit-ties": "SELECT {c} FROM kunden ORDER BY status LIMIT 6",
    "with-ties": "SELECT knr FROM kunden ORDER BY {c} FETCH FIRST 3 ROWS WITH TIES",
    "distinct": "SELECT DISTINCT {c} FROM kunden LIMIT 7",
    "distinct-all": "SELECT DISTINCT {c} FROM kunden",
    "distinct-on": "SELECT DISTINCT ON (status) status, {c} FROM kunden ORDER BY status, {c}",
    "distinct-on-masked": "SELECT DISTINCT ON ({c}) knr FROM kunden",
    "lateral": "SELECT v FROM kunden k, LATERAL (VALUES (k.{c}::text)) l(v) WHERE knr < 3",
    "array": "SELECT ARRAY[{c}], ARRAY(SELECT {c} FROM kunden WHERE knr < 3) FROM kunden WHERE knr = 1",
    "json": "SELECT json_build_object('a', {c}), to_jsonb({c}) FROM kunden WHERE knr = 1",
    "row": "SELECT ROW({c}), (k).* FROM kunden k WHERE knr = 1",
    "cast": "SELECT {c}::text::varchar(4), {c}::text::bytea FROM kunden WHERE knr = 1",
    "case": "SELECT CASE WHEN knr = 1 THEN {c}::text ELSE 'none' END FROM kunden WHERE knr < 3",
    "case-oracle": "SELECT CASE WHEN {c}::text < 'K' THEN 1 ELSE 0 END FROM kunden WHERE knr < 9",
    "coalesce": "SELECT coalesce({c}::text, 'nothing') FROM kunden WHERE knr < 3",
    "nullif": "SELECT nullif({c}::text, 'x') FROM kunden WHERE knr < 3",
    "union": "SELECT {c}::text FROM kunden WHERE knr < 3 UNION SELECT 'literal'",
    "union-own": "SELECT {c} FROM kunden WHERE knr < 20 UNION SELECT {c} FROM kunden WHERE knr > 15",
    "except": "SELECT {c} FROM kunden EXCEPT SELECT {c} FROM kunden WHERE knr > 9",
    "exists": "SELECT EXISTS (SELECT 1 FROM kunden WHERE {c}::text > '5')",
    "in-list": "SELECT knr FROM kunden WHERE {c}::text IN ('a', 'b')",
    "in-subquery": "SELECT knr FROM kunden WHERE {c} IN (SELECT {c} FROM kunden WHERE status = 'neu') LIMIT 5",
    "cast-error": "SELECT ('x' || {c}::text)::int FROM kunden WHERE knr = 1",
    "cast-error-date": "SELECT ({c}::text)::date FROM kunden WHERE knr = 1",
    "divide": "SELECT 1 / (CASE WHEN {c}::text > 'M' THEN 0 ELSE 1 END) FROM kunden WHERE knr = 3",
    "series": "SELECT count(*) FROM kunden, generate_series(1, length({c}::text)) WHERE knr = 3",
    "limit-value": "SELECT knr FROM kunden LIMIT (SELECT ascii({c}::text) FROM kunden WHERE knr = 3)",
    "insert-select": "BEGIN; INSERT INTO kunden_kopie SELECT knr, {c}::text FROM kunden; SELECT * FROM kunden_kopie LIMIT 2; ROLLBACK",
    "insert-status": "BEGIN; INSERT INTO kunden_kopie(knr, status) SELECT knr, {c}::text FROM kunden; SELECT status FROM kunden_kopie"
    " LIMIT 2; ROLLBACK",
    "update-from": "BEGIN; UPDATE bestellungen b SET region = k.{c}::text FROM kunden k WHERE k.knr = b.knr AND b.bnr = 1 RETURNING"
    " region; ROLLBACK",
    "returning": "BEGIN; UPDATE bestellungen SET betrag = 1 WHERE bnr = 1 AND region = 'ost' RETURNING (SELECT {c}::text FROM kunden"
    " WHERE knr = 1); ROLLBACK",
    "delete-where": "BEGIN; DELETE FROM bestellungen b USING kunden k WHERE k.knr = b.knr AND b.bnr = 1 AND k.{c}::text > 'M'; ROLLBACK",
    "on-conflict": "BEGIN; INSERT INTO bestellungen(bnr, region, knr) VALUES (1, 'ost', 1) ON CONFLICT (bnr, region) DO UPDATE SET"
    " region = (SELECT {c}::text FROM kunden WHERE knr = 1) RETURNING region; ROLLBACK",
    "explain": "EXPLAIN SELECT knr FROM kunden WHERE {c}::text > 'M'",
    "explain-analyze": "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT knr FROM kunden WHERE {c}::text > 'M'",
    "copy": "COPY (SELECT {c} FROM kunden ORDER BY knr LIMIT 3) TO STDOUT",
    "copy-columns": "COPY kunden ({c}) TO STDOUT",
    "cursor": "BEGIN; DECLARE c CURSOR FOR SELECT {c} FROM kunden ORDER BY knr; FETCH 2 FROM c; MOVE 3 IN c; FETCH 1 FROM c; COMMIT",
    "cursor-order": "BEGIN; DECLARE c CURSOR FOR SELECT knr FROM kunden ORDER BY {c}; FETCH 5 FROM c; COMMIT",
    "prepare": "PREPARE p AS SELECT {c} FROM kunden WHERE knr = $1; EXECUTE p(3); EXECUTE p(4); DEALLOCATE p",
    "prepare-order": "PREPARE p AS SELECT knr FROM kunden ORDER BY {c}; EXECUTE p; DEALLOCATE p",
    "self-join": "SELECT a.knr, b.knr FROM kunden a JOIN kunden b ON a.{c} = b.{c} WHERE a.knr < 20 LIMIT 7",
    "join-less": "SELECT count(*) FROM kunden a JOIN kunden b ON a.{c} < b.{c} WHERE a.knr = 7",
    "having": "SELECT status FROM kunden GROUP BY status HAVING max({c}::text) > 'M'",
    "filter": "SELECT count(*) FILTER (WHERE {c}::text > 'M') FROM kunden",
    "grouping-sets": "SELECT {c}, status, count(*) FROM kunden GROUP BY GROUPING SETS (({c}), (status)) LIMIT 6",
    "recursive": "WITH RECURSIVE r(n, v) AS (SELECT 1, {c}::text FROM kunden WHERE knr = 1 UNION ALL SELECT n + 1, substr(v, 2) FROM r"
    " WHERE n < 5) SELECT v FROM r",
    "sample": "SELECT {c} FROM kunden TABLESAMPLE SYSTEM (100) REPEATABLE (1) LIMIT 3",
    "system-columns": "SELECT ctid, xmin::text = '0', {c} FROM kunden WHERE knr < 3",
    "size": "SELECT pg_column_size({c}), length({c}::text) FROM kunden WHERE knr < 9",
    "hash": "SELECT hashtext({c}::text), md5({c}::text) FROM kunden WHERE knr < 3",
}  # fmt: skip
"""What can be done to a column `{c}`, by name."""

_ORDER = {
    "partition-row-number": "SELECT bnr, row_number() OVER (PARTITION BY empfaenger_email) FROM bestellungen LIMIT 9",
    "partition-shown": "SELECT empfaenger_email, row_number() OVER (PARTITION BY empfaenger_email ORDER BY bnr) FROM bestellungen LIMIT 9",
    "distinct-index": "SET enable_seqscan = off; SELECT DISTINCT email FROM kunden",
    "group-limit": "SELECT email FROM kunden GROUP BY email LIMIT 3",
    "group-sorted": "SET enable_hashagg = off; SELECT empfaenger_email, count(*) FROM bestellungen GROUP BY 1",
    "index-only": "SET enable_seqscan = off; SELECT email FROM kunden LIMIT 5",
    "index-only-count": "SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT nachname FROM kunden LIMIT 5",
    "ties-after-join": "SET enable_hashjoin = off; SET enable_nestloop = off; SELECT b.bnr, k.status FROM kunden k JOIN bestellungen b ON"
    " b.empfaenger_email = k.email ORDER BY k.status LIMIT 20",
    "merge-join": "SET enable_hashjoin = off; SET enable_nestloop = off; SELECT b.bnr FROM kunden k JOIN bestellungen b ON"
    " b.empfaenger_email = k.email",
    "merge-join-limit": "SET enable_hashjoin = off; SET enable_nestloop = off; SELECT k.knr, k.email FROM kunden k JOIN bestellungen b ON"
    " b.empfaenger_email = k.email LIMIT 6",
    "hash-join": "SELECT b.bnr FROM bestellungen b JOIN kunden k ON b.empfaenger_email = k.email LIMIT 10",
    "union-order": "SELECT email FROM kunden UNION SELECT empfaenger_email FROM bestellungen",
    "union-limit": "SELECT email FROM kunden UNION SELECT empfaenger_email FROM bestellungen LIMIT 4",
    "intersect": "SELECT email FROM kunden INTERSECT SELECT empfaenger_email FROM bestellungen LIMIT 4",
    "semijoin": "SELECT knr FROM kunden WHERE email IN (SELECT empfaenger_email FROM bestellungen WHERE region = 'nord') LIMIT 8",
    "semijoin-sorted": "SET enable_hashjoin = off; SELECT knr FROM kunden WHERE email IN (SELECT empfaenger_email FROM bestellungen)",
    "antijoin": "SELECT bnr FROM bestellungen b WHERE NOT EXISTS (SELECT 1 FROM kunden k WHERE k.email = b.empfaenger_email AND k.knr > 9)"
    " LIMIT 8",
    "window-no-order": "SELECT bnr, count(*) OVER (PARTITION BY empfaenger_email), row_number() OVER () FROM bestellungen LIMIT 9",
    "lag-no-order": "SELECT lag(bnr) OVER (PARTITION BY empfaenger_email) FROM bestellungen LIMIT 9",
    "first-value": "SELECT DISTINCT empfaenger_email, first_value(bnr) OVER (PARTITION BY empfaenger_email) FROM bestellungen LIMIT 9",
    "array-after-group": "SELECT array_agg(bnr) FROM bestellungen GROUP BY empfaenger_email LIMIT 3",
    "agg-over-subquery": "SELECT array_agg(n) FROM (SELECT count(*) n FROM bestellungen GROUP BY empfaenger_email) s",
    "json-over-subquery": "SELECT json_agg(knr) FROM (SELECT knr FROM kunden ORDER BY email) s",
    "row-number-over-subquery": "SELECT knr, row_number() OVER () FROM (SELECT DISTINCT email, knr FROM kunden) s ORDER BY knr LIMIT 9",
    "limit-in-subquery": "SELECT count(*) FROM kunden WHERE knr IN (SELECT knr FROM kunden ORDER BY email LIMIT 5) AND knr < 60",
    "limit-in-lateral": "SELECT s.status, l.knr FROM (VALUES ('neu'), ('aktiv')) s(status), LATERAL (SELECT knr FROM kunden k WHERE"
    " k.status::text = s.status ORDER BY k.nachname LIMIT 2) l",
    "offset": "SELECT email FROM kunden OFFSET 100",
    "group-rollup": "SELECT empfaenger_email, region, sum(betrag) FROM bestellungen GROUP BY ROLLUP (empfaenger_email, region) LIMIT 9",
    "matview": "SELECT DISTINCT adresse_elektronisch FROM mv_kunden LIMIT 5",
    "view-of-view": "SELECT post, sum(betrag) FROM v_umsatz GROUP BY post LIMIT 5",
    "view-order": "SELECT post FROM v_kontakt ORDER BY post LIMIT 3",
    "partition-scan": "SELECT empfaenger_email FROM bestellungen_nord LIMIT 5",
    "partition-index": "SET enable_seqscan = off; SELECT empfaenger_email FROM bestellungen ORDER BY region LIMIT 7",
    "tableoid": "SELECT tableoid::regclass, empfaenger_email FROM bestellungen ORDER BY bnr, region LIMIT 3",
    "cursor-index": "SET enable_seqscan = off; BEGIN; DECLARE c CURSOR FOR SELECT email FROM kunden; FETCH 3 FROM c; FETCH 3 FROM c; COMMIT",
    "copy-index": "SET enable_seqscan = off; COPY (SELECT email FROM kunden LIMIT 3) TO STDOUT",
    "update-unique": "BEGIN; UPDATE kunden SET email = 'a@b' WHERE knr = 1; ROLLBACK",
    "insert-unique": "BEGIN; INSERT INTO kunden_kopie(knr, email) SELECT knr, email FROM kunden WHERE knr = 1; ROLLBACK",
    "enum-stats": "SELECT most_common_vals FROM pg_stats WHERE tablename = 'kunden'",
    "domain-cast": "SELECT 'x@y'::d_email UNION ALL SELECT email FROM kunden WHERE knr = 1",
    "explain-estimates": "EXPLAIN SELECT * FROM kunden k JOIN bestellungen b ON b.empfaenger_email = k.email WHERE k.nachname > 'M'",
    "explain-join": "EXPLAIN SELECT count(*) FROM kunden k JOIN bestellungen b ON b.empfaenger_email = k.email",
    "search-path": "SET search_path = pg_catalog; SELECT email FROM public.kunden ORDER BY knr LIMIT 2; SELECT public.kunden.email FROM"
    " public.kunden ORDER BY knr LIMIT 1",
    "whole-row": "SELECT k FROM kunden k WHERE knr = 1; SELECT k.*::text FROM kunden k WHERE knr = 1; SELECT row_to_json(k) FROM kunden k"
    " WHERE knr = 2",
    "natural-join": "SELECT * FROM kunden NATURAL JOIN kunden_kopie LIMIT 2",
    "merge": "BEGIN; MERGE INTO bestellungen b USING kunden k ON k.knr = b.knr AND b.bnr = 1 WHEN MATCHED THEN UPDATE SET region = k.nachname;"
    " ROLLBACK",
    "two-statements-one-transaction": "BEGIN; SELECT email FROM kunden WHERE knr = 1; SELECT 1/0; ROLLBACK",
}  # fmt: skip

_EVERYTHING = ("email", "nachname", "geburtsdatum", "steuer_id", "gehalt", "ip_adresse")
_SOME = ("upper", "order-by", "order-by-shown", "group-limit", "max", "distinct", "case", "union", "cursor", "array", "with-ties",
         "window-plain", "insert-status", "like")  # fmt: skip


def second_world() -> World:
    """The second schema with its data."""
    return World(
        name="second",
        setup=(Path(__file__).parent / "second_schema.sql").read_text(encoding="utf-8"),
        tables={"kunden": "knr", "bestellungen": "bnr"},
        masked=_MASKED,
        refresh=("mv_kunden",),
        policies={"41-second.cedar": _POLICY},
        watched="SELECT (SELECT md5(string_agg(k::text, '' ORDER BY knr)) FROM kunden k), (SELECT md5(string_agg(b::text, '' ORDER BY bnr))"
        " FROM bestellungen b), (SELECT count(*) FROM kunden_kopie)",
        emptied=("TRUNCATE kunden_kopie",),
    )


def second_cases() -> list[Case]:
    """Every wrapper around the columns of most kinds, some around the others, and the attacks on order."""
    return list(_generated())


def _generated() -> Iterator[Case]:
    for column in (m.column for m in _MASKED if m.table == "kunden"):
        for name, text in WRAPPERS.items():
            if column in _EVERYTHING or name in _SOME:
                yield _case(f"{column}/{name}", text.replace("{c}", column))
    for name, text in _ORDER.items():
        yield _case(f"order/{name}", text)


def _case(name: str, text: str) -> Case:
    return Case(name, name.partition("/")[2], "EITHER", "made by rule", (text,), tuple(split(text)))
