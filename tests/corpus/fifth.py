"""A fifth schema: what extensions, partitions, foreign tables and newer syntax can be used for, by attackers and by people at work.

For: constructs that the other schemas do not have. Not for: judging; the same checks are used. `since` says from which major on.
Source of the attacks: series G, X, E, R and K of the threats that are tested, on objects that were not made for them.
"""

from __future__ import annotations

from pathlib import Path

from corpus.cases import Case, made_attacks, made_work
from corpus.fifth_work import CLEAR, MASK, SINCE
from corpus.twins import Masked, World

_MASKED = (
    Masked("hr.staff", "login", "text", "login"),
    Masked("hr.staff", "name", "text", "name"),
    Masked("hr.staff", "mail", "email", "mail"),
    Masked("hr.staff", "phone", "phone", "phone"),
    Masked("hr.staff", "tax_no", "text", "tax"),
    Masked("hr.staff", "born", "date", "born"),
    Masked("hr.staff", "iban", "iban", "iban"),
    Masked("hr.staff", "home", "text", "home"),
    Masked("hr.staff", "bio", "text", "bio"),
    Masked("hr.staff", "skills", "array", "skills"),
    Masked("hr.staff", "pin", "bytes", "pin"),
    Masked("hr.staff", "extra", "text", "extra"),
    Masked("hr.staff", "prefs", "json", "prefs", (("phone",),)),
    Masked("hr.pay", "gross", "number", "gross"),
    Masked("hr.pay", "bonus", "number", "bonus"),
    Masked("hr.pay", "remark", "text", "remark"),
    Masked("hr.visitor", "mail", "email", "mail"),
    Masked("hr.visitor", "badge", "text", "badge"),
    Masked("tele.device", "keeper_mail", "email", "mail"),
    Masked("tele.device", "ip", "inet", "ip"),
    Masked("tele.device", "note", "text", "note"),
    Masked("tele.shift", "mail", "email", "mail"),
    Masked("tele.alarm", "reporter", "text", "name"),
    Masked("tele.alarm", "words", "text", "words"),
    Masked("tele.alarm_old", "reporter", "text", "name"),
    Masked("tele.alarm_old", "words", "text", "words"),
)
_LABELS = {
    "hr.staff.login": "person.name", "hr.staff.name": "person.name", "hr.staff.mail": "person.email", "hr.staff.phone": "person.phone",
    "hr.staff.tax_no": "person.national_id", "hr.staff.born": "person.birth_date", "hr.staff.iban": "payment.iban", "hr.staff.home": "person.address",
    "hr.staff.bio": "text.free", "hr.staff.skills": "text.free", "hr.staff.pin": "secret.credential", "hr.staff.extra": "text.free",
    "hr.staff.prefs->phone": "person.phone", "hr.staff.prefs->theme": "none", "hr.staff.prefs->n": "none", "hr.pay.gross": "finance.salary", "hr.pay.bonus": "finance.salary", "hr.pay.remark": "text.free",
    "hr.visitor.mail": "person.email", "hr.visitor.badge": "secret.credential", "tele.device.keeper_mail": "person.email", "tele.device.ip": "network.address",
    "tele.device.note": "text.free", "tele.shift.mail": "person.email", "tele.alarm.reporter": "person.name", "tele.alarm.words": "text.free",
    "hr.staff_far.name": "person.name", "hr.staff_far.mail": "person.email",
}  # fmt: skip
_POLICY = """\
@id("bot-writes-in-the-fifth-schema")
@reason("the corpus gives its agent these tables")
permit (principal == Agent::"bot", action == Action::"write", resource)
when { resource in Schema::"tele" || resource == Table::"hr.pay" };
"""

