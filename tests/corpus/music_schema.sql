-- A fourth schema: a shop that sells music, in the column names that sample databases use. What people who work with data ask of it is in music.py.
CREATE TABLE artist (artist_id int PRIMARY KEY, name varchar(120));
CREATE TABLE album (album_id int PRIMARY KEY, title varchar(160) NOT NULL, artist_id int NOT NULL REFERENCES artist);
CREATE TABLE genre (genre_id int PRIMARY KEY, name varchar(120));
CREATE TABLE track (
  track_id int PRIMARY KEY, name varchar(200) NOT NULL, album_id int REFERENCES album, genre_id int REFERENCES genre,
  milliseconds int NOT NULL, bytes int, unit_price numeric(10, 2) NOT NULL
);
CREATE TABLE employee (
  employee_id int PRIMARY KEY, last_name varchar(20) NOT NULL, first_name varchar(20) NOT NULL, title varchar(30),
  reports_to int REFERENCES employee, birth_date timestamp, hire_date timestamp, phone varchar(24), email varchar(60)
);
CREATE TABLE customer (
  customer_id int PRIMARY KEY, first_name varchar(40) NOT NULL, last_name varchar(20) NOT NULL, company varchar(80), address varchar(70),
  city varchar(40), country varchar(40), postal_code varchar(10), phone varchar(24), email varchar(60) NOT NULL, support_rep_id int REFERENCES employee
);
CREATE TABLE invoice (
  invoice_id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, invoice_date timestamp NOT NULL, billing_address varchar(70),
  billing_country varchar(40), total numeric(10, 2) NOT NULL
);
CREATE TABLE invoice_line (
  invoice_line_id int PRIMARY KEY, invoice_id int NOT NULL REFERENCES invoice, track_id int NOT NULL REFERENCES track,
  unit_price numeric(10, 2) NOT NULL, quantity int NOT NULL
);
CREATE TABLE signup (id bigint PRIMARY KEY, email text NOT NULL, source text, seen_at timestamptz NOT NULL, payload jsonb);
CREATE INDEX ON customer (email);
CREATE INDEX ON customer (country, last_name);
CREATE INDEX ON invoice (customer_id);
CREATE VIEW customer_revenue AS
  SELECT c.customer_id, c.email, c.country, sum(i.total) AS revenue, count(*) AS orders
  FROM customer c JOIN invoice i USING (customer_id) GROUP BY c.customer_id, c.email, c.country;

INSERT INTO artist SELECT g, 'Ensemble ' || g FROM generate_series(1, 30) g;
INSERT INTO album SELECT g, 'Volume ' || g, 1 + g % 30 FROM generate_series(1, 60) g;
INSERT INTO genre SELECT g, (ARRAY['Rock', 'Jazz', 'Metal', 'Latin', 'Blues', 'Folk'])[g] FROM generate_series(1, 6) g;
INSERT INTO track SELECT g, 'Piece ' || g, 1 + g % 60, 1 + g % 6, 120000 + g * 137 % 240000, 3000000 + g * 91, 0.99 + (g % 7 = 0)::int
  FROM generate_series(1, 200) g;
INSERT INTO employee SELECT g, 'Zimmerwald' || g, 'Ottoline' || g, (ARRAY['Agent', 'Manager', 'Clerk'])[1 + g % 3], CASE WHEN g > 1 THEN 1 + g / 4 END,
  timestamp '1961-03-04' + g * interval '411 days', timestamp '2015-01-05' + g * interval '97 days', '+1 (403) 262-' || 3000 + g * 7,
  'staff' || substr(md5('e' || g), 1, 4) || g || '@musicshop.example' FROM generate_series(1, 12) g;
INSERT INTO customer SELECT g, (ARRAY['Ludovica', 'Bjarne', 'Francesca', 'Helmuth', 'Eduarda'])[1 + g % 5] || g, 'Kjellgren' || g,
  CASE WHEN g % 6 = 0 THEN 'Firm ' || g END, 'Theodorgasse ' || g * 3, (ARRAY['Prague', 'Oslo', 'Boston', 'Lyon'])[1 + g % 4],
  (ARRAY['Czech Republic', 'Norway', 'USA', 'France'])[1 + g % 4], lpad((g * 7919 % 100000)::text, 5, '0'), '+420 2 4172 ' || 5500 + g * 3,
  'mail' || substr(md5('c' || g), 1, 5) || g || '@' || (ARRAY['gmail.com', 'yahoo.com', 'shopkunde' || g % 5 || '.example'])[1 + g % 3],
  1 + g % 12 FROM generate_series(1, 90) g;
INSERT INTO invoice SELECT g, 1 + g * 13 % 80, timestamp '2024-01-03' + g * interval '41 hours', 'Theodorgasse ' || (1 + g * 13 % 80) * 3,
  (ARRAY['Czech Republic', 'Norway', 'USA', 'France'])[1 + (1 + g * 13 % 80) % 4], 0.99 * (1 + g % 14) FROM generate_series(1, 400) g;
INSERT INTO invoice_line SELECT g, 1 + g % 400, 1 + g * 17 % 200, 0.99, 1 + g % 2 FROM generate_series(1, 900) g;
INSERT INTO signup SELECT g, (SELECT email FROM customer WHERE customer_id = 1 + g * 7 % 90), (ARRAY['ad', 'search', 'friend'])[1 + g % 3],
  timestamptz '2023-11-01 00:00+00' + g * interval '17 hours', jsonb_build_object('campaign', 'c' || g % 4, 'score', g % 11)
  FROM generate_series(1, 150) g;
