-- A small shop for the demo: every value is made up.
CREATE TABLE customers(id bigint PRIMARY KEY, full_name text NOT NULL, email text UNIQUE NOT NULL, phone text, birth_date date,
  street_address text, city text, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE cards(id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, card_number varchar(19) NOT NULL,
  card_holder text NOT NULL, expires date NOT NULL);
CREATE TABLE orders(id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, contact_email text NOT NULL,
  amount numeric(10, 2) NOT NULL, status text NOT NULL, placed_at timestamptz NOT NULL);
CREATE TABLE support_notes(id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, note text NOT NULL);
CREATE TABLE api_keys(id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, api_key text NOT NULL);
CREATE TABLE customer_features(customer_id bigint PRIMARY KEY REFERENCES customers, orders_90d integer NOT NULL,
  spend_90d numeric(12, 2) NOT NULL, churn_score real NOT NULL);
COMMENT ON TABLE customer_features IS 'read by the churn model in production';
INSERT INTO customers SELECT g,
  (ARRAY['Ada','Linus','Grace','Alan','Barbara','Edsger','Frances','Ken'])[1 + g % 8] || ' ' ||
  (ARRAY['Almond','Birch','Cedar','Dogwood','Elm','Fir','Ginkgo'])[1 + g % 7] || CASE WHEN g > 56 THEN '-' || g ELSE '' END,
  'user' || g || '.' || substr(md5('mail' || g), 1, 4) || '@' || (ARRAY['gmail.com','outlook.com','shop-client.example'])[1 + g % 3],
  '+44 20 7946 ' || lpad((g * 37 % 10000)::text, 4, '0'), date '1955-03-01' + (g * 131 % 17000),
  g || ' Orchard Road', (ARRAY['Leeds','York','Bath'])[1 + g % 3], timestamptz '2026-01-01' + g * interval '1 hour'
  FROM generate_series(1, 400) g;
INSERT INTO cards SELECT g, g, '4539 57' || lpad((g % 100)::text, 2, '0') || ' ' || lpad((g * 13)::text, 4, '0') || ' ' ||
  lpad((g * 31 % 10000)::text, 4, '0'), upper(c.full_name), date '2027-01-01' + g FROM generate_series(1, 400) g JOIN customers c ON c.id = g;
INSERT INTO orders SELECT g, 1 + g % 400, (SELECT email FROM customers WHERE id = 1 + g % 400), g * 1.25,
  (ARRAY['paid','open','void'])[1 + g % 3], timestamptz '2026-06-01' + g * interval '20 minutes' FROM generate_series(1, 3000) g;
INSERT INTO support_notes SELECT g, g, 'customer called about order ' || g FROM generate_series(1, 100) g;
INSERT INTO api_keys SELECT g, g, 'sk_live_' || md5('key' || g) FROM generate_series(1, 50) g;
INSERT INTO customer_features SELECT g, g % 9, g * 3.5, (g % 100) / 100.0 FROM generate_series(1, 400) g;
ANALYZE;