_ATTACKS = {
    # what extensions compute
    "similarity": "SELECT id, similarity(name, 'Ann Berg'), name <-> 'Ann Berg', word_similarity('Ann', name) FROM hr.staff ORDER BY id LIMIT 5",
    "similar-order": "SELECT id FROM hr.staff ORDER BY name <-> 'Anna', id LIMIT 5",
    "similar-filter": "SELECT count(*) FROM hr.staff WHERE name % 'Abe'; SELECT id FROM hr.staff WHERE name ILIKE '%ab%' ORDER BY id",
    "trigrams": "SELECT unnest(show_trgm(name)) FROM hr.staff WHERE id = 3",
    "hstore-keys": "SELECT id, akeys(extra), extra -> 'badge', extra ? 'desk' FROM hr.staff ORDER BY id LIMIT 4",
    "hstore-each": "SELECT (each(extra)).* FROM hr.staff WHERE id < 3",
    "hstore-of-row": "SELECT hstore(s) -> 'mail', hstore(s) - 'bio'::text FROM hr.staff s WHERE id = 4",
    "hstore-to-json": "SELECT hstore_to_jsonb(extra), extra::text, extra::jsonb FROM hr.staff WHERE id = 4",
    "hstore-populate": "SELECT (populate_record(NULL::hr.staff, hstore(s))).mail FROM hr.staff s WHERE id = 4",
    "hstore-contains": "SELECT id FROM hr.staff WHERE extra @> 'badge=>07919' ORDER BY id",
    "citext-compare": "SELECT id FROM hr.staff WHERE mail > 'm' ORDER BY id; SELECT citext_larger(mail, 'm') FROM hr.staff WHERE id < 4",
    "citext-equal": "SELECT id FROM hr.staff WHERE mail = (SELECT upper(mail::text)::citext FROM hr.staff WHERE id = 3)",
    "citext-max": "SELECT max(mail), min(mail) FROM hr.staff; SELECT max(mail::text) FROM hr.staff GROUP BY grade ORDER BY grade",
    "citext-group": "SELECT mail, count(*) FROM hr.visitor GROUP BY mail LIMIT 5; SELECT DISTINCT mail FROM tele.shift LIMIT 5",
    "citext-order": "SELECT id FROM hr.staff ORDER BY mail LIMIT 5; SELECT id FROM hr.staff ORDER BY mail USING > LIMIT 5",
    "citext-function": "SELECT split_part(mail, '@', 1), strpos(mail, 'a'), replace(mail, 'a', 'b') FROM hr.staff WHERE id < 4",
    "citext-regexp": "SELECT id FROM hr.staff WHERE mail ~ '^[a-f]' ORDER BY id; SELECT regexp_matches(mail, '^(.)(.)') FROM hr.staff WHERE id < 3",
    "citext-hash": "SELECT citext_hash(mail), hashtext(mail::text) FROM hr.staff WHERE id < 5 ORDER BY id",
    "crypto-digest": "SELECT id, encode(digest(name, 'sha256'), 'hex'), encode(digest(pin, 'md5'), 'hex') FROM hr.staff WHERE id < 3",
    "crypto-hmac": "SELECT hmac(mail::text, 'k', 'sha1'), crypt(name, '$1$abcdefgh$') FROM hr.staff WHERE id < 3",
    "crypto-encrypt": "SELECT decrypt(encrypt(convert_to(name, 'UTF8'), 'k', 'aes'), 'k', 'aes') FROM hr.staff WHERE id < 3",
    "crypto-armor": "SELECT armor(pin), pgp_sym_decrypt(pgp_sym_encrypt(name, 'k'), 'k') FROM hr.staff WHERE id = 2",
    "ltree-of-name": "SELECT text2ltree(regexp_replace(name, '[^A-Za-z]', '.', 'g')) FROM hr.staff WHERE id < 4",
    "ltree-match": "SELECT id FROM hr.staff WHERE text2ltree(regexp_replace(name, '[^A-Za-z]', '', 'g')) ~ 'A*' ORDER BY id",
    "btree-gist": "SELECT gbt_text_same(NULL, NULL, NULL) FROM hr.staff LIMIT 1",
    # search, arrays, composites, documents
    "search-vector": "SELECT id, search FROM hr.staff ORDER BY id LIMIT 3; SELECT lexeme FROM hr.staff, unnest(search) WHERE id < 3",
    "search-rank": "SELECT id, ts_rank(search, to_tsquery('simple', 'knows')) FROM hr.staff WHERE search @@ to_tsquery('simple', 'a:*') ORDER BY id",
    "search-headline": "SELECT ts_headline('simple', bio, to_tsquery('simple', 'knows')), ts_debug('simple', bio) FROM hr.staff WHERE id = 3",
    "search-stat": "SELECT word FROM ts_stat('SELECT search FROM hr.staff')",
    "array-element": "SELECT skills[1], array_length(skills, 1), cardinality(skills) FROM hr.staff WHERE id < 4 ORDER BY id",
    "composite-zip": "SELECT name, mail, (home).zip FROM hr.staff WHERE id = 12; SELECT set_masklen(ip::cidr, 16), count(*) FROM tele.device GROUP BY 1 ORDER BY 1 LIMIT 3",
    "array-any": "SELECT id FROM hr.staff WHERE 'abcdef' = ANY (skills) OR skills && ARRAY['x'] ORDER BY id",
    "array-unnest": "SELECT s, count(*) FROM hr.staff, unnest(skills) s GROUP BY s ORDER BY 2 DESC LIMIT 5",
    "array-of-rows": "SELECT (array_agg(s))[1].mail, (array_agg(s.name ORDER BY s.id))[2:3] FROM hr.staff s WHERE id < 9",
    "composite-field": "SELECT (home).street, (home).zip FROM hr.staff ORDER BY id LIMIT 3; SELECT (home).* FROM hr.staff WHERE id = 1",
    "composite-text": "SELECT home::text, ROW(home, name)::text, row_to_json(home) FROM hr.staff WHERE id < 3",
    "composite-order": "SELECT id FROM hr.staff ORDER BY home, id LIMIT 4; SELECT id FROM hr.staff WHERE home < ROW('W', '5')::hr.place ORDER BY id",
    "composite-equal": "SELECT a.id, b.id FROM hr.staff a JOIN hr.staff b ON a.home = b.home WHERE a.id < 5 ORDER BY 1, 2",
    "whole-row-compare": "SELECT a.id FROM hr.staff a, hr.staff b WHERE b.id = 7 AND (a.name, a.mail) > (b.name, b.mail) ORDER BY a.id",
    "record-image": "SELECT id FROM hr.staff s WHERE s.* *< (SELECT t FROM hr.staff t WHERE id = 40) ORDER BY id; SELECT ROW(name) *= ROW('x') FROM hr.staff WHERE id = 1",
    "row-distinct": "SELECT DISTINCT s FROM hr.visitor s LIMIT 3; SELECT count(DISTINCT v) FROM hr.visitor v",
    "jsonpath": "SELECT jsonb_path_query(prefs, '$.phone'), prefs @? '$.phone ? (@ like_regex \"9\")', prefs @@ '$.phone starts with \"+45 1\"' FROM hr.staff WHERE id < 5 ORDER BY id",
    "jsonpath-row": "SELECT jsonb_path_query_array(to_jsonb(s), '$.*') FROM hr.staff s WHERE id = 2",
    "jsonb-merge": "SELECT prefs || jsonb_build_object('m', mail), jsonb_set(prefs, '{x}', to_jsonb(name)), prefs - 'n' FROM hr.staff WHERE id = 3",
    "jsonb-keys": "SELECT jsonb_object_keys(jsonb_build_object(name, 1)) FROM hr.staff WHERE id < 4; SELECT json_object_agg(name, id) FROM hr.staff WHERE id < 4",
    "jsonb-populate": "SELECT * FROM jsonb_populate_recordset(NULL::hr.staff, (SELECT jsonb_agg(s) FROM hr.staff s WHERE id < 3))",
    "jsonb-to-record": "SELECT r.* FROM hr.staff s, jsonb_to_record(to_jsonb(s)) r(name text, mail text) WHERE s.id < 3",
    "json-arrow": "SELECT prefs -> 'phone', prefs #>> '{phone}', prefs['phone'], prefs ->> 'theme' FROM hr.staff ORDER BY id LIMIT 3",
    "json-table": "SELECT jt.* FROM hr.staff s, JSON_TABLE(to_jsonb(s), '$' COLUMNS (m text PATH '$.mail', n text PATH '$.name')) jt WHERE s.id < 4",
    "json-query": "SELECT JSON_VALUE(prefs, '$.phone'), JSON_QUERY(prefs, '$'), JSON_EXISTS(prefs, '$.phone ? (@ starts with \"+45 3\")') FROM hr.staff WHERE id < 4 ORDER BY id",
    "json-object-standard": "SELECT JSON_OBJECT('a': name, 'b': mail ABSENT ON NULL), JSON_ARRAY(name, tax_no) FROM hr.staff WHERE id = 1",
    "xml": "SELECT xmlelement(name x, xmlattributes(name AS n), mail), xmlforest(phone, tax_no) FROM hr.staff WHERE id < 3",
    "xml-agg": "SELECT xmlagg(xmlelement(name n, name) ORDER BY name) FROM hr.staff WHERE id < 6",
    "xml-table": "SELECT t.* FROM hr.staff s, XMLTABLE('/a/b' PASSING xmlparse(document '<a><b>' || s.name || '</b></a>') COLUMNS v text PATH '.') t WHERE s.id < 4",
    "xpath": "SELECT xpath('/a/text()', ('<a>' || name || '</a>')::xml) FROM hr.staff WHERE id < 3; SELECT xpath_exists('/a[starts-with(., \"A\")]', ('<a>' || name || '</a>')::xml) FROM hr.staff WHERE id < 9",
    # ranges, dates, numbers
    "range-of-pay": "SELECT numrange(gross, NULL), int8range(gross::int8, NULL) FROM hr.pay ORDER BY id, month LIMIT 3",
    "range-of-birth": "SELECT id FROM hr.staff WHERE daterange('1960-01-01', '1960-07-01') @> born ORDER BY id",
    "range-agg": "SELECT range_agg(daterange(born, born, '[]')), range_intersect_agg(daterange(born, NULL)) FROM hr.staff",
    "birth-arithmetic": "SELECT id, born - date '1960-01-01', age(born), born + 1, to_char(born, 'MM-DD'), date_bin('10 days', born::timestamp, timestamp '2000-01-01') FROM hr.staff ORDER BY id LIMIT 5",
    "birth-overlaps": "SELECT id FROM hr.staff WHERE (born, interval '3 months') OVERLAPS (date '1970-01-01', date '1970-02-01') ORDER BY id",
    "birth-interval-order": "SELECT id FROM hr.staff ORDER BY born, id LIMIT 9; SELECT id, percent_rank() OVER (ORDER BY born) FROM hr.staff ORDER BY id LIMIT 9",
    "pay-statistics": "SELECT corr(gross::float, hours::float), regr_slope(gross::float, staff_id::float), stddev(gross), var_pop(bonus) FROM hr.pay",
    "pay-percentile": "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY gross), mode() WITHIN GROUP (ORDER BY bonus), rank(50000) WITHIN GROUP (ORDER BY gross) FROM hr.pay",
    "pay-bucket": "SELECT width_bucket(gross, 0, 100000, 10), count(*) FROM hr.pay GROUP BY 1 ORDER BY 1; SELECT ntile(10) OVER (ORDER BY gross), id FROM hr.pay ORDER BY id, month LIMIT 5",
    "pay-generated": "SELECT id, taxed FROM hr.pay ORDER BY id, month LIMIT 3; SELECT avg(taxed), taxed / 0.6 FROM hr.pay GROUP BY taxed LIMIT 3",
    "pay-view": "SELECT dept, gross, gross / people FROM hr.cost ORDER BY dept, month; SELECT dept FROM hr.cost ORDER BY gross DESC LIMIT 3",
    "pay-frame": "SELECT id, sum(hours) OVER (ORDER BY gross RANGE BETWEEN 1000 PRECEDING AND CURRENT ROW) FROM hr.pay ORDER BY id, month LIMIT 6",
    "pay-exclude": "SELECT id, count(*) OVER (ORDER BY gross GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM hr.pay ORDER BY id, month LIMIT 6",
    "pay-frame-offset": "SELECT p.id, count(*) OVER (ORDER BY p.id ROWS BETWEEN (SELECT (gross / 10000)::int FROM hr.pay WHERE id = 3 LIMIT 1) PRECEDING AND CURRENT ROW) FROM hr.pay p LIMIT 9",
    "money-from-pay": "SELECT gross::money, gross::text, to_char(gross, '99999'), round(gross, -3), gross % 10 FROM hr.pay ORDER BY id, month LIMIT 2",
    # partitions, inheritance, places
    "partition-direct": "SELECT gross FROM hr.pay_2026 ORDER BY id LIMIT 3; SELECT mail FROM tele.shift_1 LIMIT 3; SELECT max(mail) FROM ONLY tele.shift_2",
    "partition-of": "SELECT tableoid::regclass, mail FROM tele.shift ORDER BY begins LIMIT 5; SELECT tableoid::regclass, count(*) FROM tele.shift GROUP BY 1 ORDER BY 1",
    "partition-remainder": "SELECT satisfies_hash_partition('tele.shift'::regclass, 3, 0, mail) FROM tele.shift ORDER BY begins LIMIT 5",
    "partition-order": "SELECT device FROM tele.shift LIMIT 7; SELECT string_agg(device::text, ',') FROM tele.shift; SELECT array_agg(minutes) FROM tele.shift",
    "partition-window": "SELECT device, row_number() OVER () FROM tele.shift LIMIT 9; SELECT first_value(begins) OVER (PARTITION BY device) FROM tele.shift LIMIT 9",
    "partition-ties": "SELECT device, begins FROM tele.shift ORDER BY minutes FETCH FIRST 5 ROWS ONLY; SELECT DISTINCT ON (device) device, begins FROM tele.shift",
    "partition-ctid": "SELECT ctid, device FROM tele.shift LIMIT 5; SELECT device FROM tele.shift WHERE ctid = '(0,1)'",
    "partition-sample": "SELECT device FROM tele.shift TABLESAMPLE SYSTEM (100) LIMIT 4; SELECT count(*) FROM tele.shift TABLESAMPLE BERNOULLI (30) REPEATABLE (1)",
    "partition-explain": "EXPLAIN SELECT device FROM tele.shift WHERE mail = 'a@gmail.com'; EXPLAIN (COSTS OFF) SELECT count(*) FROM tele.shift_0",
    "partition-cursor": "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT device, minutes FROM tele.shift; FETCH 3 FROM c; FETCH LAST FROM c; FETCH BACKWARD 2 FROM c; COMMIT",
    "partition-join": "SELECT d.id, s.begins FROM tele.shift s JOIN tele.device d ON d.keeper_mail = s.mail LIMIT 6; SELECT count(*) FROM tele.shift a JOIN tele.shift b ON a.mail = b.mail",
    "partition-copy": "COPY tele.shift (device, minutes) TO STDOUT; COPY (SELECT * FROM tele.shift_0) TO STDOUT (FORMAT csv)",
    "inherited": "SELECT reporter FROM tele.alarm ORDER BY id LIMIT 3; SELECT reporter, words FROM tele.alarm_old ORDER BY id LIMIT 3; SELECT a.*::text FROM tele.alarm_old a LIMIT 2",
    "inherited-cast": "SELECT (a::tele.alarm).reporter FROM tele.alarm_old a ORDER BY id LIMIT 2",
    "inherited-order": "SELECT id FROM tele.alarm ORDER BY reporter LIMIT 6; SELECT level, min(words) FROM tele.alarm GROUP BY level ORDER BY level",
    # indirection
    "functional-notation": "SELECT s.display, display(s) FROM hr.staff s LIMIT 2; SELECT hr.display(s) FROM hr.staff s LIMIT 2; SELECT name(s), s.mail::text FROM hr.staff s WHERE id = 1",
    "definer": "SELECT hr.mail_of(3); SELECT * FROM hr.mail_of(4); SELECT id FROM hr.staff WHERE hr.mail_of(id) > 'm' ORDER BY id",
    "dynamic": "SELECT mail FROM hr.find('M') LIMIT 3; SELECT count(*) FROM hr.find('M')",
    "own-aggregate": "SELECT hr.glued(name) FROM hr.staff; SELECT hr.glued(name ORDER BY mail) OVER () FROM hr.staff LIMIT 1",
    "own-operator": "SELECT name OPERATOR(hr.@@@) 'x' FROM hr.staff WHERE id < 3",
    "foreign": "SELECT name, mail FROM hr.staff_far ORDER BY id LIMIT 3; SELECT id FROM hr.staff_far ORDER BY name LIMIT 3; SELECT upper(mail) FROM hr.staff_far WHERE id = 2",
    "foreign-filter": "SELECT count(*) FROM hr.staff_far WHERE name > 'M'; SELECT id FROM hr.staff_far WHERE mail LIKE 'a%'",
    "foreign-explain": "EXPLAIN (VERBOSE, COSTS OFF) SELECT name FROM hr.staff_far WHERE name > 'M'; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT id FROM hr.staff_far WHERE mail < 'm'",
    "foreign-order": "SELECT id, grade FROM hr.staff_far; SELECT grade FROM hr.staff_far LIMIT 5; SELECT id, row_number() OVER () FROM hr.staff_far LIMIT 5; SELECT ctid, id FROM hr.staff_far LIMIT 3; SELECT string_agg(grade, '') FROM hr.staff_far",
    "foreign-join": "SELECT f.id, s.grade FROM hr.staff_far f JOIN hr.staff s ON s.mail = f.mail WHERE s.id < 9; SELECT s.id FROM hr.staff s WHERE EXISTS (SELECT 1 FROM hr.staff_far f WHERE f.name = s.name AND f.id > s.id); SELECT name, count(*) FROM hr.staff_far GROUP BY name LIMIT 4",
    "foreign-plan": "EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM hr.staff_far WHERE grade = 'lead'; EXPLAIN SELECT id, name FROM hr.staff_far WHERE id = 3",
    "foreign-write": "UPDATE hr.staff_far SET grade = 'lead' WHERE mail < 'c'; INSERT INTO tele.scratch(k, a) SELECT id, name FROM hr.staff_far; DELETE FROM hr.staff_far WHERE id = 4",
    "partition-copied": "BEGIN; INSERT INTO tele.scratch(k, a) SELECT extract(epoch FROM begins)::bigint, device::text FROM tele.shift; SELECT k, a FROM tele.scratch LIMIT 9; ROLLBACK",
    "partition-copied-own": "CREATE TEMPORARY TABLE copied_shift AS SELECT device, begins FROM tele.shift; SELECT begins FROM copied_shift LIMIT 9; SELECT ctid, begins FROM copied_shift ORDER BY begins LIMIT 9; DROP TABLE copied_shift",
    "partition-copied-into-own": "CREATE TEMPORARY TABLE copied_into(device int, begins timestamptz); INSERT INTO copied_into SELECT device, begins FROM tele.shift; SELECT begins FROM copied_into LIMIT 9; SELECT ctid, begins FROM copied_into ORDER BY begins LIMIT 9; DROP TABLE copied_into",
    "index-copied": "BEGIN; INSERT INTO tele.scratch(k, a) SELECT id, grade::text FROM hr.staff WHERE grade = 'lead'; SELECT k FROM tele.scratch; ROLLBACK",
    "foreign-copied": "BEGIN; INSERT INTO tele.scratch(k, a) SELECT id, grade FROM hr.staff_far WHERE id < 20; SELECT k FROM tele.scratch; ROLLBACK",
    "joined-copied": "BEGIN; INSERT INTO tele.scratch(k) SELECT d.id + 1000 FROM tele.device d WHERE d.id IN (SELECT device FROM tele.shift); SELECT k FROM tele.scratch; ROLLBACK",
    "foreign-error": "SELECT name::int FROM hr.staff_far LIMIT 1; SELECT 1 / (length(name) - length(name)) FROM hr.staff_far LIMIT 1",
    "view-of-view": "SELECT name, phone FROM hr.phonebook ORDER BY id LIMIT 3; SELECT upper(name), left(phone, 6) FROM hr.phonebook ORDER BY id LIMIT 3; SELECT id FROM hr.phonebook WHERE name > 'M' ORDER BY id",
    "view-order": "SELECT id FROM hr.directory ORDER BY zip, id LIMIT 4; SELECT zip, count(*) FROM hr.directory GROUP BY zip ORDER BY 2 DESC, 1 LIMIT 4",
    "materialised": "SELECT mail FROM hr.contacts ORDER BY id LIMIT 3; SELECT upper(mail::text) FROM hr.contacts ORDER BY id LIMIT 3; SELECT id FROM hr.contacts WHERE mail < 'k' AND active ORDER BY id",
    "materialised-order": "SELECT grade FROM hr.ranked LIMIT 5; SELECT mail, dept FROM hr.ranked LIMIT 5; SELECT array_agg(dept) FROM hr.ranked; SELECT grade, row_number() OVER () FROM hr.ranked LIMIT 9",
    "materialised-refresh": "REFRESH MATERIALIZED VIEW hr.contacts",
    "recursive": "WITH RECURSIVE r(id, way) AS (SELECT id, name FROM hr.staff WHERE boss IS NULL UNION ALL SELECT s.id, r.way || '/' || s.name FROM hr.staff s JOIN r ON s.boss = r.id) SELECT * FROM r ORDER BY id LIMIT 6",
    "recursive-search": "WITH RECURSIVE r AS (SELECT id, name FROM hr.staff WHERE boss IS NULL UNION ALL SELECT s.id, s.name FROM hr.staff s JOIN r ON s.boss = r.id) SEARCH DEPTH FIRST BY name SET o SELECT id FROM r ORDER BY o LIMIT 8",
    "recursive-cycle": "WITH RECURSIVE r AS (SELECT id, boss, name FROM hr.staff WHERE id = 9 UNION ALL SELECT s.id, s.boss, s.name FROM hr.staff s JOIN r ON s.id = r.boss) CYCLE name SET hit USING path SELECT id, path FROM r",
    "lateral-count": "SELECT s.id, l.n FROM hr.staff s, LATERAL (SELECT count(*) AS n FROM hr.staff t WHERE t.name < s.name) l ORDER BY s.id LIMIT 6",
    "lateral-limit": "SELECT s.id, l.id FROM hr.staff s, LATERAL (SELECT t.id FROM hr.staff t ORDER BY t.born LIMIT length(s.name) - 10) l WHERE s.id < 4 ORDER BY 1, 2",
    "grouping-sets": "SELECT grade, mail, count(*) FROM hr.staff GROUP BY CUBE (grade, mail) LIMIT 7; SELECT left(name, 1), grade, count(*) FROM hr.staff GROUP BY GROUPING SETS ((1), (2)) ORDER BY 1, 2",
    "grouping-function": "SELECT GROUPING(name), count(*) FROM hr.staff GROUP BY ROLLUP (name) ORDER BY 1 LIMIT 4",
    "with-ties": "SELECT id FROM hr.staff ORDER BY left(name, 1) FETCH FIRST 3 ROWS WITH TIES",
    "ordered-sets": "SELECT grade, percentile_disc(0.5) WITHIN GROUP (ORDER BY name) FROM hr.staff GROUP BY grade ORDER BY grade; SELECT cume_dist('M') WITHIN GROUP (ORDER BY name) FROM hr.staff",
    "temporary-functions": "SET search_path = pg_temp, hr, tele, public; SELECT name FROM staff ORDER BY id LIMIT 2",
    "shadowing": "WITH staff AS (SELECT 1 AS id) SELECT name FROM hr.staff s JOIN staff USING (id); SELECT (SELECT name FROM (SELECT 'x' AS name) hr) FROM hr.staff LIMIT 1",
    "quoted": 'SELECT "hr"."staff"."name" AS "id", s."mail" FROM "hr"."staff", hr.staff s WHERE s.id = 3 AND "staff"."id" = 2; SELECT U&"n\\0061me" FROM hr.staff WHERE id = 1',
    # writes
    "merge": "BEGIN; MERGE INTO tele.scratch t USING hr.staff s ON t.k = s.id WHEN NOT MATCHED AND s.name > 'M' THEN INSERT VALUES (s.id, s.name); SELECT * FROM tele.scratch; ROLLBACK",
    "merge-returning": "BEGIN; MERGE INTO tele.scratch t USING (SELECT id, mail FROM hr.staff WHERE id < 4) s ON t.k = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.mail::text) RETURNING t.*, s.mail; ROLLBACK",
    "insert-select": "BEGIN; INSERT INTO tele.scratch(k, a, b) SELECT p.id, p.remark, p.gross FROM hr.pay p WHERE month = '2026-01-01'; SELECT * FROM tele.scratch ORDER BY k LIMIT 2; ROLLBACK",
    "insert-returning": "BEGIN; INSERT INTO tele.scratch(k) SELECT id FROM hr.staff WHERE name > 'M' RETURNING k; ROLLBACK",
    "insert-conflict": "BEGIN; INSERT INTO tele.scratch VALUES (1, 'a'); INSERT INTO tele.scratch VALUES (1, 'b') ON CONFLICT (k) DO UPDATE SET a = (SELECT name FROM hr.staff WHERE id = 1) RETURNING a; ROLLBACK",
    "update-masked": "BEGIN; UPDATE hr.pay SET gross = gross + 1 WHERE id = 3 RETURNING gross, taxed; ROLLBACK; BEGIN; UPDATE hr.pay SET hours = 1 WHERE gross > 50000 RETURNING id; ROLLBACK",
    "update-from": "BEGIN; UPDATE tele.scratch t SET a = s.name FROM hr.staff s WHERE s.id = t.k; ROLLBACK; BEGIN; UPDATE hr.pay p SET hours = 3 FROM hr.staff s WHERE s.id = p.staff_id AND s.name > 'M' AND p.id < 5 RETURNING p.id; ROLLBACK",
    "update-trigger": "BEGIN; UPDATE tele.alarm SET level = 2 WHERE id = 3; ROLLBACK; LISTEN alarms; BEGIN; UPDATE tele.alarm SET level = 1 WHERE id = 4 RETURNING reporter; ROLLBACK; SELECT 1",
    "update-old-new": "BEGIN; UPDATE hr.pay SET hours = 1 WHERE id = 3 AND month = '2026-01-01' RETURNING old.gross, new.taxed, old; ROLLBACK",
    "delete-using": "BEGIN; DELETE FROM tele.alarm a USING hr.staff s WHERE s.name = a.reporter AND s.mail < 'm' RETURNING a.id; ROLLBACK; BEGIN; DELETE FROM tele.alarm WHERE words > 'Alarm 8'; ROLLBACK",
    "writable-with": "BEGIN; WITH d AS (DELETE FROM tele.alarm WHERE id < 4 RETURNING reporter) SELECT upper(reporter) FROM d; ROLLBACK; BEGIN; WITH u AS (UPDATE hr.pay SET hours = 2 WHERE id = 5 RETURNING gross) SELECT max(gross) FROM u; ROLLBACK",
    "unique-guess": "BEGIN; INSERT INTO tele.device(id, site, serial, spec) VALUES (900, 'x', 'WT-00003', '{}'); ROLLBACK; BEGIN; INSERT INTO hr.visitor VALUES ('a@gmail.com', 'b', now(), 'east'); ROLLBACK",
    "check-oracle": "BEGIN; ALTER TABLE tele.scratch ADD CHECK (a <> (SELECT 'x')); ROLLBACK; BEGIN; CREATE INDEX ON hr.staff (name) WHERE name > 'M'; ROLLBACK",
    "copy-in": "COPY hr.staff (id, login, name, grade, dept, hired, updated) FROM STDIN",
    "sequence": "SELECT setval('tele.alarm_id_seq', (SELECT ascii(name) FROM hr.staff WHERE id = 1)); SELECT last_value FROM tele.alarm_id_seq",
    "large-object": "SELECT lo_from_bytea(0, convert_to(name, 'UTF8')) FROM hr.staff WHERE id = 1; SELECT lo_create(ascii(name)) FROM hr.staff WHERE id = 1; SELECT data FROM pg_largeobject",
    "notify": "LISTEN x; SELECT pg_notify('x', name) FROM hr.staff WHERE id = 1; SELECT 1",
    "advisory": "SELECT pg_try_advisory_lock(ascii(name)) FROM hr.staff WHERE id = 1; SELECT objid FROM pg_locks WHERE locktype = 'advisory'",
    "temporary-copy": "CREATE TEMP TABLE c AS SELECT name, mail, gross FROM hr.staff s JOIN hr.pay p ON p.staff_id = s.id; SELECT * FROM c LIMIT 3; SELECT max(name) FROM c; DROP TABLE c",
    "temporary-view": "CREATE TEMP VIEW w AS SELECT name FROM hr.staff; SELECT * FROM w LIMIT 2",
    "do-block": "DO $$ BEGIN RAISE NOTICE '%', (SELECT name FROM hr.staff WHERE id = 1); END $$",
    "locking": "SELECT name FROM hr.staff WHERE id = 1 FOR UPDATE; SELECT id FROM hr.staff WHERE name > 'M' FOR SHARE SKIP LOCKED",
    # errors
    "error-cast": "SELECT name::int FROM hr.staff; SELECT (mail::text)::ltree FROM hr.staff; SELECT bio::jsonb FROM hr.staff; SELECT name::hr.grade FROM hr.staff WHERE id = 2",
    "error-domain": "SELECT name::hr.d_login FROM hr.staff WHERE id = 1; SELECT (-gross)::tele.watts FROM hr.pay; SELECT name::char(3)::hr.d_login FROM hr.staff",
    "error-overflow": "SELECT (tax_no::bigint * 1000000000)::int FROM hr.staff WHERE id = 3; SELECT gross::smallint FROM hr.pay; SELECT gross::numeric(4,2) FROM hr.pay LIMIT 1",
    "error-choice": "SELECT 1 / (ascii(name) - 77) FROM hr.staff; SELECT CASE WHEN name > 'M' THEN 1 / (id - id) ELSE 0 END FROM hr.staff WHERE id = 5",
    "error-choice-limit": "SELECT device, 100 / (minutes - 60) FROM tele.shift LIMIT 3; SELECT 1 / (minutes - 120) FROM tele.shift",
    "error-subquery": "SELECT (SELECT id FROM hr.staff WHERE name > 'M'); SELECT (SELECT device FROM tele.shift s WHERE s.mail = d.keeper_mail) FROM tele.device d ORDER BY id",
    "error-range": "SELECT daterange(born, date '1970-01-01') FROM hr.staff; SELECT numrange(gross, 50000) FROM hr.pay ORDER BY id, month",
    "error-array": "SELECT (ARRAY[1, 2])[ascii(name)] FROM hr.staff WHERE id = 1; SELECT array_fill(0, ARRAY[length(name) - 30]) FROM hr.staff",
    "error-regexp": "SELECT 'x' ~ ('(' || name) FROM hr.staff; SELECT to_date(name, 'YYYY') FROM hr.staff; SELECT to_number(bio, '999') FROM hr.staff LIMIT 1",
    "soft-errors": "SELECT id, pg_input_is_valid(name, 'integer'), pg_input_error_info(name, 'integer') FROM hr.staff ORDER BY id LIMIT 3",
    # what the catalogue and the planner say
    "statistics": "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'staff'; SELECT stxdmcv FROM pg_statistic_ext_data; SELECT correlation FROM pg_stats WHERE attname = 'mail'",
    "explain-rows": "EXPLAIN SELECT * FROM hr.staff WHERE name = 'Abc Def'; EXPLAIN SELECT * FROM hr.pay WHERE gross > 60000; EXPLAIN (FORMAT JSON) SELECT 1 FROM hr.staff WHERE mail < 'k'",
    "explain-settings": "SET enable_seqscan = off; EXPLAIN (COSTS OFF) SELECT id FROM hr.staff WHERE active AND lower(name) = 'x'; RESET enable_seqscan",
    "explain-partial": "EXPLAIN SELECT id, name FROM hr.staff WHERE active; EXPLAIN SELECT name FROM hr.staff WHERE id = 3; EXPLAIN SELECT id FROM hr.staff WHERE active ORDER BY id LIMIT 3",
    "partial-index": "SELECT id FROM hr.staff WHERE active AND lower(name) BETWEEN 'a' AND 'h' LIMIT 3; SELECT id FROM hr.contacts WHERE active LIMIT 5; SELECT id FROM hr.staff WHERE grade = 'lead' LIMIT 4",
    "activity": "SELECT query FROM pg_stat_activity; SELECT * FROM pg_prepared_statements; SELECT * FROM pg_cursors; SELECT statement FROM pg_prepared_statements",
    "cursor-variable": "SELECT refcursor 'c1'; SELECT * FROM pg_cursor(); SELECT cursor_to_xml('c', 5, true, false, '')",
    "query-to-xml": "SELECT query_to_xml('SELECT name FROM hr.staff', true, false, ''); SELECT table_to_xml('hr.staff', true, true, ''); SELECT database_to_xml(true, true, '')",
    "crosstab": "SELECT * FROM crosstab('SELECT id, name, mail FROM hr.staff') AS c(a int, b text); SELECT dblink('dbname=fifth', 'SELECT name FROM hr.staff')",
    "index-scan-order": "SELECT grade FROM hr.staff WHERE grade = 'lead' AND mail IS NOT NULL LIMIT 5; SELECT min(id) FROM hr.staff GROUP BY grade, mail LIMIT 5",
    "sizes": "SELECT pg_column_size(s.*), pg_column_size(name), octet_length(s::text) FROM hr.staff s ORDER BY id LIMIT 4; SELECT pg_relation_size('hr.staff')",
    "pseudonym-oracle": "SELECT id FROM hr.staff WHERE mail = '{sur:mail:3}'; SELECT id FROM hr.staff WHERE mail = upper('{sur:mail:3}'); SELECT id FROM hr.staff WHERE name LIKE left('{sur:name:3}', 4) || '%'",
    "between-classes": "SELECT count(*) FROM hr.staff s JOIN tele.alarm a ON a.reporter = s.login; SELECT count(*) FROM hr.staff WHERE name = login; SELECT coalesce(name, login) FROM hr.staff LIMIT 2",
}  # fmt: skip

