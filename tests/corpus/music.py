"""A fourth schema and what people who work with data ask of it: features, reports, cohorts, rankings, introspection. All of it must run.

For: the share of ordinary work that masking leaves possible, on statements that no attack corpus has. Not for: attacks.
A statement marked CLEAR uses no masked value: its answer is the server's own, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from corpus.cases import Case, split
from corpus.twins import Masked, World

_MASKED = (
    Masked("employee", "last_name", "text", "name"),
    Masked("employee", "first_name", "text", "name"),
    Masked("employee", "birth_date", "date", "birth"),
    Masked("employee", "phone", "phone", "phone"),
    Masked("employee", "email", "email", "email"),
    Masked("customer", "first_name", "text", "name"),
    Masked("customer", "last_name", "text", "name"),
    Masked("customer", "address", "text", "address"),
    Masked("customer", "phone", "phone", "phone"),
    Masked("customer", "email", "email", "email"),
    Masked("invoice", "billing_address", "text", "address"),
    Masked("signup", "email", "email", "email"),
)
_LABEL_OF = {
    "name": "person.name",
    "birth": "person.birth_date",
    "phone": "person.phone",
    "email": "person.email",
    "address": "person.address",
}

CLEAR: Mapping[str, str] = {
    "rfm": "SELECT customer_id, date '2026-01-01' - max(invoice_date)::date AS recency, count(*) AS frequency, sum(total) AS monetary FROM invoice GROUP BY customer_id ORDER BY customer_id",
    "month-over-month": "WITH m AS (SELECT date_trunc('month', invoice_date) AS month, sum(total) AS revenue FROM invoice GROUP BY 1) SELECT month, revenue, revenue - lag(revenue) OVER (ORDER BY month) AS delta FROM m ORDER BY month",
    "cohorts": "WITH first AS (SELECT customer_id, date_trunc('month', min(invoice_date)) AS cohort FROM invoice GROUP BY 1) SELECT f.cohort, extract(year FROM age(date_trunc('month', i.invoice_date), f.cohort)) * 12 + extract(month FROM age(date_trunc('month', i.invoice_date), f.cohort)) AS n, count(DISTINCT i.customer_id) FROM first f JOIN invoice i USING (customer_id) GROUP BY 1, 2 ORDER BY 1, 2",
    "median-by-country": "SELECT c.country, percentile_cont(0.5) WITHIN GROUP (ORDER BY i.total), avg(i.total)::numeric(10,3), count(*) FROM customer c JOIN invoice i USING (customer_id) GROUP BY c.country ORDER BY c.country",
    "top-genres": "SELECT g.name, count(*) AS sold, rank() OVER (ORDER BY count(*) DESC, g.name) FROM invoice_line l JOIN track t USING (track_id) JOIN genre g USING (genre_id) GROUP BY g.name ORDER BY 3",
    "histogram": "SELECT width_bucket(milliseconds, 120000, 360000, 12) AS bin, count(*), min(milliseconds), max(milliseconds) FROM track GROUP BY bin ORDER BY bin",
    "spine": "SELECT d::date, coalesce(sum(i.total), 0) FROM generate_series(timestamp '2024-01-01', timestamp '2024-02-15', interval '1 day') d LEFT JOIN invoice i ON i.invoice_date::date = d::date GROUP BY 1 ORDER BY 1",
    "rolling": "SELECT invoice_id, avg(total) OVER (ORDER BY invoice_date, invoice_id ROWS BETWEEN 6 PRECEDING AND CURRENT ROW)::numeric(10,4) FROM invoice ORDER BY invoice_id LIMIT 50",
    "orphans": "SELECT count(*) FROM customer c LEFT JOIN invoice i USING (customer_id) WHERE i.invoice_id IS NULL",
    "label-for-churn": "SELECT c.customer_id, c.country, NOT EXISTS (SELECT 1 FROM invoice i WHERE i.customer_id = c.customer_id AND i.invoice_date > '2025-06-01') AS churned FROM customer c ORDER BY c.customer_id",
    "split": "SELECT customer_id, CASE WHEN mod(customer_id * 7919, 10) < 8 THEN 'train' ELSE 'test' END AS part FROM customer ORDER BY customer_id",
    "pivot": "SELECT billing_country, count(*) FILTER (WHERE total < 5) AS small, count(*) FILTER (WHERE total >= 5 AND total < 10) AS middle, count(*) FILTER (WHERE total >= 10) AS big FROM invoice GROUP BY billing_country ORDER BY billing_country",
    "reporting-lines": "WITH RECURSIVE line AS (SELECT employee_id, reports_to, 0 AS depth FROM employee WHERE reports_to IS NULL UNION ALL SELECT e.employee_id, e.reports_to, depth + 1 FROM employee e JOIN line l ON l.employee_id = e.reports_to) SELECT * FROM line ORDER BY depth, employee_id",
    "json-field": "SELECT payload->>'campaign' AS campaign, avg((payload->>'score')::numeric)::numeric(10,3), count(*) FROM signup GROUP BY 1 ORDER BY 1",
    "table-sizes": "SELECT c.relname, c.relkind, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v') ORDER BY c.relname",
    "foreign-keys": "SELECT conname, conrelid::regclass, confrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace ORDER BY conname",
    "columns": "SELECT table_name, column_name, data_type, is_nullable, character_maximum_length FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname",
    "nulls": "SELECT count(*) AS rows, count(company) AS company, count(postal_code) AS postal_code, count(support_rep_id) AS rep FROM customer",
    "dedupe": "SELECT DISTINCT ON (customer_id) customer_id, invoice_id, total FROM invoice ORDER BY customer_id, invoice_date DESC, invoice_id",
    "correlation": "SELECT corr(milliseconds, bytes)::numeric(12,9), stddev_samp(milliseconds)::numeric(14,3), regr_slope(bytes, milliseconds)::numeric(12,6) FROM track",
    "sessions": "SELECT id, sum(new::int) OVER (ORDER BY seen_at, id) AS session FROM (SELECT id, seen_at, seen_at - lag(seen_at) OVER (ORDER BY seen_at, id) > interval '20 hours' AS new FROM signup) s ORDER BY id LIMIT 30",
    "dbt-unique": "SELECT count(*) AS failures, count(*) <> 0 AS should_warn, count(*) <> 0 AS should_error FROM (SELECT customer_id FROM customer WHERE customer_id IS NOT NULL GROUP BY customer_id HAVING count(*) > 1) dbt_internal_test",
    "dbt-not-null-masked": "SELECT count(*) AS failures FROM (SELECT email FROM customer WHERE email IS NULL) dbt_internal_test",
    "how-many-people": "SELECT count(DISTINCT email), count(*) FROM signup",
    "read-csv": "COPY (SELECT invoice_id, total, billing_country FROM invoice ORDER BY invoice_id) TO STDOUT (FORMAT csv, HEADER)",
    "plan": "EXPLAIN SELECT genre_id, count(*) FROM track GROUP BY genre_id",
}  # fmt: skip

MASK: Mapping[str, str] = {
    "browse": "SELECT * FROM customer LIMIT 20",
    "pandas-chunk": "SELECT customer_id, first_name, last_name, email, phone FROM customer ORDER BY customer_id LIMIT 25 OFFSET 25",
    "top-customers": "SELECT c.first_name, c.last_name, c.email, sum(i.total) AS spent FROM customer c JOIN invoice i USING (customer_id) GROUP BY c.customer_id ORDER BY spent DESC LIMIT 10",
    "top-customers-by-mail": "SELECT c.email, sum(i.total) AS spent FROM customer c JOIN invoice i ON i.customer_id = c.customer_id GROUP BY c.email ORDER BY spent DESC LIMIT 10",
    "top-per-country": "SELECT * FROM (SELECT c.country, c.email, sum(i.total) AS spent, row_number() OVER (PARTITION BY c.country ORDER BY sum(i.total) DESC) AS place FROM customer c JOIN invoice i USING (customer_id) GROUP BY c.country, c.email) ranked WHERE place <= 3 ORDER BY country, place",
    "join-on-mail": "SELECT s.source, count(DISTINCT c.customer_id), sum(i.total) FROM signup s JOIN customer c ON c.email = s.email JOIN invoice i USING (customer_id) GROUP BY s.source ORDER BY s.source",
    "match-case-folded": "SELECT count(*) FROM signup s JOIN customer c ON lower(c.email) = lower(s.email)",
    "latest-per-mail": "SELECT DISTINCT ON (email) email, source, seen_at FROM signup ORDER BY email, seen_at DESC",
    "features-by-mail": "SELECT email, count(*) AS visits, min(seen_at) AS first_seen, max(seen_at) AS last_seen, array_agg(DISTINCT source ORDER BY source) AS sources FROM signup GROUP BY email",
    "gaps-by-mail": "SELECT email, seen_at, seen_at - lag(seen_at) OVER (PARTITION BY email ORDER BY seen_at) AS gap FROM signup ORDER BY seen_at LIMIT 40",
    "providers": "SELECT split_part(email, '@', 2) AS domain, count(*) FROM customer GROUP BY 1 ORDER BY 2 DESC LIMIT 20",
    "full-names": "SELECT first_name || ' ' || last_name AS name, country FROM customer ORDER BY customer_id LIMIT 10",
    "metabase": 'SELECT "public"."customer"."country" AS "country", "public"."customer"."email" AS "email", count(*) AS "count" FROM "public"."customer" GROUP BY "public"."customer"."country", "public"."customer"."email" ORDER BY "public"."customer"."country" ASC, "public"."customer"."email" ASC LIMIT 50',
    "metabase-nested": 'SELECT "source"."email" AS "email", "source"."sum" AS "sum" FROM (SELECT "c"."email" AS "email", SUM("i"."total") AS "sum" FROM "public"."invoice" "i" LEFT JOIN "public"."customer" "c" ON "i"."customer_id" = "c"."customer_id" GROUP BY "c"."email" ORDER BY "c"."email" ASC) "source" WHERE "source"."sum" > 20 LIMIT 2000',
    "decades": "SELECT extract(decade FROM birth_date) * 10 AS decade, count(*) FROM employee GROUP BY 1 ORDER BY 1",
    "ages": "SELECT employee_id, date_part('year', age(timestamp '2026-01-01', birth_date)) AS years FROM employee ORDER BY employee_id",
    "managers": "SELECT e.email, m.email AS manager FROM employee e LEFT JOIN employee m ON m.employee_id = e.reports_to ORDER BY e.employee_id",
    "share": "SELECT c.email, sum(i.total) / sum(sum(i.total)) OVER () AS share FROM customer c JOIN invoice i USING (customer_id) GROUP BY c.email ORDER BY 2 DESC LIMIT 5",
    "quartiles": "SELECT email, ntile(4) OVER (ORDER BY revenue DESC, customer_id) AS quartile FROM customer_revenue ORDER BY customer_id LIMIT 20",
    "view": "SELECT email, revenue FROM customer_revenue WHERE revenue > 20 ORDER BY revenue DESC LIMIT 5",
    "prefix-of-phone": "SELECT left(phone, 4) AS code, count(*) FROM customer GROUP BY 1",
    "has-mail": "SELECT country, avg((email IS NOT NULL)::int)::numeric(4,2), count(DISTINCT email) FROM customer GROUP BY country ORDER BY country",
    "search": "SELECT customer_id, email FROM customer WHERE email ILIKE '%gmail.com' ORDER BY customer_id LIMIT 10",
    "union-of-people": "SELECT email, 'customer' AS kind FROM customer UNION ALL SELECT email, 'employee' FROM employee",
    "to-json": "SELECT json_agg(json_build_object('id', customer_id, 'mail', email) ORDER BY customer_id) FROM customer WHERE customer_id < 6",
    "row-json": "SELECT row_to_json(c) FROM customer c ORDER BY customer_id LIMIT 3",
    "lateral-last": "SELECT c.customer_id, c.email, l.invoice_id, l.total FROM customer c CROSS JOIN LATERAL (SELECT i.invoice_id, i.total FROM invoice i WHERE i.customer_id = c.customer_id ORDER BY i.invoice_date DESC LIMIT 2) l ORDER BY c.customer_id, l.invoice_id",
    "hash-split": "SELECT mod(abs(hashtext(email)), 10) < 8 AS train, count(*) FROM customer GROUP BY 1",
    "lookup": "SELECT customer_id, country FROM customer WHERE email = '{sur:email:7}'",
    "lookup-many": "SELECT c.customer_id, i.invoice_id FROM customer c JOIN invoice i USING (customer_id) WHERE c.email IN ('{sur:email:7}', '{sur:email:9}') ORDER BY 1, 2",
    "copy": "COPY (SELECT customer_id, email, country FROM customer ORDER BY customer_id) TO STDOUT (FORMAT csv, HEADER)",
    "copy-table": "COPY customer (customer_id, email) TO STDOUT",
    "cursor": "BEGIN; DECLARE chunk NO SCROLL CURSOR WITHOUT HOLD FOR SELECT customer_id, email, phone FROM customer; FETCH FORWARD 30 FROM chunk; FETCH FORWARD 30 FROM chunk; CLOSE chunk; COMMIT",
    "sample": "SELECT customer_id, email FROM customer TABLESAMPLE BERNOULLI (30) REPEATABLE (7)",
    "duplicates": "SELECT email, count(*) FROM signup GROUP BY email HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT 10",
    "case": "SELECT CASE WHEN email LIKE '%@gmail.com' THEN 'free' ELSE 'firm' END AS kind, count(*) FROM customer GROUP BY 1 ORDER BY 1",
    "missing-partner": "SELECT s.email FROM signup s WHERE NOT EXISTS (SELECT 1 FROM customer c JOIN invoice i USING (customer_id) WHERE c.email = s.email AND i.total > 12)",
    "same-address": "SELECT count(*) FROM customer c JOIN invoice i USING (customer_id) WHERE c.address = i.billing_address",
    "string-agg": "SELECT country, string_agg(last_name, ', ' ORDER BY customer_id) FROM customer WHERE customer_id < 20 GROUP BY country ORDER BY country",
    "with-ties": "SELECT email, revenue FROM customer_revenue ORDER BY revenue DESC FETCH FIRST 5 ROWS WITH TIES",
    "dbt-relationships": "SELECT count(*) AS failures FROM (WITH child AS (SELECT email AS from_field FROM signup WHERE email IS NOT NULL), parent AS (SELECT email AS to_field FROM customer) SELECT from_field FROM child LEFT JOIN parent ON child.from_field = parent.to_field WHERE parent.to_field IS NULL) dbt_internal_test",
    "dbt-snapshot-key": "SELECT md5(coalesce(cast(email AS text), '') || '-' || coalesce(cast(country AS text), '')) AS key, customer_id FROM customer ORDER BY customer_id LIMIT 10",
}  # fmt: skip


def music_world() -> World:
    """The fourth schema with its data."""
    tables = {
        "artist": "artist_id",
        "album": "album_id",
        "genre": "genre_id",
        "track": "track_id",
        "employee": "employee_id",
        "customer": "customer_id",
        "invoice": "invoice_id",
        "invoice_line": "invoice_line_id",
        "signup": "id",
    }
    return World(
        name="music",
        setup=(Path(__file__).parent / "music_schema.sql").read_text(encoding="utf-8"),
        tables=tables,
        masked=_MASKED,
        watched="SELECT (SELECT md5(string_agg(c::text, '' ORDER BY customer_id)) FROM customer c)",
        labels={f"public.{m.table}.{m.column}": _LABEL_OF[m.group] for m in _MASKED},
    )


def music_cases() -> list[Case]:
    """Statements that must work."""
    return [
        Case(f"{kind.lower()}/{name}", name, kind, "ordinary work", (text,), tuple(split(text)))
        for kind, texts in (("CLEAR", CLEAR), ("MASK", MASK))
        for name, text in texts.items()
    ]
