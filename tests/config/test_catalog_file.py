"""catalog.toml: names as in SQL, every problem at once, edits that leave the rest alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.config.catalog_file import (
    CatalogSection,
    ColumnKey,
    ColumnLabel,
    merged,
    parse_catalog,
    parse_key,
    render_section,
    replace_section,
    set_label,
)
from lockgate.errors import ConfigError
from lockgate.model.catalog import LABELS

EMAIL = ColumnKey("public", "people", "email")
PHONE = ColumnKey("public", "people", "prefs", ("contact", "phone"))
ODD = ColumnKey("public", "we.ird", 'c"->x')
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
KEYS = st.builds(ColumnKey, NAMES, NAMES, NAMES, st.lists(NAMES, max_size=2).map(tuple))


def test_keys_read_as_sql_names() -> None:
    assert parse_key("public.people.email") == EMAIL
    assert parse_key("public.people.prefs->contact->phone") == PHONE
    assert parse_key('public."we.ird"."c""->x"') == ODD
    assert parse_key('"public"."people"."email"') == EMAIL


@pytest.mark.parametrize(
    "text", ["", "a.b", "a.b.c.d", "a..c", "a.b.", ".b.c", 'a."b.c', "a.b.c->", "a.b->c", "x" * 2000]
)
def test_other_texts_are_no_keys(text: str) -> None:
    assert parse_key(text) is None


@given(KEYS)
def test_every_key_reads_back_as_written(key: ColumnKey) -> None:
    assert parse_key(str(key)) == key


@given(st.lists(st.tuples(KEYS, st.sampled_from(LABELS)), max_size=5, unique_by=lambda item: item[0]), NAMES)
def test_every_rendered_section_reads_back(columns: list[tuple[ColumnKey, str]], database: str) -> None:
    lines = [(key, ColumnLabel(label, "name", 0.5)) for key, label in columns]
    text = render_section(database, lines, default="none")

    assert parse_catalog(text, file="c").section(database) == CatalogSection("none", dict(lines))


@given(st.lists(st.tuples(KEYS, st.sampled_from(LABELS)), max_size=6), st.sampled_from(["db", "other", 'o"dd db']))
def test_a_label_that_was_set_is_read_and_the_others_stay(edits: list[tuple[ColumnKey, str]], database: str) -> None:
    text = '# mine\n[other]\n"public.people.email" = "none"  # checked\n'
    expected = {("other", EMAIL): "none"}
    for key, label in edits:
        text = set_label(text, database, key, label)
        expected[database, key] = label
    sections = parse_catalog(text, file="c").sections

    found = {(name, key): value.label for name, section in sections.items() for key, value in section.columns.items()}
    assert found == expected
    assert text.startswith("# mine\n")


def test_every_problem_is_reported_at_once_with_its_line() -> None:
    text = """\
loose = "none"
[shop]
default = "secret"
"public.people.email" = "person.mail"
"people.email" = "none"
"public.people.ssn" = { label = "none", why = "x" }
"public.people.dob" = 3
'public."people".dob2' = { label = "none", by = "magic" }
"public.people.x" = { label = "none", score = 2 }
"public.people.y" = "none"
'public."people".y' = "none"
"""
    with pytest.raises(ConfigError) as caught:
        parse_catalog(text, file="catalog.toml")

    starts = [
        "catalog.toml:1: `loose` stands outside a section",
        "catalog.toml:3: `default` must be",
        "catalog.toml:4: unknown label `person.mail`; did you mean `person.email`?",
        "catalog.toml:5: `people.email` is not `schema.table.column`",
        "catalog.toml:6: unknown key `why` beside a label",
        "catalog.toml:7: a label is a text",
        "catalog.toml:8: `by` must be one of",
        "catalog.toml:9: `score` must be",
        'catalog.toml:11: `public."people".y` names a column that has a line already',
    ]  # fmt: skip
    assert len(caught.value.problems) == len(starts)
    assert [p for p, start in zip(caught.value.problems, starts, strict=True) if not p.startswith(start)] == []


def test_a_missing_section_means_everything_is_unknown() -> None:
    assert parse_catalog("", file="c").section("shop") == CatalogSection("unknown", {})


def test_json_labels_are_found_by_column() -> None:
    text = '[shop]\n"public.people.prefs->contact->phone" = "person.phone"\n"public.people.prefs->a" = "none"\n'
    section = parse_catalog(text, file="c").section("shop")

    assert section.json_labels("public", "people", "prefs") == (
        (("a",), "none"),
        (("contact", "phone"), "person.phone"),
    )
    assert section.json_labels("public", "people", "email") == ()


def test_replacing_a_section_leaves_the_others_and_their_comments() -> None:
    text = '# top\n[a]\n"s.t.c" = "none"\n\n# about b\n["b b"]\n"s.t.c" = "unknown" # kept\n'
    changed = replace_section(text, "a", render_section("a", [(EMAIL, ColumnLabel("person.email"))]))

    assert changed.startswith("# top\n[a]\n")
    assert changed.endswith('\n\n# about b\n["b b"]\n"s.t.c" = "unknown" # kept\n')
    assert '"s.t.c" = "none"' not in changed
    assert replace_section(changed, "c", "[c]\n").endswith("# kept\n\n[c]\n")
    assert replace_section("", "c", "[c]\n") == "[c]\n"


def test_setting_a_label_keeps_the_comment_of_its_line() -> None:
    text = '[shop]\n"public.people.email" = { label = "none", by = "name", score = 0.1 }  # ask Ann "#1"\n'

    assert set_label(text, "shop", EMAIL, "person.email") == (
        '[shop]\n"public.people.email" = "person.email"  # ask Ann "#1"\n'
    )


def test_an_unknown_label_is_not_set() -> None:
    with pytest.raises(ConfigError, match=r"did you mean `person\.email`"):
        set_label("", "shop", EMAIL, "person.emial")


def test_a_new_guess_never_replaces_what_a_person_decided() -> None:
    existing = CatalogSection("unknown", {
        EMAIL: ColumnLabel("none"), PHONE: ColumnLabel("person.phone"), ODD: ColumnLabel("text.free", "name", 0.5),
        ColumnKey("public", "people", "dropped"): ColumnLabel("none"),
    })  # fmt: skip
    prefs = ColumnKey("public", "people", "prefs")
    found = [(EMAIL, ColumnLabel("person.email", "name", 0.9)), (prefs, ColumnLabel("unknown", "default", 0.0)),
             (ODD, ColumnLabel("none", "name", 0.9))]  # fmt: skip

    assert [(key, label.label) for key, label in merged(found, existing)] == [
        (EMAIL, "none"), (prefs, "unknown"), (PHONE, "person.phone"), (ODD, "none"),
    ]  # fmt: skip


def test_the_documentation_lists_every_label() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "labels.md").read_text(encoding="utf-8")

    assert [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")] == list(LABELS)
    example = text.split("```toml\n")[1].split("```")[0]
    assert parse_catalog(example, file="c").section("shop").columns