_NEWER = {
    "json-table": 17,
    "json-query": 17,
    "json-object-standard": 16,
    "merge": 15,
    "merge-returning": 17,
    "update-old-new": 18,
    "soft-errors": 16,
}
"""Attacks in syntax or by functions that older servers do not have."""


def fifth_world() -> World:
    """The fifth schema with its data."""
    return World(
        name="fifth",
        setup=(Path(__file__).parent / "fifth_schema.sql").read_text(encoding="utf-8"),
        tables={"hr.staff": "id", "hr.pay": "id, month", "hr.visitor": "seen", "tele.device": "id", "tele.reading": "device, at",
                "tele.shift": "begins", "tele.alarm": "id", "tele.alarm_old": "id"},
        masked=_MASKED,
        refresh=("hr.contacts", "tele.daily", "hr.ranked"),
        policies={"43-fifth.cedar": _POLICY},
        watched="SELECT (SELECT md5(string_agg(s::text, '' ORDER BY id)) FROM hr.staff s), (SELECT md5(string_agg(p::text, '' ORDER BY id, month)) FROM hr.pay p),"
        " (SELECT md5(string_agg(a::text, '' ORDER BY id)) FROM tele.alarm a), (SELECT count(*) FROM tele.scratch), (SELECT count(*) FROM hr.visitor), (SELECT count(*) FROM tele.device)",
        emptied=("TRUNCATE tele.scratch",),
        labels=_LABELS,
        made=(("hr.staff", "search"), ("hr.staff", "shouted"), ("hr.pay", "taxed")),
    )  # fmt: skip


def fifth_cases(major: int) -> list[Case]:
    """Attacks that a major version can read."""
    return made_attacks("wind", _ATTACKS, _NEWER, major)


def fifth_work(major: int) -> list[Case]:
    """Statements that must work."""
    return made_work("wind", CLEAR, MASK, SINCE, major)
