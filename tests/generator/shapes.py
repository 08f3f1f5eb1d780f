"""Whole shapes of statements that the grammar of `queries` never puts together: frames, recursion, rows as values, documents, parameters.

For: breadth. A shape is a text with holes; what fills a hole is drawn. Not for: nesting expressions (`queries` fills those holes).
Holes: `{r}` and `{q}` are relations; aliases `a` and `b` stand for them. `{m}` and `{m2}` are masked columns of the first, `{k}` one of
the second, of the class of `{m}` where it has one; `{t}` and `{c}` are an expression and a condition over `a`, wild ones in wild
statements; `{l}` is a constant; `{shown}` is the mask of a stored value as the gate shows it, for comparisons
only (twins have other masks, so what is computed of one may differ); `[[x;;y]]` is one of its alternatives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from generator.choices import Choices
from generator.schemas import Col, Made, Rel

_CHOICE = re.compile(r"\[\[(.*?)\]\]")


class Writer(Protocol):
    """What a shape needs of the grammar."""

    choices: Choices
    made: Made

    def masked_text(self, relation: Rel) -> str:
        """An expression over alias `a`."""

    def masked_condition(self, relation: Rel) -> str:
        """A condition over alias `a`."""

    def literal(self) -> str:
        """A constant."""


TAME = (
    # what people who work with masked data send
    "SELECT a.id, (SELECT count(*) FROM {q} b WHERE b.{k} = a.{m}) FROM {r} a ORDER BY a.id",
    "SELECT a.{m}, (SELECT sum(b.amount) FROM {q} b WHERE b.n = a.n) FROM {r} a ORDER BY a.id LIMIT 5",
    "SELECT x.s, l.id, l.{m} FROM (SELECT DISTINCT s FROM {r}) x CROSS JOIN LATERAL (SELECT a.id, a.{m} FROM {r} a WHERE a.s = x.s ORDER BY a.[[at, a.id;;amount DESC, a.id;;n]] LIMIT 2) l",
    "SELECT * FROM (SELECT a.id, a.{m}, a.s, row_number() OVER (PARTITION BY a.s ORDER BY a.[[at DESC, a.id;;amount, a.id;;n]]) AS rn FROM {r} a) z WHERE z.rn <= 2 ORDER BY s, rn",
    "SELECT a.id, a.{m}, sum(a.amount) OVER (PARTITION BY a.{m} ORDER BY a.at, a.id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM {r} a[[;; ORDER BY a.id]]",
    "SELECT a.id, lag(a.{m}) OVER (ORDER BY a.id), lead(a.{m}, 2) OVER (PARTITION BY a.s ORDER BY a.at, a.id) FROM {r} a ORDER BY a.id",
    "SELECT a.{m}, avg(a.amount) OVER w, count(*) OVER w FROM {r} a WINDOW w AS (PARTITION BY a.{m})[[;; LIMIT 4]]",
    "SELECT a.{m}, count(*) AS many, sum(a.amount) FROM {r} a GROUP BY 1 ORDER BY [[2 DESC;;3 DESC NULLS LAST;;2, 3]] LIMIT [[3;;5]]",
    "SELECT a.{m}, count(*) FROM {r} a GROUP BY a.{m} HAVING count(*) > 1 ORDER BY count(*) DESC",
    "SELECT date_trunc('[[month;;week;;day]]', a.at) AS d, count(DISTINCT a.{m}), count(*) FROM {r} a GROUP BY 1 ORDER BY 1",
    "SELECT date_trunc('month', f.first) AS cohort, count(*) FROM (SELECT a.{m}, min(a.at) AS first FROM {r} a GROUP BY 1) f GROUP BY 1 ORDER BY 1",
    "WITH w AS [[;;MATERIALIZED ;;NOT MATERIALIZED ]](SELECT a.{m} AS x, count(*) AS c FROM {r} a GROUP BY 1) SELECT w.c, count(*) FROM w GROUP BY 1 ORDER BY 1",
    "WITH RECURSIVE w(id, v, d) AS (SELECT a.id, a.{m}, 1 FROM {r} a WHERE a.id < 4 UNION ALL SELECT a.id, a.{m}, d + 1 FROM {r} a JOIN w ON a.id = w.id + 5 WHERE d < 4) SELECT [[*;;v;;id, d]] FROM w[[;; ORDER BY d, id;; LIMIT 3]]",
    "SELECT a.n, a.s, count(a.{m}), grouping(a.n) FROM {r} a GROUP BY [[CUBE (a.n, a.s);;GROUPING SETS ((a.n), (a.s), (a.n, a.s), ());;ROLLUP (a.n, a.s)]]",
    "SELECT a.id, a.{m} FROM {r} a ORDER BY a.n FETCH FIRST 3 ROWS WITH TIES",
    "SELECT a.id, a.{m} FROM {r} a ORDER BY a.[[at;;amount DESC;;s]] LIMIT [[3;;10]][[;; OFFSET 2]]",
    "SELECT a.{m} FROM {r} a LIMIT 5",
    "SELECT DISTINCT a.{m} FROM {r} a[[;; LIMIT 5;; ORDER BY 1]]",
    "SELECT a.id, b.id FROM {r} a [[JOIN;;LEFT JOIN;;FULL JOIN]] {q} b ON a.{m} = b.{k}[[;; ORDER BY 1, 2;; LIMIT 5]]",
    "SELECT count(*) FROM {r} a WHERE a.{m} [[IN;;NOT IN]] (SELECT b.{k} FROM {q} b WHERE b.{k} IS NOT NULL)",
    "SELECT a.id FROM {r} a WHERE EXISTS (SELECT FROM {q} b WHERE b.{k} = a.{m} AND b.id <> a.id) ORDER BY a.id",
    "SELECT a.{m} FROM {r} a [[UNION;;INTERSECT;;EXCEPT;;UNION ALL]] SELECT b.{k} FROM {q} b[[;; ORDER BY 1;; LIMIT 4]]",
    "SELECT count(DISTINCT (a.{m}, a.n)), count(DISTINCT a.{m}) FILTER (WHERE a.ok) FROM {r} a",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a.amount), mode() WITHIN GROUP (ORDER BY a.s) FROM {r} a WHERE a.{m} IS NOT NULL",
    "SELECT a.{m}, percentile_disc(0.5) WITHIN GROUP (ORDER BY a.amount) FROM {r} a GROUP BY 1",
    "SELECT (a).id, (a).{m} FROM {r} a ORDER BY a.id LIMIT 3",
    "SELECT a.* FROM {r} a WHERE a.id BETWEEN 3 AND 7 ORDER BY a.at, a.id",
    "SELECT a FROM {r} a ORDER BY a.id LIMIT 2",
    "SELECT x.id, x.{m} FROM [[ONLY {r};;{r} *;;public.{r}]] AS x ORDER BY x.id LIMIT 3",
    "SELECT {r}.{m}, public.{r}.id FROM public.{r} ORDER BY public.{r}.id LIMIT 3",
    "SELECT j.* FROM ({r} a JOIN (SELECT id AS other, n FROM {q}) b USING (n)) AS j ORDER BY j.id, j.other LIMIT 4",
    "SELECT a.id, v.w FROM {r} a JOIN (VALUES (1, 'one'), (2, 'two')) v(n, w) ON v.n = a.n ORDER BY a.id",
    "SELECT g.d, count(a.{m}) FROM generate_series(0, 3) g(d) LEFT JOIN {r} a ON a.n = g.d GROUP BY 1 ORDER BY 1",
    "SELECT a.s, array_agg(a.id ORDER BY a.id), count(a.{m}) FROM {r} a GROUP BY 1 ORDER BY 1",
    "SELECT a.{m}, array_agg(a.id) FROM {r} a GROUP BY 1",
    "SELECT a.{m}, string_agg(a.s, ',' ORDER BY a.id) FROM {r} a GROUP BY 1 ORDER BY min(a.id)",
    "SELECT CASE WHEN a.{m} IS NULL THEN 'none' ELSE 'some' END AS has, count(*) FROM {r} a GROUP BY 1 ORDER BY 1",
    "SELECT DISTINCT ON (a.s) a.s, a.id, a.{m} FROM {r} a ORDER BY a.s, a.[[at DESC, a.id;;id;;amount]]",
    "SELECT DISTINCT ON (a.{m}) a.{m}, a.at FROM {r} a ORDER BY a.{m}, a.at DESC",
    "SELECT a.id FROM {r} a WHERE a.{m} = '{shown}' ORDER BY 1",
    "SELECT a.id FROM {r} a WHERE a.{m} IN ('{shown}', 'nobody') OR a.n = 3 ORDER BY 1",
    "SELECT a.id FROM {r} a JOIN (VALUES ('{shown}'), ('{shown}')) v(x) ON v.x = a.{m}::text ORDER BY 1",
    "COPY (SELECT a.id, a.{m}, a.amount FROM {r} a[[;; ORDER BY a.id;; WHERE a.n < 2]]) TO STDOUT[[;; (FORMAT csv, HEADER, FORCE_QUOTE *);; (DELIMITER '|')]]",
    "COPY {r} (id, {m}, s) TO STDOUT[[;; (FORMAT binary)]]",
    "SELECT a.id, a.{m} /* a; b */ FROM {r} a -- c\n WHERE a.s <> $x$it's$x$ ORDER BY a.id LIMIT 2",
    "SELECT width_bucket(a.amount, 0, 125, 5) AS bin, count(*), count(DISTINCT a.{m}) FROM {r} a GROUP BY 1 ORDER BY 1",
    "SELECT corr(a.amount, a.n), stddev_samp(a.amount), regr_slope(a.amount, a.n) FROM {r} a WHERE a.{m} IS NOT NULL",
    "SELECT ntile(4) OVER (ORDER BY a.amount, a.id), a.id FROM {r} a ORDER BY 2",
    "SELECT a.{m}, a.at - lag(a.at) OVER (PARTITION BY a.{m} ORDER BY a.at, a.id) FROM {r} a",
    "SELECT max(c) FROM (SELECT count(*) AS c FROM {r} a GROUP BY a.{m}) z",
    "SELECT jsonb_build_object('id', a.id, 'at', a.at) FROM {r} a WHERE a.{m} IS NOT NULL ORDER BY a.id LIMIT 3",
)  # fmt: skip

WILD = (
    "SELECT a.id, (SELECT max(b.{k}::text) FROM {q} b WHERE b.n = a.n AND b.{k}::text < {t}) FROM {r} a ORDER BY a.id",
    "SELECT a.id, l.* FROM {r} a, LATERAL (SELECT b.{k}, {t} AS x FROM {q} b WHERE b.{k}::text > {t} ORDER BY b.{k}, 2 LIMIT 2) l ORDER BY a.id",
    "SELECT first_value({t}) OVER (PARTITION BY a.s ORDER BY {t} [[ROWS UNBOUNDED PRECEDING;;RANGE UNBOUNDED PRECEDING;;GROUPS 1 PRECEDING]] EXCLUDE [[TIES;;GROUP;;CURRENT ROW;;NO OTHERS]]) FROM {r} a",
    "SELECT [[dense_rank();;percent_rank();;cume_dist();;nth_value(a.{m}, 2);;last_value(a.{m})]] OVER (ORDER BY a.{m}[[;; DESC;; NULLS FIRST]]), a.id FROM {r} a ORDER BY 2",
    "SELECT count(*) OVER (ORDER BY length({t}) RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM {r} a",
    "WITH RECURSIVE w(v) AS (SELECT min(a.{m}::text) FROM {r} a UNION ALL SELECT (SELECT min(a.{m}::text) FROM {r} a WHERE a.{m}::text > w.v) FROM w WHERE w.v IS NOT NULL) SELECT * FROM w LIMIT [[3;;9]]",
    "WITH RECURSIVE w(id, v) AS (SELECT a.id, {t} FROM {r} a WHERE a.id < 3 UNION SELECT a.id, w.v || {t} FROM {r} a JOIN w ON a.id = w.id + length(w.v) % 3 + 1 WHERE a.id < 9) [[SEARCH DEPTH FIRST BY id SET o ;;CYCLE id SET is_c USING p ;;]]SELECT * FROM w",
    "SELECT {t}, count(*) FROM {r} a GROUP BY [[CUBE ({t}, a.n);;GROUPING SETS (({t}), (a.n));;ROLLUP ({t})]]",
    "SELECT {t} FROM {r} a ORDER BY {t} FETCH FIRST 2 ROWS WITH TIES",
    "SELECT array_agg(a.{m} ORDER BY [[a.id;;a.{m};;{t}]]), (array_agg({t}))[1:2] FROM {r} a",
    "SELECT ARRAY(SELECT a.{m}::text FROM {r} a ORDER BY [[1;;a.id]] LIMIT 3), cardinality(ARRAY(SELECT a.id FROM {r} a WHERE {c}))",
    "SELECT u FROM {r} a, unnest(ARRAY[a.{m}::text, {t}]) [[WITH ORDINALITY u(u, o);;u]] ORDER BY 1 LIMIT 5",
    "SELECT a.id FROM {r} a WHERE a.{m}::text = [[ANY;;ALL]] (SELECT b.{k}::text FROM {q} b WHERE b.id < 4)",
    "SELECT jsonb_object_agg(a.id, a.{m}) FROM {r} a WHERE {c}",
    "SELECT [[jsonb_agg(to_jsonb(a));;json_agg(a ORDER BY a.{m});;jsonb_agg(a.{m});;array_agg(a)]] FROM {r} a",
    "SELECT e.* FROM {r} a, [[jsonb_each_text(to_jsonb(a));;json_each(row_to_json(a));;json_each_text(json_build_object('v', a.{m}))]] e WHERE a.id = 3",
    "SELECT a.id FROM {r} a WHERE jsonb_build_object('v', a.{m}) [[@>;;<@]] jsonb_build_object('v', {l})",
    "SELECT jsonb_path_query_first(to_jsonb(a), '$.{m}') FROM {r} a ORDER BY a.id LIMIT 3",
    "SELECT x.{m} FROM {r} a, jsonb_populate_record(a, '{}') x LIMIT 2",
    "SELECT ROW(a.id, a.{m}), ROW(a.{m}, a.n) < ROW({l}, 3) FROM {r} a ORDER BY a.id LIMIT 4",
    "SELECT (SELECT b FROM {q} b WHERE b.id = 3), a.id FROM {r} a WHERE a IS NOT NULL ORDER BY 2 LIMIT 2",
    "SELECT a.id, b.id FROM {r} a JOIN {r} b ON [[a = b;;a.* IS DISTINCT FROM b.*;;(a.{m}, a.n) = (b.{m}, b.n);;a.{m} < b.{m}]] ORDER BY 1, 2 LIMIT 4",
    'SELECT a.{m}::[[varchar(3);;char(2);;name;;bytea;;json;;int;;"char";;date;;inet;;uuid;;xml;;bit(8);;money;;tsvector;;regclass]] FROM {r} a ORDER BY a.id LIMIT 2',
    'SELECT a.id FROM {r} a ORDER BY a.{m}::text COLLATE "[[C;;POSIX;;en_US.utf8]]"[[;; DESC]], a.id LIMIT 3',
    'SELECT min(a.{m}::text COLLATE "C"), max({t}) FROM {r} a GROUP BY a.{m}::text COLLATE "C" ORDER BY 1 LIMIT 2',
    "SELECT a.{m} FROM {r} a TABLESAMPLE [[SYSTEM (50);;BERNOULLI (50)]] REPEATABLE ([[1;;2]])",
    "SELECT 1 / (length({t}) - [[9;;11;;12;;0]]) FROM {r} a",
    "SELECT count(*) FROM {r} a WHERE 10 / (ascii({t}) - [[51;;97;;98;;49]]) > 0",
    "SELECT CASE WHEN {c} THEN 1 / (a.n - a.n) ELSE 0 END FROM {r} a WHERE a.id = 3",
    "SELECT [[({t})::int;;('{' || {t})::jsonb;;to_date({t}, 'YYYY');;({t})::numeric(3,1);;chr(length({t}) - 12);;sqrt(10 - length({t}));;lpad('x', length({t}) * 100000000);;({t})::regtype;;make_date(length({t}), 13, 1);;substring({t} from 2 for -length({t}));;2147483640 + length({t})::int;;('{1,2}'::int[])[length({t})];;('x' || {t})::bit varying]] FROM {r} a WHERE a.id < 5",
    "SELECT regexp_split_to_table({t}, ''), a.id FROM {r} a WHERE a.id < 4",
    "SELECT [[generate_series(1, length({t}));;unnest(string_to_array({t}, 'a'));;generate_subscripts(string_to_array({t}, NULL), 1);;regexp_matches({t}, '[0-9]', 'g')]] FROM {r} a WHERE a.id < 5",
    "SELECT * FROM {r} a, ROWS FROM (generate_series(1, a.n), unnest(string_to_array({t}, 'e'))) z LIMIT 6",
    "SELECT a.id FROM {r} a ORDER BY CASE WHEN {c} THEN 0 ELSE 1 END, a.id LIMIT 2",
    "SELECT a.id FROM {r} a WHERE {c} ORDER BY a.id [[LIMIT 1;;OFFSET 3;;FETCH FIRST ROW ONLY]]",
    "SELECT string_agg(DISTINCT a.{m}::text, ','), mode() WITHIN GROUP (ORDER BY a.{m}), percentile_disc([[0.1;;0.9]]) WITHIN GROUP (ORDER BY a.{m}::text), rank({l}) WITHIN GROUP (ORDER BY {t}) FROM {r} a",
    "SELECT a.id FROM {r} a WHERE a.{m}::text [[SIMILAR TO '%(1|2)%';;~* '^a';;!~~ '%e%';;^@ 'a';;> 'm']] ORDER BY a.id",
    "SELECT a.id FROM {r} a WHERE {c} [[FOR UPDATE;;FOR SHARE SKIP LOCKED;;FOR NO KEY UPDATE NOWAIT]]",
    "SELECT b.{k}, a.id FROM {r} a [[JOIN;;LEFT JOIN]] {q} b ON hashtext(b.{k}::text) % 3 = a.n ORDER BY 2, 1 LIMIT 5",
    "SELECT extract([[dow;;month;;doy;;epoch]] FROM (SELECT max(a.at) FROM {r} a WHERE {c}))",
    "SELECT count(*) FROM {r} a WHERE a.{m} = a.{m2}::text::[[text;;varchar]]",
    "SELECT a.id FROM {r} a WHERE a.{m}::text = {l}",
    "SELECT a.id FROM {r} a WHERE (a.{m}::text, a.{m2}::text) IN (({l}, {l}), (SELECT b.{k}::text, {l} FROM {q} b WHERE b.id = 2))",
    "VALUES ((SELECT {t} FROM {r} a WHERE a.id = 2)), ('x')",
    "TABLE {r} ORDER BY {m} LIMIT 2",
    "SELECT * FROM {r} a NATURAL JOIN {q} b ORDER BY a.id LIMIT 3",
    "SELECT xmlforest(a.{m} AS v), xmlelement(name x, {t}) FROM {r} a WHERE a.id = 2",
    "SELECT * FROM {r} a, XMLTABLE('/v' PASSING xmlelement(name v, a.{m}) COLUMNS o text PATH '.') x WHERE a.id < 3",
    "SELECT a.id, {t} AS x FROM {r} a WHERE a.n IN (SELECT length({t}) - 10) UNION ALL SELECT b.id, b.{k}::text FROM {q} b ORDER BY 2 LIMIT 3",
    "SELECT avg(length({t})), variance(ascii({t})), bit_or(ascii({t})), every({c}) FROM {r} a",
    "SELECT [[pg_get_viewdef('v0'::regclass);;n_distinct::text FROM pg_stats WHERE tablename = '{r}';;reltuples::text FROM pg_class WHERE relname = '{r}';;most_common_vals::text FROM pg_stats;;last_value::text FROM pg_sequences;;pg_relation_size('{r}')::text]]",
    "SELECT ctid, tableoid::regclass, a.{m} FROM {r} a WHERE a.ctid <> '(0,1)' ORDER BY a.{m} LIMIT 2",
    "SELECT a.id FROM f_rows() a WHERE {c} ORDER BY a.id LIMIT 3",
    "SELECT o, v FROM f_find('aa') WHERE v > {l} ORDER BY 1 LIMIT 3",
    "SELECT a.id, f.v FROM {r} a, f_find(a.s) f ORDER BY 1, 2 LIMIT 4",
    "SELECT 'x' AS {m}, 'y' AS id FROM {r} a WHERE {c}",
    "WITH {r} AS (SELECT 1 AS id, 'x' AS {m}) SELECT {m} FROM {r} UNION ALL SELECT {m}::text FROM public.{r} WHERE id < 3 ORDER BY 1",
    "WITH moved AS (UPDATE {r} SET s = 'u' WHERE id = 3 RETURNING {m}) SELECT * FROM moved",
    "WITH moved AS (DELETE FROM {r} a USING {q} b WHERE a.{m}::text = b.{k}::text AND a.id = 2 RETURNING a.id) SELECT count(*) FROM moved",
    "EXPLAIN ([[VERBOSE;;FORMAT JSON;;COSTS OFF;;ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF]]) SELECT a.id FROM {r} a WHERE [[a.{m}::text > {l};;a.n = 1;;{c}]]",
)  # fmt: skip

SEVERAL = (
    ("BEGIN", "DECLARE c2 SCROLL CURSOR [[;;WITH HOLD ]]FOR SELECT a.id, a.{m} FROM {r} a[[;; ORDER BY a.id;; ORDER BY a.{m}]]", "FETCH LAST FROM c2",
     "FETCH BACKWARD 2 FROM c2", "FETCH ABSOLUTE 3 FROM c2", "MOVE FORWARD 2 IN c2", "FETCH ALL FROM c2", "CLOSE c2", "COMMIT"),
    ("BEGIN", "SAVEPOINT s1", "SELECT 1 / (length(max(a.{m}::text)) - 12) FROM {r} a", "ROLLBACK TO s1", "SELECT a.{m} FROM {r} a ORDER BY a.id LIMIT 2", "ROLLBACK"),
    ("SET work_mem = '64kB'", "SELECT a.{m}, count(*) FROM {r} a GROUP BY 1[[;; LIMIT 3]]", "RESET work_mem"),
    ("SET enable_hashagg = off", "SELECT a.{m}, count(*) FROM {r} a GROUP BY 1", "RESET enable_hashagg"),
    ("SET DateStyle = 'German'", "SELECT a.{m}, a.at FROM {r} a ORDER BY a.id LIMIT 3", "RESET DateStyle"),
    ("SET search_path = pg_catalog, public", "SELECT a.{m} FROM {r} a ORDER BY a.id LIMIT 2", "RESET search_path"),
    ("BEGIN", "UPDATE {r} a SET s = b.s FROM {q} b WHERE b.[[id;;{k}]] = a.[[id;;{m}]] AND a.id = 4", "[[ROLLBACK;;COMMIT]]"),
    ("BEGIN", "DELETE FROM {r} a USING {q} b WHERE b.{k} = a.{m} AND a.id = 3", "[[ROLLBACK;;COMMIT]]"),
    ("BEGIN", "INSERT INTO {r} (id, n, s, {m}) SELECT id + 700, n, s, {m} FROM {r} WHERE id < 3 [[;;RETURNING id;;RETURNING *]]", "[[ROLLBACK;;COMMIT]]"),
    ("BEGIN", "UPDATE {r} SET {m} = {m} WHERE id = 3", "UPDATE {r} SET s = {m}::text WHERE id = 3", "[[ROLLBACK;;COMMIT]]"),
    ("BEGIN", "MERGE INTO {r} USING (SELECT id AS k, {k} AS v FROM {q}) m ON m.k = {r}.id WHEN MATCHED AND m.v IS NOT NULL THEN UPDATE SET s = 'w' WHEN NOT MATCHED THEN DO NOTHING", "[[ROLLBACK;;COMMIT]]"),
    ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SELECT a.{m} FROM {r} a ORDER BY a.at, a.id LIMIT 3", "COMMIT"),
    ("SELECT a.id FROM {r} a WHERE {c}; SELECT a.{m} FROM {r} a ORDER BY a.id LIMIT 2",),
    ("BEGIN", "DECLARE c3 CURSOR FOR SELECT id FROM {r} WHERE {m}::text > {l}", "FETCH 1 FROM c3", "UPDATE {r} SET s = 'c' WHERE CURRENT OF c3", "[[ROLLBACK;;COMMIT]]"),
)  # fmt: skip

BOUND = (
    ("SELECT a.id FROM {r} a WHERE a.{m} = $1 ORDER BY 1", "{shown}"),
    ("SELECT a.id, a.{m} FROM {r} a WHERE a.{m} = $1 OR a.s = $2 ORDER BY 1", "{shown}", "aa"),
    ("SELECT count(*) FROM {r} a WHERE a.{m} IN ($1, $2)", "{shown}", "nobody@gmail.com"),
    ("SELECT a.id FROM {r} a WHERE a.{m} = ANY($1) ORDER BY 1", '{"{shown}",nobody}'),
    ("SELECT a.{m} FROM {r} a WHERE a.s = $1 ORDER BY a.id LIMIT $2::text::int", "bb", "2"),
    ("SELECT a.id FROM {r} a WHERE a.{m}::text LIKE $1 ORDER BY 1", "%a%"),
    ("SELECT a.id FROM {r} a WHERE a.{m}::text < $1 ORDER BY 1", "m"),
    ("SELECT a.id, $1::text FROM {r} a WHERE a.{m} = $1 ORDER BY 1", "{shown}"),
    ("SELECT a.id, (SELECT count(*) FROM {q} b WHERE b.{k} = $1) FROM {r} a WHERE a.{m} = $1 ORDER BY upper(a.{m}::text), 1", "{shown}"),
    ("SELECT coalesce(a.{m}, $1) FROM {r} a ORDER BY a.id LIMIT 3", "{shown}"),
    ("INSERT INTO {r} (id, n, s, {m}) VALUES (990, 1, $1, $2)", "x", "{shown}"),
)  # fmt: skip


def single(writer: Writer, *, tame: bool) -> str:
    """One statement of a shape."""
    return fill(writer, (writer.choices.one_of(TAME if tame else WILD),))[0]


def several(writer: Writer) -> tuple[str, ...]:
    """Statements that belong together."""
    return fill(writer, writer.choices.one_of(SEVERAL))


def bound(writer: Writer) -> tuple[str, ...]:
    """A statement with parameters, and their values."""
    return fill(writer, writer.choices.one_of(BOUND))


def fill(writer: Writer, texts: tuple[str, ...]) -> tuple[str, ...]:
    """The texts with every hole filled; holes of one name alike, but for expressions, constants and masks."""
    choices, made = writer.choices, writer.made
    first, second = choices.one_of(made.relations), choices.one_of(made.relations)
    masked = [c for c in first.columns if c.sort]
    one = choices.one_of(masked) if masked else Col("s", "text", "text")
    two = choices.one_of(masked) if masked else one
    same = [c for c in second.columns if c.sort == one.sort and c.family == one.family] or [
        c for c in second.columns if c.sort
    ]
    names = {
        "{r}": first.name,
        "{q}": second.name,
        "{m}": one.name,
        "{m2}": two.name,
        "{k}": choices.one_of(same).name if same else "s",
    }
    stored = [
        c.name for r in made.relations for c in r.columns if r.writable and c.sort == one.sort and c.name != "made"
    ]

    def shown() -> str:
        return f"{{sur:{choices.one_of(stored)}:{1 + choices.below(30)}}}" if stored else "nobody"

    drawn: dict[str, Callable[[], str]] = {
        "{t}": lambda: writer.masked_text(first),
        "{c}": lambda: writer.masked_condition(first),
        "{l}": writer.literal,
        "{shown}": shown,
    }

    def one_text(text: str) -> str:
        while match := _CHOICE.search(text):
            text = text[: match.start()] + choices.one_of(match[1].split(";;")) + text[match.end() :]
        for hole, make in drawn.items():
            while hole in text:
                text = text.replace(hole, make(), 1)
        for hole, name in names.items():
            text = text.replace(hole, name)
        return text

    return tuple(one_text(text) for text in texts)
