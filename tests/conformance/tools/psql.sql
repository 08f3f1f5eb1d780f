\pset pager off
\timing off
\l tools
\dn
\dt
\d people
\d things
\d orders
\d heavy
\dv
\di
\ds
\df
\dT
\du postgres
\dp things
\dC integer
\ddp
\dx
\dconfig work_mem
\sv heavy
\set who 7
SELECT id, name FROM things WHERE id = :who;
SELECT id, weight FROM things WHERE id < 3 ORDER BY id \gdesc
SELECT id AS one, name AS two FROM things WHERE id = 4 \gset
\echo :one :two
\x on
SELECT * FROM things WHERE id = 5;
\x off
SELECT flag, id % 3 AS third, count(*) FROM things GROUP BY 1, 2 ORDER BY 1, 2 \crosstabview
SELECT 'SELECT ' || g FROM generate_series(1, 3) g \gexec
SELECT 1 \; SELECT 2 \; SELECT 3;
\set FETCH_COUNT 9
SELECT id, name FROM things ORDER BY id LIMIT 30;
\unset FETCH_COUNT
\copy (SELECT id, name FROM things WHERE id < 4 ORDER BY id) TO STDOUT CSV HEADER
COPY (SELECT id, tags FROM things WHERE id < 4 ORDER BY id) TO STDOUT;
SELECT nothing FROM things;
\errverbose
SELECT 1 / 0;
SELECT FROM WHERE;
BEGIN;
SELECT 1;
SELECT nothing;
SELECT 2;
ROLLBACK;
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT nothing;
SELECT 3;
COMMIT;
\encoding
\conninfo
SHOW server_version;
