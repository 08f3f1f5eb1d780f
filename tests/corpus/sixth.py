"""A sixth schema: what reports, object mappers and data tools send to a hospital's database, and what an attacker would.

For: constructs that people who work with data use daily, as many of them as possible. Not for: judging; the same checks are used.
"""

from __future__ import annotations

from pathlib import Path

from corpus.cases import Case, made_attacks, made_work
from corpus.sixth_attacks import ATTACKS, NEWER
from corpus.sixth_work import CLEAR, MASK, SINCE
from corpus.twins import Masked, World

_MASKED = (
    Masked("clinic.patient", "person_no", "text", "person"),
    Masked("clinic.patient", "full_name", "text", "name"),
    Masked("clinic.patient", "mail", "email", "mail"),
    Masked("clinic.patient", "phone", "phone", "phone"),
    Masked("clinic.patient", "born", "date", "born"),
    Masked("clinic.patient", "street", "text", "street"),
    Masked("clinic.patient", "contact", "json", "contact", (("phone",),)),
    Masked("clinic.patient", "reach", "text", "reach"),
    Masked("clinic.doctor", "full_name", "text", "name"),
    Masked("clinic.doctor", "mail", "email", "mail"),
    Masked("clinic.doctor", "salary", "number", "salary"),
    Masked("clinic.admission", "reason", "text", "reason"),
    Masked("clinic.visit", "note", "text", "note"),
    Masked("clinic.invoice", "iban", "iban", "iban"),
    Masked("lab.sample", "taken_by", "email", "mail"),
    Masked("lab.scan", "mail", "email", "mail"),
    Masked("lab.scan_old", "mail", "email", "mail"),
)
_LABELS = {
    "clinic.doctor.full_name": "person.name", "clinic.doctor.mail": "person.email", "clinic.doctor.salary": "finance.salary", "clinic.patient.person_no": "person.national_id",
    "clinic.patient.full_name": "person.name", "clinic.patient.mail": "person.email", "clinic.patient.phone": "person.phone", "clinic.patient.born": "person.birth_date",
    "clinic.patient.street": "person.address", "clinic.patient.contact->phone": "person.phone", "clinic.patient.contact->lang": "none", "clinic.patient.contact->visits": "none",
    "clinic.patient.reach": "text.free", "clinic.admission.reason": "text.free", "clinic.visit.note": "text.free", "clinic.invoice.iban": "payment.iban", "lab.sample.taken_by": "person.email",
    "lab.scan.mail": "person.email", "lab.scan_old.mail": "person.email",
}  # fmt: skip
_POLICY = """\
@id("bot-writes-in-the-sixth-schema")
@reason("the corpus gives its agent these tables")
permit (principal == Agent::"bot", action == Action::"write", resource)
when { resource == Table::"clinic.setting" || resource == Table::"clinic.invoice_line" || resource == Table::"lab.event" || resource == Table::"lab.result" || resource == Table::"clinic.invoice" };
"""


def sixth_world() -> World:
    """The sixth schema with its data."""
    return World(
        name="sixth",
        setup=(Path(__file__).parent / "sixth_schema.sql").read_text(encoding="utf-8"),
        tables={"clinic.insurer": "id", "clinic.ward": "id", "clinic.patient": "id", "clinic.doctor": "id", "clinic.admission": "id", "clinic.visit": "id, at", "clinic.invoice": "id",
                "clinic.invoice_line": "invoice_id, line_no", "lab.sample": "id", "lab.result": "sample_id, code", "lab.scan": "at", "lab.scan_old": "at"},
        masked=_MASKED,
        refresh=("clinic.monthly",),
        policies={"44-sixth.cedar": _POLICY},
        watched="SELECT (SELECT md5(string_agg(p::text, '' ORDER BY id)) FROM clinic.patient p), (SELECT md5(string_agg(i::text, '' ORDER BY id)) FROM clinic.invoice i),"
        " (SELECT md5(string_agg(l::text, '' ORDER BY invoice_id, line_no)) FROM clinic.invoice_line l), (SELECT count(*) FROM clinic.setting), (SELECT count(*) FROM lab.event)",
        emptied=("TRUNCATE clinic.setting",),
        labels=_LABELS,
        made=(("clinic.patient", "name_length"),),
    )  # fmt: skip


def sixth_cases(major: int) -> list[Case]:
    """Attacks that a major version can read."""
    return made_attacks("ward", ATTACKS, NEWER, major)


def sixth_work(major: int) -> list[Case]:
    """Statements that must work."""
    return made_work("ward", CLEAR, MASK, SINCE, major)
