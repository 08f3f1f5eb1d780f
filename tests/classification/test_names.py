"""Labels guessed from names: several languages, people against things, and what is not recognised stays unknown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.classification.names import classify
from lockgate.model.catalog import LABELS

SHARED = next((p / "shared" / "data" for p in Path(__file__).parents if (p / "shared" / "data").is_dir()), None)

# table: column type label, ...
TABLES = {
    "people": """id bigint none|full_name text person.name|email text person.email|ssn varchar(11) person.national_id|
        card char(19) payment.card|dob date person.birth_date|address text person.address|notes text text.free|
        prefs jsonb unknown|api_key text secret.credential|secret bytea secret.credential|tags text[] unknown""",
    "orders": """order_id bigint none|person_id bigint none|amount numeric none|status text none|placed_at timestamptz none|
        ship_to text person.address|contact_email text person.email""",
    "docs": "id bigint none|body text text.free|embedding vector(3) derived.embedding",
    "kunden": """kundennr integer none|vorname text person.name|nachname text person.name|straße text person.address|
        plz varchar(5) person.address|handynummer text person.phone|geburtsdatum date person.birth_date|iban text payment.iban|
        bic text none|steuernummer text person.national_id|bemerkung text text.free|umsatz numeric none|anrede text none""",
    "mitarbeiter": """name text person.name|gehalt numeric finance.salary|eintrittsdatum date none|
        emailAdresse text person.email|sozialversicherungsnr text person.national_id|abteilung text none""",
    "clients": """nom text person.name|prénom text person.name|courriel text person.email|adresse text person.address|
        code_postal text person.address|date_naissance date person.birth_date|ville text none|
        numero_securite_sociale text person.national_id|mot_de_passe text secret.credential|adresse_ip text network.address""",
    "produits": "id integer none|nom text none|prix numeric none|description text none|couleur text none",
    "pacientes": """nombre text person.name|apellidos text person.name|fecha_nacimiento date person.birth_date|
        dni text person.national_id|teléfono text person.phone|dirección text person.address|diagnóstico text health.code""",
    "dipendenti": """nome text person.name|cognome text person.name|codice_fiscale text person.national_id|
        stipendio numeric finance.salary|data_nascita date person.birth_date|indirizzo text person.address""",
    "medewerkers": """voornaam text person.name|achternaam text person.name|bsn text person.national_id|
        geboortedatum date person.birth_date|huisnummer text person.address|rekeningnummer text payment.iban""",
    "funcionarios": """nome text person.name|cpf text person.national_id|salário numeric finance.salary|
        endereço text person.address|senha text secret.credential|telemóvel text person.phone""",
    "users": """id uuid none|userName text person.name|passwordHash text secret.credential|firstname text person.name|
        emailVerified boolean none|email_verified_at timestamptz none|lastLoginIp text network.address|userAgent text none|
        locale text none|avatarUrl text none|role text none|bio text text.free|stripe_customer_id text none|
        password_changed_at timestamptz none|reset_token uuid secret.credential""",
    "payments": """card_number text payment.card|card_brand text none|card_holder text person.name|cvv text secret.credential|
        exp_year integer none|amount numeric none|currency char(3) none|account_number text payment.iban|method text none""",
    "sessions": """token uuid secret.credential|ip inet network.address|device macaddr network.mac|user_id integer none|
        data jsonb unknown|lat double&precision location.coordinates|lng double&precision location.coordinates""",
    "products": """name text none|sku text none|description text none|unit_price numeric none|color text none|size text none|
        category text none|tags text[] unknown|image_url text none|metadata jsonb unknown""",
    "countries": "code char(2) none|name text none|phone_code text none|currency_code text none",
    "tickets": "subject text text.free|description text text.free|priority text none|requester_email text person.email",
    "api_keys": "key text secret.credential|name text none|last_used timestamptz none",
    "patients": """mrn text person.national_id|sex char(1) none|icd10_code text health.code|blood_type text health.code|
        allergies text[] health.code|emergency_contact_name text person.name|emergency_contact_phone text person.phone""",
    "customer_types": "customer_type_id text none|name text none",
    "companies": "company_name text none|name text none|contact_name text person.name|contact_title text none|website text none",
    "employees": "title text none|hire_date date none|photo_path text none|home_phone text person.phone|reports_to integer none",
    "something": "name text unknown|value text unknown|payload bytea unknown|xyzzy text unknown|xyzzy_count integer none",
    "shipments": "place_of_birth text person.address|mac_address text network.mac|web_address text unknown|vip boolean none",
    "places": "location point location.coordinates|geom geometry(Point,4326) location.coordinates|search tsvector text.free",
    "vehicles": "license_plate text person.national_id|model text none|owner_name text person.name",
    "loans": "borrower_ssn text person.national_id|annual_income numeric finance.salary|principal numeric none",
    "legacy": "CUST_NM text person.name|FNAME text person.name|TEL_NO text person.phone|DT_BIRTH date person.birth_date|PWD text secret.credential",
}  # fmt: skip
CASES = [
    (table, *cell.split(), [c.split()[0] for c in text.split("|")])
    for table, text in TABLES.items()
    for cell in text.split("|")
]


@pytest.mark.parametrize(
    ("table", "column", "type_name", "label", "columns"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_names_in_seven_languages_are_recognised(
    table: str, column: str, type_name: str, label: str, columns: list[str]
) -> None:
    assert classify("public", table, column, type_name.replace("&", " "), table_columns=columns)[0] == label


@pytest.mark.parametrize("type_name", ["boolean", "timestamp with time zone", "int4range"])
def test_types_that_hold_nothing_sensitive_are_none_whatever_their_name(type_name: str) -> None:
    assert classify("public", "users", "password", type_name, table_columns=["password"])[0] == "none"


def test_an_enumeration_is_none_when_its_kind_is_known_and_unknown_otherwise() -> None:
    assert classify("public", "t", "mood", "mood", table_columns=[], type_kind="e")[0] == "none"
    assert classify("public", "t", "xyzzy", "public.frobs", table_columns=[])[0] == "unknown"


def test_a_type_named_after_what_it_holds_says_so() -> None:
    assert classify("public", "t", "xyzzy", "email_address", table_columns=[])[0] == "person.email"


def test_documents_are_free_text_when_their_name_is_sensitive() -> None:
    assert classify("public", "t", "address", "jsonb", table_columns=[])[0] == "text.free"
    assert classify("public", "t", "credentials", "jsonb", table_columns=[])[0] == "secret.credential"


def test_neighbours_say_what_a_table_is_about() -> None:
    assert classify("public", "tbl7", "name", "text", table_columns=["name", "birth_date"])[0] == "person.name"
    assert classify("public", "tbl7", "name", "text", table_columns=["name", "weight"])[0] == "unknown"


def test_who_decided_and_how_sure_is_told() -> None:
    assert classify("public", "people", "email", "text", table_columns=["email"])[1:] == (0.95, "name")
    assert classify("public", "people", "xyzzy", "text", table_columns=["xyzzy"]) == ("unknown", 0.0, "default")


@given(
    st.text(max_size=30),
    st.text(max_size=30),
    st.sampled_from(["text", "integer", "jsonb", "bytea", "date", "uuid", "x.y", "text[]"]),
)
def test_any_name_gets_a_label(table: str, column: str, type_name: str) -> None:
    label, score, by = classify("public", table, column, type_name, table_columns=[column])

    assert label in LABELS
    assert 0 <= score <= 1
    assert by in {"name", "default"}


def columns_of(file: str) -> dict[str, str]:
    if SHARED is None or not (SHARED / file).is_file():
        pytest.skip("the sample schemas are not on this machine")
    text = (SHARED / file).read_text(encoding="utf-8", errors="replace")
    labels = {}
    for table, body in re.findall(r"CREATE TABLE (\w+)\s*\((.*?)\n\);", text, re.DOTALL):
        found = re.findall(r"^\s*(\w+) (?!KEY)([\w (),]+?)(?: NOT NULL)?,?$", body, re.MULTILINE)
        columns = [(name, kind.lower()) for name, kind in found if name != "CONSTRAINT"]
        for name, kind in columns:
            labels[f"{table}.{name}"] = classify("public", table, name, kind, table_columns=[n for n, _ in columns])[0]
    return labels


def test_northwind_and_chinook_are_labelled_as_a_person_would() -> None:
    northwind, chinook = columns_of("northwind.sql"), columns_of("chinook_postgresql.sql")
    person = {"person.name", "person.phone", "person.address", "person.email", "person.birth_date", "text.free"}

    assert {c for c, label in chinook.items() if label in person} == {
        f"{table}.{column}" for table in ("customer", "employee")
        for column in ("first_name", "last_name", "address", "postal_code", "phone", "fax", "email")
    } | {"employee.birth_date", "invoice.billing_address", "invoice.billing_postal_code"}  # fmt: skip
    assert {c for c, label in northwind.items() if label in person} == {
        "customers.contact_name", "customers.address", "customers.postal_code", "customers.phone", "customers.fax",
        "employees.first_name", "employees.last_name", "employees.birth_date", "employees.address", "employees.postal_code",
        "employees.home_phone", "employees.extension", "employees.notes", "orders.ship_name", "orders.ship_address",
        "orders.ship_postal_code", "shippers.phone", "suppliers.contact_name", "suppliers.address", "suppliers.postal_code",
        "suppliers.phone", "suppliers.fax", "customer_demographics.customer_desc",
    }  # fmt: skip
