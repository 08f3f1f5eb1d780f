"""A third schema: another industry, another language, quoted names; attacks made by rule, and statements that must work.

For: what schemas with plain names cannot show. Not for: judging; the same checks are used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from corpus.cases import Case, split
from corpus.second import WRAPPERS
from corpus.twins import Masked, World

_PATIENT, _VISIT = 'soins."Patient"', 'soins."Visite"'
_MASKED = (
    Masked(_PATIENT, '"Prénom"', "text", "prénom"),
    Masked(_PATIENT, '"NomDeFamille"', "text", "nom"),
    Masked(_PATIENT, '"CourrielPersonnel"', "email", "courriel"),
    Masked(_PATIENT, '"NuméroSécuritéSociale"', "text", "sécu"),
    Masked(_PATIENT, '"DateNaissance"', "date", "naissance"),
    Masked(_PATIENT, '"Téléphone"', "phone", "téléphone"),
    Masked(_PATIENT, '"Adresse postale"', "text", "adresse"),
    Masked(_PATIENT, '"Diagnostic"', "text", "diagnostic"),
    Masked(_VISIT, '"CourrielContact"', "email", "courriel"),
)
_POLICY = """\
@id("bot-writes-in-the-third-schema")
@reason("the corpus gives its agent these tables")
permit (principal == Agent::"bot", action == Action::"write", resource in Schema::"soins");
"""
_LABELS = {
    'soins."Patient"."Prénom"': "person.name", "soins.Patient.NomDeFamille": "person.name", "soins.Patient.CourrielPersonnel": "person.email",
    'soins."Patient"."NuméroSécuritéSociale"': "person.national_id", "soins.Patient.DateNaissance": "person.birth_date",
    'soins."Patient"."Téléphone"': "person.phone", 'soins."Patient"."Adresse postale"': "person.address",
    "soins.Patient.Diagnostic": "text.free", "soins.Visite.CourrielContact": "person.email",
}  # fmt: skip

_NAMES = {
    "kunden_kopie": 'soins."Copie"', "bestellungen": _VISIT, "kunden": _PATIENT, "bnr": '"NoVisite"', "knr": '"IdPatient"', "region": '"Service"',
    "betrag": '"Montant"', "status": '"Statut"', "'neu'": "'suivi'", "'ost'": "'ortho'",
}  # fmt: skip
_SOME = ("upper", "order-by", "group-limit", "distinct", "case", "union", "cursor", "with-ties", "window-plain", "insert-status", "like",
         "coalesce", "explain", "copy")  # fmt: skip

_ATTACKS = {
    "child": 'SELECT "CourrielPersonnel", "Prénom" FROM soins."Patient archivé"; SELECT * FROM ONLY soins."Patient" ORDER BY "IdPatient" LIMIT 2',
    "generated": 'SELECT "Remarque" FROM soins."Visite" LIMIT 3; SELECT upper("Remarque") FROM soins."Visite" LIMIT 3',
    "view": 'SELECT contact FROM soins."Annuaire" ORDER BY contact LIMIT 3; SELECT contact, sum("Montant") FROM soins."Activité" GROUP BY 1 LIMIT 4',
    "function": "SELECT soins.courriel_de(1)", "function-in-from": "SELECT * FROM soins.courriel_de(2)",
    "escaped-name": 'SELECT U&"Pr\\00E9nom" FROM soins."Patient" LIMIT 2', "composed-name": 'SELECT "Pre\u0301nom" FROM soins."Patient" LIMIT 2',
    "whole-row": 'SELECT p FROM soins."Patient" p LIMIT 1; SELECT to_jsonb(p)->>\'CourrielPersonnel\' FROM soins."Patient" p LIMIT 1',
    "range-of-dates": 'SELECT daterange("DateNaissance", NULL) FROM soins."Patient" LIMIT 2', "identity": 'SELECT max("IdPatient") FROM soins."Patient"'
    ' WHERE "Prénom" > \'M\'', "enum-by-value": 'SELECT "Statut" FROM soins."Patient" WHERE "Diagnostic" LIKE \'%a%\' GROUP BY 1',
    "upsert": 'BEGIN; INSERT INTO soins."Copie" SELECT "IdPatient", "Prénom", NULL FROM soins."Patient" ON CONFLICT ("IdPatient") DO UPDATE SET'
    ' "Texte" = excluded."Texte" RETURNING "Texte"; ROLLBACK',
}  # fmt: skip

_BENIGN = {
    "browse": ("MASK", 'SELECT * FROM soins."Patient" ORDER BY "IdPatient" LIMIT 10'),
    "lookup": ("MASK", 'SELECT "Prénom", "CourrielPersonnel", "DateNaissance" FROM soins."Patient" WHERE "IdPatient" = 7'),
    "join": ("MASK", 'SELECT p."CourrielPersonnel", v."Montant" FROM soins."Patient" p JOIN soins."Visite" v USING ("IdPatient") ORDER BY 2, "NoVisite", p."IdPatient" LIMIT 5'),
    "group": ("MASK", 'SELECT "CourrielContact", count(*) FROM soins."Visite" GROUP BY 1'),
    "join-by-mail": ("MASK", 'SELECT count(*) FROM soins."Patient" p JOIN soins."Visite" v ON v."CourrielContact" = p."CourrielPersonnel"'),
    "view": ("MASK", 'SELECT numero, contact FROM soins."Annuaire" ORDER BY numero LIMIT 4'),
    "decade": ("MASK", "SELECT date_trunc('decade', \"DateNaissance\"), count(*) FROM soins.\"Patient\" GROUP BY 1"),
    "domains": ("MASK", "SELECT split_part(\"CourrielPersonnel\", '@', 2), count(*) FROM soins.\"Patient\" GROUP BY 1"),
    "top-mails": ("MASK", 'SELECT "CourrielContact", sum("Montant") FROM soins."Visite" GROUP BY 1 ORDER BY 2 DESC LIMIT 5'),
    "copy": ("MASK", 'COPY (SELECT "IdPatient", "CourrielPersonnel" FROM soins."Patient" ORDER BY "IdPatient") TO STDOUT'),
    "count": ("CLEAR", 'SELECT count(*) FROM soins."Patient" WHERE "Statut" = \'suivi\' AND "Séjour" @> date \'2026-01-20\''),
    "sum": ("CLEAR", 'SELECT "Service", sum("Montant") FROM soins."Visite" GROUP BY ROLLUP ("Service") ORDER BY 1'),
    "ranges": ("CLEAR", 'SELECT "IdPatient", lower("Séjour"), upper("Séjour") - lower("Séjour") FROM soins."Patient" ORDER BY "IdPatient" LIMIT 5'),
    "keys": ("CLEAR", 'SELECT "IdPatient", "NoVisite" FROM soins."Visite" ORDER BY 1, 2 LIMIT 7'),
    "enum": ("CLEAR", "SELECT unnest(enum_range(NULL::statut))"),
    "window": ("CLEAR", 'SELECT "NoVisite", sum("Montant") OVER (PARTITION BY "Service" ORDER BY "IdPatient", "NoVisite") FROM soins."Visite" ORDER BY "IdPatient", 1'),
    "columns": ("CLEAR", "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'soins' ORDER BY table_name, ordinal_position"),
    "insert": ("CLEAR", 'BEGIN; INSERT INTO soins."Copie" VALUES (1, NULL, \'suivi\') RETURNING "IdPatient"; ROLLBACK'),
    "update": ("CLEAR", 'BEGIN; UPDATE soins."Visite" SET "Montant" = 3 WHERE "IdPatient" = 4 AND "NoVisite" = 2 RETURNING "Montant"; ROLLBACK'),
    "distinct-service": ("CLEAR", 'SELECT DISTINCT "Service" FROM soins."Visite" ORDER BY 1'),
}  # fmt: skip


def third_world() -> World:
    """The third schema with its data."""
    return World(
        name="third",
        setup=(Path(__file__).parent / "third_schema.sql").read_text(encoding="utf-8"),
        tables={_PATIENT: '"IdPatient"', _VISIT: '"IdPatient", "NoVisite"'},
        masked=_MASKED,
        policies={"42-third.cedar": _POLICY},
        watched="SELECT (SELECT md5(string_agg(p::text, '' ORDER BY \"IdPatient\")) FROM soins.\"Patient\" p), (SELECT md5(string_agg(v::text, ''"
        ' ORDER BY "IdPatient", "NoVisite")) FROM soins."Visite" v), (SELECT count(*) FROM soins."Copie")',
        emptied=('TRUNCATE soins."Copie"',),
        labels=_LABELS,
        made=((_VISIT, '"Remarque"'),),
    )


def third_cases() -> list[Case]:
    """Every wrapper around two columns, some around the others, and attacks on what only this schema has."""
    return list(_generated())


def third_benign() -> list[Case]:
    """Statements that must work."""
    return [_case(f"benign-fr/{name}", text, expect) for name, (expect, text) in _BENIGN.items()]


def _generated() -> Iterator[Case]:
    for masked in _MASKED:
        for name, text in WRAPPERS.items():
            if masked.table == _PATIENT and (
                masked.column in ('"CourrielPersonnel"', '"DateNaissance"') or name in _SOME
            ):
                yield _case(f"{masked.column}/{name}", _translated(text).replace("{c}", masked.column))
    for name, text in _ATTACKS.items():
        yield _case(f"fr/{name}", text)


def _translated(text: str) -> str:
    return re.sub("|".join(rf"(?<!\w){word}(?!\w)" for word in _NAMES), lambda m: _NAMES[m[0]], text)


def _case(name: str, text: str, expect: str = "EITHER") -> Case:
    return Case(name, name.partition("/")[2], expect, "made by rule", (text,), tuple(split(text)))
