-- A third schema: a hospital in French, with quoted names in mixed case, identity columns, a composite key, ranges, an enumeration,
-- a domain with its own comparison of case, inheritance, and generated columns.
CREATE TYPE statut AS ENUM ('suivi', 'sorti', 'transféré');
CREATE DOMAIN d_courriel AS text COLLATE "C" CHECK (VALUE ~ '@');
CREATE SCHEMA soins;
CREATE TABLE soins."Patient" (
  "IdPatient" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "Prénom" text NOT NULL,
  "NomDeFamille" varchar(60) NOT NULL,
  "CourrielPersonnel" d_courriel UNIQUE,
  "NuméroSécuritéSociale" char(15),
  "DateNaissance" date,
  "Téléphone" text,
  "Adresse postale" text,
  "Diagnostic" text,
  "Statut" statut NOT NULL DEFAULT 'suivi',
  "Séjour" daterange,
  "Étage" int
);
INSERT INTO soins."Patient"("Prénom", "NomDeFamille", "CourrielPersonnel", "NuméroSécuritéSociale", "DateNaissance", "Téléphone",
  "Adresse postale", "Diagnostic", "Statut", "Séjour", "Étage")
SELECT (ARRAY['Bérengère','Gaspard','Philomène','Théophile','Ondine'])[1+g%5], (ARRAY['Vaucouleurs','Lachassagne','Montferrand'])[1+g%3]||g,
  'pat'||g||substr(md5('p'||g),1,4)||'@'||(ARRAY['orange.fr','gmail.com','clinique'||g%4||'.example'])[1+g%3],
  '2'||lpad((g*7919%100)::text,2,'0')||'0'||1+g%9||lpad((g*104729%100000)::text,5,'0')||lpad(g::text,5,'0'),
  date '1930-05-01'+(g*277)::int, '+33 6'||lpad((g*7919%99999999)::text,8,'0'), g||' venelle des Tilleuls, '||(22000+g*13)||' Plougonven',
  'Observation '||substr(md5('d'||g),1,9)||' à revoir', (ARRAY['suivi','sorti','transféré'])[1+g%3]::statut,
  daterange(date '2026-01-01'+g, date '2026-01-05'+g), g%4
FROM generate_series(1,90) g;
CREATE TABLE soins."Patient archivé" ("MotifArchive" text) INHERITS (soins."Patient");
CREATE TABLE soins."Visite" (
  "IdPatient" bigint NOT NULL REFERENCES soins."Patient", "NoVisite" smallint NOT NULL, "Service" text NOT NULL, "Montant" numeric(8,2),
  "CourrielContact" text, "Remarque" text GENERATED ALWAYS AS ('Contact : ' || "CourrielContact") STORED,
  PRIMARY KEY ("IdPatient", "NoVisite")
);
INSERT INTO soins."Visite"("IdPatient", "NoVisite", "Service", "Montant", "CourrielContact")
SELECT p."IdPatient", v, (ARRAY['cardio','ortho','urgence'])[1+(p."IdPatient"+v)%3], p."IdPatient"*1.5+v, p."CourrielPersonnel"
FROM soins."Patient" p, generate_series(1,3) v;
CREATE TABLE soins."Copie" ("IdPatient" bigint PRIMARY KEY, "Texte" text, "Statut" text);
CREATE INDEX ON soins."Patient" (lower("NomDeFamille"));
CREATE INDEX ON soins."Patient" ("Étage") INCLUDE ("Prénom");
CREATE INDEX ON soins."Visite" ("CourrielContact" text_pattern_ops);
CREATE VIEW soins."Annuaire" AS SELECT "IdPatient" AS numero, "CourrielPersonnel" AS contact, "Statut" FROM soins."Patient" WHERE "Étage" < 3;
CREATE VIEW soins."Activité" AS SELECT a.contact, v."Service", v."Montant" FROM soins."Annuaire" a JOIN soins."Visite" v ON v."IdPatient" = a.numero;
CREATE FUNCTION soins.montant_total(bigint) RETURNS numeric LANGUAGE sql STABLE AS
  $$ SELECT sum("Montant") FROM soins."Visite" WHERE "IdPatient" = $1 $$;
CREATE FUNCTION soins.courriel_de(bigint) RETURNS text LANGUAGE sql STABLE AS
  $$ SELECT "CourrielPersonnel" FROM soins."Patient" WHERE "IdPatient" = $1 $$;
