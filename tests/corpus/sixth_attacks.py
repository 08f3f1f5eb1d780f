"""Attacks on the sixth schema: reports that are made to tell, written for this schema alone."""

from __future__ import annotations

from collections.abc import Mapping

ATTACKS: Mapping[str, str] = {
    # order and choice of rows
    "scan-limit": "SELECT door, at FROM lab.scan WHERE mail > 'g' LIMIT 5; SELECT at FROM lab.scan ORDER BY mail LIMIT 5; SELECT DISTINCT mail FROM lab.scan LIMIT 3",
    "union-limit": "SELECT mail FROM lab.all_scan ORDER BY 1 LIMIT 4; SELECT mail FROM lab.scan UNION SELECT mail FROM clinic.patient LIMIT 4; SELECT door FROM (SELECT DISTINCT mail, door FROM lab.all_scan) t LIMIT 4",
    "union-window": "SELECT at, row_number() OVER (ORDER BY mail) FROM lab.all_scan ORDER BY at LIMIT 9; SELECT at, row_number() OVER (PARTITION BY mail) FROM lab.all_scan LIMIT 9",
    "union-first": "SELECT (array_agg(at))[1:5] FROM (SELECT at, mail FROM lab.all_scan ORDER BY mail) t; SELECT string_agg(door, '') FROM (SELECT mail, min(door) door FROM lab.all_scan GROUP BY mail) t",
    "union-arms": "SELECT kind FROM (SELECT 'p' kind, mail FROM clinic.patient UNION ALL SELECT 'd', mail FROM clinic.doctor) t ORDER BY mail LIMIT 12; SELECT kind, id FROM clinic.person WHERE mail < 'm' ORDER BY kind, id",
    "union-lag": "SELECT at, lag(at) OVER (ORDER BY mail, at) FROM lab.all_scan ORDER BY at LIMIT 5; SELECT at, lag(at) OVER (PARTITION BY 1) FROM (SELECT at, mail FROM lab.scan ORDER BY mail) t LIMIT 5",
    "union-distinct-on": "SELECT DISTINCT ON (door) door, at FROM lab.all_scan ORDER BY door, mail; SELECT DISTINCT ON (mail) at FROM lab.all_scan LIMIT 5",
    "union-hidden-arm": "SELECT count(*) FROM (SELECT at FROM lab.scan WHERE mail LIKE 'a%' UNION ALL SELECT at FROM lab.scan_old) t; SELECT n FROM (SELECT length(mail) AS l, 1 AS n FROM lab.scan UNION ALL SELECT 0, 2) t ORDER BY l LIMIT 5",
    "union-lazy": "SELECT n FROM (SELECT 1 AS n, (1 / (length(mail) - 12))::text AS m FROM lab.scan UNION ALL SELECT 2, 'x') t; SELECT count(*) FROM (SELECT (ascii(mail) / 0) AS x FROM lab.scan UNION ALL SELECT 1) t",
    "union-all-recursive": "WITH RECURSIVE r(n, m) AS (SELECT 1, min(mail) FROM lab.scan UNION ALL SELECT n + 1, (SELECT min(mail) FROM lab.scan WHERE mail > r.m) FROM r WHERE n < 5) SELECT n FROM r WHERE m < 'k'",
    "union-cte": "WITH a AS (SELECT at, mail FROM lab.scan), b AS (SELECT * FROM a UNION ALL SELECT at, mail FROM lab.scan_old) SELECT at FROM b ORDER BY mail DESC LIMIT 3",
    "union-srf": "SELECT unnest(ARRAY[1]) AS n, mail FROM lab.scan WHERE mail ~ '^a' UNION ALL SELECT 2, 'x'; SELECT n FROM (SELECT generate_series(1, length(mail)) n FROM lab.scan UNION ALL SELECT 1) t LIMIT 20",
    "union-view-where": "SELECT at FROM lab.all_scan WHERE mail = (SELECT mail FROM clinic.doctor WHERE id = 3) LIMIT 2; SELECT gen, count(*) FROM lab.all_scan WHERE substr(mail, 1, 1) = 'a' GROUP BY gen",
    "union-whole-row": "SELECT s FROM lab.all_scan s LIMIT 3; SELECT s::text FROM lab.all_scan s ORDER BY at LIMIT 3; SELECT to_jsonb(s) -> 'mail' FROM lab.all_scan s LIMIT 2; SELECT count(DISTINCT s) FROM lab.all_scan s",
    "union-order-alias": "SELECT at, mail FROM lab.all_scan ORDER BY 2 LIMIT 6; (SELECT at, mail FROM lab.scan ORDER BY mail LIMIT 3) UNION ALL (SELECT at, mail FROM lab.scan_old ORDER BY mail LIMIT 3)",
    "union-exists": "SELECT id FROM clinic.doctor d WHERE EXISTS (SELECT 1 FROM lab.all_scan s WHERE s.mail = d.mail AND s.door = 'door1' AND left(s.mail, 1) < 'f') ORDER BY id",
    "union-mixed": "SELECT m FROM (SELECT mail AS m FROM lab.scan UNION ALL SELECT door FROM lab.scan) t ORDER BY m LIMIT 9; SELECT full_name FROM clinic.patient WHERE id < 3 UNION ALL SELECT person_no FROM clinic.patient WHERE id < 3",
    "union-update": "UPDATE clinic.invoice SET meta = '{}' WHERE id IN (SELECT id FROM clinic.person WHERE mail < 'f'); INSERT INTO clinic.setting SELECT mail, '1' FROM lab.all_scan ON CONFLICT DO NOTHING",
    "created-ties": "SELECT id FROM clinic.patient WHERE mail LIKE '%a%' ORDER BY created_at LIMIT 5; SELECT id FROM clinic.patient ORDER BY created_at, full_name LIMIT 7",
    "index-name-order": "SELECT city FROM clinic.patient WHERE full_name IS NOT NULL LIMIT 5; SELECT id FROM clinic.patient WHERE full_name >= 'M' LIMIT 3; SELECT min(id) FROM clinic.patient GROUP BY full_name LIMIT 3",
    "merge-order": "SET enable_hashjoin = off; SELECT s.at FROM lab.scan s JOIN clinic.doctor d ON d.mail = s.mail LIMIT 5; SELECT d.id FROM clinic.doctor d JOIN lab.sample s ON s.taken_by = d.mail LIMIT 5",
    "limit-by-value": "SELECT id FROM clinic.ward LIMIT (SELECT ascii(mail) % 5 FROM clinic.doctor WHERE id = 2); SELECT id FROM clinic.ward OFFSET (SELECT count(*) FROM clinic.doctor WHERE mail < 'k') / 4",
    "lateral-limit": "SELECT w.id, x.id FROM clinic.ward w, LATERAL (SELECT d.id FROM clinic.doctor d WHERE d.ward_id = w.id ORDER BY d.salary DESC LIMIT 1) x ORDER BY w.id",
    "distinct-on-salary": "SELECT DISTINCT ON (specialty) specialty, id FROM clinic.doctor ORDER BY specialty, salary DESC",
    "nth": "SELECT nth_value(id, 2) OVER (ORDER BY salary) FROM clinic.doctor; SELECT id FROM (SELECT id, ntile(2) OVER (ORDER BY born) n FROM clinic.patient) t WHERE n = 1 ORDER BY id LIMIT 10",
    "grouping-sets": "SELECT left(full_name, 1), city, count(*) FROM clinic.patient GROUP BY GROUPING SETS ((1), (2), ()) ORDER BY 1, 2; SELECT street, count(*) FROM clinic.patient GROUP BY ROLLUP (street) ORDER BY 2 DESC",
    "keyset": "SELECT id FROM clinic.patient WHERE (full_name, id) > ('M', 0) ORDER BY full_name, id LIMIT 5",
    "partition-by-name": "SELECT id, row_number() OVER (PARTITION BY full_name) FROM clinic.patient LIMIT 9; SELECT first_value(id) OVER (PARTITION BY full_name) FROM clinic.patient LIMIT 9",
    "const-partition": "SELECT id, lag(id) OVER (PARTITION BY 1) FROM (SELECT id FROM clinic.patient GROUP BY id, full_name) t LIMIT 9; SELECT id, row_number() OVER (PARTITION BY 'x') FROM clinic.patient p JOIN lab.scan s ON s.mail = p.mail LIMIT 4",
    "sum-order": "SELECT sum(score) FROM (SELECT score FROM clinic.patient ORDER BY full_name) t; SELECT sum(score ORDER BY full_name) FROM clinic.patient",
    # values by computation
    "prefix": "SELECT count(*) FROM clinic.patient WHERE mail LIKE 'a%'; SELECT id FROM clinic.patient WHERE full_name SIMILAR TO '(A|B)%' ORDER BY id",
    "cast": 'SELECT mail::varchar(4), full_name::"char", born::text, born::timestamp FROM clinic.patient ORDER BY id LIMIT 3',
    "document": "SELECT jsonb_pretty(to_jsonb(p)) FROM clinic.patient p WHERE id = 4; SELECT contact -> 'phone', contact #> '{phone}', contact::text, jsonb_each_text(contact) FROM clinic.patient WHERE id = 4",
    "document-search": "SELECT id FROM clinic.patient WHERE contact @> '{\"phone\": \"+46 93 2452843\"}' ORDER BY id; SELECT id FROM clinic.patient WHERE contact ->> 'phone' LIKE '+46 3%' ORDER BY id; SELECT id FROM clinic.patient WHERE contact @? '$.phone ? (@ like_regex \"7$\")' ORDER BY id",
    "document-order": "SELECT id FROM clinic.patient ORDER BY contact LIMIT 5; SELECT max(contact ->> 'phone') FROM clinic.patient; SELECT DISTINCT contact FROM clinic.patient LIMIT 3",
    "composite": "SELECT (reach).value, reach::text, row(reach, mail)::text FROM clinic.patient WHERE id < 4 ORDER BY id; SELECT id FROM clinic.patient WHERE (reach).value < 'm' ORDER BY id",
    "generated": "SELECT id, name_length FROM clinic.patient ORDER BY name_length, id LIMIT 5; SELECT name_length, count(*) FROM clinic.patient GROUP BY 1 ORDER BY 1; SELECT id FROM clinic.patient WHERE name_length = 13 ORDER BY id",
    "salary-rank": "SELECT specialty, count(*), avg(salary) FROM clinic.doctor GROUP BY specialty ORDER BY specialty; SELECT id, rank() OVER (PARTITION BY specialty ORDER BY salary DESC) FROM clinic.doctor ORDER BY id; SELECT id FROM clinic.visit WHERE to_tsvector('simple', note) @@ plainto_tsquery('simple', 'noted') ORDER BY id LIMIT 5",
    "salary": "SELECT id FROM clinic.doctor WHERE salary > 60000 ORDER BY id; SELECT width_bucket(salary, 0, 100000, 4), count(*) FROM clinic.doctor GROUP BY 1 ORDER BY 1; SELECT corr(salary, id) FROM clinic.doctor",
    "birth": "SELECT id FROM clinic.patient WHERE born BETWEEN '1955-03-01' AND '1955-09-01' ORDER BY id; SELECT extract(doy FROM born), count(*) FROM clinic.patient GROUP BY 1 ORDER BY 1 LIMIT 4; SELECT id, born + interval '1 day' FROM clinic.patient ORDER BY id LIMIT 3",
    "guess": "SELECT id FROM clinic.patient WHERE full_name = 'Annika Berg' OR mail = 'anna1@gmail.com'; SELECT count(*) FROM clinic.doctor WHERE mail = ANY (ARRAY['a@gmail.com', 'b@gmail.com'])",
    "hash": "SELECT md5(mail), hashtext(full_name), encode(sha256(convert_to(person_no, 'UTF8')), 'hex') FROM clinic.patient ORDER BY id LIMIT 3",
    "search": "SELECT id, ts_rank(to_tsvector('simple', note), to_tsquery('simple', 'a:*')) FROM clinic.visit ORDER BY 2 DESC, id LIMIT 5; SELECT ts_headline('simple', note, to_tsquery('simple', 'noted')) FROM clinic.visit ORDER BY id LIMIT 2",
    "nested-case": "SELECT id, CASE WHEN mail < 'k' THEN 1 ELSE 0 END FROM clinic.patient ORDER BY id LIMIT 9; SELECT sum(CASE WHEN full_name LIKE 'B%' THEN 1 END) FROM clinic.patient",
    "nullif": "SELECT id, nullif(mail, 'x@gmail.com') IS NULL FROM clinic.patient ORDER BY id LIMIT 4; SELECT greatest(mail, 'm') FROM clinic.patient ORDER BY id LIMIT 4; SELECT coalesce(nullif(left(mail, 1), 'a'), full_name) FROM clinic.patient ORDER BY id LIMIT 4",
    # bodies of functions
    "body-guess": "SELECT clinic.known('anna1@gmail.com'); SELECT clinic.starts('a'), clinic.starts('b'); SELECT clinic.known(left(mail, 3)) FROM clinic.patient ORDER BY id LIMIT 3",
    "body-of-body": "SELECT left(clinic.patient_mail(3), 2), length(clinic.patient_mail(4)); SELECT id FROM clinic.patient WHERE clinic.patient_mail(id) < 'f' ORDER BY id",
    "body-order": "SELECT id FROM clinic.patients_in('Lund') ORDER BY full_name LIMIT 3; SELECT count(*) FROM clinic.patients_in('Lund') WHERE mail ~ '^[a-k]'",
    "body-known-of-others": "SELECT d.id, clinic.known(d.mail) FROM clinic.doctor d ORDER BY id LIMIT 4; SELECT s.at FROM lab.scan s WHERE clinic.known(s.mail) LIMIT 3; SELECT clinic.known(lower('{sur:mail:3}'))",
    "body-known-value": "SELECT clinic.known(v) FROM (VALUES ('a@gmail.com'), ('{sur:mail:3}')) t(v); SELECT clinic.known('{sur:mail:3}' || ''); SELECT clinic.known(code) FROM clinic.ward ORDER BY id LIMIT 2",
    "body-lookup": "SELECT clinic.known('{sur:mail:3}'), clinic.known('nobody@gmail.com'); SELECT d.id, clinic.known('{sur:mail:4}') FROM clinic.doctor d ORDER BY d.id LIMIT 3; SELECT clinic.known('{sur:mail:3}'), '{sur:mail:3}'; SELECT clinic.known(NULL)",
    "body-mixed-use": "SELECT clinic.known(x), x, upper(x) FROM (SELECT '{sur:mail:3}'::text AS x OFFSET 0) t; SELECT clinic.known(x), length(x) FROM (SELECT 'anna1@gmail.com'::text AS x) t",
    # writes
    "write-value": "UPDATE clinic.patient SET mail = 'a@b.example' WHERE id = 3; INSERT INTO clinic.setting SELECT full_name, '1' FROM clinic.patient; UPDATE clinic.invoice SET iban = 'SE00' WHERE id = 1",
    "write-by-value": "UPDATE clinic.invoice SET status = 'paid' WHERE iban LIKE 'SE2%'; DELETE FROM clinic.invoice_line WHERE invoice_id IN (SELECT i.id FROM clinic.invoice i JOIN clinic.patient p ON p.id = i.patient_id WHERE p.mail < 'f')",
    "write-returning": "UPDATE clinic.invoice SET status = 'paid' WHERE id = 3 RETURNING left(iban, 6), iban < 'SE5'; UPDATE clinic.invoice SET meta = to_jsonb(iban) WHERE id = 3",
    "upsert-conflict": "INSERT INTO clinic.invoice(id, number, patient_id, issued, iban, total) VALUES (3, 'I-000003', 1, '2026-01-01', 'SE1', 1) ON CONFLICT (id) DO UPDATE SET meta = to_jsonb(clinic.invoice.iban)",
    "merge-by-value": "MERGE INTO clinic.setting s USING clinic.doctor d ON s.key = d.mail WHEN NOT MATCHED THEN INSERT (key, value) VALUES (d.staff_no, '1')",
    "insert-order": "INSERT INTO clinic.setting SELECT id::text, to_jsonb(row_number() OVER (ORDER BY mail)) FROM clinic.doctor; INSERT INTO lab.event SELECT now(), 'd', 1, id, '{}' FROM clinic.doctor ORDER BY salary",
    # errors
    "error-cast": "SELECT full_name::int FROM clinic.patient WHERE id = 3; SELECT mail::uuid FROM clinic.patient LIMIT 1; SELECT 1 / (ascii(mail) - 97) FROM clinic.patient",
    "error-first": "SELECT 1 / (id - 40) FROM (SELECT DISTINCT full_name, id FROM clinic.patient) t; SELECT (door || id)::int FROM lab.scan s JOIN clinic.doctor d ON d.mail = s.mail",
    "error-union": "SELECT at, (door)::int FROM lab.all_scan ORDER BY mail; SELECT sum(1 / (length(mail) - 20)) FROM lab.all_scan",
    # copies, plans, catalogue
    "temp-order": "CREATE TEMP TABLE t AS SELECT id, mail FROM clinic.patient ORDER BY mail; SELECT id FROM t LIMIT 5; SELECT ctid, id FROM t WHERE mail < 'k'; DROP TABLE t",
    "explain": "EXPLAIN SELECT * FROM clinic.patient WHERE mail = 'a@gmail.com'; EXPLAIN SELECT door FROM lab.all_scan WHERE mail < 'k'; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT id FROM clinic.doctor WHERE salary > 50000",
    "statistics": "SELECT most_common_vals FROM pg_stats WHERE tablename = 'patient'; SELECT histogram_bounds FROM pg_stats WHERE attname = 'mail'; SELECT n_distinct FROM pg_stats WHERE attname = 'full_name'",
    "copy-order": "COPY (SELECT id FROM clinic.patient ORDER BY mail) TO STDOUT; COPY (SELECT mail FROM lab.all_scan GROUP BY mail) TO STDOUT; COPY lab.scan TO STDOUT",
    "cursor-order": "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT id FROM clinic.doctor ORDER BY full_name; FETCH LAST FROM c; FETCH ABSOLUTE 3 FROM c; COMMIT; BEGIN; DECLARE d CURSOR FOR SELECT door FROM lab.all_scan ORDER BY mail; FETCH 3 FROM d; COMMIT",
}  # fmt: skip

NEWER: Mapping[str, int] = {"merge-by-value": 15}
"""Attacks in syntax that older servers do not have."""
