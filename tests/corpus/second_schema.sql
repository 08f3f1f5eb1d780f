-- A second schema: other names, other types, partitions, views over views, a materialised view, an enumeration, a domain.
CREATE TYPE zustand AS ENUM ('neu', 'aktiv', 'gesperrt');
CREATE DOMAIN d_email AS text CHECK (VALUE LIKE '%@%');
CREATE TABLE kunden (
  knr bigint PRIMARY KEY,
  vorname text NOT NULL,
  nachname text NOT NULL,
  email d_email NOT NULL UNIQUE,
  telefon varchar(24),
  iban text,
  geburtsdatum date,
  strasse text,
  ip_adresse inet,
  gehalt numeric(10,2),
  passwort_hash text,
  steuer_id bigint,
  bemerkung text,
  status zustand NOT NULL DEFAULT 'neu',
  erstellt timestamptz NOT NULL DEFAULT '2026-01-01'
);
INSERT INTO kunden SELECT g,
  (ARRAY['Wolfram','Hadewig','Ortrud','Leberecht','Notburga','Gerwin'])[1+g%6],
  (ARRAY['Kesselschmied','Donnerschlag','Zwiebelhuber','Pfannenstiel'])[1+g%4]||g%37,
  'post'||g||'.'||substr(md5('k'||g),1,5)||'@'||(ARRAY['gmail.com','kanzlei'||g%5||'.example','web.de'])[1+g%3],
  '+49 '||(150+g%30)||' '||lpad((g*7919%9999999)::text,7,'0'),
  'DE00'||lpad((g*1299709::bigint%1000000007)::text,18,'7'),
  date '1940-02-03'+(g*211)::int,
  'Torweg '||g||', '||(10000+g*37)||' Krummenau',
  ('203.0.'||g%113||'.'||(g*3)%251)::inet,
  2000+g*13.37,
  '$2b$12$'||md5('p'||g),
  10000000000+g*7654321::bigint,
  'Ruft an wegen Rechnung '||g||', Codewort '||substr(md5('b'||g),1,8),
  (ARRAY['neu','aktiv','gesperrt'])[1+g%3]::zustand,
  timestamptz '2026-02-01'+g*interval '1 hour'
FROM generate_series(1,120) g;
CREATE TABLE bestellungen (
  bnr bigint, region text NOT NULL, knr bigint NOT NULL, betrag numeric(10,2), empfaenger_email text, lieferadresse text,
  PRIMARY KEY (bnr, region)
) PARTITION BY LIST (region);
CREATE TABLE bestellungen_nord PARTITION OF bestellungen FOR VALUES IN ('nord', 'ost');
CREATE TABLE bestellungen_rest PARTITION OF bestellungen DEFAULT;
INSERT INTO bestellungen SELECT g, (ARRAY['nord','ost','sued','west'])[1+g%4], 1+g%120, g*2.5,
  (SELECT email FROM kunden WHERE knr = 1+g%120), (SELECT strasse FROM kunden WHERE knr = 1+g%120)
FROM generate_series(1,400) g;
CREATE INDEX bestellungen_empfaenger ON bestellungen (empfaenger_email);
CREATE INDEX kunden_nachname ON kunden (nachname);
CREATE VIEW v_kontakt AS SELECT knr, email AS post, nachname AS n, status FROM kunden;
CREATE VIEW v_umsatz AS SELECT k.post, k.status, b.betrag, b.region FROM v_kontakt k JOIN bestellungen b USING (knr);
CREATE MATERIALIZED VIEW mv_kunden AS SELECT knr, email AS adresse_elektronisch, steuer_id AS s FROM kunden;
CREATE TABLE kunden_kopie (knr bigint PRIMARY KEY, email text, nachname text, status text);
